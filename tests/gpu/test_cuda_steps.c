/* test_cuda_steps.c - the CUDA kernels beside the matrix products, on the emulated device, against the law: memcmp. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/cuda/steps.h"
#include "kernels/ops.h"
#include "kernels/quant.h"
#include "kernels/sampler.h"
#include "tests/gpu/emu.h"
#include "tests/kernels/random_input.h"

static struct rng rng;

static void assert_no_faults(const char *what)
{
    const char *first;
    if (emu_take_faults(&first) != 0)
        fail_msg("%s: %s", what, first);
}

static void assert_same(const char *what, uint32_t shape, const void *got, const void *right, size_t bytes)
{
    const uint8_t *a = got, *b = right;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            fail_msg("%s of %u: byte %zu of %zu is %02x, expected %02x", what, shape, i, bytes, a[i], b[i]);
}

static float *floats(const char *name, size_t n) { return emu_alloc(name, n * sizeof(float)); }

static float *random_floats(const char *name, enum input_kind kind, uint32_t n)
{
    float *x = floats(name, n);
    input_values(&rng, kind, x, n);
    return x;
}

static uint32_t *flags(uint32_t n)
{
    uint32_t *bad = emu_alloc("bad", n * sizeof *bad);
    memset(bad, 0, n * sizeof *bad);
    return bad;
}

/* --- quantised rows on both sides --------------------------------------------------------------------------------- */

struct both {
    struct cuda_acts got;
    struct acts right;
    uint32_t rows, blocks;
};

static struct both both_init(uint32_t rows, uint32_t cols, uint32_t group)
{
    struct both b = { .rows = rows, .blocks = ops_act_blocks(cols) };
    size_t blocks = (size_t)rows * b.blocks;
    b.got = (struct cuda_acts){ .cols = cols, .group = group, .q = emu_alloc("q", blocks * ACT_BLOCK),
                                .d = emu_alloc("d", blocks * ACT_SCALES * 4),
                                .sums = emu_alloc("sums", blocks * CUDA_ACT_SUMS) };
    b.right = (struct acts){ .cols = cols, .group = group, .q = calloc(blocks, ACT_BLOCK),
                             .d = calloc(blocks, ACT_SCALES * 4), .sums = calloc(blocks, ACT_RUNS * 2) };
    return b;
}

static void both_fini(struct both *b)
{
    emu_free(b->got.sums);
    emu_free(b->got.d);
    emu_free(b->got.q);
    free(b->right.q);
    free(b->right.d);
    free(b->right.sums);
}

static void assert_same_acts(const char *what, const struct both *b, uint32_t row)
{
    size_t at = (size_t)row * b->blocks;
    assert_same(what, b->got.cols, b->got.q + at * ACT_BLOCK, b->right.q + at * ACT_BLOCK,
                (size_t)b->blocks * ACT_BLOCK);
    assert_same(what, b->got.cols, b->got.d + at * ACT_SCALES, b->right.d + at * ACT_SCALES,
                b->blocks * ACT_SCALES * sizeof(float));
    for (uint32_t r = 0; r < b->blocks * ACT_RUNS; r++) {
        const int8_t *sums = b->got.sums + (at + r / ACT_RUNS) * CUDA_ACT_SUMS + r % ACT_RUNS;
        assert_true(sums[0] >= 0);
        assert_int_equal(sums[0] + 128 * sums[16], b->right.sums[at * ACT_RUNS + r]);
    }
}

/* --- one test per kernel ------------------------------------------------------------------------------------------ */

static const uint32_t widths[] = { 1, 7, 64, 255, 256, 257, 600, 1032, 4100 };

static void rows_are_quantised(void **state)
{
    (void)state;
    enum { ROWS = 3 };
    for (size_t i = 0; i < ARRAY_COUNT(widths); i++)
        for (int kind = 0; kind < INPUT_KINDS; kind++) {
            uint32_t cols = widths[i];
            struct both b = both_init(ROWS, cols, (i + (size_t)kind) % 2 ? 32 : 256);
            float *x = random_floats("x", (enum input_kind)kind, ROWS * cols);
            uint32_t *bad = flags(ROWS);
            if (kind == INPUT_WIDE)
                x[cols + cols / 2] = cols % 2 ? INFINITY : NAN;
            cuda_quantize(x, ROWS, &b.got, bad, NULL);
            assert_no_faults("quantize");
            for (uint32_t r = 0; r < ROWS; r++) {
                bool fine = ops_ref.quantize(x + r * cols, &b.right, r);
                assert_int_equal(bad[r], !fine);
                assert_same_acts("quantize", &b, r);
            }
            emu_free(bad);
            emu_free(x);
            both_fini(&b);
        }
}

struct norm_case {
    uint32_t n, dim;
    bool add, choose, out;
    uint32_t groups;                     /* bit 0: quantised by 32, bit 1: by 256 */
};

