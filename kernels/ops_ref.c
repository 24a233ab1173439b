/* ops_ref.c - NV1 as plain loops. This file is the law in C: it is read beside docs/numerics.md and never made faster.
 * Each loop has the order of the clause it cites; where an order is not given there, the sum is of integers. */
#include "kernels/ops.h"

#include <math.h>

#include "kernels/blocks.h"
#include "kernels/exact_math.h"
#include "kernels/quant.h"

/* NV1 3.2 */
static bool ref_quantize(const float *in, struct acts *x, uint32_t token)
{
    size_t blocks = ops_act_blocks(x->cols);
    int8_t *q = x->q + token * blocks * ACT_BLOCK;
    float *d = x->d + token * blocks * ACT_SCALES;
    int16_t *sums = x->sums + token * blocks * ACT_RUNS;
    bool finite = true;
    memset(q, 0, blocks * ACT_BLOCK);
    memset(d, 0, blocks * ACT_SCALES * sizeof *d);
    for (uint32_t first = 0; first < x->cols; first += x->group) {
        uint32_t n = x->cols - first < x->group ? x->cols - first : x->group;
        float *scale = &d[first / ACT_SCALED];
        finite = quant_group(in + first, n, q + first, scale) && finite;
        for (uint32_t i = 1; i < x->group / ACT_SCALED; i++)
            scale[i] = scale[0];
    }
    for (uint32_t r = 0; r < blocks * ACT_RUNS; r++) {
        sums[r] = 0;
        for (uint32_t i = 0; i < ACT_RUN; i++)
            sums[r] = (int16_t)(sums[r] + q[r * ACT_RUN + i]);
    }
    return finite;
}

/* NV1 3.3 */
static bool ref_quantize_head(const float *in, uint32_t n, int8_t *high, int8_t *low, float *d)
{
    return quant_head(in, n, high, low, d);
}

static size_t ref_packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols)
{
    (void)type, (void)rows, (void)cols;
    return 0;
}

static void ref_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed)
{
    (void)w, (void)begin, (void)end, (void)packed;
}

/* NV1 4.1: S and B of one block against the activations at the same place. */
static void block_sums(const struct block_format *f, const struct block *w, const int8_t *q, int32_t *s, int32_t *b)
{
    *s = 0;
    *b = 0;
    for (uint32_t r = 0; r < f->len / f->run; r++) {
        int32_t products = 0, values = 0;
        for (uint32_t i = r * f->run; i < (r + 1) * f->run; i++) {
            products += block_weight(f, w->code[i]) * q[i];
            values += q[i];
        }
        *s += w->scale[r] * products;
        *b += w->min[r] * values;
    }
}

/* NV1 4.1, one row and one token */
static float quantised_dot(const struct block_format *f, const uint8_t *row, const int8_t *q, const float *d, uint32_t cols)
{
    float y = 0.0f;
    for (uint32_t first = 0; first < cols; first += f->len) {
        struct block w;
        int32_t s, b;
        block_read(f, row + (size_t)(first / f->len) * f->bytes, &w);
        block_sums(f, &w, q + first, &s, &b);
        float dx = d[first / ACT_SCALED];
        y = fmaf(w.d * dx, (float)s, y);
        if (f->has_min)
            y = fmaf(w.m * dx, (float)b, y);
    }
    return y;
}

void ops_ref_matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                    size_t stride)
{
    const struct block_format *f = block_format(w->type);
    ENSURE(f && x->group == ops_act_group(w->type));
    uint32_t blocks = ops_act_blocks(w->cols);
    size_t row_bytes = (size_t)(w->cols / f->len) * f->bytes;
    for (uint32_t token = 0; token < n; token++)
        for (uint32_t row = begin; row < end; row++)
            y[token * stride + row] = quantised_dot(f, w->data + row * row_bytes, x->q + (size_t)token * blocks * ACT_BLOCK,
                                                    x->d + (size_t)token * blocks * ACT_SCALES, w->cols);
}

static uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

/* Element i of a float row, as fp32; +0 beyond its end (the padding of NV1 4.3). */
static float float_weight(const uint8_t *row, enum tensor_type type, uint32_t cols, uint32_t i)
{
    if (i >= cols)
        return 0.0f;
    if (type == TENSOR_F16)
        return exact_half_to_float(load_u16(row + (size_t)i * 2));
    if (type == TENSOR_BF16)
        return float_from_bits((uint32_t)load_u16(row + (size_t)i * 2) << 16);
    float x;
    memcpy(&x, row + (size_t)i * 4, sizeof x);
    return x;
}

/* NV1 4.3 */
static float vsum(const uint8_t *a, enum tensor_type type, const float *b, uint32_t n)
{
    float y = 0.0f;
    for (uint32_t first = 0; first < n; first += ACT_BLOCK) {
        float s[32];
        for (uint32_t l = 0; l < 32; l++) {
            s[l] = 0.0f;
            for (uint32_t i = first + l; i < first + ACT_BLOCK; i += 32)
                s[l] = fmaf(float_weight(a, type, n, i), i < n ? b[i] : 0.0f, s[l]);
        }
        for (uint32_t h = 16; h >= 1; h /= 2)
            for (uint32_t l = 0; l < h; l++)
                s[l] = s[l] + s[l + h];
        y = y + s[0];
    }
    return y;
}

float ops_ref_vsum(const float *a, const float *b, uint32_t n) { return vsum((const uint8_t *)a, TENSOR_F32, b, n); }

