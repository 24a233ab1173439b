/* fuzz_rows.c - a book some of whose rows are damaged, exchanged or made up: every reader says so, or reads on; nobody crashes.
 *
 * The book is that of a provider or a requester after a few jobs. The input is a list of changes to it:
 *
 *   which book u8 (bit 0; 2 and 3 with openings, whose wiping takes most of a run); then repeatedly:
 *   table u8, what u8, row u8, length u8, bytes
 *     what % 3: 0 the row's value becomes the bytes; 1 the bytes are xored over its value from offset row on (of the first row);
 *               2 a new row: the first half of the bytes is the key, the second the value
 *
 * Nothing is committed, so each input meets the same book.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/ledger_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct party parties[2];
static struct hash jobs[4];

static void must(enum err e)
{
    if (e != OK)
        abort();
}

/* Complete jobs, one that runs, one that ended without a signature, a half-signed receipt, evidence, an opening, a pin. */
static void make_books(void)
{
    struct party *r = &parties[0], *p = &parties[1];
    struct rig_job j;
    struct opening o;
    struct hash id, other = { { 7 } };
    struct signed_body half;
    bool is_new;
    party_init(r, 1);
    party_init(p, 2);
    must(party_open(r));
    must(party_open(p));
    must(rig_job_whole(&j, r, p, 1, 40, &id));
    jobs[0] = j.hash;
    rig_job_opening(&j, &o);
    must(ledger_opening_put(&r->ledger, &j.hash, &o, (struct wall){ 100 }));
    rig_job_init(&j, r, p, 2);
    must(rig_job_begin(&j, r, p));
    must(rig_job_generate(&j, r, p, 40));
    jobs[1] = j.hash;
    must(ledger_delivery_end(&p->ledger, &j.hash, 50, OUTCOME_FAILED, SIDE_REQUESTER, REASON_NO_ACK, rig_now));
    must(ledger_receipt_propose(&p->ledger, &r->self, &half, &id));
    rig_job_init(&j, r, p, 3);
    must(rig_job_begin(&j, r, p));
    jobs[2] = j.hash;
    rig_job_init(&j, r, p, 4);
    must(rig_job_begin(&j, r, p));
    jobs[3] = j.hash;
    must(ledger_job_end(&p->ledger, &j.hash, OUTCOME_CANCELLED, SIDE_NONE, REASON_CLIENT_CANCEL, rig_now));
    must(ledger_pin(&r->ledger, "tales", &other, rig_now));
    must(ledger_freeze(&r->ledger, SIDE_REQUESTER, &p->self, 1, &other, &is_new));
    must(store_commit(r->store));
    must(store_commit(p->store));
}

static struct bytes take(const uint8_t **at, const uint8_t *end, size_t len)
{
    size_t left = (size_t)(end - *at);
    struct bytes b = bytes_of(*at, len < left ? len : left);
    *at += b.len;
    return b;
}

/* The key of the n-th row, or of the last one if there are fewer; false if there is none. */
static bool nth_row(struct store *s, enum store_table t, unsigned n, uint8_t key[STORE_KEY_BYTES_MAX + 1], size_t *key_len, struct bytes *value)
{
    struct bytes k, from = bytes_of(NULL, 0);
    bool found = false;
    uint8_t next[STORE_KEY_BYTES_MAX + 1];
    for (unsigned i = 0; i <= n && store_seek(s, t, from, &k, value) == OK; i++) {
        memcpy(key, k.data, k.len);
        *key_len = k.len;
        memcpy(next, k.data, k.len);
        next[k.len] = 0;
        from = bytes_of(next, k.len + 1);
        found = true;
    }
    return found && store_get(s, t, bytes_of(key, *key_len), value) == OK;
}

static void change(struct store *s, enum store_table t, unsigned what, unsigned row, struct bytes b)
{
    uint8_t key[STORE_KEY_BYTES_MAX + 1], value[4096];
    size_t key_len;
    struct bytes old;
    if (what == 2) {
        if (b.len >= 2)
            must(store_put(s, t, bytes_of(b.data, b.len / 2), bytes_of(b.data + b.len / 2, b.len - b.len / 2)));
        return;
    }
    if (!nth_row(s, t, what == 0 ? row : 0, key, &key_len, &old))
        return;
    if (what == 0) {
        must(store_put(s, t, bytes_of(key, key_len), b));
        return;
    }
    size_t len = old.len < sizeof value ? old.len : sizeof value;
    memcpy(value, old.data, len);
    for (size_t i = 0; i < b.len && row + i < len; i++)
        value[row + i] ^= b.data[i];
    must(store_put(s, t, bytes_of(key, key_len), bytes_of(value, len)));
}