static void check_norm(struct norm_case c, enum input_kind kind)
{
    enum { ROWS = 4 };
    struct both b[2] = { both_init(c.n, c.dim, 32), both_init(c.n, c.dim, 256) };
    float *x = random_floats("x", kind, ROWS * c.dim), *y = random_floats("y", INPUT_ORDINARY, ROWS * c.dim);
    float *w = random_floats("w", INPUT_ORDINARY, c.dim), *out = floats("out", (size_t)c.n * c.dim);
    float *right_x = calloc(ROWS, c.dim * 4), *right = calloc(c.dim, 4);
    uint32_t *bad = flags(ROWS), *which = emu_alloc("which", ROWS * 4);
    memcpy(which, (uint32_t[]){ 3, 1, 0, 2 }, ROWS * 4);
    if (c.n > 1)
        x[2 * c.dim + 1] = NAN;
    memcpy(right_x, x, (size_t)ROWS * c.dim * 4);
    struct cuda_norm norm = { .x = x, .y = c.add ? y : NULL, .which = c.choose ? which : NULL, .weight = w, .n = c.n,
                              .dim = c.dim, .eps = 1e-5f, .out = c.out ? out : NULL, .bad = bad };
    for (uint32_t i = 0; i < 2; i++)
        norm.acts[i] = c.groups >> i & 1 ? &b[i].got : NULL;
    cuda_rmsnorm(&norm, NULL);
    assert_no_faults("rmsnorm");
    for (uint32_t r = 0; r < c.n; r++) {
        uint32_t i = c.choose ? which[r] : r;
        float *row = right_x + (size_t)i * c.dim;
        if (c.add)
            ops_ref.add(row, y + (size_t)i * c.dim, c.dim);
        bool fine = ops_ref.rmsnorm(row, w, c.dim, 1e-5f, right);
        for (uint32_t k = 0; k < 2; k++)
            fine = (!(c.groups >> k & 1) || ops_ref.quantize(right, &b[k].right, r)) && fine;
        assert_int_equal(bad[i], !fine);
        if (!fine)
            continue;
        assert_same("sum", c.dim, x + (size_t)i * c.dim, row, c.dim * 4);
        if (c.out)
            assert_same("rmsnorm", c.dim, out + (size_t)r * c.dim, right, c.dim * 4);
        for (uint32_t k = 0; k < 2; k++)
            if (c.groups >> k & 1)
                assert_same_acts("rmsnorm", &b[k], r);
    }
    emu_free(which);
    emu_free(bad);
    free(right);
    free(right_x);
    emu_free(out);
    emu_free(w);
    emu_free(y);
    emu_free(x);
    both_fini(&b[0]);
    both_fini(&b[1]);
}

static void rows_are_normalised(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(widths); i++)
        for (uint32_t options = 0; options < 16; options++) {
            struct norm_case c = { .n = (uint32_t)i % 3 + 1, .dim = widths[i], .add = options & 1,
                                   .choose = options & 2, .groups = options >> 2,
                                   .out = options < 4 || (options & 1) != 0 };
            if (c.dim > 1)
                check_norm(c, options % 4 == 2 ? INPUT_WIDE : INPUT_ORDINARY);
        }
}

static void gates_follow_the_law(void **state)
{
    (void)state;
    enum { ROWS = 3 };
    for (size_t i = 0; i < ARRAY_COUNT(widths); i++)
        for (uint32_t options = 0; options < 4; options++) {
            uint32_t dim = widths[i];
            bool quantize = options & 1;
            struct both b = both_init(ROWS, dim, i % 2 ? 32 : 256);
            float *g = random_floats("g", options & 2 ? INPUT_WIDE : INPUT_ORDINARY, ROWS * dim);
            float *right = calloc(dim, 4);
            float *u = random_floats("u", INPUT_ORDINARY, ROWS * dim);
            uint32_t *bad = flags(ROWS);
            for (uint32_t k = 0; k < ROWS * dim; k++)
                g[k] *= options & 2 ? 1.0f : 100.0f;
            u[dim] = -INFINITY;
            float *before = malloc(ROWS * dim * sizeof *before);
            memcpy(before, g, ROWS * dim * sizeof *before);
            cuda_gate(g, u, ROWS, dim, quantize ? &b.got : NULL, bad, NULL);
            assert_no_faults("gate");
            for (uint32_t r = 0; r < ROWS; r++) {
                bool fine = ops_ref.gate(before + r * dim, u + r * dim, dim, right);
                fine = (!quantize || ops_ref.quantize(right, &b.right, r)) && fine;
                assert_int_equal(bad[r], !fine);
                if (quantize)
                    assert_same_acts("gate", &b, r);
                else
                    assert_same("gate", dim, g + r * dim, right, dim * 4);
            }
            free(before);
            emu_free(bad);
            emu_free(u);
            free(right);
            emu_free(g);
            both_fini(&b);
        }
}

