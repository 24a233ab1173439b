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
