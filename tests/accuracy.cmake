# How close are the engine's numbers to real ones? Tools for docs/accuracy.md; the questions are asked in Python.
add_executable(dump_logits accuracy/dump_logits.c)
target_link_libraries(dump_logits PRIVATE tm_kernels tm_base tm_options)
add_executable(dump_blocks accuracy/dump_blocks.c)
target_link_libraries(dump_blocks PRIVATE tm_kernels tm_base tm_options)

# Stored blocks against an independent reader: at random where Python has it, and by golden vectors everywhere.
add_test(NAME check_blocks COMMAND sh -c
  "exec \"\${TALLY_TEST_PYTHON:-${CMAKE_BINARY_DIR}/venv/bin/python}\" tests/accuracy/check_blocks.py $<TARGET_FILE:dump_blocks>"
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(check_blocks PROPERTIES LABELS check TIMEOUT 120 SKIP_RETURN_CODE 77)
tm_test(NAME test_blocks SOURCES kernels/test_blocks.c LINK tm_kernels tm_base)

# Backends against the law on any bytes; soak_backends SEED SECONDS does so without libFuzzer for as long as one likes. One
# input costs what the slow law costs, so the replay makes fewer mutations than those of the decoders.
if(TM_FUZZ)
  tm_fuzz(NAME fuzz_backends SOURCES fuzz/fuzz_backends.c LINK tm_kernels tm_base)
else()
  add_executable(fuzz_backends fuzz/fuzz_backends.c fuzz/replay_main.c)
  target_link_libraries(fuzz_backends PRIVATE tm_kernels tm_base tm_options)
  add_test(NAME fuzz_backends COMMAND fuzz_backends ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/backends 25
           WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(fuzz_backends PROPERTIES LABELS "unit;fuzz" TIMEOUT 120)
  add_executable(soak_backends fuzz/fuzz_backends.c fuzz/soak_main.c)
  target_link_libraries(soak_backends PRIVATE tm_kernels tm_base tm_options)
endif()

# Whole forward passes of every weight type, in any company.
tm_test(NAME test_models SOURCES kernels/test_models.c LINK tm_test_gguf)
