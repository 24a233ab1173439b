/* ledger.h - who owes whom, and which signatures say so?
 *
 * Both roles of a node in one book. As provider it earns: terms accepted, claims acknowledged, receipts proposed and
 * completed. As requester it spends: terms signed, claims co-signed, receipts co-signed. Every signature that binds us
 * comes out of here, and only after the record that it commits us to is in the store's open transaction. The shell
 * commits before it sends, so the signature leaves after the record is durable.
 *
 * The book keeps nothing in memory: every call reads and writes the store. A crash therefore cannot make the two differ.
 *
 * Invariants (asserted on every path that writes, and by ledger_check()):
 *   1. A channel's receipts are numbered 1, 2, 3 ... and each names the one before.
 *   2. owed grows by exactly the job's cost; settled <= owed.
 *   3. For each (channel, seq) this node signs at most one body, ever. Signing the same body again is allowed and needed.
 *   4. At most one receipt per channel is half-signed.
 *   5. Every receipt's job has a claim that both sides signed, with the same counts, chains and cost.
 *   6. A peer's account equals the heads of its two channels; the totals equal the sums over all accounts; what is
 *      receivable and spent (debits) equals what is earned and payable (credits).
 *   7. Local numbers have no gaps, and each receipt's running hash covers the one before.
 *   8. pending = most that open jobs can cost + cost of ended jobs whose receipt is not complete + what was delivered as
 *      provider and is not signed for, for UNSIGNED_KEEP_MS.
 *   9. job_idle holds the provided jobs that came to nothing; jobs in the book and jobs forgotten are all that were numbered.
 *
 * Owns:    nothing but the struct; store and key are borrowed and outlive it.
 * Threads: one.
 * Time:    wall clock for display; it decides nothing but when kept prompts are purged, when what was delivered unsigned is
 *          counted no longer, and when jobs that came to nothing are forgotten.
 * Effects: writes to the store's open transaction; never commits.
 * Errors:  a call that fails before it writes leaves the transaction as it was. A failed store call sticks in the store.
 * Spec:    PROTO 7.7 (accepting), 7.8 (channels), 7.9 (after a crash), docs/disk-format.md
 */
#ifndef TALLYMESH_LEDGER_LEDGER_H
#define TALLYMESH_LEDGER_LEDGER_H

#include "crypto/cert.h"
#include "ledger/note.h"
#include "ledger/receipt.h"
#include "ledger/store.h"

enum {
    LEDGER_VERSION = 1,                                    /* of the records in the store */
    NEWCOMER_RECEIPTS = 8,                                 /* complete receipts until a requester is no newcomer */
    MODEL_LABEL_CHARS_MAX = 64,
};

struct ledger {
    struct store *store;
    const struct secret_key *key;                          /* NULL: read-only, signs nothing, opens no secret */
    struct pubkey self;
    struct net_id net;
};

/* What recovery found at open, for the log. */
struct ledger_recovery {
    uint32_t jobs_ended;                                   /* were open when the process died: now partial, failed or idle */
    uint32_t receipts_due;                                 /* of these, as provider, with a co-signed claim */
};

/* Prepares a new store or checks an old one (version, owner, totals against the last receipt), then ends the jobs that were open.
 * Commits nothing; the caller does. With key NULL it only looks. ERR_VERSION, ERR_NETWORK, ERR_KEY (another node's
 * ledger), ERR_CORRUPT. */
enum err ledger_open(struct ledger *l, struct store *store, const struct secret_key *key, const struct pubkey *self,
                     const struct net_id *net, struct wall now, struct ledger_recovery *out) MUST_CHECK;

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* Where a job stands. On disk; append only.
 *   OFFERED   requester: our signature on the terms is stored, the provider's is not here yet
 *   RUNNING   both signatures on the terms are here
 *   ENDED     ended on our side; if there is a co-signed claim, its receipt is still to come
 *   CLOSED    ended, and nothing is to come: receipt complete, or nothing was owed */
enum job_stage { JOB_OFFERED = 1, JOB_RUNNING = 2, JOB_ENDED = 3, JOB_CLOSED = 4 };

