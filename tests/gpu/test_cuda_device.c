/* test_cuda_device.c - a whole GPU device on the emulated machine: its own host code, graphs and copies included,
 * gives the tokens and head bytes of the scalar device. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device_cuda.h"
#include "kernels/model.h"
#include "kernels/quant.h"
#include "tests/gguf_writer.h"
#include "tests/gpu/emu.h"
#include "tests/gpu/emu_runtime.h"

enum { ROWS_MAX = 80, SLOTS = 10, PICKS_MAX = ROWS_MAX };

static const struct device_shape SHAPE = { .rows_max = ROWS_MAX, .slots = SLOTS, .pages = 24, .pages_per_slot = 3 };

struct pair {
    struct bytes file;
    struct model model;
    struct device *gpu, *cpu;
    uint32_t length[SLOTS];              /* positions that a slot holds */
    struct rng rng;
};

static void model_open_tiny(struct pair *p, const struct tiny_llama *spec)
{
    struct gguf g;
    struct fault why = { "" };
    *p = (struct pair){ .file = tiny_llama_write(spec) };
    assert_ok(gguf_open(p->file, false, &g, &why));
    assert_ok(model_open(&g, &p->model, &why));
    gguf_close(&g);
    rng_init(&p->rng, spec->seed);
}

static void model_close_tiny(struct pair *p)
{
    model_close(&p->model);
    gguf_writer_free(p->file);
}

static void pair_open(struct pair *p, const struct tiny_llama *spec)
{
    struct fault why = { "" };
    model_open_tiny(p, spec);
    if (device_cuda_open(&p->model, "cuda", 2, &SHAPE, &p->gpu, &why) != OK)
        fail_msg("%s", why.text);
    assert_ok(device_open(&p->model, "scalar", 1, &SHAPE, &p->cpu, &why));
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint32_t positions = slot < 6 ? 2 * 256 + 40 : 200;
        assert_ok(device_reserve(p->gpu, slot, positions));
        assert_ok(device_reserve(p->cpu, slot, positions));
    }
}

static void pair_close(struct pair *p)
{
    const char *first;
    device_close(p->cpu);
    device_close(p->gpu);
    model_close_tiny(p);
    assert_int_equal(emu_runtime_held(), 0);
    if (emu_take_faults(&first) != 0)
        fail_msg("%s", first);
}

/* Adds `count` rows of a slot to a batch. */
static uint32_t add_rows(struct pair *p, struct row *rows, uint32_t n, uint32_t slot, uint32_t count, bool want_all)
{
    for (uint32_t i = 0; i < count; i++)
        rows[n + i] = (struct row){ .slot = slot, .position = p->length[slot]++,
                                    .token = (uint32_t)rng_below(&p->rng, p->model.config.vocab),
                                    .want = want_all || i + 1 == count };
    return n + count;
}

static void ask(struct pair *p, const struct row *rows, uint32_t n, struct device *d, struct pick *picks,
                const struct sampler_params *params, uint8_t *heads, size_t head_bytes)
{
    uint32_t wanted = 0;
    (void)p;
    assert_ok(device_forward(d, rows, n));
    for (uint32_t i = 0; i < n; i++) {
        assert_false(device_row_failed(d, i));
        if (!rows[i].want)
            continue;
        picks[wanted] = (struct pick){ .wanted = wanted, .position = rows[i].position + 1,
                                       .params = &params[wanted % 3] };
        device_head_bytes(d, wanted, heads + wanted * head_bytes);
        wanted++;
    }
    assert_ok(device_pick(d, picks, wanted));
}

static void compare(struct pair *p, const struct row *rows, uint32_t n)
{
    const struct sampler_params params[3] = { { .top_p_micro = 1000000 },
                                              { .temperature_micro = 900000, .top_p_micro = 1000000, .seed = 5 },
                                              { .temperature_micro = 1500000, .top_k = 30, .top_p_micro = 800000,
                                                .seed = 6 } };
    const struct tensor *head = p->model.config.tied ? &p->model.token_embd : &p->model.output;
    size_t bytes = quant_head_bytes(head->type, p->model.config.dim);
    uint8_t *got = malloc(ROWS_MAX * bytes), *right = malloc(ROWS_MAX * bytes);
    struct pick mine[PICKS_MAX], law[PICKS_MAX];
    uint32_t wanted = 0;
    ask(p, rows, n, p->gpu, mine, params, got, bytes);
    ask(p, rows, n, p->cpu, law, params, right, bytes);
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].want) {
            if (memcmp(got + wanted * bytes, right + wanted * bytes, bytes) != 0)
                fail_msg("head bytes of row %u of %u, slot %u, position %u", i, n, rows[i].slot, rows[i].position);
            assert_int_equal(mine[wanted].error, OK);
            assert_int_equal(mine[wanted].token, law[wanted].token);
            wanted++;
        }
    free(right);
    free(got);
}

