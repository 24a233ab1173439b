/* requester.c - the life of an ask: begun by a client, ended by its last word, woken by its clock. */
#include "node/requester.h"

#include <string.h>

#include "node/ask.h"

void requester_init(struct requester *r, struct services *s)
{
    memset(r, 0, sizeof *r);
    r->s = s;
    trust_init(&r->trust);
}

void requester_fini(struct requester *r)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        token_list_fini(&r->ask[i].tokens);
}

/* ---- finding ---- */

static struct ask *ask_of_client(struct requester *r, struct client_id client)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (r->ask[i].state != ASK_FREE && r->ask[i].client.id == client.id)
            return &r->ask[i];
    return NULL;
}

static bool has_purchase(const struct ask *a)
{
    return a->state == ASK_AGREED || a->state == ASK_RUNNING || a->state == ASK_CANCELLING || a->state == ASK_CLOSING;
}

struct ask *ask_of_terms(struct requester *r, const struct hash *terms, const struct node_id *from)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct ask *a = &r->ask[i];
        if (has_purchase(a) && hash_equal(&a->buy.hash, terms))
            return node_id_equal(&a->buy.node, from) ? a : NULL;
    }
    return NULL;
}

/* ---- beginning ---- */

static void sort_stops(struct ask *a, const uint32_t *stop, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {                 /* insertion, ascending, each once */
        uint32_t at = 0;
        while (at < a->stop_count && a->stop[at] < stop[i])
            at++;
        if (at < a->stop_count && a->stop[at] == stop[i])
            continue;
        memmove(&a->stop[at + 1], &a->stop[at], (a->stop_count - at) * sizeof a->stop[0]);
        a->stop[at] = stop[i];
        a->stop_count++;
    }
}

/* What terms can state (PROTO 7.2, fields 11 and 13); our own engine takes more. */
static bool sampling_is_sane(const struct request *q)
{
    bool temperature = q->temperature_micro == 0 || (q->temperature_micro >= TEMPERATURE_MICRO_MIN && q->temperature_micro <= TEMPERATURE_MICRO_MAX);
    return temperature && q->top_p_micro <= TOP_P_MICRO_MAX && (unsigned)q->class <= CLASS_BATCH;
}

static enum err request_sensible(const struct request *q, bool local)
{
    if (q->prompt_count == 0 || q->output_max == 0 || q->stop_count > STOP_IDS_MAX)
        return ERR_ARG;
    if (!local && !sampling_is_sane(q))
        return ERR_ARG;
    if (q->output_max > OUTPUT_TOKENS_MAX || (!local && q->prompt_count > PROMPT_TOKENS_MAX))
        return ERR_TOO_LARGE;
    return OK;
}

/* All but the limits, which are settled already. */
static void ask_fill(struct ask *a, const struct request *q)
{
    a->client = q->client;
    a->model = q->model;
    a->nonce = q->nonce;
    memcpy(a->job_id, q->job_id, sizeof a->job_id);
    a->prompt_count = q->prompt_count;
    a->output_max = q->output_max;
    sort_stops(a, q->stop_ids, q->stop_count);
    a->temperature_micro = q->temperature_micro;
    a->top_k = q->top_k;
    a->top_p_micro = q->top_p_micro ? q->top_p_micro : TOP_P_MICRO_MAX;
    a->seed = q->seed;
    a->class = q->class;
    a->grace_at = a->first_bid_at = a->last_resort_at = MONO_NEVER;
    a->deadline = MONO_NEVER;
    a->retry_ms = QUEUE_RETRY_MS_MIN;
}

/* A free ask filled from q, or NULL when the client was told why not. */
static struct ask *ask_begin(struct requester *r, const struct request *q, bool local)
{
    enum err e = request_sensible(q, local);
    struct ask *a = NULL;
    for (size_t i = 0; i < JOBS_MAX && !a && e == OK; i++)
        if (r->ask[i].state == ASK_FREE)
            a = &r->ask[i];
    if (e == OK && !a)
        e = ERR_FULL;
    if (e == OK) {
        memset(a, 0, sizeof *a);
        a->limits = q->limits;
        e = local ? OK : limits_settle(&a->limits);
    }
    if (e == OK)
        e = token_list_add(&a->tokens, q->prompt, q->prompt_count, UINT32_MAX / 2);
    r->s->counters.requests++;
    if (e) {
        r->s->counters.requests_failed++;
        effects_failed(r->s->out, q->client, e, "the request cannot start: %s", err_text(e));
        return NULL;
    }
    ask_fill(a, q);
    a->queue_until = mono_add_ms(r->s->now, QUEUE_MS_MAX);
    return a;
}

void requester_request(struct requester *r, const struct request *q)
{
    struct ask *a = ask_begin(r, q, false);
    if (a)
        bidding_start(r, a);
}

