/* models_posix.c - what this node serves: news from its workers, and whether the files are still those that were opened.
 *
 * Weights are read from the mapped file for as long as it is served. A file that is edited in place changes under the
 * engine, and the answers are no longer those of the model that the advert names: nobody may be charged for them. So the
 * file is looked at before each job and every NODE_FILES_MS, and a model whose file is no longer the one that was opened
 * is withdrawn until the node starts again. A replaced file ends it too: whoever replaced it wants the new one served.
 *
 *   loading -- WORKER_READY --> ready -- WORKER_FAILED, or the file has changed --> failed (until the next start)
 */
#include <stdio.h>
#include <string.h>

#include "node/log_posix.h"
#include "node/node_posix.h"

static void model_is_ready(struct node *n, struct node_model *m, const struct worker_event *w)
{
    struct agent_event e = { .kind = AGENT_MODEL_READY };
    struct served_model *s = &e.u.model;
    m->speed = *w;
    m->ready = true;
    s->id = m->entry->id;
    s->tensor_hash = m->entry->tensor_hash;
    snprintf(s->name, sizeof s->name, "%s", m->entry->name);
    s->header = m->entry->header;
    s->context = w->context;
    s->vocab = m->entry->config.vocab;
    s->slots = m->config->slots ? m->config->slots : 1;
    snprintf(s->backend, sizeof s->backend, "%.16s", w->text);
    snprintf(s->device, sizeof s->device, "cpu");
    s->prefill_millitokens_s = w->prefill_millitokens_s;
    s->decode_millitokens_s = w->decode_millitokens_s;
    s->price_input = m->config->price_input;
    s->price_cached = m->config->price_cached;
    s->price_output = m->config->price_output;
    s->energy_mj_per_1k = n->config->energy_mj_per_1k;
    log_event(LOG_INFO, "model_ready", "model=%s backend=%s prefill=%llu decode=%llu", m->entry->name, w->text,
              (unsigned long long)(w->prefill_millitokens_s / 1000), (unsigned long long)(w->decode_millitokens_s / 1000));
    node_handle(n, &e);
}

/* NULL if it is over: a run that was ended here may still be heard of from its worker; the agent has done with it. */
static struct node_run *find_run(struct node *n, struct run_id run)
{
    for (uint32_t i = 0; i < n->run_count; i++)
        if (n->runs[i].run.id == run.id)
            return &n->runs[i];
    return NULL;
}

static void tokens_came(struct node *n, const struct worker_event *w)
{
    struct agent_event e = { .kind = AGENT_RUN_TOKENS };
    if (!find_run(n, w->run))
        return;
    e.u.tokens.run = w->run;
    e.u.tokens.tokens = &w->token;
    e.u.tokens.head_hashes = w->has_head ? &w->head_hash : NULL;
    e.u.tokens.count = 1;
    node_handle(n, &e);
}

static void run_is_done(struct node *n, struct run_id run, enum finish finish, enum err error)
{
    struct agent_event e = { .kind = AGENT_RUN_DONE };
    struct node_run *r = find_run(n, run);
    if (!r)
        return;
    *r = n->runs[--n->run_count];
    e.u.done.run = run;
    e.u.done.finish = finish;
    e.u.done.error = error;
    node_handle(n, &e);
}

static void model_is_gone(struct node *n, uint32_t idx, const char *why, enum err error)
{
    struct agent_event e = { .kind = AGENT_MODEL_GONE };
    struct node_model *m = &n->models[idx];
    log_event(LOG_ERROR, "model_failed", "model=%s reason=\"%s\"", m->entry->name, why);
    m->ready = false;
    snprintf(m->failed, sizeof m->failed, "%s", why);
    e.u.gone.model = m->entry->id;
    node_handle(n, &e);
    for (uint32_t i = n->run_count; i-- > 0;)
        if (n->runs[i].model_idx == idx)
            run_is_done(n, n->runs[i].run, FINISH_ERROR, error);
}

bool node_model_is_current(struct node *n, uint32_t idx)
{
    const struct node_model *m = &n->models[idx];
    if (m->failed[0])
        return false;
    if (catalog_is_current(m->entry, m->config->path))
        return true;
    for (uint32_t i = 0; i < n->run_count; i++)
        if (n->runs[i].model_idx == idx)
            worker_cancel(m->worker, n->runs[i].run);
    model_is_gone(n, idx, "its file has changed since it was opened; restart the node to serve the new one", ERR_CORRUPT);
    return false;
}

static void turn_worker(struct node *n, uint32_t idx)
{
    struct worker_event w;
    for (uint32_t i = 0; i < NODE_TURN_EVENTS_MAX && n->broken == OK && worker_next(n->models[idx].worker, &w); i++) {
        switch (w.kind) {
        case WORKER_READY:
            if (node_model_is_current(n, idx))
                model_is_ready(n, &n->models[idx], &w);
            break;
        case WORKER_TOKEN:
            tokens_came(n, &w);
            break;
        case WORKER_DONE:
            run_is_done(n, w.run, w.finish, w.error);
            break;
        case WORKER_FAILED:
            model_is_gone(n, idx, w.text, ERR_DEVICE);
            break;
        }
        n->turn_was_full |= i + 1 == NODE_TURN_EVENTS_MAX;
    }
}

void node_models_turn(struct node *n)
{
    struct mono now = mono_now();
    bool look = mono_reached(now, n->files_at);
    if (look)
        n->files_at = mono_add_ms(now, NODE_FILES_MS);
    for (uint32_t i = 0; i < n->model_count; i++) {
        turn_worker(n, i);
        if (look)
            (void)node_model_is_current(n, i);
    }
}
