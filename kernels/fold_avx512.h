/* fold_avx512.h - what follows the integer sums of a panel (panel_avx512.h), for vectors and tiles alike.
 *
 * Inlined for a constant `fold`.
 * Spec: NV1 4.1
 */
#ifndef TALLYMESH_KERNELS_FOLD_AVX512_H
#define TALLYMESH_KERNELS_FOLD_AVX512_H

#include "kernels/packed_avx512.h"
#include "kernels/panel_avx512.h"
#include "kernels/unroll.h"

enum { RUNS = 8, HALF_RUNS = 16 };

/* What is needed of the sums of 16 beside the activations of one token, at one block of 256 columns. */
struct input_sums {
    int32_t start[HALF_RUNS];    /* by integer sum of the fold: minus bias * (sum of the inputs) */
    float values[RUNS];          /* by block of 32: B of the types with one min per block */
    int16_t sums[HALF_RUNS];     /* what integer mins are multiplied with */
};

ALWAYS_INLINE bool has_blocks(enum fold f) { return f == FOLD_BLOCKS || f == FOLD_BLOCKS_MIN; }

ALWAYS_INLINE bool has_min(enum fold f)
{
    return f == FOLD_BLOCKS_MIN || f == FOLD_WHOLE_MIN || f == FOLD_WORDS_MIN || f == FOLD_LONGS_MIN;
}

ALWAYS_INLINE bool is_whole(enum fold f) { return f == FOLD_WHOLE || f == FOLD_WHOLE_MIN; }

ALWAYS_INLINE int32_t sum_lanes(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

ALWAYS_INLINE void input_sums(enum fold f, int32_t bias, const int16_t of_16[HALF_RUNS], struct input_sums *in)
{
    __m256i sums = _mm256_loadu_si256((const __m256i *)of_16);
    __m256i biased = _mm256_madd_epi16(sums, _mm256_set1_epi16((int16_t)-bias));
    if (f == FOLD_BLOCKS || f == FOLD_LONGS || f == FOLD_WORDS_MIN)
        _mm256_storeu_si256((__m256i *)in->start, biased);
    if (f == FOLD_WHOLE)
        in->start[0] = sum_lanes(biased);
    if (f == FOLD_LONGS_16)
        _mm512_storeu_si512(in->start, _mm512_mullo_epi32(_mm512_cvtepi16_epi32(sums), _mm512_set1_epi32(-bias)));
    if (!has_min(f))
        return;
    __m256i of_32 = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
    if (f == FOLD_BLOCKS_MIN)
        _mm256_storeu_ps(in->values, _mm256_cvtepi32_ps(of_32));
    else if (f == FOLD_WHOLE_MIN)
        _mm256_storeu_si256((__m256i *)in->sums, sums);
    else
        _mm_storeu_si128((__m128i *)in->sums,
                         _mm_packs_epi32(_mm256_castsi256_si128(of_32), _mm256_extracti128_si256(of_32, 1)));
}

/* y = fma(factor * dx, value, y) */
ALWAYS_INLINE __m512 fold_into(__m512 y, const float *factor, __m512 dx, __m512 value)
{
    return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_load_ps(factor), dx), value, y);
}

/* Block b of 32 columns: S, and B of the types that have it. */
ALWAYS_INLINE __m512 fold_block(enum fold f, __m512 y, const struct panel *w, uint32_t b, __m512 dx, __m512i s,
                                const struct input_sums *in)
{
    y = fold_into(y, w->d[b], dx, _mm512_cvtepi32_ps(s));
    return f == FOLD_BLOCKS_MIN ? fold_into(y, w->m[b], dx, _mm512_set1_ps(in->values[b])) : y;
}

/* WORDS: what the sums over (weight - centre) lack of those over the weights, centre * (sum of scale * sum of inputs).
 * At most 63 * 8 * 127 * 256 < 2^24. */
ALWAYS_INLINE __m512i centre_sum(const struct panel *w, const int16_t sums[RUNS])
{
    __m512i c = _mm512_setzero_si512();
    UNROLL
    for (uint32_t pair = 0; pair < RUNS / 2; pair++) {
        int32_t two;
        memcpy(&two, sums + pair * 2, sizeof two);
        add_word_products(&c, _mm512_load_si512(w->scales[RUNS + pair]), _mm512_set1_epi32(two));
    }
    return c;
}

/* B of a block of 256 columns. */
ALWAYS_INLINE __m512i min_sum(enum fold f, const struct panel *w, const int16_t *sums)
{
    const uint32_t pairs = f == FOLD_WHOLE_MIN ? 8 : 4;
    __m512i b = _mm512_setzero_si512();
    UNROLL
    for (uint32_t pair = 0; pair < pairs; pair++) {
        int32_t two;
        memcpy(&two, sums + pair * 2, sizeof two);
        b = _mm512_dpwssd_epi32(b, _mm512_load_si512(w->mins[pair]), _mm512_set1_epi32(two));
    }
    return b;
}

/* A block of 256 columns. */
ALWAYS_INLINE __m512 fold_cell(enum fold f, __m512 y, const struct panel *w, __m512 dx, __m512i s,
                               const struct input_sums *in)
{
    y = fold_into(y, w->d[0], dx, _mm512_cvtepi32_ps(s));
    return has_min(f) ? fold_into(y, w->m[0], dx, _mm512_cvtepi32_ps(min_sum(f, w, in->sums))) : y;
}

#endif
