/* served.h - which models does this node serve, and how many of their slots are taken?
 *
 * A slot is taken by a running execution (ours or a customer's) or held by a bid until it is used, released or expires.
 *
 * Owns:    at most SERVED_MAX entries inside the struct; header bytes are borrowed from the shell until AGENT_MODEL_GONE.
 * Threads: none.
 */
#ifndef TALLYMESH_NODE_SERVED_H
#define TALLYMESH_NODE_SERVED_H

#include "node/event.h"

enum { SERVED_MAX = 8 };

struct served {
    bool used;
    struct served_model model;
    uint32_t running, held;
};
struct served_table {
    struct served entry[SERVED_MAX];
};
void served_init(struct served_table *t);
/* Adds, or replaces what was measured. ERR_FULL, ERR_PRICE (above PRICE_MAX). */
enum err served_add(struct served_table *t, const struct served_model *m) MUST_CHECK;
void served_remove(struct served_table *t, const struct hash *model);
struct served *served_find(struct served_table *t, const struct hash *model);   /* NULL if not served */
uint32_t served_slots_free(const struct served *s);
/* One more, or one fewer, of running and held; a model that has gone meanwhile is ignored. */
void served_run(struct served_table *t, const struct hash *model, int change);
void served_hold(struct served_table *t, const struct hash *model, int change);

#endif
