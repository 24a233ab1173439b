/* products_neon.h - everything that is made of dot products of four bytes; included by the file of each NEON table, and
 * compiled there with or without the instruction for it (dot4). Elsewhere than on AArch64 it is empty.
 *
 * A kernel is written once for all types: its shape is a constant, so that what a type has not got is not compiled. Weights
 * are unpacked once for TOKENS_AT_ONCE tokens; the sums of 8 rows stay in registers.
 *
 * Spec: NV1 4.1, 7.2, 7.3
 */
#ifndef TALLYMESH_KERNELS_PRODUCTS_NEON_H
#define TALLYMESH_KERNELS_PRODUCTS_NEON_H

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/packing_neon.h"
#include "kernels/unroll.h"

#define INLINED static inline __attribute__((always_inline))

enum { TOKENS_AT_ONCE = 4, HALVES = 2 };       /* of a group: a register has four lanes */

/* sum[k] += w[4 k .. 4 k + 3] . x[4 lane .. 4 lane + 3] for k in 0..3; exact. lane is a constant in 0..3 after inlining. */
#if defined(__ARM_FEATURE_DOTPROD)
INLINED int32x4_t dot4(int32x4_t sum, int8x16_t w, int8x16_t x, uint32_t lane)
{
    switch (lane) {
    case 0:
        return vdotq_laneq_s32(sum, w, x, 0);
    case 1:
        return vdotq_laneq_s32(sum, w, x, 1);
    case 2:
        return vdotq_laneq_s32(sum, w, x, 2);
    }
    return vdotq_laneq_s32(sum, w, x, 3);
}
#else
/* Two products of at most 128 * 127 added fit int16: 2 * 128 * 127 = 32512. */
INLINED int32x4_t dot4(int32x4_t sum, int8x16_t w, int8x16_t x, uint32_t lane)
{
    int32x4_t words = vreinterpretq_s32_s8(x), four;
    switch (lane) {
    case 0:
        four = vdupq_laneq_s32(words, 0);
        break;
    case 1:
        four = vdupq_laneq_s32(words, 1);
        break;
    case 2:
        four = vdupq_laneq_s32(words, 2);
        break;
    default:
        four = vdupq_laneq_s32(words, 3);
    }
    x = vreinterpretq_s8_s32(four);
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}
#endif

/* --- weights ------------------------------------------------------------------------------------------------------- */

/* Bits [from, from + bits) of each byte, moved to [to, to + bits). */
INLINED uint8x16_t field(uint8x16_t v, uint32_t bits, uint32_t from, uint32_t to)
{
    if (from > to)
        v = v >> vdupq_n_u8((uint8_t)(from - to));
    if (to > from)
        v = v << vdupq_n_u8((uint8_t)(to - from));
    bool alone = (from + bits == 8 && to == 0) || (from == 0 && to + bits == 8);
    return alone ? v : vandq_u8(v, vdupq_n_u8((uint8_t)(((1u << bits) - 1) << to)));
}

/* The codes of one step in a plane, for four rows, moved up by `to` bits. */
INLINED uint8x16_t codes_at(const uint8_t *plane, uint32_t bits, uint32_t step, uint32_t half, uint32_t to)
{
    uint32_t per = 8 / bits;
    return field(vld1q_u8(plane + (step / per * 2 + half) * 16), bits, bits * (step % per), to);
}

INLINED int8x16_t weights_at(struct packed_shape s, const uint8_t *unit, int8x16_t table, uint32_t step, uint32_t half)
{
    uint8x16_t code = codes_at(unit, s.low, step, half, 0);
    if (s.high > 0)
        code = vorrq_u8(code, codes_at(unit + packed_plane_bytes(s.low), s.high, step, half, s.low));
    return s.has_table ? vqtbl1q_s8(table, code) : vreinterpretq_s8_u8(code);
}

INLINED float32x4_t halves_at(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }

/* 2^(e - 128), subnormal for e < 2. */
INLINED float32x4_t powers(uint16x4_t e16)
{
    uint32x4_t e = vmovl_u16(e16);
    uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    uint32x4_t tiny = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(e));
    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), tiny, normal));
}

INLINED void load_d(struct packed_shape s, const uint8_t *block, float32x4_t d[HALVES])
{
    if (s.has_exponent) {
        uint16x8_t e = vmovl_u8(vld1_u8(block));
        d[0] = powers(vget_low_u16(e));
        d[1] = powers(vget_high_u16(e));
        return;
    }
    d[0] = halves_at(block);
    d[1] = halves_at(block + 8);
}

