/* ledger_check.c - reads the whole book and believes nothing: numbers, links, signatures, sums (ledger.h, invariants 1 to 8). */
#include "ledger/book.h"

#include <stdio.h>
#include <string.h>

struct sums {                                              /* recomputed, to be compared with the stored totals */
    struct ledger_totals t;
    uint64_t idle, with_unsigned;                          /* jobs */
};

static enum err blame(char why[160], const char *what, uint64_t number)
{
    snprintf(why, 160, "%s (number %llu)", what, (unsigned long long)number);
    return ERR_CORRUPT;
}

/* ---- receipts ---- */

static enum err check_signatures(struct ledger *l, const struct receipt_view *v, char why[160])
{
    const struct pubkey *requester = v->role == SIDE_REQUESTER ? &l->self : &v->peer;
    const struct pubkey *provider = v->role == SIDE_REQUESTER ? &v->peer : &l->self;
    if (receipt_verify(&v->receipt, requester, SIDE_REQUESTER, v->body, &v->requester_sig) != OK)
        return blame(why, "receipt without the requester's signature", v->number);
    if (receipt_verify(&v->receipt, provider, SIDE_PROVIDER, v->body, &v->provider_sig) != OK)
        return blame(why, "receipt without the provider's signature", v->number);
    return OK;
}

static enum err check_indexes(struct ledger *l, const struct receipt_view *v, char why[160])
{
    struct book_key id = book_key_hash(&v->id), seq = book_key_channel_seq(v->role, &v->peer, v->receipt.seq);
    uint64_t by_id = 0, by_seq = 0;
    if (book_get_number(l, STORE_RECEIPT_ID, &id, &by_id) != OK || by_id != v->number)
        return blame(why, "receipt missing in the index by id", v->number);
    if (book_get_number(l, STORE_CHANNEL_SEQ, &seq, &by_seq) != OK || by_seq != v->number)
        return blame(why, "receipt missing in the index by channel", v->number);
    return OK;
}

static enum err check_link(struct ledger *l, const struct receipt_view *v, char why[160])
{
    struct hash channel = book_channel_id(l, v->role, &v->peer);
    if (!hash_equal(&v->receipt.channel, &channel) || !net_id_equal(&v->receipt.net, &l->net))
        return blame(why, "receipt of another channel or network", v->number);
    struct receipt_view before;
    bool first = v->receipt.seq == 1;
    if (!first && ledger_receipt_at(l, v->role, &v->peer, v->receipt.seq - 1, &before) != OK)
        return blame(why, "receipt whose predecessor is missing", v->number);
    if (receipt_check_link(&v->receipt, first ? NULL : &before.receipt, first ? NULL : &before.id) != OK)
        return blame(why, "receipt that does not follow from its predecessor", v->number);
    return OK;
}

/* Only where the job is known: an adopted receipt may stand alone. */
static enum err check_job(struct ledger *l, const struct receipt_view *v, char why[160])
{
    struct job j;
    struct terms t;
    struct claim c;
    enum err e = book_job_load(l, &v->receipt.terms, &j);
    if (e == ERR_NOT_FOUND)
        return OK;
    if (e != OK || !hash_equal(&j.receipt, &v->id) || j.stage != JOB_CLOSED)
        return blame(why, "receipt whose job does not know it", v->number);
    if (book_terms_load(l, &v->receipt.terms, &t) != OK)
        return blame(why, "receipt whose terms are missing or damaged", v->number);
    e = book_claim_load(l, &v->receipt.terms, j.claim_index, &c);
    if (e != OK && e != ERR_NOT_FOUND)
        return blame(why, "receipt whose claim is damaged", v->number);
    if (receipt_check(&v->receipt, &t, &v->receipt.terms, e == OK ? &c : NULL) != OK)
        return blame(why, "receipt that does not follow from its terms and claim", v->number);
    return OK;
}

