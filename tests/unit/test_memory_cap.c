/* test_memory_cap.c - does a model whose engine is larger than the cap start, and is the cap still one afterwards? */
#include "node/supervise_posix.h"
#include "node/worker_thread.h"

#include <stdlib.h>
#include <time.h>

#include "tests/kernels/tiny_engine.h"

enum { CAP_MIB = 64, ENGINE_MIB = 160 };

struct task { const struct model *model; bool raise; };

static void nobody(void *ctx) { (void)ctx; }

static enum worker_event_kind first_event(struct worker *w)
{
    struct worker_event e;
    while (!worker_next(w, &e))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return e.kind;
}

/* Exit code: 0 the engine did not open, 1 it did and nothing stops the rest, 2 it did and the rest is capped. */
static int opens_engine(const struct supervised *s, void *ctx)
{
    const struct task *t = ctx;
    struct worker *w;
    struct worker_options o = { .slots = 64, .context = 16384, .threads = 2, .wake = nobody };
    (void)s;
    uint64_t bytes = worker_reserves(t->model, &o);
    if (bytes < (uint64_t)ENGINE_MIB << 20)
        return 3;
    if (t->raise)
        supervise_memory_raise(bytes);
    if (worker_open(t->model, &o, &w) != OK)
        return 4;
    if (first_event(w) != WORKER_READY)
        return 0;
    return malloc((size_t)CAP_MIB << 20) ? 1 : 2;
}

static void a_large_engine_starts_under_the_cap(void **state)
{
    (void)state;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct tiny_engine t;
    spec.context = 16384;
    tiny_model_open(&t, &spec);
    struct supervise s = { .memory_bytes_max = (uint64_t)CAP_MIB << 20 };
    assert_int_equal(supervise_run(&s, opens_engine, &(struct task){ &t.model, false }), 0);
    assert_int_equal(supervise_run(&s, opens_engine, &(struct task){ &t.model, true }), 2);
    s.memory_is_total = true;
    assert_int_equal(supervise_run(&s, opens_engine, &(struct task){ &t.model, true }), 0);
    tiny_engine_close(&t);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)a_large_engine_starts_under_the_cap;             /* a sanitizer's shadow memory is over any cap */
    return 0;
#else
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_large_engine_starts_under_the_cap) };
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
