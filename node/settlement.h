/* settlement.h - which receipts are still to be exchanged, and with whom?
 *
 * The ledger knows what is due; this machine carries it. A receipt travels when its job has ended, one per channel at a
 * time; when a link comes up both sides compare channel heads and whoever is behind is brought up to date. A requester that
 * is not connected (its link fell idle, or it was away) is looked up and dialled by the provider, who is the one that
 * waits for something. It remembers nothing that a restart could lose.
 *
 * Owns:    when to look again.
 * Threads: none.
 * Effects: through services.
 * Spec:    PROTO 6.7 (receipt), PROTO 6.10 (resync)
 */
#ifndef TALLYMESH_NODE_SETTLEMENT_H
#define TALLYMESH_NODE_SETTLEMENT_H

#include "node/services.h"

enum { SETTLE_RETRY_MS = 2000, RESYNC_RECEIPTS_MAX = 16,
       SEEK_MS = 10 * 1000, SEEKS_MAX = 2,                 /* debtors looked up at once; each gets its turn, the gone ones too */
       KEPT_JOBS_LOOKED_AT = 64, KEPT_CLAIMS_MAX = WINDOW_TOKENS / CLAIM_TOKENS + 2 };

struct settlement {
    struct services *s;
    struct mono retry_at;                                  /* MONO_NEVER: nothing is due to anybody connected */
    struct mono seek_at;                                   /* MONO_NEVER: nothing is due from anybody absent */
    struct pubkey sought;                                  /* the last debtor that was looked up; the next in order follows */
};

void settlement_init(struct settlement *t, struct services *s);
/* Sends what is due to this peer now, if anything is and it is connected. */
void settlement_propose(struct settlement *t, const struct pubkey *requester);
void settlement_peer_up(struct settlement *t, const struct node_id *node);
/* A lookup of ours has found this node: it is dialled if it still owes us a signature. */
void settlement_found(struct settlement *t, const struct node_record *record);

/* True in *out_closed if a receipt of ours as requester is complete: of which job, under which id. */
enum err settlement_receipt(struct settlement *t, const struct node_id *from, struct bytes body, bool *out_closed,
                            struct hash *out_terms, struct hash *out_id) MUST_CHECK;
enum err settlement_receipt_ok(struct settlement *t, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err settlement_resync(struct settlement *t, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err settlement_resync_ok(struct settlement *t, const struct node_id *from, struct bytes body) MUST_CHECK;

/* As provider: a claim that the requester co-signed and whose answer was lost. */
enum err settlement_kept(struct settlement *t, const struct node_id *from, struct bytes body) MUST_CHECK;

bool settlement_step(struct settlement *t);
struct mono settlement_deadline(const struct settlement *t);
bool settlement_is_due(const struct settlement *t);              /* to a connected peer */

#endif
