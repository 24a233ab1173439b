/* test_model.c - configuration and weights: a good model opens, each wrong one is refused by name. */
#define _POSIX_C_SOURCE 200809L   /* mkstemp */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/chat.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "tests/gguf_writer.h"

static void a_tiny_llama_opens(void **state)
{
    (void)state;
    const enum tensor_type types[] = { TENSOR_F32, TENSOR_F16, TENSOR_Q8_0 };
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct tiny_llama spec = TINY_LLAMA_DEFAULT;
        spec.type = spec.embd_type = types[i];
        spec.tied = i == 1;
        spec.rope_freqs = i == 2;
        struct bytes file = tiny_llama_write(&spec);
        struct gguf g;
        struct model m;
        struct fault why = { "" };
        assert_ok(gguf_open(file, false, &g, &why));
        if (model_open(&g, &m, &why) != OK)
            fail_msg("%s", why.text);
        gguf_close(&g);   /* the model borrows from the file, not from this */
        assert_int_equal(m.config.dim, 64);
        assert_int_equal(m.config.head_dim, 16);
        assert_int_equal(m.config.rope_dims, 16);
        assert_int_equal(m.config.tied, spec.tied);
        assert_string_equal(m.config.name, "tiny random llama");
        assert_int_equal(m.output.data == m.token_embd.data, spec.tied);
        assert_int_equal(m.rope_freqs.data != NULL, spec.rope_freqs);
        assert_int_equal(m.layers[1].ffn_down.extents[0], 160);
        assert_int_equal(m.layers[1].attn_k.extents[1], 32);
        assert_true(m.layers[1].ffn_down.data > file.data && m.layers[1].ffn_down.data < file.data + file.len);
        model_close(&m);
        gguf_writer_free(file);
    }
}

static void a_header_alone_gives_the_configuration(void **state)
{
    (void)state;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct bytes file = tiny_llama_write(&spec);
    struct gguf whole, g;
    struct model_config c;
    struct model m;
    struct fault why;
    assert_ok(gguf_open(file, false, &whole, &why));
    assert_ok(gguf_open(whole.header, true, &g, &why));
    assert_ok(model_open_header(&g, &c, &why));
    assert_int_equal(c.layers, 2);
    assert_int_equal(c.vocab, 384);
    assert_err(model_open(&g, &m, &why), ERR_ARG);
    gguf_close(&g);
    gguf_close(&whole);
    gguf_writer_free(file);
}

/* The metadata of a one-layer model, so that one key or tensor can be added or left out. */
static const struct tiny_llama small = { .layers = 1, .dim = 32, .heads = 2, .kv_heads = 1, .head_dim = 16, .ffn_dim = 32,
                                         .vocab = 40, .context = 64, .rope_base = 10000.0f, .rope_factor = 1.0f,
                                         .rms_eps = 1e-5f, .type = TENSOR_F32, .embd_type = TENSOR_F32 };

struct shape {
    const char *name;
    uint64_t in, out;   /* out 0: a vector */
};
static const struct shape shapes[] = {
    { "token_embd.weight", 32, 40 },        { "output_norm.weight", 32, 0 },      { "output.weight", 32, 40 },
    { "blk.0.attn_norm.weight", 32, 0 },    { "blk.0.attn_q.weight", 32, 32 },    { "blk.0.attn_k.weight", 32, 16 },
    { "blk.0.attn_v.weight", 32, 16 },      { "blk.0.attn_output.weight", 32, 32 }, { "blk.0.ffn_norm.weight", 32, 0 },
    { "blk.0.ffn_gate.weight", 32, 32 },    { "blk.0.ffn_up.weight", 32, 32 },    { "blk.0.ffn_down.weight", 32, 32 },
};

static void add_zeroes(struct gguf_writer *w, const char *name, enum tensor_type type, uint64_t in, uint64_t out)
{
    struct tensor t;
    assert_ok(tensor_init(&t, (uint32_t)type, out ? 2 : 1, (uint64_t[TENSOR_DIMS_MAX]){ in, out, 1, 1 }));
    gguf_writer_tensor(w, name, (uint32_t)type, t.n_dims, t.extents, NULL, (size_t)t.bytes);
}

/* All tensors but `leave_out` (NULL: all of them). */
static void add_tensors(struct gguf_writer *w, const char *leave_out)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        if (!leave_out || strcmp(shapes[i].name, leave_out) != 0)
            add_zeroes(w, shapes[i].name, TENSOR_F32, shapes[i].in, shapes[i].out);
}

static void assert_refused(struct gguf_writer *w, enum err code, const char *word)
{
    struct bytes file = gguf_writer_finish(w);
    struct gguf g;
    struct model m;
    struct fault why = { "" };
    if (gguf_open(file, false, &g, &why) != OK)
        fail_msg("the container itself was refused: %s", why.text);
    enum err e = model_open(&g, &m, &why);
    if (e == OK)
        model_close(&m);
    if (e != code || !strstr(why.text, word))
        fail_msg("got %s '%s', expected %s with '%s'", err_name(e), why.text, err_name(code), word);
    gguf_close(&g);
    gguf_writer_free(file);
}

