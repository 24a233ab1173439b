/* engine.c - jobs, slots and steps: one ragged pass for everybody who wants a token. */
#include "kernels/engine.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "kernels/model.h"
#include "kernels/ops.h"
#include "kernels/quant.h"

enum {
    SLOTS_DEFAULT = 8,
    PREFILL_CHUNK_DEFAULT = 512,
    PREFILL_CHUNK_BESIDE = 64,       /* while others write: they wait for it */
    PREFILL_CHUNK_MAX = 4096,
    KV_TOKENS_DEFAULT = 8192,
    SCORES_AT_ONCE = 32              /* positions of a check that are sampled together */
};

/* A job in its slot. Known tokens: the prompt, then what was sampled. `done` of them are in the cache; while the job
 * lives done < known, and it is generating when known - done == 1 and the prompt has been read. It is paused while
 * known >= pause: its newest token then waits in place, so that going on is the very step that was put off. */
struct job {
    bool active;
    uint64_t id;
    uint32_t *tokens;                /* (n + max_tokens) */
    uint32_t n;                      /* of the prompt */
    uint32_t known, done, end;       /* end = n + max_tokens */
    uint32_t pause;                  /* n + what it may make for now; n < pause <= end */
    uint32_t stop_ids[ENGINE_STOP_IDS_MAX];
    uint32_t n_stop;
    struct sampler_params params;
    bool want_head_bytes;
};

struct engine {
    const struct model *model;
    struct device *device;
    uint32_t slots, prefill_chunk, rows_max, context;
    uint32_t first_slot;             /* whose prompt is served first; moves on with every step */
    struct job *jobs;                /* (slots) */
    struct row *rows;                /* (rows_max): the batch */
    struct pick *picks;              /* (rows_max): the rows of the batch that ask for a token, in order */
    uint32_t *asked;                 /* (rows_max): their row numbers */
    uint32_t n_asked;
    uint8_t *heads;                  /* (slots, head bytes) */
};

/* --- opening -------------------------------------------------------------------------------------------------- */

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static enum err check_options(const struct engine_options *o, struct fault *why)
{
    if (o->threads > ENGINE_THREADS_MAX)
        return fault_set(why, ERR_ARG, "threads: %u is over %d", o->threads, ENGINE_THREADS_MAX);
    if (o->slots_max > ENGINE_SLOTS_MAX)
        return fault_set(why, ERR_ARG, "slots_max: %u is over %d", o->slots_max, ENGINE_SLOTS_MAX);
    if (o->prefill_chunk > PREFILL_CHUNK_MAX)
        return fault_set(why, ERR_ARG, "prefill_chunk: %u is over %d", o->prefill_chunk, PREFILL_CHUNK_MAX);
    return OK;
}

/* The sizes that follow from model and options. */
struct sizes {
    struct device_shape shape;
    uint32_t prefill_chunk, context;
};

static struct sizes sizes_of(const struct model_config *c, const struct engine_options *o)
{
    struct sizes s = { .shape.slots = o->slots_max ? o->slots_max : SLOTS_DEFAULT,
                       .prefill_chunk = o->prefill_chunk ? o->prefill_chunk : PREFILL_CHUNK_DEFAULT };
    s.shape.rows_max = s.shape.slots + s.prefill_chunk;
    uint32_t context = min_u32(c->context, DEVICE_POSITIONS_MAX);
    uint32_t tokens = o->kv_tokens_max ? o->kv_tokens_max : min_u32(context, KV_TOKENS_DEFAULT);
    s.shape.pages = tokens / CHUNK + (tokens % CHUNK != 0);
    s.shape.pages_per_slot = min_u32(s.shape.pages, (context + CHUNK - 1) / CHUNK);
    s.context = min_u32(context, s.shape.pages_per_slot * CHUNK);
    return s;
}

static size_t head_bytes_of(const struct model *m)
{
    return quant_head_bytes(m->config.tied ? m->token_embd.type : m->output.type, m->config.dim);
}

