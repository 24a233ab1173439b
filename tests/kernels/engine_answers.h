/* engine_answers.h - jobs for an engine, and what they gave, to be compared byte for byte. */
#ifndef TALLYMESH_TESTS_KERNELS_ENGINE_ANSWERS_H
#define TALLYMESH_TESTS_KERNELS_ENGINE_ANSWERS_H

#include <string.h>

#include "tests/kernels/tiny_engine.h"

enum { HEAD_MAX = 2048, TOKENS_MAX = 256 };

/* What one job gave: tokens and head bytes in order. */
struct answer {
    uint32_t n;
    uint32_t tokens[TOKENS_MAX];
    uint8_t heads[TOKENS_MAX][HEAD_MAX];
    size_t head_len;
    enum engine_finish finish;
    enum err error;
};

static inline void prompt_of(uint32_t seed, uint32_t n, uint32_t vocab, uint32_t *out)
{
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (uint32_t)rng_below(&r, vocab);
}

static const struct sampler_params warm = { .temperature_micro = 900000, .top_k = 50, .top_p_micro = 950000, .seed = 7 };
static const struct sampler_params greedy = { .top_p_micro = 1000000 };

static inline struct engine_job job_of(uint64_t id, const uint32_t *tokens, uint32_t n, uint32_t max_tokens,
                                       const struct sampler_params *params)
{
    return (struct engine_job){ .id = id, .tokens = tokens, .n = n, .max_tokens = max_tokens, .params = *params,
                                .want_head_bytes = true };
}

static inline void record(struct answer *a, const struct engine_output *o)
{
    a->finish = o->finish;
    a->error = o->error;
    if (o->finish == ENGINE_ERROR)
        return;
    assert_true(a->n < TOKENS_MAX && o->head.len <= HEAD_MAX);
    a->tokens[a->n] = o->token;
    a->head_len = o->head.len;
    if (o->head.len > 0)
        memcpy(a->heads[a->n], o->head.data, o->head.len);
    a->n++;
}

/* Steps until idle; answers are indexed by job id. */
static inline void run_all(struct engine *e, struct answer *answers)
{
    struct engine_output out[ENGINE_SLOTS_MAX];
    for (int steps = 0; !engine_idle(e); steps++) {
        size_t n;
        assert_true(steps < 10000);
        assert_ok(engine_step(e, out, ARRAY_COUNT(out), &n));
        for (size_t i = 0; i < n; i++)
            record(&answers[out[i].id], &out[i]);
    }
}

static inline void assert_same(const struct answer *a, const struct answer *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->head_len, b->head_len);
    assert_memory_equal(a->tokens, b->tokens, a->n * sizeof a->tokens[0]);
    for (uint32_t i = 0; i < a->n; i++)
        assert_memory_equal(a->heads[i], b->heads[i], a->head_len);
    assert_int_equal(a->finish, b->finish);
}

static inline void answer_alone(struct tiny_engine *t, const struct engine_options *o, const struct engine_job *job,
                                struct answer *a)
{
    struct engine_job only = *job;
    only.id = 0;
    tiny_engine_open(t, o);
    memset(a, 0, sizeof *a);
    assert_ok(engine_start(t->engine, &only));
    run_all(t->engine, a);
}

#endif
