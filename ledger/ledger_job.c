/* ledger_job.c - from signed terms through co-signed claims to the end of a job, on either side. */
#include "ledger/book.h"

#include <string.h>

/* ---- beginning ---- */

static void set_label(struct job *j, const char *label)
{
    if (label && strlen(label) <= MODEL_LABEL_CHARS_MAX && text_is_printable(bytes_text(label)))
        memcpy(j->model_label, label, strlen(label) + 1);
}

static enum err next_job_number(struct ledger *l, uint64_t *out)
{
    struct ledger_totals t;
    enum err e = book_totals_load(l, &t);
    if (e != OK)
        return e;
    *out = ++t.jobs;
    return book_totals_save(l, &t);
}

static enum err put_job_indexes(struct ledger *l, const struct job *j)
{
    struct book_key number = book_key_number(j->number), id = book_key_job_id(&j->id, j->number);
    enum err e = book_put_hash(l, STORE_JOB_NUMBER, &number, &j->terms);
    if (e == OK)
        e = book_put_hash(l, STORE_JOB_ID, &id, &j->terms);
    return e == OK ? book_put_hash(l, STORE_JOB_OPEN, &number, &j->terms) : e;
}

static enum err put_job(struct ledger *l, struct job *j, const struct book_signed *terms)
{
    struct book_key k = book_key_hash(&j->terms);
    enum err e = next_job_number(l, &j->number);
    if (e == OK)
        e = put_job_indexes(l, j);
    if (e == OK)
        e = book_signed_put(l, STORE_TERMS, &k, terms);
    return e == OK ? book_job_save(l, j) : e;
}

/* A new job in the book, holding its whole possible cost of the peer's pending sum. ERR_EXISTS, ERR_OVERFLOW. */
static enum err begin(struct ledger *l, const struct terms *t, const struct book_signed *terms, enum side role,
                      enum job_stage stage, const char *label, struct wall now, struct hash *out_hash)
{
    struct job j = {
        .terms = terms_hash(terms->body), .id = t->job, .role = role, .stage = stage, .model = t->model,
        .peer = role == SIDE_REQUESTER ? t->provider : t->requester,
        .output_offset = t->output_offset, .parent = t->parent, .began = now,
    };
    set_label(&j, label);
    struct job known;
    enum err e = book_job_load(l, &j.terms, &known);
    if (e != ERR_NOT_FOUND)
        return e == OK ? ERR_EXISTS : e;
    e = book_reserve(l, &j, terms_cost_max(t));            /* first: it can still refuse */
    if (e != OK)
        return e;
    *out_hash = j.terms;
    return book_finish(l, put_job(l, &j, terms));
}

enum err ledger_terms_sign(struct ledger *l, const struct terms *t, const char *label, struct wall now,
                           struct signed_body *out, struct hash *out_hash)
{
    ENSURE(l->key != NULL);
    if (!net_id_equal(&t->net, &l->net))
        return ERR_NETWORK;
    if (!pubkey_equal(&t->requester, &l->self))
        return ERR_KEY;
    struct bytes body;
    enum err e = ledger_frozen_check(l, &t->provider);
    if (e == OK)
        e = terms_encode(t, out->buf, &body);
    if (e != OK)
        return e;
    struct book_signed s = { .body = body };
    terms_sign(l->key, SIDE_REQUESTER, &l->net, body, &s.requester_sig);
    e = begin(l, t, &s, SIDE_REQUESTER, JOB_OFFERED, label, now, out_hash);
    if (e == OK) {
        out->len = body.len;
        out->sig = s.requester_sig;
    }
    return e;
}

