/* test_cuda_matmul.c - the CUDA matrix products, on the emulated device, against the law: every type, odd shapes,
 * memcmp. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/matrix.h"
#include "kernels/cuda/pack.h"
#include "kernels/ops.h"
#include "tests/gpu/emu.h"
#include "tests/kernels/random_input.h"

enum { MARGIN = 3 };      /* y has room beside each token's rows: nobody may write there */

struct shape {
    uint32_t rows, cols, tokens;
};

static uint8_t *pack(enum cuda_type type, struct shape s, const uint8_t *stored)
{
    uint8_t *packed = emu_alloc("weights", cuda_packed_bytes(type, s.rows, s.cols));
    for (uint32_t g = 0; g * PACK_ROWS < s.rows; g++)
        cuda_pack_group(type, s.rows, s.cols, stored, g, packed + g * cuda_group_bytes(type, s.cols));
    emu_make_constant(packed);
    return packed;
}

/* A matrix cut into some that are multiplied together, each with its own place in y. */
struct cut {
    struct cuda_matrix w[CUDA_TOGETHER];
    struct cuda_product products[CUDA_TOGETHER];
    uint32_t count;
};

static void cut_rows(struct cut *c, enum cuda_type type, struct shape s, const uint8_t *stored, size_t row_bytes,
                     float *y, struct rng *r)
{
    uint32_t first = 0, most = 1 + (uint32_t)rng_below(r, CUDA_TOGETHER);
    c->count = s.rows < most ? s.rows : most;
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t others = c->count - 1 - i, room = s.rows - first - others;
        struct shape part = { others ? 1 + (uint32_t)rng_below(r, room) : room, s.cols, s.tokens };
        c->w[i] = (struct cuda_matrix){ .type = type, .rows = part.rows, .cols = s.cols,
                                        .packed = pack(type, part, stored + first * row_bytes) };
        c->products[i] = (struct cuda_product){ .w = &c->w[i], .y = y + first, .stride = s.rows + MARGIN };
        first += part.rows;
    }
}

static void cut_free(struct cut *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        emu_free((void *)(uintptr_t)c->w[i].packed);
}

static void assert_same_rows(const char *what, enum cuda_type type, struct shape s, const float *got,
                             const float *right)
{
    const char *first;
    if (emu_take_faults(&first) != 0)
        fail_msg("%s %s %u x %u x %u: %s", what, tensor_type_name((uint32_t)type), s.rows, s.cols, s.tokens, first);
    uint32_t stride = s.rows + MARGIN;
    for (uint32_t t = 0; t < s.tokens; t++)
        for (uint32_t row = 0; row < stride; row++) {
            const float *a = &got[t * stride + row], *b = &right[t * s.rows + row];
            uint32_t bits = row < s.rows ? float_bits(*b) : 0xa5a5a5a5;
            if (float_bits(*a) != bits)
                fail_msg("%s %s %u x %u x %u: token %u, row %u is %08x, expected %08x", what,
                         tensor_type_name((uint32_t)type), s.rows, s.cols, s.tokens, t, row, float_bits(*a), bits);
        }
}

