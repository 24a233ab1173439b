/* test_ledger_parties.c - two parties on a bad network: messages are lost, doubled, delayed and reordered, either side loses
 * power at any moment, also between a record and its message. After every step the books are checked against each other.
 *
 * Usage: test_ledger_parties [SEED [STEPS]]. Without arguments a fixed set of seeds runs; a failure prints the seed, which
 * alone repeats it.
 *
 *   1. no acknowledged receipt is lost: one that the provider completed is in both books, for ever
 *   2. heads agree, or the requester is ahead by exactly the provider's half-signed receipt
 *   3. money is conserved: what one side says it earned, the other says it spent, but for that one receipt
 *   4. nobody ever signed two bodies under one number (every body seen on the wire is remembered and compared)
 */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger_rig.h"

enum { WIRE_MAX = 64, SEEN_MAX = 4096, JOB_TOKENS_MAX = 100 };

enum kind { MSG_CLAIM, MSG_CLAIM_ACK, MSG_RECEIPT, MSG_RECEIPT_ACK };
struct message {
    enum kind kind;
    struct claim claim;
    struct hash digest, id;
    struct signed_body body;
    struct sig sig;
};
struct wire {
    struct message m[WIRE_MAX];
    size_t count;
};
struct seen {
    uint64_t seq;
    struct hash id;
};
struct world {
    struct rng rng;
    struct party requester, provider;
    struct wire to_requester, to_provider;
    struct rig_job job;
    bool running;
    uint64_t jobs, completed, crashes, lost;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    struct hash done[SEEN_MAX];                            /* receipts whose completion the provider committed */
};

static bool chance(struct world *w, uint64_t percent) { return rng_below(&w->rng, 100) < percent; }

/* The network: an effect leaves only after its turn was committed; then it may vanish, come twice or wait. */
static void send_on(struct world *w, struct wire *wire, const struct message *m)
{
    unsigned copies = chance(w, 15) ? 0 : chance(w, 15) ? 2 : 1;
    w->lost += copies == 0;
    while (copies-- && wire->count < WIRE_MAX)
        wire->m[wire->count++] = *m;
}

static bool take_from(struct world *w, struct wire *wire, struct message *out)
{
    if (wire->count == 0)
        return false;
    size_t i = (size_t)rng_below(&w->rng, wire->count);    /* any order */
    *out = wire->m[i];
    wire->m[i] = wire->m[--wire->count];
    return true;
}

/* Ends a turn: commit, then send. False if power went away between the two or before: nothing was sent. */
static bool commit_turn(struct world *w, struct party *p)
{
    uint64_t fate = rng_below(&w->rng, 40);
    if (fate == 0) {                                       /* before the commit */
        assert_ok(party_crash(p));
        w->crashes++;
        return false;
    }
    assert_ok(store_commit(p->store));
    if (fate == 1) {                                       /* after the commit, before the first message */
        assert_ok(party_crash(p));
        w->crashes++;
        return false;
    }
    return true;
}

static bool crashed_job(struct world *w)
{
    struct job a, b;
    if (ledger_job_find(&w->requester.ledger, &w->job.hash, &a) != OK || ledger_job_find(&w->provider.ledger, &w->job.hash, &b) != OK)
        return true;
    return a.outcome != OUTCOME_NONE || b.outcome != OUTCOME_NONE;
}

static void remember_body(struct world *w, const struct signed_body *body)
{
    struct receipt r;
    assert_ok(receipt_decode(signed_body_view(body), &r));
    struct hash id = receipt_id(signed_body_view(body));
    for (size_t i = 0; i < w->seen_count; i++)
        if (w->seen[i].seq == r.seq) {
            assert_true(hash_equal(&w->seen[i].id, &id));  /* property 4 */
            return;
        }
    assert_true(w->seen_count < SEEN_MAX);
    w->seen[w->seen_count++] = (struct seen){ r.seq, id };
}

/* ---- what each side does ---- */

static void begin_job(struct world *w)
{
    rig_job_init(&w->job, &w->requester, &w->provider, ++w->jobs);
    assert_ok(rig_job_begin(&w->job, &w->requester, &w->provider));
    bool requester_up = commit_turn(w, &w->requester), provider_up = commit_turn(w, &w->provider);
    w->running = requester_up && provider_up;
    if (!w->running)
        w->job.hash = (struct hash){ { 0 } };
}