enum err ledger_terms_countersigned(struct ledger *l, const struct hash *terms, const struct sig *provider_sig)
{
    struct job j;
    struct terms t;
    struct book_signed s;
    struct book_key k = book_key_hash(terms);
    enum err e = book_job_load(l, terms, &j);
    if (e == OK)
        e = book_terms_load(l, terms, &t);
    if (e == OK)
        e = book_signed_get(l, STORE_TERMS, &k, &s);
    if (e == OK)
        e = terms_verify(&t, SIDE_PROVIDER, s.body, provider_sig);
    if (e != OK)
        return e;
    if (j.role != SIDE_REQUESTER)
        return ERR_STATE;
    if (j.stage == JOB_RUNNING)
        return OK;
    if (j.stage != JOB_OFFERED)
        return ERR_STATE;
    uint8_t body[TERMS_BYTES_MAX];                         /* s.body is the store's until we write */
    memcpy(body, s.body.data, s.body.len);
    s.body.data = body;
    s.provider_sig = *provider_sig;
    e = book_signed_put(l, STORE_TERMS, &k, &s);
    j.stage = JOB_RUNNING;
    return e == OK ? book_job_save(l, &j) : e;
}

enum err ledger_terms_accept(struct ledger *l, struct bytes body, const struct sig *requester_sig, const char *label,
                             const struct credit_limits *limits, struct wall now, enum credit_limit *limit,
                             struct sig *out, struct hash *out_hash)
{
    ENSURE(l->key != NULL);
    struct terms t;
    *limit = CREDIT_OK;
    enum err e = terms_decode(body, &t);
    if (e != OK)
        return e;
    if (!net_id_equal(&t.net, &l->net))
        return ERR_NETWORK;
    if (!pubkey_equal(&t.provider, &l->self))
        return ERR_KEY;
    e = terms_verify(&t, SIDE_REQUESTER, body, requester_sig);
    if (e == OK)
        e = ledger_credit_check(l, &t.requester, terms_cost_max(&t), limits, limit);
    if (e != OK)
        return e;
    struct book_signed s = { .body = body, .requester_sig = *requester_sig };
    terms_sign(l->key, SIDE_PROVIDER, &l->net, body, &s.provider_sig);
    e = begin(l, &t, &s, SIDE_PROVIDER, JOB_RUNNING, label, now, out_hash);
    if (e == OK)
        *out = s.provider_sig;
    return e;
}

/* ---- claims ---- */

static bool same_claim(const struct claim *a, const struct claim *b)
{
    return hash_equal(&a->terms, &b->terms) && a->index == b->index && a->tokens.in == b->tokens.in &&
           a->tokens.cached == b->tokens.cached && a->tokens.out == b->tokens.out &&
           hash_equal(&a->token_chain, &b->token_chain) && hash_equal(&a->digest_chain, &b->digest_chain) &&
           a->cost.v == b->cost.v;
}

/* The digest chain can be followed from claim to claim; the token chain only by whoever saw the tokens. */
static enum err check_digest(const struct claim *c, const struct claim *before, const struct hash *digest)
{
    struct digest_chain chain;
    digest_chain_init(&chain, &c->terms);
    if (before)
        chain.at = before->digest_chain;
    if ((c->index > 0) != (digest != NULL))
        return ERR_CHAIN;
    if (digest)
        digest_chain_add(&chain, digest);
    return hash_equal(&chain.at, &c->digest_chain) ? OK : ERR_CHAIN;
}

/* Is c what may come next in this job? *again: it is the latest once more. */
static enum err check_next(struct ledger *l, const struct job *j, const struct claim *c, const struct hash *digest, bool *again)
{
    struct claim latest;
    *again = false;
    if (!j->has_claim)
        return c->index <= 1 ? check_digest(c, NULL, digest) : ERR_CHAIN;
    enum err e = book_claim_load(l, &j->terms, j->claim_index, &latest);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    if (c->index < latest.index)
        return ERR_STALE;
    if (c->index == latest.index) {
        *again = same_claim(c, &latest);
        return *again ? OK : ERR_MISMATCH;
    }
    if (claim_is_last(&latest))
        return ERR_STATE;
    if (c->index > latest.index + 1)
        return ERR_CHAIN;
    return check_digest(c, &latest, digest);
}

