/* prim_device.h - the words of prim.h on a GPU. Included by prim.h alone. */
#ifndef TALLYMESH_KERNELS_CUDA_PRIM_DEVICE_H
#define TALLYMESH_KERNELS_CUDA_PRIM_DEVICE_H

#include <cuda_runtime.h>

#include "kernels/cuda/prim.h"

#define DEVICE static __device__ __forceinline__
#define KERNEL(threads) static __global__ void __launch_bounds__(threads)
#define KERNEL_ALONE(threads) static __global__ void __launch_bounds__(threads, 1)
#define CONSTANT static __constant__ const

/* More than 48 KB of shared memory has to be asked for. */
#define LAUNCH(kernel, grid_x, grid_y, threads, shared_bytes, stream, ...)                                             \
    do {                                                                                                               \
        if ((shared_bytes) > 48 * 1024)                                                                                \
            (void)cudaFuncSetAttribute((const void *)(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,            \
                                       (int)(shared_bytes));                                                           \
        (kernel)<<<dim3((unsigned)(grid_x), (unsigned)(grid_y)), (threads), (shared_bytes), (stream)>>>(__VA_ARGS__); \
    } while (0)

/* May a kernel of this device begin before its predecessor has ended? Programs carry machine code of the device's own
 * generation, never PTX, so from 9.0 on kernels have been compiled with what __CUDA_ARCH__ >= 900 guards below. */
static inline bool can_begin_early(void)
{
    int device = 0, major = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && major >= 9;
}

template <class... to, class... from>
static inline void launch_early(void (*kernel)(to...), dim3 grid, dim3 threads, size_t shared_bytes,
                                struct CUstream_st *stream, from... arguments)
{
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    config.attrs = &early;
    config.numAttrs = can_begin_early() ? 1 : 0;
    (void)cudaLaunchKernelEx(&config, kernel, to(arguments)...);
}

#define LAUNCH_EARLY(kernel, grid_x, grid_y, threads, shared_bytes, stream, ...)                                       \
    do {                                                                                                               \
        if ((shared_bytes) > 48 * 1024)                                                                                \
            (void)cudaFuncSetAttribute((const void *)(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,            \
                                       (int)(shared_bytes));                                                           \
        launch_early((kernel), dim3((unsigned)(grid_x), (unsigned)(grid_y)), dim3(threads), (shared_bytes), (stream),  \
                     __VA_ARGS__);                                                                                     \
    } while (0)

/* Bytes of shared memory that a block can have on the current device; 48 KB if it does not say. */
static inline size_t shared_bytes_most(void)
{
    int device = 0, bytes = 0;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess)
        return 48 * 1024;
    return (size_t)bytes;
}

extern __shared__ uint4 prim_shared_bytes[];

DEVICE void *block_shared(void) { return prim_shared_bytes; }

/* --- order -------------------------------------------------------------------------------------------------------- */

DEVICE void block_sync(void) { __syncthreads(); }
DEVICE void warp_sync(void) { __syncwarp(); }

/* --- between launches --------------------------------------------------------------------------------------------- */

DEVICE void grid_release(void)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
DEVICE void grid_wait(void)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* Both multiples of 16. Into L2, without a register; before sm_90 nothing. */
DEVICE void prefetch(const void *global, uint32_t bytes)
{
#if __CUDA_ARCH__ >= 900
    if (bytes > 0)
        asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(global), "r"(bytes));
#endif
}

/* --- between lanes ------------------------------------------------------------------------------------------------ */

DEVICE int32_t warp_xor(int32_t x, uint32_t with) { return __shfl_xor_sync(~0u, x, (int)with); }
DEVICE uint32_t warp_xor(uint32_t x, uint32_t with) { return __shfl_xor_sync(~0u, x, (int)with); }
DEVICE float warp_xor(float x, uint32_t with) { return __shfl_xor_sync(~0u, x, (int)with); }
DEVICE int32_t warp_get(int32_t x, uint32_t lane) { return __shfl_sync(~0u, x, (int)lane); }
DEVICE uint32_t warp_get(uint32_t x, uint32_t lane) { return __shfl_sync(~0u, x, (int)lane); }
DEVICE float warp_get(float x, uint32_t lane) { return __shfl_sync(~0u, x, (int)lane); }
DEVICE bool warp_any(bool x) { return __any_sync(~0u, x) != 0; }
DEVICE uint32_t warp_ballot(bool x) { return __ballot_sync(~0u, x); }

DEVICE int32_t warp_sum(int32_t x)
{
#if __CUDA_ARCH__ >= 800
    return __reduce_add_sync(~0u, x);
#else
    for (uint32_t h = 16; h >= 1; h /= 2)
        x += warp_xor(x, h);
    return x;
#endif
}

DEVICE uint32_t warp_max(uint32_t x)
{
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(~0u, x);
#else
    for (uint32_t h = 16; h >= 1; h /= 2)
        x = max(x, warp_xor(x, h));
    return x;
#endif
}

/* --- global memory ------------------------------------------------------------------------------------------------- *
 * load_once: weights, read once in a pass, take no room in L1; never written while a kernel runs (.nc). load_again:
 * what other threads will read as well. It is an ordinary load: a launch that began early may have a predecessor that
 * still writes there, and .nc promises nothing then. */

