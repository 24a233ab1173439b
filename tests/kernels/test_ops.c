/* test_ops.c - every operation of every backend against the scalar law, by memcmp: odd sizes, extremes, subnormals. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/conformance.h"
#include "kernels/quant.h"
#include "tests/kernels/random_input.h"

enum { N_MAX = 2112, TOKENS = 131, ROWS_MAX = 70 };

static const uint32_t LENGTHS[] = { 1,   2,   7,   8,   9,   31,  32,  33,  63,   64,
                                    100, 255, 256, 257, 288, 511, 512, 704, 1000, 2112 };

/* NaN and infinity must be noticed by all alike, wherever they stand; what is left in the output then does not matter,
 * except that quantised blocks are zero. */
static void poison(struct rng *r, float *x, uint32_t n)
{
    static const uint32_t bad[] = { 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff };
    x[rng_below(r, n)] = float_from_bits(bad[rng_below(r, ARRAY_COUNT(bad))]);
}

/* Built with emulated tiles (tile_amx.h) the test is of that backend, where there is AVX-512 to run the rest of it. */
#if defined(TM_TILE_EMULATED)
#include "kernels/ops_amx.h"
static const struct ops *backend(size_t i) { return i == 0 && backend_find("avx512vnni") ? &ops_amx : NULL; }
#else
static const struct ops *backend(size_t i) { return backend_at(i); }
#endif

static void each_backend(void (*check)(const struct ops *ops, struct rng *r))
{
    for (size_t b = 0; backend(b); b++) {
        struct rng r;
        rng_init(&r, 4711);
        if (backend(b) != &ops_ref)
            check(backend(b), &r);
    }
}

struct quantized {
    struct acts acts;
    int8_t q[TOKENS * N_MAX + TOKENS * ACT_BLOCK];
    float d[TOKENS * (N_MAX / ACT_BLOCK + 1) * ACT_SCALES];
    int16_t sums[TOKENS * (N_MAX / ACT_BLOCK + 1) * ACT_RUNS];
};

static void quantized_init(struct quantized *x, uint32_t cols, uint32_t group)
{
    memset(x, 0x55, sizeof *x);
    x->acts = (struct acts){ .cols = cols, .group = group, .q = x->q, .d = x->d, .sums = x->sums };
}

static void assert_same_acts(const struct quantized *a, const struct quantized *b)
{
    assert_memory_equal(a->q, b->q, sizeof a->q);
    assert_memory_equal(a->d, b->d, sizeof a->d);
    assert_memory_equal(a->sums, b->sums, sizeof a->sums);
}

static void check_quantize(const struct ops *ops, struct rng *r)
{
    static struct quantized a, b;
    static float x[N_MAX];
    for (size_t k = 0; k < ARRAY_COUNT(LENGTHS); k++)
        for (int kind = 0; kind <= INPUT_KINDS; kind++) {
            uint32_t n = LENGTHS[k];
            input_values(r, (enum input_kind)kind, x, n);
            if (kind == INPUT_KINDS)
                poison(r, x, n);
            for (uint32_t group = 32; group <= 256; group += 224) {
                quantized_init(&a, n, group);
                quantized_init(&b, n, group);
                bool fine = ops_ref.quantize(x, &a.acts, 1);
                assert_int_equal(ops->quantize(x, &b.acts, 1), fine);
                assert_int_equal(fine, kind != INPUT_KINDS);
                assert_same_acts(&a, &b);
            }
            if (n > HEAD_DIM_MAX)
                continue;
            int8_t qa[LIMBS * HEAD_DIM_MAX] = { 0 }, qb[LIMBS * HEAD_DIM_MAX] = { 0 };
            float da, db;
            bool ok = ops_ref.quantize_head(x, n, qa, qa + n, &da);
            assert_int_equal(ops->quantize_head(x, n, qb, qb + n, &db), ok);
            assert_int_equal(ok, kind != INPUT_KINDS);
            assert_memory_equal(qa, qb, sizeof qa);
            assert_memory_equal(&da, &db, sizeof da);
        }
}

/* NV1 3.2 and 7.3 change their formula at 2^-100: the greatest value just below it, on it, and about its double. */
static const uint32_t BORDERS[] = { 0x0d7fffff, 0x0d800000, 0x0d800001, 0x0dffffff, 0x0e000000 };

