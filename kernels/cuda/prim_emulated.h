/* prim_emulated.h - the words of prim.h on a CPU: what one thread of the emulated machine sees. Included by prim.h
 * alone.
 *
 * Arithmetic is done here; whatever involves other threads or time is asked of the emulator (tests/gpu/emu.h). The
 * kernel's loads and stores need no accessor: its object is compiled with -fsanitize=thread, whose calls the emulator
 * answers.
 */
#ifndef TALLYMESH_KERNELS_CUDA_PRIM_EMULATED_H
#define TALLYMESH_KERNELS_CUDA_PRIM_EMULATED_H

#include <math.h>
#include <string.h>

#include "kernels/cuda/prim.h"

#define DEVICE [[maybe_unused]] static inline
#define KERNEL(threads) static void
#define KERNEL_ALONE(threads) static void
#define CONSTANT static const

struct emu_index {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return uint4{ x, y, z, w }; }
static inline uint2 make_uint2(uint32_t x, uint32_t y) { return uint2{ x, y }; }
static inline float2 make_float2(float x, float y) { return float2{ x, y }; }
static inline float4 make_float4(float x, float y, float z, float w) { return float4{ x, y, z, w }; }

enum emu_op { EMU_SYNC, EMU_XOR, EMU_GET, EMU_SUM, EMU_MAX, EMU_BALLOT, EMU_MMA16, EMU_MMA32, EMU_MATRICES };
enum emu_atomic_op { EMU_ADD, EMU_OR, EMU_MOST };

extern "C" {
struct emu_index emu_thread_idx(void) __attribute__((const));
struct emu_index emu_block_idx(void) __attribute__((const));
struct emu_index emu_block_dim(void) __attribute__((const));
struct emu_index emu_grid_dim(void) __attribute__((const));
void *emu_shared(void);
size_t emu_shared_limit(void);
void emu_block_sync(void);
void emu_grid_wait(void);
void emu_prefetch(const void *from, size_t bytes);
/* Waits for all lanes with the same op, then hands out each lane's words. */
void emu_warp(enum emu_op op, const uint64_t *in, uint32_t in_count, uint32_t *out, uint32_t out_count);
void emu_copy_async(void *to, const void *from, size_t bytes, bool valid);
void emu_copy_commit(void);
void emu_copy_wait(uint32_t left);
uint64_t emu_atomic(enum emu_atomic_op op, void *p, size_t bytes, uint64_t x);
void emu_launch(const char *kernel, bool early, uint32_t grid_x, uint32_t grid_y, uint32_t threads,
                size_t shared_bytes, void (*body)(const void *), const void *arguments, size_t arguments_bytes);
}

#define threadIdx emu_thread_idx()
#define blockIdx emu_block_idx()
#define blockDim emu_block_dim()
#define gridDim emu_grid_dim()

template <class body> static void emu_call(const void *b) { (*(const body *)b)(); }

/* The arguments are taken by value here, as a launch does. */
template <class... to, class... from>
static void emu_start(const char *name, bool early, void (*kernel)(to...), uint32_t grid_x, uint32_t grid_y,
                      uint32_t threads, size_t shared_bytes, from... arguments)
{
    auto body = [=] { kernel(arguments...); };
    emu_launch(name, early, grid_x, grid_y, threads, shared_bytes, emu_call<decltype(body)>, &body, sizeof body);
}

