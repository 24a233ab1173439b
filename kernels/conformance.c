/* conformance.c - built-in cases of every operation, for the self-test of a backend. */
#include "kernels/conformance.h"

#include <string.h>

#include "kernels/blocks.h"
#include "kernels/exact_math.h"
#include "kernels/sampler.h"

const char *conformance_name(enum conformance_case c)
{
    static const char *const names[] = {
#define X(name, digest) #name,
        CONFORMANCE_TABLE(X)
#undef X
    };
    ENSURE(c < CONFORMANCE_COUNT);
    return names[c];
}

uint64_t conformance_expected(enum conformance_case c)
{
    static const uint64_t digests[] = {
#define X(name, digest) digest,
        CONFORMANCE_TABLE(X)
#undef X
    };
    ENSURE(c < CONFORMANCE_COUNT);
    return digests[c];
}

/* FNV-1a over the bytes of 32-bit words, least significant first, so that it does not depend on the host. */
static uint64_t add_word(uint64_t h, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        h = (h ^ (word >> 8 * i & 0xff)) * 0x100000001b3ull;
    return h;
}

static uint64_t add_floats(uint64_t h, const float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        h = add_word(h, float_bits(x[i]));
    return h;
}

static uint64_t add_ints(uint64_t h, const int32_t *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        h = add_word(h, (uint32_t)x[i]);
    return h;
}

static const uint64_t EMPTY = 0xcbf29ce484222325ull;

/* In [-1, 1) mostly; now and then zero, a subnormal, or something up to 2^20. */
static float value(struct rng *r)
{
    uint64_t bits = rng_next(r);
    float x = (float)(int32_t)(bits >> 40) * 0x1p-23f - 1.0f;
    switch (bits & 31) {
    case 0:
        return 0.0f;
    case 1:
        return x * 0x1p-130f;
    case 2:
        return x * 0x1p20f;
    }
    return x;
}

static void values(struct rng *r, float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = value(r);
}

static void small_ints(struct rng *r, int8_t *q, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        q[i] = (int8_t)((int32_t)rng_below(r, 255) - 127);
}

enum { COLS = 608, MATMUL_COLS = 768, BLOCKS = 3, TOKENS = 3, ROWS = 37, HEAD = 80 };

struct quantized {
    struct acts acts;
    int8_t q[TOKENS * BLOCKS * ACT_BLOCK];
    float d[TOKENS * BLOCKS * ACT_SCALES];
    int16_t sums[TOKENS * BLOCKS * ACT_RUNS];
};

static void quantize_tokens(const struct ops *ops, struct rng *r, struct quantized *x, uint32_t cols,
                            uint32_t group)
{
    float in[MATMUL_COLS];
    x->acts = (struct acts){ .cols = cols, .group = group, .q = x->q, .d = x->d, .sums = x->sums };
    for (uint32_t t = 0; t < TOKENS; t++) {
        values(r, in, cols);
        (void)ops->quantize(in, &x->acts, t);
    }
}

static uint64_t digest_quantize(const struct ops *ops, struct rng *r)
{
    uint64_t h = EMPTY;
    for (uint32_t group = 32; group <= 256; group += 224) {
        struct quantized x;
        quantize_tokens(ops, r, &x, COLS, group);
        for (uint32_t i = 0; i < ARRAY_COUNT(x.q); i++)
            h = add_word(h, (uint8_t)x.q[i]);
        h = add_floats(h, x.d, ARRAY_COUNT(x.d));
        for (uint32_t i = 0; i < ARRAY_COUNT(x.sums); i++)
            h = add_word(h, (uint16_t)x.sums[i]);
    }
    return h;
}

static uint64_t digest_quantize_head(const struct ops *ops, struct rng *r)
{
    float in[HEAD], d;
    int8_t q[LIMBS * HEAD];
    uint64_t h = EMPTY;
    for (int round = 0; round < 8; round++) {
        values(r, in, HEAD);
        (void)ops->quantize_head(in, HEAD, q, q + HEAD, &d);
        h = add_floats(h, &d, 1);
        for (uint32_t i = 0; i < LIMBS * HEAD; i++)
            h = add_word(h, (uint8_t)q[i]);
    }
    return h;
}

