/* dot_avx2.h - NV1 4.1 for eight rows in the lanes of a register: one kernel, instantiated per type by constants.
 *
 * Everything here is inlined with a constant struct dot and constant numbers of row groups and tokens, so that what
 * looks like a decision is none at run time. The sums of a block are integers and exact; the floats follow the one
 * order of the law, one ascending chain per row, which is a lane.
 *
 * Three forms of a product of four weights and four activations:
 *
 *   DOT_PLANES   Weights made unsigned by adding `zero`, which the sums of the activations take off again. vpmaddubsw
 *                adds two products in 16 bits, saturating, so codes must be small; `chunks` results can be added before
 *                they leave 16 bits: 127 * 2 * code * chunks < 2^15. Then vpmaddwd widens, adds pairs and multiplies
 *                with the integer scale. Weights of 8 bits are cut into two planes of 4:
 *                weight = 16 * plane 1 + plane 0.
 *   DOT_SIGNED   |w| as unsigned and x with the sign of w: 2 * 128 * 127 < 2^15, but no two results can be added in 16
 *                bits. As long as two planes, without having to cut: for weights of 8 bits that are used once.
 *   DOT_VNNI     vpdpbusd takes any 8 bits unsigned and adds in 32.
 *
 * Spec: NV1 4.1
 */
#ifndef TALLYMESH_KERNELS_DOT_AVX2_H
#define TALLYMESH_KERNELS_DOT_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/packed_avx2.h"
#include "kernels/unroll.h"

#define INLINE static inline __attribute__((always_inline))

enum { GROUPS_AT_ONCE = 2, TOKENS_AT_ONCE = 4, PLANES_MAX = 2, SUMS_MAX = GROUPS_AT_ONCE * TOKENS_AT_ONCE,
       AHEAD_BYTES = 2048, LINE_BYTES = 64 };

enum dot_form { DOT_PLANES, DOT_SIGNED, DOT_VNNI };

struct dot {
    struct block_format f;       /* zero: what was added to weights to make them unsigned, tables included */
    enum dot_form form;
    uint8_t planes;              /* 1 but for some DOT_PLANES */
    uint8_t chunks;              /* that fit 16 bits when added (DOT_PLANES); at most those of a run */
    const uint8_t *table[PLANES_MAX];      /* 16 unsigned weights (their planes) by code, or NULL */
};

/* The activations of some tokens from one block of 256 on. */
struct tokens {
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    size_t blocks;               /* per token: their strides */
};

INLINE struct tokens tokens_at(const struct acts *x, uint32_t token, uint32_t block)
{
    size_t blocks = ops_act_blocks(x->cols), at = token * blocks + block;
    return (struct tokens){ x->q + at * ACT_BLOCK, x->d + at * ACT_SCALES, x->sums + at * ACT_RUNS, blocks };
}

INLINE __m256i load32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m128i load16(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE __m128i load8(const void *p) { return _mm_loadl_epi64((const __m128i *)p); }

/* Four activations, or the sums of two runs of 16, for all rows. */
INLINE __m256i broadcast4(const void *p)
{
    int32_t four;
    memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
}

/* The sums of both halves of a unit, for all rows. */
INLINE __m256i sums_of_unit(const struct tokens *x, uint32_t token, uint32_t unit)
{
    return broadcast4(x->sums + token * x->blocks * ACT_RUNS + unit * 2);
}

/* What the compiler may not look through: else it adds a chain of sums in another order, or keeps every address of an
 * unrolled loop, and either way runs out of registers. */
INLINE void pin(__m256i *v) { __asm__("" : "+x"(*v)); }
INLINE const int8_t *pinned(const int8_t *p)
{
    __asm__("" : "+r"(p));
    return p;
}

/* --- codes -------------------------------------------------------------------------------------------------------- */

/* `width` bits of each byte, moved from bit `from` to bit `to`. */
INLINE __m256i field(__m256i v, uint32_t from, uint32_t to, uint32_t width)
{
    if (width == 8)
        return v;
    if (to > from)
        v = _mm256_slli_epi16(v, (int)(to - from));
    if (from > to)
        v = _mm256_srli_epi16(v, (int)(from - to));
    return _mm256_and_si256(v, _mm256_set1_epi8((char)(((1u << width) - 1) << to)));
}

INLINE __m256i codes_of_chunk(const struct block_format *f, const uint8_t *unit, uint32_t i)
{
    uint32_t low = packed_low_bits(f), high = f->bits - low;
    __m256i c = field(load32(unit + i % low * CHUNK_BYTES), i / low * low, 0, low);
    if (high == 0)
        return c;
    const uint8_t *plane = unit + low * CHUNK_BYTES;
    return _mm256_or_si256(c, field(load32(plane + i % high * CHUNK_BYTES), i / high * high, low, high));
}

INLINE __m256i weights_of_chunk(const struct dot *k, const uint8_t *unit, uint32_t i, uint32_t plane)
{
    __m256i c = codes_of_chunk(&k->f, unit, i);
    if (k->table[plane])
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(k->table[plane])), c);
    if (k->f.bits == 8 && k->form != DOT_SIGNED)
        c = _mm256_xor_si256(c, _mm256_set1_epi8((char)0x80));
    return k->planes == 2 ? field(c, plane * 4, 0, 4) : c;
}