struct job {
    uint64_t number;                                       /* local, in order of arrival */
    struct hash terms;
    struct job_id id;
    enum side role;                                        /* ours */
    struct pubkey peer;
    enum job_stage stage;
    struct hash model;
    char model_label[MODEL_LABEL_CHARS_MAX + 1];           /* display only, as known when the job began; may be empty */
    struct pico reserved;                                  /* what this job holds of its peer's pending sum */
    bool has_claim;                                        /* a co-signed one; claim_index is the latest's */
    uint64_t claim_index;
    struct tokens tokens;                                  /* of the latest co-signed claim, or of the receipt if any */
    struct pico cost;
    uint64_t output_offset;
    struct hash parent;
    enum outcome outcome;                                  /* as we noted it */
    enum side fault;
    enum reason reason;
    struct hash receipt;                                   /* id; zero until complete */
    struct wall began, ended;                              /* our clock, display only */
};

struct signed_body {                                       /* a body as it goes on the wire, with one signature */
    uint8_t buf[TERMS_BYTES_MAX];                          /* the largest of the bodies */
    size_t len;
    struct sig sig;
};
struct bytes signed_body_view(const struct signed_body *b);

/* Requester: signs terms and remembers them. Once per terms: ERR_EXISTS. Checks terms_check(), net, requester == self. ERR_STATE: a
 * channel with that provider is frozen.
 * label (may be NULL) is for display. out_hash names the job from now on. */
enum err ledger_terms_sign(struct ledger *l, const struct terms *t, const char *label, struct wall now,
                           struct signed_body *out, struct hash *out_hash) MUST_CHECK;
/* Requester: the provider's signature came; the job runs. OK again for the same signature's terms. */
enum err ledger_terms_countersigned(struct ledger *l, const struct hash *terms, const struct sig *provider_sig) MUST_CHECK;

/* What a provider is ready to lend. Pico-credits; 0 means nothing. */
struct credit_limits {
    struct pico per_requester;
    struct pico newcomers;                                 /* all requesters below NEWCOMER_RECEIPTS, together */
};
/* Which limit said no, for the refusal's text. */
enum credit_limit { CREDIT_OK, CREDIT_REQUESTER, CREDIT_NEWCOMERS };
const char *credit_limit_text(enum credit_limit c);        /* "the credit limit for one requester"; static */
/* Provider: would one more job that costs at most `cost` fit? Counts owed - settled + pending. OK with CREDIT_OK, ERR_CREDIT,
 * ERR_STATE (a channel with that requester is frozen). */
enum err ledger_credit_check(struct ledger *l, const struct pubkey *requester, struct pico cost,
                             const struct credit_limits *limits, enum credit_limit *out) MUST_CHECK;
/* What both limits would still allow for this requester. */
enum err ledger_credit_left(struct ledger *l, const struct pubkey *requester, const struct credit_limits *limits,
                            struct pico *out) MUST_CHECK;

/* Provider: accepts signed terms and signs them. ERR_SIGNATURE, ERR_NETWORK, ERR_KEY (not us as provider), ERR_CREDIT
 * (*limit says which), ERR_STATE (a channel with it is frozen), ERR_EXISTS (known terms; sign nothing twice), or what terms_decode() said. Prices, model and times
 * are the caller's to judge first. */
enum err ledger_terms_accept(struct ledger *l, struct bytes body, const struct sig *requester_sig, const char *label,
                             const struct credit_limits *limits, struct wall now, enum credit_limit *limit,
                             struct sig *out, struct hash *out_hash) MUST_CHECK;

/* Requester: the provider's claim, checked against our own count of it (claim_make() over what we received), is stored and
 * co-signed. digest is D_{k-1}, NULL for claim 0. Idempotent. ERR_MISMATCH, ERR_SIGNATURE, ERR_STATE (not running, or
 * after the last),
 * ERR_STALE (older than the latest), ERR_CHAIN (a claim was skipped). */
enum err ledger_claim_cosign(struct ledger *l, const struct claim *counted, const struct hash *digest,
                             const struct sig *provider_sig, struct sig *out) MUST_CHECK;
/* Provider: the requester's signature on our claim came. Same rules; also accepted for an ended job whose receipt
 * is not yet proposed. c must be a claim that we made or whose signature by us was verified: it is stored as signed by us. */
enum err ledger_claim_acked(struct ledger *l, const struct claim *c, const struct hash *digest,
                            const struct sig *requester_sig) MUST_CHECK;

/* Either role: the job is over for us. Stores our signed note. As provider, a job with a co-signed claim is now due for a
 * receipt. Idempotent: the first outcome stays. One exception: a provider that noted "failed" because a crash took the claim
 * that the requester has (ledger_claim_acked() brings it back) notes "partial" then; no receipt has carried its note yet. */
