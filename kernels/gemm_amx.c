/* gemm_amx.c - a batch with tiles: activations (signed) are the left matrix, a panel's quads the right one, for a quad
 * is just a row of it.
 *
 * 32-block types take one instruction of 32 columns per block, token tile and group. In 256-block types the integer
 * scales would cost more than the products, so they are multiplied into the weights when a panel is made: weight *
 * scale is at most 4096 in magnitude, hence 128 * high + low with two signed bytes, and S = 128 * (high . q) + low .
 * q. Both sums are below 2^23, S below 2^31 (NV1 4.1); nothing is left to be done but one step per 256 columns. Q2_K
 * and Q3_K need one byte.
 */
#include "kernels/gemm_amx.h"

#include "kernels/fold_avx512.h"
#include "kernels/tile_amx.h"

enum { GROUPS = 2, TOKENS = TILE_ROWS, BATCH = 256, CELL_STEPS = 4, STEP_QUADS = 16 };

/* Tiles: 0-3 sums of (group, low or high), 4 activations, 5-7 weights. */
static const struct tile_shapes SHAPES_BLOCKS = { .palette = 1,
                                                  .bytes = { 64, 64, 64, 64, 32, 64, 64, 64 },
                                                  .rows = { 16, 16, 16, 16, 16, 8, 8, 8 } };
static const struct tile_shapes SHAPES_CELLS = { .palette = 1,
                                                 .bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
                                                 .rows = { 16, 16, 16, 16, 16, 16, 16, 16 } };

/* weight * scale = 128 * high + low, [quad][16 rows][4]. */
struct planes {
    _Alignas(64) int8_t low[PANEL_QUADS][TILE_BYTES], high[PANEL_QUADS][TILE_BYTES];
};

struct weights {
    struct panel panel;
    struct planes planes;
};

/* Up to 16 tokens at one block of 256 columns. */
struct token_tile {
    const int8_t *q;             /* 16 rows, */
    size_t stride;               /* so many bytes apart */
    const float *d;
    size_t blocks;               /* stride of d */
    uint32_t count;
    struct input_sums sums[TOKENS];
    _Alignas(64) int8_t padded[TOKENS][CELL_COLS];
};

struct sums {
    _Alignas(64) int32_t s[GROUPS][2][TOKENS][GROUP];
};

struct results {
    _Alignas(64) float y[BATCH][GROUPS][GROUP];
};

/* --- weights ---------------------------------------------------------------------------------------------------- */

static void planes_of_run(const struct panel *p, uint32_t first, uint32_t n, __m512i scale, int32_t bias,
                          struct planes *out)
{
    const __m512i byte = _mm512_set1_epi16(0xff), low = _mm512_set1_epi16(127);
    const __m512i minus = _mm512_set1_epi16((int16_t)bias);
    for (uint32_t q = first; q < first + n; q++) {
        __m512i code = _mm512_load_si512(p->quads[q]);
        __m512i even = _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_and_si512(code, byte), minus), scale);
        __m512i odd = _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_srli_epi16(code, 8), minus), scale);
        __m512i even_low = _mm512_and_si512(even, low), odd_low = _mm512_and_si512(odd, low);
        __m512i even_high = _mm512_and_si512(_mm512_srai_epi16(even, 7), byte), odd_high = _mm512_srai_epi16(odd, 7);
        _mm512_store_si512(out->low[q], _mm512_or_si512(even_low, _mm512_slli_epi16(odd_low, 8)));
        _mm512_store_si512(out->high[q], _mm512_or_si512(even_high, _mm512_slli_epi16(odd_high, 8)));
    }
}

static void weights_fill(enum tensor_type type, const struct panel_kind *kind, const uint8_t *cell, uint32_t blocks,
                         struct weights *w)
{
    panel_fill(type, cell, blocks, &w->panel);
    if (has_blocks(kind->fold) || is_whole(kind->fold))
        return;
    uint32_t runs = packed_type(type).runs, quads = PANEL_QUADS / runs;
    for (uint32_t r = 0; r < runs; r++) {
        __m512i scale = _mm512_and_si512(_mm512_load_si512(w->panel.scales[r]), _mm512_set1_epi32(0xffff));
        scale = _mm512_or_si512(scale, _mm512_slli_epi32(scale, 16));
        planes_of_run(&w->panel, r * quads, quads, scale, kind->bias, &w->planes);
    }
}

/* --- tokens ----------------------------------------------------------------------------------------------------- */

