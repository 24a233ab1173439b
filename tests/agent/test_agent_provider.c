/* test_agent_provider.c - what a provider lends, runs and remembers, against a requester that keeps no rule. */
#include "tests/agent/hand_requester.h"

#include <string.h>

enum { PRICE_IN = 100, PRICE_OUT = 400, DAY_MS = 24 * 60 * 60 * 1000 };

static struct world *mesh(uint64_t credit_pico, uint64_t newcomers_pico)
{
    struct world *w = world_new(3);
    world_serve(w, 1, PRICE_IN, PRICE_OUT);
    world_node(w, 1)->config.credit_limit_pico = credit_pico;
    world_node(w, 1)->config.newcomer_limit_pico = newcomers_pico;
    world_start(w);
    return w;
}

static const uint64_t plenty = 1000u * 1000 * 1000;

/* The others sleep meanwhile, so that the day is short. */
static void a_day_later(struct world *w)
{
    world_kill(w, 0);
    world_kill(w, 2);
    world_run_ms(w, DAY_MS + 20 * 60 * 1000);
    world_restart(w, 0);
    world_restart(w, 2);
    world_run_ms(w, 4000);
}

static uint64_t cost(uint64_t out) { return HAND_PROMPT * (uint64_t)PRICE_IN + out * PRICE_OUT; }

static uint64_t exposure(struct world *w, int requester)
{
    struct account a = world_account(w, 1, requester);
    return a.earned.v - a.earned_settled.v + a.earned_pending.v;
}

static void over(struct world *w)
{
    world_ledger_check(w, 1);
    assert_int_equal(agent_counters(world_node(w, 1)->agent)->jobs_open_provider, 0);
    world_free(w);
}

/* CLAIM_KEPT for this claim, signed by the requester now. */
static void keep(struct hand *h, const struct hand_claim *c, const struct hash *digest, const struct sig *provider_sig)
{
    struct kept_msg m = { .has_digest = c->has_digest, .digest = *digest, .provider_sig = *provider_sig };
    uint8_t claim[CLAIM_BYTES_MAX], buf[KEPT_BYTES_MAX];
    struct bytes view;
    claim_sign(&world_node(h->w, h->from)->key, SIDE_REQUESTER, &world_node(h->w, h->from)->config.net, &c->claim, &m.requester_sig);
    assert_ok(claim_encode(&c->claim, claim, &m.claim));
    assert_ok(kept_msg_encode(&m, buf, sizeof buf, &view));
    world_say(h->w, h->from, h->to, MSG_CLAIM_KEPT, view);
    world_run_ms(h->w, 3);
}

/* ---- what is delivered and not signed for ---- */

/* Ninety tokens each time, no signature ever: what was had counts, and at the limit there is a refusal that names it. */
static void nobody_takes_more_than_the_limit(void **state)
{
    (void)state;
    struct world *w = mesh(3 * cost(90), plenty);
    struct hand h;
    uint64_t had = 0;
    hand_init(&h, w, 0, 1);
    for (int i = 0; hand_begins(&h, 90); i++) {
        assert_true(i < 10);
        world_run_ms(w, 200);
        had += cost(h.tokens);
        hand_cancels(&h, CANCEL_GIVEN_UP);
        assert_int_equal(exposure(w, 0), had);
        assert_true(had <= 3 * cost(90));
    }
    assert_int_equal(had, 3 * cost(90));
    assert_int_equal(h.declined.reason, DECLINE_CREDIT_REQUESTER);
    assert_int_equal(h.declined.limit, 3 * cost(90));
    world_restart(w, 1);                                   /* after a restart as well */
    world_run_ms(w, 4000);
    assert_false(hand_begins(&h, 90));
    assert_int_equal(h.declined.reason, DECLINE_CREDIT_REQUESTER);
    a_day_later(w);
    assert_int_equal(exposure(w, 0), 0);                   /* once a day */
    assert_true(hand_begins(&h, 90));
    world_run_ms(w, TOKEN_DEADLINE_MS + 500);              /* and says nothing: the job is ended for it */
    over(w);
}

