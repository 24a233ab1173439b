/* device_cuda.h - a GPU as a device: "cuda" is the first, "cuda:1" the second.
 *
 * Weights, cache and activations live on the GPU; per token only row numbers, one stored embedding row, flags, head
 * bytes and the answer cross the bus. Passes of up to 8 rows, all wanted, are captured once per shape as a graph and
 * played again.
 *
 * Any error of the CUDA runtime after opening means that the device is lost: the call and all later ones answer
 * ERR_DEVICE.
 *
 * Owns:    everything of struct device_ops on one GPU. Several GPUs: one device each.
 * Threads: one caller at a time.
 * Spec:    NV1 8-11, 13
 */
#ifndef TALLYMESH_KERNELS_CUDA_DEVICE_CUDA_H
#define TALLYMESH_KERNELS_CUDA_DEVICE_CUDA_H

#include "kernels/device.h"

/* Is this the name of a GPU that is here? */
bool device_cuda_is_here(const char *name);
/* device_open() for these names: ERR_NOT_FOUND for any other name, or without such a GPU. `threads` pack the
 * weights. */
enum err device_cuda_open(const struct model *model, const char *name, uint32_t threads,
                          const struct device_shape *shape, struct device **out, struct fault *why) MUST_CHECK;
/* Host memory; 0: no such device here. */
uint64_t device_cuda_reserves(const struct model *model, const char *name, const struct device_shape *shape);

#endif
