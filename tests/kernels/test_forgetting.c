/* test_forgetting.c - does anything of a job stay in the engine's memory when it is over? Every block that the engine takes is
 * watched: none may hold the job's tokens when it is freed, and after the job each must be as it was before. */
#include "tests/kernels/engine_answers.h"

#include <stdlib.h>

#include "kernels/backend.h"

/* The linker sends every allocation of this program here (-Wl,--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);
void __wrap_free(void *p);

/* BOOKKEEPING: smaller blocks hold counters and page numbers, which may differ; they are searched for tokens all the same. */
enum { BLOCKS_MAX = 256, PROMPT = 300, SHORT = 100, VOCAB = 384, BOOKKEEPING = 1024 };

static struct { uint8_t *at, *before; size_t bytes; } blocks[BLOCKS_MAX];
static bool watching;
static uint32_t prompt[PROMPT], freed_with_tokens;

/* Four tokens of the prompt behind each other are no accident; a tenth of all places is enough to find a copy. */
static bool holds_tokens(const uint8_t *at, size_t bytes)
{
    for (size_t i = 0; i + 16 <= bytes; i += 4)
        for (uint32_t k = 0; k + 4 <= PROMPT; k += 10)
            if (memcmp(at + i, prompt + k, 16) == 0)
                return true;
    return false;
}

static void *watch(void *p, size_t bytes)
{
    for (size_t i = 0; watching && p; i++) {
        assert_true(i < BLOCKS_MAX);
        if (blocks[i].at)
            continue;
        blocks[i].at = p;
        blocks[i].bytes = bytes;
        break;
    }
    return p;
}

void *__wrap_malloc(size_t n) { return watch(__real_malloc(n), n); }

void *__wrap_calloc(size_t n, size_t size) { return watch(__real_calloc(n, size), n * size); }

void *__wrap_aligned_alloc(size_t align, size_t n) { return watch(__real_aligned_alloc(align, n), n); }

void __wrap_free(void *p)
{
    for (size_t i = 0; p && i < BLOCKS_MAX; i++) {
        if (blocks[i].at != p)
            continue;
        freed_with_tokens += holds_tokens(p, blocks[i].bytes);
        __real_free(blocks[i].before);
        blocks[i].at = blocks[i].before = NULL;
    }
    __real_free(p);
}

static void remember_blocks(void)
{
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        if (blocks[i].at) {
            blocks[i].before = __real_malloc(blocks[i].bytes + 1);
            memcpy(blocks[i].before, blocks[i].at, blocks[i].bytes);
        }
}

/* Blocks that hold tokens, or are not as they were. */
static uint32_t traces(void)
{
    uint32_t n = 0;
    for (size_t i = 0; i < BLOCKS_MAX; i++) {
        if (!blocks[i].at)
            continue;
        bool differs = blocks[i].before && blocks[i].bytes >= BOOKKEEPING &&
                       memcmp(blocks[i].at, blocks[i].before, blocks[i].bytes) != 0;
        n += differs || holds_tokens(blocks[i].at, blocks[i].bytes);
    }
    return n;
}

static void run(struct engine *e, const uint8_t *owner, uint32_t n)
{
    static struct answer a;
    struct engine_job job = job_of(0, prompt, n, 5, &warm);
    job.owner = owner;
    memset(&a, 0, sizeof a);
    assert_ok(engine_start(e, &job));
    assert_true(traces() > 0);
    run_all(e, &a);
    assert_int_equal(a.n, 5);
}

static void nothing_of_a_job_stays(void **state)
{
    (void)state;
    static const uint8_t owner[ENGINE_OWNER_BYTES] = { 7 };
    struct tiny_engine t;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.context = 512;
    tiny_model_open(&t, &spec);
    prompt_of(9, PROMPT, VOCAB, prompt);
    for (size_t b = 0; backend_at(b); b++) {
        struct engine_options o = { .backend = backend_at(b)->name, .threads = 1, .slots_max = 16, .prefill_chunk = 200 };
        watching = true;
        tiny_engine_open(&t, &o);
        remember_blocks();
        assert_int_equal(traces(), 0);
        run(t.engine, NULL, PROMPT);
        engine_forget(t.engine);
        assert_int_equal(traces(), 0);
        run(t.engine, owner, PROMPT);
        assert_true(traces() > 0);                         /* kept, and this test would see it */
        run(t.engine, owner, SHORT);                       /* gives a page back */
        engine_forget(t.engine);
        assert_int_equal(traces(), 0);
        run(t.engine, owner, PROMPT);
        engine_close(t.engine);                            /* kept until the end */
        t.engine = NULL;
        watching = false;
        assert_int_equal(freed_with_tokens, 0);
    }
    tiny_engine_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_of_a_job_stays) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
