/* test_blocks.c - do stored blocks mean to us what they mean to others? tests/vectors/nv1/blocks.txt was written by an
 * independent reader (tests/accuracy/check_blocks.py, which also compares random blocks); the law of products and the
 * rows of an embedding must both find its values.
 */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/exact_math.h"
#include "kernels/quant.h"

enum { LINE_BYTES = 4096, STORED_MAX = 256 };

static const char PATH[] = "tests/vectors/nv1/blocks.txt";

struct golden {
    enum tensor_type type;
    uint8_t stored[STORED_MAX];
    uint32_t bytes, n;
    float values[BLOCK_LEN_MAX];
};

static enum tensor_type type_named(const char *name)
{
    const struct block_format *f;
    for (size_t i = 0; (f = block_format_at(i)); i++)
        if (strcmp(tensor_type_name(f->type), name) == 0)
            return f->type;
    fail_msg("no type is called %s", name);
    return TENSOR_F32;
}

static uint32_t read_hex(const char *text, uint8_t *out)
{
    uint32_t n = 0;
    unsigned byte;
    for (; n < STORED_MAX && sscanf(text + 2 * n, "%2x", &byte) == 1; n++)
        out[n] = (uint8_t)byte;
    return n;
}

static uint32_t read_floats(char *text, float *out)
{
    uint32_t n = 0;
    for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
        assert_true(n < BLOCK_LEN_MAX);
        out[n++] = float_from_bits((uint32_t)strtoul(word, NULL, 16));
    }
    return n;
}

/* The next case of the file; false at its end. */
static bool next_golden(FILE *f, struct golden *g)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "type ", 5) == 0) {
            line[strcspn(line, "\n")] = 0;
            g->type = type_named(line + 5);
        } else if (strncmp(line, "stored ", 7) == 0) {
            g->bytes = read_hex(line + 7, g->stored);
        } else if (strncmp(line, "values ", 7) == 0) {
            g->n = read_floats(line + 7, g->values);
            return true;
        }
    }
    return false;
}

/* The product of the block and activations that are 1 at i and 0 elsewhere, by the law of NV1 4.1: its two float steps
 * are then those of 4.4. */
static void assert_product_finds(const struct golden *g, uint32_t i)
{
    int8_t q[ACT_BLOCK] = { 0 };
    float d[ACT_SCALES], y = 0;
    int16_t sums[ACT_RUNS] = { 0 };
    for (uint32_t k = 0; k < ACT_SCALES; k++)
        d[k] = 1.0f;
    q[i] = 1;
    sums[i / ACT_RUN] = 1;
    struct acts x = { .cols = g->n, .group = ops_act_group(g->type), .q = q, .d = d, .sums = sums };
    struct matrix w = { .type = g->type, .rows = 1, .cols = g->n, .data = g->stored };
    ops_ref.matmul(&w, &x, 1, 0, 1, &y, 1);
    assert_true(y == g->values[i]);
}

static void blocks_mean_what_others_read(void **state)
{
    (void)state;
    FILE *f = fopen(PATH, "r");
    struct golden g = { .bytes = 0 };
    uint32_t cases = 0;
    uint64_t seen = 0;
    assert_non_null(f);
    for (; next_golden(f, &g); cases++) {
        const struct block_format *format = block_format(g.type);
        float ours[BLOCK_LEN_MAX];
        struct matrix w = { .type = g.type, .rows = 1, .cols = g.n, .data = g.stored };
        assert_int_equal(g.bytes, format->bytes);
        assert_int_equal(g.n, format->len);
        quant_row_to_float(&w, 0, ours);
        for (uint32_t i = 0; i < g.n; i++) {
            assert_true(ours[i] == g.values[i]);
            assert_product_finds(&g, i);
        }
        seen |= 1ull << g.type;
    }
    fclose(f);
    assert_int_equal(cases, 39);
    for (size_t i = 0; block_format_at(i); i++)
        assert_true(seen >> block_format_at(i)->type & 1);
}

/* NV1 3.1: no exponent is special, 255 neither (a NaN in the standard, 2^127 to GGUF's readers, which halve as we do). */
static void every_exponent_of_mxfp4_is_a_power_of_two(void **state)
{
    (void)state;
    const struct block_format *f = block_format(TENSOR_MXFP4);
    for (int e = 0; e < 256; e++) {
        uint8_t stored[17] = { (uint8_t)e };
        struct block b;
        block_read_scales(f, stored, &b);
        assert_true(b.d == ldexpf(1.0f, e - 128));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(blocks_mean_what_others_read),
                                        cmocka_unit_test(every_exponent_of_mxfp4_is_a_power_of_two) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
