/* test_ledger_torture.c - every store call of a whole job fails once: no crash, no leak, no half-made change, no broken promise. */
#include "tests/test.h"

#include <string.h>

#include "tests/ledger_rig.h"

/* A job that was delivered and never signed for, and what the clock makes of it. */
static enum err unsigned_story(struct party *r, struct party *p, uint64_t n)
{
    struct rig_job j;
    uint32_t count;
    struct wall later = { rig_now.ms + UNSIGNED_KEEP_MS + IDLE_KEEP_MS };
    rig_job_init(&j, r, p, n);
    enum err e = rig_job_begin(&j, r, p);
    if (e == OK)
        e = ledger_delivery_end(&p->ledger, &j.hash, 50, OUTCOME_FAILED, SIDE_REQUESTER, REASON_NO_ACK, rig_now);
    if (e == OK)
        e = store_commit(p->store);
    if (e == OK)
        e = ledger_unsigned_release(&p->ledger, later, 10, &count);
    if (e == OK)
        e = store_commit(p->store);
    if (e == OK)
        e = ledger_idle_prune(&p->ledger, later, 10, &count);
    return e == OK ? store_commit(p->store) : e;
}

/* One job with everything a ledger writes: claims, notes, receipt, opening, bundle. */
static enum err whole_story(struct party *r, struct party *p, uint64_t n)
{
    struct rig_job j;
    struct hash id;
    struct opening o;
    uint8_t buf[16384];
    struct bytes bundle;
    rig_job_init(&j, r, p, n);
    enum err e = rig_job_begin(&j, r, p);
    rig_job_opening(&j, &o);
    if (e == OK)
        e = ledger_opening_put(&r->ledger, &j.hash, &o, (struct wall){ 100 });
    if (e == OK)
        e = rig_job_generate(&j, r, p, 40);
    if (e == OK)
        e = rig_job_close(&j, r, p, &id);
    if (e == OK)
        e = ledger_bundle(&r->ledger, &j.hash, true, buf, sizeof buf, &bundle);
    uint32_t gone;
    if (e == OK)
        e = ledger_openings_purge(&r->ledger, (struct wall){ 200 }, 10, &gone);
    if (e == OK)
        e = unsigned_story(r, p, n + 100);
    return e == OK ? store_commit(r->store) : e;
}

static void assert_sound(struct party *p, uint64_t at)
{
    char why[160];
    if (ledger_check(&p->ledger, why) != OK)
        fail_msg("after call %llu failed: %s", (unsigned long long)at, why);
}

/* The failing party restarts as the shell would; then the two settle what is open and do another job. */
static void fail_each_call_of(bool provider_fails, enum err with)
{
    uint64_t at = 1, refused = 0;
    for (;; at++) {
        struct party r, p;
        struct party *victim = provider_fails ? &p : &r;
        party_init(&r, 1);
        party_init(&p, 2);
        assert_ok(party_open(&r));
        assert_ok(party_open(&p));
        store_mem_fail_at(victim->mem, at, with);
        enum err e = whole_story(&r, &p, 1);
        if (e != OK) {
            assert_err(e, with);
            refused++;
        }
        bool reached = store_mem_calls(victim->mem) >= at && e != OK;
        assert_ok(party_crash(&r));
        assert_ok(party_crash(&p));
        assert_sound(&r, at);
        assert_sound(&p, at);
        struct channel_state a, b;
        assert_ok(ledger_channel(&p.ledger, SIDE_PROVIDER, &r.self, &a));
        assert_ok(ledger_channel(&r.ledger, SIDE_REQUESTER, &p.self, &b));
        assert_true(a.seq <= b.seq && b.seq <= a.seq + 1 && (a.seq == b.seq || a.has_half));
        struct signed_body half;
        struct hash terms, id;
        struct sig sig;
        if (ledger_receipt_propose(&p.ledger, &r.self, &half, &terms) == OK &&
            ledger_receipt_cosign(&r.ledger, signed_body_view(&half), &half.sig, rig_now, &sig, &id) == OK)
            assert_ok(ledger_receipt_complete(&p.ledger, &r.self, &id, &sig, rig_now));
        assert_ok(ledger_channel(&p.ledger, SIDE_PROVIDER, &r.self, &a));
        if (!a.has_half)                                   /* a provider that lost its job while the requester kept it may wait */
            assert_ok(whole_story(&r, &p, 2));
        assert_sound(&r, at);
        assert_sound(&p, at);
        party_fini(&r);
        party_fini(&p);
        if (!reached)
            break;
    }
    print_message("%s: %llu calls failed in turn with %s\n", provider_fails ? "provider" : "requester", (unsigned long long)refused, err_name(with));
    assert_true(refused > 40);
}

static void requester_survives_each_failing_call(void **state)
{
    (void)state;
    fail_each_call_of(false, ERR_IO);
}

static void provider_survives_each_failing_call(void **state)
{
    (void)state;
    fail_each_call_of(true, ERR_DISK_FULL);
}

static void a_full_disk_refuses_whole_turns(void **state)
{
    (void)state;
    struct party r, p;
    struct rig_job j;
    struct hash id;
    char why[160];
    party_init(&r, 1);
    party_init(&p, 2);
    assert_ok(store_mem_open(20000, &p.mem));
    p.store = store_mem_store(p.mem);
    assert_ok(party_open(&r));
    assert_ok(party_open(&p));
    enum err e = OK;
    uint64_t n = 0;
    while (e == OK)
        e = rig_job_whole(&j, &r, &p, n++, 40, &id);
    assert_err(e, ERR_DISK_FULL);
    assert_true(n > 3);
    assert_err(store_commit(p.store), ERR_DISK_FULL);      /* sticks until the turn is given up */
    assert_ok(store_commit(p.store));
    assert_ok(ledger_check(&p.ledger, why));
    party_fini(&r);
    party_fini(&p);
}

/* "Damaged" sends people to their backups: only what was read may be called so. */
static void a_disk_that_cannot_be_read_is_not_a_damaged_book(void **state)
{
    (void)state;
    struct party r, p;
    party_init(&r, 1);
    party_init(&p, 2);
    assert_ok(party_open(&r));
    assert_ok(party_open(&p));
    assert_ok(whole_story(&r, &p, 1));
    for (int side = 0; side < 2; side++) {
        struct party *victim = side ? &p : &r;
        uint64_t at = 0;
        enum err e;
        do {
            char why[160];
            store_mem_fail_at(victim->mem, ++at, ERR_IO);
            uint64_t before = store_mem_calls(victim->mem);
            e = ledger_check(&victim->ledger, why);
            if (store_mem_calls(victim->mem) - before >= at && e != ERR_IO)
                fail_msg("call %llu failed, and the book is blamed: %s: %s", (unsigned long long)at, err_name(e), why);
            if (e)
                assert_string_equal(why, "the store could not be read: input or output failed");
            store_abort(victim->store);
        } while (e);
        assert_true(at > 20);
    }
    party_fini(&r);
    party_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requester_survives_each_failing_call),
        cmocka_unit_test(provider_survives_each_failing_call),
        cmocka_unit_test(a_full_disk_refuses_whole_turns),
        cmocka_unit_test(a_disk_that_cannot_be_read_is_not_a_damaged_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
