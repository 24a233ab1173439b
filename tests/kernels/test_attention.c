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
        float v[DIM];
        struct kv_head key, value;
        input_values(r, INPUT_ORDINARY, v, DIM);
        scale(v, i == LOUD_AT ? 1e3f : 1.0f);
        assert_true(ops_ref.quantize_head(v, DIM, key.high, key.low, &key.d));
        input_values(r, INPUT_ORDINARY, v, DIM);
        assert_true(ops_ref.quantize_head(v, DIM, value.high, value.low, &value.d));
        kvcache_write(&p->kv, 0, i, 0, 0, &key, &value);
    }
    for (uint32_t i = 0; i < QUERIES; i++)
        input_values(r, INPUT_ORDINARY, p->q[i], DIM);
    scale(p->q[LOUD], 1e37f);
    p->q[POISONED][3] = NAN;
}

static uint32_t below(struct rng *r, uint32_t n) { return (uint32_t)rng_below(r, n); }

static struct attn_queries some(const struct past *p, const uint32_t *which, const uint32_t *positions, uint32_t count,
                                float out[][DIM])
{
    struct attn_queries s = { .score_scale = 0.2f, .count = count };
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
    struct past p;
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(alone_and_together) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