DEVICE uint4 load_once(const uint4 *p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}
DEVICE uint2 load_once(const uint2 *p)
{
    uint2 v;
    asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
    return v;
}
DEVICE uint32_t load_once(const uint32_t *p)
{
    uint32_t v;
    asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}
DEVICE uint16_t load_once(const uint16_t *p) { return __ldcs(p); }
DEVICE uint4 load_again(const uint4 *p) { return *p; }
DEVICE uint2 load_again(const uint2 *p) { return *p; }
DEVICE uint32_t load_again(const uint32_t *p) { return *p; }
DEVICE uint16_t load_again(const uint16_t *p) { return *p; }
DEVICE float load_again(const float *p) { return *p; }

/* Whole-number atomics; each returns what was there before. Floats have none: their sums would have no order. */
DEVICE uint32_t atomic_add(uint32_t *p, uint32_t x) { return atomicAdd(p, x); }
DEVICE uint64_t atomic_add(uint64_t *p, uint64_t x) { return atomicAdd((unsigned long long *)p, x + 0ull); }
DEVICE uint32_t atomic_or(uint32_t *p, uint32_t x) { return atomicOr(p, x); }
DEVICE uint32_t atomic_max(uint32_t *p, uint32_t x) { return atomicMax(p, x); }
DEVICE uint64_t atomic_max(uint64_t *p, uint64_t x) { return atomicMax((unsigned long long *)p, x + 0ull); }

/* --- global to shared memory, behind the thread's back ------------------------------------------------------------- *
 * 16 bytes, both sides aligned; zeros if not `valid`. The bytes are there for this thread after copy_wait(), for others
 * after a barrier too. copy_wait<n>() leaves the latest n committed groups under way. Before sm_80: copied at once. */

DEVICE void copy_async(void *shared, const void *global, bool valid)
{
#if __CUDA_ARCH__ >= 800
    uint32_t to = (uint32_t)__cvta_generic_to_shared(shared), bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
#else
    *(uint4 *)shared = valid ? __ldg((const uint4 *)global) : make_uint4(0, 0, 0, 0);
#endif
}
/* The same of four bytes, which may be kept in L1. */
DEVICE void copy_word_async(void *shared, const void *global, bool valid)
{
#if __CUDA_ARCH__ >= 800
    uint32_t to = (uint32_t)__cvta_generic_to_shared(shared), bytes = valid ? 4 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
#else
    *(uint32_t *)shared = valid ? __ldg((const uint32_t *)global) : 0;
#endif
}
DEVICE void copy_commit(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int left> DEVICE void copy_wait(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#endif
}

/* --- whole numbers ------------------------------------------------------------------------------------------------ */

/* sum + four products of signed bytes; of unsigned bytes of a with signed ones of b. */
DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t sum) { return __dp4a((int)a, (int)b, sum); }
DEVICE int32_t dot4_unsigned(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t d;
    asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(sum));
    return d;
}

/* Byte i of the result is byte (nibble i of `pick`, below 8) of the eight bytes b:a. */
DEVICE uint32_t byte_pick(uint32_t a, uint32_t b, uint32_t pick) { return __byte_perm(a, b, pick); }
DEVICE uint32_t mul_high(uint32_t a, uint32_t b) { return __umulhi(a, b); }

/* volatile: whole warps must meet in them, so the compiler may not move one into a branch that wants its result. */
DEVICE void mma_k16(int32_t (&c)[4], const uint32_t (&a)[2], uint32_t b)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b));
#else
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                 : "+r"(c[0]), "+r"(c[1])
                 : "r"(a[0]), "r"(b));
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                 : "+r"(c[2]), "+r"(c[3])
                 : "r"(a[1]), "r"(b));
#endif
}

DEVICE void mma_k32(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    const uint32_t low[2] = { a[0], a[1] }, high[2] = { a[2], a[3] };
    mma_k16(c, low, b[0]);
    mma_k16(c, high, b[1]);
#endif
}

/* Four 8 x 16-byte matrices from shared memory: lane l gives the address of row l % 8 of matrix l / 8 (16 bytes,
 * aligned) and gets in r[i] bytes 4t..4t+3 of row g of matrix i. */
DEVICE void load_matrices(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(row))
                 : "memory");
}

/* --- floats (NV1 1.2, 1.3, 1.5) ----------------------------------------------------------------------------------- */

DEVICE float float_mul(float a, float b) { return __fmul_rn(a, b); }
DEVICE float float_add(float a, float b) { return __fadd_rn(a, b); }
DEVICE float float_sub(float a, float b) { return __fsub_rn(a, b); }
DEVICE float float_div(float a, float b) { return __fdiv_rn(a, b); }
DEVICE float float_sqrt(float a) { return __fsqrt_rn(a); }
DEVICE float float_fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE float float_from_int(int32_t i) { return __int2float_rn(i); }
DEVICE float float_from_uint(uint32_t i) { return __uint2float_rn(i); }
DEVICE float float_from_u64(uint64_t i) { return __ull2float_rn((unsigned long long)i); }
DEVICE float float_rne(float x) { return rintf(x); }
DEVICE float float_ceil(float x) { return ceilf(x); }
DEVICE int32_t int_from_float(float x) { return __float2int_rn(x); }       /* rne(x), |x| < 2^31 */
DEVICE uint32_t float_bits(float x) { return __float_as_uint(x); }
DEVICE float float_from_bits(uint32_t u) { return __uint_as_float(u); }
DEVICE float float_from_half(uint16_t h)
{
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}

#endif
