/* cache_parts.h - where a CUDA device finds the keys and values of a chunk (layout in steps.h).
 *
 * Threads: device functions.
 */
#ifndef TALLYMESH_KERNELS_CUDA_CACHE_PARTS_H
#define TALLYMESH_KERNELS_CUDA_CACHE_PARTS_H

#include "kernels/cuda/prim.h"
#include "kernels/cuda/steps.h"

struct cuda_chunk {
    int8_t *keys, *values;               /* high limbs; the low ones limb_bytes further */
    size_t limb_bytes;
    float *key_scales, *value_scales;
};

DEVICE struct cuda_chunk chunk_of(const struct cuda_cache &cache, uint32_t slot, uint32_t chunk, uint32_t layer,
                                  uint32_t head)
{
    uint32_t page = cache.tables[(size_t)slot * cache.pages_per_slot + chunk];
    uint8_t *at = cache.base + page * cache.page_bytes + ((size_t)layer * cache.kv_heads + head) * cache.head_bytes;
    struct cuda_chunk c;
    c.limb_bytes = (size_t)CUDA_CHUNK * cache.width;
    c.keys = (int8_t *)at;
    c.values = c.keys + CUDA_LIMBS * c.limb_bytes;
    c.key_scales = (float *)(at + 2 * CUDA_LIMBS * c.limb_bytes);
    c.value_scales = c.key_scales + CUDA_CHUNK;
    return c;
}

/* Byte of (position p of the chunk, dimension i) in one limb's part. */
DEVICE uint32_t key_place(uint32_t p, uint32_t i) { return (i / 32 * CUDA_CHUNK + p) * 32 + i % 32; }
DEVICE uint32_t value_place(uint32_t p, uint32_t i, uint32_t width)
{
    uint32_t in = p % 32;
    return (p / 32 * width + i) * 32 + in % 8 / 2 * 8 + in / 8 * 2 + in % 2;
}

#endif
