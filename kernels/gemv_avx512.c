/* gemv_avx512.c - few tokens: every weight is read once from memory and used at once.
 *
 * What limits it is memory, so each vector is asked for some KiB before it is needed, and the arithmetic only has to be
 * out of the way. One function, inlined for every type and for one to four tokens. */
#include "kernels/matmul_avx512.h"

#include "kernels/packed_avx512.h"
#include "kernels/unroll.h"

enum { TOKENS_AT_ONCE = 4, PREFETCH_BYTES = 4096 };

/* Sixteen halves of runs, and eight runs: the sums that mins are multiplied with. */
enum { HALF_RUNS = 16, RUNS = 8 };

/* The activations of some tokens at one block of 256 columns. */
struct inputs {
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    size_t blocks;               /* of 256, per token: their strides */
};

ALWAYS_INLINE __m512i pair_at(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

ALWAYS_INLINE __m512i four_inputs(const struct inputs *x, uint32_t t, uint32_t col)
{
    int32_t four;
    memcpy(&four, x->q + t * x->blocks * ACT_BLOCK + col, sizeof four);
    return _mm512_set1_epi32(four);
}

ALWAYS_INLINE const int16_t *sums_of(const struct inputs *x, uint32_t t) { return x->sums + t * x->blocks * ACT_RUNS; }

/* The scale of token t for block b of 32 columns. */
ALWAYS_INLINE __m512 input_scale(const struct inputs *x, uint32_t t, uint32_t b)
{
    return _mm512_set1_ps(x->d[t * x->blocks * ACT_SCALES + b]);
}

/* What a sum over run r begins with, so that the bias of the weight bytes is gone at its end. `halves` has the bits of
 * the 16-column halves of the run that are summed. */
ALWAYS_INLINE __m512i without_bias(enum tensor_type type, const struct inputs *x, uint32_t t, uint32_t r,
                                   uint32_t halves)
{
    uint16_t minus = (uint16_t)-packed_type(type).bias;
    if (minus == 0)
        return _mm512_setzero_si512();
    int32_t both = (int32_t)((minus | (uint32_t)minus << 16) & halves);
    return _mm512_dpwssd_epi32(_mm512_setzero_si512(), pair_at(sums_of(x, t) + r * 2), _mm512_set1_epi32(both));
}

ALWAYS_INLINE void prefetch(const uint8_t *p, uint32_t vectors)
{
    UNROLL
    for (uint32_t i = 0; i < vectors; i++)
        fetch_line((uintptr_t)p + PREFETCH_BYTES + i * VECTOR);
}

/* --- a cell of blocks of 32 ------------------------------------------------------------------------------------- */

ALWAYS_INLINE void dot_blocks(enum tensor_type type, const uint8_t *cell, uint32_t n, const struct inputs *x,
                              uint32_t count, __m512 *y)
{
    const struct packed_type p = packed_type(type);
    const uint8_t *codes = cell + packed_codes_at(type, n);
    for (uint32_t b = 0; b < n; b++, codes += p.vectors * VECTOR) {
        __m512i sum[TOKENS_AT_ONCE];
        prefetch(codes, p.vectors + 1u);
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            sum[t] = without_bias(type, x, t, b, 0xffffffffu);
        UNROLL
        for (uint32_t k = 0; k < QUADS; k++) {
            __m512i quad = packed_quad(type, codes, 0, k);
            UNROLL
            for (uint32_t t = 0; t < count; t++)
                add_products(&sum[t], quad, four_inputs(x, t, b * RUN_COLS + k * 4));
        }
        __m512 d = packed_d(type, cell, b);
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            y[t] = _mm512_fmadd_ps(_mm512_mul_ps(d, input_scale(x, t, b)), _mm512_cvtepi32_ps(sum[t]), y[t]);
            if (!p.has_min)
                continue;
            __m512i values = _mm512_set1_epi32(sums_of(x, t)[b * 2] + sums_of(x, t)[b * 2 + 1]);
            __m512 scale = _mm512_mul_ps(packed_m(type, cell, n, b), input_scale(x, t, b));
            y[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(values), y[t]);
        }
    }
}

/* --- a cell that is one block of 256 ---------------------------------------------------------------------------- */

/* s += scale * (sum over quads [first, first + n) of run r). */
ALWAYS_INLINE void add_run(enum tensor_type type, const uint8_t *codes, uint32_t r, uint32_t first, uint32_t n,
                           __m512i scale, const struct inputs *x, uint32_t count, __m512i *s)
{
    uint32_t halves = n == QUADS ? 0xffffffffu : first == 0 ? 0xffffu : 0xffff0000u;
    __m512i sum[TOKENS_AT_ONCE];
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        sum[t] = without_bias(type, x, t, r, halves);
    UNROLL
    for (uint32_t k = first; k < first + n; k++) {
        __m512i quad = packed_quad(type, codes, r, k);
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            add_products(&sum[t], quad, four_inputs(x, t, r * RUN_COLS + k * 4));
    }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        s[t] = _mm512_add_epi32(s[t], _mm512_mullo_epi32(sum[t], scale));
}

/* The sums over runs of 32 as int16, so that two lie in a word as they do in acts.sums. */
ALWAYS_INLINE void sums_of_runs(const int16_t halves[HALF_RUNS], int16_t runs[RUNS])
{
    __m256i v = _mm256_madd_epi16(_mm256_loadu_si256((const __m256i *)halves), _mm256_set1_epi16(1));
    __m128i both = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((__m128i *)runs, both);
}

