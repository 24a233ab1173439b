/* test_ledger.c - one job from terms to receipt, seen from both books; what each call refuses by name. */
#include "tests/test.h"

#include <string.h>

#include "tests/ledger_rig.h"

struct pair {
    struct party requester, provider;
};

static int open_pair(void **state)
{
    static struct pair pair;
    party_init(&pair.requester, 1);
    party_init(&pair.provider, 2);
    assert_ok(party_open(&pair.requester));
    assert_ok(party_open(&pair.provider));
    *state = &pair;
    return 0;
}

static void assert_books_hold(struct pair *p)
{
    char why[160];
    struct party *both[] = { &p->requester, &p->provider };
    for (size_t i = 0; i < 2; i++) {
        enum err e = ledger_check(&both[i]->ledger, why);
        if (e != OK)
            fail_msg("%s: %s", i ? "provider" : "requester", why);
        assert_ok(ledger_check_sums(&both[i]->ledger, why));
    }
}

static int close_pair(void **state)
{
    struct pair *p = *state;
    assert_books_hold(p);
    party_fini(&p->requester);
    party_fini(&p->provider);
    return 0;
}

static void a_job_becomes_the_same_receipt_in_both_books(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct hash id;
    assert_ok(rig_job_whole(&j, &p->requester, &p->provider, 1, 70, &id));
    struct receipt_view ours, theirs;
    assert_ok(ledger_receipt_find(&p->provider.ledger, &id, &ours));
    assert_ok(ledger_receipt_find(&p->requester.ledger, &id, &theirs));
    assert_true(bytes_equal(ours.body, theirs.body));
    assert_memory_equal(&ours.requester_sig, &theirs.requester_sig, SIG_BYTES);
    assert_memory_equal(&ours.provider_sig, &theirs.provider_sig, SIG_BYTES);
    assert_true(ours.receipt.seq == 1 && ours.receipt.tokens.out == 70);
    uint64_t cost = 6 * 250000 + 2 * 25000 + 70 * UINT64_C(1000000);
    assert_true(ours.receipt.cost.v == cost && ours.receipt.owed.v == cost);
    struct account a;
    assert_ok(ledger_account(&p->provider.ledger, &p->requester.self, &a));
    assert_true(a.earned.v == cost && a.earned_pending.v == 0 && a.spent.v == 0 && a.receipts_earned == 1);
    assert_ok(ledger_account(&p->requester.ledger, &p->provider.self, &a));
    assert_true(a.spent.v == cost && a.spent_pending.v == 0 && a.earned.v == 0 && a.receipts_spent == 1);
    struct job job;
    assert_ok(ledger_job_find(&p->requester.ledger, &j.hash, &job));
    assert_true(job.stage == JOB_CLOSED && job.outcome == OUTCOME_COMPLETE && hash_equal(&job.receipt, &id));
    assert_string_equal(job.model_label, "rig");
}

