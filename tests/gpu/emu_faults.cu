/* emu_faults.cu - kernels that break one rule each, and the same done rightly, to see that the emulator sees it. */
#include "tests/gpu/emu_faults.h"

#include "kernels/cuda/prim.h"

static constexpr uint32_t THREADS = 64;

/* Each thread writes a word and reads its neighbour's. */
KERNEL(THREADS) neighbours(uint32_t *out, bool with_barrier)
{
    uint32_t *shared = (uint32_t *)block_shared();
    shared[threadIdx.x] = 0;
    block_sync();
    shared[threadIdx.x] = threadIdx.x;
    if (with_barrier)
        block_sync();
    out[blockIdx.x * THREADS + threadIdx.x] = shared[(threadIdx.x + 1) % THREADS];
}

/* The neighbour in the warp: warp_sync() is enough. */
KERNEL(THREADS) warp_neighbours(uint32_t *out, bool with_barrier)
{
    uint32_t *shared = (uint32_t *)block_shared();
    uint32_t lane = lane_id(), first = warp_id() * WARP;
    shared[threadIdx.x] = 0;
    block_sync();
    shared[threadIdx.x] = threadIdx.x;
    if (with_barrier)
        warp_sync();
    else
        (void)warp_xor(lane, 1);                       /* lanes meet, memory is not ordered */
    out[blockIdx.x * THREADS + threadIdx.x] = shared[first + (lane + 1) % WARP];
}

/* A read, then a write by another thread. */
KERNEL(THREADS) write_after_read(uint32_t *out, bool with_barrier)
{
    uint32_t *shared = (uint32_t *)block_shared();
    shared[threadIdx.x] = threadIdx.x;
    block_sync();
    uint32_t mine = shared[(threadIdx.x + 33) % THREADS];
    if (with_barrier)
        block_sync();
    shared[threadIdx.x] = mine;
    out[blockIdx.x * THREADS + threadIdx.x] = mine;
}

KERNEL(THREADS) one_place(uint32_t *out, bool rightly)
{
    if (rightly)
        (void)atomic_add(out, 1u);
    else
        *out = *out + 1;
}

KERNEL(THREADS) blocks_share(uint32_t *out, bool rightly)
{
    out[(rightly ? blockIdx.x * THREADS : 0) + threadIdx.x] = blockIdx.x;
}

KERNEL(THREADS) missing_thread(uint32_t *out, bool rightly)
{
    if (!rightly && threadIdx.x == 40)
        return;
    block_sync();
    out[blockIdx.x * THREADS + threadIdx.x] = 1;
}

KERNEL(THREADS) diverging(uint32_t *out, bool rightly)
{
    uint32_t got = rightly || threadIdx.x % 2 ? warp_xor(threadIdx.x, 1) : warp_max(threadIdx.x);
    out[blockIdx.x * THREADS + threadIdx.x] = got;
}

KERNEL(THREADS) beyond_buffer(uint32_t *out, bool rightly)
{
    uint32_t at = blockIdx.x * THREADS + threadIdx.x;
    out[at + (!rightly && at == 2 * THREADS - 1)] = 1;
}

KERNEL(THREADS) beyond_shared(uint32_t *out, bool rightly)
{
    uint32_t *shared = (uint32_t *)block_shared();
    shared[threadIdx.x + (!rightly && threadIdx.x == THREADS - 1)] = 1;
    out[blockIdx.x * THREADS + threadIdx.x] = shared[threadIdx.x];
}

KERNEL(THREADS) never_written(uint32_t *out, bool rightly)
{
    uint32_t *shared = (uint32_t *)block_shared();
    if (rightly || threadIdx.x != 7)
        shared[threadIdx.x] = 1;
    out[blockIdx.x * THREADS + threadIdx.x] = shared[threadIdx.x];
}

/* Two threads write two bytes of one word: no race. */
KERNEL(THREADS) bytes_of_a_word(uint32_t *out, bool rightly)
{
    uint8_t *bytes = (uint8_t *)out + (size_t)blockIdx.x * THREADS * 4;
    for (uint32_t i = 0; i < 4; i++)
        bytes[rightly ? i * THREADS + threadIdx.x : i + threadIdx.x] = (uint8_t)i;
}

