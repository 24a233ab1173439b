/* outbox.c - the queue of effects. */
#include "dht/outbox.h"

enum { ALIGNMENT = 16 };

void outbox_init(struct outbox *b) { b->head = b->count = b->used = b->effects_peak = b->bytes_peak = 0; }
bool outbox_is_drained(const struct outbox *b) { return b->head == b->count; }

void outbox_recycle(struct outbox *b)
{
    if (outbox_is_drained(b))
        b->head = b->count = b->used = 0;
}

bool outbox_has_room(const struct outbox *b, size_t effects, size_t bytes)
{
    return effects <= OUTBOX_EFFECTS_MAX - b->count && bytes <= OUTBOX_BYTES_MAX - b->used;
}

void *outbox_alloc(struct outbox *b, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ENSURE(rounded <= OUTBOX_BYTES_MAX - b->used);
    void *at = b->bytes + b->used;
    b->used += rounded;
    if (b->used > b->bytes_peak)
        b->bytes_peak = (uint32_t)b->used;
    return at;
}

void outbox_push(struct outbox *b, const struct overlay_effect *e)
{
    ENSURE(b->count < OUTBOX_EFFECTS_MAX);
    b->effects[b->count++] = *e;
    if (b->count > b->effects_peak)
        b->effects_peak = (uint32_t)b->count;
}

bool outbox_take(struct outbox *b, struct overlay_effect *out)
{
    if (outbox_is_drained(b))
        return false;
    *out = b->effects[b->head++];
    return true;
}
