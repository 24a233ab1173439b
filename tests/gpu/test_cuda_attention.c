/* test_cuda_attention.c - rotation, cache and attention on the emulated device against the law's: every head shape,
 * contexts across the borders of tiles and chunks, several slots, both ways of walking through the chunks. memcmp. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/cuda/tiles.h"
#include "kernels/ops.h"
#include "tests/gpu/emu.h"
#include "tests/kernels/random_input.h"

enum { LAYERS = 2, LAYER = 1, SLOTS = 3 };
#ifdef TM_ON_SILICON
enum { PER_SLOT = 24, PAGES = 40 };
#else
enum { PER_SLOT = 4, PAGES = 7 };
#endif
enum { POSITIONS = PER_SLOT * CHUNK };

/* Each slot holds `before` positions; then a pass brings `more` rows of each. */
struct shape {
    uint32_t heads, kv_heads, head_dim, rope_dims, before[SLOTS], more[SLOTS];
};

struct rig {
    struct shape s;
    struct kvcache right;                    /* the law's */
    struct cuda_cache cache;
    uint32_t *tables;
    float *rotations;
    struct rng rng;
};

static void rig_init(struct rig *g, const struct shape *s, uint64_t seed)
{
    *g = (struct rig){ .s = *s };
    rng_init(&g->rng, seed);
    assert_ok(kvcache_init(&g->right, LAYERS, s->kv_heads, s->head_dim, SLOTS, PAGES, PER_SLOT));
    g->tables = emu_alloc("tables", SLOTS * PER_SLOT * sizeof *g->tables);
    for (uint32_t slot = SLOTS; slot-- > 0;)
        assert_ok(kvpages_reserve(&g->right.pages, slot, s->before[slot] + s->more[slot]));
    memcpy(g->tables, g->right.pages.tables, SLOTS * PER_SLOT * sizeof *g->tables);
    emu_make_constant(g->tables);
    g->cache = (struct cuda_cache){ .tables = g->tables, .pages_per_slot = PER_SLOT, .kv_heads = s->kv_heads,
                                    .head_dim = s->head_dim, .width = cuda_head_width(s->head_dim),
                                    .head_bytes = cuda_head_bytes(s->head_dim) };
    g->cache.page_bytes = g->cache.head_bytes * s->kv_heads * LAYERS;
    g->cache.base = emu_alloc("cache", g->cache.page_bytes * PAGES);
    g->rotations = emu_alloc("rotations", (size_t)POSITIONS * (s->rope_dims + 1) * sizeof(float));
    input_values(&g->rng, INPUT_ORDINARY, g->rotations, POSITIONS * s->rope_dims);
    emu_make_constant(g->rotations);
}

static void rig_fini(struct rig *g)
{
    emu_free(g->rotations);
    emu_free(g->cache.base);
    emu_free(g->tables);
    kvcache_fini(&g->right);
}

/* A batch on both sides. */
struct batch {
    uint32_t n;
    struct cuda_row *rows;
    float *q, *k, *v, *o, *cq;
    int8_t *q8;
    uint32_t *bad;
};

static void batch_init(struct batch *b, struct rig *g, bool later)
{
    const struct shape *s = &g->s;
    uint32_t q_dim = s->heads * s->head_dim, kv_dim = s->kv_heads * s->head_dim, i = 0;
    b->n = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        b->n += later ? s->more[slot] : s->before[slot];
    b->rows = emu_alloc("rows", b->n * sizeof *b->rows);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        for (uint32_t p = 0; p < (later ? s->more[slot] : s->before[slot]); p++)
            b->rows[i++] = (struct cuda_row){ .slot = slot, .position = later ? s->before[slot] + p : p };
    b->q = emu_alloc("q", (size_t)b->n * q_dim * 4);
    b->o = emu_alloc("o", (size_t)b->n * q_dim * 4);
    b->k = emu_alloc("k", (size_t)b->n * kv_dim * 4);
    b->v = emu_alloc("v", (size_t)b->n * kv_dim * 4);
    b->q8 = emu_alloc("q8", (size_t)b->n * s->heads * LIMBS * g->cache.width);
    b->cq = emu_alloc("cq", (size_t)b->n * s->heads * 4);
    b->bad = emu_alloc("bad", b->n * 4);
    memset(b->bad, 0, b->n * 4);
    input_values(&g->rng, INPUT_ORDINARY, b->q, b->n * q_dim);
    input_values(&g->rng, INPUT_ORDINARY, b->k, b->n * kv_dim);
    input_values(&g->rng, INPUT_ORDINARY, b->v, b->n * kv_dim);
    for (uint32_t r = 0; r < b->n; r++)                    /* some heads stand out, some are nothing */
        for (uint32_t d = 0; d < s->head_dim; d++) {
            b->q[r * q_dim + d] *= 40.0f;
            b->v[r * kv_dim + d] *= r % 7 == 3 ? 0x1p-110f : 1.0f;
        }
}

