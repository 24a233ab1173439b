/* provider.c - the table of bids and works: accepts terms that fit a bid, releases what is cancelled, lost or expired. */
#include "node/provider.h"

#include <string.h>

#include "node/work.h"

void provider_init(struct provider *p, struct services *s, struct served_table *served)
{
    memset(p, 0, sizeof *p);
    p->s = s;
    p->served = served;
}

void provider_release(struct provider *p, struct reservation *v)
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

struct reservation *provider_reservation(struct provider *p, const struct hash *offer)
{
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        if (p->reserved[i].used && hash_equal(&p->reserved[i].offer_hash, offer))
            return &p->reserved[i];
    return NULL;
}

void provider_decline(struct provider *p, const struct node_id *to, enum message_type type, const struct decline *d)
{
    uint8_t buf[DECLINE_BYTES_MAX];
    struct bytes body;
    ENSURE(decline_encode(d, buf, &body) == OK);
    services_send(p->s, to, type, body);
}

struct credit_limits provider_credit(const struct services *s)
{
    return (struct credit_limits){ { s->config.credit_limit_pico }, { s->config.newcomer_limit_pico } };
}

bool provider_is_newcomer(const struct services *s, const struct pubkey *requester)
{
    struct account a;
    return ledger_account(s->ledger, requester, &a) != OK || a.receipts_earned < NEWCOMER_RECEIPTS;
}

struct decline provider_judge_unpaid(const struct provider *p, const struct pubkey *requester)
{
    bool newcomer = provider_is_newcomer(p->s, requester);
    if (unpaid_places(&p->unpaid, p->s->now, requester, newcomer) > 0)
        return (struct decline){ .reason = DECLINE_NONE };
    uint64_t limit = unpaid_places(&p->unpaid, p->s->now, requester, false) == 0 ? UNPAID_JOBS_MAX : UNPAID_NEWCOMERS_MAX;
    return (struct decline){ .reason = DECLINE_UNPAID, .limit = limit, .have = limit + 1 };
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

/* PROTO 6.4: everything that must hold before we sign; DECLINE_NONE with our signature made and the prompt in s->prompt. */
static struct decline accept(struct provider *p, const struct reservation *v, const struct terms_msg *m, const struct terms *t,
                             const struct hash *hash, struct prompt_msg *prompt, struct sig *sig)
{
    struct services *s = p->s;
    const struct served *model = v ? served_find(p->served, &v->offer.model) : NULL;
    struct credit_limits limits = provider_credit(s);
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
    struct decline unpaid = provider_judge_unpaid(p, &t->requester);
    if (unpaid.reason != DECLINE_NONE)
        return unpaid;
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
    struct reservation *v = provider_reservation(p, &t.offer);
    if (has_work(p, &hash))
        return OK;                                         /* a repetition */
    if (v && !node_id_equal(&v->node, from))
        return ERR_KEY;
    struct prompt_msg prompt;
    struct ok_msg ok = { .terms = hash };
    struct decline d = accept(p, v, &m, &t, &hash, &prompt, &ok.sig);
    if (v)
        provider_release(p, v);                            /* the one-time key opens one prompt, once */
    if (d.reason != DECLINE_NONE) {
        d.subject = hash;
        s->counters.offers_declined[decline_err(d.reason)]++;
        provider_decline(p, from, MSG_REFUSE, &d);
        return OK;
    }
    uint8_t buf[HASH_SIG_BYTES_MAX];
    struct bytes view;
    ENSURE(ok_msg_encode(&ok, buf, sizeof buf, &view) == OK);
    services_keep_certs(s, from);
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
    struct reservation *v = provider_reservation(p, &m.subject);
    if (v && node_id_equal(&v->node, from))
        provider_release(p, v);
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
            provider_release(p, &p->reserved[i]);
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
            provider_release(p, &p->reserved[i]);
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
        if (w->state == WORK_RUNNING && w->chunk_waits && mono_reached(now, w->next_chunk_at)) {
            delivery_resume(p, w);
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
    for (size_t i = 0; i < JOBS_MAX; i++) {
        const struct work *w = &p->work[i];
        if (w->state == WORK_RUNNING || w->state == WORK_CLOSING)
            due = mono_min(due, w->deadline);
        if (w->state == WORK_RUNNING && w->chunk_waits)
            due = mono_min(due, w->next_chunk_at);
    }
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
