/* unpaid.h - may this requester begin another job before it has signed for the last ones?
 *
 * A job that is begun costs a provider records on disk and a prefill, and the requester nothing until it co-signs a claim. Each
 * job begun takes one place of its requester, and if that is a newcomer, one of the newcomers together; the first co-signature
 * gives it back, and so does time, slowly. Whoever signs is never held up by this; who never does is slowed to the refill.
 *
 * Owns:    at most UNPAID_REQUESTERS_MAX requesters with a place taken. If more are about, the one that gets its last place back
 *          soonest is forgotten; newcomers, who can be many, meet their common bound first.
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back. A restart forgets.
 * Effects: none.
 * Spec:    PROTO 6.4
 */
#ifndef TALLYMESH_NODE_UNPAID_H
#define TALLYMESH_NODE_UNPAID_H

#include "crypto/bounds.h"
#include "crypto/key.h"

enum { UNPAID_REQUESTERS_MAX = 512 };

struct unpaid {
    struct {
        struct pubkey key;
        struct mono free_at;                               /* when all its places are free again; past: it has none taken */
    } requester[UNPAID_REQUESTERS_MAX];
    struct mono newcomers_free_at;
};

/* How many jobs it could begin now; 0: none. */
uint32_t unpaid_places(const struct unpaid *u, struct mono now, const struct pubkey *requester, bool newcomer);
void unpaid_begun(struct unpaid *u, struct mono now, const struct pubkey *requester, bool newcomer);
/* The job is signed for; newcomer as it was when it began. */
void unpaid_signed(struct unpaid *u, const struct pubkey *requester, bool newcomer);

#endif
