/* pool_posix.c - a few threads that take chunks of one loop. */
#define _POSIX_C_SOURCE 200809L
#include "kernels/pool_posix.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/exact_math.h"

/* How long a thread looks for work, or for the end of a loop, before it sleeps: in pauses (some tens of nanoseconds). */
enum { SPINS_BEFORE_SLEEP = 1500 };

/* A loop is late if its end came so long after the caller ran out of items; a thread is then laid off for a time that
 * doubles while that keeps happening. */
enum { LATE_NS = 150000, LATE_ITEMS = 4, LAY_OFF_NS_MIN = 20000000, LAY_OFF_NS_MAX = 640000000 };

/* A loop. Two of them take turns, so that a thread that comes late to one loop never sees half of the next: it reads
 * the fields of its own generation and then must win an item of that same generation, which proves them valid. */
struct loop {
    _Atomic uint32_t n;
    void (*_Atomic fn)(void *ctx, uint32_t item);
    void *_Atomic ctx;
};

struct seat {
    struct pool *pool;
    uint32_t number;                 /* the caller has 0 */
};

struct pool {
    uint32_t threads;
    pthread_t *ids;
    struct seat *seats;
    uint32_t started;
    _Atomic uint64_t ticket;         /* generation << 32 | next item */
    _Atomic uint32_t done;           /* items of the current generation that are finished */
    struct loop loops[2];            /* by generation % 2 */
    _Atomic uint32_t sleepers;
    _Atomic bool caller_sleeps, quit;
    _Atomic uint32_t limit;          /* threads that may take part, the caller included */
    uint64_t lay_off_ns, lay_off_until;
    _Atomic uint32_t checked, bad_fpu;
    pthread_mutex_t lock;
    pthread_cond_t wake;             /* a new loop, for who takes part */
    pthread_cond_t hire;             /* the limit has risen, for who does not */
    pthread_cond_t finished;         /* for the caller */
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void finish_item(struct pool *p, uint32_t n)
{
    if (atomic_fetch_add(&p->done, 1) + 1 < n || !atomic_load(&p->caller_sleeps))
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->finished);
    pthread_mutex_unlock(&p->lock);
}

/* Returns how many items this thread did. */
static uint32_t work(struct pool *p, uint32_t generation)
{
    uint32_t did = 0;
    struct loop *loop = &p->loops[generation % 2];
    uint64_t t = atomic_load(&p->ticket);
    for (;;) {
        uint32_t n = atomic_load(&loop->n);
        void (*fn)(void *, uint32_t) = atomic_load(&loop->fn);
        void *ctx = atomic_load(&loop->ctx);
        if ((uint32_t)(t >> 32) != generation || (uint32_t)t >= n)
            return did;
        if (!atomic_compare_exchange_weak(&p->ticket, &t, t + 1))
            continue;
        fn(ctx, (uint32_t)t);
        did++;
        finish_item(p, n);
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

/* Sleeps while this seat is laid off. */
static void wait_for_hire(struct pool *p, uint32_t number)
{
    if (number < atomic_load(&p->limit))
        return;
    pthread_mutex_lock(&p->lock);
    while (number >= atomic_load(&p->limit) && !atomic_load(&p->quit))
        pthread_cond_wait(&p->hire, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void *thread_main(void *arg)
{
    const struct seat *seat = arg;
    struct pool *p = seat->pool;
    if (numerics_check_fpu() != OK)
        atomic_fetch_add(&p->bad_fpu, 1);
    atomic_fetch_add(&p->checked, 1);
    uint32_t seen = 0;
    while (!atomic_load(&p->quit)) {
        wait_for_hire(p, seat->number);
        uint32_t generation = (uint32_t)(atomic_load(&p->ticket) >> 32);
        for (int i = 0; generation == seen && i < SPINS_BEFORE_SLEEP; i++) {
            pause_cpu();
            generation = (uint32_t)(atomic_load(&p->ticket) >> 32);
        }
        if (generation == seen) {
            sleep_until_changed(p, seen);
            continue;
        }
        (void)work(p, generation);
        seen = generation;
    }
    return NULL;
}

static enum err start_threads(struct pool *p)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return ERR_MEMORY;
    int e = pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
    for (; e == 0 && p->started + 1 < p->threads; p->started += e == 0) {
        p->seats[p->started] = (struct seat){ .pool = p, .number = p->started + 1 };
        e = pthread_create(&p->ids[p->started], &attr, thread_main, &p->seats[p->started]);
    }
    pthread_attr_destroy(&attr);
    if (e != 0)
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
    p->seats = calloc(threads, sizeof *p->seats);
    p->limit = threads;
    p->lay_off_ns = LAY_OFF_NS_MIN;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->hire, NULL);
    pthread_cond_init(&p->finished, NULL);
    enum err e = p->ids && p->seats ? start_threads(p) : ERR_MEMORY;
    if (e != OK) {
        pool_close(p);
        return e;
    }
    *out = p;
    return OK;
}

static void wake_all(struct pool *p, pthread_cond_t *sleepers)
{
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(sleepers);
    pthread_mutex_unlock(&p->lock);
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->quit, true);
    wake_all(p, &p->wake);
    wake_all(p, &p->hire);
    for (uint32_t i = 0; i < p->started; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->hire);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->seats);
    free(p->ids);
    free(p);
}

