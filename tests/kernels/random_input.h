/* random_input.h - seeded floats and integers for the op tests: ordinary, extreme, subnormal. */
#ifndef TALLYMESH_TESTS_KERNELS_RANDOM_INPUT_H
#define TALLYMESH_TESTS_KERNELS_RANDOM_INPUT_H

#include "crypto/base.h"
#include "kernels/blocks.h"
#include "kernels/exact_math.h"

enum input_kind {
    INPUT_ORDINARY,       /* [-1, 1) */
    INPUT_WIDE,           /* any exponent from 2^-60 to 2^40 */
    INPUT_TINY,           /* subnormals, zeros of both signs, and a few around 2^-100 */
    INPUT_EXTREME,        /* any finite bit pattern */
    INPUT_KINDS
};

static inline float input_value(struct rng *r, enum input_kind kind)
{
    uint64_t bits = rng_next(r);
    float unit = (float)(int32_t)(bits >> 40) * 0x1p-23f - 1.0f;
    switch (kind) {
    case INPUT_ORDINARY:
    case INPUT_KINDS:
        break;
    case INPUT_WIDE:
        return unit * float_from_bits((uint32_t)(67 + bits % 100) << 23);
    case INPUT_TINY:
        return bits % 8 == 0 ? unit * 0x1p-100f : float_from_bits((uint32_t)(bits >> 32) & 0x807fffffu);
    case INPUT_EXTREME:
        for (;;) {
            float x = float_from_bits((uint32_t)(bits >> 32));
            if (float_is_finite(x))
                return x;
            bits = rng_next(r);
        }
    }
    return unit;
}

static inline void input_values(struct rng *r, enum input_kind kind, float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = input_value(r, kind);
}

static inline void input_bytes(struct rng *r, int8_t *q, uint32_t n)      /* in [-127, 127], the ends often */
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bits = rng_next(r);
        q[i] = bits % 4 == 0 ? (bits & 4 ? 127 : -127) : (int8_t)((int32_t)(bits >> 33) % 128);
    }
}

/* Stored blocks of any bits, with finite floats: tiny and subnormal ones, or (extreme) any whose products stay finite;
 * then some blocks have all bits set or none. */
static inline void input_blocks(struct rng *r, const struct block_format *f, uint8_t *data, size_t blocks, bool extreme)
{
    rng_bytes(r, data, blocks * f->bytes);
    for (size_t b = 0; b < blocks; b++, data += f->bytes) {
        if (extreme && b % 5 == 0)
            memset(data, b % 2 ? 0xff : 0x00, f->bytes);
        if (f->type == TENSOR_MXFP4)
            data[0] = extreme ? data[0] % 170 : data[0] % 4;
        for (uint32_t i = 0; f->type != TENSOR_MXFP4 && i <= f->has_min; i++) {
            uint8_t *high = data + f->half_at + 2 * i + 1;
            if (!extreme)
                *high &= 0x83;
            else if ((*high & 0x7c) == 0x7c)
                *high ^= 0x40;
        }
    }
}

#endif
