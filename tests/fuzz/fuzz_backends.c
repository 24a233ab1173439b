/* fuzz_backends.c - does any backend ever differ from the law? Bytes choose an operation, its shape and its values;
 * every backend of this machine must give the bytes of ops_ref (NV1 13).
 *
 * The first bytes are the case and a seed; a seeded generator fills the inputs (ordinary, wide, subnormal, any bits)
 * and the rest of the bytes are patches (place, bits) into them, so that a fuzzer can steer single values while matrices
 * stay large.
 *
 * NaN equals NaN: NV1 11 makes a position with one fail, whatever its payload. Everything else is memcmp.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/exact_math.h"
#include "tests/kernels/random_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEN_MAX = 1100, ROWS_MAX = 40, TOKENS_MAX = 40, WORK_MAX = 300000 };

/* --- the bytes ------------------------------------------------------------------------------------------------ */

struct input {
    const uint8_t *p;
    size_t left;
    struct rng r;
};

static uint32_t take(struct input *in, uint32_t bytes)
{
    uint32_t v = 0;
    for (uint32_t i = 0; i < bytes && in->left > 0; i++, in->left--)
        v |= (uint32_t)*in->p++ << 8 * i;
    return v;
}

static uint32_t take_below(struct input *in, uint32_t n) { return take(in, 2) % n; }

/* Up to eight patches of `unit` bytes each. */
static void patch(struct input *in, void *values, uint32_t count, uint32_t unit)
{
    uint32_t patches = take(in, 1) % 9;
    for (uint32_t i = 0; i < patches && in->left > 0; i++) {
        uint32_t at = take_below(in, count), bits = take(in, unit);
        memcpy((uint8_t *)values + (size_t)at * unit, &bits, unit);
    }
}

/* Where a formula of NV1 changes: 2^-100 and its neighbour, -126, 127, -88, zero, the least, the greatest, no numbers. */
static const uint32_t BORDERS[] = { 0x0d800000, 0x0d7fffff, 0xc2fc0000, 0xc2fc0001, 0x42fe0000, 0xc2b00000,
                                    0xc2b00001, 0x80000000, 0x00000001, 0x007fffff, 0x00800000, 0x7f7fffff,
                                    0x7f800000, 0xff800000, 0x7fc00000, 0x3f800000 };

/* Floats of one kind, some with their greatest about 2^-100; then patches of any bits. */
static float *floats(struct input *in, uint32_t n)
{
    float *x = malloc((size_t)n * sizeof *x);
    uint32_t kind = take(in, 1) % (INPUT_KINDS + 2), border = take(in, 1);
    ENSURE(x);
    input_values(&in->r, kind < INPUT_KINDS ? (enum input_kind)kind : INPUT_ORDINARY, x, n);
    for (uint32_t i = 0; i < n && kind == INPUT_KINDS; i++)
        x[i] = x[i] * (border % 2 ? 0x1p-99f : 0x1p-98f);
    if (border >= 192)
        x[border % n] = float_from_bits(BORDERS[border % ARRAY_COUNT(BORDERS)]);
    patch(in, x, n, 4);
    return x;
}

/* Lengths around the borders of lanes and blocks as often as any. */
static uint32_t length(struct input *in)
{
    uint32_t n = take_below(in, LEN_MAX) + 1;
    return take(in, 1) % 2 ? n : (n / 32 * 32 + take(in, 1) % 3 + 31) % LEN_MAX + 1;
}

/* --- comparing ------------------------------------------------------------------------------------------------ */

static void differ(const struct ops *ops, const char *what, uint32_t at)
{
    fprintf(stderr, "%s differs from the law: %s at %u\n", ops->name, what, at);
    abort();
}

static void same_bytes(const struct ops *ops, const char *what, const void *law, const void *other, size_t n)
{
    if (memcmp(law, other, n) != 0)
        differ(ops, what, 0);
}

static bool is_nan(float x) { return (float_bits(x) & 0x7fffffffu) > 0x7f800000u; }

static void same_floats(const struct ops *ops, const char *what, const float *law, const float *other, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (float_bits(law[i]) != float_bits(other[i]) && !(is_nan(law[i]) && is_nan(other[i])))
            differ(ops, what, (uint32_t)i);
}

