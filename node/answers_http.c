/* answers_http.c - what the loop has to say to a client. Called on the loop thread; each takes the gateway's lock. */
#include "node/exchange_http.h"

#include <stdio.h>
#include <string.h>

void gateway_resolved(struct gateway *g, struct client_id client, const struct catalog_entry *entry)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = gateway_find(g, client);
    if (e && e->state == EXCHANGE_RESOLVING) {
        catalog_hold(entry);
        e->entry = entry;
        exchange_set_state(e, EXCHANGE_RESOLVED);
        exchange_resume(e);
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_accepted(struct gateway *g, struct client_id client, const struct agent_effect *a)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = gateway_find(g, client);
    if (e && e->state == EXCHANGE_RUNNING) {
        e->provider = a->u.accepted.provider;
        if (e->streaming && !e->accepted) {
            if (!exchange_put_text(e))
                exchange_fail_err(e, ERR_MEMORY, NULL);
            exchange_resume(e);
        }
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_tokens(struct gateway *g, struct client_id client, const uint32_t *tokens, uint32_t count)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = gateway_find(g, client);
    if (e && e->state == EXCHANGE_RUNNING && !e->satisfied) {
        enum err err = OK;
        for (uint32_t i = 0; err == OK && i < count; i++)
            err = answer_text_push(&e->text, tokens[i]);
        if (err == OK && e->streaming && !e->accepted && !exchange_put_text(e))
            err = ERR_MEMORY;
        if (err == OK && e->text.stopped) {
            e->satisfied = true;
            exchange_cancel(e, true);
        }
        if (err != OK) {
            exchange_cancel(e, false);
            exchange_fail_err(e, err, NULL);
        }
        if (e->streaming)
            exchange_resume(e);                                 /* read_stream() makes the event */
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_done(struct gateway *g, struct client_id client, const struct agent_effect *d)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = gateway_find(g, client);
    if (e && e->state == EXCHANGE_RUNNING) {
        e->finish = d->u.done.finish;
        e->usage = (struct api_usage){ .tokens_in = d->u.done.tokens_in, .tokens_cached = d->u.done.tokens_cached,
                                       .tokens_out = d->u.done.tokens_out, .cost_pico = d->u.done.cost_pico,
                                       .receipt_count = d->u.done.receipt_count, .local = d->u.done.local };
        memcpy(e->usage.job, e->job_hex, sizeof e->usage.job);
        memcpy(e->usage.receipts, d->u.done.receipts, sizeof e->usage.receipts);
        if (e->streaming && !exchange_put_end(e))
            exchange_fail_err(e, ERR_MEMORY, NULL);
        exchange_set_state(e, EXCHANGE_ENDED);
        exchange_resume(e);
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_failed(struct gateway *g, struct client_id client, enum err error, const char *text)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = gateway_find(g, client);
    if (e && exchange_is_waiting(e))
        exchange_fail_err(e, error, text);
    pthread_mutex_unlock(&g->lock);
}

void gateway_reply(struct gateway *g, struct client_id client, unsigned status, const char *content_type, const char *body)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = gateway_find(g, client);
    if (e && e->state == EXCHANGE_ASKED) {
        e->status = status;
        snprintf(e->content_type, sizeof e->content_type, "%s", content_type);
        if (!buffer_add(&e->out, body, strlen(body)))
            exchange_fail_err(e, ERR_MEMORY, NULL);
        exchange_set_state(e, EXCHANGE_ENDED);
        exchange_resume(e);
    }
    pthread_mutex_unlock(&g->lock);
}

struct gateway_counters gateway_counters(struct gateway *g)
{
    pthread_mutex_lock(&g->lock);
    struct gateway_counters c = g->counters;
    pthread_mutex_unlock(&g->lock);
    return c;
}
