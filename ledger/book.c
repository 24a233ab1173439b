/* book.c - the ledger's records: one load and one save each, and the sums that must move together. */
#include "ledger/book.h"

#include <string.h>

static const char totals_key[] = "totals";

enum { TOTALS_FIELDS = 10, JOB_FIELDS = 19, CHANNEL_FIELDS = 5, ACCOUNT_FIELDS = 8, SIGNED_FIELDS = 3 };

struct record {
    uint8_t buf[BOOK_RECORD_BYTES_MAX];
    struct writer w;
};

static struct writer *record_init(struct record *r, uint32_t fields)
{
    writer_init(&r->w, r->buf, sizeof r->buf);
    write_array(&r->w, fields);
    return &r->w;
}

/* Our own records fit by construction: BOOK_RECORD_BYTES_MAX covers the largest. */
static enum err record_put(struct ledger *l, enum store_table t, struct bytes key, const struct record *r)
{
    struct bytes value = { 0 };
    enum err e = writer_finish(&r->w, &value);
    ENSURE(e == OK);
    return store_put(l->store, t, key, value);
}

/* The store's bytes are not the network's: whatever is wrong with them, they are damaged. */
static enum err record_finish(const struct reader *r) { return reader_finish(r) == OK ? OK : ERR_CORRUPT; }

static void write_pico(struct writer *w, struct pico p) { write_uint(w, p.v); }
static struct pico read_pico(struct reader *r) { return (struct pico){ read_uint(r, UINT64_MAX) }; }

enum err book_finish(struct ledger *l, enum err e)
{
    if (e != OK)
        store_fail(l->store, e);
    return e;
}

/* ---- totals ---- */

enum err book_totals_load(struct ledger *l, struct ledger_totals *out)
{
    struct bytes v;
    enum err e = store_get(l->store, STORE_META, bytes_text(totals_key), &v);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    struct ledger_totals t;
    struct reader r;
    reader_init(&r, v);
    read_array(&r, TOTALS_FIELDS);
    t.earned = read_pico(&r);
    t.earned_settled = read_pico(&r);
    t.earned_pending = read_pico(&r);
    t.spent = read_pico(&r);
    t.spent_settled = read_pico(&r);
    t.spent_pending = read_pico(&r);
    t.newcomers = read_pico(&r);
    t.receipts = read_uint(&r, UINT64_MAX);
    t.jobs = read_uint(&r, UINT64_MAX);
    read_hash(&r, &t.running);
    e = record_finish(&r);
    if (e == OK)
        *out = t;
    return e;
}

enum err book_totals_save(struct ledger *l, const struct ledger_totals *t)
{
    struct record rec;
    struct writer *w = record_init(&rec, TOTALS_FIELDS);
    write_pico(w, t->earned);
    write_pico(w, t->earned_settled);
    write_pico(w, t->earned_pending);
    write_pico(w, t->spent);
    write_pico(w, t->spent_settled);
    write_pico(w, t->spent_pending);
    write_pico(w, t->newcomers);
    write_uint(w, t->receipts);
    write_uint(w, t->jobs);
    write_hash(w, &t->running);
    return record_put(l, STORE_META, bytes_text(totals_key), &rec);
}

/* ---- jobs ---- */

enum err book_job_save(struct ledger *l, const struct job *j)
{
    struct record rec;
    struct writer *w = record_init(&rec, JOB_FIELDS);
    write_uint(w, j->number);
    write_bin(w, bytes_of(j->id.b, TERMS_JOB_BYTES));
    write_uint(w, j->role);
    write_pubkey(w, &j->peer);
    write_uint(w, j->stage);
    write_hash(w, &j->model);
    write_text(w, j->model_label);
    write_pico(w, j->reserved);
    write_uint(w, j->has_claim ? j->claim_index + 1 : 0);
    write_uint(w, j->tokens.in);
    write_uint(w, j->tokens.cached);
    write_uint(w, j->tokens.out);
    write_pico(w, j->cost);
    write_uint(w, j->output_offset);
    write_hash(w, &j->parent);
    write_uint(w, (uint64_t)j->outcome << 16 | (uint64_t)j->fault << 8 | (uint64_t)j->reason);
    write_hash(w, &j->receipt);
    write_uint(w, j->began.ms);
    write_uint(w, j->ended.ms);
    struct book_key k = book_key_hash(&j->terms);
    return record_put(l, STORE_JOB, book_key_view(&k), &rec);
}

