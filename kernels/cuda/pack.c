/* pack.c - stored rows into the places where the CUDA kernels look for them. */
#include "kernels/cuda/pack.h"

#include <string.h>

#include "kernels/blocks.h"

#define SAME(name) _Static_assert((int)CUDA_##name == (int)TENSOR_##name, #name)
SAME(F32);
SAME(F16);
SAME(BF16);
SAME(Q8_0);
SAME(Q4_0);
SAME(Q4_1);
SAME(Q5_0);
SAME(Q5_1);
SAME(IQ4_NL);
SAME(MXFP4);
SAME(Q2_K);
SAME(Q3_K);
SAME(Q4_K);
SAME(Q5_K);
SAME(Q6_K);
SAME(IQ4_XS);

static void pack_float_row(enum cuda_type type, uint32_t cols, const uint8_t *stored, uint8_t *out)
{
    size_t size = float_bytes(type);
    uint32_t whole = cols / 256 * 256;
    for (uint32_t at = 0; at < cols; at++) {
        uint32_t to = at < whole ? at / 256 * 256 + at % 32 * 8 + at % 256 / 32 : at;
        memcpy(out + to * size, stored + at * size, size);
    }
}

/* Ors the code of one value into a slab of zeros. */
static void place_code(enum cuda_type type, uint8_t *slab, uint32_t row, uint32_t column, uint32_t code)
{
    uint32_t j = column / 32, i = column % 4, lane = row % 8 * 4 + column % 16 / 4, r = column % 32 / 16 * 2 + row / 8;
    uint32_t low_bits = pack_low_bits(type), low = code & ((1u << low_bits) - 1), high = code >> low_bits;
    uint8_t *four = slab + j / 2 * 512 + lane * 16 + j % 2 * 8 + r / 2 * 4, *second = slab + pack_high_at(type);
    if (low_bits == 8)
        slab[j * 512 + lane * 16 + r * 4 + i] = (uint8_t)(code ^ 0x80);
    else if (low_bits == 2)
        slab[lane * 16 + j * 4 + i] |= (uint8_t)(low << (2 * r));
    else if (pack_has_table(type))
        four[r % 2 * 2 + i / 2] |= (uint8_t)(low << (4 * (i % 2)));
    else
        four[i] |= (uint8_t)(low << (4 * (r % 2)));
    if (pack_high_bits(type) == 1)
        second[lane * 8 + j / 2 * 4 + i] |= (uint8_t)(high << (4 * (j % 2) + r));
    else if (pack_high_bits(type) == 2)
        second[lane * 16 + j * 4 + i] |= (uint8_t)(high << (2 * r));
}

/* Entry (row, i) of `per_row` integers: bytes, or nibbles for Q2_K. */
static void place_integer(enum cuda_type type, uint8_t *to, uint32_t row, uint32_t per_row, uint32_t i, int16_t value)
{
    if (type == CUDA_Q2_K)
        to[(row * per_row + i) / 2] |= (uint8_t)(value << (4 * (i % 2)));
    else
        to[row * per_row + i] = (uint8_t)value;
}

/* A block of 256: two slabs and what is behind them. */
static void pack_super(enum cuda_type type, const struct block_format *f, const uint8_t *stored, uint32_t row,
                       uint8_t *pair)
{
    struct block b;
    uint32_t slab_bytes = pack_slab_bytes(type), runs = 256 / pack_run(type);
    uint8_t *fold = pair + 2 * slab_bytes, *floats = fold + pack_floats_at(type) + row * 2;
    block_read(f, stored, &b);
    for (uint32_t i = 0; i < 256; i++)
        place_code(type, pair + i / PACK_COLS * slab_bytes, row, i % PACK_COLS, b.code[i]);
    for (uint32_t i = 0; i < runs; i++) {
        uint8_t *scales = pair + i / (runs / 2) * slab_bytes + pack_scales_at(type);
        place_integer(type, scales, row, runs / 2, i % (runs / 2), b.scale[i]);
        if (f->has_min)
            place_integer(type, fold, row, runs, i, b.min[i]);
    }
    memcpy(floats, stored + f->half_at, 2);
    if (f->has_min) {
        memcpy(floats + 32, stored + f->half_at + 2, 2);
        floats[33] ^= 0x80;                                /* m is the negated half (kernels/blocks.h) */
    }
}

