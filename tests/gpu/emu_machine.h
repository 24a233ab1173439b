/* emu_machine.h - the state of the emulated machine, shared by its parts.
 *
 *   emu.cc         launches, threads as fibers, barriers and warp collectives
 *   emu_memory.cc  buffers, who may touch what, and who did since which barrier
 */
#ifndef TALLYMESH_TESTS_GPU_EMU_MACHINE_H
#define TALLYMESH_TESTS_GPU_EMU_MACHINE_H

#include "kernels/cuda/prim.h"
#include "tests/gpu/emu.h"

enum : uint32_t {
    THREADS_MAX = 1024,
    WARPS_MAX = THREADS_MAX / WARP,
    STACK_BYTES = 128 * 1024,
    SHARED_MAX = 227 * 1024,     /* what a block can have on sm_90 */
    COPIES_MAX = 128             /* cp.async under way, per thread */
};

enum thread_state { READY, AT_WARP, AT_BLOCK, ENDED, STOPPED };

struct copy {
    uint8_t *to;
    uint8_t bytes[16];
    uint32_t n, group;
};

struct thread {
    enum thread_state state;
    bool may_touch;                      /* global memory: after grid_wait(), or the launch is not early */
    void *context;                       /* of the fiber while it waits */
    uint32_t copies_first, copies_end, group;
    struct copy copies[COPIES_MAX];      /* a ring */
};

struct warp {
    enum emu_op op;
    uint32_t arrived;                    /* lanes, one bit each */
    uint32_t syncs;                      /* warp_sync()s since the last block_sync() */
    uint64_t in[WARP][6];
    uint32_t out[WARP][4];
};

struct machine {
    bool running, early;
    const char *kernel;
    struct emu_index grid, block_size, block;
    uint32_t thread;                     /* the one that runs */
    uint32_t threads, at_block;
    size_t shared_bytes;
    /* An interval ends at each block_sync() and with each block; numbers never repeat. */
    uint32_t interval, block_first, launch_first;
    uint32_t queue_first;                /* the first of the last launch that was not early */
    void (*body)(const void *);
    const void *arguments;
    size_t arguments_bytes;
    uint64_t seed;
};

extern struct machine machine;
extern struct thread machine_threads[THREADS_MAX];
extern struct warp machine_warps[WARPS_MAX];
extern uint8_t machine_shared[SHARED_MAX];
extern uint8_t *machine_stacks;

/* A fault of the running thread (or of the host). */
void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The running thread goes no further. */
[[noreturn]] void stop_thread(void);

enum access { READ, WRITE, ATOMIC, COPY_BEGIN, COPY_END };
/* The running thread touches memory; a stray access is a fault and stops it. */
void touch(const void *p, size_t bytes, enum access how);
/* A new block begins: what lies in shared memory is junk. */
void memory_begin_block(void);

#endif