/* B of NV1 4.1 */
ALWAYS_INLINE __m512i min_sum(enum tensor_type type, const uint8_t *cell, const int16_t *sums)
{
    const uint32_t runs = packed_type(type).runs;
    int16_t of_runs[RUNS];
    if (runs == RUNS) {
        sums_of_runs(sums, of_runs);
        sums = of_runs;
    }
    __m512i b = _mm512_setzero_si512();
    UNROLL
    for (uint32_t pair = 0; pair < runs / 2; pair++)
        add_word_products(&b, packed_min_pair(type, cell, pair), pair_at(sums + pair * 2));
    return b;
}

ALWAYS_INLINE void dot_runs(enum tensor_type type, const uint8_t *cell, const struct inputs *x, uint32_t count,
                            __m512 *y)
{
    const struct packed_type p = packed_type(type);
    const uint8_t *codes = cell + packed_codes_at(type, 1);
    __m512i s[TOKENS_AT_ONCE], scales = _mm512_setzero_si512();
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        s[t] = _mm512_setzero_si512();
    UNROLL
    for (uint32_t r = 0; r < RUNS; r++) {
        prefetch(cell + r * (p.vectors / 8 + 1) * VECTOR, p.vectors / 8 + 1);
        if (p.runs == HALF_RUNS || r % 2 == 0)
            scales = packed_scale_pair(type, cell, p.runs == HALF_RUNS ? r : r / 2);
        if (p.runs == HALF_RUNS) {
            add_run(type, codes, r, 0, QUADS / 2, packed_scale_of_pair(scales, 0), x, count, s);
            add_run(type, codes, r, QUADS / 2, QUADS / 2, packed_scale_of_pair(scales, 1), x, count, s);
        } else {
            add_run(type, codes, r, 0, QUADS, packed_scale_of_pair(scales, r % 2), x, count, s);
        }
    }
    UNROLL
    for (uint32_t t = 0; t < count; t++) {
        __m512 scale = _mm512_mul_ps(packed_d(type, cell, 0), input_scale(x, t, 0));
        y[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(s[t]), y[t]);
        if (!p.has_min)
            continue;
        scale = _mm512_mul_ps(packed_m(type, cell, 1, 0), input_scale(x, t, 0));
        y[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(min_sum(type, cell, sums_of(x, t))), y[t]);
    }
}

/* --- a group of 16 rows ----------------------------------------------------------------------------------------- */

ALWAYS_INLINE void dot_group(enum tensor_type type, const uint8_t *cell, uint32_t cols, struct inputs x, uint32_t count,
                             __m512 *y)
{
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        y[t] = _mm512_setzero_ps();
    for (uint32_t first = 0; first < cols; first += CELL_COLS) {
        uint32_t n = packed_cell_blocks(type, cols, first);
        if (packed_type(type).blocks32)
            dot_blocks(type, cell, n, &x, count, y);
        else
            dot_runs(type, cell, &x, count, y);
        cell += packed_cell_bytes(type, n);
        x.q += ACT_BLOCK;
        x.d += ACT_SCALES;
        x.sums += ACT_RUNS;
    }
}

/* Up to four tokens from token t on, all rows. */
ALWAYS_INLINE void dot_rows(enum tensor_type type, const struct matrix *w, const struct inputs *x, uint32_t count,
                            uint32_t begin, uint32_t end, float *y, size_t stride)
{
    const size_t group_bytes = packed_group_bytes(type, w->cols);
    for (uint32_t row = begin; row < end; row += GROUP) {
        __mmask16 rows = (__mmask16)(end - row >= GROUP ? 0xffffu : (1u << (end - row)) - 1);
        __m512 out[TOKENS_AT_ONCE];
        dot_group(type, w->packed + row / GROUP * group_bytes, w->cols, *x, count, out);
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            _mm512_mask_storeu_ps(y + t * stride + row, rows, out[t]);
    }
}

#define TYPE(name)                                                                                                     \
    static void gemv_##name(const struct matrix *w, const struct inputs *x, uint32_t count, uint32_t begin,            \
                            uint32_t end, float *y, size_t stride)                                                     \
    {                                                                                                                  \
        if (count == 1)                                                                                                \
            dot_rows(TENSOR_##name, w, x, 1, begin, end, y, stride);                                                   \
        else if (count == 2)                                                                                           \
            dot_rows(TENSOR_##name, w, x, 2, begin, end, y, stride);                                                   \
        else if (count == 3)                                                                                           \
            dot_rows(TENSOR_##name, w, x, 3, begin, end, y, stride);                                                   \
        else                                                                                                           \
            dot_rows(TENSOR_##name, w, x, 4, begin, end, y, stride);                                                   \
    }
PACKED_TYPES(TYPE)
#undef TYPE

static void gemv_some(const struct matrix *w, const struct inputs *x, uint32_t count, uint32_t begin, uint32_t end,
                      float *y, size_t stride)
{
    switch ((int)w->type) {
#define TYPE(name)                                                                                                     \
    case TENSOR_##name: gemv_##name(w, x, count, begin, end, y, stride); return;
        PACKED_TYPES(TYPE)
#undef TYPE
    }
    ENSURE(false);
}

void avx512_gemv(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride)
{
    size_t blocks = ops_act_blocks(w->cols);
    for (uint32_t t = 0, count; t < n; t += count) {
        struct inputs from = { .q = x->q + t * blocks * ACT_BLOCK, .d = x->d + t * blocks * ACT_SCALES,
                               .sums = x->sums + t * blocks * ACT_RUNS, .blocks = blocks };
        count = n - t < TOKENS_AT_ONCE ? n - t : TOKENS_AT_ONCE;
        gemv_some(w, &from, count, begin, end, y + t * stride, stride);
    }
}
