/* test_attention.c - does a query see the same alone and beside others, whatever becomes of those? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/backend.h"
#include "tests/kernels/random_input.h"

/* DIM is not a width, and the width is no multiple of 32. The key at LOUD_AT is so large that a loud query
 * overflows. */
enum { POSITIONS = 600, DIM = 76, QUERIES = 64, LOUD = QUERIES - 2, POISONED = QUERIES - 1, LOUD_AT = 300 };

struct past {
    struct kvcache kv;
    float keys[POSITIONS][DIM], values[POSITIONS][DIM];
    float q[QUERIES][DIM];
};

static void scale(float v[DIM], float by)
{
    for (uint32_t k = 0; k < DIM; k++)
        v[k] = v[k] * by;
}

static void past_init(struct past *p, struct rng *r)
{
    assert_int_equal(kvcache_init(&p->kv, 1, 1, DIM, 1, 3, 3), OK);
    assert_int_equal(kvpages_reserve(&p->kv.pages, 0, POSITIONS), OK);
    for (uint32_t i = 0; i < POSITIONS; i++) {
        struct kv_head key, value;
        input_values(r, INPUT_ORDINARY, p->keys[i], DIM);
        scale(p->keys[i], i == LOUD_AT ? 1e3f : 1.0f);
        input_values(r, INPUT_ORDINARY, p->values[i], DIM);
        assert_true(ops_ref.quantize_head(p->keys[i], DIM, key.high, key.low, &key.d));
        assert_true(ops_ref.quantize_head(p->values[i], DIM, value.high, value.low, &value.d));
        kvcache_write(&p->kv, 0, i, 0, 0, &key, &value);
    }
    for (uint32_t i = 0; i < QUERIES; i++)
        input_values(r, INPUT_ORDINARY, p->q[i], DIM);
    scale(p->q[LOUD], 1e37f);
    p->q[POISONED][3] = NAN;
}

#define SCALE 0.2f

static uint32_t below(struct rng *r, uint32_t n) { return (uint32_t)rng_below(r, n); }

static struct attn_queries some(const struct past *p, const uint32_t *which, const uint32_t *positions, uint32_t count,
                                float out[][DIM])
{
    struct attn_queries s = { .score_scale = SCALE, .count = count };
    for (uint32_t i = 0; i < count; i++)
        s.each[i] = (struct attn_query){ p->q[which[i]], positions[i], out[i] };
    return s;
}

/* Positions around the borders of tiles and chunks, ascending; now and then a query that is not finite, or whose
 * score is not, from LOUD_AT on. */
static void alone_and_together(void **state)
{
    (void)state;
    struct rng r;
    static struct past p;
    rng_init(&r, 7);
    past_init(&p, &r);
    for (uint32_t b = 0; backend_at(b); b++)
        for (uint32_t round = 0; round < 200; round++) {
            uint32_t count = 1 + below(&r, ATTN_QUERIES), which[ATTN_QUERIES], positions[ATTN_QUERIES];
            uint32_t border = (1 + below(&r, 8)) * TILE;
            uint32_t position = round % 3 == 0 ? below(&r, POSITIONS - 80) : border - 2 + below(&r, 4);
            float together[ATTN_QUERIES][DIM], alone[1][DIM];
            for (uint32_t i = 0; i < count; i++) {
                which[i] = below(&r, 3) == 0 ? LOUD + below(&r, 2) : below(&r, LOUD);
                positions[i] = position;
                position += below(&r, 4) == 0 ? 20 : below(&r, 2);
            }
            struct attn_queries all = some(&p, which, positions, count, together);
            uint32_t failed = attention(backend_at(b), &p.kv, &all);
            for (uint32_t i = 0; i < count; i++) {
                struct attn_queries one = some(&p, which + i, positions + i, 1, alone);
                uint32_t bad = attention(&ops_ref, &p.kv, &one);
                assert_int_equal(bad, which[i] == POISONED || (which[i] == LOUD && positions[i] >= LOUD_AT));
                assert_int_equal(failed >> i & 1, bad);
                assert_memory_equal(together[i], alone[0], sizeof alone[0]);
            }
        }
    kvcache_fini(&p.kv);
}

/* One softmax over all of the past, in fp64: whatever is done tile by tile and chunk by chunk must come near it. */
static void near_one_softmax(const struct past *p, uint32_t query, uint32_t position)
{
    double max = -INFINITY, total = 0, sum[DIM] = { 0 }, score[POSITIONS];
    for (uint32_t j = 0; j <= position; j++) {
        score[j] = 0;
        for (uint32_t k = 0; k < DIM; k++)
            score[j] += (double)SCALE * (double)p->q[query][k] * (double)p->keys[j][k];
        max = score[j] > max ? score[j] : max;
    }
    for (uint32_t j = 0; j <= position; j++) {
        total += exp2(score[j] - max);
        for (uint32_t k = 0; k < DIM; k++)
            sum[k] += exp2(score[j] - max) * (double)p->values[j][k];
    }
    float out[1][DIM];
    struct attn_queries one = some(p, &query, &position, 1, out);
    assert_int_equal(attention(&ops_ref, &p->kv, &one), 0);
    for (uint32_t k = 0; k < DIM; k++)
        assert_true(fabs((double)out[0][k] - sum[k] / total) < 5e-4);
}

static void over_several_chunks(void **state)
{
    (void)state;
    static const uint32_t positions[] = { 0, 1, 63, 64, 65, 255, 256, 257, 299, 400, 511, 512, 599 };
    struct rng r;
    static struct past p;
    rng_init(&r, 8);
    past_init(&p, &r);
    for (uint32_t i = 0; i < ARRAY_COUNT(positions); i++)
        for (uint32_t query = 0; query < 8; query++)
            near_one_softmax(&p, query, positions[i]);
    kvcache_fini(&p.kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(alone_and_together),
                                        cmocka_unit_test(over_several_chunks) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
