/* test_agent_bids.c - a bid is the bidder's own word, and is held against the request's limits: an advert is not a promise.
 *
 * A tap with the bidder's key rewrites its bids on the way: what it advertises meets the limits, what it bids does not.
 * And a bid holds for a while only: one that is not taken at once must still be good when it is.
 */
#include "tests/agent/world.h"

#include <string.h>

struct bidder {
    struct world *w;
    int from;
    void (*change)(struct bid *b);
    const struct secret_key *signs;                        /* NULL: the signature stays as it was */
    int seen, terms, refused;
    enum decline_reason reason;
};

static bool rewrite_bid(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct bidder *k = ctx;
    struct signed_msg m;
    struct bid b;
    uint8_t buf[BID_BYTES_MAX], message[SIGNED_BYTES_MAX];
    struct bytes view;
    if (type == MSG_TERMS && to == k->from)
        k->terms++;
    if (type == MSG_REFUSE && from == k->from)
        k->refused++;
    if (type != MSG_BID || from != k->from)
        return true;
    k->seen++;
    assert_ok(signed_msg_decode(bytes_of(body, *len), &m));
    assert_ok(bid_decode(m.body, &b));
    k->change(&b);
    assert_ok(bid_encode(&b, buf, &m.body));
    if (k->signs)
        key_sign(k->signs, PURPOSE_BID, &world_node(k->w, from)->config.net, m.body, &m.sig);
    assert_ok(signed_msg_encode(&m, message, &view));
    memcpy(body, view.data, view.len);
    *len = view.len;
    return true;
}

static void same(struct bid *b) { (void)b; }
static void dear_input(struct bid *b) { b->price_input = 1001; }
static void dear_output(struct bid *b) { b->price_output = 2001; }
static void elsewhere(struct bid *b) { memcpy(b->jurisdiction, "FR", 2); }
static void other_tier(struct bid *b) { b->tier = 2; }
static void hungry(struct bid *b) { b->energy_mj_per_1k = 501; }
static void unmeasured(struct bid *b) { b->energy_mj_per_1k = 0; }
static void slow(struct bid *b) { b->first_token_ms = 301; }
static void over_budget(struct bid *b) { b->price_output = 1999; }

static void brief(struct bid *b) { b->reservation_ms = 100; }

static struct world *mesh(int providers)
{
    struct world *w = world_new(providers + 1);
    for (int i = 1; i <= providers; i++) {
        world_serve(w, i, 100u * (unsigned)i, 400u * (unsigned)i);
        world_node(w, i)->model.energy_mj_per_1k = 500;
    }
    world_start(w);
    return w;
}

static struct request limited(struct world *w, int client)
{
    struct request q = world_request(w, client, 40);
    q.limits = (struct request_limits){ .price_input_max = 1000, .price_output_max = 2000, .first_token_ms_max = 300, .jurisdictions = { "DE" }, .tiers = 1,
                                        .energy_mj_per_1k_max = 500, .budget_pico = 20 * 100 + 40 * 1900 };
    return q;
}

static void a_bid_above_the_limits_is_not_taken(void **state)
{
    (void)state;
    static const struct { void (*change)(struct bid *b); enum err error; } table[] = {
        { dear_input, ERR_PRICE }, { dear_output, ERR_PRICE }, { over_budget, ERR_PRICE }, { elsewhere, ERR_CONSTRAINT }, { other_tier, ERR_CONSTRAINT },
        { hungry, ERR_CONSTRAINT }, { unmeasured, ERR_CONSTRAINT }, { slow, ERR_CONSTRAINT },
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct world *w = mesh(1);
        struct bidder k = { .w = w, .from = 1, .change = same, .signs = &world_node(w, 1)->key };
        struct request q = limited(w, 1);
        world_set_tap(w, (struct world_tap){ rewrite_bid, &k });
        world_ask(w, 0, 1, &q);                            /* as it bids itself: taken */
        world_wait(w, 1, 5000);
        assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
        assert_true(k.seen == 1 && k.terms == 1);
        k.change = table[i].change;
        q = limited(w, 2);
        world_ask(w, 0, 2, &q);
        world_wait(w, 2, 30000);
        assert_int_equal(world_client(w, 2)->state, CLIENT_FAILED);
        if (world_client(w, 2)->error != table[i].error)
            fail_msg("case %zu: %s: %s", i, err_name(world_client(w, 2)->error), world_client(w, 2)->text);
        assert_true(k.seen >= 2 && k.terms == 1);          /* nothing was signed for it */
        world_free(w);
    }
}

static uint64_t refusals(struct world *w, enum err e) { return overlay_counters(agent_overlay(world_node(w, 0)->agent))->refused[e]; }

/* Node 1 bids with a signature that is not for these bytes, or with another key's: an offence, and the
 * request goes to node 2. */
static void a_bid_is_the_bidders_own(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct world *w = mesh(2);
        struct bidder k = { .w = w, .from = 1, .change = how == 0 ? dear_output : same };
        struct request q = world_request(w, 1, 40);
        if (how > 0)
            k.signs = &world_node(w, 2)->key;
        world_set_tap(w, (struct world_tap){ rewrite_bid, &k });
        world_ask(w, 0, 1, &q);
        world_wait(w, 1, 5000);
        assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
        world_assert_answer(w, 1, &q);
        assert_true(k.seen > 0 && k.terms == 0);
        assert_int_equal(world_account(w, 0, 2).receipts_spent, 1);
        assert_true(refusals(w, ERR_SIGNATURE) > 0);
        world_free(w);
    }
}

