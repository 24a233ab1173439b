/* effects_posix.c - performs what the agent decided, after what it promises is durable. */
#include "node/node_posix.h"

#include <stdlib.h>
#include <string.h>

#include "node/log_posix.h"

/* Points *data into fresh memory holding the same bytes; the memory is kept in h->copy. One pointer per effect but for
 * AGENT_RUN_START, which has two; they share one block. */
static void *keep(struct held_effect *h, const void *data, size_t bytes, const void *more, size_t more_bytes)
{
    uint8_t *copy = malloc(bytes + more_bytes + 1);
    if (!copy)
        return NULL;
    if (bytes)
        memcpy(copy, data, bytes);
    if (more_bytes)
        memcpy(copy + bytes, more, more_bytes);
    h->copy = copy;
    return copy;
}

static bool copy_effect(struct held_effect *h)
{
    struct agent_effect *e = &h->effect;
    switch (e->kind) {
    case AGENT_SEND:
        e->u.send.frame.data = keep(h, e->u.send.frame.data, e->u.send.frame.len, NULL, 0);
        return h->copy != NULL;
    case AGENT_RUN_START: {
        size_t bytes = (size_t)e->u.start.token_count * sizeof(uint32_t);
        uint32_t *ids = keep(h, e->u.start.tokens, bytes, e->u.start.stop_ids, (size_t)e->u.start.stop_count * sizeof(uint32_t));
        e->u.start.tokens = ids;
        e->u.start.stop_ids = ids ? ids + e->u.start.token_count : NULL;
        return ids != NULL;
    }
    case AGENT_CLIENT_TOKENS:
        e->u.tokens.tokens = keep(h, e->u.tokens.tokens, (size_t)e->u.tokens.count * sizeof(uint32_t), NULL, 0);
        return h->copy != NULL;
    case AGENT_HEADER_READY:
        e->u.header.header.data = keep(h, e->u.header.header.data, e->u.header.header.len, NULL, 0);
        return h->copy != NULL;
    case AGENT_DIAL:
    case AGENT_HANGUP:
    case AGENT_MUTE:
    case AGENT_RUN_ALLOW:
    case AGENT_RUN_CANCEL:
    case AGENT_CLIENT_ACCEPTED:
    case AGENT_CLIENT_DONE:
    case AGENT_CLIENT_FAILED:
    case AGENT_HEADER_FAILED:
    case AGENT_DIRECTORY_READY:
    case AGENT_LOG:
        return true;
    }
    return false;
}

/* What promises nothing to anybody need not wait for the disk: the engine may read the prompt while the terms are being
 * flushed, and a client may see its tokens before the claim over them is. Frames all wait, because their order on a link
 * matters; so does what a client takes for an acknowledgement. */
static bool promises_nothing(const struct agent_effect *e)
{
    switch (e->kind) {
    case AGENT_RUN_START:
    case AGENT_RUN_ALLOW:
    case AGENT_RUN_CANCEL:
    case AGENT_CLIENT_ACCEPTED:
    case AGENT_CLIENT_TOKENS:
    case AGENT_DIAL:
    case AGENT_LOG:
        return true;
    case AGENT_SEND:
    case AGENT_HANGUP:
    case AGENT_MUTE:
    case AGENT_CLIENT_DONE:
    case AGENT_CLIENT_FAILED:
    case AGENT_HEADER_READY:
    case AGENT_HEADER_FAILED:
    case AGENT_DIRECTORY_READY:
        return false;
    }
    return false;
}

static void append(struct held_list *list, struct held_effect *h)
{
    if (list->last)
        list->last->next = h;
    else
        list->first = h;
    list->last = h;
}

static void hold(struct node *n, const struct agent_effect *e)
{
    struct held_effect *h = calloc(1, sizeof *h);
    if (h) {
        h->effect = *e;
        if (copy_effect(h)) {
            append(promises_nothing(e) ? &n->free : &n->held, h);
            return;
        }
        free(h);
    }
    n->broken = ERR_MEMORY;                            /* an effect we cannot keep is a promise we cannot order: stop */
}

static void start_run(struct node *n, const struct agent_effect *e)
{
    enum err err = ERR_NOT_FOUND;
    for (uint32_t i = 0; i < n->model_count; i++) {
        if (!n->models[i].ready || !hash_equal(&n->models[i].entry->id, &e->u.start.model))
            continue;
        if (!node_model_is_current(n, i))
            err = ERR_CORRUPT;
        else
            err = n->run_count == NODE_RUNS_MAX ? ERR_FULL : worker_start(n->models[i].worker, e);
        if (err == OK)
            n->runs[n->run_count++] = (struct node_run){ e->u.start.run, i };
        break;
    }
    if (err != OK) {
        struct agent_event done = { .kind = AGENT_RUN_DONE };
        done.u.done.run = e->u.start.run;
        done.u.done.finish = FINISH_ERROR;
        done.u.done.error = err;
        node_handle(n, &done);
    }
}

