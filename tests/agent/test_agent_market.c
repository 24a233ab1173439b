/* test_agent_market.c - who answers a request, at what price, and what the client hears when nobody does. */
#include "tests/agent/world.h"

#include <string.h>

#include "node/headers.h"
#include "node/job_msg.h"

/* Node 0 asks; nodes 1 .. providers serve at 100 * i and 400 * i. */
static struct world *mesh(int providers)
{
    struct world *w = world_new(providers + 1);
    for (int i = 1; i <= providers; i++)
        world_serve(w, i, 100u * (unsigned)i, 400u * (unsigned)i);
    return w;
}

/* Node 0 asks, node 1 serves: one receipt, the same on both sides. */
static void happy_path(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q = world_request(w, 1, 100);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 5000);
    struct client *c = world_client(w, 1);
    assert_int_equal(c->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    assert_int_equal(c->finish, FINISH_LENGTH);
    assert_int_equal(c->last.u.done.tokens_in, 20);
    assert_int_equal(c->last.u.done.tokens_out, 100);
    assert_int_equal(c->last.u.done.cost_pico, 20 * 100 + 100 * 400);
    assert_int_equal(c->last.u.done.receipt_count, 1);
    world_run_ms(w, 100);
    struct receipt_view mine, theirs;
    assert_ok(ledger_receipt_find(agent_ledger(world_node(w, 0)->agent), &c->last.u.done.receipts[0], &mine));
    assert_ok(ledger_receipt_find(agent_ledger(world_node(w, 1)->agent), &c->last.u.done.receipts[0], &theirs));
    assert_int_equal(mine.receipt.tokens.out, 100);
    assert_true(bytes_equal(mine.body, theirs.body));
    assert_int_equal(world_account(w, 0, 1).spent.v, 42000);
    assert_int_equal(world_account(w, 1, 0).earned.v, 42000);
    world_ledger_check(w, 0);
    world_ledger_check(w, 1);
    assert_int_equal(agent_counters(world_node(w, 0)->agent)->jobs_open_requester, 0);
    assert_int_equal(agent_counters(world_node(w, 1)->agent)->jobs_open_provider, 0);
    world_free(w);
}

static void a_stop_token_ends_it(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q = world_request(w, 2, 3000);
    uint32_t stop = 0, want[3000];
    uint32_t n = world_expected(&q, want, 3000);
    assert_int_equal(n, 3000);
    stop = want[64];                                       /* a claim boundary plus one */
    q.stop_ids = &stop;
    q.stop_count = 1;
    n = world_expected(&q, want, 3000);
    assert_true(n <= 65);
    world_ask(w, 0, 2, &q);
    world_wait(w, 2, 5000);
    assert_int_equal(world_client(w, 2)->finish, FINISH_STOP);
    world_assert_answer(w, 2, &q);
    assert_int_equal(world_client(w, 2)->last.u.done.cost_pico, 20 * 100 + n * 400);
    world_free(w);
}

/* Every length around a claim boundary ends with the right bill. */
static void lengths_around_a_claim(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    static const uint32_t lengths[] = { 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 128, 129 };
    uint64_t owed = 0;
    for (int i = 0; i < (int)ARRAY_COUNT(lengths); i++) {
        struct request q = world_request(w, i, lengths[i]);
        world_ask(w, 0, i, &q);
        world_wait(w, i, 5000);
        world_assert_answer(w, i, &q);
        owed += 20 * 100 + lengths[i] * 400;
        assert_int_equal(world_account(w, 0, 1).spent.v, owed);
    }
    world_run_ms(w, 100);
    assert_int_equal(world_account(w, 1, 0).earned.v, owed);
    assert_int_equal(world_receipts(w, 1), ARRAY_COUNT(lengths));
    world_ledger_check(w, 0);
    world_ledger_check(w, 1);
    world_free(w);
}

