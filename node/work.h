/* work.h - the two halves of the provider among themselves: provider.c wins work, delivery.c does it. Not for others. */
#ifndef TALLYMESH_NODE_WORK_H
#define TALLYMESH_NODE_WORK_H

#include "node/provider.h"

/* ---- delivery.c ---- */
/* Terms are signed by both sides and the prompt is open: sets up w and starts the engine. tokens are copied. */
void delivery_begin(struct provider *p, struct work *w, const struct node_id *node, const struct terms *terms, const struct hash *hash,
                    const struct prompt_msg *prompt, const uint32_t *tokens);
/* The requester wants no more: what was sent is claimed (unless it said that it signs nothing more), the rest is dropped. */
void delivery_cancel(struct provider *p, struct work *w, enum cancel_why why);
/* The requester is gone or signs nothing: the job ends with what is co-signed. */
void delivery_abandon(struct provider *p, struct work *w, enum reason why);

#endif
