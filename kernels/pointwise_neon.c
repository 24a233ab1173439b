/* pointwise_neon.c - what both NEON tables have alike: every operation but the dot products of bytes. */
#include "kernels/ops_neon.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernels/exact_math.h"
#include "kernels/exact_series.h"
#include "kernels/unroll.h"

enum { LANES = 4 };

/* All ones in lanes whose magnitude bits are those of a NaN or an infinity. */
static uint32x4_t not_finite(float32x4_t x)
{
    const uint32x4_t exponent = vdupq_n_u32(0x7f800000);
    return vceqq_u32(vandq_u32(vreinterpretq_u32_f32(x), exponent), exponent);
}

static float32x4_t keep(uint32x4_t where, float32x4_t x)
{
    return vreinterpretq_f32_u32(vandq_u32(where, vreinterpretq_u32_f32(x)));
}

static float32x4_t keep_not(uint32x4_t where, float32x4_t x)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), where));
}

/* --- NV1 3.2, 3.3: quantisation of n values, n a multiple of 16 --------------------------------------------------- */

/* Conversion rounds to nearest even; what comes out is in [-16256, 16256], so narrowing loses nothing. */
static int16x8_t round8(const float *x, float32x4_t inv)
{
    int32x4_t a = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x), inv));
    int32x4_t b = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4), inv));
    return vcombine_s16(vmovn_s32(a), vmovn_s32(b));
}

/* amax, or 0 where all values become zero. */
static float greatest(const float *x, uint32_t n, bool *finite)
{
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint32x4_t max = vdupq_n_u32(0);
    for (uint32_t i = 0; i < n; i += LANES)
        max = vmaxq_u32(max, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), magnitude));
    uint32_t bits = vmaxvq_u32(max);
    *finite = bits < 0x7f800000u;
    float amax = *finite ? float_from_bits(bits) : 0.0f;
    return amax < 0x1p-100f ? 0.0f : amax;
}

static bool quantize_group(const float *x, uint32_t n, int8_t *q, float *d)
{
    bool finite;
    float amax = greatest(x, n, &finite);
    *d = amax / 127.0f;
    if (amax == 0.0f) {
        memset(q, 0, n);
        return finite;
    }
    float32x4_t inv = vdupq_n_f32(127.0f / amax);
    for (uint32_t i = 0; i < n; i += 16)
        vst1q_s8(q + i, vcombine_s8(vmovn_s16(round8(x + i, inv)), vmovn_s16(round8(x + i + 8, inv))));
    return true;
}

bool neon_quantize(const float *in, struct acts *x, uint32_t token)
{
    size_t blocks = ops_act_blocks(x->cols);
    int8_t *q = x->q + token * blocks * ACT_BLOCK;
    float *d = x->d + token * blocks * ACT_SCALES;
    int16_t *sums = x->sums + token * blocks * ACT_RUNS;
    bool finite = true;
    for (uint32_t b = 0; b < blocks; b++, q += ACT_BLOCK, d += ACT_SCALES, sums += ACT_RUNS) {
        float padded[ACT_BLOCK] = { 0 };
        uint32_t first = b * ACT_BLOCK, n = x->cols - first;
        const float *from = in + first;
        if (n < ACT_BLOCK)
            from = memcpy(padded, from, n * sizeof *in);
        for (uint32_t i = 0; i < ACT_BLOCK; i += x->group)
            finite = quantize_group(from + i, x->group, q + i, d + i / ACT_SCALED) && finite;
        for (uint32_t i = 1; x->group == ACT_BLOCK && i < ACT_SCALES; i++)
            d[i] = d[0];
        for (uint32_t i = 0; i < ACT_RUNS; i++)
            sums[i] = vaddlvq_s8(vld1q_s8(q + i * ACT_RUN));
    }
    return finite;
}

/* n is a multiple of 16 */
static bool limbs_of_head(const float *x, uint32_t n, int8_t *high, int8_t *low, float *d)
{
    bool finite;
    float amax = greatest(x, n, &finite);
    *d = amax / (float)LIMB_LEVELS;
    if (amax == 0.0f) {
        memset(high, 0, n);
        memset(low, 0, n);
        return finite;
    }
    float32x4_t inv = vdupq_n_f32((float)LIMB_LEVELS / amax);
    for (uint32_t i = 0; i < n; i += 8) {
        int16x8_t r = round8(x + i, inv);
        int16x8_t h = vshrq_n_s16(vaddq_s16(r, vdupq_n_s16(64)), 7);
        vst1_s8(high + i, vmovn_s16(h));
        vst1_s8(low + i, vmovn_s16(vsubq_s16(r, vshlq_n_s16(h, 7))));
    }
    return true;
}

