/* packed_avx512.h - how do quantised weights lie in memory for the AVX-512 and AMX kernels?
 *
 * A lane is a row: groups of 16 rows, each group a sequence of *cells* of 256 columns (the last one of a 32-block type
 * may be shorter). Missing rows of the last group are zero. The code bytes are those of the file; only their order is
 * changed, four bytes at a time, so that a 64-byte vector has the same four stored bytes of all 16 rows: [16 rows][4
 * bytes].
 *
 *   32-block types, n <= 8 blocks in the cell:                  256-block types:
 *     d       n x 16 x fp16     (MXFP4: n x 16 x E8M0)            d       16 x fp16
 *     m       n x 16 x fp16     if the type has mins              m       16 x fp16, negated, if the type has mins
 *     codes   n x vectors x 64                                    scales  runs / 2 x [16 rows][2 runs] bytes
 *                                                                 mins    the same, Q4_K and Q5_K
 *                                                                 codes   vectors x 64
 *
 * A *quad* is four neighbouring columns of 16 rows as unsigned bytes, what one vpdpbusd takes; packed_quad() makes
 * quad k (0..7) of a run of 32 columns from the vectors. What it makes is weight + `bias`, so that the instruction sees
 * unsigned bytes; the bias is taken off again, exactly, through the sums that stand beside the activations.
 *
 *   type          vectors          quad k of run r
 *   Q8_0          8                vector k, its sign bit flipped when packed
 *   Q4_0 Q4_1     4                nibble k / 4 of vector k % 4; IQ4_NL and MXFP4 look it up in a table
 *   Q5_0 Q5_1     4 + 1            the same, and bit k of vector 4 as the fifth bit (regrouped when packed)
 *   Q2_K          16               two bits at 2 (r % 4) of vector 8 (r / 4) + k
 *   Q3_K          16 + 8           the same, and bit r of vector 16 + k as the third bit
 *   Q4_K          32               nibble r % 2 of vector 8 (r / 2) + k
 *   Q5_K          32 + 8           the same, and bit r of vector 32 + k as the fifth bit
 *   Q6_K          32 + 16          nibble r / 2 % 2 of vector 16 (r / 4) + 8 (r % 2) + k, and two bits at 2 (r % 4) of
 *                                  vector 32 + 8 (r / 4) + k above them
 *   IQ4_XS        32               nibble k / 4 of vector 4 r + k % 4, looked up
 *
 * Scales and mins are bytes as the format means them, [pair of runs][16 rows][2]; Q2_K keeps its stored byte, scale in
 * the low nibble, min in the high one. Q8_0, Q2_K and Q6_K are exactly as large as the file, the others up to 3.7 %
 * larger.
 *
 * Every function here is for constant `type` and is inlined: nothing of the switch remains.
 * Threads: pure.
 */
#ifndef TALLYMESH_KERNELS_PACKED_AVX512_H
#define TALLYMESH_KERNELS_PACKED_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernels/dot_avx512.h"
#include "kernels/ops.h"

enum { GROUP = 16, VECTOR = 64, CELL_COLS = 256, CELL_BLOCKS = 8, RUN_COLS = 32, QUADS = 8 };

/* What the kernels must know of a type; all of it folds away when `type` is constant. */
struct packed_type {
    bool blocks32;               /* a float step per 32 columns, d and m of each; else integer scales and one per 256 */
    bool has_min;
    uint8_t runs;                /* integer scales per 256: 8 or 16; 0 for 32-block types */
    uint8_t vectors;             /* of codes per block */
    uint8_t bias;                /* quad byte = weight + bias */
};

ALWAYS_INLINE struct packed_type packed_type(enum tensor_type type)
{
    switch ((int)type) {
    case TENSOR_Q8_0: return (struct packed_type){ true, false, 0, 8, 128 };
    case TENSOR_Q4_0: return (struct packed_type){ true, false, 0, 4, 8 };
    case TENSOR_Q4_1: return (struct packed_type){ true, true, 0, 4, 0 };
    case TENSOR_Q5_0: return (struct packed_type){ true, false, 0, 5, 16 };
    case TENSOR_Q5_1: return (struct packed_type){ true, true, 0, 5, 0 };
    case TENSOR_IQ4_NL: return (struct packed_type){ true, false, 0, 4, 128 };
    case TENSOR_MXFP4: return (struct packed_type){ true, false, 0, 4, 12 };
    case TENSOR_Q2_K: return (struct packed_type){ false, true, 16, 16, 0 };
    case TENSOR_Q3_K: return (struct packed_type){ false, false, 16, 24, 4 };
    case TENSOR_Q4_K: return (struct packed_type){ false, true, 8, 32, 0 };
    case TENSOR_Q5_K: return (struct packed_type){ false, true, 8, 40, 0 };
    case TENSOR_Q6_K: return (struct packed_type){ false, false, 16, 48, 32 };
    case TENSOR_IQ4_XS: return (struct packed_type){ false, false, 8, 32, 128 };
    }
    ENSURE(false);
    return (struct packed_type){ 0 };
}

