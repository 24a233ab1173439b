/* purchase.c - deals with the chosen provider: terms, tokens, claims, and what is left when it fails.
 *
 * Counting is our own. Tokens are appended as they come; a claim is compared with the claim that claim_make() makes of
 * what we received, and only that one is co-signed. The token chain is therefore advanced from claim to claim, not from
 * token to token.
 *
 * Nor is an ending believed: what the tokens do not show (a stop token, the agreed length) is a provider that left early.
 *
 * What we can lose to a cheat: the tokens after its last good claim, at most the window, and those are not paid for.
 *
 * Spec: PROTO 6.4 (terms), PROTO 6.6 (claims), PROTO 6.9 (failure and continuation)
 */
#include <stdio.h>
#include <string.h>

#include "node/ask.h"

/* ---- terms ---- */

static void terms_fill(const struct requester *r, const struct ask *a, const struct held_bid *b, struct terms *t)
{
    const struct services *s = r->s;
    *t = (struct terms){ .net = s->config.net, .requester = s->self, .provider = b->bid.provider, .model = a->model, .numerics = 1,
                         .prompt = a->commitment, .seed = terms_seed_commitment(&a->nonce, a->seed), .tokens_in = a->tokens.count,
                         .sampling = { a->temperature_micro, a->top_k, a->top_p_micro }, .output_max = ask_rest(a),
                         .stop_count = a->stop_count,
                         .prices = { b->bid.price_input, b->bid.price_cached, b->bid.price_output }, .budget = { b->cost },
                         .claim_tokens = CLAIM_TOKENS, .window_tokens = WINDOW_TOKENS, .output_offset = ask_delivered(a),
                         .offer = a->offer_hash, .bid = b->hash, .validity_ms = RESERVATION_MS, .stated_s = s->wall.ms / 1000 };
    memcpy(t->job.b, a->job_id, sizeof t->job.b);
    memcpy(t->stop, a->stop, a->stop_count * sizeof t->stop[0]);
    if (t->output_offset)
        t->parent = a->parent;
}

/* Seals nonce, seed and tokens to the bid's one-time key, bound to these terms. */
static enum err seal_prompt(struct requester *r, const struct ask *a, const struct bid *b, const struct hash *terms, uint8_t *out, size_t *out_len)
{
    struct services *s = r->s;
    struct prompt_msg m = { .nonce = a->nonce, .seed = a->seed, .count = a->tokens.count };
    struct bytes plain;
    enum err e = prompt_msg_encode(&m, a->tokens.ids, s->plain, PROMPT_BYTES_MAX, &plain);
    if (e)
        return e;
    struct key_seed ephemeral;
    services_seed(s, &ephemeral);
    *out_len = plain.len + SEAL_OVERHEAD_BYTES;
    return seal(&b->one_time, &ephemeral, bytes_of(terms->b, sizeof terms->b), plain, out);
}

static bool send_terms(struct requester *r, struct ask *a, const struct held_bid *b, const struct signed_body *terms)
{
    struct services *s = r->s;
    struct terms_msg m = { .terms = signed_body_view(terms), .sig = terms->sig, .sealed = { s->sealed, 0 } };
    struct bytes body;
    enum err e = seal_prompt(r, a, &b->bid, &a->buy.hash, s->sealed, &m.sealed.len);
    if (e == OK)
        e = terms_msg_encode(&m, s->message, sizeof s->message, &body);
    return e == OK && services_send(s, &b->node, MSG_TERMS, body);
}

/* As adverts call it. Whoever asked by gossip has not looked at any. */
static const char *model_label(struct requester *r, struct ask *a)
{
    struct advert ad;
    if (!a->model_name[0] && overlay_providers(r->s->overlay, r->s->now, &a->model, &ad, 1) == 1)
        memcpy(a->model_name, ad.model_name, sizeof a->model_name);
    return a->model_name[0] ? a->model_name : NULL;
}