static void missing_tensors_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        struct gguf_writer w;
        gguf_writer_init(&w);
        tiny_llama_metadata(&w, &small);
        add_tensors(&w, shapes[i].name);
        if (strcmp(shapes[i].name, "output.weight") != 0) {
            assert_refused(&w, ERR_FORMAT, shapes[i].name);
            continue;
        }
        struct bytes file = gguf_writer_finish(&w);   /* without an output head the embedding is used: tied */
        struct gguf g;
        struct model m;
        assert_ok(gguf_open(file, false, &g, NULL));
        assert_ok(model_open(&g, &m, NULL));
        assert_true(m.config.tied);
        model_close(&m);
        gguf_close(&g);
        gguf_writer_free(file);
    }
}

static void wrong_shapes_and_types_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        struct gguf_writer w;
        gguf_writer_init(&w);
        tiny_llama_metadata(&w, &small);
        add_tensors(&w, shapes[i].name);
        add_zeroes(&w, shapes[i].name, TENSOR_F32, shapes[i].in + 1, shapes[i].out);
        assert_refused(&w, ERR_FORMAT, shapes[i].name);
        gguf_writer_init(&w);
        tiny_llama_metadata(&w, &small);
        add_tensors(&w, shapes[i].name);
        add_zeroes(&w, shapes[i].name, shapes[i].out ? TENSOR_I8 : TENSOR_F16, shapes[i].in, shapes[i].out);
        assert_refused(&w, ERR_UNSUPPORTED, shapes[i].out ? "I8" : "must be F32");
    }
}

static void unknown_tensors_are_refused(void **state)
{
    (void)state;
    const char *const names[] = { "blk.0.attn_q.bias", "blk.0.attn_qkv.weight", "blk.0.ffn_gate_inp.weight",
                                  "blk.1.attn_q.weight", "blk.00.attn_q.weight", "blk.4294967296.attn_q.weight",
                                  "rope_factors_long.weight", "blk..attn_q.weight" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct gguf_writer w;
        gguf_writer_init(&w);
        tiny_llama_metadata(&w, &small);
        add_tensors(&w, NULL);
        add_zeroes(&w, names[i], TENSOR_F32, 32, 0);
        assert_refused(&w, ERR_UNSUPPORTED, names[i]);
    }
}

static void write_with(struct gguf_writer *w, const struct tiny_llama *spec)
{
    gguf_writer_init(w);
    tiny_llama_metadata(w, spec);
    add_tensors(w, NULL);
}

static void wrong_numbers_are_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    struct tiny_llama s = small;
    s.layers = 0;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "llama.block_count");
    s = small;
    s.layers = UINT32_MAX;
    write_with(&w, &s);
    assert_refused(&w, ERR_TOO_LARGE, "llama.block_count");
    s = small;
    s.heads = 3;
    s.kv_heads = 2;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "evenly");
    s = small;
    s.kv_heads = 0;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "head_count_kv");
    s = small;
    s.head_dim = 15;
    write_with(&w, &s);
    assert_refused(&w, ERR_UNSUPPORTED, "even");
    s = small;
    s.rope_dims = 18;
    write_with(&w, &s);
    assert_refused(&w, ERR_TOO_LARGE, "rope.dimension_count");
    s = small;
    s.rope_base = 0.0f;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "freq_base");
    s = small;
    s.rms_eps = 0.0f;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "epsilon");
    s = small;
    s.vocab = 41;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "contradictory");
    s = small;
    s.dim = 64;
    write_with(&w, &s);
    assert_refused(&w, ERR_FORMAT, "token_embd.weight");
}

static void features_that_change_the_arithmetic_are_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    write_with(&w, &small);
    gguf_writer_u32(&w, "llama.expert_count", 8);
    assert_refused(&w, ERR_UNSUPPORTED, "expert_count");
    write_with(&w, &small);
    gguf_writer_string(&w, "llama.rope.scaling.type", "yarn");
    assert_refused(&w, ERR_UNSUPPORTED, "'yarn'");
    write_with(&w, &small);
    gguf_writer_u32(&w, "llama.attention.sliding_window", 32);
    assert_refused(&w, ERR_UNSUPPORTED, "sliding");
    static const char *const floats[] = { "attention.scale", "attn_logit_softcapping", "final_logit_softcapping",
                                          "logit_scale", "residual_scale", "embedding_scale", "attention.clamp_kqv",
                                          "attention.max_alibi_bias" };   /* as the format's own writer spells them */
    for (size_t i = 0; i < ARRAY_COUNT(floats); i++) {
        char key[64];
        snprintf(key, sizeof key, "llama.%s", floats[i]);
        write_with(&w, &small);
        gguf_writer_f32(&w, key, 30.0f);
        assert_refused(&w, ERR_UNSUPPORTED, floats[i]);
    }
    write_with(&w, &small);
    gguf_writer_u32(&w, "split.count", 3);
    assert_refused(&w, ERR_UNSUPPORTED, "split");
    write_with(&w, &small);
    gguf_writer_u32(&w, "llama.attention.value_length", 8);
    assert_refused(&w, ERR_UNSUPPORTED, "keys of 16");
    gguf_writer_init(&w);
    gguf_writer_string(&w, "general.architecture", "qwen2");
    assert_refused(&w, ERR_UNSUPPORTED, "'qwen2'");
    gguf_writer_init(&w);
    assert_refused(&w, ERR_FORMAT, "general.architecture");
}

