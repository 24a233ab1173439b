/* gemm_avx512.c - many tokens: bound by vpdpbusd where a core has its execution units for itself, by the number of
 * instructions where it shares them with another thread. So the loops below have little besides products.
 *
 * For up to 256 rows and 128 tokens, 256 columns at a time: the inputs of these columns are laid side by side, so that
 * a token is a constant distance away and one pointer serves six; then two groups of 16 rows at a time are taken apart
 * into panels in the first-level cache, and all tokens pass over them, up to six at a time. Twelve integer sums and
 * their twelve float (or scaled) sums fit into registers, a weight vector is loaded once for six products and an input
 * once for two, and the twelve independent chains hide the latency of the instruction. The float results wait in
 * `struct results` between cells: blocks come strictly ascending.
 *
 * Results of 256 rows (128 KiB), inputs (52 KiB) and two panels are on the stack: see POOL_STACK_BYTES.
 *
 * Two groups and six tokens are 768 products per cell; what comes on top per integer sum stands in panel_avx512.h.
 */
#include "kernels/matmul_avx512.h"

#include "kernels/dot_avx512.h"
#include "kernels/fold_avx512.h"

enum { GROUPS = 2, AT_ONCE = 6, BATCH = 128, STRIPE_ROWS = 256, PAIR_ROWS = GROUPS * GROUP,
       PAIRS = STRIPE_ROWS / PAIR_ROWS };

/* y of NV1 4.1 so far, of two groups. */
struct results {
    _Alignas(64) float y[BATCH][GROUPS][GROUP];
};

/* 256 columns of the activations of a batch. */
struct inputs {
    _Alignas(64) int8_t q[BATCH][ACT_BLOCK];
    float d[BATCH][ACT_SCALES];
    struct input_sums sums[BATCH];
};

/* Addresses of weights that will be needed next: the same lines of both groups, a few at a time. Those of a last
 * cell may not exist. */
struct ahead {
    uintptr_t next, end;
    size_t group_bytes;
    uint32_t lines;
};

/* Some of the tokens. */
struct few {
    const int8_t *q;
    const float *d;
    const struct input_sums *sums;
    struct ahead *ahead;
};

/* Quads to an integer sum. */
ALWAYS_INLINE uint32_t step(enum fold f)
{
    if (is_whole(f))
        return PANEL_QUADS;
    return f == FOLD_LONGS_16 ? 4 : 8;
}

/* --- the inner loop --------------------------------------------------------------------------------------------- */

ALWAYS_INLINE __m512i four_inputs(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* The scale of token t for block b of 32 columns. */
ALWAYS_INLINE __m512 input_scale(const struct few *x, uint32_t t, uint32_t b)
{
    return _mm512_set1_ps(x->d[t * ACT_SCALES + b]);
}

ALWAYS_INLINE void fetch_ahead(struct ahead *a)
{
    for (uint32_t i = 0; i < a->lines && a->next < a->end; i++, a->next += VECTOR) {
        fetch_line(a->next);
        fetch_line(a->next + a->group_bytes);
    }
}

/* What the sum that begins at quad `first` starts with. */
ALWAYS_INLINE void start(enum fold f, uint32_t groups, const struct few *x, uint32_t count, size_t first,
                         __m512i (*sum)[AT_ONCE])
{
    bool biased = f == FOLD_BLOCKS || f == FOLD_WHOLE || f == FOLD_LONGS || f == FOLD_LONGS_16 || f == FOLD_WORDS_MIN;
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            sum[g][t] = biased ? _mm512_set1_epi32(x->sums[t].start[first / step(f)]) : _mm512_setzero_si512();
}

/* Adds n quads (4 or 8) from `first` on. */
ALWAYS_INLINE void multiply(const struct panel *w, uint32_t groups, const struct few *x, uint32_t count, size_t first,
                            size_t n, __m512i (*sum)[AT_ONCE])
{
    UNROLL
    for (size_t k = 0; k < n; k++) {
        __m512i quad[GROUPS];
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            quad[g] = _mm512_load_si512(w[g].quads[first + k]);
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            __m512i four = four_inputs(x->q + t * ACT_BLOCK + (first + k) * 4);
            UNROLL
            for (uint32_t g = 0; g < groups; g++)
                add_products(&sum[g][t], quad[g], four);
        }
    }
}

