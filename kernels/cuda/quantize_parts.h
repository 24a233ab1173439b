/* quantize_parts.h - a block of 256 activations, eight neighbours in each lane of a warp (NV1 3.2), and limbs (3.3).
 *
 * Threads: device functions, met by whole warps.
 */
#ifndef TALLYMESH_KERNELS_CUDA_QUANTIZE_PARTS_H
#define TALLYMESH_KERNELS_CUDA_QUANTIZE_PARTS_H

#include "kernels/cuda/exact_parts.h"
#include "kernels/cuda/matrix.h"

enum { LANE_VALUES = CUDA_ACT_BLOCK / WARP, SCALE_LANES = WARP / CUDA_ACT_SCALES };

static constexpr float ACT_LEVELS = 127.0f, LIMB_LEVELS = 16256.0f;       /* 127 * 128 */

/* Values [at, at + 8) of a row of n; zero from n on. Rows of a multiple of 8 values are aligned for wide loads. */
DEVICE void load_values(const float *row, uint32_t at, uint32_t n, float (&v)[LANE_VALUES])
{
    if (n % LANE_VALUES == 0 && at < n) {
        const float4 *from = (const float4 *)(row + at);
        float4 a = from[0], b = from[1];
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
        v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++)
        v[i] = at + i < n ? row[at + i] : 0.0f;
}

DEVICE void store_values(float *row, uint32_t at, uint32_t n, const float (&v)[LANE_VALUES])
{
    if (n % LANE_VALUES == 0 && at < n) {
        float4 *to = (float4 *)(row + at);
        to[0] = float4{ v[0], v[1], v[2], v[3] };
        to[1] = float4{ v[4], v[5], v[6], v[7] };
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++)
        if (at + i < n)
            row[at + i] = v[i];
}

DEVICE uint32_t magnitude_bits(float x) { return float_bits(x) & 0x7fffffffu; }

/* From the greatest magnitude (as bits; NaN > infinity > finite) to scale and inverse. False: not finite. */
DEVICE bool quantize_scale(uint32_t most, float levels, float *d, float *inv)
{
    float amax = float_from_bits(most);
    *d = *inv = 0.0f;
    if (most >= 0x7f800000u)
        return false;
    if (amax < 0x1p-100f)
        return true;
    *d = float_div(amax, levels);
    *inv = float_div(levels, amax);
    return true;
}

/* |x * inv| <= levels (1 + 2^-23), so it rounds to at most `levels`. Where inv is zero the group is zero. */
DEVICE int32_t quantize_value(float x, float inv) { return inv == 0.0f ? 0 : int_from_float(float_mul(x, inv)); }

/* r = 128 high + low, low in -64..63: both as bytes, high first. */
DEVICE uint32_t limbs_of(float x, float inv)
{
    int32_t r = quantize_value(x, inv), high = (r + 64) >> 7;
    return ((uint32_t)high & 255u) | ((uint32_t)(r - 128 * high) & 255u) << 8;
}

/* The greatest of each group: a scale's lanes are four neighbours. */
DEVICE uint32_t group_max(uint32_t x, uint32_t group)
{
    if (group == CUDA_ACT_BLOCK)
        return warp_max(x);
    for (uint32_t h = 1; h < SCALE_LANES; h *= 2)
        x = greatest(x, warp_xor(x, h));
    return x;
}

/* Block `block` of row `row`. False, in all lanes: a value is not finite, and its group is zero. */
DEVICE bool quantize_block(const float (&v)[LANE_VALUES], const struct cuda_acts &to, uint32_t row, uint32_t block)
{
    uint32_t lane = lane_id(), most = 0, words[2] = { 0, 0 };
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++)
        most = magnitude_bits(v[i]) > most ? magnitude_bits(v[i]) : most;
    float d, inv;
    bool finite = quantize_scale(group_max(most, to.group), ACT_LEVELS, &d, &inv);
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++)
        words[i / 4] |= ((uint32_t)quantize_value(v[i], inv) & 255u) << (8 * (i % 4));
    size_t at = (size_t)row * ((to.cols + CUDA_ACT_BLOCK - 1) / CUDA_ACT_BLOCK) + block;
    *(uint2 *)(to.q + at * CUDA_ACT_BLOCK + lane * LANE_VALUES) = make_uint2(words[0], words[1]);
    int32_t sum = dot4(words[0], 0x01010101, dot4(words[1], 0x01010101, 0));
    sum += warp_xor(sum, 1);
    if (lane % 2 == 0) {
        to.sums[at * CUDA_ACT_SUMS + lane / 2] = (int8_t)(sum & 127);
        to.sums[at * CUDA_ACT_SUMS + 16 + lane / 2] = (int8_t)(sum >> 7);
    }
    if (lane % SCALE_LANES == 0)
        to.d[at * CUDA_ACT_SCALES + lane / SCALE_LANES] = d;
    return warp_ballot(!finite) == 0;
}

#endif
