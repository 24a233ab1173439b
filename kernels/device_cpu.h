/* device_cpu.h - the CPU as a device: the transformer over a backend's operations and a pool of threads.
 *
 * Threads: one caller; the work inside is spread over the pool.
 */
#ifndef TALLYMESH_KERNELS_DEVICE_CPU_H
#define TALLYMESH_KERNELS_DEVICE_CPU_H

#include "crypto/base.h"
#include "kernels/device.h"
#include "kernels/ops.h"

enum err device_cpu_open(const struct model *model, const struct ops *ops, uint32_t threads,
                         const struct device_shape *shape, struct device **out, struct fault *why) MUST_CHECK;
uint64_t device_cpu_reserves(const struct model *model, const struct ops *ops, const struct device_shape *shape);

#endif
