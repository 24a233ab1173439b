/* test_ledger_channel.c - receipts on a channel: the same answer for ever, one body per number, back in step after loss. */
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

static int close_pair(void **state)
{
    struct pair *p = *state;
    char why[160];
    if (ledger_check(&p->requester.ledger, why) != OK || ledger_check(&p->provider.ledger, why) != OK)
        fail_msg("%s", why);
    party_fini(&p->requester);
    party_fini(&p->provider);
    return 0;
}

/* A job that has ended on both sides and is due for a receipt. */
static void due_job(struct pair *p, struct rig_job *j, uint64_t n, size_t tokens)
{
    rig_job_init(j, &p->requester, &p->provider, n);
    assert_ok(rig_job_begin(j, &p->requester, &p->provider));
    assert_ok(rig_job_generate(j, &p->requester, &p->provider, tokens));
    assert_ok(ledger_job_end(&p->provider.ledger, &j->hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now));
    assert_ok(ledger_job_end(&p->requester.ledger, &j->hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now));
}

static struct signed_body propose(struct pair *p)
{
    struct signed_body half;
    struct hash terms;
    assert_ok(ledger_receipt_propose(&p->provider.ledger, &p->requester.self, &half, &terms));
    return half;
}

static void a_proposal_is_the_same_until_it_is_complete(void **state)
{
    struct pair *p = *state;
    struct rig_job a, b;
    due_job(p, &a, 1, 10);
    due_job(p, &b, 2, 20);
    struct signed_body one = propose(p), two = propose(p);
    assert_true(one.len == two.len && memcmp(one.buf, two.buf, one.len) == 0 && memcmp(&one.sig, &two.sig, SIG_BYTES) == 0);
    assert_ok(store_commit(p->provider.store));
    assert_ok(party_crash(&p->provider));
    two = propose(p);
    assert_true(memcmp(one.buf, two.buf, one.len) == 0 && memcmp(&one.sig, &two.sig, SIG_BYTES) == 0);
    struct sig sig, again;
    struct hash id, same;
    assert_ok(ledger_receipt_cosign(&p->requester.ledger, signed_body_view(&one), &one.sig, rig_now, &sig, &id));
    assert_ok(ledger_receipt_cosign(&p->requester.ledger, signed_body_view(&one), &one.sig, rig_now, &again, &same));
    assert_true(memcmp(&sig, &again, sizeof sig) == 0 && hash_equal(&id, &same));
    struct sig bad = sig;
    bad.b[1] ^= 4;
    assert_err(ledger_receipt_complete(&p->provider.ledger, &p->requester.self, &id, &bad, rig_now), ERR_SIGNATURE);
    struct hash unknown = { { 1 } };
    assert_err(ledger_receipt_complete(&p->provider.ledger, &p->requester.self, &unknown, &sig, rig_now), ERR_NOT_FOUND);
    assert_ok(ledger_receipt_complete(&p->provider.ledger, &p->requester.self, &id, &sig, rig_now));
    assert_ok(ledger_receipt_complete(&p->provider.ledger, &p->requester.self, &id, &sig, rig_now));
    two = propose(p);
    struct receipt r;
    assert_ok(receipt_decode(signed_body_view(&two), &r));
    assert_true(r.seq == 2 && hash_equal(&r.previous, &id) && hash_equal(&r.terms, &b.hash));
    /* The first body again, after its number is long taken: the same answer. */
    assert_ok(ledger_receipt_cosign(&p->requester.ledger, signed_body_view(&one), &one.sig, rig_now, &again, &same));
    assert_memory_equal(&sig, &again, sizeof sig);
}

/* What a lying provider would send: a body of its own making, properly signed by it. */
static enum err send_forged(struct pair *p, const struct receipt *r)
{
    struct signed_body s;
    struct bytes body;
    struct sig sig;
    struct hash id;
    assert_ok(receipt_encode(r, s.buf, &body));
    receipt_sign(&p->provider.key, SIDE_PROVIDER, &p->provider.net, body, &s.sig);
    return ledger_receipt_cosign(&p->requester.ledger, body, &s.sig, rig_now, &sig, &id);
}

