/* ops_avx2.h - the operations of NV1 with AVX2, FMA and F16C. Only to be called where the processor has all three
 * (backend.c asks). The AVX-512 table borrows what gains nothing from wider registers.
 * Packed matrices: packed_avx2.h.
 */
#ifndef TALLYMESH_KERNELS_OPS_AVX2_H
#define TALLYMESH_KERNELS_OPS_AVX2_H

#include "kernels/ops.h"

extern const struct ops ops_avx2;
extern const struct ops ops_avxvnni;      /* the same with AVX-VNNI's products; not in every build (CMakeLists.txt) */

/* What the tables for other instructions borrow. */
void avx2_attn_scores(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                      int32_t (*scores)[LIMBS][TILE]);
void avx2_attn_values(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width,
                      int32_t *sums);
bool avx2_quantize(const float *in, struct acts *x, uint32_t token);
bool avx2_quantize_head(const float *in, uint32_t n, int8_t *high, int8_t *low, float *d);
void avx2_matmul_float(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                       size_t stride);
bool avx2_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y);
bool avx2_gate(const float *g, const float *u, uint32_t n, float *y);
void avx2_add(float *x, const float *y, uint32_t n);
void avx2_rope(float *v, const float *cs, uint32_t pairs);
bool avx2_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                       struct attn_tile *out);
void avx2_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n);
void avx2_attn_merge(float *o, const float *part, float a, float b, uint32_t n);
void avx2_exp2_each(const float *x, uint32_t n, float *y);
void avx2_exp_each(const float *x, uint32_t n, float *y);

#endif
