/* silicon_runtime.c - what test_cuda_device.c asks of the emulated machine, asked of a real GPU. Linked with
 * --wrap=cudaGraphLaunch, so that graphs are counted here too. */
#include <cuda_runtime_api.h>

#include "tests/gpu/emu.h"
#include "tests/gpu/emu_runtime.h"

static uint64_t graphs;

cudaError_t __real_cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t __wrap_cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t __wrap_cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    graphs++;
    return __real_cudaGraphLaunch(exec, stream);
}

void emu_set_seed(uint64_t seed) { (void)seed; }
size_t emu_runtime_held(void) { return 0; }

uint32_t emu_take_faults(const char **first)
{
    cudaError_t e = cudaDeviceSynchronize();
    if (first)
        *first = cudaGetErrorString(e);
    return e != cudaSuccess;
}

struct emu_runtime_counts emu_runtime_counts(void)
{
    struct emu_runtime_counts now = { .graphs = graphs };
    graphs = 0;
    return now;
}