static void a_lie_in_any_field_is_refused_by_name(void **state)
{
    struct pair *p = *state;
    struct rig_job j, k;
    struct hash id;
    assert_ok(rig_job_whole(&k, &p->requester, &p->provider, 9, 40, &id));
    due_job(p, &j, 1, 50);
    struct signed_body half = propose(p);
    struct receipt good, r;
    assert_ok(receipt_decode(signed_body_view(&half), &good));
#define LIE(change, expected)                                                                                          \
    do {                                                                                                               \
        r = good;                                                                                                      \
        change;                                                                                                        \
        assert_err(send_forged(p, &r), expected);                                                                      \
    } while (0)
    struct hash other = hash_of("other", bytes_text("x"));
    LIE(r.net.b[0] ^= 1, ERR_NETWORK);
    LIE(r.channel = other, ERR_MISMATCH);
    LIE(r.seq = 3, ERR_CHAIN);
    LIE(r.previous = other, ERR_CHAIN);
    LIE(r.terms = other, ERR_NOT_FOUND);
    LIE(r.terms = k.hash, ERR_REPLAY);                     /* a job of ours that already has its receipt */
    LIE(r.tokens.in++, ERR_MISMATCH);
    LIE(r.tokens.cached++, ERR_MISMATCH);
    LIE(r.tokens.out++, ERR_MISMATCH);
    LIE(r.token_chain = other, ERR_MISMATCH);
    LIE(r.digest_chain = other, ERR_MISMATCH);
    LIE((r.cost.v++, r.owed.v++), ERR_MISMATCH);
    LIE(r.owed.v++, ERR_MISMATCH);
    LIE(r.settled.v++, ERR_MISMATCH);
    LIE((r.output_offset = 1, r.parent = other), ERR_MISMATCH);
    r = good;
    r.tokens.out = 64;                                     /* honest arithmetic over tokens we never signed for */
    r.cost.v = good.cost.v + 14 * j.terms.prices.out;
    r.owed.v = good.owed.v + 14 * j.terms.prices.out;
    assert_err(send_forged(p, &r), ERR_MISMATCH);
    assert_ok(send_forged(p, &good));
    LIE((r.seq = 3, r.previous = receipt_id(signed_body_view(&half)), r.owed.v += r.cost.v), ERR_REPLAY);   /* billed twice */
}

/* A true body is worth nothing without the provider's own hand under it: what we would keep could convince nobody. */
static void a_receipt_that_the_provider_did_not_sign_is_refused(void **state)
{
    struct pair *p = *state;
    struct rig_job j, k;
    due_job(p, &j, 1, 50);
    due_job(p, &k, 2, 30);
    struct signed_body half = propose(p);
    struct bytes body = signed_body_view(&half), key, value;
    struct sig sigs[4], out;
    struct hash id;
    struct channel_state c;
    sigs[0] = half.sig;
    sigs[0].b[5] ^= 1;
    memset(&sigs[1], 0, sizeof sigs[1]);
    receipt_sign(&p->requester.key, SIDE_PROVIDER, &p->provider.net, body, &sigs[2]);      /* another's key */
    receipt_sign(&p->provider.key, SIDE_REQUESTER, &p->provider.net, body, &sigs[3]);      /* another purpose */
    for (size_t i = 0; i < ARRAY_COUNT(sigs); i++) {
        assert_err(ledger_receipt_cosign(&p->requester.ledger, body, &sigs[i], rig_now, &out, &id), ERR_SIGNATURE);
        assert_ok(ledger_channel(&p->requester.ledger, SIDE_REQUESTER, &p->provider.self, &c));
        assert_true(c.seq == 0 && c.owed.v == 0);
    }
    assert_ok(ledger_receipt_cosign(&p->requester.ledger, body, &half.sig, rig_now, &out, &id));
    assert_err(ledger_receipt_cosign(&p->requester.ledger, body, &sigs[0], rig_now, &out, &id), ERR_SIGNATURE);   /* nor when it is known */
    /* And nobody is called a cheat by a body that he did not sign. */
    struct receipt r;
    assert_ok(receipt_decode(body, &r));
    r.terms = k.hash;
    assert_ok(receipt_encode(&r, half.buf, &body));
    assert_err(ledger_receipt_cosign(&p->requester.ledger, body, &half.sig, rig_now, &out, &id), ERR_SIGNATURE);
    assert_err(store_seek(p->requester.store, STORE_EVIDENCE, bytes_of(NULL, 0), &key, &value), ERR_NOT_FOUND);
}

