/* status_jansson.c - what a node says about itself, as JSON: status, peers, models, offers. Schema: docs/api.md. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/api_jansson.h"
#include "node/node_posix.h"
#include "node/values_jansson.h"

static char *finish_json(json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(j);
    return text;
}

static json_t *served_models(struct node *n)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < n->model_count; i++) {
        const struct node_model *m = &n->models[i];
        json_t *j = json_pack("{s:s, s:o, s:b, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}",
            "name", m->entry->name, "id", hash_json(&m->entry->id), "ready", m->ready, "backend", m->ready ? m->speed.text : "",
            "context", (int)m->speed.context, "slots", (int)m->config->slots,
            "prefill_millitokens_s", amount_json(m->speed.prefill_millitokens_s), "decode_millitokens_s", amount_json(m->speed.decode_millitokens_s),
            "price_input", amount_json(m->config->price_input), "price_cached", amount_json(m->config->price_cached),
            "price_output", amount_json(m->config->price_output));
        if (j && m->failed[0])
            json_object_set_new(j, "error", json_string(m->failed));
        json_array_append_new(list, j);
    }
    return list;
}

char *node_status_json(struct node *n)
{
    struct node_id self = node_id_of(&n->identity.node_public);
    const struct agent_counters *c = agent_counters(n->agent);
    char boot[BOOTSTRAP_CHARS_MAX + 1], why[NODE_WHY_CHARS];
    struct ledger_totals t;
    memset(&t, 0, sizeof t);
    bootstrap_format(&n->self, boot);
    enum err e = ledger_totals(agent_ledger(n->agent), &t);
    json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:i, s:s, s:i, s:I, s:o}",
        "version", TALLY_VERSION, "network", n->config->network, "id", hash_json(&self.h), "key", key_json(&n->identity.node_public),
        "state", node_state(n), "host", n->self.host, "port", n->self.port, "bootstrap", boot,
        "peers", (int)overlay_peer_count(agent_overlay(n->agent)),
        "uptime_ms", (json_int_t)mono_ms_between(n->started, mono_now()), "models", served_models(n));
    if (!j)
        return NULL;
    node_why_not_ready(n, why);
    if (why[0])
        json_object_set_new(j, "reason", json_string(why));
    if (n->identity.has_cert)
        json_object_set_new(j, "owner", key_json(&n->identity.owner_public));
    json_object_set_new(j, "restarts", json_integer(n->supervised ? n->supervised->restarts : 0));
    json_object_set_new(j, "jobs", json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o}",
        "open_provider", (int)c->jobs_open_provider, "open_requester", (int)c->jobs_open_requester, "served", amount_json(c->jobs_served),
        "requested", amount_json(c->requests), "local", amount_json(c->requests_local), "failed", amount_json(c->requests_failed),
        "failovers", amount_json(c->failovers), "tokens_out", amount_json(c->tokens_out)));
    if (e == OK)
        json_object_set_new(j, "ledger", json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",
            "receipts", amount_json(t.receipts), "jobs", amount_json(t.jobs), "earned_pico", amount_json(t.earned.v), "earned_pending_pico", amount_json(t.earned_pending.v),
            "spent_pico", amount_json(t.spent.v), "spent_pending_pico", amount_json(t.spent_pending.v)));
    return finish_json(j);
}

char *node_peers_json(struct node *n)
{
    json_t *list = json_array();
    struct overlay_peer p;
    size_t cursor = 0;
    while (overlay_peer_each(agent_overlay(n->agent), &cursor, &p)) {
        json_t *j = json_pack("{s:o, s:o, s:s, s:i, s:i, s:b, s:I}", "id", hash_json(&p.record->id.h), "key", key_json(&p.record->key), "host", p.record->at.host,
                              "port", p.record->at.port, "rtt_us", (int)p.rtt_us, "outbound", p.outbound,
                              "up_ms", (json_int_t)mono_ms_between(p.up_since, mono_now()));
        if (j && p.record->has_cert)
            json_object_set_new(j, "owner", key_json(&p.record->cert.owner));
        json_array_append_new(list, j);
    }
    return finish_json(json_pack("{s:o}", "peers", list));
}

static const char *tier_name(enum tier t)
{
    switch (t) {
    case TIER_EDGE:
        return "edge";
    case TIER_REGIONAL:
        return "regional";
    case TIER_FACTORY:
        return "factory";
    }
    return "";
}

char *node_models_json(struct node *n)
{
    static struct advert a;                            /* large; the loop is one thread */
    json_t *list = json_array();
    struct node_id self = node_id_of(&n->identity.node_public);
    size_t cursor = 0;
    while (overlay_advert_each(agent_overlay(n->agent), mono_now(), &cursor, &a)) {
        struct overlay_peer p;
        bool linked = overlay_peer_find(agent_overlay(n->agent), &a.node.id, &p);
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:b, s:i, s:s, s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:s, s:s, s:o, s:i}",
            "model", a.model_name, "model_id", hash_json(&a.model), "provider", hash_json(&a.node.id.h),
            "self", node_id_equal(&self, &a.node.id), "context", (int)a.context_tokens, "backend", a.backend, "device", a.device,
            "slots", (int)a.slots, "prefill_millitokens_s", (int)a.prefill_mtps, "decode_millitokens_s", (int)a.decode_mtps,
            "price_input", amount_json(a.prices.input), "price_cached", amount_json(a.prices.cached_input), "price_output", amount_json(a.prices.output),
            "jurisdiction", a.jurisdiction, "tier", tier_name(a.tier), "energy_mj_per_1k", amount_json(a.energy_mj_per_1000),
            "rtt_us", linked ? (int)p.rtt_us : 0));
    }
    return finish_json(json_pack("{s:o}", "adverts", list));
}

