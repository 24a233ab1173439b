/* attention.h - what do some queries see in their past?
 *
 * NV1 7: tiles of 64 positions, chunks of 256, both ascending. One driver for all backends; what is heavy is behind
 * struct ops. Queries that read the same key and value head pass over its tiles together: the heads of a group in
 * grouped-query attention, and neighbouring rows of a prompt. What one of them sees does not depend on the others.
 *
 * Threads: pure over a cache that nobody writes at these positions meanwhile.
 * Spec:    NV1 7
 */
#ifndef TALLYMESH_KERNELS_ATTENTION_H
#define TALLYMESH_KERNELS_ATTENTION_H

#include "crypto/base.h"
#include "kernels/kvcache.h"
#include "kernels/ops.h"

struct attn_query {
    const float *q;              /* head_dim values, rotated */
    uint32_t position;
    float *out;                  /* head_dim values */
};

struct attn_queries {
    uint32_t slot, layer, kv_head;
    float score_scale;           /* A of NV1 7.1 */
    uint32_t count;              /* 1..ATTN_QUERIES */
    struct attn_query each[ATTN_QUERIES];        /* positions do not descend */
};

/* Fills out of every query. Bit i of what is returned: something of query i was not finite; then its out is zero. */
uint32_t attention(const struct ops *ops, const struct kvcache *kv, const struct attn_queries *queries);

#endif