static void batch_fini(struct batch *b)
{
    void *all[] = { b->bad, b->cq, b->q8, b->v, b->k, b->o, b->q, b->rows };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        emu_free(all[i]);
}

static float score_scale(const struct shape *s) { return (float)(0x1.71547652b82fep+0 / sqrt((double)s->head_dim)); }

static void store(struct rig *g, struct batch *b)
{
    const char *first;
    struct cuda_heads heads = { .q = b->q, .k = b->k, .v = b->v, .rotations = g->rotations, .rows = b->rows,
                                .cache = g->cache, .n = b->n, .heads = g->s.heads, .rope_dims = g->s.rope_dims,
                                .layer = LAYER,
                                .score_scale = score_scale(&g->s), .q8 = b->q8, .cq = b->cq, .bad = b->bad };
    if (b->n > 0)
        cuda_store_heads(&heads, NULL);
    if (emu_take_faults(&first) != 0)
        fail_msg("store_heads: %s", first);
}

/* The law's side of store(); queries are rotated in place. False: the row is bad. */
static bool store_right(struct rig *g, struct batch *b, uint32_t row)
{
    const struct shape *s = &g->s;
    const float *cs = g->rotations + (size_t)b->rows[row].position * s->rope_dims;
    bool fine = true;
    for (uint32_t h = 0; h < s->kv_heads; h++) {
        struct kv_head k, v;
        size_t at = ((size_t)row * s->kv_heads + h) * s->head_dim;
        ops_ref.rope(b->k + at, cs, s->rope_dims / 2);
        fine = ops_ref.quantize_head(b->k + at, s->head_dim, k.high, k.low, &k.d) && fine;
        fine = ops_ref.quantize_head(b->v + at, s->head_dim, v.high, v.low, &v.d) && fine;
        kvcache_write(&g->right, b->rows[row].slot, b->rows[row].position, LAYER, h, &k, &v);
    }
    for (uint32_t h = 0; h < s->heads; h++)
        ops_ref.rope(b->q + ((size_t)row * s->heads + h) * s->head_dim, cs, s->rope_dims / 2);
    return fine;
}

static void attend(struct rig *g, struct batch *b, bool split, bool one_row, const struct cuda_acts *acts)
{
    const char *first;
    uint32_t group = g->s.heads / g->s.kv_heads, chunks = 0, count;
    struct cuda_query_tile *tiles = emu_alloc("tiles", tiles_max(b->n, group) * sizeof *tiles);
    for (uint32_t r = 0; r < b->n; r++)
        chunks = b->rows[r].position / CHUNK + 1 > chunks ? b->rows[r].position / CHUNK + 1 : chunks;
    count = tiles_fill(b->rows, b->n, group, one_row, tiles);
    assert_true(count <= tiles_max(b->n, group));
    size_t parts = cuda_partial_floats(b->n, g->s.heads, chunks, g->s.head_dim);
    float *partial = split ? emu_alloc("partial", parts * sizeof *partial) : NULL;
    struct cuda_attention a = { .q8 = b->q8, .cq = b->cq, .rows = b->rows, .tiles = tiles, .cache = g->cache,
                                .tile_count = count, .n = b->n, .heads = g->s.heads, .layer = LAYER, .chunks = chunks,
                                .partial = partial, .o = b->o, .acts = acts, .bad = b->bad };
    cuda_attend(&a, NULL);
    if (emu_take_faults(&first) != 0)
        fail_msg("attend: %s", first);
    emu_free(partial);
    emu_free(tiles);
}

