/* packing_neon.c - stored blocks to groups of 8 rows; portable but for the little-endian words. */
#include "kernels/packing_neon.h"

#include <string.h>

#include "kernels/blocks.h"

static struct packed_shape shape_of(enum tensor_type type)
{
    switch ((int)type) {
#define X(name, ...)                                                                                                   \
    case TENSOR_##name:                                                                                                \
        return (struct packed_shape){ __VA_ARGS__ };
        NEON_TYPES(X)
#undef X
    }
    return (struct packed_shape){ 0 };
}

size_t neon_packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols)
{
    struct packed_shape s = shape_of(type);
    return s.len ? (size_t)((rows + NEON_GROUP - 1) / NEON_GROUP) * (cols / s.len) * packed_block_bytes(s) : 0;
}

/* Four neighbouring codes, a byte each, into their fields, which are zero so far. */
static void put_step(uint8_t *plane, uint32_t bits, uint32_t step, uint32_t lane, uint32_t codes)
{
    uint32_t per = 8 / bits, word;
    uint8_t *at = plane + (step / per * 2 + lane / 4) * 16 + lane % 4 * 4;
    memcpy(&word, at, sizeof word);
    word |= (codes & 0x01010101u * ((1u << bits) - 1)) << bits * (step % per);
    memcpy(at, &word, sizeof word);
}

static void put_codes(struct packed_shape s, const uint8_t *code, uint32_t lane, uint8_t *to)
{
    for (uint32_t unit = 0; unit < s.len / NEON_UNIT; unit++, to += packed_unit_bytes(s))
        for (uint32_t step = 0; step < NEON_STEPS; step++, code += 4) {
            uint32_t codes;
            memcpy(&codes, code, sizeof codes);
            if (s.low == 8)
                codes ^= 0x80808080u;          /* code - 128 as a signed byte */
            put_step(to, s.low, step, lane, codes);
            if (s.high > 0)
                put_step(to + packed_plane_bytes(s.low), s.high, step, lane, codes >> s.low);
        }
}

static void put_block(const struct block_format *f, struct packed_shape s, const uint8_t *stored, uint32_t lane,
                      uint8_t *to)
{
    struct block b;
    block_read(f, stored, &b);
    if (s.has_exponent)
        to[lane] = stored[0];
    else
        memcpy(to + lane * 2, stored + f->half_at, 2);
    if (s.has_min) {
        uint8_t *m = to + packed_m_at(s) + lane * 2;
        memcpy(m, stored + f->half_at + 2, 2);
        if (s.has_scale)
            m[1] ^= 0x80;                      /* K-quants store -m */
    }
    uint8_t *scale = to + packed_scale_at(s) + lane, *min = to + packed_min_at(s) + lane;
    for (uint32_t run = 0; s.has_scale && run < s.len / s.run; run++) {
        scale[run * NEON_GROUP] = (uint8_t)b.scale[run];
        if (packed_min_in_scale(s))
            scale[run * NEON_GROUP] |= (uint8_t)(b.min[run] << 4);
        else if (s.has_min)
            min[run * NEON_GROUP] = (uint8_t)b.min[run];
    }
    put_codes(s, b.code, lane, to + packed_codes_at(s));
}

void neon_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed)
{
    const struct block_format *f = block_format(w->type);
    struct packed_shape s = shape_of(w->type);
    ENSURE(f && f->len == s.len && f->run == s.run && f->bits == s.low + s.high && begin % NEON_GROUP == 0);
    uint32_t blocks = w->cols / s.len;
    for (uint32_t row = begin; row < end; row++) {
        uint32_t lane = row % NEON_GROUP;
        uint8_t *to = packed + (size_t)(row / NEON_GROUP) * blocks * packed_block_bytes(s);
        const uint8_t *from = w->data + (size_t)row * blocks * f->bytes;
        if (lane == 0)
            memset(to, 0, (size_t)blocks * packed_block_bytes(s));
        for (uint32_t b = 0; b < blocks; b++, from += f->bytes, to += packed_block_bytes(s))
            put_block(f, s, from, lane, to);
    }
}