static void check_quantize_at_the_border(const struct ops *ops, struct rng *r)
{
    static struct quantized a, b;
    static float x[N_MAX];
    for (size_t k = 0; k < ARRAY_COUNT(LENGTHS); k++)
        for (size_t i = 0; i < ARRAY_COUNT(BORDERS); i++) {
            uint32_t n = LENGTHS[k];
            float border = float_from_bits(BORDERS[i]);
            input_values(r, INPUT_ORDINARY, x, n);
            for (uint32_t j = 0; j < n; j++)
                x[j] = x[j] * border;
            x[rng_below(r, n)] = i % 2 ? border : -border;
            quantized_init(&a, n, i % 2 ? 32 : 256);
            quantized_init(&b, n, i % 2 ? 32 : 256);
            assert_true(ops_ref.quantize(x, &a.acts, 1));
            assert_true(ops->quantize(x, &b.acts, 1));
            assert_same_acts(&a, &b);
        }
}

static void quantisation(void **state)
{
    (void)state;
    each_backend(check_quantize);
    each_backend(check_quantize_at_the_border);
}

static void compare_products(const struct ops *ops, struct rng *r, const struct block_format *f, uint32_t rows,
                             uint32_t cols, uint32_t tokens, bool extreme)
{
    static uint8_t data[ROWS_MAX * N_MAX * 2];
    static struct quantized x;
    static float in[N_MAX], ya[TOKENS * ROWS_MAX], yb[TOKENS * ROWS_MAX];
    const size_t stride = rows + 5, all = (tokens + 1) * stride * sizeof *ya;    /* what lies between is not touched */
    assert_true(all <= sizeof ya && (size_t)rows * cols <= sizeof data / 2);
    input_blocks(r, f, data, (size_t)rows * cols / f->len, extreme);
    quantized_init(&x, cols, ops_act_group(f->type));
    for (uint32_t t = 0; t < tokens; t++) {
        input_values(r, extreme ? INPUT_WIDE : (enum input_kind)(t % 3), in, cols);
        for (uint32_t i = 0; extreme && t % 3 == 0 && i < cols; i++)       /* +-127: the largest sums there can be */
            in[i] = t % 2 && i / 4 % 3 == 0 ? -1.0f : 1.0f;
        assert_true(ops_ref.quantize(in, &x.acts, t));
    }
    struct matrix w = { .type = f->type, .rows = rows, .cols = cols, .data = data };
    size_t bytes = ops->packed_bytes(f->type, rows, cols);
    uint8_t *packed = aligned_alloc(OPS_ALIGN, (bytes + 2 * OPS_ALIGN - 1) / OPS_ALIGN * OPS_ALIGN);
    assert_non_null(packed);
    uint32_t middle = rows / ops->group_rows / 2 * ops->group_rows;
    if (bytes > 0) {
        memset(packed + bytes, 0x55, OPS_ALIGN);
        if (middle < rows)
            ops->pack(&w, middle, rows, packed);
        if (middle > 0)
            ops->pack(&w, 0, middle, packed);
        for (uint32_t i = 0; i < OPS_ALIGN; i++)
            assert_int_equal(packed[bytes + i], 0x55);     /* nothing is written beyond what was asked for */
        w.packed = packed;
    }
    memset(ya, 0x55, all);
    memset(yb, 0x55, all);
    ops_ref.matmul(&w, &x.acts, tokens, 0, rows, ya, stride);
    for (uint32_t i = 0; i < rows; i++)
        assert_true(float_is_finite(ya[i]));               /* else the comparison would be of NaN payloads */
    if (rows > ROWS_MAX)
        middle = 0;                                        /* all of them in one call */
    ops->matmul(&w, &x.acts, tokens, middle, rows, yb, stride);
    if (middle > 0)
        ops->matmul(&w, &x.acts, tokens, 0, middle, yb, stride);
    assert_memory_equal(ya, yb, all);
    free(packed);
}

