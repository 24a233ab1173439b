/* packed_avx2.c - stored blocks to groups of eight rows. */
#include "kernels/packed_avx2.h"

#include <string.h>

size_t packed_avx2_bytes(enum tensor_type type, uint32_t rows, uint32_t cols)
{
    return (size_t)((rows + GROUP - 1) / GROUP) * packed_group_bytes(block_format(type), cols);
}

/* One plane of a unit: `width` bits from bit `from` of each code. Four codes at once: a chunk of one row is a word. */
static inline void put_plane(const uint32_t *chunk, uint32_t from, uint32_t width, uint8_t *to)
{
    uint32_t mask = 0x01010101u * ((1u << width) - 1);
    for (uint32_t i = 0; i < width; i++) {
        uint32_t word = 0;
        for (uint32_t k = 0; k < CHUNKS / width; k++)
            word |= (chunk[i + k * width] >> from & mask) << (k * width);
        memcpy(to + i * CHUNK_BYTES, &word, sizeof word);
    }
}

static void put_codes(const struct block_format *f, const uint8_t *code, uint8_t *to)
{
    uint32_t chunk[CHUNKS], low = packed_low_bits(f);
    memcpy(chunk, code, sizeof chunk);
    for (uint32_t i = 0; low == 8 && i < CHUNKS; i++)
        chunk[i] ^= 0x80808080u;
    if (low == 8)
        put_plane(chunk, 0, 8, to);
    else if (low == 4)
        put_plane(chunk, 0, 4, to);
    else
        put_plane(chunk, 0, 2, to);
    if (f->bits == low + 1)
        put_plane(chunk, low, 1, to + low * CHUNK_BYTES);
    else if (f->bits == low + 2)
        put_plane(chunk, low, 2, to + low * CHUNK_BYTES);
}

static void put_factors(const struct block_format *f, const uint8_t *stored, uint32_t lane, uint8_t *d, uint8_t *m)
{
    if (f->type == TENSOR_MXFP4) {
        d[lane] = stored[0];
        return;
    }
    memcpy(d + lane * 2, stored + f->half_at, 2);
    if (f->has_min)
        memcpy(m + lane * 2, stored + f->half_at + 2, 2);
}

static void put_scales(const struct block_format *f, const struct block *b, uint32_t lane, uint8_t *scales,
                       uint8_t *mins)
{
    uint32_t per_unit = UNIT / f->run;
    for (uint32_t r = 0; r < f->len / f->run; r++) {
        uint32_t at = (r / per_unit * GROUP + lane) * per_unit + r % per_unit;
        scales[at] = (uint8_t)b->scale[r];
        if (packed_scale_with_min(f))
            scales[at] |= (uint8_t)(b->min[r] << 4);
        else if (f->has_min)
            mins[at] = (uint8_t)b->min[r];
    }
}

/* The part of one row that lies in one block of the group. */
static void put_row(const struct block_format *f, const uint8_t *stored, uint32_t units, uint32_t lane, uint8_t *to)
{
    struct packed_place at = packed_place(f, units);
    uint32_t units_stored = f->len / UNIT;
    for (uint32_t u = 0; u < units; u += units_stored, stored += f->bytes) {
        struct block b;
        block_read(f, stored, &b);
        put_factors(f, stored, lane, to + u * packed_d_bytes(f), to + at.m + u * GROUP * 2);
        if (f->has_scale)
            put_scales(f, &b, lane, to + at.scales, to + at.mins);
        for (uint32_t k = 0; k < units_stored; k++)
            put_codes(f, b.code + k * UNIT, to + at.codes + (u + k) * CHUNK_BYTES * f->bits + lane * 4);
    }
}

/* All rows of a block before the next block, so that what is written stays in the nearest cache until it is whole. */
static void pack_group(const struct matrix *w, const struct block_format *f, uint32_t row, uint32_t count, uint8_t *to)
{
    size_t row_bytes = (size_t)(w->cols / f->len) * f->bytes;
    for (uint32_t first = 0; first < w->cols; first += ACT_BLOCK) {
        uint32_t units = w->cols - first < ACT_BLOCK ? (w->cols - first) / UNIT : UNITS;
        const uint8_t *stored = w->data + row * row_bytes + (size_t)(first / f->len) * f->bytes;
        for (uint32_t lane = 0; lane < count; lane++)
            put_row(f, stored + lane * row_bytes, units, lane, to);
        to += packed_place(f, units).bytes;
    }
}

void packed_avx2_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed)
{
    const struct block_format *f = block_format(w->type);
    size_t group_bytes = packed_group_bytes(f, w->cols);
    for (uint32_t row = begin; row < end; row += GROUP) {
        uint8_t *to = packed + row / GROUP * group_bytes;
        uint32_t count = end - row < GROUP ? end - row : GROUP;
        if (count < GROUP)
            memset(to, 0, group_bytes);
        pack_group(w, f, row, count, to);
    }
}
