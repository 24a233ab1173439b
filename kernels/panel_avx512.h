/* panel_avx512.h - 16 rows x 256 columns of packed weights, taken apart once for all tokens of a batch.
 *
 * A panel is one cell (packed_avx512.h) with everything in the form that the inner loop wants, small enough that two of
 * them stay in the first-level cache: quads as bytes, scales and mins widened, factors as floats. For Q2_K and Q3_K the
 * scale is multiplied into the byte, (weight * scale + bias) being at most 255; nothing remains to be done per run.
 *
 *   fold        types                            exact integers over   per integer sum
 *   BLOCKS      Q8_0 Q4_0 Q5_0 IQ4_NL MXFP4      32 columns            one fma
 *   BLOCKS_MIN  Q4_1 Q5_1                        32                    two
 *   WHOLE       Q3_K                             256                   nothing
 *   WHOLE_MIN   Q2_K                             256                   nothing; a word product per pair of mins
 *   WORDS_MIN   Q4_K                             32                    one word product: |sum of (weight - 8) * input|
 *                                                                      <= 8 * 127 * 32 < 2^15; fold_avx512.h adds the 8
 *   LONGS_MIN   Q5_K                             32                    a 32-bit product and an addition
 *   LONGS       IQ4_XS                           32                    the same
 *   LONGS_16    Q6_K                             16                    the same
 *
 * Threads: pure.
 */
#ifndef TALLYMESH_KERNELS_PANEL_AVX512_H
#define TALLYMESH_KERNELS_PANEL_AVX512_H

#include "kernels/ops.h"

enum fold { FOLD_BLOCKS, FOLD_BLOCKS_MIN, FOLD_WHOLE, FOLD_WHOLE_MIN, FOLD_WORDS_MIN, FOLD_LONGS_MIN, FOLD_LONGS,
           FOLD_LONGS_16 };

enum { PANEL_ROWS = 16, PANEL_QUADS = 64, PANEL_Q3_BIAS = 124, PANEL_WORDS_CENTRE = 8 };

struct panel {
    _Alignas(64) uint8_t quads[PANEL_QUADS][PANEL_ROWS * 4];
    float d[8][PANEL_ROWS];              /* one per block of 32, or the first alone */
    float m[8][PANEL_ROWS];
    int32_t scales[16][PANEL_ROWS];      /* int32; WORDS: eight of int16 beside a zero, then four pairs times 8 */
    int32_t mins[8][PANEL_ROWS];         /* pairs of int16 */
};

struct panel_kind {
    enum fold fold;
    int32_t bias;                        /* byte = weight (or weight * scale) + bias */
};

struct panel_kind panel_kind(enum tensor_type type);
/* Takes a cell of n blocks apart. */
void panel_fill(enum tensor_type type, const uint8_t *cell, uint32_t n, struct panel *p);

#endif
