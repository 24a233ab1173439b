/* test_engine.c - jobs: the same bytes however they are batched, sliced, threaded, interrupted or checked afterwards. */
#include "tests/kernels/engine_answers.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/measure_posix.h"
#include "kernels/exact_math.h"

/* As Q4_K_M has them; norms count. */
static const enum tensor_type MIXED[] = { TENSOR_F32, TENSOR_Q4_K, TENSOR_Q4_K, TENSOR_Q6_K, TENSOR_Q4_K,
                                          TENSOR_F32, TENSOR_Q4_K, TENSOR_Q4_K, TENSOR_Q6_K };

/* Shapes: dims that are no multiple of 256, grouped heads, partial rotation, tied and untied, all types. */
static const struct tiny_llama SHAPES[] = {
    { .layers = 2, .dim = 64, .heads = 6, .kv_heads = 2, .head_dim = 16, .ffn_dim = 96, .vocab = 131, .context = 640,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0,
      .tied = true, .seed = 11 },
    { .layers = 1, .dim = 288, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn_dim = 96, .vocab = 97, .context = 320,
      .rope_base = 500000.0f, .rope_factor = 2.0f, .rms_eps = 1e-6f, .type = TENSOR_Q8_0, .embd_type = TENSOR_F16,
      .rope_freqs = true, .seed = 12 },
    { .layers = 1, .dim = 50, .heads = 2, .kv_heads = 1, .head_dim = 26, .ffn_dim = 70, .vocab = 33, .context = 320,
      .rope_dims = 10, .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_F16,
      .embd_type = TENSOR_F16, .seed = 13 },
    { .layers = 1, .dim = 96, .heads = 3, .kv_heads = 1, .head_dim = 40, .ffn_dim = 300, .vocab = 61, .context = 320,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_F32, .embd_type = TENSOR_Q8_0,
      .seed = 14 },
    { .layers = 1, .dim = 256, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn_dim = 256, .vocab = 61, .context = 320,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .mix = MIXED, .n_mix = ARRAY_COUNT(MIXED),
      .embd_type = TENSOR_Q6_K, .tied = true, .seed = 15 },
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
        const uint32_t lengths[4] = { s == 0 ? 262 : 40, 1, 17, 32 };
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

/* --- the rest runs on the best backend, on one small model ------------------------------------------------------ */

static const struct engine_options three_slots = { .threads = 2, .slots_max = 3, .kv_tokens_max = 1024, .prefill_chunk = 16 };

static void open_default(struct tiny_engine *t, const struct engine_options *o)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.context = 600;
    tiny_model_open(t, &spec);
    tiny_engine_open(t, o);
}

/* Whoever continues an answer from what was delivered gets the rest of it. */
static void a_continuation_gives_the_same_tokens(void **state)
{
    (void)state;
    static struct answer whole, rest;
    struct tiny_engine t;
    uint32_t tokens[64];
    open_default(&t, &three_slots);
    prompt_of(1, 20, 384, tokens);
    struct engine_job job = job_of(0, tokens, 20, 30, &warm);
    answer_alone(&t, &three_slots, &job, &whole);
    memcpy(tokens + 20, whole.tokens, 11 * sizeof *tokens);
    struct engine_job more = job_of(0, tokens, 31, 19, &warm);
    answer_alone(&t, &three_slots, &more, &rest);
    assert_int_equal(rest.n, 19);
    assert_memory_equal(rest.tokens, whole.tokens + 11, 19 * sizeof *tokens);
    for (uint32_t i = 0; i < 19; i++)
        assert_memory_equal(rest.heads[i], whole.heads[11 + i], whole.head_len);
    tiny_engine_close(&t);
}

struct scored {
    const struct answer *answer;
    uint32_t first, seen, wrong_tokens, wrong_heads, stop_after;
};

static bool on_score(void *ctx, uint32_t position, uint32_t token, struct bytes head)
{
    struct scored *s = ctx;
    assert_int_equal(position, s->first + s->seen);
    s->wrong_tokens += token != s->answer->tokens[s->seen];
    s->wrong_heads += head.len != s->answer->head_len || memcmp(head.data, s->answer->heads[s->seen], head.len) != 0;
    s->seen++;
    return s->seen != s->stop_after;
}