enum err ledger_job_end(struct ledger *l, const struct hash *terms, enum outcome outcome, enum side fault, enum reason reason,
                        struct wall now) MUST_CHECK;
/* Provider: the same for a job of which `sent` output tokens have left. What they and the prefill cost above the last co-signed
 * claim goes on counting against the requester's credit (and the newcomers'), until claims or the receipt cover it or
 * UNSIGNED_KEEP_MS have passed. */
enum err ledger_delivery_end(struct ledger *l, const struct hash *terms, uint64_t sent, enum outcome outcome, enum side fault,
                             enum reason reason, struct wall now) MUST_CHECK;
/* Up to `max` deliveries whose time has come count no longer. */
enum err ledger_unsigned_release(struct ledger *l, struct wall now, uint32_t max, uint32_t *out_released) MUST_CHECK;
/* Forgets up to `max` jobs that we provided and that came to nothing (no claim, no receipt, nothing delivered that still counts):
 * those ended for IDLE_KEEP_MS, and the oldest above IDLE_JOBS_MAX. Terms that were forgotten cannot come back: they name a bid,
 * and each bid is taken once (PROTO 6.2). */
enum err ledger_idle_prune(struct ledger *l, struct wall now, uint32_t max, uint32_t *out_pruned) MUST_CHECK;

/* ---- channel receipts --------------------------------------------------------------------------------------------- */

/* Provider: the receipt to send to this requester now: the half-signed one again if there is one, else the next due job's,
 * stored before its signature is returned. ERR_NOT_FOUND: nothing is due. ERR_STATE: the channel is frozen. */
enum err ledger_receipt_propose(struct ledger *l, const struct pubkey *requester, struct signed_body *out,
                                struct hash *out_terms) MUST_CHECK;
/* Requester: checks everything, stores, co-signs. The identical body again gives the identical answer. ERR_CHAIN (not the
 * next number: resync), ERR_MISMATCH, ERR_SIGNATURE, ERR_NOT_FOUND (unknown job), ERR_REPLAY (the job already has a receipt),
 * ERR_EQUIVOCATION (another body under a number that has one; kept as evidence, and the channel is frozen), ERR_STATE (it is
 * frozen; only what was signed before is answered). */
enum err ledger_receipt_cosign(struct ledger *l, struct bytes body, const struct sig *provider_sig, struct wall now,
                               struct sig *out, struct hash *out_id) MUST_CHECK;
/* Provider: the requester's signature came for receipt `id`. OK again if it is already complete. */
enum err ledger_receipt_complete(struct ledger *l, const struct pubkey *requester, const struct hash *id,
                                 const struct sig *requester_sig, struct wall now) MUST_CHECK;

/* The next peer (in key order, after *cursor; zeros at first) to whom ledger_receipt_propose() has something to say; nobody with
 * whom a channel is frozen.
 * ERR_NOT_FOUND at the end. */
enum err ledger_due_next(struct ledger *l, struct pubkey *cursor) MUST_CHECK;

/* ---- resync: what the two sides compare when a link comes up ------------------------------------------------------- */

struct channel_state {
    uint64_t seq;                                          /* of the newest co-signed receipt; 0: none */
    struct hash head;                                      /* its id; zero: none */
    struct pico owed, settled;
    bool has_half;
    struct hash half;                                      /* id of seq + 1, proposed and not complete; provider only */
};
/* role is ours on that channel. A channel never used is all zero. */
enum err ledger_channel(struct ledger *l, enum side role, const struct pubkey *peer, struct channel_state *out) MUST_CHECK;

enum resync {
    RESYNC_EQUAL,                                          /* same head: nothing to do */
    RESYNC_PROPOSE,                                        /* provider: send ledger_receipt_propose() */
    RESYNC_SEND,                       /* the peer is behind: send receipts from its seq + 1 (ledger_receipt_at) */
    RESYNC_ASK,                        /* we are behind: ask for receipts from our seq + 1 (ledger_receipt_adopt) */
    RESYNC_CONFLICT,                                       /* same number, different receipt: freeze the channel */
};
/* What to do, given the peer's (seq, head) on the channel in which we have `role`. */
enum err ledger_resync(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t peer_seq,
                       const struct hash *peer_head, enum resync *out) MUST_CHECK;
/* A co-signed receipt that the peer kept and we lost: our own signature on it must verify and it must be the next number.
 * Works without the job's record. Another receipt under a number that has one needs the peer's signature alone to be evidence against
 * it. ERR_SIGNATURE, ERR_CHAIN, ERR_EQUIVOCATION, ERR_STATE (frozen). */