#define EMU_START(early, kernel, grid_x, grid_y, threads, shared_bytes, stream, ...)                                   \
    do {                                                                                                               \
        (void)(stream);                                                                                                \
        emu_start(#kernel, early, kernel, (uint32_t)(grid_x), (uint32_t)(grid_y), threads, shared_bytes, __VA_ARGS__); \
    } while (0)
#define LAUNCH(...) EMU_START(false, __VA_ARGS__)
#define LAUNCH_EARLY(...) EMU_START(true, __VA_ARGS__)

static inline size_t shared_bytes_most(void) { return emu_shared_limit(); }

DEVICE void *block_shared(void) { return emu_shared(); }

/* --- order and lanes ---------------------------------------------------------------------------------------------- */

DEVICE void block_sync(void) { emu_block_sync(); }
DEVICE void grid_release(void) {}
DEVICE void grid_wait(void) { emu_grid_wait(); }
DEVICE void prefetch(const void *global, uint32_t bytes) { emu_prefetch(global, bytes); }

DEVICE uint32_t emu_ask(enum emu_op op, uint64_t a, uint64_t b)
{
    const uint64_t in[2] = { a, b };
    uint32_t out;
    emu_warp(op, in, 2, &out, 1);
    return out;
}

DEVICE uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
DEVICE float float_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

DEVICE void warp_sync(void) { (void)emu_ask(EMU_SYNC, 0, 0); }
DEVICE uint32_t warp_xor(uint32_t x, uint32_t with) { return emu_ask(EMU_XOR, x, with); }
DEVICE int32_t warp_xor(int32_t x, uint32_t with) { return (int32_t)warp_xor((uint32_t)x, with); }
DEVICE float warp_xor(float x, uint32_t with) { return float_from_bits(warp_xor(float_bits(x), with)); }
DEVICE uint32_t warp_get(uint32_t x, uint32_t lane) { return emu_ask(EMU_GET, x, lane); }
DEVICE int32_t warp_get(int32_t x, uint32_t lane) { return (int32_t)warp_get((uint32_t)x, lane); }
DEVICE float warp_get(float x, uint32_t lane) { return float_from_bits(warp_get(float_bits(x), lane)); }
DEVICE uint32_t warp_ballot(bool x) { return emu_ask(EMU_BALLOT, x, 0); }
DEVICE bool warp_any(bool x) { return warp_ballot(x) != 0; }
DEVICE int32_t warp_sum(int32_t x) { return (int32_t)emu_ask(EMU_SUM, (uint32_t)x, 0); }
DEVICE uint32_t warp_max(uint32_t x) { return emu_ask(EMU_MAX, x, 0); }

/* --- memory ------------------------------------------------------------------------------------------------------- */

template <class type> DEVICE type load_once(const type *p) { return *p; }
template <class type> DEVICE type load_again(const type *p) { return *p; }

DEVICE uint32_t atomic_add(uint32_t *p, uint32_t x) { return (uint32_t)emu_atomic(EMU_ADD, p, sizeof *p, x); }
DEVICE uint64_t atomic_add(uint64_t *p, uint64_t x) { return emu_atomic(EMU_ADD, p, sizeof *p, x); }
DEVICE uint32_t atomic_or(uint32_t *p, uint32_t x) { return (uint32_t)emu_atomic(EMU_OR, p, sizeof *p, x); }
DEVICE uint32_t atomic_max(uint32_t *p, uint32_t x) { return (uint32_t)emu_atomic(EMU_MOST, p, sizeof *p, x); }
DEVICE uint64_t atomic_max(uint64_t *p, uint64_t x) { return emu_atomic(EMU_MOST, p, sizeof *p, x); }

DEVICE void copy_async(void *shared, const void *global, bool valid) { emu_copy_async(shared, global, 16, valid); }
DEVICE void copy_word_async(void *shared, const void *global, bool valid) { emu_copy_async(shared, global, 4, valid); }
DEVICE void copy_commit(void) { emu_copy_commit(); }
template <int left> DEVICE void copy_wait(void) { emu_copy_wait(left); }

/* --- whole numbers ------------------------------------------------------------------------------------------------ */

DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t sum)
{
    for (uint32_t i = 0; i < 32; i += 8)
        sum += (int8_t)(a >> i) * (int8_t)(b >> i);
    return sum;
}
DEVICE int32_t dot4_unsigned(uint32_t a, uint32_t b, int32_t sum)
{
    for (uint32_t i = 0; i < 32; i += 8)
        sum += (uint8_t)(a >> i) * (int8_t)(b >> i);
    return sum;
}
/* As the machine has it: a nibble of 8 or more repeats the sign of the byte. */
DEVICE uint32_t byte_pick(uint32_t a, uint32_t b, uint32_t pick)
{
    uint64_t all = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t nibble = pick >> (4 * i) & 15;
        uint32_t byte = (uint32_t)(all >> (8 * (nibble & 7))) & 255;
        out |= (nibble & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
    }
    return out;
}
DEVICE uint32_t mul_high(uint32_t a, uint32_t b) { return (uint32_t)((uint64_t)a * b >> 32); }

DEVICE void emu_mma(enum emu_op op, int32_t (&c)[4], const uint64_t *in, uint32_t in_count)
{
    uint32_t sums[4];
    emu_warp(op, in, in_count, sums, 4);
    for (uint32_t i = 0; i < 4; i++)
        c[i] = (int32_t)((uint32_t)c[i] + sums[i]);
}
DEVICE void mma_k16(int32_t (&c)[4], const uint32_t (&a)[2], uint32_t b)
{
    const uint64_t in[3] = { a[0], a[1], b };
    emu_mma(EMU_MMA16, c, in, 3);
}
DEVICE void mma_k32(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    const uint64_t in[6] = { a[0], a[1], a[2], a[3], b[0], b[1] };
    emu_mma(EMU_MMA32, c, in, 6);
}
DEVICE void load_matrices(uint32_t (&r)[4], const void *row)
{
    const uint64_t in[1] = { (uint64_t)(uintptr_t)row };
    emu_warp(EMU_MATRICES, in, 1, r, 4);
}

/* --- floats: compiled with -ffp-contract=off ---------------------------------------------------------------------- */

DEVICE float float_mul(float a, float b) { return a * b; }
DEVICE float float_add(float a, float b) { return a + b; }
DEVICE float float_sub(float a, float b) { return a - b; }
DEVICE float float_div(float a, float b) { return a / b; }
DEVICE float float_sqrt(float a) { return sqrtf(a); }
DEVICE float float_fma(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE float float_from_int(int32_t i) { return (float)i; }
DEVICE float float_from_uint(uint32_t i) { return (float)i; }
DEVICE float float_from_u64(uint64_t i) { return (float)i; }
DEVICE float float_rne(float x) { return rintf(x); }
DEVICE float float_ceil(float x) { return ceilf(x); }
DEVICE int32_t int_from_float(float x) { return (int32_t)rintf(x); }
DEVICE float float_from_half(uint16_t h)
{
    uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0)
        return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}

#endif