char *node_offers_json(struct node *n)
{
    static struct offer_view offers[64];
    uint32_t count = agent_offers(n->agent, mono_now(), offers, ARRAY_COUNT(offers));
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:i, s:i, s:b, s:b, s:s}",
            "model_id", hash_json(&offers[i].model), "requester", key_json(&offers[i].requester), "requester_id", id_json(&offers[i].requester),
            "price_input_max", amount_json(offers[i].price_input_max), "price_output_max", amount_json(offers[i].price_output_max),
            "age_ms", (json_int_t)offers[i].age_ms, "output_max", (int)offers[i].output_max, "prompt_tokens", (int)offers[i].prompt_count,
            "gossiped", offers[i].gossiped, "bid", offers[i].bid, "declined", offers[i].bid ? "" : err_text(offers[i].declined)));
    return finish_json(json_pack("{s:o}", "offers", list));
}

/* One entry per model id; providers counted. Extra keys are tolerated by OpenAI clients. */
static json_t *openai_model(const struct advert *a)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:i, s:i, s:o, s:{s:o, s:o, s:o}}", "id", a->model_name, "object", "model", "created", 0,
                     "owned_by", "tallymesh", "context_length", (int)a->context_tokens, "providers", 1, "model_id", hash_json(&a->model),
                     "pricing", "input_micro_per_million", amount_json(a->prices.input), "cached_micro_per_million", amount_json(a->prices.cached_input),
                     "output_micro_per_million", amount_json(a->prices.output));
}

char *node_openai_models_json(struct node *n, const char *name, unsigned *status)
{
    static struct advert a;
    json_t *list = json_array(), *last = NULL;
    struct hash last_id = { { 0 } }, wanted;
    size_t cursor = 0;
    bool none = name[0] && !node_find_offered(n, name, &wanted);
    while (!none && overlay_advert_each(agent_overlay(n->agent), mono_now(), &cursor, &a)) {
        if (name[0] && !hash_equal(&wanted, &a.model))
            continue;
        if (last && hash_equal(&last_id, &a.model)) {  /* adverts come in order of model id */
            json_object_set_new(last, "providers", json_integer(json_integer_value(json_object_get(last, "providers")) + 1));
            continue;
        }
        last = openai_model(&a);
        last_id = a.model;
        json_array_append_new(list, last);
    }
    if (!name[0])
        return finish_json(json_pack("{s:s, s:o}", "object", "list", "data", list));
    json_t *one = json_incref(json_array_get(list, 0));
    json_decref(list);
    if (one)
        return finish_json(one);
    char why[NODE_WHY_CHARS];
    struct api_fault f;
    api_fault_of(node_say_not_offered(n, name, why), why, &f);
    *status = f.status;
    snprintf(f.param, sizeof f.param, "model");
    return api_error_json(&f);
}