static void the_cheapest_of_three_wins(void **state)
{
    (void)state;
    struct world *w = mesh(3);
    world_start(w);
    struct request q = world_request(w, 1, 40);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 5000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_run_ms(w, 50);
    assert_int_equal(world_receipts(w, 1), 1);
    assert_int_equal(world_receipts(w, 2), 0);
    assert_int_equal(world_receipts(w, 3), 0);
    for (int i = 1; i <= 3; i++)                           /* all were asked, the losers are free again */
        assert_int_equal(agent_counters(world_node(w, i)->agent)->bids_sent, 1);
    world_free(w);
}

/* What the mesh adds to the first token is two round trips; and its bytes per token stay below a hundred. */
static void the_mesh_adds_two_round_trips(void **state)
{
    (void)state;
    for (int providers = 1; providers <= 3; providers += 2) {
        struct world *w = mesh(providers);
        world_start(w);
        struct request q = world_request(w, 1, 1000);
        const struct overlay_counters *n = overlay_counters(agent_overlay(world_node(w, 1)->agent));
        uint64_t bytes = n->bytes_out;
        world_ask(w, 0, 1, &q);
        world_wait(w, 1, 5000);
        struct client *c = world_client(w, 1);
        assert_int_equal(c->first_token.us - c->began.us, 4 * LATENCY_US + TOKEN_US);
        assert_int_equal(c->last_token.us - c->first_token.us, 999 * TOKEN_US);    /* and nothing to the rate */
        assert_true((n->bytes_out - bytes) / 1000 < 100);
        world_free(w);
    }
}

/* Four streams of a thousand tokens a second each on one link stay below what a peer accepts. */
static void fast_streams_are_coalesced(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q[4];
    const struct overlay_counters *n = overlay_counters(agent_overlay(world_node(w, 0)->agent));
    uint64_t frames = n->frames_in;
    for (int i = 0; i < 4; i++) {
        q[i] = world_request(w, i, 3000);
        world_ask(w, 0, i, &q[i]);
    }
    for (int i = 0; i < 4; i++) {
        world_wait(w, i, 9000);
        world_assert_answer(w, i, &q[i]);
    }
    assert_int_equal(n->refused[ERR_RATE], 0);
    assert_true(n->frames_in - frames < 3 * PEER_MSGS_PER_S);
    world_free(w);
}

struct slow { int node, left; struct world *w; };
static bool lose_first_bid(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct slow *k = ctx;
    (void)to; (void)body; (void)len;
    return type != MSG_BID || from != k->node || k->left-- <= 0;
}

/* The cheapest does not answer: the next one is taken after a moment, not after the whole window. */
static void a_silent_cheap_provider_costs_a_moment(void **state)
{
    (void)state;
    struct world *w = mesh(3);
    struct slow k = { 1, 1, w };
    world_start(w);
    world_set_tap(w, (struct world_tap){ lose_first_bid, &k });
    struct request q = world_request(w, 1, 10);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 1000);
    struct client *c = world_client(w, 1);
    uint64_t waited = c->first_token.us - c->began.us;
    assert_true(waited > BID_GRACE_CHEAPER_MS * 1000 && waited < BID_GRACE_CHEAPER_MS * 1000 + 10000);
    world_run_ms(w, 50);
    assert_int_equal(world_receipts(w, 2), 1);
    world_free(w);
}

static void expect_failure(struct world *w, const struct request *q, enum err error, const char *says)
{
    world_ask(w, 0, (int)q->client.id, q);
    world_wait(w, (int)q->client.id, 6000);
    struct client *c = world_client(w, (int)q->client.id);
    assert_int_equal(c->state, CLIENT_FAILED);
    if (c->error != error || !strstr(c->text, says))
        fail_msg("client heard %s \"%s\", expected %s and \"%s\"", err_name(c->error), c->text, err_name(error), says);
}

static void a_price_cap_refuses(void **state)
{
    (void)state;
    struct world *w = mesh(2);
    world_start(w);
    struct request q = world_request(w, 1, 40);
    q.limits.price_output_max = 300;
    expect_failure(w, &q, ERR_PRICE, "limit 0.0003, would be 0.0004 credits per million tokens");
    q = world_request(w, 2, 40);
    q.limits.budget_pico = 20 * 100 + 40 * 400 - 1;
    expect_failure(w, &q, ERR_PRICE, "budget");
    q = world_request(w, 3, 40);
    q.limits.budget_pico = 20 * 100 + 40 * 400;
    world_ask(w, 0, 3, &q);
    world_wait(w, 3, 3000);
    assert_int_equal(world_client(w, 3)->state, CLIENT_DONE);
    world_free(w);
}