/* Claims may still come after our end of a job - it ended while one was on its way - until the job's receipt is on paper. */
static enum err check_open(struct ledger *l, const struct job *j, enum side role)
{
    if (j->role != role || j->stage == JOB_OFFERED || !hash_is_zero(&j->receipt))
        return ERR_STATE;
    if (role == SIDE_REQUESTER)
        return OK;
    struct channel c;
    struct receipt half;
    enum err e = book_channel_load(l, role, &j->peer, &c);
    if (e != OK || c.half_len == 0)
        return e;
    if (receipt_decode(bytes_of(c.half, c.half_len), &half) != OK)
        return ERR_CORRUPT;
    return hash_equal(&half.terms, &j->terms) ? ERR_STATE : OK;
}

static enum err put_own_note(struct ledger *l, const struct job *j)
{
    uint8_t buf[NOTE_BYTES_MAX];
    struct note n = { .subject = j->terms, .by = j->role, .fault = j->fault, .outcome = j->outcome, .reason = j->reason };
    struct book_signed s = { 0 };
    enum err e = note_encode(&n, buf, &s.body);
    ENSURE(e == OK);
    note_sign(l->key, &l->net, s.body, j->role == SIDE_REQUESTER ? &s.requester_sig : &s.provider_sig);
    struct book_key k = book_key_hash_side(&j->terms, j->role);
    return book_signed_put(l, STORE_NOTE, &k, &s);
}

/* A crash took this claim from us, and the peer has brought it back: "failed" means that no token was delivered, and both
 * sides have signed for some. Our note has not left yet, it goes with the receipt. */
static enum err retract_failure(struct ledger *l, struct job *j)
{
    if (j->outcome != OUTCOME_FAILED || j->tokens.out == 0)
        return OK;
    ENSURE(hash_is_zero(&j->receipt));
    j->outcome = OUTCOME_PARTIAL;
    return put_own_note(l, j);
}

static enum err put_claim(struct ledger *l, struct job *j, const struct claim *c, const struct hash *digest,
                          const struct sig *requester_sig, const struct sig *provider_sig)
{
    uint8_t buf[CLAIM_BYTES_MAX];
    struct book_signed s = { .requester_sig = *requester_sig, .provider_sig = *provider_sig };
    enum err e = claim_encode(c, buf, &s.body);
    ENSURE(e == OK);
    struct book_key k = book_key_hash_number(&j->terms, c->index);
    e = book_signed_put(l, STORE_CLAIM, &k, &s);
    if (e == OK && digest) {
        k = book_key_hash_number(&j->terms, c->index - 1);
        e = book_put_hash(l, STORE_DIGEST, &k, digest);
    }
    j->has_claim = true;
    j->claim_index = c->index;
    j->tokens = c->tokens;
    j->cost = c->cost;
    if (e == OK)
        e = retract_failure(l, j);
    if (e == OK)
        e = book_unsigned_paid(l, j, j->cost);
    if (e == OK)
        e = book_job_settle(l, j);
    return e == OK ? book_job_save(l, j) : e;
}

/* Everything both roles check about a claim, cheapest first; the signature is the caller's to check. */
static enum err check_claim(struct ledger *l, enum side role, const struct claim *c, const struct hash *digest, struct job *j,
                            struct terms *t, bool *again)
{
    enum err e = book_job_load(l, &c->terms, j);
    if (e == OK)
        e = book_terms_load(l, &c->terms, t);
    if (e == OK)
        e = check_open(l, j, role);
    if (e == OK)
        e = claim_check(c, t, &c->terms);
    return e == OK ? check_next(l, j, c, digest, again) : e;
}

enum err ledger_claim_cosign(struct ledger *l, const struct claim *counted, const struct hash *digest,
                             const struct sig *provider_sig, struct sig *out)
{
    ENSURE(l->key != NULL);
    struct job j;
    struct terms t;
    bool again;
    enum err e = check_claim(l, SIDE_REQUESTER, counted, digest, &j, &t, &again);
    if (e == OK)
        e = claim_verify(counted, &t, SIDE_PROVIDER, provider_sig);
    if (e != OK)
        return e;
    ENSURE(again || !j.has_claim || counted->cost.v >= j.cost.v);
    claim_sign(l->key, SIDE_REQUESTER, &l->net, counted, out);
    return again ? OK : book_finish(l, put_claim(l, &j, counted, digest, out, provider_sig));
}