INLINED int16x8_t scales_at(struct packed_shape s, const uint8_t *block, uint32_t run)
{
    uint8x8_t scale = vld1_u8(block + packed_scale_at(s) + run * NEON_GROUP);
    if (packed_min_in_scale(s))
        scale = vand_u8(scale, vdup_n_u8(15));
    return vmovl_s8(vreinterpret_s8_u8(scale));
}

INLINED int16x8_t mins_at(struct packed_shape s, const uint8_t *block, uint32_t run)
{
    if (packed_min_in_scale(s))
        return vreinterpretq_s16_u16(vmovl_u8(vshr_n_u8(vld1_u8(block + packed_scale_at(s) + run * NEON_GROUP), 4)));
    return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(block + packed_min_at(s) + run * NEON_GROUP)));
}

/* --- NV1 4.1 ------------------------------------------------------------------------------------------------------- */

/* The activations of some tokens at one stored block; the strides are those of whole tokens. */
struct tokens {
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    size_t act_blocks;
};

INLINED const int8_t *token_q(const struct tokens *x, uint32_t t) { return x->q + t * x->act_blocks * ACT_BLOCK; }

/* Sum of q over one run: at most 32 * 127. */
INLINED int16_t run_sum(struct packed_shape s, const struct tokens *x, uint32_t t, uint32_t run)
{
    const int16_t *sums = x->sums + t * x->act_blocks * ACT_RUNS + run * (s.run / ACT_RUN);
    return (int16_t)(s.run == ACT_RUN ? sums[0] : sums[0] + sums[1]);
}

/* S of one unit of 32 columns, added to what is there. */
INLINED void add_unit(struct packed_shape s, const uint8_t *block, uint32_t unit, int8x16_t table, const struct tokens *x,
                      uint32_t count, int32x4_t sum[][HALVES])
{
    const uint8_t *codes = block + packed_codes_at(s) + unit * packed_unit_bytes(s);
    int8x16_t q[TOKENS_AT_ONCE][2];
    UNROLL
    for (uint32_t t = 0; t < count; t++) {
        q[t][0] = vld1q_s8(token_q(x, t) + unit * NEON_UNIT);
        q[t][1] = vld1q_s8(token_q(x, t) + unit * NEON_UNIT + 16);
    }
    UNROLL
    for (uint32_t r = 0; r < NEON_UNIT / s.run; r++) {
        uint32_t run = unit * (NEON_UNIT / s.run) + r;
        int32x4_t products[TOKENS_AT_ONCE][HALVES];
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            products[t][0] = products[t][1] = vdupq_n_s32(s.zero ? -s.zero * run_sum(s, x, t, run) : 0);
        UNROLL
        for (uint32_t step = r * s.run / 4; step < (r + 1) * s.run / 4; step++)
            UNROLL
            for (uint32_t h = 0; h < HALVES; h++) {
                int8x16_t w = weights_at(s, codes, table, step, h);
                UNROLL
                for (uint32_t t = 0; t < count; t++)
                    products[t][h] = dot4(products[t][h], w, q[t][step / 4], step % 4);
            }
        int16x8_t scale = s.has_scale ? scales_at(s, block, run) : vdupq_n_s16(1);
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            sum[t][0] = s.has_scale ? vmlaq_s32(sum[t][0], products[t][0], vmovl_s16(vget_low_s16(scale))) : products[t][0];
            sum[t][1] = s.has_scale ? vmlaq_s32(sum[t][1], products[t][1], vmovl_high_s16(scale)) : products[t][1];
        }
    }
}

/* y = fma(m * dx, float(B), y) */
INLINED void fold_mins(struct packed_shape s, const uint8_t *block, const struct tokens *x, uint32_t count,
                       float32x4_t y[][HALVES])
{
    const uint8_t *m = block + packed_m_at(s);
    UNROLL
    for (uint32_t t = 0; t < count; t++) {
        int32x4_t b[HALVES] = { vdupq_n_s32(0), vdupq_n_s32(0) };
        if (!s.has_scale)
            b[0] = b[1] = vdupq_n_s32(run_sum(s, x, t, 0));
        for (uint32_t run = 0; s.has_scale && run < s.len / s.run; run++) {
            int16x8_t min = mins_at(s, block, run);
            int16x4_t values = vdup_n_s16(run_sum(s, x, t, run));
            b[0] = vmlal_s16(b[0], vget_low_s16(min), values);
            b[1] = vmlal_s16(b[1], vget_high_s16(min), values);
        }
        float32x4_t dx = vdupq_n_f32(x->d[t * x->act_blocks * ACT_SCALES]);
        y[t][0] = vfmaq_f32(y[t][0], vmulq_f32(halves_at(m), dx), vcvtq_f32_s32(b[0]));
        y[t][1] = vfmaq_f32(y[t][1], vmulq_f32(halves_at(m + 8), dx), vcvtq_f32_s32(b[1]));
    }
}

