/* ops_avx2.c - the operations for AVX2 and FMA; equal to ops_ref.c in every byte. */
#include "kernels/ops_avx2.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/exact_math.h"
#include "kernels/exact_series.h"
#include "kernels/matmul_avx2.h"
#include "kernels/packed_avx2.h"
#include "kernels/unroll.h"

static __m256i load256(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

static int32_t sum_lanes(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

static uint32_t max_lanes_u32(__m256i v)
{
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(m);
}

static float max_lanes(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    return _mm_cvtss_f32(m);
}

/* All ones in lanes whose magnitude bits are those of a NaN or an infinity. */
static __m256i not_finite(__m256 x)
{
    const __m256i exponent = _mm256_set1_epi32(0x7f800000);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(x), exponent), exponent);
}

/* --- NV1 3.2, 3.3: quantisation of n values, n a multiple of 32 -------------------------------------------------- */

/* amax, or 0 where all values become zero. */
static float greatest(const float *x, uint32_t n, bool *finite)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i max = _mm256_setzero_si256();
    for (uint32_t i = 0; i < n; i += 8)
        max = _mm256_max_epu32(max, _mm256_and_si256(load256(x + i), magnitude));
    uint32_t bits = max_lanes_u32(max);
    *finite = bits < 0x7f800000u;
    float amax = *finite ? float_from_bits(bits) : 0.0f;
    return amax < 0x1p-100f ? 0.0f : amax;
}

static __m256i round8(const float *x, __m256 inv) { return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inv)); }

/* 16 values as 16-bit integers, in order. */
static __m256i round16(const float *x, __m256 inv)
{
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(round8(x, inv), round8(x + 8, inv)), 0xd8);
}

static __m256i pack_bytes(__m256i a, __m256i b) { return _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8); }

static bool quantize_group(const float *x, uint32_t n, int8_t *q, float *d)
{
    bool finite;
    float amax = greatest(x, n, &finite);
    *d = amax / 127.0f;
    if (amax == 0.0f) {
        memset(q, 0, n);
        return finite;
    }
    __m256 inv = _mm256_set1_ps(127.0f / amax);
    for (uint32_t i = 0; i < n; i += 32)
        _mm256_storeu_si256((__m256i *)(q + i), pack_bytes(round16(x + i, inv), round16(x + i + 16, inv)));
    return true;
}

/* Sums of 16 neighbours, for 256 values. */
static void sums_of_block(const int8_t *q, int16_t *sums)
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (uint32_t i = 0; i < ACT_RUNS; i++) {
        __m256i words = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(q + i * ACT_RUN)));
        sums[i] = (int16_t)sum_lanes(_mm256_madd_epi16(words, ones));
    }
}

bool avx2_quantize(const float *in, struct acts *x, uint32_t token)
{
    size_t blocks = ops_act_blocks(x->cols);
    int8_t *q = x->q + token * blocks * ACT_BLOCK;
    float *d = x->d + token * blocks * ACT_SCALES;
    bool finite = true;
    for (uint32_t b = 0; b < blocks; b++, q += ACT_BLOCK, d += ACT_SCALES) {
        float padded[ACT_BLOCK] = { 0 };
        uint32_t first = b * ACT_BLOCK, n = x->cols - first;
        const float *from = in + first;
        if (n < ACT_BLOCK)
            from = memcpy(padded, from, n * sizeof *in);
        if (x->group == ACT_BLOCK) {
            finite = quantize_group(from, ACT_BLOCK, q, d) && finite;
            _mm256_storeu_ps(d, _mm256_set1_ps(d[0]));
        } else {
            for (uint32_t i = 0; i < ACT_SCALES; i++)
                finite = quantize_group(from + i * ACT_SCALED, ACT_SCALED, q + i * ACT_SCALED, d + i) && finite;
        }
        sums_of_block(q, x->sums + (token * blocks + b) * ACT_RUNS);
    }
    return finite;
}