static enum err check_receipts(struct ledger *l, struct sums *s, char why[160])
{
    for (;;) {
        struct book_key next = book_key_number(s->t.receipts + 1);
        struct bytes key, value;
        struct receipt_view v;
        struct hash running;
        enum err e = store_seek(l->store, STORE_RECEIPT, book_key_view(&next), &key, &value);
        if (e == ERR_NOT_FOUND)
            return OK;
        if (e != OK)
            return e;
        if (book_receipt_decode(key, value, &v, &running) != OK)
            return blame(why, "receipt that does not decode", s->t.receipts + 1);
        s->t.receipts++;
        s->t.running = book_running(&s->t.running, &v);
        if (v.number != s->t.receipts)
            return blame(why, "gap in the local numbers", v.number);
        if (!hash_equal(&s->t.running, &running))
            return blame(why, "running hash does not fit", v.number);
        e = check_signatures(l, &v, why);
        if (e == OK)
            e = check_indexes(l, &v, why);
        if (e == OK)
            e = check_link(l, &v, why);
        if (e == OK)
            e = check_job(l, &v, why);
        if (e != OK)
            return e;
    }
}

/* ---- jobs: what is reserved ---- */

/* What invariant 8 says this job must hold of its peer's pending sum. */
static enum err reserved_by(struct ledger *l, const struct job *j, struct pico *out)
{
    struct terms t;
    *out = (struct pico){ 0 };
    if (j->outcome != OUTCOME_NONE) {
        enum err e = book_unsigned(l, j, j->cost, out);
        return e == OK && hash_is_zero(&j->receipt) && j->has_claim ? amount_add(*out, j->cost, out) : e;
    }
    if (!hash_is_zero(&j->receipt))
        return OK;
    enum err e = book_terms_load(l, &j->terms, &t);
    if (e == OK)
        *out = terms_cost_max(&t);
    return e;
}

static enum err check_job_indexes(struct ledger *l, const struct job *j, char why[160])
{
    struct book_key open = book_key_number(j->number), due = book_key_peer_number(&j->peer, j->number);
    struct hash terms;
    bool is_open = book_get_hash(l, STORE_JOB_OPEN, &open, &terms) == OK;
    if (is_open != (j->outcome == OUTCOME_NONE))
        return blame(why, "job in the wrong list of open jobs", j->number);
    bool is_due = book_get_hash(l, STORE_JOB_DUE, &due, &terms) == OK;
    if (is_due != (j->role == SIDE_PROVIDER && j->stage == JOB_ENDED))
        return blame(why, "job in the wrong list of due receipts", j->number);
    return OK;
}

/* Invariant 9, and that what is unsigned belongs to a job. */
static enum err check_idle(struct ledger *l, struct sums *s, const struct job *j, char why[160])
{
    struct book_key number = book_key_number(j->number);
    struct hash terms;
    struct pico tail;
    bool listed = book_get_hash(l, STORE_JOB_IDLE, &number, &terms) == OK;
    if (book_unsigned(l, j, j->cost, &tail) != OK)
        return blame(why, "job whose unsigned part does not decode", j->number);
    bool nothing = j->role == SIDE_PROVIDER && j->outcome != OUTCOME_NONE && !j->has_claim && hash_is_zero(&j->receipt) && tail.v == 0;
    struct book_idle counts;
    if (listed != nothing && book_idle_load(l, &counts) != ERR_NOT_FOUND)
        return blame(why, "job in the wrong list of jobs that came to nothing", j->number);
    s->idle += nothing;
    s->with_unsigned += tail.v > 0;
    return OK;
}

/* An older ledger, read before its daemon has opened it, has none of this yet. */
static enum err check_counts(struct ledger *l, const struct sums *s, const struct ledger_totals *t, char why[160])
{
    struct book_idle counts = { .idle = s->idle };
    enum err e = book_idle_load(l, &counts);
    if (e != OK && e != ERR_NOT_FOUND)
        return blame(why, "count of jobs that came to nothing that does not decode", 0);
    if (counts.idle != s->idle)
        return blame(why, "count of jobs that came to nothing that is wrong", counts.idle);
    if (t->jobs != s->t.jobs + counts.forgotten)
        return blame(why, "totals that do not know the last job", t->jobs);
    uint64_t found = 0;
    struct bytes key, value;
    for (struct book_key from = book_key_number(0);; found++) {
        e = store_seek(l->store, STORE_UNSIGNED, book_key_view(&from), &key, &value);
        if (e == ERR_NOT_FOUND)
            break;
        if (e != OK || key.len != 8 + HASH_BYTES)
            return blame(why, "unsigned delivery that does not decode", found);
        memcpy(from.b, key.data, key.len);
        from.len = key.len;
        from = book_key_after(&from);
    }
    return found == s->with_unsigned ? OK : blame(why, "unsigned deliveries that belong to no job", found);
}

