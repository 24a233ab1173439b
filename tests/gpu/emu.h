/* emu.h - does a kernel do on every machine that obeys CUDA's rules what it does here?
 *
 * A small machine that runs the kernels of kernels/cuda/ as they stand, compiled by an ordinary C++ compiler. Blocks
 * run one after another; a block's threads are fibers, switched only where CUDA makes a thread wait. So nothing here
 * depends on chance, and the order of blocks and threads is a seed's. Reported as faults:
 *
 *   race           two threads touch a byte, one writing, and no barrier stands between: block_sync() orders a block,
 *                  warp_sync() and being one thread a warp, and nothing orders two blocks of a launch
 *   divergence     lanes of a warp meet in different collectives, or some have ended
 *   deadlock       a barrier that not every thread of the block reaches
 *   stray access   outside the buffers of emu_alloc(), the block's shared memory and the thread's own stack; a write to
 *                  what is constant; shared memory that is read before anything was written there
 *   early access   by an early launch (LAUNCH_EARLY) before grid_wait(): it writes, or reads what a launch wrote that
 *                  may still run, that is any since the last one that was not early, or emu_settle(); or it ends
 *                  without grid_wait(). Launches run one after the other here, so what is read too early has the right
 *                  bytes by luck; therefore it is found by who wrote it, not by its value
 *
 * A thread that goes astray is stopped before it does harm. Results of cp.async are written at the latest moment the
 * rules allow and are junk until then.
 *
 * How it sees: the kernels' objects are compiled with -fsanitize=thread and not linked with that sanitizer: the
 * emulator answers its calls (__tsan_read4 and so on), so no load or store escapes and kernels need no accessors.
 *
 * Owns:    everything in one static machine: one launch at a time.
 * Threads: one.
 */
#ifndef TALLYMESH_TESTS_GPU_EMU_H
#define TALLYMESH_TESTS_GPU_EMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Device memory, aligned to 256 and full of junk. Aborts if there is none. The host may touch it between launches. */
void *emu_alloc(const char *name, size_t bytes);
void emu_free(void *p);
/* From now on kernels may not write there; saves the bookkeeping of writers, too. */
void emu_make_constant(void *p);

/* 0: threads and blocks in ascending order; else an order drawn from the seed, another for each block. */
void emu_set_seed(uint64_t seed);

/* Shared memory a block can have: 227 KB as on sm_90, until told otherwise (at most that). */
void emu_set_shared_limit(size_t bytes);

/* Faults since the last call, with the text of the first one (valid until the next launch; "" if none). Each of the
 * first few is also written to stderr, unless emu_expect_faults(true). */
uint32_t emu_take_faults(const char **first);
void emu_expect_faults(bool yes);

/* A launch as it was asked for; `arguments` live until emu_run() or the queue returns. */
struct emu_work {
    const char *kernel;
    bool early;
    uint32_t grid_x, grid_y, threads;
    size_t shared_bytes;
    void (*body)(const void *);
    const void *arguments;
    size_t arguments_bytes;
};
void emu_run(const struct emu_work *work);
/* A copy, or the host, has waited for all launches so far: none overlaps with an early one that comes now. */
void emu_settle(void);
/* Launches go there instead of being run at once (emu_runtime.c); NULL: at once. */
void emu_set_queue(void (*queue)(const struct emu_work *work));

/* The most shared memory any launch has asked for, and launches so far. */
size_t emu_shared_most(void);
uint64_t emu_launches(void);

#ifdef __cplusplus
}
#endif

#endif