static void two_bodies_under_one_number_are_equivocation(void **state)
{
    struct pair *p = *state;
    struct rig_job a, b;
    due_job(p, &a, 1, 40);
    due_job(p, &b, 2, 40);
    struct signed_body half = propose(p);
    struct receipt good, r;
    assert_ok(receipt_decode(signed_body_view(&half), &good));
    assert_ok(send_forged(p, &good));
    r = good;                                              /* seq 1 again, for the other job */
    r.terms = b.hash;
    r.token_chain = b.claim.token_chain;
    r.digest_chain = b.claim.digest_chain;
    assert_err(send_forged(p, &r), ERR_EQUIVOCATION);
    struct bytes key, value;
    assert_ok(store_seek(p->requester.store, STORE_EVIDENCE, bytes_of(NULL, 0), &key, &value));
    struct channel_state c;
    assert_ok(ledger_channel(&p->requester.ledger, SIDE_REQUESTER, &p->provider.self, &c));
    assert_true(c.seq == 1 && c.owed.v == good.owed.v);
}

/* PROTO 7.9: nothing binding is signed with the peer any more, in either role, also after a restart. */
static void assert_frozen(struct party *who, struct party *peer)
{
    struct ledger *l = &who->ledger;
    struct rig_job j;
    struct signed_body out;
    struct hash hash, terms;
    struct sig sig;
    struct pubkey cursor = { { 0 } };
    enum credit_limit limit;
    struct credit_limits lends = { { UINT64_MAX / 2 }, { UINT64_MAX / 2 } };
    assert_err(ledger_frozen_check(l, &peer->self), ERR_STATE);
    rig_job_init(&j, who, peer, 77);
    assert_err(ledger_terms_sign(l, &j.terms, NULL, rig_now, &out, &hash), ERR_STATE);
    rig_job_init(&j, peer, who, 78);
    struct bytes body;
    assert_ok(terms_encode(&j.terms, out.buf, &body));
    terms_sign(&peer->key, SIDE_REQUESTER, &peer->net, body, &sig);
    assert_err(ledger_terms_accept(l, body, &sig, NULL, &lends, rig_now, &limit, &out.sig, &hash), ERR_STATE);
    assert_err(ledger_receipt_propose(l, &peer->self, &out, &terms), ERR_STATE);
    assert_err(ledger_due_next(l, &cursor), ERR_NOT_FOUND);
}

static void a_frozen_channel_stays_frozen(void **state)
{
    struct pair *p = *state;
    struct rig_job a, b, c;
    struct hash id, other = { { 9 } };
    bool is_new;
    struct evidence seen;
    assert_ok(rig_job_whole(&a, &p->requester, &p->provider, 1, 40, &id));
    due_job(p, &b, 2, 40);
    struct signed_body half = propose(p);                  /* on its way when it happens */
    assert_ok(ledger_freeze(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 1, &other, &is_new));
    assert_true(is_new);
    assert_ok(ledger_freeze(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 1, &other, &is_new));
    assert_false(is_new);
    assert_frozen(&p->provider, &p->requester);
    assert_ok(store_commit(p->provider.store));
    assert_ok(party_crash(&p->provider));
    assert_frozen(&p->provider, &p->requester);
    assert_ok(ledger_evidence_at(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 0, &seen));
    assert_true(seen.seq == 1 && hash_equal(&seen.other, &other) && seen.body.len == 0);
    assert_err(ledger_evidence_at(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 2, &seen), ERR_NOT_FOUND);
    assert_err(ledger_evidence_at(&p->provider.ledger, SIDE_REQUESTER, &p->requester.self, 0, &seen), ERR_NOT_FOUND);

    /* The requester's side: what it signed before it answers again, and what is new it does not sign. */
    assert_ok(ledger_freeze(&p->requester.ledger, SIDE_REQUESTER, &p->provider.self, 1, &other, &is_new));
    assert_frozen(&p->requester, &p->provider);
    struct receipt_view v;
    struct sig sig;
    assert_err(ledger_receipt_cosign(&p->requester.ledger, signed_body_view(&half), &half.sig, rig_now, &sig, &id), ERR_STATE);
    assert_ok(ledger_receipt_at(&p->requester.ledger, SIDE_REQUESTER, &p->provider.self, 1, &v));
    struct signed_body first = { .len = v.body.len, .sig = v.provider_sig };
    memcpy(first.buf, v.body.data, v.body.len);
    assert_ok(ledger_receipt_cosign(&p->requester.ledger, signed_body_view(&first), &first.sig, rig_now, &sig, &id));

    struct party third;                                    /* and with others business goes on */
    party_init(&third, 3);
    assert_ok(party_open(&third));
    assert_ok(rig_job_whole(&c, &p->requester, &third, 3, 40, &id));
    party_fini(&third);
}

