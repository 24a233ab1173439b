/* ledger_read.c - looking into the book without changing it: wallet, status, the agent's own questions. */
#include "ledger/book.h"

#include <string.h>

/* ---- receipts ---- */

enum err ledger_receipt_next(struct ledger *l, uint64_t *cursor, struct receipt_view *out)
{
    struct book_key before = book_key_number(*cursor);
    struct bytes key, value;
    struct hash running;
    enum err e = store_seek_before(l->store, STORE_RECEIPT, book_key_view(&before), &key, &value);
    if (e == OK)
        e = book_receipt_decode(key, value, out, &running);
    if (e == OK)
        *cursor = out->number;
    return e;
}

static enum err receipt_by_number(struct ledger *l, uint64_t number, struct receipt_view *out)
{
    struct book_key k = book_key_number(number);
    struct bytes value;
    struct hash running;
    enum err e = store_get(l->store, STORE_RECEIPT, book_key_view(&k), &value);
    if (e == OK)
        e = book_receipt_decode(book_key_view(&k), value, out, &running);
    return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;           /* only ever asked for numbers that an index names */
}

enum err ledger_receipt_find(struct ledger *l, const struct hash *id, struct receipt_view *out)
{
    struct book_key k = book_key_hash(id);
    uint64_t number;
    enum err e = book_get_number(l, STORE_RECEIPT_ID, &k, &number);
    return e == OK ? receipt_by_number(l, number, out) : e;
}

enum err ledger_receipt_at(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, struct receipt_view *out)
{
    struct book_key k = book_key_channel_seq(role, peer, seq);
    uint64_t number;
    enum err e = book_get_number(l, STORE_CHANNEL_SEQ, &k, &number);
    return e == OK ? receipt_by_number(l, number, out) : e;
}

enum { PREFIX_CHARS_MIN = 4 };

static bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/* The smallest id that begins with these digits. */
static enum err first_with(const char *prefix, size_t *out_len, struct hash *out)
{
    char full[HASH_HEX_CHARS + 1];
    size_t len = strlen(prefix);
    if (len < PREFIX_CHARS_MIN || len > HASH_HEX_CHARS)
        return ERR_FORMAT;
    for (size_t i = 0; i < len; i++)
        if (!is_hex(prefix[i]))
            return ERR_FORMAT;
    memset(full, '0', HASH_HEX_CHARS);
    memcpy(full, prefix, len);
    full[HASH_HEX_CHARS] = '\0';
    *out_len = len;
    return hash_parse(full, out);
}

static bool begins_with(struct bytes id, const struct hash *first, size_t digits)
{
    if (id.len != HASH_BYTES || memcmp(id.data, first->b, digits / 2) != 0)
        return false;
    return digits % 2 == 0 || id.data[digits / 2] >> 4 == first->b[digits / 2] >> 4;
}

/* In a table whose keys are hashes. */
static enum err lookup(struct ledger *l, enum store_table table, const char *hex_prefix, struct hash *out)
{
    struct hash first, found;
    size_t digits;
    struct bytes key, value;
    enum err e = first_with(hex_prefix, &digits, &first);
    if (e != OK)
        return e;
    struct book_key k = book_key_hash(&first);
    e = store_seek(l->store, table, book_key_view(&k), &key, &value);
    if (e != OK)
        return e;
    if (!begins_with(key, &first, digits))
        return ERR_NOT_FOUND;
    memcpy(found.b, key.data, HASH_BYTES);
    k = book_key_hash(&found);
    k = book_key_after(&k);
    e = store_seek(l->store, table, book_key_view(&k), &key, &value);
    if (e == OK && begins_with(key, &first, digits))
        return ERR_EXISTS;
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    *out = found;
    return OK;
}

enum err ledger_receipt_lookup(struct ledger *l, const char *hex_prefix, struct hash *out)
{
    return lookup(l, STORE_RECEIPT_ID, hex_prefix, out);
}

enum err ledger_job_lookup(struct ledger *l, const char *hex_prefix, struct hash *out)
{
    return lookup(l, STORE_JOB, hex_prefix, out);
}

/* ---- jobs ---- */

static enum err job_named_by(struct ledger *l, struct bytes value, struct job *out)
{
    struct hash terms;
    if (value.len != HASH_BYTES)
        return ERR_CORRUPT;
    memcpy(terms.b, value.data, HASH_BYTES);
    enum err e = book_job_load(l, &terms, out);
    return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
}

