/* test_trust.c - disgrace comes, doubles, passes, and is bounded. */
#include "tests/test.h"

#include <string.h>

#include "node/trust.h"

static struct node_id node(int n)
{
    struct node_id id;
    memset(&id, 0, sizeof id);
    memcpy(id.h.b, &n, sizeof n);
    return id;
}

static void disgrace_doubles_and_passes(void **state)
{
    (void)state;
    struct trust t;
    struct mono now = { 1000000 };
    struct node_id a = node(1), b = node(2);
    trust_init(&t);
    assert_false(trust_is_bad(&t, now, &a));
    trust_failed(&t, now, &a);
    assert_true(trust_is_bad(&t, now, &a));
    assert_false(trust_is_bad(&t, now, &b));
    now = mono_add_ms(now, TRUST_FIRST_MS);
    assert_false(trust_is_bad(&t, now, &a));
    trust_failed(&t, now, &a);                             /* soon again: twice as long */
    assert_true(trust_is_bad(&t, mono_add_ms(now, 2 * TRUST_FIRST_MS - 1), &a));
    assert_false(trust_is_bad(&t, mono_add_ms(now, 2 * TRUST_FIRST_MS), &a));
    now = mono_add_ms(now, 4 * TRUST_FIRST_MS);
    trust_failed(&t, now, &a);                             /* long after: counted from one again */
    assert_false(trust_is_bad(&t, mono_add_ms(now, TRUST_FIRST_MS), &a));
    trust_failed(&t, now, &a);
    trust_delivered(&t, &a);
    assert_false(trust_is_bad(&t, now, &a));
    for (int i = 0; i < 40; i++)
        trust_failed(&t, now, &a);
    assert_false(trust_is_bad(&t, mono_add_ms(now, (uint64_t)TRUST_FIRST_MS << TRUST_DOUBLINGS_MAX), &a));
}

static void a_full_memory_forgets_who_is_nearly_free(void **state)
{
    (void)state;
    struct trust t;
    trust_init(&t);
    for (int i = 0; i < TRUST_ENTRIES_MAX + 10; i++) {
        struct node_id id = node(i);
        trust_failed(&t, (struct mono){ 1000u * (unsigned)(i + 1) }, &id);
    }
    struct mono now = { 1000000 };
    for (int i = 0; i < TRUST_ENTRIES_MAX + 10; i++) {
        struct node_id id = node(i);
        assert_int_equal(trust_is_bad(&t, now, &id), i >= 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disgrace_doubles_and_passes),
        cmocka_unit_test(a_full_memory_forgets_who_is_nearly_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
