/* product_avx2.h - a matrix times some tokens by the kernel of dot_avx2.h: in which order are rows and tokens walked?
 *
 * One instance per type: KERNEL() makes the two functions of a struct dot, a table of them is what multiply()
 * chooses from.
 *
 * Spec: NV1 4.1
 */
#ifndef TALLYMESH_KERNELS_PRODUCT_AVX2_H
#define TALLYMESH_KERNELS_PRODUCT_AVX2_H

#include "kernels/dot_avx2.h"

/* The arguments of struct ops' matmul. */
struct product {
    const struct matrix *w;
    const struct acts *x;
    uint32_t n, begin, end;
    float *y;
    size_t stride;
};

INLINE __m256i mask_of(uint32_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE void store_rows(float *y, __m256 v, uint32_t count)
{
    if (count >= GROUP)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, mask_of(count), v);
}

INLINE __m256 load_rows(const float *y, uint32_t count)
{
    return count >= GROUP ? _mm256_loadu_ps(y) : _mm256_maskload_ps(y, mask_of(count));
}

/* One token: the weights come from memory and are used once. One stream of addresses does not use its bandwidth, so
 * several groups are walked side by side, a block of each in turn. */
enum { STREAMS = 4 };

INLINE void multiply_one(const struct dot *k, const struct product *m)
{
    const uint32_t cols = m->w->cols;
    const size_t group_bytes = packed_group_bytes(&k->f, cols);
    for (uint32_t row = m->begin; row < m->end; row += STREAMS * GROUP) {
        uint32_t left = (m->end - row + GROUP - 1) / GROUP, streams = left < STREAMS ? left : STREAMS;
        __m256 y[STREAMS] = { _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps() };
        const uint8_t *block = m->w->packed + row / GROUP * group_bytes;
        for (uint32_t first = 0; first < cols; first += ACT_BLOCK) {
            uint32_t units = cols - first < ACT_BLOCK ? (cols - first) / UNIT : UNITS;
            struct tokens x = tokens_at(m->x, 0, first / ACT_BLOCK);
            uint32_t bytes = packed_place(&k->f, units).bytes;
            for (uint32_t s = 0; s + 2 <= streams; s += 2) {
                const uint8_t *two[] = { block + s * group_bytes, block + (s + 1) * group_bytes };
                dot_block(k, 2, 1, units, two, NULL, &x, &y[s]);
            }
            if (streams % 2) {
                const uint8_t *last = block + (streams - 1) * group_bytes;
                dot_block(k, 1, 1, units, &last, NULL, &x, &y[streams - 1]);
            }
            block += bytes;
        }
        for (uint32_t s = 0; s < streams; s++)
            store_rows(m->y + row + s * GROUP, y[s], m->end - row - s * GROUP);
    }
}

/* `tokens` tokens from `token` on and one block, into y in memory. */
INLINE void multiply_tile(const struct dot *k, const struct product *m, uint32_t groups, uint32_t tokens,
                          uint32_t token, uint32_t row, uint32_t first, const uint8_t *const *block,
                          const uint8_t *const *unpacked)
{
    uint32_t cols = m->w->cols, units = cols - first < ACT_BLOCK ? (cols - first) / UNIT : UNITS;
    struct tokens x = tokens_at(m->x, token, first / ACT_BLOCK);
    __m256 y[SUMS_MAX];
    UNROLL
    for (uint32_t i = 0; i < groups * tokens; i++) {
        uint32_t at = row + i / tokens * GROUP;
        const float *before = m->y + (token + i % tokens) * m->stride + at;
        y[i] = first == 0 ? _mm256_setzero_ps() : load_rows(before, m->end - at);
    }
    dot_block(k, groups, tokens, units, block, unpacked, &x, y);
    UNROLL
    for (uint32_t i = 0; i < groups * tokens; i++) {
        uint32_t at = row + i / tokens * GROUP;
        store_rows(m->y + (token + i % tokens) * m->stride + at, y[i], m->end - at);
    }
}

