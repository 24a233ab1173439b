/* asks_posix.c - what clients ask of the loop: which model is meant, run this, stop that, tell me your state. */
#include "node/node_posix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/log_posix.h"

void node_handle(struct node *n, const struct agent_event *e)
{
    agent_handle(n->agent, mono_now(), wall_now(), e);
    node_take_effects(n);
}

static const struct catalog_entry *find_served(struct node *n, const char *asked)
{
    for (uint32_t i = 0; i < n->model_count; i++)
        if (n->models[i].ready && node_name_matches(asked, n->models[i].entry->name, &n->models[i].entry->id) &&
            node_model_is_current(n, i))
            return n->models[i].entry;
    return NULL;
}

static void want_header(struct node *n, const struct hash *model)
{
    struct agent_event e = { .kind = AGENT_HEADER_WANTED };
    e.u.header.model = *model;
    node_handle(n, &e);
}

/* Another node's model: from now on the name means this one. */
static void resolved(struct node *n, const struct node_waiting *w, const struct catalog_entry *entry)
{
    char why[NODE_WHY_CHARS];
    enum err e = node_pin(n, w->name, &entry->id, why);
    if (e == OK)
        gateway_resolved(n->gateway, w->client, entry);
    else
        gateway_failed(n->gateway, w->client, e, why);
}

/* True if the client has its answer or its header is being fetched; false if the name means nothing yet. */
static bool resolve(struct node *n, struct node_waiting *w)
{
    const struct catalog_entry *entry = find_served(n, w->name);
    if (entry) {
        gateway_resolved(n->gateway, w->client, entry);
        return true;
    }
    if (!node_find_offered(n, w->name, &w->model))
        return false;
    w->has_model = true;
    entry = catalog_find(n->catalog, &w->model);
    if (entry)
        resolved(n, w, entry);
    return entry != NULL;
}

/* Whether an unknown name may become known by waiting: the mesh is just being met, or our own model is not ready yet. */
static bool may_still_come(const struct node *n, const char *asked)
{
    if (!agent_joined(n->agent) || !mono_reached(mono_now(), mono_add_ms(n->started, NODE_YOUNG_MS)))
        return true;
    for (uint32_t i = 0; i < n->model_count; i++)
        if (!n->models[i].ready && !n->models[i].failed[0] && node_name_matches(asked, n->models[i].entry->name, &n->models[i].entry->id))
            return true;
    return false;
}

static void refuse_name(struct node *n, const struct node_waiting *w)
{
    char why[NODE_WHY_CHARS];
    enum err e = node_say_not_offered(n, w->name, why);
    gateway_failed(n->gateway, w->client, e, why);
}

static void ask_model(struct node *n, const struct gateway_ask *a)
{
    struct node_waiting w = { .client = a->client, .give_up = mono_add_ms(mono_now(), NODE_MODEL_WAIT_MS) };
    memcpy(w.name, a->model, sizeof w.name);
    if (resolve(n, &w))
        return;
    if (n->waiting_count == NODE_WAITING_MAX) {
        gateway_failed(n->gateway, a->client, ERR_FULL, "too many requests are waiting for model headers");
        return;
    }
    if (w.has_model) {
        w.give_up = mono_add_ms(mono_now(), 10 * NODE_MODEL_WAIT_MS);
        n->waiting[n->waiting_count++] = w;
        want_header(n, &w.model);
        return;
    }
    n->waiting[n->waiting_count++] = w;
    struct agent_event e = { .kind = AGENT_DIRECTORY_WANTED };
    node_handle(n, &e);
}

static void drop_waiting(struct node *n, uint32_t i) { n->waiting[i] = n->waiting[--n->waiting_count]; }

void node_waiting_tick(struct node *n)
{
    for (uint32_t i = 0; i < n->waiting_count;) {
        struct node_waiting *w = &n->waiting[i];
        bool had_model = w->has_model;
        if (!had_model && resolve(n, w)) {
            drop_waiting(n, i);
            continue;
        }
        if (!had_model && w->has_model) {
            w->give_up = mono_add_ms(mono_now(), 10 * NODE_MODEL_WAIT_MS);
            want_header(n, &w->model);
        }
        if (mono_reached(mono_now(), w->give_up)) {
            if (w->has_model)
                gateway_failed(n->gateway, w->client, ERR_TIMEOUT, "no provider sent the model's header in time");
            else
                refuse_name(n, w);
            drop_waiting(n, i);
            continue;
        }
        i++;
    }
}