bool neon_quantize_head(const float *in, uint32_t n, int8_t *high, int8_t *low, float *d)
{
    if (n % 16 == 0)
        return limbs_of_head(in, n, high, low, d);
    float padded[HEAD_DIM_MAX];
    int8_t h[HEAD_DIM_MAX], l[HEAD_DIM_MAX];
    uint32_t whole = (n + 15) / 16 * 16;
    memcpy(padded, in, n * sizeof *in);
    memset(padded + n, 0, (whole - n) * sizeof *in);
    bool finite = limbs_of_head(padded, whole, h, l, d);
    memcpy(high, h, n);
    memcpy(low, l, n);
    return finite;
}

/* --- NV1 4.2, 4.3 ------------------------------------------------------------------------------------------------- */

/* The total of one block of VSUM, 256 values each: register k holds lanes 4 k .. 4 k + 3. */
static float block_total(const float *w, const float *x)
{
    float32x4_t s[8];
    UNROLL
    for (uint32_t k = 0; k < 8; k++)
        s[k] = vdupq_n_f32(0.0f);
    for (uint32_t i = 0; i < ACT_BLOCK; i += 32)
        UNROLL
        for (uint32_t k = 0; k < 8; k++)
            s[k] = vfmaq_f32(s[k], vld1q_f32(w + i + k * 4), vld1q_f32(x + i + k * 4));
    UNROLL
    for (uint32_t k = 0; k < 4; k++)
        s[k] = vaddq_f32(s[k], s[k + 4]);
    s[0] = vaddq_f32(vaddq_f32(s[0], s[2]), vaddq_f32(s[1], s[3]));
    float32x2_t h = vadd_f32(vget_low_f32(s[0]), vget_high_f32(s[0]));
    return vget_lane_f32(h, 0) + vget_lane_f32(h, 1);
}

/* 256 weights as fp32, zeros beyond n. Copied even where they could be read in place: a model file promises no
 * alignment, and all tokens use the copy. */
static void weight_block(const uint8_t *row, enum tensor_type type, uint32_t first, uint32_t n, float *out)
{
    if (type == TENSOR_F32) {
        memset(out + n, 0, (ACT_BLOCK - n) * sizeof *out);
        memcpy(out, row + (size_t)first * 4, n * sizeof *out);
        return;
    }
    uint16_t half[ACT_BLOCK] = { 0 };
    memcpy(half, row + (size_t)first * 2, n * sizeof *half);
    for (uint32_t i = 0; type == TENSOR_BF16 && i < ACT_BLOCK; i += LANES)
        vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(half + i), 16)));
    for (uint32_t i = 0; type == TENSOR_F16 && i < ACT_BLOCK; i += LANES)
        vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(half + i))));
}

static const float *padded_block(const float *x, uint32_t n, float *out)
{
    memcpy(out, x, n * sizeof *x);
    memset(out + n, 0, (ACT_BLOCK - n) * sizeof *x);
    return out;
}

void neon_matmul_float(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                       size_t stride)
{
    size_t row_bytes = (size_t)w->cols * tensor_type_block_bytes(w->type);
    for (uint32_t row = begin; row < end; row++) {
        for (uint32_t t = 0; t < n; t++)
            y[t * stride + row] = 0.0f;
        for (uint32_t first = 0; first < w->cols; first += ACT_BLOCK) {
            float weights[ACT_BLOCK], last[ACT_BLOCK];
            uint32_t count = w->cols - first < ACT_BLOCK ? w->cols - first : ACT_BLOCK;
            weight_block(w->data + row * row_bytes, w->type, first, count, weights);
            for (uint32_t t = 0; t < n; t++) {
                const float *in = x + (size_t)t * w->cols + first;
                if (count < ACT_BLOCK)
                    in = padded_block(in, count, last);
                y[t * stride + row] = y[t * stride + row] + block_total(weights, in);
            }
        }
    }
}

/* --- NV1 2.1, 2.2, 2.6 --------------------------------------------------------------------------------------------- */

static float32x4_t horner(const float *c, float32x4_t x)
{
    float32x4_t p = vdupq_n_f32(c[7]);
    UNROLL
    for (int k = 6; k >= 0; k--)
        p = vfmaq_f32(vdupq_n_f32(c[k]), p, x);
    return p;
}

