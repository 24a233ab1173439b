/* packed_avx2.h - how do eight rows of a quantised matrix lie in memory, so that a lane of a register is a row?
 *
 * A group is 8 rows, missing ones zero. It is a sequence of blocks of 256 columns, the last perhaps shorter; a block
 * has up to 8 units of 32 columns. "Step" is what has one float factor: a unit, or with integer scales the block.
 *
 *   offset     bytes                 what
 *   0          steps * 16            d: 8 x fp16, one per row          (MXFP4: steps * 8, 8 x exponent)
 *   m          steps * 16            m: 8 x fp16                       (types with mins)
 *   scales     units * 256 / run     of each unit: 8 rows x its one or two scales, int8   (types with integer scales)
 *   mins       units * 256 / run     likewise                          (types with both; Q2_K has them in the upper
 *                                                                      halves of the bytes of its scales instead)
 *   codes      units * 32 * bits     below
 *
 * Codes of a unit. A register of 32 bytes holds for 8 rows the 4 neighbouring columns of a *chunk*; byte = row * 4 +
 * column. A unit has 8 chunks, and its codes are cut into planes of 8, 4, 2 or 1 bits (5 = 4 + 1, 6 = 4 + 2, 3 = 2 + 1,
 * the low bits first; 8 bits lie as stored, signed). A plane of w bits is w registers, and chunk i lies in register
 * i mod w, from bit i / w * w of each byte.
 * Nothing is spent on alignment: the packed form is at most 1.04 times the stored one (Q3_K; the others are nearer).
 *
 * Threads: pure; any thread.
 * Spec:    NV1 3.1: bytes are rearranged, values stay.
 */
#ifndef TALLYMESH_KERNELS_PACKED_AVX2_H
#define TALLYMESH_KERNELS_PACKED_AVX2_H

#include "kernels/blocks.h"
#include "kernels/ops.h"

enum { GROUP = 8, UNIT = 32, UNITS = ACT_BLOCK / UNIT, CHUNKS = 8, CHUNK_BYTES = 32 };

struct packed_place {
    uint32_t m, scales, mins, codes, bytes;
};

static inline uint32_t packed_d_bytes(const struct block_format *f)
{
    return f->type == TENSOR_MXFP4 ? GROUP : GROUP * 2;
}

/* Q2_K alone: both fit a byte. */
static inline bool packed_scale_with_min(const struct block_format *f)
{
    return f->has_scale && f->has_min && f->run == ACT_RUN;
}

static inline uint32_t packed_low_bits(const struct block_format *f) { return f->bits == 8 ? 8 : f->bits >= 4 ? 4 : 2; }

/* The places in a block of so many units. */
static inline struct packed_place packed_place(const struct block_format *f, uint32_t units)
{
    uint32_t steps = f->has_scale ? 1 : units;
    uint32_t scale_bytes = f->has_scale ? units * UNIT / f->run * GROUP : 0;
    struct packed_place p = { .m = steps * packed_d_bytes(f) };
    p.scales = p.m + (f->has_min ? steps * GROUP * 2 : 0);
    p.mins = p.scales + scale_bytes;
    p.codes = p.mins + (f->has_min && !packed_scale_with_min(f) ? scale_bytes : 0);
    p.bytes = p.codes + units * CHUNK_BYTES * f->bits;
    return p;
}

/* Bytes of a group of rows of so many columns. */
static inline size_t packed_group_bytes(const struct block_format *f, uint32_t cols)
{
    uint32_t last = cols % ACT_BLOCK / UNIT;
    return (size_t)(cols / ACT_BLOCK) * packed_place(f, UNITS).bytes + (last ? packed_place(f, last).bytes : 0);
}

/* struct ops: packed_bytes, pack */
size_t packed_avx2_bytes(enum tensor_type type, uint32_t rows, uint32_t cols);
void packed_avx2_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed);

#endif