static void check_float(enum cuda_type type, struct shape s, enum input_kind kind, struct rng *r)
{
    uint32_t size = float_bytes(type), stride = s.rows + MARGIN;
    float *x = emu_alloc("x", (size_t)s.tokens * s.cols * 4), *y = emu_alloc("y", (size_t)s.tokens * stride * 4);
    float *right = calloc((size_t)s.tokens * s.rows, sizeof *right);
    uint8_t *stored = malloc((size_t)s.rows * s.cols * size);
    ENSURE(right && stored);
    input_values(r, kind, x, s.tokens * s.cols);
    emu_make_constant(x);
    for (size_t i = 0; i < (size_t)s.rows * s.cols; i++) {
        float w = input_value(r, kind == INPUT_EXTREME ? INPUT_TINY : kind);
        uint32_t bits = float_bits(w);
        uint16_t half = type == CUDA_BF16 ? (uint16_t)(bits >> 16) : (uint16_t)(bits & 0xbbff);
        memcpy(stored + i * size, type == CUDA_F32 ? (void *)&w : (void *)&half, size);
    }
    struct matrix host = { .type = (enum tensor_type)type, .rows = s.rows, .cols = s.cols, .data = stored };
    ops_ref.matmul_float(&host, x, s.tokens, 0, s.rows, right, s.rows);
    struct cut cut;
    cut_rows(&cut, type, s, stored, (size_t)s.cols * size, y, r);
    cuda_matmul_float_together(cut.products, cut.count, x, s.tokens, NULL);
    assert_same_rows("float", type, s, y, right);
    cut_free(&cut);
    free(stored);
    free(right);
    emu_free(y);
    emu_free(x);
}

static void float_rows_follow_the_law(void **state)
{
    static const enum cuda_type types[] = { CUDA_F32, CUDA_F16, CUDA_BF16 };
    static const struct shape shapes[] = { { 1, 1, 1 },   { 3, 31, 2 },   { 9, 256, 3 },
                                           { 17, 257, 7 }, { 8, 288, 8 },  { 33, 512, 1 },
                                           { 5, 600, 9 },  { 70, 1056, 1 }, { 7, 768, 17 } };
    (void)state;
    struct rng r;
    rng_init(&r, 1);
    for (size_t k = 0; k < ARRAY_COUNT(types); k++)
        for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
            emu_set_seed(i % 2 ? rng_next(&r) : 0);
            check_float(types[k], shapes[i], (enum input_kind)((i + k) % INPUT_KINDS), &r);
        }
}

/* Activations of the law, and the same on the device. */
struct activations {
    struct acts host;
    struct cuda_acts device;
};

static struct activations activations(struct shape s, uint32_t group, enum input_kind kind, struct rng *r)
{
    uint32_t blocks = ops_act_blocks(s.cols);
    size_t n = (size_t)s.tokens * blocks;
    struct activations a = {
        .host = { .cols = s.cols, .group = group, .q = emu_alloc("q", n * 256), .d = emu_alloc("d", n * 32) },
    };
    a.host.sums = calloc(n, ACT_RUNS * sizeof *a.host.sums);
    float *x = malloc((size_t)s.cols * sizeof *x);
    ENSURE(x && a.host.sums);
    a.device = (struct cuda_acts){ .cols = s.cols, .group = group, .q = a.host.q, .d = a.host.d };
    a.device.sums = emu_alloc("sums", n * CUDA_ACT_SUMS);
    for (uint32_t t = 0; t < s.tokens; t++) {
        input_values(r, kind == INPUT_EXTREME ? INPUT_WIDE : kind, x, s.cols);
        ENSURE(ops_ref.quantize(x, &a.host, t));
        if (kind == INPUT_EXTREME)
            input_bytes(r, a.host.q + (size_t)t * blocks * 256, s.cols);
    }
    for (size_t i = 0; i < n * 16; i++) {
        int32_t sum = 0;
        for (size_t k = i * 16; k < i * 16 + 16; k++)
            sum += a.host.q[k];
        a.device.sums[i / 16 * CUDA_ACT_SUMS + i % 16] = (int8_t)(sum & 127);
        a.device.sums[i / 16 * CUDA_ACT_SUMS + 16 + i % 16] = (int8_t)((sum - (sum & 127)) / 128);
    }
    free(x);
    emu_make_constant(a.device.q);
    emu_make_constant(a.device.d);
    emu_make_constant(a.device.sums);
    return a;
}

static void activations_free(struct activations *a)
{
    free(a->host.sums);
    emu_free(a->device.sums);
    emu_free(a->device.d);
    emu_free(a->device.q);
}