static void read_ending(struct reader *r, struct job *j)
{
    uint64_t v = read_uint(r, (uint64_t)OUTCOME_COUNT << 16);
    j->outcome = (enum outcome)(v >> 16);
    j->fault = (enum side)(v >> 8 & 0xff);
    j->reason = (enum reason)(v & 0xff);
    if (reader_ok(r) && (j->outcome >= OUTCOME_COUNT || j->fault > SIDE_PROVIDER || j->reason >= REASON_COUNT))
        r->failed = ERR_CORRUPT;
}

static enum err job_decode(struct bytes value, struct job *out)
{
    struct job j = { 0 };
    struct reader r;
    reader_init(&r, value);
    read_array(&r, JOB_FIELDS);
    j.number = read_uint(&r, UINT64_MAX);
    struct bytes id = read_bin(&r, TERMS_JOB_BYTES, TERMS_JOB_BYTES);
    if (id.len)
        memcpy(j.id.b, id.data, id.len);
    j.role = (enum side)read_uint(&r, SIDE_PROVIDER);
    read_pubkey(&r, &j.peer);
    j.stage = (enum job_stage)read_uint(&r, JOB_CLOSED);
    read_hash(&r, &j.model);
    read_text(&r, j.model_label, sizeof j.model_label);
    j.reserved = read_pico(&r);
    uint64_t claims = read_uint(&r, UINT64_MAX);
    j.has_claim = claims > 0;
    j.claim_index = claims > 0 ? claims - 1 : 0;
    j.tokens.in = read_uint(&r, UINT64_MAX);
    j.tokens.cached = read_uint(&r, UINT64_MAX);
    j.tokens.out = read_uint(&r, UINT64_MAX);
    j.cost = read_pico(&r);
    j.output_offset = read_uint(&r, UINT64_MAX);
    read_hash(&r, &j.parent);
    read_ending(&r, &j);
    read_hash(&r, &j.receipt);
    j.began.ms = read_uint(&r, UINT64_MAX);
    j.ended.ms = read_uint(&r, UINT64_MAX);
    enum err e = record_finish(&r);
    if (e == OK && (j.role == SIDE_NONE || j.stage < JOB_OFFERED))
        e = ERR_CORRUPT;
    if (e == OK)
        *out = j;
    return e;
}

enum err book_job_load(struct ledger *l, const struct hash *terms, struct job *out)
{
    struct book_key k = book_key_hash(terms);
    struct bytes v;
    enum err e = store_get(l->store, STORE_JOB, book_key_view(&k), &v);
    if (e == OK)
        e = job_decode(v, out);
    if (e == OK)
        out->terms = *terms;
    return e;
}

/* ---- channels ---- */

enum err book_channel_load(struct ledger *l, enum side role, const struct pubkey *peer, struct channel *out)
{
    struct channel c = { .role = role, .peer = *peer };
    struct book_key k = book_key_channel(role, peer);
    struct bytes v;
    enum err e = store_get(l->store, STORE_CHANNEL, book_key_view(&k), &v);
    if (e == ERR_NOT_FOUND) {
        *out = c;
        return OK;
    }
    if (e != OK)
        return e;
    struct reader r;
    reader_init(&r, v);
    read_array(&r, CHANNEL_FIELDS);
    c.seq = read_uint(&r, UINT64_MAX);
    read_hash(&r, &c.head);
    c.owed = read_pico(&r);
    c.settled = read_pico(&r);
    struct bytes half = read_bin(&r, 0, RECEIPT_BODY_BYTES_MAX);
    if (half.len)
        memcpy(c.half, half.data, half.len);
    c.half_len = half.len;
    e = record_finish(&r);
    if (e == OK)
        *out = c;
    return e;
}

