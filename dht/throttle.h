/* throttle.h - how much may one peer send us, and when has it misbehaved enough?
 *
 * Three token buckets: bytes, messages, patience. The first two fill at the rates of bounds.h; a frame that finds one
 * empty is refused (ERR_RATE). Patience is spent by offences at the price list in throttle.c; when it is gone the
 * peer's transport key deserves to be muted.
 *
 * Owns:    the struct, no more.
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none; the answers are the effect.
 * Spec:    PROTO 3.6
 */
#ifndef TALLYMESH_DHT_THROTTLE_H
#define TALLYMESH_DHT_THROTTLE_H

#include "crypto/base.h"
#include "crypto/bounds.h"

/* Levels are in millionths, so that a microsecond at one token per second is not lost. */
struct bucket {
    uint64_t level;
    struct mono filled;
};
struct bucket_rate {
    uint32_t per_s, burst;
};
void bucket_init(struct bucket *b, struct mono now, struct bucket_rate rate);          /* full */
bool bucket_take(struct bucket *b, struct mono now, struct bucket_rate rate, uint32_t amount);    /* false: nothing is taken */

struct throttle {
    struct bucket bytes, messages, patience;
};
void throttle_init(struct throttle *t, struct mono now);
/* One frame of so many bytes. OK, or ERR_RATE. */
enum err throttle_charge(struct throttle *t, struct mono now, size_t bytes) MUST_CHECK;
/* True when patience is exhausted: mute the key, forget the link. */
bool throttle_offence(struct throttle *t, struct mono now, enum err what) MUST_CHECK;

#endif
