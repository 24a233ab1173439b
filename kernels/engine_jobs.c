/* engine_jobs.c - jobs come and go, and what one leaves for its owner's next.
 *
 * A job that ends well and has an owner leaves its slot RESTING: pages and tokens stay as they are. If the owner's next job
 * begins with the same tokens, it takes the slot over and reads on where they part: the pages hold, bit for bit, what
 * reading those tokens again would write, because a position's keys and values depend on the tokens up to it alone (NV1 8).
 * What lies behind that place is overwritten before it is read, as in any page. Nothing is ever shared by two jobs.
 *
 *   FREE --start--> ACTIVE --end, cancel--> RESTING --start of the same owner--> ACTIVE
 *                     |                        |
 *                     +---failed, no owner-----+--slot or pages are wanted, engine_forget()--> FREE
 */
#include <stdlib.h>
#include <string.h>

#include "kernels/engine_parts.h"
#include "kernels/pages_posix.h"

/* Fewer tokens than this are read again rather than spend what somebody may come back for. */
enum { PREFIX_MIN = 64 };

static struct job *find_job(const struct engine *e, uint64_t id)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->jobs[i].state == JOB_ACTIVE && e->jobs[i].id == id)
            return &e->jobs[i];
    return NULL;
}

bool engine_tokens_are_known(const struct engine *e, const uint32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] >= e->model->config.vocab)
            return false;
    return true;
}

/* --- slots and pages ------------------------------------------------------------------------------------------- */

static void forget_tokens(struct job *j)
{
    if (j->tokens)
        pages_wipe(j->tokens, (size_t)j->end * sizeof *j->tokens);
    free(j->tokens);
    j->tokens = NULL;
}

void engine_empty_slot(struct engine *e, struct job *j)
{
    device_release(e->device, (uint32_t)(j - e->jobs));
    forget_tokens(j);
    *j = (struct job){ .state = JOB_FREE };
}

void engine_end_job(struct engine *e, struct job *j, bool well)
{
    if (!well || !j->has_owner || j->done < PREFIX_MIN) {
        engine_empty_slot(e, j);
        return;
    }
    j->state = JOB_RESTING;
    j->rests_since = e->rests++;
}

/* The job that has rested longest, but not the one in `keep`; NULL if none rests. */
static struct job *longest_at_rest(struct engine *e, uint32_t keep)
{
    struct job *found = NULL;
    for (uint32_t i = 0; i < e->slots; i++) {
        struct job *j = &e->jobs[i];
        if (j->state == JOB_RESTING && i != keep && (!found || j->rests_since < found->rests_since))
            found = j;
    }
    return found;
}

/* What rests gives way to what runs, the oldest first. */
static enum err reserve(struct engine *e, uint32_t slot, uint32_t positions)
{
    for (;;) {
        enum err err = device_reserve(e->device, slot, positions);
        struct job *oldest = err == ERR_CAPACITY ? longest_at_rest(e, slot) : NULL;
        if (!oldest)
            return err;
        engine_empty_slot(e, oldest);
    }
}

enum err engine_take_slot(struct engine *e, uint32_t positions, uint32_t *slot)
{
    struct job *found = NULL;
    for (uint32_t i = 0; i < e->slots && !found; i++)
        if (e->jobs[i].state == JOB_FREE)
            found = &e->jobs[i];
    if (!found) {
        found = longest_at_rest(e, e->slots);
        if (!found)
            return ERR_CAPACITY;
        engine_empty_slot(e, found);
    }
    *slot = (uint32_t)(found - e->jobs);
    return reserve(e, *slot, positions);
}

/* How many tokens of the new job are in the pages that j has left for its owner. Its last token is always read: the
 * first of the answer comes from that. */
static uint32_t common_prefix(const struct job *j, const struct engine_job *job)
{
    if (j->state != JOB_RESTING || !job->owner || memcmp(j->owner, job->owner, ENGINE_OWNER_BYTES) != 0)
        return 0;
    uint32_t n = 0, most = engine_min(j->done, job->n - 1);
    while (n < most && j->tokens[n] == job->tokens[n])
        n++;
    return n;
}