enum err book_channel_save(struct ledger *l, const struct channel *c)
{
    ENSURE(c->settled.v <= c->owed.v);
    struct record rec;
    struct writer *w = record_init(&rec, CHANNEL_FIELDS);
    write_uint(w, c->seq);
    write_hash(w, &c->head);
    write_pico(w, c->owed);
    write_pico(w, c->settled);
    write_bin(w, bytes_of(c->half, c->half_len));
    struct book_key k = book_key_channel(c->role, &c->peer);
    return record_put(l, STORE_CHANNEL, book_key_view(&k), &rec);
}

struct hash book_channel_id(const struct ledger *l, enum side role, const struct pubkey *peer)
{
    ENSURE(role != SIDE_NONE);
    return role == SIDE_REQUESTER ? receipt_channel(&l->self, peer) : receipt_channel(peer, &l->self);
}

enum err book_channel_link(const struct channel *c, const struct receipt *r)
{
    struct receipt head = { .seq = c->seq, .channel = r->channel, .owed = c->owed, .settled = c->settled };
    return receipt_check_link(r, c->seq ? &head : NULL, c->seq ? &c->head : NULL);
}

/* ---- accounts ---- */

enum err book_account_decode(struct bytes key, struct bytes value, struct account *out)
{
    if (key.len != PUBKEY_BYTES)
        return ERR_CORRUPT;
    struct account a;
    memcpy(a.peer.b, key.data, PUBKEY_BYTES);
    struct reader r;
    reader_init(&r, value);
    read_array(&r, ACCOUNT_FIELDS);
    a.earned = read_pico(&r);
    a.earned_settled = read_pico(&r);
    a.earned_pending = read_pico(&r);
    a.spent = read_pico(&r);
    a.spent_settled = read_pico(&r);
    a.spent_pending = read_pico(&r);
    a.receipts_earned = read_uint(&r, UINT64_MAX);
    a.receipts_spent = read_uint(&r, UINT64_MAX);
    enum err e = record_finish(&r);
    if (e == OK && (a.earned_settled.v > a.earned.v || a.spent_settled.v > a.spent.v))
        e = ERR_CORRUPT;
    if (e == OK)
        *out = a;
    return e;
}

enum err book_account_load(struct ledger *l, const struct pubkey *peer, struct account *out)
{
    struct book_key k = book_key_peer(peer);
    struct bytes v;
    enum err e = store_get(l->store, STORE_ACCOUNT, book_key_view(&k), &v);
    if (e == ERR_NOT_FOUND) {
        *out = (struct account){ .peer = *peer };
        return OK;
    }
    return e == OK ? book_account_decode(book_key_view(&k), v, out) : e;
}

bool book_is_newcomer(const struct account *a) { return a->receipts_earned < NEWCOMER_RECEIPTS; }

enum err book_exposure(const struct account *a, struct pico *out)
{
    struct pico open;
    enum err e = amount_sub(a->earned, a->earned_settled, &open);
    return e == OK ? amount_add(open, a->earned_pending, out) : e;
}

/* total += after - before, which may be negative; the total covers `before`, or the book is damaged. */
static enum err shift(struct pico *total, struct pico before, struct pico after)
{
    struct pico rest;
    if (amount_sub(*total, before, &rest) != OK)
        return ERR_CORRUPT;
    return amount_add(rest, after, total);
}

static enum err newcomer_exposure(const struct account *a, struct pico *out)
{
    *out = (struct pico){ 0 };
    return book_is_newcomer(a) ? book_exposure(a, out) : OK;
}

static enum err shift_all(struct ledger_totals *t, const struct account *before, const struct account *after)
{
    struct pico new_before, new_after;
    enum err e = newcomer_exposure(before, &new_before);
    if (e == OK)
        e = newcomer_exposure(after, &new_after);
    if (e == OK)
        e = shift(&t->newcomers, new_before, new_after);
    if (e == OK)
        e = shift(&t->earned, before->earned, after->earned);
    if (e == OK)
        e = shift(&t->earned_settled, before->earned_settled, after->earned_settled);
    if (e == OK)
        e = shift(&t->earned_pending, before->earned_pending, after->earned_pending);
    if (e == OK)
        e = shift(&t->spent, before->spent, after->spent);
    if (e == OK)
        e = shift(&t->spent_settled, before->spent_settled, after->spent_settled);
    if (e == OK)
        e = shift(&t->spent_pending, before->spent_pending, after->spent_pending);
    return e;
}