static void token_tile_init(struct token_tile *x, const struct acts *acts, size_t token, uint32_t count, uint32_t block,
                            const struct panel_kind *kind)
{
    size_t blocks = ops_act_blocks(acts->cols);
    const int8_t *q = acts->q + (token * blocks + block) * ACT_BLOCK;
    x->q = q;
    x->stride = blocks * ACT_BLOCK;
    x->d = acts->d + (token * blocks + block) * ACT_SCALES;
    x->blocks = blocks;
    x->count = count;
    if (count < TOKENS) {                        /* a tile reads all its rows */
        memset(x->padded, 0, sizeof x->padded);
        for (uint32_t t = 0; t < count; t++)
            memcpy(x->padded[t], q + t * x->stride, CELL_COLS);
        x->q = x->padded[0];
        x->stride = CELL_COLS;
    }
    for (uint32_t t = 0; t < count; t++) {
        const int16_t *sums = acts->sums + ((token + t) * blocks + block) * ACT_RUNS;
        input_sums(kind->fold, kind->bias, sums, &x->sums[t]);
    }
}

/* --- products --------------------------------------------------------------------------------------------------- */

/* Block b of 32 columns. */
static void multiply_block(const struct weights *w, uint32_t groups, uint32_t b, const struct token_tile *x,
                           struct sums *out)
{
    TILE_ZERO(0);
    TILE_LOAD(4, x->q + b * RUN_COLS, x->stride);
    TILE_LOAD(5, w[0].panel.quads[b * QUADS], TILE_BYTES);
    TILE_DOT_SU(0, 4, 5);
    TILE_STORE(0, out->s[0][0], TILE_BYTES);
    if (groups == 1)
        return;
    TILE_ZERO(2);
    TILE_LOAD(6, w[1].panel.quads[b * QUADS], TILE_BYTES);
    TILE_DOT_SU(2, 4, 6);
    TILE_STORE(2, out->s[1][0], TILE_BYTES);
}

/* 256 columns whose bytes hold the scales. */
static void multiply_whole(const struct weights *w, uint32_t groups, const struct token_tile *x, struct sums *out)
{
    TILE_ZERO(0);
    TILE_ZERO(2);
    for (uint32_t s = 0; s < CELL_STEPS; s++) {
        TILE_LOAD(4, x->q + s * TILE_BYTES, x->stride);
        TILE_LOAD(5, w[0].panel.quads[s * STEP_QUADS], TILE_BYTES);
        TILE_LOAD(6, w[groups - 1].panel.quads[s * STEP_QUADS], TILE_BYTES);
        TILE_DOT_SU(0, 4, 5);
        TILE_DOT_SU(2, 4, 6);
    }
    TILE_STORE(0, out->s[0][0], TILE_BYTES);
    TILE_STORE(2, out->s[1][0], TILE_BYTES);
}

/* 256 columns in two planes. With one group it is multiplied twice and the second result is not looked at. */
static void multiply_planes(const struct weights *w, uint32_t groups, const struct token_tile *x, struct sums *out)
{
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (uint32_t s = 0; s < CELL_STEPS; s++) {
        TILE_LOAD(4, x->q + s * TILE_BYTES, x->stride);
        TILE_LOAD(5, w[0].planes.low[s * STEP_QUADS], TILE_BYTES);
        TILE_LOAD(6, w[0].planes.high[s * STEP_QUADS], TILE_BYTES);
        TILE_DOT_SS(0, 4, 5);
        TILE_DOT_SS(1, 4, 6);
        TILE_LOAD(5, w[groups - 1].planes.low[s * STEP_QUADS], TILE_BYTES);
        TILE_LOAD(6, w[groups - 1].planes.high[s * STEP_QUADS], TILE_BYTES);
        TILE_DOT_SS(2, 4, 5);
        TILE_DOT_SS(3, 4, 6);
    }
    TILE_STORE(0, out->s[0][0], TILE_BYTES);
    TILE_STORE(1, out->s[0][1], TILE_BYTES);
    TILE_STORE(2, out->s[1][0], TILE_BYTES);
    TILE_STORE(3, out->s[1][1], TILE_BYTES);
}

/* --- what follows ----------------------------------------------------------------------------------------------- */

ALWAYS_INLINE void fold_blocks(enum fold f, const struct weights *w, uint32_t groups, uint32_t n,
                               const struct token_tile *x,
                               float (*y)[GROUPS][GROUP])
{
    struct sums sums;
    for (uint32_t b = 0; b < n; b++) {
        multiply_block(w, groups, b, x, &sums);
        for (uint32_t t = 0; t < x->count; t++)
            for (uint32_t g = 0; g < groups; g++) {
                __m512i s = _mm512_load_si512(sums.s[g][0][t]);
                if (f == FOLD_BLOCKS)
                    s = _mm512_add_epi32(s, _mm512_set1_epi32(x->sums[t].start[b]));
                _mm512_store_ps(y[t][g], fold_block(f, _mm512_load_ps(y[t][g]), &w[g].panel, b,
                                                    _mm512_set1_ps(x->d[t * x->blocks * ACT_SCALES + b]), s, &x->sums[t]));
            }
    }
}

