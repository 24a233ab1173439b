/* trust.h - which providers have let us down lately?
 *
 * Measured elsewhere and confirmed in simulation: if a fifth of the providers promise and do not deliver, a requester without
 * memory gets nothing done, and one that merely asks them last is back near full speed. So a provider that failed a job is ranked
 * last for TRUST_FIRST_MS, twice as long each further time; one job delivered makes it good again. It is only ever a
 * matter of order: a provider in disgrace is still used when nobody else bids. Not stored, not told to anybody.
 *
 * Owns:    TRUST_ENTRIES_MAX entries inside the struct; when full, the one that expires first makes room.
 * Threads: none.
 * Time:    `now` as handed in.
 */
#ifndef TALLYMESH_NODE_TRUST_H
#define TALLYMESH_NODE_TRUST_H

#include "crypto/key.h"

enum { TRUST_ENTRIES_MAX = 64, TRUST_FIRST_MS = 30 * 1000, TRUST_DOUBLINGS_MAX = 6 };

struct trust {
    struct {
        bool used;
        struct node_id node;
        uint32_t failures;
        struct mono until;                                 /* in disgrace until then; the count is kept as long again */
    } entry[TRUST_ENTRIES_MAX];
};
void trust_init(struct trust *t);
void trust_failed(struct trust *t, struct mono now, const struct node_id *node);
void trust_delivered(struct trust *t, const struct node_id *node);
bool trust_is_bad(const struct trust *t, struct mono now, const struct node_id *node);

#endif
