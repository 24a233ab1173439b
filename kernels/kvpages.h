/* kvpages.h - which pages of the cache belong to which sequence?
 *
 * A page holds one chunk of 256 positions; where its bytes lie is the device's business (kvcache.h on the CPU). A slot
 * (one sequence) owns pages for its whole possible length from the start: it never runs out half way.
 *
 * Invariant: every page is in exactly one slot's table or on the free list.
 *
 * Owns:    the tables (heap).
 * Threads: one; kvpages_find() from many, while nobody reserves or releases.
 */
#ifndef TALLYMESH_KERNELS_KVPAGES_H
#define TALLYMESH_KERNELS_KVPAGES_H

#include "crypto/base.h"

struct kvpages {
    uint32_t slots, count, per_slot;
    uint32_t *tables;            /* (slots, per_slot): page numbers */
    uint32_t *held;              /* (slots): entries in use */
    uint32_t *free;              /* stack of free page numbers */
    uint32_t free_count;
};

/* ERR_MEMORY. Pair with kvpages_fini(). */
enum err kvpages_init(struct kvpages *p, uint32_t slots, uint32_t count, uint32_t per_slot) MUST_CHECK;
void kvpages_fini(struct kvpages *p);
/* Bytes of heap that kvpages_init() takes with these arguments. */
uint64_t kvpages_bytes(uint32_t slots, uint32_t count, uint32_t per_slot);

/* Gives the slot as many pages as `positions` need: those it has stay, from the first on; what is missing is added, what is
 * over goes back. ERR_CAPACITY: too few are free; ERR_CONTEXT: over per_slot; then nothing has changed. */
enum err kvpages_reserve(struct kvpages *p, uint32_t slot, uint32_t positions) MUST_CHECK;
/* Returns the slot's pages. */
void kvpages_release(struct kvpages *p, uint32_t slot);
/* The page that holds chunk `chunk` of a slot, which the slot has reserved. */
uint32_t kvpages_find(const struct kvpages *p, uint32_t slot, uint32_t chunk);

#endif
