/* matmul_parts.h - what matmul.cu and matvec.cu say to each other. */
#ifndef TALLYMESH_KERNELS_CUDA_MATMUL_PARTS_H
#define TALLYMESH_KERNELS_CUDA_MATMUL_PARTS_H

#include "kernels/cuda/matrix.h"

static constexpr uint32_t FEW_TOKENS = 8;               /* up to here the matrix units' width of eight is the batch */

/* The arguments of cuda_matmul() as a kernel takes them. */
struct product {
    const uint8_t *packed;
    uint32_t rows, cols, tokens, blocks; /* blocks of 256 activations per token */
    const int8_t *q;                     /* as in struct cuda_acts */
    const float *d;
    const int8_t *sums;
    float *y;
    uint32_t stride;
};

void multiply_few_tokens(enum cuda_type type, const struct product *p, struct CUstream_st *stream);

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
