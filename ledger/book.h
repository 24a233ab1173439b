/* book.h - how are the ledger's records laid out in the store? Private to the ledger_*.c files.
 *
 * Every key is fixed-width (numbers big-endian, so byte order is number order), every value a canonical array of codec.h
 * unless the table below says otherwise. A record that does not decode is ERR_CORRUPT.
 *
 *   table        key                      value
 *   meta         "owner"                  [version, own key, net id]
 *   meta         "idle"                   [jobs in job_idle, jobs forgotten]
 *   meta         "totals"                 [earned, settled, pending, spent, settled, pending, newcomers, receipts, jobs,
 *                                          running hash]
 *   receipt      number                   [role, peer, stored ms, body, requester sig, provider sig, running hash]
 *   receipt_id   id                       number
 *   channel      role, peer               [seq, head id, owed, settled, half-signed body or empty]
 *   channel_seq  role, peer, seq          number
 *   account      peer                     [earned, settled, pending, spent, settled, pending, receipts earned, receipts spent]
 *   job          terms hash               see book_job_save()
 *   job_number   number                   terms hash
 *   job_id       job id, number           terms hash
 *   job_open     number                   terms hash; until the outcome is noted
 *   job_due      peer, number             terms hash; provider: ended with a co-signed claim, receipt not complete
 *   job_idle     number                   terms hash; provider: ended, nothing claimed, nothing delivered that still counts
 *   unsigned     release ms, terms hash   cost of what was delivered; provider: more than what is co-signed
 *   terms        terms hash               [body, requester sig, provider sig or zeros]
 *   claim        terms hash, k            [body, requester sig, provider sig]
 *   digest       terms hash, j            32 bytes
 *   note         terms hash, side         [body, sig]
 *   evidence     role, peer, seq          [the other body, or its id alone; requester sig, provider sig, or zeros]; the channel is frozen
 *   secret       terms hash               purge time (8 bytes, big-endian), sealed opening
 *   secret_due   purge time, terms hash   nothing
 *   cert         node key                 a certificate as crypto/cert.h encodes it
 *
 * Spec: docs/disk-format.md, "The ledger"
 */
#ifndef TALLYMESH_LEDGER_BOOK_H
#define TALLYMESH_LEDGER_BOOK_H

#include "ledger/ledger.h"

enum {
    BOOK_KEY_BYTES = 1 + PUBKEY_BYTES + 8 + 1,             /* the longest is role, peer, seq; one more for "the next after" */
    BOOK_RECORD_BYTES_MAX = 1024,                          /* a receipt's: body, two signatures, peer, running hash */
};

/* ---- keys ---- */

struct book_key {
    uint8_t b[BOOK_KEY_BYTES];
    size_t len;
};
struct bytes book_key_view(const struct book_key *k);
struct book_key book_key_number(uint64_t n);
struct book_key book_key_hash(const struct hash *h);
struct book_key book_key_hash_number(const struct hash *h, uint64_t n);
struct book_key book_key_hash_side(const struct hash *h, enum side s);
struct book_key book_key_peer(const struct pubkey *p);
struct book_key book_key_peer_number(const struct pubkey *p, uint64_t n);
struct book_key book_key_channel(enum side role, const struct pubkey *peer);
struct book_key book_key_channel_seq(enum side role, const struct pubkey *peer, uint64_t seq);
struct book_key book_key_job_id(const struct job_id *id, uint64_t n);
struct book_key book_key_due(struct wall until, const struct hash *h);
struct book_key book_key_after(const struct book_key *k);  /* the first key behind k */
uint64_t book_number_at(struct bytes key, size_t at);      /* 8 big-endian bytes; the key must be long enough */

enum err book_put_number(struct ledger *l, enum store_table t, const struct book_key *k, uint64_t n) MUST_CHECK;
enum err book_get_number(struct ledger *l, enum store_table t, const struct book_key *k, uint64_t *out) MUST_CHECK;
enum err book_put_hash(struct ledger *l, enum store_table t, const struct book_key *k, const struct hash *h) MUST_CHECK;
enum err book_get_hash(struct ledger *l, enum store_table t, const struct book_key *k, struct hash *out) MUST_CHECK;

/* ---- records ---- */

enum err book_totals_load(struct ledger *l, struct ledger_totals *out) MUST_CHECK;
enum err book_totals_save(struct ledger *l, const struct ledger_totals *t) MUST_CHECK;

enum err book_job_load(struct ledger *l, const struct hash *terms, struct job *out) MUST_CHECK;
enum err book_job_save(struct ledger *l, const struct job *j) MUST_CHECK;