/* n is a multiple of 32 */
static bool limbs_of_head(const float *x, uint32_t n, int8_t *high, int8_t *low, float *d)
{
    bool finite;
    float amax = greatest(x, n, &finite);
    *d = amax / (float)LIMB_LEVELS;
    if (amax == 0.0f) {
        memset(high, 0, n);
        memset(low, 0, n);
        return finite;
    }
    __m256 inv = _mm256_set1_ps((float)LIMB_LEVELS / amax);
    for (uint32_t i = 0; i < n; i += 32) {
        __m256i h[2], l[2];
        UNROLL
        for (uint32_t k = 0; k < 2; k++) {
            __m256i r = round16(x + i + k * 16, inv);
            h[k] = _mm256_srai_epi16(_mm256_add_epi16(r, _mm256_set1_epi16(64)), 7);
            l[k] = _mm256_sub_epi16(r, _mm256_slli_epi16(h[k], 7));
        }
        _mm256_storeu_si256((__m256i *)(high + i), pack_bytes(h[0], h[1]));
        _mm256_storeu_si256((__m256i *)(low + i), pack_bytes(l[0], l[1]));
    }
    return true;
}

bool avx2_quantize_head(const float *in, uint32_t n, int8_t *high, int8_t *low, float *d)
{
    if (n % 32 == 0)
        return limbs_of_head(in, n, high, low, d);
    float padded[HEAD_DIM_MAX];
    int8_t h[HEAD_DIM_MAX], l[HEAD_DIM_MAX];
    uint32_t whole = (n + 31) / 32 * 32;
    memcpy(padded, in, n * sizeof *in);
    memset(padded + n, 0, (whole - n) * sizeof *in);
    bool finite = limbs_of_head(padded, whole, h, l, d);
    memcpy(high, h, n);
    memcpy(low, l, n);
    return finite;
}

/* --- NV1 2.1, 2.2, 2.6 --------------------------------------------------------------------------------------------- */

static __m256 horner(const float *c, __m256 x)
{
    __m256 p = _mm256_set1_ps(c[7]);
    UNROLL
    for (int k = 6; k >= 0; k--)
        p = _mm256_fmadd_ps(p, x, _mm256_set1_ps(c[k]));
    return p;
}

static __m256 nearest(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(0x1.8p23f);
    return _mm256_sub_ps(_mm256_add_ps(x, magic), magic);
}

static __m256 power_of_two(__m256 n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}

static __m256 exp2_lanes(__m256 x)
{
    static const float c[] = EXACT_EXP2_SERIES;
    __m256 below = _mm256_cmp_ps(x, _mm256_set1_ps(-126.0f), _CMP_LT_OQ);
    x = _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(127.0f)), _mm256_set1_ps(-126.0f));
    __m256 n = nearest(x);
    __m256 y = _mm256_mul_ps(horner(c, _mm256_sub_ps(x, n)), power_of_two(n));
    return _mm256_andnot_ps(below, y);
}

static __m256 exp_lanes(__m256 x)
{
    static const float c[] = EXACT_EXP_SERIES;
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.0f)), _mm256_set1_ps(88.0f));
    __m256 n = nearest(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)));
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.63p-1f), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(0x1.bd0106p-13f), r);
    return _mm256_mul_ps(horner(c, r), power_of_two(n));
}

static __m256 silu_lanes(__m256 x)
{
    __m256 below = _mm256_cmp_ps(x, _mm256_set1_ps(-88.0f), _CMP_LT_OQ);
    __m256 minus = _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
    __m256 y = _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp_lanes(minus)));
    return _mm256_andnot_ps(below, y);
}

/* Runs f over n values, the last ones through a padded register. */
static inline __attribute__((always_inline)) void each_lane(const float *x, uint32_t n, float *y, __m256 (*f)(__m256))
{
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, f(_mm256_loadu_ps(x + i)));
    if (i == n)
        return;
    float last[8] = { 0 };
    memcpy(last, x + i, (n - i) * sizeof *x);
    _mm256_storeu_ps(last, f(_mm256_loadu_ps(last)));
    memcpy(y + i, last, (n - i) * sizeof *y);
}