static void a_channel_sums_up_and_reads_newest_first(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct hash ids[3];
    uint64_t owed = 0;
    for (uint64_t n = 0; n < 3; n++) {
        assert_ok(rig_job_whole(&j, &p->requester, &p->provider, 10 + n, 32 * (size_t)(n + 1), &ids[n]));
        owed += j.claim.cost.v;
    }
    struct channel_state c;
    assert_ok(ledger_channel(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, &c));
    assert_true(c.seq == 3 && c.owed.v == owed && !c.has_half && hash_equal(&c.head, &ids[2]));
    uint64_t cursor = UINT64_MAX;
    struct receipt_view v;
    for (int n = 2; n >= 0; n--) {
        assert_ok(ledger_receipt_next(&p->requester.ledger, &cursor, &v));
        assert_true(hash_equal(&v.id, &ids[n]));
        assert_true(v.receipt.seq == (uint64_t)n + 1);
    }
    assert_err(ledger_receipt_next(&p->requester.ledger, &cursor, &v), ERR_NOT_FOUND);
    struct job job;
    cursor = UINT64_MAX;
    for (int n = 2; n >= 0; n--)
        assert_ok(ledger_job_next(&p->provider.ledger, &cursor, &job));
    assert_err(ledger_job_next(&p->provider.ledger, &cursor, &job), ERR_NOT_FOUND);
    char hex[HASH_HEX_CHARS + 1];
    struct hash found;
    hash_format(&ids[1], hex);
    hex[9] = '\0';                                         /* an odd number of digits */
    assert_ok(ledger_receipt_lookup(&p->provider.ledger, hex, &found));
    assert_true(hash_equal(&found, &ids[1]));
    assert_err(ledger_receipt_lookup(&p->provider.ledger, "abc", &found), ERR_FORMAT);
    assert_err(ledger_receipt_lookup(&p->provider.ledger, "xyzw", &found), ERR_FORMAT);
    hex[8] = hex[8] == '0' ? '1' : '0';
    assert_err(ledger_receipt_lookup(&p->provider.ledger, hex, &found), ERR_NOT_FOUND);
    hash_format(&j.hash, hex);                             /* a job by its terms, the same way */
    hex[7] = '\0';
    assert_ok(ledger_job_lookup(&p->requester.ledger, hex, &found));
    assert_true(hash_equal(&found, &j.hash));
    assert_err(ledger_receipt_lookup(&p->requester.ledger, hex, &found), ERR_NOT_FOUND);
    hex[3] = '\0';
    assert_err(ledger_job_lookup(&p->requester.ledger, hex, &found), ERR_FORMAT);
}

static void terms_are_accepted_once_and_only_from_their_requester(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct signed_body offer;
    struct sig sig;
    struct hash hash;
    enum credit_limit limit;
    rig_job_init(&j, &p->requester, &p->provider, 2);
    assert_ok(ledger_terms_sign(&p->requester.ledger, &j.terms, NULL, rig_now, &offer, &j.hash));
    assert_err(ledger_terms_sign(&p->requester.ledger, &j.terms, NULL, rig_now, &offer, &j.hash), ERR_EXISTS);
    struct bytes body = signed_body_view(&offer);
    struct ledger *provider = &p->provider.ledger;
    struct sig bad = offer.sig;
    bad.b[5] ^= 1;
    assert_err(ledger_terms_accept(provider, body, &bad, NULL, &rig_limits, rig_now, &limit, &sig, &hash), ERR_SIGNATURE);
    struct credit_limits none = { { 0 }, { 0 } };
    assert_err(ledger_terms_accept(provider, body, &offer.sig, NULL, &none, rig_now, &limit, &sig, &hash), ERR_CREDIT);
    assert_true(limit == CREDIT_REQUESTER);
    assert_err(ledger_terms_accept(&p->requester.ledger, body, &offer.sig, NULL, &rig_limits, rig_now, &limit, &sig, &hash), ERR_KEY);
    assert_ok(ledger_terms_accept(provider, body, &offer.sig, NULL, &rig_limits, rig_now, &limit, &sig, &hash));
    assert_err(ledger_terms_accept(provider, body, &offer.sig, NULL, &rig_limits, rig_now, &limit, &sig, &hash), ERR_EXISTS);
    assert_err(ledger_terms_countersigned(&p->requester.ledger, &hash, &bad), ERR_SIGNATURE);
    assert_ok(ledger_terms_countersigned(&p->requester.ledger, &hash, &sig));
    assert_ok(ledger_terms_countersigned(&p->requester.ledger, &hash, &sig));
    struct hash unknown = { { 9 } };
    assert_err(ledger_terms_countersigned(&p->requester.ledger, &unknown, &sig), ERR_NOT_FOUND);
    struct terms other = j.terms;
    other.net = net_id_of("elsewhere");
    assert_err(ledger_terms_sign(&p->requester.ledger, &other, NULL, rig_now, &offer, &hash), ERR_NETWORK);
    other = j.terms;
    other.requester = p->provider.self;
    other.provider = p->requester.self;
    assert_err(ledger_terms_sign(&p->requester.ledger, &other, NULL, rig_now, &offer, &hash), ERR_KEY);
}

