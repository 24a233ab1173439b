/* delivery.c - does the work: tokens out inside the window, a claim every CLAIM_TOKENS, and every way a job can end.
 *
 * `made` grows with the engine, `sent` follows it, and made <= acked + window always (checked): the engine itself may make no
 * more, and is paused there until a co-signature lets it go on. Nothing is cancelled, because a slow requester is not a lost one
 * until NO_ACK_MS have passed; but what it does not sign for costs nobody a step.
 *
 * A requester refuses more than PEER_MSGS_PER_S messages from one peer. A token goes out at once if the last chunk is
 * CHUNK_PAUSE_MS old, times the jobs that share the link; faster ones wait for each other and travel together.
 *
 * Spec: PROTO 6.5 (tokens), PROTO 6.6 (claims), PROTO 6.8 (cancel)
 */
#include <string.h>

#include "node/work.h"

/* ---- beginning ---- */

/* How far the engine may run: PROTO 7.4, the window ahead of what is co-signed. */
static uint32_t allowed(const struct work *w)
{
    uint32_t window = w->acked + WINDOW_TOKENS;
    return window < w->terms.output_max ? window : w->terms.output_max;
}

void delivery_begin(struct provider *p, struct work *w, const struct node_id *node, const struct terms *terms, const struct hash *hash,
                    const struct prompt_msg *prompt, const uint32_t *tokens)
{
    struct services *s = p->s;
    *w = (struct work){ .state = WORK_RUNNING, .run = services_run(s), .node = *node, .hash = *hash, .terms = *terms, .deadline = MONO_NEVER };
    w->newcomer = provider_is_newcomer(s, &terms->requester);
    unpaid_begun(&p->unpaid, s->now, &terms->requester, w->newcomer);
    token_chain_init(&w->tokens, hash);
    digest_chain_init(&w->digests, hash);
    digester_init(&w->digester, &s->self, &prompt->nonce);
    served_run(p->served, &terms->model, 1);
    s->counters.tokens_in += prompt->count;

    struct agent_effect *e = effects_add(s->out, AGENT_RUN_START);
    e->u.start.run = w->run;
    e->u.start.model = terms->model;
    e->u.start.requester = terms->requester;
    e->u.start.tokens = (const uint32_t *)(const void *)effects_copy(s->out, bytes_of(tokens, prompt->count * sizeof *tokens)).data;
    e->u.start.token_count = prompt->count;
    e->u.start.output_max = terms->output_max;
    e->u.start.allowed = allowed(w);
    e->u.start.stop_ids = w->terms.stop;
    e->u.start.stop_count = terms->stop_count;
    e->u.start.temperature_micro = terms->sampling.temperature_micro;
    e->u.start.top_k = terms->sampling.top_k;
    e->u.start.top_p_micro = terms->sampling.top_p_micro;
    e->u.start.seed = prompt->seed;
    e->u.start.want_head_hashes = true;
}

/* ---- ending ---- */

static void work_free_if_over(struct work *w)
{
    w->state = WORK_STOPPING;
    if (!w->run_over)
        return;
    token_list_fini(&w->made);
    hash_list_fini(&w->heads);
    memset(w, 0, sizeof *w);
}

/* A co-signature came: the engine may go on, if it is not over or at its end. */
static void allow_engine(struct provider *p, struct work *w, uint32_t before)
{
    if (w->run_over || w->state != WORK_RUNNING || allowed(w) == before)
        return;
    struct agent_effect *e = effects_add(p->s->out, AGENT_RUN_ALLOW);
    e->u.allow.run = w->run;
    e->u.allow.allowed = allowed(w);
}

static void stop_engine(struct provider *p, struct work *w)
{
    if (!w->run_over)
        effects_add(p->s->out, AGENT_RUN_CANCEL)->u.cancel.run = w->run;
}

static void end_job(struct provider *p, struct work *w, enum outcome outcome, enum side fault, enum reason why)
{
    struct services *s = p->s;
    enum err e = ledger_delivery_end(s->ledger, &w->hash, w->sent, outcome, fault, why, s->wall);
    if (e)
        effects_log(s->out, LOG_ERROR, "job.end", "job %s: %s", short_name(&w->hash).text, err_text(e));
    p->ended = true;
    p->ended_with = w->terms.requester;
    work_free_if_over(w);
}

