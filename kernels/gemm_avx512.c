/* gemm_avx512.c - many tokens: bound by how many vpdpbusd the processor does.
 *
 * For two groups of 16 rows: cell after cell is taken apart into two panels in the first-level cache, and all tokens pass
 * over them, up to six at a time. Then twelve integer sums and their twelve float (or scaled) sums fit into registers, a
 * weight vector is loaded once for six products and an input once for two, and the twelve independent chains hide the
 * latency of the instruction. The float results wait in `struct results` between cells: blocks come strictly ascending.
 *
 *     products per cell, two groups and six tokens: 768;  besides, per product: 1/6 + 1/12 loads, and the fold of panel_avx512.h
 */
#include "kernels/matmul_avx512.h"

#include "kernels/packed_avx512.h"
#include "kernels/panel_avx512.h"
#include "kernels/unroll.h"

enum { GROUPS = 2, AT_ONCE = 6, BATCH = 128, RUNS = 8, HALF_RUNS = 16 };

/* y of NV1 4.1 so far. */
struct results {
    _Alignas(64) float y[BATCH][GROUPS][GROUP];
};

/* The activations of up to six tokens at one block of 256 columns, and what follows from their sums. */
struct inputs {
    const int8_t *q;
    const float *d;
    size_t blocks;                               /* of 256, per token: their strides */
    const uint8_t *ahead;                        /* weights to be fetched: so many lines per step, */
    size_t group_bytes;                          /* and the same lines of the next group */
    uint32_t ahead_lines;
    int32_t start[AT_ONCE][HALF_RUNS];           /* by run: minus bias * (sum over the run) */
    float values[AT_ONCE][RUNS];                 /* by block of 32: B of types with one min per block */
    int16_t sums[AT_ONCE][HALF_RUNS];            /* what integer mins are multiplied with */
};

ALWAYS_INLINE bool has_blocks(enum fold f) { return f == FOLD_BLOCKS || f == FOLD_BLOCKS_MIN; }

ALWAYS_INLINE bool has_min(enum fold f)
{
    return f == FOLD_BLOCKS_MIN || f == FOLD_WHOLE_MIN || f == FOLD_WORDS_MIN || f == FOLD_LONGS_MIN;
}

/* Quads to an integer sum. */
ALWAYS_INLINE uint32_t step(enum fold f)
{
    if (f == FOLD_WHOLE || f == FOLD_WHOLE_MIN)
        return PANEL_QUADS;
    return f == FOLD_WORDS_MIN || f == FOLD_LONGS_16 ? 4 : 8;
}

/* --- from the sums of 16 beside the activations ---------------------------------------------------------------------- */

ALWAYS_INLINE __m256i sums_of_16(const struct acts *x, size_t token, size_t blocks, uint32_t block)
{
    return _mm256_loadu_si256((const __m256i *)(x->sums + (token * blocks + block) * ACT_RUNS));
}

