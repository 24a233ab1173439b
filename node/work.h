/* work.h - the three parts of the provider among themselves. Not for others.
 *
 * tender.c bids for work, provider.c keeps the table and accepts terms, delivery.c does the work.
 */
#ifndef TALLYMESH_NODE_WORK_H
#define TALLYMESH_NODE_WORK_H

#include "node/provider.h"

/* ---- provider.c ---- */
struct reservation *provider_reservation(struct provider *p, const struct hash *offer);    /* NULL if there is none */
void provider_release(struct provider *p, struct reservation *v);          /* the slot is free, the one-time key wiped */
void provider_decline(struct provider *p, const struct node_id *to, enum message_type type, const struct decline *d);
struct credit_limits provider_credit(const struct services *s);
/* PROTO 6.4: has it begun so much that it has not signed for that it must wait? DECLINE_NONE, or the refusal. */
struct decline provider_judge_unpaid(const struct provider *p, const struct pubkey *requester);
bool provider_is_newcomer(const struct services *s, const struct pubkey *requester);

/* ---- delivery.c ---- */
/* Terms are signed by both sides and the prompt is open: sets up w and starts the engine. tokens are copied. */
void delivery_begin(struct provider *p, struct work *w, const struct node_id *node, const struct terms *terms, const struct hash *hash,
                    const struct prompt_msg *prompt, const uint32_t *tokens);
/* Sends what may be sent now: next_chunk_at has come. */
void delivery_resume(struct provider *p, struct work *w);
/* The requester wants no more: what was sent is claimed (unless it said that it signs nothing more), the rest is dropped. */
void delivery_cancel(struct provider *p, struct work *w, enum cancel_why why);
/* The requester is gone or signs nothing: the job ends with what is co-signed. */
void delivery_abandon(struct provider *p, struct work *w, enum reason why);

#endif
