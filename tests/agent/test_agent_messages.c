/* test_agent_messages.c - does a core ever build a message that its own decoder refuses? Peers count that as an offence and
 * mute who does it; so whatever a shell may put into a request, a model or a configuration must come out as something else:
 * a refusal for the client, or a message that says the same.
 */
#include "tests/agent/world.h"

#include <string.h>

enum { REQUESTS = 400, PROMPT_MAX = PROMPT_TOKENS_MAX + 1 };

static uint32_t prompt[PROMPT_MAX];

/* ---- every market message, by the decoder that its receiver has ---- */

static enum err decode_signed(uint32_t type, struct bytes body)
{
    struct signed_msg m;
    struct offer o;
    struct bid b;
    enum err e = signed_msg_decode(body, &m);
    return e ? e : type == MSG_OFFER ? offer_decode(m.body, &o) : bid_decode(m.body, &b);
}

static enum err decode_terms(struct bytes body)
{
    struct terms_msg m;
    struct terms t;
    enum err e = terms_msg_decode(body, &m);
    return e ? e : terms_decode(m.terms, &t);
}

static enum err decode_claim(struct bytes body)
{
    struct claim_msg m;
    struct claim c;
    enum err e = claim_msg_decode(body, &m);
    return e ? e : claim_decode(m.claim, &c);
}

static enum err decode_receipt(uint32_t type, struct bytes body)
{
    struct receipt_msg m;
    struct receipt r;
    struct note n;
    enum err e = receipt_msg_decode(body, &m);
    if (e == OK && type == MSG_RECEIPT)
        e = receipt_decode(m.body, &r);
    return e == OK && m.note.len ? note_decode(m.note, &n) : e;
}

static enum err decode_any(uint32_t type, struct bytes body)
{
    struct decline decline;
    struct ok_msg ok;
    struct chunk_msg chunk;
    struct cancel_msg cancel;
    struct resync_msg resync;
    switch (type) {
    case MSG_OFFER:
    case MSG_BID:
        return decode_signed(type, body);
    case MSG_DECLINE:
    case MSG_REFUSE:
        return decline_decode(body, &decline);
    case MSG_TERMS:
        return decode_terms(body);
    case MSG_TERMS_OK:
    case MSG_CLAIM_OK:
        return ok_msg_decode(body, &ok);
    case MSG_CHUNK:
        return chunk_msg_decode(body, &chunk);
    case MSG_CLAIM:
        return decode_claim(body);
    case MSG_RECEIPT:
    case MSG_RECEIPT_OK:
        return decode_receipt(type, body);
    case MSG_CANCEL:
        return cancel_msg_decode(body, &cancel);
    case MSG_RESYNC:
        return resync_msg_decode(body, &resync);
    default:
        return OK;                                         /* the overlay's own: its counters tell */
    }
}

struct seen { uint32_t offers, bids, terms, claims; };
static bool look(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct seen *s = ctx;
    enum err e = decode_any(type, bytes_of(body, *len));
    if (e)
        fail_msg("node %d sends node %d a %s that its own decoder refuses: %s", from, to, message_name((enum message_type)type), err_name(e));
    s->offers += type == MSG_OFFER;
    s->bids += type == MSG_BID;
    s->terms += type == MSG_TERMS;
    s->claims += type == MSG_CLAIM;
    return true;
}

static void assert_no_offence(struct world *w, int nodes)
{
    for (int i = 0; i < nodes; i++) {
        const struct overlay_counters *c = overlay_counters(agent_overlay(world_node(w, i)->agent));
        for (int e = 0; e < ERR_COUNT; e++)
            if (c->refused[e])
                fail_msg("node %d has refused %llu messages: %s", i, (unsigned long long)c->refused[e], err_name((enum err)e));
        assert_int_equal(c->mutes, 0);
    }
}

/* ---- whatever a shell may ask for ---- */

static uint64_t random_bits(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;                         /* splitmix64 */
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *state, uint64_t n) { return random_bits(state) % n; }

/* One of what stands at an edge, or anything. */
static uint64_t edgy(uint64_t *state, uint64_t edge)
{
    const uint64_t at[] = { 0, 1, edge - 1, edge, edge + 1, UINT32_MAX, UINT64_MAX, random_bits(state), below(state, 2 * edge), 0 };
    return at[below(state, ARRAY_COUNT(at))];
}

static void random_limits(uint64_t *s, struct request_limits *l)
{
    *l = (struct request_limits){ .price_input_max = edgy(s, PRICE_MAX), .price_output_max = edgy(s, PRICE_MAX) };
    if (below(s, 4) == 0)
        l->budget_pico = edgy(s, 1000000);
    if (below(s, 4) == 0)
        l->first_token_ms_max = (uint32_t)edgy(s, 1000);
    if (below(s, 4) == 0)
        for (size_t i = 0; i < sizeof l->jurisdictions; i++)
            ((char *)l->jurisdictions)[i] = below(s, 8) ? (char)('A' + below(s, 26)) : (char)random_bits(s);
    if (below(s, 4) == 0)
        l->tiers = (uint8_t)random_bits(s);
    if (below(s, 4) == 0)
        l->energy_mj_per_1k_max = (uint32_t)edgy(s, 1000);
    l->has_owner = below(s, 16) == 0;
}

