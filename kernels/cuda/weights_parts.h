/* weights_parts.h - what the matrix kernels share: packed weights (pack.h) into the operands of mma_k32 and mma_k16.
 *
 * In every function lane = 4 g + t, and rows of a group are its 16. Step j and run r are constants after unrolling.
 * Spec: NV1 4.1
 */
#ifndef TALLYMESH_KERNELS_CUDA_WEIGHTS_PARTS_H
#define TALLYMESH_KERNELS_CUDA_WEIGHTS_PARTS_H

#include "kernels/cuda/matrix.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/prim.h"

/* A lane's share of a slab, codes and integer scales; what a type does not have is never touched. */
struct slab_words {
    uint4 low[4];
    uint4 high;
    uint2 scales[2];             /* rows g and g + 8 */
};

template <bool in_shared, class type> DEVICE type load_word(const void *p)
{
    return in_shared ? *(const type *)p : load_once((const type *)p);
}

template <enum cuda_type type, bool in_shared> DEVICE struct slab_words load_slab(const uint8_t *slab, uint32_t lane)
{
    struct slab_words w;
#pragma unroll
    for (uint32_t i = 0; i < pack_low_bits(type) / 2; i++)
        w.low[i] = load_word<in_shared, uint4>(slab + i * 512 + lane * 16);
    if (pack_high_bits(type) == 2)
        w.high = load_word<in_shared, uint4>(slab + pack_high_at(type) + lane * 16);
    if (pack_high_bits(type) == 1) {
        uint2 bits = load_word<in_shared, uint2>(slab + pack_high_at(type) + lane * 8);
        w.high = make_uint4(bits.x, bits.y, 0, 0);
    }
    if (!pack_is_super(type))
        return w;
    const uint8_t *scales = slab + pack_scales_at(type);
    constexpr bool wide = type == CUDA_Q3_K || type == CUDA_Q6_K;
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t row = lane / 4 + 8 * i;
        if (wide)
            w.scales[i] = load_word<in_shared, uint2>(scales + row * 8);
        else
            w.scales[i] = make_uint2(load_word<in_shared, uint32_t>(scales + row * 4), 0);
    }
    return w;
}

DEVICE uint32_t word_of(uint4 v, uint32_t i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }

/* Four codes in the low (half = 0) or high 16 bits of x to their weights. Entries 0..7 and 8..15 are picked apart, then
 * by the highest bit of each code. */
template <enum cuda_type type> DEVICE uint32_t look_up(uint32_t x, uint32_t half)
{
    constexpr bool mx = type == CUDA_MXFP4;                /* kernels/blocks.c has the tables as numbers */
    constexpr uint32_t t0 = mx ? 0x03020100u : 0xbfad9881u, t1 = mx ? 0x0c080604u : 0xf6eaddcfu;
    constexpr uint32_t t2 = mx ? 0xfdfeff00u : 0x26190d01u, t3 = mx ? 0xf4f8fafcu : 0x71594535u;
    uint32_t codes = half ? x >> 16 : x;
    uint32_t low = byte_pick(t0, t1, codes & 0x7777u), high = byte_pick(t2, t3, codes & 0x7777u);
    return byte_pick(low, high, 0x3210u | (codes & 0x8888u) >> 1);
}

/* The codes of step j (with a table or Q8_0: the weights), signed bytes: operand A of mma_k32. */
template <enum cuda_type type> DEVICE void decode_codes(uint32_t (&a)[4], const struct slab_words *w, uint32_t j)
{
#pragma unroll
    for (uint32_t r = 0; r < 4; r++) {
        if (pack_low_bits(type) == 8) {
            a[r] = word_of(w->low[j], r);
            continue;
        }
        uint32_t four = word_of(w->low[j / 2], j % 2 * 2 + r / 2);
        if (pack_has_table(type)) {
            a[r] = look_up<type>(four, r % 2);
            continue;
        }
        uint32_t code = pack_low_bits(type) == 2 ? word_of(w->low[0], j) >> (2 * r) & 0x03030303u
                                                 : four >> (4 * (r % 2)) & 0x0f0f0f0fu;
        if (pack_high_bits(type) == 1)
            code |= (word_of(w->high, j / 2) >> (4 * (j % 2) + r) & 0x01010101u) << pack_low_bits(type);
        if (pack_high_bits(type) == 2)
            code |= (word_of(w->high, j) >> (2 * r) & 0x03030303u) << pack_low_bits(type);
        a[r] = code;
    }
}

