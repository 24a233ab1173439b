/* model_config.c - what kind of llama is it? Every hyper-parameter is bounded here, every feature that would change the
 * arithmetic without our knowing is refused here.
 */
#include "kernels/model_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A required integer from lo to hi. A per-layer array is taken if all its elements are equal. */
static enum err read_u32(const struct gguf *g, const char *key, uint32_t lo, uint32_t hi, uint32_t *out, struct fault *why)
{
    const struct gguf_entry *e = gguf_find(g, key);
    if (!e)
        return fault_set(why, ERR_FORMAT, "the metadata key '%s' is missing", key);
    if (e->count == 0)
        return fault_set(why, ERR_FORMAT, "'%s' is an empty array", key);
    uint32_t value = 0;
    for (uint64_t i = 0; i < e->count; i++) {
        uint32_t element;
        enum err err = gguf_element_u32(e, i, &element);
        if (err != OK)
            return fault_set(why, ERR_FORMAT, "'%s' is not an integer in range", key);
        if (i > 0 && element != value)
            return fault_set(why, ERR_UNSUPPORTED, "'%s' differs between layers, which is not supported", key);
        value = element;
    }
    if (value < lo || value > hi)
        return fault_set(why, value > hi ? ERR_TOO_LARGE : ERR_FORMAT,
                         "'%s' is %" PRIu32 ", allowed are %" PRIu32 " to %" PRIu32, key, value, lo, hi);
    *out = value;
    return OK;
}

static enum err read_u32_or(const struct gguf *g, const char *key, uint32_t absent, uint32_t lo, uint32_t hi,
                            uint32_t *out, struct fault *why)
{
    if (gguf_find(g, key))
        return read_u32(g, key, lo, hi, out, why);
    *out = absent;
    return OK;
}

static enum err read_f32_or(const struct gguf *g, const char *key, float absent, float lo, float hi, float *out,
                            struct fault *why)
{
    float value = absent;
    enum err err = gguf_get_f32(g, key, &value);
    if (err != OK && err != ERR_NOT_FOUND)
        return fault_set(why, ERR_FORMAT, "'%s' is not a finite float", key);
    if (!(value >= lo && value <= hi))
        return fault_set(why, ERR_FORMAT, "'%s' is %g, allowed are %g to %g", key, (double)value, (double)lo, (double)hi);
    *out = value;
    return OK;
}

static enum err check_architecture(const struct gguf *g, struct fault *why)
{
    struct bytes arch;
    if (gguf_get_string(g, "general.architecture", &arch) != OK)
        return fault_set(why, ERR_FORMAT, "the metadata key 'general.architecture' is missing or no string");
    if (!bytes_equal(arch, bytes_text("llama")))
        return fault_set(why, ERR_UNSUPPORTED, "the architecture '%s' is not supported, only 'llama'",
                         fault_name(arch).text);
    uint32_t parts = 1;
    if (gguf_get_u32(g, "split.count", &parts) == OK && parts > 1)
        return fault_set(why, ERR_UNSUPPORTED, "the model is split into %" PRIu32 " files; join them into one first", parts);
    return OK;
}