static void check_embed(enum tensor_type type)
{
    enum { ROWS = 5 };
    const struct block_format *f = block_format(type);
    uint32_t len = tensor_type_block_len(type), bytes = tensor_type_block_bytes(type), cols = len == 256 ? 512 : 96;
    size_t row_bytes = (size_t)(cols / len) * bytes;
    uint8_t *stored = emu_alloc("stored", ROWS * row_bytes);
    float *x = floats("x", ROWS * cols), *right = calloc(cols, 4);
    if (f)
        input_blocks(&rng, f, stored, ROWS * (cols / len), true);
    else
        rng_bytes(&rng, stored, ROWS * row_bytes);
    struct cuda_stored a = { .type = (enum cuda_type)type, .block_len = len, .block_bytes = bytes, .cols = cols,
                             .rows = stored };
    emu_make_constant(stored);
    cuda_embed(&a, ROWS, x, NULL);
    assert_no_faults("embed");
    struct matrix w = { .type = type, .rows = ROWS, .cols = cols, .data = stored };
    for (uint32_t r = 0; r < ROWS; r++) {
        quant_row_to_float(&w, r, right);
        for (uint32_t i = 0; i < cols; i++)
            if (float_is_finite(right[i]) && float_bits(right[i]) != float_bits(x[r * cols + i]))
                fail_msg("embed %s: row %u, value %u is %08x, expected %08x", tensor_type_name((uint32_t)type), r, i,
                         float_bits(x[r * cols + i]), float_bits(right[i]));
    }
    free(right);
    emu_free(x);
    emu_free(stored);
}

static void stored_rows_become_floats(void **state)
{
    (void)state;
    check_embed(TENSOR_F32);
    check_embed(TENSOR_F16);
    check_embed(TENSOR_BF16);
    for (size_t i = 0; block_format_at(i); i++)
        check_embed(block_format_at(i)->type);
}

/* --- sampling ----------------------------------------------------------------------------------------------------- */

enum { PICKS = 6 };

static void fill_logits(float *logits, uint32_t vocab, uint32_t kind)
{
    for (uint32_t i = 0; i < vocab; i++) {
        float x = input_value(&rng, INPUT_ORDINARY);
        float some[] = { x * 8.0f, (float)(int32_t)(x * 3.0f), x * 0x1p-120f, x * 300.0f };
        logits[i] = some[kind];
        if (kind == 1 && logits[i] == 0.0f && i % 2)
            logits[i] = -0.0f;
    }
}

static void check_sample(uint32_t vocab, uint32_t round)
{
    static const uint32_t shares[] = { 1000000, 1, 900000, 999999, 500000 };
    float *logits = floats("logits", (size_t)PICKS * vocab);
    struct cuda_pick *picks = emu_alloc("picks", PICKS * sizeof *picks);
    void *scratch = malloc(sampler_scratch_bytes(vocab));
    for (uint32_t k = 0; k < PICKS; k++) {
        fill_logits(logits + (size_t)k * vocab, vocab, (round + k) % 4);
        picks[k] = (struct cuda_pick){ .temperature_micro = (round + k) % 5 ? 200000 + 700000 * k : 0,
                                       .top_k = (uint32_t[]){ 0, 1, 5, 40, vocab, vocab / 2 }[rng_below(&rng, 6)],
                                       .top_p_micro = shares[rng_below(&rng, ARRAY_COUNT(shares))],
                                       .position = (uint32_t)rng_below(&rng, 1 << 20), .seed = rng_next(&rng),
                                       .row = k };
    }
    if (round % 7 == 3)
        logits[2 * (size_t)vocab + vocab / 2] = NAN;
    cuda_sample(logits, vocab, picks, PICKS, NULL);
    assert_no_faults("sample");
    for (uint32_t k = 0; k < PICKS; k++) {
        struct sampler_params p = { .temperature_micro = picks[k].temperature_micro, .top_k = picks[k].top_k,
                                    .top_p_micro = picks[k].top_p_micro, .seed = picks[k].seed };
        uint32_t token;
        enum err e = sampler_pick(logits + (size_t)k * vocab, vocab, &p, picks[k].position, scratch, &token);
        assert_int_equal(picks[k].bad, e == ERR_NUMERIC);
        if (e == OK && token != picks[k].token)
            fail_msg("round %u, vocabulary %u, pick %u (%u, %u, %u): token %u, expected %u", round, vocab, k,
                     p.temperature_micro, p.top_k, p.top_p_micro, picks[k].token, token);
    }
    free(scratch);
    emu_free(picks);
    emu_free(logits);
}

static void tokens_are_those_of_the_law(void **state)
{
    (void)state;
    static const uint32_t vocabs[] = { 1, 2, 33, 257, 999, 3001 };
    for (uint32_t round = 0; round < 18; round++) {
        emu_set_seed(round % 2 ? rng_next(&rng) : 0);
        check_sample(vocabs[round % ARRAY_COUNT(vocabs)], round);
    }
    emu_set_seed(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_quantised),     cmocka_unit_test(rows_are_normalised),
        cmocka_unit_test(gates_follow_the_law),   cmocka_unit_test(stored_rows_become_floats),
        cmocka_unit_test(tokens_are_those_of_the_law),
    };
    rng_init(&rng, 7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
