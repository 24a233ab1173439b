/* device.c - from a name to a device. */
#include "kernels/device.h"

#include "kernels/backend.h"
#include "kernels/device_cpu.h"
#if defined(TM_CUDA)
#include <string.h>

#include "kernels/cuda/device_cuda.h"

static bool is_gpu(const char *name) { return name && strncmp(name, "cuda", 4) == 0; }
#endif

bool device_is_here(const char *name)
{
#if defined(TM_CUDA)
    if (is_gpu(name))
        return device_cuda_is_here(name);
#endif
    return backend_find(name) != NULL;
}

enum err device_open(const struct model *model, const char *name, uint32_t threads, const struct device_shape *shape,
                     struct device **out, struct fault *why)
{
#if defined(TM_CUDA)
    if (is_gpu(name))
        return device_cuda_open(model, name, threads, shape, out, why);
#endif
    const struct ops *ops = backend_find(name);
    if (!ops)
        return fault_set(why, ERR_NOT_FOUND, "no backend \"%.16s\" on this machine", name ? name : "");
    return device_cpu_open(model, ops, threads, shape, out, why);
}

uint64_t device_reserves(const struct model *model, const char *name, const struct device_shape *shape)
{
#if defined(TM_CUDA)
    if (is_gpu(name))
        return device_cuda_reserves(model, name, shape);
#endif
    const struct ops *ops = backend_find(name);
    return ops ? device_cpu_reserves(model, ops, shape) : 0;
}
