/* quant.c - NV1 3.2 and 3.3: activations and heads to small integers; stored rows and head bytes. */
#include "kernels/quant.h"

#include <math.h>

#include "kernels/blocks.h"
#include "kernels/exact_math.h"

/* The greatest |x| in an order-free way: magnitudes compare like their bits, and NaN > infinity > finite. */
static uint32_t max_magnitude_bits(const float *x, uint32_t n)
{
    uint32_t max = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t u = float_bits(x[i]) & 0x7fffffffu;
        if (u > max)
            max = u;
    }
    return max;
}

/* amax of NV1 3.2, or 0 where all values become zero. */
static float greatest(const float *x, uint32_t n, bool *finite)
{
    uint32_t bits = max_magnitude_bits(x, n);
    *finite = bits < 0x7f800000u;
    float amax = *finite ? float_from_bits(bits) : 0.0f;
    return amax < 0x1p-100f ? 0.0f : amax;
}

bool quant_group(const float *x, uint32_t n, int8_t *q, float *d)
{
    bool finite;
    float amax = greatest(x, n, &finite);
    *d = amax / 127.0f;
    float inv = 127.0f / amax;
    for (uint32_t i = 0; i < n; i++)
        q[i] = amax > 0.0f ? (int8_t)exact_rne(x[i] * inv) : 0;    /* |x * inv| <= 127 (1 + 2^-23), so it rounds into int8 */
    return finite;
}

bool quant_head(const float *x, uint32_t n, int8_t *high, int8_t *low, float *d)
{
    bool finite;
    float amax = greatest(x, n, &finite);
    *d = amax / (float)LIMB_LEVELS;
    float inv = (float)LIMB_LEVELS / amax;
    for (uint32_t i = 0; i < n; i++) {
        int32_t r = amax > 0.0f ? (int32_t)exact_rne(x[i] * inv) : 0;
        int32_t h = (r + 64 + 128 * LIMB_RADIX) / LIMB_RADIX - 128;    /* floor: what is divided is positive */
        high[i] = (int8_t)h;
        low[i] = (int8_t)(r - LIMB_RADIX * h);
    }
    return finite;
}

static uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static float load_f32(const uint8_t *p)
{
    return float_from_bits((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

static void store_f32(uint8_t *p, float x)
{
    uint32_t u = float_bits(x);
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(u >> 8 * i);
}

/* NV1 4.4 */
static void block_to_float(const struct block_format *f, const struct block *b, float *out)
{
    for (uint32_t i = 0; i < f->len; i++) {
        uint32_t run = i / f->run;
        out[i] = b->d * (float)(b->scale[run] * block_weight(f, b->code[i]));
        if (f->has_min)
            out[i] = fmaf(b->m, (float)b->min[run], out[i]);
    }
}

static float float_at(enum tensor_type type, const uint8_t *p)
{
    if (type == TENSOR_F16)
        return exact_half_to_float(load_u16(p));
    if (type == TENSOR_BF16)
        return float_from_bits((uint32_t)load_u16(p) << 16);
    ENSURE(type == TENSOR_F32);
    return load_f32(p);
}

void quant_row_to_float(const struct matrix *w, uint32_t row, float *out)
{
    const struct block_format *f = block_format(w->type);
    uint32_t len = tensor_type_block_len(w->type), bytes = tensor_type_block_bytes(w->type);
    const uint8_t *p = w->data + (size_t)row * (w->cols / len) * bytes;
    for (uint32_t i = 0; i < w->cols; i += len, p += bytes) {
        if (!f) {
            out[i] = float_at(w->type, p);
            continue;
        }
        struct block b;
        block_read(f, p, &b);
        block_to_float(f, &b, out + i);
    }
}

static uint32_t head_scales(enum tensor_type head, uint32_t dim)
{
    uint32_t group = ops_act_group(head);
    return (dim + group - 1) / group;
}

size_t quant_head_bytes(enum tensor_type head, uint32_t dim)
{
    return block_format(head) ? (size_t)dim + (size_t)head_scales(head, dim) * 4 : (size_t)dim * 4;
}

void quant_write_head(enum tensor_type head, uint32_t dim, const float *h, const struct acts *x, uint32_t token,
                      uint8_t *out)
{
    if (!block_format(head)) {
        for (uint32_t i = 0; i < dim; i++)
            store_f32(out + (size_t)i * 4, h[i]);
        return;
    }
    size_t blocks = ops_act_blocks(dim);
    uint32_t every = ops_act_group(head) / ACT_SCALED;
    ENSURE(x->group == ops_act_group(head));
    memcpy(out, x->q + token * blocks * ACT_BLOCK, dim);
    for (uint32_t i = 0; i < head_scales(head, dim); i++)
        store_f32(out + dim + (size_t)i * 4, x->d[token * blocks * ACT_SCALES + i * every]);
}
