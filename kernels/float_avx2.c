/* float_avx2.c - NV1 4.2: rows of F32, F16 and BF16 times fp32 activations.
 *
 * Eight rows at a time are converted, 256 columns of each, and all tokens pass over them. A tile is eight dot products
 * of 256 - eight rows and one token, or two rows and four tokens - so that each loaded register is used more than once.
 */
#include <immintrin.h>
#include <string.h>

#include "kernels/ops_avx2.h"
#include "kernels/unroll.h"

#define INLINE static inline __attribute__((always_inline))

enum { ROWS = 8, DOTS = 8, LANES = 8, SLICES = 32 / LANES, TOKENS_AT_ONCE = 4 };

/* 256 weights as fp32, zeros beyond n. Copied even where they could be read in place: a model file promises no
 * alignment, and all tokens use the copy. */
static void convert(const uint8_t *row, enum tensor_type type, uint32_t first, uint32_t n, float *out)
{
    if (type == TENSOR_F32) {
        memcpy(out, row + (size_t)first * 4, n * sizeof *out);
        memset(out + n, 0, (ACT_BLOCK - n) * sizeof *out);
        return;
    }
    uint16_t half[ACT_BLOCK] = { 0 };
    const uint8_t *from = row + (size_t)first * 2;
    if (n < ACT_BLOCK)
        from = memcpy(half, from, n * sizeof *half);
    if (type == TENSOR_BF16)
        for (uint32_t i = 0; i < ACT_BLOCK; i += LANES) {
            __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(from + i * 2)));
            _mm256_store_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(high, 16)));
        }
    else
        for (uint32_t i = 0; i < ACT_BLOCK; i += LANES)
            _mm256_store_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i * 2))));
}

/* The last three steps of the tree of NV1 4.3 (h = 4, 2, 1) for eight registers: lane i is the sum of v[i]. */
INLINE __m256 fold_eight(const __m256 *v)
{
    __m256 a[4], b[2];
    UNROLL
    for (uint32_t i = 0; i < 4; i++)
        a[i] = _mm256_add_ps(_mm256_permute2f128_ps(v[i], v[i + 4], 0x20),
                             _mm256_permute2f128_ps(v[i], v[i + 4], 0x31));
    UNROLL
    for (uint32_t i = 0; i < 2; i++)
        b[i] = _mm256_add_ps(_mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44),
                             _mm256_shuffle_ps(a[2 * i], a[2 * i + 1], 0xee));
    return _mm256_add_ps(_mm256_shuffle_ps(b[0], b[1], 0x88), _mm256_shuffle_ps(b[0], b[1], 0xdd));
}

/* The block totals of NV1 4.3 of `rows` rows and DOTS / rows tokens: lane row * tokens + token. A slice is 8 of the 32
 * lanes of the law; its sums fill half of the registers, and the slices meet only in the first two steps of the
 * tree. */
INLINE __m256 block_totals(const float *w, const float *x, size_t x_stride, uint32_t rows)
{
    const uint32_t tokens = DOTS / rows;
    __m256 s[SLICES][DOTS];
    UNROLL
    for (uint32_t k = 0; k < SLICES; k++) {
        __m256 sum[DOTS];
        UNROLL
        for (uint32_t j = 0; j < DOTS; j++)
            sum[j] = _mm256_setzero_ps();
        UNROLL
        for (uint32_t i = k * LANES; i < ACT_BLOCK; i += 32) {
            __m256 weights[ROWS];
            UNROLL
            for (uint32_t r = 0; r < rows; r++)
                weights[r] = _mm256_load_ps(w + r * ACT_BLOCK + i);
            if (rows == 2)                             /* else the compiler loads them once per token */
                __asm__("" : "+x"(weights[0]), "+x"(weights[1]));
            UNROLL
            for (uint32_t t = 0; t < tokens; t++) {
                __m256 in = _mm256_loadu_ps(x + t * x_stride + i);
                UNROLL
                for (uint32_t r = 0; r < rows; r++)
                    sum[r * tokens + t] = _mm256_fmadd_ps(weights[r], in, sum[r * tokens + t]);
            }
        }
        UNROLL
        for (uint32_t j = 0; j < DOTS; j++)
            s[k][j] = sum[j];
    }
    UNROLL
    for (uint32_t j = 0; j < DOTS; j++)
        s[0][j] = _mm256_add_ps(_mm256_add_ps(s[0][j], s[2][j]), _mm256_add_ps(s[1][j], s[3][j]));
    return fold_eight(s[0]);
}

