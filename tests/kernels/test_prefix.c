/* test_prefix.c - what a job leaves for its owner's next one: the same bytes as from a cold start, for nobody else, and never in
 * the way of those who run. */
#include "tests/kernels/engine_answers.h"

#include "kernels/backend.h"
#include "kernels/exact_math.h"

enum { VOCAB = 384, FIRST = 300, PREFIX_MIN = 64 };

static const uint8_t alice[ENGINE_OWNER_BYTES] = { 1 }, bob[ENGINE_OWNER_BYTES] = { [31] = 1 };
static const struct engine_options two_slots = { .threads = 2, .slots_max = 2, .kv_tokens_max = 1024, .prefill_chunk = 100 };

static void open_model(struct tiny_engine *t)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.context = 640;
    tiny_model_open(t, &spec);
}

static struct engine_job owned(const uint8_t *owner, const uint32_t *tokens, uint32_t n, uint32_t max_tokens)
{
    struct engine_job job = job_of(0, tokens, n, max_tokens, &warm);
    job.owner = owner;
    return job;
}

/* Starts the job, tells how many of its tokens need not be read, and runs everything to its end. */
static uint32_t found_when_run(struct engine *e, const struct engine_job *job, struct answer *a)
{
    memset(a, 0, sizeof *a);
    uint64_t before = engine_backlog(e);
    assert_ok(engine_start(e, job));
    uint32_t found = job->n - 1 - (uint32_t)(engine_backlog(e) - before);
    run_all(e, a);
    return found;
}

static void the_next_turn_reads_only_what_is_new(void **state)
{
    (void)state;
    static struct answer first, second, cold;
    struct tiny_engine t;
    uint32_t tokens[FIRST + 60];
    open_model(&t);
    prompt_of(1, FIRST + 60, VOCAB, tokens);
    for (size_t b = 0; backend_at(b); b++) {
        struct engine_options o = two_slots;
        o.backend = backend_at(b)->name;
        struct engine_job turn = owned(alice, tokens, FIRST, 20), next = owned(alice, tokens, FIRST + 60, 30);
        answer_alone(&t, &o, &turn, &first);
        memcpy(tokens + FIRST, first.tokens, 20 * sizeof tokens[0]);
        answer_alone(&t, &o, &next, &cold);
        tiny_engine_open(&t, &o);
        assert_int_equal(found_when_run(t.engine, &turn, &first), 0);
        assert_true(engine_idle(t.engine) && !engine_has_work(t.engine));
        assert_int_equal(found_when_run(t.engine, &next, &second), FIRST + 19);    /* the last sampled was never read */
        assert_same(&second, &cold);
    }
    tiny_engine_close(&t);
}

/* Prompts that part from the first one at every kind of place, from the same pages again and again. */
static void prompts_may_part_anywhere(void **state)
{
    (void)state;
    static struct answer warm_answer, cold;
    static const uint32_t cuts[] = { 0, 1, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 298, 299, 300 };
    struct tiny_engine t, other;
    uint32_t tokens[FIRST], parted[FIRST];
    open_model(&t);
    open_model(&other);
    prompt_of(2, FIRST, VOCAB, tokens);
    tiny_engine_open(&t, &two_slots);
    for (size_t i = 0; i < ARRAY_COUNT(cuts); i++) {
        struct engine_job whole = owned(alice, tokens, FIRST, 4), job = owned(alice, parted, FIRST, 4);
        memcpy(parted, tokens, sizeof parted);
        for (uint32_t k = cuts[i]; k < FIRST; k++)
            parted[k] = (tokens[k] + 1) % VOCAB;
        engine_forget(t.engine);
        (void)found_when_run(t.engine, &whole, &warm_answer);
        uint32_t most = cuts[i] < FIRST - 1 ? cuts[i] : FIRST - 1;
        assert_int_equal(found_when_run(t.engine, &job, &warm_answer), most < PREFIX_MIN ? 0 : most);
        answer_alone(&other, &two_slots, &job, &cold);
        assert_same(&warm_answer, &cold);
    }
    tiny_engine_close(&other);
    tiny_engine_close(&t);
}

