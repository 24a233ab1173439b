/* device_cpu.c - passes, logits and tokens on the CPU. */
#include "kernels/device_cpu.h"

#include <stdlib.h>

#include "kernels/backend.h"
#include "kernels/exact_math.h"
#include "kernels/pages_posix.h"
#include "kernels/pool_posix.h"
#include "kernels/quant.h"
#include "kernels/transformer.h"

/* Picks that share one reading of the output matrix. */
enum { PICKS_AT_ONCE = 32 };

struct cpu {
    struct device base;
    struct pool *pool;
    struct transformer transformer;
    uint32_t vocab;
    float *logits;                   /* (PICKS_AT_ONCE, vocab) */
    uint8_t *scratch;                /* (PICKS_AT_ONCE, sampler_scratch_bytes) */
    uint32_t *written;               /* (slots): positions below hold something of the slot's sequence */
};

static struct cpu *cpu_of(struct device *d) { return (struct cpu *)(void *)d; }
static const struct cpu *cpu_of_const(const struct device *d) { return (const struct cpu *)(const void *)d; }

static void cpu_close(struct device *d)
{
    struct cpu *c = cpu_of(d);
    free(c->written);
    free(c->scratch);
    free(c->logits);
    if (c->transformer.model)
        transformer_fini(&c->transformer);
    pool_close(c->pool);
    free(c);
}

static const char *cpu_name(const struct device *d) { return cpu_of_const(d)->transformer.ops->name; }

static enum err cpu_self_test(struct device *d) { return backend_self_test(cpu_of(d)->transformer.ops); }

static uint32_t chunks_of(uint32_t positions) { return positions / CHUNK + (positions % CHUNK != 0); }

static enum err cpu_reserve(struct device *d, uint32_t slot, uint32_t positions)
{
    struct cpu *c = cpu_of(d);
    struct kvcache *kv = &c->transformer.kv;
    if (chunks_of(positions) < chunks_of(c->written[slot])) {
        kvcache_wipe(kv, slot, chunks_of(positions), chunks_of(c->written[slot]));
        c->written[slot] = positions;
    }
    return kvpages_reserve(&kv->pages, slot, positions);
}

static void cpu_release(struct device *d, uint32_t slot)
{
    struct cpu *c = cpu_of(d);
    struct kvcache *kv = &c->transformer.kv;
    kvcache_wipe(kv, slot, 0, chunks_of(c->written[slot]));
    c->written[slot] = 0;
    kvpages_release(&kv->pages, slot);
    if (kv->pages.free_count < kv->pages.count)
        return;
    transformer_wipe(&c->transformer);
    pages_give_back(c->logits, (size_t)PICKS_AT_ONCE * c->vocab * sizeof *c->logits);
    pages_give_back(c->scratch, PICKS_AT_ONCE * sampler_scratch_bytes(c->vocab));
}

static enum err cpu_forward(struct device *d, const struct row *rows, uint32_t n)
{
    if (numerics_check_fpu() != OK)
        return ERR_DEVICE;
    struct cpu *c = cpu_of(d);
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].position >= c->written[rows[i].slot])
            c->written[rows[i].slot] = rows[i].position + 1;
    transformer_forward(&c->transformer, rows, n);
    return OK;
}

static bool cpu_row_failed(const struct device *d, uint32_t i)
{
    return transformer_row_failed(&cpu_of_const(d)->transformer, i);
}

struct pick_loop {
    struct cpu *cpu;
    struct pick *picks;
};

static void pick_one(void *ctx, uint32_t i)
{
    const struct pick_loop *l = ctx;
    struct pick *p = &l->picks[i];
    uint32_t vocab = l->cpu->vocab;
    p->error = sampler_pick(l->cpu->logits + (size_t)i * vocab, vocab, p->params, p->position,
                            l->cpu->scratch + i * sampler_scratch_bytes(vocab), &p->token);
}

static enum err cpu_pick(struct device *d, struct pick *picks, uint32_t n)
{
    struct cpu *c = cpu_of(d);
    for (uint32_t first = 0, count; first < n; first += count) {
        count = 1;
        while (first + count < n && count < PICKS_AT_ONCE && picks[first + count].wanted == picks[first].wanted + count)
            count++;
        transformer_logits(&c->transformer, picks[first].wanted, count, c->logits);
        struct pick_loop loop = { .cpu = c, .picks = picks + first };
        pool_run(c->pool, count, pick_one, &loop);
    }
    return OK;
}

static void cpu_head_bytes(const struct device *d, uint32_t wanted, uint8_t *out)
{
    transformer_head_bytes(&cpu_of_const(d)->transformer, wanted, out);
}

static const struct device_ops cpu_ops = {
    .close = cpu_close,
    .name = cpu_name,
    .self_test = cpu_self_test,
    .reserve = cpu_reserve,
    .release = cpu_release,
    .forward = cpu_forward,
    .row_failed = cpu_row_failed,
    .pick = cpu_pick,
    .head_bytes = cpu_head_bytes,
};

uint64_t device_cpu_reserves(const struct model *model, const struct ops *ops, const struct device_shape *s)
{
    uint64_t vocab = model->config.vocab;
    return transformer_bytes(model, ops, s->rows_max, s->slots, s->pages, s->pages_per_slot) + sizeof(struct cpu) +
           s->slots * sizeof(uint32_t) + PICKS_AT_ONCE * (vocab * sizeof(float) + sampler_scratch_bytes(model->config.vocab));
}

static enum err build(struct cpu *c, const struct model *model, const struct ops *ops, uint32_t threads,
                      const struct device_shape *s, struct fault *why)
{
    enum err e = backend_self_test(ops);
    if (e != OK)
        return fault_set(why, e, "backend %s does not compute what NV1 says", ops->name);
    e = pool_open(threads, &c->pool);
    if (e != OK)
        return fault_set(why, e, "compute threads could not be started");
    e = transformer_init(&c->transformer, model, ops, c->pool, s->rows_max, s->slots, s->pages, s->pages_per_slot, why);
    if (e != OK)
        return e;
    c->vocab = model->config.vocab;
    c->logits = calloc((size_t)PICKS_AT_ONCE * c->vocab, sizeof *c->logits);
    c->scratch = calloc(PICKS_AT_ONCE, sampler_scratch_bytes(c->vocab));
    c->written = calloc(s->slots, sizeof *c->written);
    return c->logits && c->scratch && c->written ? OK : fault_set(why, ERR_MEMORY, "not enough memory for the logits");
}

enum err device_cpu_open(const struct model *model, const struct ops *ops, uint32_t threads,
                         const struct device_shape *shape, struct device **out, struct fault *why)
{
    struct cpu *c = calloc(1, sizeof *c);
    if (!c)
        return fault_set(why, ERR_MEMORY, "not enough memory for an engine");
    c->base.ops = &cpu_ops;
    enum err e = build(c, model, ops, threads, shape, why);
    if (e != OK) {
        cpu_close(&c->base);
        return e;
    }
    *out = &c->base;
    return OK;
}