static void check_products(const struct ops *ops, struct rng *r)
{
    /* Around the numbers of tokens that the backends take at once, and beyond the largest batch of any. */
    static const uint32_t batches[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 24, 31, 32, 33, 48, 64, TOKENS };
    static const uint32_t rows[] = { 1, 7, 8, 15, 16, 17, 33, 70 }, cols[] = { 32, 64, 224, 256, 288, 544, 2048 };
    const struct block_format *f;
    for (size_t type = 0; (f = block_format_at(type)); type++) {
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
            for (size_t k = 0; k < ARRAY_COUNT(cols); k++)
                if (cols[k] % f->len == 0)
                    compare_products(ops, r, f, rows[i], cols[k], 1 + (uint32_t)(i * 7 + k) % 11, (i + k) % 2);
        for (size_t i = 0; i < ARRAY_COUNT(batches); i++)
            compare_products(ops, r, f, i % 2 ? 50 : 17, f->len == 32 ? 288 : 512, batches[i], true);
        /* More rows than any backend takes at once, and not a multiple of anything. */
        compare_products(ops, r, f, 291, f->len == 32 ? 288 : 256, 7, true);
    }
}

/* All 256 exponents of MXFP4; activations so small that products stay finite. */
static void check_exponents(const struct ops *ops, struct rng *r)
{
    enum { EXPONENTS = 256, COLS = 256, ROWS = EXPONENTS * 32 / COLS, BLOCK_BYTES = 17 };
    static struct quantized x;
    uint8_t data[EXPONENTS * BLOCK_BYTES];
    _Alignas(OPS_ALIGN) uint8_t packed[2 * sizeof data];
    float in[COLS], ya[ROWS], yb[ROWS];
    rng_bytes(r, data, sizeof data);
    for (uint32_t e = 0; e < EXPONENTS; e++)
        data[e * BLOCK_BYTES] = (uint8_t)e;
    for (uint32_t i = 0; i < COLS; i++)
        in[i] = input_value(r, INPUT_ORDINARY) * 0x1p-30f;
    quantized_init(&x, COLS, 32);
    assert_true(ops_ref.quantize(in, &x.acts, 0));
    struct matrix w = { .type = TENSOR_MXFP4, .rows = ROWS, .cols = COLS, .data = data };
    size_t bytes = ops->packed_bytes(w.type, ROWS, COLS);
    assert_true(bytes <= sizeof packed);
    if (bytes > 0) {
        ops->pack(&w, 0, ROWS, packed);
        w.packed = packed;
    }
    ops_ref.matmul(&w, &x.acts, 1, 0, ROWS, ya, ROWS);
    ops->matmul(&w, &x.acts, 1, 0, ROWS, yb, ROWS);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_true(float_is_finite(ya[i]));
    assert_memory_equal(ya, yb, sizeof ya);
}

static void quantised_products(void **state)
{
    (void)state;
    each_backend(check_exponents);
    each_backend(check_products);
}

/* The products of the backend avxvnni on a machine that has the instruction only as part of AVX-512. */
static void quantised_products_of_avxvnni(void **state)
{
    (void)state;
#if defined(TM_VNNI_EVEX)
    extern const struct ops ops_evexvnni;
    struct rng r;
    rng_init(&r, 4711);
    if (!backend_find("avx512vnni"))
        skip();
    check_products(&ops_evexvnni, &r);
    assert_ok(backend_self_test(&ops_evexvnni));
#else
    skip();
#endif
}