/* A slot for the job, with pages for `positions`, of which the first *done are filled already. */
static enum err take_slot_for(struct engine *e, const struct engine_job *job, uint32_t positions, uint32_t *slot,
                              uint32_t *done)
{
    *done = 0;
    for (uint32_t i = 0; i < e->slots; i++) {
        uint32_t common = common_prefix(&e->jobs[i], job);
        if (common > *done) {
            *slot = i;
            *done = common;
        }
    }
    if (*done >= PREFIX_MIN)
        return reserve(e, *slot, positions);
    *done = 0;
    return engine_take_slot(e, positions, slot);
}

/* --- from outside ---------------------------------------------------------------------------------------------- */

static enum err check_job(const struct engine *e, const struct engine_job *job)
{
    if (job->n == 0 || job->max_tokens == 0 || job->n_stop > ENGINE_STOP_IDS_MAX)
        return ERR_ARG;
    if (sampler_params_check(&job->params) != OK || !engine_tokens_are_known(e, job->tokens, job->n))
        return ERR_ARG;
    if (find_job(e, job->id))
        return ERR_EXISTS;
    return (uint64_t)job->n + job->max_tokens > e->context ? ERR_CONTEXT : OK;
}

static void set_job(struct job *j, const struct engine_job *job, uint32_t *tokens, uint32_t done)
{
    uint32_t allowed = job->allowed ? engine_min(job->allowed, job->max_tokens) : job->max_tokens;
    memcpy(tokens, job->tokens, job->n * sizeof *tokens);
    *j = (struct job){ .state = JOB_ACTIVE, .id = job->id, .tokens = tokens, .n = job->n, .known = job->n, .done = done,
                       .end = job->n + job->max_tokens, .pause = job->n + allowed, .n_stop = job->n_stop,
                       .params = job->params, .want_head_bytes = job->want_head_bytes, .has_owner = job->owner != NULL };
    if (job->n_stop > 0)
        memcpy(j->stop_ids, job->stop_ids, job->n_stop * sizeof *j->stop_ids);
    if (job->owner)
        memcpy(j->owner, job->owner, ENGINE_OWNER_BYTES);
}

enum err engine_start(struct engine *e, const struct engine_job *job)
{
    enum err err = check_job(e, job);
    if (err != OK)
        return err;
    uint32_t slot, done, end = job->n + job->max_tokens;
    uint32_t *tokens = calloc(end, sizeof *tokens);
    if (!tokens)
        return ERR_MEMORY;
    err = take_slot_for(e, job, end, &slot, &done);
    if (err != OK) {
        free(tokens);
        return err;
    }
    forget_tokens(&e->jobs[slot]);
    set_job(&e->jobs[slot], job, tokens, done);
    return OK;
}

enum err engine_allow(struct engine *e, uint64_t id, uint32_t allowed)
{
    struct job *j = find_job(e, id);
    if (!j)
        return ERR_NOT_FOUND;
    uint32_t pause = j->n + engine_min(allowed, j->end - j->n);
    if (pause > j->pause)
        j->pause = pause;
    return OK;
}

enum err engine_cancel(struct engine *e, uint64_t id)
{
    struct job *j = find_job(e, id);
    if (!j)
        return ERR_NOT_FOUND;
    engine_end_job(e, j, true);
    return OK;
}

void engine_forget(struct engine *e)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->jobs[i].state == JOB_RESTING)
            engine_empty_slot(e, &e->jobs[i]);
    if (engine_idle(e))
        engine_wipe_batch(e);
}

uint32_t engine_active(const struct engine *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->slots; i++)
        n += e->jobs[i].state == JOB_ACTIVE;
    return n;
}

bool engine_idle(const struct engine *e) { return engine_active(e) == 0; }

uint64_t engine_backlog(const struct engine *e)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->jobs[i].state == JOB_ACTIVE)
            n += e->jobs[i].known - e->jobs[i].done - 1;
    return n;
}
