/* test_vectors.c - the conformance vectors of NV1 in tests/vectors/nv1/: inputs and outputs of every operation as text, for
 * whoever writes another implementation. The scalar reference wrote them (test_vectors --write); every backend must
 * still produce the very same files.
 *
 * Format: one value list per line, `name word word ...`; fp32 as 8 hexadecimal digits of their bits, integers in
 * decimal, bytes as two hexadecimal digits. A blank line ends a case. `#` begins a comment.
 */
#define _POSIX_C_SOURCE 200809L      /* open_memstream */
#include "tests/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/quant.h"
#include "kernels/sampler.h"
#include "tests/kernels/random_input.h"
#include "tests/kernels/tiny_engine.h"

static void put_floats(FILE *f, const char *name, const float *x, uint32_t n)
{
    fprintf(f, "%s", name);
    for (uint32_t i = 0; i < n; i++)
        fprintf(f, " %08" PRIx32, float_bits(x[i]));
    fprintf(f, "\n");
}

static void put_ints(FILE *f, const char *name, const int32_t *x, uint32_t n)
{
    fprintf(f, "%s", name);
    for (uint32_t i = 0; i < n; i++)
        fprintf(f, " %" PRId32, x[i]);
    fprintf(f, "\n");
}

static void put_bytes(FILE *f, const char *name, const void *bytes, size_t n)
{
    fprintf(f, "%s ", name);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%02x", ((const uint8_t *)bytes)[i]);
    fprintf(f, "\n");
}

static void put_int8s(FILE *f, const char *name, const int8_t *q, uint32_t n)
{
    fprintf(f, "%s", name);
    for (uint32_t i = 0; i < n; i++)
        fprintf(f, " %d", q[i]);
    fprintf(f, "\n");
}

static void put_int(FILE *f, const char *name, int64_t x) { fprintf(f, "%s %" PRId64 "\n", name, x); }

static void put_float(FILE *f, const char *name, float x) { put_floats(f, name, &x, 1); }

static void end_case(FILE *f) { fprintf(f, "\n"); }

static void elementary(FILE *f, const struct ops *ops, struct rng *r)
{
    static const float edges[] = { 0.0f,    -0.0f,   1.0f,   -1.0f,    0.5f,      -0.5f,     -126.0f, -126.00001f, -125.7f,
                                   127.0f,  128.0f,  3e38f,  -3e38f,   1e-40f,    -1e-40f,   88.0f,   88.1f,       -87.0f,
                                   -87.1f,  -88.0f,  -88.1f, 1.5f,     -2.5f };
    float x[64], y[64];
    memcpy(x, edges, sizeof edges);
    for (uint32_t i = ARRAY_COUNT(edges); i < 64; i++)
        x[i] = input_value(r, INPUT_ORDINARY) * 100.0f;
    fprintf(f, "# NV1 2.1, 2.2, 2.6, 2.4, 2.5, 1.5\n");
    put_floats(f, "x", x, 64);
    ops->exp2_each(x, 64, y);
    put_floats(f, "exp2", y, 64);
    ops->exp_each(x, 64, y);
    put_floats(f, "exp", y, 64);
    for (int i = 0; i < 64; i++)
        y[i] = exact_silu(x[i]);
    put_floats(f, "silu", y, 64);
    end_case(f);
    for (int i = 0; i < 64; i++) {
        x[i] = -0.25f * (float)rng_below(r, 1u << 24) * 0x1p-24f;
        y[i] = exact_ln1p(x[i]);
    }
    put_floats(f, "x", x, 64);
    put_floats(f, "ln1p", y, 64);
    end_case(f);
    for (int i = 0; i < 64; i++) {
        x[i] = float_from_bits(0x00800000u + (uint32_t)rng_below(r, 0x7f000000u));
        y[i] = exact_ln(x[i]);
    }
    put_floats(f, "x", x, 64);
    put_floats(f, "ln", y, 64);
    end_case(f);
    int32_t half[32];
    for (int i = 0; i < 32; i++) {
        half[i] = (int32_t)rng_below(r, 0x7c00) | (i % 2 ? 0x8000 : 0);
        half[i] = i < 4 ? i : half[i];
        y[i] = exact_half_to_float((uint16_t)half[i]);
    }
    put_ints(f, "half_bits", half, 32);
    put_floats(f, "value", y, 32);
    end_case(f);
}

