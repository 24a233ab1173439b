/* engine.c - makes tokens at a node's own pace, a batch per step; cancelled within a step. */
#include "tests/sim/sim.h"

#include <string.h>

#include "tests/fake_engine.h"

enum { BATCH_MAX = 8 };

static void next_step(struct sim *s, struct sim_node *n, size_t run, uint64_t us)
{
    queue_push(&s->queue, (struct queue_item){ .us = s->now + us, .kind = ITEM_RUN, .node = n->idx, .life = n->life, .idx = run });
}

void engine_start(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    size_t i = 0;
    while (i < n->runs_count && n->runs[i].used)
        i++;
    if (i == n->runs_count) {
        size_t room = n->runs_count;
        n->runs = sim_grow(n->runs, &room, n->runs_count, sizeof *n->runs);
        memset(n->runs + n->runs_count, 0, (room - n->runs_count) * sizeof *n->runs);
        n->runs_count = room;
    }
    struct run *r = &n->runs[i];
    *r = (struct run){ .used = true, .id = e->u.start.run, .seed = e->u.start.seed,
                       .state = fake_absorb(FAKE_STATE, e->u.start.tokens, e->u.start.token_count), .position = e->u.start.token_count,
                       .output_max = e->u.start.output_max, .allowed = e->u.start.allowed ? e->u.start.allowed : e->u.start.output_max, .stop_count = e->u.start.stop_count, .heads = e->u.start.want_head_hashes };
    memcpy(r->stop, e->u.start.stop_ids, r->stop_count * sizeof r->stop[0]);
    next_step(s, n, i, n->step_us + (uint64_t)r->position * n->step_us / 200);     /* prefill */
}

/* A paused run has no step under way; this gives it one. */
static void wake(struct sim *s, struct sim_node *n, size_t run)
{
    if (n->runs[run].paused)
        next_step(s, n, run, n->step_us);
    n->runs[run].paused = false;
}

void engine_allow(struct sim *s, struct sim_node *n, struct run_id run, uint32_t allowed)
{
    for (size_t i = 0; i < n->runs_count; i++)
        if (n->runs[i].used && n->runs[i].id.id == run.id) {
            n->runs[i].allowed = allowed;
            wake(s, n, i);
        }
}

void engine_cancel(struct sim *s, struct sim_node *n, struct run_id run)
{
    for (size_t i = 0; i < n->runs_count; i++)
        if (n->runs[i].used && n->runs[i].id.id == run.id) {
            n->runs[i].cancelled = true;
            wake(s, n, i);
        }
}

static void done(struct sim *s, struct sim_node *n, struct run *r, enum finish finish, enum err error)
{
    struct agent_event e = { .kind = AGENT_RUN_DONE };
    e.u.done.run = r->id;
    e.u.done.finish = finish;
    e.u.done.error = error;
    r->used = false;
    sim_event(s, n, &e);
}

static bool is_stop(const struct run *r, uint32_t token)
{
    for (uint32_t i = 0; i < r->stop_count; i++)
        if (r->stop[i] == token)
            return true;
    return false;
}

/* Up to a batch of tokens; true if the last of them ends the answer. */
static bool make_tokens(const struct sim_node *n, struct run *r, uint32_t *tokens, struct hash *heads, uint32_t *count)
{
    for (*count = 0; *count < n->batch && r->made < r->allowed;) {
        uint32_t t = fake_next(&r->state, r->seed, r->position, SIM_VOCAB);
        heads[*count] = fake_head(t, r->position);
        tokens[(*count)++] = t;
        r->position++;
        r->made++;
        if (is_stop(r, t))
            return true;
    }
    return false;
}

void engine_step(struct sim *s, struct sim_node *n, size_t run)
{
    struct rng *rng = &n->rng[STREAM_ENGINE];
    struct run *r = &n->runs[run];
    if (!r->used)
        return;
    if (r->cancelled) {
        done(s, n, r, FINISH_CANCELLED, OK);
        return;
    }
    if (s->vices_on && n->vice == VICE_STOP && r->heads && rng_below(rng, 40) == 0)     /* it does not cheat its own users */
        r->stuck = true;
    if (r->stuck) {
        next_step(s, n, run, n->step_us);
        return;
    }
    if (s->faults_on && rng_below(rng, 20000) == 0) {
        done(s, n, r, FINISH_ERROR, ERR_DEVICE);
        return;
    }
    if (r->made == r->allowed) {
        r->paused = true;
        return;
    }
    uint32_t tokens[BATCH_MAX], count;
    struct hash heads[BATCH_MAX];
    uint64_t life = n->life;
    struct run_id id = r->id;
    bool stop = make_tokens(n, r, tokens, heads, &count);
    if (s->options.plant == PLANT_TOKEN && rng_below(rng, 200) == 0)
        tokens[0] = (tokens[0] + 1) % SIM_VOCAB;
    struct agent_event e = { .kind = AGENT_RUN_TOKENS };
    e.u.tokens.run = id;
    e.u.tokens.tokens = tokens;
    e.u.tokens.head_hashes = r->heads ? heads : NULL;
    e.u.tokens.count = count;
    sim_event(s, n, &e);
    r = &n->runs[run];                                     /* the turn may have started another run, or been the node's last */
    if (!n->alive || n->life != life)
        return;
    if (r->cancelled)
        next_step(s, n, run, n->step_us);
    else if (stop || r->made == r->output_max)
        done(s, n, r, stop ? FINISH_STOP : FINISH_LENGTH, OK);
    else
        next_step(s, n, run, n->step_us);
}
