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

/* --- factors and integer scales ----------------------------------------------------------------------------------- */

/* E8M0, halved for the doubled table: 2^(e - 128). The code 255 is NaN in its standard, but GGUF's readers on the CPU (ggml
 * and its Python package) make 2^127 of it like of any other; so do we, and need no special case. */
static float e8m0_half(uint8_t e)
{
    return float_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

static void scales_q2_k(const uint8_t *p, struct block *b)
{
    for (uint32_t j = 0; j < 16; j++) {
        b->scale[j] = p[j] & 15;
        b->min[j] = p[j] >> 4;
    }
}

/* Twelve bytes hold sixteen six-bit scales: low nibbles in bytes 0..7, two high bits each in bytes 8..11. */
static void scales_q3_k(const uint8_t *p, struct block *b)
{
    const uint8_t *s = p + 96;
    for (uint32_t j = 0; j < 16; j++) {
        uint8_t low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
        uint8_t top = s[8 + j % 4] >> (j / 4 * 2) & 3;
        b->scale[j] = (int16_t)((low | top << 4) - 32);
    }
}

/* Q4_K and Q5_K: twelve bytes hold eight six-bit scales and eight six-bit mins. */
static void scales_and_mins(const uint8_t *s, struct block *b)
{
    for (uint32_t j = 0; j < 4; j++) {
        b->scale[j] = s[j] & 63;
        b->min[j] = s[j + 4] & 63;
        b->scale[j + 4] = (int16_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
        b->min[j + 4] = (int16_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

static void scales_q6_k(const uint8_t *p, struct block *b)
{
    for (uint32_t j = 0; j < 16; j++)
        b->scale[j] = (int8_t)p[192 + j];
}

static void scales_iq4_xs(const uint8_t *p, struct block *b)
{
    uint16_t high = (uint16_t)(p[2] | p[3] << 8);
    for (uint32_t j = 0; j < 8; j++)
        b->scale[j] = (int16_t)(((p[4 + j / 2] >> (j % 2 * 4) & 15) | (high >> (2 * j) & 3) << 4) - 32);
}

void block_read_scales(const struct block_format *f, const uint8_t *stored, struct block *out)
{
    out->d = f->type == TENSOR_MXFP4 ? e8m0_half(stored[0]) : half_at(stored + f->half_at);
    out->m = 0.0f;
    if (f->has_min)
        out->m = f->has_scale ? -half_at(stored + f->half_at + 2) : half_at(stored + f->half_at + 2);
    for (uint32_t j = 0; j < BLOCK_RUNS_MAX; j++) {
        out->scale[j] = 1;
        out->min[j] = f->has_min;
    }
    switch ((int)f->type) {
    case TENSOR_Q2_K: scales_q2_k(stored, out); return;
    case TENSOR_Q3_K: scales_q3_k(stored, out); return;
    case TENSOR_Q4_K:
    case TENSOR_Q5_K: scales_and_mins(stored + 4, out); return;
    case TENSOR_Q6_K: scales_q6_k(stored, out); return;
    case TENSOR_IQ4_XS: scales_iq4_xs(stored, out); return;
    }
}

/* --- codes -------------------------------------------------------------------------------------------------------- */

/* Adds a field of each of n bytes, the bits of `mask` from bit `from`, to n codes from bit `to`. Eight bytes at a time,
 * since a model is packed by the gigabyte; no field leaves its byte, so their order does not matter. */
static inline void add_fields(const uint8_t *p, uint32_t n, uint32_t from, uint64_t mask, uint32_t to, uint8_t *code)
{
    for (uint32_t i = 0; i < n; i += 8) {
        uint64_t bytes, codes;
        memcpy(&bytes, p + i, 8);
        memcpy(&codes, code + i, 8);
        codes |= (bytes >> from & mask * 0x0101010101010101u) << to;
        memcpy(code + i, &codes, 8);
    }
}

/* 16 bytes: low nibbles are values 0..15, high nibbles 16..31. */
static void read_nibbles(const uint8_t *p, uint8_t *code)
{
    memset(code, 0, 32);
    add_fields(p, 16, 0, 15, 0, code);
    add_fields(p, 16, 4, 15, 0, code + 16);
}

/* Four bytes: bit i is the 16's bit of value i. Each byte is spread over eight: byte i of the word keeps bit i, which
 * then carries into its highest bit. */
static void add_fifth_bits(const uint8_t *p, uint8_t *code)
{
    uint8_t spread[32];
    for (uint32_t k = 0; k < 4; k++) {
        uint64_t kept = p[k] * 0x0101010101010101u & 0x8040201008040201u;
        uint64_t carried = kept + 0x7f7f7f7f7f7f7f7fu;
        memcpy(spread + k * 8, &carried, 8);
    }
    add_fields(spread, 32, 7, 1, 4, code);
}

static void codes_q8_0(const uint8_t *p, uint8_t *code)
{
    for (uint32_t i = 0; i < 32; i++)
        code[i] = p[2 + i] ^ 0x80;
}

static void codes_q5_0(const uint8_t *p, uint8_t *code)
{
    read_nibbles(p + 6, code);
    add_fifth_bits(p + 2, code);
}

static void codes_q5_1(const uint8_t *p, uint8_t *code)
{
    read_nibbles(p + 8, code);
    add_fifth_bits(p + 4, code);
}

static void codes_q2_k(const uint8_t *p, uint8_t *code)
{
    memset(code, 0, 256);
    for (uint32_t j = 0; j < 8; j++)
        add_fields(p + 16 + j / 4 * 32, 32, j % 4 * 2, 3, 0, code + j * 32);
}

static void codes_q3_k(const uint8_t *p, uint8_t *code)
{
    memset(code, 0, 256);
    for (uint32_t j = 0; j < 8; j++) {
        add_fields(p + 32 + j / 4 * 32, 32, j % 4 * 2, 3, 0, code + j * 32);
        add_fields(p, 32, j, 1, 2, code + j * 32);
    }
}

/* Runs of 32 bytes hold two runs of 32 values: low nibbles the even one, high nibbles the odd one. */
static void read_nibble_runs(const uint8_t *q, uint8_t *code)
{
    memset(code, 0, 256);
    for (uint32_t j = 0; j < 8; j++)
        add_fields(q + j / 2 * 32, 32, j % 2 * 4, 15, 0, code + j * 32);
}

static void codes_q5_k(const uint8_t *p, uint8_t *code)
{
    read_nibble_runs(p + 48, code);
    for (uint32_t j = 0; j < 8; j++)
        add_fields(p + 16, 32, j, 1, 4, code + j * 32);
}

static void codes_q6_k(const uint8_t *p, uint8_t *code)
{
    const uint8_t *low = p, *high = p + 128;
    memset(code, 0, 256);
    for (uint32_t j = 0; j < 8; j++) {
        add_fields(low + j / 4 * 64 + j % 2 * 32, 32, j % 4 / 2 * 4, 15, 0, code + j * 32);
        add_fields(high + j / 4 * 32, 32, j % 4 * 2, 3, 4, code + j * 32);
    }
}

static void codes_iq4_xs(const uint8_t *p, uint8_t *code)
{
    for (uint32_t j = 0; j < 8; j++)
        read_nibbles(p + 8 + j * 16, code + j * 32);
}

void block_read(const struct block_format *f, const uint8_t *stored, struct block *out)
{
    block_read_scales(f, stored, out);
    switch ((int)f->type) {
    case TENSOR_Q8_0: codes_q8_0(stored, out->code); return;
    case TENSOR_Q4_0: read_nibbles(stored + 2, out->code); return;
    case TENSOR_Q4_1: read_nibbles(stored + 4, out->code); return;
    case TENSOR_Q5_0: codes_q5_0(stored, out->code); return;
    case TENSOR_Q5_1: codes_q5_1(stored, out->code); return;
    case TENSOR_IQ4_NL: read_nibbles(stored + 2, out->code); return;      /* the places of Q4_0, another table */
    case TENSOR_MXFP4: read_nibbles(stored + 1, out->code); return;
    case TENSOR_Q2_K: codes_q2_k(stored, out->code); return;
    case TENSOR_Q3_K: codes_q3_k(stored, out->code); return;
    case TENSOR_Q4_K: read_nibble_runs(stored + 16, out->code); return;
    case TENSOR_Q5_K: codes_q5_k(stored, out->code); return;
    case TENSOR_Q6_K: codes_q6_k(stored, out->code); return;
    case TENSOR_IQ4_XS: codes_iq4_xs(stored, out->code); return;
    }
    ENSURE(false);
}
