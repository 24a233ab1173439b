/* matrix.h - weights, activations and their products on a CUDA device (NV1 4).
 *
 * A matrix is packed once on the host, group of 16 rows by group of 16 rows, and uploaded; the values are the stored
 * ones, only their places are new (NV1 3.1). kernels/cuda/pack.h says where. Which kernel runs - one for a few tokens
 * that lives on memory bandwidth, one for many that lives on the matrix units - is chosen by the number of tokens and
 * changes no bit.
 *
 * Owns:    nothing; device memory is the caller's, all of it aligned to 16 bytes.
 * Threads: the host functions are pure but for the launches they enqueue in `stream`. A launch that fails is found by
 *          cudaGetLastError(), as for any kernel; none synchronises, so all of it can be captured in a graph.
 * Spec:    NV1 3.2, 4
 */
#ifndef TALLYMESH_KERNELS_CUDA_MATRIX_H
#define TALLYMESH_KERNELS_CUDA_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;                  /* a cudaStream_t points to one */

/* The types that kernels take, by GGUF's ids: enum tensor_type for C++, which cannot read it (pack.c compares). */
enum cuda_type {
    CUDA_F32 = 0,
    CUDA_F16 = 1,
    CUDA_Q4_0 = 2,
    CUDA_Q4_1 = 3,
    CUDA_Q5_0 = 6,
    CUDA_Q5_1 = 7,
    CUDA_Q8_0 = 8,
    CUDA_Q2_K = 10,
    CUDA_Q3_K = 11,
    CUDA_Q4_K = 12,
    CUDA_Q5_K = 13,
    CUDA_Q6_K = 14,
    CUDA_IQ4_NL = 20,
    CUDA_IQ4_XS = 23,
    CUDA_BF16 = 30,
    CUDA_MXFP4 = 39
};

enum { CUDA_ACT_BLOCK = 256, CUDA_ACT_SCALES = 8, CUDA_ACT_SUMS = 32, CUDA_TOGETHER = 3 };

/* Quantised activations (NV1 3.2), blocks = ceil(cols / 256); everything is zero from cols to the end of its block.
 * There is a scale for every 32 values; where 256 share one, it is written eight times.
 * sums: per block and each 16 values s = their sum, in -2032..2032: byte i is s_i mod 128 (0..127), byte 16 + i is
 * floor(s_i / 128): s_i = 128 * byte(16 + i) + byte(i). Two signed bytes are what the matrix units take. */
struct cuda_acts {
    uint32_t cols;
    uint32_t group;                  /* values that share a scale: ops_act_group() of the matrices that read it */
    int8_t *q;                       /* (tokens, blocks * 256) */
    float *d;                        /* (tokens, blocks * 8) */
    int8_t *sums;                    /* (tokens, blocks * 32) */
};

struct cuda_matrix {
    enum cuda_type type;
    uint32_t rows, cols;
    const uint8_t *packed;           /* cuda_packed_bytes() of device memory */
};

/* A product to be made: y[token * stride + row]. */
struct cuda_product {
    const struct cuda_matrix *w;
    float *y;
    uint32_t stride;
};

/* NV1 4.1 for tokens [0, n) of up to CUDA_TOGETHER matrices that read the same x, in one launch. All are of one
 * quantised type; x->cols is the cols of each and x->group that of the type. */
void cuda_matmul_together(const struct cuda_product *products, uint32_t count, const struct cuda_acts *x, uint32_t n,
                          struct CUstream_st *stream);
/* NV1 4.2 likewise; x is (n, cols), the type F32, F16 or BF16. */
void cuda_matmul_float_together(const struct cuda_product *products, uint32_t count, const float *x, uint32_t n,
                                struct CUstream_st *stream);
/* One of them alone. */
void cuda_matmul(const struct cuda_matrix *w, const struct cuda_acts *x, uint32_t n, float *y, uint32_t stride,
                 struct CUstream_st *stream);
void cuda_matmul_float(const struct cuda_matrix *w, const float *x, uint32_t n, float *y, uint32_t stride,
                       struct CUstream_st *stream);

#ifdef __cplusplus
}
#endif

#endif