static void check_matmul_float(const struct ops *ops, struct rng *r)
{
    static const enum tensor_type types[] = { TENSOR_F32, TENSOR_F16, TENSOR_BF16 };
    enum { ROWS = 11, MANY = 6 };
    static float weights[ROWS * N_MAX + 1], x[MANY * N_MAX], ya[MANY * ROWS], yb[MANY * ROWS];
    for (size_t k = 0; k < ARRAY_COUNT(LENGTHS); k++)
        for (int kind = 0; kind < INPUT_EXTREME; kind++)
            for (size_t t = 0; t < ARRAY_COUNT(types); t++) {
                bool half = types[t] != TENSOR_F32;
                uint32_t cols = LENGTHS[k];
                input_values(r, (enum input_kind)kind, weights, ROWS * cols + 1);
                input_values(r, (enum input_kind)kind, x, MANY * cols);
                if (half)
                    for (uint32_t i = 0; i < ROWS * cols + 1; i++)
                        weights[i] = float_from_bits((uint32_t)rng_next(r) & 0xbbffbbffu);   /* two below 2 */
                /* One byte off alignment: a model file promises none. */
                uint8_t *data = (uint8_t *)weights + 1;
                struct matrix w = { .type = types[t], .rows = ROWS, .cols = cols, .data = data };
                memmove(data, weights, (size_t)ROWS * cols * (half ? 2 : 4));
                memset(yb, 0x55, sizeof yb);
                uint32_t tokens = 1 + (uint32_t)(k + t) % MANY;
                memset(ya, 0x55, sizeof ya);
                ops_ref.matmul_float(&w, x, tokens, 0, ROWS, ya, ROWS);
                ops->matmul_float(&w, x, tokens, 2, ROWS, yb, ROWS);
                ops->matmul_float(&w, x, tokens, 0, 2, yb, ROWS);
                for (uint32_t i = 0; i < ARRAY_COUNT(ya); i++)
                    assert_true(float_is_finite(ya[i]));   /* else the comparison would be of NaN payloads */
                assert_memory_equal(ya, yb, sizeof ya);
            }
}

static void float_products(void **state)
{
    (void)state;
    each_backend(check_matmul_float);
}

static void check_pointwise(const struct ops *ops, struct rng *r)
{
    static float x[N_MAX], w[N_MAX], ya[N_MAX], yb[N_MAX];
    for (size_t k = 0; k < ARRAY_COUNT(LENGTHS); k++)
        for (int kind = 0; kind < INPUT_KINDS; kind++) {
            uint32_t n = LENGTHS[k];
            bool poisoned = kind == INPUT_EXTREME;
            input_values(r, (enum input_kind)kind, x, n);
            input_values(r, INPUT_ORDINARY, w, n);
            if (kind != INPUT_EXTREME) {
                assert_true(ops_ref.rmsnorm(x, w, n, 1e-5f, ya));
                assert_true(ops->rmsnorm(x, w, n, 1e-5f, yb));
                assert_memory_equal(ya, yb, n * sizeof *ya);
            }
            memcpy(ya, x, n * sizeof *x);
            memcpy(yb, x, n * sizeof *x);
            ops_ref.add(ya, w, n);
            ops->add(yb, w, n);
            assert_memory_equal(ya, yb, n * sizeof *ya);
            assert_true(ops_ref.gate(x, w, n, ya));
            assert_true(ops->gate(x, w, n, yb));
            assert_memory_equal(ya, yb, n * sizeof *ya);
            if (!poisoned)
                continue;
            poison(r, rng_next(r) % 2 ? x : w, n);
            assert_false(ops_ref.gate(x, w, n, ya));
            assert_false(ops->gate(x, w, n, yb));
            assert_memory_equal(ya, yb, n * sizeof *ya);
            poison(r, x, n);
            assert_false(ops_ref.rmsnorm(x, w, n, 1e-5f, ya));
            assert_false(ops->rmsnorm(x, w, n, 1e-5f, yb));
        }
}

static void pointwise(void **state)
{
    (void)state;
    each_backend(check_pointwise);
}

static void check_rope(const struct ops *ops, struct rng *r)
{
    float v[2][HEAD_DIM_MAX], cs[HEAD_DIM_MAX];
    for (uint32_t pairs = 1; pairs <= 40; pairs++)
        for (int kind = 0; kind < INPUT_EXTREME; kind++) {
            input_values(r, (enum input_kind)kind, v[0], HEAD_DIM_MAX);
            input_values(r, INPUT_ORDINARY, cs, HEAD_DIM_MAX);
            memcpy(v[1], v[0], sizeof v[0]);
            ops_ref.rope(v[0], cs, pairs);
            ops->rope(v[1], cs, pairs);
            assert_memory_equal(v[0], v[1], sizeof v[0]);
        }
}

