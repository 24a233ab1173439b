/* token_list.c - two bounded lists over one growing array. */
#include "node/token_list.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_COUNT_MIN = 64 };

/* Room for `want` elements in *mem, at most doubling; ERR_MEMORY leaves everything as it was. */
static enum err grow(void **mem, uint32_t *capacity, uint32_t want, size_t element)
{
    if (want <= *capacity)
        return OK;
    uint32_t room = *capacity ? *capacity : LIST_COUNT_MIN;
    while (room < want)
        room *= 2;
    void *bigger = realloc(*mem, (size_t)room * element);
    if (!bigger)
        return ERR_MEMORY;
    *mem = bigger;
    *capacity = room;
    return OK;
}

static enum err append(void **mem, uint32_t *count, uint32_t *capacity, const void *what, uint32_t n, size_t element, uint32_t max)
{
    ENSURE(max <= UINT32_MAX / 2 && *count <= max);
    if (n == 0)
        return OK;
    if (n > max - *count)
        return ERR_TOO_LARGE;
    enum err e = grow(mem, capacity, *count + n, element);
    if (e)
        return e;
    memcpy((uint8_t *)*mem + *count * element, what, n * element);
    *count += n;
    return OK;
}

void token_list_init(struct token_list *l) { *l = (struct token_list){ NULL, 0, 0 }; }

void token_list_fini(struct token_list *l)
{
    free(l->ids);
    token_list_init(l);
}

enum err token_list_add(struct token_list *l, const uint32_t *ids, uint32_t count, uint32_t max)
{
    void *mem = l->ids;
    enum err e = append(&mem, &l->count, &l->capacity, ids, count, sizeof *ids, max);
    l->ids = mem;
    return e;
}

void hash_list_init(struct hash_list *l) { *l = (struct hash_list){ NULL, 0, 0 }; }

void hash_list_fini(struct hash_list *l)
{
    free(l->at);
    hash_list_init(l);
}

enum err hash_list_add(struct hash_list *l, const struct hash *h, uint32_t count, uint32_t max)
{
    void *mem = l->at;
    enum err e = append(&mem, &l->count, &l->capacity, h, count, sizeof *h, max);
    l->at = mem;
    return e;
}

void hash_list_drop(struct hash_list *l, uint32_t count)
{
    ENSURE(count <= l->count);
    l->count -= count;
    if (l->count)
        memmove(l->at, l->at + count, l->count * sizeof *l->at);
}
