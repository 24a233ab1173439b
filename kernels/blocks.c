/* blocks.c - the bit layouts of GGUF's quantised blocks, decoded to integers. */
#include "kernels/blocks.h"

#include <string.h>

#include "kernels/exact_math.h"

static const int8_t nonlinear[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
/* Twice the values of E2M1, so that they are integers; the scale is halved for it. */
static const int8_t e2m1_doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

static const struct block_format formats[] = {
    { TENSOR_Q8_0, 32, 32, 34, 8, 128, 0, false, false, NULL },
    { TENSOR_Q4_0, 32, 32, 18, 4, 8, 0, false, false, NULL },
    { TENSOR_Q4_1, 32, 32, 20, 4, 0, 0, true, false, NULL },
    { TENSOR_Q5_0, 32, 32, 22, 5, 16, 0, false, false, NULL },
    { TENSOR_Q5_1, 32, 32, 24, 5, 0, 0, true, false, NULL },
    { TENSOR_IQ4_NL, 32, 32, 18, 4, 0, 0, false, false, nonlinear },
    { TENSOR_MXFP4, 32, 32, 17, 4, 0, 0, false, false, e2m1_doubled },
    { TENSOR_Q2_K, 256, 16, 84, 2, 0, 80, true, true, NULL },
    { TENSOR_Q3_K, 256, 16, 110, 3, 4, 108, false, true, NULL },
    { TENSOR_Q4_K, 256, 32, 144, 4, 0, 0, true, true, NULL },
    { TENSOR_Q5_K, 256, 32, 176, 5, 0, 0, true, true, NULL },
    { TENSOR_Q6_K, 256, 16, 210, 6, 32, 208, false, true, NULL },
    { TENSOR_IQ4_XS, 256, 32, 136, 4, 0, 0, false, true, nonlinear },
};

const struct block_format *block_format(enum tensor_type type)
{
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++)
        if (formats[i].type == type)
            return &formats[i];
    return NULL;
}

const struct block_format *block_format_at(size_t i) { return i < ARRAY_COUNT(formats) ? &formats[i] : NULL; }

static float half_at(const uint8_t *p) { return exact_half_to_float((uint16_t)(p[0] | p[1] << 8)); }

/* 16 bytes: low nibbles are values 0..15, high nibbles 16..31. */
static void read_nibbles(const uint8_t *p, uint8_t *code)
{
    for (uint32_t i = 0; i < 16; i++) {
        code[i] = p[i] & 15;
        code[i + 16] = p[i] >> 4;
    }
}

/* Four bytes: bit i is the 16's bit of value i. */
static void add_fifth_bits(const uint8_t *p, uint8_t *code)
{
    for (uint32_t i = 0; i < 32; i++)
        code[i] |= (uint8_t)((p[i / 8] >> (i % 8) & 1) << 4);
}

static void read_q8_0(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    for (uint32_t i = 0; i < 32; i++)
        b->code[i] = p[2 + i] ^ 0x80;
}

static void read_q4_0(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    read_nibbles(p + 2, b->code);
}

static void read_q4_1(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    b->m = half_at(p + 2);
    read_nibbles(p + 4, b->code);
}

static void read_q5_0(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    read_nibbles(p + 6, b->code);
    add_fifth_bits(p + 2, b->code);
}

static void read_q5_1(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    b->m = half_at(p + 2);
    read_nibbles(p + 8, b->code);
    add_fifth_bits(p + 4, b->code);
}

/* E8M0, halved for the doubled table: 2^(e - 128). The code 255 is NaN in its standard; 2^126 is what GGUF's readers
 * compute for it, and a number is safer than none. */
