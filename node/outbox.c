/* outbox.c - a list of effects and an arena behind it. */
#include "node/outbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void outbox_init(struct outbox *o)
{
    o->head = o->count = 0;
    o->used = 0;
    o->dropped = 0;
}

void outbox_reset(struct outbox *o)
{
    ENSURE(o->head == o->count);
    o->head = o->count = 0;
    o->used = 0;
}

bool outbox_next(struct outbox *o, struct agent_effect *out)
{
    if (o->head == o->count)
        return false;
    *out = o->effects[o->head++];
    return true;
}

bool outbox_is_roomy(const struct outbox *o)
{
    return o->count < OUTBOX_EFFECTS / 2 && o->used < OUTBOX_ARENA_BYTES / 2;
}

struct agent_effect *outbox_add(struct outbox *o, enum agent_effect_kind kind)
{
    ENSURE(o->count < OUTBOX_EFFECTS);
    struct agent_effect *e = &o->effects[o->count++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    return e;
}

struct bytes outbox_copy(struct outbox *o, struct bytes b)
{
    size_t at = (o->used + 7) & ~(size_t)7;                /* tokens are lent as u32 from here */
    ENSURE(b.len <= OUTBOX_ARENA_BYTES && at <= OUTBOX_ARENA_BYTES - b.len);
    if (b.len)
        memcpy(o->arena + at, b.data, b.len);
    o->used = at + b.len;
    return bytes_of(o->arena + at, b.len);
}

void outbox_send(struct outbox *o, struct link link, struct bytes frame)
{
    if (o->count >= OUTBOX_EFFECTS - OUTBOX_EFFECTS_RESERVED || o->used + frame.len + 8 > OUTBOX_ARENA_BYTES - OUTBOX_ARENA_RESERVED) {
        o->dropped++;
        return;
    }
    struct agent_effect *e = outbox_add(o, AGENT_SEND);
    e->u.send.link = link;
    e->u.send.frame = outbox_copy(o, frame);
}

void outbox_log(struct outbox *o, enum log_level level, const char *event, const char *format, ...)
{
    if (o->count >= OUTBOX_EFFECTS - OUTBOX_EFFECTS_RESERVED)
        return;
    struct agent_effect *e = outbox_add(o, AGENT_LOG);
    e->u.log.level = level;
    e->u.log.event = event;
    va_list args;
    va_start(args, format);
    vsnprintf(e->u.log.text, sizeof e->u.log.text, format, args);
    va_end(args);
}

void outbox_failed(struct outbox *o, struct client_id client, enum err error, const char *format, ...)
{
    struct agent_effect *e = outbox_add(o, AGENT_CLIENT_FAILED);
    e->u.failed.client = client;
    e->u.failed.error = error;
    va_list args;
    va_start(args, format);
    vsnprintf(e->u.failed.text, sizeof e->u.failed.text, format, args);
    va_end(args);
}
