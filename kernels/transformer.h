/* transformer.h - what does the network say about these tokens?
 *
 * The forward pass of NV1 8 over a ragged batch of rows (device.h), in any mixture of prompts and answers. A row's
 * result depends on its slot's tokens alone, never on its neighbours.
 *
 * Owns:    repacked weights, activations for rows_max rows, the KV cache (heap).
 * Threads: one caller; the work inside is spread over the pool.
 * Spec:    NV1 8, 9, 11
 */
#ifndef TALLYMESH_KERNELS_TRANSFORMER_H
#define TALLYMESH_KERNELS_TRANSFORMER_H

#include <stdatomic.h>

#include "crypto/base.h"
#include "kernels/device.h"
#include "kernels/fault.h"
#include "kernels/kvcache.h"
#include "kernels/model.h"
#include "kernels/ops.h"

struct pool;

struct layer_weights {
    const float *attn_norm, *ffn_norm;
    struct matrix attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down;
};

/* The same vectors in the two groupings of NV1 3.2; each is only made where a matrix that reads it wants it. */
struct both_acts {
    struct acts of_32, of_256;
};

struct transformer {
    const struct model *model;
    const struct ops *ops;
    struct pool *pool;
    uint32_t rows_max, q_dim, kv_dim;
    float score_scale;           /* A of NV1 7.1 */
    struct matrix embedding, head;
    struct layer_weights *layers;
    float *norms;                /* all norm weights, aligned copies */
    const float *output_norm;
    double *rates;               /* (rope_dims / 2): angle per position, NV1 6.2 */
    struct kvcache kv;
    void *packed;                /* all weights as the backend wants them (packing.h) */

    /* Activations, (rows_max, ...), all in one block. */
    void *activations;
    size_t activation_bytes;
    float *x, *n, *q, *k, *v, *o, *gate, *up, *y, *rotation;
    struct both_acts n_acts, o_acts, gate_acts;
    _Atomic bool *bad;           /* this row met a NaN or an infinity (NV1 11) */

    /* The wanted rows of the last forward pass, in order: inputs of the output head. */
    float *h;
    struct both_acts h_acts;
    uint32_t *wanted;            /* their row numbers */
    uint32_t wanted_count;
};

/* What any device asks of a model first. ERR_UNSUPPORTED: outside NV1 12. */
enum err transformer_check_limits(const struct model_config *c, struct fault *why) MUST_CHECK;
/* NV1 6.2: rates has rope_dims / 2 entries. ERR_UNSUPPORTED: one is out of range. */
enum err transformer_rates(const struct model *model, double *rates, struct fault *why) MUST_CHECK;
/* A of NV1 7.1. */
float transformer_score_scale(const struct model_config *c);

/* ERR_UNSUPPORTED: outside NV1 12 or 6.2; ERR_MEMORY. `why` may be NULL. Borrows model and pool. */
enum err transformer_init(struct transformer *t, const struct model *model, const struct ops *ops, struct pool *pool,
                          uint32_t rows_max, uint32_t slots, uint32_t pages, uint32_t pages_per_slot,
                          struct fault *why) MUST_CHECK;
void transformer_fini(struct transformer *t);
/* Bytes of heap that transformer_init() takes with these arguments, but for rounding. */
uint64_t transformer_bytes(const struct model *model, const struct ops *ops, uint32_t rows_max, uint32_t slots,
                           uint32_t pages, uint32_t pages_per_slot);

/* Nothing of the passes made so far stays in the activations; their memory goes back to the system until it is needed. */
void transformer_wipe(struct transformer *t);

/* One pass, 1 <= n <= rows_max; fills the cache and the inputs of the head for the wanted rows. */
void transformer_forward(struct transformer *t, const struct row *rows, uint32_t n);

/* Of the last pass: did row i fail (then nothing of it or of its slot may be used)? */
bool transformer_row_failed(const struct transformer *t, uint32_t i);
/* Logits of wanted rows [first, first + n): (n, vocab). */
void transformer_logits(struct transformer *t, uint32_t first, uint32_t n, float *logits);
/* NV1 9 of wanted row i; quant_head_bytes(head.type, dim) bytes. */
void transformer_head_bytes(const struct transformer *t, uint32_t i, uint8_t *out);

#endif
