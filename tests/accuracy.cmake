# How close are the engine's numbers to real ones? Tools for docs/accuracy.md; the questions are asked in Python.
add_executable(dump_logits accuracy/dump_logits.c)
target_link_libraries(dump_logits PRIVATE tm_kernels tm_base tm_options)