ALWAYS_INLINE int32_t sum_lanes(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

ALWAYS_INLINE void prepare(enum fold f, int32_t bias, __m256i sums, struct inputs *in, uint32_t t)
{
    __m256i pairs = _mm256_madd_epi16(sums, _mm256_set1_epi16((int16_t)-bias));
    if (f == FOLD_BLOCKS || f == FOLD_LONGS)
        _mm256_storeu_si256((__m256i *)in->start[t], pairs);
    if (f == FOLD_WHOLE)
        in->start[t][0] = sum_lanes(pairs);
    if (f == FOLD_LONGS_16)
        _mm512_storeu_si512(in->start[t], _mm512_mullo_epi32(_mm512_cvtepi16_epi32(sums), _mm512_set1_epi32(-bias)));
    if (!has_min(f))
        return;
    __m256i of_32 = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
    if (f == FOLD_BLOCKS_MIN)
        _mm256_storeu_ps(in->values[t], _mm256_cvtepi32_ps(of_32));
    else if (f == FOLD_WHOLE_MIN)
        _mm256_storeu_si256((__m256i *)in->sums[t], sums);
    else
        _mm_storeu_si128((__m128i *)in->sums[t],
                         _mm_packs_epi32(_mm256_castsi256_si128(of_32), _mm256_extracti128_si256(of_32, 1)));
}

/* --- the inner loop -------------------------------------------------------------------------------------------------- */

ALWAYS_INLINE __m512i four_inputs(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

ALWAYS_INLINE __m512 input_scale(const struct inputs *x, uint32_t t) { return _mm512_set1_ps(x->d[t * x->blocks]); }

/* A share of the next cell of each group; the weights come from memory while this cell is multiplied. */
ALWAYS_INLINE void fetch_ahead(struct inputs *x)
{
    for (uint32_t i = 0; i < x->ahead_lines; i++, x->ahead += VECTOR) {
        _mm_prefetch((const char *)x->ahead, _MM_HINT_T0);
        _mm_prefetch((const char *)x->ahead + x->group_bytes, _MM_HINT_T0);
    }
}

/* sum = start + n quads from `first` on times inputs. */
ALWAYS_INLINE void multiply(enum fold f, const struct panel *w, uint32_t groups, struct inputs *x, uint32_t count,
                            size_t first, size_t n, __m512i (*sum)[AT_ONCE])
{
    bool biased = f == FOLD_BLOCKS || f == FOLD_WHOLE || f == FOLD_LONGS || f == FOLD_LONGS_16;
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            sum[g][t] = biased ? _mm512_set1_epi32(x->start[t][first / step(f)]) : _mm512_setzero_si512();
    for (size_t q = first; q < first + n; q += 4) {
        fetch_ahead(x);
        UNROLL
        for (size_t k = 0; k < 4; k++) {
            __m512i quad[GROUPS];
            UNROLL
            for (uint32_t g = 0; g < groups; g++)
                quad[g] = _mm512_load_si512(w[g].quads[q + k]);
            UNROLL
            for (uint32_t t = 0; t < count; t++) {
                __m512i four = four_inputs(x->q + t * x->blocks * ACT_BLOCK + (q + k) * 4);
                UNROLL
                for (uint32_t g = 0; g < groups; g++)
                    sum[g][t] = _mm512_dpbusd_epi32(sum[g][t], quad[g], four);
            }
        }
    }
}

/* y = fma(factor * dx, float, y) */
ALWAYS_INLINE __m512 fold_into(__m512 y, const float *factor, __m512 dx, __m512 value)
{
    return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_load_ps(factor), dx), value, y);
}

ALWAYS_INLINE void cell_of_blocks(enum fold f, const struct panel *w, uint32_t groups, uint32_t n, struct inputs *x,
                                  uint32_t count, float (*y)[GROUPS][GROUP])
{
    __m512 out[GROUPS][AT_ONCE];
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            out[g][t] = _mm512_load_ps(y[t][g]);
    for (uint32_t b = 0; b < n; b++) {
        __m512i sum[GROUPS][AT_ONCE];
        multiply(f, w, groups, x, count, (size_t)b * QUADS, QUADS, sum);
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            UNROLL
            for (uint32_t g = 0; g < groups; g++) {
                out[g][t] = fold_into(out[g][t], w[g].d[b], input_scale(x, t), _mm512_cvtepi32_ps(sum[g][t]));
                if (f == FOLD_BLOCKS_MIN)
                    out[g][t] = fold_into(out[g][t], w[g].m[b], input_scale(x, t), _mm512_set1_ps(x->values[t][b]));
            }
    }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            _mm512_store_ps(y[t][g], out[g][t]);
}

ALWAYS_INLINE __m512i scaled(enum fold f, __m512i s, __m512i sum, const int32_t *scale)
{
    __m512i by = _mm512_load_si512(scale);
    return f == FOLD_WORDS_MIN ? _mm512_dpwssd_epi32(s, sum, by) : _mm512_add_epi32(s, _mm512_mullo_epi32(sum, by));
}