/* --- where the parts of a cell of n blocks begin ---------------------------------------------------------------- */

ALWAYS_INLINE size_t packed_m_at(enum tensor_type type, uint32_t n)
{
    return (size_t)n * (type == TENSOR_MXFP4 ? GROUP : GROUP * 2);
}

ALWAYS_INLINE size_t packed_scales_at(enum tensor_type type, uint32_t n)
{
    return packed_m_at(type, n) + (packed_type(type).has_min ? (size_t)n * GROUP * 2 : 0);
}

ALWAYS_INLINE size_t packed_mins_at(enum tensor_type type, uint32_t n)
{
    return packed_scales_at(type, n) + (size_t)packed_type(type).runs * GROUP;
}

ALWAYS_INLINE size_t packed_codes_at(enum tensor_type type, uint32_t n)
{
    bool mins = type == TENSOR_Q4_K || type == TENSOR_Q5_K;
    return packed_mins_at(type, n) + (mins ? (size_t)packed_type(type).runs * GROUP : 0);
}

ALWAYS_INLINE size_t packed_cell_bytes(enum tensor_type type, uint32_t n)
{
    return packed_codes_at(type, n) + (size_t)n * packed_type(type).vectors * VECTOR;
}

/* Blocks in a cell that begins at column `first`. */
ALWAYS_INLINE uint32_t packed_cell_blocks(enum tensor_type type, uint32_t cols, uint32_t first)
{
    if (!packed_type(type).blocks32)
        return 1;
    return cols - first < CELL_COLS ? (cols - first) / RUN_COLS : CELL_BLOCKS;
}

/* Of 16 rows; a multiple of 32. */
ALWAYS_INLINE size_t packed_group_bytes(enum tensor_type type, uint32_t cols)
{
    uint32_t whole = cols / CELL_COLS, rest = cols % CELL_COLS;
    size_t bytes = whole * packed_cell_bytes(type, packed_cell_blocks(type, CELL_COLS, 0));
    if (rest > 0)
        bytes += (packed_cell_bytes(type, rest / RUN_COLS) + 31) / 32 * 32;
    return bytes;
}

/* --- reading them ----------------------------------------------------------------------------------------------- */

ALWAYS_INLINE __m512 packed_halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

/* 2^(e - 128) of 16 rows; the two smallest are subnormal. */
ALWAYS_INLINE __m512 packed_e8m0(const uint8_t *p)
{
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    __mmask16 small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(bits, small, _mm512_set1_epi32(0x00200000), e));
}

/* d of block b of a cell. */
ALWAYS_INLINE __m512 packed_d(enum tensor_type type, const uint8_t *cell, uint32_t b)
{
    return type == TENSOR_MXFP4 ? packed_e8m0(cell + b * GROUP) : packed_halves(cell + b * GROUP * 2);
}

/* m of block b of a cell of n blocks. */
ALWAYS_INLINE __m512 packed_m(enum tensor_type type, const uint8_t *cell, uint32_t n, uint32_t b)
{
    return packed_halves(cell + packed_m_at(type, n) + b * GROUP * 2);
}

ALWAYS_INLINE __m256i packed_pair_bytes(const uint8_t *p, uint32_t pair)
{
    return _mm256_loadu_si256((const __m256i *)(p + pair * GROUP * 2));
}

/* Scales of runs 2 * pair and 2 * pair + 1 as the low and high 16 bits of each lane. */
ALWAYS_INLINE __m512i packed_scale_pair(enum tensor_type type, const uint8_t *cell, uint32_t pair)
{
    __m256i bytes = packed_pair_bytes(cell + packed_scales_at(type, 1), pair);
    if (type == TENSOR_Q2_K)
        return _mm512_and_si512(_mm512_cvtepu8_epi16(bytes), _mm512_set1_epi16(15));
    return _mm512_cvtepi8_epi16(bytes);
}

