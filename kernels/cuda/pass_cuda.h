/* pass_cuda.h - one forward pass on a CUDA device: its buffers, what the host sends, what is launched, what comes
 * back.
 *
 * Everything between the host's inputs and its results is enqueued by pass_enqueue() at fixed addresses, with
 * nothing that depends on the batch but its shape (struct pass_shape): so a pass can be captured once and played
 * again.
 *
 * Owns:    device and pinned memory for rows_max rows, and the cache's pages (not who has which: kvpages.h).
 * Threads: one caller, whose current device is this one.
 * Spec:    NV1 8-11
 */
#ifndef TALLYMESH_KERNELS_CUDA_PASS_CUDA_H
#define TALLYMESH_KERNELS_CUDA_PASS_CUDA_H

#include "crypto/base.h"
#include "kernels/cuda/steps.h"
#include "kernels/cuda/weights_cuda.h"
#include "kernels/device.h"
#include "kernels/ops.h"

enum { PASS_PICKS_MAX = 64 };            /* picks that share one reading of the output matrix */

/* What decides which kernels are launched, with which grids. */
struct pass_shape {
    uint32_t n, wanted, tiles;
    uint32_t chunks;                     /* at least position / 256 + 1 of every row */
    bool split;                          /* every chunk is a block of its own */
};

/* What the host writes before a pass; one copy. */
struct pass_inputs {
    struct cuda_row *rows;               /* (rows_max) */
    uint32_t *wanted;                    /* (rows_max): row numbers */
    struct cuda_query_tile *tiles;       /* (tiles_max) */
    uint8_t *stored;                     /* (rows_max, row bytes): rows of token_embd */
};

/* What comes back. */
struct pass_results {
    uint32_t *bad;                       /* (rows_max) */
    int8_t *q;                           /* (rows_max, blocks * 256): the quantised inputs of the head */
    float *d, *h;                        /* (rows_max, blocks * 8); (rows_max, dim) for a float head */
    struct cuda_pick *picks;             /* (PASS_PICKS_MAX) */
};

struct pass {
    const struct model *model;
    const struct cuda_weights *weights;
    struct device_shape shape;
    uint32_t rotations_known;            /* positions whose rotation is on the device */
    double *rates;
    float score_scale;
    size_t partial_floats, inputs_bytes, row_bytes;
    struct cuda_cache cache;
    struct pass_inputs host, device;
    struct pass_results results;

    /* Device memory, (rows_max, ...). */
    void *inputs;
    float *x, *n, *y, *h, *q, *k, *v, *o, *gate, *up, *partial, *rotations, *logits;
    struct cuda_acts n_acts[2];          /* in groups of 32 and of 256 values: layers may read both */
    struct cuda_acts o_acts, gate_acts, h_acts;                    /* in those that the one reader takes */
    int8_t *q8;
    float *cq;
    uint32_t *bad, *tables;
    struct cuda_pick *picks;
    void *inputs_host;
    float *rotations_host;               /* (256, rope_dims) */
};

/* ERR_MEMORY, ERR_UNSUPPORTED (NV1 6.2), ERR_DEVICE. On failure nothing is held. */
enum err pass_init(struct pass *p, const struct model *model, const struct cuda_weights *weights,
                   const struct device_shape *shape, struct fault *why) MUST_CHECK;
void pass_fini(struct pass *p);
/* Host memory that pass_init() takes. */
uint64_t pass_host_bytes(const struct model *model, const struct device_shape *shape);

/* Fills the inputs for these rows; the pass before must be over. tiles of one row each if `one_row`. */
struct pass_shape pass_prepare(struct pass *p, const struct row *rows, uint32_t n, bool one_row);
/* Sends rotations up to this position. ERR_DEVICE */
enum err pass_reach(struct pass *p, uint32_t position, struct CUstream_st *stream) MUST_CHECK;
/* Everything of a pass: inputs up, kernels, results down. */
enum err pass_enqueue(struct pass *p, const struct pass_shape *s, struct CUstream_st *stream) MUST_CHECK;
/* Logits of wanted rows [first, first + n) and the n answers to results.picks, which the caller has filled. */
enum err pass_enqueue_picks(struct pass *p, uint32_t first, uint32_t n, struct CUstream_st *stream) MUST_CHECK;
/* Sends the table of a slot's pages. */
enum err pass_send_table(struct pass *p, const uint32_t *table, uint32_t slot, struct CUstream_st *stream) MUST_CHECK;

#endif
