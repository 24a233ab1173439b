/* kvcache.c - where keys and values lie inside the pages. */
#include "kernels/kvcache.h"

#include <stdlib.h>

#include "kernels/pages_posix.h"

enum { TILES = CHUNK / TILE };

static size_t head_block_bytes(uint32_t head_dim)
{
    return (size_t)2 * LIMBS * CHUNK * ops_head_width(head_dim) + 2 * CHUNK * sizeof(float);
}

uint64_t kvcache_bytes(uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t slots, uint32_t pages,
                       uint32_t pages_per_slot)
{
    uint64_t page = (uint64_t)head_block_bytes(head_dim) * kv_heads * layers;
    return page * pages + kvpages_bytes(slots, pages, pages_per_slot);
}

enum err kvcache_init(struct kvcache *kv, uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t slots,
                      uint32_t pages, uint32_t pages_per_slot)
{
    ENSURE(layers && kv_heads && head_dim && head_dim <= HEAD_DIM_MAX);
    struct kvcache made = { .layers = layers, .kv_heads = kv_heads, .head_dim = head_dim };
    made.width = ops_head_width(head_dim);
    made.head_block_bytes = head_block_bytes(head_dim);
    made.page_bytes = made.head_block_bytes * kv_heads * layers;
    size_t total;
    if (__builtin_mul_overflow(made.page_bytes, (size_t)pages, &total) || total > SIZE_MAX / 2)
        return ERR_MEMORY;
    enum err e = kvpages_init(&made.pages, slots, pages, pages_per_slot);
    if (e != OK)
        return e;
    /* Zeroed, so that padding is; so much at once comes from the system page by page as it is first written. */
    made.allocation = calloc(total + OPS_ALIGN, 1);
    if (!made.allocation) {
        kvcache_fini(&made);
        return ERR_MEMORY;
    }
    made.base = (uint8_t *)made.allocation + (OPS_ALIGN - (uintptr_t)made.allocation % OPS_ALIGN);
    *kv = made;
    return OK;
}

void kvcache_fini(struct kvcache *kv)
{
    kvpages_fini(&kv->pages);
    free(kv->allocation);
    *kv = (struct kvcache){ 0 };
}

void kvcache_wipe(const struct kvcache *kv, uint32_t slot, uint32_t first, uint32_t end)
{
    for (uint32_t chunk = first; chunk < end; chunk++)
        pages_give_back(kv->base + kvpages_find(&kv->pages, slot, chunk) * kv->page_bytes, kv->page_bytes);
}

struct kv_chunk kvcache_chunk(const struct kvcache *kv, uint32_t slot, uint32_t chunk, uint32_t layer, uint32_t head)
{
    uint32_t page = kvpages_find(&kv->pages, slot, chunk);
    uint8_t *block = kv->base + page * kv->page_bytes + ((size_t)layer * kv->kv_heads + head) * kv->head_block_bytes;
    size_t tiles = (size_t)LIMBS * CHUNK * kv->width;
    struct kv_chunk c = { .keys = (int8_t *)block, .values = (int8_t *)block + tiles };
    c.key_scales = (float *)(void *)(block + 2 * tiles);
    c.value_scales = c.key_scales + CHUNK;
    return c;
}

void kvcache_write(const struct kvcache *kv, uint32_t slot, uint32_t position, uint32_t layer, uint32_t head,
                   const struct kv_head *k, const struct kv_head *v)
{
    struct kv_chunk c = kvcache_chunk(kv, slot, position / CHUNK, layer, head);
    uint32_t in_chunk = position % CHUNK, j = in_chunk % TILE;
    size_t part = (size_t)TILE * kv->width, tile = in_chunk / TILE * LIMBS * part;
    for (uint32_t i = 0; i < kv->head_dim; i++) {
        size_t key = tile + ((size_t)(i / 4) * TILE + j) * 4 + i % 4;
        size_t value = tile + ((size_t)(j / 2) * kv->width + i) * 2 + j % 2;
        c.keys[key] = k->high[i];
        c.keys[key + part] = k->low[i];
        c.values[value] = v->high[i];
        c.values[value + part] = v->low[i];
    }
    c.key_scales[in_chunk] = k->d;
    c.value_scales[in_chunk] = v->d;
}
