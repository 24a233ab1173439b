/* readiness_posix.c - does this node do what it was set up for, and if not, why? For status, /readyz and the log. */
#include <stdio.h>
#include <string.h>

#include "node/address_posix.h"
#include "node/log_posix.h"
#include "node/node_posix.h"

static const struct node_model *model_that(const struct node *n, bool (*is_so)(const struct node_model *))
{
    for (uint32_t i = 0; i < n->model_count; i++)
        if (is_so(&n->models[i]))
            return &n->models[i];
    return NULL;
}

static bool has_failed(const struct node_model *m) { return m->failed[0] != 0; }
static bool is_loading(const struct node_model *m) { return !m->ready; }
static bool is_joined(const struct node *n) { return agent_joined(n->agent) || n->config->bootstrap_count == 0; }

bool node_is_ready(struct node *n) { return !n->draining && is_joined(n) && !model_that(n, is_loading); }

const char *node_state(struct node *n)
{
    if (n->draining)
        return "draining";
    if (model_that(n, has_failed))
        return "failed";
    if (!is_joined(n))
        return "joining";
    return model_that(n, is_loading) ? "loading" : "ready";
}

/* What the counters tell about dials that all came to nothing. They do not tell which bootstrap node it was, and need not:
 * this is asked while none has taken us in. */
static void why_not_joined(const struct node *n, char out[NODE_WHY_CHARS])
{
    const struct overlay_counters *o = overlay_counters(agent_overlay(n->agent));
    const struct transport_counters *t = transport_counters(n->transport);
    if (o->peers_up > 0)
        snprintf(out, NODE_WHY_CHARS, overlay_peer_count(agent_overlay(n->agent)) ? "the neighbours are being looked for" : "every peer has gone; they are dialled again");
    else if (o->refused[ERR_POW] > 0)
        snprintf(out, NODE_WHY_CHARS, "its identity proves less work than pow_bits = %u asks for here", n->config->pow_bits);
    else if (t->links_up > 0)
        snprintf(out, NODE_WHY_CHARS, "it answers, but does not take this node in: pow_bits of the network (%u here) or one of the clocks may differ", n->config->pow_bits);
    else if (t->dials_failed > t->dials_unconnected)
        snprintf(out, NODE_WHY_CHARS, "something answers there, but not the node whose key is in the bootstrap string, or it refuses this one");
    else if (t->dials_failed > 0)
        snprintf(out, NODE_WHY_CHARS, "no connection: nothing listens there, or it cannot be reached from here");
    else
        snprintf(out, NODE_WHY_CHARS, "no answer yet");
}

/* "HOST:PORT", and how many more there are. */
static void name_bootstraps(const struct node *n, char out[NODE_WHY_CHARS])
{
    struct bootstrap b;
    char address[ADDRESS_TEXT_CHARS] = "";
    if (bootstrap_parse(n->config->bootstrap[0], &b) == OK)
        address_text(b.host, b.port, address);
    if (n->config->bootstrap_count > 1)
        snprintf(out, NODE_WHY_CHARS, "%.200s and %u more", address, n->config->bootstrap_count - 1);
    else
        snprintf(out, NODE_WHY_CHARS, "%.200s", address);
}

void node_why_not_ready(struct node *n, char out[NODE_WHY_CHARS])
{
    char where[NODE_WHY_CHARS], why[NODE_WHY_CHARS];
    const struct node_model *m;
    out[0] = 0;
    if (n->draining)
        snprintf(out, NODE_WHY_CHARS, "it was asked to stop and finishes open work");
    else if ((m = model_that(n, has_failed)))
        snprintf(out, NODE_WHY_CHARS, "model %.64s %s: %.200s", m->entry->name,
                 m->speed.context ? "is served no more" : "could not be started", m->failed);
    else if (!is_joined(n)) {
        name_bootstraps(n, where);
        why_not_joined(n, why);
        snprintf(out, NODE_WHY_CHARS, "not joined through bootstrap %.120s: %.200s", where, why);
    } else if ((m = model_that(n, is_loading)))
        snprintf(out, NODE_WHY_CHARS, "model %.64s is being loaded", m->entry->name);
}

void node_waiting_turn(struct node *n)
{
    char where[NODE_WHY_CHARS], why[NODE_WHY_CHARS];
    if (n->waiting_said || is_joined(n)) {
        n->waiting_said = true;
        return;
    }
    if (n->draining || !mono_reached(mono_now(), mono_add_ms(n->started, NODE_WAITING_MS)))
        return;
    name_bootstraps(n, where);
    why_not_joined(n, why);
    log_event(LOG_WARN, "overlay.waiting", "bootstrap %s: %s", where, why);
    n->waiting_said = true;
}
