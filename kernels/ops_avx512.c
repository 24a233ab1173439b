/* ops_avx512.c - the operations for AVX-512 with VNNI; equal to ops_ref.c in every byte. */
#include "kernels/ops_avx512.h"

#include <immintrin.h>
#include <string.h>

#include "kernels/ops_avx2.h"
#include "kernels/unroll.h"

enum { GROUP = 16, Q8_BLOCK = 32, Q8_BLOCK_BYTES = 34, GROUP_BLOCK_BYTES = GROUP * Q8_BLOCK_BYTES, TOKENS_AT_ONCE = 8, PREFETCH_BYTES = 4096 };

static size_t packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols)
{
    if (type != TENSOR_Q8_0)
        return 0;
    return (size_t)((rows + GROUP - 1) / GROUP) * (cols / Q8_BLOCK) * GROUP_BLOCK_BYTES;
}

static void pack_block(const uint8_t *from, uint32_t lane, uint8_t *to)
{
    memcpy(to + lane * 2, from, 2);
    for (uint32_t i = 0; i < Q8_BLOCK; i++)
        to[GROUP * 2 + (i / 4 * GROUP + lane) * 4 + i % 4] = from[2 + i] ^ 0x80;
}

static void pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed)
{
    uint32_t blocks = w->cols / Q8_BLOCK;
    size_t group_bytes = (size_t)blocks * GROUP_BLOCK_BYTES;
    if (end % GROUP != 0)
        memset(packed + end / GROUP * group_bytes, 0, group_bytes);
    for (uint32_t row = begin; row < end; row++)
        for (uint32_t b = 0; b < blocks; b++)
            pack_block(w->data + ((size_t)row * blocks + b) * Q8_BLOCK_BYTES, row % GROUP,
                       packed + ((size_t)(row / GROUP) * blocks + b) * GROUP_BLOCK_BYTES);
}

static __m512i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm512_set1_epi32(four);
}

/* The activations of some tokens, from one column block of 32 on. */
struct tokens {
    const int8_t *q;
    const float *d;
    const int16_t *sums;
    size_t blocks;               /* of 256, per token: their strides */
};

/* What adding 128 to the weights added to a sum over 32, negated. */
static __m512i sum_of_32(const int16_t *sums) { return _mm512_set1_epi32(-128 * (sums[0] + sums[1])); }

/* NV1 4.1 for 16 rows and `count` tokens; inlined with a constant count, so that sums and results stay in registers. */
static inline __attribute__((always_inline)) void dot_group(const uint8_t *w, uint32_t blocks, const struct tokens *x,
                                                            uint32_t count, __m512 *y)
{
    UNROLL
    for (uint32_t t = 0; t < count; t++)
        y[t] = _mm512_setzero_ps();
    for (uint32_t b = 0; b < blocks; b++, w += GROUP_BLOCK_BYTES) {
        __m512i sum[TOKENS_AT_ONCE];
        UNROLL
        for (uint32_t t = 0; t < count; t++)
            sum[t] = sum_of_32(x->sums + t * x->blocks * ACT_RUNS + b * 2);
        UNROLL
        for (uint32_t i = 0; i < 8; i++) {
            _mm_prefetch((const char *)w + PREFETCH_BYTES + i * 64, _MM_HINT_T0);
            __m512i weights = _mm512_loadu_si512(w + GROUP * 2 + i * 64);
            UNROLL
            for (uint32_t t = 0; t < count; t++)
                sum[t] = _mm512_dpbusd_epi32(sum[t], weights,
                                             broadcast4(x->q + t * x->blocks * ACT_BLOCK + b * Q8_BLOCK + i * 4));
        }
        __m512 dw = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)w));
        UNROLL
        for (uint32_t t = 0; t < count; t++) {
            __m512 scale = _mm512_mul_ps(dw, _mm512_set1_ps(x->d[t * x->blocks + b / 8]));
            y[t] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum[t]), y[t]);
        }
    }
}