ALWAYS_INLINE __m512i packed_min_pair(enum tensor_type type, const uint8_t *cell, uint32_t pair)
{
    if (type == TENSOR_Q2_K)
        return _mm512_srli_epi16(_mm512_cvtepu8_epi16(packed_pair_bytes(cell + packed_scales_at(type, 1), pair)), 4);
    return _mm512_cvtepu8_epi16(packed_pair_bytes(cell + packed_mins_at(type, 1), pair));
}

/* One of the two scales of a pair, as 32 bits. */
ALWAYS_INLINE __m512i packed_scale_of_pair(__m512i pair, uint32_t odd)
{
    return odd ? _mm512_srai_epi32(pair, 16) : _mm512_srai_epi32(_mm512_slli_epi32(pair, 16), 16);
}

ALWAYS_INLINE __m512i packed_vector(const uint8_t *codes, uint32_t i)
{
    return _mm512_loadu_si512(codes + (size_t)i * VECTOR);
}

/* Bits [at, at + width) of every byte, moved up by `up`. */
ALWAYS_INLINE __m512i packed_bits(__m512i v, uint32_t at, uint32_t width, uint32_t up)
{
    const __m512i mask = _mm512_set1_epi8((char)(((1u << width) - 1) << up));
    if (at > up)
        v = _mm512_srli_epi32(v, at - up);
    else if (at < up)
        v = _mm512_slli_epi32(v, up - at);
    return _mm512_and_si512(v, mask);
}

ALWAYS_INLINE __m512i packed_nibble(__m512i v, uint32_t high) { return packed_bits(v, high * 4, 4, 0); }

/* NV1's table A plus 128, and table B plus 12. */
ALWAYS_INLINE __m512i packed_lookup(enum tensor_type type, __m512i code)
{
    const __m128i a = _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15);
    const __m128i b = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(type == TENSOR_MXFP4 ? b : a), code);
}

/* Quad k of run r, from the codes of a block; r is 0 for 32-block types. */
ALWAYS_INLINE __m512i packed_quad(enum tensor_type type, const uint8_t *codes, uint32_t r, uint32_t k)
{
    __m512i v;
    switch ((int)type) {
    case TENSOR_Q8_0:
        return packed_vector(codes, k);
    case TENSOR_Q4_0:
    case TENSOR_Q4_1:
        return packed_nibble(packed_vector(codes, k % 4), k / 4);
    case TENSOR_Q5_0:
    case TENSOR_Q5_1:
        v = packed_nibble(packed_vector(codes, k % 4), k / 4);
        return _mm512_or_si512(v, packed_bits(packed_vector(codes, 4), k, 1, 4));
    case TENSOR_IQ4_NL:
    case TENSOR_MXFP4:
        return packed_lookup(type, packed_nibble(packed_vector(codes, k % 4), k / 4));
    case TENSOR_Q2_K:
        return packed_bits(packed_vector(codes, r / 4 * 8 + k), r % 4 * 2, 2, 0);
    case TENSOR_Q3_K:
        v = packed_bits(packed_vector(codes, r / 4 * 8 + k), r % 4 * 2, 2, 0);
        return _mm512_or_si512(v, packed_bits(packed_vector(codes, 16 + k), r, 1, 2));
    case TENSOR_Q4_K:
        return packed_nibble(packed_vector(codes, r / 2 * 8 + k), r % 2);
    case TENSOR_Q5_K:
        v = packed_nibble(packed_vector(codes, r / 2 * 8 + k), r % 2);
        return _mm512_or_si512(v, packed_bits(packed_vector(codes, 32 + k), r, 1, 4));
    case TENSOR_Q6_K:
        v = packed_nibble(packed_vector(codes, r / 4 * 16 + r % 2 * 8 + k), r / 2 % 2);
        return _mm512_or_si512(v, packed_bits(packed_vector(codes, 32 + r / 4 * 8 + k), r % 4 * 2, 2, 4));
    case TENSOR_IQ4_XS:
        return packed_lookup(type, packed_nibble(packed_vector(codes, r * 4 + k % 4), k / 4));
    }
    return _mm512_setzero_si512();
}

/* Runs f(type, ...) with `type` constant: one copy of an inlined function per type. */
#define PACKED_TYPES(X) X(Q8_0) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(IQ4_NL) X(MXFP4) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) \
    X(Q6_K) X(IQ4_XS)

#endif