static float e8m0_half(uint8_t e)
{
    if (e == 255)
        e = 254;
    return float_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

static void read_mxfp4(const uint8_t *p, struct block *b)
{
    b->d = e8m0_half(p[0]);
    read_nibbles(p + 1, b->code);
}

static void read_q2_k(const uint8_t *p, struct block *b)
{
    const uint8_t *q = p + 16;
    b->d = half_at(p + 80);
    b->m = -half_at(p + 82);
    for (uint32_t j = 0; j < 16; j++) {
        b->scale[j] = p[j] & 15;
        b->min[j] = p[j] >> 4;
    }
    for (uint32_t i = 0; i < 256; i++)
        b->code[i] = q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

/* Twelve bytes hold sixteen six-bit scales: low nibbles in bytes 0..7, two high bits each in bytes 8..11. */
static void read_q3_k(const uint8_t *p, struct block *b)
{
    const uint8_t *high = p, *q = p + 32, *s = p + 96;
    b->d = half_at(p + 108);
    for (uint32_t j = 0; j < 16; j++) {
        uint8_t low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
        uint8_t top = s[8 + j % 4] >> (j / 4 * 2) & 3;
        b->scale[j] = (int16_t)((low | top << 4) - 32);
    }
    for (uint32_t i = 0; i < 256; i++) {
        uint8_t two = q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        b->code[i] = (uint8_t)(two | (high[i % 32] >> (i / 32) & 1) << 2);
    }
}

/* Twelve bytes hold eight six-bit scales and eight six-bit mins. */
static void read_scales_and_mins(const uint8_t *s, struct block *b)
{
    for (uint32_t j = 0; j < 4; j++) {
        b->scale[j] = s[j] & 63;
        b->min[j] = s[j + 4] & 63;
        b->scale[j + 4] = (int16_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
        b->min[j + 4] = (int16_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

/* Runs of 32 bytes hold two runs of 32 values: low nibbles the even one, high nibbles the odd one. */
static void read_nibble_runs(const uint8_t *q, uint8_t *code)
{
    for (uint32_t i = 0; i < 256; i++)
        code[i] = q[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
}

static void read_q4_k(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    b->m = -half_at(p + 2);
    read_scales_and_mins(p + 4, b);
    read_nibble_runs(p + 16, b->code);
}

static void read_q5_k(const uint8_t *p, struct block *b)
{
    b->d = half_at(p);
    b->m = -half_at(p + 2);
    read_scales_and_mins(p + 4, b);
    read_nibble_runs(p + 48, b->code);
    for (uint32_t i = 0; i < 256; i++)
        b->code[i] |= (uint8_t)((p[16 + i % 32] >> (i / 32) & 1) << 4);
}

static void read_q6_k(const uint8_t *p, struct block *b)
{
    const uint8_t *low = p, *high = p + 128;
    b->d = half_at(p + 208);
    for (uint32_t j = 0; j < 16; j++)
        b->scale[j] = (int8_t)p[192 + j];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t in_half = i % 128;
        uint8_t four = low[i / 128 * 64 + in_half % 64] >> (in_half / 64 * 4) & 15;
        uint8_t two = high[i / 128 * 32 + in_half % 32] >> (in_half / 32 * 2) & 3;
        b->code[i] = (uint8_t)(four | two << 4);
    }
}

static void read_iq4_xs(const uint8_t *p, struct block *b)
{
    uint16_t high = (uint16_t)(p[2] | p[3] << 8);
    b->d = half_at(p);
    for (uint32_t j = 0; j < 8; j++) {
        b->scale[j] = (int16_t)(((p[4 + j / 2] >> (j % 2 * 4) & 15) | (high >> (2 * j) & 3) << 4) - 32);
        read_nibbles(p + 8 + j * 16, b->code + j * 32);
    }
}

void block_read(const struct block_format *f, const uint8_t *stored, struct block *out)
{
    out->m = 0.0f;
    for (uint32_t j = 0; j < BLOCK_RUNS_MAX; j++) {
        out->scale[j] = 1;
        out->min[j] = f->has_min;
    }
    switch ((int)f->type) {
    case TENSOR_Q8_0: read_q8_0(stored, out); return;
    case TENSOR_Q4_0: read_q4_0(stored, out); return;
    case TENSOR_Q4_1: read_q4_1(stored, out); return;
    case TENSOR_Q5_0: read_q5_0(stored, out); return;
    case TENSOR_Q5_1: read_q5_1(stored, out); return;
    case TENSOR_IQ4_NL: read_q4_0(stored, out); return;      /* the same places, another table */
    case TENSOR_MXFP4: read_mxfp4(stored, out); return;
    case TENSOR_Q2_K: read_q2_k(stored, out); return;
    case TENSOR_Q3_K: read_q3_k(stored, out); return;
    case TENSOR_Q4_K: read_q4_k(stored, out); return;
    case TENSOR_Q5_K: read_q5_k(stored, out); return;
    case TENSOR_Q6_K: read_q6_k(stored, out); return;
    case TENSOR_IQ4_XS: read_iq4_xs(stored, out); return;
    }
    ENSURE(false);
}
