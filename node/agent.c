/* agent.c - introduces the machines to each other: which event goes to whom, and who hears what follows from it.
 *
 * One event, one pass: reset the effects, give the event to its machine, then drain the overlay and do what is due, one
 * thing at a time, until nothing is due or the effects are half full (the rest then comes with a tick that is due at once).
 */
#include "node/agent.h"

#include <string.h>

#include "node/headers.h"
#include "node/provider.h"
#include "node/requester.h"
#include "node/served.h"
#include "node/services.h"
#include "node/settlement.h"

enum { PURGE_INTERVAL_MS = 10 * 60 * 1000, PURGE_MAX = 64, OVERLAY_ALIGN = 64 };

struct agent {
    struct services s;
    struct ledger ledger;
    struct served_table served;
    struct requester requester;
    struct provider provider;
    struct settlement settlement;
    struct headers headers;
    bool draining;
    struct mono purge_at;
    struct ledger_recovery recovered;                      /* reported with the first event */
    bool reported;
    struct effects effects;                                /* last: its pages are not touched until they are used */
};

static size_t overlay_offset(void) { return (sizeof(struct agent) + OVERLAY_ALIGN - 1) / OVERLAY_ALIGN * OVERLAY_ALIGN; }
size_t agent_size(void) { return overlay_offset() + overlay_bytes(); }

/* ---- life ---- */

enum err agent_init(struct agent *a, const struct agent_config *c, struct store *store, struct mono now, struct wall wall)
{
    memset(a, 0, offsetof(struct agent, effects));
    struct services *s = &a->s;
    s->config = *c;
    if (s->config.token_deadline_ms == 0)
        s->config.token_deadline_ms = TOKEN_DEADLINE_MS;
    s->overlay = (struct overlay *)(void *)((uint8_t *)a + overlay_offset());
    s->ledger = &a->ledger;
    s->out = &a->effects;
    s->now = now;
    s->wall = wall;
    s->entropy = c->entropy;
    key_public(c->key, &s->self);
    effects_init(&a->effects);
    enum err e = overlay_init(s->overlay, now, wall, &c->overlay);
    if (e)
        return e;
    e = ledger_open(&a->ledger, store, c->key, &s->self, &c->net, wall, &a->recovered);
    if (e)
        return e;
    served_init(&a->served);
    requester_init(&a->requester, s);
    provider_init(&a->provider, s, &a->served);
    settlement_init(&a->settlement, s);
    headers_init(&a->headers, s, &a->served);
    a->purge_at = now;
    return OK;
}

void agent_fini(struct agent *a)
{
    requester_fini(&a->requester);
    provider_fini(&a->provider);
    headers_fini(&a->headers);
    memset(&a->s.entropy, 0, sizeof a->s.entropy);
    memset(a->s.plain, 0, sizeof a->s.plain);
    memset(a->s.prompt, 0, sizeof a->s.prompt);
}

enum err agent_bootstrap(struct agent *a, struct mono now, const struct bootstrap *b) { return overlay_bootstrap(a->s.overlay, now, b); }
bool agent_joined(const struct agent *a) { return overlay_joined(a->s.overlay); }
const struct overlay *agent_overlay(const struct agent *a) { return a->s.overlay; }
struct ledger *agent_ledger(struct agent *a) { return &a->ledger; }

bool agent_drained(const struct agent *a)
{
    return a->draining && requester_open(&a->requester) == 0 && provider_open(&a->provider) == 0 && !settlement_is_due(&a->settlement);
}

/* ---- messages ---- */

/* The jobs that ended: their requesters are due a receipt. */
static void settle_ended(struct agent *a)
{
    struct pubkey requester;
    if (provider_take_ended(&a->provider, &requester))
        settlement_propose(&a->settlement, &requester);
}

static enum err on_receipt(struct agent *a, const struct node_id *from, struct bytes body)
{
    bool closed;
    struct hash terms, id;
    enum err e = settlement_receipt(&a->settlement, from, body, &closed, &terms, &id);
    if (e == OK && closed)
        requester_receipt(&a->requester, &terms, &id);
    return e;
}