/* Stored blocks of random bits, but for the floats in them: those are of both signs, at most 1, some subnormal. */
static void random_blocks(struct rng *r, const struct block_format *f, uint8_t *data, size_t bytes)
{
    struct block b;
    rng_bytes(r, data, bytes);
    for (uint8_t *p = data; p < data + bytes; p += f->bytes) {
        if (f->type == TENSOR_MXFP4) {
            p[0] = (uint8_t)(p[0] % 4 ? 120 + p[0] % 8 : p[0] % 3);
            continue;
        }
        uint16_t at = f->half_at;
        p[at + 1] &= 0xbb;
        if (f->has_min)
            p[at + 3] &= 0xbb;
        block_read(f, p, &b);
        ENSURE(float_is_finite(b.d) && float_is_finite(b.m));
    }
}

/* Backends multiply a batch by other code than a few tokens. A row of a batch is computed as if it were alone, so the
 * same tokens, repeated, must give the same bytes; no digest of its own is needed for that. */
static bool same_in_a_batch(const struct ops *ops, const struct matrix *w, const struct acts *few, const float *y)
{
    enum { TIMES = 6 };
    static const uint32_t counts[] = { 4, TOKENS * TIMES };
    int8_t q[TIMES][TOKENS * BLOCKS * ACT_BLOCK];
    float d[TIMES][TOKENS * BLOCKS * ACT_SCALES], many[TIMES * TOKENS * ROWS];
    int16_t sums[TIMES][TOKENS * BLOCKS * ACT_RUNS];
    struct acts batch = { .cols = few->cols, .group = few->group, .q = q[0], .d = d[0], .sums = sums[0] };
    for (uint32_t i = 0; i < TIMES; i++) {
        memcpy(q[i], few->q, sizeof q[i]);
        memcpy(d[i], few->d, sizeof d[i]);
        memcpy(sums[i], few->sums, sizeof sums[i]);
    }
    for (size_t k = 0; k < ARRAY_COUNT(counts); k++) {
        ops->matmul(w, &batch, counts[k], 0, ROWS, many, ROWS);
        for (uint32_t t = 0; t < counts[k]; t++)
            if (memcmp(many + t * ROWS, y + t % TOKENS * ROWS, ROWS * sizeof *y) != 0)
                return false;
    }
    return true;
}

static uint64_t digest_matmul(const struct ops *ops, struct rng *r, enum tensor_type type)
{
    enum { STORED_MAX = ROWS * MATMUL_COLS / 32 * 34, GROUP_MAX = 16 };
    const struct block_format *f = block_format(type);
    uint8_t data[STORED_MAX];
    _Alignas(OPS_ALIGN) uint8_t packed[STORED_MAX / ROWS * (ROWS + GROUP_MAX) * 2];
    struct quantized x;
    float y[TOKENS * ROWS];
    uint32_t cols = f->len == 32 ? COLS : MATMUL_COLS;         /* the longer blocks fill their rows */
    random_blocks(r, f, data, (size_t)ROWS * (cols / f->len) * f->bytes);
    struct matrix w = { .type = type, .rows = ROWS, .cols = cols, .data = data };
    if (ops->packed_bytes(type, ROWS, cols) > 0) {
        ENSURE(ops->packed_bytes(type, ROWS, cols) <= sizeof packed);
        ops->pack(&w, 0, ROWS, packed);
        w.packed = packed;
    }
    quantize_tokens(ops, r, &x, cols, ops_act_group(type));
    ops->matmul(&w, &x.acts, TOKENS, 0, ROWS, y, ROWS);
    return same_in_a_batch(ops, &w, &x.acts, y) ? add_floats(EMPTY, y, ARRAY_COUNT(y)) : 0;
}

