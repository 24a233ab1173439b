/* test_ledger_secret.c - openings are kept encrypted, come back exactly, belong to one job, and go when their time comes. */
#include "tests/test.h"

#include <string.h>

#include "tests/ledger_rig.h"

static void an_opening_comes_back_exactly_and_is_not_readable_on_disk(void **state)
{
    (void)state;
    struct party r, p;
    struct rig_job j;
    struct hash id;
    struct opening in, out;
    uint32_t buf[1024];
    party_init(&r, 1);
    party_init(&p, 2);
    assert_ok(party_open(&r));
    assert_ok(party_open(&p));
    assert_ok(rig_job_whole(&j, &r, &p, 1, 70, &id));
    rig_job_opening(&j, &in);
    in.output_count = 0;
    assert_ok(ledger_opening_put(&r.ledger, &j.hash, &in, (struct wall){ 5000 }));   /* at the start: no answer yet */
    rig_job_opening(&j, &in);
    assert_ok(ledger_opening_put(&r.ledger, &j.hash, &in, (struct wall){ 6000 }));
    assert_ok(ledger_opening_get(&r.ledger, &j.hash, buf, ARRAY_COUNT(buf), &out));
    assert_true(out.seed == in.seed && hash_equal(&out.nonce, &in.nonce));
    assert_true(out.prompt_count == in.prompt_count && out.output_count == in.output_count);
    assert_memory_equal(out.prompt, in.prompt, in.prompt_count * 4);
    assert_memory_equal(out.output, in.output, in.output_count * 4);
    assert_err(ledger_opening_get(&r.ledger, &j.hash, buf, 10, &out), ERR_TOO_LARGE);
    assert_err(ledger_opening_get(&r.ledger, &id, buf, ARRAY_COUNT(buf), &out), ERR_NOT_FOUND);
    struct bytes value;
    assert_ok(store_get(r.store, STORE_SECRET, bytes_of(j.hash.b, HASH_BYTES), &value));
    for (size_t i = 0; i + HASH_BYTES <= value.len; i++)
        assert_true(memcmp(value.data + i, j.nonce.b, HASH_BYTES) != 0);
    uint8_t moved[4096];
    size_t len = value.len;
    assert_true(len <= sizeof moved);
    memcpy(moved, value.data, len);
    assert_ok(store_put(r.store, STORE_SECRET, bytes_of(id.b, HASH_BYTES), bytes_of(moved, len)));
    assert_err(ledger_opening_get(&r.ledger, &id, buf, ARRAY_COUNT(buf), &out), ERR_CORRUPT);   /* another job's */
    moved[len - 1] ^= 1;
    assert_ok(store_put(r.store, STORE_SECRET, bytes_of(j.hash.b, HASH_BYTES), bytes_of(moved, len)));
    assert_err(ledger_opening_get(&r.ledger, &j.hash, buf, ARRAY_COUNT(buf), &out), ERR_CORRUPT);
    struct ledger reader = r.ledger;
    reader.key = NULL;
    assert_err(ledger_opening_get(&reader, &j.hash, buf, ARRAY_COUNT(buf), &out), ERR_STATE);
    party_fini(&r);
    party_fini(&p);
}

static void openings_go_when_their_time_has_come(void **state)
{
    (void)state;
    struct party r;
    party_init(&r, 1);
    assert_ok(party_open(&r));
    uint32_t ids[2] = { 1, 2 }, buf[8];
    struct opening o = { .prompt = ids, .prompt_count = 2 }, out;
    for (uint64_t n = 0; n < 6; n++) {
        struct hash terms = hash_of("t", bytes_of(&n, sizeof n));
        assert_ok(ledger_opening_put(&r.ledger, &terms, &o, (struct wall){ 100 + n }));
    }
    uint32_t gone;
    assert_ok(ledger_openings_purge(&r.ledger, (struct wall){ 99 }, 10, &gone));
    assert_int_equal(gone, 0);
    assert_ok(ledger_openings_purge(&r.ledger, (struct wall){ 103 }, 3, &gone));
    assert_int_equal(gone, 3);
    assert_ok(ledger_openings_purge(&r.ledger, (struct wall){ 103 }, 10, &gone));
    assert_int_equal(gone, 1);
    for (uint64_t n = 0; n < 6; n++) {
        struct hash terms = hash_of("t", bytes_of(&n, sizeof n));
        assert_err(ledger_opening_get(&r.ledger, &terms, buf, ARRAY_COUNT(buf), &out), n < 4 ? ERR_NOT_FOUND : OK);
    }
    struct opening big = { .prompt = ids, .prompt_count = STORE_VALUE_BYTES_MAX / 4 };
    struct hash terms = { { 1 } };
    assert_err(ledger_opening_put(&r.ledger, &terms, &big, (struct wall){ 1 }), ERR_TOO_LARGE);
    party_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_opening_comes_back_exactly_and_is_not_readable_on_disk),
        cmocka_unit_test(openings_go_when_their_time_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