/* Another key is another requester, but newcomers have one purse. */
static void nor_do_newcomers_together(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, 2 * cost(90));
    struct hand h;
    for (int who = 0; who <= 2; who += 2) {
        hand_init(&h, w, who, 1);
        assert_true(hand_begins(&h, 90));
        world_run_ms(w, 200);
        hand_cancels(&h, CANCEL_GIVEN_UP);
    }
    for (int who = 0; who <= 2; who += 2) {
        hand_init(&h, w, who, 1);
        assert_false(hand_begins(&h, 90));
        assert_int_equal(h.declined.reason, DECLINE_CREDIT_NEWCOMERS);
        assert_int_equal(h.declined.limit, 2 * cost(90));
    }
    over(w);
}

/* What was signed and lost on its way is shown later: that part is owed then, and the sum is the same. */
static void what_is_shown_later_counts_once(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    assert_true(hand_begins(&h, 200));
    world_run_ms(w, 200);
    assert_int_equal(h.tokens, WINDOW_TOKENS);             /* and claims 0 to 3, which nobody has signed as far as it knows */
    world_cut(w, 0, 1);
    world_run_ms(w, 3000);
    assert_int_equal(exposure(w, 0), cost(WINDOW_TOKENS));
    assert_int_equal(hand_job(&h).tokens.out, 0);
    for (uint32_t k = 0; k <= 2; k++)
        keep(&h, &h.claims[k], &h.claims[k].digest, &h.claims[k].provider_sig);
    assert_int_equal(hand_job(&h).tokens.out, 2 * CLAIM_TOKENS);
    assert_int_equal(exposure(w, 0), cost(WINDOW_TOKENS));
    a_day_later(w);
    assert_int_equal(exposure(w, 0), cost(2 * CLAIM_TOKENS));
    over(w);
}

/* ---- the window ---- */

/* The engine itself stops at the window, and costs nothing until a signature comes; the job beside it does not notice. */
static void the_engine_stops_at_the_window(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    assert_true(hand_begins(&h, 300));
    world_run_ms(w, 500);
    assert_int_equal(h.tokens, WINDOW_TOKENS);
    assert_int_equal(world_made(w, 1), WINDOW_TOKENS);
    struct request q = world_request(w, 1, 400);           /* somebody else's, at the same provider */
    world_ask(w, 2, 1, &q);
    world_wait(w, 1, 5000);
    world_assert_answer(w, 1, &q);
    assert_int_equal(world_made(w, 1), WINDOW_TOKENS + 400);
    hand_signs(&h, 0);                                     /* claim 0: nothing of the output yet */
    world_run_ms(w, 100);
    assert_int_equal(world_made(w, 1), WINDOW_TOKENS + 400);
    hand_signs(&h, 1);
    world_run_ms(w, 100);
    assert_int_equal(world_made(w, 1), WINDOW_TOKENS + 400 + CLAIM_TOKENS);
    for (uint32_t k = 2; k < h.claim_count; k++) {
        hand_signs(&h, k);
        world_run_ms(w, 100);
    }
    assert_int_equal(h.tokens, 300);
    assert_int_equal(world_made(w, 1), 700);
    assert_true(h.claims[h.claim_count - 1].last);
    assert_int_equal(hand_job(&h).outcome, OUTCOME_COMPLETE);
    assert_int_equal(hand_job(&h).tokens.out, 300);
    over(w);
}

/* ---- whose fault ---- */

static void expect_end(struct hand *h, enum outcome outcome, enum side fault, enum reason reason)
{
    struct job j = hand_job(h);
    struct note n;
    assert_int_equal(j.outcome, outcome);
    assert_int_equal(j.fault, fault);
    assert_int_equal(j.reason, reason);
    assert_ok(ledger_note_find(agent_ledger(world_node(h->w, h->to)->agent), &h->hash, SIDE_PROVIDER, &n));
    assert_true(n.outcome == outcome && n.fault == fault && n.reason == reason);
}

