/* exact_parts.h - exponentials and logarithms on a CUDA device, to the last bit those of kernels/exact_math.c.
 *
 * Spec: NV1 2
 */
#ifndef TALLYMESH_KERNELS_CUDA_EXACT_PARTS_H
#define TALLYMESH_KERNELS_CUDA_EXACT_PARTS_H

#include "kernels/cuda/prim.h"
#include "kernels/exact_series.h"

DEVICE bool is_finite(float x) { return (float_bits(x) & 0x7f800000u) != 0x7f800000u; }

/* c[0] + x (c[1] + x (..)), one fma each. */
template <int n> DEVICE float horner(const float (&c)[n], float x)
{
    float p = c[n - 1];
#pragma unroll
    for (int k = n - 2; k >= 0; k--)
        p = float_fma(p, x, c[k]);
    return p;
}

/* 2^n for integral n in [-126, 127]. */
DEVICE float power_of_two(float n) { return float_from_bits((uint32_t)(int_from_float(n) + 127) << 23); }

/* NV1 2.1; x is finite. */
DEVICE float exact_exp2(float x)
{
    const float c[] = EXACT_EXP2_SERIES;
    if (x < -126.0f)
        return 0.0f;
    x = x > 127.0f ? 127.0f : x;
    float n = float_rne(x);
    return float_mul(horner(c, float_sub(x, n)), power_of_two(n));
}

/* NV1 2.2; x is finite. */
DEVICE float exact_exp(float x)
{
    const float c[] = EXACT_EXP_SERIES;
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = float_rne(float_mul(x, 0x1.715476p+0f));
    float r = float_fma(n, -0x1.63p-1f, x);
    r = float_fma(n, 0x1.bd0106p-13f, r);
    return float_mul(horner(c, r), power_of_two(n));
}

/* NV1 2.3; d is integral and <= 0. */
DEVICE float exact_pow2(float d) { return d < -126.0f ? 0.0f : power_of_two(d); }

/* NV1 2.4 */
DEVICE float exact_ln1p(float f)
{
    const float c[] = { 0x1.555556p-2f, 0x1.99999ap-3f, 0x1.24924ap-3f, 0x1.c71c72p-4f };
    float s = float_div(f, float_add(2.0f, f));
    float z = float_mul(s, s);
    float p = float_mul(horner(c, z), z);
    float t = float_add(s, s);
    return float_fma(t, p, t);
}

/* NV1 2.5; x is normal and > 0. */
DEVICE float exact_ln(float x)
{
    uint32_t u = float_bits(x);
    int32_t e = (int32_t)(u >> 23) - 127;
    float m = float_from_bits((u & 0x007fffffu) | 0x3f800000u);
    if (m > 0x1.6a09e6p+0f) {
        m = float_mul(m, 0.5f);
        e = e + 1;
    }
    return float_fma(float_from_int(e), 0x1.62e43p-1f, exact_ln1p(float_sub(m, 1.0f)));
}

/* NV1 2.6 */
DEVICE float exact_silu(float x) { return x < -88.0f ? 0.0f : float_div(x, float_add(1.0f, exact_exp(-x))); }

/* The least integral fp32 not below x; zero is +0, as the law's C gives it. */
DEVICE float exact_ceil(float x) { return float_add(float_ceil(x), 0.0f); }

#endif
