/* test_pool.c - every item once, whoever does it; a thread that is held up is laid off, and hired again. */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include <stdatomic.h>
#include <time.h>

#include "kernels/pool_posix.h"

enum { ITEMS_MAX = 1000 };

static _Atomic uint32_t counts[ITEMS_MAX];

static void count(void *ctx, uint32_t item)
{
    (void)ctx;
    atomic_fetch_add(&counts[item], 1);
}

static void every_item_is_done_once(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 0, 1, 2, 3, 7, 64, 999 };
    for (uint32_t threads = 1; threads <= 5; threads++) {
        struct pool *p;
        assert_ok(pool_open(threads, &p));
        assert_int_equal(pool_threads(p), threads);
        for (uint32_t round = 0; round < 400; round++) {
            uint32_t n = sizes[round % ARRAY_COUNT(sizes)];
            for (uint32_t i = 0; i < ITEMS_MAX; i++)
                counts[i] = 0;
            pool_run(p, n, count, NULL);
            for (uint32_t i = 0; i < ITEMS_MAX; i++)
                assert_int_equal(counts[i], i < n);
        }
        pool_close(p);
    }
}

static void sleep_us(long us)
{
    struct timespec t = { .tv_nsec = us * 1000 };
    nanosleep(&t, NULL);
}

static _Thread_local bool is_caller;

/* The caller's items are short, everybody else's are not: as if the others' cores were taken. */
static void held_up(void *ctx, uint32_t item)
{
    (void)ctx, (void)item;
    sleep_us(is_caller ? 50 : 5000);
}

static void even(void *ctx, uint32_t item)
{
    (void)ctx, (void)item;
    sleep_us(50);
}

static void late_threads_are_laid_off_and_hired_again(void **state)
{
    (void)state;
    struct pool *p;
    is_caller = true;
    assert_ok(pool_open(3, &p));
    for (int i = 0; i < 200 && pool_threads_now(p) > 1; i++)
        pool_run(p, 12, held_up, NULL);
    assert_int_equal(pool_threads_now(p), 1);
    uint64_t patience = pool_clock_us() + 30000000;            /* no time is asserted, only that it happens */
    while (pool_threads_now(p) < 3 && pool_clock_us() < patience)
        pool_run(p, 12, even, NULL);
    assert_int_equal(pool_threads_now(p), 3);
    pool_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_item_is_done_once),
                                        cmocka_unit_test(late_threads_are_laid_off_and_hired_again) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
