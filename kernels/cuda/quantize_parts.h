/* quantize_parts.h - a block of 256 activations, eight neighbours in each lane of a warp (NV1 3.2).
 *
 * Threads: device functions, met by whole warps.
 */
#ifndef TALLYMESH_KERNELS_CUDA_QUANTIZE_PARTS_H
#define TALLYMESH_KERNELS_CUDA_QUANTIZE_PARTS_H

#include "kernels/cuda/exact_parts.h"
#include "kernels/cuda/matrix.h"

enum { LANE_VALUES = CUDA_ACT_BLOCK / WARP };

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
DEVICE bool quantize_scale(uint32_t most, float *d, float *inv)
{
    float amax = float_from_bits(most);
    *d = *inv = 0.0f;
    if (most >= 0x7f800000u)
        return false;
    if (amax < 0x1p-100f)
        return true;
    *d = float_div(amax, 127.0f);
    *inv = float_div(127.0f, amax);
    return true;
}

/* |x * inv| <= 127 (1 + 2^-23), so it rounds into a byte. Where inv is zero the block's bytes are zero. */
DEVICE uint32_t quantize_byte(float x, float inv)
{
    return inv == 0.0f ? 0 : (uint32_t)int_from_float(float_mul(x, inv)) & 255u;
}

/* Block `block` of row `row`. False: a value is not finite, and the block is zero. */
DEVICE bool quantize_block(const float (&v)[LANE_VALUES], const struct cuda_acts &to, uint32_t row, uint32_t block)
{
    uint32_t lane = lane_id(), most = 0, words[2] = { 0, 0 };
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++)
        most = magnitude_bits(v[i]) > most ? magnitude_bits(v[i]) : most;
    float d, inv;
    bool finite = quantize_scale(warp_max(most), &d, &inv);
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++)
        words[i / 4] |= quantize_byte(v[i], inv) << (8 * (i % 4));
    size_t at = (size_t)row * ((to.cols + CUDA_ACT_BLOCK - 1) / CUDA_ACT_BLOCK) + block;
    *(uint2 *)(to.q + at * CUDA_ACT_BLOCK + lane * LANE_VALUES) = make_uint2(words[0], words[1]);
    int32_t sum = dot4(words[0], 0x01010101, dot4(words[1], 0x01010101, 0));
    sum += warp_xor(sum, 1);
    if (lane % 2 == 0) {
        to.sums[at * CUDA_ACT_SUMS + lane / 2] = (int8_t)(sum & 127);
        to.sums[at * CUDA_ACT_SUMS + 16 + lane / 2] = (int8_t)(sum >> 7);
    }
    if (lane == 0)
        to.d[at] = d;
    return finite;
}

#endif