uint64_t engine_reserves(const struct model *model, const struct engine_options *options)
{
    if (check_options(options, NULL) != OK)
        return 0;
    struct sizes s = sizes_of(&model->config, options);
    uint64_t device = device_reserves(model, options->backend, &s.shape);
    return device == 0 ? 0
                       : device + sizeof(struct engine) + s.shape.slots * sizeof(struct job) +
                             s.shape.rows_max * (sizeof(struct row) + sizeof(struct pick) + sizeof(uint32_t)) +
                             (s.shape.slots + 1u) * head_bytes_of(model);
}

static enum err allocate(struct engine *e)
{
    e->jobs = calloc(e->slots, sizeof *e->jobs);
    e->rows = calloc(e->rows_max, sizeof *e->rows);
    e->picks = calloc(e->rows_max, sizeof *e->picks);
    e->asked = calloc(e->rows_max, sizeof *e->asked);
    e->heads = calloc(e->slots + 1u, engine_head_bytes(e));
    return e->jobs && e->rows && e->picks && e->asked && e->heads ? OK : ERR_MEMORY;
}

static enum err build(struct engine *e, const struct engine_options *o, struct fault *why)
{
    struct sizes s = sizes_of(&e->model->config, o);
    e->slots = s.shape.slots;
    e->prefill_chunk = s.prefill_chunk;
    e->rows_max = s.shape.rows_max;
    e->context = s.context;
    enum err err = device_open(e->model, o->backend, o->threads ? o->threads : 1, &s.shape, &e->device, why);
    if (err != OK)
        return err;
    err = allocate(e);
    return err == OK ? OK : fault_set(why, err, "not enough memory for the jobs");
}

enum err engine_open(const struct model *model, const struct engine_options *options, struct engine **out,
                     struct fault *why)
{
    enum err err = check_options(options, why);
    if (err != OK)
        return err;
    struct engine *e = calloc(1, sizeof *e);
    if (!e)
        return fault_set(why, ERR_MEMORY, "not enough memory for an engine");
    e->model = model;
    err = build(e, options, why);
    if (err != OK) {
        engine_close(e);
        return err;
    }
    *out = e;
    return OK;
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; e->jobs && i < e->slots; i++)
        free(e->jobs[i].tokens);
    free(e->heads);
    free(e->asked);
    free(e->picks);
    free(e->rows);
    free(e->jobs);
    device_close(e->device);
    free(e);
}

const char *engine_backend(const struct engine *e) { return device_name(e->device); }

uint32_t engine_context(const struct engine *e) { return e->context; }

uint32_t engine_vocab(const struct engine *e) { return e->model->config.vocab; }

uint64_t engine_weight_bytes(const struct engine *e)
{
    const struct model *m = e->model;
    uint64_t total = m->config.tied ? m->token_embd.bytes : m->output.bytes;
    for (uint32_t i = 0; i < m->config.layers; i++) {
        const struct model_layer *l = &m->layers[i];
        total += l->attn_q.bytes + l->attn_k.bytes + l->attn_v.bytes + l->attn_output.bytes + l->ffn_gate.bytes +
                 l->ffn_up.bytes + l->ffn_down.bytes;
    }
    return total;
}

size_t engine_head_bytes(const struct engine *e)
{
    return head_bytes_of(e->model);
}

enum err engine_self_test(const struct engine *e) { return device_self_test(e->device); }

/* --- jobs come and go ----------------------------------------------------------------------------------------- */

static struct job *find_job(const struct engine *e, uint64_t id)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->jobs[i].active && e->jobs[i].id == id)
            return &e->jobs[i];
    return NULL;
}

static bool tokens_are_known(const struct engine *e, const uint32_t *tokens, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] >= e->model->config.vocab)
            return false;
    return true;
}

