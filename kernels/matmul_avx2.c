/* matmul_avx2.c - the kernel of dot_avx2.h for each quantised type. */
#include "kernels/matmul_avx2.h"

#include "kernels/dot_avx2.h"

/* Table A of NV1 3.1 plus 127, in planes; table B plus 12. */
static const uint8_t nonlinear_low[16] = { 0, 7, 12, 14, 14, 12, 9, 5, 0, 12, 8, 5, 4, 4, 8, 0 };
static const uint8_t nonlinear_high[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 13, 15 };
static const uint8_t e2m1_doubled[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };

#define MANY(TYPE, ...)                                                                                      \
    static const struct dot dot_##TYPE = { __VA_ARGS__ };                                                    \
    static void many_##TYPE(const struct product *m) { multiply_many(&dot_##TYPE, m); }
#define KERNEL(TYPE, ...)                                                                                    \
    MANY(TYPE, __VA_ARGS__)                                                                                  \
    static void one_##TYPE(const struct product *m) { multiply_one(&dot_##TYPE, m); }

#define STEPS(TYPE, BITS, ZERO, MIN)                                                                         \
    { .type = TENSOR_##TYPE, .run = 32, .bits = BITS, .zero = ZERO, .has_min = MIN }
#define SCALES(TYPE, RUN, BITS, ZERO, MIN)                                                                   \
    { .type = TENSOR_##TYPE, .run = RUN, .bits = BITS, .zero = ZERO, .has_min = MIN, .has_scale = true }

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

#define ENTRY(TYPE) { TENSOR_##TYPE, one_##TYPE, many_##TYPE }

static const struct {
    enum tensor_type type;
    void (*one)(const struct product *m);
    void (*many)(const struct product *m);
} KERNELS[] = { ENTRY(Q8_0), ENTRY(Q4_0), ENTRY(Q4_1), ENTRY(Q5_0), ENTRY(Q5_1), ENTRY(IQ4_NL), ENTRY(MXFP4),
                ENTRY(Q2_K), ENTRY(Q3_K), ENTRY(Q4_K), ENTRY(Q5_K), ENTRY(Q6_K), ENTRY(IQ4_XS) };

void matmul_avx2(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                 size_t stride)
{
    const struct product m = { .w = w, .x = x, .n = n, .begin = begin, .end = end, .y = y, .stride = stride };
    for (size_t i = 0; i < ARRAY_COUNT(KERNELS); i++)
        if (KERNELS[i].type == w->type) {
            if (n == 1)
                KERNELS[i].one(&m);
            else
                KERNELS[i].many(&m);
            return;
        }
    ENSURE(false);
}