/* The weights of one block of a group as bytes: for each unit its chunks, for each chunk its planes. */
INLINE void unpack_block(const struct dot *k, const uint8_t *codes, uint32_t units, uint8_t *out)
{
    for (uint32_t u = 0; u < units; u++, codes += CHUNK_BYTES * k->f.bits)
        UNROLL
        for (uint32_t i = 0; i < CHUNKS; i++)
            UNROLL
            for (uint32_t p = 0; p < k->planes; p++, out += CHUNK_BYTES)
                _mm256_store_si256((__m256i *)out, weights_of_chunk(k, codes, i, p));
}

/* --- factors ------------------------------------------------------------------------------------------------------ */

/* 2^(e - 128), subnormal for e < 2. */
INLINE __m256 power_of_exponent(__m128i bytes)
{
    __m256i e = _mm256_cvtepu8_epi32(bytes), one = _mm256_set1_epi32(1);
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(tiny, normal, _mm256_cmpgt_epi32(e, one)));
}

INLINE __m256 factor_d(const struct block_format *f, const uint8_t *block, uint32_t step)
{
    if (f->type == TENSOR_MXFP4)
        return power_of_exponent(load8(block + step * GROUP));
    return _mm256_cvtph_ps(load16(block + step * GROUP * 2));
}

/* The types with integer scales subtract their mins. */
INLINE __m256 factor_m(const struct block_format *f, const uint8_t *m, uint32_t step)
{
    __m256 v = _mm256_cvtph_ps(load16(m + step * GROUP * 2));
    return f->has_scale ? _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)) : v;
}

/* The integers (scales or mins) of each row for the two halves of a unit, in 16 bits; with runs of 32 one twice. */
INLINE __m256i two_of_unit(const struct block_format *f, const uint8_t *p, uint32_t unit, bool is_min)
{
    if (f->run == UNIT) {
        __m128i one = load8(p + unit * GROUP);
        return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(one, one));
    }
    __m128i two = load16(p + unit * GROUP * 2);
    if (packed_scale_with_min(f))
        two = _mm_and_si128(is_min ? _mm_srli_epi16(two, 4) : two, _mm_set1_epi8(15));
    return _mm256_cvtepi8_epi16(two);
}

/* Both 16-bit halves of each lane become the half of that run. */
INLINE __m256i both_halves(const struct block_format *f, __m256i two, uint32_t chunk)
{
    if (f->run == UNIT)
        return two;
    __m256i low = _mm256_and_si256(two, _mm256_set1_epi32(0xffff)), high = _mm256_srli_epi32(two, 16);
    return chunk < CHUNKS / 2 ? _mm256_or_si256(low, _mm256_slli_epi32(two, 16))
                              : _mm256_or_si256(high, _mm256_slli_epi32(high, 16));
}

/* --- integer sums ------------------------------------------------------------------------------------------------- */

INLINE __m256i dot4(const struct dot *k, __m256i sum, __m256i weights, __m256i x)
{
#if defined(DOT_DPBUSD)
    if (k->form == DOT_VNNI)
        return DOT_DPBUSD(sum, weights, x);
#endif
    if (k->form == DOT_PLANES)
        return _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, x));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* What dot4() summed of one plane, to 32 bits, times the scale. */
INLINE __m256i widened(const struct dot *k, __m256i part, uint32_t plane, __m256i scale)
{
    if (k->form == DOT_PLANES)
        return _mm256_madd_epi16(part, plane ? _mm256_slli_epi16(scale, 4) : scale);
    return k->f.has_scale ? _mm256_mullo_epi32(part, _mm256_srai_epi32(scale, 16)) : part;
}