/* The worker of a run; NULL if the run is over. */
static struct worker *worker_of(const struct node *n, struct run_id run)
{
    for (uint32_t i = 0; i < n->run_count; i++)
        if (n->runs[i].run.id == run.id)
            return n->models[n->runs[i].model_idx].worker;
    return NULL;
}

static void allow_run(struct node *n, struct run_id run, uint32_t allowed)
{
    struct worker *w = worker_of(n, run);
    if (w)
        worker_allow(w, run, allowed);
}

static void cancel_run(struct node *n, struct run_id run)
{
    struct worker *w = worker_of(n, run);
    if (w)
        worker_cancel(w, run);
}

/* False if the link that it was for is down now, which the overlay has to hear. */
static bool perform(struct node *n, const struct agent_effect *e)
{
    struct mono now = mono_now();
    switch (e->kind) {
    case AGENT_DIAL:
        return transport_dial(n->transport, now, e->u.dial.link.id, e->u.dial.to.host, e->u.dial.to.port, &e->u.dial.to.transport) == OK;
    case AGENT_HANGUP:
        transport_hangup(n->transport, e->u.hangup.link.id);
        return true;
    case AGENT_SEND:
        if (transport_send(n->transport, e->u.send.link.id, e->u.send.frame) != ERR_FULL)
            return true;
        transport_hangup(n->transport, e->u.send.link.id);     /* a frame lost inside a link would break every job on it */
        return false;
    case AGENT_MUTE:
        transport_mute(n->transport, e->u.mute.link.id, &e->u.mute.transport, mono_add_ms(now, e->u.mute.ms));
        return true;
    case AGENT_RUN_START:
        start_run(n, e);
        return true;
    case AGENT_RUN_ALLOW:
        allow_run(n, e->u.allow.run, e->u.allow.allowed);
        return true;
    case AGENT_RUN_CANCEL:
        cancel_run(n, e->u.cancel.run);
        return true;
    case AGENT_CLIENT_ACCEPTED:
        gateway_accepted(n->gateway, e->u.accepted.client, e);
        return true;
    case AGENT_CLIENT_TOKENS:
        gateway_tokens(n->gateway, e->u.tokens.client, e->u.tokens.tokens, e->u.tokens.count);
        return true;
    case AGENT_CLIENT_DONE:
        gateway_done(n->gateway, e->u.done.client, e);
        return true;
    case AGENT_CLIENT_FAILED:
        gateway_failed(n->gateway, e->u.failed.client, e->u.failed.error, e->u.failed.text);
        return true;
    case AGENT_HEADER_READY:
        node_header_ready(n, e);
        return true;
    case AGENT_HEADER_FAILED:
        node_header_failed(n, e);
        return true;
    case AGENT_DIRECTORY_READY:
        node_directory_ready(n);
        return true;
    case AGENT_LOG:
        log_event(e->u.log.level, e->u.log.event, "%s", e->u.log.text);
        return true;
    }
    return true;
}

void node_take_effects(struct node *n)
{
    struct agent_effect e;
    while (n->broken == OK && agent_next(n->agent, &e))
        hold(n, &e);
}

static void release(struct held_effect *h)
{
    free(h->copy);
    free(h);
}

static void drop(struct held_list *list)
{
    while (list->first) {
        struct held_effect *h = list->first;
        list->first = h->next;
        release(h);
    }
    list->last = NULL;
}

void node_drop_held(struct node *n)
{
    drop(&n->free);
    drop(&n->held);
    drop(&n->failed);
}

/* Performs a whole list; what that causes is appended to fresh lists and has its own turn. An effect that found its link
 * down is kept as the news of it: there is one place for each, so none is lost. */
static void perform_all(struct node *n, struct held_list *list)
{
    struct held_list taken = *list;
    *list = (struct held_list){ NULL, NULL };
    while (taken.first) {
        struct held_effect *h = taken.first;
        taken.first = h->next;
        h->next = NULL;
        if (perform(n, &h->effect))
            release(h);
        else
            append(&n->failed, h);
    }
}

static void tell_links_down(struct node *n)
{
    struct held_list failed = n->failed;
    n->failed = (struct held_list){ NULL, NULL };
    for (const struct held_effect *h = failed.first; h; h = h->next) {
        struct agent_event e = { .kind = AGENT_OVERLAY };
        e.u.overlay.kind = OVERLAY_LINK_DOWN;
        e.u.overlay.link = h->effect.kind == AGENT_DIAL ? h->effect.u.dial.link : h->effect.u.send.link;
        node_handle(n, &e);
    }
    drop(&failed);
}

/* Performing may itself make events (a run that cannot start, a link that is down), whose effects are committed in the
 * next round; the rounds end because each event ends something. */
void node_settle(struct node *n)
{
    while (n->broken == OK && (n->free.first || n->held.first || n->store->dirty || n->failed.first)) {
        perform_all(n, &n->free);
        n->broken = store_commit(n->store);
        if (n->broken != OK)
            break;
        perform_all(n, &n->held);
        tell_links_down(n);
    }
    if (n->broken != OK) {
        node_drop_held(n);
        store_abort(n->store);
    }
}
