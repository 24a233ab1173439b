/* ops_neon.h - the operations of NV1 for AArch64: `neon` for any such processor, `neondot` where there is the dot product of
 * four bytes (SDOT, ARMv8.2), which does a matrix's work in a third of the instructions. backend.c asks which there is.
 *
 * AArch64's vector arithmetic obeys the same rounding mode and keeps the same subnormals as its scalar arithmetic (FPCR),
 * which numerics_check_fpu() looks at; nothing here is contracted but where a clause says fma.
 *
 *   pointwise_neon.c      what both have alike: quantisation, norms, gates, rotation, softmax, products of floats
 *   packing_neon.[ch]     the packed form of quantised matrices
 *   products_neon.h       everything made of dot products of bytes, compiled once for each table
 */
#ifndef TALLYMESH_KERNELS_OPS_NEON_H
#define TALLYMESH_KERNELS_OPS_NEON_H

#include "kernels/ops.h"

extern const struct ops ops_neon, ops_neondot;

bool neon_quantize(const float *in, struct acts *x, uint32_t token);
bool neon_quantize_head(const float *in, uint32_t n, int8_t *high, int8_t *low, float *d);
void neon_matmul_float(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                       size_t stride);
bool neon_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y);
bool neon_gate(const float *g, const float *u, uint32_t n, float *y);
void neon_add(float *x, const float *y, uint32_t n);
void neon_rope(float *v, const float *cs, uint32_t pairs);
bool neon_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                       struct attn_tile *out);
void neon_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n);
void neon_attn_merge(float *o, const float *part, float a, float b, uint32_t n);
void neon_exp2_each(const float *x, uint32_t n, float *y);
void neon_exp_each(const float *x, uint32_t n, float *y);

#endif
