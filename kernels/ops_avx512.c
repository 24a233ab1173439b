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

/* What adding 128 to the keys adds to a sum over one limb of the query, negated. */
static __m512i without_offset(const int8_t *q, uint32_t width)
{
    int32_t total = 0;
    for (uint32_t i = 0; i < width; i++)
        total += q[i];
    return _mm512_set1_epi32(-128 * total);
}

/* NV1 7.2: 16 positions per register, both limbs of the query at once; keys become unsigned by adding 128. */
void avx512_attn_scores(const int8_t *q, const int8_t *key_tile, uint32_t width, int32_t scores[LIMBS][TILE])
{
    const __m512i offset = _mm512_set1_epi8((char)0x80);
    const __m512i start_high = without_offset(q, width), start_low = without_offset(q + width, width);
    for (uint32_t limb = 0; limb < LIMBS; limb++, key_tile += TILE * width) {
        __m512i high[4], low[4];
        UNROLL
        for (int k = 0; k < 4; k++) {
            high[k] = start_high;
            low[k] = start_low;
        }
        for (uint32_t i = 0; i < width; i += 4) {
            __m512i x_high = broadcast4(q + i), x_low = broadcast4(q + width + i);
            UNROLL
            for (uint32_t k = 0; k < 4; k++) {
                __m512i keys = _mm512_loadu_si512(key_tile + (size_t)(i / 4) * TILE * 4 + k * 64);
                keys = _mm512_xor_si512(keys, offset);
                high[k] = _mm512_dpbusd_epi32(high[k], keys, x_high);
                low[k] = _mm512_dpbusd_epi32(low[k], keys, x_low);
            }
        }
        UNROLL
        for (int k = 0; k < 4; k++)
            _mm512_storeu_si512(&scores[limb][k * 16], _mm512_add_epi32(_mm512_slli_epi32(high[k], 7), low[k]));
    }
}

/* NV1 7.3: 16 dimensions of both limbs at once, two positions per step. */
void avx512_attn_values(const int16_t u[TILE], const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    for (uint32_t i = 0; i < width; i += 16) {
        __m512i high = _mm512_setzero_si512(), low = _mm512_setzero_si512();
        for (uint32_t j = 0; j < TILE; j += 2) {
            int32_t pair;
            memcpy(&pair, u + j, sizeof pair);
            __m512i weights = _mm512_set1_epi32(pair);
            const int8_t *v = value_tile + ((size_t)(j / 2) * width + i) * 2, *v_low = v + TILE * width;
            __m512i values = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)v));
            __m512i values_low = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)v_low));
            high = _mm512_dpwssd_epi32(high, values, weights);
            low = _mm512_dpwssd_epi32(low, values_low, weights);
        }
        _mm512_storeu_si512(sums + i, high);
        _mm512_storeu_si512(sums + width + i, low);
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