/* B of NV1 4.1 */
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

ALWAYS_INLINE void cell_of_runs(enum fold f, const struct panel *w, uint32_t groups, struct inputs *x, uint32_t count,
                                float (*y)[GROUPS][GROUP])
{
    __m512i s[GROUPS][AT_ONCE], sum[GROUPS][AT_ONCE];
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            s[g][t] = _mm512_setzero_si512();
    if (step(f) == PANEL_QUADS)
        multiply(f, w, groups, x, count, 0, PANEL_QUADS, s);
    else
        for (size_t r = 0; r < PANEL_QUADS / step(f); r++) {
            multiply(f, w, groups, x, count, r * step(f), step(f), sum);
            UNROLL
            for (uint32_t t = 0; t < count; t++)
                UNROLL
                for (uint32_t g = 0; g < groups; g++)
                    s[g][t] = scaled(f, s[g][t], sum[g][t], w[g].scales[step(f) == 4 && f == FOLD_WORDS_MIN ? r / 2 : r]);
        }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++) {
            __m512 out = fold_into(_mm512_load_ps(y[t][g]), w[g].d[0], input_scale(x, t), _mm512_cvtepi32_ps(s[g][t]));
            if (has_min(f))
                out = fold_into(out, w[g].m[0], input_scale(x, t),
                                _mm512_cvtepi32_ps(min_sum(f, &w[g], x->sums[t])));
            _mm512_store_ps(y[t][g], out);
        }
}

/* --- all tokens over two panels -------------------------------------------------------------------------------------- */

struct pass {
    const struct acts *x;
    size_t first_token, blocks;
    uint32_t tokens;
    uint32_t block;                              /* of 256 columns */
    uint32_t cell_blocks;
    int32_t bias;
    const uint8_t *next_cell;                    /* of the first group */
    size_t cell_lines, group_bytes;
};

ALWAYS_INLINE void some_tokens(enum fold f, const struct pass *p, const struct panel *w, uint32_t groups, uint32_t t,
                               uint32_t count, struct results *r)
{
    size_t token = p->first_token + t;
    struct inputs in = { .q = p->x->q + (token * p->blocks + p->block) * ACT_BLOCK,
                         .d = p->x->d + token * p->blocks + p->block, .blocks = p->blocks,
                         .ahead = p->next_cell + t * p->cell_lines / p->tokens * VECTOR, .group_bytes = p->group_bytes,
                         .ahead_lines = (uint32_t)(p->cell_lines * count / p->tokens / (PANEL_QUADS / 4)) + 1 };
    UNROLL
    for (uint32_t i = 0; i < count; i++)
        prepare(f, p->bias, sums_of_16(p->x, token + i, p->blocks, p->block), &in, i);
    if (has_blocks(f))
        cell_of_blocks(f, w, groups, p->cell_blocks, &in, count, r->y + t);
    else
        cell_of_runs(f, w, groups, &in, count, r->y + t);
}

/* Six tokens at a time, or so many fewer that the last are not left alone: 8 are 4 + 4, 32 are 2 x 6 + 4 x 5. */
ALWAYS_INLINE void all_tokens(enum fold f, const struct pass *p, const struct panel *w, uint32_t groups, struct results *r)
{
    uint32_t parts = (p->tokens + AT_ONCE - 1) / AT_ONCE;
    for (uint32_t t = 0, count; t < p->tokens; t += count, parts--) {
        count = (p->tokens - t + parts - 1) / parts;
        if (count == 6)
            some_tokens(f, p, w, groups, t, 6, r);
        else if (count == 5)
            some_tokens(f, p, w, groups, t, 5, r);
        else if (count == 4)
            some_tokens(f, p, w, groups, t, 4, r);
        else if (count == 3)
            some_tokens(f, p, w, groups, t, 3, r);
        else
            some_tokens(f, p, w, groups, t, count = 1, r), parts++;
    }
}

