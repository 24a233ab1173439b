/* matmul_avx512.h - NV1 4.1 with AVX-512 and its dot product (VNNI): packing and multiplying.
 *
 *   packed_avx512.h    the layout, and how four columns of 16 rows are taken out of it
 *   pack_avx512.c      into it
 *   gemv_avx512.c      few tokens: bound by memory, weights go from the packed form straight into the products
 *   panel_avx512.h     16 rows x 256 columns taken apart for a batch
 *   gemm_avx512.c      many tokens: bound by vpdpbusd
 *
 * Threads: pure.
 * Spec:    NV1 4.1
 */
#ifndef TALLYMESH_KERNELS_MATMUL_AVX512_H
#define TALLYMESH_KERNELS_MATMUL_AVX512_H

#include "kernels/ops.h"

size_t avx512_packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols);
void avx512_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed);

/* As ops.matmul; each is right for any n. */
void avx512_gemv(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride);
void avx512_gemm(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride);

#endif