/* Prompts of several slots in one pass, then answers in passes of few rows, then all at once again. */
static void talk(struct pair *p, uint32_t prompt, uint32_t answers)
{
    struct row rows[ROWS_MAX];
    uint32_t n = add_rows(p, rows, 0, 0, prompt, false);
    n = add_rows(p, rows, n, 3, 5, true);
    n = add_rows(p, rows, n, 7, 1, false);
    compare(p, rows, n);
    for (uint32_t round = 0; round < answers; round++) {
        n = 0;
        for (uint32_t slot = 0; slot < 1 + round % 3; slot++)
            n = add_rows(p, rows, n, (uint32_t[]){ 0, 3, 7 }[slot], 1, true);
        (void)emu_runtime_counts();
        compare(p, rows, n);
        assert_int_equal(emu_runtime_counts().graphs, 1);
    }
    n = add_rows(p, rows, 0, 3, 2, false);
    n = add_rows(p, rows, n, 0, 9, false);
    (void)emu_runtime_counts();
    compare(p, rows, n);
    assert_int_equal(emu_runtime_counts().graphs, 0);
}

/* Vectors that matrices of both groupings read, or of one and floats; seven matrices per layer, so layers differ. */
static const enum tensor_type MIX[] = { TENSOR_Q4_K, TENSOR_Q5_0, TENSOR_F16, TENSOR_MXFP4, TENSOR_Q6_K };

static const struct tiny_llama SHAPES[] = {
    { .layers = 2, .dim = 96, .heads = 6, .kv_heads = 2, .head_dim = 16, .ffn_dim = 288, .vocab = 71, .context = 640,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0,
      .tied = true, .seed = 21 },
    { .layers = 1, .dim = 128, .heads = 2, .kv_heads = 2, .head_dim = 64, .ffn_dim = 160, .vocab = 97, .context = 640,
      .rope_base = 500000.0f, .rope_factor = 2.0f, .rms_eps = 1e-6f, .type = TENSOR_Q8_0, .embd_type = TENSOR_F16,
      .rope_freqs = true, .seed = 22 },
    { .layers = 1, .dim = 50, .heads = 2, .kv_heads = 1, .head_dim = 26, .ffn_dim = 70, .vocab = 33, .context = 640,
      .rope_dims = 10, .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_F16,
      .embd_type = TENSOR_F16, .seed = 23 },
    { .layers = 2, .dim = 256, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn_dim = 256, .vocab = 50, .context = 640,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .mix = MIX, .n_mix = ARRAY_COUNT(MIX),
      .embd_type = TENSOR_Q6_K, .seed = 25 },
    { .layers = 1, .dim = 72, .heads = 3, .kv_heads = 1, .head_dim = 80, .ffn_dim = 260, .vocab = 61, .context = 640,
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_F32, .embd_type = TENSOR_F32,
      .seed = 24 },
};

static void the_gpu_says_what_the_law_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(SHAPES); i++) {
        struct pair p;
        pair_open(&p, &SHAPES[i]);
        assert_string_equal(device_name(p.gpu), "cuda:0");
        emu_set_seed(i);
        talk(&p, 9, 3);
        emu_set_seed(0);
        pair_close(&p);
    }
}

/* Positions beyond the first chunk, and beyond the chunks that the first graph was made for. */
static void a_long_answer_crosses_chunks(void **state)
{
    static const struct tiny_llama spec = { .layers = 1, .dim = 32, .heads = 2, .kv_heads = 1, .head_dim = 16,
                                            .ffn_dim = 32,
                                            .vocab = 40, .context = 640, .rope_base = 10000.0f, .rope_factor = 1.0f,
                                            .rms_eps = 1e-5f, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0,
                                            .seed = 30 };
    (void)state;
    struct pair p;
    struct row rows[ROWS_MAX];
    pair_open(&p, &spec);
    while (p.length[1] < 250)
        compare(&p, rows, add_rows(&p, rows, 0, 1, p.length[1] < 200 ? 40 : 10, false));
    for (uint32_t i = 0; i < 9; i++)
        compare(&p, rows, add_rows(&p, rows, add_rows(&p, rows, 0, 2, 1, true), 1, 1, true));
    compare(&p, rows, add_rows(&p, rows, 0, 1, 70, true));      /* more than one reading of the head answers */
    pair_close(&p);
}

