/* test_amount.c - money is exact, and says so when it cannot be. */
#include "tests/test.h"

#include <string.h>

#include "ledger/amount.h"

static void cost_is_the_exact_sum(void **state)
{
    (void)state;
    struct tokens t = { 3, 5, 7 };
    struct prices p = { 250000, 25000, 1000000 };
    struct pico cost;
    assert_ok(amount_cost(&t, &p, &cost));
    assert_true(cost.v == 3 * 250000 + 5 * 25000 + 7 * 1000000);
    struct prices one = { 1, 0, 0 };                       /* the smallest price there is: one token costs one pico-credit */
    struct tokens single = { 1, 9, 9 };
    assert_ok(amount_cost(&single, &one, &cost));
    assert_true(cost.v == 1);
}

static void overflow_is_an_error_and_not_a_wrap(void **state)
{
    (void)state;
    struct pico cost = { 42 };
    assert_err(amount_cost(&(struct tokens){ 2, 0, 0 }, &(struct prices){ UINT64_MAX / 2 + 1, 0, 0 }, &cost), ERR_OVERFLOW);
    assert_err(amount_cost(&(struct tokens){ 1, 1, 0 }, &(struct prices){ UINT64_MAX, 1, 0 }, &cost), ERR_OVERFLOW);
    assert_err(amount_cost(&(struct tokens){ 1, 1, 1 }, &(struct prices){ UINT64_MAX - 1, 1, 1 }, &cost), ERR_OVERFLOW);
    assert_err(amount_add((struct pico){ UINT64_MAX }, (struct pico){ 1 }, &cost), ERR_OVERFLOW);
    assert_err(amount_sub((struct pico){ 1 }, (struct pico){ 2 }, &cost), ERR_OVERFLOW);
    assert_true(cost.v == 42);                             /* untouched by every failure */
    assert_ok(amount_cost(&(struct tokens){ 1, 1, 0 }, &(struct prices){ UINT64_MAX - 1, 1, 9 }, &cost));
    assert_true(cost.v == UINT64_MAX);
}

static void text_has_all_twelve_decimals(void **state)
{
    (void)state;
    static const struct { uint64_t v; const char *text; } rows[] = {
        { 0, "0.000000000000" },
        { 1, "0.000000000001" },
        { 750000, "0.000000750000" },
        { UINT64_C(1000000000000), "1.000000000000" },
        { UINT64_MAX, "18446744.073709551615" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[AMOUNT_CHARS_MAX + 1];
        struct pico back;
        amount_format((struct pico){ rows[i].v }, text);
        assert_string_equal(text, rows[i].text);
        assert_ok(amount_parse(text, &back));
        assert_true(back.v == rows[i].v);
    }
}

static void parse_takes_short_forms_and_refuses_the_rest(void **state)
{
    (void)state;
    static const struct { const char *text; enum err e; uint64_t v; } rows[] = {
        { "2", OK, UINT64_C(2000000000000) },
        { "0.5", OK, UINT64_C(500000000000) },
        { "007.000000000001", OK, UINT64_C(7000000000001) },
        { "", ERR_FORMAT, 0 }, { ".5", ERR_FORMAT, 0 }, { "1.", ERR_FORMAT, 0 }, { "-1", ERR_FORMAT, 0 }, { "+1", ERR_FORMAT, 0 },
        { "1 ", ERR_FORMAT, 0 }, { "1e3", ERR_FORMAT, 0 }, { "0x10", ERR_FORMAT, 0 }, { "1.0000000000001", ERR_FORMAT, 0 }, { "1,5", ERR_FORMAT, 0 },
        { "18446744.073709551616", ERR_OVERFLOW, 0 }, { "18446745", ERR_OVERFLOW, 0 }, { "99999999999999999999999", ERR_OVERFLOW, 0 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct pico v = { 99 };
        enum err e = amount_parse(rows[i].text, &v);
        if (e != rows[i].e)
            fail_msg("\"%s\": got %s", rows[i].text, err_name(e));
        assert_true(v.v == (e == OK ? rows[i].v : 99));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_is_the_exact_sum),
        cmocka_unit_test(overflow_is_an_error_and_not_a_wrap),
        cmocka_unit_test(text_has_all_twelve_decimals),
        cmocka_unit_test(parse_takes_short_forms_and_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