bool requester_request_local(struct requester *r, const struct request *q)
{
    struct ask *a = ask_begin(r, q, true);
    if (!a)
        return false;
    struct services *s = r->s;
    a->state = ASK_LOCAL;
    a->run = services_run(s);
    s->counters.requests_local++;
    struct agent_effect *accepted = effects_add(s->out, AGENT_CLIENT_ACCEPTED);
    accepted->u.accepted.client = a->client;
    accepted->u.accepted.provider = *overlay_self(s->overlay);
    accepted->u.accepted.local = true;
    struct agent_effect *e = effects_add(s->out, AGENT_RUN_START);
    e->u.start.run = a->run;
    e->u.start.model = a->model;
    e->u.start.tokens = a->tokens.ids;                     /* the ask outlives the effect: it ends with RUN_DONE */
    e->u.start.token_count = a->prompt_count;
    e->u.start.output_max = a->output_max;
    e->u.start.stop_ids = a->stop;
    e->u.start.stop_count = a->stop_count;
    e->u.start.temperature_micro = a->temperature_micro;
    e->u.start.top_k = a->top_k;
    e->u.start.top_p_micro = a->top_p_micro;
    e->u.start.seed = a->seed;
    return true;
}

/* ---- the last word ---- */

static void ask_free(struct ask *a)
{
    token_list_fini(&a->tokens);
    memset(a, 0, sizeof *a);
}

void ask_done(struct requester *r, struct ask *a, enum finish finish)
{
    struct agent_effect *e = effects_add(r->s->out, AGENT_CLIENT_DONE);
    e->u.done.client = a->client;
    e->u.done.finish = finish;
    e->u.done.tokens_in = a->prompt_count;
    e->u.done.tokens_out = ask_delivered(a);
    e->u.done.cost_pico = a->spent;
    memcpy(e->u.done.receipts, a->receipts, sizeof a->receipts);
    e->u.done.receipt_count = a->receipt_count;
    e->u.done.local = a->state == ASK_LOCAL;
    ask_free(a);
}

void ask_fail(struct requester *r, struct ask *a, enum err error, const char *why)
{
    r->s->counters.requests_failed++;
    effects_failed(r->s->out, a->client, error, "%s", why);
    ask_free(a);
}

void ask_tell_tokens(struct requester *r, struct ask *a, const uint32_t *tokens, uint32_t count)
{
    if (a->cancelled || count == 0)
        return;
    struct agent_effect *e = effects_add(r->s->out, AGENT_CLIENT_TOKENS);
    e->u.tokens.client = a->client;
    e->u.tokens.tokens = (const uint32_t *)(const void *)effects_copy(r->s->out, bytes_of(tokens, count * sizeof *tokens)).data;
    e->u.tokens.count = count;
}

void ask_keep_opening(struct requester *r, struct ask *a)
{
    struct services *s = r->s;
    if (s->config.keep_prompts_hours == 0 || !a->buy.claimed)
        return;
    struct opening o = { .nonce = a->nonce, .seed = a->seed, .prompt = a->tokens.ids, .prompt_count = a->buy.base,
                         .output = a->tokens.ids + a->buy.base, .output_count = a->buy.last.tokens.out };
    struct wall until = { s->wall.ms + (uint64_t)s->config.keep_prompts_hours * 3600 * 1000 };
    enum err e = ledger_opening_put(s->ledger, &a->buy.hash, &o, until);
    if (e)
        effects_log(s->out, LOG_WARN, "opening.lost", "job %s: %s", short_name(&a->buy.hash).text, err_text(e));
}

/* ---- cancelling ---- */

void requester_cancel(struct requester *r, struct client_id client, bool satisfied)
{
    struct ask *a = ask_of_client(r, client);
    if (!a || a->cancelled)
        return;
    a->satisfied = satisfied;
    switch (a->state) {
    case ASK_OFFERED:
        bidding_release(r, a, NULL);
        ask_done(r, a, satisfied ? FINISH_STOP : FINISH_CANCELLED);
        break;
    case ASK_QUEUED:
        ask_done(r, a, satisfied ? FINISH_STOP : FINISH_CANCELLED);
        break;
    case ASK_AGREED:
    case ASK_RUNNING:
        a->cancelled = true;
        purchase_cancel(r, a);
        break;
    case ASK_LOCAL:
        a->cancelled = true;
        effects_add(r->s->out, AGENT_RUN_CANCEL)->u.cancel.run = a->run;
        break;
    case ASK_CANCELLING:
    case ASK_CLOSING:
    case ASK_FREE:
        break;
    }
}

/* ---- own engine ---- */

static struct ask *ask_of_run(struct requester *r, struct run_id run)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (r->ask[i].state == ASK_LOCAL && r->ask[i].run.id == run.id)
            return &r->ask[i];
    return NULL;
}

bool requester_run_tokens(struct requester *r, struct run_id run, const uint32_t *tokens, uint32_t count)
{
    struct ask *a = ask_of_run(r, run);
    if (!a)
        return false;
    if (token_list_add(&a->tokens, tokens, count, a->prompt_count + a->output_max) == OK)
        ask_tell_tokens(r, a, tokens, count);
    return true;
}