/* --- rows that fail (NV1 11) -------------------------------------------------------------------------------------- */

static const struct tiny_llama FLOATS = { .layers = 1, .dim = 40, .heads = 2, .kv_heads = 1, .head_dim = 20,
                                          .ffn_dim = 48,
                                          .vocab = 40, .context = 640, .rope_base = 10000.0f, .rope_factor = 1.0f,
                                          .rms_eps = 1e-5f, .type = TENSOR_F32, .embd_type = TENSOR_F32, .seed = 32 };

/* The model's file is the test's own memory. */
static void poke(const struct tensor *t, uint32_t row, float x)
{
    memcpy((uint8_t *)(uintptr_t)t->data + row * tensor_row_bytes(t), &x, sizeof x);
}

static void a_row_fails_alone(void **state)
{
    (void)state;
    struct pair p;
    struct row rows[] = { { .slot = 0, .token = 1, .want = true }, { .slot = 1, .token = 5, .want = true },
                          { .slot = 1, .position = 1, .token = 2, .want = true },
                          { .slot = 2, .token = 3, .want = true } };
    uint8_t got[40 * 4], right[40 * 4];
    pair_open(&p, &FLOATS);
    poke(&p.model.token_embd, 5, NAN);
    for (uint32_t n = 3; n <= ARRAY_COUNT(rows); n++) {
        assert_ok(device_forward(p.gpu, rows, n));
        assert_ok(device_forward(p.cpu, rows, n));
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(device_row_failed(p.cpu, i), i == 1);
            assert_int_equal(device_row_failed(p.gpu, i), i == 1);
            device_head_bytes(p.gpu, i, got);
            device_head_bytes(p.cpu, i, right);
            if (rows[i].slot != 1)
                assert_memory_equal(got, right, sizeof got);
        }
    }
    pair_close(&p);
}

static void logits_that_are_no_numbers_are_an_error_of_the_pick(void **state)
{
    (void)state;
    struct pair p;
    struct fault why = { "" };
    struct row row = { .token = 1, .want = true };
    const struct sampler_params params[2] = { { .top_p_micro = 1000000 },
                                              { .temperature_micro = 1000000, .top_k = 3, .top_p_micro = 500000 } };
    model_open_tiny(&p, &FLOATS);
    poke(&p.model.output, 7, INFINITY);
    assert_ok(device_cuda_open(&p.model, "cuda", 1, &SHAPE, &p.gpu, &why));
    assert_ok(device_open(&p.model, "scalar", 1, &SHAPE, &p.cpu, &why));
    assert_ok(device_reserve(p.gpu, 0, 1));
    assert_ok(device_reserve(p.cpu, 0, 1));
    assert_ok(device_forward(p.gpu, &row, 1));
    assert_ok(device_forward(p.cpu, &row, 1));
    for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
        struct pick mine = { .position = 1, .params = &params[i] }, law = mine;
        assert_ok(device_pick(p.gpu, &mine, 1));
        assert_ok(device_pick(p.cpu, &law, 1));
        assert_int_equal(law.error, ERR_NUMERIC);
        assert_int_equal(mine.error, ERR_NUMERIC);
    }
    pair_close(&p);
}

/* --- the file's pages --------------------------------------------------------------------------------------------- */

static uint64_t released;
static const uint8_t *embedding;

static void count_release(const void *stored, size_t bytes)
{
    assert_ptr_not_equal(stored, embedding);
    released += bytes;
}

/* Every matrix is given back once, but for the embedding, rows of which are read again. */
static void stored_weights_are_given_back(void **state)
{
    (void)state;
    for (uint32_t tied = 0; tied < 2; tied++) {
        struct tiny_llama spec = FLOATS;
        struct pair p;
        uint64_t matrices = 0;
        spec.tied = tied;
        model_open_tiny(&p, &spec);
        const struct model_layer *l = &p.model.layers[0];
        const struct tensor *all[] = { &l->attn_q, &l->attn_k, &l->attn_v, &l->attn_output, &l->ffn_gate, &l->ffn_up,
                                       &l->ffn_down };
        for (size_t i = 0; i < ARRAY_COUNT(all); i++)
            matrices += all[i]->bytes;
        matrices += tied ? 0 : p.model.output.bytes;
        p.model.release = count_release;
        embedding = p.model.token_embd.data;
        released = 0;
        assert_ok(device_cuda_open(&p.model, "cuda", 1, &SHAPE, &p.gpu, NULL));
        assert_true(released == matrices);
        pair_close(&p);
    }
}

