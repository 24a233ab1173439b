/* tender.c - bids for work: judges offers, direct or gossiped, and holds a slot and a one-time key for each bid. */
#include <string.h>

#include "node/work.h"

/* ---- judging an offer ---- */

static struct prices served_prices(const struct served_model *m)
{
    return (struct prices){ m->price_input, m->price_cached, m->price_output };
}

/* Milliseconds until the first token: the prefill as measured here, rounded up; a free slot means no queue. */
static uint32_t first_token_ms(const struct served_model *m, uint32_t prompt_count)
{
    if (m->prefill_millitokens_s == 0)
        return 0;
    uint64_t ms = ((uint64_t)prompt_count * 1000 * 1000 + m->prefill_millitokens_s - 1) / m->prefill_millitokens_s;
    return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static struct decline judge_credit(struct provider *p, const struct offer *o, const struct served_model *m)
{
    struct services *s = p->s;
    struct decline d = { .reason = DECLINE_NONE };
    struct tokens t = { .in = o->prompt_count, .out = o->output_max };
    struct prices prices = served_prices(m);
    struct credit_limits limits = provider_credit(s);
    struct pico cost;
    enum credit_limit which = CREDIT_OK;
    enum err e = amount_cost(&t, &prices, &cost);
    if (e == OK)
        e = ledger_credit_check(s->ledger, &o->requester, cost, &limits, &which);
    if (e == OK)
        return d;
    d.reason = e == ERR_STATE ? DECLINE_CHANNEL : DECLINE_FAILED;
    if (e == ERR_CREDIT) {
        d.reason = which == CREDIT_NEWCOMERS ? DECLINE_CREDIT_NEWCOMERS : DECLINE_CREDIT_REQUESTER;
        d.limit = which == CREDIT_NEWCOMERS ? limits.newcomers.v : limits.per_requester.v;
        d.have = cost.v;
    }
    return d;
}

static uint32_t reservations_of(const struct provider *p, const struct pubkey *requester)
{
    uint32_t n = 0;
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        n += p->reserved[i].used && pubkey_equal(&p->reserved[i].offer.requester, requester);
    return n;
}

/* Own placement against the offer's limits. */
static struct decline judge_limits(const struct provider *p, const struct offer *o, const struct served_model *m)
{
    const struct services *s = p->s;
    const struct cert *cert = s->config.overlay.cert;
    struct placement here = { m->price_input, m->price_output, { s->config.jurisdiction[0], s->config.jurisdiction[1] }, s->config.tier,
                              m->energy_mj_per_1k, cert ? &cert->owner : NULL };
    struct decline d = { .reason = DECLINE_NONE };
    d.reason = limits_check(&o->limits, &here, &d.have, &d.limit);
    uint32_t wait = first_token_ms(m, o->prompt_count);
    if (d.reason == DECLINE_NONE && o->limits.first_token_ms_max && wait > o->limits.first_token_ms_max)
        d = (struct decline){ .reason = DECLINE_FIRST_TOKEN, .have = wait, .limit = o->limits.first_token_ms_max };
    return d;
}

/* The first thing that stands in the way of a bid. */
static struct decline judge(struct provider *p, const struct offer *o, uint32_t age_ms)
{
    struct services *s = p->s;
    const struct served *v = served_find(p->served, &o->model);
    uint64_t need = (uint64_t)o->prompt_count + o->output_max;
    if (!s->config.serve || !v)
        return (struct decline){ .reason = DECLINE_MODEL };
    if (p->draining)
        return (struct decline){ .reason = DECLINE_DRAINING };
    if (age_ms >= o->ttl_ms)
        return (struct decline){ .reason = DECLINE_EXPIRED, .limit = o->ttl_ms, .have = age_ms };
    if (need > v->model.context)
        return (struct decline){ .reason = DECLINE_CONTEXT, .limit = v->model.context, .have = need };
    struct decline d = judge_limits(p, o, &v->model);
    if (d.reason != DECLINE_NONE)
        return d;
    if (served_slots_free(v) == 0)
        return (struct decline){ .reason = DECLINE_CAPACITY, .limit = v->model.slots, .have = (uint64_t)v->running + v->held + 1 };
    if (reservations_of(p, &o->requester) >= RESERVATIONS_PER_REQUESTER_MAX)
        return (struct decline){ .reason = DECLINE_RATE, .limit = RESERVATIONS_PER_REQUESTER_MAX, .have = RESERVATIONS_PER_REQUESTER_MAX + 1 };
    d = provider_judge_unpaid(p, &o->requester);
    return d.reason == DECLINE_NONE ? judge_credit(p, o, &v->model) : d;
}

/* ---- bidding ---- */

static void remember(struct provider *p, const struct offer *o, bool gossiped, enum decline_reason reason)
{
    struct services *s = p->s;
    struct offer_view *v = &p->seen[p->seen_count++ % OFFER_VIEWS_MAX];
    *v = (struct offer_view){ .model = o->model, .requester = o->requester, .price_input_max = o->limits.price_input_max,
                              .price_output_max = o->limits.price_output_max, .age_ms = s->now.us / 1000, .output_max = o->output_max,
                              .prompt_count = o->prompt_count, .gossiped = gossiped, .bid = reason == DECLINE_NONE, .declined = decline_err(reason) };
    s->counters.offers_seen++;
    if (reason != DECLINE_NONE)
        s->counters.offers_declined[decline_err(reason)]++;
}

static struct reservation *reservation_free(struct provider *p)
{
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        if (!p->reserved[i].used)
            return &p->reserved[i];
    return NULL;
}

/* Holds a slot and a one-time key, and says so. */
static void bid(struct provider *p, const struct node_id *to, const struct offer *o, const struct hash *hash)
{
    struct services *s = p->s;
    struct served *v = served_find(p->served, &o->model);
    struct reservation *slot = reservation_free(p);
    ENSURE(v != NULL);
    if (!slot) {
        struct decline full = { .subject = *hash, .reason = DECLINE_CAPACITY, .limit = RESERVATIONS_MAX, .have = RESERVATIONS_MAX + 1 };
        provider_decline(p, to, MSG_DECLINE, &full);
        return;
    }
    struct key_seed seed;
    *slot = (struct reservation){ .used = true, .offer_hash = *hash, .offer = *o, .node = *to, .until = mono_add_ms(s->now, RESERVATION_MS) };
    slot->bid = (struct bid){ .offer = *hash, .provider = s->self, .price_input = v->model.price_input, .price_cached = v->model.price_cached,
                              .price_output = v->model.price_output, .first_token_ms = first_token_ms(&v->model, o->prompt_count),
                              .reservation_ms = RESERVATION_MS, .jurisdiction = { s->config.jurisdiction[0], s->config.jurisdiction[1] },
                              .tier = s->config.tier, .energy_mj_per_1k = v->model.energy_mj_per_1k, .slots_free = served_slots_free(v) };
    services_seed(s, &seed);
    seal_key_from_seed(&seed, &slot->secret, &slot->bid.one_time);
    served_hold(p->served, &o->model, 1);

    uint8_t body[BID_BYTES_MAX], message[SIGNED_BYTES_MAX];
    struct signed_msg m;
    struct bytes view;
    ENSURE(bid_encode(&slot->bid, body, &m.body) == OK);
    slot->bid_hash = hash_of("bid", m.body);
    key_sign(s->config.key, PURPOSE_BID, &s->config.net, m.body, &m.sig);
    ENSURE(signed_msg_encode(&m, message, &view) == OK);
    if (services_send(s, to, MSG_BID, view))
        s->counters.bids_sent++;
    else
        provider_release(p, slot);
}

/* Decodes and verifies; OK with o and its hash. */
static enum err offer_open(const struct provider *p, const struct node_id *from, struct bytes body, struct offer *o, struct hash *hash)
{
    struct signed_msg m;
    enum err e = signed_msg_decode(body, &m);
    if (e == OK)
        e = offer_decode(m.body, o);
    if (e)
        return e;
    struct node_id signer = node_id_of(&o->requester);
    if (!node_id_equal(&signer, from))
        return ERR_KEY;
    *hash = offer_hash(m.body);
    return key_verify(&o->requester, PURPOSE_OFFER, &p->s->config.net, m.body, &m.sig);
}

enum err provider_offer(struct provider *p, const struct node_id *from, struct bytes body, uint32_t age_ms)
{
    struct offer o;
    struct hash hash;
    enum err e = offer_open(p, from, body, &o, &hash);
    if (e)
        return e;
    if (provider_reservation(p, &hash))
        return OK;                                         /* came by gossip as well */
    struct decline d = judge(p, &o, age_ms);
    d.subject = hash;
    remember(p, &o, false, d.reason);
    if (d.reason == DECLINE_NONE)
        bid(p, from, &o, &hash);
    else
        provider_decline(p, from, MSG_DECLINE, &d);
    return OK;
}

/* ---- strangers: offers heard by gossip ---- */

static void stranger_keep(struct provider *p, const struct node_id *node, struct bytes body, struct mono until)
{
    for (size_t i = 0; i < STRANGERS_MAX; i++) {
        struct stranger *k = &p->stranger[i];
        if (k->used)
            continue;
        *k = (struct stranger){ .used = true, .node = *node, .bytes = body.len, .until = until };
        memcpy(k->message, body.data, body.len);
        return;
    }                                                      /* full: somebody else will bid */
}

enum err provider_gossip(struct provider *p, const struct node_record *record, struct bytes body, uint32_t age_ms)
{
    struct services *s = p->s;
    struct overlay_peer peer;
    struct offer o;
    struct hash hash;
    enum err e = body.len > SIGNED_BYTES_MAX ? ERR_TOO_LARGE : offer_open(p, &record->id, body, &o, &hash);
    if (e)
        return e;
    if (provider_reservation(p, &hash))
        return OK;
    struct decline d = judge(p, &o, age_ms);
    d.subject = hash;
    remember(p, &o, true, d.reason);
    bool here = overlay_peer_find(s->overlay, &record->id, &peer);
    if (d.reason == DECLINE_NONE && here)
        bid(p, &record->id, &o, &hash);
    else if (d.reason == DECLINE_NONE && overlay_open(s->overlay, s->now, s->wall, record) == OK)
        stranger_keep(p, &record->id, body, mono_add_ms(s->now, o.ttl_ms - age_ms));
    else if (here && d.reason != DECLINE_MODEL)            /* most who hear a rumour do not serve its model: no news to anybody */
        provider_decline(p, &record->id, MSG_DECLINE, &d);
    return OK;
}

void provider_peer_up(struct provider *p, const struct node_id *node)
{
    for (size_t i = 0; i < STRANGERS_MAX; i++) {
        struct stranger *k = &p->stranger[i];
        struct offer o;
        struct hash hash;
        if (!k->used || !node_id_equal(&k->node, node))
            continue;
        k->used = false;
        if (offer_open(p, node, bytes_of(k->message, k->bytes), &o, &hash) == OK && judge(p, &o, 0).reason == DECLINE_NONE && !provider_reservation(p, &hash))
            bid(p, node, &o, &hash);
    }
}