static enum err account_write(struct ledger *l, const struct account *a)
{
    struct record rec;
    struct writer *w = record_init(&rec, ACCOUNT_FIELDS);
    write_pico(w, a->earned);
    write_pico(w, a->earned_settled);
    write_pico(w, a->earned_pending);
    write_pico(w, a->spent);
    write_pico(w, a->spent_settled);
    write_pico(w, a->spent_pending);
    write_uint(w, a->receipts_earned);
    write_uint(w, a->receipts_spent);
    struct book_key k = book_key_peer(&a->peer);
    return record_put(l, STORE_ACCOUNT, book_key_view(&k), &rec);
}

enum err book_account_save(struct ledger *l, const struct account *before, const struct account *after)
{
    ENSURE(pubkey_equal(&before->peer, &after->peer));
    ENSURE(after->earned.v >= before->earned.v && after->spent.v >= before->spent.v);    /* debts are settled, not shrunk */
    struct ledger_totals t;
    enum err e = book_totals_load(l, &t);
    if (e == OK)
        e = shift_all(&t, before, after);
    if (e == OK)
        e = account_write(l, after);
    return e == OK ? book_totals_save(l, &t) : e;
}

enum err book_reserve(struct ledger *l, struct job *j, struct pico reserved)
{
    struct account before, after;
    enum err e = book_account_load(l, &j->peer, &before);
    if (e != OK || j->reserved.v == reserved.v)
        return e;
    after = before;
    e = shift(j->role == SIDE_PROVIDER ? &after.earned_pending : &after.spent_pending, j->reserved, reserved);
    if (e == OK)
        e = book_account_save(l, &before, &after);
    if (e == OK)
        j->reserved = reserved;
    return e;
}

/* ---- bodies with two signatures ---- */

enum err book_signed_put(struct ledger *l, enum store_table t, const struct book_key *k, const struct book_signed *s)
{
    struct record rec;
    struct writer *w = record_init(&rec, SIGNED_FIELDS);
    write_bin(w, s->body);
    write_sig(w, &s->requester_sig);
    write_sig(w, &s->provider_sig);
    return record_put(l, t, book_key_view(k), &rec);
}

enum err book_signed_get(struct ledger *l, enum store_table t, const struct book_key *k, struct book_signed *out)
{
    struct bytes v;
    enum err e = store_get(l->store, t, book_key_view(k), &v);
    if (e != OK)
        return e;
    struct book_signed s;
    struct reader r;
    reader_init(&r, v);
    read_array(&r, SIGNED_FIELDS);
    s.body = read_bin(&r, 0, BOOK_RECORD_BYTES_MAX);
    read_sig(&r, &s.requester_sig);
    read_sig(&r, &s.provider_sig);
    e = record_finish(&r);
    if (e == OK)
        *out = s;
    return e;
}

bool book_sig_is_absent(const struct sig *s)
{
    for (size_t i = 0; i < SIG_BYTES; i++)
        if (s->b[i])
            return false;
    return true;
}

enum err book_terms_load(struct ledger *l, const struct hash *terms, struct terms *out)
{
    struct book_key k = book_key_hash(terms);
    struct book_signed s;
    enum err e = book_signed_get(l, STORE_TERMS, &k, &s);
    if (e != OK)
        return e;
    struct hash h = terms_hash(s.body);
    return hash_equal(&h, terms) && terms_decode(s.body, out) == OK ? OK : ERR_CORRUPT;
}

enum err book_claim_load(struct ledger *l, const struct hash *terms, uint64_t index, struct claim *out)
{
    struct book_key k = book_key_hash_number(terms, index);
    struct book_signed s;
    enum err e = book_signed_get(l, STORE_CLAIM, &k, &s);
    if (e != OK)
        return e;
    return claim_decode(s.body, out) == OK ? OK : ERR_CORRUPT;
}