/* Several tokens: each block of some groups is unpacked into the nearest cache and all tokens pass over it. */
INLINE void multiply_groups(const struct dot *k, const struct product *m, uint32_t groups, uint32_t row)
{
    _Alignas(OPS_ALIGN) uint8_t weights[GROUPS_AT_ONCE][ACT_BLOCK * GROUP * PLANES_MAX];
    const uint32_t cols = m->w->cols;
    const size_t group_bytes = packed_group_bytes(&k->f, cols);
    const uint8_t *block[GROUPS_AT_ONCE], *const unpacked[GROUPS_AT_ONCE] = { weights[0], weights[1] };
    for (uint32_t g = 0; g < groups; g++)
        block[g] = m->w->packed + (row / GROUP + g) * group_bytes;
    for (uint32_t first = 0; first < cols; first += ACT_BLOCK) {
        uint32_t units = cols - first < ACT_BLOCK ? (cols - first) / UNIT : UNITS, t = 0;
        const struct packed_place at = packed_place(&k->f, units);
        for (uint32_t g = 0; g < groups; g++)
            unpack_block(k, block[g] + at.codes, units, weights[g]);
        for (; t + TOKENS_AT_ONCE <= m->n; t += TOKENS_AT_ONCE)
            multiply_tile(k, m, groups, TOKENS_AT_ONCE, t, row, first, block, unpacked);
        for (; t < m->n; t++)
            multiply_tile(k, m, groups, 1, t, row, first, block, unpacked);
        for (uint32_t g = 0; g < groups; g++)
            block[g] += at.bytes;
    }
}

INLINE void multiply_many(const struct dot *k, const struct product *m)
{
    uint32_t row = m->begin;
    if (k->planes == 1)
        for (; row < m->end && m->end - row > GROUP; row += 2 * GROUP)
            multiply_groups(k, m, 2, row);
    for (; row < m->end; row += GROUP)
        multiply_groups(k, m, 1, row);
}

/* --- the choice by type ---------------------------------------------------------------------------------------- */

struct kernel {
    enum tensor_type type;
    void (*one)(const struct product *m);
    void (*many)(const struct product *m);
};

#define STEPS(TYPE, BITS, ZERO, MIN)                                                                         \
    { .type = TENSOR_##TYPE, .run = 32, .bits = BITS, .zero = ZERO, .has_min = MIN }
#define SCALES(TYPE, RUN, BITS, ZERO, MIN)                                                                   \
    { .type = TENSOR_##TYPE, .run = RUN, .bits = BITS, .zero = ZERO, .has_min = MIN, .has_scale = true }

#define MANY(TYPE, ...)                                                                                      \
    static const struct dot dot_##TYPE = { __VA_ARGS__ };                                                    \
    static void many_##TYPE(const struct product *m) { multiply_many(&dot_##TYPE, m); }
#define KERNEL(TYPE, ...)                                                                                    \
    MANY(TYPE, __VA_ARGS__)                                                                                  \
    static void one_##TYPE(const struct product *m) { multiply_one(&dot_##TYPE, m); }
#define ENTRY(TYPE) { TENSOR_##TYPE, one_##TYPE, many_##TYPE }
#define ALL_ENTRIES                                                                                          \
    {                                                                                                        \
        ENTRY(Q8_0), ENTRY(Q4_0), ENTRY(Q4_1), ENTRY(Q5_0), ENTRY(Q5_1), ENTRY(IQ4_NL), ENTRY(MXFP4),         \
        ENTRY(Q2_K), ENTRY(Q3_K), ENTRY(Q4_K), ENTRY(Q5_K), ENTRY(Q6_K), ENTRY(IQ4_XS)                        \
    }

static inline void multiply(const struct kernel *kernels, size_t count, const struct product *m)
{
    for (size_t i = 0; i < count; i++)
        if (kernels[i].type == m->w->type) {
            if (m->n == 1)
                kernels[i].one(m);
            else
                kernels[i].many(m);
            return;
        }
    ENSURE(false);
}

#endif