/* Bytes on their way are not there before copy_wait(), and for others not before a barrier. */
KERNEL(THREADS) copies(uint32_t *out, const uint32_t *from, bool rightly)
{
    uint32_t *shared = (uint32_t *)block_shared();
    if (threadIdx.x < THREADS / 4)
        copy_async(shared + 4 * threadIdx.x, from + 4 * threadIdx.x, true);
    copy_commit();
    if (rightly)
        copy_wait<0>();
    block_sync();
    out[blockIdx.x * THREADS + threadIdx.x] = shared[threadIdx.x];
}

KERNEL(THREADS) numbers(uint32_t *out) { out[blockIdx.x * THREADS + threadIdx.x] = threadIdx.x; }

KERNEL(THREADS) only_waits(uint32_t *) { grid_wait(); }

KERNEL(THREADS) reads_early(uint32_t *out, const uint32_t *from, bool rightly)
{
    uint32_t at = blockIdx.x * THREADS + threadIdx.x, constant = from[threadIdx.x], before = rightly ? 0 : out[at];
    grid_wait();
    out[at] = (rightly ? out[at] : before) + constant;
}

KERNEL(THREADS) writes_early(uint32_t *out, bool rightly)
{
    if (rightly)
        grid_wait();
    out[blockIdx.x * THREADS + threadIdx.x] = 1;
    grid_wait();
}

KERNEL(THREADS) never_waits(uint32_t *out, bool rightly)
{
    if (rightly || threadIdx.x != 5)
        grid_wait();
    if (rightly)
        out[blockIdx.x * THREADS + threadIdx.x] = 1;
}

#define CASE(kernel)                                                                                                   \
    case FAULT_##kernel:                                                                                               \
        LAUNCH(kernel, 2, 1, THREADS, THREADS * 4, 0, out, rightly);                                                   \
        return

extern "C" void emu_faults_run(enum fault_case which, uint32_t *out, const uint32_t *from, bool rightly)
{
    switch (which) {
        CASE(neighbours);
        CASE(warp_neighbours);
        CASE(write_after_read);
        CASE(one_place);
        CASE(blocks_share);
        CASE(missing_thread);
        CASE(diverging);
        CASE(beyond_buffer);
        CASE(beyond_shared);
        CASE(never_written);
        CASE(bytes_of_a_word);
    case FAULT_reads_early:                            /* what a launch before the one before it wrote */
        LAUNCH(numbers, 2, 1, THREADS, 0, 0, out);
        LAUNCH_EARLY(only_waits, 2, 1, THREADS, 0, 0, out);
        LAUNCH_EARLY(reads_early, 2, 1, THREADS, 0, 0, out, from, rightly);
        return;
    case FAULT_writes_early: LAUNCH_EARLY(writes_early, 2, 1, THREADS, 0, 0, out, rightly); return;
    case FAULT_never_waits: LAUNCH_EARLY(never_waits, 2, 1, THREADS, 0, 0, out, rightly); return;
    case FAULT_copies:
        LAUNCH(copies, 2, 1, THREADS, THREADS * 4, 0, out, from, rightly);
        return;
    }
}

/* --- the arithmetic of the fragments ------------------------------------------------------------------------------ */

KERNEL(WARP) multiply_tiles(const int8_t *a, const int8_t *b, int32_t *c, bool wide)
{
    uint32_t g = lane_id() / 4, t = lane_id() % 4;
    int32_t sums[4] = { 1, 2, 3, 4 };
    const uint32_t *rows = (const uint32_t *)a, *columns = (const uint32_t *)b;
    uint32_t words[4], column[2];
    for (uint32_t i = 0; i < 4; i++)
        words[i] = rows[(g + i % 2 * 8) * 8 + i / 2 * 4 + t];
    for (uint32_t i = 0; i < 2; i++)
        column[i] = columns[g * 8 + i * 4 + t];
    if (wide) {
        mma_k32(sums, words, column);
    } else {
        const uint32_t left[2] = { words[0], words[1] }, right[2] = { words[2], words[3] };
        mma_k16(sums, left, column[0]);
        mma_k16(sums, right, column[1]);
    }
    for (uint32_t i = 0; i < 4; i++)
        c[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = sums[i] - (int32_t)(i + 1);
}

extern "C" void emu_multiply_tiles(const int8_t *a, const int8_t *b, int32_t *c, bool wide)
{
    LAUNCH(multiply_tiles, 1, 1, WARP, 0, 0, a, b, c, wide);
}
