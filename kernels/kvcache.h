/* kvcache.h - what do running answers remember of their past?
 *
 * Keys and values as NV1 7.1 has them: two int8 limbs with one scale per (position, head). Memory is a fixed number of pages
 * (kvpages.h); a page holds one chunk of 256 positions for all layers and heads, so that a chunk of NV1 7.4 is one place.
 *
 *   page          layers x kv_heads x head block
 *   head block    4 key tiles, 4 value tiles (layouts in ops.h), 256 key scales, 256 value scales (fp32)
 *
 * Invariant: padding bytes (dimensions from head_dim to the tile's width) are zero for ever; positions behind the last one
 * written hold zeros, or what its slot's owner wrote before, and are never read before they are written, except as values
 * that are multiplied by zero.
 *
 * Owns:    all pages (heap).
 * Threads: reads and writes of different (slot, layer, head, position) may run side by side; pages may not change hands meanwhile.
 * Spec:    NV1 7
 */
#ifndef TALLYMESH_KERNELS_KVCACHE_H
#define TALLYMESH_KERNELS_KVCACHE_H

#include "crypto/base.h"
#include "kernels/kvpages.h"
#include "kernels/ops.h"

struct kvcache {
    uint32_t layers, kv_heads, head_dim, width;
    struct kvpages pages;
    size_t head_block_bytes, page_bytes;
    uint8_t *base;               /* (pages.count, page_bytes), aligned, inside of */
    void *allocation;
};

/* One chunk of one head: where its tiles and scales lie. */
struct kv_chunk {
    int8_t *keys, *values;       /* 4 tiles each, tile t at t * LIMBS * TILE * width */
    float *key_scales, *value_scales;
};

/* slots sequences of at most pages_per_slot * 256 positions, sharing `pages`. ERR_MEMORY. Pair with kvcache_fini(). */
enum err kvcache_init(struct kvcache *kv, uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t slots,
                      uint32_t pages, uint32_t pages_per_slot) MUST_CHECK;
void kvcache_fini(struct kvcache *kv);
/* Bytes of heap that kvcache_init() takes with these arguments. */
uint64_t kvcache_bytes(uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t slots, uint32_t pages,
                       uint32_t pages_per_slot);

/* Zeroes what the slot has in chunks [first, end), which it has reserved, and gives the memory back to the system until it is
 * written again. */
void kvcache_wipe(const struct kvcache *kv, uint32_t slot, uint32_t first, uint32_t end);

struct kv_chunk kvcache_chunk(const struct kvcache *kv, uint32_t slot, uint32_t chunk, uint32_t layer, uint32_t head);

/* One head of one position by NV1 3.3. */
struct kv_head {
    int8_t high[HEAD_DIM_MAX], low[HEAD_DIM_MAX];
    float d;
};

/* Stores one head's key and value at a position the slot has reserved; k and v have head_dim values. */
void kvcache_write(const struct kvcache *kv, uint32_t slot, uint32_t position, uint32_t layer, uint32_t head,
                   const struct kv_head *k, const struct kv_head *v);

#endif
