/* reexecute_posix.h - computes an opened job again and compares bytes with what was signed.
 *
 * One teacher-forced prefill over prompt and answer gives, for every answer token, the token the sampler must choose and
 * the head bytes. Tokens are compared one by one, head bytes through the salted digests of 32 tokens.
 *
 * Owns:    nothing after it returns. Threads: blocking; not on a loop. Effects: CPU, heap.
 * Spec:    PROTO 7.10, NV1 9
 */
#ifndef TALLYMESH_NODE_REEXECUTE_POSIX_H
#define TALLYMESH_NODE_REEXECUTE_POSIX_H

#include "kernels/fault.h"
#include "kernels/model.h"
#include "ledger/bundle.h"

struct reexecution {
    uint32_t tokens, digests;                          /* compared */
    bool tokens_match, digests_match;
    uint32_t first_token;                              /* index into the answer of the first that differs */
    uint32_t expected, claimed;                        /* its ids */
    uint64_t first_digest;
    double seconds;
    char backend[32];
};

/* r is what bundle_check() said of b. OK with *out filled whether or not the bytes match; ERR_STATE: the bundle has no opening, or
 * nothing that both sides signed to compare with; or the engine's error. */
enum err reexecute(const struct model *m, const struct bundle *b, const struct bundle_report *r, const char *backend, uint32_t threads,
                   struct reexecution *out, struct fault *why) MUST_CHECK;

#endif
