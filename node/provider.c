/* provider.c - wins work: judges offers, signs bids, accepts terms. */
#include "node/provider.h"

#include <string.h>

#include "node/work.h"

void provider_init(struct provider *p, struct services *s, struct served_table *served)
{
    memset(p, 0, sizeof *p);
    p->s = s;
    p->served = served;
}

static void reservation_drop(struct provider *p, struct reservation *v)
{
    served_hold(p->served, &v->offer.model, -1);
    seal_fini(&v->secret);
    memset(v, 0, sizeof *v);
}

void provider_fini(struct provider *p)
{
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        seal_fini(&p->reserved[i].secret);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        token_list_fini(&p->work[i].made);
        hash_list_fini(&p->work[i].heads);
    }
}

void provider_drain(struct provider *p) { p->draining = true; }

/* ---- judging an offer ---- */

static struct credit_limits credit_limits(const struct services *s)
{
    return (struct credit_limits){ { s->config.credit_limit_pico }, { s->config.newcomer_limit_pico } };
}

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
    struct credit_limits limits = credit_limits(s);
    struct pico cost;
    enum credit_limit which = CREDIT_OK;
    enum err e = amount_cost(&t, &prices, &cost);
    if (e == OK)
        e = ledger_credit_check(s->ledger, &o->requester, cost, &limits, &which);
    if (e == OK)
        return d;
    d.reason = DECLINE_FAILED;
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
    return judge_credit(p, o, &v->model);
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

static void send_decline(struct provider *p, const struct node_id *to, enum message_type type, const struct decline *d)
{
    uint8_t buf[DECLINE_BYTES_MAX];
    struct bytes body;
    ENSURE(decline_encode(d, buf, &body) == OK);
    services_send(p->s, to, type, body);
}

static struct reservation *reservation_of(struct provider *p, const struct hash *offer)
{
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        if (p->reserved[i].used && hash_equal(&p->reserved[i].offer_hash, offer))
            return &p->reserved[i];
    return NULL;
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
        send_decline(p, to, MSG_DECLINE, &full);
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
        reservation_drop(p, slot);
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
    if (reservation_of(p, &hash))
        return OK;                                         /* came by gossip as well */
    struct decline d = judge(p, &o, age_ms);
    d.subject = hash;
    remember(p, &o, false, d.reason);
    if (d.reason == DECLINE_NONE)
        bid(p, from, &o, &hash);
    else
        send_decline(p, from, MSG_DECLINE, &d);
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
    if (reservation_of(p, &hash))
        return OK;
    struct decline d = judge(p, &o, age_ms);
    d.subject = hash;
    remember(p, &o, true, d.reason);
    bool here = overlay_peer_find(s->overlay, &record->id, &peer);
    if (d.reason == DECLINE_NONE && here)
        bid(p, &record->id, &o, &hash);
    else if (d.reason == DECLINE_NONE && overlay_open(s->overlay, s->now, s->wall, record) == OK)
        stranger_keep(p, &record->id, body, mono_add_ms(s->now, o.ttl_ms - age_ms));
    else if (here)
        send_decline(p, &record->id, MSG_DECLINE, &d);
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
        if (offer_open(p, node, bytes_of(k->message, k->bytes), &o, &hash) == OK && judge(p, &o, 0).reason == DECLINE_NONE && !reservation_of(p, &hash))
            bid(p, node, &o, &hash);
    }
}

/* ---- terms ---- */

static bool terms_fit_bid(const struct services *s, const struct terms *t, const struct reservation *v)
{
    const struct bid *b = &v->bid;
    const struct offer *o = &v->offer;
    return net_id_equal(&t->net, &s->config.net) && pubkey_equal(&t->requester, &o->requester) && pubkey_equal(&t->provider, &s->self) &&
           hash_equal(&t->model, &o->model) && t->numerics == 1 && hash_equal(&t->prompt, &o->commitment) && hash_equal(&t->bid, &v->bid_hash) &&
           t->tokens_in == o->prompt_count && t->tokens_cached == 0 && t->output_max <= o->output_max && t->prices.in == b->price_input &&
           t->prices.cached == b->price_cached && t->prices.out == b->price_output && t->claim_tokens == CLAIM_TOKENS && t->window_tokens == WINDOW_TOKENS;
}

