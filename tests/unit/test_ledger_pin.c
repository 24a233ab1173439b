/* test_ledger_pin.c - a name means what it meant when it was first used, over restarts, until somebody says otherwise. */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "tests/ledger_rig.h"

static const struct hash a = { { 1 } }, b = { { 2 } };

static void open_party(struct party *p)
{
    party_init(p, 1);
    assert_ok(party_open(p));
}

static void a_name_keeps_its_first_meaning(void **state)
{
    (void)state;
    struct party p;
    struct pin pin;
    char why[160];
    open_party(&p);
    assert_err(ledger_pin_find(&p.ledger, "tales", &pin), ERR_NOT_FOUND);
    assert_err(ledger_unpin(&p.ledger, "tales"), ERR_NOT_FOUND);
    assert_ok(ledger_pin(&p.ledger, "tales", &a, rig_now));
    assert_ok(ledger_pin(&p.ledger, "tale", &b, rig_now));  /* another name, though it is a beginning of the first */
    assert_ok(store_commit(p.store));
    assert_ok(party_crash(&p));
    assert_err(ledger_pin(&p.ledger, "tales", &b, rig_now), ERR_PINNED);
    assert_ok(ledger_pin(&p.ledger, "tales", &a, (struct wall){ rig_now.ms + 1 }));
    assert_ok(ledger_pin_find(&p.ledger, "tales", &pin));
    assert_true(hash_equal(&pin.model, &a) && pin.since.ms == rig_now.ms && strcmp(pin.name, "tales") == 0);
    assert_ok(ledger_check(&p.ledger, why));
    assert_ok(ledger_unpin(&p.ledger, "tales"));
    assert_ok(ledger_pin(&p.ledger, "tales", &b, rig_now));
    assert_ok(ledger_pin_find(&p.ledger, "tales", &pin));
    assert_true(hash_equal(&pin.model, &b));
    party_fini(&p);
}

static void names_are_listed_in_order_and_bounded(void **state)
{
    (void)state;
    struct party p;
    struct pin pin = { .name = "" };
    char name[MODEL_LABEL_CHARS_MAX + 2];
    open_party(&p);
    for (int i = 0; i < PINS_MAX; i++) {
        snprintf(name, sizeof name, "m%06d", (i * 7) % PINS_MAX);
        assert_ok(ledger_pin(&p.ledger, name, &a, rig_now));
    }
    assert_err(ledger_pin(&p.ledger, "one more", &a, rig_now), ERR_FULL);
    assert_ok(ledger_pin(&p.ledger, "m000000", &a, rig_now));
    for (int i = 0; i < PINS_MAX; i++) {
        snprintf(name, sizeof name, "m%06d", i);
        assert_ok(ledger_pin_next(&p.ledger, &pin));
        assert_string_equal(pin.name, name);
    }
    assert_err(ledger_pin_next(&p.ledger, &pin), ERR_NOT_FOUND);
    memset(name, 'x', sizeof name);
    name[MODEL_LABEL_CHARS_MAX + 1] = 0;
    assert_err(ledger_pin(&p.ledger, name, &a, rig_now), ERR_ARG);
    assert_err(ledger_pin(&p.ledger, "", &a, rig_now), ERR_ARG);
    party_fini(&p);
}

static void damage_is_found(void **state)
{
    (void)state;
    struct party p;
    struct pin pin = { .name = "" };
    char why[160];
    open_party(&p);
    assert_ok(store_put(p.store, STORE_PIN, bytes_text("tales"), bytes_text("nonsense")));
    assert_err(ledger_pin_find(&p.ledger, "tales", &pin), ERR_CORRUPT);
    assert_err(ledger_pin(&p.ledger, "tales", &a, rig_now), ERR_CORRUPT);
    assert_err(ledger_check(&p.ledger, why), ERR_CORRUPT);
    assert_string_equal(why, "pinned name that does not decode (number 1)");
    assert_ok(ledger_unpin(&p.ledger, "tales"));           /* the way out */
    assert_ok(ledger_check(&p.ledger, why));
    party_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_keeps_its_first_meaning),
        cmocka_unit_test(names_are_listed_in_order_and_bounded),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