bool purchase_begin(struct requester *r, struct ask *a, const struct held_bid *b)
{
    struct services *s = r->s;
    struct purchase *buy = &a->buy;
    struct signed_body terms;
    struct overlay_peer peer;
    if (!overlay_peer_find(s->overlay, &b->node, &peer))
        return false;                                      /* before anything is signed */
    *buy = (struct purchase){ .node = b->node, .base = a->tokens.count, .first_token_ms = b->bid.first_token_ms };
    terms_fill(r, a, b, &buy->terms);
    enum err e = ledger_terms_sign(s->ledger, &buy->terms, model_label(r, a), s->wall, &terms, &buy->hash);
    if (e) {
        effects_log(s->out, LOG_WARN, "terms.unsigned", "request %llu: %s", (unsigned long long)a->client.id, err_text(e));
        return false;
    }
    token_chain_init(&buy->tokens, &buy->hash);
    digest_chain_init(&buy->digests, &buy->hash);
    a->attempts++;
    a->state = ASK_AGREED;
    a->grace_at = MONO_NEVER;
    a->deadline = mono_add_ms(s->now, buy->terms.validity_ms);
    if (!send_terms(r, a, b, &terms))
        a->deadline = s->now;                              /* signed but not sent: requester_step() closes it */
    return true;
}

enum err requester_terms_ok(struct requester *r, const struct node_id *from, struct bytes body)
{
    struct services *s = r->s;
    struct ok_msg m;
    enum err e = ok_msg_decode(body, &m);
    if (e)
        return e;
    struct ask *a = ask_of_terms(r, &m.terms, from);
    if (!a || (a->state != ASK_AGREED && a->state != ASK_CANCELLING))
        return OK;
    e = ledger_terms_countersigned(s->ledger, &m.terms, &m.sig);
    if (e)
        return e == ERR_SIGNATURE ? e : OK;
    services_keep_certs(s, from);
    if (a->state == ASK_AGREED) {
        a->state = ASK_RUNNING;
        a->deadline = mono_add_ms(s->now, (uint64_t)a->buy.first_token_ms * FIRST_TOKEN_FACTOR + FIRST_TOKEN_GRACE_MS);
    }
    if (!a->accepted) {
        struct agent_effect *f = effects_add(s->out, AGENT_CLIENT_ACCEPTED);
        f->u.accepted.client = a->client;
        f->u.accepted.provider = *from;
        f->u.accepted.price_input = a->buy.terms.prices.in;
        f->u.accepted.price_output = a->buy.terms.prices.out;
        a->accepted = true;
    }
    return OK;
}

/* ---- ending ---- */