static void make_tokens(struct world *w)
{
    for (int i = 0; i < 8 && w->job.output_count < JOB_TOKENS_MAX; i++) {
        rig_job_token(&w->job);
        bool last = w->job.output_count == JOB_TOKENS_MAX || chance(w, 2);
        if (!w->job.has_digest && !last)
            continue;
        assert_true(rig_job_claim(&w->job, last));
        struct message m = { .kind = MSG_CLAIM, .claim = w->job.claim, .digest = w->job.digest, .sig = rig_claim_sig(&w->job, &w->provider) };
        send_on(w, &w->to_requester, &m);
        if (last)
            w->job.output_count = JOB_TOKENS_MAX;
        return;
    }
}

static void end_job(struct world *w)
{
    assert_ok(ledger_job_end(&w->provider.ledger, &w->job.hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now));
    (void)commit_turn(w, &w->provider);
    assert_ok(ledger_job_end(&w->requester.ledger, &w->job.hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now));
    (void)commit_turn(w, &w->requester);
    w->running = false;
}

static void propose(struct world *w)
{
    struct message m = { .kind = MSG_RECEIPT };
    enum err e = ledger_receipt_propose(&w->provider.ledger, &w->requester.self, &m.body, &m.digest);
    if (e == ERR_NOT_FOUND)
        return;
    assert_ok(e);
    if (!commit_turn(w, &w->provider))
        return;
    remember_body(w, &m.body);
    send_on(w, &w->to_requester, &m);
}

static bool is_known_refusal(enum err e)
{
    return e == ERR_STALE || e == ERR_CHAIN || e == ERR_STATE || e == ERR_REPLAY || e == ERR_MISMATCH;
}

static void requester_turn(struct world *w)
{
    struct message m, reply;
    if (!take_from(w, &w->to_requester, &m))
        return;
    struct ledger *l = &w->requester.ledger;
    enum err e;
    if (m.kind == MSG_CLAIM) {
        reply = (struct message){ .kind = MSG_CLAIM_ACK, .claim = m.claim, .digest = m.digest };
        e = ledger_claim_cosign(l, &m.claim, &m.digest, &m.sig, &reply.sig);
    } else {
        reply = (struct message){ .kind = MSG_RECEIPT_ACK };
        e = ledger_receipt_cosign(l, signed_body_view(&m.body), &m.body.sig, rig_now, &reply.sig, &reply.id);
    }
    if (e == OK && commit_turn(w, &w->requester))
        send_on(w, &w->to_provider, &reply);
    else if (e != OK && !is_known_refusal(e))
        fail_msg("requester refused %s: %s", m.kind == MSG_CLAIM ? "a claim" : "a receipt", err_name(e));
}

static void provider_turn(struct world *w)
{
    struct message m;
    if (!take_from(w, &w->to_provider, &m))
        return;
    struct ledger *l = &w->provider.ledger;
    if (m.kind == MSG_CLAIM_ACK) {
        enum err e = ledger_claim_acked(l, &m.claim, &m.digest, &m.sig);
        if (e == OK)
            (void)commit_turn(w, &w->provider);
        else if (!is_known_refusal(e))
            fail_msg("provider refused an ack: %s", err_name(e));
        return;
    }
    struct receipt_view v;
    bool was_new = ledger_receipt_find(l, &m.id, &v) == ERR_NOT_FOUND;
    assert_ok(ledger_receipt_complete(l, &w->requester.self, &m.id, &m.sig, rig_now));
    (void)commit_turn(w, &w->provider);
    if (was_new && ledger_receipt_find(l, &m.id, &v) == OK) {
        assert_true(w->completed < SEEN_MAX);
        w->done[w->completed++] = m.id;
    }
}

/* ---- properties ---- */

static void check_heads_and_money(struct world *w)
{
    struct channel_state earns, spends;
    assert_ok(ledger_channel(&w->provider.ledger, SIDE_PROVIDER, &w->requester.self, &earns));
    assert_ok(ledger_channel(&w->requester.ledger, SIDE_REQUESTER, &w->provider.self, &spends));
    if (earns.seq == spends.seq) {
        assert_true(hash_equal(&earns.head, &spends.head));
        assert_true(earns.owed.v == spends.owed.v);
    } else {
        assert_true(spends.seq == earns.seq + 1 && earns.has_half);
        assert_true(hash_equal(&earns.half, &spends.head));
        struct receipt_view v;
        assert_ok(ledger_receipt_find(&w->requester.ledger, &spends.head, &v));
        assert_true(spends.owed.v == earns.owed.v + v.receipt.cost.v);
    }
}