static void nobody_finds_what_another_left(void **state)
{
    (void)state;
    static struct answer a;
    struct tiny_engine t;
    uint32_t tokens[FIRST];
    open_model(&t);
    prompt_of(3, FIRST, VOCAB, tokens);
    tiny_engine_open(&t, &two_slots);
    struct engine_job of_alice = owned(alice, tokens, FIRST, 4), of_bob = owned(bob, tokens, FIRST, 4);
    struct engine_job of_nobody = owned(NULL, tokens, FIRST, 4);
    assert_int_equal(found_when_run(t.engine, &of_nobody, &a), 0);
    assert_int_equal(found_when_run(t.engine, &of_nobody, &a), 0);
    assert_int_equal(found_when_run(t.engine, &of_alice, &a), 0);
    assert_int_equal(found_when_run(t.engine, &of_bob, &a), 0);
    assert_int_equal(found_when_run(t.engine, &of_alice, &a), FIRST - 1);
    assert_int_equal(found_when_run(t.engine, &of_bob, &a), FIRST - 1);
    assert_int_equal(found_when_run(t.engine, &of_nobody, &a), 0);
    engine_forget(t.engine);
    assert_int_equal(found_when_run(t.engine, &of_bob, &a), 0);
    tiny_engine_close(&t);
}

/* Four pages and two slots: who has rested longest goes first, and only as far as is needed. */
static void what_rests_gives_way(void **state)
{
    (void)state;
    static struct answer a;
    struct tiny_engine t;
    uint32_t tokens[600];
    open_model(&t);
    prompt_of(4, 600, VOCAB, tokens);
    tiny_engine_open(&t, &two_slots);
    struct engine_job of_alice = owned(alice, tokens, 300, 4), of_bob = owned(bob, tokens, 300, 4);
    struct engine_job large = owned(NULL, tokens, 600, 4);
    (void)found_when_run(t.engine, &of_alice, &a);
    (void)found_when_run(t.engine, &of_bob, &a);
    (void)found_when_run(t.engine, &large, &a);            /* three pages of four: both had to go */
    assert_int_equal(a.n, 4);
    assert_int_equal(found_when_run(t.engine, &of_bob, &a), 0);
    assert_int_equal(found_when_run(t.engine, &of_alice, &a), 0);
    struct engine_job small = owned(NULL, tokens, 20, 4);
    (void)found_when_run(t.engine, &small, &a);            /* wants a slot: bob's, the older one */
    assert_int_equal(found_when_run(t.engine, &of_alice, &a), 299);
    assert_int_equal(found_when_run(t.engine, &of_bob, &a), 0);
    struct engine_job longer = owned(bob, tokens, 600, 4); /* grows by a page, which is alice's */
    assert_int_equal(found_when_run(t.engine, &longer, &a), 300);
    assert_int_equal(found_when_run(t.engine, &of_alice, &a), 0);
    tiny_engine_close(&t);
}

/* A job that takes over more pages than it needs gives the others back. */
static void a_short_job_keeps_no_long_past(void **state)
{
    (void)state;
    static struct answer a;
    struct tiny_engine t;
    uint32_t tokens[600];
    open_model(&t);
    prompt_of(5, 600, VOCAB, tokens);
    tiny_engine_open(&t, &two_slots);
    struct engine_job longer = owned(alice, tokens, 600, 4), shorter = owned(alice, tokens, 100, 4);
    struct engine_job beside = owned(NULL, tokens, 600, 4);
    (void)found_when_run(t.engine, &longer, &a);
    shorter.id = 1;
    assert_ok(engine_start(t.engine, &shorter));
    assert_int_equal(engine_backlog(t.engine), 0);
    assert_ok(engine_start(t.engine, &beside));            /* one page beside three */
    tiny_engine_close(&t);
}

