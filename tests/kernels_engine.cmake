# The exact engine: operations against the law, the whole forward pass, sampling, jobs.
add_executable(conformance_main kernels/conformance_main.c)
target_link_libraries(conformance_main PRIVATE tm_kernels tm_base tm_options)

tm_test(NAME test_ops SOURCES kernels/test_ops.c LINK tm_kernels tm_base m)
if(TM_HAVE_AVXVNNI AND NOT TM_SANITIZE)
  # AVX-VNNI's products in the encoding of AVX-512, which more machines can run; minutes to compile when instrumented.
  add_library(test_evexvnni STATIC ${CMAKE_SOURCE_DIR}/kernels/vnni_avx2.c)
  target_link_libraries(test_evexvnni PUBLIC tm_kernels)
  target_compile_definitions(test_evexvnni PRIVATE TM_VNNI_EVEX)
  target_compile_options(test_evexvnni PRIVATE -mavx2 -mfma -mf16c -mavx512f -mavx512vl -mavx512vnni)
  target_link_libraries(test_ops PRIVATE test_evexvnni)
  target_compile_definitions(test_ops PRIVATE TM_VNNI_EVEX)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
  # The AMX backend with emulated tiles: its loops are compared with the law on machines without AMX too. A library of its
  # own, because the real one has the same file with other options; it is found first.
  add_library(tm_amx_emulated OBJECT ${CMAKE_SOURCE_DIR}/kernels/gemm_amx.c)
  target_link_libraries(tm_amx_emulated PRIVATE tm_options)
  target_compile_definitions(tm_amx_emulated PRIVATE TM_TILE_EMULATED)
  target_compile_options(tm_amx_emulated PRIVATE
    -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni)
  tm_test(NAME test_ops_amx SOURCES kernels/test_ops.c $<TARGET_OBJECTS:tm_amx_emulated> LINK tm_kernels tm_base m)
  target_compile_definitions(test_ops_amx PRIVATE TM_TILE_EMULATED)
endif()
tm_test(NAME test_exact_math SOURCES kernels/test_exact_math.c LINK tm_kernels tm_base m)
tm_test(NAME test_sampler SOURCES kernels/test_sampler.c LINK tm_kernels tm_base m)
tm_test(NAME test_kvcache SOURCES kernels/test_kvcache.c LINK tm_kernels tm_base)
tm_test(NAME test_pool SOURCES kernels/test_pool.c LINK tm_kernels tm_base LABELS shell)
tm_test(NAME torture_engine SOURCES kernels/torture_engine.c LINK tm_test_gguf)
target_link_options(torture_engine PRIVATE -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=aligned_alloc)
tm_test(NAME test_vectors SOURCES kernels/test_vectors.c LINK tm_test_gguf)
tm_test(NAME test_forward SOURCES kernels/test_forward.c kernels/forward64.c LINK tm_test_gguf m)
tm_test(NAME test_engine SOURCES kernels/test_engine.c LINK tm_test_gguf)

# Not a test: tokens per second of a model file, or of a random one of the demo model's size.
add_executable(bench_engine bench_engine.c)
target_link_libraries(bench_engine PRIVATE tm_test_gguf tm_kernels tm_base tm_options)
add_executable(bench_ops bench/bench_ops.c)
target_link_libraries(bench_ops PRIVATE tm_kernels tm_base tm_options)
add_executable(bench_verify bench/bench_verify.c)
target_link_libraries(bench_verify PRIVATE tm_kernels tm_base tm_options)
add_executable(bench_memory bench/bench_memory.c)
target_link_libraries(bench_memory PRIVATE tm_kernels tm_base tm_options)