static struct request random_request(struct world *w, uint64_t *s, int client)
{
    static uint32_t stop[STOP_IDS_MAX + 2];
    struct request q = world_request(w, client, (uint32_t)edgy(s, OUTPUT_TOKENS_MAX));
    static const uint32_t lengths[] = { 0, 1, 20, 20, 20, CONTEXT, PROMPT_TOKENS_MAX, PROMPT_TOKENS_MAX + 1 };
    if (below(s, 2))
        q.output_max = 1 + (uint32_t)below(s, 40);
    q.prompt = prompt;
    q.prompt_count = lengths[below(s, ARRAY_COUNT(lengths))];
    for (uint32_t i = 0; i < ARRAY_COUNT(stop); i++)
        stop[i] = (uint32_t)edgy(s, VOCAB);
    q.stop_ids = stop;
    q.stop_count = below(s, 4) ? 0 : (uint32_t)below(s, ARRAY_COUNT(stop) + 1);
    if (below(s, 4) == 0)
        q.temperature_micro = (uint32_t)edgy(s, 2000000);
    if (below(s, 4) == 0)
        q.top_p_micro = (uint32_t)edgy(s, 1000000);
    if (below(s, 4) == 0)
        q.top_k = (uint32_t)random_bits(s);
    q.class = (enum latency_class)(below(s, 16) ? below(s, 2) : below(s, 5));
    q.seed = random_bits(s);
    if (below(s, 2))
        random_limits(s, &q.limits);
    for (size_t i = 0; i < sizeof q.job_id; i++)
        q.job_id[i] = (uint8_t)random_bits(s);
    return q;
}

static void lend_freely(struct world *w, int node)
{
    world_node(w, node)->config.credit_limit_pico = world_node(w, node)->config.newcomer_limit_pico = UINT64_MAX / 4;
}

static void no_request_makes_a_message_that_is_refused(void **state)
{
    (void)state;
    struct seen seen = { 0 };
    struct world *w = world_new(4);
    uint64_t s = 20;
    for (uint32_t i = 0; i < PROMPT_MAX; i++)
        prompt[i] = i % VOCAB;
    world_serve(w, 1, 100, 400);
    world_serve(w, 2, PRICE_MAX, PRICE_MAX);
    world_serve(w, 3, 0, 0);
    lend_freely(w, 2);
    world_start(w);
    world_set_tap(w, (struct world_tap){ look, &seen });
    for (int i = 0; i < REQUESTS; i++) {
        int client = 1 + i % 8;
        struct request q = random_request(w, &s, client);
        world_ask(w, 0, client, &q);
        world_run_ms(w, below(&s, 60));
        if (below(&s, 3) == 0 && world_client(w, client)->state == CLIENT_WAITING)
            world_cancel(w, client, below(&s, 2));
        if (i % 8 == 7)
            for (int k = 1; k <= 8; k++)
                if (world_client(w, k)->state == CLIENT_WAITING) {
                    world_cancel(w, k, false);
                    world_wait(w, k, 30000);
                }
    }
    world_run_ms(w, 15000);
    assert_no_offence(w, 4);
    assert_true(seen.offers > 100 && seen.bids > 50 && seen.terms > 50 && seen.claims > 100);   /* or it has looked at nothing */
    world_ledger_check(w, 0);
    world_free(w);
}

/* A price that no bid can carry is not offered to anybody; the node says so instead of stopping. */
static void a_price_beyond_the_protocol_is_not_served(void **state)
{
    (void)state;
    static const uint64_t prices[][2] = { { (uint64_t)PRICE_MAX + 1, 1 }, { 1, (uint64_t)PRICE_MAX + 1 }, { UINT64_MAX, UINT64_MAX } };
    for (size_t i = 0; i < ARRAY_COUNT(prices); i++) {
        struct seen seen = { 0 };
        struct world *w = world_new(3);
        world_serve(w, 1, prices[i][0], prices[i][1]);
        world_serve(w, 2, PRICE_MAX, PRICE_MAX);
        lend_freely(w, 2);
        world_start(w);
        world_set_tap(w, (struct world_tap){ look, &seen });
        struct request q = world_request(w, 1, 10);
        world_ask(w, 0, 1, &q);
        world_wait(w, 1, 5000);
        if (world_client(w, 1)->state != CLIENT_DONE)
            fail_msg("%s", world_client(w, 1)->text);
        assert_int_equal(world_client(w, 1)->last.u.done.cost_pico, 30 * (uint64_t)PRICE_MAX);
        assert_no_offence(w, 3);
        world_free(w);
    }
}

/* A cap above every possible price is no cap. */
static void a_cap_above_every_price_is_none(void **state)
{
    (void)state;
    static const uint64_t caps[] = { PRICE_MAX, (uint64_t)PRICE_MAX + 1, UINT64_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(caps); i++) {
        struct seen seen = { 0 };
        struct world *w = world_new(2);
        world_serve(w, 1, 100, 400);
        world_start(w);
        world_set_tap(w, (struct world_tap){ look, &seen });
        struct request q = world_request(w, 1, 10);
        q.limits.price_input_max = q.limits.price_output_max = caps[i];
        world_ask(w, 0, 1, &q);
        world_wait(w, 1, 5000);
        assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
        world_assert_answer(w, 1, &q);
        assert_int_equal(seen.offers, 1);
        assert_no_offence(w, 2);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_request_makes_a_message_that_is_refused),
        cmocka_unit_test(a_price_beyond_the_protocol_is_not_served),
        cmocka_unit_test(a_cap_above_every_price_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
