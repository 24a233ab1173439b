/* nv1_reference.c - the scalar reference, called from the CUDA check. */
#include "tests/gpu/nv1_reference.h"

#include <stdlib.h>

#include "kernels/exact_math.h"
#include "kernels/ops.h"

void nv1_exp2(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = exact_exp2(x[i]);
}

void nv1_exp(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = exact_exp(x[i]);
}

void nv1_silu(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = exact_silu(x[i]);
}

void nv1_ln(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] >= 0x1p-126f ? exact_ln(x[i]) : 0.0f;
}

void nv1_half(const uint16_t *h, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = exact_half_to_float(h[i]);
}

int nv1_quantize(const float *x, uint32_t cols, int8_t *q, float *d)
{
    int16_t *sums = calloc(ops_act_blocks(cols) * (size_t)ACT_RUNS, sizeof *sums);
    ENSURE(sums);
    struct acts acts = { .cols = cols, .q = q, .d = d, .sums = sums };
    bool finite = ops_ref.quantize(x, &acts, 0);
    free(sums);
    return finite;
}

int nv1_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y)
{
    return ops_ref.rmsnorm(x, w, n, eps, y);
}

void nv1_q8_rows(const uint8_t *rows, uint32_t n_rows, uint32_t cols, const int8_t *q, const float *d, float *y)
{
    struct matrix w = { .type = TENSOR_Q8_0, .rows = n_rows, .cols = cols, .data = rows };
    struct acts acts = { .cols = cols, .q = (int8_t *)(uintptr_t)q, .d = (float *)(uintptr_t)d };
    ops_ref.matmul(&w, &acts, 1, 0, n_rows, y, n_rows);
}

float nv1_vsum(const float *a, const float *b, uint32_t n) { return ops_ref_vsum(a, b, n); }