/* Prompt, nonce and seed as sealed to us, equal to what the terms commit to, every id inside the vocabulary. */
static enum err prompt_open(struct provider *p, const struct reservation *v, const struct terms *t, const struct hash *hash,
                            struct bytes sealed, uint32_t vocab, struct prompt_msg *out)
{
    struct services *s = p->s;
    enum err e = seal_open(&v->secret, bytes_of(hash->b, sizeof hash->b), sealed, s->plain);
    if (e == OK)
        e = prompt_msg_decode(bytes_of(s->plain, sealed.len - SEAL_OVERHEAD_BYTES), out, s->prompt);
    if (e)
        return e;
    struct hash prompt = terms_prompt_commitment(&out->nonce, s->prompt, out->count), seed = terms_seed_commitment(&out->nonce, out->seed);
    if (out->count != t->tokens_in || !hash_equal(&prompt, &t->prompt) || !hash_equal(&seed, &t->seed))
        return ERR_MISMATCH;
    for (uint32_t i = 0; i < out->count; i++)
        if (s->prompt[i] >= vocab)
            return ERR_MISMATCH;
    return OK;
}

static struct work *work_free(struct provider *p)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (p->work[i].state == WORK_FREE)
            return &p->work[i];
    return NULL;
}

static bool has_work(const struct provider *p, const struct hash *terms)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (p->work[i].state != WORK_FREE && hash_equal(&p->work[i].hash, terms))
            return true;
    return false;
}

static struct decline refuse_credit(const struct services *s, enum credit_limit which, const struct terms *t)
{
    return (struct decline){ .reason = which == CREDIT_NEWCOMERS ? DECLINE_CREDIT_NEWCOMERS : DECLINE_CREDIT_REQUESTER,
                             .limit = which == CREDIT_NEWCOMERS ? s->config.newcomer_limit_pico : s->config.credit_limit_pico,
                             .have = terms_cost_max(t).v };
}

/* Everything that must hold before we sign; DECLINE_NONE with our signature made and the prompt in s->prompt. */
static struct decline accept(struct provider *p, const struct reservation *v, const struct terms_msg *m, const struct terms *t,
                             const struct hash *hash, struct prompt_msg *prompt, struct sig *sig)
{
    struct services *s = p->s;
    const struct served *model = v ? served_find(p->served, &v->offer.model) : NULL;
    struct credit_limits limits = credit_limits(s);
    enum credit_limit which = CREDIT_OK;
    struct hash named;
    if (!v || !model)
        return (struct decline){ .reason = DECLINE_EXPIRED };
    if (!terms_fit_bid(s, t, v))
        return (struct decline){ .reason = DECLINE_TERMS };
    if (prompt_open(p, v, t, hash, m->sealed, model->model.vocab, prompt) != OK)
        return (struct decline){ .reason = DECLINE_SEALED };
    if (!work_free(p))
        return (struct decline){ .reason = DECLINE_CAPACITY, .limit = JOBS_MAX, .have = JOBS_MAX + 1 };
    enum err e = ledger_terms_accept(s->ledger, m->terms, &m->sig, model->model.name, &limits, s->wall, &which, sig, &named);
    if (e == ERR_CREDIT)
        return refuse_credit(s, which, t);
    if (e)
        return (struct decline){ .reason = e == ERR_STATE ? DECLINE_CHANNEL : DECLINE_TERMS };
    ENSURE(hash_equal(&named, hash));
    return (struct decline){ .reason = DECLINE_NONE };
}