/* One group of 8 rows and `count` tokens; count is a constant after inlining. */
INLINED void dot_group(struct packed_shape s, const uint8_t *block, uint32_t blocks, int8x16_t table,
                       const struct tokens *from, uint32_t count, float32x4_t y[][HALVES])
{
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        y[t][0] = y[t][1] = vdupq_n_f32(0.0f);
    for (uint32_t b = 0; b < blocks; b++, block += packed_block_bytes(s)) {
        uint32_t first = b * s.len;
        struct tokens x = { from->q + first, from->d + first / ACT_SCALED, from->sums + first / ACT_RUN, from->act_blocks };
        int32x4_t sum[TOKENS_AT_ONCE][HALVES];
        float32x4_t d[HALVES];
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            sum[t][0] = sum[t][1] = vdupq_n_s32(0);
        for (uint32_t unit = 0; unit < s.len / NEON_UNIT; unit++)
            add_unit(s, block, unit, table, &x, count, sum);
        load_d(s, block, d);
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            float32x4_t dx = vdupq_n_f32(x.d[t * x.act_blocks * ACT_SCALES]);
            y[t][0] = vfmaq_f32(y[t][0], vmulq_f32(d[0], dx), vcvtq_f32_s32(sum[t][0]));
            y[t][1] = vfmaq_f32(y[t][1], vmulq_f32(d[1], dx), vcvtq_f32_s32(sum[t][1]));
        }
        if (s.has_min)
            fold_mins(s, block, &x, count, y);
    }
}

INLINED void store_rows(float *y, const float32x4_t v[HALVES], uint32_t count)
{
    float all[NEON_GROUP];
    vst1q_f32(all, v[0]);
    vst1q_f32(all + 4, v[1]);
    memcpy(y, all, (count < NEON_GROUP ? count : NEON_GROUP) * sizeof *y);
}

INLINED void matmul_rows(struct packed_shape s, const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin,
                         uint32_t end, float *y, size_t stride)
{
    uint32_t blocks = w->cols / s.len;
    size_t act_blocks = ops_act_blocks(w->cols);
    int8x16_t table = s.has_table ? vld1q_s8(block_format(w->type)->table) : vdupq_n_s8(0);
    for (uint32_t row = begin; row < end; row += NEON_GROUP) {
        const uint8_t *group = w->packed + (size_t)(row / NEON_GROUP) * blocks * packed_block_bytes(s);
        for (uint32_t t = 0, count; t < n; t += count) {
            struct tokens from = { x->q + t * act_blocks * ACT_BLOCK, x->d + t * act_blocks * ACT_SCALES,
                                   x->sums + t * act_blocks * ACT_RUNS, act_blocks };
            float32x4_t out[TOKENS_AT_ONCE][HALVES];
            count = n - t >= TOKENS_AT_ONCE ? TOKENS_AT_ONCE : 1;
            if (count == TOKENS_AT_ONCE)
                dot_group(s, group, blocks, table, &from, TOKENS_AT_ONCE, out);
            else
                dot_group(s, group, blocks, table, &from, 1, out);
            for (uint32_t k = 0; k < count; k++)
                store_rows(y + (t + k) * stride + row, out[k], end - row);
        }
    }
}

/* A function of its own for each type: matmul_Q4_K() and so on. */
#define X(type, ...)                                                                                                   \
    static void matmul_##type(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end,  \
                              float *y, size_t stride)                                                                 \
    {                                                                                                                  \
        matmul_rows((struct packed_shape){ __VA_ARGS__ }, w, x, n, begin, end, y, stride);                             \
    }
NEON_TYPES(X)
#undef X

static void matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                   size_t stride)
{
    switch ((int)w->type) {
#define X(type, ...)                                                                                                   \
    case TENSOR_##type:                                                                                                \
        matmul_##type(w, x, n, begin, end, y, stride);                                                                 \
        return;
        NEON_TYPES(X)
#undef X
    }
    ENSURE(false);
}

