/* test_engine.c - jobs: the same bytes however they are batched, sliced, threaded, interrupted or checked afterwards. */
#include "tests/kernels/tiny_engine.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"

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

static void prompt_of(uint32_t seed, uint32_t n, uint32_t vocab, uint32_t *out)
{
    struct rng r;
    rng_init(&r, seed);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (uint32_t)rng_below(&r, vocab);
}

static const struct sampler_params warm = { .temperature_micro = 900000, .top_k = 50, .top_p_micro = 950000, .seed = 7 };
static const struct sampler_params greedy = { .top_p_micro = 1000000 };

static struct engine_job job_of(uint64_t id, const uint32_t *tokens, uint32_t n, uint32_t max_tokens,
                                const struct sampler_params *params)
{
    return (struct engine_job){ .id = id, .tokens = tokens, .n = n, .max_tokens = max_tokens, .params = *params,
                                .want_head_bytes = true };
}

static void record(struct answer *a, const struct engine_output *o)
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
static void run_all(struct engine *e, struct answer *answers)
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

static void assert_same(const struct answer *a, const struct answer *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->head_len, b->head_len);
    assert_memory_equal(a->tokens, b->tokens, a->n * sizeof a->tokens[0]);
    for (uint32_t i = 0; i < a->n; i++)
        assert_memory_equal(a->heads[i], b->heads[i], a->head_len);
    assert_int_equal(a->finish, b->finish);
}

static void answer_alone(struct tiny_engine *t, const struct engine_options *o, const struct engine_job *job,
                         struct answer *a)
{
    struct engine_job only = *job;
    only.id = 0;
    tiny_engine_open(t, o);
    memset(a, 0, sizeof *a);
    assert_ok(engine_start(t->engine, &only));
    run_all(t->engine, a);
}

/* Shapes: dims that are no multiple of 256, grouped heads, partial rotation, tied and untied, all types. */
static const struct tiny_llama SHAPES[] = {
    { .layers = 2, .dim = 96, .heads = 6, .kv_heads = 2, .head_dim = 16, .ffn_dim = 288, .vocab = 331, .context = 640,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0,
      .tied = true, .seed = 11 },
    { .layers = 2, .dim = 320, .heads = 5, .kv_heads = 5, .head_dim = 64, .ffn_dim = 544, .vocab = 97, .context = 320,
      .rope_base = 500000.0f, .rope_factor = 2.0f, .rms_eps = 1e-6f, .type = TENSOR_Q8_0, .embd_type = TENSOR_F16,
      .rope_freqs = true, .seed = 12 },
    { .layers = 1, .dim = 50, .heads = 2, .kv_heads = 1, .head_dim = 26, .ffn_dim = 70, .vocab = 33, .context = 320,
      .rope_dims = 10, .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_F16,
      .embd_type = TENSOR_F16, .seed = 13 },
    { .layers = 2, .dim = 288, .heads = 3, .kv_heads = 1, .head_dim = 80, .ffn_dim = 300, .vocab = 61, .context = 320,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_F32, .embd_type = TENSOR_Q8_0,
      .seed = 14 },
};

static void batching_slicing_and_threads_change_nothing(void **state)
{
    (void)state;
    static struct answer alone[4], together[4];
    for (size_t s = 0; s < ARRAY_COUNT(SHAPES); s++) {
        struct tiny_engine t;
        tiny_model_open(&t, &SHAPES[s]);
        uint32_t vocab = SHAPES[s].vocab, prompts[4][300];
        /* One prompt crosses a chunk of 256 positions. */
        const uint32_t lengths[4] = { s == 0 ? 270 : 70, 1, 33, 64 };
        struct engine_job jobs[4];
        struct engine_options one = { .backend = "scalar", .threads = 1, .slots_max = 1, .prefill_chunk = 300 };
        for (uint32_t i = 0; i < 4; i++) {
            prompt_of(100 + i, lengths[i], vocab, prompts[i]);
            jobs[i] = job_of(i, prompts[i], lengths[i], 6 + i, i % 2 ? &warm : &greedy);
            answer_alone(&t, &one, &jobs[i], &alone[i]);
            assert_int_equal(alone[i].n, 6 + i);
        }
        for (size_t b = 0; backend_at(b); b++) {
            const struct engine_options many = { .backend = backend_at(b)->name, .threads = 1 + (uint32_t)b % 2 * 2,
                                                 .slots_max = 4, .kv_tokens_max = 2048,
                                                 .prefill_chunk = (uint32_t[]){ 7, 64, 100 }[b % 3] };
            tiny_engine_open(&t, &many);
            memset(together, 0, sizeof together);
            for (uint32_t i = 0; i < 4; i++)
                assert_ok(engine_start(t.engine, &jobs[i]));
            run_all(t.engine, together);
            for (uint32_t i = 0; i < 4; i++)
                assert_same(&together[i], &alone[i]);
        }
        tiny_engine_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batching_slicing_and_threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
