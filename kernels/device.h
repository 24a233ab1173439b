/* device.h - who runs the forward pass: the CPU with one of its backends, or a GPU.
 *
 * The engine plans batches and keeps jobs; a device owns weights, cache and scratch and does the arithmetic of a batch
 * from token numbers to token numbers. Whatever the device, results are NV1's, so the engine never asks which it has.
 *
 * One pass: device_forward() over a ragged batch, then of that pass device_row_failed(), device_pick() and
 * device_head_bytes() for its wanted rows, in any order and number, until the next device_forward().
 *
 * Owns:    everything an open device holds; the struct model is borrowed until device_close().
 * Threads: one caller.
 * Spec:    NV1 8-11
 */
#ifndef TALLYMESH_KERNELS_DEVICE_H
#define TALLYMESH_KERNELS_DEVICE_H

#include "crypto/base.h"
#include "kernels/fault.h"
#include "kernels/model.h"
#include "kernels/sampler.h"

enum { DEVICE_POSITIONS_MAX = 1 << 20, DEVICE_VOCAB_MAX = 1 << 20 };     /* NV1 12 */

/* Token `token` stands at `position` of the sequence in `slot`. A row reads the cache of its slot at positions
 * 0..position, so within a slot the rows of one pass and of the passes before it leave no gap. */
struct row {
    uint32_t slot, position, token;
    bool want;                   /* the token after this one will be asked for */
};

/* A question to the sampler and its answer: the token that follows wanted row `wanted` (they are counted from 0 in the
 * order of the batch), to stand at `position`. */
struct pick {
    uint32_t wanted, position;
    const struct sampler_params *params;
    enum err error;              /* OK, or ERR_NUMERIC: a logit is not finite */
    uint32_t token;
};

struct device_shape {
    uint32_t rows_max;           /* of one pass */
    uint32_t slots, pages, pages_per_slot;
};

struct device {
    const struct device_ops *ops;
};

/* What a kind of device can do. `name` below is what a user calls it: "avx512vnni", "cuda:1". */
struct device_ops {
    void (*close)(struct device *d);
    const char *(*name)(const struct device *d);
    enum err (*self_test)(struct device *d);
    enum err (*reserve)(struct device *d, uint32_t slot, uint32_t positions);
    void (*release)(struct device *d, uint32_t slot);
    enum err (*forward)(struct device *d, const struct row *rows, uint32_t n);
    bool (*row_failed)(const struct device *d, uint32_t i);
    enum err (*pick)(struct device *d, struct pick *picks, uint32_t n);
    void (*head_bytes)(const struct device *d, uint32_t wanted, uint8_t *out);
};

/* Finds the device by name (NULL: the best CPU backend of this machine; "cuda", "cuda:1": a GPU, if built with TM_CUDA), checks
 * it, and loads the model onto it. `threads` compute threads for a CPU, the caller's included; for a GPU they pack weights.
 * ERR_NOT_FOUND no such device here; ERR_UNSUPPORTED a model outside NV1 12; ERR_DEVICE it does not compute what NV1 says, or is
 * lost; ERR_MEMORY. */
enum err device_open(const struct model *model, const char *name, uint32_t threads, const struct device_shape *shape,
                     struct device **out, struct fault *why) MUST_CHECK;
/* Would device_open() find this name here? Not NULL. */
bool device_is_here(const char *name);
/* Bytes of host memory that device_open() would reserve; 0: no such device here. */
uint64_t device_reserves(const struct model *model, const char *name, const struct device_shape *shape);

static inline void device_close(struct device *d)
{
    if (d)
        d->ops->close(d);
}
static inline const char *device_name(const struct device *d) { return d->ops->name(d); }
/* ERR_DEVICE: what it computes is not NV1 (any more). A few milliseconds. */
static inline MUST_CHECK enum err device_self_test(struct device *d) { return d->ops->self_test(d); }
/* Gives the slot memory for `positions`; what it remembers of those stays. ERR_CAPACITY: too little is free; ERR_CONTEXT: over
 * pages_per_slot; then nothing has changed. */
static inline MUST_CHECK enum err device_reserve(struct device *d, uint32_t slot, uint32_t positions)
{
    return d->ops->reserve(d, slot, positions);
}
/* Takes the slot's memory back. On a CPU it is wiped first, with the last slot's everything that was computed too. */
static inline void device_release(struct device *d, uint32_t slot) { d->ops->release(d, slot); }
/* 1 <= n <= rows_max. ERR_DEVICE: the device is unusable from now on, and nothing of this pass counts. */
static inline MUST_CHECK enum err device_forward(struct device *d, const struct row *rows, uint32_t n)
{
    return d->ops->forward(d, rows, n);
}
/* Did row i meet a NaN or an infinity (NV1 11)? Then nothing of it or of its slot may be used. */
static inline bool device_row_failed(const struct device *d, uint32_t i) { return d->ops->row_failed(d, i); }
/* Answers all picks, each about a wanted row that has not failed. ERR_DEVICE as for device_forward(). */
static inline MUST_CHECK enum err device_pick(struct device *d, struct pick *picks, uint32_t n)
{
    return d->ops->pick(d, picks, n);
}
/* NV1 9 of a wanted row; quant_head_bytes(head type, dim) bytes. */
static inline void device_head_bytes(const struct device *d, uint32_t wanted, uint8_t *out)
{
    d->ops->head_bytes(d, wanted, out);
}

#endif
