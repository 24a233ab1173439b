/* supervise_posix.c - fork, wait, pass signals on, start again. */
#define _GNU_SOURCE                                        /* prctl's parent-death signal */
#include "node/supervise_posix.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_OS_ERROR = 71, RESTART_MS_MIN = 200, STEADY_MS = 60 * 1000 };

static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

struct supervisor {
    struct supervise cfg;
    sigset_t watched, before;
    pid_t child;
    bool asked_to_end;                                     /* SIGTERM or SIGINT came */
    uint32_t restarts, in_a_row;
    int last_signal;
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void memory_cap(uint64_t bytes, bool is_total)
{
    struct rlimit r;
    if (bytes == 0 || getrlimit(RLIMIT_DATA, &r) != 0)
        return;
    r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;  /* whoever started us may have set less */
    if (is_total)
        r.rlim_max = r.rlim_cur;
    if (setrlimit(RLIMIT_DATA, &r) != 0)
        perror("tallymesh: memory cap");
}

void supervise_memory_raise(uint64_t bytes)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_DATA, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
        return;
    r.rlim_cur = bytes < r.rlim_max - r.rlim_cur ? r.rlim_cur + bytes : r.rlim_max;
    if (setrlimit(RLIMIT_DATA, &r) != 0)
        perror("tallymesh: memory cap");
}

/* In the child. Does not return. */
static _Noreturn void child_run(const struct supervisor *s, pid_t parent, int (*worker)(const struct supervised *, void *), void *ctx)
{
    /* No orphan: SIGKILL, because a supervisor that was killed is a crash, and the ledger is made for crashes. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_OS_ERROR);                              /* it died before we asked to be told */
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    memory_cap(s->cfg.memory_bytes_max, s->cfg.memory_is_total);
    struct supervised info = { .restarts = s->restarts, .last_signal = s->last_signal };
    int code = worker(&info, ctx);
    fflush(NULL);
    _exit(code);                                           /* what main() registered with atexit is the supervisor's */
}

/* A signal from the terminal has reached the worker already: it goes to the whole foreground group. */
static void on_signal(struct supervisor *s, const siginfo_t *info)
{
    if (info->si_signo == SIGTERM || info->si_signo == SIGINT)
        s->asked_to_end = true;
    if (s->child > 0 && info->si_code != SI_KERNEL)
        kill(s->child, info->si_signo);
}

/* Waits for the child's end; its status. */
static int child_wait(struct supervisor *s)
{
    for (;;) {
        int status;
        if (waitpid(s->child, &status, WNOHANG) == s->child) {
            s->child = 0;
            return status;
        }
        siginfo_t info;
        if (sigwaitinfo(&s->watched, &info) > 0 && info.si_signo != SIGCHLD)
            on_signal(s, &info);
    }
}

/* Sleeps between crash and restart; false if it was asked to end meanwhile. */
static bool pause_ms(struct supervisor *s, uint32_t ms)
{
    uint64_t end = now_ms() + ms;
    for (uint64_t now = now_ms(); now < end && !s->asked_to_end; now = now_ms()) {
        struct timespec left = { .tv_sec = (time_t)((end - now) / 1000), .tv_nsec = (long)((end - now) % 1000) * 1000000 };
        siginfo_t info;
        if (sigtimedwait(&s->watched, &info, &left) > 0 && info.si_signo != SIGCHLD)
            on_signal(s, &info);
    }
    return !s->asked_to_end;
}

static bool is_crash(const struct supervisor *s, int status)
{
    if (WIFSIGNALED(status))
        return !s->asked_to_end;
    return WEXITSTATUS(status) == SUPERVISE_EXIT_AGAIN && !s->asked_to_end;
}

static int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

static uint32_t pause_of(const struct supervisor *s)
{
    uint64_t ms = s->cfg.restart_ms_min;
    for (uint32_t i = 1; i < s->in_a_row && ms < s->cfg.restart_ms_max; i++)
        ms *= 2;
    return (uint32_t)(ms < s->cfg.restart_ms_max ? ms : s->cfg.restart_ms_max);
}

/* After a crash: true if it is time for another go. */
static bool again(struct supervisor *s, int status, uint64_t ran_ms)
{
    s->in_a_row = ran_ms >= s->cfg.steady_ms ? 1 : s->in_a_row + 1;
    if (s->cfg.restarts_max > 0 && s->in_a_row > s->cfg.restarts_max)
        return false;
    s->restarts++;
    s->last_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    uint32_t ms = pause_of(s);
    if (s->cfg.on_restart)
        s->cfg.on_restart(s->cfg.ctx, s->last_signal, WIFEXITED(status) ? WEXITSTATUS(status) : 0, s->restarts, ms);
    return pause_ms(s, ms);
}

static void supervisor_init(struct supervisor *s, const struct supervise *cfg)
{
    *s = (struct supervisor){ .cfg = *cfg };
    if (s->cfg.restart_ms_min == 0)
        s->cfg.restart_ms_min = RESTART_MS_MIN;
    if (s->cfg.restart_ms_max == 0)
        s->cfg.restart_ms_max = SUPERVISE_RESTART_MS_MAX;
    if (s->cfg.steady_ms == 0)
        s->cfg.steady_ms = STEADY_MS;
    sigemptyset(&s->watched);
    sigaddset(&s->watched, SIGCHLD);
    for (size_t i = 0; i < ARRAY_COUNT(forwarded); i++)
        sigaddset(&s->watched, forwarded[i]);
    sigprocmask(SIG_BLOCK, &s->watched, &s->before);
}

int supervise_run(const struct supervise *cfg, int (*worker)(const struct supervised *, void *), void *worker_ctx)
{
    struct supervisor s;
    supervisor_init(&s, cfg);
    for (;;) {
        pid_t self = getpid();
        uint64_t started = now_ms();
        fflush(NULL);                                      /* else the child writes our buffered lines again */
        s.child = fork();
        if (s.child == 0)
            child_run(&s, self, worker, worker_ctx);
        if (s.child < 0)
            perror("tallymesh: fork");
        int status = s.child < 0 ? EXIT_OS_ERROR << 8 : child_wait(&s);
        if (!is_crash(&s, status) || !again(&s, status, now_ms() - started)) {
            sigprocmask(SIG_SETMASK, &s.before, NULL);
            return exit_code_of(status);
        }
    }
}
