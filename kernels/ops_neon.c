/* ops_neon.c - the operations for any AArch64: dot products of bytes from multiplications and pairwise additions. */
#include "kernels/ops_neon.h"

#include "kernels/products_neon.h"

const struct ops ops_neon = {
    .name = "neon",
    .quantize = neon_quantize,
    .quantize_head = neon_quantize_head,
    .group_rows = NEON_GROUP,
    .packed_bytes = neon_packed_bytes,
    .pack = neon_pack,
    .matmul = matmul,
    .matmul_float = neon_matmul_float,
    .rmsnorm = neon_rmsnorm,
    .gate = neon_gate,
    .add = neon_add,
    .rope = neon_rope,
    .attn_scores = attn_scores,
    .attn_softmax = neon_attn_softmax,
    .attn_values = attn_values,
    .attn_fold = neon_attn_fold,
    .attn_merge = neon_attn_merge,
    .exp2_each = neon_exp2_each,
    .exp_each = neon_exp_each,
};
