/* pack.h - where does a value of a matrix lie in the memory of a CUDA device?
 *
 * Shared by the packer (pack.c, on the host) and the kernels. Rows go in groups of 16; a group's bytes touch each
 * other, and rows beyond the last are zero.
 *
 * F32, F16, BF16: a row is as long as stored, rounded up to 16 bytes. Within each whole block of 256 value 32 i + l
 * lies at 8 l + i, so that lane l of a warp finds its eight values side by side (NV1 4.3); the values after the last
 * whole block lie as stored.
 *
 * Quantised types: a group is a row of slabs, 16 rows x 128 columns, in the order in which the matrix units take them.
 * A slab has four steps of 32 columns. Of step j, lane 4 g + t of a warp holds 16 values in four words r = 0..3 of four
 * values each:
 *
 *     word r, value i:  row g + 8 (r mod 2), column 32 j + 16 (r div 2) + 4 t + i
 *
 *   8 bits   lane's 16 bytes at 512 j + 16 lane: word r at 4 r, signed bytes
 *   4 bits   lane's 16 bytes at 512 (j div 2) + 16 lane: word r div 2 of step j at 8 (j mod 2) + 4 (r div 2), with
 *            words r and r + 1 in the low and high nibbles of its bytes; for types with a table in its low and high
 *            16 bits
 *   2 bits   lane's 16 bytes at 16 lane: step j is word j, word r in bits 2 r, 2 r + 1 of its bytes
 *   1 bit    lane's 8 bytes at 8 lane: step j in word j div 2, word r in bit 4 (j mod 2) + r of its bytes
 *
 * Codes of 3, 5 and 6 bits are the low bits in a plane of 2 or 4 and the others in a plane behind it. After the planes:
 *
 *   blocks of 32     the 4 x 16 scales d (block, row) as fp16, MXFP4 as one byte; likewise m
 *   blocks of 256    the integer scales (row, run of this slab), a byte each, Q2_K a nibble; and after each second slab
 *                    the integer mins (row, run), likewise, then the 16 scales d as fp16, then m
 *
 * so that the whole is no larger than stored, but for scales and mins of 6 bits that become bytes (2 to 4 %), and rows
 * and columns that fill up the last group and slab.
 */
#ifndef TALLYMESH_KERNELS_CUDA_PACK_H
#define TALLYMESH_KERNELS_CUDA_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/matrix.h"

#ifdef __CUDACC__
#define PACK_FUNCTION static __host__ __device__ constexpr
#elif defined(__cplusplus)
#define PACK_FUNCTION [[maybe_unused]] static constexpr
#else
#define PACK_FUNCTION static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { PACK_ROWS = 16, PACK_COLS = 128 };

PACK_FUNCTION uint32_t float_bytes(enum cuda_type type) { return type == CUDA_F32 ? 4 : 2; }
PACK_FUNCTION uint32_t float_row_bytes(enum cuda_type type, uint32_t cols)
{
    return (cols * float_bytes(type) + 15) & ~15u;
}

/* What the table of kernels/blocks.h says of a type, as constants for kernels (pack.c compares them). */
PACK_FUNCTION bool pack_is_super(enum cuda_type type)              /* blocks of 256 with integer scales */
{
    return (type >= CUDA_Q2_K && type <= CUDA_Q6_K) || type == CUDA_IQ4_XS;
}
PACK_FUNCTION bool pack_has_table(enum cuda_type type)
{
    return type == CUDA_IQ4_NL || type == CUDA_IQ4_XS || type == CUDA_MXFP4;
}
PACK_FUNCTION bool pack_has_min(enum cuda_type type)
{
    return type == CUDA_Q4_1 || type == CUDA_Q5_1 || type == CUDA_Q2_K || type == CUDA_Q4_K || type == CUDA_Q5_K;
}
PACK_FUNCTION uint32_t pack_run(enum cuda_type type)
{
    return type == CUDA_Q2_K || type == CUDA_Q3_K || type == CUDA_Q6_K ? 16 : 32;
}
PACK_FUNCTION uint32_t pack_zero(enum cuda_type type)        /* weight = code - zero; Q8_0 is packed with its sign */
{
    return type == CUDA_Q4_0 ? 8 : type == CUDA_Q5_0 ? 16 : type == CUDA_Q3_K ? 4 : type == CUDA_Q6_K ? 32 : 0;
}
/* Bits of a code in the first plane and in the second. */
PACK_FUNCTION uint32_t pack_low_bits(enum cuda_type type)
{
    return type == CUDA_Q8_0 ? 8 : type == CUDA_Q2_K || type == CUDA_Q3_K ? 2 : 4;
}
PACK_FUNCTION uint32_t pack_high_bits(enum cuda_type type)
{
    bool one = type == CUDA_Q5_0 || type == CUDA_Q5_1 || type == CUDA_Q5_K || type == CUDA_Q3_K;
    return one ? 1 : type == CUDA_Q6_K ? 2 : 0;
}

/* Where things lie in a slab and behind the second slab of a pair. */
PACK_FUNCTION uint32_t pack_high_at(enum cuda_type type) { return 256 * pack_low_bits(type); }
PACK_FUNCTION uint32_t pack_scales_at(enum cuda_type type)
{
    return 256 * (pack_low_bits(type) + pack_high_bits(type));
}
PACK_FUNCTION uint32_t pack_slab_bytes(enum cuda_type type)
{
    if (pack_is_super(type))
        return pack_scales_at(type) + (type == CUDA_Q3_K || type == CUDA_Q6_K ? 128 : 64);
    return pack_scales_at(type) + (type == CUDA_MXFP4 ? 64 : pack_has_min(type) ? 256 : 128);
}
PACK_FUNCTION uint32_t pack_floats_at(enum cuda_type type) { return pack_has_min(type) ? 128 : 0; }
PACK_FUNCTION uint32_t pack_fold_bytes(enum cuda_type type)
{
    return !pack_is_super(type) ? 0 : pack_has_min(type) ? 192 : 32;
}
PACK_FUNCTION uint32_t pack_slabs(uint32_t cols) { return (cols + PACK_COLS - 1) / PACK_COLS; }
PACK_FUNCTION uint32_t pack_pair_bytes(enum cuda_type type)
{
    return 2 * pack_slab_bytes(type) + pack_fold_bytes(type);
}
/* From the beginning of a group to a slab. */
PACK_FUNCTION size_t pack_slab_at(enum cuda_type type, uint32_t slab)
{
    return (size_t)(slab / 2) * pack_pair_bytes(type) + (slab % 2) * pack_slab_bytes(type);
}
PACK_FUNCTION size_t pack_group_bytes(enum cuda_type type, uint32_t cols)
{
    return pack_slab_at(type, pack_slabs(cols));
}

/* Bytes of a group of 16 rows, a multiple of 16; 0 for a type that no kernel takes. */
size_t cuda_group_bytes(enum cuda_type type, uint32_t cols);
/* Bytes of the whole matrix. */
size_t cuda_packed_bytes(enum cuda_type type, uint32_t rows, uint32_t cols);
/* Rows [16 group, 16 group + 16) of the stored matrix; `out` has cuda_group_bytes(). Groups may be packed by any number
 * of threads, and in pieces as the device takes them. */
void cuda_pack_group(enum cuda_type type, uint32_t rows, uint32_t cols, const uint8_t *stored, uint32_t group,
                     uint8_t *out);

#ifdef __cplusplus
}
#endif

#endif
