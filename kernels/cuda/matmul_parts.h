/* matmul_parts.h - what matmul.cu, matvec.cu and matvec_float.cu say to each other.
 *
 * Matrices that read the same activations are one launch: their blocks of threads are numbered on. */
#ifndef TALLYMESH_KERNELS_CUDA_MATMUL_PARTS_H
#define TALLYMESH_KERNELS_CUDA_MATMUL_PARTS_H

#include "kernels/cuda/matrix.h"
#include "kernels/cuda/prim.h"

static constexpr uint32_t FEW_TOKENS = 8;               /* up to here the matrix units' width of eight is the batch */

/* One matrix of a launch and its results. */
struct product_rows {
    const uint8_t *packed;
    float *y;
    uint32_t rows, stride;
    uint32_t first;                      /* its first blockIdx.x */
};

/* The arguments of cuda_matmul_together() as a kernel takes them. */
struct product {
    struct product_rows of[CUDA_TOGETHER];
    uint32_t cols, tokens, blocks;       /* blocks of 256 activations per token */
    const int8_t *q;                     /* as in struct cuda_acts */
    const float *d;
    const int8_t *sums;
};

/* Numbers the blocks of threads of all matrices, each of which takes so many rows. Returns how many there are; who is
 * not there begins behind the last. */
static inline uint32_t number_blocks(struct product_rows (&of)[CUDA_TOGETHER], uint32_t block_rows)
{
    uint32_t n = 0;
    for (struct product_rows &w : of) {
        w.first = n;
        n += (w.rows + block_rows - 1) / block_rows;
    }
    return n;
}

static inline void take_products(struct product_rows (&of)[CUDA_TOGETHER], const struct cuda_product *products,
                                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        of[i] = { products[i].w->packed, products[i].y, products[i].w->rows, products[i].stride, 0 };
}

/* The matrix of this block of threads: chosen by comparisons, since an index would put the arguments into memory. */
DEVICE struct product_rows find_rows(const struct product_rows (&of)[CUDA_TOGETHER])
{
    struct product_rows w = of[0];
#pragma unroll
    for (uint32_t i = 1; i < CUDA_TOGETHER; i++)
        if (blockIdx.x >= of[i].first)
            w = of[i];
    return w;
}

void multiply_few_tokens(enum cuda_type type, struct product *p, struct CUstream_st *stream);

/* function<type>(..) with the type as a constant. */
#define FOR_QUANTISED_TYPE(type, function, ...)                                                                        \
    switch (type) {                                                                                                    \
    case CUDA_F32:                                                                                                     \
    case CUDA_F16:                                                                                                     \
    case CUDA_BF16: return;                                                                                            \
    case CUDA_Q4_0: function<CUDA_Q4_0>(__VA_ARGS__); return;                                                          \
    case CUDA_Q4_1: function<CUDA_Q4_1>(__VA_ARGS__); return;                                                          \
    case CUDA_Q5_0: function<CUDA_Q5_0>(__VA_ARGS__); return;                                                          \
    case CUDA_Q5_1: function<CUDA_Q5_1>(__VA_ARGS__); return;                                                          \
    case CUDA_Q8_0: function<CUDA_Q8_0>(__VA_ARGS__); return;                                                          \
    case CUDA_Q2_K: function<CUDA_Q2_K>(__VA_ARGS__); return;                                                          \
    case CUDA_Q3_K: function<CUDA_Q3_K>(__VA_ARGS__); return;                                                          \
    case CUDA_Q4_K: function<CUDA_Q4_K>(__VA_ARGS__); return;                                                          \
    case CUDA_Q5_K: function<CUDA_Q5_K>(__VA_ARGS__); return;                                                          \
    case CUDA_Q6_K: function<CUDA_Q6_K>(__VA_ARGS__); return;                                                          \
    case CUDA_IQ4_NL: function<CUDA_IQ4_NL>(__VA_ARGS__); return;                                                      \
    case CUDA_IQ4_XS: function<CUDA_IQ4_XS>(__VA_ARGS__); return;                                                      \
    case CUDA_MXFP4: function<CUDA_MXFP4>(__VA_ARGS__); return;                                                        \
    }

#endif
