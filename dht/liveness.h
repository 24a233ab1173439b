/* liveness.h - does this peer still answer, and how far away is it?
 *
 * A ping every PING_INTERVAL_MS, whatever else is said, because it also measures the way and keeps NAT mappings open. A
 * ping without a pong is a miss only if nothing else was heard since; PING_MISSES_MAX misses in a row are death.
 *
 *   state      known                                  left by
 *   waiting    asked_at: none outstanding             liveness_due() = PING at next_ping; then liveness_asked()
 *   asked      request, asked_at                      liveness_answered(), or PONG_TIMEOUT_MS in liveness_due()
 *
 * Owns:    the struct: one watched peer.
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none; liveness_due() says what the parent should do.
 * Spec:    PROTO 3.5
 */
#ifndef TALLYMESH_DHT_LIVENESS_H
#define TALLYMESH_DHT_LIVENESS_H

#include "crypto/base.h"
#include "crypto/bounds.h"

enum { PONG_TIMEOUT_MS = 5000 };

struct liveness {
    bool asked;
    uint64_t request;
    struct mono asked_at, next_ping, heard;
    uint32_t misses;
    uint32_t rtt_us;                                       /* smoothed: 7/8 old + 1/8 new; 0: none yet */
};

enum liveness_verdict { LIVENESS_WAIT, LIVENESS_PING, LIVENESS_DEAD };

void liveness_init(struct liveness *l, struct mono now);       /* the first ping is due at once: it measures the way */
/* Anything authentic arrived. */
void liveness_heard(struct liveness *l, struct mono now);
/* What to do now. May move an unanswered ping to a miss. */
enum liveness_verdict liveness_due(struct liveness *l, struct mono now);
/* The parent has sent the ping that was due. */
void liveness_asked(struct liveness *l, struct mono now, uint64_t request);
/* ERR_NOT_FOUND: nobody asked that. */
enum err liveness_answered(struct liveness *l, struct mono now, uint64_t request) MUST_CHECK;
struct mono liveness_deadline(const struct liveness *l);

#endif
