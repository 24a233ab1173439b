/* claim.c - what a job has come to so far: made from the terms and two chains, checked by the same arithmetic. */
#include "ledger/claim.h"

enum { CLAIM_FIELDS = 9 };

static uint64_t index_for(uint64_t out_tokens) { return out_tokens / CLAIM_TOKENS + (out_tokens % CLAIM_TOKENS != 0); }

enum err claim_check(const struct claim *c, const struct terms *t, const struct hash *terms_hash)
{
    if (!hash_equal(&c->terms, terms_hash))
        return ERR_MISMATCH;
    if (c->tokens.in != t->tokens_in || c->tokens.cached != t->tokens_cached)
        return ERR_MISMATCH;
    if (c->tokens.out > t->output_max)
        return ERR_OVERFLOW;
    if (c->index != index_for(c->tokens.out))
        return ERR_MISMATCH;
    struct pico cost;
    enum err e = amount_cost(&c->tokens, &t->prices, &cost);
    if (e != OK)
        return e;
    return c->cost.v == cost.v ? OK : ERR_MISMATCH;
}

enum err claim_make(const struct terms *t, const struct hash *terms_hash, const struct token_chain *tokens,
                    const struct digest_chain *digests, struct claim *out)
{
    if (digests->count != index_for(tokens->count))
        return ERR_MISMATCH;
    struct claim c = {
        .terms = *terms_hash,
        .index = digests->count,
        .tokens = { t->tokens_in, t->tokens_cached, tokens->count },
        .token_chain = tokens->at,
        .digest_chain = digests->at,
    };
    enum err e = amount_cost(&c.tokens, &t->prices, &c.cost);
    if (e == OK)
        e = claim_check(&c, t, terms_hash);
    if (e == OK)
        *out = c;
    return e;
}

bool claim_is_last(const struct claim *c) { return c->tokens.out % CLAIM_TOKENS != 0; }

enum err claim_encode(const struct claim *c, uint8_t buf[CLAIM_BYTES_MAX], struct bytes *out_body)
{
    struct writer w;
    writer_init(&w, buf, CLAIM_BYTES_MAX);
    write_array(&w, CLAIM_FIELDS);
    write_uint(&w, CLAIM_VERSION);
    write_hash(&w, &c->terms);
    write_uint(&w, c->index);
    write_uint(&w, c->tokens.in);
    write_uint(&w, c->tokens.cached);
    write_uint(&w, c->tokens.out);
    write_hash(&w, &c->token_chain);
    write_hash(&w, &c->digest_chain);
    write_uint(&w, c->cost.v);
    return writer_finish(&w, out_body);
}

enum err claim_decode(struct bytes body, struct claim *out)
{
    if (body.len > CLAIM_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct claim c;
    struct reader r;
    reader_init(&r, body);
    read_array(&r, CLAIM_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    read_hash(&r, &c.terms);
    c.index = read_uint(&r, UINT64_MAX);
    c.tokens.in = read_uint(&r, UINT64_MAX);
    c.tokens.cached = read_uint(&r, UINT64_MAX);
    c.tokens.out = read_uint(&r, UINT64_MAX);
    read_hash(&r, &c.token_chain);
    read_hash(&r, &c.digest_chain);
    c.cost.v = read_uint(&r, UINT64_MAX);
    enum err e = reader_finish(&r);
    if (e == OK && version != CLAIM_VERSION)
        e = ERR_VERSION;
    if (e == OK && c.index != index_for(c.tokens.out))
        e = ERR_MISMATCH;
    if (e == OK)
        *out = c;
    return e;
}

struct hash claim_hash(struct bytes body) { return hash_of("claim", body); }

static const char *purpose(enum side side)
{
    ENSURE(side != SIDE_NONE);
    return side == SIDE_REQUESTER ? PURPOSE_CLAIM_REQUESTER : PURPOSE_CLAIM_PROVIDER;
}

/* One claim has one body, so signing and verifying start from the struct: nobody can pass a body that says something else. */
static struct bytes body_of(const struct claim *c, uint8_t buf[CLAIM_BYTES_MAX])
{
    struct bytes body = { 0 };
    enum err e = claim_encode(c, buf, &body);
    ENSURE(e == OK);
    return body;
}

void claim_sign(const struct secret_key *k, enum side as, const struct net_id *net, const struct claim *c, struct sig *out)
{
    uint8_t buf[CLAIM_BYTES_MAX];
    key_sign(k, purpose(as), net, body_of(c, buf), out);
}

enum err claim_verify(const struct claim *c, const struct terms *t, enum side by, const struct sig *s)
{
    uint8_t buf[CLAIM_BYTES_MAX];
    return key_verify(terms_key_of(t, by), purpose(by), &t->net, body_of(c, buf), s);
}
