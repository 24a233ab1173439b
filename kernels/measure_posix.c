/* measure_posix.c - read bandwidth by a plain walk, token rates by running the engine. */
#include "kernels/measure_posix.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pages_posix.h"
#include "kernels/pool_posix.h"

enum { WALK_BYTES = 384 << 20, ITEM_BYTES = 1 << 20, STREAMS = 4, AHEAD = 2048, LINE = 64 };

struct measure_probe {
    struct pool *pool;
    uint8_t *data;
    _Atomic uint64_t seen;       /* so that no compiler finds the reading useless */
};

/* One stretch, as several streams side by side: a single one leaves a third of the bandwidth unused. */
static void walk_item(void *ctx, uint32_t item)
{
    struct measure_probe *m = ctx;
    const uint8_t *p = m->data + (size_t)item * ITEM_BYTES;
    uint64_t sums[8] = { 0 };
    for (size_t at = 0; at < ITEM_BYTES / STREAMS; at += LINE)
        for (size_t s = 0; s < STREAMS; s++) {
            const uint8_t *line = p + s * (ITEM_BYTES / STREAMS) + at;
            uint64_t words[8];
            __builtin_prefetch(line + AHEAD);
            memcpy(words, line, sizeof words);
            for (size_t k = 0; k < 8; k++)
                sums[k] ^= words[k];
        }
    uint64_t all = 0;
    for (size_t k = 0; k < 8; k++)
        all ^= sums[k];
    atomic_fetch_xor_explicit(&m->seen, all, memory_order_relaxed);
}

enum err measure_probe_open(uint32_t threads, struct measure_probe **out)
{
    struct measure_probe *m = calloc(1, sizeof *m);
    enum err e = m ? pool_open(threads, &m->pool) : ERR_MEMORY;
    if (e == OK && !(m->data = pages_alloc(WALK_BYTES)))
        e = ERR_MEMORY;
    if (e != OK) {
        measure_probe_close(m);
        return e;
    }
    memset(m->data, 1, WALK_BYTES);
    *out = m;
    return OK;
}

void measure_probe_close(struct measure_probe *m)
{
    if (!m)
        return;
    pool_close(m->pool);
    free(m->data);
    free(m);
}

uint64_t measure_probe_read(struct measure_probe *m)
{
    uint64_t start = pool_clock_us();
    pool_run(m->pool, WALK_BYTES / ITEM_BYTES, walk_item, m);
    uint64_t us = pool_clock_us() - start;
    return (uint64_t)WALK_BYTES * 1000000 / (us ? us : 1);
}

static uint64_t per_second(uint64_t count, uint64_t us) { return count * 1000000000 / (us ? us : 1); }

static enum err start_jobs(struct engine *e, const struct measure_plan *plan)
{
    uint32_t vocab = engine_vocab(e);
    uint32_t *prompt = calloc(plan->prompt, sizeof *prompt);
    if (!prompt)
        return ERR_MEMORY;
    enum err err = OK;
    for (uint32_t job = 0; job < plan->jobs && err == OK; job++) {
        for (uint32_t i = 0; i < plan->prompt; i++)
            prompt[i] = (i * 7919u + job * 104729u + 1) % vocab;
        struct engine_job j = { .id = job, .tokens = prompt, .n = plan->prompt, .max_tokens = plan->answer,
                                .params = { .top_p_micro = SAMPLER_TOP_P_MICRO_OFF } };
        err = engine_start(e, &j);
    }
    free(prompt);
    return err;
}

/* Steps until every prompt is read; the step that reads the last of one writes its first token. */
static enum err read_prompts(struct engine *e, uint64_t *us)
{
    struct engine_output out[ENGINE_SLOTS_MAX];
    uint64_t start = pool_clock_us();
    enum err err;
    size_t n;
    do
        err = engine_step(e, out, ARRAY_COUNT(out), &n);
    while (err == OK && engine_backlog(e) > 0);
    *us = pool_clock_us() - start;
    return err;
}

static enum err write_answers(struct engine *e, uint32_t at_most_ms, uint64_t *tokens, uint64_t *us)
{
    struct engine_output out[ENGINE_SLOTS_MAX];
    uint64_t start = pool_clock_us();
    *tokens = 0;
    *us = 0;
    while (!engine_idle(e) && (at_most_ms == 0 || *tokens == 0 || *us < (uint64_t)at_most_ms * 1000)) {
        size_t n;
        enum err err = engine_step(e, out, ARRAY_COUNT(out), &n);
        if (err != OK)
            return err;
        for (size_t i = 0; i < n; i++)
            if (out[i].finish == ENGINE_ERROR)
                return out[i].error;
        *tokens += n;
        *us = pool_clock_us() - start;
    }
    return OK;
}

enum err measure_engine(struct engine *e, const struct measure_plan *plan, struct measure_rates *out)
{
    ENSURE(plan->jobs > 0 && plan->prompt > 0 && plan->answer >= 2);
    if (!engine_idle(e))
        return ERR_STATE;
    uint64_t prefill_us = 0, decode_us = 0, written = 0;
    enum err err = start_jobs(e, plan);
    if (err == OK)
        err = read_prompts(e, &prefill_us);
    if (err == OK)
        err = write_answers(e, plan->at_most_ms, &written, &decode_us);
    for (uint32_t job = 0; job < plan->jobs; job++)
        if (engine_cancel(e, job) == ERR_NOT_FOUND)
            continue;                                  /* it has ended by itself */
    if (err != OK)
        return err;
    *out = (struct measure_rates){ .prefill_millitokens_s = per_second((uint64_t)plan->prompt * plan->jobs, prefill_us),
                                   .decode_millitokens_s = per_second(written, decode_us) };
    return OK;
}