static void scoring_repeats_an_answer_exactly(void **state)
{
    (void)state;
    static struct answer a;
    struct tiny_engine t;
    uint32_t tokens[128];
    open_default(&t, &three_slots);
    prompt_of(2, 50, 384, tokens);
    struct engine_job job = job_of(0, tokens, 50, 60, &warm);
    answer_alone(&t, &three_slots, &job, &a);
    memcpy(tokens + 50, a.tokens, 60 * sizeof *tokens);

    struct scored s = { .answer = &a, .first = 50 };
    assert_ok(engine_score(t.engine, tokens, 50, 110, &warm, on_score, &s));
    assert_int_equal(s.seen, 60);
    assert_int_equal(s.wrong_tokens + s.wrong_heads, 0);

    s = (struct scored){ .answer = &a, .first = 50, .stop_after = 3 };
    assert_ok(engine_score(t.engine, tokens, 50, 110, &warm, on_score, &s));
    assert_int_equal(s.seen, 3);

    /* One token exchanged: it is found itself, and everything after it rests on other bytes. */
    tokens[60] ^= 1;
    s = (struct scored){ .answer = &a, .first = 50 };
    assert_ok(engine_score(t.engine, tokens, 50, 110, &warm, on_score, &s));
    assert_int_equal(s.wrong_heads, 49);

    /* Another seed: the same bytes, other tokens. */
    tokens[60] ^= 1;
    struct sampler_params other = warm;
    other.seed++;
    s = (struct scored){ .answer = &a, .first = 50 };
    assert_ok(engine_score(t.engine, tokens, 50, 110, &other, on_score, &s));
    assert_int_equal(s.wrong_heads, 0);
    assert_true(s.wrong_tokens > 20);

    assert_err(engine_score(t.engine, tokens, 0, 110, &warm, on_score, &s), ERR_ARG);
    assert_err(engine_score(t.engine, tokens, 50, 50, &warm, on_score, &s), ERR_ARG);
    assert_err(engine_score(t.engine, tokens, 50, 601, &warm, on_score, &s), ERR_CONTEXT);
    assert_true(engine_idle(t.engine));
    tiny_engine_close(&t);
}

static void a_cancelled_job_is_silent_at_once(void **state)
{
    (void)state;
    static struct answer answers[3], expected;
    struct tiny_engine t;
    struct engine_output out[3];
    uint32_t tokens[64];
    size_t n;
    open_default(&t, &three_slots);
    prompt_of(3, 40, 384, tokens);
    struct engine_job keep = job_of(1, tokens, 40, 12, &warm), drop = job_of(2, tokens + 1, 5, 100, &greedy);
    answer_alone(&t, &three_slots, &keep, &expected);
    memset(answers, 0, sizeof answers);
    assert_ok(engine_start(t.engine, &keep));
    assert_ok(engine_start(t.engine, &drop));
    for (int step = 0; step < 2; step++) {
        assert_ok(engine_step(t.engine, out, 3, &n));
        for (size_t i = 0; i < n; i++)
            record(&answers[out[i].id], &out[i]);
    }
    assert_ok(engine_cancel(t.engine, 2));
    assert_err(engine_cancel(t.engine, 2), ERR_NOT_FOUND);
    assert_int_equal(engine_active(t.engine), 1);
    uint32_t before = answers[2].n;
    run_all(t.engine, answers);
    assert_int_equal(answers[2].n, before);
    assert_same(&answers[1], &expected);
    tiny_engine_close(&t);
}

/* Steps while there is work; what was made is in answers. */
static uint32_t run_on(struct engine *e, struct answer *answers)
{
    struct engine_output out[ENGINE_SLOTS_MAX];
    uint32_t steps = 0;
    for (; engine_has_work(e); steps++) {
        size_t n;
        assert_true(steps < 10000);
        assert_ok(engine_step(e, out, ARRAY_COUNT(out), &n));
        for (size_t i = 0; i < n; i++)
            record(&answers[out[i].id], &out[i]);
    }
    return steps;
}

/* Three jobs, two of them paused again and again at different places, one while the others still read: each gets the bytes that
 * it gets alone, nobody makes a token too many, and a paused job costs the others no step. */