struct place {
    float *y;                    /* of the first row and token */
    size_t stride;               /* to the next token */
    uint32_t rows;               /* that exist */
    bool first;                  /* block of the row: y is not yet anything */
};

/* y = y + total, for one token and up to eight rows, or two rows and four tokens. */
static void add_totals(const struct place *to, __m256 totals, uint32_t rows)
{
    float total[DOTS];
    _mm256_storeu_ps(total, totals);
    for (uint32_t j = 0; j < DOTS; j++) {
        uint32_t row = j / (DOTS / rows), token = j % (DOTS / rows);
        float *y = to->y + token * to->stride + row;
        if (row < to->rows)
            *y = (to->first ? 0.0f : *y) + total[j];
    }
}

/* All tokens over one block of eight converted rows. */
static void block_times_tokens(const float *weights, const float *x, size_t x_stride, uint32_t n, struct place to)
{
    uint32_t t = 0;
    for (; t + TOKENS_AT_ONCE <= n; t += TOKENS_AT_ONCE)
        for (uint32_t r = 0; r < to.rows; r += 2) {
            struct place part = { to.y + t * to.stride + r, to.stride, to.rows - r, to.first };
            add_totals(&part, block_totals(weights + r * ACT_BLOCK, x + t * x_stride, x_stride, 2), 2);
        }
    for (; t < n; t++) {
        struct place part = { to.y + t * to.stride, to.stride, to.rows, to.first };
        add_totals(&part, block_totals(weights, x + t * x_stride, x_stride, ROWS), ROWS);
    }
}

/* The columns of a last, shorter block: a few tokens at a time are padded with zeros. */
static void last_block(const float *weights, const float *x, uint32_t cols, uint32_t first, uint32_t n, struct place to)
{
    float padded[TOKENS_AT_ONCE][ACT_BLOCK] = { { 0 } };
    for (uint32_t t = 0; t < n; t += TOKENS_AT_ONCE) {
        uint32_t count = n - t < TOKENS_AT_ONCE ? n - t : TOKENS_AT_ONCE;
        for (uint32_t k = 0; k < count; k++)
            memcpy(padded[k], x + (size_t)(t + k) * cols + first, (cols - first) * sizeof *x);
        struct place part = { to.y + t * to.stride, to.stride, to.rows, to.first };
        block_times_tokens(weights, padded[0], ACT_BLOCK, count, part);
    }
}

void avx2_matmul_float(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                       size_t stride)
{
    _Alignas(OPS_ALIGN) float weights[ROWS][ACT_BLOCK] = { { 0 } };
    size_t row_bytes = (size_t)w->cols * tensor_type_block_bytes(w->type);
    for (uint32_t row = begin; row < end; row += ROWS) {
        uint32_t rows = end - row < ROWS ? end - row : ROWS;
        for (uint32_t first = 0; first < w->cols; first += ACT_BLOCK) {
            uint32_t count = w->cols - first < ACT_BLOCK ? w->cols - first : ACT_BLOCK;
            struct place to = { y + row, stride, rows, first == 0 };
            for (uint32_t r = 0; r < rows; r++)
                convert(w->data + (row + r) * row_bytes, w->type, first, count, weights[r]);
            if (count == ACT_BLOCK)
                block_times_tokens(weights[0], x + first, w->cols, n, to);
            else
                last_block(weights[0], x, w->cols, first, n, to);
        }
    }
}
