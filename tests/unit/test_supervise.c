/* test_supervise.c - does the supervisor restart what crashed, and only that? */
#define _GNU_SOURCE                                        /* MAP_ANONYMOUS */
#include "node/supervise_posix.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/test.h"

/* Shared with every child: what happened. */
struct shared {
    volatile int runs, told, last_signal, restarts, got_term;
    volatile pid_t pid;
};
static struct shared *shared;

static void told(void *ctx, int signal_number, int exit_code, uint32_t restarts, uint32_t pause_ms)
{
    (void)ctx, (void)exit_code, (void)restarts, (void)pause_ms;
    shared->told++;
    shared->last_signal = signal_number;
}

static const struct supervise quick = { .restart_ms_min = 1, .restart_ms_max = 8, .on_restart = told };

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}
static int teardown(void **state)
{
    (void)state;
    return munmap(shared, sizeof *shared);
}

static int dies_twice(const struct supervised *s, void *ctx)
{
    shared->runs++;
    shared->restarts = (int)s->restarts;
    if (s->restarts < 2)
        raise(*(int *)ctx);
    return 5;
}

static void crashes_are_restarted(void **state)
{
    (void)state;
    const int crashes[] = { SIGKILL, SIGSEGV, SIGTERM /* not asked for by anybody here */ };
    for (size_t i = 0; i < ARRAY_COUNT(crashes); i++) {
        int signal_number = crashes[i];
        shared->runs = shared->told = 0;
        signal(SIGSEGV, SIG_DFL);                          /* sanitizers and cmocka have handlers of their own */
        assert_int_equal(supervise_run(&quick, dies_twice, &signal_number), 5);
        assert_int_equal(shared->runs, 3);
        assert_int_equal(shared->told, 2);
        assert_int_equal(shared->last_signal, signal_number);
        assert_int_equal(shared->restarts, 2);
    }
}

static int returns(const struct supervised *s, void *ctx)
{
    (void)s;
    shared->runs++;
    return *(int *)ctx;
}

static void ends_are_final(void **state)
{
    (void)state;
    const int codes[] = { 0, 1, 2, 78 };
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        int code = codes[i];
        shared->runs = 0;
        assert_int_equal(supervise_run(&quick, returns, &code), code);
        assert_int_equal(shared->runs, 1);
    }
}

static void asking_for_another_go_is_limited(void **state)
{
    (void)state;
    int code = SUPERVISE_EXIT_AGAIN;
    struct supervise s = quick;
    s.restarts_max = 3;
    shared->runs = 0;
    assert_int_equal(supervise_run(&s, returns, &code), SUPERVISE_EXIT_AGAIN);
    assert_int_equal(shared->runs, 4);
}

static uint64_t clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void the_pause_doubles(void **state)
{
    (void)state;
    int code = SUPERVISE_EXIT_AGAIN;
    struct supervise s = { .restart_ms_min = 10, .restart_ms_max = 40, .restarts_max = 4 };
    uint64_t start = clock_ms();
    assert_int_equal(supervise_run(&s, returns, &code), SUPERVISE_EXIT_AGAIN);
    uint64_t took = clock_ms() - start;
    assert_true(took >= 10 + 20 + 40 + 40 && took < 2000);
}

static volatile sig_atomic_t worker_signal;
static void on_term(int n) { worker_signal = n; }