static void send_cancel(struct requester *r, struct ask *a, enum cancel_why why)
{
    struct cancel_msg m = { .subject = a->buy.hash, .why = why };
    uint8_t buf[CANCEL_BYTES_MAX];
    struct bytes body;
    ENSURE(cancel_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(r->s, &a->buy.node, MSG_CANCEL, body);
}

/* Closes this job in the book: its cost is final, its opening kept, its receipt expected. */
static void close_job(struct requester *r, struct ask *a, enum outcome outcome, enum side fault, enum reason why)
{
    struct services *s = r->s;
    struct purchase *b = &a->buy;
    enum err e = ledger_job_end(s->ledger, &b->hash, outcome, fault, why, s->wall);
    if (e)
        effects_log(s->out, LOG_ERROR, "job.end", "job %s: %s", short_name(&b->hash).text, err_text(e));
    ask_keep_opening(r, a);
    if (b->claimed) {
        a->spent += b->last.cost.v;
        ENSURE(a->receipt_count < RECEIPTS_PER_REQUEST_MAX);
        a->receipt_terms[a->receipt_count] = a->receipts[a->receipt_count] = b->hash;
        a->receipt_count++;
    }
}

static bool is_stop(const struct ask *a, uint32_t token)
{
    for (uint32_t i = 0; i < a->stop_count; i++)
        if (a->stop[i] == token)
            return true;
    return false;
}

static void no_more_attempts(struct requester *r, struct ask *a, const char *words)
{
    char why[240];
    snprintf(why, sizeof why, "%u attempts failed, the last with node %s: %s", a->attempts, short_name(&a->buy.node.h).text, words);
    ask_fail(r, a, ERR_PEER_GONE, why);
}

/* `why` is for the book, `words` for people: a refusal says more than the book has codes for. */
static void attempt_failed(struct requester *r, struct ask *a, enum side fault, enum reason why, const char *words)
{
    struct services *s = r->s;
    struct purchase *b = &a->buy;
    effects_log(s->out, LOG_INFO, "job.failed", "job %s with node %s after %u tokens: %s", short_name(&b->hash).text,
               short_name(&b->node.h).text, b->received, words);
    send_cancel(r, a, CANCEL_GIVEN_UP);
    close_job(r, a, b->received ? OUTCOME_PARTIAL : OUTCOME_FAILED, fault, why);
    if (b->received)
        a->parent = b->hash;
    if (fault == SIDE_PROVIDER)
        trust_failed(&r->trust, s->now, &b->node);
    if (a->failed_count < ATTEMPTS_MAX)
        a->failed[a->failed_count++] = b->node;
    if (a->cancelled)
        ask_done(r, a, a->finish);
    else if (b->received && is_stop(a, a->tokens.ids[a->tokens.count - 1]))
        ask_done(r, a, FINISH_STOP);                       /* it failed after the last token: nothing is left to ask for */
    else if (ask_rest(a) == 0)
        ask_done(r, a, FINISH_LENGTH);
    else if (a->attempts >= ATTEMPTS_MAX)
        no_more_attempts(r, a, words);
    else {
        s->counters.failovers++;
        a->queue_until = mono_add_ms(s->now, QUEUE_MS_MAX);
        a->retry_ms = QUEUE_RETRY_MS_MIN;
        bidding_start(r, a);
    }
}

void purchase_failed(struct requester *r, struct ask *a, enum side fault, enum reason why)
{
    attempt_failed(r, a, fault, why, reason_text(why));
}

void purchase_cancel(struct requester *r, struct ask *a)
{
    send_cancel(r, a, a->satisfied ? CANCEL_SATISFIED : CANCEL_CLIENT);
    a->state = ASK_CANCELLING;
    a->finish = a->satisfied ? FINISH_STOP : FINISH_CANCELLED;
    a->deadline = mono_add_ms(r->s->now, CANCEL_WAIT_MS);
}

void purchase_give_up(struct requester *r, struct ask *a)
{
    if (a->state == ASK_CANCELLING)
        close_job(r, a, OUTCOME_CANCELLED, SIDE_NONE, REASON_CLIENT_CANCEL);
    ask_done(r, a, a->finish);
}

enum err requester_refuse(struct requester *r, const struct node_id *from, struct bytes body)
{
    struct decline d;
    enum err e = decline_decode(body, &d);
    if (e)
        return e;
    struct ask *a = ask_of_terms(r, &d.subject, from);
    if (!a)
        return OK;
    if (a->state == ASK_CANCELLING) {
        purchase_give_up(r, a);
    } else if (a->state == ASK_AGREED || a->state == ASK_RUNNING) {
        struct node_id node = *from;
        a->why_not = d;
        a->why_not_by = node;
        effects_log(r->s->out, LOG_INFO, "job.refused", "job %s by node %s: %s", short_name(&d.subject).text, short_name(&node.h).text, decline_text(d.reason));
        attempt_failed(r, a, SIDE_PROVIDER, decline_book_reason(d.reason), decline_text(d.reason));
    }
    return OK;
}

/* ---- tokens ---- */

/* A stop token is the last of an answer. */
static bool goes_on_after_stop(const struct ask *a, const struct chunk_msg *m)
{
    bool over = a->buy.received && is_stop(a, a->tokens.ids[a->tokens.count - 1]);
    for (uint32_t i = 0; i + 1 < m->count && !over; i++)
        over = is_stop(a, m->tokens[i]);
    return over;
}

enum err requester_chunk(struct requester *r, const struct node_id *from, struct bytes body)
{
    struct services *s = r->s;
    struct chunk_msg m;
    enum err e = chunk_msg_decode(body, &m);
    if (e)
        return e;
    struct ask *a = ask_of_terms(r, &m.terms, from);
    if (!a || (a->state != ASK_RUNNING && a->state != ASK_CANCELLING))
        return OK;
    struct purchase *b = &a->buy;
    if (m.offset + m.count <= b->received)
        return OK;                                         /* a repetition */
    if (m.offset != b->received || m.count > b->terms.output_max - b->received) {
        purchase_failed(r, a, SIDE_PROVIDER, REASON_CLAIM_MISMATCH);
        return ERR_MISMATCH;                               /* a gap, or more than was agreed */
    }
    if (goes_on_after_stop(a, &m)) {
        purchase_failed(r, a, SIDE_PROVIDER, REASON_ENDING);
        return ERR_MISMATCH;                               /* tokens that nobody asked for, at a price */
    }
    e = token_list_add(&a->tokens, m.tokens, m.count, a->prompt_count + a->output_max);
    if (e) {
        purchase_failed(r, a, SIDE_REQUESTER, REASON_NONE);
        return OK;
    }
    b->received += m.count;
    s->counters.tokens_bought += m.count;
    ask_tell_tokens(r, a, m.tokens, m.count);
    if (a->state == ASK_RUNNING)
        a->deadline = mono_add_ms(s->now, s->config.token_deadline_ms);
    return OK;
}

/* ---- claims ---- */

/* Our own claim at `claim`'s count, from the last one we co-signed. */
static enum err count_claim(const struct ask *a, const struct claim *claim, const struct claim_msg *m, struct token_chain *tokens,
                            struct digest_chain *digests, struct claim *out)
{
    const struct purchase *b = &a->buy;
    *tokens = b->tokens;
    *digests = b->digests;
    if (claim->tokens.out > b->received || claim->tokens.out < tokens->count || claim->tokens.out - tokens->count > CLAIM_TOKENS)
        return ERR_MISMATCH;
    while (tokens->count < claim->tokens.out)
        token_chain_add(tokens, token_list_at(&a->tokens, b->base + (uint32_t)tokens->count));
    if (m->has_digest)
        digest_chain_add(digests, &m->digest);
    return claim_make(&b->terms, &b->hash, tokens, digests, out);
}

static bool claims_equal(const struct claim *x, const struct claim *y)
{
    return hash_equal(&x->terms, &y->terms) && x->index == y->index && x->tokens.in == y->tokens.in && x->tokens.cached == y->tokens.cached &&
           x->tokens.out == y->tokens.out && hash_equal(&x->token_chain, &y->token_chain) && hash_equal(&x->digest_chain, &y->digest_chain) &&
           x->cost.v == y->cost.v;
}

static void send_claim_ok(struct requester *r, const struct ask *a, uint64_t index, const struct sig *sig)
{
    struct ok_msg m = { .terms = a->buy.hash, .index = index, .sig = *sig };
    uint8_t buf[HASH_SIG_BYTES_MAX];
    struct bytes body;
    ENSURE(ok_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(r->s, &a->buy.node, MSG_CLAIM_OK, body);
}

/* Does what we received bear out the end that the last claim names? PROTO 6.6 */
static bool ending_holds(const struct ask *a, const struct claim *claim, enum finish finish)
{
    const struct purchase *b = &a->buy;
    switch (finish) {
    case FINISH_STOP:
        return claim->tokens.out == b->received && b->received > 0 && is_stop(a, a->tokens.ids[a->tokens.count - 1]);
    case FINISH_LENGTH:
        return claim->tokens.out == b->received && b->received == b->terms.output_max;
    case FINISH_CANCELLED:                                 /* these two say themselves that the answer is not whole */
    case FINISH_ERROR:
        break;
    }
    return true;
}

/* The job has come to its end as the provider sees it; decide what that means for the client. */
static void purchase_finish(struct requester *r, struct ask *a, enum finish finish)
{
    struct services *s = r->s;
    if (finish == FINISH_ERROR || (finish == FINISH_CANCELLED && a->state != ASK_CANCELLING)) {
        purchase_failed(r, a, SIDE_PROVIDER, finish == FINISH_ERROR ? REASON_ENGINE : REASON_SHUTDOWN);
        return;
    }
    if (a->state == ASK_CANCELLING && !a->satisfied && finish == FINISH_CANCELLED) {
        close_job(r, a, OUTCOME_CANCELLED, SIDE_NONE, REASON_CLIENT_CANCEL);
    } else {
        trust_delivered(&r->trust, &a->buy.node);
        close_job(r, a, OUTCOME_COMPLETE, SIDE_NONE, finish == FINISH_LENGTH ? REASON_LENGTH : finish == FINISH_STOP ? REASON_STOP : REASON_SATISFIED);
        a->finish = a->cancelled ? a->finish : finish;
    }
    a->state = ASK_CLOSING;
    a->deadline = mono_add_ms(s->now, RECEIPT_WAIT_MS);
}

/* A new claim against our own count, or the newest one again. */
static enum err claim_take(struct requester *r, struct ask *a, const struct claim *claim, const struct claim_msg *m, struct sig *out)
{
    struct services *s = r->s;
    struct purchase *b = &a->buy;
    if (b->claimed && claim->index == b->last.index) {
        if (!claims_equal(claim, &b->last))
            return ERR_MISMATCH;
        return ledger_claim_cosign(s->ledger, &b->last, b->last_has_digest ? &b->last_digest : NULL, &m->sig, out);
    }
    struct token_chain tokens;
    struct digest_chain digests;
    struct claim counted;
    enum err e = count_claim(a, claim, m, &tokens, &digests, &counted);
    if (e)
        return e;
    if (!claims_equal(claim, &counted))
        return ERR_MISMATCH;
    e = ledger_claim_cosign(s->ledger, &counted, m->has_digest ? &m->digest : NULL, &m->sig, out);
    if (e)
        return e;
    b->claimed = true;
    b->last = counted;
    b->last_has_digest = m->has_digest;
    b->last_digest = m->digest;
    b->tokens = tokens;
    b->digests = digests;
    return OK;
}

enum err requester_claim(struct requester *r, const struct node_id *from, struct bytes body)
{
    struct claim_msg m;
    struct claim claim;
    enum err e = claim_msg_decode(body, &m);
    if (e == OK)
        e = claim_decode(m.claim, &claim);
    if (e)
        return e;
    struct ask *a = ask_of_terms(r, &claim.terms, from);
    if (!a || a->state == ASK_AGREED)
        return OK;
    if (a->state == ASK_CLOSING && claim.index != a->buy.last.index)
        return OK;
    if (a->state != ASK_CLOSING && m.last && !ending_holds(a, &claim, m.finish)) {
        purchase_failed(r, a, SIDE_PROVIDER, REASON_ENDING);
        return ERR_MISMATCH;
    }
    struct sig sig;
    e = claim_take(r, a, &claim, &m, &sig);
    if (e) {
        if (a->state != ASK_CLOSING)
            purchase_failed(r, a, SIDE_PROVIDER, e == ERR_SIGNATURE ? REASON_BAD_SIGNATURE : REASON_CLAIM_MISMATCH);
        return e == ERR_MISMATCH || e == ERR_SIGNATURE || e == ERR_CHAIN ? e : OK;
    }
    send_claim_ok(r, a, claim.index, &sig);
    if (a->state == ASK_RUNNING && !m.last)
        a->deadline = mono_add_ms(r->s->now, r->s->config.token_deadline_ms);
    if (m.last && a->state != ASK_CLOSING)
        purchase_finish(r, a, m.finish);
    return OK;
}