static void rotation(FILE *f, const struct ops *ops, struct rng *r)
{
    static const uint32_t positions[] = { 0, 1, 2, 255, 4095, 131071, 1048575 };
    static const float bases[] = { 10000.0f, 500000.0f };
    (void)ops;
    fprintf(f, "# NV1 6.1-6.6\n");
    for (size_t b = 0; b < 2; b++)
        for (size_t p = 0; p < ARRAY_COUNT(positions); p++) {
            float cs[16], v[16];
            for (uint32_t i = 0; i < 8; i++) {
                double rate = exact_rope_rate(exact_ln64((double)bases[b]), i, 16, 1.0, b ? 4.0 : 1.0);
                struct rotation at = exact_rotation(rate, positions[p]);
                cs[2 * i] = at.cos;
                cs[2 * i + 1] = at.sin;
            }
            put_float(f, "base", bases[b]);
            put_float(f, "factor", b ? 4.0f : 1.0f);
            put_int(f, "n", 16);
            put_int(f, "position", positions[p]);
            put_floats(f, "cos_sin", cs, 16);
            input_values(r, INPUT_ORDINARY, v, 16);
            put_floats(f, "v", v, 16);
            ops->rope(v, cs, 8);
            put_floats(f, "rope", v, 16);
            end_case(f);
        }
}

enum { COLS = 288, ROWS = 3 };

struct quantized {
    struct acts acts;
    int8_t q[512];
    float d[2 * ACT_SCALES];
    int16_t sums[2 * ACT_RUNS];
};

static void quantized_of(const struct ops *ops, const float *x, struct quantized *out)
{
    out->acts = (struct acts){ .cols = COLS, .group = 32, .q = out->q, .d = out->d, .sums = out->sums };
    assert_true(ops->quantize(x, &out->acts, 0));
}

static void products(FILE *f, const struct ops *ops, struct rng *r)
{
    fprintf(f, "# NV1 3.2, 4.1, 4.2, 4.3, 9.1: x has %d values; Q8_0 rows as stored\n", COLS);
    for (int kind = 0; kind < INPUT_EXTREME; kind++) {
        struct quantized q;
        float x[COLS], w[COLS * ROWS], y[ROWS];
        uint8_t data[ROWS * COLS / 32 * 34], head[COLS + COLS / 32 * 4];
        _Alignas(OPS_ALIGN) uint8_t packed[16 * COLS / 32 * 34];
        input_values(r, (enum input_kind)kind, x, COLS);
        quantized_of(ops, x, &q);
        put_floats(f, "x", x, COLS);
        put_int8s(f, "q", q.q, COLS);
        put_floats(f, "d", q.d, COLS / 32);
        quant_write_head(TENSOR_Q8_0, COLS, x, &q.acts, 0, head);
        put_bytes(f, "head_bytes", head, sizeof head);
        rng_bytes(r, data, sizeof data);
        for (size_t b = 0; b < sizeof data / 34; b++)
            data[b * 34 + 1] &= b % 2 ? 0x3b : 0x83;       /* scales up to 1, and subnormal ones of both signs */
        struct matrix m = { .type = TENSOR_Q8_0, .rows = ROWS, .cols = COLS, .data = data };
        ENSURE(ops->packed_bytes(m.type, ROWS, COLS) <= sizeof packed);
        ops->pack(&m, 0, ROWS, packed);
        m.packed = packed;
        ops->matmul(&m, &q.acts, 1, 0, ROWS, y, ROWS);
        put_bytes(f, "q8_0_rows", data, sizeof data);
        put_floats(f, "y", y, ROWS);
        end_case(f);

        input_values(r, (enum input_kind)kind, w, COLS * ROWS);
        m = (struct matrix){ .type = TENSOR_F32, .rows = ROWS, .cols = COLS, .data = (const uint8_t *)w };
        ops->matmul_float(&m, x, 1, 0, ROWS, y, ROWS);
        put_floats(f, "x", x, COLS);
        put_floats(f, "f32_rows", w, COLS * ROWS);
        put_floats(f, "y", y, ROWS);
        end_case(f);
    }
}