static void check_quantised(const struct block_format *f, struct shape s, enum input_kind kind, struct rng *r)
{
    uint32_t stride = s.rows + MARGIN;
    size_t blocks = (size_t)s.rows * (s.cols / f->len);
    enum cuda_type type = (enum cuda_type)f->type;
    struct activations x = activations(s, ops_act_group(f->type), kind, r);
    float *y = emu_alloc("y", (size_t)s.tokens * stride * 4), *right = calloc((size_t)s.tokens * s.rows, sizeof *right);
    uint8_t *stored = malloc(blocks * f->bytes);
    ENSURE(right && stored);
    input_blocks(r, f, stored, blocks, kind == INPUT_WIDE || kind == INPUT_EXTREME);
    struct matrix host = { .type = f->type, .rows = s.rows, .cols = s.cols, .data = stored };
    ops_ref.matmul(&host, &x.host, s.tokens, 0, s.rows, right, s.rows);
    struct cut cut;
    cut_rows(&cut, type, s, stored, (size_t)s.cols / f->len * f->bytes, y, r);
    cuda_matmul_together(cut.products, cut.count, &x.device, s.tokens, NULL);
    assert_same_rows("quantised", type, s, y, right);
    cut_free(&cut);
    free(stored);
    free(right);
    emu_free(y);
    activations_free(&x);
}

static void check_shapes(const struct shape *shapes, size_t n)
{
    struct rng r;
    rng_init(&r, 2);
    for (size_t k = 0; block_format_at(k); k++)
        for (size_t i = 0; i < n; i++) {
            struct shape s = shapes[i];
            const struct block_format *f = block_format_at(k);
            s.cols = (s.cols + f->len - 1) / f->len * f->len;
            emu_set_seed((i + k) % 3 ? rng_next(&r) : 0);
            check_quantised(f, s, (enum input_kind)((i + k) % INPUT_KINDS), &r);
        }
}

static void few_tokens_follow_the_law(void **state)
{
    static const struct shape shapes[] = { { 1, 32, 1 },    { 2, 64, 3 },    { 15, 96, 2 },  { 16, 128, 1 },
                                           { 17, 160, 8 },  { 33, 256, 7 },  { 5, 288, 2 },  { 70, 512, 1 },
                                           { 31, 1056, 3 }, { 3, 1024, 8 },  { 20, 2080, 1 }, { 9, 2336, 5 } };
    (void)state;
    check_shapes(shapes, ARRAY_COUNT(shapes));
}

/* Each shared memory limit gives the ring another number of stages. */
static void many_tokens_follow_the_law(void **state)
{
    static const struct shape shapes[] = { { 1, 32, 9 },   { 17, 160, 17 },  { 33, 288, 33 },
                                           { 70, 512, 12 }, { 20, 1056, 60 } };
    static const struct shape wide[] = { { 3, 96, 65 }, { 130, 288, 66 }, { 50, 256, 129 },
                                         { 9, 544, 70 }, { 1, 800, 65 } };
    static const size_t limits[] = { 227 * 1024, 99 * 1024, 64 * 1024, 48 * 1024, 36 * 1024 };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        emu_set_shared_limit(limits[i]);
        check_shapes(shapes + i, 1);
        check_shapes(wide + i, 1);
    }
    emu_set_shared_limit(limits[0]);
}

#ifdef TM_ON_SILICON
/* Too much for the emulated device, and for a sanitizer on a real one. */
static void shapes_of_real_models_follow_the_law(void **state)
{
    static const struct shape shapes[] = { { 4096, 4096, 1 }, { 500, 14336, 8 }, { 64, 8192, 64 }, { 256, 4096, 200 } };
    (void)state;
    if (getenv("TM_GPU_LARGE"))
        check_shapes(shapes, ARRAY_COUNT(shapes));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_rows_follow_the_law),
        cmocka_unit_test(few_tokens_follow_the_law),
        cmocka_unit_test(many_tokens_follow_the_law),
#ifdef TM_ON_SILICON
        cmocka_unit_test(shapes_of_real_models_follow_the_law),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
