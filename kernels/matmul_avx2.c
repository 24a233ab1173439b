/* matmul_avx2.c - the kernel of product_avx2.h for each quantised type. */
#include "kernels/matmul_avx2.h"

#include "kernels/product_avx2.h"

/* Table A of NV1 3.1 plus 127, in planes; table B plus 12. */
static const uint8_t nonlinear_low[16] = { 0, 7, 12, 14, 14, 12, 9, 5, 0, 12, 8, 5, 4, 4, 8, 0 };
static const uint8_t nonlinear_high[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 13, 15 };
static const uint8_t e2m1_doubled[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };

MANY(Q8_0, STEPS(Q8_0, 8, 128, false), .planes = 2, .chunks = 8)
static const struct dot dot_signed_Q8_0 = { STEPS(Q8_0, 8, 0, false), DOT_SIGNED, .planes = 1, .chunks = 8 };
static void one_Q8_0(const struct product *m) { multiply_one(&dot_signed_Q8_0, m); }

KERNEL(Q4_0, STEPS(Q4_0, 4, 8, false), .planes = 1, .chunks = 8)
KERNEL(Q4_1, STEPS(Q4_1, 4, 0, true), .planes = 1, .chunks = 8)
KERNEL(Q5_0, STEPS(Q5_0, 5, 16, false), .planes = 1, .chunks = 4)
KERNEL(Q5_1, STEPS(Q5_1, 5, 0, true), .planes = 1, .chunks = 4)
KERNEL(IQ4_NL, STEPS(IQ4_NL, 4, 127, false), .planes = 2, .chunks = 8, .table = { nonlinear_low, nonlinear_high })
KERNEL(MXFP4, STEPS(MXFP4, 4, 12, false), .planes = 1, .chunks = 4, .table = { e2m1_doubled })
KERNEL(Q2_K, SCALES(Q2_K, 16, 2, 0, true), .planes = 1, .chunks = 4)
KERNEL(Q3_K, SCALES(Q3_K, 16, 3, 4, false), .planes = 1, .chunks = 4)
KERNEL(Q4_K, SCALES(Q4_K, 32, 4, 0, true), .planes = 1, .chunks = 8)
KERNEL(Q5_K, SCALES(Q5_K, 32, 5, 0, true), .planes = 1, .chunks = 4)
KERNEL(Q6_K, SCALES(Q6_K, 16, 6, 32, false), .planes = 1, .chunks = 2)
KERNEL(IQ4_XS, SCALES(IQ4_XS, 32, 4, 127, false), .planes = 2, .chunks = 8, .table = { nonlinear_low, nonlinear_high })

static const struct kernel KERNELS[] = ALL_ENTRIES;

void matmul_avx2(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride)
{
    const struct product m = { .w = w, .x = x, .n = n, .begin = begin, .end = end, .y = y, .stride = stride };
    multiply(KERNELS, ARRAY_COUNT(KERNELS), &m);
}
