/* gemm_avx512.c - many tokens: bound by how many vpdpbusd the processor does.
 *
 * For two groups of 16 rows: cell after cell is taken apart into two panels in the first-level cache, and all tokens
 * pass over them, up to six at a time. Then twelve integer sums and their twelve float (or scaled) sums fit into
 * registers, a weight vector is loaded once for six products and an input once for two, and the twelve independent
 * chains hide the latency of the instruction. The float results wait in `struct results` between cells: blocks come
 * strictly ascending.
 *
 * Two groups and six tokens are 768 products per cell; what comes on top per integer sum stands in panel_avx512.h.
 */
#include "kernels/matmul_avx512.h"

#include "kernels/fold_avx512.h"

enum { GROUPS = 2, AT_ONCE = 6, BATCH = 128 };

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
    struct input_sums sums[AT_ONCE];
};

/* Quads to an integer sum. */
ALWAYS_INLINE uint32_t step(enum fold f)
{
    if (is_whole(f))
        return PANEL_QUADS;
    return f == FOLD_WORDS_MIN || f == FOLD_LONGS_16 ? 4 : 8;
}

/* --- the inner loop --------------------------------------------------------------------------------------------- */

ALWAYS_INLINE __m512i four_inputs(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* The scale of token t for block b of 32 columns. */
ALWAYS_INLINE __m512 input_scale(const struct inputs *x, uint32_t t, uint32_t b)
{
    return _mm512_set1_ps(x->d[t * x->blocks * ACT_SCALES + b]);
}

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
            sum[g][t] = biased ? _mm512_set1_epi32(x->sums[t].start[first / step(f)]) : _mm512_setzero_si512();
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
                out[g][t] = fold_block(f, out[g][t], &w[g], b, input_scale(x, t, b), sum[g][t], &x->sums[t]);
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
                    s[g][t] = scaled(f, s[g][t], sum[g][t],
                                     w[g].scales[step(f) == 4 && f == FOLD_WORDS_MIN ? r / 2 : r]);
        }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++) {
            __m512 out = fold_cell(f, _mm512_load_ps(y[t][g]), &w[g], input_scale(x, t, 0), s[g][t], &x->sums[t]);
            _mm512_store_ps(y[t][g], out);
        }
}

/* --- all tokens over two panels --------------------------------------------------------------------------------- */

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
                         .d = p->x->d + (token * p->blocks + p->block) * ACT_SCALES, .blocks = p->blocks,
                         .ahead = p->next_cell + t * p->cell_lines / p->tokens * VECTOR, .group_bytes = p->group_bytes,
                         .ahead_lines = (uint32_t)(p->cell_lines * count / p->tokens / (PANEL_QUADS / 4)) + 1 };
    UNROLL
    for (uint32_t i = 0; i < count; i++)
        input_sums(f, p->bias, p->x->sums + ((token + i) * p->blocks + p->block) * ACT_RUNS, &in.sums[i]);
    if (has_blocks(f))
        cell_of_blocks(f, w, groups, p->cell_blocks, &in, count, r->y + t);
    else
        cell_of_runs(f, w, groups, &in, count, r->y + t);
}

/* Six tokens at a time, or so many fewer that the last are not left alone: 8 are 4 + 4, 32 are 2 x 6 + 4 x 5. */
ALWAYS_INLINE void all_tokens(enum fold f, const struct pass *p, const struct panel *w, uint32_t groups,
                              struct results *r)
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