static int waits_for_term(const struct supervised *s, void *ctx)
{
    (void)s, (void)ctx;
    struct sigaction a = { .sa_handler = on_term };
    sigaction(SIGTERM, &a, NULL);
    shared->runs++;
    shared->pid = getpid();
    for (int i = 0; i < 500 && !worker_signal; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    shared->got_term = worker_signal == SIGTERM;
    return 0;
}

/* The supervisor in a process of its own, so that the test can signal it. */
static pid_t supervisor_start(int (*worker)(const struct supervised *, void *))
{
    shared->runs = shared->got_term = 0;
    shared->pid = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(supervise_run(&quick, worker, NULL));
    for (int i = 0; i < 500 && shared->pid == 0; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    assert_true(shared->pid != 0);
    return pid;
}

static void signals_are_passed_on(void **state)
{
    (void)state;
    int status;
    pid_t supervisor = supervisor_start(waits_for_term);
    kill(supervisor, SIGTERM);
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(shared->got_term);
    assert_int_equal(shared->runs, 1);
}

static int ends_by_term(const struct supervised *s, void *ctx)
{
    (void)s, (void)ctx;
    shared->runs++;
    shared->pid = getpid();
    for (int i = 0; i < 60; i++)
        sleep(1);
    return 0;
}

static void a_worker_that_was_asked_to_go_stays_gone(void **state)
{
    (void)state;
    int status;
    pid_t supervisor = supervisor_start(ends_by_term);
    kill(supervisor, SIGTERM);
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM);
    assert_int_equal(shared->runs, 1);
}

static void no_orphan_survives(void **state)
{
    (void)state;
    int status;
    pid_t supervisor = supervisor_start(ends_by_term), worker = shared->pid;
    kill(supervisor, SIGKILL);
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    int alive = 0;
    for (int i = 0; i < 300 && (alive = kill(worker, 0)) == 0; i++)   /* a zombie counts until init has reaped it */
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    assert_true(alive != 0 && errno == ESRCH);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static int eats_memory(const struct supervised *s, void *ctx)
{
    (void)ctx;
    if (s->restarts > 0)
        return 0;
    shared->runs = 0;
    for (;;) {
        volatile char *p = malloc(1 << 20);
        if (!p)
            abort();                                       /* as libzmq does */
        p[0] = p[(1 << 20) - 1] = 1;
        shared->runs++;
    }
}

static void memory_is_capped(void **state)
{
    (void)state;
    struct supervise s = quick;
    s.memory_bytes_max = 64 << 20;
    assert_int_equal(supervise_run(&s, eats_memory, NULL), 0);
    assert_in_range(shared->runs, 16, 64);
    assert_int_equal(shared->last_signal, SIGABRT);
}

static int raises_then_eats(const struct supervised *s, void *ctx)
{
    if (s->restarts == 0)
        supervise_memory_raise(64 << 20);
    return eats_memory(s, ctx);
}

static void the_cap_makes_room_for_what_is_planned(void **state)
{
    (void)state;
    struct supervise s = quick;
    s.memory_bytes_max = 64 << 20;
    assert_int_equal(supervise_run(&s, raises_then_eats, NULL), 0);
    assert_in_range(shared->runs, 65, 128);
}

static void a_total_is_a_total(void **state)
{
    (void)state;
    struct supervise s = quick;
    s.memory_bytes_max = 64 << 20;
    s.memory_is_total = true;
    assert_int_equal(supervise_run(&s, raises_then_eats, NULL), 0);
    assert_in_range(shared->runs, 16, 64);
}
#endif

/* systemd hears nothing while we wait, but for the moment when the wait begins. */
static void the_longest_pause_is_well_inside_the_watchdog(void **state)
{
    (void)state;
    char line[200];
    unsigned watchdog_s = 0;
    FILE *f = fopen("node/tallyd.service.in", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "WatchdogSec=%u", &watchdog_s) == 1)
            break;
    fclose(f);
    assert_true(watchdog_s > 0);
    assert_in_range(SUPERVISE_RESTART_MS_MAX, 1000, watchdog_s * 1000 / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crashes_are_restarted),
        cmocka_unit_test(ends_are_final),
        cmocka_unit_test(asking_for_another_go_is_limited),
        cmocka_unit_test(the_pause_doubles),
        cmocka_unit_test(the_longest_pause_is_well_inside_the_watchdog),
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(a_worker_that_was_asked_to_go_stays_gone),
        cmocka_unit_test(no_orphan_survives),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(memory_is_capped),                /* a sanitizer's shadow memory is over any cap */
        cmocka_unit_test(the_cap_makes_room_for_what_is_planned),
        cmocka_unit_test(a_total_is_a_total),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