static enum err on_message(struct agent *a, const struct overlay_effect *m)
{
    const struct node_id *from = &m->node;
    struct bytes body = m->bytes;
    switch (m->type) {
    case MSG_OFFER: return provider_offer(&a->provider, from, body, m->age_ms);
    case MSG_BID: return requester_bid(&a->requester, from, body);
    case MSG_DECLINE: return requester_decline(&a->requester, from, body);
    case MSG_TERMS: return provider_terms(&a->provider, from, body);
    case MSG_TERMS_OK: return requester_terms_ok(&a->requester, from, body);
    case MSG_REFUSE: return requester_refuse(&a->requester, from, body);
    case MSG_CHUNK: return requester_chunk(&a->requester, from, body);
    case MSG_CLAIM: return requester_claim(&a->requester, from, body);
    case MSG_CLAIM_OK: return provider_claim_ok(&a->provider, from, body);
    case MSG_CANCEL: return provider_cancel(&a->provider, from, body);
    case MSG_RECEIPT: return on_receipt(a, from, body);
    case MSG_RECEIPT_OK: return settlement_receipt_ok(&a->settlement, from, body);
    case MSG_RESYNC: return settlement_resync(&a->settlement, from, body);
    case MSG_RESYNC_OK: return settlement_resync_ok(&a->settlement, from, body);
    case MSG_CLAIM_KEPT: return settlement_kept(&a->settlement, from, body);
    case MSG_HEADER_GET: return headers_get(&a->headers, from, body);
    case MSG_HEADER_PART: return headers_part(&a->headers, from, body);
    }
    return ERR_TYPE;                                       /* the number comes from the wire: no enum switch */
}

static void on_peer_up(struct agent *a, const struct node_id *node)
{
    requester_peer_up(&a->requester, node);
    provider_peer_up(&a->provider, node);
    headers_peer_up(&a->headers, node);
    settlement_peer_up(&a->settlement, node);
}

static void on_peer_down(struct agent *a, const struct node_id *node)
{
    requester_peer_down(&a->requester, node);
    provider_peer_down(&a->provider, node);
    headers_peer_down(&a->headers, node);
}

static void on_gossip(struct agent *a, const struct overlay_effect *g)
{
    struct node_record origin = *g->record;                /* lent only until the overlay is spoken to again */
    enum err e = provider_gossip(&a->provider, &origin, g->bytes, g->age_ms);
    if (e)
        overlay_offence(a->s.overlay, a->s.now, &origin.id, MSG_PUB, e);
}

/* ---- the overlay's effects ---- */

static void forward(struct agent *a, const struct overlay_effect *o)
{
    struct agent_effect *e;
    switch (o->kind) {
    case OVERLAY_DIAL:
        e = effects_add(&a->effects, AGENT_DIAL);
        e->u.dial.link = o->link;
        e->u.dial.to = *o->at;
        break;
    case OVERLAY_HANGUP:
        effects_add(&a->effects, AGENT_HANGUP)->u.hangup.link = o->link;
        break;
    case OVERLAY_SEND:
        effects_send(&a->effects, o->link, o->bytes);
        break;
    case OVERLAY_MUTE:
        e = effects_add(&a->effects, AGENT_MUTE);
        e->u.mute.link = o->link;
        e->u.mute.transport = o->key;
        e->u.mute.ms = o->mute_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)o->mute_ms;
        break;
    case OVERLAY_JOINED:
        effects_log(&a->effects, LOG_INFO, "overlay.joined", "%zu peers", overlay_peer_count(a->s.overlay));
        break;
    case OVERLAY_PEER_UP:
    case OVERLAY_PEER_DOWN:
    case OVERLAY_MESSAGE:
    case OVERLAY_GOSSIP:
    case OVERLAY_PROVIDERS:
    case OVERLAY_NODE_FOUND:
        break;
    }
}

static void on_offence(struct agent *a, const struct overlay_effect *m, enum err e)
{
    overlay_offence(a->s.overlay, a->s.now, &m->node, (enum message_type)m->type, e);
    requester_offended(&a->requester, &m->node);
    effects_log(&a->effects, LOG_WARN, "peer.offence", "node %s, %s: %s", short_name(&m->node.h).text, message_name(m->type), err_text(e));
}

static void drain_overlay(struct agent *a)
{
    struct overlay_effect o;
    while (overlay_next(a->s.overlay, &o)) {
        forward(a, &o);
        if (o.kind == OVERLAY_PEER_UP)
            on_peer_up(a, &o.node);
        else if (o.kind == OVERLAY_PEER_DOWN)
            on_peer_down(a, &o.node);
        else if (o.kind == OVERLAY_GOSSIP)
            on_gossip(a, &o);
        else if (o.kind == OVERLAY_PROVIDERS) {
            if (hash_is_zero(&o.hash))
                effects_add(&a->effects, AGENT_DIRECTORY_READY);
            requester_providers(&a->requester, &o.hash);
            headers_providers(&a->headers, &o.hash);
        } else if (o.kind == OVERLAY_NODE_FOUND && o.record) {
            settlement_found(&a->settlement, o.record);
        } else if (o.kind == OVERLAY_MESSAGE) {
            enum err e = on_message(a, &o);
            if (e)
                on_offence(a, &o, e);
        }
        settle_ended(a);
    }
}