static void a_credit_limit_is_named(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_node(w, 1)->config.credit_limit_pico = 20000;
    world_node(w, 1)->config.newcomer_limit_pico = 1000000;
    world_start(w);
    struct request q = world_request(w, 1, 40);            /* 18000 */
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 3000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_run_ms(w, 100);
    q = world_request(w, 2, 40);
    expect_failure(w, &q, ERR_CREDIT, "credit limit for this requester (limit 0.00000002, this request may add 0.000000018 credits)");
    assert_int_equal(agent_counters(world_node(w, 1)->agent)->offers_declined[ERR_CREDIT] > 0, 1);
    world_free(w);
    w = mesh(1);
    world_node(w, 1)->config.newcomer_limit_pico = 10000;
    world_start(w);
    q = world_request(w, 1, 40);
    expect_failure(w, &q, ERR_CREDIT, "all newcomers together (limit 0.00000001, this request may add 0.000000018 credits)");
    world_free(w);
}

static void placement_is_respected(void **state)
{
    (void)state;
    struct world *w = mesh(2);
    memcpy(world_node(w, 2)->config.jurisdiction, "FR", 2);
    world_node(w, 2)->config.tier = TIER_REGIONAL;
    world_start(w);
    struct request q = world_request(w, 1, 10);
    memcpy(q.limits.jurisdictions[0], "FR", 2);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 3000);
    world_run_ms(w, 20);
    assert_int_equal(world_receipts(w, 2), 1);
    q = world_request(w, 2, 10);
    q.limits.tiers = 1u << TIER_REGIONAL;
    world_ask(w, 0, 2, &q);
    world_wait(w, 2, 3000);
    world_run_ms(w, 20);
    assert_int_equal(world_receipts(w, 2), 2);
    assert_int_equal(world_receipts(w, 1), 0);
    q = world_request(w, 3, 10);
    memcpy(q.limits.jurisdictions[0], "US", 2);
    expect_failure(w, &q, ERR_CONSTRAINT, "jurisdiction");
    q = world_request(w, 4, 10);
    q.limits.energy_mj_per_1k_max = 5;
    expect_failure(w, &q, ERR_CONSTRAINT, "energy");
    q = world_request(w, 5, 10);
    q.limits.has_owner = true;
    q.limits.owner = world_node(w, 1)->public;
    expect_failure(w, &q, ERR_CONSTRAINT, "owner");
    q = world_request(w, 6, CONTEXT);
    expect_failure(w, &q, ERR_CONTEXT, "context");
    world_free(w);
}

static void an_unknown_model_has_no_provider(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q = world_request(w, 1, 10);
    q.model.b[0] ^= 1;
    expect_failure(w, &q, ERR_NO_PROVIDER, "no provider");
    world_free(w);
}

/* Four slots: four run, the fifth waits its turn, the sixth loses patience at once when its client does. */
static void a_full_house_makes_a_queue(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q[6];
    for (int i = 0; i < 6; i++) {
        q[i] = world_request(w, i, 200);
        world_ask(w, 0, i, &q[i]);
    }
    world_run_ms(w, 60);
    assert_int_equal(world_client(w, 5)->state, CLIENT_WAITING);
    assert_int_equal(world_client(w, 5)->count, 0);
    world_cancel(w, 5, false);
    world_run_ms(w, 5);
    assert_int_not_equal(world_client(w, 5)->state, CLIENT_WAITING);
    for (int i = 0; i < 5; i++) {
        world_wait(w, i, 30000);
        assert_int_equal(world_client(w, i)->state, CLIENT_DONE);
        world_assert_answer(w, i, &q[i]);
    }
    world_free(w);
}

static bool lose_direct_offers(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    (void)from; (void)to; (void)body; (void)len;
    *(int *)ctx += type == MSG_OFFER;
    return type != MSG_OFFER;
}

