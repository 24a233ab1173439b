/* attention.h - what does one query see in its past?
 *
 * NV1 7 for one (row, head): tiles of 64 positions, chunks of 256, both ascending. One driver for all backends; what is
 * heavy is behind struct ops.
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
    uint32_t slot, position, layer, kv_head;
    float score_scale;           /* A of NV1 7.1 */
};

/* out has head_dim values. False: something was not finite; then out is zero. */
bool attention(const struct ops *ops, const struct kvcache *kv, const struct attn_query *query, float *out);

#endif