void avx2_exp2_each(const float *x, uint32_t n, float *y) { each_lane(x, n, y, exp2_lanes); }

void avx2_exp_each(const float *x, uint32_t n, float *y) { each_lane(x, n, y, exp_lanes); }

/* --- NV1 5 --------------------------------------------------------------------------------------------------------- */

/* The total of one block of VSUM, 256 values each: the four registers hold lanes 0-7, 8-15, 16-23, 24-31. */
static float block_total(const float *w, const float *x)
{
    __m256 s[4];
    UNROLL
    for (uint32_t k = 0; k < 4; k++)
        s[k] = _mm256_setzero_ps();
    for (uint32_t i = 0; i < ACT_BLOCK; i += 32)
        UNROLL
        for (uint32_t k = 0; k < 4; k++)
            s[k] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + k * 8), _mm256_loadu_ps(x + i + k * 8), s[k]);
    s[0] = _mm256_add_ps(_mm256_add_ps(s[0], s[2]), _mm256_add_ps(s[1], s[3]));
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(s[0]), _mm256_extractf128_ps(s[0], 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    h = _mm_add_ss(h, _mm_movehdup_ps(h));
    return _mm_cvtss_f32(h);
}

static const float *padded_block(const float *x, uint32_t n, float *out)
{
    memcpy(out, x, n * sizeof *x);
    memset(out + n, 0, (ACT_BLOCK - n) * sizeof *x);
    return out;
}

bool avx2_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y)
{
    float ss = 0.0f;
    uint32_t first = 0, i = 0;
    for (; first + ACT_BLOCK <= n; first += ACT_BLOCK)
        ss = ss + block_total(x + first, x + first);
    if (first < n) {
        float last[ACT_BLOCK];
        padded_block(x + first, n - first, last);
        ss = ss + block_total(last, last);
    }
    float r = 1.0f / sqrtf(ss / (float)n + eps);
    __m256 scale = _mm256_set1_ps(r);
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i,
                         _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), scale), _mm256_loadu_ps(w + i)));
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
    return float_is_finite(ss);
}

static __m256 gate_lanes(__m256 g, __m256 u, __m256i *bad)
{
    __m256i here = _mm256_or_si256(not_finite(g), not_finite(u));
    *bad = _mm256_or_si256(*bad, here);
    return _mm256_andnot_ps(_mm256_castsi256_ps(here), _mm256_mul_ps(silu_lanes(g), u));
}

bool avx2_gate(const float *g, const float *u, uint32_t n, float *y)
{
    __m256i bad = _mm256_setzero_si256();
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, gate_lanes(_mm256_loadu_ps(g + i), _mm256_loadu_ps(u + i), &bad));
    if (i < n) {
        float last[2][8] = { { 0 } };
        memcpy(last[0], g + i, (n - i) * sizeof *g);
        memcpy(last[1], u + i, (n - i) * sizeof *u);
        _mm256_storeu_ps(last[0], gate_lanes(_mm256_loadu_ps(last[0]), _mm256_loadu_ps(last[1]), &bad));
        memcpy(y + i, last[0], (n - i) * sizeof *y);
    }
    return _mm256_testz_si256(bad, bad);
}

void avx2_add(float *x, const float *y, uint32_t n)
{
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++)
        x[i] = x[i] + y[i];
}

/* --- NV1 6.6 ------------------------------------------------------------------------------------------------------- */

