/* exact_math.c - NV1 2 and 6: exponentials, logarithm, sine and cosine, the same everywhere. */
#include "kernels/exact_math.h"

#include <float.h>
#include <math.h>

#include "kernels/exact_series.h"

/* x87 would compute in 80 bits and round twice: such a target cannot run NV1. */
_Static_assert(FLT_EVAL_METHOD == 0, "NV1 needs every operation rounded to its own type (on 32-bit x86: -mfpmath=sse)");

enum err numerics_check_fpu(void)
{
    /* volatile: asked of the machine at run time, not of the compiler. */
    volatile float one = 1.0f, half_ulp = 0x1p-24f, tiny = 0x1p-149f, small = 0x1p-126f;
    volatile double one64 = 1.0, half_ulp64 = 0x1p-53, tiny64 = 0x1p-1074, small64 = 0x1p-1022;
    bool nearest = one + half_ulp == one && one + 3 * half_ulp == one + 4 * half_ulp &&
                   -one - 3 * half_ulp == -one - 4 * half_ulp;
    bool nearest64 = one64 + half_ulp64 == one64 && one64 + 3 * half_ulp64 == one64 + 4 * half_ulp64;
    bool keeps_result = small * 0.5f == 0x1p-127f && small64 * 0.5 == 0x1p-1023;
    bool keeps_input = tiny * 0x1p30f == 0x1p-119f && tiny64 * 0x1p30 == 0x1p-1044;
    return nearest && nearest64 && keeps_result && keeps_input ? OK : ERR_DEVICE;
}

float exact_ceil(float x)
{
    if (x >= 0x1p22f || x <= -0x1p22f) {
        /* Above 2^23 all fp32 are integral; between 2^22 and 2^23 the conversion to an integer is still exact. */
        if (x >= 0x1p23f || x <= -0x1p23f)
            return x;
        float t = (float)(int32_t)x;
        return t < x ? t + 1.0f : t;
    }
    float n = exact_rne(x);
    return n < x ? n + 1.0f : n;
}

static float horner(const float *c, int degree, float x)
{
    float p = c[degree];
    for (int k = degree - 1; k >= 0; k--)
        p = fmaf(p, x, c[k]);
    return p;
}

/* 2^n for n in [-126, 127]. */
static float power_of_two(float n)
{
    return float_from_bits((uint32_t)((int32_t)n + 127) << 23);
}

float exact_exp2(float x)
{
    static const float c[] = EXACT_EXP2_SERIES;
    if (x < -126.0f)
        return 0.0f;
    if (x > 127.0f)
        x = 127.0f;
    float n = exact_rne(x);
    float f = x - n;
    return horner(c, 7, f) * power_of_two(n);
}

float exact_exp(float x)
{
    static const float c[] = EXACT_EXP_SERIES;
    if (x < -87.0f)
        x = -87.0f;
    if (x > 88.0f)
        x = 88.0f;
    float n = exact_rne(x * 0x1.715476p+0f);
    float r = fmaf(n, -0x1.63p-1f, x);
    r = fmaf(n, 0x1.bd0106p-13f, r);
    return horner(c, 7, r) * power_of_two(n);
}

float exact_pow2(float d)
{
    return d < -126.0f ? 0.0f : power_of_two(d);
}

float exact_ln1p(float f)
{
    static const float c[] = { 0x1.555556p-2f, 0x1.99999ap-3f, 0x1.24924ap-3f, 0x1.c71c72p-4f };
    float s = f / (2.0f + f);
    float z = s * s;
    float p = horner(c, 3, z) * z;
    float t = s + s;
    return fmaf(t, p, t);
}

float exact_ln(float x)
{
    uint32_t u = float_bits(x);
    int32_t e = (int32_t)(u >> 23) - 127;
    float m = float_from_bits((u & 0x007fffffu) | 0x3f800000u);
    if (m > 0x1.6a09e6p+0f) {
        m = m * 0.5f;
        e = e + 1;
    }
    return fmaf((float)e, 0x1.62e43p-1f, exact_ln1p(m - 1.0f));
}

float exact_silu(float x)
{
    return x < -88.0f ? 0.0f : x / (1.0f + exact_exp(-x));
}

float exact_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0)
        return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;      /* subnormal half: an exact product */
    return sign ? -magnitude : magnitude;
}

/* --- fp64, for the rotary angles: separate * and +, never fma ------------------------------------------------ */

static double rne64(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

/* 1 / k!, each the fp64 quotient; every k! here is exact. */
static const double INVERSE_FACTORIAL[] = {
    1.0 / 1.0,
    1.0 / 1.0,
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362880.0,
    1.0 / 3628800.0,
    1.0 / 39916800.0,
    1.0 / 479001600.0,
    1.0 / 6227020800.0,
    1.0 / 87178291200.0,
    1.0 / 1307674368000.0,
    1.0 / 20922789888000.0,
    1.0 / 355687428096000.0,
    1.0 / 6402373705728000.0,
};

double exact_ln64(double base)
{
    uint64_t u;
    memcpy(&u, &base, sizeof u);
    int32_t e = (int32_t)(u >> 52) - 1023;
    u = (u & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
    double m;
    memcpy(&m, &u, sizeof m);
    if (m > 0x1.6a09e667f3bcdp+0) {
        m = m * 0.5;
        e = e + 1;
    }
    double s = (m - 1.0) / (m + 1.0);
    double z = s * s;
    double p = 1.0 / 23.0;
    for (int k = 21; k >= 1; k -= 2)
        p = p * z + 1.0 / k;
    double t = s * p;
    t = t + t;
    return e * 0x1.62e42feep-1 + (t + e * 0x1.a39ef35793c76p-33);
}

double exact_rope_rate(double ln_base, uint32_t i, uint32_t n, double divisor, double factor)
{
    double y = -(((double)(2 * i) / (double)n) * ln_base);
    double k = rne64(y * 0x1.71547652b82fep+0);
    double r = (y - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    double p = INVERSE_FACTORIAL[14];
    for (int j = 13; j >= 0; j--)
        p = p * r + INVERSE_FACTORIAL[j];
    uint64_t u = (uint64_t)((int64_t)k + 1023) << 52;  /* base < 2^128, so k > -129 */
    double scale;
    memcpy(&scale, &u, sizeof scale);
    return ((p * scale) / divisor) / factor;
}

struct rotation exact_rotation(double rate, uint32_t position)
{
    double theta = (double)position * rate;
    double k = rne64(theta * 0x1.45f306dc9c883p-1);
    double r = ((theta - k * 0x1.921fb544p+0) - k * 0x1.0b4611a6p-34) - k * 0x1.3198a2e037073p-69;
    double z = r * r;
    double sn = INVERSE_FACTORIAL[17];
    for (int j = 7; j >= 0; j--)
        sn = sn * z + (j % 2 ? -INVERSE_FACTORIAL[2 * j + 1] : INVERSE_FACTORIAL[2 * j + 1]);
    sn = r * sn;
    double cs = -INVERSE_FACTORIAL[18];
    for (int j = 8; j >= 0; j--)
        cs = cs * z + (j % 2 ? -INVERSE_FACTORIAL[2 * j] : INVERSE_FACTORIAL[2 * j]);
    switch ((uint32_t)k & 3u) {
    case 0:
        return (struct rotation){ .cos = (float)cs, .sin = (float)sn };
    case 1:
        return (struct rotation){ .cos = (float)-sn, .sin = (float)cs };
    case 2:
        return (struct rotation){ .cos = (float)-cs, .sin = (float)-sn };
    }
    return (struct rotation){ .cos = (float)sn, .sin = (float)-cs };
}