static void check_scores_and_values(const struct ops *ops, struct rng *r)
{
    static _Alignas(OPS_ALIGN) int8_t tile[LIMBS * TILE * HEAD_DIM_MAX];
    static const uint32_t widths[] = { 16, 32, 48, 64, 80, 128, 256, 1024 };
    for (size_t k = 0; k < ARRAY_COUNT(widths); k++)
        for (uint32_t n = 1; n <= ATTN_QUERIES * 2; n++) {
            const uint32_t count = (n + 1) / 2;
            const bool extreme = n % 2 == 0;
            static int8_t q[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX];
            struct attn_tile u[ATTN_QUERIES] = { 0 };
            int32_t sa[ATTN_QUERIES][LIMBS][TILE], sb[ATTN_QUERIES][LIMBS][TILE];
            static int32_t a[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX], b[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX];
            input_bytes(r, q, count * LIMBS * widths[k]);
            input_bytes(r, tile, LIMBS * TILE * widths[k]);
            for (uint32_t j = 0; j < count * TILE; j++)
                u[j / TILE].u[j % TILE] = extreme ? 32512 : (int16_t)rng_below(r, 32513);
            if (extreme) {
                memset(q, 127, sizeof q);
                memset(tile, widths[k] % 32 ? 127 : -127, sizeof tile);
            }
            ops_ref.attn_scores(q, count, tile, widths[k], sa);
            ops->attn_scores(q, count, tile, widths[k], sb);
            assert_memory_equal(sa, sb, count * sizeof *sa);
            ops_ref.attn_values(u, count, tile, widths[k], a);
            ops->attn_values(u, count, tile, widths[k], b);
            assert_memory_equal(a, b, count * LIMBS * widths[k] * sizeof *a);
        }
}

static void check_softmax(const struct ops *ops, struct rng *r)
{
    static const float scales[] = { 0.0f, 1e-30f, 1e-6f, 1e-3f, 0.3f, 1e6f, 1e30f };
    for (uint32_t n = 1; n <= TILE; n++)
        for (size_t k = 0; k < ARRAY_COUNT(scales); k++) {
            int32_t scores[LIMBS][TILE];
            float dk[TILE], dv[TILE];
            struct attn_tile a, b;
            for (uint32_t j = 0; j < TILE; j++) {
                bool below = n % 3 == 0;                   /* all scores below 0: what is masked off must not win */
                scores[0][j] = (int32_t)rng_below(r, 1u << 25) - (below ? 1 << 25 : 1 << 24);
                scores[1][j] = (int32_t)rng_below(r, 1u << 25) - (1 << 24);
                dk[j] = fabsf(input_value(r, j % 9 || below ? INPUT_ORDINARY : INPUT_TINY)) * scales[k];
                dv[j] = fabsf(input_value(r, k == 1 ? INPUT_TINY : INPUT_WIDE));
                if (j >= n)
                    dk[j] = dv[j] = float_from_bits(0x7fc00000);       /* leftovers must not be looked at */
            }
            bool ok = ops_ref.attn_softmax(scores, 1e-3f, dk, dv, n, &a);
            assert_int_equal(ops->attn_softmax(scores, 1e-3f, dk, dv, n, &b), ok);
            if (ok)
                assert_memory_equal(&a, &b, sizeof a);
        }
}

/* Equal scores, so that every p is 1 and the greatest w is the greatest dv. */
static void check_softmax_at_the_border(const struct ops *ops, struct rng *r)
{
    int32_t scores[LIMBS][TILE] = { { 0 } };
    float dk[TILE], dv[TILE];
    for (uint32_t n = 1; n <= TILE; n++)
        for (size_t i = 0; i < ARRAY_COUNT(BORDERS); i++) {
            struct attn_tile a, b;
            for (uint32_t j = 0; j < TILE; j++) {
                dk[j] = 1.0f;
                dv[j] = float_from_bits(BORDERS[i]) * fabsf(input_value(r, INPUT_ORDINARY));
            }
            dv[rng_below(r, n)] = float_from_bits(BORDERS[i]);
            assert_true(ops_ref.attn_softmax(scores, 1.0f, dk, dv, n, &a));
            assert_true(ops->attn_softmax(scores, 1.0f, dk, dv, n, &b));
            assert_memory_equal(&a, &b, sizeof a);
        }
}

