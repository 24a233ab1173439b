# Model files: container, weights, tokenizer, chat template.

# Makes GGUF files for tests of every layer; linked by the engine's tests and the end-to-end tests as well.
add_library(tm_test_gguf STATIC gguf_writer.c tiny_llama.c)
target_link_libraries(tm_test_gguf PUBLIC tm_kernels tm_base tm_options m)

tm_test(NAME test_gguf SOURCES unit/test_gguf.c LINK tm_test_gguf)
tm_test(NAME test_model SOURCES unit/test_model.c LINK tm_test_gguf)
tm_test(NAME test_tokenizer SOURCES unit/test_tokenizer.c LINK tm_test_gguf)
tm_fuzz(NAME fuzz_gguf SOURCES fuzz/fuzz_gguf.c LINK tm_kernels tm_base)
tm_test(NAME test_chat SOURCES unit/test_chat.c LINK tm_test_gguf)
tm_fuzz(NAME fuzz_tokenizer SOURCES fuzz/fuzz_tokenizer.c LINK tm_test_gguf)
tm_fuzz(NAME fuzz_chat SOURCES fuzz/fuzz_chat.c LINK tm_test_gguf)