/* The direct offer is lost: the one provider hears of it by gossip and bids. */
static void gossip_reaches_one_provider(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    int lost = 0;
    world_start(w);
    world_set_tap(w, (struct world_tap){ lose_direct_offers, &lost });
    struct request q = world_request(w, 1, 40);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 3000);
    assert_int_equal(lost, 1);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    struct offer_view v;
    assert_int_equal(agent_offers(world_node(w, 1)->agent, world_now(w), &v, 1), 1);
    assert_true(v.gossiped && v.bid && v.declined == OK);
    world_free(w);
}

static void batch_work_is_gossiped(void **state)
{
    (void)state;
    struct world *w = mesh(4);
    world_start(w);
    struct request q = world_request(w, 1, 40);
    q.class = CLASS_BATCH;
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 3000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_run_ms(w, 50);
    assert_int_equal(world_receipts(w, 1), 1);             /* still the cheapest */
    struct offer_view v[4];
    uint32_t gossiped = 0;
    for (int i = 1; i <= 4; i++) {
        uint32_t n = agent_offers(world_node(w, i)->agent, world_now(w), v, 4);
        for (uint32_t k = 0; k < n; k++)
            gossiped += v[k].gossiped;
    }
    assert_int_equal(gossiped, 4);
    struct job job;
    uint64_t cursor = UINT64_MAX;
    assert_ok(ledger_job_next(agent_ledger(world_node(w, 0)->agent), &cursor, &job));
    assert_true(job.model_label[0] != 0);                  /* who gossips an offer has looked at no advert */
    world_free(w);
}

