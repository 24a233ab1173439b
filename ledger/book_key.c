/* book_key.c - fixed-width keys whose byte order is the order we want to walk in. */
#include "ledger/book.h"

#include <string.h>

static void add(struct book_key *k, const void *data, size_t len)
{
    ENSURE(k->len + len <= sizeof k->b);
    memcpy(k->b + k->len, data, len);
    k->len += len;
}

static void add_number(struct book_key *k, uint64_t n)
{
    uint8_t be[8];
    for (int i = 7; i >= 0; i--, n >>= 8)
        be[i] = (uint8_t)n;
    add(k, be, sizeof be);
}

static void add_side(struct book_key *k, enum side s)
{
    uint8_t b = (uint8_t)s;
    add(k, &b, 1);
}

struct bytes book_key_view(const struct book_key *k) { return bytes_of(k->b, k->len); }

struct book_key book_key_number(uint64_t n)
{
    struct book_key k = { .len = 0 };
    add_number(&k, n);
    return k;
}

struct book_key book_key_hash(const struct hash *h)
{
    struct book_key k = { .len = 0 };
    add(&k, h->b, HASH_BYTES);
    return k;
}

struct book_key book_key_hash_number(const struct hash *h, uint64_t n)
{
    struct book_key k = book_key_hash(h);
    add_number(&k, n);
    return k;
}

struct book_key book_key_hash_side(const struct hash *h, enum side s)
{
    struct book_key k = book_key_hash(h);
    add_side(&k, s);
    return k;
}

struct book_key book_key_peer(const struct pubkey *p)
{
    struct book_key k = { .len = 0 };
    add(&k, p->b, PUBKEY_BYTES);
    return k;
}

struct book_key book_key_peer_number(const struct pubkey *p, uint64_t n)
{
    struct book_key k = book_key_peer(p);
    add_number(&k, n);
    return k;
}

struct book_key book_key_channel(enum side role, const struct pubkey *peer)
{
    struct book_key k = { .len = 0 };
    add_side(&k, role);
    add(&k, peer->b, PUBKEY_BYTES);
    return k;
}

struct book_key book_key_channel_seq(enum side role, const struct pubkey *peer, uint64_t seq)
{
    struct book_key k = book_key_channel(role, peer);
    add_number(&k, seq);
    return k;
}

struct book_key book_key_job_id(const struct job_id *id, uint64_t n)
{
    struct book_key k = { .len = 0 };
    add(&k, id->b, TERMS_JOB_BYTES);
    add_number(&k, n);
    return k;
}

struct book_key book_key_due(struct wall until, const struct hash *h)
{
    struct book_key k = { .len = 0 };
    add_number(&k, until.ms);
    add(&k, h->b, HASH_BYTES);
    return k;
}

struct book_key book_key_after(const struct book_key *k)
{
    struct book_key next = *k;
    uint8_t zero = 0;
    add(&next, &zero, 1);
    return next;
}

uint64_t book_number_at(struct bytes key, size_t at)
{
    ENSURE(at + 8 <= key.len);
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n = n << 8 | key.data[at + i];
    return n;
}

enum err book_put_number(struct ledger *l, enum store_table t, const struct book_key *k, uint64_t n)
{
    struct book_key value = book_key_number(n);
    return store_put(l->store, t, book_key_view(k), book_key_view(&value));
}

enum err book_get_number(struct ledger *l, enum store_table t, const struct book_key *k, uint64_t *out)
{
    struct bytes v;
    enum err e = store_get(l->store, t, book_key_view(k), &v);
    if (e != OK)
        return e;
    if (v.len != 8)
        return ERR_CORRUPT;
    *out = book_number_at(v, 0);
    return OK;
}

enum err book_put_hash(struct ledger *l, enum store_table t, const struct book_key *k, const struct hash *h)
{
    return store_put(l->store, t, book_key_view(k), bytes_of(h->b, HASH_BYTES));
}

enum err book_get_hash(struct ledger *l, enum store_table t, const struct book_key *k, struct hash *out)
{
    struct bytes v;
    enum err e = store_get(l->store, t, book_key_view(k), &v);
    if (e != OK)
        return e;
    if (v.len != HASH_BYTES)
        return ERR_CORRUPT;
    memcpy(out->b, v.data, HASH_BYTES);
    return OK;
}

void book_wipe(void *p, size_t len)
{
    volatile uint8_t *b = p;
    while (len--)
        *b++ = 0;
}