static struct pubkey another;
static void in_anothers_name(struct bid *b) { b->provider = another; }

static void nobody_bids_for_another(void **state)
{
    (void)state;
    struct world *w = mesh(2);
    struct bidder k = { .w = w, .from = 1, .change = in_anothers_name, .signs = &world_node(w, 2)->key };
    struct request q = world_request(w, 1, 40);
    another = world_node(w, 2)->public;
    world_set_tap(w, (struct world_tap){ rewrite_bid, &k });
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 5000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    assert_true(k.seen > 0 && k.terms == 0);
    assert_true(refusals(w, ERR_KEY) > 0);
    assert_int_equal(world_account(w, 0, 2).receipts_spent, 1);
    world_free(w);
}

/* Fails one job of client 0 after another until the requester has had enough. */
static void disgrace(struct world *w, int provider)
{
    struct request q = world_request(w, 0, 40);
    world_node(w, provider)->engine_fails_at = 0;
    world_ask(w, 0, 0, &q);
    world_wait(w, 0, 30000);
    assert_int_equal(world_client(w, 0)->state, CLIENT_FAILED);
    world_node(w, provider)->engine_fails_at = -1;
}

/* The only provider failed lately. Others are waited for, but not until its bid has run out: it is never offered terms that it must
 * refuse, which would be held against it. */
static void a_last_resort_is_taken_while_its_bid_holds(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    struct bidder k = { .w = w, .from = 1, .change = same, .signs = &world_node(w, 1)->key };
    disgrace(w, 1);
    world_set_tap(w, (struct world_tap){ rewrite_bid, &k });
    struct request q = world_request(w, 1, 40);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 30000);
    struct client *c = world_client(w, 1);
    if (c->state != CLIENT_DONE || k.refused > 0 || k.terms != 1)
        fail_msg("terms %d, refused %d: %s", k.terms, k.refused, c->text);
    world_assert_answer(w, 1, &q);
    assert_true(c->first_token.us - c->began.us < RESERVATION_MS * 1000);
    world_free(w);
}

/* Its bid holds for less than others are waited for: nothing is signed for it, and the client hears why. */
static void nothing_is_signed_for_a_bid_that_ran_out(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    struct bidder k = { .w = w, .from = 1, .change = brief, .signs = &world_node(w, 1)->key };
    disgrace(w, 1);
    world_set_tap(w, (struct world_tap){ rewrite_bid, &k });
    struct request q = world_request(w, 1, 40);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 30000);
    struct client *c = world_client(w, 1);
    assert_int_equal(c->state, CLIENT_FAILED);
    if (c->error != ERR_EXPIRED || !strstr(c->text, "expired"))
        fail_msg("%s: %s", err_name(c->error), c->text);
    assert_true(k.seen > 0 && k.terms == 0);
    world_free(w);
}

static bool refuse_terms(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct bidder *k = ctx;
    struct terms_msg m;
    uint8_t buf[DECLINE_BYTES_MAX];
    struct bytes view;
    if (type != MSG_TERMS || to != k->from)
        return true;
    assert_ok(terms_msg_decode(bytes_of(body, *len), &m));
    assert_ok(decline_encode(&(struct decline){ .subject = terms_hash(m.terms), .reason = k->reason }, buf, &view));
    world_say(k->w, to, from, MSG_REFUSE, view);
    k->refused++;
    return false;
}

/* Whatever terms are refused for, the client hears that and nothing more general; the book has the nearest of its codes. */
static void the_client_hears_why_terms_were_refused(void **state)
{
    (void)state;
    for (int r = 1; r < DECLINE_COUNT; r++) {
        struct world *w = mesh(1);
        struct bidder k = { .w = w, .from = 1, .reason = (enum decline_reason)r };
        world_set_tap(w, (struct world_tap){ refuse_terms, &k });
        struct request q = world_request(w, 1, 40);
        world_ask(w, 0, 1, &q);
        world_wait(w, 1, 30000);
        struct client *c = world_client(w, 1);
        assert_int_equal(c->state, CLIENT_FAILED);
        assert_int_equal(k.refused, ATTEMPTS_MAX);
        if (!strstr(c->text, decline_text(k.reason)))
            fail_msg("refused with \"%s\", the client hears \"%s\"", decline_text(k.reason), c->text);
        struct job j;
        uint64_t cursor = UINT64_MAX;
        assert_ok(ledger_job_next(agent_ledger(world_node(w, 0)->agent), &cursor, &j));
        assert_int_equal(j.reason, decline_book_reason(k.reason));
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bid_above_the_limits_is_not_taken),
        cmocka_unit_test(a_bid_is_the_bidders_own),
        cmocka_unit_test(nobody_bids_for_another),
        cmocka_unit_test(a_last_resort_is_taken_while_its_bid_holds),
        cmocka_unit_test(nothing_is_signed_for_a_bid_that_ran_out),
        cmocka_unit_test(the_client_hears_why_terms_were_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
