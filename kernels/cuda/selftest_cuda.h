/* selftest_cuda.h - does this GPU still compute what the law says?
 *
 * Every kernel runs on built-in inputs: products, norm, gate and quantisation through the cases of conformance.h and
 * their known digests; embedding, heads, attention and sampling beside the scalar code on the host. Some
 * milliseconds.
 *
 * Owns:    2 MiB of device memory and a little of the host's, taken once, so that a full device can be asked, too.
 * Threads: one caller, whose current device is this one.
 * Spec:    NV1 13
 */
#ifndef TALLYMESH_KERNELS_CUDA_SELFTEST_CUDA_H
#define TALLYMESH_KERNELS_CUDA_SELFTEST_CUDA_H

#include "crypto/base.h"
#include "kernels/fault.h"
#include "kernels/kvcache.h"

struct CUstream_st;

struct selftest {
    void *device, *host;
    struct kvcache cache;                /* the law's, for the attention */
};

/* ERR_MEMORY, ERR_DEVICE. On failure nothing is held. */
enum err selftest_init(struct selftest *t, struct fault *why) MUST_CHECK;
void selftest_fini(struct selftest *t);
/* ERR_DEVICE: a byte differs, or the device does not answer. Nothing of it is left in the stream. */
enum err selftest_run(struct selftest *t, struct CUstream_st *stream) MUST_CHECK;

#endif