void node_directory_ready(struct node *n)
{
    struct hash model;
    for (uint32_t i = 0; i < n->waiting_count;) {
        const char *name = n->waiting[i].name;
        if (n->waiting[i].has_model || find_served(n, name) || node_find_offered(n, name, &model) || may_still_come(n, name)) {
            i++;                                       /* the next tick sees to it */
            continue;
        }
        refuse_name(n, &n->waiting[i]);
        drop_waiting(n, i);
    }
}

void node_header_ready(struct node *n, const struct agent_effect *e)
{
    struct fault why = { { 0 } };
    const struct catalog_entry *entry = NULL;
    enum err err = catalog_add_header(n->catalog, &e->u.header.model, &e->u.header.tensor_hash, e->u.header.header, &entry, &why);
    if (err != OK)
        log_event(LOG_WARN, "header_refused", "reason=\"%s\"", why.text);
    for (uint32_t i = 0; i < n->waiting_count;) {
        if (!n->waiting[i].has_model || !hash_equal(&n->waiting[i].model, &e->u.header.model)) {
            i++;
            continue;
        }
        if (err == OK)
            resolved(n, &n->waiting[i], entry);
        else
            gateway_failed(n->gateway, n->waiting[i].client, err, why.text);
        drop_waiting(n, i);
    }
}

void node_header_failed(struct node *n, const struct agent_effect *e)
{
    for (uint32_t i = 0; i < n->waiting_count;) {
        if (!n->waiting[i].has_model || !hash_equal(&n->waiting[i].model, &e->u.header.model)) {
            i++;
            continue;
        }
        gateway_failed(n->gateway, n->waiting[i].client, e->u.header.error, "the model's header could not be fetched");
        drop_waiting(n, i);
    }
}

static void reply_ready(struct node *n, struct client_id client)
{
    char why[NODE_WHY_CHARS], text[NODE_WHY_CHARS + 16];
    bool ready = node_is_ready(n);
    node_why_not_ready(n, why);
    snprintf(text, sizeof text, ready ? "ready\n" : "not ready: %s\n", why);
    gateway_reply(n->gateway, client, ready ? 200 : 503, "text/plain", text);
}

static void answer_query(struct node *n, const struct gateway_ask *a)
{
    char *body = NULL;
    const char *type = "application/json";
    unsigned status = 200;
    switch (a->query) {
    case QUERY_STATUS:
        body = node_status_json(n);
        break;
    case QUERY_PEERS:
        body = node_peers_json(n);
        break;
    case QUERY_MODELS:
        body = node_models_json(n);
        break;
    case QUERY_OFFERS:
        body = node_offers_json(n);
        break;
    case QUERY_OPENAI_MODELS:
        body = node_openai_models_json(n, a->model, &status);
        break;
    case QUERY_PINS:
        body = node_pins_json(n);
        break;
    case QUERY_UNPIN:
        body = node_unpin_json(n, a->model, &status);
        break;
    case QUERY_METRICS:
        type = "text/plain; version=0.0.4";
        body = node_metrics_text(n);
        break;
    case QUERY_READY:
        reply_ready(n, a->client);
        return;
    }
    if (!body)
        gateway_failed(n->gateway, a->client, ERR_MEMORY, NULL);
    else
        gateway_reply(n->gateway, a->client, status, type, body);
    free(body);
}

static void cancel_client(struct node *n, const struct gateway_ask *a)
{
    for (uint32_t i = 0; i < n->waiting_count; i++)
        if (n->waiting[i].client.id == a->client.id) {
            drop_waiting(n, i);
            return;
        }
    struct agent_event e = { .kind = AGENT_CANCEL };
    e.u.cancel.client = a->client;
    e.u.cancel.satisfied = a->satisfied;
    node_handle(n, &e);
}

void node_ask(struct node *n, struct gateway_ask *a)
{
    struct agent_event e = { .kind = AGENT_REQUEST };
    switch (a->kind) {
    case ASK_MODEL:
        ask_model(n, a);
        return;
    case ASK_SUBMIT:
        e.u.request = a->request;
        node_handle(n, &e);
        return;
    case ASK_CANCEL:
        cancel_client(n, a);
        return;
    case ASK_QUERY:
        answer_query(n, a);
        return;
    }
}