/* Who gives up on tokens that it never signed for has not waited for a provider. */
static void the_record_names_who_did_not_sign(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    assert_true(hand_begins(&h, 40));                      /* the whole answer fits the window */
    world_run_ms(w, 200);
    hand_cancels(&h, CANCEL_GIVEN_UP);
    expect_end(&h, OUTCOME_FAILED, SIDE_REQUESTER, REASON_NO_ACK);
    assert_true(hand_begins(&h, 400));                     /* this one does not */
    world_run_ms(w, 50);
    hand_signs(&h, 0);
    world_run_ms(w, 200);
    hand_cancels(&h, CANCEL_GIVEN_UP);
    expect_end(&h, OUTCOME_PARTIAL, SIDE_REQUESTER, REASON_NO_ACK);
    assert_true(hand_begins(&h, 400));                     /* and says nothing at all */
    world_run_ms(w, TOKEN_DEADLINE_MS + 500);
    expect_end(&h, OUTCOME_FAILED, SIDE_REQUESTER, REASON_NO_ACK);
    world_node(w, 1)->frozen = true;                       /* here it is the provider that is late */
    assert_true(hand_begins(&h, 400));
    world_run_ms(w, 200);
    hand_cancels(&h, CANCEL_GIVEN_UP);
    expect_end(&h, OUTCOME_FAILED, SIDE_NONE, REASON_TOKEN_DEADLINE);
    world_node(w, 1)->frozen = false;
    world_run_ms(w, 100);
    over(w);
}

/* A slow engine sends claims far apart: the oldest that is awaited decides, not the newest. */
static void the_oldest_claim_is_waited_for(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    assert_true(hand_begins(&h, 400));
    world_run_ms(w, 10);
    world_node(w, 1)->frozen = true;
    world_run_ms(w, TOKEN_DEADLINE_MS - 2000);
    world_node(w, 1)->frozen = false;
    world_run_ms(w, 200);
    assert_int_equal(h.tokens, WINDOW_TOKENS);
    world_run_ms(w, 2000);
    expect_end(&h, OUTCOME_FAILED, SIDE_REQUESTER, REASON_NO_ACK);
    over(w);
}

/* ---- jobs that come to nothing ---- */

static bool begins_and_cancels(struct hand *h)
{
    if (!hand_begins(h, 40))
        return false;
    hand_cancels(h, CANCEL_CLIENT);
    assert_int_equal(h->tokens, 0);
    return true;
}

static uint64_t jobs_in_book(struct world *w)
{
    struct job j;
    uint64_t cursor = UINT64_MAX, n = 0;
    while (ledger_job_next(agent_ledger(world_node(w, 1)->agent), &cursor, &j) == OK)
        n++;
    return n;
}

