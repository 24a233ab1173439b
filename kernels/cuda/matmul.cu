#include "kernels/cuda/matmul_parts.h"
#include "kernels/cuda/prim.h"
extern "C" void cuda_matmul(const struct cuda_matrix *w, const struct cuda_acts *x, uint32_t n, float *y, uint32_t stride,
                            struct CUstream_st *stream)
{
    struct product p = { w->packed, w->rows, w->cols, 0, (w->cols + 255) / 256, x->q, x->d, x->sums, y, stride };
    for (uint32_t first = 0; first < n; first += FEW_TOKENS) {
        p.tokens = n - first < FEW_TOKENS ? n - first : FEW_TOKENS;
        multiply_few_tokens(w->type, &p, stream);
        p.q += p.tokens * p.blocks * 256;
        p.d += p.tokens * p.blocks;
        p.sums += p.tokens * p.blocks * CUDA_ACT_SUMS;
        p.y += (size_t)p.tokens * stride;
    }
}