/* 2^n for n in [-126, 127]. */
static float32x4_t power_of_two(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

static float32x4_t exp2_lanes(float32x4_t x)
{
    static const float c[] = EXACT_EXP2_SERIES;
    uint32x4_t below = vcltq_f32(x, vdupq_n_f32(-126.0f));
    x = vmaxq_f32(vminq_f32(x, vdupq_n_f32(127.0f)), vdupq_n_f32(-126.0f));
    int32x4_t n = vcvtnq_s32_f32(x);
    float32x4_t f = vsubq_f32(x, vcvtq_f32_s32(n));
    return keep_not(below, vmulq_f32(horner(c, f), power_of_two(n)));
}

static float32x4_t exp_lanes(float32x4_t x)
{
    static const float c[] = EXACT_EXP_SERIES;
    x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-87.0f)), vdupq_n_f32(88.0f));
    int32x4_t whole = vcvtnq_s32_f32(vmulq_f32(x, vdupq_n_f32(0x1.715476p+0f)));
    float32x4_t n = vcvtq_f32_s32(whole);
    float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-0x1.63p-1f));
    r = vfmaq_f32(r, n, vdupq_n_f32(0x1.bd0106p-13f));
    return vmulq_f32(horner(c, r), power_of_two(whole));
}

static float32x4_t silu_lanes(float32x4_t x)
{
    uint32x4_t below = vcltq_f32(x, vdupq_n_f32(-88.0f));
    float32x4_t y = vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0f), exp_lanes(vnegq_f32(x))));
    return keep_not(below, y);
}

/* Runs f over n values, the last ones through a padded register. */
static inline __attribute__((always_inline)) void each_lane(const float *x, uint32_t n, float *y,
                                                            float32x4_t (*f)(float32x4_t))
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(y + i, f(vld1q_f32(x + i)));
    if (i == n)
        return;
    float last[LANES] = { 0 };
    memcpy(last, x + i, (n - i) * sizeof *x);
    vst1q_f32(last, f(vld1q_f32(last)));
    memcpy(y + i, last, (n - i) * sizeof *y);
}

void neon_exp2_each(const float *x, uint32_t n, float *y) { each_lane(x, n, y, exp2_lanes); }

void neon_exp_each(const float *x, uint32_t n, float *y) { each_lane(x, n, y, exp_lanes); }

/* --- NV1 5 --------------------------------------------------------------------------------------------------------- */

bool neon_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y)
{
    float ss = 0.0f;
    uint32_t first = 0, i = 0;
    for (; first + ACT_BLOCK <= n; first += ACT_BLOCK)
        ss = ss + block_total(x + first, x + first);
    if (first < n) {
        float last[ACT_BLOCK];
        padded_block(x + first, n - first, last);
        ss = ss + block_total(last, last);
    }
    float r = 1.0f / sqrtf(ss / (float)n + eps);
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(y + i, vmulq_f32(vmulq_f32(vld1q_f32(x + i), vdupq_n_f32(r)), vld1q_f32(w + i)));
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
    return float_is_finite(ss);
}

static float32x4_t gate_lanes(float32x4_t g, float32x4_t u, uint32x4_t *bad)
{
    uint32x4_t here = vorrq_u32(not_finite(g), not_finite(u));
    *bad = vorrq_u32(*bad, here);
    return keep_not(here, vmulq_f32(silu_lanes(g), u));
}

bool neon_gate(const float *g, const float *u, uint32_t n, float *y)
{
    uint32x4_t bad = vdupq_n_u32(0);
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(y + i, gate_lanes(vld1q_f32(g + i), vld1q_f32(u + i), &bad));
    if (i < n) {
        float last[2][LANES] = { { 0 } };
        memcpy(last[0], g + i, (n - i) * sizeof *g);
        memcpy(last[1], u + i, (n - i) * sizeof *u);
        vst1q_f32(last[0], gate_lanes(vld1q_f32(last[0]), vld1q_f32(last[1]), &bad));
        memcpy(y + i, last[0], (n - i) * sizeof *y);
    }
    return vmaxvq_u32(bad) == 0;
}

void neon_add(float *x, const float *y, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), vld1q_f32(y + i)));
    for (; i < n; i++)
        x[i] = x[i] + y[i];
}

/* --- NV1 6.6 ------------------------------------------------------------------------------------------------------- */

