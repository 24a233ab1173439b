/* test_unpaid.c - places are taken by beginning and given back by signing or by time; newcomers share theirs. */
#include "tests/test.h"

#include "node/unpaid.h"

static struct pubkey key(uint32_t n) { return (struct pubkey){ { (uint8_t)n, (uint8_t)(n >> 8), 1 } }; }

static const struct mono start = { 5000 * 1000 };
static struct mono at(uint64_t ms) { return mono_add_ms(start, ms); }

static void places_come_back_by_signing_and_by_time(void **state)
{
    (void)state;
    static struct unpaid u;
    struct pubkey a = key(1), b = key(2);
    u = (struct unpaid){ .newcomers_free_at = { 0 } };
    assert_int_equal(unpaid_places(&u, start, &a, false), UNPAID_JOBS_MAX);
    for (uint32_t i = 1; i <= UNPAID_JOBS_MAX; i++) {
        unpaid_begun(&u, start, &a, false);
        assert_int_equal(unpaid_places(&u, start, &a, false), UNPAID_JOBS_MAX - i);
    }
    assert_int_equal(unpaid_places(&u, start, &b, false), UNPAID_JOBS_MAX);
    assert_int_equal(unpaid_places(&u, at(UNPAID_PAUSE_MS - 1), &a, false), 0);
    assert_int_equal(unpaid_places(&u, at(UNPAID_PAUSE_MS), &a, false), 1);
    unpaid_signed(&u, &a, false);
    assert_int_equal(unpaid_places(&u, start, &a, false), 1);
    unpaid_signed(&u, &b, false);                          /* unknown: nothing */
    assert_int_equal(unpaid_places(&u, at((uint64_t)UNPAID_PAUSE_MS * UNPAID_JOBS_MAX), &a, false), UNPAID_JOBS_MAX);
    for (int i = 0; i < 5; i++)                            /* no places beyond the bound, however much is signed */
        unpaid_signed(&u, &a, false);
    uint64_t later = 2 * (uint64_t)UNPAID_PAUSE_MS * UNPAID_JOBS_MAX;
    unpaid_begun(&u, at(later), &a, false);
    assert_int_equal(unpaid_places(&u, at(later), &a, false), UNPAID_JOBS_MAX - 1);
}

/* As many keys as one likes: together they begin no more than the newcomers may, and who has a history does not notice. */
static void newcomers_share_their_places(void **state)
{
    (void)state;
    static struct unpaid u;
    u = (struct unpaid){ .newcomers_free_at = { 0 } };
    struct pubkey known = key(60000);
    uint32_t begun = 0;
    for (uint32_t i = 0; i < 4 * UNPAID_NEWCOMERS_MAX; i++) {
        struct pubkey k = key(i);
        if (unpaid_places(&u, start, &k, true) == 0)
            continue;
        unpaid_begun(&u, start, &k, true);
        begun++;
    }
    assert_int_equal(begun, UNPAID_NEWCOMERS_MAX);
    assert_int_equal(unpaid_places(&u, start, &known, false), UNPAID_JOBS_MAX);
    struct pubkey first = key(0), fresh = key(50000);
    assert_int_equal(unpaid_places(&u, start, &fresh, true), 0);
    unpaid_signed(&u, &first, true);
    assert_int_equal(unpaid_places(&u, start, &fresh, true), 1);
    assert_int_equal(unpaid_places(&u, at(3 * UNPAID_NEWCOMERS_PAUSE_MS), &fresh, true), 4);
}

/* A full table forgets who has least to be forgotten. */
static void a_full_table_keeps_the_worst(void **state)
{
    (void)state;
    static struct unpaid u;
    u = (struct unpaid){ .newcomers_free_at = { 0 } };
    struct pubkey worst = key(1);
    for (uint32_t i = 0; i < UNPAID_JOBS_MAX; i++)
        unpaid_begun(&u, start, &worst, false);
    for (uint32_t i = 2; i < 3 * UNPAID_REQUESTERS_MAX; i++) {
        struct pubkey k = key(i);
        unpaid_begun(&u, start, &k, false);
    }
    assert_int_equal(unpaid_places(&u, start, &worst, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_come_back_by_signing_and_by_time),
        cmocka_unit_test(newcomers_share_their_places),
        cmocka_unit_test(a_full_table_keeps_the_worst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
