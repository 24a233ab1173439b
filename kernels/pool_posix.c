/* pool_posix.c - a few threads that take chunks of one loop. */
#define _POSIX_C_SOURCE 200809L
#include "kernels/pool_posix.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/exact_math.h"

/* How long a thread looks for work before it sleeps, in pauses (some tens of nanoseconds each). */
enum { SPINS_BEFORE_SLEEP = 1500, SPINS_BEFORE_YIELD = 4000 };

/* A loop. Two of them take turns, so that a thread that comes late to one loop never sees half of the next: it reads
 * the fields of its own generation and then must win an item of that same generation, which proves them valid. */
struct loop {
    _Atomic uint32_t n;
    void (*_Atomic fn)(void *ctx, uint32_t item);
    void *_Atomic ctx;
};

struct pool {
    uint32_t threads;
    pthread_t *ids;
    uint32_t started;
    _Atomic uint64_t ticket;         /* generation << 32 | next item */
    _Atomic uint32_t done;           /* items of the current generation that are finished */
    struct loop loops[2];            /* by generation % 2 */
    _Atomic uint32_t sleepers;
    _Atomic bool quit;
    _Atomic uint32_t checked, bad_fpu;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void work(struct pool *p, uint32_t generation)
{
    struct loop *loop = &p->loops[generation % 2];
    uint64_t t = atomic_load(&p->ticket);
    for (;;) {
        uint32_t n = atomic_load(&loop->n);
        void (*fn)(void *, uint32_t) = atomic_load(&loop->fn);
        void *ctx = atomic_load(&loop->ctx);
        if ((uint32_t)(t >> 32) != generation || (uint32_t)t >= n)
            return;
        if (!atomic_compare_exchange_weak(&p->ticket, &t, t + 1))
            continue;
        fn(ctx, (uint32_t)t);
        atomic_fetch_add(&p->done, 1);
        t = atomic_load(&p->ticket);
    }
}

static void sleep_until_changed(struct pool *p, uint32_t seen)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while ((uint32_t)(atomic_load(&p->ticket) >> 32) == seen && !atomic_load(&p->quit))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *thread_main(void *arg)
{
    struct pool *p = arg;
    if (numerics_check_fpu() != OK)
        atomic_fetch_add(&p->bad_fpu, 1);
    atomic_fetch_add(&p->checked, 1);
    uint32_t seen = 0;
    while (!atomic_load(&p->quit)) {
        uint32_t generation = (uint32_t)(atomic_load(&p->ticket) >> 32);
        for (int i = 0; generation == seen && i < SPINS_BEFORE_SLEEP; i++) {
            pause_cpu();
            generation = (uint32_t)(atomic_load(&p->ticket) >> 32);
        }
        if (generation == seen) {
            sleep_until_changed(p, seen);
            continue;
        }
        work(p, generation);
        seen = generation;
    }
    return NULL;
}

static enum err start_threads(struct pool *p)
{
    for (; p->started + 1 < p->threads; p->started++)
        if (pthread_create(&p->ids[p->started], NULL, thread_main, p) != 0)
            return ERR_MEMORY;
    while (atomic_load(&p->checked) < p->started)
        sched_yield();
    return atomic_load(&p->bad_fpu) == 0 ? numerics_check_fpu() : ERR_DEVICE;
}

enum err pool_open(uint32_t threads, struct pool **out)
{
    ENSURE(threads > 0);
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_MEMORY;
    p->threads = threads;
    p->ids = calloc(threads, sizeof *p->ids);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    enum err e = p->ids ? start_threads(p) : ERR_MEMORY;
    if (e != OK) {
        pool_close(p);
        return e;
    }
    *out = p;
    return OK;
}

static void wake_all(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    wake_all(p);
    for (uint32_t i = 0; i < p->started; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->ids);
    free(p);
}

uint32_t pool_threads(const struct pool *p) { return p->threads; }

void pool_run(struct pool *p, uint32_t n, void (*fn)(void *ctx, uint32_t item), void *ctx)
{
    if (p->threads == 1 || n == 1) {
        for (uint32_t i = 0; i < n; i++)
            fn(ctx, i);
        return;
    }
    uint32_t generation = (uint32_t)(atomic_load(&p->ticket) >> 32) + 1;
    struct loop *loop = &p->loops[generation % 2];
    atomic_store(&loop->n, n);
    atomic_store(&loop->fn, fn);
    atomic_store(&loop->ctx, ctx);
    atomic_store(&p->done, 0);
    atomic_store(&p->ticket, (uint64_t)generation << 32);
    if (atomic_load(&p->sleepers) > 0)
        wake_all(p);
    work(p, generation);
    for (int i = 0; atomic_load(&p->done) < n; i++) {
        pause_cpu();
        if (i > SPINS_BEFORE_YIELD)
            sched_yield();
    }
}

uint64_t pool_clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