#define FOLD(name)                                                                                                     \
    static void pass_##name(const struct pass *p, const struct panel *w, uint32_t groups, struct results *r)           \
    {                                                                                                                  \
        if (groups == GROUPS)                                                                                          \
            all_tokens(FOLD_##name, p, w, GROUPS, r);                                                                  \
        else                                                                                                           \
            all_tokens(FOLD_##name, p, w, 1, r);                                                                       \
    }
FOLD(BLOCKS)
FOLD(BLOCKS_MIN)
FOLD(WHOLE)
FOLD(WHOLE_MIN)
FOLD(WORDS_MIN)
FOLD(LONGS_MIN)
FOLD(LONGS)
FOLD(LONGS_16)
#undef FOLD

static void pass(enum fold f, const struct pass *p, const struct panel *w, uint32_t groups, struct results *r)
{
    switch (f) {
    case FOLD_BLOCKS: pass_BLOCKS(p, w, groups, r); return;
    case FOLD_BLOCKS_MIN: pass_BLOCKS_MIN(p, w, groups, r); return;
    case FOLD_WHOLE: pass_WHOLE(p, w, groups, r); return;
    case FOLD_WHOLE_MIN: pass_WHOLE_MIN(p, w, groups, r); return;
    case FOLD_WORDS_MIN: pass_WORDS_MIN(p, w, groups, r); return;
    case FOLD_LONGS_MIN: pass_LONGS_MIN(p, w, groups, r); return;
    case FOLD_LONGS: pass_LONGS(p, w, groups, r); return;
    case FOLD_LONGS_16: pass_LONGS_16(p, w, groups, r); return;
    }
    ENSURE(false);
}

/* One or two groups from row on, p->tokens tokens. */
static void multiply_groups(const struct matrix *w, struct pass *p, uint32_t row, uint32_t groups, struct results *r)
{
    struct panel_kind kind = panel_kind(w->type);
    size_t group_bytes = packed_group_bytes(w->type, w->cols);
    const uint8_t *cell = w->packed + row / GROUP * group_bytes;
    struct panel panels[GROUPS];
    p->bias = kind.bias;
    p->group_bytes = group_bytes;
    memset(r->y, 0, p->tokens * sizeof *r->y);
    for (uint32_t first = 0; first < w->cols; first += CELL_COLS) {
        uint32_t n = packed_cell_blocks(w->type, w->cols, first);
        for (uint32_t g = 0; g < groups; g++)
            panel_fill(w->type, cell + g * group_bytes, n, &panels[g]);
        p->block = first / CELL_COLS;
        p->cell_blocks = n;
        p->cell_lines = packed_cell_bytes(w->type, n) / VECTOR + 1;
        p->next_cell = cell + packed_cell_bytes(w->type, n);
        pass(kind.fold, p, panels, groups, r);
        cell += packed_cell_bytes(w->type, n);
    }
}

void avx512_gemm(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride)
{
    struct results r;
    for (uint32_t t = 0; t < n; t += BATCH) {
        struct pass p = { .x = x, .first_token = t, .blocks = ops_act_blocks(w->cols),
                          .tokens = n - t < BATCH ? n - t : BATCH };
        for (uint32_t row = begin; row < end; row += GROUPS * GROUP) {
            uint32_t groups = end - row > GROUP ? GROUPS : 1;
            multiply_groups(w, &p, row, groups, &r);
            for (uint32_t g = 0; g < groups; g++) {
                uint32_t at = row + g * GROUP;
                __mmask16 rows = (__mmask16)(end - at >= GROUP ? 0xffffu : (1u << (end - at)) - 1);
                for (uint32_t i = 0; i < p.tokens; i++)
                    _mm512_mask_storeu_ps(y + (t + i) * stride + at, rows, _mm512_load_ps(r.y[i][g]));
            }
        }
    }
}