enum err ledger_job_next(struct ledger *l, uint64_t *cursor, struct job *out)
{
    struct book_key before = book_key_number(*cursor);
    struct bytes key, value;
    enum err e = store_seek_before(l->store, STORE_JOB_NUMBER, book_key_view(&before), &key, &value);
    if (e == OK)
        e = job_named_by(l, value, out);
    if (e == OK && out->number >= *cursor)
        e = ERR_CORRUPT;                                   /* a damaged number: a walk that goes back never ends */
    if (e == OK)
        *cursor = out->number;
    return e;
}

enum err ledger_job_find(struct ledger *l, const struct hash *terms, struct job *out) { return book_job_load(l, terms, out); }

enum err ledger_job_of_id(struct ledger *l, const struct job_id *id, uint64_t *cursor, struct job *out)
{
    struct book_key at = book_key_job_id(id, *cursor), from = book_key_after(&at);
    struct bytes key, value;
    enum err e = store_seek(l->store, STORE_JOB_ID, book_key_view(&from), &key, &value);
    if (e != OK)
        return e;
    if (key.len != TERMS_JOB_BYTES + 8 || memcmp(key.data, id->b, TERMS_JOB_BYTES) != 0)
        return ERR_NOT_FOUND;
    e = job_named_by(l, value, out);
    if (e == OK && out->number <= *cursor)
        e = ERR_CORRUPT;
    if (e == OK)
        *cursor = out->number;
    return e;
}

/* ---- notes ---- */

enum err ledger_note_find(struct ledger *l, const struct hash *terms, enum side by, struct note *out)
{
    struct book_key k = book_key_hash_side(terms, by);
    struct book_signed s;
    enum err e = book_signed_get(l, STORE_NOTE, &k, &s);
    if (e != OK)
        return e;
    return note_decode(s.body, out) == OK ? OK : ERR_CORRUPT;
}

enum err ledger_note_own(struct ledger *l, const struct hash *terms, struct signed_body *out)
{
    struct job j;
    struct book_signed s;
    enum err e = book_job_load(l, terms, &j);
    if (e != OK)
        return e;
    struct book_key k = book_key_hash_side(terms, j.role);
    e = book_signed_get(l, STORE_NOTE, &k, &s);
    if (e != OK)
        return e;
    if (s.body.len > NOTE_BYTES_MAX)
        return ERR_CORRUPT;
    memcpy(out->buf, s.body.data, s.body.len);
    out->len = s.body.len;
    out->sig = j.role == SIDE_REQUESTER ? s.requester_sig : s.provider_sig;
    return OK;
}

/* ---- sums ---- */

enum err ledger_account(struct ledger *l, const struct pubkey *peer, struct account *out)
{
    return book_account_load(l, peer, out);
}

enum err ledger_account_next(struct ledger *l, struct pubkey *cursor, struct account *out)
{
    struct book_key at = book_key_peer(cursor), from = book_key_after(&at);
    struct bytes key, value;
    enum err e = store_seek(l->store, STORE_ACCOUNT, book_key_view(&from), &key, &value);
    if (e == OK)
        e = book_account_decode(key, value, out);
    if (e == OK)
        *cursor = out->peer;
    return e;
}

enum err ledger_totals(struct ledger *l, struct ledger_totals *out) { return book_totals_load(l, out); }

/* ---- claims ---- */

enum err ledger_claim_at(struct ledger *l, const struct hash *terms, uint64_t index, struct claim *out, bool *has_digest,
                         struct hash *digest, struct sig *requester_sig, struct sig *provider_sig)
{
    struct book_key k = book_key_hash_number(terms, index);
    struct book_signed s;
    struct claim c;
    enum err e = book_signed_get(l, STORE_CLAIM, &k, &s);
    if (e == OK && claim_decode(s.body, &c) != OK)
        e = ERR_CORRUPT;
    if (e != OK)
        return e;
    *requester_sig = s.requester_sig;
    *provider_sig = s.provider_sig;
    *out = c;
    *has_digest = index > 0;
    if (index == 0)
        return OK;
    k = book_key_hash_number(terms, index - 1);
    e = book_get_hash(l, STORE_DIGEST, &k, digest);
    return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
}