static void linear_rope_scaling_is_read(void **state)
{
    (void)state;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    spec.rope_factor = 4.0f;
    spec.rope_dims = 8;
    spec.rope_freqs = true;
    struct bytes file = tiny_llama_write(&spec);
    struct gguf g;
    struct model m;
    assert_ok(gguf_open(file, false, &g, NULL));
    assert_ok(model_open(&g, &m, NULL));
    assert_true(m.config.rope_factor == 4.0f);
    assert_int_equal(m.config.rope_dims, 8);
    assert_int_equal(m.rope_freqs.extents[0], 4);
    model_close(&m);
    gguf_close(&g);
    gguf_writer_free(file);
}

static void files_are_mapped_and_watched(void **state)
{
    (void)state;
    char path[] = "/tmp/tallymesh-test-model-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct modelfile f;
    struct fault why = { "" };
    assert_err(modelfile_open(path, &f, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "empty"));
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct bytes file = tiny_llama_write(&spec);
    assert_true(gguf_writer_save(file, path));
    assert_ok(modelfile_open(path, &f, &why));
    assert_true(bytes_equal(f.bytes, file));
    assert_true(modelfile_is_unchanged(&f, path));
    modelfile_close(&f);
    assert_ok(modelfile_open(path, &f, &why));
    assert_true(gguf_writer_save(bytes_of(file.data, file.len - 1), path));
    assert_false(modelfile_is_unchanged(&f, path));
    modelfile_close(&f);
    unlink(path);
    assert_err(modelfile_open(path, &f, &why), ERR_NOT_FOUND);
    assert_err(modelfile_open("/tmp", &f, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "not a regular file"));
    gguf_writer_free(file);
}

static void the_demo_model_opens(void **state)
{
    (void)state;
    struct modelfile f;
    struct gguf g;
    struct model m;
    struct tokenizer *t = NULL;
    struct chat c;
    struct fault why = { "" };
    enum err e = modelfile_open("testnet/model/tally-tales-q8_0.gguf", &f, &why);
    if (e == OK)
        e = gguf_open(f.bytes, false, &g, &why);
    if (e == OK)
        e = model_open(&g, &m, &why);
    if (e == OK)
        e = tokenizer_open(&g, &t, &why);
    if (e == OK)
        e = chat_open(&g, t, &c, &why);
    if (e != OK)
        fail_msg("%s", why.text);
    assert_true(f.bytes.len <= 8000000);
    assert_int_equal(m.config.dim % 256, 0);
    assert_int_equal(m.layers[0].ffn_down.type, TENSOR_Q8_0);
    assert_int_equal(tokenizer_vocab(t), m.config.vocab);
    assert_int_equal(c.family, CHAT_CHATML);
    assert_int_equal(c.default_system_len, 0);
    uint32_t ids[64];
    struct token_list list = { .ids = ids, .cap = ARRAY_COUNT(ids) };
    const struct chat_message question = { CHAT_USER, bytes_text("Tell me a story about a fox.") };
    assert_ok(chat_encode(&c, t, &question, 1, true, &list));
    uint32_t start;
    assert_true(tokenizer_find_control(t, bytes_text("<|im_start|>"), &start));
    assert_int_equal(ids[0], start);
    tokenizer_close(t);
    model_close(&m);
    gguf_close(&g);
    modelfile_close(&f);
}

static void halves_round_to_even(void **state)
{
    (void)state;
    assert_int_equal(gguf_writer_half(1.0f), 0x3c00);
    assert_int_equal(gguf_writer_half(-2.0f), 0xc000);
    assert_int_equal(gguf_writer_half(65504.0f), 0x7bff);
    assert_int_equal(gguf_writer_half(65520.0f), 0x7c00);
    assert_int_equal(gguf_writer_half(1.00048828125f), 0x3c00);    /* half way to the next: even */
    assert_int_equal(gguf_writer_half(1.00146484375f), 0x3c02);
    assert_int_equal(gguf_writer_half(5.9604644775390625e-8f), 1);
    assert_int_equal(gguf_writer_half(2.98023223876953125e-8f), 0);
    assert_int_equal(gguf_writer_half(6.103515625e-5f), 0x400);
    assert_int_equal(gguf_writer_half(6.097555160522461e-5f), 0x3ff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_llama_opens),
        cmocka_unit_test(a_header_alone_gives_the_configuration),
        cmocka_unit_test(missing_tensors_are_named),
        cmocka_unit_test(wrong_shapes_and_types_are_named),
        cmocka_unit_test(unknown_tensors_are_refused),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(features_that_change_the_arithmetic_are_refused),
        cmocka_unit_test(linear_rope_scaling_is_read),
        cmocka_unit_test(files_are_mapped_and_watched),
        cmocka_unit_test(the_demo_model_opens),
        cmocka_unit_test(halves_round_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