static void a_failed_job_leaves_nothing(void **state)
{
    (void)state;
    static struct answer a;
    struct tiny_engine t;
    uint32_t tokens[200];
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.context = 640;
    spec.embd_type = TENSOR_F32;
    tiny_model_open(&t, &spec);
    prompt_of(6, 200, 300, tokens);
    tokens[150] = 301;
    float infinite = float_from_bits(0x7f800000);
    memcpy((uint8_t *)(uintptr_t)t.model.token_embd.data + (size_t)301 * 64 * 4, &infinite, 4);
    tiny_engine_open(&t, &two_slots);
    struct engine_job job = owned(alice, tokens, 200, 4);
    assert_int_equal(found_when_run(t.engine, &job, &a), 0);
    assert_int_equal(a.finish, ENGINE_ERROR);
    assert_int_equal(found_when_run(t.engine, &job, &a), 0);
    tiny_engine_close(&t);
}

/* Conversations of three owners that branch, are cancelled and come back, on few slots and pages, several at once. */
static void a_long_mixture_equals_cold_answers(void **state)
{
    (void)state;
    enum { TREE = 6, LENGTH = 400, ROUNDS = 60, AT_ONCE = 3 };
    static struct answer answers[AT_ONCE], cold;
    static uint32_t trees[TREE][LENGTH];
    struct tiny_engine t, other;
    struct rng r;
    uint64_t found = 0;
    open_model(&t);
    open_model(&other);
    rng_init(&r, 77);
    prompt_of(50, LENGTH, VOCAB, trees[0]);
    for (uint32_t i = 1; i < TREE; i++) {
        prompt_of(50 + i, LENGTH, VOCAB, trees[i]);
        memcpy(trees[i], trees[i - 1], (size_t)rng_below(&r, LENGTH) * sizeof trees[0][0]);
    }
    struct engine_options o = { .threads = 2, .slots_max = 4, .kv_tokens_max = 1536, .prefill_chunk = 64 };
    tiny_engine_open(&t, &o);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct engine_job jobs[AT_ONCE];
        bool cancelled[AT_ONCE] = { false };
        memset(answers, 0, sizeof answers);
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            const uint8_t *owners[] = { alice, bob, NULL };
            jobs[i] = owned(owners[rng_below(&r, 3)], trees[rng_below(&r, TREE)], 1 + (uint32_t)rng_below(&r, LENGTH), 3);
            jobs[i].id = i;
            uint64_t before = engine_backlog(t.engine);
            assert_ok(engine_start(t.engine, &jobs[i]));
            found += jobs[i].n - 1 - (engine_backlog(t.engine) - before);
        }
        if (round % 3 == 0) {
            struct engine_output out[4];
            size_t n;
            assert_ok(engine_step(t.engine, out, 4, &n));
            for (size_t i = 0; i < n; i++)
                record(&answers[out[i].id], &out[i]);
            cancelled[0] = engine_cancel(t.engine, 0) == OK;
        }
        run_all(t.engine, answers);
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            if (cancelled[i] || round % 4 != 0)
                continue;
            answer_alone(&other, &o, &jobs[i], &cold);
            assert_same(&answers[i], &cold);
        }
    }
    assert_true(found > 3000);                             /* else this test would say nothing */
    tiny_engine_close(&other);
    tiny_engine_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_turn_reads_only_what_is_new),
        cmocka_unit_test(prompts_may_part_anywhere),
        cmocka_unit_test(nobody_finds_what_another_left),
        cmocka_unit_test(what_rests_gives_way),
        cmocka_unit_test(a_short_job_keeps_no_long_past),
        cmocka_unit_test(a_failed_job_leaves_nothing),
        cmocka_unit_test(a_long_mixture_equals_cold_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
