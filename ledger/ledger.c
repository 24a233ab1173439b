/* ledger.c - opening the book, ending what a crash left open, and how much a requester may still owe. */
#include "ledger/book.h"

#include <string.h>

static const char owner_key[] = "owner";
enum { OWNER_FIELDS = 3, OWNER_BYTES_MAX = 64 };

struct bytes signed_body_view(const struct signed_body *b) { return bytes_of(b->buf, b->len); }

const char *credit_limit_text(enum credit_limit c)
{
    switch (c) {
    case CREDIT_OK: return "no credit limit";
    case CREDIT_REQUESTER: return "the credit limit for one requester";
    case CREDIT_NEWCOMERS: return "the credit limit for all newcomers together";
    }
    return "an unknown limit";
}

/* ---- opening ---- */

static enum err create(struct ledger *l)
{
    if (!l->key)
        return ERR_NOT_FOUND;
    uint8_t buf[OWNER_BYTES_MAX];
    struct writer w;
    struct bytes value = { 0 };
    writer_init(&w, buf, sizeof buf);
    write_array(&w, OWNER_FIELDS);
    write_uint(&w, LEDGER_VERSION);
    write_pubkey(&w, &l->self);
    write_bin(&w, bytes_of(l->net.b, NET_ID_BYTES));
    enum err e = writer_finish(&w, &value);
    ENSURE(e == OK);
    e = store_put(l->store, STORE_META, bytes_text(owner_key), value);
    struct ledger_totals none = { 0 };
    if (e == OK)
        e = book_totals_save(l, &none);
    return e == OK ? book_idle_begin(l) : e;
}

static enum err check_owner(const struct ledger *l, struct bytes value)
{
    struct pubkey owner;
    struct reader r;
    reader_init(&r, value);
    read_array(&r, OWNER_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    if (reader_ok(&r) && version != LEDGER_VERSION)
        return ERR_VERSION;
    read_pubkey(&r, &owner);
    struct bytes net = read_bin(&r, NET_ID_BYTES, NET_ID_BYTES);
    if (reader_finish(&r) != OK)
        return ERR_CORRUPT;
    if (!pubkey_equal(&owner, &l->self))
        return ERR_KEY;
    return memcmp(net.data, l->net.b, NET_ID_BYTES) == 0 ? OK : ERR_NETWORK;
}

/* The totals were written in the same transaction as the last receipt: they must know it. */
static enum err check_end(struct ledger *l)
{
    struct ledger_totals t;
    struct bytes key, value;
    enum err e = book_totals_load(l, &t);
    if (e != OK)
        return e;
    e = store_seek_before(l->store, STORE_RECEIPT, bytes_of(NULL, 0), &key, &value);
    if (e == ERR_NOT_FOUND)
        return t.receipts == 0 ? OK : ERR_CORRUPT;
    struct receipt_view last;
    struct hash running;
    if (e == OK)
        e = book_receipt_decode(key, value, &last, &running);
    if (e != OK)
        return e;
    return last.number == t.receipts && hash_equal(&running, &t.running) ? OK : ERR_CORRUPT;
}

/* Tokens are written nowhere before they are claimed: of a job that a crash ended we know only that no more than the window can
 * have left, and count that, until the requester shows what it co-signed. A shorter last claim says that there was no more. */
static enum err sent_at_most(struct ledger *l, const struct job *j, uint64_t *out)
{
    struct terms t;
    *out = 0;
    if (j->role != SIDE_PROVIDER)
        return OK;
    enum err e = book_terms_load(l, &j->terms, &t);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    uint64_t most = j->tokens.out % CLAIM_TOKENS ? j->tokens.out : j->tokens.out + t.window_tokens;
    *out = most < t.output_max ? most : t.output_max;
    return OK;
}

/* Jobs that were open when the process died are over: their engine runs, links and one-time keys are gone. */
static enum err end_open_jobs(struct ledger *l, struct wall now, struct ledger_recovery *out)
{
    for (;;) {
        struct book_key from = book_key_number(0);
        struct bytes key, value;
        enum err e = store_seek(l->store, STORE_JOB_OPEN, book_key_view(&from), &key, &value);
        if (e == ERR_NOT_FOUND)
            return OK;
        if (e != OK)
            return e;
        if (value.len != HASH_BYTES)
            return ERR_CORRUPT;
        struct hash terms;
        memcpy(terms.b, value.data, HASH_BYTES);
        struct job j;
        e = book_job_load(l, &terms, &j);
        if (e != OK)
            return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
        uint64_t sent;
        e = sent_at_most(l, &j, &sent);
        if (e == OK)
            e = ledger_delivery_end(l, &terms, sent, j.has_claim ? OUTCOME_PARTIAL : OUTCOME_FAILED, j.role, REASON_RESTART, now);
        if (e != OK)
            return e;
        out->jobs_ended++;
        out->receipts_due += j.role == SIDE_PROVIDER && j.has_claim && hash_is_zero(&j.receipt);
    }
}

enum err ledger_open(struct ledger *l, struct store *store, const struct secret_key *key, const struct pubkey *self,
                     const struct net_id *net, struct wall now, struct ledger_recovery *out)
{
    *l = (struct ledger){ .store = store, .key = key, .self = *self, .net = *net };
    *out = (struct ledger_recovery){ 0 };
    struct bytes owner;
    enum err e = store_get(store, STORE_META, bytes_text(owner_key), &owner);
    if (e == ERR_NOT_FOUND)
        return create(l);
    if (e == OK)
        e = check_owner(l, owner);
    if (e == OK)
        e = check_end(l);
    if (e != OK || !key)
        return e;
    struct book_idle idle;
    e = book_idle_load(l, &idle);
    if (e == ERR_NOT_FOUND)
        e = book_idle_begin(l);
    return e == OK ? end_open_jobs(l, now, out) : e;
}

/* ---- credit ---- */

enum err ledger_credit_check(struct ledger *l, const struct pubkey *requester, struct pico cost,
                             const struct credit_limits *limits, enum credit_limit *out)
{
    struct account a;
    struct ledger_totals t;
    struct pico one, all;
    *out = CREDIT_OK;
    enum err e = ledger_frozen_check(l, requester);
    if (e == OK)
        e = book_account_load(l, requester, &a);
    if (e == OK)
        e = book_totals_load(l, &t);
    if (e != OK)
        return e;
    if (book_exposure(&a, &one) != OK || amount_add(one, cost, &one) != OK || one.v > limits->per_requester.v) {
        *out = CREDIT_REQUESTER;
        return ERR_CREDIT;
    }
    if (book_is_newcomer(&a) && (amount_add(t.newcomers, cost, &all) != OK || all.v > limits->newcomers.v)) {
        *out = CREDIT_NEWCOMERS;
        return ERR_CREDIT;
    }
    return OK;
}

static uint64_t rest(uint64_t limit, uint64_t used) { return used < limit ? limit - used : 0; }

enum err ledger_credit_left(struct ledger *l, const struct pubkey *requester, const struct credit_limits *limits,
                            struct pico *out)
{
    struct account a;
    struct ledger_totals t;
    struct pico used;
    enum err e = book_account_load(l, requester, &a);
    if (e == OK)
        e = book_totals_load(l, &t);
    if (e == OK)
        e = book_exposure(&a, &used);
    if (e != OK)
        return e;
    uint64_t left = rest(limits->per_requester.v, used.v), all = rest(limits->newcomers.v, t.newcomers.v);
    out->v = book_is_newcomer(&a) && all < left ? all : left;
    return OK;
}