static enum err check_jobs(struct ledger *l, struct sums *s, char why[160])
{
    struct job j;
    uint64_t cursor = UINT64_MAX;
    enum err e;
    while ((e = ledger_job_next(l, &cursor, &j)) == OK) {
        struct pico reserved;
        if (reserved_by(l, &j, &reserved) != OK || reserved.v != j.reserved.v)
            return blame(why, "job that reserves another sum than it should", j.number);
        struct pico *pending = j.role == SIDE_PROVIDER ? &s->t.earned_pending : &s->t.spent_pending;
        if (amount_add(*pending, reserved, pending) != OK)
            return blame(why, "pending sums overflow", j.number);
        e = check_job_indexes(l, &j, why);
        if (e != OK)
            return e;
        e = check_idle(l, s, &j, why);
        if (e != OK)
            return e;
        s->t.jobs++;
    }
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- accounts and channels ---- */

static enum err check_channel(struct ledger *l, enum side role, const struct account *a, char why[160])
{
    struct channel c;
    struct receipt_view head;
    struct receipt half;
    if (book_channel_load(l, role, &a->peer, &c) != OK)
        return blame(why, "channel that does not decode", 0);
    bool earns = role == SIDE_PROVIDER;
    if (c.owed.v != (earns ? a->earned.v : a->spent.v) || c.settled.v != (earns ? a->earned_settled.v : a->spent_settled.v) ||
        c.seq != (earns ? a->receipts_earned : a->receipts_spent))
        return blame(why, "account that differs from its channel", c.seq);
    if (c.seq > 0 && (ledger_receipt_at(l, role, &a->peer, c.seq, &head) != OK || !hash_equal(&head.id, &c.head)))
        return blame(why, "channel head that is not its newest receipt", c.seq);
    if (ledger_receipt_at(l, role, &a->peer, c.seq + 1, &head) != ERR_NOT_FOUND)
        return blame(why, "receipt beyond its channel's head", c.seq + 1);
    struct bytes body = bytes_of(c.half, c.half_len);
    if (c.half_len > 0 && (!earns || receipt_decode(body, &half) != OK || book_channel_link(&c, &half) != OK))
        return blame(why, "half-signed receipt that does not follow from the head", c.seq + 1);
    return OK;
}

static enum err add(struct pico *sum, struct pico v) { return amount_add(*sum, v, sum); }

static enum err add_account(struct sums *s, const struct account *a, char why[160])
{
    struct pico exposure = { 0 };
    if (add(&s->t.earned, a->earned) != OK || add(&s->t.earned_settled, a->earned_settled) != OK ||
        add(&s->t.spent, a->spent) != OK || add(&s->t.spent_settled, a->spent_settled) != OK ||
        book_exposure(a, &exposure) != OK)
        return blame(why, "sums of accounts overflow", 0);
    if (book_is_newcomer(a) && add(&s->t.newcomers, exposure) != OK)
        return blame(why, "sums of newcomers overflow", 0);
    return OK;
}

static enum err check_accounts(struct ledger *l, struct sums *s, char why[160])
{
    struct pubkey cursor = { { 0 } };
    struct account a;
    struct pico earned_pending = { 0 }, spent_pending = { 0 };
    enum err e;
    while ((e = ledger_account_next(l, &cursor, &a)) == OK) {
        e = add_account(s, &a, why);
        if (e == OK)
            e = check_channel(l, SIDE_PROVIDER, &a, why);
        if (e == OK)
            e = check_channel(l, SIDE_REQUESTER, &a, why);
        if (e == OK && (add(&earned_pending, a.earned_pending) != OK || add(&spent_pending, a.spent_pending) != OK))
            e = blame(why, "pending sums overflow", 0);
        if (e != OK)
            return e;
    }
    if (e != ERR_NOT_FOUND)
        return e;
    if (earned_pending.v != s->t.earned_pending.v || spent_pending.v != s->t.spent_pending.v)
        return blame(why, "accounts' pending sums differ from what jobs reserve", 0);
    return OK;
}

static enum err check_totals(struct ledger *l, const struct sums *s, char why[160])
{
    struct ledger_totals t;
    if (book_totals_load(l, &t) != OK)
        return blame(why, "totals that do not decode", 0);
    if (t.receipts != s->t.receipts || !hash_equal(&t.running, &s->t.running))
        return blame(why, "totals that do not know the last receipt", t.receipts);
    enum err e = check_counts(l, s, &t, why);
    if (e != OK)
        return e;
    if (t.earned.v != s->t.earned.v || t.earned_settled.v != s->t.earned_settled.v || t.spent.v != s->t.spent.v ||
        t.spent_settled.v != s->t.spent_settled.v || t.earned_pending.v != s->t.earned_pending.v ||
        t.spent_pending.v != s->t.spent_pending.v || t.newcomers.v != s->t.newcomers.v)
        return blame(why, "totals that differ from the sum of the accounts", 0);
    return OK;
}

static enum err check_sums(struct ledger *l, struct sums *s, char why[160])
{
    enum err e = check_jobs(l, s, why);
    if (e == OK)
        e = check_accounts(l, s, why);
    return e == OK ? check_totals(l, s, why) : e;
}

/* After a call that failed every later one fails as well (store.h): what was concluded from then on, such as a receipt missing
 * in an index, says nothing about the book. */
static enum err explain(const struct ledger *l, enum err e, char why[160])
{
    if (l->store->failed != OK) {
        e = l->store->failed;
        why[0] = '\0';
    }
    if (e != OK && why[0] == '\0')
        snprintf(why, 160, "the store could not be read: %s", err_text(e));
    return e;
}

/* Their time is judged where they are used: at the time of the terms. */
static enum err check_certs(struct ledger *l, char why[160])
{
    struct pubkey at = { { 0 } };
    for (uint64_t n = 1;; n++) {
        struct book_key from = book_key_peer(&at), next = n == 1 ? from : book_key_after(&from);
        struct bytes key, value;
        struct cert c;
        enum err e = store_seek(l->store, STORE_CERT, book_key_view(&next), &key, &value);
        if (e == ERR_NOT_FOUND)
            return OK;
        if (e != OK)
            return e;
        if (key.len != sizeof at.b)
            return blame(why, "certificate under a key of another size", n);
        memcpy(at.b, key.data, sizeof at.b);
        if (ledger_cert_find(l, &at, &c) != OK || cert_verify(&c, &l->net, &at, (struct wall){ 0 }) != OK)
            return blame(why, "certificate that does not hold", n);
    }
}

static enum err check_pins(struct ledger *l, char why[160])
{
    struct pin p = { .name = "" };
    uint64_t n = 0;
    enum err e;
    while ((e = ledger_pin_next(l, &p)) == OK)
        n++;
    return e == ERR_NOT_FOUND ? OK : e == ERR_CORRUPT ? blame(why, "pinned name that does not decode", n + 1) : e;
}

enum err ledger_check(struct ledger *l, char out_why[160])
{
    struct sums s = { .t = { .receipts = 0 } };
    out_why[0] = '\0';
    enum err e = check_receipts(l, &s, out_why);
    if (e == OK)
        e = check_certs(l, out_why);
    if (e == OK)
        e = check_pins(l, out_why);
    return explain(l, e == OK ? check_sums(l, &s, out_why) : e, out_why);
}

enum err ledger_check_sums(struct ledger *l, char out_why[160])
{
    struct sums s = { .t = { .receipts = 0 } };
    struct ledger_totals t;
    out_why[0] = '\0';
    enum err e = book_totals_load(l, &t);
    if (e == OK) {
        s.t.receipts = t.receipts;                         /* taken on trust here: ledger_check() walks them */
        s.t.running = t.running;
        e = check_sums(l, &s, out_why);
    }
    return explain(l, e, out_why);
}

enum err ledger_check_peer(struct ledger *l, const struct pubkey *peer, char out_why[160])
{
    struct account a;
    out_why[0] = '\0';
    enum err e = ledger_account(l, peer, &a);
    if (e == OK)
        e = check_channel(l, SIDE_PROVIDER, &a, out_why);
    return explain(l, e == OK ? check_channel(l, SIDE_REQUESTER, &a, out_why) : e, out_why);
}
