/* exact_math.h - what are exp, ln, cosine and a half float, to the last bit?
 *
 * The scalar law of NV1 1, 2 and 6. Only operations that IEEE 754 fixes completely are used, so every machine that
 * rounds to nearest and keeps subnormals gets the same bits; numerics_check_fpu() asks whether this thread is on one.
 * The C library's mathematics is never called, but for fmaf and sqrt, which have one right answer.
 *
 * Threads: pure; any thread.
 * Spec:    NV1 1, 2, 6
 */
#ifndef TALLYMESH_KERNELS_EXACT_MATH_H
#define TALLYMESH_KERNELS_EXACT_MATH_H

#include <string.h>

#include "crypto/base.h"

/* OK if this thread rounds to nearest even and keeps subnormals in fp32 and fp64, else ERR_DEVICE. A shared object built
 * with fast-math can turn subnormals off for the whole process at load time; hence the question at every thread entry. */
enum err numerics_check_fpu(void) MUST_CHECK;

static inline uint32_t float_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline float float_from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
/* Neither NaN nor infinity. */
static inline bool float_is_finite(float x) { return (float_bits(x) & 0x7f800000u) != 0x7f800000u; }

/* Nearest integer, ties to even, for |x| < 2^22 (NV1 1.3): adding 1.5 * 2^23 leaves the integer in the last bits. */
static inline float exact_rne(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }
/* Least integral fp32 not below x (finite). */
float exact_ceil(float x);

float exact_exp2(float x);    /* NV1 2.1; x finite, also below */
float exact_exp(float x);     /* NV1 2.2 */
float exact_pow2(float d);    /* NV1 2.3; d integral and <= 0 */
float exact_ln1p(float f);    /* NV1 2.4; f in [-0.293, 0.415] */
float exact_ln(float x);      /* NV1 2.5; x normal, > 0 */
float exact_silu(float x);    /* NV1 2.6 */

float exact_half_to_float(uint16_t half);                   /* NV1 1.5 */

/* Rotary embedding, NV1 6. */
double exact_ln64(double base);                             /* 6.1 */
/* 6.2: angle per position of pair i of n/2. `divisor` is freq_i, or 1. */
double exact_rope_rate(double ln_base, uint32_t i, uint32_t n, double divisor, double factor);
struct rotation {
    float cos, sin;
};
/* 6.3-6.5; rate in [0, 2], position < 2^20. */
struct rotation exact_rotation(double rate, uint32_t position);

#endif