static uint64_t digest_matmul_float(const struct ops *ops, struct rng *r, enum tensor_type type)
{
    enum { FEW = 5 };
    float weights[FEW * COLS], x[TOKENS * COLS], y[TOKENS * FEW];
    values(r, x, ARRAY_COUNT(x));
    values(r, weights, ARRAY_COUNT(weights));
    /* Two halves below 2 of either type: a NaN would be told by its payload, which NV1 leaves open. */
    if (type != TENSOR_F32)
        for (uint32_t i = 0; i < ARRAY_COUNT(weights); i++)
            weights[i] = float_from_bits((uint32_t)(rng_next(r) & 0xbbffbbffu));
    struct matrix w = { .type = type, .rows = FEW, .cols = COLS, .data = (const uint8_t *)weights };
    ops->matmul_float(&w, x, TOKENS, 0, FEW, y, FEW);
    return add_floats(EMPTY, y, ARRAY_COUNT(y));
}

static uint64_t digest_rmsnorm(const struct ops *ops, struct rng *r)
{
    float x[COLS], w[COLS], y[COLS];
    values(r, x, COLS);
    values(r, w, COLS);
    (void)ops->rmsnorm(x, w, COLS - 7, 1e-5f, y);
    return add_floats(EMPTY, y, COLS - 7);
}

static uint64_t digest_gate(const struct ops *ops, struct rng *r)
{
    float g[COLS], u[COLS], y[COLS];
    values(r, g, COLS);
    values(r, u, COLS);
    for (uint32_t i = 0; i < COLS; i++)
        g[i] = g[i] * 100.0f;
    (void)ops->gate(g, u, COLS - 5, y);
    return add_floats(EMPTY, y, COLS - 5);
}

static uint64_t digest_add(const struct ops *ops, struct rng *r)
{
    float x[COLS], y[COLS];
    values(r, x, COLS);
    values(r, y, COLS);
    ops->add(x, y, COLS - 3);
    return add_floats(EMPTY, x, COLS);
}

static uint64_t digest_rope(const struct ops *ops, struct rng *r)
{
    float v[HEAD], cs[HEAD];
    values(r, v, HEAD);
    values(r, cs, HEAD);
    ops->rope(v, cs, 37);
    return add_floats(EMPTY, v, HEAD);
}

static uint64_t digest_attn_scores(const struct ops *ops, struct rng *r)
{
    _Alignas(OPS_ALIGN) int8_t keys[LIMBS * TILE * HEAD];
    int8_t q[LIMBS * HEAD];
    int32_t scores[LIMBS][TILE];
    small_ints(r, keys, sizeof keys);
    small_ints(r, q, sizeof q);
    ops->attn_scores(q, 1, keys, HEAD, &scores);
    bool same = true;                            /* several queries are other code, and see what each sees alone */
    for (uint32_t n = 2; n <= ATTN_QUERIES; n++) {
        int8_t many[ATTN_QUERIES][LIMBS * HEAD];
        int32_t all[ATTN_QUERIES][LIMBS][TILE];
        for (uint32_t i = 0; i < n; i++)
            memcpy(many[i], q, sizeof q);
        ops->attn_scores(many[0], n, keys, HEAD, all);
        for (uint32_t i = 0; i < n; i++)
            same = same && memcmp(all[i], scores, sizeof scores) == 0;
    }
    return same ? add_ints(EMPTY, scores[0], LIMBS * TILE) : EMPTY;
}

static uint64_t digest_attn_softmax(const struct ops *ops, struct rng *r)
{
    static const uint32_t counts[] = { 1, 2, 15, 16, 17, 63, 64 };
    uint64_t h = EMPTY;
    for (uint32_t k = 0; k < ARRAY_COUNT(counts); k++) {
        int32_t scores[LIMBS][TILE];
        float dk[TILE], dv[TILE];
        struct attn_tile tile;
        for (uint32_t i = 0; i < TILE; i++) {
            scores[0][i] = (int32_t)rng_below(r, 2000001) - 1000000;
            scores[1][i] = (int32_t)rng_below(r, 2000001) - 1000000;
            dk[i] = (float)rng_below(r, 1000) * 1e-4f;
            dv[i] = (float)rng_below(r, 1000) * 1e-3f;
        }
        (void)ops->attn_softmax(scores, 1e-6f, dk, dv, counts[k], &tile);
        h = add_floats(h, (float[]){ tile.max, tile.l, tile.g }, 3);
        for (uint32_t i = 0; i < TILE; i++)
            h = add_word(h, (uint32_t)tile.u[i]);
    }
    return h;
}

