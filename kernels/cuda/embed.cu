/* embed.cu - stored rows of the embedding as floats: one thread per value (NV1 4.4).
 *
 * The rows come as the model file stores them (only those of the pass are uploaded; the table itself stays with the
 * host), so this file reads GGUF's layouts, value by value, where kernels/blocks.c reads whole blocks. */
#include "kernels/cuda/prim.h"
#include "kernels/cuda/steps.h"

enum { THREADS = 128 };

/* value = d * (scale * weight) + m * min; m and min count where has_min (NV1 3.1). */
struct stored_value {
    float d, m;
    int32_t scale, weight, min;
    bool has_min;
};

CONSTANT int8_t NONLINEAR[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
CONSTANT int8_t E2M1_DOUBLED[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

DEVICE uint16_t u16_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
DEVICE float half_at(const uint8_t *p) { return float_from_half(u16_at(p)); }

/* 16 bytes: low nibbles are values 0..15, high nibbles 16..31. */
DEVICE int32_t nibble(const uint8_t *p, uint32_t i) { return p[i % 16] >> (i / 16 * 4) & 15; }

/* Types of 32 values. */
DEVICE struct stored_value value_of_32(enum cuda_type type, const uint8_t *p, uint32_t i)
{
    struct stored_value v = { half_at(p), 0.0f, 1, 0, 1, false };
    switch (type) {
    case CUDA_Q8_0: v.weight = (int8_t)p[2 + i]; break;
    case CUDA_Q4_0: v.weight = nibble(p + 2, i) - 8; break;
    case CUDA_IQ4_NL: v.weight = NONLINEAR[nibble(p + 2, i)]; break;
    case CUDA_Q4_1: v.weight = nibble(p + 4, i), v.has_min = true; break;
    case CUDA_Q5_0: v.weight = (nibble(p + 6, i) | (p[2 + i / 8] >> (i % 8) & 1) << 4) - 16; break;
    case CUDA_Q5_1: v.weight = nibble(p + 8, i) | (p[4 + i / 8] >> (i % 8) & 1) << 4, v.has_min = true; break;
    case CUDA_MXFP4: v.d = float_from_e8m0_half(p[0]), v.weight = E2M1_DOUBLED[nibble(p + 1, i)]; break;
    default: break;
    }
    if (v.has_min)
        v.m = half_at(p + 2);
    return v;
}

/* Two bits of value i where each 32 bytes hold four runs of 32 values. */
DEVICE int32_t two_bits(const uint8_t *q, uint32_t i) { return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }
/* Runs of 32 bytes hold two runs of 32 values. */
DEVICE int32_t nibble_run(const uint8_t *q, uint32_t i) { return q[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15; }

/* Six-bit scale (or min) j of the eight of Q4_K and Q5_K. */
DEVICE int32_t k_scale(const uint8_t *s, uint32_t j)
{
    return j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
}
DEVICE int32_t k_min(const uint8_t *s, uint32_t j) { return j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4; }

DEVICE int32_t q3_scale(const uint8_t *s, uint32_t j)
{
    int32_t low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    return (low | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4) - 32;
}

DEVICE int32_t q6_code(const uint8_t *p, uint32_t i)
{
    uint32_t half = i / 128, in = i % 128;
    int32_t four = p[half * 64 + in % 64] >> (in / 64 * 4) & 15;
    int32_t two = p[128 + half * 32 + in % 32] >> (in / 32 * 2) & 3;
    return four | two << 4;
}

/* Types of 256 values. */
DEVICE struct stored_value value_of_256(enum cuda_type type, const uint8_t *p, uint32_t i)
{
    struct stored_value v = { half_at(p), 0.0f, 1, 0, 0, false };
    switch (type) {
    case CUDA_Q2_K:
        v.d = half_at(p + 80), v.m = -half_at(p + 82), v.has_min = true;
        v.scale = p[i / 16] & 15, v.min = p[i / 16] >> 4, v.weight = two_bits(p + 16, i);
        break;
    case CUDA_Q3_K:
        v.d = half_at(p + 108), v.scale = q3_scale(p + 96, i / 16);
        v.weight = (two_bits(p + 32, i) | (p[i % 32] >> (i / 32) & 1) << 2) - 4;
        break;
    case CUDA_Q4_K:
    case CUDA_Q5_K:
        v.m = -half_at(p + 2), v.has_min = true;
        v.scale = k_scale(p + 4, i / 32), v.min = k_min(p + 4, i / 32);
        v.weight = type == CUDA_Q4_K ? nibble_run(p + 16, i)
                                         : nibble_run(p + 48, i) | (p[16 + i % 32] >> (i / 32) & 1) << 4;
        break;
    case CUDA_Q6_K:
        v.d = half_at(p + 208), v.scale = (int8_t)p[192 + i / 16], v.weight = q6_code(p, i) - 32;
        break;
    case CUDA_IQ4_XS: {
        uint32_t j = i / 32;
        v.scale = ((p[4 + j / 2] >> (j % 2 * 4) & 15) | (u16_at(p + 2) >> (2 * j) & 3) << 4) - 32;
        v.weight = NONLINEAR[nibble(p + 8 + j * 16, i % 32)];
        break;
    }
    default: break;
    }
    return v;
}

DEVICE float value_at(const struct cuda_stored &a, const uint8_t *row, uint32_t i)
{
    const uint8_t *p = row + (size_t)(i / a.block_len) * a.block_bytes;
    if (a.type == CUDA_F32)
        return float_from_bits((uint32_t)u16_at(p) | (uint32_t)u16_at(p + 2) << 16);
    if (a.type == CUDA_F16)
        return half_at(p);
    if (a.type == CUDA_BF16)
        return float_from_bf16(u16_at(p));
    struct stored_value v = a.block_len == 32 ? value_of_32(a.type, p, i % 32) : value_of_256(a.type, p, i % 256);
    float x = float_mul(v.d, float_from_int(v.scale * v.weight));
    return v.has_min ? float_fma(v.m, float_from_int(v.min), x) : x;
}

KERNEL(THREADS) embed(struct cuda_stored a, float *x)
{
    uint32_t i = blockIdx.x * THREADS + threadIdx.x, row = blockIdx.y;
    grid_release();
    if (i < a.cols)
        x[(size_t)row * a.cols + i] = value_at(a, a.rows + (size_t)row * (a.cols / a.block_len) * a.block_bytes, i);
}

extern "C" void cuda_embed(const struct cuda_stored *stored, uint32_t n, float *x, struct CUstream_st *stream)
{
    /* The first of a pass: what stands before it in the stream are copies, so it is not launched early. */
    if (n > 0)
        LAUNCH(embed, (stored->cols + THREADS - 1) / THREADS, n, THREADS, 0, stream, *stored, x);
}
