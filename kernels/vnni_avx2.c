/* vnni_avx2.c - AVX2 and AVX-VNNI: vpdpbusd on registers of 32 bytes, for processors that have it without AVX-512. Packed
 * weights and everything but the products are those of AVX2.
 *
 * With TM_VNNI_EVEX the same file is made with the AVX-512 encoding of the same instruction: a test for machines that have
 * only that one.
 */
#include "kernels/ops_avx2.h"
#include "kernels/packed_avx2.h"

#if defined(TM_VNNI_EVEX)
#define DOT_DPBUSD _mm256_dpbusd_epi32
#define OPS ops_evexvnni
extern const struct ops ops_evexvnni;
#else
#define DOT_DPBUSD _mm256_dpbusd_avx_epi32
#define OPS ops_avxvnni
#endif
#include "kernels/product_avx2.h"

/* Table A of NV1 3.1 plus 127; table B plus 12. */
static const uint8_t nonlinear[16] = { 0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240 };
static const uint8_t e2m1_doubled[16] = { 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0 };

#define VNNI(RUN) .form = DOT_VNNI, .planes = 1, .chunks = (RUN) / 4

KERNEL(Q8_0, STEPS(Q8_0, 8, 128, false), VNNI(32))
KERNEL(Q4_0, STEPS(Q4_0, 4, 8, false), VNNI(32))
KERNEL(Q4_1, STEPS(Q4_1, 4, 0, true), VNNI(32))
KERNEL(Q5_0, STEPS(Q5_0, 5, 16, false), VNNI(32))
KERNEL(Q5_1, STEPS(Q5_1, 5, 0, true), VNNI(32))
KERNEL(IQ4_NL, STEPS(IQ4_NL, 4, 127, false), VNNI(32), .table = { nonlinear })
KERNEL(MXFP4, STEPS(MXFP4, 4, 12, false), VNNI(32), .table = { e2m1_doubled })
KERNEL(Q2_K, SCALES(Q2_K, 16, 2, 0, true), VNNI(16))
KERNEL(Q3_K, SCALES(Q3_K, 16, 3, 4, false), VNNI(16))
KERNEL(Q4_K, SCALES(Q4_K, 32, 4, 0, true), VNNI(32))
KERNEL(Q5_K, SCALES(Q5_K, 32, 5, 0, true), VNNI(32))
KERNEL(Q6_K, SCALES(Q6_K, 16, 6, 32, false), VNNI(16))
KERNEL(IQ4_XS, SCALES(IQ4_XS, 32, 4, 127, false), VNNI(32), .table = { nonlinear })

static const struct kernel KERNELS[] = ALL_ENTRIES;

static void matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                   size_t stride)
{
    const struct product m = { .w = w, .x = x, .n = n, .begin = begin, .end = end, .y = y, .stride = stride };
    multiply(KERNELS, ARRAY_COUNT(KERNELS), &m);
}

const struct ops OPS = {
    .name = "avxvnni",
    .quantize = avx2_quantize,
    .quantize_head = avx2_quantize_head,
    .group_rows = GROUP,
    .packed_bytes = packed_avx2_bytes,
    .pack = packed_avx2_pack,
    .matmul = matmul,
    .matmul_float = avx2_matmul_float,
    .rmsnorm = avx2_rmsnorm,
    .gate = avx2_gate,
    .add = avx2_add,
    .rope = avx2_rope,
    .attn_scores = avx2_attn_scores,
    .attn_softmax = avx2_attn_softmax,
    .attn_values = avx2_attn_values,
    .attn_fold = avx2_attn_fold,
    .attn_merge = avx2_attn_merge,
    .exp2_each = avx2_exp2_each,
    .exp_each = avx2_exp_each,
};