void neon_rope(float *v, const float *cs, uint32_t pairs)
{
    uint32_t i = 0;
    for (; i + LANES <= pairs; i += LANES) {
        float32x4x2_t x = vld2q_f32(v + 2 * i), t = vld2q_f32(cs + 2 * i), y;
        y.val[0] = vfmaq_f32(vnegq_f32(vmulq_f32(x.val[1], t.val[1])), x.val[0], t.val[0]);
        y.val[1] = vfmaq_f32(vmulq_f32(x.val[1], t.val[0]), x.val[0], t.val[1]);
        vst2q_f32(v + 2 * i, y);
    }
    for (; i < pairs; i++) {
        float c = cs[2 * i], s = cs[2 * i + 1];
        float v0 = v[2 * i], v1 = v[2 * i + 1];
        v[2 * i] = fmaf(v0, c, -(v1 * s));
        v[2 * i + 1] = fmaf(v0, s, v1 * c);
    }
}

/* --- NV1 7 --------------------------------------------------------------------------------------------------------- */

/* Lanes [at, at + 4) of a tile that are below n. */
static uint32x4_t exists(uint32_t at, uint32_t n)
{
    static const uint32_t lane[LANES] = { 0, 1, 2, 3 };
    return vcltq_u32(vaddq_u32(vld1q_u32(lane), vdupq_n_u32(at)), vdupq_n_u32(n));
}

static float32x4_t limbs_joined(const int32_t *high, const int32_t *low)
{
    return vfmaq_f32(vcvtq_f32_s32(vld1q_s32(low)), vdupq_n_f32(LIMB_RADIX), vcvtq_f32_s32(vld1q_s32(high)));
}

bool neon_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                       struct attn_tile *out)
{
    float padded[2][TILE] = { { 0 } };
    if (n < TILE) {
        memcpy(padded[0], dk, n * sizeof *dk);
        memcpy(padded[1], dv, n * sizeof *dv);
        dk = padded[0];
        dv = padded[1];
    }
    float32x4_t s[TILE / LANES], w[TILE / LANES], max = vdupq_n_f32(-INFINITY);
    uint32x4_t bad = vdupq_n_u32(0);
    memset(out, 0, sizeof *out);
    for (uint32_t k = 0; k < TILE / LANES; k++) {
        uint32x4_t here = exists(k * LANES, n);
        float32x4_t c = vmulq_f32(vdupq_n_f32(cq), vld1q_f32(dk + k * LANES));
        s[k] = vmulq_f32(c, limbs_joined(&scores[0][k * LANES], &scores[1][k * LANES]));
        bad = vorrq_u32(bad, vandq_u32(not_finite(s[k]), here));
        max = vmaxq_f32(max, vbslq_f32(here, s[k], max));
    }
    if (vmaxvq_u32(bad) != 0)
        return false;
    out->max = exact_ceil(vmaxvq_f32(max));

    int32x4_t total = vdupq_n_s32(0);
    float32x4_t wmax = vdupq_n_f32(0.0f);
    for (uint32_t k = 0; k < TILE / LANES; k++) {
        float32x4_t p = keep(exists(k * LANES, n), exp2_lanes(vsubq_f32(s[k], vdupq_n_f32(out->max))));
        total = vaddq_s32(total, vcvtnq_s32_f32(vmulq_f32(p, vdupq_n_f32(0x1p15f))));
        w[k] = vmulq_f32(p, vld1q_f32(dv + k * LANES));
        wmax = vmaxq_f32(wmax, w[k]);
    }
    out->l = (float)vaddvq_s32(total) * 0x1p-15f;
    float most = vmaxvq_f32(wmax);
    if (most < 0x1p-100f)
        return true;
    float32x4_t inv = vdupq_n_f32(32512.0f / most);
    out->g = most / 32512.0f;
    for (uint32_t k = 0; k < TILE / LANES; k++)
        vst1_s16(out->u + k * LANES, vmovn_s32(vcvtnq_s32_f32(vmulq_f32(w[k], inv))));
    return true;
}

void neon_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float32x4_t old = vmulq_f32(vdupq_n_f32(a), vld1q_f32(o + i));
        vst1q_f32(o + i, vfmaq_f32(old, vdupq_n_f32(e), limbs_joined(sums + i, sums + n + i)));
    }
    for (; i < n; i++)
        o[i] = fmaf(e, fmaf((float)LIMB_RADIX, (float)sums[i], (float)sums[n + i]), a * o[i]);
}

void neon_attn_merge(float *o, const float *part, float a, float b, uint32_t n)
{
    uint32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        float32x4_t old = vmulq_f32(vdupq_n_f32(a), vld1q_f32(o + i));
        vst1q_f32(o + i, vfmaq_f32(old, vdupq_n_f32(b), vld1q_f32(part + i)));
    }
    for (; i < n; i++)
        o[i] = fmaf(b, part[i], a * o[i]);
}
