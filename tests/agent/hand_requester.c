/* hand_requester.c - offers, terms and signatures made by hand, and what comes back. */
#include "tests/agent/hand_requester.h"

#include <string.h>

static const struct secret_key *key_of(const struct hand *h) { return &world_node(h->w, h->from)->key; }
static const struct net_id *net_of(const struct hand *h) { return &world_node(h->w, h->from)->config.net; }
static void a_moment(struct hand *h) { world_run_ms(h->w, 3); }

static void hear_bid(struct hand *h, struct bytes body)
{
    struct signed_msg m;
    assert_ok(signed_msg_decode(body, &m));
    assert_ok(bid_decode(m.body, &h->bid));
    h->bid_hash = hash_of("bid", m.body);
    h->has_bid = true;
}

static void hear_claim(struct hand *h, struct bytes body)
{
    struct claim_msg m;
    assert_true(h->claim_count < HAND_CLAIMS_MAX);
    struct hand_claim *c = &h->claims[h->claim_count++];
    assert_ok(claim_msg_decode(body, &m));
    assert_ok(claim_decode(m.claim, &c->claim));
    assert_ok(claim_verify(&c->claim, &h->terms, SIDE_PROVIDER, &m.sig));
    c->has_digest = m.has_digest;
    c->digest = m.digest;
    c->last = m.last;
    c->provider_sig = m.sig;
}

static bool hear(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct hand *h = ctx;
    struct bytes b = bytes_of(body, *len);
    struct chunk_msg chunk;
    struct ok_msg ok;
    if (from != h->to || to != h->from)
        return true;
    if (type == MSG_BID) {
        hear_bid(h, b);
    } else if (type == MSG_DECLINE) {
        assert_ok(decline_decode(b, &h->declined));
    } else if (type == MSG_REFUSE) {
        assert_ok(decline_decode(b, &h->refused));
    } else if (type == MSG_TERMS_OK) {
        uint8_t buf[TERMS_BYTES_MAX];
        struct bytes terms;
        assert_ok(ok_msg_decode(b, &ok));
        assert_ok(terms_encode(&h->terms, buf, &terms));
        assert_ok(terms_verify(&h->terms, SIDE_PROVIDER, terms, &ok.sig));
        h->accepted = hash_equal(&ok.terms, &h->hash);
    } else if (type == MSG_CHUNK) {
        assert_ok(chunk_msg_decode(b, &chunk));
        h->tokens = (uint32_t)chunk.offset + chunk.count;
    } else if (type == MSG_CLAIM) {
        hear_claim(h, b);
    } else if (type == MSG_RECEIPT) {
        h->receipts++;
    } else {
        return true;
    }
    return false;
}

void hand_init(struct hand *h, struct world *w, int from, int to)
{
    *h = (struct hand){ .w = w, .from = from, .to = to, .output_max = 90 };
    for (uint32_t i = 0; i < HAND_PROMPT; i++)
        h->prompt[i] = 100 + i;
    memset(&h->nonce, 9, sizeof h->nonce);
    world_set_tap(w, (struct world_tap){ hear, h });
}

struct bytes hand_offer_message(struct hand *h, const struct secret_key *key, uint8_t buf[SIGNED_BYTES_MAX])
{
    uint8_t body[OFFER_BYTES_MAX];
    struct signed_msg m;
    struct bytes view;
    h->offer = (struct offer){ .model = world_model(), .requester = world_node(h->w, h->from)->public, .prompt_count = HAND_PROMPT,
                               .output_max = h->output_max, .ttl_ms = 5000 };
    h->offers++;
    memcpy(h->offer.id, &h->offers, sizeof h->offers);
    h->offer.commitment = terms_prompt_commitment(&h->nonce, h->prompt, HAND_PROMPT);
    assert_ok(offer_encode(&h->offer, body, &m.body));
    h->offer_hash = offer_hash(m.body);
    key_sign(key, PURPOSE_OFFER, net_of(h), m.body, &m.sig);
    assert_ok(signed_msg_encode(&m, buf, &view));
    return view;
}

