/* matmul_avx2.h - NV1 4.1 with AVX2: matrices packed by packed_avx2.h times quantised activations. See struct ops. */
#ifndef TALLYMESH_KERNELS_MATMUL_AVX2_H
#define TALLYMESH_KERNELS_MATMUL_AVX2_H

#include "kernels/ops.h"

void matmul_avx2(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride);

#endif
