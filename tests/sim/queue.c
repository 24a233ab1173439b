/* queue.c - a binary heap; ties are broken by order of arrival, so nothing depends on an address. */
#include "tests/sim/queue.h"

#include <stdlib.h>

void *sim_grow(void *array, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    void *bigger = realloc(array, *room * size);
    ENSURE(bigger != NULL);
    return bigger;
}

static bool before(const struct queue_item *a, const struct queue_item *b)
{
    return a->us != b->us ? a->us < b->us : a->order < b->order;
}

void queue_push(struct queue *q, struct queue_item it)
{
    q->items = sim_grow(q->items, &q->room, q->count, sizeof *q->items);
    it.order = ++q->order;
    size_t i = q->count++;
    for (; i > 0 && before(&it, &q->items[(i - 1) / 2]); i = (i - 1) / 2)
        q->items[i] = q->items[(i - 1) / 2];
    q->items[i] = it;
}

bool queue_pop(struct queue *q, uint64_t until_us, struct queue_item *out)
{
    if (q->count == 0 || q->items[0].us > until_us)
        return false;
    *out = q->items[0];
    struct queue_item last = q->items[--q->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < q->count; i = child) {
        if (child + 1 < q->count && before(&q->items[child + 1], &q->items[child]))
            child++;
        if (!before(&q->items[child], &last))
            break;
        q->items[i] = q->items[child];
    }
    q->items[i] = last;
    return true;
}

void queue_free(struct queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        free(q->items[i].bytes);
    free(q->items);
}
