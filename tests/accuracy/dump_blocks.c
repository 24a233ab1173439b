/* dump_blocks.c - what do these stored blocks mean to us?
 *
 *   dump_blocks TYPE < BLOCKS > VALUES         TYPE: GGUF's number of a weight type; VALUES: fp32 little-endian
 *
 * tests/accuracy/check_blocks.py compares its output with an independent reader's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/blocks.h"
#include "kernels/quant.h"

int main(int argc, char **argv)
{
    uint8_t stored[512];
    float values[BLOCK_LEN_MAX];
    enum tensor_type type = (enum tensor_type)(argc == 2 ? atoi(argv[1]) : -1);
    bool plain = type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16;
    if (argc != 2 || (!plain && !block_format(type))) {
        fprintf(stderr, "usage: dump_blocks TYPE < BLOCKS > VALUES\n");
        return 2;
    }
    uint32_t len = tensor_type_block_len(type), bytes = tensor_type_block_bytes(type);
    ENSURE(bytes <= sizeof stored && len <= BLOCK_LEN_MAX);
    while (fread(stored, bytes, 1, stdin) == 1) {
        struct matrix w = { .type = type, .rows = 1, .cols = len, .data = stored };
        quant_row_to_float(&w, 0, values);
        if (fwrite(values, sizeof *values, len, stdout) != len)
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