/* A block of 32: step j of a slab. */
static void pack_small(enum cuda_type type, const struct block_format *f, const uint8_t *stored, uint32_t row,
                       uint8_t *slab, uint32_t j)
{
    struct block b;
    uint8_t *scales = slab + pack_scales_at(type);
    block_read(f, stored, &b);
    for (uint32_t i = 0; i < 32; i++)
        place_code(type, slab, row, j * 32 + i, b.code[i]);
    if (type == CUDA_MXFP4) {
        scales[j * 16 + row] = stored[0];
        return;
    }
    memcpy(scales + (j * 16 + row) * 2, stored + f->half_at, 2);
    if (f->has_min)
        memcpy(scales + 128 + (j * 16 + row) * 2, stored + f->half_at + 2, 2);
}

static void pack_row(enum cuda_type type, const struct block_format *f, uint32_t cols, const uint8_t *stored,
                     uint32_t row, uint8_t *group)
{
    for (uint32_t at = 0; at < cols; at += f->len, stored += f->bytes) {
        uint8_t *slab = group + pack_slab_at(type, at / PACK_COLS);
        if (pack_is_super(type))
            pack_super(type, f, stored, row, slab);
        else
            pack_small(type, f, stored, row, slab, at % PACK_COLS / 32);
    }
}

static bool is_float(enum cuda_type type) { return type == CUDA_F32 || type == CUDA_F16 || type == CUDA_BF16; }

/* The constants of pack.h say what the table says. */
static void check_format(enum cuda_type type, const struct block_format *f)
{
    ENSURE(pack_is_super(type) == f->has_scale);
    ENSURE(f->len == (f->has_scale ? 256 : 32));
    ENSURE(pack_run(type) == f->run);
    ENSURE(pack_low_bits(type) + pack_high_bits(type) == f->bits);
    ENSURE(pack_has_min(type) == f->has_min);
    ENSURE(pack_has_table(type) == (f->table != NULL));
    ENSURE(f->bits == 8 || pack_zero(type) == f->zero);
}

size_t cuda_group_bytes(enum cuda_type type, uint32_t cols)
{
    if (is_float(type))
        return (size_t)PACK_ROWS * float_row_bytes(type, cols);
    return block_format((enum tensor_type)type) ? pack_group_bytes(type, cols) : 0;
}

size_t cuda_packed_bytes(enum cuda_type type, uint32_t rows, uint32_t cols)
{
    return cuda_group_bytes(type, cols) * (((size_t)rows + PACK_ROWS - 1) / PACK_ROWS);
}

void cuda_pack_group(enum cuda_type type, uint32_t rows, uint32_t cols, const uint8_t *stored, uint32_t group,
                     uint8_t *out)
{
    const struct block_format *f = is_float(type) ? NULL : block_format((enum tensor_type)type);
    size_t row_bytes = f ? (size_t)(cols / f->len) * f->bytes : (size_t)cols * float_bytes(type);
    if (f)
        check_format(type, f);
    memset(out, 0, cuda_group_bytes(type, cols));
    for (uint32_t i = 0; i < PACK_ROWS && group * PACK_ROWS + i < rows; i++) {
        const uint8_t *row = stored + (size_t)(group * PACK_ROWS + i) * row_bytes;
        if (f)
            pack_row(type, f, cols, row, i, out);
        else
            pack_float_row(type, cols, row, out + (size_t)i * float_row_bytes(type, cols));
    }
}
