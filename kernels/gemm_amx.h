/* gemm_amx.h - NV1 4.1 for a batch with AMX: 16 tokens x 16 rows x 64 columns an instruction.
 *
 * The packed form is that of AVX-512, and so are panels and what follows the integer sums. Only where amx_usable().
 *
 * Threads: pure; each call loads and gives back the tiles of its thread.
 * Spec:    NV1 4.1
 */
#ifndef TALLYMESH_KERNELS_GEMM_AMX_H
#define TALLYMESH_KERNELS_GEMM_AMX_H

#include "kernels/ops.h"

void amx_gemm(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
              size_t stride);

#endif