/* Keys that change the arithmetic: a model that sets them would run, and answer nonsense. Absent or 0 is fine. */
static enum err check_features(const struct gguf *g, const struct model_config *c, struct fault *why)
{
    static const char *const integers[] = { "llama.expert_count" };
    static const char *const floats[] = { "llama.attention.scale", "llama.attn_logit_softcapping",
                                          "llama.final_logit_softcapping", "llama.logit_scale", "llama.residual_scale",
                                          "llama.embedding_scale", "llama.attention.clamp_kqv",
                                          "llama.attention.max_alibi_bias" };
    for (size_t i = 0; i < ARRAY_COUNT(integers); i++) {
        uint32_t value = 0;
        enum err e = gguf_get_u32(g, integers[i], &value);
        if (e != ERR_NOT_FOUND && (e != OK || value != 0))
            return fault_set(why, ERR_UNSUPPORTED, "'%s' is set, which is not supported", integers[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(floats); i++) {
        float value = 0;
        enum err e = gguf_get_f32(g, floats[i], &value);
        if (e != ERR_NOT_FOUND && (e != OK || value != 0))
            return fault_set(why, ERR_UNSUPPORTED, "'%s' is set, which is not supported", floats[i]);
    }
    bool causal = true;
    if (gguf_get_bool(g, "llama.attention.causal", &causal) == OK && !causal)
        return fault_set(why, ERR_UNSUPPORTED, "the model's attention is not causal, so it cannot generate text");
    uint32_t window = 0;
    enum err e = gguf_get_u32(g, "llama.attention.sliding_window", &window);
    if (e != ERR_NOT_FOUND && (e != OK || (window != 0 && window < c->context)))
        return fault_set(why, ERR_UNSUPPORTED, "a sliding attention window shorter than the context is not supported");
    return OK;
}

static enum err read_heads(const struct gguf *g, struct model_config *c, struct fault *why)
{
    enum err e = read_u32(g, "llama.attention.head_count", 1, MODEL_HEADS_MAX, &c->heads, why);
    if (e == OK)
        e = read_u32_or(g, "llama.attention.head_count_kv", c->heads, 1, MODEL_HEADS_MAX, &c->kv_heads, why);
    if (e != OK)
        return e;
    if (c->heads % c->kv_heads != 0)
        return fault_set(why, ERR_FORMAT, "%" PRIu32 " query heads cannot share %" PRIu32 " key/value heads evenly",
                         c->heads, c->kv_heads);
    uint32_t key_len, value_len;
    e = read_u32_or(g, "llama.attention.key_length", c->dim / c->heads, 2, MODEL_HEAD_DIM_MAX, &key_len, why);
    if (e == OK)
        e = read_u32_or(g, "llama.attention.value_length", key_len, 2, MODEL_HEAD_DIM_MAX, &value_len, why);
    if (e != OK)
        return e;
    if (key_len != value_len)
        return fault_set(why, ERR_UNSUPPORTED, "keys of %" PRIu32 " values with values of %" PRIu32 " are not supported",
                         key_len, value_len);
    if (key_len < 2 || key_len % 2 != 0 || key_len > MODEL_HEAD_DIM_MAX)
        return fault_set(why, ERR_UNSUPPORTED, "a head of %" PRIu32 " values is not supported: it must be even, 2 to %d",
                         key_len, MODEL_HEAD_DIM_MAX);
    c->head_dim = key_len;
    return OK;
}

static enum err read_rope(const struct gguf *g, struct model_config *c, struct fault *why)
{
    enum err e = read_u32_or(g, "llama.rope.dimension_count", c->head_dim, 2, c->head_dim, &c->rope_dims, why);
    if (e == OK && c->rope_dims % 2 != 0)
        e = fault_set(why, ERR_FORMAT, "'llama.rope.dimension_count' is odd");
    if (e == OK)
        e = read_f32_or(g, "llama.rope.freq_base", 10000.0f, 1.0f, 1e12f, &c->rope_base, why);
    if (e != OK)
        return e;
    struct bytes type = bytes_text("linear");   /* older writers give a factor without a type and mean linear */
    if (gguf_get_string(g, "llama.rope.scaling.type", &type) == ERR_TYPE)
        return fault_set(why, ERR_FORMAT, "'llama.rope.scaling.type' is not a string");
    c->rope_factor = 1.0f;
    if (bytes_equal(type, bytes_text("none")))
        return OK;
    if (!bytes_equal(type, bytes_text("linear")))
        return fault_set(why, ERR_UNSUPPORTED, "the rope scaling type '%s' is not supported, only none and linear",
                         fault_name(type).text);
    const char *key = gguf_find(g, "llama.rope.scaling.factor") ? "llama.rope.scaling.factor" : "llama.rope.scale_linear";
    return read_f32_or(g, key, 1.0f, 1.0f, 1e6f, &c->rope_factor, why);
}

/* The vocabulary is what token_embd has rows for; whoever else states its size must agree. */
static enum err read_vocab(const struct gguf *g, struct model_config *c, struct fault *why)
{
    const struct gguf_tensor *embd = gguf_find_tensor(g, "token_embd.weight");
    if (!embd)
        return fault_set(why, ERR_FORMAT, "the tensor 'token_embd.weight' is missing");
    uint64_t rows = tensor_rows(&embd->tensor);
    if (rows > MODEL_VOCAB_MAX)
        return fault_set(why, ERR_TOO_LARGE, "token_embd has %" PRIu64 " rows, more than %d", rows, MODEL_VOCAB_MAX);
    c->vocab = (uint32_t)rows;
    uint32_t stated;
    enum err e = read_u32_or(g, "llama.vocab_size", c->vocab, 1, MODEL_VOCAB_MAX, &stated, why);
    if (e != OK)
        return e;
    const struct gguf_entry *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    uint64_t listed = tokens ? tokens->count : c->vocab;
    if (stated != c->vocab || listed != c->vocab)
        return fault_set(why, ERR_FORMAT, "the vocabulary's size is contradictory: token_embd has %" PRIu32
                         " rows, 'llama.vocab_size' says %" PRIu32 ", %" PRIu64 " tokens are listed",
                         c->vocab, stated, listed);
    return OK;
}

enum err model_config_read(const struct gguf *g, struct model_config *out, struct fault *why)
{
    struct model_config c = { .name = "" };
    struct bytes name = bytes_text("");
    enum err e = check_architecture(g, why);
    if (e == OK && gguf_get_string(g, "general.name", &name) == OK)
        (void)snprintf(c.name, sizeof c.name, "%s", fault_name(name).text);
    if (e == OK)
        e = read_u32(g, "llama.block_count", 1, MODEL_LAYERS_MAX, &c.layers, why);
    if (e == OK)
        e = read_u32(g, "llama.embedding_length", 2, MODEL_DIM_MAX, &c.dim, why);
    if (e == OK)
        e = read_u32(g, "llama.feed_forward_length", 1, MODEL_FFN_DIM_MAX, &c.ffn_dim, why);
    if (e == OK)
        e = read_u32(g, "llama.context_length", 1, MODEL_CONTEXT_MAX, &c.context, why);
    if (e == OK)
        e = read_heads(g, &c, why);
    if (e == OK)
        e = read_rope(g, &c, why);
    if (e == OK && !gguf_find(g, "llama.attention.layer_norm_rms_epsilon"))
        e = fault_set(why, ERR_FORMAT, "the metadata key 'llama.attention.layer_norm_rms_epsilon' is missing");
    if (e == OK)
        e = read_f32_or(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f, 1e-12f, 0.5f, &c.rms_eps, why);
    if (e == OK)
        e = check_features(g, &c, why);
    if (e == OK)
        e = read_vocab(g, &c, why);
    if (e == OK)
        *out = c;
    return e;
}