static void matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                   size_t stride)
{
    if (w->type != TENSOR_Q8_0) {
        ops_ref_matmul(w, x, n, begin, end, y, stride);
        return;
    }
    uint32_t blocks = w->cols / Q8_BLOCK;
    size_t act_blocks = ops_act_blocks(w->cols);
    for (uint32_t row = begin; row < end; row += GROUP) {
        const uint8_t *group = w->packed + (size_t)(row / GROUP) * blocks * GROUP_BLOCK_BYTES;
        __mmask16 rows = (__mmask16)(end - row >= GROUP ? 0xffffu : (1u << (end - row)) - 1);
        for (uint32_t t = 0, count; t < n; t += count) {
            struct tokens from = { .q = x->q + t * act_blocks * ACT_BLOCK, .d = x->d + t * act_blocks,
                                   .sums = x->sums + t * act_blocks * ACT_RUNS, .blocks = act_blocks };
            __m512 out[TOKENS_AT_ONCE];
            count = n - t >= 8 ? 8 : n - t >= 4 ? 4 : n - t >= 2 ? 2 : 1;
            if (count == 8)
                dot_group(group, blocks, &from, 8, out);
            else if (count == 4)
                dot_group(group, blocks, &from, 4, out);
            else if (count == 2)
                dot_group(group, blocks, &from, 2, out);
            else
                dot_group(group, blocks, &from, 1, out);
            for (uint32_t k = 0; k < count; k++)
                _mm512_mask_storeu_ps(y + (t + k) * stride + row, rows, out[k]);
        }
    }
}

/* NV1 7.2: 16 positions per register; keys become unsigned by adding 128. */
static void attn_scores(const int8_t *q, const int8_t *key_tile, uint32_t width, int32_t scores[TILE])
{
    const __m512i offset = _mm512_set1_epi8((char)0x80);
    int32_t total = 0;
    for (uint32_t i = 0; i < width; i++)
        total += q[i];
    __m512i sum[4];
    UNROLL
    for (int k = 0; k < 4; k++)
        sum[k] = _mm512_set1_epi32(-128 * total);
    for (uint32_t i = 0; i < width; i += 4) {
        __m512i x = broadcast4(q + i);
        UNROLL
        for (uint32_t k = 0; k < 4; k++) {
            __m512i keys = _mm512_loadu_si512(key_tile + (size_t)(i / 4) * TILE * 4 + k * 64);
            sum[k] = _mm512_dpbusd_epi32(sum[k], _mm512_xor_si512(keys, offset), x);
        }
    }
    UNROLL
    for (int k = 0; k < 4; k++)
        _mm512_storeu_si512(scores + k * 16, sum[k]);
}

/* NV1 7.3: 16 dimensions per register, two positions per step. */
static void attn_values(const int16_t u[TILE], const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    for (uint32_t i = 0; i < width; i += 16) {
        __m512i sum = _mm512_setzero_si512();
        for (uint32_t j = 0; j < TILE; j += 2) {
            int32_t pair;
            memcpy(&pair, u + j, sizeof pair);
            const int8_t *v = value_tile + ((size_t)(j / 2) * width + i) * 2;
            __m512i values = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)v));
            sum = _mm512_dpwssd_epi32(sum, values, _mm512_set1_epi32(pair));
        }
        _mm512_storeu_si512(sums + i, sum);
    }
}

const struct ops ops_avx512 = {
    .name = "avx512vnni",
    .quantize = avx2_quantize,
    .quantize_head = avx2_quantize_head,
    .group_rows = GROUP,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .matmul = matmul,
    .matmul_float = avx2_matmul_float,
    .rmsnorm = avx2_rmsnorm,
    .gate = avx2_gate,
    .add = avx2_add,
    .rope = avx2_rope,
    .attn_scores = attn_scores,
    .attn_softmax = avx2_attn_softmax,
    .attn_values = attn_values,
    .attn_fold = avx2_attn_fold,
    .attn_merge = avx2_attn_merge,
    .exp2_each = avx2_exp2_each,
    .exp_each = avx2_exp_each,
};
