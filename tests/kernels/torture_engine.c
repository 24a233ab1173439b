/* torture_engine.c - memory runs out at every possible place while an engine is opened and a job is started: no crash, no
 * leak (under the address sanitizer), a named error, and the next attempt works. */
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

static bool fails_now(void) { return calls++ == fail_at; }

void *__wrap_malloc(size_t n) { return fails_now() ? NULL : __real_malloc(n); }

void *__wrap_calloc(size_t n, size_t size) { return fails_now() ? NULL : __real_calloc(n, size); }

void *__wrap_aligned_alloc(size_t align, size_t n) { return fails_now() ? NULL : __real_aligned_alloc(align, n); }

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
    assert_true(count > 30);
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_may_fail) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