/* The first free slot with pages for `positions`. */
static enum err take_slot(struct engine *e, uint32_t positions, uint32_t *slot)
{
    for (uint32_t i = 0; i < e->slots; i++) {
        if (e->jobs[i].active)
            continue;
        *slot = i;
        return device_reserve(e->device, i, positions);
    }
    return ERR_CAPACITY;
}

static void end_job(struct engine *e, struct job *j)
{
    device_release(e->device, (uint32_t)(j - e->jobs));
    free(j->tokens);
    *j = (struct job){ 0 };
}

enum err engine_start(struct engine *e, const struct engine_job *job)
{
    if (job->n == 0 || job->max_tokens == 0 || job->n_stop > ENGINE_STOP_IDS_MAX)
        return ERR_ARG;
    if (sampler_params_check(&job->params) != OK || !tokens_are_known(e, job->tokens, job->n))
        return ERR_ARG;
    if (find_job(e, job->id))
        return ERR_EXISTS;
    uint64_t end = (uint64_t)job->n + job->max_tokens;
    if (end > e->context)
        return ERR_CONTEXT;
    uint32_t *tokens = calloc((size_t)end, sizeof *tokens);
    if (!tokens)
        return ERR_MEMORY;
    uint32_t slot;
    enum err err = take_slot(e, (uint32_t)end, &slot);
    if (err != OK) {
        free(tokens);
        return err;
    }
    memcpy(tokens, job->tokens, job->n * sizeof *tokens);
    struct job *j = &e->jobs[slot];
    uint32_t allowed = job->allowed ? min_u32(job->allowed, job->max_tokens) : job->max_tokens;
    *j = (struct job){ .active = true, .id = job->id, .tokens = tokens, .n = job->n, .known = job->n, .end = (uint32_t)end,
                       .pause = job->n + allowed,
                       .n_stop = job->n_stop, .params = job->params, .want_head_bytes = job->want_head_bytes };
    if (job->n_stop > 0)
        memcpy(j->stop_ids, job->stop_ids, job->n_stop * sizeof *j->stop_ids);
    return OK;
}

enum err engine_allow(struct engine *e, uint64_t id, uint32_t allowed)
{
    struct job *j = find_job(e, id);
    if (!j)
        return ERR_NOT_FOUND;
    uint32_t pause = j->n + min_u32(allowed, j->end - j->n);
    if (pause > j->pause)
        j->pause = pause;
    return OK;
}

enum err engine_cancel(struct engine *e, uint64_t id)
{
    struct job *j = find_job(e, id);
    if (!j)
        return ERR_NOT_FOUND;
    end_job(e, j);
    return OK;
}

uint32_t engine_active(const struct engine *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->slots; i++)
        n += e->jobs[i].active;
    return n;
}

bool engine_idle(const struct engine *e) { return engine_active(e) == 0; }

static bool may_run(const struct job *j) { return j->active && j->known < j->pause; }

bool engine_has_work(const struct engine *e)
{
    for (uint32_t i = 0; i < e->slots; i++)
        if (may_run(&e->jobs[i]))
            return true;
    return false;
}

uint64_t engine_backlog(const struct engine *e)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < e->slots; i++)
        if (e->jobs[i].active)
            n += e->jobs[i].known - e->jobs[i].done - 1;
    return n;
}

/* --- a step --------------------------------------------------------------------------------------------------- */