static void pauses_change_no_bit(void **state)
{
    (void)state;
    static struct answer answers[4], expected[4];
    struct tiny_engine t;
    uint32_t prompts[4][300];
    const uint32_t lengths[4] = { 0, 40, 3, 280 }, most[4] = { 0, 30, 40, 20 };
    open_default(&t, &three_slots);
    struct engine_job jobs[4];
    for (uint32_t i = 1; i < 4; i++) {
        prompt_of(20 + i, lengths[i], 384, prompts[i]);
        jobs[i] = job_of(i, prompts[i], lengths[i], most[i], i == 2 ? &greedy : &warm);
        answer_alone(&t, &three_slots, &jobs[i], &expected[i]);
    }
    struct engine_options o = { .threads = 2, .slots_max = 3, .kv_tokens_max = 2048, .prefill_chunk = 16 };
    for (size_t b = 0; backend_at(b); b++) {
        o.backend = backend_at(b)->name;
        tiny_engine_open(&t, &o);
        memset(answers, 0, sizeof answers);
        jobs[1].allowed = 1;
        jobs[2].allowed = 7;
        jobs[3].allowed = 0;                               /* all it wants */
        for (uint32_t i = 1; i < 4; i++)
            assert_ok(engine_start(t.engine, &jobs[i]));
        run_on(t.engine, answers);
        assert_int_equal(answers[1].n, 1);
        assert_int_equal(answers[2].n, 7);
        assert_same(&answers[3], &expected[3]);
        assert_false(engine_idle(t.engine));               /* both keep slot and pages */
        assert_int_equal(engine_active(t.engine), 2);
        size_t n = 1;
        struct engine_output out[3];
        assert_ok(engine_step(t.engine, out, 3, &n));
        assert_int_equal(n, 0);
        assert_ok(engine_allow(t.engine, 1, 1));
        assert_false(engine_has_work(t.engine));
        assert_ok(engine_allow(t.engine, 1, 12));
        assert_ok(engine_allow(t.engine, 1, 5));           /* never fewer than before */
        assert_int_equal(run_on(t.engine, answers), 11);   /* one step per token: the paused mate takes none */
        assert_int_equal(answers[2].n, 7);
        assert_ok(engine_allow(t.engine, 1, 500));
        assert_ok(engine_allow(t.engine, 2, 23));
        run_on(t.engine, answers);
        assert_int_equal(answers[2].n, 23);
        assert_ok(engine_allow(t.engine, 2, 40));
        run_on(t.engine, answers);
        assert_same(&answers[1], &expected[1]);
        assert_same(&answers[2], &expected[2]);
        assert_true(engine_idle(t.engine));
        assert_err(engine_allow(t.engine, 2, 41), ERR_NOT_FOUND);
        assert_ok(engine_start(t.engine, &jobs[1]));       /* a paused job is cancelled like any other */
        run_on(t.engine, answers);
        assert_ok(engine_cancel(t.engine, 1));
        assert_true(engine_idle(t.engine));
    }
    tiny_engine_close(&t);
}

static void stop_tokens_end_an_answer_and_are_delivered(void **state)
{
    (void)state;
    static struct answer whole, stopped;
    struct tiny_engine t;
    uint32_t tokens[16];
    open_default(&t, &three_slots);
    prompt_of(4, 16, 384, tokens);
    struct engine_job job = job_of(0, tokens, 16, 20, &warm);
    answer_alone(&t, &three_slots, &job, &whole);
    assert_int_equal(whole.finish, ENGINE_LENGTH);
    uint32_t at = 0;
    while (whole.tokens[at] != whole.tokens[7])
        at++;
    job.stop_ids = (const uint32_t[]){ 383, whole.tokens[7] };
    job.n_stop = 2;
    job.want_head_bytes = false;
    answer_alone(&t, &three_slots, &job, &stopped);
    assert_int_equal(stopped.finish, ENGINE_STOP);
    assert_int_equal(stopped.n, at + 1);
    assert_int_equal(stopped.tokens[at], whole.tokens[7]);
    assert_int_equal(stopped.head_len, 0);
    tiny_engine_close(&t);
}