/* ---- events ---- */

static void advertise(struct agent *a, const struct served_model *m)
{
    struct services *s = &a->s;
    struct advert ad = { .model = m->id, .numerics = 1, .context_tokens = m->context, .slots = m->slots,
                         .prices = { m->price_input, m->price_cached, m->price_output }, .tier = (enum tier)s->config.tier,
                         .energy_mj_per_1000 = m->energy_mj_per_1k };
    memcpy(ad.model_name, m->name, sizeof ad.model_name);
    memcpy(ad.backend, m->backend, sizeof ad.backend);
    memcpy(ad.device, m->device, sizeof ad.device);
    memcpy(ad.jurisdiction, s->config.jurisdiction, sizeof s->config.jurisdiction);
    ad.prefill_mtps = m->prefill_millitokens_s > UINT32_MAX ? UINT32_MAX : (uint32_t)m->prefill_millitokens_s;
    ad.decode_mtps = m->decode_millitokens_s > UINT32_MAX ? UINT32_MAX : (uint32_t)m->decode_millitokens_s;
    enum err e = overlay_advertise(s->overlay, s->now, s->wall, &ad);
    if (e)
        effects_log(s->out, LOG_ERROR, "advert.refused", "model %s: %s", short_name(&m->id).text, err_text(e));
}

static void on_model_ready(struct agent *a, const struct served_model *m)
{
    enum err e = served_add(&a->served, m);
    if (e)
        effects_log(&a->effects, LOG_ERROR, "model.refused", "model %s: %s", short_name(&m->id).text, err_text(e));
    else if (a->s.config.serve && !a->draining)
        advertise(a, m);
}

static void withdraw(struct agent *a, const struct hash *model)
{
    enum err e = overlay_withdraw(a->s.overlay, a->s.now, a->s.wall, model);
    if (e && e != ERR_NOT_FOUND)
        effects_log(&a->effects, LOG_WARN, "advert.stays", "model %s: %s", short_name(model).text, err_text(e));
}

/* PROTO 6.12 */
static void on_drain(struct agent *a)
{
    a->draining = true;
    provider_drain(&a->provider);
    for (size_t i = 0; i < SERVED_MAX; i++)
        if (a->served.entry[i].used)
            withdraw(a, &a->served.entry[i].model.id);
}

/* PROTO 6.11: answered here if it may be, the model is here and a slot is free; by the mesh otherwise. */
static void on_request(struct agent *a, const struct request *q)
{
    const struct served *here = q->allow_local ? served_find(&a->served, &q->model) : NULL;
    bool fits = here && (uint64_t)q->prompt_count + q->output_max <= here->model.context;
    if (!fits || served_slots_free(here) == 0)
        requester_request(&a->requester, q);
    else if (requester_request_local(&a->requester, q))
        served_run(&a->served, &q->model, 1);
}

/* ERR_FULL: too much is being looked up; whoever waits for the answer has a deadline of its own. */
static void on_directory_wanted(struct agent *a)
{
    struct hash all = { { 0 } };
    enum err e = overlay_find_providers(a->s.overlay, a->s.now, &all);
    if (e)
        effects_log(&a->effects, LOG_INFO, "directory.later", "%s", err_text(e));
}

static void on_run_done(struct agent *a, struct run_id run, enum finish finish, enum err error)
{
    struct hash model;
    if (requester_run_done(&a->requester, run, finish, error, &model))
        served_run(&a->served, &model, -1);
    else if (!provider_run_done(&a->provider, run, finish, error))
        effects_log(&a->effects, LOG_WARN, "run.unknown", "run %llu", (unsigned long long)run.id);
}

