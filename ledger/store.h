/* store.h - where do records go, and when is one safe? A port: the ledger writes through it and knows no database.
 *
 * Owns:    nothing; an implementation embeds struct store first (store_mem.h, store_lmdb.h).
 * Threads: one; the thread that runs the ledger.
 * Effects: everything between two commits is one transaction. It begins by itself with the first access, is visible to
 *          our own reads at once, and is durable, all or nothing, when store_commit() has returned OK. The shell commits once
 *          per loop turn, before it performs any effect of that turn: write before you speak.
 * Sticky:  after the first failed call of a transaction every further call fails with the same error and store_commit()
 *          undoes everything and returns it, so half a change can never be committed. After a failed commit the caller
 *          must promise nothing of that turn; an ERR_IO wants the process to stop and reopen (a failed flush may have
 *          lost pages that the kernel now calls clean).
 * Memory:  views handed out live until the next put, del, commit or abort on the same store.
 * Spec:    docs/disk-format.md
 */
#ifndef TALLYMESH_LEDGER_STORE_H
#define TALLYMESH_LEDGER_STORE_H

#include "crypto/base.h"

/* One sorted table (byte order of keys) each. Names are those in the file; append only. */
#define STORE_TABLES(X)                                                                                                \
    X(STORE_META, "meta")                            /* versions, totals */                                            \
    X(STORE_RECEIPT, "receipt")                      /* local number -> co-signed receipt; append-only primary */      \
    X(STORE_RECEIPT_ID, "receipt_id")                /* receipt id -> local number */                                  \
    X(STORE_CHANNEL, "channel")                      /* role, peer -> head, half-signed receipt */                     \
    X(STORE_ACCOUNT, "account")                      /* peer -> sums */                                                \
    X(STORE_JOB, "job")                              /* terms hash -> job */                                           \
    X(STORE_JOB_NUMBER, "job_number")                /* local number -> terms hash */                                  \
    X(STORE_JOB_ID, "job_id")                        /* job id, local number -> terms hash */                          \
    X(STORE_JOB_OPEN, "job_open")                    /* local number -> terms hash, while the job is not ended */      \
    X(STORE_JOB_DUE, "job_due")                      /* peer, local number -> terms hash: ended, wants a receipt */    \
    X(STORE_TERMS, "terms")                          /* terms hash -> body, signatures */                              \
    X(STORE_CLAIM, "claim")                          /* terms hash, k -> body, signatures */                           \
    X(STORE_DIGEST, "digest")                        /* terms hash, j -> digest */                                     \
    X(STORE_NOTE, "note")                            /* terms hash, side -> body, signature */                         \
    X(STORE_SECRET, "secret")                        /* terms hash, part -> encrypted opening */                       \
    X(STORE_SECRET_DUE, "secret_due")                /* wall ms, terms hash -> nothing */                              \
    X(STORE_EVIDENCE, "evidence")                    /* role, peer, seq -> the other body, signature */      \
    X(STORE_CHANNEL_SEQ, "channel_seq")              /* role, peer, seq -> local number */                             \
    X(STORE_CERT, "cert")                            /* node key -> certificate last seen for it */                        \
    X(STORE_UNSIGNED, "unsigned")                    /* wall ms, terms hash -> cost of what was delivered */           \
    X(STORE_JOB_IDLE, "job_idle")                    /* local number -> terms hash: provided, and came to nothing */   \
    X(STORE_PIN, "pin")                              /* name of a model -> the model it means here */

enum store_table {
#define X(name, text) name,
    STORE_TABLES(X)
#undef X
    STORE_TABLE_COUNT
};
const char *store_table_name(enum store_table t);          /* static */

enum {
    STORE_KEY_BYTES_MAX = 256,                             /* LMDB takes 511 */
    STORE_VALUE_BYTES_MAX = 1024 * 1024,
};

struct store;
struct store_ops {
    enum err (*get)(struct store *s, enum store_table t, struct bytes key, struct bytes *out);
    enum err (*put)(struct store *s, enum store_table t, struct bytes key, struct bytes value);
    enum err (*del)(struct store *s, enum store_table t, struct bytes key);
    enum err (*seek)(struct store *s, enum store_table t, struct bytes key, bool backward, struct bytes *out_key,
              struct bytes *out_value);
    enum err (*commit)(struct store *s);
    void (*abort)(struct store *s);
    void (*close)(struct store *s);
};
struct store {
    const struct store_ops *ops;
    enum err failed;                                       /* sticky, see above */
    bool dirty;                                            /* something was put or deleted since the last commit */
    bool read_only;
};

/* ERR_NOT_FOUND does not stick. */
enum err store_get(struct store *s, enum store_table t, struct bytes key, struct bytes *out) MUST_CHECK;
/* Inserts or replaces. ERR_STATE on a read-only store, ERR_DISK_FULL, ERR_IO, ERR_MEMORY. */
enum err store_put(struct store *s, enum store_table t, struct bytes key, struct bytes value) MUST_CHECK;
/* OK also if it was not there. */
enum err store_del(struct store *s, enum store_table t, struct bytes key) MUST_CHECK;
/* The first entry with a key >= `key`; ERR_NOT_FOUND if there is none. To go on, ask from the found key with one zero byte
 * behind it. */
enum err store_seek(struct store *s, enum store_table t, struct bytes key, struct bytes *out_key,
                    struct bytes *out_value) MUST_CHECK;
/* The last entry with a key < `key` (an empty key means: the last of all). */
enum err store_seek_before(struct store *s, enum store_table t, struct bytes key, struct bytes *out_key,
                           struct bytes *out_value) MUST_CHECK;

/* The caller found in the middle of a change that it cannot finish it: sticks like a failed call. e is not OK. */
void store_fail(struct store *s, enum err e);
/* Durable, or nothing happened and the reason. OK at no cost if nothing was written. */
enum err store_commit(struct store *s) MUST_CHECK;
void store_abort(struct store *s);                         /* forgets everything since the last commit, and the sticky error */
void store_close(struct store *s);                         /* aborts what is uncommitted; s is gone afterwards */

#endif