#if !defined(TM_ON_SILICON)              /* a real GPU neither goes away nor shrinks on request */
/* The cache may have taken the last of it: then passes are launched one by one. */
static void a_device_without_memory_for_graphs_answers_all_the_same(void **state)
{
    (void)state;
    struct pair p;
    struct row rows[ROWS_MAX];
    pair_open(&p, &FLOATS);
    emu_runtime_memory(0);
    (void)emu_runtime_counts();
    for (uint32_t i = 0; i < 3; i++)
        compare(&p, rows, add_rows(&p, rows, 0, 1, 1, true));
    assert_true(emu_runtime_counts().graphs == 0);
    emu_runtime_memory((size_t)1 << 40);
    compare(&p, rows, add_rows(&p, rows, 0, 1, 1, true));
    assert_true(emu_runtime_counts().graphs == 1);
    pair_close(&p);
}

static void names_and_memory(void **state)
{
    static const char *const nowhere[] = { "cuda:2", "cuda:", "cuda:x", "cuda:1x", "cudax", "avx2",
                                           "cuda:99999999999" };
    (void)state;
    struct pair p;
    struct device *d = NULL;
    struct fault why = { "" };
    model_open_tiny(&p, &SHAPES[0]);
    for (size_t i = 0; i < ARRAY_COUNT(nowhere); i++) {
        assert_int_equal(device_cuda_open(&p.model, nowhere[i], 1, &SHAPE, &d, &why), ERR_NOT_FOUND);
        assert_int_equal(device_cuda_reserves(&p.model, nowhere[i], &SHAPE), 0);
        assert_false(device_cuda_is_here(nowhere[i]));
    }
    assert_int_equal(device_cuda_open(&p.model, NULL, 1, &SHAPE, &d, NULL), ERR_NOT_FOUND);
    assert_true(device_cuda_reserves(&p.model, "cuda:1", &SHAPE) > 0);
    assert_true(device_cuda_is_here("cuda") && device_cuda_is_here("cuda:1"));
    assert_true(device_is_here("scalar") && !device_is_here("abacus"));
    emu_runtime_devices(0);
    assert_int_equal(device_cuda_open(&p.model, "cuda", 1, &SHAPE, &d, &why), ERR_NOT_FOUND);
    emu_runtime_devices(2);
    emu_runtime_memory(300000);
    assert_int_equal(device_cuda_open(&p.model, "cuda", 1, &SHAPE, &d, &why), ERR_MEMORY);
    assert_non_null(strstr(why.text, "bytes wanted"));
    assert_int_equal(emu_runtime_held(), 0);
    emu_runtime_memory((size_t)1 << 40);
    assert_ok(device_cuda_open(&p.model, "cuda:1", 1, &SHAPE, &d, &why));
    assert_string_equal(device_name(d), "cuda:1");
    assert_ok(device_self_test(d));
    assert_int_equal(device_reserve(d, 0, 4 * 256), ERR_CONTEXT);
    device_close(d);
    model_close_tiny(&p);
    assert_int_equal(emu_runtime_held(), 0);
}

static uint64_t launches_of_a_token(uint32_t layers)
{
    const struct tiny_llama spec = { .layers = layers, .dim = 64, .heads = 2, .kv_heads = 1, .head_dim = 32,
                                     .ffn_dim = 64, .vocab = 40, .context = 640, .rope_base = 10000.0f,
                                     .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_Q8_0,
                                     .embd_type = TENSOR_Q8_0, .seed = 33 };
    const struct row row = { .slot = 0, .token = 1, .want = true };
    struct pair p;
    pair_open(&p, &spec);
    uint64_t before = emu_launches();
    assert_ok(device_forward(p.gpu, &row, 1));
    uint64_t launches = emu_launches() - before;
    pair_close(&p);
    return launches;
}

/* Each costs a token some time, whatever it does: docs/kernels.md counts them. */
static void a_token_has_few_launches_per_layer(void **state)
{
    (void)state;
    uint64_t one = launches_of_a_token(1);
    assert_int_equal(launches_of_a_token(3) - one, 2 * 10);
    assert_int_equal(one, 2 + 10);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gpu_says_what_the_law_says),
        cmocka_unit_test(a_long_answer_crosses_chunks),
        cmocka_unit_test(a_row_fails_alone),
        cmocka_unit_test(logits_that_are_no_numbers_are_an_error_of_the_pick),
        cmocka_unit_test(stored_weights_are_given_back),
#if !defined(TM_ON_SILICON)
        cmocka_unit_test(a_device_without_memory_for_graphs_answers_all_the_same),
        cmocka_unit_test(names_and_memory),
        cmocka_unit_test(a_token_has_few_launches_per_layer),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