/* Adds one unit to the sums of all groups and tokens. unit[g]: its codes, or (unpacked) its weights. */
INLINE void dot_unit(const struct dot *k, uint32_t groups, uint32_t tokens, bool unpacked, const uint8_t *const *unit,
                     const __m256i *two_scales, const int8_t *q, size_t q_stride, __m256i *sum)
{
    const int8_t *row[TOKENS_AT_ONCE];
    UNROLL
    for (uint32_t t = 0; t < tokens; t++)
        row[t] = pinned(q + t * q_stride);
    UNROLL
    for (uint32_t first = 0; first < CHUNKS; first += k->chunks) {
        __m256i part[PLANES_MAX][SUMS_MAX];
        UNROLL
        for (uint32_t i = first; i < first + k->chunks; i++) {
            __m256i w[PLANES_MAX][GROUPS_AT_ONCE];
            UNROLL
            for (uint32_t g = 0; g < groups; g++)
                UNROLL
                for (uint32_t p = 0; p < k->planes; p++) {
                    w[p][g] = unpacked ? load32(unit[g] + (i * k->planes + p) * CHUNK_BYTES)
                                       : weights_of_chunk(k, unit[g], i, p);
                    pin(&w[p][g]);
                }
            UNROLL
            for (uint32_t t = 0; t < tokens; t++) {
                __m256i x = broadcast4(row[t] + i * 4);
                UNROLL
                for (uint32_t g = 0; g < groups; g++)
                    UNROLL
                    for (uint32_t p = 0; p < k->planes; p++) {
                        __m256i *s = &part[p][g * tokens + t];
                        *s = dot4(k, i == first ? _mm256_setzero_si256() : *s, w[p][g], x);
                        pin(s);
                    }
            }
        }
        UNROLL
        for (uint32_t g = 0; g < groups; g++) {
            __m256i scale = k->f.has_scale ? both_halves(&k->f, two_scales[g], first) : _mm256_set1_epi16(1);
            UNROLL
            for (uint32_t t = 0; t < tokens; t++)
                UNROLL
                for (uint32_t p = 0; p < k->planes; p++) {
                    __m256i *s = &sum[g * tokens + t];
                    *s = _mm256_add_epi32(*s, widened(k, part[p][g * tokens + t], p, scale));
                }
        }
    }
}

/* y = fma(factor * dx, float(sum), y) */
INLINE __m256 step(__m256 factor, float dx, __m256i sum, __m256 y)
{
    return _mm256_fmadd_ps(_mm256_mul_ps(factor, _mm256_set1_ps(dx)), _mm256_cvtepi32_ps(sum), y);
}

/* --- a block: types whose every unit is a step -------------------------------------------------------------------- */

/* A unit's share of the lines that lie AHEAD_BYTES further on in each group, or behind its end. All of a block's at
 * once would fill the queue to memory, and the products would wait behind it. */