static void same_flag(const struct ops *ops, const char *what, bool law, bool other)
{
    if (law != other)
        differ(ops, what, 0);
}

/* --- quantisation and products --------------------------------------------------------------------------------- */

static void *block_of(size_t bytes)
{
    void *p = aligned_alloc(OPS_ALIGN, (bytes + OPS_ALIGN - 1) / OPS_ALIGN * OPS_ALIGN);
    ENSURE(p);
    memset(p, 0xaa, bytes);
    return p;
}

static struct acts acts_make(uint32_t tokens, uint32_t cols, uint32_t group)
{
    size_t blocks = (size_t)tokens * ops_act_blocks(cols);
    return (struct acts){ .cols = cols, .group = group, .q = block_of(blocks * ACT_BLOCK),
                          .d = block_of(blocks * ACT_SCALES * sizeof(float)),
                          .sums = block_of(blocks * ACT_RUNS * sizeof(int16_t)) };
}

static void acts_free(struct acts *a)
{
    free(a->q);
    free(a->d);
    free(a->sums);
}

static void same_acts(const struct ops *ops, const struct acts *a, const struct acts *b, uint32_t tokens)
{
    size_t blocks = (size_t)tokens * ops_act_blocks(a->cols);
    same_bytes(ops, "q of quantize", a->q, b->q, blocks * ACT_BLOCK);
    same_bytes(ops, "d of quantize", a->d, b->d, blocks * ACT_SCALES * sizeof *a->d);
    same_bytes(ops, "sums of quantize", a->sums, b->sums, blocks * ACT_RUNS * sizeof *a->sums);
}

static void check_quantize(const struct ops *ops, struct input *in)
{
    uint32_t n = length(in);
    float *x = floats(in, n);
    uint32_t group = take(in, 1) % 2 ? 32 : 256;
    struct acts a = acts_make(1, n, group), b = acts_make(1, n, group);
    bool fine = ops_ref.quantize(x, &a, 0);
    same_flag(ops, "quantize", fine, ops->quantize(x, &b, 0));
    same_acts(ops, &a, &b, 1);
    acts_free(&a);
    acts_free(&b);
    free(x);
}

static void check_quantize_head(const struct ops *ops, struct input *in)
{
    uint32_t n = length(in) % HEAD_DIM_MAX + 1;
    float *x = floats(in, n), da, db;
    int8_t qa[LIMBS * HEAD_DIM_MAX] = { 0 }, qb[LIMBS * HEAD_DIM_MAX] = { 0 };
    bool fine = ops_ref.quantize_head(x, n, qa, qa + n, &da);
    same_flag(ops, "quantize_head", fine, ops->quantize_head(x, n, qb, qb + n, &db));
    same_bytes(ops, "q of quantize_head", qa, qb, sizeof qa);
    same_floats(ops, "d of quantize_head", &da, &db, 1);
    free(x);
}

/* Fills `packed` by ranges in any order, as several threads would. */
static void pack_in_parts(const struct ops *ops, struct input *in, const struct matrix *w, uint8_t *packed)
{
    uint32_t groups = (w->rows + ops->group_rows - 1) / ops->group_rows;
    uint32_t middle = take(in, 1) % (groups + 1) * ops->group_rows;
    if (middle < w->rows)
        ops->pack(w, middle, w->rows, packed);
    if (middle > 0)
        ops->pack(w, 0, middle < w->rows ? middle : w->rows, packed);
}

/* Products of all rows, in one or two ranges. */
static void multiply(const struct ops *ops, uint32_t middle, const struct matrix *w, const struct acts *x,
                     const float *fx, uint32_t n, float *y, size_t stride)
{
    uint32_t ends[3] = { 0, middle < w->rows ? middle : w->rows, w->rows };
    for (int i = 0; i < 2; i++)
        if (ends[i] < ends[i + 1] && x)
            ops->matmul(w, x, n, ends[i], ends[i + 1], y, stride);
        else if (ends[i] < ends[i + 1])
            ops->matmul_float(w, fx, n, ends[i], ends[i + 1], y, stride);
}