static void check_nothing_lost(struct world *w, bool all)
{
    for (size_t i = all || w->completed < 4 ? 0 : (size_t)w->completed - 4; i < w->completed; i++) {
        struct receipt_view v;
        assert_ok(ledger_receipt_find(&w->provider.ledger, &w->done[i], &v));
        assert_ok(ledger_receipt_find(&w->requester.ledger, &w->done[i], &v));
    }
}

static void check_books(struct world *w, bool deep)
{
    char why[160];
    struct ledger *books[] = { &w->requester.ledger, &w->provider.ledger };
    for (size_t i = 0; i < 2; i++)
        if ((deep ? ledger_check : ledger_check_sums)(books[i], why) != OK)
            fail_msg("%s: %s", i ? "provider" : "requester", why);
}

static void step(struct world *w)
{
    if (w->running && crashed_job(w))
        w->running = false;                                /* its other side finds out by the lost link */
    switch (rng_below(&w->rng, 8)) {
    case 0:
        if (!w->running)
            begin_job(w);
        break;
    case 1: case 2:
        if (w->running)
            make_tokens(w);
        break;
    case 3:
        if (w->running && w->job.output_count == JOB_TOKENS_MAX && chance(w, 50))
            end_job(w);
        break;
    case 4: propose(w); break;
    case 5: case 6: requester_turn(w); break;
    default: provider_turn(w); break;
    }
    check_heads_and_money(w);
    check_nothing_lost(w, false);
}

/* The faults end: with a network that works, both books must come to the same end. */
static void drain(struct world *w)
{
    struct job j;
    uint64_t cursor = UINT64_MAX;
    while (ledger_job_next(&w->provider.ledger, &cursor, &j) == OK)
        assert_ok(ledger_job_end(&w->provider.ledger, &j.terms, OUTCOME_PARTIAL, SIDE_NONE, REASON_LINK_LOST, rig_now));
    w->to_requester.count = w->to_provider.count = 0;
    for (;;) {
        struct signed_body half;
        struct hash terms, id;
        struct sig sig;
        enum err e = ledger_receipt_propose(&w->provider.ledger, &w->requester.self, &half, &terms);
        if (e == ERR_NOT_FOUND)
            break;
        assert_ok(e);
        assert_ok(ledger_receipt_cosign(&w->requester.ledger, signed_body_view(&half), &half.sig, rig_now, &sig, &id));
        assert_ok(ledger_receipt_complete(&w->provider.ledger, &w->requester.self, &id, &sig, rig_now));
    }
    struct channel_state a, b;
    assert_ok(ledger_channel(&w->provider.ledger, SIDE_PROVIDER, &w->requester.self, &a));
    assert_ok(ledger_channel(&w->requester.ledger, SIDE_REQUESTER, &w->provider.self, &b));
    assert_true(a.seq == b.seq && hash_equal(&a.head, &b.head) && a.owed.v == b.owed.v && !a.has_half);
}

static uint64_t steps_wanted = 1500;

static void run_seed(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    rng_init(&w->rng, seed);
    party_init(&w->requester, 1);
    party_init(&w->provider, 2);
    assert_ok(party_open(&w->requester));
    assert_ok(party_open(&w->provider));
    for (uint64_t i = 0; i < steps_wanted; i++) {
        step(w);
        if (i % 50 == 0)
            check_books(w, false);
    }
    drain(w);
    check_books(w, true);
    check_nothing_lost(w, true);
    print_message("seed %llu: %llu jobs, %llu receipts, %llu crashes, %llu messages lost\n", (unsigned long long)seed,
                  (unsigned long long)w->jobs, (unsigned long long)w->completed, (unsigned long long)w->crashes,
                  (unsigned long long)w->lost);
    assert_true(w->completed >= 3 && w->crashes >= 3);     /* or this run proved nothing */
    party_fini(&w->requester);
    party_fini(&w->provider);
    free(w);
}

static uint64_t seed_first = 1, seed_last = 6;

static void books_agree_on_a_bad_network(void **state)
{
    (void)state;
    for (uint64_t seed = seed_first; seed <= seed_last; seed++) {
        print_message("repeat with: test_ledger_parties %llu %llu\n", (unsigned long long)seed, (unsigned long long)steps_wanted);
        run_seed(seed);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed_first = seed_last = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        steps_wanted = strtoull(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = { cmocka_unit_test(books_agree_on_a_bad_network) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