static void norm_and_gate(FILE *f, const struct ops *ops, struct rng *r)
{
    fprintf(f, "# NV1 5.1, 5.2: eps is 1e-5 as fp32\n");
    for (int kind = 0; kind < INPUT_EXTREME; kind++) {
        float x[COLS], w[COLS], y[COLS];
        input_values(r, (enum input_kind)kind, x, COLS);
        input_values(r, INPUT_ORDINARY, w, COLS);
        put_floats(f, "x", x, COLS);
        put_floats(f, "w", w, COLS);
        assert_true(ops->rmsnorm(x, w, COLS, 1e-5f, y));
        put_floats(f, "rmsnorm", y, COLS);
        assert_true(ops->gate(x, w, COLS, y));
        put_floats(f, "gate", y, COLS);
        end_case(f);
    }
}

static void attention_tile(FILE *f, const struct ops *ops, struct rng *r)
{
    enum { D = 16 };
    static const uint32_t counts[] = { 1, 5, 64 };
    fprintf(f, "# NV1 3.3, 7.2-7.4: one tile of n positions, head dimension %d; q, keys and values: high limbs, then low, by position\n", D);
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        uint32_t n = counts[c];
        _Alignas(OPS_ALIGN) int8_t keys[LIMBS * TILE * D] = { 0 }, values[LIMBS * TILE * D] = { 0 };
        int8_t q[LIMBS * D], k[LIMBS * TILE * D], v[LIMBS * TILE * D];
        float query[D], dq, dk[TILE], dv[TILE], o[D];
        int32_t scores[LIMBS][TILE], sums[LIMBS * D];
        struct attn_tile tile;
        input_values(r, INPUT_ORDINARY, query, D);
        assert_true(ops->quantize_head(query, D, q, q + D, &dq));
        input_bytes(r, k, sizeof k);
        input_bytes(r, v, sizeof v);
        for (uint32_t j = 0; j < n; j++) {
            dk[j] = (float)rng_below(r, 1000) * 1e-3f;
            dv[j] = (float)rng_below(r, 1000) * 1e-3f;
            for (uint32_t i = 0; i < LIMBS * D; i++) {         /* a position's high limbs, then its low ones */
                uint32_t limb = i / D * TILE * D, dim = i % D;
                keys[limb + ((dim / 4) * TILE + j) * 4 + dim % 4] = k[j * LIMBS * D + i];
                values[limb + ((j / 2) * D + dim) * 2 + j % 2] = v[j * LIMBS * D + i];
            }
        }
        float cq = dq * 0.36067376022f;
        ops->attn_scores(q, 1, keys, D, &scores);
        assert_true(ops->attn_softmax(scores, cq, dk, dv, n, &tile));
        ops->attn_values(&tile, 1, values, D, sums);
        input_values(r, INPUT_ORDINARY, o, D);
        put_int(f, "n", n);
        put_floats(f, "query", query, D);
        put_int8s(f, "q", q, LIMBS * D);
        put_float(f, "dq", dq);
        put_float(f, "cq", cq);
        put_int8s(f, "keys", k, n * LIMBS * D);
        put_floats(f, "dk", dk, n);
        put_int8s(f, "values", v, n * LIMBS * D);
        put_floats(f, "dv", dv, n);
        put_ints(f, "H", scores[0], n);
        put_ints(f, "L", scores[1], n);
        put_float(f, "M", tile.max);
        put_float(f, "l", tile.l);
        put_float(f, "g", tile.g);
        fprintf(f, "u");
        for (uint32_t j = 0; j < n; j++)
            fprintf(f, " %d", tile.u[j]);
        fprintf(f, "\n");
        put_ints(f, "H_t", sums, D);
        put_ints(f, "L_t", sums + D, D);
        put_float(f, "a", 0.125f);
        put_float(f, "e", tile.g);
        put_floats(f, "O_before", o, D);
        ops->attn_fold(o, sums, 0.125f, tile.g, D);
        put_floats(f, "O_after", o, D);
        end_case(f);
    }
}