uint32_t pool_threads(const struct pool *p) { return p->threads; }

uint32_t pool_threads_now(const struct pool *p) { return atomic_load(&p->limit); }

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void wait_until_done(struct pool *p, uint32_t n)
{
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        if (atomic_load(&p->done) == n)
            return;
        pause_cpu();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);             /* before done is read again: who finishes last then sees it */
    while (atomic_load(&p->done) < n)
        pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

/* After a loop: lays a thread off if the loop was late, hires one when the time of the last is over. */
static void adapt(struct pool *p, uint64_t now, bool late)
{
    uint32_t limit = atomic_load(&p->limit);
    if (late) {
        bool again = now < p->lay_off_until + p->lay_off_ns;
        p->lay_off_ns = !again ? LAY_OFF_NS_MIN : p->lay_off_ns * 2 < LAY_OFF_NS_MAX ? p->lay_off_ns * 2 : LAY_OFF_NS_MAX;
        p->lay_off_until = now + p->lay_off_ns;
        atomic_store(&p->limit, limit > 1 ? limit - 1 : 1);
    } else if (limit < p->threads && now >= p->lay_off_until) {
        p->lay_off_until = now;
        pthread_mutex_lock(&p->lock);
        atomic_store(&p->limit, limit + 1);
        pthread_cond_broadcast(&p->hire);
        pthread_mutex_unlock(&p->lock);
    }
}

static void run_alone(uint32_t n, void (*fn)(void *ctx, uint32_t item), void *ctx)
{
    for (uint32_t i = 0; i < n; i++)
        fn(ctx, i);
}

void pool_run(struct pool *p, uint32_t n, void (*fn)(void *ctx, uint32_t item), void *ctx)
{
    if (p->threads == 1 || n <= 1) {
        run_alone(n, fn, ctx);
        return;
    }
    uint64_t start = clock_ns();
    if (atomic_load(&p->limit) == 1) {
        run_alone(n, fn, ctx);
        adapt(p, start, false);
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
        wake_all(p, &p->wake);
    uint32_t did = work(p, generation);
    uint64_t ran_out = clock_ns();
    wait_until_done(p, n);
    uint64_t end = clock_ns(), item = (ran_out - start) / (did ? did : 1);
    adapt(p, end, end - ran_out > LATE_NS + LATE_ITEMS * item);
}

uint64_t pool_clock_us(void) { return clock_ns() / 1000; }
