/* test_ledger_credit.c - nobody gets more credit than the provider said, newcomers not even together. */
#include "tests/test.h"

#include "tests/ledger_rig.h"

static uint64_t full_cost(const struct rig_job *j) { return terms_cost_max(&j->terms).v; }

static void running_jobs_count_in_full_and_ended_ones_by_claim(void **state)
{
    (void)state;
    struct party r, p;
    struct rig_job a, b;
    enum credit_limit limit;
    struct pico left;
    party_init(&r, 1);
    party_init(&p, 2);
    assert_ok(party_open(&r));
    assert_ok(party_open(&p));
    rig_job_init(&a, &r, &p, 1);
    rig_job_init(&b, &r, &p, 2);
    uint64_t cost = full_cost(&a);
    struct credit_limits tight = { { 2 * cost - 1 }, { UINT64_MAX } };
    assert_ok(rig_job_begin(&a, &r, &p));
    assert_err(ledger_credit_check(&p.ledger, &r.self, (struct pico){ cost }, &tight, &limit), ERR_CREDIT);
    assert_true(limit == CREDIT_REQUESTER);
    assert_ok(ledger_credit_left(&p.ledger, &r.self, &tight, &left));
    assert_true(left.v == cost - 1);
    assert_ok(ledger_credit_check(&p.ledger, &r.self, left, &tight, &limit));
    assert_true(limit == CREDIT_OK);
    assert_ok(rig_job_generate(&a, &r, &p, 40));
    assert_ok(ledger_job_end(&p.ledger, &a.hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now));
    assert_ok(ledger_credit_left(&p.ledger, &r.self, &tight, &left));
    assert_true(left.v == 2 * cost - 1 - a.claim.cost.v);  /* ended: only what was co-signed */
    assert_ok(ledger_credit_check(&p.ledger, &r.self, (struct pico){ cost }, &tight, &limit));
    struct hash id;
    assert_ok(rig_job_close(&a, &r, &p, &id));
    assert_ok(ledger_credit_left(&p.ledger, &r.self, &tight, &left));
    assert_true(left.v == 2 * cost - 1 - a.claim.cost.v);  /* a receipt is still a debt */
    assert_err(ledger_credit_check(&p.ledger, &r.self, (struct pico){ UINT64_MAX }, &rig_limits, &limit), ERR_CREDIT);   /* no wrap */
    party_fini(&r);
    party_fini(&p);
}

static void newcomers_share_one_limit_until_they_have_a_history(void **state)
{
    (void)state;
    struct party p, many[3];
    struct rig_job j;
    enum credit_limit limit;
    party_init(&p, 9);
    assert_ok(party_open(&p));
    for (uint8_t i = 0; i < 3; i++) {
        party_init(&many[i], (uint8_t)(10 + i));
        assert_ok(party_open(&many[i]));
        rig_job_init(&j, &many[i], &p, i);
        assert_ok(rig_job_begin(&j, &many[i], &p));
    }
    uint64_t cost = full_cost(&j);
    struct credit_limits limits = { { UINT64_MAX }, { 4 * cost - 1 } };
    assert_err(ledger_credit_check(&p.ledger, &many[0].self, (struct pico){ cost }, &limits, &limit), ERR_CREDIT);
    assert_true(limit == CREDIT_NEWCOMERS);
    assert_string_equal(credit_limit_text(limit), "the credit limit for all newcomers together");
    struct pubkey stranger = { { 77 } };                   /* a fresh key helps nobody */
    assert_err(ledger_credit_check(&p.ledger, &stranger, (struct pico){ cost }, &limits, &limit), ERR_CREDIT);
    struct hash id;
    for (uint64_t n = 0; n < NEWCOMER_RECEIPTS; n++)
        assert_ok(rig_job_whole(&j, &many[0], &p, 100 + n, 33, &id));
    assert_ok(ledger_credit_check(&p.ledger, &many[0].self, (struct pico){ cost }, &limits, &limit));
    struct ledger_totals t;
    assert_ok(ledger_totals(&p.ledger, &t));
    assert_true(t.newcomers.v == 2 * cost);                /* the one with a history has left the common pot with all it owes */
    assert_ok(ledger_credit_check(&p.ledger, &stranger, (struct pico){ cost }, &limits, &limit));
    char why[160];
    assert_ok(ledger_check(&p.ledger, why));
    for (int i = 0; i < 3; i++)
        party_fini(&many[i]);
    party_fini(&p);
}

static void sums_that_cannot_be_held_are_refused_before_anything_is_written(void **state)
{
    (void)state;
    struct party r, p;
    struct rig_job a, b;
    struct signed_body offer;
    struct hash hash;
    party_init(&r, 1);
    party_init(&p, 2);
    assert_ok(party_open(&r));
    rig_job_init(&a, &r, &p, 1);
    rig_job_init(&b, &r, &p, 2);
    a.terms.prices.out = b.terms.prices.out = UINT64_MAX / 600;
    a.terms.budget.v = b.terms.budget.v = UINT64_MAX;
    assert_ok(ledger_terms_sign(&r.ledger, &a.terms, NULL, rig_now, &offer, &hash));
    assert_err(ledger_terms_sign(&r.ledger, &b.terms, NULL, rig_now, &offer, &hash), ERR_OVERFLOW);
    assert_ok(store_commit(r.store));
    char why[160];
    assert_ok(ledger_check(&r.ledger, why));
    struct ledger_totals t;
    assert_ok(ledger_totals(&r.ledger, &t));
    assert_true(t.jobs == 1);
    party_fini(&r);
    party_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_jobs_count_in_full_and_ended_ones_by_claim),
        cmocka_unit_test(newcomers_share_one_limit_until_they_have_a_history),
        cmocka_unit_test(sums_that_cannot_be_held_are_refused_before_anything_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
