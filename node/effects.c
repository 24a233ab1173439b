/* effects.c - a list of effects and an arena behind it. */
#include "node/effects.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void effects_init(struct effects *o)
{
    o->head = o->count = 0;
    o->used = 0;
    o->dropped = 0;
}

void effects_reset(struct effects *o)
{
    ENSURE(o->head == o->count);
    o->head = o->count = 0;
    o->used = 0;
}

bool effects_next(struct effects *o, struct agent_effect *out)
{
    if (o->head == o->count)
        return false;
    *out = o->list[o->head++];
    return true;
}

bool effects_is_roomy(const struct effects *o)
{
    return o->count < EFFECTS_MAX / 2 && o->used < EFFECTS_ARENA_BYTES / 2;
}

struct agent_effect *effects_add(struct effects *o, enum agent_effect_kind kind)
{
    ENSURE(o->count < EFFECTS_MAX);
    struct agent_effect *e = &o->list[o->count++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    return e;
}

struct bytes effects_copy(struct effects *o, struct bytes b)
{
    size_t at = (o->used + 7) & ~(size_t)7;                /* tokens are lent as u32 from here */
    ENSURE(b.len <= EFFECTS_ARENA_BYTES && at <= EFFECTS_ARENA_BYTES - b.len);
    if (b.len)
        memcpy(o->arena + at, b.data, b.len);
    o->used = at + b.len;
    return bytes_of(o->arena + at, b.len);
}

void effects_send(struct effects *o, struct link link, struct bytes frame)
{
    if (o->count >= EFFECTS_MAX - EFFECTS_RESERVED || o->used + frame.len + 8 > EFFECTS_ARENA_BYTES - EFFECTS_ARENA_RESERVED) {
        o->dropped++;
        return;
    }
    struct agent_effect *e = effects_add(o, AGENT_SEND);
    e->u.send.link = link;
    e->u.send.frame = effects_copy(o, frame);
}

void effects_log(struct effects *o, enum log_level level, const char *event, const char *format, ...)
{
    if (o->count >= EFFECTS_MAX - EFFECTS_RESERVED)
        return;
    struct agent_effect *e = effects_add(o, AGENT_LOG);
    e->u.log.level = level;
    e->u.log.event = event;
    va_list args;
    va_start(args, format);
    vsnprintf(e->u.log.text, sizeof e->u.log.text, format, args);
    va_end(args);
}

void effects_failed(struct effects *o, struct client_id client, enum err error, const char *format, ...)
{
    struct agent_effect *e = effects_add(o, AGENT_CLIENT_FAILED);
    e->u.failed.client = client;
    e->u.failed.error = error;
    va_list args;
    va_start(args, format);
    vsnprintf(e->u.failed.text, sizeof e->u.failed.text, format, args);
    va_end(args);
}