static uint64_t digest_attn_values(const struct ops *ops, struct rng *r)
{
    _Alignas(OPS_ALIGN) int8_t tile[LIMBS * TILE * HEAD];
    struct attn_tile weights = { 0 };
    int32_t sums[LIMBS * HEAD];
    small_ints(r, tile, sizeof tile);
    for (uint32_t i = 0; i < TILE; i++)
        weights.u[i] = (int16_t)rng_below(r, 32513);
    ops->attn_values(&weights, 1, tile, HEAD, sums);
    bool same = true;
    for (uint32_t n = 2; n <= ATTN_QUERIES; n++) {
        struct attn_tile many[ATTN_QUERIES];
        int32_t all[ATTN_QUERIES][LIMBS * HEAD];
        for (uint32_t i = 0; i < n; i++)
            many[i] = weights;
        ops->attn_values(many, n, tile, HEAD, all[0]);
        for (uint32_t i = 0; i < n; i++)
            same = same && memcmp(all[i], sums, sizeof sums) == 0;
    }
    return same ? add_ints(EMPTY, sums, LIMBS * HEAD) : EMPTY;
}

static uint64_t digest_attn_fold(const struct ops *ops, struct rng *r)
{
    float o[HEAD];
    int32_t sums[LIMBS * HEAD];
    values(r, o, HEAD);
    for (uint32_t i = 0; i < LIMBS * HEAD; i++)
        sums[i] = (int32_t)rng_below(r, 1u << 29) - (1 << 28);
    ops->attn_fold(o, sums, 0x1p-3f, 0.3f, HEAD);
    return add_floats(EMPTY, o, HEAD);
}

static uint64_t digest_attn_merge(const struct ops *ops, struct rng *r)
{
    float o[HEAD], part[HEAD];
    values(r, o, HEAD);
    values(r, part, HEAD);
    ops->attn_merge(o, part, 0x1p-3f, 0x1p-120f, HEAD);
    return add_floats(EMPTY, o, HEAD);
}

static uint64_t digest_each(struct rng *r, void (*each)(const float *, uint32_t, float *))
{
    float x[COLS], y[COLS];
    values(r, x, COLS);
    for (uint32_t i = 0; i < COLS; i++)
        x[i] = x[i] * 130.0f;
    each(x, COLS - 1, y);
    return add_floats(EMPTY, y, COLS - 1);
}

static uint64_t digest_ln(struct rng *r)
{
    uint64_t h = EMPTY;
    for (int i = 0; i < 500; i++) {
        float x = float_from_bits(0x00800000u + (uint32_t)rng_below(r, 0x7f000000u));
        float y = exact_ln(x);
        h = add_floats(h, &y, 1);
    }
    return h;
}

static uint64_t digest_rotation(struct rng *r)
{
    uint64_t h = EMPTY;
    double ln_base = exact_ln64(10000.0);
    for (int i = 0; i < 200; i++) {
        double rate = exact_rope_rate(ln_base, (uint32_t)rng_below(r, 40), 80, 1.0, 1.0);
        struct rotation at = exact_rotation(rate, (uint32_t)rng_below(r, 1u << 20));
        h = add_floats(h, (float[]){ at.cos, at.sin }, 2);
    }
    return h;
}

static uint64_t digest_sampler(struct rng *r)
{
    float logits[COLS];
    _Alignas(8) uint8_t scratch[COLS * 8];
    uint64_t h = EMPTY;
    ENSURE(sampler_scratch_bytes(COLS) <= sizeof scratch);
    values(r, logits, COLS);
    for (uint32_t i = 0; i < COLS; i++)
        logits[i] = logits[i] > 1.0f || logits[i] < -1.0f ? 0.0f : logits[i] * 8.0f;
    for (uint32_t i = 0; i < 16; i++) {
        struct sampler_params p = { .temperature_micro = 500000 + i * 100000, .top_k = i % 3 * 40,
                                    .top_p_micro = 1000000 - i % 4 * 90000, .seed = rng_next(r) };
        uint32_t token = 0;
        if (sampler_pick(logits, COLS, &p, i, scratch, &token) != OK)
            return 0;
        h = add_word(h, token);
    }
    return h;
}

