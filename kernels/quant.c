/* quant.c - NV1 3.2 and 3.3: activations to int8. */
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

bool quant_block(const float *x, uint32_t n, int8_t *q, float *d)
{
    uint32_t bits = max_magnitude_bits(x, n);
    bool finite = bits < 0x7f800000u;
    float amax = finite ? float_from_bits(bits) : 0.0f;
    memset(q, 0, n);
    *d = 0.0f;
    if (amax < 0x1p-100f)
        return finite;
    *d = amax / 127.0f;
    float inv = 127.0f / amax;
    for (uint32_t i = 0; i < n; i++)
        q[i] = (int8_t)exact_rne(x[i] * inv);          /* |x * inv| <= 127 (1 + 2^-23), so it rounds into int8 */
    return true;
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

size_t quant_head_bytes(enum tensor_type head, uint32_t dim)
{
    return block_format(head) ? (size_t)dim + (size_t)ops_act_blocks(dim) * 4 : (size_t)dim * 4;
}

void quant_write_head(enum tensor_type head, uint32_t dim, const float *h, const struct acts *x, uint32_t token,
                      uint8_t *out)
{
    if (!block_format(head)) {
        for (uint32_t i = 0; i < dim; i++)
            store_f32(out + (size_t)i * 4, h[i]);
        return;
    }
    uint32_t blocks = ops_act_blocks(dim);
    memcpy(out, x->q + (size_t)token * blocks * ACT_BLOCK, dim);
    for (uint32_t b = 0; b < blocks; b++)
        store_f32(out + dim + (size_t)b * 4, x->d[(size_t)token * blocks + b]);
}
