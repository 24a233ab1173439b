/* memory_cuda.h - what does a CUDA device need in memory, and can it have it?
 *
 * Each part of the device writes down what it wants as a list; the same list says the sum, is granted as a whole or
 * not at all, and is given back. All of it is aligned to 256 bytes.
 *
 * Threads: the caller's device is the current one.
 */
#ifndef TALLYMESH_KERNELS_CUDA_MEMORY_CUDA_H
#define TALLYMESH_KERNELS_CUDA_MEMORY_CUDA_H

#include "crypto/base.h"
#include "kernels/fault.h"

enum memory_kind { MEMORY_DEVICE, MEMORY_HOST };      /* MEMORY_HOST: pinned, so that copies need not wait */

struct memory_wish {
    enum memory_kind kind;
    uint64_t bytes;
    void **at;
};

uint64_t memory_sum(const struct memory_wish *wishes, size_t n, enum memory_kind kind);
/* ERR_MEMORY: nothing was taken, and `why` has the bytes wanted and free. ERR_DEVICE: nor was it, but because the
 * device is lost. */
enum err memory_take(const struct memory_wish *wishes, size_t n, const char *what, struct fault *why) MUST_CHECK;
/* Frees what is there and sets it to NULL. */
void memory_give(const struct memory_wish *wishes, size_t n);

#endif