enum err ledger_receipt_adopt(struct ledger *l, enum side role, const struct pubkey *peer, struct bytes body,
                              const struct sig *requester_sig, const struct sig *provider_sig, struct wall now) MUST_CHECK;

/* ---- frozen channels (PROTO 7.9) ---- */

/* The peer says that it holds receipt `other` under a number of ours: nothing more is signed with this peer, in either role, for ever.
 * *out_new false: it was frozen before. */
enum err ledger_freeze(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, const struct hash *other,
                       bool *out_new) MUST_CHECK;
/* ERR_STATE if one of the two channels with this peer is frozen, else OK. */
enum err ledger_frozen_check(struct ledger *l, const struct pubkey *peer) MUST_CHECK;

struct evidence {                                          /* what stands against our own receipt of that number */
    uint64_t seq;
    struct hash other;                                     /* its id */
    struct bytes body;                                     /* lent by the store; empty: the peer has only named it */
    struct sig requester_sig, provider_sig;                /* zeros where absent */
};
/* The first piece from number `seq` on. ERR_NOT_FOUND: the channel in which we have `role` is not frozen (there). */
enum err ledger_evidence_at(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, struct evidence *out) MUST_CHECK;

/* ---- reading: wallet, status, verification ------------------------------------------------------------------------- */

struct receipt_view {
    uint64_t number;                                       /* local */
    struct hash id;
    enum side role;                                        /* ours */
    struct pubkey peer;
    struct receipt receipt;
    struct bytes body;                                     /* lent by the store */
    struct sig requester_sig, provider_sig;
    struct wall stored;                                    /* our clock, display only */
};
/* Newest first: set *cursor to UINT64_MAX, call until ERR_NOT_FOUND. */
enum err ledger_receipt_next(struct ledger *l, uint64_t *cursor, struct receipt_view *out) MUST_CHECK;
enum err ledger_receipt_find(struct ledger *l, const struct hash *id, struct receipt_view *out) MUST_CHECK;
enum err ledger_receipt_at(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq,
                           struct receipt_view *out) MUST_CHECK;
/* By the first hex digits of its id (at least 4). ERR_FORMAT, ERR_NOT_FOUND, ERR_EXISTS (more than one fits). */
enum err ledger_receipt_lookup(struct ledger *l, const char *hex_prefix, struct hash *out) MUST_CHECK;
/* A job's terms hash by its first digits; the same. */
enum err ledger_job_lookup(struct ledger *l, const char *hex_prefix, struct hash *out) MUST_CHECK;

enum err ledger_job_next(struct ledger *l, uint64_t *cursor, struct job *out) MUST_CHECK;   /* newest first, as above */
enum err ledger_job_find(struct ledger *l, const struct hash *terms, struct job *out) MUST_CHECK;
/* All jobs of one request (attempts), oldest first: set *cursor to 0, call until ERR_NOT_FOUND. */
enum err ledger_job_of_id(struct ledger *l, const struct job_id *id, uint64_t *cursor, struct job *out) MUST_CHECK;
/* A co-signed claim as kept, for a peer that may have lost it. *has_digest says whether *digest is D_{index-1}. */
enum err ledger_claim_at(struct ledger *l, const struct hash *terms, uint64_t index, struct claim *out, bool *has_digest,
                         struct hash *digest, struct sig *requester_sig, struct sig *provider_sig) MUST_CHECK;
enum err ledger_note_find(struct ledger *l, const struct hash *terms, enum side by, struct note *out) MUST_CHECK;
/* Keeps the peer's signed note about a job of ours. ERR_NOT_FOUND, ERR_SIGNATURE; the first one stays. */
enum err ledger_note_keep(struct ledger *l, struct bytes body, const struct sig *sig) MUST_CHECK;
/* Our own note as it goes on the wire. */
enum err ledger_note_own(struct ledger *l, const struct hash *terms, struct signed_body *out) MUST_CHECK;

struct account {
    struct pubkey peer;
    struct pico earned, earned_settled, earned_pending;    /* what the peer owes us, cumulative; pending as in invariant 8 */
    struct pico spent, spent_settled, spent_pending;       /* what we owe the peer */
    uint64_t receipts_earned, receipts_spent;              /* complete ones */
};
enum err ledger_account(struct ledger *l, const struct pubkey *peer, struct account *out) MUST_CHECK;   /* all zero if unknown */
/* In key order after *cursor (zeros at first). ERR_NOT_FOUND at the end. */
enum err ledger_account_next(struct ledger *l, struct pubkey *cursor, struct account *out) MUST_CHECK;

