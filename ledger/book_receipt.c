/* book_receipt.c - the append-only primary: a complete receipt joins it with everything that must agree with it. */
#include "ledger/book.h"

#include <string.h>

enum { RECEIPT_RECORD_FIELDS = 7 };

static void write_contents(struct writer *w, const struct receipt_view *v)
{
    write_uint(w, v->role);
    write_pubkey(w, &v->peer);
    write_uint(w, v->stored.ms);
    write_bin(w, v->body);
    write_sig(w, &v->requester_sig);
    write_sig(w, &v->provider_sig);
}

/* LMDB 0.9 has no page checksums: this chain is how a damaged or exchanged record is seen. */
struct hash book_running(const struct hash *before, const struct receipt_view *v)
{
    uint8_t buf[BOOK_RECORD_BYTES_MAX];
    struct writer w;
    struct bytes contents = { 0 };
    writer_init(&w, buf, sizeof buf);
    write_contents(&w, v);
    enum err e = writer_finish(&w, &contents);
    ENSURE(e == OK);
    struct hasher h;
    hasher_init(&h, "book");
    hasher_add_hash(&h, before);
    hasher_add_u64(&h, v->number);
    hasher_add(&h, contents);
    struct hash out;
    hasher_finish(&h, &out);
    return out;
}

enum err book_receipt_decode(struct bytes key, struct bytes value, struct receipt_view *out, struct hash *out_running)
{
    if (key.len != 8)
        return ERR_CORRUPT;
    struct receipt_view v;
    struct reader r;
    reader_init(&r, value);
    read_array(&r, RECEIPT_RECORD_FIELDS);
    v.number = book_number_at(key, 0);
    v.role = (enum side)read_uint(&r, SIDE_PROVIDER);
    read_pubkey(&r, &v.peer);
    v.stored.ms = read_uint(&r, UINT64_MAX);
    v.body = read_bin(&r, 1, RECEIPT_BODY_BYTES_MAX);
    read_sig(&r, &v.requester_sig);
    read_sig(&r, &v.provider_sig);
    read_hash(&r, out_running);
    if (reader_finish(&r) != OK || v.role == SIDE_NONE || receipt_decode(v.body, &v.receipt) != OK)
        return ERR_CORRUPT;
    v.id = receipt_id(v.body);
    *out = v;
    return OK;
}

static enum err put_primary(struct ledger *l, const struct receipt_view *v, const struct hash *running)
{
    uint8_t buf[BOOK_RECORD_BYTES_MAX];
    struct writer w;
    struct bytes value = { 0 };
    writer_init(&w, buf, sizeof buf);
    write_array(&w, RECEIPT_RECORD_FIELDS);
    write_contents(&w, v);
    write_hash(&w, running);
    enum err e = writer_finish(&w, &value);
    ENSURE(e == OK);
    struct book_key k = book_key_number(v->number);
    return store_put(l->store, STORE_RECEIPT, book_key_view(&k), value);
}

static enum err put_indexes(struct ledger *l, const struct receipt_view *v)
{
    struct book_key id = book_key_hash(&v->id), seq = book_key_channel_seq(v->role, &v->peer, v->receipt.seq);
    enum err e = book_put_number(l, STORE_RECEIPT_ID, &id, v->number);
    return e == OK ? book_put_number(l, STORE_CHANNEL_SEQ, &seq, v->number) : e;
}

/* The number is given, the running hash grows, the record stands. */
static enum err number_and_put(struct ledger *l, struct receipt_view *v)
{
    struct ledger_totals t;
    enum err e = book_totals_load(l, &t);
    if (e != OK)
        return e;
    v->number = ++t.receipts;
    t.running = book_running(&t.running, v);
    e = put_primary(l, v, &t.running);
    if (e == OK)
        e = put_indexes(l, v);
    return e == OK ? book_totals_save(l, &t) : e;
}

