/* packing.c - one block of memory for all packed weights, filled by all threads. */
#include "kernels/packing.h"

#include <stdlib.h>

#include "kernels/blocks.h"
#include "kernels/pages_posix.h"
#include "kernels/pool_posix.h"

/* Rows per item: small enough that threads end together, large enough that whole pages of the file can be given back. */
enum { ROWS_PER_ITEM = 256 };

struct job {
    const struct ops *ops;
    struct matrix *const *matrices;
    const uint32_t *items;                     /* (count): items of all matrices up to and with this one */
    void (*release)(const void *stored, size_t bytes);
};

static size_t round_up(size_t bytes) { return (bytes + OPS_ALIGN - 1) / OPS_ALIGN * OPS_ALIGN; }

size_t packing_bytes(const struct ops *ops, enum tensor_type type, uint32_t rows, uint32_t cols)
{
    return block_format(type) ? round_up(ops->packed_bytes(type, rows, cols)) : 0;
}

static void pack_item(void *ctx, uint32_t item)
{
    const struct job *j = ctx;
    uint32_t m = 0, before = 0;
    while (item >= j->items[m])
        before = j->items[m++];
    const struct matrix *w = j->matrices[m];
    uint32_t begin = (item - before) * ROWS_PER_ITEM;
    uint32_t end = w->rows - begin < ROWS_PER_ITEM ? w->rows : begin + ROWS_PER_ITEM;
    j->ops->pack(w, begin, end, (uint8_t *)(uintptr_t)w->packed);
    size_t row_bytes = (size_t)(w->cols / tensor_type_block_len(w->type)) * tensor_type_block_bytes(w->type);
    if (j->release)
        j->release(w->data + begin * row_bytes, (end - begin) * row_bytes);
}

/* Gives every matrix its place; returns the bytes of all. */
static size_t place(const struct ops *ops, struct matrix *const *matrices, uint32_t count, uint8_t *base, uint32_t *items)
{
    size_t at = 0;
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct matrix *w = matrices[i];
        size_t bytes = packing_bytes(ops, w->type, w->rows, w->cols);
        if (base)
            w->packed = bytes ? base + at : NULL;
        at += bytes;
        total += bytes ? (w->rows + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM : 0;
        items[i] = total;
    }
    return at;
}

enum err packing_make(const struct ops *ops, struct pool *pool, struct matrix *const *matrices, uint32_t count,
                      void (*release)(const void *stored, size_t bytes), void **block)
{
    ENSURE(ROWS_PER_ITEM % ops->group_rows == 0);
    *block = NULL;
    uint32_t *items = calloc(count, sizeof *items);
    if (!items)
        return ERR_MEMORY;
    size_t bytes = place(ops, matrices, count, NULL, items);
    uint8_t *base = bytes ? pages_alloc(bytes) : NULL;
    if (bytes && !base) {
        free(items);
        return ERR_MEMORY;
    }
    (void)place(ops, matrices, count, base, items);
    struct job job = { .ops = ops, .matrices = matrices, .items = items, .release = release };
    if (bytes)
        pool_run(pool, items[count - 1], pack_item, &job);
    free(items);
    *block = base;
    return OK;
}

void packing_free(void *block) { free(block); }