/* Queries of b were rotated by store_right(). */
static void assert_same_answers(struct rig *g, struct batch *b, const char *how)
{
    const struct shape *s = &g->s;
    float right[HEAD_DIM_MAX];
    for (uint32_t r = 0; r < b->n; r++)
        for (uint32_t h = 0; h < s->heads; h++) {
            size_t at = ((size_t)r * s->heads + h) * s->head_dim;
            struct attn_queries query = { .slot = b->rows[r].slot, .layer = LAYER,
                                          .kv_head = h / (s->heads / s->kv_heads), .score_scale = score_scale(s),
                                          .count = 1, .each = { { b->q + at, b->rows[r].position, right } } };
            bool fine = attention(&ops_ref, &g->right, &query) == 0;
            if (!fine && !b->bad[r])
                fail_msg("%s: row %u is bad and nobody noticed", how, r);
            for (uint32_t i = 0; i < s->head_dim && !b->bad[r]; i++)
                if (float_bits(right[i]) != float_bits(b->o[at + i]))
                    fail_msg("%s, %u/%u heads of %u, position %u, head %u, dimension %u: %08x, expected %08x", how,
                             s->heads, s->kv_heads, s->head_dim, b->rows[r].position, h, i, float_bits(b->o[at + i]),
                             float_bits(right[i]));
        }
}

struct acts_of_o {
    struct cuda_acts acts;
    size_t blocks;
};

static struct acts_of_o acts_of_o(const struct rig *g, const struct batch *b, uint32_t group)
{
    uint32_t cols = g->s.heads * g->s.head_dim;
    struct acts_of_o a = { .acts = { .cols = cols, .group = group }, .blocks = (size_t)b->n * ops_act_blocks(cols) };
    a.acts.q = emu_alloc("q", a.blocks * CUDA_ACT_BLOCK);
    a.acts.d = emu_alloc("d", a.blocks * CUDA_ACT_SCALES * sizeof(float));
    a.acts.sums = emu_alloc("sums", a.blocks * CUDA_ACT_SUMS);
    return a;
}

static void acts_of_o_free(struct acts_of_o *a)
{
    emu_free(a->acts.sums);
    emu_free(a->acts.d);
    emu_free(a->acts.q);
}

/* o, which is right, quantised by a launch of its own (test_cuda_steps) and on the way. */
static void assert_same_acts(struct rig *g, struct batch *b, uint32_t group)
{
    struct acts_of_o right = acts_of_o(g, b, group), got = acts_of_o(g, b, group);
    cuda_quantize(b->o, b->n, &right.acts, b->bad, NULL);
    for (uint32_t split = 2; split-- > 0;) {                /* the last leaves o as it was */
        memset(got.acts.q, 0xa5, got.blocks * CUDA_ACT_BLOCK);
        memset(b->o, 0xa5, (size_t)b->n * g->s.heads * g->s.head_dim * 4);
        attend(g, b, split, group == 32, &got.acts);
        assert_memory_equal(got.acts.q, right.acts.q, got.blocks * CUDA_ACT_BLOCK);
        assert_memory_equal(got.acts.d, right.acts.d, got.blocks * CUDA_ACT_SCALES * sizeof(float));
        assert_memory_equal(got.acts.sums, right.acts.sums, got.blocks * CUDA_ACT_SUMS);
    }
    acts_of_o_free(&got);
    acts_of_o_free(&right);
}

static void check(const struct shape *s, uint64_t seed)
{
    struct rig g;
    struct batch before, now;
    rig_init(&g, s, seed);
    batch_init(&before, &g, false);
    store(&g, &before);
    for (uint32_t r = 0; r < before.n; r++)
        (void)store_right(&g, &before, r);
    batch_init(&now, &g, true);
    emu_set_seed(rng_next(&g.rng));
    store(&g, &now);
    for (uint32_t r = 0; r < now.n; r++)
        (void)store_right(&g, &now, r);
    for (uint32_t mode = 0; mode < 4; mode++) {
        static const char *const names[] = { "whole", "split", "whole, one row", "split, one row" };
        memset(now.o, 0xa5, (size_t)now.n * s->heads * s->head_dim * 4);
        attend(&g, &now, mode % 2, mode / 2, NULL);
        assert_same_answers(&g, &now, names[mode]);
        for (uint32_t r = 0; r < now.n; r++)
            assert_int_equal(now.bad[r], 0);
    }
    for (uint32_t group = 32; group <= CUDA_ACT_BLOCK; group *= 8)
        assert_same_acts(&g, &now, group);
    emu_set_seed(0);
    batch_fini(&now);
    batch_fini(&before);
    rig_fini(&g);
}