void avx2_rope(float *v, const float *cs, uint32_t pairs)
{
    const __m256 even_sign = _mm256_setr_ps(-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f);
    uint32_t i = 0;
    for (; i + 4 <= pairs; i += 4) {
        __m256 x = _mm256_loadu_ps(v + 2 * i), t = _mm256_loadu_ps(cs + 2 * i);
        __m256 first = _mm256_moveldup_ps(x), second = _mm256_movehdup_ps(x);
        __m256 product = _mm256_mul_ps(second, _mm256_permute_ps(t, 0xb1));        /* v1 * s, v1 * c */
        _mm256_storeu_ps(v + 2 * i, _mm256_fmadd_ps(first, t, _mm256_xor_ps(product, even_sign)));
    }
    for (; i < pairs; i++) {
        float c = cs[2 * i], s = cs[2 * i + 1];
        float v0 = v[2 * i], v1 = v[2 * i + 1];
        v[2 * i] = fmaf(v0, c, -(v1 * s));
        v[2 * i + 1] = fmaf(v0, s, v1 * c);
    }
}

/* --- NV1 7 --------------------------------------------------------------------------------------------------------- */

static __m256i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

/* NV1 7.2: sums of one limb of the query times one limb of the keys. */
static void limb_scores(const int8_t *q, const int8_t *keys, uint32_t width, __m256i sum[8])
{
    const __m256i ones = _mm256_set1_epi16(1);
    UNROLL
    for (int k = 0; k < 8; k++)
        sum[k] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < width; i += 4) {
        __m256i x = broadcast4(q + i);
        UNROLL
        for (uint32_t k = 0; k < 8; k++) {
            __m256i key = load256(keys + (size_t)(i / 4) * TILE * 4 + k * 32);
            __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(key), _mm256_sign_epi8(x, key));
            sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(pairs, ones));
        }
    }
}

static void scores_of(const int8_t *q, const int8_t *key_tile, uint32_t width, int32_t scores[LIMBS][TILE])
{
    for (uint32_t limb = 0; limb < LIMBS; limb++, key_tile += TILE * width) {
        __m256i high[8], low[8];
        limb_scores(q, key_tile, width, high);
        limb_scores(q + width, key_tile, width, low);
        UNROLL
        for (int k = 0; k < 8; k++)
            _mm256_storeu_si256((__m256i *)&scores[limb][k * 8], _mm256_add_epi32(_mm256_slli_epi32(high[k], 7), low[k]));
    }
}

void avx2_attn_scores(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                      int32_t (*scores)[LIMBS][TILE])
{
    for (uint32_t i = 0; i < n; i++)
        scores_of(q + i * LIMBS * width, key_tile, width, scores[i]);
}

static __m256 limbs_joined(const int32_t *high, const int32_t *low)
{
    return _mm256_fmadd_ps(_mm256_set1_ps(LIMB_RADIX), _mm256_cvtepi32_ps(load256(high)), _mm256_cvtepi32_ps(load256(low)));
}

/* Lanes [at, at + 8) of a tile that are below n. */
static __m256 exists(uint32_t at, uint32_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i left = _mm256_set1_epi32((int32_t)n - (int32_t)at);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(left, lane));
}

