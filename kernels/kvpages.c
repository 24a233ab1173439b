/* kvpages.c - page numbers, handed out and taken back. */
#include "kernels/kvpages.h"

#include <stdlib.h>

#include "kernels/ops.h"

uint64_t kvpages_bytes(uint32_t slots, uint32_t count, uint32_t per_slot)
{
    return ((uint64_t)slots * per_slot + slots + count) * sizeof(uint32_t);
}

enum err kvpages_init(struct kvpages *p, uint32_t slots, uint32_t count, uint32_t per_slot)
{
    ENSURE(slots && count && per_slot);
    struct kvpages made = { .slots = slots, .count = count, .per_slot = per_slot, .free_count = count };
    made.tables = calloc((size_t)slots * per_slot, sizeof *made.tables);
    made.held = calloc(slots, sizeof *made.held);
    made.free = calloc(count, sizeof *made.free);
    if (!made.tables || !made.held || !made.free) {
        kvpages_fini(&made);
        return ERR_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++)
        made.free[i] = count - 1 - i;
    *p = made;
    return OK;
}

void kvpages_fini(struct kvpages *p)
{
    free(p->free);
    free(p->held);
    free(p->tables);
    *p = (struct kvpages){ 0 };
}

/* The last pages of a slot that has more than `keep`. */
static void give_back(struct kvpages *p, uint32_t slot, uint32_t keep)
{
    while (p->held[slot] > keep) {
        uint32_t i = --p->held[slot];
        ENSURE(p->free_count < p->count);
        p->free[p->free_count++] = p->tables[(size_t)slot * p->per_slot + i];
    }
}

enum err kvpages_reserve(struct kvpages *p, uint32_t slot, uint32_t positions)
{
    ENSURE(slot < p->slots);
    uint32_t need = positions / CHUNK + (positions % CHUNK != 0);
    if (need > p->per_slot)
        return ERR_CONTEXT;
    if (need > p->held[slot] && need - p->held[slot] > p->free_count)
        return ERR_CAPACITY;
    give_back(p, slot, need);
    while (p->held[slot] < need)
        p->tables[(size_t)slot * p->per_slot + p->held[slot]++] = p->free[--p->free_count];
    return OK;
}

void kvpages_release(struct kvpages *p, uint32_t slot)
{
    ENSURE(slot < p->slots);
    give_back(p, slot, 0);
}

uint32_t kvpages_find(const struct kvpages *p, uint32_t slot, uint32_t chunk)
{
    ENSURE(slot < p->slots && chunk < p->held[slot]);
    return p->tables[(size_t)slot * p->per_slot + chunk];
}
