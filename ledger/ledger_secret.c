/* ledger_secret.c - what opens a requester's commitments, kept encrypted for a while and then forgotten.
 *
 * Sealed to a key of our own that is derived from the node key, with the terms hash as context, so that a record cannot be
 * moved to another job. The sealing's one-time key is derived from node key, terms and plaintext: cores draw no randomness,
 * and equal plaintexts under one terms hash giving equal bytes tells nobody anything new.
 */
#include "ledger/book.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_BYTES = 4, DUE_BYTES = 8, FIXED_BYTES = HASH_BYTES + 8 + 4 + 4 };

/* H(domain, the key's seed || extra): libsodium keeps the seed in a secret key's first half. */
static void derive(const struct ledger *l, const char *domain, const struct hash *terms, struct bytes extra, struct key_seed *out)
{
    struct hasher h;
    struct hash d;
    hasher_init(&h, domain);
    hasher_add(&h, bytes_of(l->key->b, KEY_SEED_BYTES));
    if (terms)
        hasher_add_hash(&h, terms);
    hasher_add(&h, extra);
    hasher_finish(&h, &d);
    memcpy(out->b, d.b, KEY_SEED_BYTES);
    book_wipe(&d, sizeof d);
    book_wipe(&h, sizeof h);
}

static void put_le(uint8_t *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++, v >>= 8)
        p[i] = (uint8_t)v;
}