/* Rows and tokens such that the slow law takes milliseconds. */
static void shape(struct input *in, uint32_t cols, uint32_t *rows, uint32_t *tokens)
{
    *rows = take(in, 1) % ROWS_MAX + 1;
    *tokens = take(in, 1) % TOKENS_MAX + 1;
    while ((*rows) * (*tokens) * cols > WORK_MAX && *tokens > 1)
        *tokens -= 1;
    while ((*rows) * (*tokens) * cols > WORK_MAX)
        *rows -= 1;
}

static void compare_products(const struct ops *ops, struct input *in, const struct matrix *w, const struct acts *x,
                             const float *fx, uint32_t tokens)
{
    size_t stride = w->rows + take(in, 1) % 5, n = stride * tokens;
    uint32_t middle = take(in, 1) % 4 * ops->group_rows;
    float *ya = block_of(n * sizeof *ya), *yb = block_of(n * sizeof *yb);
    struct matrix law = *w;
    law.packed = NULL;
    multiply(&ops_ref, law.rows, &law, x, fx, tokens, ya, stride);
    multiply(ops, middle, w, x, fx, tokens, yb, stride);
    same_floats(ops, tensor_type_name(w->type), ya, yb, n);
    free(ya);
    free(yb);
}

static void check_matmul(const struct ops *ops, struct input *in)
{
    uint32_t formats = 0, rows, tokens;
    while (block_format_at(formats))
        formats++;
    const struct block_format *f = block_format_at(take(in, 1) % formats);
    uint32_t cols = (take(in, 1) % (LEN_MAX / f->len) + 1) * f->len;
    shape(in, cols, &rows, &tokens);
    size_t blocks = (size_t)rows * cols / f->len;
    uint8_t *stored = malloc(blocks * f->bytes), kind = take(in, 1) % 8, *packed = NULL;
    ENSURE(stored);
    input_blocks(&in->r, f, stored, blocks, kind % 2);
    if (kind == 7)
        rng_bytes(&in->r, stored, blocks * f->bytes);                /* infinite and NaN scales too */
    patch(in, stored, (uint32_t)(blocks * f->bytes / 2), 2);
    struct acts x = acts_make(tokens, cols, ops_act_group(f->type));
    for (uint32_t t = 0; t < tokens; t++) {
        float *v = floats(in, cols);
        (void)ops_ref.quantize(v, &x, t);                            /* zeroes what is not finite */
        free(v);
    }
    struct matrix w = { .type = f->type, .rows = rows, .cols = cols, .data = stored };
    if (ops->packed_bytes(f->type, rows, cols) > 0) {
        packed = block_of(ops->packed_bytes(f->type, rows, cols));
        pack_in_parts(ops, in, &w, packed);
        w.packed = packed;
    }
    compare_products(ops, in, &w, &x, NULL, tokens);
    acts_free(&x);
    free(packed);
    free(stored);
}

static void check_matmul_float(const struct ops *ops, struct input *in)
{
    static const enum tensor_type types[] = { TENSOR_F32, TENSOR_F16, TENSOR_BF16 };
    enum tensor_type type = types[take(in, 1) % 3];
    uint32_t cols = length(in), rows, tokens, bytes = tensor_type_block_bytes(type);
    shape(in, cols, &rows, &tokens);
    rows = rows > 9 ? 9 : rows;
    float *x = floats(in, cols * tokens), *values = floats(in, rows * cols);
    /* One byte off alignment: a model file promises none. */
    uint8_t *stored = malloc((size_t)rows * cols * bytes + 1);
    ENSURE(stored);
    if (type == TENSOR_BF16)
        for (uint32_t i = 0; i < rows * cols; i++)
            memcpy(stored + 1 + (size_t)i * 2, (uint8_t *)&values[i] + 2, 2);
    else
        memcpy(stored + 1, values, (size_t)rows * cols * bytes);
    struct matrix w = { .type = type, .rows = rows, .cols = cols, .data = stored + 1 };
    compare_products(ops, in, &w, NULL, x, tokens);
    free(stored);
    free(values);
    free(x);
}

/* --- pointwise ------------------------------------------------------------------------------------------------- */

