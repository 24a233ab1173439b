/* packing_neon.h - how do the NEON kernels want quantised weights to lie?
 *
 * Rows go in groups of 8, a lane per row (two registers of four), so that nothing is ever added across lanes: one dot
 * product instruction takes four neighbouring columns of four rows and the same four activations for all of them. Of each
 * stored block a group has, one behind the other (lane = row % 8; missing rows are zero):
 *
 *   d        8 x fp16 (MXFP4: 8 x exponent)
 *   m        8 x fp16, its sign as in NV1 3.1                  types with mins
 *   scale    a run: 8 x int8                                   types with scales
 *   min      a run: 8 x uint8                                  types with both; Q2_K: the high nibble of scale instead
 *   codes    per unit of 32 columns: the low plane, then the high plane
 *
 * A unit has 8 steps of 4 columns. A plane of `bits` bits holds 8 / bits steps in each byte, neighbouring steps together:
 * the field of (step, lane, column c of the step) is bits [bits * (step % per), ...) of byte
 * (step / per * 2 + lane / 4) * 16 + lane % 4 * 4 + c, per = 8 / bits.
 *
 * The zero of a code is not subtracted from each weight, but once from the sum of a run: zero * sum(q) is what it adds.
 * Sizes are those of the file but for up to 4 % (Q3_K), where six-bit scales are spread to bytes.
 */
#ifndef TALLYMESH_KERNELS_PACKING_NEON_H
#define TALLYMESH_KERNELS_PACKING_NEON_H

#include "kernels/ops.h"

enum { NEON_GROUP = 8, NEON_UNIT = 32, NEON_STEPS = 8 };

struct packed_shape {
    uint32_t len, run;           /* as in struct block_format */
    uint32_t low, high;          /* bits of a code in either plane */
    int32_t zero;                /* 0 with a table, and for Q8_0, whose weights are stored as int8 */
    bool has_min, has_scale, has_table, has_exponent;
};

#define NEON_TYPES(X)                                                                                                  \
    X(Q8_0, .len = 32, .run = 32, .low = 8)                                                                            \
    X(Q4_0, .len = 32, .run = 32, .low = 4, .zero = 8)                                                                 \
    X(Q4_1, .len = 32, .run = 32, .low = 4, .has_min = true)                                                           \
    X(Q5_0, .len = 32, .run = 32, .low = 4, .high = 1, .zero = 16)                                                     \
    X(Q5_1, .len = 32, .run = 32, .low = 4, .high = 1, .has_min = true)                                                \
    X(IQ4_NL, .len = 32, .run = 32, .low = 4, .has_table = true)                                                       \
    X(MXFP4, .len = 32, .run = 32, .low = 4, .has_table = true, .has_exponent = true)                                  \
    X(Q2_K, .len = 256, .run = 16, .low = 2, .has_min = true, .has_scale = true)                                       \
    X(Q3_K, .len = 256, .run = 16, .low = 2, .high = 1, .zero = 4, .has_scale = true)                                  \
    X(Q4_K, .len = 256, .run = 32, .low = 4, .has_min = true, .has_scale = true)                                       \
    X(Q5_K, .len = 256, .run = 32, .low = 4, .high = 1, .has_min = true, .has_scale = true)                            \
    X(Q6_K, .len = 256, .run = 16, .low = 4, .high = 2, .zero = 32, .has_scale = true)                                 \
    X(IQ4_XS, .len = 256, .run = 32, .low = 4, .has_table = true, .has_scale = true)

/* Where the parts of a group's block begin; constants where the shape is one. */
static inline bool packed_min_in_scale(struct packed_shape s) { return s.has_min && s.has_scale && s.run == 16; }
static inline uint32_t packed_m_at(struct packed_shape s) { return NEON_GROUP * (s.has_exponent ? 1 : 2); }
static inline uint32_t packed_scale_at(struct packed_shape s) { return packed_m_at(s) + (s.has_min ? NEON_GROUP * 2 : 0); }
static inline uint32_t packed_min_at(struct packed_shape s)
{
    return packed_scale_at(s) + (s.has_scale ? NEON_GROUP * (s.len / s.run) : 0);
}
static inline uint32_t packed_codes_at(struct packed_shape s)
{
    bool own_mins = s.has_min && s.has_scale && !packed_min_in_scale(s);
    return packed_min_at(s) + (own_mins ? NEON_GROUP * (s.len / s.run) : 0);
}
static inline uint32_t packed_plane_bytes(uint32_t bits) { return NEON_GROUP * NEON_UNIT / 8 * bits; }
static inline uint32_t packed_unit_bytes(struct packed_shape s) { return packed_plane_bytes(s.low + s.high); }
static inline uint32_t packed_block_bytes(struct packed_shape s)
{
    return packed_codes_at(s) + s.len / NEON_UNIT * packed_unit_bytes(s);
}

/* packed_bytes() and pack() of struct ops. */
size_t neon_packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols);
void neon_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed);

#endif