/* NV1 4.2 */
static void ref_matmul_float(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                             size_t stride)
{
    size_t row_bytes = (size_t)w->cols * tensor_type_block_bytes(w->type);
    for (uint32_t token = 0; token < n; token++)
        for (uint32_t row = begin; row < end; row++)
            y[token * stride + row] = vsum(w->data + row * row_bytes, w->type, x + (size_t)token * w->cols, w->cols);
}

/* NV1 5.1 */
static bool ref_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y)
{
    float ss = ops_ref_vsum(x, x, n);
    float r = 1.0f / sqrtf(ss / (float)n + eps);
    for (uint32_t i = 0; i < n; i++)
        y[i] = (x[i] * r) * w[i];
    return float_is_finite(ss);
}

/* NV1 5.2 */
static bool ref_gate(const float *g, const float *u, uint32_t n, float *y)
{
    bool finite = true;
    for (uint32_t i = 0; i < n; i++) {
        bool ok = float_is_finite(g[i]) && float_is_finite(u[i]);
        y[i] = ok ? exact_silu(g[i]) * u[i] : 0.0f;
        finite = finite && ok;
    }
    return finite;
}

/* NV1 5.3 */
static void ref_add(float *x, const float *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = x[i] + y[i];
}

/* NV1 6.6 */
static void ref_rope(float *v, const float *cs, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++) {
        float c = cs[2 * i], s = cs[2 * i + 1];
        float v0 = v[2 * i], v1 = v[2 * i + 1];
        v[2 * i] = fmaf(v0, c, -(v1 * s));
        v[2 * i + 1] = fmaf(v0, s, v1 * c);
    }
}

/* NV1 7.2 */
static void scores_of(const int8_t *q, const int8_t *key_tile, uint32_t width, int32_t scores[LIMBS][TILE])
{
    for (uint32_t limb = 0; limb < LIMBS; limb++, key_tile += TILE * width)
        for (uint32_t j = 0; j < TILE; j++) {
            int32_t sum = 0;
            for (uint32_t i = 0; i < width; i++)
                sum += (LIMB_RADIX * q[i] + q[width + i]) * key_tile[((i / 4) * TILE + j) * 4 + i % 4];
            scores[limb][j] = sum;
        }
}

static void ref_attn_scores(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                            int32_t (*scores)[LIMBS][TILE])
{
    for (uint32_t i = 0; i < n; i++)
        scores_of(q + i * LIMBS * width, key_tile, width, scores[i]);
}

static float limbs_joined(int32_t high, int32_t low) { return fmaf((float)LIMB_RADIX, (float)high, (float)low); }

/* NV1 7.2-7.3 */
static bool ref_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                             struct attn_tile *out)
{
    float s[TILE] = { 0 }, w[TILE];
    bool finite = true;
    memset(out, 0, sizeof *out);
    for (uint32_t j = 0; j < n; j++) {
        s[j] = (cq * dk[j]) * limbs_joined(scores[0][j], scores[1][j]);
        finite = finite && float_is_finite(s[j]);
    }
    if (!finite)
        return false;

    float max = s[0];
    for (uint32_t j = 1; j < n; j++)
        max = s[j] > max ? s[j] : max;
    out->max = exact_ceil(max);

    int32_t total = 0;
    float wmax = 0.0f;
    for (uint32_t j = 0; j < n; j++) {
        float p = exact_exp2(s[j] - out->max);
        total += (int32_t)exact_rne(p * 0x1p15f);
        w[j] = p * dv[j];
        wmax = w[j] > wmax ? w[j] : wmax;
    }
    out->l = (float)total * 0x1p-15f;
    if (wmax < 0x1p-100f)
        return true;
    float inv = 32512.0f / wmax;
    out->g = wmax / 32512.0f;
    for (uint32_t j = 0; j < n; j++)
        out->u[j] = (int16_t)exact_rne(w[j] * inv);
    return true;
}

/* NV1 7.3 */
static void values_of(const int16_t u[TILE], const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    for (uint32_t limb = 0; limb < LIMBS; limb++, value_tile += TILE * width, sums += width)
        for (uint32_t i = 0; i < width; i++) {
            sums[i] = 0;
            for (uint32_t j = 0; j < TILE; j++)
                sums[i] += u[j] * value_tile[((j / 2) * width + i) * 2 + j % 2];
        }
}

static void ref_attn_values(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width,
                            int32_t *sums)
{
    for (uint32_t i = 0; i < n; i++)
        values_of(tiles[i].u, value_tile, width, sums + i * LIMBS * width);
}

/* NV1 7.4 */
static void ref_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = fmaf(e, limbs_joined(sums[i], sums[n + i]), a * o[i]);
}

/* NV1 7.5 */
static void ref_attn_merge(float *o, const float *part, float a, float b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        o[i] = fmaf(b, part[i], a * o[i]);
}

static void ref_exp2_each(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = exact_exp2(x[i]);
}

static void ref_exp_each(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = exact_exp(x[i]);
}

const struct ops ops_ref = {
    .name = "scalar",
    .quantize = ref_quantize,
    .quantize_head = ref_quantize_head,
    .group_rows = 1,
    .packed_bytes = ref_packed_bytes,
    .pack = ref_pack,
    .matmul = ops_ref_matmul,
    .matmul_float = ref_matmul_float,
    .rmsnorm = ref_rmsnorm,
    .gate = ref_gate,
    .add = ref_add,
    .rope = ref_rope,
    .attn_scores = ref_attn_scores,
    .attn_softmax = ref_attn_softmax,
    .attn_values = ref_attn_values,
    .attn_fold = ref_attn_fold,
    .attn_merge = ref_attn_merge,
    .exp2_each = ref_exp2_each,
    .exp_each = ref_exp_each,
};