static void answers_are_those_of_the_law(void **state)
{
    static const struct shape shapes[] = {
        { 1, 1, 32, 32, { 0, 0, 0 }, { 1, 2, 3 } },            { 4, 2, 64, 64, { 62, 0, 127 }, { 3, 1, 2 } },
        { 8, 1, 80, 40, { 254, 1, 63 }, { 3, 5, 1 } },         { 3, 3, 96, 96, { 255, 64, 0 }, { 2, 1, 4 } },
        { 6, 2, 128, 128, { 256, 300, 0 }, { 1, 1, 7 } },      { 2, 1, 26, 10, { 511, 0, 191 }, { 2, 1, 1 } },
        { 20, 1, 34, 0, { 0, 70, 0 }, { 2, 1, 1 } },           { 5, 5, 48, 48, { 769, 64, 128 }, { 1, 1, 1 } },
        { 2, 2, 258, 258, { 65, 0, 0 }, { 2, 1, 0 } },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        check(&shapes[i], 100 + i);
}

#ifdef TM_ON_SILICON
/* More than the emulated device has time for. */
static void long_contexts_follow_the_law(void **state)
{
    static const struct shape s = { 32, 8, 128, 128, { 5000, 0, 2100 }, { 1, 300, 5 } };
    (void)state;
    if (getenv("TM_GPU_LARGE"))
        check(&s, 900);
}
#endif

/* A key that is not finite spoils the rows of its slot that see it, and no other slot. */
static void a_bad_row_is_marked(void **state)
{
    static const struct shape s = { 4, 2, 64, 64, { 0, 0, 0 }, { 5, 3, 0 } };
    (void)state;
    struct rig g;
    struct batch b;
    rig_init(&g, &s, 5);
    batch_init(&b, &g, true);
    b.k[(2 * 2 + 1) * 64 + 3] = NAN;                           /* row 2, second kv head */
    b.q[6 * 4 * 64 + 17] = INFINITY;                           /* row 6, of the other slot */
    store(&g, &b);
    for (uint32_t r = 0; r < b.n; r++)
        assert_int_equal(store_right(&g, &b, r), r != 2);
    attend(&g, &b, true, false, NULL);
    for (uint32_t r = 0; r < b.n; r++)
        assert_int_equal(b.bad[r], r == 2 || r == 6);
    assert_same_answers(&g, &b, "with a bad row");
    batch_fini(&b);
    rig_fini(&g);
}

/* cq * dk overflows: the score itself is not finite (NV1 7.2). */
static void a_score_beyond_all_numbers_is_marked(void **state)
{
    static const struct shape s = { 2, 1, 32, 0, { 0, 0, 0 }, { 3, 0, 1 } };
    (void)state;
    struct rig g;
    struct batch b;
    rig_init(&g, &s, 6);
    batch_init(&b, &g, true);
    for (uint32_t i = 0; i < 64; i++)
        b.q[2 * 64 + i] = 0x1p100f;
    for (uint32_t i = 0; i < 32; i++)
        b.k[1 * 32 + i] = 0x1p100f;
    store(&g, &b);
    for (uint32_t r = 0; r < b.n; r++)
        assert_true(store_right(&g, &b, r));
    attend(&g, &b, false, false, NULL);
    for (uint32_t r = 0; r < b.n; r++)
        assert_int_equal(b.bad[r], r == 2);
    assert_same_answers(&g, &b, "with a bad score");
    batch_fini(&b);
    rig_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_those_of_the_law),
        cmocka_unit_test(a_bad_row_is_marked),
        cmocka_unit_test(a_score_beyond_all_numbers_is_marked),
#ifdef TM_ON_SILICON
        cmocka_unit_test(long_contexts_follow_the_law),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
