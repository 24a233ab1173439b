/* short_selftest.c - in the place of kernels/cuda/selftest_cuda.c where a test opens many devices: the real one
 * takes the emulated machine half a second (test_cuda_selftest.c runs it). */
#include "kernels/cuda/memory_cuda.h"
#include "kernels/cuda/selftest_cuda.h"
#include "tests/gpu/runtime/cuda_runtime_api.h"

enum err selftest_init(struct selftest *t, struct fault *why)
{
    struct memory_wish wish = { MEMORY_DEVICE, 256, &t->device };
    return memory_take(&wish, 1, "self-test", why);
}

void selftest_fini(struct selftest *t)
{
    struct memory_wish wish = { MEMORY_DEVICE, 256, &t->device };
    memory_give(&wish, 1);
}

enum err selftest_run(struct selftest *t, struct CUstream_st *stream)
{
    bool fine = cudaMemsetAsync(t->device, 0, 256, stream) == cudaSuccess &&
                cudaStreamSynchronize(stream) == cudaSuccess;
    return fine ? OK : ERR_DEVICE;
}
