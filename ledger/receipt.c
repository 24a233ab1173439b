/* receipt.c - a channel's newest total as bytes, and what makes it follow from terms, claim and the receipt before. */
#include "ledger/receipt.h"

enum { RECEIPT_FIELDS = 16 };

struct hash receipt_channel(const struct pubkey *requester, const struct pubkey *provider)
{
    struct hasher h;
    hasher_init(&h, "channel");
    hasher_add(&h, bytes_of(requester->b, PUBKEY_BYTES));
    hasher_add(&h, bytes_of(provider->b, PUBKEY_BYTES));
    struct hash out;
    hasher_finish(&h, &out);
    return out;
}

/* What holds for every receipt by itself. */
static enum err check_alone(const struct receipt *r)
{
    if (r->seq == 0 || (r->seq == 1) != hash_is_zero(&r->previous))
        return ERR_CHAIN;
    if (r->cost.v > r->owed.v || r->settled.v > r->owed.v || (r->seq == 1 && r->owed.v != r->cost.v))
        return ERR_MISMATCH;
    return (r->output_offset == 0) == hash_is_zero(&r->parent) ? OK : ERR_MISMATCH;
}

enum err receipt_encode(const struct receipt *r, uint8_t buf[RECEIPT_BODY_BYTES_MAX], struct bytes *out_body)
{
    enum err e = check_alone(r);
    if (e != OK)
        return e;
    struct writer w;
    writer_init(&w, buf, RECEIPT_BODY_BYTES_MAX);
    write_array(&w, RECEIPT_FIELDS);
    write_uint(&w, RECEIPT_VERSION);
    write_bin(&w, bytes_of(r->net.b, NET_ID_BYTES));
    write_hash(&w, &r->channel);
    write_uint(&w, r->seq);
    write_hash(&w, &r->previous);
    write_hash(&w, &r->terms);
    write_uint(&w, r->tokens.in);
    write_uint(&w, r->tokens.cached);
    write_uint(&w, r->tokens.out);
    write_hash(&w, &r->token_chain);
    write_hash(&w, &r->digest_chain);
    write_uint(&w, r->cost.v);
    write_uint(&w, r->owed.v);
    write_uint(&w, r->settled.v);
    write_uint(&w, r->output_offset);
    write_hash(&w, &r->parent);
    return writer_finish(&w, out_body);
}

enum err receipt_decode(struct bytes body, struct receipt *out)
{
    if (body.len > RECEIPT_BODY_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct receipt v = { 0 };
    struct reader r;
    reader_init(&r, body);
    read_array(&r, RECEIPT_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    struct bytes net = read_bin(&r, NET_ID_BYTES, NET_ID_BYTES);
    for (size_t i = 0; i < net.len; i++)
        v.net.b[i] = net.data[i];
    read_hash(&r, &v.channel);
    v.seq = read_uint(&r, UINT64_MAX);
    read_hash(&r, &v.previous);
    read_hash(&r, &v.terms);
    v.tokens.in = read_uint(&r, UINT64_MAX);
    v.tokens.cached = read_uint(&r, UINT64_MAX);
    v.tokens.out = read_uint(&r, UINT64_MAX);
    read_hash(&r, &v.token_chain);
    read_hash(&r, &v.digest_chain);
    v.cost.v = read_uint(&r, UINT64_MAX);
    v.owed.v = read_uint(&r, UINT64_MAX);
    v.settled.v = read_uint(&r, UINT64_MAX);
    v.output_offset = read_uint(&r, UINT64_MAX);
    read_hash(&r, &v.parent);
    enum err e = reader_finish(&r);
    if (e == OK && version != RECEIPT_VERSION)
        e = ERR_VERSION;
    if (e == OK)
        e = check_alone(&v);
    if (e == OK)
        *out = v;
    return e;
}

struct hash receipt_id(struct bytes body) { return hash_of("receipt", body); }

static const char *purpose(enum side side)
{
    ENSURE(side != SIDE_NONE);
    return side == SIDE_REQUESTER ? PURPOSE_RECEIPT_REQUESTER : PURPOSE_RECEIPT_PROVIDER;
}

void receipt_sign(const struct secret_key *k, enum side as, const struct net_id *net, struct bytes body, struct sig *out)
{
    key_sign(k, purpose(as), net, body, out);
}

enum err receipt_verify(const struct receipt *r, const struct pubkey *key, enum side by, struct bytes body, const struct sig *s)
{
    return key_verify(key, purpose(by), &r->net, body, s);
}

static bool same_work(const struct receipt *r, const struct claim *c)
{
    return r->tokens.in == c->tokens.in && r->tokens.cached == c->tokens.cached && r->tokens.out == c->tokens.out &&
           hash_equal(&r->token_chain, &c->token_chain) && hash_equal(&r->digest_chain, &c->digest_chain) &&
           r->cost.v == c->cost.v;
}

enum err receipt_check(const struct receipt *r, const struct terms *t, const struct hash *terms_hash, const struct claim *c)
{
    if (!net_id_equal(&r->net, &t->net))
        return ERR_NETWORK;
    struct hash channel = receipt_channel(&t->requester, &t->provider);
    if (!hash_equal(&r->channel, &channel) || !hash_equal(&r->terms, terms_hash))
        return ERR_MISMATCH;
    if (r->output_offset != t->output_offset || !hash_equal(&r->parent, &t->parent))
        return ERR_MISMATCH;
    struct claim implied = {
        .terms = r->terms,
        .index = r->tokens.out / CLAIM_TOKENS + (r->tokens.out % CLAIM_TOKENS != 0),
        .tokens = r->tokens,
        .token_chain = r->token_chain,
        .digest_chain = r->digest_chain,
        .cost = r->cost,
    };
    if (claim_check(&implied, t, terms_hash) != OK)
        return ERR_MISMATCH;
    return !c || same_work(r, c) ? OK : ERR_MISMATCH;
}

enum err receipt_check_link(const struct receipt *r, const struct receipt *previous, const struct hash *previous_id)
{
    enum err e = check_alone(r);
    if (e != OK)
        return e;
    if (!previous)
        return r->seq == 1 && r->settled.v == 0 ? OK : ERR_CHAIN;
    if (previous->seq == UINT64_MAX || r->seq != previous->seq + 1 || !hash_equal(&r->previous, previous_id))
        return ERR_CHAIN;
    if (!hash_equal(&r->channel, &previous->channel))
        return ERR_MISMATCH;
    struct pico owed;
    e = amount_add(previous->owed, r->cost, &owed);
    if (e != OK)
        return e;
    return r->owed.v == owed.v && r->settled.v == previous->settled.v ? OK : ERR_MISMATCH;
}
