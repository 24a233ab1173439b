/* ops_avx512.c - the operations for AVX-512 with VNNI; equal to ops_ref.c in every byte. */
#include "kernels/ops_avx512.h"

#include <immintrin.h>
#include <string.h>

#include "kernels/dot_avx512.h"
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
static int32_t without_offset(const int8_t *q, uint32_t width)
{
    int32_t total = 0;
    for (uint32_t i = 0; i < width; i++)
        total += q[i];
    return -128 * total;
}

/* One limb of the keys of 16 * vectors positions: 128 * (high limb of the query) + (low one), for `count` queries. Keys
 * become unsigned by adding 128. */
ALWAYS_INLINE void scores_of(uint32_t count, uint32_t vectors, const int8_t *q, const int8_t *keys, uint32_t width,
                             const int32_t start[][LIMBS], int32_t *to)
{
    const __m512i offset = _mm512_set1_epi8((char)0x80);
    __m512i high[ATTN_QUERIES][4], low[ATTN_QUERIES][4];
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t v = 0; v < vectors; v++) {
            high[t][v] = _mm512_set1_epi32(start[t][0]);
            low[t][v] = _mm512_set1_epi32(start[t][1]);
        }
    for (uint32_t i = 0; i < width; i += 4, keys += TILE * 4) {
        __m512i key[4];
        UNROLL
        for (uint32_t v = 0; v < vectors; v++)
            key[v] = _mm512_xor_si512(_mm512_loadu_si512(keys + v * 64), offset);
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            __m512i x_high = broadcast4(q + t * LIMBS * width + i), x_low = broadcast4(q + (t * LIMBS + 1) * width + i);
            UNROLL
            for (uint32_t v = 0; v < vectors; v++) {
                add_products(&high[t][v], key[v], x_high);
                add_products(&low[t][v], key[v], x_low);
            }
        }
    }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t v = 0; v < vectors; v++)
            _mm512_storeu_si512(to + t * LIMBS * TILE + v * 16,
                                _mm512_add_epi32(_mm512_slli_epi32(high[t][v], 7), low[t][v]));
}

/* NV1 7.2: 16 positions per register, eight or sixteen sums at a time. */
void avx512_attn_scores(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                        int32_t (*scores)[LIMBS][TILE])
{
    int32_t start[ATTN_QUERIES][LIMBS];
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t limb = 0; limb < LIMBS; limb++)
            start[t][limb] = without_offset(q + (t * LIMBS + limb) * width, width);
    for (uint32_t at = 0; at < LIMBS * TILE; at += 32) {     /* 32 positions of a limb */
        const int8_t *keys = key_tile + at / TILE * TILE * width + at % TILE * 4;
        int32_t *to = &scores[0][at / TILE][at % TILE];
        if (n == 4)
            scores_of(4, 2, q, keys, width, start, to);
        else if (n == 3)
            scores_of(3, 2, q, keys, width, start, to);
        else if (n == 2)
            scores_of(2, 2, q, keys, width, start, to);
        else if (at % TILE == 0)
            scores_of(1, 4, q, keys, width, start, to);
    }
}

/* Both limbs of 16 * vectors dimensions for `count` queries, two positions per step. */
ALWAYS_INLINE void values_of(uint32_t count, uint32_t vectors, const struct attn_tile *tiles, const int8_t *values,
                             uint32_t width, int32_t *sums)
{
    __m512i sum[ATTN_QUERIES][4][LIMBS];
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t v = 0; v < vectors; v++)
            sum[t][v][0] = sum[t][v][1] = _mm512_setzero_si512();
    for (uint32_t j = 0; j < TILE; j += 2, values += width * 2) {
        __m512i value[4][LIMBS];
        UNROLL
        for (uint32_t v = 0; v < vectors; v++)
            UNROLL
            for (uint32_t limb = 0; limb < LIMBS; limb++) {
                const int8_t *at = values + limb * TILE * width + v * 32;
                value[v][limb] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)at));
            }
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            int32_t pair;
            memcpy(&pair, tiles[t].u + j, sizeof pair);
            __m512i weights = _mm512_set1_epi32(pair);
            UNROLL
            for (uint32_t v = 0; v < vectors; v++)
                UNROLL
                for (uint32_t limb = 0; limb < LIMBS; limb++)
                    add_word_products(&sum[t][v][limb], value[v][limb], weights);
        }
    }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t v = 0; v < vectors; v++)
            UNROLL
            for (uint32_t limb = 0; limb < LIMBS; limb++)
                _mm512_storeu_si512(sums + (t * LIMBS + limb) * width + v * 16, sum[t][v][limb]);
}

/* NV1 7.3: 16 dimensions per register, eight sums at a time where the width allows it. */
void avx512_attn_values(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width,
                        int32_t *sums)
{
    uint32_t i = 0;
    if (n == 1)
        for (; i + 64 <= width; i += 64)
            values_of(1, 4, tiles, value_tile + i * 2, width, sums + i);
    for (; i + 32 <= width && n < 4; i += 32) {
        const int8_t *values = value_tile + i * 2;
        if (n == 3)
            values_of(3, 2, tiles, values, width, sums + i);
        else if (n == 2)
            values_of(2, 2, tiles, values, width, sums + i);
        else
            values_of(1, 2, tiles, values, width, sums + i);
    }
    for (; i < width; i += 16) {
        const int8_t *values = value_tile + i * 2;
        if (n == 4)
            values_of(4, 1, tiles, values, width, sums + i);
        else
            for (uint32_t t = 0; t < n; t++)
                values_of(1, 1, tiles + t, values, width, sums + t * LIMBS * width + i);
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