enum err provider_terms(struct provider *p, const struct node_id *from, struct bytes body)
{
    struct services *s = p->s;
    struct terms_msg m;
    struct terms t;
    enum err e = terms_msg_decode(body, &m);
    if (e == OK)
        e = terms_decode(m.terms, &t);
    if (e)
        return e;
    struct hash hash = terms_hash(m.terms);
    struct reservation *v = reservation_of(p, &t.offer);
    if (has_work(p, &hash))
        return OK;                                         /* a repetition */
    if (v && !node_id_equal(&v->node, from))
        return ERR_KEY;
    struct prompt_msg prompt;
    struct ok_msg ok = { .terms = hash };
    struct decline d = accept(p, v, &m, &t, &hash, &prompt, &ok.sig);
    if (v)
        reservation_drop(p, v);                            /* the one-time key opens one prompt, once */
    if (d.reason != DECLINE_NONE) {
        d.subject = hash;
        s->counters.offers_declined[decline_err(d.reason)]++;
        send_decline(p, from, MSG_REFUSE, &d);
        return OK;
    }
    uint8_t buf[HASH_SIG_BYTES_MAX];
    struct bytes view;
    ENSURE(ok_msg_encode(&ok, buf, sizeof buf, &view) == OK);
    services_send(s, from, MSG_TERMS_OK, view);
    delivery_begin(p, work_free(p), from, &t, &hash, &prompt, s->prompt);
    return OK;
}

enum err provider_cancel(struct provider *p, const struct node_id *from, struct bytes body)
{
    struct cancel_msg m;
    enum err e = cancel_msg_decode(body, &m);
    if (e)
        return e;
    struct reservation *v = reservation_of(p, &m.subject);
    if (v && node_id_equal(&v->node, from))
        reservation_drop(p, v);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct work *w = &p->work[i];
        if (w->state != WORK_FREE && hash_equal(&w->hash, &m.subject) && node_id_equal(&w->node, from))
            delivery_cancel(p, w, m.why);
    }
    return OK;
}

/* ---- links and clock ---- */

void provider_peer_down(struct provider *p, const struct node_id *node)
{
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        if (p->reserved[i].used && node_id_equal(&p->reserved[i].node, node))
            reservation_drop(p, &p->reserved[i]);
    for (size_t i = 0; i < STRANGERS_MAX; i++)
        if (p->stranger[i].used && node_id_equal(&p->stranger[i].node, node))
            p->stranger[i].used = false;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct work *w = &p->work[i];
        if ((w->state == WORK_RUNNING || w->state == WORK_CLOSING) && node_id_equal(&w->node, node))
            delivery_abandon(p, w, REASON_LINK_LOST);
    }
}

bool provider_take_ended(struct provider *p, struct pubkey *out)
{
    bool ended = p->ended;
    *out = p->ended_with;
    p->ended = false;
    return ended;
}

bool provider_step(struct provider *p)
{
    struct mono now = p->s->now;
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        if (p->reserved[i].used && mono_reached(now, p->reserved[i].until)) {
            reservation_drop(p, &p->reserved[i]);
            return true;
        }
    for (size_t i = 0; i < STRANGERS_MAX; i++)
        if (p->stranger[i].used && mono_reached(now, p->stranger[i].until)) {
            p->stranger[i].used = false;
            return true;
        }
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct work *w = &p->work[i];
        if ((w->state == WORK_RUNNING || w->state == WORK_CLOSING) && mono_reached(now, w->deadline)) {
            delivery_abandon(p, w, REASON_NO_ACK);
            return true;
        }
    }
    return false;
}

struct mono provider_deadline(const struct provider *p)
{
    struct mono due = MONO_NEVER;
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        if (p->reserved[i].used)
            due = mono_min(due, p->reserved[i].until);
    for (size_t i = 0; i < STRANGERS_MAX; i++)
        if (p->stranger[i].used)
            due = mono_min(due, p->stranger[i].until);
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (p->work[i].state == WORK_RUNNING || p->work[i].state == WORK_CLOSING)
            due = mono_min(due, p->work[i].deadline);
    return due;
}

uint32_t provider_open(const struct provider *p)
{
    uint32_t open = 0;
    for (size_t i = 0; i < JOBS_MAX; i++)
        open += p->work[i].state != WORK_FREE;
    return open;
}

uint32_t provider_offers(const struct provider *p, struct mono now, struct offer_view *out, uint32_t max)
{
    uint32_t n = 0;
    for (uint64_t k = p->seen_count; k > 0 && n < max && p->seen_count - k < OFFER_VIEWS_MAX; k--) {
        out[n] = p->seen[(k - 1) % OFFER_VIEWS_MAX];
        out[n].age_ms = now.us / 1000 - out[n].age_ms;
        n++;
    }
    return n;
}