static void local_is_free(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q = world_request(w, 1, 40);
    q.allow_local = true;
    world_ask(w, 1, 1, &q);
    world_wait(w, 1, 3000);
    struct client *c = world_client(w, 1);
    assert_true(c->accepted && c->local);
    assert_int_equal(c->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    assert_true(c->last.u.done.local);
    assert_int_equal(c->last.u.done.cost_pico, 0);
    assert_int_equal(c->last.u.done.receipt_count, 0);
    assert_int_equal(world_receipts(w, 1), 0);
    q = world_request(w, 2, 4000);
    q.allow_local = true;
    world_ask(w, 1, 2, &q);
    world_run_ms(w, 50);
    world_cancel(w, 2, false);
    world_wait(w, 2, 50);
    assert_int_equal(world_client(w, 2)->finish, FINISH_CANCELLED);
    world_free(w);
}

static void a_header_is_fetched_and_checked(void **state)
{
    (void)state;
    struct world *w = world_new(3);
    world_serve(w, 1, 100, 400);
    world_start(w);
    struct agent_event e = { .kind = AGENT_HEADER_WANTED, .u.header = { world_model() } };
    world_event(w, 0, &e);
    world_run_ms(w, 200);
    assert_int_equal(world_node(w, 0)->header_ready, 1);
    assert_true(bytes_equal(world_node(w, 0)->header_got, bytes_of(world_header, world_header_bytes)));
    e.u.header.model.b[3] ^= 1;
    world_event(w, 0, &e);
    world_run_ms(w, 6000);
    assert_int_equal(world_node(w, 0)->header_failed, 1);
    world_free(w);
}

/* Two providers, one of which sends another header: it is refused and the other one asked. */
static bool spoil_headers(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    (void)to;
    if (type == MSG_HEADER_PART && from == *(int *)ctx)
        body[*len - 1] ^= 1;
    return true;
}
static void a_wrong_header_is_refused(void **state)
{
    (void)state;
    for (int liar = 1; liar <= 2; liar++) {
        struct world *w = mesh(2);
        world_start(w);
        world_set_tap(w, (struct world_tap){ spoil_headers, &liar });
        struct agent_event e = { .kind = AGENT_HEADER_WANTED, .u.header = { world_model() } };
        world_event(w, 0, &e);
        world_run_ms(w, 500);
        assert_int_equal(world_node(w, 0)->header_ready, 1);
        world_free(w);
    }
}

/* A provider that sends a header byte by byte would turn one fetch into millions of frames: one such part, and the other is asked. */
static struct { int liar; uint32_t asked; } crumbs;
static bool cut_headers(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct header_part_msg m;
    struct bytes view;
    uint8_t part[HEADER_PART_BYTES], buf[HEADER_PART_MSG_BYTES_MAX];
    (void)ctx;
    crumbs.asked += type == MSG_HEADER_GET && to == crumbs.liar;
    if (type != MSG_HEADER_PART || from != crumbs.liar)
        return true;
    assert_ok(header_part_decode(bytes_of(body, *len), &m));
    memcpy(part, m.part.data, 1);
    m.part = bytes_of(part, 1);
    assert_ok(header_part_encode(&m, buf, sizeof buf, &view));
    memcpy(body, view.data, view.len);
    *len = view.len;
    return true;
}
static void a_header_in_crumbs_is_refused(void **state)
{
    (void)state;
    for (int liar = 1; liar <= 2; liar++) {
        struct world *w = mesh(2);
        world_start(w);
        crumbs.liar = liar;
        crumbs.asked = 0;
        world_set_tap(w, (struct world_tap){ cut_headers, NULL });
        struct agent_event e = { .kind = AGENT_HEADER_WANTED, .u.header = { world_model() } };
        world_event(w, 0, &e);
        world_run_ms(w, 8000);
        assert_int_equal(world_node(w, 0)->header_ready, 1);
        assert_true(crumbs.asked <= 1 + HEADER_PARTS_AHEAD * (1 + HEADER_PART_RETRIES_MAX));
        world_free(w);
    }
}

/* Whoever waits for an answer about a name hears when the mesh has given it, also when there is nobody to ask. */
static void the_directory_is_asked_for_and_answered(void **state)
{
    (void)state;
    struct world *w = mesh(2);
    world_start(w);
    struct agent_event e = { .kind = AGENT_DIRECTORY_WANTED };
    for (int n = 1; n <= 3; n++) {
        world_event(w, 0, &e);
        world_run_ms(w, 300);
        assert_int_equal(world_node(w, 0)->directory_ready, n);
    }
    world_kill(w, 1);
    world_kill(w, 2);
    world_run_ms(w, 1000);
    world_event(w, 0, &e);
    world_run_ms(w, 2000);
    assert_int_equal(world_node(w, 0)->directory_ready, 4);
    world_free(w);
}

static void draining_finishes_what_is_open(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    world_start(w);
    struct request q = world_request(w, 1, 200), late = world_request(w, 2, 20);
    world_ask(w, 0, 1, &q);
    world_run_ms(w, 50);
    struct agent_event e = { .kind = AGENT_DRAIN };
    world_event(w, 1, &e);
    assert_false(agent_drained(world_node(w, 1)->agent));
    expect_failure(w, &late, ERR_UNAVAILABLE, "shutting down");
    world_wait(w, 1, 3000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_run_ms(w, 100);
    assert_true(agent_drained(world_node(w, 1)->agent));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(happy_path),
        cmocka_unit_test(a_stop_token_ends_it),
        cmocka_unit_test(lengths_around_a_claim),
        cmocka_unit_test(the_cheapest_of_three_wins),
        cmocka_unit_test(the_mesh_adds_two_round_trips),
        cmocka_unit_test(fast_streams_are_coalesced),
        cmocka_unit_test(a_silent_cheap_provider_costs_a_moment),
        cmocka_unit_test(a_price_cap_refuses),
        cmocka_unit_test(a_credit_limit_is_named),
        cmocka_unit_test(placement_is_respected),
        cmocka_unit_test(an_unknown_model_has_no_provider),
        cmocka_unit_test(a_full_house_makes_a_queue),
        cmocka_unit_test(gossip_reaches_one_provider),
        cmocka_unit_test(batch_work_is_gossiped),
        cmocka_unit_test(local_is_free),
        cmocka_unit_test(a_header_is_fetched_and_checked),
        cmocka_unit_test(a_wrong_header_is_refused), cmocka_unit_test(a_header_in_crumbs_is_refused),
        cmocka_unit_test(the_directory_is_asked_for_and_answered), cmocka_unit_test(draining_finishes_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