bool hand_offers(struct hand *h)
{
    uint8_t buf[SIGNED_BYTES_MAX];
    h->has_bid = false;
    h->declined.reason = DECLINE_NONE;
    world_say(h->w, h->from, h->to, MSG_OFFER, hand_offer_message(h, key_of(h), buf));
    a_moment(h);
    return h->has_bid;
}

static void fit_terms(struct hand *h)
{
    struct terms *t = &h->terms;
    *t = (struct terms){
        .net = *net_of(h), .requester = h->offer.requester, .provider = world_node(h->w, h->to)->public, .model = h->offer.model,
        .numerics = 1, .prompt = h->offer.commitment, .seed = terms_seed_commitment(&h->nonce, 5), .tokens_in = HAND_PROMPT,
        .sampling = { .top_p_micro = 1000000 }, .output_max = h->offer.output_max,
        .prices = { h->bid.price_input, h->bid.price_cached, h->bid.price_output }, .claim_tokens = CLAIM_TOKENS,
        .window_tokens = WINDOW_TOKENS, .offer = h->offer_hash, .bid = h->bid_hash, .validity_ms = 2000, .stated_s = 1800000000,
    };
    memcpy(t->job.b, &h->offers, sizeof h->offers);
    if (h->change)
        h->change(t);
    t->budget = terms_cost_max(t);
}

bool hand_agrees(struct hand *h)
{
    static uint8_t plain[PROMPT_BYTES_MAX], sealed[SEALED_BYTES_MAX];
    struct prompt_msg p = { .nonce = h->nonce, .seed = 5, .count = HAND_PROMPT };
    uint8_t body[TERMS_BYTES_MAX];
    struct terms_msg m;
    struct bytes view, prompt;
    struct key_seed once;
    fit_terms(h);
    assert_ok(terms_encode(&h->terms, body, &m.terms));
    h->hash = terms_hash(m.terms);
    terms_sign(key_of(h), SIDE_REQUESTER, net_of(h), m.terms, &m.sig);
    assert_ok(prompt_msg_encode(&p, h->prompt, plain, sizeof plain, &prompt));
    memset(&once, (int)h->offers, sizeof once);
    assert_ok(seal(&h->bid.one_time, &once, bytes_of(h->hash.b, sizeof h->hash.b), prompt, sealed));
    m.sealed = bytes_of(sealed, prompt.len + SEAL_OVERHEAD_BYTES);
    assert_ok(terms_msg_encode(&m, h->terms_message, sizeof h->terms_message, &view));
    h->terms_bytes = view.len;
    h->tokens = h->claim_count = 0;
    hand_sends_terms_again(h);
    return h->accepted;
}

void hand_sends_terms_again(struct hand *h)
{
    h->accepted = false;
    h->refused.reason = DECLINE_NONE;
    world_say(h->w, h->from, h->to, MSG_TERMS, bytes_of(h->terms_message, h->terms_bytes));
    a_moment(h);
}

bool hand_begins(struct hand *h, uint32_t output_max)
{
    h->output_max = output_max;
    return hand_offers(h) && hand_agrees(h);
}

void hand_signs(struct hand *h, uint32_t claim)
{
    assert_true(claim < h->claim_count);
    struct ok_msg m = { .terms = h->hash, .index = h->claims[claim].claim.index };
    uint8_t buf[HASH_SIG_BYTES_MAX];
    struct bytes view;
    claim_sign(key_of(h), SIDE_REQUESTER, net_of(h), &h->claims[claim].claim, &m.sig);
    assert_ok(ok_msg_encode(&m, buf, sizeof buf, &view));
    world_say(h->w, h->from, h->to, MSG_CLAIM_OK, view);
    a_moment(h);
}

void hand_cancels(struct hand *h, enum cancel_why why)
{
    struct cancel_msg m = { .subject = h->hash, .why = why };
    uint8_t buf[CANCEL_BYTES_MAX];
    struct bytes view;
    assert_ok(cancel_msg_encode(&m, buf, sizeof buf, &view));
    world_say(h->w, h->from, h->to, MSG_CANCEL, view);
    a_moment(h);
}

struct job hand_job(struct hand *h)
{
    struct job j;
    assert_ok(ledger_job_find(agent_ledger(world_node(h->w, h->to)->agent), &h->hash, &j));
    return j;
}