static void check_folds(const struct ops *ops, struct rng *r)
{
    float a[160], b[160], part[160];
    int32_t sums[LIMBS * 160];
    for (uint32_t n = 1; n <= 160; n++)
        for (int kind = 0; kind < INPUT_EXTREME; kind++) {
            input_values(r, (enum input_kind)kind, a, 160);
            input_values(r, (enum input_kind)kind, part, 160);
            memcpy(b, a, sizeof a);
            for (uint32_t i = 0; i < LIMBS * 160; i++)
                sums[i] = (int32_t)rng_below(r, 1u << 30) - (1 << 29);
            float down = exact_pow2(-(float)rng_below(r, 130)), e = input_value(r, (enum input_kind)kind);
            ops_ref.attn_fold(a, sums, down, e, n);
            ops->attn_fold(b, sums, down, e, n);
            assert_memory_equal(a, b, sizeof a);
            ops_ref.attn_merge(a, part, 1.0f, down, n);
            ops->attn_merge(b, part, 1.0f, down, n);
            assert_memory_equal(a, b, sizeof a);
        }
}

static void attention_parts(void **state)
{
    (void)state;
    each_backend(check_rope);
    each_backend(check_scores_and_values);
    each_backend(check_softmax);
    each_backend(check_softmax_at_the_border);
    each_backend(check_folds);
}

/* Every 4999th finite bit pattern from a random start (4999 is odd, so all low bits occur), through the whole of
 * the domains. All 4.28e9 inputs with  TM_EXHAUSTIVE=1 build/tests/test_ops,  which takes as long as the scalar law
 * does. */
static void check_exp_sweep(const struct ops *ops, struct rng *r)
{
    enum { BATCH = 4096 };
    static float x[BATCH], ya[BATCH], yb[BATCH];
    uint64_t step = getenv("TM_EXHAUSTIVE") ? 1 : 4999;
    uint32_t n = 0;
    for (uint64_t bits = step == 1 ? 0 : rng_below(r, step); bits < 1ull << 32 || n > 0; bits += step) {
        float v = float_from_bits((uint32_t)bits);
        if (bits < 1ull << 32 && float_is_finite(v))
            x[n++] = v;
        if (n < BATCH && bits < 1ull << 32)
            continue;
        ops_ref.exp2_each(x, n, ya);
        ops->exp2_each(x, n, yb);
        assert_memory_equal(ya, yb, n * sizeof *ya);
        ops_ref.exp_each(x, n, ya);
        ops->exp_each(x, n, yb);
        assert_memory_equal(ya, yb, n * sizeof *ya);
        n = 0;
    }
}

static void exponentials(void **state)
{
    (void)state;
    each_backend(check_exp_sweep);
}

/* Values exactly between two integers hardly ever come up by chance; here all are. With the greatest value 127
 * (16256 in a head, 32512 in a tile) the factor is 1. */
static void check_ties(const struct ops *ops, struct rng *r)
{
    float x[ACT_BLOCK], ya[ACT_BLOCK], yb[ACT_BLOCK];
    static struct quantized a, b;
    (void)r;
    for (uint32_t i = 0; i < ACT_BLOCK; i++)
        x[i] = i == 255 ? 127.0f : (float)i * 0.5f - 63.0f;
    quantized_init(&a, ACT_BLOCK, ACT_BLOCK);
    quantized_init(&b, ACT_BLOCK, ACT_BLOCK);
    assert_true(ops_ref.quantize(x, &a.acts, 0) && ops->quantize(x, &b.acts, 0));
    assert_same_acts(&a, &b);
    x[255] = (float)LIMB_LEVELS;
    assert_true(ops_ref.quantize_head(x, ACT_BLOCK, a.q, a.q + ACT_BLOCK, &a.d[0]));
    assert_true(ops->quantize_head(x, ACT_BLOCK, b.q, b.q + ACT_BLOCK, &b.d[0]));
    assert_same_acts(&a, &b);

    int32_t scores[LIMBS][TILE] = { { 0 } };
    float one[TILE], dv[TILE];
    struct attn_tile ta, tb;
    for (uint32_t j = 0; j < TILE; j++) {
        one[j] = 1.0f;
        dv[j] = j == 7 ? 32512.0f : (float)(j * j) + 0.5f;
    }
    for (int32_t down = 0; down <= 16; down += 16) {       /* 2^-16 * 2^15 is a tie as well */
        scores[1][TILE - 1] = scores[1][3] = -down;
        assert_true(ops_ref.attn_softmax(scores, 1.0f, one, dv, TILE, &ta) &&
                    ops->attn_softmax(scores, 1.0f, one, dv, TILE, &tb));
        assert_memory_equal(&ta, &tb, sizeof ta);
    }

    for (uint32_t i = 0; i < ACT_BLOCK; i++)
        x[i] = (float)i - 127.5f;
    ops_ref.exp2_each(x, ACT_BLOCK, ya);
    ops->exp2_each(x, ACT_BLOCK, yb);
    assert_memory_equal(ya, yb, sizeof ya);
    for (int32_t ulps = -4; ulps <= 4; ulps++) {           /* the product with log2 e is rounded: for some, to a tie */
        for (uint32_t i = 0; i < ACT_BLOCK; i++)
            x[i] = float_from_bits(float_bits(((float)i - 127.5f) * 0x1.62e43p-1f) + (uint32_t)ulps);
        ops_ref.exp_each(x, ACT_BLOCK, ya);
        ops->exp_each(x, ACT_BLOCK, yb);
        assert_memory_equal(ya, yb, sizeof ya);
    }
}