uint64_t conformance_digest(const struct ops *ops, enum conformance_case c)
{
    struct rng r;
    rng_init(&r, 1000 + (uint64_t)c);
    switch (c) {
    case CONFORMANCE_QUANTIZE:
        return digest_quantize(ops, &r);
    case CONFORMANCE_QUANTIZE_HEAD:
        return digest_quantize_head(ops, &r);
    case CONFORMANCE_MATMUL_Q8_0:
        return digest_matmul(ops, &r, TENSOR_Q8_0);
    case CONFORMANCE_MATMUL_Q4_0:
        return digest_matmul(ops, &r, TENSOR_Q4_0);
    case CONFORMANCE_MATMUL_Q4_1:
        return digest_matmul(ops, &r, TENSOR_Q4_1);
    case CONFORMANCE_MATMUL_Q5_0:
        return digest_matmul(ops, &r, TENSOR_Q5_0);
    case CONFORMANCE_MATMUL_Q5_1:
        return digest_matmul(ops, &r, TENSOR_Q5_1);
    case CONFORMANCE_MATMUL_IQ4_NL:
        return digest_matmul(ops, &r, TENSOR_IQ4_NL);
    case CONFORMANCE_MATMUL_MXFP4:
        return digest_matmul(ops, &r, TENSOR_MXFP4);
    case CONFORMANCE_MATMUL_Q2_K:
        return digest_matmul(ops, &r, TENSOR_Q2_K);
    case CONFORMANCE_MATMUL_Q3_K:
        return digest_matmul(ops, &r, TENSOR_Q3_K);
    case CONFORMANCE_MATMUL_Q4_K:
        return digest_matmul(ops, &r, TENSOR_Q4_K);
    case CONFORMANCE_MATMUL_Q5_K:
        return digest_matmul(ops, &r, TENSOR_Q5_K);
    case CONFORMANCE_MATMUL_Q6_K:
        return digest_matmul(ops, &r, TENSOR_Q6_K);
    case CONFORMANCE_MATMUL_IQ4_XS:
        return digest_matmul(ops, &r, TENSOR_IQ4_XS);
    case CONFORMANCE_MATMUL_BF16:
        return digest_matmul_float(ops, &r, TENSOR_BF16);
    case CONFORMANCE_MATMUL_F16:
        return digest_matmul_float(ops, &r, TENSOR_F16);
    case CONFORMANCE_MATMUL_F32:
        return digest_matmul_float(ops, &r, TENSOR_F32);
    case CONFORMANCE_RMSNORM:
        return digest_rmsnorm(ops, &r);
    case CONFORMANCE_GATE:
        return digest_gate(ops, &r);
    case CONFORMANCE_ADD:
        return digest_add(ops, &r);
    case CONFORMANCE_ROPE:
        return digest_rope(ops, &r);
    case CONFORMANCE_ATTN_SCORES:
        return digest_attn_scores(ops, &r);
    case CONFORMANCE_ATTN_SOFTMAX:
        return digest_attn_softmax(ops, &r);
    case CONFORMANCE_ATTN_VALUES:
        return digest_attn_values(ops, &r);
    case CONFORMANCE_ATTN_FOLD:
        return digest_attn_fold(ops, &r);
    case CONFORMANCE_ATTN_MERGE:
        return digest_attn_merge(ops, &r);
    case CONFORMANCE_EXP2:
        return digest_each(&r, ops->exp2_each);
    case CONFORMANCE_EXP:
        return digest_each(&r, ops->exp_each);
    case CONFORMANCE_LN:
        return digest_ln(&r);
    case CONFORMANCE_ROTATION:
        return digest_rotation(&r);
    case CONFORMANCE_SAMPLER:
        return digest_sampler(&r);
    case CONFORMANCE_COUNT:
        break;
    }
    return 0;
}
