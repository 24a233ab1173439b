/* engine_step.c - one ragged pass for everybody who wants a token. */
#include "kernels/engine_parts.h"

enum { PREFILL_CHUNK_BESIDE = 64 };     /* prompt tokens of a step while others write: they wait for it */

static bool may_run(const struct job *j) { return j->state == JOB_ACTIVE && j->known < j->pause; }

bool engine_has_work(const struct engine *e)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (may_run(&e->jobs[i]))
            return true;
    return false;
}

void engine_add_row(struct engine *e, uint32_t *n, uint32_t slot, uint32_t position, uint32_t token,
                    const struct sampler_params *params)
{
    ENSURE(*n < e->rows_max);
    e->rows[*n] = (struct row){ .slot = slot, .position = position, .token = token, .want = params };
    if (params) {
        e->picks[e->n_asked] = (struct pick){ .wanted = e->n_asked, .position = position + 1, .params = params };
        e->asked[e->n_asked++] = *n;
    }
    (*n)++;
}

static void add_rows(struct engine *e, uint32_t slot, uint32_t count, uint32_t *n)
{
    struct job *j = &e->jobs[slot];
    for (uint32_t i = 0; i < count; i++, j->done++)
        engine_add_row(e, n, slot, j->done, j->tokens[j->done], j->done + 1 == j->known ? &j->params : NULL);
}

/* Everybody's newest token, then as much of the prompts as fits, beginning with another slot each time. */
static uint32_t plan(struct engine *e)
{
    uint32_t n = 0, budget = e->prefill_chunk;
    e->n_asked = 0;
    for (uint32_t i = 0; i < e->slots; i++)
        if (may_run(&e->jobs[i]) && e->jobs[i].known - e->jobs[i].done == 1)
            add_rows(e, i, 1, &n);
    if (n > 0)
        budget = engine_min(budget, PREFILL_CHUNK_BESIDE);
    for (uint32_t i = 0; i < e->slots && budget > 0; i++) {
        uint32_t slot = (e->first_slot + i) % e->slots;
        uint32_t waiting = may_run(&e->jobs[slot]) ? e->jobs[slot].known - e->jobs[slot].done : 0;
        uint32_t count = engine_min(waiting, budget);
        budget -= count;
        add_rows(e, slot, count, &n);
    }
    e->first_slot = (e->first_slot + 1) % e->slots;
    return n;
}

static enum engine_finish finish_of(const struct job *j, uint32_t token)
{
    for (uint32_t i = 0; i < j->n_stop; i++)
        if (j->stop_ids[i] == token)
            return ENGINE_STOP;
    return j->known == j->end ? ENGINE_LENGTH : ENGINE_RUNNING;
}

/* What an answered pick means for its job, which ends here if it is finished. */
static struct engine_output deliver(struct engine *e, const struct pick *p)
{
    uint32_t slot = e->rows[e->asked[p->wanted]].slot;
    struct job *j = &e->jobs[slot];
    struct engine_output out = { .id = j->id, .position = j->known, .error = p->error, .token = p->token };
    if (out.error != OK) {
        out.finish = ENGINE_ERROR;
        out.token = 0;
        engine_end_job(e, j, false);
        return out;
    }
    if (j->want_head_bytes) {
        uint8_t *head = e->heads + slot * engine_head_bytes(e);
        device_head_bytes(e->device, p->wanted, head);
        out.head = bytes_of(head, engine_head_bytes(e));
    }
    j->tokens[j->known++] = out.token;
    out.finish = finish_of(j, out.token);
    if (out.finish != ENGINE_RUNNING)
        engine_end_job(e, j, true);
    return out;
}

/* Jobs with a failed row end with an error; their other rows count for nothing. */
static size_t end_failed(struct engine *e, uint32_t n_rows, struct engine_output *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < n_rows; i++) {
        struct job *j = &e->jobs[e->rows[i].slot];
        if (!device_row_failed(e->device, i) || j->state != JOB_ACTIVE)
            continue;
        out[n++] = (struct engine_output){ .id = j->id, .finish = ENGINE_ERROR, .error = ERR_NUMERIC,
                                           .position = j->known };
        engine_end_job(e, j, false);
    }
    return n;
}

/* Drops the picks of jobs that have just failed. */
static uint32_t keep_active_picks(struct engine *e)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->n_asked; i++)
        if (e->jobs[e->rows[e->asked[i]].slot].state == JOB_ACTIVE)
            e->picks[kept++] = e->picks[i];
    return kept;
}

enum err engine_step(struct engine *e, struct engine_output *out, size_t cap, size_t *n)
{
    ENSURE(cap >= e->slots);
    *n = 0;
    uint32_t n_rows = plan(e);
    if (n_rows == 0)
        return OK;
    enum err err = device_forward(e->device, e->rows, n_rows);
    if (err != OK)
        return err;
    *n = end_failed(e, n_rows, out);
    uint32_t left = keep_active_picks(e);
    err = left > 0 ? device_pick(e->device, e->picks, left) : OK;
    for (uint32_t i = 0; i < left && err == OK; i++)
        out[(*n)++] = deliver(e, &e->picks[i]);
    return err;
}