void delivery_abandon(struct provider *p, struct work *w, enum reason why)
{
    struct services *s = p->s;
    s->counters.jobs_lost++;
    effects_log(s->out, LOG_INFO, "job.abandoned", "job %s for node %s: %s; %u tokens sent, %u co-signed", short_name(&w->hash).text,
               short_name(&w->node.h).text, reason_text(why), w->sent, w->acked);
    stop_engine(p, w);
    end_job(p, w, w->any_ack ? OUTCOME_PARTIAL : OUTCOME_FAILED, why == REASON_TOKEN_DEADLINE ? SIDE_NONE : SIDE_REQUESTER, why);
}

/* Nothing was delivered, so nothing is claimed: a refusal tells the requester that this job is over. */
static void end_empty(struct provider *p, struct work *w, enum decline_reason reason)
{
    struct decline d = { .subject = w->hash, .reason = reason };
    uint8_t buf[DECLINE_BYTES_MAX];
    struct bytes body;
    ENSURE(decline_encode(&d, buf, &body) == OK);
    services_send(p->s, &w->node, MSG_REFUSE, body);
    if (reason == DECLINE_CANCELLED)
        end_job(p, w, OUTCOME_CANCELLED, SIDE_NONE, REASON_CLIENT_CANCEL);
    else
        end_job(p, w, OUTCOME_FAILED, SIDE_PROVIDER, REASON_ENGINE);
}

static void end_delivered(struct provider *p, struct work *w)
{
    p->s->counters.jobs_served++;
    switch (w->finish) {
    case FINISH_STOP:
        end_job(p, w, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP);
        break;
    case FINISH_LENGTH:
        end_job(p, w, OUTCOME_COMPLETE, SIDE_NONE, REASON_LENGTH);
        break;
    case FINISH_CANCELLED:
        end_job(p, w, w->satisfied ? OUTCOME_COMPLETE : OUTCOME_CANCELLED, SIDE_NONE, REASON_CLIENT_CANCEL);
        break;
    case FINISH_ERROR:
        end_job(p, w, OUTCOME_PARTIAL, SIDE_PROVIDER, REASON_ENGINE);
        break;
    }
}

/* ---- claims ---- */

static void send_claim(struct provider *p, struct work *w, bool last)
{
    struct services *s = p->s;
    struct claim_msg m = { .has_digest = w->newest_has_digest, .digest = w->newest_digest, .last = last, .finish = w->finish };
    uint8_t body[CLAIM_BYTES_MAX], message[CLAIM_MSG_BYTES_MAX];
    struct bytes view;
    ENSURE(claim_encode(&w->newest, body, &m.claim) == OK);
    claim_sign(s->config.key, SIDE_PROVIDER, &s->config.net, &w->newest, &m.sig);
    ENSURE(claim_msg_encode(&m, message, sizeof message, &view) == OK);
    services_send(s, &w->node, MSG_CLAIM, view);
    w->last_sent = last;
    w->deadline = mono_min(w->deadline, mono_add_ms(s->now, NO_ACK_MS));   /* from the oldest that is awaited */
    if (last)
        w->state = WORK_CLOSING;
}

/* The claim for exactly what has been sent; digest is the one it completes, NULL for claim 0. */
static void make_claim(struct work *w, const struct hash *digest)
{
    if (digest)
        digest_chain_add(&w->digests, digest);
    enum err e = claim_make(&w->terms, &w->hash, &w->tokens, &w->digests, &w->newest);
    ENSURE(e == OK);                                       /* the terms bound counts and cost; the chains are our own */
    w->newest_has_digest = digest != NULL;
    if (digest)
        w->newest_digest = *digest;
    w->claims_sent++;
    ENSURE(w->open_count < CLAIMS_OPEN_MAX);
    w->open[w->open_count++] = (struct open_claim){ w->newest, w->newest_digest, w->newest_has_digest };
}

/* ---- sending ---- */

static bool is_over(const struct work *w) { return w->run_over && w->sent == w->made.count; }

/* How many tokens may go now: what is made, inside the window, up to the next claim. */
static uint32_t sendable(const struct work *w)
{
    uint32_t made = w->made.count - w->sent, window = w->acked + WINDOW_TOKENS - w->sent, step = CLAIM_TOKENS - w->sent % CLAIM_TOKENS;
    uint32_t n = made < window ? made : window;
    n = n < step ? n : step;
    return n < CHUNK_TOKENS_MAX ? n : CHUNK_TOKENS_MAX;
}

