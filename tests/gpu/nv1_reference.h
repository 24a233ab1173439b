/* nv1_reference.h - the scalar law, as plain functions that a CUDA source can call. */
#ifndef TALLYMESH_TESTS_GPU_NV1_REFERENCE_H
#define TALLYMESH_TESTS_GPU_NV1_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void nv1_exp2(const float *x, size_t n, float *y);
void nv1_exp(const float *x, size_t n, float *y);
void nv1_silu(const float *x, size_t n, float *y);
/* Positive normal x; +0 for everything else, so that all bit patterns can be passed. */
void nv1_ln(const float *x, size_t n, float *y);
void nv1_half(const uint16_t *h, size_t n, float *y);

/* NV1 3.2: q has blocks * 256 values, d and finite one per block. */
int nv1_quantize(const float *x, uint32_t cols, int8_t *q, float *d);
int nv1_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y);
/* NV1 4.1: rows of stored Q8_0 against one quantised token. */
void nv1_q8_rows(const uint8_t *rows, uint32_t n_rows, uint32_t cols, const int8_t *q, const float *d, float *y);
/* NV1 4.3 */
float nv1_vsum(const float *a, const float *b, uint32_t n);

#ifdef __cplusplus
}
#endif

#endif