static void check_rmsnorm(const struct ops *ops, struct input *in)
{
    uint32_t n = length(in);
    float *x = floats(in, n), *w = floats(in, n), *ya = block_of(n * sizeof *ya), *yb = block_of(n * sizeof *yb);
    bool fine = ops_ref.rmsnorm(x, w, n, 1e-5f, ya);
    same_flag(ops, "rmsnorm", fine, ops->rmsnorm(x, w, n, 1e-5f, yb));
    if (fine)
        same_floats(ops, "y of rmsnorm", ya, yb, n);
    free(x);
    free(w);
    free(ya);
    free(yb);
}

static void check_gate_and_add(const struct ops *ops, struct input *in)
{
    uint32_t n = length(in);
    float *g = floats(in, n), *u = floats(in, n), *ya = block_of(n * sizeof *ya), *yb = block_of(n * sizeof *yb);
    same_flag(ops, "gate", ops_ref.gate(g, u, n, ya), ops->gate(g, u, n, yb));
    same_floats(ops, "y of gate", ya, yb, n);
    memcpy(ya, g, n * sizeof *ya);
    memcpy(yb, g, n * sizeof *yb);
    ops_ref.add(ya, u, n);
    ops->add(yb, u, n);
    same_floats(ops, "add", ya, yb, n);
    free(g);
    free(u);
    free(ya);
    free(yb);
}

static void check_rope(const struct ops *ops, struct input *in)
{
    uint32_t n = 2 * (length(in) % (HEAD_DIM_MAX / 2) + 1);
    float *v = floats(in, n), *cs = floats(in, n), *other = block_of(n * sizeof *other);
    memcpy(other, v, n * sizeof *v);
    ops_ref.rope(v, cs, n / 2);
    ops->rope(other, cs, n / 2);
    same_floats(ops, "rope", v, other, n);
    free(v);
    free(cs);
    free(other);
}

/* NV1 2.1 and 2.2 promise something for finite x only. */
static void check_exponentials(const struct ops *ops, struct input *in)
{
    uint32_t n = length(in);
    float *x = floats(in, n), *ya = block_of(n * sizeof *ya), *yb = block_of(n * sizeof *yb);
    float scale = (float)(take(in, 1) % 200);
    for (uint32_t i = 0; i < n; i++)
        x[i] = float_is_finite(x[i] * scale) ? x[i] * scale : scale;
    ops_ref.exp2_each(x, n, ya);
    ops->exp2_each(x, n, yb);
    same_floats(ops, "exp2", ya, yb, n);
    ops_ref.exp_each(x, n, ya);
    ops->exp_each(x, n, yb);
    same_floats(ops, "exp", ya, yb, n);
    free(x);
    free(ya);
    free(yb);
}

/* --- attention ------------------------------------------------------------------------------------------------- */

static uint32_t head_width(struct input *in) { return ops_head_width(take_below(in, HEAD_DIM_MAX) + 1); }

/* Bytes from -127 to 127. */
static int8_t *codes(struct input *in, uint32_t n)
{
    int8_t *q = block_of(n);
    input_bytes(&in->r, q, n);
    if (take(in, 1) % 4 == 0)
        memset(q, take(in, 1) % 2 ? 127 : -127, n);
    patch(in, q, n, 1);
    for (uint32_t i = 0; i < n; i++)
        q[i] = q[i] == -128 ? -127 : q[i];
    return q;
}

static void check_scores(const struct ops *ops, struct input *in)
{
    uint32_t width = head_width(in);
    uint32_t n = 1 + take(in, 1) % ATTN_QUERIES;
    int8_t *q = codes(in, n * LIMBS * width), *tile = codes(in, LIMBS * width * TILE);
    int32_t a[ATTN_QUERIES][LIMBS][TILE], b[ATTN_QUERIES][LIMBS][TILE];
    ops_ref.attn_scores(q, n, tile, width, a);
    ops->attn_scores(q, n, tile, width, b);
    same_bytes(ops, "attn_scores", a, b, n * sizeof *a);
    free(q);
    free(tile);
}