/* One more row of the batch; with parameters, the token after it is asked for. */
static void add_row(struct engine *e, uint32_t *n, uint32_t slot, uint32_t position, uint32_t token,
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
        add_row(e, n, slot, j->done, j->tokens[j->done], j->done + 1 == j->known ? &j->params : NULL);
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
        budget = min_u32(budget, PREFILL_CHUNK_BESIDE);
    for (uint32_t i = 0; i < e->slots && budget > 0; i++) {
        uint32_t slot = (e->first_slot + i) % e->slots;
        uint32_t waiting = may_run(&e->jobs[slot]) ? e->jobs[slot].known - e->jobs[slot].done : 0;
        uint32_t count = min_u32(waiting, budget);
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
        end_job(e, j);
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
        end_job(e, j);
    return out;
}

/* Jobs with a failed row end with an error; their other rows count for nothing. */
static size_t end_failed(struct engine *e, uint32_t n_rows, struct engine_output *out)
{
    size_t n = 0;
    for (uint32_t i = 0; i < n_rows; i++) {
        struct job *j = &e->jobs[e->rows[i].slot];
        if (!device_row_failed(e->device, i) || !j->active)
            continue;
        out[n++] = (struct engine_output){ .id = j->id, .finish = ENGINE_ERROR, .error = ERR_NUMERIC,
                                           .position = j->known };
        end_job(e, j);
    }
    return n;
}

/* Drops the picks of jobs that have just failed. */
static uint32_t keep_active_picks(struct engine *e)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->n_asked; i++)
        if (e->jobs[e->rows[e->asked[i]].slot].active)
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

/* --- checking an answer ---------------------------------------------------------------------------------------- */

struct score {
    uint32_t slot;
    const uint32_t *tokens;
    uint32_t n_prompt, n_total;
    const struct sampler_params *params;
    bool (*each)(void *ctx, uint32_t position, uint32_t token, struct bytes head);
    void *ctx;
    bool stopped;
};

/* Samples picks [first, first + count) of the pass just made and reports them. */
static enum err report(struct engine *e, struct score *s, uint32_t first, uint32_t count)
{
    uint8_t *head = e->heads + e->slots * engine_head_bytes(e);
    enum err err = device_pick(e->device, e->picks + first, count);
    for (uint32_t i = first; i < first + count && err == OK && !s->stopped; i++) {
        const struct pick *p = &e->picks[i];
        if (p->error != OK)
            return p->error;
        device_head_bytes(e->device, p->wanted, head);
        s->stopped = !s->each(s->ctx, p->position, p->token, bytes_of(head, engine_head_bytes(e)));
    }
    return err;
}

/* One slice of the sequence, positions [at, at + count). */
static enum err score_slice(struct engine *e, struct score *s, uint32_t at, uint32_t count)
{
    uint32_t n = 0;
    e->n_asked = 0;
    for (uint32_t i = at; i < at + count; i++)
        add_row(e, &n, s->slot, i, s->tokens[i], i + 1 >= s->n_prompt ? s->params : NULL);
    enum err err = device_forward(e->device, e->rows, n);
    for (uint32_t i = 0; i < n && err == OK; i++)
        if (device_row_failed(e->device, i))
            return ERR_NUMERIC;
    for (uint32_t first = 0; first < e->n_asked && err == OK && !s->stopped; first += SCORES_AT_ONCE)
        err = report(e, s, first, min_u32(e->n_asked - first, SCORES_AT_ONCE));
    return err;
}

enum err engine_score(struct engine *e, const uint32_t *tokens, uint32_t n_prompt, uint32_t n_total,
                      const struct sampler_params *params,
                      bool (*each)(void *ctx, uint32_t position, uint32_t token, struct bytes head), void *ctx)
{
    if (n_prompt == 0 || n_total <= n_prompt || sampler_params_check(params) != OK)
        return ERR_ARG;
    if (n_total > e->context)
        return ERR_CONTEXT;
    if (!tokens_are_known(e, tokens, n_total))
        return ERR_ARG;
    struct score s = { .tokens = tokens, .n_prompt = n_prompt, .n_total = n_total, .params = params, .each = each,
                       .ctx = ctx };
    enum err err = take_slot(e, n_total, &s.slot);
    if (err != OK)
        return err;
    /* The last token is only compared, never read. */
    for (uint32_t at = 0; at < n_total - 1 && err == OK && !s.stopped; at += e->rows_max)
        err = score_slice(e, &s, at, min_u32(n_total - 1 - at, e->rows_max));
    device_release(e->device, s.slot);
    return err;
}