/* The weights of step j. */
template <enum cuda_type type> DEVICE void decode_step(uint32_t (&a)[4], const struct slab_words *w, uint32_t j)
{
    decode_codes<type>(a, w, j);
#pragma unroll
    for (uint32_t r = 0; r < 4; r++)
        if (pack_zero(type))
            a[r] = bytes_minus(a[r], pack_zero(type));
}

/* Four times what the zero adds to a code. */
template <enum cuda_type type> static constexpr uint32_t minus_zeros = (256 - pack_zero(type)) % 256 * 0x01010101u;

/* Integer scale of run r of the slab, of row g + 8 i. */
template <enum cuda_type type> DEVICE int32_t run_scale(const struct slab_words *w, uint32_t i, uint32_t r)
{
    if (type == CUDA_Q2_K)
        return (int32_t)(w->scales[i].x >> (4 * r) & 15);
    return (int8_t)((r < 4 ? w->scales[i].x : w->scales[i].y) >> (8 * (r % 4)));
}

/* Adds step j of a super-block to its sums S (NV1 4.1): each run's exact sum times its integer scale. a: weights or,
 * with `codes`, codes; then sums begin at -zero times the sum of the activations, by the matrix units. */
template <enum cuda_type type, bool codes>
DEVICE void add_step(int32_t (&s)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const struct slab_words *w,
                     uint32_t j)
{
    if constexpr (pack_run(type) == 32) {
        static_assert(!pack_is_super(type) || pack_zero(type) == 0);
        int32_t c[4] = { 0, 0, 0, 0 };
        mma_k32(c, a, b);
        for (uint32_t i = 0; i < 4; i++)
            s[i] += run_scale<type>(w, i / 2, j) * c[i];
    } else {
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
            int32_t c[4] = { 0, 0, 0, 0 };
            const uint32_t part[2] = { a[2 * half], a[2 * half + 1] };
            const uint32_t zeros[2] = { minus_zeros<type>, minus_zeros<type> };
            if (codes && pack_zero(type))
                mma_k16(c, zeros, b[half]);
            mma_k16(c, part, b[half]);
            for (uint32_t i = 0; i < 4; i++)
                s[i] += run_scale<type>(w, i / 2, 2 * j + half) * c[i];
        }
    }
}

/* The integer mins of a super-block as operand A of mma_k16, a column per 16 values. `fold` is what is behind the
 * slabs. */
template <enum cuda_type type, bool in_shared>
DEVICE void load_mins(uint32_t (&a)[2], const uint8_t *fold, uint32_t lane)
{
    uint32_t t = lane % 4;
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t two = load_word<in_shared, uint16_t>(fold + (lane / 4 + 8 * i) * 8 + t * 2);
        if (type == CUDA_Q2_K) {
            two = (two | two << 8) & 0x00ff00ffu;
            a[i] = (two | two << 4) & 0x0f0f0f0fu;
        } else {
            a[i] = byte_pick(two, 0, 0x1100);
        }
    }
}

/* B of NV1 4.1 from the two bytes of each sum of activations (struct cuda_acts). */
DEVICE void multiply_mins(int32_t (&out)[4], const uint32_t (&mins)[2], uint32_t low_bytes, uint32_t high_bytes)
{
    int32_t low[4] = { 0, 0, 0, 0 }, high[4] = { 0, 0, 0, 0 };
    mma_k16(low, mins, low_bytes);
    mma_k16(high, mins, high_bytes);
    for (uint32_t i = 0; i < 4; i++)
        out[i] = low[i] + 128 * high[i];
}

/* The float factor of a block of 32 as it is packed: fp16, or the byte of MXFP4. */
template <enum cuda_type type> DEVICE float block_factor(uint32_t bits)
{
    return type == CUDA_MXFP4 ? float_from_e8m0_half(bits) : float_from_half((uint16_t)bits);
}

/* Sum of 32 activations from the bytes of two sums of 16. */
DEVICE int32_t sum_of_32(uint32_t low_bytes, uint32_t high_bytes)
{
    int32_t low = (int8_t)low_bytes + (int8_t)(low_bytes >> 8);
    return low + 128 * ((int8_t)high_bytes + (int8_t)(high_bytes >> 8));
}

#endif