static void sampling(FILE *f, const struct ops *ops, struct rng *r)
{
    enum { VOCAB = 40 };
    _Alignas(8) uint8_t scratch[VOCAB * 8];
    (void)ops;
    fprintf(f, "# NV1 10\n");
    for (uint32_t i = 0; i < 24; i++) {
        float logits[VOCAB];
        uint32_t token;
        for (int k = 0; k < VOCAB; k++)
            logits[k] = (float)((int32_t)rng_below(r, 4001) - 2000) * 0x1p-9f;
        struct sampler_params p = { .temperature_micro = i % 6 == 0 ? 0 : 200000 * (i % 6), .top_k = i % 4 * 5,
                                    .top_p_micro = i % 3 ? 1000000 - i * 30000 : 1000000, .seed = rng_next(r) };
        uint32_t position = (uint32_t)rng_below(r, 1u << 20);
        assert_ok(sampler_pick(logits, VOCAB, &p, position, scratch, &token));
        put_int(f, "temperature_micro", p.temperature_micro);
        put_int(f, "top_k", p.top_k);
        put_int(f, "top_p_micro", p.top_p_micro);
        fprintf(f, "seed %016" PRIx64 "\n", p.seed);
        put_int(f, "position", position);
        put_floats(f, "logits", logits, VOCAB);
        put_int(f, "token", token);
        end_case(f);
    }
}

/* The whole pass over the random model of tests/tiny_llama.c: head bytes and tokens. */
static void forward(FILE *f, const struct ops *ops, struct rng *r)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct tiny_engine t;
    uint32_t tokens[70];
    tiny_model_open(&t, &spec);
    tiny_engine_open(&t, &(struct engine_options){ .backend = ops->name, .slots_max = 1 });
    for (uint32_t i = 0; i < ARRAY_COUNT(tokens); i++)
        tokens[i] = (uint32_t)rng_below(r, spec.vocab);
    struct engine_job job = { .tokens = tokens, .n = ARRAY_COUNT(tokens), .max_tokens = 12, .want_head_bytes = true,
                              .params = { .temperature_micro = 800000, .top_p_micro = 900000, .seed = 12345 } };
    fprintf(f, "# NV1 8, 9: TINY_LLAMA_DEFAULT, temperature 0.8, top_p 0.9, seed 12345\n");
    put_ints(f, "prompt", (const int32_t *)tokens, ARRAY_COUNT(tokens));
    assert_ok(engine_start(t.engine, &job));
    while (!engine_idle(t.engine)) {
        struct engine_output out[1];
        size_t n;
        assert_ok(engine_step(t.engine, out, 1, &n));
        if (n == 0)
            continue;
        put_int(f, "position", out[0].position);
        put_bytes(f, "head_bytes", out[0].head.data, out[0].head.len);
        put_int(f, "token", out[0].token);
    }
    end_case(f);
    tiny_engine_close(&t);
}

static const struct {
    const char *name;
    void (*write)(FILE *f, const struct ops *ops, struct rng *r);
} FILES[] = {
    { "elementary", elementary },       { "rotation", rotation },             { "products", products },
    { "norm_and_gate", norm_and_gate }, { "attention_tile", attention_tile }, { "sampling", sampling },
    { "forward", forward },
};

static void path_of(size_t i, char path[static 64])
{
    snprintf(path, 64, "tests/vectors/nv1/%s.txt", FILES[i].name);
}

static void write_file(FILE *f, size_t i, const struct ops *ops)
{
    struct rng r;
    rng_init(&r, 9000 + i);
    FILES[i].write(f, ops, &r);
}

static void every_backend_writes_the_files_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        char path[64];
        path_of(i, path);
        FILE *f = fopen(path, "rb");
        if (!f)
            fail_msg("%s is missing", path);
        char *kept = calloc(1, 1 << 20);
        assert_non_null(kept);
        size_t kept_len = fread(kept, 1, (1 << 20) - 1, f);
        fclose(f);
        for (size_t b = 0; backend_at(b); b++) {
            char *made;
            size_t made_len;
            FILE *m = open_memstream(&made, &made_len);
            assert_non_null(m);
            write_file(m, i, backend_at(b));
            fclose(m);
            if (made_len != kept_len || memcmp(made, kept, made_len) != 0)
                fail_msg("%s: backend %s differs", path, backend_at(b)->name);
            free(made);
        }
        free(kept);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--write") == 0) {
        for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
            char path[64];
            path_of(i, path);
            FILE *f = fopen(path, "wb");
            ENSURE(f);
            write_file(f, i, &ops_ref);
            fclose(f);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_backend_writes_the_files_again) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
