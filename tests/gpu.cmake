# The CUDA kernels on the emulated device (tests/gpu/emu.h): the same .cu files, compiled by a C++ compiler. Their
# objects are instrumented for a race detector that is our own; the real one would answer instead, so not under
# TM_SANITIZE=thread.
if(EXISTS /usr/local/cuda/bin/nvcc)
  set(TM_NVCC /usr/local/cuda/bin/nvcc)
else()
  find_program(TM_NVCC nvcc)
endif()
if(TM_NVCC AND NOT TM_SANITIZE)
  # Minutes after a change of the kernels, nothing otherwise; tests/gpu.sh --build looks at every architecture.
  add_test(NAME check_ptx COMMAND ${CMAKE_SOURCE_DIR}/tests/gpu/check_ptx.sh ${CMAKE_BINARY_DIR}/ptx sm_90)
  set_tests_properties(check_ptx PROPERTIES LABELS check TIMEOUT 1200 SKIP_RETURN_CODE 77)
endif()

# With the real kernels in the library (TM_CUDA) the whole-model test is for a GPU; tests/gpu/CMakeLists.txt builds the
# same without the rest.
if(TM_CUDA)
  find_package(CUDAToolkit REQUIRED)
  add_executable(gpu_device gpu/test_cuda_device.c gpu/silicon_runtime.c)
  target_compile_definitions(gpu_device PRIVATE TM_ON_SILICON)
  target_include_directories(gpu_device SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(gpu_device PRIVATE tm_test_gguf tm_kernels tm_options PkgConfig::CMOCKA CUDA::cudart_static)
  target_link_options(gpu_device PRIVATE -Wl,--wrap=cudaGraphLaunch)
  return()
endif()

include(CheckLanguage)
check_language(CXX)
if(NOT CMAKE_CXX_COMPILER OR TM_SANITIZE MATCHES "thread")
  message(STATUS "no C++ compiler, or ThreadSanitizer: the CUDA kernels are not emulated")
  return()
endif()
enable_language(CXX)
include(CheckCXXSourceCompiles)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_REQUIRED_FLAGS "-fsanitize=thread")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
check_cxx_source_compiles("int f(int *p) { return *p; }" TM_CXX_TELLS_ACCESSES)
unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
unset(CMAKE_REQUIRED_FLAGS)
if(NOT TM_CXX_TELLS_ACCESSES)
  return()
endif()

set(TM_EMULATED_OPTIONS -O2 -Wall -Wextra -Wshadow -Wconversion -Werror -Wno-unknown-pragmas -ffp-contract=off
    -fno-fast-math -DTM_CUDA_EMULATED)

add_library(tm_emu STATIC gpu/emu.cc gpu/emu_memory.cc)
target_include_directories(tm_emu PUBLIC ${CMAKE_SOURCE_DIR})
target_compile_options(tm_emu PRIVATE ${TM_EMULATED_OPTIONS} -O3)

# tm_emulated(NAME x SOURCES a.cu ...): kernels for the emulated device. No expensive optimisations: gcc would make one
# unaligned load of two byte loads, which this machine can do and the emulated one rightly forbids.
function(tm_emulated)
  cmake_parse_arguments(A "" "NAME" "SOURCES" ${ARGN})
  add_library(${A_NAME} STATIC ${A_SOURCES})
  set_source_files_properties(${A_SOURCES} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-fsanitize=thread;-fno-expensive-optimizations")
  target_compile_options(${A_NAME} PRIVATE ${TM_EMULATED_OPTIONS})
  target_link_libraries(${A_NAME} PUBLIC tm_emu)
endfunction()

file(GLOB TM_CUDA_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*.cu)
tm_emulated(NAME tm_cuda_emulated SOURCES ${TM_CUDA_SOURCES})
add_library(tm_cuda_pack STATIC ${CMAKE_SOURCE_DIR}/kernels/cuda/pack.c ${CMAKE_SOURCE_DIR}/kernels/cuda/tiles.c)
target_link_libraries(tm_cuda_pack PUBLIC tm_kernels)

tm_test(NAME test_cuda_matmul SOURCES gpu/test_cuda_matmul.c LINK tm_cuda_emulated tm_cuda_pack tm_kernels tm_base m)
tm_emulated(NAME tm_emu_faults SOURCES gpu/emu_faults.cu)
tm_emulated(NAME tm_exact_emulated SOURCES gpu/exact_all.cu)
tm_test(NAME test_cuda_exact SOURCES gpu/test_cuda_exact.c LINK tm_exact_emulated tm_kernels tm_base m)
tm_test(NAME test_emu SOURCES gpu/test_emu.c LINK tm_emu_faults tm_base)
tm_test(NAME test_cuda_steps SOURCES gpu/test_cuda_steps.c LINK tm_cuda_emulated tm_kernels tm_base m)
tm_test(NAME test_cuda_attention SOURCES gpu/test_cuda_attention.c LINK tm_cuda_emulated tm_cuda_pack tm_kernels tm_base m)

# The host's side of a GPU device against the emulated runtime: same sources, our cuda_runtime_api.h.
file(GLOB TM_CUDA_HOST_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/cuda/*_cuda.c)
list(FILTER TM_CUDA_HOST_SOURCES EXCLUDE REGEX selftest)
add_library(tm_cuda_host STATIC ${TM_CUDA_HOST_SOURCES} gpu/emu_runtime.c)
target_include_directories(tm_cuda_host BEFORE PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/gpu/runtime)
target_link_libraries(tm_cuda_host PUBLIC tm_cuda_emulated tm_cuda_pack tm_kernels tm_options)
tm_test(NAME test_cuda_device SOURCES gpu/test_cuda_device.c gpu/short_selftest.c LINK tm_cuda_host tm_test_gguf)
tm_test(NAME torture_cuda_device SOURCES gpu/torture_cuda_device.c gpu/short_selftest.c LINK tm_cuda_host tm_test_gguf)
tm_test(NAME test_cuda_selftest SOURCES gpu/test_cuda_selftest.c ${CMAKE_SOURCE_DIR}/kernels/cuda/selftest_cuda.c
        LINK tm_cuda_host)