struct ledger_totals {
    struct pico earned, earned_settled, earned_pending, spent, spent_settled, spent_pending;
    struct pico newcomers;                                 /* owed + pending of all newcomers */
    uint64_t receipts, jobs;                               /* local numbers given so far */
    struct hash running;                                   /* over all receipts in local order */
};
enum err ledger_totals(struct ledger *l, struct ledger_totals *out) MUST_CHECK;

/* What a requester keeps to be able to open its commitments later. Encrypted with a key derived from the node key. */
struct opening {
    struct hash nonce;
    uint64_t seed;
    const uint32_t *prompt; size_t prompt_count;           /* the whole prefill */
    const uint32_t *output; size_t output_count;           /* of this job; may be empty until it ended */
};
/* Stores or replaces; to be purged after `until`. ERR_TOO_LARGE. */
enum err ledger_opening_put(struct ledger *l, const struct hash *terms, const struct opening *o, struct wall until) MUST_CHECK;
/* Decrypts into buf (ids), to which out points. ERR_NOT_FOUND, ERR_TOO_LARGE (buf), ERR_CORRUPT, ERR_STATE (no key). */
enum err ledger_opening_get(struct ledger *l, const struct hash *terms, uint32_t *buf, size_t buf_count,
                            struct opening *out) MUST_CHECK;
/* Deletes up to `max` openings whose time has come. */
enum err ledger_openings_purge(struct ledger *l, struct wall now, uint32_t max, uint32_t *out_deleted) MUST_CHECK;

/* Keeps who stands behind a node key, for the bundles of its jobs; replaces what was kept for that key. The caller has
 * verified it. Writes nothing if it is kept already. */
enum err ledger_cert_keep(struct ledger *l, const struct cert *c) MUST_CHECK;
enum err ledger_cert_find(struct ledger *l, const struct pubkey *node, struct cert *out) MUST_CHECK;   /* ERR_NOT_FOUND, ERR_CORRUPT */

/* What a model's name means for this node: the model that it meant when it was first used. Names are not unique in the mesh; a pinned
 * one goes on meaning the same, whoever advertises what. */
struct pin {
    char name[MODEL_LABEL_CHARS_MAX + 1];
    struct hash model;
    struct wall since;                                     /* our clock, display only */
};
/* OK also if that is what it means already. ERR_PINNED (another model), ERR_FULL (PINS_MAX), ERR_ARG (empty or too long). */
enum err ledger_pin(struct ledger *l, const char *name, const struct hash *model, struct wall now) MUST_CHECK;
enum err ledger_pin_find(struct ledger *l, const char *name, struct pin *out) MUST_CHECK;  /* ERR_NOT_FOUND, ERR_CORRUPT */
/* In order of names, the first one behind p->name ("" at first). ERR_NOT_FOUND at the end. */
enum err ledger_pin_next(struct ledger *l, struct pin *p) MUST_CHECK;
enum err ledger_unpin(struct ledger *l, const char *name) MUST_CHECK;                      /* ERR_NOT_FOUND */

/* Everything about one job as a bundle (bundle.h) that anyone can check offline, with the certificates kept for both keys.
 * with_opening adds what ledger_opening_get() gives, if it is still there. ERR_TOO_LARGE if cap is too small, ERR_NOT_FOUND. */
enum err ledger_bundle(struct ledger *l, const struct hash *terms, bool with_opening, uint8_t *buf, size_t cap,
                       struct bytes *out) MUST_CHECK;

/* Reads everything and recomputes everything: invariants 1 to 8 and every signature of ours and theirs. For doctor, tests and
 * the simulator. OK, or ERR_CORRUPT with a sentence in out; where the store could not be read, its error and nothing about the book. */
enum err ledger_check(struct ledger *l, char out_why[160]) MUST_CHECK;
/* The part of it that verifies no signature and walks no receipt: jobs, channels, accounts, totals. */
enum err ledger_check_sums(struct ledger *l, char out_why[160]) MUST_CHECK;
/* The part of that which is about one peer: its account against the heads of its two channels, and their newest receipts. Cheap
 * enough for every step. */
enum err ledger_check_peer(struct ledger *l, const struct pubkey *peer, char out_why[160]) MUST_CHECK;

#endif
