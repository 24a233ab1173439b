/* pointwise_avx512.c - softmax, gate and exponentials, 16 lanes at a time; equal to ops_ref.c in every byte. What is
 * missing at the end of an array is masked off.
 *
 * Spec: NV1 2.1, 2.2, 2.6, 5.2, 7.2-7.4
 */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/exact_math.h"
#include "kernels/exact_series.h"
#include "kernels/ops_avx512.h"
#include "kernels/unroll.h"

enum { LANES = 16, TILE_VECTORS = TILE / LANES };

static __m512 all(float x) { return _mm512_set1_ps(x); }

/* The first n lanes, n from 0 on. */
static __mmask16 lanes_below(uint32_t n) { return (__mmask16)(n >= LANES ? 0xffffu : (1u << n) - 1); }

static __mmask16 not_finite(__m512 x)
{
    const __m512i exponent = _mm512_set1_epi32(0x7f800000);
    return _mm512_cmpeq_epi32_mask(_mm512_and_si512(_mm512_castps_si512(x), exponent), exponent);
}

/* --- NV1 2 -------------------------------------------------------------------------------------------------------- */

static __m512 horner(const float *c, __m512 x)
{
    __m512 p = all(c[7]);
    UNROLL
    for (int k = 6; k >= 0; k--)
        p = _mm512_fmadd_ps(p, x, all(c[k]));
    return p;
}

static __m512 nearest(__m512 x)
{
    const __m512 magic = all(0x1.8p23f);
    return _mm512_sub_ps(_mm512_add_ps(x, magic), magic);
}

static __m512 power_of_two(__m512 n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

static __m512 exp2_lanes(__m512 x)
{
    static const float c[] = EXACT_EXP2_SERIES;
    __mmask16 there = _mm512_cmp_ps_mask(x, all(-126.0f), _CMP_NLT_UQ);
    x = _mm512_max_ps(_mm512_min_ps(x, all(127.0f)), all(-126.0f));
    __m512 n = nearest(x);
    return _mm512_maskz_mul_ps(there, horner(c, _mm512_sub_ps(x, n)), power_of_two(n));
}

static __m512 exp_lanes(__m512 x)
{
    static const float c[] = EXACT_EXP_SERIES;
    x = _mm512_min_ps(_mm512_max_ps(x, all(-87.0f)), all(88.0f));
    __m512 n = nearest(_mm512_mul_ps(x, all(0x1.715476p+0f)));
    __m512 r = _mm512_fmadd_ps(n, all(-0x1.63p-1f), x);
    r = _mm512_fmadd_ps(n, all(0x1.bd0106p-13f), r);
    return _mm512_mul_ps(horner(c, r), power_of_two(n));
}

void avx512_exp2_each(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i += LANES) {
        __mmask16 here = lanes_below(n - i);
        _mm512_mask_storeu_ps(y + i, here, exp2_lanes(_mm512_maskz_loadu_ps(here, x + i)));
    }
}

void avx512_exp_each(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i += LANES) {
        __mmask16 here = lanes_below(n - i);
        _mm512_mask_storeu_ps(y + i, here, exp_lanes(_mm512_maskz_loadu_ps(here, x + i)));
    }
}

/* --- NV1 5.2 ------------------------------------------------------------------------------------------------------ */

static __m512 silu_lanes(__m512 x)
{
    __mmask16 there = _mm512_cmp_ps_mask(x, all(-88.0f), _CMP_NLT_UQ);
    __m512 minus = _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN)));
    return _mm512_maskz_div_ps(there, x, _mm512_add_ps(all(1.0f), exp_lanes(minus)));
}

bool avx512_gate(const float *g, const float *u, uint32_t n, float *y)
{
    __mmask16 bad = 0;
    for (uint32_t i = 0; i < n; i += LANES) {
        __mmask16 here = lanes_below(n - i);
        __m512 a = _mm512_maskz_loadu_ps(here, g + i), b = _mm512_maskz_loadu_ps(here, u + i);
        __mmask16 worse = not_finite(a) | not_finite(b);
        bad |= worse;
        _mm512_mask_storeu_ps(y + i, here, _mm512_maskz_mul_ps((__mmask16)~worse, silu_lanes(a), b));
    }
    return bad == 0;
}

/* --- NV1 7 -------------------------------------------------------------------------------------------------------- */

static __m512 limbs_joined(const int32_t *high, const int32_t *low)
{
    return _mm512_fmadd_ps(all(LIMB_RADIX), _mm512_cvtepi32_ps(_mm512_loadu_si512(high)),
                           _mm512_cvtepi32_ps(_mm512_loadu_si512(low)));
}

bool avx512_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                         struct attn_tile *out)
{
    __m512 s[TILE_VECTORS], w[TILE_VECTORS], max = all(-INFINITY);
    __mmask16 here[TILE_VECTORS], bad = 0;
    UNROLL
    for (uint32_t k = 0; k < TILE_VECTORS; k++) {
        here[k] = lanes_below(n > k * LANES ? n - k * LANES : 0);
        __m512 c = _mm512_mul_ps(all(cq), _mm512_maskz_loadu_ps(here[k], dk + k * LANES));
        s[k] = _mm512_mul_ps(c, limbs_joined(&scores[0][k * LANES], &scores[1][k * LANES]));
        bad |= not_finite(s[k]) & here[k];
        max = _mm512_mask_max_ps(max, here[k], max, s[k]);
    }
    out->max = out->l = out->g = 0.0f;
    memset(out->u, 0, sizeof out->u);
    if (bad)
        return false;
    out->max = exact_ceil(_mm512_reduce_max_ps(max));

    __m512i total = _mm512_setzero_si512();
    __m512 wmax = _mm512_setzero_ps();
    UNROLL
    for (uint32_t k = 0; k < TILE_VECTORS; k++) {
        __m512 p = _mm512_maskz_mov_ps(here[k], exp2_lanes(_mm512_sub_ps(s[k], all(out->max))));
        total = _mm512_add_epi32(total, _mm512_cvtps_epi32(_mm512_mul_ps(p, all(0x1p15f))));
        w[k] = _mm512_mul_ps(p, _mm512_maskz_loadu_ps(here[k], dv + k * LANES));
        wmax = _mm512_max_ps(wmax, w[k]);
    }
    out->l = (float)_mm512_reduce_add_epi32(total) * 0x1p-15f;
    float most = _mm512_reduce_max_ps(wmax);
    if (most < 0x1p-100f)
        return true;
    out->g = most / 32512.0f;
    UNROLL
    for (uint32_t k = 0; k < TILE_VECTORS; k++) {
        __m512i u = _mm512_cvtps_epi32(_mm512_mul_ps(w[k], all(32512.0f / most)));
        _mm256_storeu_si256((__m256i *)(out->u + k * LANES), _mm512_cvtepi32_epi16(u));
    }
    return true;
}

void avx512_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += LANES) {
        __mmask16 here = lanes_below(n - i);
        __m512 high = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(here, sums + i));
        __m512 low = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(here, sums + n + i));
        __m512 old = _mm512_mul_ps(all(a), _mm512_maskz_loadu_ps(here, o + i));
        _mm512_mask_storeu_ps(o + i, here, _mm512_fmadd_ps(all(e), _mm512_fmadd_ps(all(LIMB_RADIX), high, low), old));
    }
}