/* What the wallet, the daemon's start and a request would read. */
static void read_all(struct ledger *l, const struct pubkey *peer, bool openings)
{
    char why[160];
    struct receipt_view v;
    struct job j;
    struct account a;
    struct channel_state c;
    struct ledger_totals t;
    struct evidence ev;
    struct opening o;
    struct pin pin = { .name = "" };
    struct note note;
    struct claim claim;
    struct cert cert;
    struct signed_body own;
    struct hash digest;
    struct sig rs, ps;
    struct pubkey cursor = { { 0 } };
    struct pico left;
    enum resync what;
    uint32_t ids[2048];
    uint8_t buf[16384];
    struct bytes bundle;
    uint64_t at = UINT64_MAX, rounds = 0;
    bool has;
    (void)!ledger_check(l, why);
    while (ledger_receipt_next(l, &at, &v) == OK && ++rounds < 100)
        (void)!ledger_receipt_find(l, &v.id, &v);
    for (at = UINT64_MAX, rounds = 0; ledger_job_next(l, &at, &j) == OK && ++rounds < 100;)
        ;
    for (rounds = 0; ledger_account_next(l, &cursor, &a) == OK && ++rounds < 100;)
        ;
    memset(&cursor, 0, sizeof cursor);
    for (rounds = 0; l->key && ledger_due_next(l, &cursor) == OK && ++rounds < 100;)
        ;
    for (rounds = 0; ledger_pin_next(l, &pin) == OK && ++rounds < 2000;)
        ;
    for (int side = SIDE_REQUESTER; side <= SIDE_PROVIDER; side++) {
        (void)!ledger_channel(l, (enum side)side, peer, &c);
        (void)!ledger_evidence_at(l, (enum side)side, peer, 0, &ev);
        (void)!ledger_receipt_at(l, (enum side)side, peer, 1, &v);
        (void)!ledger_resync(l, (enum side)side, peer, 1, &jobs[0], &what);
    }
    (void)!ledger_totals(l, &t);
    (void)!ledger_frozen_check(l, peer);
    (void)!ledger_credit_left(l, peer, &rig_limits, &left);
    (void)!ledger_cert_find(l, peer, &cert);
    for (size_t i = 0; i < ARRAY_COUNT(jobs); i++) {
        (void)!ledger_job_find(l, &jobs[i], &j);
        (void)!ledger_note_find(l, &jobs[i], SIDE_PROVIDER, &note);
        (void)!ledger_note_own(l, &jobs[i], &own);
        (void)!ledger_claim_at(l, &jobs[i], 1, &claim, &has, &digest, &rs, &ps);
        if (openings)
            (void)!ledger_opening_get(l, &jobs[i], ids, ARRAY_COUNT(ids), &o);
        (void)!ledger_bundle(l, &jobs[i], openings, buf, sizeof buf, &bundle);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    const uint8_t *at = data, *end = data + size;
    if (!made)
        make_books();
    made = true;
    if (size < 1)
        return 0;
    struct party *us = &parties[*at & 1], *them = &parties[!(*at & 1)];
    bool openings = *at++ >> 1 == 1;
    while (end - at >= 4) {
        enum store_table t = (enum store_table)(at[0] % STORE_TABLE_COUNT);
        unsigned what = at[1] % 3, row = at[2];
        size_t len = at[3];
        at += 4;
        change(us->store, t, what, row, take(&at, end, len));
    }
    struct ledger reader = us->ledger, again;
    struct ledger_recovery recovery;
    read_all(&us->ledger, &them->self, openings);
    reader.key = NULL;                                     /* as the wallet reads it */
    read_all(&reader, &them->self, false);
    if (ledger_open(&again, us->store, &us->key, &us->self, &us->net, rig_now, &recovery) == OK)
        read_all(&again, &them->self, false);
    store_abort(us->store);
    return 0;
}
