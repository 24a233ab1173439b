/* pool_posix.h - a few threads that share one loop after another, and the clock that times them.
 *
 * pool_run() calls fn for every item in 0..n-1, on all threads including the caller's, and returns when all are done.
 * Items are handed out one by one, so a slow thread holds up only the item it has. Between loops the others spin for some
 * tens of microseconds and then sleep; a caller who waits for the last item does the same, which also lets the system move
 * the late thread to the core that has become free.
 *
 * Somebody else's program on one of our cores costs more than its share if every loop waits for the thread it has pushed
 * aside. So a loop that ends late lays one thread off for a while, up to all but the caller's; then it is tried again. The
 * speed follows what the machine has left.
 *
 * Owns:    threads - 1 POSIX threads.
 * Threads: one caller at a time. fn runs concurrently with itself on different items.
 */
#ifndef TALLYMESH_KERNELS_POOL_POSIX_H
#define TALLYMESH_KERNELS_POOL_POSIX_H

#include "crypto/base.h"

struct pool;

/* The stack of each thread: the widest kernels keep up to 200 KiB of results and inputs there, attention 80, and some C
 * libraries give a thread 128 KiB if nobody asks. Whoever calls pool_run() needs as much. */
enum { POOL_STACK_BYTES = 1 << 20 };

/* ERR_MEMORY: no memory or the system gives no threads. ERR_DEVICE: a thread's floating-point mode is not NV1's. */
enum err pool_open(uint32_t threads, struct pool **out) MUST_CHECK;
void pool_close(struct pool *p);
uint32_t pool_threads(const struct pool *p);
/* Threads that take part at the moment: pool_threads() unless others need the machine. */
uint32_t pool_threads_now(const struct pool *p);
void pool_run(struct pool *p, uint32_t n, void (*fn)(void *ctx, uint32_t item), void *ctx);

/* Microseconds since some start, never going back. */
uint64_t pool_clock_us(void);

#endif