/* One chunk; true with the digest if it completed one. */
static bool send_chunk(struct provider *p, struct work *w, uint32_t count, struct hash *digest)
{
    struct chunk_msg m = { .terms = w->hash, .offset = w->sent, .count = count };
    uint8_t buf[CHUNK_BYTES_MAX];
    struct bytes body;
    bool complete = false;
    memcpy(m.tokens, w->made.ids + w->sent, count * sizeof m.tokens[0]);
    ENSURE(chunk_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(p->s, &w->node, MSG_CHUNK, body);
    for (uint32_t i = 0; i < count; i++) {
        token_chain_add(&w->tokens, m.tokens[i]);
        complete = digester_add(&w->digester, &w->heads.at[i], digest);
    }
    hash_list_drop(&w->heads, count);
    w->sent += count;
    p->s->counters.tokens_out += count;
    return complete;
}

static void send_last_claim(struct provider *p, struct work *w)
{
    struct hash digest;
    if (digester_end(&w->digester, &digest))
        make_claim(w, &digest);
    else if (w->claims_sent == 0)
        make_claim(w, NULL);                               /* an empty answer: the prefill is owed */
    send_claim(p, w, true);                                /* else the newest claim again, now as the last */
    if (w->open_count == 0)
        end_delivered(p, w);                               /* it was co-signed before anybody knew that it was the last */
}

static uint32_t jobs_on_link(const struct provider *p, const struct node_id *node)
{
    uint32_t n = 0;
    for (size_t i = 0; i < JOBS_MAX; i++)
        n += p->work[i].state == WORK_RUNNING && node_id_equal(&p->work[i].node, node);
    return n;
}

/* Sends what may be sent; at the end, the last claim. */
static void pump(struct provider *p, struct work *w)
{
    uint32_t n;
    struct hash digest;
    w->chunk_waits = !w->run_over && sendable(w) > 0 && !mono_reached(p->s->now, w->next_chunk_at);
    if (w->chunk_waits)
        return;
    while (w->state == WORK_RUNNING && (n = sendable(w)) > 0) {
        bool first = w->claims_sent == 0;
        if (first)
            make_claim(w, NULL);                           /* made before, sent after the first tokens: they are waited for */
        bool complete = send_chunk(p, w, n, &digest);
        w->next_chunk_at = mono_add_ms(p->s->now, (uint64_t)CHUNK_PAUSE_MS * jobs_on_link(p, &w->node));
        if (first)
            send_claim(p, w, false);
        if (complete) {
            make_claim(w, &digest);
            send_claim(p, w, is_over(w));
        }
    }
    if (w->state == WORK_RUNNING && is_over(w))
        send_last_claim(p, w);
}

void delivery_resume(struct provider *p, struct work *w) { pump(p, w); }

/* The requester gave up. If it was its turn - all that may be sent is sent, and it has not signed for it - then no token was late. */
static enum reason given_up(const struct work *w)
{
    bool its_turn = w->open_count > 0 && (w->state == WORK_CLOSING || w->sent == allowed(w));
    return its_turn ? REASON_NO_ACK : REASON_TOKEN_DEADLINE;
}

void delivery_cancel(struct provider *p, struct work *w, enum cancel_why why)
{
    if (why == CANCEL_GIVEN_UP && (w->state == WORK_RUNNING || w->state == WORK_CLOSING))
        delivery_abandon(p, w, given_up(w));
    if (w->state != WORK_RUNNING)
        return;
    stop_engine(p, w);
    w->cancelled = true;
    w->satisfied = why == CANCEL_SATISFIED;
    w->finish = FINISH_CANCELLED;
    if (w->sent == 0)
        end_empty(p, w, DECLINE_CANCELLED);
    else
        send_last_claim(p, w);
}

/* ---- what comes in ---- */

static struct work *work_of_run(struct provider *p, struct run_id run)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (p->work[i].state != WORK_FREE && p->work[i].run.id == run.id)
            return &p->work[i];
    return NULL;
}

bool provider_run_tokens(struct provider *p, struct run_id run, const uint32_t *tokens, const struct hash *heads, uint32_t count)
{
    struct work *w = work_of_run(p, run);
    if (!w)
        return false;
    ENSURE(heads != NULL && !w->run_over);
    if (w->state != WORK_RUNNING)
        return true;                                       /* on its way out: not sent, not owed */
    enum err e = token_list_add(&w->made, tokens, count, w->terms.output_max);
    if (e == OK && (e = hash_list_add(&w->heads, heads, count, w->terms.output_max)) != OK)
        w->made.count -= count;
    if (e) {
        effects_log(p->s->out, LOG_ERROR, "job.memory", "job %s: %s", short_name(&w->hash).text, err_text(e));
        stop_engine(p, w);
        end_job(p, w, OUTCOME_PARTIAL, SIDE_PROVIDER, REASON_ENGINE);
        return true;
    }
    pump(p, w);
    return true;
}