/* The other receipt is shown after it was named: it is kept with its signatures, and no later one takes its place. */
static void the_other_receipt_is_kept_as_evidence(void **state)
{
    struct pair *p = *state;
    struct rig_job a;
    struct hash id;
    bool is_new;
    struct evidence seen;
    struct receipt_view v;
    assert_ok(rig_job_whole(&a, &p->requester, &p->provider, 1, 40, &id));
    struct ledger *l = &p->requester.ledger;
    assert_ok(ledger_receipt_at(l, SIDE_REQUESTER, &p->provider.self, 1, &v));
    struct receipt r = v.receipt;
    struct signed_body others[2];
    struct bytes body;
    struct sig none = { { 0 } }, bad;
    for (size_t i = 0; i < 2; i++) {
        r.cost.v++;
        r.owed.v++;
        assert_ok(receipt_encode(&r, others[i].buf, &body));
        others[i].len = body.len;
        receipt_sign(&p->provider.key, SIDE_PROVIDER, &p->provider.net, body, &others[i].sig);
    }
    struct hash named = receipt_id(signed_body_view(&others[0]));
    assert_ok(ledger_freeze(l, SIDE_REQUESTER, &p->provider.self, 1, &named, &is_new));
    bad = others[0].sig;
    bad.b[7] ^= 1;
    assert_err(ledger_receipt_adopt(l, SIDE_REQUESTER, &p->provider.self, signed_body_view(&others[0]), &none, &bad, rig_now), ERR_SIGNATURE);
    assert_ok(ledger_evidence_at(l, SIDE_REQUESTER, &p->provider.self, 0, &seen));
    assert_int_equal(seen.body.len, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_err(ledger_receipt_adopt(l, SIDE_REQUESTER, &p->provider.self, signed_body_view(&others[i]), &none, &others[i].sig, rig_now), ERR_EQUIVOCATION);
        assert_ok(store_commit(p->requester.store));
        assert_ok(party_crash(&p->requester));
        assert_ok(ledger_evidence_at(l, SIDE_REQUESTER, &p->provider.self, 0, &seen));
        assert_true(bytes_equal(seen.body, signed_body_view(&others[0])) && hash_equal(&seen.other, &named));
        assert_memory_equal(&seen.provider_sig, &others[0].sig, SIG_BYTES);
        assert_true(memcmp(&seen.requester_sig, &none, SIG_BYTES) == 0);       /* ours is not on it: nobody says that we signed it */
    }
    assert_ok(ledger_receipt_at(l, SIDE_REQUESTER, &p->provider.self, 1, &v));  /* our own stands as it stood */
    assert_true(hash_equal(&v.id, &id));
    assert_frozen(&p->requester, &p->provider);
}

