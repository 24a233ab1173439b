/* torture_engine.c - memory runs out at every possible place while an engine is opened and a job is started: no crash, no
 * leak (under the address sanitizer), a named error, and the next attempt works. And what an engine says that it will
 * reserve is what it takes. */
#include "tests/kernels/tiny_engine.h"

#include <stdlib.h>

/* The linker sends every allocation of this program here (-Wl,--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);

static long calls, fail_at = -1;
static uint64_t taken;                                     /* bytes asked for; weights are repacked on one thread here */

static bool fails_now(size_t bytes)
{
    taken += bytes;
    return calls++ == fail_at;
}

void *__wrap_malloc(size_t n) { return fails_now(n) ? NULL : __real_malloc(n); }

void *__wrap_calloc(size_t n, size_t size) { return fails_now(n * size) ? NULL : __real_calloc(n, size); }

void *__wrap_aligned_alloc(size_t align, size_t n) { return fails_now(n) ? NULL : __real_aligned_alloc(align, n); }

static enum err open_and_start(struct tiny_engine *t)
{
    const struct engine_options o = { .slots_max = 2, .kv_tokens_max = 256, .prefill_chunk = 4 };
    static const uint32_t tokens[] = { 1, 2, 3 };
    struct engine_job job = { .tokens = tokens, .n = 3, .max_tokens = 2, .params = { .top_p_micro = 1000000 } };
    struct fault why = { "" };
    struct engine *e = NULL;
    enum err err = engine_open(&t->model, &o, &e, &why);
    if (err != OK) {
        assert_null(e);
        assert_true(why.text[0] != '\0');
        return err;
    }
    err = engine_start(e, &job);
    assert_int_equal(engine_idle(e), err != OK);
    engine_close(e);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct tiny_engine t;
    tiny_model_open(&t, &spec);
    calls = 0;
    assert_ok(open_and_start(&t));
    long count = calls;
    assert_true(count > 15);
    for (long i = 0; i < count; i++) {
        calls = 0;
        fail_at = i;
        enum err err = open_and_start(&t);
        fail_at = -1;
        assert_err(err, ERR_MEMORY);
    }
    assert_ok(open_and_start(&t));
    tiny_engine_close(&t);
}

static void compare_reserves(const struct tiny_llama *spec, const struct engine_options *o)
{
    struct tiny_engine t;
    struct engine *e;
    struct fault why;
    tiny_model_open(&t, spec);
    uint64_t said = engine_reserves(&t.model, o);
    taken = 0;
    assert_ok(engine_open(&t.model, o, &e, &why));
    uint64_t took = taken;
    engine_close(e);
    tiny_engine_close(&t);
    assert_true(said <= took);                             /* rounding to whole lines is not foreseen ... */
    assert_true(took - said < 4096 + took / 50);           /* ... and is next to nothing */
}

static void what_it_reserves_is_known_before(void **state)
{
    (void)state;
    struct tiny_llama usual = TINY_LLAMA_DEFAULT, large = TINY_LLAMA_DEFAULT, plain = TINY_LLAMA_DEFAULT;
    large.layers = 5, large.ffn_dim = 1312, large.vocab = 5000, large.context = 4096, large.tied = true;
    plain.type = plain.embd_type = TENSOR_F16;
    plain.rope_dims = 8;
    static const char *const backends[] = { NULL, "scalar" };
    for (size_t b = 0; b < ARRAY_COUNT(backends); b++) {
        compare_reserves(&usual, &(struct engine_options){ .backend = backends[b] });
        compare_reserves(&plain, &(struct engine_options){ .backend = backends[b], .slots_max = 3, .prefill_chunk = 7 });
        compare_reserves(&large, &(struct engine_options){ .backend = backends[b], .slots_max = 16, .kv_tokens_max = 40000 });
        compare_reserves(&large, &(struct engine_options){ .backend = backends[b], .prefill_chunk = 512 });
    }
    struct tiny_engine t;
    tiny_model_open(&t, &usual);
    assert_int_equal(engine_reserves(&t.model, &(struct engine_options){ .backend = "abacus" }), 0);
    assert_int_equal(engine_reserves(&t.model, &(struct engine_options){ .slots_max = ENGINE_SLOTS_MAX + 1 }), 0);
    tiny_engine_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_may_fail),
                                        cmocka_unit_test(what_it_reserves_is_known_before) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
