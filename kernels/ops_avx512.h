/* ops_avx512.h - the integer operations of NV1 with AVX-512 and its dot product (VNNI); the rest is borrowed from AVX2.
 * Only to be called where the processor has them (backend.c asks).
 *
 * packed Q8_0, groups of 16 rows (missing rows are zero), per block of 32 columns 544 bytes:
 *   offset 0    16 x fp16 scale, one per row
 *   offset 32   8 x { 16 rows x 4 bytes }: columns 4i .. 4i+3 of each row, each int8 plus 128 as an unsigned byte
 * The instruction multiplies unsigned by signed bytes; the 128 is taken off again, exactly, through the sums that
 * quantisation leaves beside the activations: sum (w + 128) q - 128 sum q.
 */
#ifndef TALLYMESH_KERNELS_OPS_AVX512_H
#define TALLYMESH_KERNELS_OPS_AVX512_H

#include "kernels/ops.h"

extern const struct ops ops_avx512;

#endif
