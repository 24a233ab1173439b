/* effects.h - what the agent wants done, in order, with the bytes it lends until the next event.
 *
 * Bound. One event leads to at most: the overlay's own outbox copied through, one reaction to one message (at most one sealed
 * prompt or header part, and a handful of small frames), and timer work. Timer work asks effects_is_roomy() before each
 * job and leaves the rest for a tick that is due at once, so the bound does not grow with the number of jobs. A frame that
 * still does not fit is dropped and counted, as a full socket buffer would; a client effect that does not fit is our own
 * mistake (ENSURE).
 *
 * Owns:    copies of all frames and texts, in a fixed arena.
 * Threads: none.
 */
#ifndef TALLYMESH_NODE_EFFECTS_H
#define TALLYMESH_NODE_EFFECTS_H

#include "node/event.h"

enum {
    EFFECTS_MAX = 2048, EFFECTS_ARENA_BYTES = 1024 * 1024,
    EFFECTS_RESERVED = 256,                         /* kept free of frames, so that clients always get their word */
    EFFECTS_ARENA_RESERVED = 4 * OUTPUT_TOKENS_MAX + 4096,  /* likewise: the most tokens one event can bring */
};

struct effects {
    uint32_t head, count;
    size_t used;
    uint64_t dropped;
    struct agent_effect list[EFFECTS_MAX];
    _Alignas(8) uint8_t arena[EFFECTS_ARENA_BYTES];
};
void effects_init(struct effects *o);
/* Forgets what was drained and its bytes. Everything must have been drained. */
void effects_reset(struct effects *o);
bool effects_next(struct effects *o, struct agent_effect *out);
bool effects_is_roomy(const struct effects *o);              /* at least half empty: timers may add more work */

/* A zeroed effect to fill in. */
struct agent_effect *effects_add(struct effects *o, enum agent_effect_kind kind);
/* A copy that lives until the next reset. */
struct bytes effects_copy(struct effects *o, struct bytes b);
/* A frame for a link, copied. Dropped and counted if there is no room. */
void effects_send(struct effects *o, struct link link, struct bytes frame);
void effects_log(struct effects *o, enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void effects_failed(struct effects *o, struct client_id client, enum err error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