static void store_u(int16_t *u, __m256 w, __m256 inv)
{
    __m256i v = _mm256_cvtps_epi32(_mm256_mul_ps(w, inv));
    _mm_storeu_si128((__m128i *)u, _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

bool avx2_attn_softmax(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                       struct attn_tile *out)
{
    float padded[2][TILE] = { { 0 } };
    if (n < TILE) {
        memcpy(padded[0], dk, n * sizeof *dk);
        memcpy(padded[1], dv, n * sizeof *dv);
        dk = padded[0];
        dv = padded[1];
    }
    __m256 s[8], w[8], max = _mm256_set1_ps(-INFINITY);
    __m256i bad = _mm256_setzero_si256();
    memset(out, 0, sizeof *out);
    UNROLL
    for (uint32_t k = 0; k < 8; k++) {
        __m256 c = _mm256_mul_ps(_mm256_set1_ps(cq), _mm256_loadu_ps(dk + k * 8));
        s[k] = _mm256_mul_ps(c, limbs_joined(&scores[0][k * 8], &scores[1][k * 8]));
        __m256 here = exists(k * 8, n);
        bad = _mm256_or_si256(bad, _mm256_and_si256(not_finite(s[k]), _mm256_castps_si256(here)));
        max = _mm256_max_ps(max, _mm256_blendv_ps(max, s[k], here));
    }
    if (!_mm256_testz_si256(bad, bad))
        return false;
    out->max = exact_ceil(max_lanes(max));

    __m256i total = _mm256_setzero_si256();
    __m256 wmax = _mm256_setzero_ps();
    UNROLL
    for (uint32_t k = 0; k < 8; k++) {
        __m256 p = exp2_lanes(_mm256_sub_ps(s[k], _mm256_set1_ps(out->max)));
        p = _mm256_and_ps(p, exists(k * 8, n));
        total = _mm256_add_epi32(total, _mm256_cvtps_epi32(_mm256_mul_ps(p, _mm256_set1_ps(0x1p15f))));
        w[k] = _mm256_mul_ps(p, _mm256_loadu_ps(dv + k * 8));
        wmax = _mm256_max_ps(wmax, w[k]);
    }
    out->l = (float)sum_lanes(total) * 0x1p-15f;
    float most = max_lanes(wmax);
    if (most < 0x1p-100f)
        return true;
    __m256 inv = _mm256_set1_ps(32512.0f / most);
    out->g = most / 32512.0f;
    UNROLL
    for (uint32_t k = 0; k < 8; k++)
        store_u(out->u + k * 8, w[k], inv);
    return true;
}

static void limb_values(const int16_t u[TILE], const int8_t *values, uint32_t width, int32_t *sums)
{
    for (uint32_t i = 0; i < width; i += 16) {
        __m256i a = _mm256_setzero_si256(), b = _mm256_setzero_si256();
        for (uint32_t j = 0; j < TILE; j += 2) {
            int32_t pair;
            memcpy(&pair, u + j, sizeof pair);
            __m256i weights = _mm256_set1_epi32(pair);
            const int8_t *v = values + ((size_t)(j / 2) * width + i) * 2;
            __m256i lo = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)v));
            __m256i hi = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(v + 16)));
            a = _mm256_add_epi32(a, _mm256_madd_epi16(lo, weights));
            b = _mm256_add_epi32(b, _mm256_madd_epi16(hi, weights));
        }
        _mm256_storeu_si256((__m256i *)(sums + i), a);
        _mm256_storeu_si256((__m256i *)(sums + i + 8), b);
    }
}

void avx2_attn_values(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width, int32_t *sums)
{
    for (uint32_t i = 0; i < n; i++, sums += LIMBS * width) {
        limb_values(tiles[i].u, value_tile, width, sums);
        limb_values(tiles[i].u, value_tile + TILE * width, width, sums + width);
    }
}

void avx2_attn_fold(float *o, const int32_t *sums, float a, float e, uint32_t n)
{
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 old = _mm256_mul_ps(_mm256_set1_ps(a), _mm256_loadu_ps(o + i));
        _mm256_storeu_ps(o + i, _mm256_fmadd_ps(_mm256_set1_ps(e), limbs_joined(sums + i, sums + n + i), old));
    }
    for (; i < n; i++)
        o[i] = fmaf(e, fmaf((float)LIMB_RADIX, (float)sums[i], (float)sums[n + i]), a * o[i]);
}

void avx2_attn_merge(float *o, const float *part, float a, float b, uint32_t n)
{
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 old = _mm256_mul_ps(_mm256_set1_ps(a), _mm256_loadu_ps(o + i));
        _mm256_storeu_ps(o + i, _mm256_fmadd_ps(_mm256_set1_ps(b), _mm256_loadu_ps(part + i), old));
    }
    for (; i < n; i++)
        o[i] = fmaf(b, part[i], a * o[i]);
}

const struct ops ops_avx2 = {
    .name = "avx2",
    .quantize = avx2_quantize,
    .quantize_head = avx2_quantize_head,
    .group_rows = GROUP,
    .packed_bytes = packed_avx2_bytes,
    .pack = packed_avx2_pack,
    .matmul = matmul_avx2,
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