/* --- NV1 7.2, 7.3 -------------------------------------------------------------------------------------------------- */

/* All 64 positions at once: 16 registers of sums, four dimensions per step. */
/* Sums of one limb of the query times one limb of the keys, added to sum. */
INLINED void limb_scores(const int8_t *q, const int8_t *keys, uint32_t width, int32x4_t sum[TILE / 4])
{
    for (uint32_t i = 0; i < width; i += 16) {
        int8x16_t x = vld1q_s8(q + i);
        UNROLL
        for (uint32_t lane = 0; lane < 4; lane++)
            UNROLL
            for (uint32_t k = 0; k < TILE / 4; k++)
                sum[k] = dot4(sum[k], vld1q_s8(keys + ((size_t)(i / 4 + lane) * TILE + k * 4) * 4), x, lane);
    }
}

static void scores_of(const int8_t *q, const int8_t *key_tile, uint32_t width, int32_t scores[LIMBS][TILE])
{
    for (uint32_t limb = 0; limb < LIMBS; limb++, key_tile += TILE * width) {
        int32x4_t sum[TILE / 4];
        UNROLL
        for (uint32_t k = 0; k < TILE / 4; k++)
            sum[k] = vdupq_n_s32(0);
        limb_scores(q, key_tile, width, sum);
        UNROLL
        for (uint32_t k = 0; k < TILE / 4; k++)
            sum[k] = vshlq_n_s32(sum[k], 7);
        limb_scores(q + width, key_tile, width, sum);
        UNROLL
        for (uint32_t k = 0; k < TILE / 4; k++)
            vst1q_s32(&scores[limb][k * 4], sum[k]);
    }
}

static void attn_scores(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                        int32_t (*scores)[LIMBS][TILE])
{
    for (uint32_t i = 0; i < n; i++)
        scores_of(q + i * LIMBS * width, key_tile, width, scores[i]);
}

/* u = 256 high + low with both in int8, which 32512 = 127 * 256 still allows: U is two sums of bytes, both exact. */
static void limb_values(const int16_t u[TILE], const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    int8x16_t low[TILE / 16], high[TILE / 16];
    UNROLL
    for (uint32_t k = 0; k < TILE / 16; k++) {
        int16x8_t a = vld1q_s16(u + k * 16), b = vld1q_s16(u + k * 16 + 8);
        low[k] = vcombine_s8(vmovn_s16(a), vmovn_s16(b));
        high[k] = vcombine_s8(vrshrn_n_s16(a, 8), vrshrn_n_s16(b, 8));         /* (u + 128) >> 8 = (u - low) / 256 */
    }
    for (uint32_t i = 0; i < width; i += 8) {
        int32x4_t a[2] = { vdupq_n_s32(0), vdupq_n_s32(0) }, b[2] = { vdupq_n_s32(0), vdupq_n_s32(0) };
        UNROLL
        for (uint32_t j = 0; j < TILE; j += 4) {
            /* Two pairs of positions per dimension, zipped to four. */
            const int8_t *v = value_tile + ((size_t)(j / 2) * width + i) * 2;
            int16x8_t first = vreinterpretq_s16_s8(vld1q_s8(v)), second = vreinterpretq_s16_s8(vld1q_s8(v + 2 * width));
            int8x16_t lo = vreinterpretq_s8_s16(vzip1q_s16(first, second));
            int8x16_t hi = vreinterpretq_s8_s16(vzip2q_s16(first, second));
            a[0] = dot4(a[0], lo, low[j / 16], j / 4 % 4);
            a[1] = dot4(a[1], lo, high[j / 16], j / 4 % 4);
            b[0] = dot4(b[0], hi, low[j / 16], j / 4 % 4);
            b[1] = dot4(b[1], hi, high[j / 16], j / 4 % 4);
        }
        vst1q_s32(sums + i, vaddq_s32(vshlq_n_s32(a[1], 8), a[0]));
        vst1q_s32(sums + i + 4, vaddq_s32(vshlq_n_s32(b[1], 8), b[0]));
    }
}

static void attn_values(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    for (uint32_t i = 0; i < n; i++, sums += LIMBS * width) {
        limb_values(tiles[i].u, value_tile, width, sums);
        limb_values(tiles[i].u, value_tile + TILE * width, width, sums + width);
    }
}

#endif
#endif