INLINE void fetch_ahead(const uint8_t *const *block, uint32_t groups, uint32_t bytes, uint32_t u)
{
    const uint32_t share = (bytes / UNITS + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    UNROLL
    for (uint32_t g = 0; g < groups; g++)
        for (uint32_t i = 0; i < share; i += LINE_BYTES)
            _mm_prefetch((const char *)((uintptr_t)block[g] + AHEAD_BYTES + u * share + i), _MM_HINT_T0);
}

INLINE void dot_block_of_steps(const struct dot *k, uint32_t groups, uint32_t tokens, uint32_t units,
                               const uint8_t *const *block, const uint8_t *const *unpacked, const struct tokens *x,
                               __m256 *y)
{
    const struct packed_place at = packed_place(&k->f, units);
    const __m256i minus_zero = _mm256_set1_epi16((int16_t)-k->f.zero), ones = _mm256_set1_epi16(1);
    for (uint32_t u = 0; u < units; u++) {
        __m256i sum[SUMS_MAX];
        const uint8_t *unit[GROUPS_AT_ONCE];
        if (!unpacked)
            fetch_ahead(block, groups, at.bytes, u);
        UNROLL
        for (uint32_t g = 0; g < groups; g++) {
            unit[g] = unpacked ? unpacked[g] + u * CHUNKS * CHUNK_BYTES * k->planes
                               : block[g] + at.codes + u * CHUNK_BYTES * k->f.bits;
            UNROLL
            for (uint32_t t = 0; t < tokens; t++)
                sum[g * tokens + t] = k->f.zero ? _mm256_madd_epi16(sums_of_unit(x, t, u), minus_zero)
                                                : _mm256_setzero_si256();
        }
        dot_unit(k, groups, tokens, unpacked != NULL, unit, NULL, x->q + u * UNIT, x->blocks * ACT_BLOCK, sum);
        UNROLL
        for (uint32_t g = 0; g < groups; g++) {
            __m256 d = factor_d(&k->f, block[g], u);
            UNROLL
            for (uint32_t t = 0; t < tokens; t++) {
                __m256 *out = &y[g * tokens + t];
                *out = step(d, x->d[t * x->blocks * ACT_SCALES + u], sum[g * tokens + t], *out);
                if (!k->f.has_min)
                    continue;
                __m256i b = _mm256_madd_epi16(sums_of_unit(x, t, u), ones);
                *out = step(factor_m(&k->f, block[g] + at.m, u), x->d[t * x->blocks * ACT_SCALES + u], b, *out);
            }
        }
    }
}

/* --- a block: types with integer scales, one step for all of it --------------------------------------------------- */

/* Sum over runs of scale or min times the sum of the run's activations. */
INLINE __m256i dot_of_runs(const struct block_format *f, const uint8_t *p, const struct tokens *x, uint32_t token,
                           bool is_min)
{
    __m256i total = _mm256_setzero_si256();
    UNROLL
    for (uint32_t u = 0; u < UNITS; u++)
        total = _mm256_add_epi32(total, _mm256_madd_epi16(two_of_unit(f, p, u, is_min), sums_of_unit(x, token, u)));
    return total;
}

INLINE void dot_block_of_scales(const struct dot *k, uint32_t groups, uint32_t tokens, const uint8_t *const *block,
                                const uint8_t *const *unpacked, const struct tokens *x, __m256 *y)
{
    const struct packed_place at = packed_place(&k->f, UNITS);
    __m256i sum[SUMS_MAX];
    UNROLL
    for (uint32_t i = 0; i < groups * tokens; i++)
        sum[i] = _mm256_setzero_si256();
    for (uint32_t u = 0; u < UNITS; u++) {
        const uint8_t *unit[GROUPS_AT_ONCE];
        __m256i scales[GROUPS_AT_ONCE];
        if (!unpacked)
            fetch_ahead(block, groups, at.bytes, u);
        UNROLL
        for (uint32_t g = 0; g < groups; g++) {
            unit[g] = unpacked ? unpacked[g] + u * CHUNKS * CHUNK_BYTES * k->planes
                               : block[g] + at.codes + u * CHUNK_BYTES * k->f.bits;
            scales[g] = two_of_unit(&k->f, block[g] + at.scales, u, false);
        }
        dot_unit(k, groups, tokens, unpacked != NULL, unit, scales, x->q + u * UNIT, x->blocks * ACT_BLOCK, sum);
    }
    UNROLL
    for (uint32_t g = 0; g < groups; g++) {
        __m256 d = factor_d(&k->f, block[g], 0);
        UNROLL
        for (uint32_t t = 0; t < tokens; t++) {
            __m256i s = sum[g * tokens + t];
            __m256 *out = &y[g * tokens + t];
            if (k->f.zero)
                s = _mm256_sub_epi32(s, _mm256_mullo_epi32(dot_of_runs(&k->f, block[g] + at.scales, x, t, false),
                                                           _mm256_set1_epi32(k->f.zero)));
            *out = step(d, x->d[t * x->blocks * ACT_SCALES], s, *out);
            if (k->f.has_min) {
                const uint8_t *mins = packed_scale_with_min(&k->f) ? block[g] + at.scales : block[g] + at.mins;
                *out = step(factor_m(&k->f, block[g] + at.m, 0), x->d[t * x->blocks * ACT_SCALES],
                            dot_of_runs(&k->f, mins, x, t, true), *out);
            }
        }
    }
}

/* Adds one block of 256 columns (the last: `units` of 32) to y[group * tokens + token]. unpacked: the weights of each
 * group by unpack_block(), or NULL to read the codes of the block itself. */
INLINE void dot_block(const struct dot *k, uint32_t groups, uint32_t tokens, uint32_t units,
                      const uint8_t *const *block, const uint8_t *const *unpacked, const struct tokens *x, __m256 *y)
{
    if (k->f.has_scale)
        dot_block_of_scales(k, groups, tokens, block, unpacked, x, y);
    else
        dot_block_of_steps(k, groups, tokens, units, block, unpacked, x, y);
}

#endif
