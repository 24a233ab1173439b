/* memory_cuda.c - device memory and pinned host memory, list by list. */
#include "kernels/cuda/memory_cuda.h"

#include <cuda_runtime_api.h>
#include <inttypes.h>

uint64_t memory_sum(const struct memory_wish *wishes, size_t n, enum memory_kind kind)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (wishes[i].kind == kind)
            sum += wishes[i].bytes;
    return sum;
}

/* ERR_DEVICE: the device is lost. (Pinned memory that the host does not have may be any error.) */
static enum err take(const struct memory_wish *w)
{
    size_t bytes = (size_t)(w->bytes ? w->bytes : 1);
    if (w->bytes > SIZE_MAX / 2)
        return ERR_MEMORY;
    if (w->kind == MEMORY_HOST)
        return cudaMallocHost(w->at, bytes) == cudaSuccess ? OK : ERR_MEMORY;
    cudaError_t e = cudaMalloc(w->at, bytes);
    return e == cudaSuccess ? OK : e == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_DEVICE;
}

enum err memory_take(const struct memory_wish *wishes, size_t n, const char *what, struct fault *why)
{
    size_t free_bytes = 0, all = 0;
    (void)cudaMemGetInfo(&free_bytes, &all);
    for (size_t i = 0; i < n; i++)
        *wishes[i].at = NULL;
    for (size_t i = 0; i < n; i++) {
        enum err e = take(&wishes[i]);
        if (e == OK)
            continue;
        *wishes[i].at = NULL;
        memory_give(wishes, n);
        cudaError_t last = cudaGetLastError();         /* read away: if the device is well, no launch shall be blamed */
        if (e == ERR_DEVICE)
            return fault_set(why, e, "%s: the device does not answer: %s", what, cudaGetErrorString(last));
        uint64_t device = memory_sum(wishes, n, MEMORY_DEVICE), host = memory_sum(wishes, n, MEMORY_HOST);
        return fault_set(why, ERR_MEMORY,
                         "%s: %" PRIu64 " bytes wanted on the device, %zu of %zu free; %" PRIu64 " on the host", what,
                         device, free_bytes, all, host);
    }
    return OK;
}

void memory_give(const struct memory_wish *wishes, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        if (!*wishes[i].at)
            continue;
        (void)(wishes[i].kind == MEMORY_DEVICE ? cudaFree(*wishes[i].at) : cudaFreeHost(*wishes[i].at));
        *wishes[i].at = NULL;
    }
}