/* One direction of debt as this node knows it. */
struct channel {
    enum side role;                                        /* ours */
    struct pubkey peer;
    uint64_t seq;
    struct hash head;
    struct pico owed, settled;
    uint8_t half[RECEIPT_BODY_BYTES_MAX];                  /* body of seq + 1, signed by us as provider */
    size_t half_len;
};
enum err book_channel_load(struct ledger *l, enum side role, const struct pubkey *peer, struct channel *out) MUST_CHECK;
enum err book_channel_save(struct ledger *l, const struct channel *c) MUST_CHECK;
struct hash book_channel_id(const struct ledger *l, enum side role, const struct pubkey *peer);
/* Does r follow this channel's head? As receipt_check_link(). */
enum err book_channel_link(const struct channel *c, const struct receipt *r) MUST_CHECK;

enum err book_account_load(struct ledger *l, const struct pubkey *peer, struct account *out) MUST_CHECK;
/* Saves the account and moves the totals by the same difference, both or neither; `before` is what was loaded. ERR_OVERFLOW. */
enum err book_account_save(struct ledger *l, const struct account *before, const struct account *after) MUST_CHECK;
bool book_is_newcomer(const struct account *a);
enum err book_exposure(const struct account *a, struct pico *out) MUST_CHECK;      /* earned - settled + pending */
enum err book_account_decode(struct bytes key, struct bytes value, struct account *out) MUST_CHECK;

/* A job's reserved sum changes: moves the peer's pending with it and sets j->reserved (j is not saved). */
enum err book_reserve(struct ledger *l, struct job *j, struct pico reserved) MUST_CHECK;

/* Provider, ended job: the part of what was delivered that nobody signed for, while it counts; zero if there is none. `cost` is
 * what is signed for. */
enum err book_unsigned(struct ledger *l, const struct job *j, struct pico cost, struct pico *out) MUST_CHECK;
/* Records that so much was delivered of a job that ends now (j->ended is set). */
enum err book_unsigned_put(struct ledger *l, const struct job *j, struct pico delivered) MUST_CHECK;
/* j has a claim or receipt over `cost` now: all is signed for, or the rest goes on counting. */
enum err book_unsigned_paid(struct ledger *l, const struct job *j, struct pico cost) MUST_CHECK;

/* Jobs that came to nothing, and how many were forgotten. */
struct book_idle { uint64_t idle, forgotten; };
enum err book_idle_load(struct ledger *l, struct book_idle *out) MUST_CHECK;    /* ERR_NOT_FOUND: an older ledger */
/* Puts the job into job_idle or takes it out, as its state says. */
enum err book_idle_settle(struct ledger *l, const struct job *j) MUST_CHECK;
/* A new or an older ledger: the table is filled from the jobs. */
enum err book_idle_begin(struct ledger *l) MUST_CHECK;
/* Reserved, stage and indexes of an ended job follow from its claim, its receipt and what was delivered. j is not saved. */
enum err book_job_settle(struct ledger *l, struct job *j) MUST_CHECK;

struct book_signed {                                       /* lent by the store */
    struct bytes body;
    struct sig requester_sig, provider_sig;
};
enum err book_signed_put(struct ledger *l, enum store_table t, const struct book_key *k, const struct book_signed *s) MUST_CHECK;
enum err book_signed_get(struct ledger *l, enum store_table t, const struct book_key *k, struct book_signed *out) MUST_CHECK;
/* Keeps the other receipt of a number that has one; a body with signatures takes the place of an id alone, never of another. */
enum err book_evidence_keep(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, const struct book_signed *other) MUST_CHECK;
bool book_sig_is_absent(const struct sig *s);

/* The terms of a job, decoded. */
enum err book_terms_load(struct ledger *l, const struct hash *terms, struct terms *out) MUST_CHECK;
/* The co-signed claim k, decoded. */
enum err book_claim_load(struct ledger *l, const struct hash *terms, uint64_t k, struct claim *out) MUST_CHECK;

/* A complete receipt joins the primary, its indexes, its channel's head, the peer's account and the totals. The caller has
 * checked everything about it; s->body must not be lent by the store, which is written to here. j (may be NULL: unknown job)
 * is closed and saved. ERR_OVERFLOW before anything is written; any later failure sticks in the store. */
enum err book_receipt_append(struct ledger *l, struct channel *c, const struct receipt *r, const struct book_signed *s,
                             struct job *j, struct wall now) MUST_CHECK;
enum err book_receipt_decode(struct bytes key, struct bytes value, struct receipt_view *out, struct hash *out_running) MUST_CHECK;
struct hash book_running(const struct hash *before, const struct receipt_view *v);

/* A change that began to write must be finished or undone whole: passes e on, and makes it stick in the store if it is not OK. */
enum err book_finish(struct ledger *l, enum err e) MUST_CHECK;

/* Erases memory that held something secret, in a way the compiler must keep. */
void book_wipe(void *p, size_t len);

#endif
