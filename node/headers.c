/* headers.c - fetching a header part by part from one provider after the other, and serving our own. */
#include "node/headers.h"

#include <stdlib.h>
#include <string.h>

#include "node/model_id.h"

enum { PROVIDERS_LOOKED_AT = 32 };

void headers_init(struct headers *h, struct services *s, struct served_table *served)
{
    memset(h, 0, sizeof *h);
    h->s = s;
    h->served = served;
    h->parts_left = HEADER_PARTS_BURST;
    h->refilled = s->now;
}

static void fetch_free(struct fetch *f)
{
    free(f->bytes);
    memset(f, 0, sizeof *f);
}

void headers_fini(struct headers *h)
{
    for (size_t i = 0; i < FETCHES_MAX; i++)
        fetch_free(&h->fetch[i]);
}

void headers_reclaim(struct headers *h)
{
    for (size_t i = 0; i < FETCHES_MAX; i++)
        if (h->fetch[i].state == FETCH_READY)
            fetch_free(&h->fetch[i]);
}

/* ---- fetching ---- */

static void tell_ready(struct headers *h, const struct hash *model, const struct hash *tensor_hash, struct bytes header)
{
    struct agent_effect *e = effects_add(h->s->out, AGENT_HEADER_READY);
    e->u.header.model = *model;
    e->u.header.tensor_hash = *tensor_hash;
    e->u.header.header = header;
}

static void tell_failed(struct headers *h, const struct hash *model, enum err why)
{
    struct agent_effect *e = effects_add(h->s->out, AGENT_HEADER_FAILED);
    e->u.header.model = *model;
    e->u.header.error = why;
}

static bool was_tried(const struct fetch *f, const struct node_id *node)
{
    for (uint32_t i = 0; i < f->tried_count; i++)
        if (node_id_equal(&f->tried[i], node))
            return true;
    return false;
}

/* Keeps up to HEADER_PARTS_AHEAD parts asked for; before the first part only that one, because the size is not known. */
static void ask_parts(struct headers *h, struct fetch *f)
{
    uint32_t end = f->got + HEADER_PARTS_AHEAD * HEADER_PART_BYTES;
    end = f->bytes ? (end < f->total ? end : f->total) : 1;
    while (f->asked < end) {
        struct header_get_msg m = { .model = f->model, .offset = f->asked };
        uint8_t buf[HEADER_GET_BYTES_MAX];
        struct bytes body;
        ENSURE(header_get_encode(&m, buf, sizeof buf, &body) == OK);
        services_send(h->s, &f->node, MSG_HEADER_GET, body);
        f->asked += HEADER_PART_BYTES;
    }
    f->deadline = mono_add_ms(h->s->now, HEADER_PART_WAIT_MS);
}

static void begin_asking(struct headers *h, struct fetch *f)
{
    free(f->bytes);
    f->bytes = NULL;
    f->got = f->asked = f->total = f->retries = 0;
    f->state = FETCH_ASKING;
    ask_parts(h, f);
}

/* Turns to a provider that was not tried yet; false if none is known. */
static bool try_provider(struct headers *h, struct fetch *f)
{
    struct services *s = h->s;
    struct advert adverts[PROVIDERS_LOOKED_AT];
    size_t count = overlay_providers(s->overlay, s->now, &f->model, adverts, PROVIDERS_LOOKED_AT);
    for (size_t i = 0; i < count && f->tried_count < FETCH_TRIES_MAX; i++) {
        const struct node_record *node = &adverts[i].node;
        struct overlay_peer peer;
        if (node_id_equal(&node->id, overlay_self(s->overlay)) || was_tried(f, &node->id))
            continue;
        f->tried[f->tried_count++] = f->node = node->id;
        if (overlay_peer_find(s->overlay, &node->id, &peer)) {
            begin_asking(h, f);
            return true;
        }
        if (overlay_open(s->overlay, s->now, s->wall, node) == OK) {
            f->state = FETCH_DIALLING;
            f->deadline = mono_add_ms(s->now, HEADER_DIAL_MS);
            return true;
        }
    }
    return false;
}

/* The next provider, a lookup if there is none and none was made, or the end. */
static void next_provider(struct headers *h, struct fetch *f, enum err why)
{
    struct services *s = h->s;
    f->why = why;
    if (try_provider(h, f))
        return;
    if (!f->searched && overlay_find_providers(s->overlay, s->now, &f->model) == OK) {
        f->searched = true;
        f->state = FETCH_FINDING;
        f->deadline = mono_add_ms(s->now, HEADER_FIND_MS);
        return;
    }
    tell_failed(h, &f->model, f->why);
    fetch_free(f);
}

void headers_want(struct headers *h, const struct hash *model)
{
    struct fetch *f = NULL;
    const struct served *here = served_find(h->served, model);
    if (here) {
        tell_ready(h, model, &here->model.tensor_hash, here->model.header);
        return;
    }
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        if (h->fetch[i].state != FETCH_FREE && hash_equal(&h->fetch[i].model, model))
            return;                                        /* one answer serves all who wait */
        if (h->fetch[i].state == FETCH_FREE && !f)
            f = &h->fetch[i];
    }
    if (!f) {
        tell_failed(h, model, ERR_FULL);
        return;
    }
    *f = (struct fetch){ .model = *model };
    next_provider(h, f, ERR_NO_PROVIDER);
}

