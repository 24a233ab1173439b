# The kernels on AArch64 when the machine is something else: cross-compiled, and run under qemu's user emulation. The same
# test files as at home, with a small stand-in for cmocka, whose library is not there for the other architecture.
#
# Needed: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user. Without them one test says that it was skipped.
find_program(ARM_CC aarch64-linux-gnu-gcc)
find_program(ARM_EMULATOR qemu-aarch64)
mark_as_advanced(ARM_CC ARM_EMULATOR)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  return()                    # the ordinary tests run on it
endif()
if(TM_SANITIZE)
  return()                    # the same programs as in the plain build
endif()
if(ARM_CC)
  execute_process(COMMAND ${ARM_CC} -print-file-name=libc.a OUTPUT_VARIABLE ARM_LIBC OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
if(NOT ARM_CC OR NOT ARM_EMULATOR OR NOT EXISTS "${ARM_LIBC}")
  set(why "skipped: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross or qemu-user is missing, the kernels are not tested on ARM")
  message(STATUS "arm: ${why}")
  add_test(NAME arm_kernels COMMAND ${CMAKE_COMMAND} -E echo "${why}")
  set_tests_properties(arm_kernels PROPERTIES LABELS unit SKIP_REGULAR_EXPRESSION "skipped:")
  return()
endif()

set(ARM_FLAGS -std=c11 -O2 -g -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wvla
  -Wswitch-enum -Werror -ffp-contract=off -fno-fast-math -I${CMAKE_SOURCE_DIR} -DTM_ARM_BACKENDS)

# arm_object(OUT SOURCE FLAGS...): compiles one file of the tree; OUT is the object's path.
function(arm_object out source)
  string(REPLACE "/" "_" name ${source})
  set(object ${CMAKE_CURRENT_BINARY_DIR}/arm/${name}.o)
  add_custom_command(OUTPUT ${object}
    COMMAND ${ARM_CC} ${ARM_FLAGS} ${ARGN} -MD -MF ${object}.d -c ${CMAKE_SOURCE_DIR}/${source} -o ${object}
    DEPENDS ${CMAKE_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM COMMENT "Building for AArch64: ${source}")
  set(${out} ${object} PARENT_SCOPE)
endfunction()

file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/arm)
set(ARM_OBJECTS)
foreach(source crypto/base.c tests/gguf_writer.c tests/tiny_llama.c ${TM_KERNELS_ARM_SOURCES})
  set(flags)
  if(source MATCHES "_dotprod_neon")
    set(flags -march=armv8.2-a+dotprod)
  endif()
  arm_object(object ${source} ${flags})
  list(APPEND ARM_OBJECTS ${object})
endforeach()
set(ARM_ARCHIVE ${CMAKE_CURRENT_BINARY_DIR}/arm/kernels.a)
find_program(ARM_AR aarch64-linux-gnu-ar REQUIRED)
add_custom_command(OUTPUT ${ARM_ARCHIVE} COMMAND ${CMAKE_COMMAND} -E rm -f ${ARM_ARCHIVE}
  COMMAND ${ARM_AR} rcs ${ARM_ARCHIVE} ${ARM_OBJECTS} DEPENDS ${ARM_OBJECTS} VERBATIM)

# arm_test(TEST CPU ARGS...): tests/kernels/TEST.c on that processor of qemu's.
function(arm_test test cpu)
  set(program ${CMAKE_CURRENT_BINARY_DIR}/arm/${test})
  if(NOT TARGET arm_${test})
    arm_object(object tests/kernels/${test}.c -I${CMAKE_SOURCE_DIR}/tests/emulated)
    add_custom_command(OUTPUT ${program}
      COMMAND ${ARM_CC} -static ${object} ${ARM_ARCHIVE} -lm -lpthread -o ${program} DEPENDS ${object} ${ARM_ARCHIVE} VERBATIM)
    add_custom_target(arm_${test} ALL DEPENDS ${program})
  endif()
  add_test(NAME arm_${test}_${cpu} COMMAND ${ARM_EMULATOR} -cpu ${cpu} ${program} ${ARGN}
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(arm_${test}_${cpu} PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

arm_test(test_neon max neondot)
arm_test(test_neon cortex-a53 neon)            # a processor without the dot product: no table may use it
arm_test(test_ops max)
arm_test(test_vectors max)                     # whole forward passes too, against the files written on x86-64
arm_test(test_exact_math max)
arm_test(test_vectors cortex-a53)