static enum err post(struct ledger *l, const struct channel *c, const struct receipt *r)
{
    struct account before, after;
    enum err e = book_account_load(l, &c->peer, &before);
    if (e != OK)
        return e;
    after = before;
    if (c->role == SIDE_PROVIDER) {
        e = amount_add(before.earned, r->cost, &after.earned);
        after.receipts_earned++;
    } else {
        e = amount_add(before.spent, r->cost, &after.spent);
        after.receipts_spent++;
    }
    return e == OK ? book_account_save(l, &before, &after) : e;
}

/* Invariants 3 and 6 where they change: read back what was written, from each place that says it. */
static enum err assert_posted(struct ledger *l, const struct channel *c, struct bytes body)
{
    struct account a;
    struct channel stored;
    struct receipt_view v;
    enum err e = book_account_load(l, &c->peer, &a);
    if (e == OK)
        e = book_channel_load(l, c->role, &c->peer, &stored);
    if (e == OK)
        e = ledger_receipt_at(l, c->role, &c->peer, c->seq, &v);
    if (e != OK)
        return e;
    ENSURE(bytes_equal(v.body, body));
    ENSURE(stored.seq == c->seq && hash_equal(&stored.head, &v.id));
    ENSURE((c->role == SIDE_PROVIDER ? a.earned.v : a.spent.v) == stored.owed.v);
    ENSURE((c->role == SIDE_PROVIDER ? a.receipts_earned : a.receipts_spent) == stored.seq);
    return OK;
}

/* The claims that led to this receipt have done their work; the one it rests on stays as its proof. */
static enum err drop_claims(struct ledger *l, const struct hash *terms, uint64_t keep)
{
    for (struct book_key from = book_key_hash_number(terms, 0);;) {
        struct bytes key, value;
        enum err e = store_seek(l->store, STORE_CLAIM, book_key_view(&from), &key, &value);
        if (e == ERR_NOT_FOUND || (e == OK && (key.len != HASH_BYTES + 8 || memcmp(key.data, terms->b, HASH_BYTES) != 0)))
            return OK;
        if (e != OK)
            return e;
        uint64_t index = book_number_at(key, HASH_BYTES);
        from = book_key_hash_number(terms, index);
        if (index != keep)
            e = store_del(l->store, STORE_CLAIM, book_key_view(&from));
        if (e != OK)
            return e;
        from = book_key_after(&from);
    }
}

static enum err close_job(struct ledger *l, struct job *j, const struct receipt *r, const struct hash *id)
{
    uint64_t index = r->tokens.out / CLAIM_TOKENS + (r->tokens.out % CLAIM_TOKENS != 0);
    enum err e = drop_claims(l, &j->terms, index);
    if (e == OK)
        e = book_unsigned_paid(l, j, r->cost);
    if (e != OK)
        return e;
    j->has_claim = true;
    j->claim_index = index;
    j->tokens = r->tokens;
    j->cost = r->cost;
    j->receipt = *id;
    e = book_job_settle(l, j);
    return e == OK ? book_job_save(l, j) : e;
}

static enum err append_rest(struct ledger *l, const struct channel *c, struct receipt_view *v, struct job *j)
{
    enum err e = number_and_put(l, v);
    if (e == OK)
        e = book_channel_save(l, c);
    if (e == OK && j)
        e = close_job(l, j, &v->receipt, &v->id);
    return e == OK ? assert_posted(l, c, v->body) : e;
}

enum err book_receipt_append(struct ledger *l, struct channel *c, const struct receipt *r, const struct book_signed *s,
                             struct job *j, struct wall now)
{
    enum err e = book_channel_link(c, r);
    ENSURE(e == OK);
    struct receipt_view v = {
        .id = receipt_id(s->body), .role = c->role, .peer = c->peer, .receipt = *r, .body = s->body,
        .requester_sig = s->requester_sig, .provider_sig = s->provider_sig, .stored = now,
    };
    e = post(l, c, r);
    if (e != OK)
        return e;
    c->seq = r->seq;
    c->head = v.id;
    c->owed = r->owed;
    c->settled = r->settled;
    c->half_len = 0;
    return book_finish(l, append_rest(l, c, &v, j));
}