bool requester_run_done(struct requester *r, struct run_id run, enum finish finish, enum err error, struct hash *out_model)
{
    struct ask *a = ask_of_run(r, run);
    if (!a)
        return false;
    *out_model = a->model;
    if (finish == FINISH_ERROR)
        ask_fail(r, a, error ? error : ERR_DEVICE, err_text(error ? error : ERR_DEVICE));
    else
        ask_done(r, a, finish == FINISH_CANCELLED && a->satisfied ? FINISH_STOP : finish);
    return true;
}

/* ---- links ---- */

void requester_peer_down(struct requester *r, const struct node_id *node)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct ask *a = &r->ask[i];
        if (has_purchase(a) && node_id_equal(&a->buy.node, node))
            a->deadline = r->s->now;                       /* requester_step() finds the peer gone */
        for (uint32_t k = 0; a->state == ASK_OFFERED && k < a->asked_count; k++)
            if (node_id_equal(&a->asked[k].node, node) && a->asked[k].state != ASKED_BID) {
                a->asked[k].state = ASKED_DECLINED;
                a->grace_at = mono_min(a->grace_at, r->s->now);
            }
    }
}

void requester_offended(struct requester *r, const struct node_id *node)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (has_purchase(&r->ask[i]) && node_id_equal(&r->ask[i].buy.node, node))
            r->ask[i].deadline = r->s->now;
}

void requester_receipt(struct requester *r, const struct hash *terms, const struct hash *receipt)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct ask *a = &r->ask[i];
        for (uint32_t k = 0; a->state != ASK_FREE && k < a->receipt_count; k++)
            if (hash_equal(&a->receipt_terms[k], terms))
                a->receipts[k] = *receipt;
        if (a->state == ASK_CLOSING && hash_equal(&a->buy.hash, terms))
            ask_done(r, a, a->finish);
    }
}

/* ---- the clock ---- */

static struct mono ask_due(const struct ask *a)
{
    return a->state == ASK_FREE ? MONO_NEVER : mono_min(a->deadline, a->grace_at);
}

static bool peer_is_here(const struct requester *r, const struct node_id *node)
{
    struct overlay_peer peer;
    return overlay_peer_find(r->s->overlay, node, &peer);
}

static void ask_wake(struct requester *r, struct ask *a)
{
    bool here = peer_is_here(r, &a->buy.node);
    switch (a->state) {
    case ASK_OFFERED:
        bidding_consider(r, a);
        break;
    case ASK_QUEUED:
        bidding_start(r, a);
        break;
    case ASK_AGREED:
    case ASK_RUNNING:
        purchase_failed(r, a, SIDE_PROVIDER, here ? REASON_TOKEN_DEADLINE : REASON_LINK_LOST);
        break;
    case ASK_CANCELLING:
    case ASK_CLOSING:
        purchase_give_up(r, a);
        break;
    case ASK_LOCAL:
    case ASK_FREE:
        a->deadline = MONO_NEVER;
        break;
    }
}

bool requester_step(struct requester *r)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (r->ask[i].state != ASK_FREE && mono_reached(r->s->now, ask_due(&r->ask[i]))) {
            ask_wake(r, &r->ask[i]);
            return true;
        }
    return false;
}

struct mono requester_deadline(const struct requester *r)
{
    struct mono due = MONO_NEVER;
    for (size_t i = 0; i < JOBS_MAX; i++)
        due = mono_min(due, ask_due(&r->ask[i]));
    return due;
}

uint32_t requester_open(const struct requester *r)
{
    uint32_t open = 0;
    for (size_t i = 0; i < JOBS_MAX; i++)
        open += r->ask[i].state != ASK_FREE;
    return open;
}

/* ---- invariants ---- */

static void purchase_check(const struct ask *a)
{
    const struct purchase *b = &a->buy;
    ENSURE(a->tokens.count == b->base + b->received);
    ENSURE(b->received <= b->terms.output_max);
    ENSURE(!b->claimed || b->last.tokens.out <= b->received);
    ENSURE(!b->claimed || b->tokens.count == b->last.tokens.out);
    ENSURE(b->terms.output_offset == b->base - a->prompt_count);
}

void requester_check(const struct requester *r)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        const struct ask *a = &r->ask[i];
        if (a->state == ASK_FREE) {
            ENSURE(a->tokens.ids == NULL);
            continue;
        }
        ENSURE(a->tokens.count >= a->prompt_count && ask_delivered(a) <= a->output_max);
        ENSURE(a->asked_count <= ASKED_MAX && a->bid_count <= BIDS_MAX);
        ENSURE(a->failed_count <= a->attempts && a->attempts <= ATTEMPTS_MAX);
        ENSURE(a->receipt_count <= RECEIPTS_PER_REQUEST_MAX);
        ENSURE(a->state == ASK_LOCAL || !mono_reached(a->deadline, MONO_NEVER));
        if (has_purchase(a))
            purchase_check(a);
    }
}
