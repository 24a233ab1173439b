/* prim.h - what may a kernel ask of the machine, and what exactly does it get?
 *
 * Every kernel in this folder is plain C-like C++ over the words below, and nothing else of CUDA but threadIdx,
 * blockIdx, blockDim and gridDim. Each word has two bodies: one for nvcc, and one (TM_CUDA_EMULATED) for an ordinary
 * C++ compiler, on which tests/gpu/emu.cc runs the same source thread by thread and reports races, divergence and stray
 * accesses.
 *
 *   DEVICE int f(..)            a function of the device
 *   KERNEL(threads) f(..)       a kernel for blocks of at most `threads` threads; returns nothing
 *   KERNEL_ALONE(threads) f(..) the same, and such a block may have a multiprocessor to itself: no registers are saved
 *   CONSTANT uint32_t t[4]      a table of constants
 *   LAUNCH(..)                  from the host; a launch that fails is found by cudaGetLastError(), as for any kernel
 *   LAUNCH_EARLY(..)            the same, and where the device can (sm_90) it may begin while launches before it run
 *   block_shared()              this block's shared memory, aligned to 16; as many bytes as LAUNCH was given. A kernel
 *                               lays a struct over it, so that its contents are declared in one place.
 *   shared_bytes_most()         from the host: how many that may be on this device
 *
 * Warps are whole: blocks have a multiple of 32 threads and every warp_..., mma_... and load_matrices() is met by all
 * 32 lanes. block_sync() orders shared and global memory in the block, warp_sync() in the warp; shuffles order nothing.
 *
 * A kernel that is launched early calls grid_wait() in every thread: then all launches before it have ended and what
 * they wrote can be seen. Before that it may read what no launch writes (weights) and write to shared memory, nothing
 * else. load_once() is for what no launch writes, load_again() for everything. grid_release() says that the launch
 * behind may have the multiprocessors as they become free; it is met first of all, so several launches may overlap,
 * and what is read before grid_wait() must not be written by any of them. prefetch() asks for bytes that will be read.
 *
 * Floats: float_... are the operations of NV1 1.2, one rounding each, whatever the compiler's flags.
 * Fragments: lane = 4 g + t. mma_k16 adds A (16 x 16) times B (16 x 8) to C (16 x 8), all exact:
 *   a[0] A(g, 4t..4t+3)   a[1] A(g+8, 4t..)   b[0] B(4t.., g)   c[0..1] C(g, 2t..2t+1)   c[2..3] C(g+8, 2t..)
 *   mma_k32: a[2], a[3], b[1] are the same of the columns 16..31.
 * Spec: NV1 1
 */
#ifndef TALLYMESH_KERNELS_CUDA_PRIM_H
#define TALLYMESH_KERNELS_CUDA_PRIM_H

#include <stddef.h>
#include <stdint.h>

static constexpr uint32_t WARP = 32;

#ifdef TM_CUDA_EMULATED
#include "kernels/cuda/prim_emulated.h"
#else
#include "kernels/cuda/prim_device.h"
#endif

/* --- what follows is the same on both ----------------------------------------------------------------------------- */

DEVICE uint32_t lane_id(void) { return threadIdx.x % WARP; }
DEVICE uint32_t warp_id(void) { return threadIdx.x / WARP; }

DEVICE uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
DEVICE uint32_t greatest(uint32_t a, uint32_t b) { return a > b ? a : b; }

DEVICE float float_from_bf16(uint16_t x) { return float_from_bits((uint32_t)x << 16); }

/* 2^(e - 128), the block scale of MXFP4 (kernels/blocks.c). */
DEVICE float float_from_e8m0_half(uint32_t e)
{
    return float_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
}

/* Bytes of x below 128, minus a constant below 128 in each byte, as signed bytes. */
DEVICE uint32_t bytes_minus(uint32_t x, uint32_t zero)
{
    return ((x | 0x80808080u) - zero * 0x01010101u) ^ 0x80808080u;
}

#endif