ALWAYS_INLINE void cell_of_blocks(enum fold f, const struct panel *w, uint32_t groups, uint32_t n, const struct few *x,
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
        fetch_ahead(x->ahead);
        start(f, groups, x, count, (size_t)b * QUADS, sum);
        multiply(w, groups, x, count, (size_t)b * QUADS, QUADS, sum);
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            UNROLL
            for (uint32_t g = 0; g < groups; g++)
                out[g][t] = fold_block(f, out[g][t], &w[g], b, input_scale(x, t, b), sum[g][t], &x->sums[t]);
    }
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            _mm512_store_ps(y[t][g], out[g][t]);
}

/* s += scale * sum */
ALWAYS_INLINE void add_scaled(enum fold f, __m512i *s, __m512i sum, __m512i scale)
{
    if (f == FOLD_WORDS_MIN)
        add_word_products(s, sum, scale);
    else
        *s = _mm512_add_epi32(*s, _mm512_mullo_epi32(sum, scale));
}

ALWAYS_INLINE void cell_of_runs(enum fold f, const struct panel *w, uint32_t groups, const struct few *x,
                                uint32_t count, float (*y)[GROUPS][GROUP])
{
    __m512i s[GROUPS][AT_ONCE], sum[GROUPS][AT_ONCE];
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        UNROLL
        for (uint32_t g = 0; g < groups; g++)
            s[g][t] = f == FOLD_WORDS_MIN ? centre_sum(&w[g], x->sums[t].sums) : _mm512_setzero_si512();
    if (is_whole(f))
        start(f, groups, x, count, 0, s);
    for (uint32_t run = 0; run < RUNS; run++) {
        fetch_ahead(x->ahead);
        if (is_whole(f)) {
            multiply(w, groups, x, count, (size_t)run * QUADS, QUADS, s);
            continue;
        }
        UNROLL
        for (uint32_t part = 0; part < QUADS / step(f); part++) {
            size_t first = (size_t)run * QUADS + part * step(f);
            start(f, groups, x, count, first, sum);
            multiply(w, groups, x, count, first, step(f), sum);
            UNROLL
            for (uint32_t g = 0; g < groups; g++) {
                __m512i by = _mm512_load_si512(w[g].scales[run * (QUADS / step(f)) + part]);
                UNROLL
                for (uint32_t t = 0; t < count; t++)
                    add_scaled(f, &s[g][t], sum[g][t], by);
            }
        }
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
    const struct inputs *x;
    uint32_t tokens;
    uint32_t cell_blocks;
    struct ahead ahead;
};

ALWAYS_INLINE void some_tokens(enum fold f, struct pass *p, const struct panel *w, uint32_t groups, uint32_t t,
                               uint32_t count, struct results *r)
{
    const struct few x = { p->x->q[t], p->x->d[t], &p->x->sums[t], &p->ahead };
    if (has_blocks(f))
        cell_of_blocks(f, w, groups, p->cell_blocks, &x, count, r->y + t);
    else
        cell_of_runs(f, w, groups, &x, count, r->y + t);
}

/* Six tokens at a time, or so many fewer that the last are not left alone: 8 are 4 + 4, 32 are 2 x 6 + 4 x 5. */
ALWAYS_INLINE void all_tokens(enum fold f, struct pass *p, const struct panel *w, uint32_t groups, struct results *r)
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
    static void pass_##name(struct pass *p, const struct panel *w, uint32_t groups, struct results *r)                 \
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

static void pass(enum fold f, struct pass *p, const struct panel *w, uint32_t groups, struct results *r)
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

/* --- rows ------------------------------------------------------------------------------------------------------- */

/* The activations of tokens [first, first + tokens) at one block of 256 columns. */
static void take_inputs(const struct acts *x, const struct panel_kind *kind, size_t first, uint32_t tokens,
                        size_t block, struct inputs *to)
{
    const int32_t bias = kind->fold == FOLD_WORDS_MIN ? PANEL_WORDS_CENTRE : kind->bias;
    size_t blocks = ops_act_blocks(x->cols);
    for (uint32_t t = 0; t < tokens; t++) {
        size_t at = (first + t) * blocks + block;
        memcpy(to->q[t], x->q + at * ACT_BLOCK, ACT_BLOCK);
        for (uint32_t i = 0; i < ACT_BLOCK; i += VECTOR)         /* the next block's */
            _mm_prefetch((const char *)((uintptr_t)x->q + (at + 1) * ACT_BLOCK + i), _MM_HINT_T1);
        memcpy(to->d[t], x->d + at * ACT_SCALES, sizeof to->d[t]);
        input_sums(kind->fold, bias, x->sums + at * ACT_RUNS, &to->sums[t]);
    }
}

/* One cell of one or two groups; `next` are those that come after them. */
static void multiply_cell(const struct matrix *w, const struct panel_kind *kind, struct pass *p, const uint8_t *cell,
                          uint32_t groups, const uint8_t *next, struct results *r)
{
    struct panel panels[GROUPS];
    size_t group_bytes = packed_group_bytes(w->type, w->cols), bytes = packed_cell_bytes(w->type, p->cell_blocks);
    uint32_t passes = (p->tokens + AT_ONCE - 1) / AT_ONCE;
    for (uint32_t g = 0; g < groups; g++)
        panel_fill(w->type, cell + g * group_bytes, p->cell_blocks, &panels[g]);
    p->ahead = (struct ahead){ .next = (uintptr_t)next, .end = (uintptr_t)next + bytes,
                               .group_bytes = (groups - 1) * group_bytes,
                               .lines = (uint32_t)(bytes / VECTOR / (passes * RUNS)) + 1 };
    pass(kind->fold, p, panels, groups, r);
}

/* Up to 256 rows from `row` on, up to 128 tokens from `first` on. */
static void multiply_stripe(const struct matrix *w, const struct acts *x, size_t first, uint32_t tokens, uint32_t row,
                            uint32_t rows, struct results r[PAIRS])
{
    struct inputs in;
    struct pass p = { .x = &in, .tokens = tokens };
    const struct panel_kind kind = panel_kind(w->type);
    const size_t group_bytes = packed_group_bytes(w->type, w->cols);
    const uint8_t *cell = w->packed + row / GROUP * group_bytes;
    for (uint32_t i = 0; i < PAIRS; i++)
        memset(r[i].y, 0, tokens * sizeof *r[i].y);
    for (uint32_t col = 0; col < w->cols; col += CELL_COLS) {
        p.cell_blocks = packed_cell_blocks(w->type, w->cols, col);
        take_inputs(x, &kind, first, tokens, col / CELL_COLS, &in);
        const uint8_t *below = cell + packed_cell_bytes(w->type, p.cell_blocks);
        for (uint32_t at = 0; at < rows; at += PAIR_ROWS) {
            const uint8_t *here = cell + at / GROUP * group_bytes;
            const uint8_t *next = rows - at > PAIR_ROWS ? here + GROUPS * group_bytes : below;
            multiply_cell(w, &kind, &p, here, rows - at > GROUP ? GROUPS : 1, next, &r[at / PAIR_ROWS]);
        }
        cell = below;
    }
}

static void store_stripe(const struct results r[PAIRS], uint32_t tokens, uint32_t rows, float *y, size_t stride)
{
    for (uint32_t at = 0; at < rows; at += GROUP) {
        __mmask16 here = (__mmask16)(rows - at >= GROUP ? 0xffffu : (1u << (rows - at)) - 1);
        const struct results *pair = &r[at / PAIR_ROWS];
        for (uint32_t t = 0; t < tokens; t++)
            _mm512_mask_storeu_ps(y + t * stride + at, here, _mm512_load_ps(pair->y[t][at / GROUP % GROUPS]));
    }
}

void avx512_gemm(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride)
{
    struct results r[PAIRS];
    for (uint32_t t = 0; t < n; t += BATCH) {
        uint32_t tokens = n - t < BATCH ? n - t : BATCH;
        for (uint32_t row = begin; row < end; row += STRIPE_ROWS) {
            uint32_t rows = end - row < STRIPE_ROWS ? end - row : STRIPE_ROWS;
            multiply_stripe(w, x, t, tokens, row, rows, r);
            store_stripe(r, tokens, rows, y + t * stride + row, stride);
        }
    }
}
