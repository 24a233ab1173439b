/* make_tiny_gguf.c - writes a tiny random-weight model for tests that need any model, fast: make_tiny_gguf FILE */
#include <stdio.h>

#include "tests/gguf_writer.h"

int main(int argc, char **argv)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.context = 512;
    struct bytes file = tiny_llama_write(&spec);
    bool fine = argc == 2 && argv[1][0] != '-' && gguf_writer_save(file, argv[1]);
    gguf_writer_free(file);
    if (!fine)
        fprintf(stderr, "usage: make_tiny_gguf FILE (it must be writable)\n");
    return fine ? 0 : 1;
}