/* OFFER, TERMS, CANCEL, and again: a burst of it is taken, then a trickle; and what it left on the disk goes away. */
static void jobs_for_nothing_are_few_and_forgotten(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    world_node(w, 1)->frozen = true;
    uint32_t begun = 0;
    while (begins_and_cancels(&h))
        assert_true(++begun < 2 * UNPAID_JOBS_MAX);
    assert_int_equal(begun, UNPAID_JOBS_MAX);
    assert_int_equal(h.declined.reason, DECLINE_UNPAID);
    assert_int_equal(h.declined.limit, UNPAID_JOBS_MAX);
    assert_int_equal(jobs_in_book(w), begun);
    world_run_ms(w, UNPAID_PAUSE_MS);
    assert_true(begins_and_cancels(&h));
    assert_false(begins_and_cancels(&h));
    struct request q = world_request(w, 1, 40);            /* the others are served */
    world_node(w, 1)->frozen = false;
    world_ask(w, 2, 1, &q);
    world_wait(w, 1, 3000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    a_day_later(w);
    assert_int_equal(jobs_in_book(w), 1);
    over(w);
}

/* Whoever signs gets its place back at once. */
static void who_signs_is_not_slowed(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    for (uint32_t i = 0; i < 2 * UNPAID_JOBS_MAX; i++) {
        assert_true(hand_begins(&h, 1));
        world_run_ms(w, 3);
        for (uint32_t k = 0; k < h.claim_count; k++)
            hand_signs(&h, k);
        assert_int_equal(hand_job(&h).outcome, OUTCOME_COMPLETE);
    }
    over(w);
}

/* Bids are asked for first and used later: the bound is kept where the record is made. */
static void bids_in_hand_do_not_help(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h, early;
    hand_init(&h, w, 0, 1);
    world_node(w, 1)->frozen = true;
    for (uint32_t i = 0; i + 1 < UNPAID_JOBS_MAX; i++)
        assert_true(begins_and_cancels(&h));
    world_run_ms(w, 5);
    h.output_max = 40;
    assert_true(hand_offers(&h));
    early = h;
    assert_true(begins_and_cancels(&h));
    uint64_t offers = h.offers;
    h = early;
    h.offers = offers;                                     /* the tap writes here */
    assert_false(hand_agrees(&h));
    assert_int_equal(h.refused.reason, DECLINE_UNPAID);
    over(w);
}

/* ---- terms ---- */

/* Terms come once: a repetition, now or when the job is long forgotten, finds no bid and begins nothing. */
static void terms_are_taken_once(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    world_node(w, 1)->frozen = true;
    assert_true(begins_and_cancels(&h));
    hand_sends_terms_again(&h);
    assert_false(h.accepted);
    assert_int_equal(h.refused.reason, DECLINE_EXPIRED);
    world_node(w, 1)->frozen = false;
    a_day_later(w);
    assert_int_equal(jobs_in_book(w), 0);
    hand_sends_terms_again(&h);
    assert_false(h.accepted);
    assert_int_equal(h.refused.reason, DECLINE_EXPIRED);
    assert_int_equal(jobs_in_book(w), 0);
    over(w);
}

static void net(struct terms *t) { t->net.b[0] ^= 1; }
static void another_requester(struct terms *t) { t->requester.b[3] ^= 1; }
static void another_provider(struct terms *t) { t->provider.b[3] ^= 1; }
static void another_model(struct terms *t) { t->model.b[0] ^= 1; }
static void other_numerics(struct terms *t) { t->numerics = 2; }
static void another_prompt(struct terms *t) { t->prompt.b[0] ^= 1; }
static void another_bid(struct terms *t) { t->bid.b[0] ^= 1; }
static void fewer_tokens_in(struct terms *t) { t->tokens_in--; }
static void cached_tokens(struct terms *t) { t->tokens_in--, t->tokens_cached++; }
static void more_cached_tokens(struct terms *t) { t->tokens_cached++; }
static void more_output(struct terms *t) { t->output_max++; }
static void cheaper_input(struct terms *t) { t->prices.in--; }
static void dearer_input(struct terms *t) { t->prices.in++; }
static void cheaper_cached(struct terms *t) { t->prices.cached--; }
static void cheaper_output(struct terms *t) { t->prices.out--; }
static void dearer_output(struct terms *t) { t->prices.out++; }
static void a_wider_window(struct terms *t) { t->window_tokens *= 2; }
static void less_output(struct terms *t) { t->output_max--; }

/* PROTO 6.4, one difference at a time; each is refused, and its bid is gone. */
static void terms_must_fit_the_bid(void **state)
{
    (void)state;
    static const struct { const char *what; void (*change)(struct terms *t); } unfit[] = {
#define UNFIT(f) { #f, f }
        UNFIT(net), UNFIT(another_requester), UNFIT(another_provider), UNFIT(another_model), UNFIT(other_numerics), UNFIT(another_prompt),
        UNFIT(another_bid), UNFIT(fewer_tokens_in), UNFIT(cached_tokens), UNFIT(more_cached_tokens), UNFIT(more_output),
        UNFIT(cheaper_input), UNFIT(dearer_input), UNFIT(cheaper_cached), UNFIT(cheaper_output), UNFIT(dearer_output), UNFIT(a_wider_window),
    };
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    for (size_t i = 0; i < ARRAY_COUNT(unfit); i++) {
        h.change = unfit[i].change;
        if (hand_begins(&h, 40))
            fail_msg("terms with %s were accepted", unfit[i].what);
        if (h.refused.reason != DECLINE_TERMS)
            fail_msg("terms with %s: %s", unfit[i].what, decline_text(h.refused.reason));
        h.change = NULL;                                   /* PROTO 6.2: the one-time key went with them, whatever was in them */
        assert_false(hand_agrees(&h));
        if (h.refused.reason != DECLINE_EXPIRED)
            fail_msg("after terms with %s the bid was still good: %s", unfit[i].what, decline_text(h.refused.reason));
    }
    assert_int_equal(jobs_in_book(w), 0);
    h.change = less_output;
    assert_true(hand_begins(&h, 41));                      /* less than offered is fine */
    world_run_ms(w, 100);
    hand_cancels(&h, CANCEL_GIVEN_UP);
    over(w);
}

/* ---- who speaks ---- */

/* An offer is its signer's: in another's name, or with another's signature, it is nobody's, however it comes. */
static void an_offer_is_signed_by_who_makes_it(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h, other;
    uint8_t buf[SIGNED_BYTES_MAX];
    const struct agent_counters *n = agent_counters(world_node(w, 1)->agent);
    hand_init(&other, w, 2, 1);
    hand_init(&h, w, 0, 1);
    uint64_t seen = n->offers_seen;
    struct bytes signed_by_another = hand_offer_message(&h, &world_node(w, 2)->key, buf);
    world_say(w, 0, 1, MSG_OFFER, signed_by_another);
    world_run_ms(w, 5);
    assert_false(h.has_bid);
    struct bytes in_anothers_name = hand_offer_message(&other, &world_node(w, 2)->key, buf);   /* good, but heard from node 0 */
    world_say(w, 0, 1, MSG_OFFER, in_anothers_name);
    world_run_ms(w, 5);
    assert_false(h.has_bid);
    assert_int_equal(n->offers_seen, seen);
    assert_int_equal(n->bids_sent, 0);
    const struct overlay_counters *o = overlay_counters(agent_overlay(world_node(w, 1)->agent));
    assert_true(o->refused[ERR_SIGNATURE] >= 1 && o->refused[ERR_KEY] >= 1);
    assert_true(hand_offers(&h));
    world_run_ms(w, 3000);
    over(w);
}

/* A claim that the provider never made, with a digest it never computed: everything fits but its signature. Taken, it would be
 * signed again with the receipt, and convict the provider of an answer it never gave. */
static void nobody_puts_a_digest_into_our_mouth(void **state)
{
    (void)state;
    struct world *w = mesh(plenty, plenty);
    struct hand h;
    hand_init(&h, w, 0, 1);
    assert_true(hand_begins(&h, 200));
    world_run_ms(w, 200);
    hand_signs(&h, 0);
    hand_cancels(&h, CANCEL_GIVEN_UP);
    assert_true(h.claim_count >= 2 && h.claims[1].has_digest);
    uint64_t owed = hand_job(&h).cost.v;

    struct hand_claim forged = h.claims[1];
    struct hash planted = hash_of("digest", bytes_text("never computed"));
    struct digest_chain chain;
    digest_chain_init(&chain, &h.hash);
    digest_chain_add(&chain, &planted);
    forged.claim.digest_chain = chain.at;
    struct sig own;                                        /* the requester's own signature where the provider's belongs */
    claim_sign(&world_node(w, 0)->key, SIDE_PROVIDER, &world_node(w, 0)->config.net, &forged.claim, &own);
    keep(&h, &forged, &planted, &own);
    assert_int_equal(hand_job(&h).tokens.out, 0);
    keep(&h, &forged, &planted, &h.claims[1].provider_sig);
    assert_int_equal(hand_job(&h).tokens.out, 0);
    assert_int_equal(hand_job(&h).cost.v, owed);
    assert_true(overlay_counters(agent_overlay(world_node(w, 1)->agent))->refused[ERR_SIGNATURE] >= 2);
    over(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_takes_more_than_the_limit),
        cmocka_unit_test(nor_do_newcomers_together),
        cmocka_unit_test(what_is_shown_later_counts_once),
        cmocka_unit_test(the_engine_stops_at_the_window),
        cmocka_unit_test(the_record_names_who_did_not_sign),
        cmocka_unit_test(the_oldest_claim_is_waited_for),
        cmocka_unit_test(jobs_for_nothing_are_few_and_forgotten),
        cmocka_unit_test(who_signs_is_not_slowed),
        cmocka_unit_test(bids_in_hand_do_not_help),
        cmocka_unit_test(terms_are_taken_once),
        cmocka_unit_test(terms_must_fit_the_bid),
        cmocka_unit_test(an_offer_is_signed_by_who_makes_it),
        cmocka_unit_test(nobody_puts_a_digest_into_our_mouth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
