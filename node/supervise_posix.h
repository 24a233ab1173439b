/* supervise_posix.h - keeps a worker process running: what libzmq cannot bound may kill the worker, never the service.
 *
 * The supervisor forks the worker before any thread exists, waits, and starts it again after a crash. It holds no keys,
 * no sockets and no state, so there is nothing in it to attack. The worker loses nothing that it has promised, because
 * every promise is on disk before it is spoken (docs/threat-model.md).
 *
 *   worker ends by                                       the supervisor
 *   exit code other than SUPERVISE_EXIT_AGAIN            returns that code: a clean end, or an error a restart cannot cure
 *   SIGABRT, SIGSEGV, SIGKILL (memory), any signal       starts it again after a pause that doubles, restart_ms_min..max
 *     that the supervisor did not forward itself
 *   a signal after SIGTERM or SIGINT was forwarded       returns 128 + signal: it was asked to go
 *
 * SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 sent to the supervisor are passed on; those from the terminal reach the
 * worker by themselves. If the supervisor dies, the kernel kills the worker: no orphan keeps the port or the database.
 *
 * Memory cap: RLIMIT_DATA, which since Linux 4.7 counts what a process can write privately (heap, stacks), and neither
 * mapped model files nor the database map. RLIMIT_AS would count both, and a CUDA context's reservations. The cap is for
 * what nobody planned (libzmq's buffers). What an engine will reserve is known before, and may be added to the cap by the
 * worker just before: supervise_memory_raise(). memory_is_total forbids that: the kernel then holds the line as given.
 *
 * Owns:    the child. Threads: call before starting any. Effects: fork, signals mask, stderr only on failure to fork.
 */
#ifndef TALLYMESH_NODE_SUPERVISE_POSIX_H
#define TALLYMESH_NODE_SUPERVISE_POSIX_H

#include "crypto/base.h"

enum {
    SUPERVISE_EXIT_AGAIN = 75,            /* EX_TEMPFAIL: the worker asks to be started again */
    SUPERVISE_RESTART_MS_MAX = 10 * 1000, /* a third of the unit's WatchdogSec: nobody tells systemd that we live while we wait */
    SUPERVISE_MEMORY_MIB_DEFAULT = 4096,  /* heap of a worker without its engines: 256 peers x about 5 MiB at worst, and room */
};

struct supervise {
    uint64_t memory_bytes_max;            /* 0: no cap */
    bool memory_is_total;                 /* the worker may not raise it */
    uint32_t restart_ms_min, restart_ms_max;   /* 0: 200 and SUPERVISE_RESTART_MS_MAX */
    uint32_t steady_ms;                   /* a worker that ran this long was healthy: the pause starts small again. 0: 60,000 */
    uint32_t restarts_max;                /* give up after this many in a row without being steady; 0: never */
    void (*on_restart)(void *ctx, int signal, int exit_code, uint32_t restarts, uint32_t pause_ms);   /* for the log; may be NULL */
    void *ctx;
};

/* Handed to the worker, for its log and metrics. */
struct supervised {
    uint32_t restarts;                    /* 0 on the first start */
    int last_signal;                      /* what ended the previous worker; 0 if none */
};

/* Runs worker(ctx) in a child process until it ends for good; returns the exit code for main(). The worker's return value
 * is its exit code. Returns 71 (EX_OSERR) if it cannot fork. */
int supervise_run(const struct supervise *s, int (*worker)(const struct supervised *, void *), void *worker_ctx);

/* In the worker: raises the cap by what is about to be reserved on purpose. Does nothing where there is no cap, and stops
 * at a total: then the reservation fails by itself. Not to be called on two threads at once. */
void supervise_memory_raise(uint64_t bytes);

#endif
