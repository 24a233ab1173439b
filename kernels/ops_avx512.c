/* ops_avx512.c - the operations for AVX-512 with VNNI; equal to ops_ref.c in every byte. */
#include "kernels/ops_avx512.h"

#include <immintrin.h>
#include <string.h>

#include "kernels/matmul_avx512.h"
#include "kernels/ops_avx2.h"
#include "kernels/unroll.h"

/* From here on taking the weights apart once pays (docs/kernels.md). */
enum { GEMM_TOKENS = 4 };

static void matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                   size_t stride)
{
    if (n < GEMM_TOKENS)
        avx512_gemv(w, x, n, begin, end, y, stride);
    else
        avx512_gemm(w, x, n, begin, end, y, stride);
}

static __m512i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

/* NV1 7.2: 16 positions per register; keys become unsigned by adding 128. */
void avx512_attn_scores(const int8_t *q, const int8_t *key_tile, uint32_t width, int32_t scores[TILE])
{
    const __m512i offset = _mm512_set1_epi8((char)0x80);
    int32_t total = 0;
    for (uint32_t i = 0; i < width; i++)
        total += q[i];
    __m512i sum[4];
    UNROLL
    for (int k = 0; k < 4; k++)
        sum[k] = _mm512_set1_epi32(-128 * total);
    for (uint32_t i = 0; i < width; i += 4) {
        __m512i x = broadcast4(q + i);
        UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            __m512i keys = _mm512_loadu_si512(key_tile + (size_t)(i / 4) * TILE * 4 + k * 64);
            sum[k] = _mm512_dpbusd_epi32(sum[k], _mm512_xor_si512(keys, offset), x);
        }
    }
    UNROLL
    for (int k = 0; k < 4; k++)
        _mm512_storeu_si512(scores + k * 16, sum[k]);
}

/* NV1 7.3: 16 dimensions per register, two positions per step. */
void avx512_attn_values(const int16_t u[TILE], const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    for (uint32_t i = 0; i < width; i += 16) {
        __m512i sum = _mm512_setzero_si512();
        for (uint32_t j = 0; j < TILE; j += 2) {
            int32_t pair;
            memcpy(&pair, u + j, sizeof pair);
            const int8_t *v = value_tile + ((size_t)(j / 2) * width + i) * 2;
            __m512i values = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)v));
            sum = _mm512_dpwssd_epi32(sum, values, _mm512_set1_epi32(pair));
        }
        _mm512_storeu_si512(sums + i, sum);
    }
}

const struct ops ops_avx512 = {
    .name = "avx512vnni",
    .quantize = avx2_quantize,
    .quantize_head = avx2_quantize_head,
    .group_rows = 16,
    .packed_bytes = avx512_packed_bytes,
    .pack = avx512_pack,
    .matmul = matmul,
    .matmul_float = avx2_matmul_float,
    .rmsnorm = avx2_rmsnorm,
    .gate = avx2_gate,
    .add = avx2_add,
    .rope = avx2_rope,
    .attn_scores = avx512_attn_scores,
    .attn_softmax = avx2_attn_softmax,
    .attn_values = avx512_attn_values,
    .attn_fold = avx2_attn_fold,
    .attn_merge = avx2_attn_merge,
    .exp2_each = avx2_exp2_each,
    .exp_each = avx2_exp_each,
};