ALWAYS_INLINE void fold_cells(enum fold f, const struct weights *w, uint32_t groups, const struct token_tile *x,
                              float (*y)[GROUPS][GROUP])
{
    struct sums sums;
    if (is_whole(f))
        multiply_whole(w, groups, x, &sums);
    else
        multiply_planes(w, groups, x, &sums);
    for (uint32_t t = 0; t < x->count; t++)
        for (uint32_t g = 0; g < groups; g++) {
            __m512i s = _mm512_load_si512(sums.s[g][0][t]);
            if (f == FOLD_WHOLE)
                s = _mm512_add_epi32(s, _mm512_set1_epi32(x->sums[t].start[0]));
            else if (!is_whole(f))
                s = _mm512_add_epi32(s, _mm512_slli_epi32(_mm512_load_si512(sums.s[g][1][t]), 7));
            _mm512_store_ps(y[t][g], fold_cell(f, _mm512_load_ps(y[t][g]), &w[g].panel,
                                               _mm512_set1_ps(x->d[t * x->blocks * ACT_SCALES]), s, &x->sums[t]));
        }
}

static void fold_tokens(enum fold f, const struct weights *w, uint32_t groups, uint32_t n, const struct token_tile *x,
                        float (*y)[GROUPS][GROUP])
{
    switch (f) {
    case FOLD_BLOCKS: fold_blocks(FOLD_BLOCKS, w, groups, n, x, y); return;
    case FOLD_BLOCKS_MIN: fold_blocks(FOLD_BLOCKS_MIN, w, groups, n, x, y); return;
    case FOLD_WHOLE: fold_cells(FOLD_WHOLE, w, groups, x, y); return;
    case FOLD_WHOLE_MIN: fold_cells(FOLD_WHOLE_MIN, w, groups, x, y); return;
    case FOLD_WORDS_MIN:
    case FOLD_LONGS_MIN: fold_cells(FOLD_WORDS_MIN, w, groups, x, y); return;     /* the scales are in the planes */
    case FOLD_LONGS:
    case FOLD_LONGS_16: fold_cells(FOLD_LONGS, w, groups, x, y); return;
    }
    ENSURE(false);
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

/* One or two groups from row on, n tokens from `token` on. */
static void multiply_groups(const struct matrix *m, const struct acts *acts, size_t token, uint32_t n, uint32_t row,
                            uint32_t groups, struct results *r)
{
    const struct panel_kind kind = panel_kind(m->type);
    const size_t group_bytes = packed_group_bytes(m->type, m->cols);
    const uint8_t *cell = m->packed + row / GROUP * group_bytes;
    struct weights w[GROUPS];
    struct token_tile x;
    memset(r->y, 0, n * sizeof *r->y);
    for (uint32_t first = 0; first < m->cols; first += CELL_COLS) {
        uint32_t blocks = packed_cell_blocks(m->type, m->cols, first);
        for (uint32_t g = 0; g < groups; g++)
            weights_fill(m->type, &kind, cell + g * group_bytes, blocks, &w[g]);
        for (uint32_t t = 0; t < n; t += TOKENS) {
            token_tile_init(&x, acts, token + t, n - t < TOKENS ? n - t : TOKENS, first / CELL_COLS, &kind);
            fold_tokens(kind.fold, w, groups, blocks, &x, r->y + t);
        }
        cell += packed_cell_bytes(m->type, blocks);
    }
}

void amx_gemm(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
              size_t stride)
{
    struct results r;
    tiles_begin(has_blocks(panel_kind(w->type).fold) ? &SHAPES_BLOCKS : &SHAPES_CELLS);
    for (uint32_t t = 0; t < n; t += BATCH) {
        uint32_t some = n - t < BATCH ? n - t : BATCH;
        for (uint32_t row = begin; row < end; row += GROUPS * GROUP) {
            uint32_t groups = end - row > GROUP ? GROUPS : 1;
            multiply_groups(w, x, t, some, row, groups, &r);
            for (uint32_t g = 0; g < groups; g++) {
                uint32_t at = row + g * GROUP;
                __mmask16 rows = (__mmask16)(end - at >= GROUP ? 0xffffu : (1u << (end - at)) - 1);
                for (uint32_t i = 0; i < some; i++)
                    _mm512_mask_storeu_ps(y + (t + i) * stride + at, rows, _mm512_load_ps(r.y[i][g]));
            }
        }
    }
    tiles_end();
}