/* All bytes are here: they are what was asked for, or this provider lied. */
static enum err finish(struct headers *h, struct fetch *f)
{
    struct bytes header = bytes_of(f->bytes, f->total);
    struct hash header_hash = model_header_hash(header), id = model_id_of(&header_hash, &f->tensor_hash);
    if (!hash_equal(&id, &f->model)) {
        next_provider(h, f, ERR_MISMATCH);
        return ERR_MISMATCH;
    }
    tell_ready(h, &f->model, &f->tensor_hash, header);
    f->state = FETCH_READY;
    f->deadline = MONO_NEVER;
    return OK;
}

enum err headers_part(struct headers *h, const struct node_id *from, struct bytes body)
{
    struct header_part_msg m;
    struct fetch *f = NULL;
    enum err e = header_part_decode(body, &m);
    if (e)
        return e;
    for (size_t i = 0; i < FETCHES_MAX; i++)
        if (h->fetch[i].state == FETCH_ASKING && hash_equal(&h->fetch[i].model, &m.model) && node_id_equal(&h->fetch[i].node, from))
            f = &h->fetch[i];
    if (!f || m.offset != f->got)
        return OK;                                         /* late, or a part we asked for twice */
    if (m.total == 0 || m.part.len == 0) {
        next_provider(h, f, ERR_NOT_FOUND);
        return OK;
    }
    if (!f->bytes) {
        f->bytes = malloc(m.total);
        if (!f->bytes) {
            tell_failed(h, &f->model, ERR_MEMORY);
            fetch_free(f);
            return OK;
        }
        f->total = m.total;
        f->tensor_hash = m.tensor_hash;
    }
    if (m.total != f->total || !hash_equal(&m.tensor_hash, &f->tensor_hash)) {
        next_provider(h, f, ERR_MISMATCH);
        return ERR_MISMATCH;
    }
    memcpy(f->bytes + f->got, m.part.data, m.part.len);    /* the decoder checked offset + length <= total */
    f->got += (uint32_t)m.part.len;
    f->retries = 0;
    if (f->got == f->total)
        return finish(h, f);
    if (f->asked < f->got)
        f->asked = f->got;
    ask_parts(h, f);
    return OK;
}

void headers_peer_up(struct headers *h, const struct node_id *node)
{
    for (size_t i = 0; i < FETCHES_MAX; i++)
        if (h->fetch[i].state == FETCH_DIALLING && node_id_equal(&h->fetch[i].node, node))
            begin_asking(h, &h->fetch[i]);
}

void headers_peer_down(struct headers *h, const struct node_id *node)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *f = &h->fetch[i];
        if ((f->state == FETCH_DIALLING || f->state == FETCH_ASKING) && node_id_equal(&f->node, node))
            next_provider(h, f, ERR_PEER_GONE);
    }
}

void headers_providers(struct headers *h, const struct hash *model)
{
    for (size_t i = 0; i < FETCHES_MAX; i++)
        if (h->fetch[i].state == FETCH_FINDING && hash_equal(&h->fetch[i].model, model))
            next_provider(h, &h->fetch[i], ERR_NO_PROVIDER);
}

bool headers_step(struct headers *h)
{
    for (size_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *f = &h->fetch[i];
        if (f->state == FETCH_FREE || f->state == FETCH_READY || !mono_reached(h->s->now, f->deadline))
            continue;
        if (f->state == FETCH_ASKING && f->retries < HEADER_PART_RETRIES_MAX) {
            f->retries++;
            f->asked = f->got;                             /* lost, or the provider is at its rate limit: ask again */
            ask_parts(h, f);
        } else {
            next_provider(h, f, ERR_TIMEOUT);
        }
        return true;
    }
    return false;
}

struct mono headers_deadline(const struct headers *h)
{
    struct mono due = MONO_NEVER;
    for (size_t i = 0; i < FETCHES_MAX; i++)
        if (h->fetch[i].state != FETCH_FREE && h->fetch[i].state != FETCH_READY)
            due = mono_min(due, h->fetch[i].deadline);
    return due;
}

/* ---- serving ---- */

static bool may_serve(struct headers *h)
{
    uint64_t more = mono_ms_between(h->refilled, h->s->now) * HEADER_PARTS_PER_S / 1000;
    if (more) {
        h->parts_left = more > HEADER_PARTS_BURST - h->parts_left ? HEADER_PARTS_BURST : h->parts_left + (uint32_t)more;
        h->refilled = h->s->now;
    }
    if (h->parts_left == 0)
        return false;
    h->parts_left--;
    return true;
}

enum err headers_get(struct headers *h, const struct node_id *from, struct bytes body)
{
    struct services *s = h->s;
    struct header_get_msg m;
    enum err e = header_get_decode(body, &m);
    if (e)
        return e;
    const struct served *v = served_find(h->served, &m.model);
    struct header_part_msg part = { .model = m.model };
    if (v && v->model.header.len <= HEADER_BYTES_MAX && m.offset < v->model.header.len) {
        size_t rest = v->model.header.len - m.offset;
        part.offset = m.offset;
        part.total = (uint32_t)v->model.header.len;
        part.tensor_hash = v->model.tensor_hash;
        part.part = bytes_of(v->model.header.data + m.offset, rest < HEADER_PART_BYTES ? rest : HEADER_PART_BYTES);
    }
    if (!may_serve(h))
        return OK;                                         /* the asker asks again */
    s->counters.headers_served += part.total != 0 && part.offset == 0;
    struct bytes view;
    ENSURE(header_part_encode(&part, s->message, sizeof s->message, &view) == OK);
    services_send(s, from, MSG_HEADER_PART, view);
    return OK;
}
