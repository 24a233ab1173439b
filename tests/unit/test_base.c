/* test_base.c - the error table, bytes and the seeded generator. */
#include "tests/test.h"

#include <string.h>

static void every_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        assert_non_null(err_name((enum err)e));
        assert_true(strlen(err_text((enum err)e)) > 1);
    }
    assert_string_equal(err_name((enum err)9999), "ERR_UNKNOWN");
}

static void same_seed_same_numbers(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_init(&a, 7);
    rng_init(&b, 7);
    rng_init(&c, 8);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        differ += x != rng_next(&c);
    }
    assert_true(differ > 90);
    for (int i = 0; i < 1000; i++)
        assert_true(rng_below(&a, 10) < 10);
}

static void bytes_compare_by_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_text("ab"), bytes_of("ab", 2)));
    assert_false(bytes_equal(bytes_text("ab"), bytes_text("abc")));
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_text("")));
}

static void deadlines_do_not_wrap(void **state)
{
    (void)state;
    assert_true(mono_add_ms(MONO_NEVER, 1).us == UINT64_MAX);
    assert_true(mono_ms_between((struct mono){ 5000 }, (struct mono){ 1000 }) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_and_a_text),
        cmocka_unit_test(same_seed_same_numbers),
        cmocka_unit_test(bytes_compare_by_content),
        cmocka_unit_test(deadlines_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
