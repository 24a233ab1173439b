/* outbox.h - what the agent wants done, in order, with the bytes it lends until the next event.
 *
 * Bound. One event leads to at most: the overlay's own outbox copied through, one reaction to one message (at most one sealed
 * prompt or header part, and a handful of small frames), and timer work. Timer work asks outbox_is_roomy() before each
 * job and leaves the rest for a tick that is due at once, so the bound does not grow with the number of jobs. A frame that
 * still does not fit is dropped and counted, as a full socket buffer would; a client effect that does not fit is our own
 * mistake (ENSURE).
 *
 * Owns:    copies of all frames and texts, in a fixed arena.
 * Threads: none.
 */
#ifndef TALLYMESH_NODE_OUTBOX_H
#define TALLYMESH_NODE_OUTBOX_H

#include "node/event.h"

enum {
    OUTBOX_EFFECTS = 2048, OUTBOX_ARENA_BYTES = 1024 * 1024,
    OUTBOX_EFFECTS_RESERVED = 256,                         /* kept free of frames, so that clients always get their word */
    OUTBOX_ARENA_RESERVED = 4 * OUTPUT_TOKENS_MAX + 4096,  /* likewise: the most tokens one event can bring */
};

struct outbox {
    uint32_t head, count;
    size_t used;
    uint64_t dropped;
    struct agent_effect effects[OUTBOX_EFFECTS];
    _Alignas(8) uint8_t arena[OUTBOX_ARENA_BYTES];
};
void outbox_init(struct outbox *o);
/* Forgets what was drained and its bytes. Everything must have been drained. */
void outbox_reset(struct outbox *o);
bool outbox_next(struct outbox *o, struct agent_effect *out);
bool outbox_is_roomy(const struct outbox *o);              /* at least half empty: timers may add more work */

/* A zeroed effect to fill in. */
struct agent_effect *outbox_add(struct outbox *o, enum agent_effect_kind kind);
/* A copy that lives until the next reset. */
struct bytes outbox_copy(struct outbox *o, struct bytes b);
/* A frame for a link, copied. Dropped and counted if there is no room. */
void outbox_send(struct outbox *o, struct link link, struct bytes frame);
void outbox_log(struct outbox *o, enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void outbox_failed(struct outbox *o, struct client_id client, enum err error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
