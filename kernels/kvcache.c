/* kvcache.c - pages of 256 positions, handed out and taken back. */
#include "kernels/kvcache.h"

#include <stdlib.h>
#include <string.h>

enum { TILES = CHUNK / TILE };

static size_t head_block_bytes(uint32_t head_dim)
{
    return (size_t)2 * CHUNK * ops_head_width(head_dim) + 2 * CHUNK * sizeof(float);
}

uint64_t kvcache_bytes(uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t slots, uint32_t pages,
                       uint32_t pages_per_slot)
{
    uint64_t page = (uint64_t)head_block_bytes(head_dim) * kv_heads * layers;
    uint64_t numbers = (uint64_t)slots * pages_per_slot + slots + pages;
    return page * pages + numbers * sizeof(uint32_t);
}

static enum err allocate(struct kvcache *kv)
{
    size_t total;
    if (__builtin_mul_overflow(kv->page_bytes, (size_t)kv->pages, &total) || total > SIZE_MAX / 2)
        return ERR_MEMORY;
    kv->base = aligned_alloc(OPS_ALIGN, total);
    kv->tables = calloc((size_t)kv->slots * kv->pages_per_slot, sizeof *kv->tables);
    kv->held = calloc(kv->slots, sizeof *kv->held);
    kv->free = calloc(kv->pages, sizeof *kv->free);
    if (!kv->base || !kv->tables || !kv->held || !kv->free)
        return ERR_MEMORY;
    memset(kv->base, 0, total);                        /* padding stays zero; also makes the pages really there */
    return OK;
}

enum err kvcache_init(struct kvcache *kv, uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t slots,
                      uint32_t pages, uint32_t pages_per_slot)
{
    ENSURE(layers && kv_heads && head_dim && slots && pages && pages_per_slot);
    ENSURE(head_dim <= HEAD_DIM_MAX);
    struct kvcache made = { .layers = layers, .kv_heads = kv_heads, .head_dim = head_dim, .slots = slots,
                            .pages = pages, .pages_per_slot = pages_per_slot };
    made.width = ops_head_width(head_dim);
    made.head_block_bytes = head_block_bytes(head_dim);
    made.page_bytes = made.head_block_bytes * kv_heads * layers;
    enum err e = allocate(&made);
    if (e != OK) {
        kvcache_fini(&made);
        return e;
    }
    for (uint32_t i = 0; i < pages; i++)
        made.free[i] = pages - 1 - i;
    made.free_count = pages;
    *kv = made;
    return OK;
}

void kvcache_fini(struct kvcache *kv)
{
    free(kv->free);
    free(kv->held);
    free(kv->tables);
    free(kv->base);
    *kv = (struct kvcache){ 0 };
}

enum err kvcache_reserve(struct kvcache *kv, uint32_t slot, uint32_t positions)
{
    ENSURE(slot < kv->slots && kv->held[slot] == 0);
    uint32_t need = (positions + CHUNK - 1) / CHUNK;
    if (need > kv->pages_per_slot)
        return ERR_CONTEXT;
    if (need > kv->free_count)
        return ERR_CAPACITY;
    for (uint32_t i = 0; i < need; i++)
        kv->tables[(size_t)slot * kv->pages_per_slot + i] = kv->free[--kv->free_count];
    kv->held[slot] = need;
    return OK;
}

void kvcache_release(struct kvcache *kv, uint32_t slot)
{
    ENSURE(slot < kv->slots);
    while (kv->held[slot] > 0) {
        uint32_t i = --kv->held[slot];
        ENSURE(kv->free_count < kv->pages);
        kv->free[kv->free_count++] = kv->tables[(size_t)slot * kv->pages_per_slot + i];
    }
}

struct kv_chunk kvcache_chunk(const struct kvcache *kv, uint32_t slot, uint32_t chunk, uint32_t layer, uint32_t head)
{
    ENSURE(slot < kv->slots && chunk < kv->held[slot]);
    uint32_t page = kv->tables[(size_t)slot * kv->pages_per_slot + chunk];
    uint8_t *block = kv->base + page * kv->page_bytes + ((size_t)layer * kv->kv_heads + head) * kv->head_block_bytes;
    size_t tiles = (size_t)CHUNK * kv->width;
    struct kv_chunk c = { .keys = (int8_t *)block, .values = (int8_t *)block + tiles };
    c.key_scales = (float *)(void *)(block + 2 * tiles);
    c.value_scales = c.key_scales + CHUNK;
    return c;
}

void kvcache_write(const struct kvcache *kv, uint32_t slot, uint32_t position, uint32_t layer, uint32_t head,
                   const int8_t *k, float dk, const int8_t *v, float dv)
{
    struct kv_chunk c = kvcache_chunk(kv, slot, position / CHUNK, layer, head);
    uint32_t in_chunk = position % CHUNK, j = in_chunk % TILE;
    size_t tile = (size_t)(in_chunk / TILE) * TILE * kv->width;
    for (uint32_t i = 0; i < kv->head_dim; i++) {
        c.keys[tile + ((size_t)(i / 4) * TILE + j) * 4 + i % 4] = k[i];
        c.values[tile + ((size_t)(j / 2) * kv->width + i) * 2 + j % 2] = v[i];
    }
    c.key_scales[in_chunk] = dk;
    c.value_scales[in_chunk] = dv;
}