static uint64_t get_le(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* Plain form: nonce 32 | seed u64 | prompt count u32 | output count u32 | prompt ids u32 each | output ids u32 each;
 * little endian. */
static void flatten(const struct opening *o, uint8_t *p)
{
    memcpy(p, o->nonce.b, HASH_BYTES);
    put_le(p + HASH_BYTES, o->seed, 8);
    put_le(p + HASH_BYTES + 8, o->prompt_count, 4);
    put_le(p + HASH_BYTES + 12, o->output_count, 4);
    p += FIXED_BYTES;
    for (size_t i = 0; i < o->prompt_count; i++, p += TOKEN_BYTES)
        put_le(p, o->prompt[i], TOKEN_BYTES);
    for (size_t i = 0; i < o->output_count; i++, p += TOKEN_BYTES)
        put_le(p, o->output[i], TOKEN_BYTES);
}

static enum err forget(struct ledger *l, const struct hash *terms, struct bytes value)
{
    if (value.len < DUE_BYTES)
        return ERR_CORRUPT;
    struct wall until = { book_number_at(value, 0) };
    struct book_key due = book_key_due(until, terms), k = book_key_hash(terms);
    enum err e = store_del(l->store, STORE_SECRET_DUE, book_key_view(&due));
    return e == OK ? store_del(l->store, STORE_SECRET, book_key_view(&k)) : e;
}

static enum err replace(struct ledger *l, const struct hash *terms, struct wall until, struct bytes value)
{
    struct book_key k = book_key_hash(terms), due = book_key_due(until, terms);
    struct bytes old;
    enum err e = store_get(l->store, STORE_SECRET, book_key_view(&k), &old);
    if (e == OK)
        e = forget(l, terms, old);
    else if (e == ERR_NOT_FOUND)
        e = OK;
    if (e == OK)
        e = store_put(l->store, STORE_SECRET, book_key_view(&k), value);
    return e == OK ? store_put(l->store, STORE_SECRET_DUE, book_key_view(&due), bytes_of(NULL, 0)) : e;
}

enum err ledger_opening_put(struct ledger *l, const struct hash *terms, const struct opening *o, struct wall until)
{
    ENSURE(l->key != NULL);
    size_t ids_max = (STORE_VALUE_BYTES_MAX - DUE_BYTES - SEAL_OVERHEAD_BYTES - FIXED_BYTES) / TOKEN_BYTES;
    if (o->prompt_count > ids_max || o->output_count > ids_max - o->prompt_count)
        return ERR_TOO_LARGE;
    size_t plain_len = FIXED_BYTES + (o->prompt_count + o->output_count) * TOKEN_BYTES;
    size_t value_len = DUE_BYTES + plain_len + SEAL_OVERHEAD_BYTES;
    uint8_t *plain = malloc(plain_len), *value = malloc(value_len);
    enum err e = ERR_MEMORY;
    if (plain && value) {
        struct key_seed own, ephemeral;
        struct seal_secret secret;
        struct seal_key reader;
        struct book_key due = book_key_number(until.ms);
        flatten(o, plain);
        derive(l, "keep", NULL, bytes_of(NULL, 0), &own);
        derive(l, "keep once", terms, bytes_of(plain, plain_len), &ephemeral);
        seal_key_from_seed(&own, &secret, &reader);
        memcpy(value, due.b, DUE_BYTES);
        e = seal(&reader, &ephemeral, bytes_of(terms->b, HASH_BYTES), bytes_of(plain, plain_len), value + DUE_BYTES);
        ENSURE(e == OK);                                   /* it refuses only foreign keys */
        seal_fini(&secret);
        book_wipe(&own, sizeof own);
        book_wipe(&ephemeral, sizeof ephemeral);
        book_wipe(plain, plain_len);
        e = book_finish(l, replace(l, terms, until, bytes_of(value, value_len)));
    }
    free(value);
    free(plain);
    return e;
}

static enum err unflatten(const uint8_t *p, size_t len, uint32_t *buf, size_t buf_count, struct opening *out)
{
    struct opening o;
    memcpy(o.nonce.b, p, HASH_BYTES);
    o.seed = get_le(p + HASH_BYTES, 8);
    o.prompt_count = (size_t)get_le(p + HASH_BYTES + 8, 4);
    o.output_count = (size_t)get_le(p + HASH_BYTES + 12, 4);
    size_t ids = (len - FIXED_BYTES) / TOKEN_BYTES;
    if (len % TOKEN_BYTES != 0 || o.prompt_count > ids || o.output_count != ids - o.prompt_count)
        return ERR_CORRUPT;
    if (ids > buf_count)
        return ERR_TOO_LARGE;
    for (size_t i = 0; i < ids; i++)
        buf[i] = (uint32_t)get_le(p + FIXED_BYTES + i * TOKEN_BYTES, TOKEN_BYTES);
    o.prompt = buf;
    o.output = buf + o.prompt_count;
    *out = o;
    return OK;
}

enum err ledger_opening_get(struct ledger *l, const struct hash *terms, uint32_t *buf, size_t buf_count, struct opening *out)
{
    if (!l->key)
        return ERR_STATE;
    struct book_key k = book_key_hash(terms);
    struct bytes value;
    enum err e = store_get(l->store, STORE_SECRET, book_key_view(&k), &value);
    if (e != OK)
        return e;
    if (value.len < DUE_BYTES + SEAL_OVERHEAD_BYTES + FIXED_BYTES)
        return ERR_CORRUPT;
    struct bytes sealed = bytes_of(value.data + DUE_BYTES, value.len - DUE_BYTES);
    size_t plain_len = sealed.len - SEAL_OVERHEAD_BYTES;
    uint8_t *plain = malloc(plain_len);
    if (!plain)
        return ERR_MEMORY;
    struct key_seed own;
    struct seal_secret secret;
    struct seal_key reader;
    derive(l, "keep", NULL, bytes_of(NULL, 0), &own);
    seal_key_from_seed(&own, &secret, &reader);
    e = seal_open(&secret, bytes_of(terms->b, HASH_BYTES), sealed, plain);
    e = e == OK ? unflatten(plain, plain_len, buf, buf_count, out) : ERR_CORRUPT;
    seal_fini(&secret);
    book_wipe(&own, sizeof own);
    book_wipe(plain, plain_len);
    free(plain);
    return e;
}

enum err ledger_openings_purge(struct ledger *l, struct wall now, uint32_t max, uint32_t *out_deleted)
{
    for (*out_deleted = 0; *out_deleted < max; (*out_deleted)++) {
        struct book_key first = book_key_number(0);
        struct bytes key, value;
        struct hash terms;
        enum err e = store_seek(l->store, STORE_SECRET_DUE, book_key_view(&first), &key, &value);
        if (e == ERR_NOT_FOUND || (e == OK && book_number_at(key, 0) > now.ms))
            return OK;
        if (e != OK)
            return e;
        memcpy(terms.b, key.data + DUE_BYTES, HASH_BYTES);
        struct book_key k = book_key_hash(&terms);
        e = store_get(l->store, STORE_SECRET, book_key_view(&k), &value);
        if (e == OK)
            e = forget(l, &terms, value);
        if (e != OK)
            return book_finish(l, e == ERR_NOT_FOUND ? ERR_CORRUPT : e);
    }
    return OK;
}