enum err ledger_claim_acked(struct ledger *l, const struct claim *c, const struct hash *digest, const struct sig *requester_sig)
{
    ENSURE(l->key != NULL);
    struct job j;
    struct terms t;
    bool again;
    enum err e = check_claim(l, SIDE_PROVIDER, c, digest, &j, &t, &again);
    if (e == OK)
        e = claim_verify(c, &t, SIDE_REQUESTER, requester_sig);
    if (e != OK || again)
        return e;
    struct sig own;
    claim_sign(l->key, SIDE_PROVIDER, &l->net, c, &own);   /* the same as when it was sent: one body, deterministic signature */
    return book_finish(l, put_claim(l, &j, c, digest, requester_sig, &own));
}

/* ---- the end ---- */

static enum err put_end(struct ledger *l, struct job *j, struct pico delivered)
{
    struct book_key number = book_key_number(j->number);
    enum err e = put_own_note(l, j);
    if (e == OK)
        e = store_del(l->store, STORE_JOB_OPEN, book_key_view(&number));
    if (e == OK && delivered.v > j->cost.v)
        e = book_unsigned_put(l, j, delivered);
    if (e == OK)
        e = book_job_settle(l, j);
    return e == OK ? book_job_save(l, j) : e;
}

/* What the first `sent` tokens of the answer cost; nothing was delivered before the first. */
static enum err cost_of(struct ledger *l, const struct hash *terms, uint64_t sent, struct pico *out)
{
    struct terms t;
    *out = (struct pico){ 0 };
    if (sent == 0)
        return OK;
    enum err e = book_terms_load(l, terms, &t);
    if (e != OK)
        return e;
    ENSURE(sent <= t.output_max);
    struct tokens delivered = { .in = t.tokens_in, .cached = t.tokens_cached, .out = sent };
    return amount_cost(&delivered, &t.prices, out);
}

enum err ledger_delivery_end(struct ledger *l, const struct hash *terms, uint64_t sent, enum outcome outcome, enum side fault,
                             enum reason reason, struct wall now)
{
    ENSURE(l->key != NULL);
    ENSURE(outcome != OUTCOME_NONE);
    struct job j;
    struct pico delivered;
    enum err e = book_job_load(l, terms, &j);
    if (e != OK || j.outcome != OUTCOME_NONE)
        return e;
    ENSURE(sent == 0 || j.role == SIDE_PROVIDER);
    e = cost_of(l, terms, sent, &delivered);
    if (e != OK)
        return e;
    j.outcome = outcome;
    j.fault = fault;
    j.reason = reason;
    j.ended = now;
    return book_finish(l, put_end(l, &j, delivered));
}

enum err ledger_job_end(struct ledger *l, const struct hash *terms, enum outcome outcome, enum side fault, enum reason reason,
                        struct wall now)
{
    return ledger_delivery_end(l, terms, 0, outcome, fault, reason, now);
}

enum err ledger_note_keep(struct ledger *l, struct bytes body, const struct sig *sig)
{
    struct note n;
    struct terms t;
    struct job j;
    enum err e = note_decode(body, &n);
    if (e == OK)
        e = book_job_load(l, &n.subject, &j);
    if (e == OK)
        e = book_terms_load(l, &n.subject, &t);
    if (e == OK)
        e = note_verify(&n, &t, body, sig);
    if (e != OK)
        return e;
    if (n.by == j.role)
        return ERR_ARG;                                    /* our own word comes from ledger_job_end() alone */
    struct book_key k = book_key_hash_side(&n.subject, n.by);
    struct book_signed s;
    e = book_signed_get(l, STORE_NOTE, &k, &s);
    if (e != ERR_NOT_FOUND)
        return e;
    s = (struct book_signed){ .body = body };
    *(n.by == SIDE_REQUESTER ? &s.requester_sig : &s.provider_sig) = *sig;
    return book_signed_put(l, STORE_NOTE, &k, &s);
}
