/* ops_avx512.h - the integer operations of NV1 with AVX-512 and its dot product (VNNI); the rest is borrowed from AVX2.
 * Only to be called where the processor has them (backend.c asks).
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

#endif
