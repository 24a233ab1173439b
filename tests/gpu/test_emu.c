/* test_emu.c - does the emulated device see what it is there to see, and nothing else? */
#include "tests/test.h"

#include <string.h>

#include "tests/gpu/emu.h"
#include "tests/gpu/emu_faults.h"

static const struct {
    enum fault_case which;
    const char *word;                        /* what the first fault must speak of */
} CASES[] = {
    { FAULT_neighbours, "race" },          { FAULT_warp_neighbours, "race" }, { FAULT_write_after_read, "race" },
    { FAULT_one_place, "race" },           { FAULT_blocks_share, "race" },    { FAULT_missing_thread, "deadlock" },
    { FAULT_diverging, "divergence" },     { FAULT_beyond_buffer, "stray" },  { FAULT_beyond_shared, "stray" },
    { FAULT_never_written, "nobody wrote" }, { FAULT_bytes_of_a_word, "race" },
    { FAULT_reads_early, "early access" },   { FAULT_writes_early, "early access" },
    { FAULT_never_waits, "early access" },
};

static void each_fault_is_seen(void **state)
{
    (void)state;
    uint32_t *out = emu_alloc("out", 2 * 64 * 4), *from = emu_alloc("from", 64 * 4);
    emu_make_constant(from);
    for (uint64_t seed = 0; seed < 20; seed++)
        for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
            const char *first;
            memset(out, 0, 2 * 64 * 4);
            emu_set_seed(seed);
            emu_faults_run(CASES[i].which, out, from, true);
            if (emu_take_faults(&first) != 0)
                fail_msg("case %zu, seed %llu, done rightly: %s", i, (unsigned long long)seed, first);
            emu_expect_faults(true);
            emu_faults_run(CASES[i].which, out, from, false);
            emu_expect_faults(false);
            if (emu_take_faults(&first) == 0 || !strstr(first, CASES[i].word))
                fail_msg("case %zu, seed %llu: \"%s\", expected a %s", i, (unsigned long long)seed, first,
                         CASES[i].word);
        }
    emu_set_seed(0);
    emu_free(from);
    emu_free(out);
}

static void copies_are_junk_until_waited_for(void **state)
{
    (void)state;
    uint32_t *out = emu_alloc("out", 2 * 64 * 4), *from = emu_alloc("from", 64 * 4);
    for (uint32_t i = 0; i < 64; i++)
        from[i] = i;
    emu_make_constant(from);
    emu_faults_run(FAULT_copies, out, from, true);
    assert_int_equal(emu_take_faults(NULL), 0);
    assert_memory_equal(out, from, 64 * 4);
    memset(out, 0, 2 * 64 * 4);
    emu_expect_faults(true);
    emu_faults_run(FAULT_copies, out, from, false);
    emu_expect_faults(false);
    assert_int_equal(emu_take_faults(NULL), 2 * 64);
    for (uint32_t i = 0; i < 128; i++)
        assert_int_equal(out[i], 0xcdcdcdcd);
    emu_free(from);
    emu_free(out);
}

/* A kernel must not write what is constant, nor touch what was given back. */
static void buffers_are_guarded(void **state)
{
    (void)state;
    uint32_t *out = emu_alloc("out", 2 * 64 * 4);
    emu_make_constant(out);
    emu_expect_faults(true);
    emu_faults_run(FAULT_neighbours, out, NULL, true);
    assert_int_equal(emu_take_faults(NULL), 2 * 64);
    emu_free(out);
    emu_faults_run(FAULT_neighbours, out, NULL, true);
    emu_expect_faults(false);
    assert_int_equal(emu_take_faults(NULL), 2 * 64);
}

static void fragments_multiply(void **state)
{
    (void)state;
    int8_t *a = emu_alloc("a", 16 * 32), *b = emu_alloc("b", 8 * 32);
    int32_t *c = emu_alloc("c", 16 * 8 * 4);
    struct rng r;
    rng_init(&r, 3);
    for (uint32_t round = 0; round < 8; round++) {
        rng_bytes(&r, a, 16 * 32);
        rng_bytes(&r, b, 8 * 32);
        emu_multiply_tiles(a, b, c, round % 2);
        for (uint32_t i = 0; i < 16; i++)
            for (uint32_t j = 0; j < 8; j++) {
                int32_t sum = 0;
                for (uint32_t k = 0; k < 32; k++)
                    sum += a[i * 32 + k] * b[j * 32 + k];
                assert_int_equal(c[i * 8 + j], sum);
            }
    }
    assert_int_equal(emu_take_faults(NULL), 0);
    emu_free(c);
    emu_free(b);
    emu_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_seen),
        cmocka_unit_test(copies_are_junk_until_waited_for),
        cmocka_unit_test(buffers_are_guarded),
        cmocka_unit_test(fragments_multiply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