static void claims_come_in_order_and_match_the_count(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct sig sig, out;
    rig_job_init(&j, &p->requester, &p->provider, 3);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    struct ledger *requester = &p->requester.ledger;
    for (int i = 0; i < 32; i++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    struct rig_job first = j;
    sig = rig_claim_sig(&j, &p->provider);
    struct sig bad = sig;
    bad.b[0] ^= 1;
    struct hash wrong_digest = hash_of("x", bytes_text("y"));
    assert_err(ledger_claim_cosign(requester, &j.claim, &j.digest, &bad, &out), ERR_SIGNATURE);
    assert_err(ledger_claim_cosign(requester, &j.claim, &wrong_digest, &sig, &out), ERR_CHAIN);
    assert_err(ledger_claim_cosign(requester, &j.claim, NULL, &sig, &out), ERR_CHAIN);
    struct claim dear = j.claim;
    dear.cost.v++;
    assert_err(ledger_claim_cosign(requester, &dear, &j.digest, &sig, &out), ERR_MISMATCH);
    assert_ok(ledger_claim_cosign(requester, &j.claim, &j.digest, &sig, &out));
    struct sig again;
    assert_ok(ledger_claim_cosign(requester, &j.claim, &j.digest, &sig, &again));
    assert_memory_equal(&out, &again, sizeof out);
    assert_err(ledger_claim_acked(&p->provider.ledger, &j.claim, &j.digest, &sig), ERR_SIGNATURE);   /* our own is not theirs */
    assert_ok(ledger_claim_acked(&p->provider.ledger, &j.claim, &j.digest, &out));
    struct claim other = j.claim;                          /* the same index with other tokens: the count decides */
    other.token_chain = wrong_digest;
    assert_err(ledger_claim_cosign(requester, &other, &j.digest, &sig, &out), ERR_MISMATCH);
    for (int i = 0; i < 64; i++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    sig = rig_claim_sig(&j, &p->provider);
    assert_err(ledger_claim_cosign(requester, &j.claim, &j.digest, &sig, &out), ERR_CHAIN);          /* claim 2 was skipped */
    j = first;
    assert_ok(rig_job_generate(&j, &p->requester, &p->provider, 40));
    assert_true(claim_is_last(&j.claim));
    sig = rig_claim_sig(&first, &p->provider);
    assert_err(ledger_claim_cosign(requester, &first.claim, &first.digest, &sig, &out), ERR_STALE);
}

static void nothing_follows_the_last_claim(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    rig_job_init(&j, &p->requester, &p->provider, 4);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    assert_ok(rig_job_generate(&j, &p->requester, &p->provider, 5));
    struct rig_job more;                                   /* the same job as if it had never ended at 5 */
    rig_job_init(&more, &p->requester, &p->provider, 4);
    more.hash = j.hash;
    token_chain_init(&more.tokens, &j.hash);
    digest_chain_init(&more.digests, &j.hash);
    digester_init(&more.digester, &p->provider.self, &more.nonce);
    for (int i = 0; i < 64; i++)
        rig_job_token(&more);
    assert_true(rig_job_claim(&more, false));
    struct sig sig = rig_claim_sig(&more, &p->provider), out;
    assert_err(ledger_claim_cosign(&p->requester.ledger, &more.claim, &more.digest, &sig, &out), ERR_STATE);
    assert_ok(ledger_job_end(&p->requester.ledger, &j.hash, OUTCOME_CANCELLED, SIDE_REQUESTER, REASON_CLIENT_CANCEL, rig_now));
    struct note n;
    assert_ok(ledger_note_find(&p->requester.ledger, &j.hash, SIDE_REQUESTER, &n));
    assert_true(n.outcome == OUTCOME_CANCELLED && n.fault == SIDE_REQUESTER && n.reason == REASON_CLIENT_CANCEL);
    assert_ok(ledger_job_end(&p->requester.ledger, &j.hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now));   /* the first word stays */
    struct signed_body own;
    assert_ok(ledger_note_own(&p->requester.ledger, &j.hash, &own));
    assert_ok(ledger_note_keep(&p->provider.ledger, signed_body_view(&own), &own.sig));
    assert_ok(ledger_note_find(&p->provider.ledger, &j.hash, SIDE_REQUESTER, &n));
    assert_true(n.outcome == OUTCOME_CANCELLED);
    own.sig.b[3] ^= 1;
    assert_err(ledger_note_keep(&p->provider.ledger, signed_body_view(&own), &own.sig), ERR_SIGNATURE);
    assert_err(ledger_note_keep(&p->requester.ledger, signed_body_view(&own), &own.sig), ERR_SIGNATURE);
}

static void a_job_without_a_claim_owes_nothing(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct signed_body half;
    struct hash terms;
    struct account a;
    rig_job_init(&j, &p->requester, &p->provider, 5);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    assert_ok(ledger_account(&p->provider.ledger, &p->requester.self, &a));
    assert_true(a.earned_pending.v == terms_cost_max(&j.terms).v);
    assert_ok(ledger_job_end(&p->provider.ledger, &j.hash, OUTCOME_FAILED, SIDE_PROVIDER, REASON_ENGINE, rig_now));
    assert_ok(ledger_job_end(&p->requester.ledger, &j.hash, OUTCOME_FAILED, SIDE_PROVIDER, REASON_ENGINE, rig_now));
    assert_err(ledger_receipt_propose(&p->provider.ledger, &p->requester.self, &half, &terms), ERR_NOT_FOUND);
    assert_ok(ledger_account(&p->provider.ledger, &p->requester.self, &a));
    assert_true(a.earned_pending.v == 0 && a.earned.v == 0);
    struct job job;
    assert_ok(ledger_job_find(&p->requester.ledger, &j.hash, &job));
    assert_true(job.stage == JOB_CLOSED);
}

static void a_crash_leaves_the_last_cosigned_claim_to_be_paid(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    rig_job_init(&j, &p->requester, &p->provider, 6);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    for (int i = 0; i < 64; i++) {
        rig_job_token(&j);
        if (j.has_digest && rig_job_claim(&j, false))
            assert_ok(rig_job_exchange_claim(&j, &p->requester, &p->provider));
    }
    assert_ok(store_commit(p->provider.store));
    assert_ok(store_commit(p->requester.store));
    assert_ok(party_crash(&p->provider));
    assert_true(p->provider.recovery.jobs_ended == 1 && p->provider.recovery.receipts_due == 1);
    struct job job;
    assert_ok(ledger_job_find(&p->provider.ledger, &j.hash, &job));
    assert_true(job.outcome == OUTCOME_PARTIAL && job.fault == SIDE_PROVIDER && job.reason == REASON_RESTART);
    struct pubkey due = { { 0 } };
    assert_ok(ledger_due_next(&p->provider.ledger, &due));
    assert_true(pubkey_equal(&due, &p->requester.self));
    assert_err(ledger_due_next(&p->provider.ledger, &due), ERR_NOT_FOUND);
    struct hash id;
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
    struct receipt_view v;
    assert_ok(ledger_receipt_find(&p->requester.ledger, &id, &v));
    assert_true(v.receipt.tokens.out == 64);
    assert_ok(party_crash(&p->requester));
    assert_true(p->requester.recovery.jobs_ended == 0);
    assert_ok(ledger_receipt_find(&p->requester.ledger, &id, &v));
}

/* The requester has co-signed a claim whose acknowledgement the provider's crash swallowed; afterwards it brings the claim. */
static void a_claim_that_a_crash_took_makes_failed_partial_on_both_sides(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct sig ours;
    rig_job_init(&j, &p->requester, &p->provider, 6);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    assert_ok(store_commit(p->provider.store));
    for (int i = 0; i < 32; i++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    struct sig theirs = rig_claim_sig(&j, &p->provider);
    assert_ok(ledger_claim_cosign(&p->requester.ledger, &j.claim, &j.digest, &theirs, &ours));
    assert_ok(ledger_job_end(&p->requester.ledger, &j.hash, OUTCOME_PARTIAL, SIDE_PROVIDER, REASON_LINK_LOST, rig_now));
    assert_ok(party_crash(&p->provider));
    struct job job;
    assert_ok(ledger_job_find(&p->provider.ledger, &j.hash, &job));
    assert_true(job.outcome == OUTCOME_FAILED && job.reason == REASON_RESTART);
    assert_ok(ledger_claim_acked(&p->provider.ledger, &j.claim, &j.digest, &ours));
    assert_ok(ledger_job_find(&p->provider.ledger, &j.hash, &job));
    assert_true(job.outcome == OUTCOME_PARTIAL && job.reason == REASON_RESTART && job.tokens.out == 32);
    struct note n;
    assert_ok(ledger_note_find(&p->provider.ledger, &j.hash, SIDE_PROVIDER, &n));
    assert_true(n.outcome == OUTCOME_PARTIAL && n.fault == SIDE_PROVIDER && n.reason == REASON_RESTART);
    struct hash id;
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
}

static void a_ledger_belongs_to_one_key_and_network(void **state)
{
    struct pair *p = *state;
    struct ledger l;
    struct ledger_recovery r;
    struct net_id other = net_id_of("other");
    assert_err(ledger_open(&l, p->requester.store, &p->provider.key, &p->provider.self, &p->provider.net, rig_now, &r), ERR_KEY);
    assert_err(ledger_open(&l, p->requester.store, &p->requester.key, &p->requester.self, &other, rig_now, &r), ERR_NETWORK);
    assert_ok(ledger_open(&l, p->requester.store, NULL, &p->requester.self, &p->requester.net, rig_now, &r));
    struct store_mem *empty;
    assert_ok(store_mem_open(0, &empty));
    assert_err(ledger_open(&l, store_mem_store(empty), NULL, &p->requester.self, &p->requester.net, rig_now, &r), ERR_NOT_FOUND);
    store_close(store_mem_store(empty));
}

static void attempts_of_one_request_are_found_by_its_id(void **state)
{
    struct pair *p = *state;
    struct rig_job a, b;
    struct hash id;
    assert_ok(rig_job_whole(&a, &p->requester, &p->provider, 7, 33, &id));
    rig_job_init(&b, &p->requester, &p->provider, 8);
    b.terms.job = a.terms.job;
    b.terms.output_offset = 3;
    b.terms.parent = a.hash;
    assert_ok(rig_job_begin(&b, &p->requester, &p->provider));
    assert_ok(rig_job_generate(&b, &p->requester, &p->provider, 10));
    assert_ok(rig_job_close(&b, &p->requester, &p->provider, &id));
    uint64_t cursor = 0;
    struct job j;
    assert_ok(ledger_job_of_id(&p->requester.ledger, &a.terms.job, &cursor, &j));
    assert_true(hash_equal(&j.terms, &a.hash));
    assert_ok(ledger_job_of_id(&p->requester.ledger, &a.terms.job, &cursor, &j));
    assert_true(hash_equal(&j.terms, &b.hash) && j.output_offset == 3 && hash_equal(&j.parent, &a.hash));
    assert_err(ledger_job_of_id(&p->requester.ledger, &a.terms.job, &cursor, &j), ERR_NOT_FOUND);
    struct receipt_view v;
    assert_ok(ledger_receipt_find(&p->requester.ledger, &id, &v));
    assert_true(v.receipt.output_offset == 3 && hash_equal(&v.receipt.parent, &a.hash));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        CASE(a_job_becomes_the_same_receipt_in_both_books),
        CASE(a_channel_sums_up_and_reads_newest_first),
        CASE(terms_are_accepted_once_and_only_from_their_requester),
        CASE(claims_come_in_order_and_match_the_count),
        CASE(nothing_follows_the_last_claim),
        CASE(a_job_without_a_claim_owes_nothing),
        CASE(a_crash_leaves_the_last_cosigned_claim_to_be_paid),
        CASE(a_claim_that_a_crash_took_makes_failed_partial_on_both_sides),
        CASE(a_ledger_belongs_to_one_key_and_network),
        CASE(attempts_of_one_request_are_found_by_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