static void ties_go_to_even(void **state)
{
    (void)state;
    each_backend(check_ties);
}

static void the_self_test_passes_on_every_backend(void **state)
{
    (void)state;
    for (size_t b = 0; backend(b); b++) {
        for (int c = 0; c < CONFORMANCE_COUNT; c++)
            if (conformance_digest(backend(b), (enum conformance_case)c) !=
                conformance_expected((enum conformance_case)c))
                fail_msg("%s: %s", backend(b)->name, conformance_name((enum conformance_case)c));
        assert_ok(backend_self_test(backend(b)));
    }
    assert_non_null(backend_find("scalar"));
    assert_ptr_equal(backend_find(NULL), backend_at(0));
    assert_null(backend_find("abacus"));
}

/* A backend that differs in one operation by one bit somewhere must be caught. */
static void wrong_add(float *x, const float *y, uint32_t n)
{
    ops_ref.add(x, y, n);
    x[n / 2] = float_from_bits(float_bits(x[n / 2]) ^ 1);
}

/* Products are done by other code when there are many tokens: an error there alone must be caught too. */
static void wrong_batch(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end,
                        float *y, size_t stride)
{
    ops_ref.matmul(w, x, n, begin, end, y, stride);
    if (n > 8 && w->type == TENSOR_Q6_K)
        y[7 * stride + begin] = float_from_bits(float_bits(y[7 * stride + begin]) ^ 1);
}

/* So are several queries. */
static void wrong_for_three(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                            int32_t (*scores)[LIMBS][TILE])
{
    ops_ref.attn_scores(q, n, key_tile, width, scores);
    if (n == 3)
        scores[2][1][TILE - 1] ^= 1;
}

static void wrong_for_four(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width,
                           int32_t *sums)
{
    ops_ref.attn_values(tiles, n, value_tile, width, sums);
    if (n == 4)
        sums[7 * width + 5] ^= 1;
}

static void the_self_test_notices_one_bit(void **state)
{
    (void)state;
    struct ops broken = ops_ref;
    broken.add = wrong_add;
    assert_err(backend_self_test(&broken), ERR_DEVICE);
    broken = ops_ref;
    assert_ok(backend_self_test(&broken));
    broken.matmul = wrong_batch;
    assert_err(backend_self_test(&broken), ERR_DEVICE);
    broken = ops_ref;
    broken.attn_scores = wrong_for_three;
    assert_err(backend_self_test(&broken), ERR_DEVICE);
    broken = ops_ref;
    broken.attn_values = wrong_for_four;
    assert_err(backend_self_test(&broken), ERR_DEVICE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantisation),
        cmocka_unit_test(quantised_products),
        cmocka_unit_test(quantised_products_of_avxvnni),
        cmocka_unit_test(float_products),
        cmocka_unit_test(pointwise),
        cmocka_unit_test(attention_parts),
        cmocka_unit_test(exponentials),
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(the_self_test_passes_on_every_backend),
        cmocka_unit_test(the_self_test_notices_one_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
