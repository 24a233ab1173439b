/* test_kvcache.c - pages: random reserving and releasing against a list, and what is written is read back. */
#include "tests/test.h"

#include <string.h>

#include "kernels/kvcache.h"

enum { SLOTS = 5, PAGES = 12, PER_SLOT = 6, LAYERS = 2, HEADS = 3, DIM = 18, POSITIONS = PER_SLOT * CHUNK };

/* Every page belongs to exactly one slot or to the free list. */
static void assert_pages_are_partitioned(const struct kvcache *kv)
{
    uint32_t owners[PAGES] = { 0 };
    for (uint32_t i = 0; i < kv->pages.free_count; i++)
        owners[kv->pages.free[i]]++;
    for (uint32_t s = 0; s < kv->pages.slots; s++)
        for (uint32_t i = 0; i < kv->pages.held[s]; i++)
            owners[kv->pages.tables[s * kv->pages.per_slot + i]]++;
    for (uint32_t p = 0; p < PAGES; p++)
        assert_int_equal(owners[p], 1);
}

static void random_slots_never_share_a_page(void **state)
{
    (void)state;
    struct kvcache kv;
    struct rng r;
    uint32_t held[SLOTS] = { 0 }, used = 0;
    rng_init(&r, 31);
    assert_ok(kvcache_init(&kv, LAYERS, HEADS, DIM, SLOTS, PAGES, PER_SLOT));
    for (int round = 0; round < 5000; round++) {
        uint32_t slot = (uint32_t)rng_below(&r, SLOTS);
        if (held[slot] > 0 && rng_below(&r, 2) == 0) {     /* grows or shrinks; what it keeps stays where it is */
            uint32_t before[PER_SLOT], need = 1 + (uint32_t)rng_below(&r, PER_SLOT), kept = need < held[slot] ? need : held[slot];
            const uint32_t *table = kv.pages.tables + slot * kv.pages.per_slot;
            memcpy(before, table, sizeof before);
            enum err expected = used - held[slot] + need > PAGES ? ERR_CAPACITY : OK;
            assert_err(kvpages_reserve(&kv.pages, slot, need * CHUNK), expected);
            assert_memory_equal(before, table, kept * sizeof before[0]);
            if (expected == OK) {
                used += need - held[slot];
                held[slot] = need;
            }
        } else if (held[slot] > 0) {
            kvpages_release(&kv.pages, slot);
            used -= held[slot];
            held[slot] = 0;
        } else {
            uint32_t positions = 1 + (uint32_t)rng_below(&r, POSITIONS + CHUNK), need = (positions + CHUNK - 1) / CHUNK;
            enum err expected = need > PER_SLOT ? ERR_CONTEXT : used + need > PAGES ? ERR_CAPACITY : OK;
            assert_err(kvpages_reserve(&kv.pages, slot, positions), expected);
            held[slot] = expected == OK ? need : 0;
            used += held[slot];
        }
        assert_int_equal(kv.pages.free_count, PAGES - used);
        assert_pages_are_partitioned(&kv);
    }
    kvcache_fini(&kv);
}

/* Values that tell where they belong. */
static int8_t mark(uint32_t slot, uint32_t position, uint32_t layer, uint32_t head, uint32_t i)
{
    return (int8_t)((slot * 31 + position * 7 + layer * 57 + head * 13 + i * 3) % 255 - 127);
}

static void what_is_written_lies_where_the_tiles_say(void **state)
{
    (void)state;
    struct kvcache kv;
    assert_ok(kvcache_init(&kv, LAYERS, HEADS, DIM, SLOTS, PAGES, PER_SLOT));
    assert_ok(kvpages_reserve(&kv.pages, 3, 600));
    assert_ok(kvpages_reserve(&kv.pages, 1, 300));
    for (uint32_t at = 0; at < 300 * 2 * LAYERS * HEADS; at++) {
        uint32_t head = at % HEADS, layer = at / HEADS % LAYERS, slot = at / HEADS / LAYERS % 2 ? 3 : 1;
        uint32_t position = at / HEADS / LAYERS / 2;
        struct kv_head k = { .d = (float)position }, v = { .d = (float)head };
        for (uint32_t i = 0; i < DIM; i++) {
            k.high[i] = mark(slot, position, layer, head, i);
            k.low[i] = (int8_t)~k.high[i];
            v.high[i] = (int8_t)-k.high[i];
            v.low[i] = (int8_t)~v.high[i];
        }
        kvcache_write(&kv, slot, position, layer, head, &k, &v);
    }
    for (uint32_t slot = 1; slot <= 3; slot += 2)
        for (uint32_t position = 0; position < 300; position += 11)
            for (uint32_t head = 0; head < HEADS; head++) {
                struct kv_chunk c = kvcache_chunk(&kv, slot, position / CHUNK, 1, head);
                uint32_t j = position % TILE;
                size_t tile = (size_t)(position % CHUNK / TILE) * LIMBS * TILE * kv.width, low = (size_t)TILE * kv.width;
                for (uint32_t i = 0; i < kv.width; i++) {
                    int8_t expected = i < DIM ? mark(slot, position, 1, head, i) : 0;
                    const int8_t *key = &c.keys[tile + (i / 4 * TILE + j) * 4 + i % 4];
                    const int8_t *value = &c.values[tile + (j / 2 * kv.width + i) * 2 + j % 2];
                    assert_int_equal(key[0], expected);
                    assert_int_equal(value[0], -expected);
                    assert_int_equal(key[low], i < DIM ? ~expected : 0);
                    assert_int_equal(value[low], i < DIM ? ~-expected : 0);
                }
                assert_true(c.key_scales[position % CHUNK] == (float)position);
                assert_true(c.value_scales[position % CHUNK] == (float)head);
            }
    kvcache_fini(&kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_slots_never_share_a_page),
        cmocka_unit_test(what_is_written_lies_where_the_tiles_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
