/* test_worker.c - does the engine's thread make what it is allowed to, no more, and go on as if nothing had been? */
#include "node/worker_thread.h"

#include <string.h>
#include <time.h>

#include "tests/kernels/tiny_engine.h"

enum { PROMPT = 12, QUIET_MS = 60, PATIENCE_MS = 20 * 1000 };

static const uint32_t prompt[PROMPT] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

struct rig {
    struct tiny_engine t;
    struct worker *worker;
};

struct heard { uint32_t tokens[2][64], count[2]; int done[2]; enum finish finish[2]; };

static void nobody(void *ctx) { (void)ctx; }

static void pause_ms(uint32_t ms) { nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL); }

static void hear(struct worker *w, struct heard *h)
{
    struct worker_event e;
    while (worker_next(w, &e)) {
        if (e.kind == WORKER_TOKEN)
            h->tokens[e.run.id][h->count[e.run.id]++] = e.token;
        if (e.kind == WORKER_DONE) {
            h->done[e.run.id]++;
            h->finish[e.run.id] = e.finish;
        }
        assert_int_not_equal(e.kind, WORKER_FAILED);
    }
}

static void hear_until(struct worker *w, struct heard *h, uint64_t run, uint32_t count, bool done)
{
    for (int ms = 0; h->count[run] < count || (done && !h->done[run]); ms++) {
        assert_true(ms < PATIENCE_MS);
        pause_ms(1);
        hear(w, h);
    }
}

static uint64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void start(struct worker *w, uint64_t run, uint32_t output_max, uint32_t allowed)
{
    struct agent_effect e = { .kind = AGENT_RUN_START };
    e.u.start.run.id = run;
    e.u.start.tokens = prompt;
    e.u.start.token_count = PROMPT;
    e.u.start.output_max = output_max;
    e.u.start.allowed = allowed;
    e.u.start.temperature_micro = 900000;
    e.u.start.top_p_micro = 1000000;
    e.u.start.seed = 5;
    assert_ok(worker_start(w, &e));
}

static int open_rig(void **state)
{
    static struct rig r;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct worker_options o = { .slots = 2, .context = 256, .threads = 1, .wake = nobody };
    tiny_model_open(&r.t, &spec);
    assert_ok(worker_open(&r.t.model, &o, &r.worker));
    *state = &r;
    return 0;
}

static int close_rig(void **state)
{
    struct rig *r = *state;
    worker_close(r->worker);
    tiny_engine_close(&r->t);
    return 0;
}

/* PROTO 7.4: whoever is not paid for more makes no more; the run beside it goes on, and so does this one, with the same tokens. */
static void a_run_waits_for_its_allowance(void **state)
{
    struct rig *r = *state;
    struct heard whole = { .count = { 0 } }, h = { .count = { 0 } };
    start(r->worker, 0, 40, 0);
    hear_until(r->worker, &whole, 0, 40, true);
    start(r->worker, 0, 40, 5);
    start(r->worker, 1, 40, 0);
    hear_until(r->worker, &h, 1, 40, true);
    hear_until(r->worker, &h, 0, 5, false);
    pause_ms(QUIET_MS);
    hear(r->worker, &h);
    assert_int_equal(h.count[0], 5);
    assert_int_equal(h.done[0], 0);
    for (uint32_t n = 6; n <= 33; n++)                     /* faster than it works: the queue holds one allowance, the last */
        worker_allow(r->worker, (struct run_id){ 0 }, n);
    hear_until(r->worker, &h, 0, 33, false);
    pause_ms(QUIET_MS);
    hear(r->worker, &h);
    assert_int_equal(h.count[0], 33);
    worker_allow(r->worker, (struct run_id){ 0 }, 40);
    hear_until(r->worker, &h, 0, 40, true);
    assert_memory_equal(h.tokens[0], whole.tokens[0], 40 * sizeof whole.tokens[0][0]);
    assert_int_equal(h.finish[0], FINISH_LENGTH);
    worker_allow(r->worker, (struct run_id){ 0 }, 41);     /* over: nothing */
}

static void a_waiting_run_is_cancelled_at_once(void **state)
{
    struct rig *r = *state;
    struct heard h = { .count = { 0 } };
    start(r->worker, 0, 40, 3);
    hear_until(r->worker, &h, 0, 3, false);
    uint64_t before = cpu_us();
    pause_ms(QUIET_MS);
    assert_true(cpu_us() - before < QUIET_MS * 1000 / 10); /* it sleeps meanwhile, it does not look again and again */
    worker_cancel(r->worker, (struct run_id){ 0 });
    hear_until(r->worker, &h, 0, 3, true);
    assert_int_equal(h.count[0], 3);
    assert_int_equal(h.finish[0], FINISH_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_waits_for_its_allowance, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_waiting_run_is_cancelled_at_once, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
