/* emu_silicon.cu - a real GPU in the place of the emulated one, so that the same tests run on it.
 *
 * Buffers are managed memory, which host and device both read; where the machine has none that both may touch, or with
 * TM_GPU_PINNED set, they are the host's, which the device reads over the bus. Waiting for the device and its errors are
 * what emu_take_faults() is for. Races are compute-sanitizer's to find here, and seeds mean nothing. */
#include "tests/gpu/emu.h"

#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t failures;
static char first_failure[200];

static void note(cudaError_t e)
{
    if (e != cudaSuccess && failures++ == 0)
        snprintf(first_failure, sizeof first_failure, "%s", cudaGetErrorString(e));
}

static bool is_pinned(void)
{
    int managed = 0;
    return getenv("TM_GPU_PINNED") || cudaDeviceGetAttribute(&managed, cudaDevAttrConcurrentManagedAccess, 0) ||
           !managed;
}

void *emu_alloc(const char *name, size_t bytes)
{
    void *p = NULL;
    static const bool pinned = is_pinned();
    if ((pinned ? cudaMallocHost(&p, bytes + 256) : cudaMallocManaged(&p, bytes + 256)) != cudaSuccess) {
        fprintf(stderr, "no %zu bytes for %s on a GPU\n", bytes, name);
        exit(2);
    }
    memset(p, 0xa5, bytes);
    return p;
}

/* The host may write to a buffer as soon as it has made one, so whatever runs must be over. */
void emu_free(void *p)
{
    note(cudaDeviceSynchronize());
    cudaPointerAttributes a;
    note(cudaPointerGetAttributes(&a, p));
    note(a.type == cudaMemoryTypeHost ? cudaFreeHost(p) : cudaFree(p));
}

uint32_t emu_take_faults(const char **first)
{
    static char text[sizeof first_failure];
    note(cudaGetLastError());
    note(cudaDeviceSynchronize());
    memcpy(text, first_failure, sizeof text);
    if (first)
        *first = text;
    uint32_t n = failures;
    failures = 0;
    return n;
}

void emu_make_constant(void *p) { (void)p; }
void emu_set_seed(uint64_t seed) { (void)seed; }
void emu_set_shared_limit(size_t bytes) { (void)bytes; }
void emu_expect_faults(bool yes) { (void)yes; }
size_t emu_shared_most(void) { return 0; }
uint64_t emu_launches(void) { return 0; }
