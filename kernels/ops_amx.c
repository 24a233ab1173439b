/* ops_amx.c - AVX-512, and tiles for the products of a batch. */
#include "kernels/ops_amx.h"

#include "kernels/gemm_amx.h"
#include "kernels/matmul_avx512.h"
#include "kernels/ops_avx2.h"
#include "kernels/ops_avx512.h"

/* A tile has 16 tokens, present or not; below this the vectors have less to do. Reckoned, not measured
 * (docs/kernels.md). */
enum { TILE_TOKENS = 4 };

static void matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                   size_t stride)
{
    if (n < TILE_TOKENS)
        avx512_gemv(w, x, n, begin, end, y, stride);
    else
        amx_gemm(w, x, n, begin, end, y, stride);
}

const struct ops ops_amx = {
    .name = "amx",
    .quantize = avx2_quantize,
    .quantize_head = avx2_quantize_head,
    .group_rows = 16,
    .packed_bytes = avx512_packed_bytes,
    .pack = avx512_pack,
    .matmul = matmul,
    .matmul_float = avx2_matmul_float,
    .rmsnorm = avx2_rmsnorm,
    .gate = avx512_gate,
    .add = avx2_add,
    .rope = avx2_rope,
    .attn_scores = avx512_attn_scores,
    .attn_softmax = avx512_attn_softmax,
    .attn_values = avx512_attn_values,
    .attn_fold = avx512_attn_fold,
    .attn_merge = avx2_attn_merge,
    .exp2_each = avx512_exp2_each,
    .exp_each = avx512_exp_each,
};
