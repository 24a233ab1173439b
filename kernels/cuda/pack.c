/* pack.c - stored rows into the places where the CUDA kernels look for them. */
#include "kernels/cuda/pack.h"

#include <string.h>

#include "kernels/tensor.h"

#define SAME(name) _Static_assert((int)CUDA_##name == (int)TENSOR_##name, #name)
SAME(F32);
SAME(F16);
SAME(BF16);
SAME(Q8_0);
SAME(Q4_0);
SAME(Q4_1);
SAME(Q5_0);
SAME(Q5_1);
SAME(IQ4_NL);
SAME(MXFP4);
SAME(Q2_K);
SAME(Q3_K);
SAME(Q4_K);
SAME(Q5_K);
SAME(Q6_K);
SAME(IQ4_XS);

static void pack_float_row(enum cuda_type type, uint32_t cols, const uint8_t *stored, uint8_t *out)
{
    size_t size = float_bytes(type);
    uint32_t whole = cols / 256 * 256;
    for (uint32_t at = 0; at < cols; at++) {
        uint32_t to = at < whole ? at / 256 * 256 + at % 32 * 8 + at % 256 / 32 : at;
        memcpy(out + to * size, stored + at * size, size);
    }
}

size_t cuda_group_bytes(enum cuda_type type, uint32_t cols)
{
    if (type == CUDA_F32 || type == CUDA_F16 || type == CUDA_BF16)
        return (size_t)PACK_ROWS * float_row_bytes(type, cols);
    return 0;
}

size_t cuda_packed_bytes(enum cuda_type type, uint32_t rows, uint32_t cols)
{
    return cuda_group_bytes(type, cols) * ((rows + PACK_ROWS - 1) / PACK_ROWS);
}

void cuda_pack_group(enum cuda_type type, uint32_t rows, uint32_t cols, const uint8_t *stored, uint32_t group, uint8_t *out)
{
    size_t row_bytes = (size_t)cols * float_bytes(type);
    memset(out, 0, cuda_group_bytes(type, cols));
    for (uint32_t i = 0; i < PACK_ROWS; i++) {
        uint32_t row = group * PACK_ROWS + i;
        if (row < rows)
            pack_float_row(type, cols, stored + row * row_bytes, out + (size_t)i * float_row_bytes(type, cols));
    }
}