static void a_lost_last_ack_costs_the_provider_that_claim_only(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    rig_job_init(&j, &p->requester, &p->provider, 3);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    for (int i = 0; i < 32; i++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    assert_ok(rig_job_exchange_claim(&j, &p->requester, &p->provider));
    for (int i = 0; i < 32; i++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    struct sig sig = rig_claim_sig(&j, &p->provider), late;
    assert_ok(ledger_claim_cosign(&p->requester.ledger, &j.claim, &j.digest, &sig, &late));   /* never arrives in time */
    assert_ok(ledger_job_end(&p->provider.ledger, &j.hash, OUTCOME_PARTIAL, SIDE_NONE, REASON_LINK_LOST, rig_now));
    struct signed_body half = propose(p);
    assert_err(ledger_claim_acked(&p->provider.ledger, &j.claim, &j.digest, &late), ERR_STATE);   /* the receipt is on paper */
    struct hash id;
    assert_ok(ledger_receipt_cosign(&p->requester.ledger, signed_body_view(&half), &half.sig, rig_now, &sig, &id));
    assert_ok(ledger_receipt_complete(&p->provider.ledger, &p->requester.self, &id, &sig, rig_now));
    struct job ours;
    assert_ok(ledger_job_find(&p->requester.ledger, &j.hash, &ours));
    assert_true(ours.tokens.out == 32);
    assert_ok(ledger_job_end(&p->requester.ledger, &j.hash, OUTCOME_PARTIAL, SIDE_PROVIDER, REASON_LINK_LOST, rig_now));
}

static void a_late_ack_before_the_proposal_still_counts(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    rig_job_init(&j, &p->requester, &p->provider, 3);
    assert_ok(rig_job_begin(&j, &p->requester, &p->provider));
    for (int i = 0; i < 32; i++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    assert_ok(ledger_job_end(&p->provider.ledger, &j.hash, OUTCOME_PARTIAL, SIDE_NONE, REASON_LINK_LOST, rig_now));
    struct signed_body half;
    struct hash terms;
    assert_err(ledger_receipt_propose(&p->provider.ledger, &p->requester.self, &half, &terms), ERR_NOT_FOUND);
    assert_ok(rig_job_exchange_claim(&j, &p->requester, &p->provider));
    struct hash id;
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
}

static void restored_books_are_brought_back_from_the_peers_copy(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct hash ids[3];
    for (uint64_t n = 0; n < 3; n++)
        assert_ok(rig_job_whole(&j, &p->requester, &p->provider, n, 40, &ids[n]));
    struct party fresh;                                    /* the provider again, its disk lost */
    party_init(&fresh, 2);
    assert_ok(party_open(&fresh));
    enum resync todo;
    struct channel_state c;
    assert_ok(ledger_channel(&p->requester.ledger, SIDE_REQUESTER, &fresh.self, &c));
    assert_ok(ledger_resync(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, c.seq, &c.head, &todo));
    assert_true(todo == RESYNC_ASK);
    struct hash none = { { 0 } };
    assert_ok(ledger_resync(&p->requester.ledger, SIDE_REQUESTER, &fresh.self, 0, &none, &todo));
    assert_true(todo == RESYNC_SEND);
    struct receipt_view v;
    assert_ok(ledger_receipt_at(&p->requester.ledger, SIDE_REQUESTER, &fresh.self, 2, &v));
    assert_err(ledger_receipt_adopt(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, v.body, &v.requester_sig, &v.provider_sig, rig_now), ERR_CHAIN);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_ok(ledger_receipt_at(&p->requester.ledger, SIDE_REQUESTER, &fresh.self, seq, &v));
        struct sig bad = v.provider_sig;
        bad.b[2] ^= 1;
        assert_err(ledger_receipt_adopt(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, v.body, &v.requester_sig, &bad, rig_now), ERR_SIGNATURE);
        assert_ok(ledger_receipt_adopt(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, v.body, &v.requester_sig, &v.provider_sig, rig_now));
        assert_ok(ledger_receipt_adopt(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, v.body, &v.requester_sig, &v.provider_sig, rig_now));
    }
    assert_ok(ledger_resync(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, 3, &ids[2], &todo));
    assert_true(todo == RESYNC_EQUAL);
    assert_ok(ledger_resync(&fresh.ledger, SIDE_PROVIDER, &p->requester.self, 3, &ids[1], &todo));
    assert_true(todo == RESYNC_CONFLICT);
    struct account a;
    assert_ok(ledger_account(&fresh.ledger, &p->requester.self, &a));
    assert_true(a.earned.v == v.receipt.owed.v && a.receipts_earned == 3);
    struct hash id;
    assert_ok(rig_job_whole(&j, &p->requester, &fresh, 10, 40, &id));          /* and business goes on */
    char why[160];
    assert_ok(ledger_check(&fresh.ledger, why));
    party_fini(&fresh);
}

static void resync_knows_our_half_from_a_strangers_receipt(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    enum resync todo;
    due_job(p, &j, 1, 40);
    struct channel_state c;
    struct hash none = { { 0 } };
    assert_ok(ledger_resync(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 0, &none, &todo));
    assert_true(todo == RESYNC_PROPOSE);                   /* due, not yet on paper */
    struct signed_body half = propose(p);
    assert_ok(ledger_channel(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, &c));
    assert_true(c.seq == 0 && c.has_half);
    assert_ok(ledger_resync(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 1, &c.half, &todo));
    assert_true(todo == RESYNC_PROPOSE);                   /* the requester has it, only its signature was lost */
    assert_ok(ledger_resync(&p->provider.ledger, SIDE_PROVIDER, &p->requester.self, 1, &j.hash, &todo));
    assert_true(todo == RESYNC_ASK);
    struct receipt r;
    assert_ok(receipt_decode(signed_body_view(&half), &r));
    assert_ok(send_forged(p, &r));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        CASE(a_proposal_is_the_same_until_it_is_complete),
        CASE(a_lie_in_any_field_is_refused_by_name),
        CASE(a_receipt_that_the_provider_did_not_sign_is_refused),
        CASE(two_bodies_under_one_number_are_equivocation),
        CASE(a_frozen_channel_stays_frozen),
        CASE(the_other_receipt_is_kept_as_evidence),
        CASE(a_lost_last_ack_costs_the_provider_that_claim_only),
        CASE(a_late_ack_before_the_proposal_still_counts),
        CASE(restored_books_are_brought_back_from_the_peers_copy),
        CASE(resync_knows_our_half_from_a_strangers_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