static void limits_are_named(void **state)
{
    (void)state;
    struct tiny_engine t;
    uint32_t tokens[600] = { 0 };
    open_default(&t, &three_slots);                        /* four pages of 256 positions, context 600 */
    struct engine_job job = job_of(1, tokens, 10, 10, &greedy), bad = job;
    assert_int_equal(engine_context(t.engine), 600);
    assert_int_equal(engine_head_bytes(t.engine), 64 + 2 * 4);
    bad.n = 0;
    assert_err(engine_start(t.engine, &bad), ERR_ARG);
    bad = job, bad.max_tokens = 0;
    assert_err(engine_start(t.engine, &bad), ERR_ARG);
    bad = job, bad.params.temperature_micro = 5;
    assert_err(engine_start(t.engine, &bad), ERR_ARG);
    bad = job, bad.n_stop = ENGINE_STOP_IDS_MAX + 1;
    assert_err(engine_start(t.engine, &bad), ERR_ARG);
    tokens[9] = 384;
    assert_err(engine_start(t.engine, &job), ERR_ARG);
    tokens[9] = 383;
    bad = job, bad.max_tokens = 591;
    assert_err(engine_start(t.engine, &bad), ERR_CONTEXT);
    bad.max_tokens = UINT32_MAX;
    assert_err(engine_start(t.engine, &bad), ERR_CONTEXT);

    assert_ok(engine_start(t.engine, &job));
    assert_err(engine_start(t.engine, &job), ERR_EXISTS);
    assert_int_equal(engine_backlog(t.engine), 9);
    struct engine_job big = job_of(2, tokens, 500, 90, &greedy);   /* three pages: takes the rest */
    assert_ok(engine_start(t.engine, &big));
    job.id = 3;
    assert_err(engine_start(t.engine, &job), ERR_CAPACITY);
    assert_ok(engine_cancel(t.engine, 2));
    assert_ok(engine_start(t.engine, &job));
    job.id = 4;
    assert_ok(engine_start(t.engine, &job));
    job.id = 5;
    assert_err(engine_start(t.engine, &job), ERR_CAPACITY);        /* pages are left, slots are not */

    struct engine *other;
    struct fault why = { "" };
    assert_err(engine_open(&t.model, &(struct engine_options){ .backend = "abacus" }, &other, &why), ERR_NOT_FOUND);
    assert_err(engine_open(&t.model, &(struct engine_options){ .threads = 1000 }, &other, &why), ERR_ARG);
    assert_err(engine_open(&t.model, &(struct engine_options){ .slots_max = 1000 }, &other, &why), ERR_ARG);
    assert_true(strlen(why.text) > 0);
    tiny_engine_close(&t);
}

/* A weight that turns the numbers of one token into infinities must hurt only those who use that token. */
static void infinities_end_their_own_job_only(void **state)
{
    (void)state;
    static struct answer answers[3], expected;
    struct tiny_engine t;
    uint32_t healthy[20], sick[20];
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.embd_type = TENSOR_F32;
    tiny_model_open(&t, &spec);
    prompt_of(5, 20, 300, healthy);
    prompt_of(6, 20, 300, sick);
    sick[13] = 301;
    float infinite = float_from_bits(0x7f800000);
    memcpy((uint8_t *)(uintptr_t)t.model.token_embd.data + (size_t)301 * 64 * 4, &infinite, 4);
    struct engine_options o = three_slots;
    for (size_t b = 0; backend_at(b); b++) {
        o.backend = backend_at(b)->name;
        struct engine_job jobs[2] = { job_of(1, healthy, 20, 8, &warm), job_of(2, sick, 20, 8, &warm) };
        answer_alone(&t, &o, &jobs[0], &expected);
        tiny_engine_open(&t, &o);
        memset(answers, 0, sizeof answers);
        for (int i = 0; i < 2; i++)
            assert_ok(engine_start(t.engine, &jobs[i]));
        run_all(t.engine, answers);
        assert_same(&answers[1], &expected);
        assert_int_equal(answers[2].n, 0);
        assert_int_equal(answers[2].finish, ENGINE_ERROR);
        assert_err(answers[2].error, ERR_NUMERIC);
        struct scored s = { .answer = &expected };
        assert_err(engine_score(t.engine, sick, 15, 20, &warm, on_score, &s), ERR_NUMERIC);
    }
    tiny_engine_close(&t);
}

static void measuring_gives_rates_and_leaves_nothing(void **state)
{
    (void)state;
    struct tiny_engine t;
    static const struct measure_plan plan = { .jobs = 2, .prompt = 40, .answer = 8, .at_most_ms = 500 };
    struct measure_rates rates = { 0 };
    uint32_t tokens[4] = { 1, 2, 3, 4 };
    open_default(&t, &three_slots);
    assert_ok(measure_engine(t.engine, &plan, &rates));
    assert_true(rates.prefill_millitokens_s > 0 && rates.decode_millitokens_s > 0);
    assert_true(engine_idle(t.engine));
    struct engine_job job = job_of(9, tokens, 4, 4, &greedy);
    assert_ok(engine_start(t.engine, &job));
    assert_err(measure_engine(t.engine, &plan, &rates), ERR_STATE);
    assert_ok(engine_self_test(t.engine));
    tiny_engine_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batching_slicing_and_threads_change_nothing),
        cmocka_unit_test(a_continuation_gives_the_same_tokens),
        cmocka_unit_test(scoring_repeats_an_answer_exactly),
        cmocka_unit_test(a_cancelled_job_is_silent_at_once),
        cmocka_unit_test(pauses_change_no_bit),
        cmocka_unit_test(stop_tokens_end_an_answer_and_are_delivered),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(infinities_end_their_own_job_only),
        cmocka_unit_test(measuring_gives_rates_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