bool provider_run_done(struct provider *p, struct run_id run, enum finish finish, enum err error)
{
    struct work *w = work_of_run(p, run);
    if (!w)
        return false;
    served_run(p->served, &w->terms.model, -1);
    w->run_over = true;
    if (finish == FINISH_ERROR)
        effects_log(p->s->out, LOG_ERROR, "engine.failed", "job %s: %s", short_name(&w->hash).text, err_text(error));
    if (w->state == WORK_STOPPING) {
        work_free_if_over(w);
        return true;
    }
    if (w->state == WORK_CLOSING)
        return true;
    w->finish = finish;
    if (w->made.count == 0 && finish == FINISH_ERROR)
        end_empty(p, w, DECLINE_FAILED);
    else
        pump(p, w);
    return true;
}

/* True if the job ended with this co-signature. */
static bool claim_acked(struct provider *p, struct work *w, const struct ok_msg *m)
{
    uint32_t before = allowed(w);
    if (!w->any_ack)
        unpaid_signed(&p->unpaid, &w->terms.requester, w->newcomer);
    w->any_ack = true;
    w->acked = (uint32_t)w->open[0].claim.tokens.out;
    w->open_count--;
    memmove(&w->open[0], &w->open[1], w->open_count * sizeof w->open[0]);
    w->deadline = w->open_count ? mono_add_ms(p->s->now, NO_ACK_MS) : MONO_NEVER;
    allow_engine(p, w, before);
    if (w->state != WORK_CLOSING || m->index != w->newest.index)
        return false;
    end_delivered(p, w);
    return true;
}

enum err provider_claim_ok(struct provider *p, const struct node_id *from, struct bytes body)
{
    struct ok_msg m;
    enum err e = ok_msg_decode(body, &m);
    if (e)
        return e;
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct work *w = &p->work[i];
        if ((w->state != WORK_RUNNING && w->state != WORK_CLOSING) || !hash_equal(&w->hash, &m.terms) || !node_id_equal(&w->node, from))
            continue;
        if (w->open_count == 0 || w->open[0].claim.index != m.index)
            return OK;                                     /* a repetition, or out of order: the window decides */
        const struct open_claim *c = &w->open[0];
        e = ledger_claim_acked(p->s->ledger, &c->claim, c->has_digest ? &c->digest : NULL, &m.sig);
        if (e)
            return e == ERR_SIGNATURE ? e : OK;
        if (!claim_acked(p, w, &m))
            pump(p, w);
        return OK;
    }
    return OK;
}

/* ---- invariants ---- */

static void work_check(const struct work *w)
{
    ENSURE(w->sent <= w->made.count && w->made.count <= allowed(w));
    ENSURE(w->acked <= w->sent && w->sent - w->acked <= WINDOW_TOKENS);
    ENSURE(w->heads.count == w->made.count - w->sent);
    ENSURE(w->tokens.count == w->sent);
    ENSURE(w->open_count <= CLAIMS_OPEN_MAX && w->open_count <= w->claims_sent);
    ENSURE(w->state != WORK_CLOSING || w->last_sent);
    ENSURE(w->state != WORK_STOPPING || !w->run_over);
}

void provider_check(const struct provider *p)
{
    uint32_t held[SERVED_MAX] = { 0 };
    for (size_t i = 0; i < JOBS_MAX; i++) {
        if (p->work[i].state == WORK_FREE)
            ENSURE(p->work[i].made.ids == NULL && p->work[i].heads.at == NULL);
        else
            work_check(&p->work[i]);
    }
    for (size_t i = 0; i < RESERVATIONS_MAX; i++)
        for (size_t k = 0; k < SERVED_MAX; k++)
            held[k] += p->reserved[i].used && p->served->entry[k].used && hash_equal(&p->reserved[i].offer.model, &p->served->entry[k].model.id);
    for (size_t k = 0; k < SERVED_MAX; k++)
        ENSURE(!p->served->entry[k].used || p->served->entry[k].held <= held[k]);
}
