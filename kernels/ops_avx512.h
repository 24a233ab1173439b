/* ops_avx512.h - the operations of NV1 with AVX-512 and its dot product (VNNI); what does not weigh is borrowed from
 * AVX2. Only to be called where the processor has them (backend.c asks).
 *
 * Threads: pure.
 * Spec:    as in ops.h
 */
#ifndef TALLYMESH_KERNELS_OPS_AVX512_H
#define TALLYMESH_KERNELS_OPS_AVX512_H

#include "kernels/ops.h"

extern const struct ops ops_avx512;

/* What the AMX table borrows. */
void avx512_attn_scores(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                        int32_t (*scores)[LIMBS][TILE]);
void avx512_attn_values(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width,
                        int32_t *sums);
void avx512_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n);
bool avx512_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                         struct attn_tile *out);
bool avx512_gate(const float *g, const float *u, uint32_t n, float *y);
void avx512_exp2_each(const float *x, uint32_t n, float *y);
void avx512_exp_each(const float *x, uint32_t n, float *y);

#endif