static void dispatch(struct agent *a, const struct agent_event *e)
{
    switch (e->kind) {
    case AGENT_TICK:
        break;
    case AGENT_OVERLAY:
        overlay_handle(a->s.overlay, a->s.now, a->s.wall, &e->u.overlay);
        break;
    case AGENT_REQUEST:
        on_request(a, &e->u.request);
        break;
    case AGENT_CANCEL:
        requester_cancel(&a->requester, e->u.cancel.client, e->u.cancel.satisfied);
        break;
    case AGENT_RUN_TOKENS:
        if (!requester_run_tokens(&a->requester, e->u.tokens.run, e->u.tokens.tokens, e->u.tokens.count))
            (void)provider_run_tokens(&a->provider, e->u.tokens.run, e->u.tokens.tokens, e->u.tokens.head_hashes, e->u.tokens.count);
        break;
    case AGENT_RUN_DONE:
        on_run_done(a, e->u.done.run, e->u.done.finish, e->u.done.error);
        break;
    case AGENT_MODEL_READY:
        on_model_ready(a, &e->u.model);
        break;
    case AGENT_MODEL_GONE:
        withdraw(a, &e->u.gone.model);
        served_remove(&a->served, &e->u.gone.model);
        break;
    case AGENT_HEADER_WANTED:
        headers_want(&a->headers, &e->u.header.model);
        break;
    case AGENT_DIRECTORY_WANTED:
        on_directory_wanted(a);
        break;
    case AGENT_DRAIN:
        on_drain(a);
        break;
    }
}

static bool purge(struct agent *a)
{
    uint32_t deleted = 0, released = 0, forgotten = 0;
    if (!mono_reached(a->s.now, a->purge_at))
        return false;
    enum err e = ledger_openings_purge(&a->ledger, a->s.wall, PURGE_MAX, &deleted);
    if (e == OK)
        e = ledger_unsigned_release(&a->ledger, a->s.wall, PURGE_MAX, &released);
    if (e == OK)
        e = ledger_idle_prune(&a->ledger, a->s.wall, PURGE_MAX, &forgotten);
    if (e)
        effects_log(&a->effects, LOG_ERROR, "ledger.purge", "%s", err_text(e));
    bool more = e == OK && (deleted == PURGE_MAX || released == PURGE_MAX || forgotten == PURGE_MAX);
    a->purge_at = mono_add_ms(a->s.now, more ? 1000 : PURGE_INTERVAL_MS);
    return true;
}

/* One thing that is due, unless there is no room for what it may lead to. */
static bool step(struct agent *a)
{
    if (!effects_is_roomy(&a->effects))
        return false;
    return requester_step(&a->requester) || provider_step(&a->provider) || settlement_step(&a->settlement) || headers_step(&a->headers) || purge(a);
}

static void report_recovery(struct agent *a)
{
    if (!a->reported && a->recovered.jobs_ended)
        effects_log(&a->effects, LOG_WARN, "ledger.recovered", "%u jobs were open when the process died, %u receipts are due",
                    a->recovered.jobs_ended, a->recovered.receipts_due);
    a->reported = true;
}

void agent_handle(struct agent *a, struct mono now, struct wall wall, const struct agent_event *e)
{
    ENSURE(now.us >= a->s.now.us);
    effects_reset(&a->effects);
    report_recovery(a);
    headers_reclaim(&a->headers);
    a->s.now = now;
    a->s.wall = wall;
    dispatch(a, e);
    settle_ended(a);
    drain_overlay(a);
    if (mono_reached(now, overlay_deadline(a->s.overlay)))
        overlay_handle(a->s.overlay, now, wall, &(struct overlay_event){ .kind = OVERLAY_TICK });
    do {
        settle_ended(a);
        drain_overlay(a);
    } while (step(a));
    a->s.counters.jobs_open_provider = provider_open(&a->provider);
    a->s.counters.jobs_open_requester = requester_open(&a->requester);
}

bool agent_next(struct agent *a, struct agent_effect *out) { return effects_next(&a->effects, out); }

struct mono agent_deadline(const struct agent *a)
{
    struct mono due = mono_min(overlay_deadline(a->s.overlay), a->purge_at);
    due = mono_min(due, requester_deadline(&a->requester));
    due = mono_min(due, provider_deadline(&a->provider));
    due = mono_min(due, settlement_deadline(&a->settlement));
    return mono_min(due, headers_deadline(&a->headers));
}

/* ---- views ---- */

const struct agent_counters *agent_counters(const struct agent *a) { return &a->s.counters; }

uint32_t agent_offers(const struct agent *a, struct mono now, struct offer_view *out, uint32_t max)
{
    return provider_offers(&a->provider, now, out, max);
}

void agent_check_step(const struct agent *a, struct link link)
{
    overlay_check_link(a->s.overlay, link);
    requester_check(&a->requester);
    provider_check(&a->provider);
    ENSURE(a->effects.count <= EFFECTS_MAX && a->effects.used <= EFFECTS_ARENA_BYTES);
}

void agent_check(const struct agent *a)
{
    overlay_check(a->s.overlay);
    requester_check(&a->requester);
    provider_check(&a->provider);
    ENSURE(a->effects.count <= EFFECTS_MAX && a->effects.used <= EFFECTS_ARENA_BYTES);
}
