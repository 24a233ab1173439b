/* engine.c - opening an engine, and what can be asked of it. */
#include "kernels/engine.h"

#include <stdlib.h>

#include "kernels/engine_parts.h"
#include "kernels/ops.h"
#include "kernels/pages_posix.h"
#include "kernels/quant.h"

enum {
    SLOTS_DEFAULT = 8,
    PREFILL_CHUNK_DEFAULT = 512,
    PREFILL_CHUNK_MAX = 4096,
    KV_TOKENS_DEFAULT = 8192
};

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
    uint32_t context = engine_min(c->context, DEVICE_POSITIONS_MAX);
    uint32_t tokens = o->kv_tokens_max ? o->kv_tokens_max : engine_min(context, KV_TOKENS_DEFAULT);
    s.shape.pages = tokens / CHUNK + (tokens % CHUNK != 0);
    s.shape.pages_per_slot = engine_min(s.shape.pages, (context + CHUNK - 1) / CHUNK);
    s.context = engine_min(context, s.shape.pages_per_slot * CHUNK);
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

void engine_wipe_batch(struct engine *e)
{
    if (e->rows)
        pages_wipe(e->rows, e->rows_max * sizeof *e->rows);
    if (e->picks)
        pages_wipe(e->picks, e->rows_max * sizeof *e->picks);
    if (e->heads)
        pages_wipe(e->heads, (e->slots + 1u) * engine_head_bytes(e));
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    for (uint32_t i = 0; e->jobs && i < e->slots; i++)
        if (e->jobs[i].state != JOB_FREE)
            engine_empty_slot(e, &e->jobs[i]);
    engine_wipe_batch(e);
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