static void check_values(const struct ops *ops, struct input *in)
{
    uint32_t width = head_width(in);
    int8_t *tile = codes(in, LIMBS * width * TILE);
    struct attn_tile u[ATTN_QUERIES] = { 0 };
    int32_t a[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX], b[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX];
    uint32_t n = 1 + take(in, 1) % ATTN_QUERIES;
    bool full = take(in, 1) % 4 == 0;
    for (uint32_t j = 0; j < n * TILE; j++)
        u[j / TILE].u[j % TILE] = full ? 32512 : (int16_t)rng_below(&in->r, 32513);
    ops_ref.attn_values(u, n, tile, width, a);
    ops->attn_values(u, n, tile, width, b);
    same_bytes(ops, "attn_values", a, b, n * LIMBS * width * sizeof *a);
    free(tile);
}

/* Scales are finite and not negative (NV1 3.3); what lies behind the n-th position may be anything. */
static void check_softmax(const struct ops *ops, struct input *in)
{
    uint32_t n = take(in, 1) % TILE + 1;
    float *dk = floats(in, TILE), *dv = floats(in, TILE), cq = float_from_bits(take(in, 4) & 0x7fffffffu);
    struct attn_tile a, b;
    int32_t scores[LIMBS][TILE];
    for (uint32_t j = 0; j < LIMBS * TILE; j++)
        scores[j / TILE][j % TILE] = (int32_t)rng_below(&in->r, 1u << (take(in, 1) % 25 + 1)) - (int32_t)rng_below(&in->r, 1u << 24);
    for (uint32_t j = 0; j < n; j++) {
        dk[j] = float_is_finite(dk[j]) ? float_from_bits(float_bits(dk[j]) & 0x7fffffffu) : 0.0f;
        dv[j] = float_is_finite(dv[j]) ? float_from_bits(float_bits(dv[j]) & 0x7fffffffu) : 0.0f;
    }
    cq = float_is_finite(cq) ? cq : 1.0f;
    bool fine = ops_ref.attn_softmax(scores, cq, dk, dv, n, &a);
    same_flag(ops, "attn_softmax", fine, ops->attn_softmax(scores, cq, dk, dv, n, &b));
    if (fine)
        same_bytes(ops, "tile of attn_softmax", &a, &b, sizeof a);
    free(dk);
    free(dv);
}

static void check_folds(const struct ops *ops, struct input *in)
{
    uint32_t n = length(in) % HEAD_DIM_MAX + 1;
    float *o = floats(in, n), *part = floats(in, n), *other = block_of(n * sizeof *other);
    float a = exact_pow2(-(float)(take(in, 1) % 140 / 7)), b = exact_pow2(-(float)(take(in, 1) % 140));
    float e = take(in, 1) % 4 ? input_value(&in->r, INPUT_ORDINARY) * 0x1p-28f : float_from_bits(take(in, 4));
    int32_t sums[LIMBS * HEAD_DIM_MAX];
    for (uint32_t i = 0; i < LIMBS * n; i++)
        sums[i] = (int32_t)rng_below(&in->r, 1u << 30) - (1 << 29);
    memcpy(other, o, n * sizeof *o);
    ops_ref.attn_fold(o, sums, a, e, n);
    ops->attn_fold(other, sums, a, e, n);
    same_floats(ops, "attn_fold", o, other, n);
    memcpy(other, o, n * sizeof *o);
    ops_ref.attn_merge(o, part, a, b, n);
    ops->attn_merge(other, part, a, b, n);
    same_floats(ops, "attn_merge", o, other, n);
    free(o);
    free(part);
    free(other);
}

/* Products twice and thrice: they have most of the code. */
static void (*const CHECKS[])(const struct ops *ops, struct input *in) = {
    check_matmul,       check_matmul,   check_matmul,       check_matmul_float, check_quantize, check_quantize_head,
    check_rmsnorm,      check_rope,     check_gate_and_add, check_exponentials, check_scores,   check_values,
    check_softmax,      check_folds,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input start = { .p = data, .left = size };
    uint32_t which = take(&start, 1) % ARRAY_COUNT(CHECKS);
    rng_init(&start.r, take(&start, 2));
    for (size_t i = 0; backend_at(i); i++) {
        struct input in = start;
        if (backend_at(i) != &ops_ref)
            CHECKS[which](backend_at(i), &in);
    }
    return 0;
}
