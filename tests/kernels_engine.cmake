# The exact engine: operations against the law, the whole forward pass, sampling, jobs.
add_executable(conformance_main kernels/conformance_main.c)
target_link_libraries(conformance_main PRIVATE tm_kernels tm_base tm_options)

tm_test(NAME test_ops SOURCES kernels/test_ops.c LINK tm_kernels tm_base m)
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
