/* tiny_llama.c - random llama models for tests (tests/gguf_writer.h). Integer arithmetic decides every stored bit, so a
 * spec gives the same file everywhere.
 */
#include "tests/gguf_writer.h"

#include "kernels/blocks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint16_t gguf_writer_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest >= 0x7f800000u)                       /* infinity, NaN */
        return (uint16_t)(sign | 0x7c00u | (rest > 0x7f800000u ? 0x200u : 0));
    if (rest >= 0x477ff000u)                       /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    uint32_t mantissa, shift;
    if (rest < 0x38800000u) {                      /* subnormal half: unit 2^-24 */
        if (rest < 0x33000000u)
            return (uint16_t)sign;
        shift = 126u - (rest >> 23);
        mantissa = (rest & 0x7fffffu) | 0x800000u;
    } else {
        shift = 13;
        mantissa = rest - 0x38000000u;
    }
    uint32_t half = mantissa >> shift, cut = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
    half += cut > middle || (cut == middle && (half & 1));
    return (uint16_t)(sign | half);
}

/* -1 to 1, a multiple of 2^-20: exact in float whatever the compiler. */
static float uniform(struct rng *r) { return (float)((int32_t)rng_below(r, (2u << 20) + 1) - (1 << 20)) / 1048576.0f; }

static void fill_f32(uint8_t *out, size_t count, float scale, struct rng *r)
{
    for (size_t i = 0; i < count; i++) {
        float v = uniform(r) * scale;
        memcpy(out + 4 * i, &v, 4);
    }
}

static void fill_f16(uint8_t *out, size_t count, float scale, struct rng *r)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t h = gguf_writer_half(uniform(r) * scale);
        memcpy(out + 2 * i, &h, 2);
    }
}

static void fill_q8_0(uint8_t *out, size_t blocks, float scale, struct rng *r)
{
    for (size_t b = 0; b < blocks; b++, out += 34) {
        uint16_t d = gguf_writer_half(scale / 127.0f * (0.5f + 0.5f * fabsf(uniform(r))));
        memcpy(out, &d, 2);
        for (size_t i = 0; i < 32; i++)
            out[2 + i] = (uint8_t)(int8_t)((int)rng_below(r, 255) - 127);
    }
}

static void fill_bf16(uint8_t *out, size_t count, float scale, struct rng *r)
{
    for (size_t i = 0; i < count; i++) {
        float v = uniform(r) * scale;
        memcpy(out + 2 * i, (uint8_t *)&v + 2, 2);
    }
}

/* Any quantised type: random codes and integer scales, and a d that brings the values to about `scale`; m takes the mean
 * of the codes away again. */
static void fill_blocks(uint8_t *out, const struct block_format *f, size_t blocks, float scale, struct rng *r)
{
    float reach = f->type == TENSOR_IQ4_NL || f->type == TENSOR_IQ4_XS ? 127.0f : (float)(1u << (f->bits - 1));
    float middle = (float)((1u << f->bits) - 1) / 2.0f;
    float scales = f->type == TENSOR_Q6_K ? 128.0f : f->type == TENSOR_Q2_K ? 15.0f : f->has_min ? 63.0f : 32.0f;
    if (!f->has_scale)
        scales = 1.0f;
    for (size_t b = 0; b < blocks; b++, out += f->bytes) {
        float d = 2.0f * scale / (reach * scales) * (0.5f + 0.5f * fabsf(uniform(r)));
        uint16_t half = gguf_writer_half(d), min = gguf_writer_half(d * middle * (f->has_scale ? 1.0f : -1.0f));
        rng_bytes(r, out, f->bytes);
        if (f->type == TENSOR_MXFP4) {
            out[0] = (uint8_t)(124 + ilogbf(scale) + (int)rng_below(r, 2));
            continue;
        }
        memcpy(out + f->half_at, &half, 2);
        if (f->has_min)
            memcpy(out + f->half_at + 2, &min, 2);
    }
}

static void add_matrix(struct gguf_writer *w, const char *name, enum tensor_type type, uint64_t in, uint64_t out,
                       struct rng *r)
{
    struct tensor t;
    ENSURE(tensor_init(&t, (uint32_t)type, 2, (uint64_t[TENSOR_DIMS_MAX]){ in, out, 1, 1 }) == OK);
    uint8_t *data = malloc((size_t)t.bytes);
    ENSURE(data != NULL);
    const float scale = sqrtf(3.0f / (float)in);   /* keeps the variance of activations near 1 */
    if (type == TENSOR_F32)
        fill_f32(data, (size_t)(in * out), scale, r);
    else if (type == TENSOR_F16)
        fill_f16(data, (size_t)(in * out), scale, r);
    else if (type == TENSOR_BF16)
        fill_bf16(data, (size_t)(in * out), scale, r);
    else if (type != TENSOR_Q8_0)
        fill_blocks(data, block_format(type), (size_t)t.bytes / block_format(type)->bytes, scale, r);
    else
        fill_q8_0(data, (size_t)(in * out / 32), scale, r);
    gguf_writer_tensor(w, name, (uint32_t)type, 2, t.extents, data, (size_t)t.bytes);
    free(data);
}

/* F32 values from lo to hi. */
static void add_vector(struct gguf_writer *w, const char *name, uint64_t len, float lo, float hi, struct rng *r)
{
    float *values = malloc((size_t)len * sizeof *values);
    ENSURE(values != NULL);
    for (uint64_t i = 0; i < len; i++)
        values[i] = lo + (hi - lo) * (0.5f + 0.5f * uniform(r));
    gguf_writer_tensor(w, name, TENSOR_F32, 1, &len, values, (size_t)len * sizeof *values);
    free(values);
}

static void add_layer(struct gguf_writer *w, const struct tiny_llama *s, uint32_t layer, struct rng *r)
{
    const uint64_t q_dim = (uint64_t)s->heads * s->head_dim, kv_dim = (uint64_t)s->kv_heads * s->head_dim;
    const struct {
        const char *suffix;
        uint64_t in, out;   /* out 0: a norm */
    } parts[] = { { "attn_norm", s->dim, 0 },     { "attn_q", s->dim, q_dim },         { "attn_k", s->dim, kv_dim },
                  { "attn_v", s->dim, kv_dim },   { "attn_output", q_dim, s->dim },    { "ffn_norm", s->dim, 0 },
                  { "ffn_gate", s->dim, s->ffn_dim }, { "ffn_up", s->dim, s->ffn_dim }, { "ffn_down", s->ffn_dim, s->dim } };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "blk.%u.%s.weight", layer, parts[i].suffix);
        enum tensor_type type = s->mix ? s->mix[(layer * ARRAY_COUNT(parts) + i) % s->n_mix] : s->type;
        if (parts[i].out)
            add_matrix(w, name, type, parts[i].in, parts[i].out, r);
        else
            add_vector(w, name, parts[i].in, 0.5f, 1.5f, r);
    }
}

void tiny_llama_metadata(struct gguf_writer *w, const struct tiny_llama *s)
{
    gguf_writer_string(w, "general.architecture", "llama");
    gguf_writer_string(w, "general.name", "tiny random llama");
    gguf_writer_u32(w, "llama.block_count", s->layers);
    gguf_writer_u32(w, "llama.embedding_length", s->dim);
    gguf_writer_u32(w, "llama.feed_forward_length", s->ffn_dim);
    gguf_writer_u32(w, "llama.context_length", s->context);
    gguf_writer_u32(w, "llama.attention.head_count", s->heads);
    gguf_writer_u32(w, "llama.attention.head_count_kv", s->kv_heads);
    if (s->head_dim * s->heads != s->dim) {
        gguf_writer_u32(w, "llama.attention.key_length", s->head_dim);
        gguf_writer_u32(w, "llama.attention.value_length", s->head_dim);
    }
    gguf_writer_f32(w, "llama.attention.layer_norm_rms_epsilon", s->rms_eps);
    gguf_writer_f32(w, "llama.rope.freq_base", s->rope_base);
    if (s->rope_dims)
        gguf_writer_u32(w, "llama.rope.dimension_count", s->rope_dims);
    if (s->rope_factor != 1.0f) {
        gguf_writer_string(w, "llama.rope.scaling.type", "linear");
        gguf_writer_f32(w, "llama.rope.scaling.factor", s->rope_factor);
    }
    gguf_writer_u32(w, "llama.vocab_size", s->vocab);
}

/* The printable stand-in for a byte in byte-level BPE vocabularies, as UTF-8. */
static struct bytes byte_spelling(uint8_t byte, uint8_t out[2])
{
    const bool stays = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    uint32_t code = byte;
    if (!stays)
        code = byte <= 32 ? 256u + byte : byte <= 160 ? 256u + 33u + byte - 127u : 256u + 67u;
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return bytes_of(out, 1);
    }
    out[0] = (uint8_t)(0xc0 | (code >> 6));
    out[1] = (uint8_t)(0x80 | (code & 0x3f));
    return bytes_of(out, 2);
}

/* "left right" pairs; \xc4\xa0 is the stand-in for a space. All results are distinct. */
static const char *const merges[] = {
    "t h", "h e", "a n", "i n", "e r", "o n", "r e", "o u", "\xc4\xa0 t", "\xc4\xa0 a", "\xc4\xa0t he", "an d",
    "in g", "\xc4\xa0 w", "\xc4\xa0 s", "o r", "e n", "e d", "\304\240a nd", "l l", "o o", "H e", "He ll", "Hell o",
    "\xc4\xa0w or", "\xc4\xa0wor l", "\xc4\xa0worl d", "s t", "a t", "i s",
};
_Static_assert(TINY_TOKEN_MERGED + ARRAY_COUNT(merges) <= TINY_TOKEN_ENDOFTEXT, "merges end before the control tokens");

void tiny_llama_tokenizer(struct gguf_writer *w, uint32_t vocab)
{
    static const char template[] =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
        "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
    ENSURE(vocab >= TINY_VOCAB_MIN);
    struct bytes *tokens = calloc(vocab, sizeof *tokens);
    int32_t *types = calloc(vocab, sizeof *types);
    char (*text)[24] = calloc(vocab, sizeof *text);
    ENSURE(tokens && types && text);
    struct bytes merge_list[ARRAY_COUNT(merges)];
    for (uint32_t i = 0; i < vocab; i++) {
        types[i] = 5;
        (void)snprintf(text[i], sizeof text[i], "[PAD%u]", i);
        tokens[i] = bytes_text(text[i]);
    }
    for (uint32_t i = 0; i < 256; i++) {
        types[i] = 1;
        tokens[i] = byte_spelling((uint8_t)i, (uint8_t *)text[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(merges); i++) {
        const size_t id = TINY_TOKEN_MERGED + i;
        const char *gap = strchr(merges[i], ' ');
        (void)snprintf(text[id], sizeof text[id], "%.*s%s", (int)(gap - merges[i]), merges[i], gap + 1);
        tokens[id] = bytes_text(text[id]);
        types[id] = 1;
        merge_list[i] = bytes_text(merges[i]);
    }
    tokens[TINY_TOKEN_ENDOFTEXT] = bytes_text("<|endoftext|>");
    tokens[TINY_TOKEN_IM_START] = bytes_text("<|im_start|>");
    tokens[TINY_TOKEN_IM_END] = bytes_text("<|im_end|>");
    types[TINY_TOKEN_ENDOFTEXT] = types[TINY_TOKEN_IM_START] = types[TINY_TOKEN_IM_END] = 3;
    gguf_writer_string(w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_string(w, "tokenizer.ggml.pre", "qwen2");
    gguf_writer_strings(w, "tokenizer.ggml.tokens", tokens, vocab);
    gguf_writer_i32s(w, "tokenizer.ggml.token_type", types, vocab);
    gguf_writer_strings(w, "tokenizer.ggml.merges", merge_list, ARRAY_COUNT(merges));
    gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", TINY_TOKEN_IM_END);
    gguf_writer_u32(w, "tokenizer.ggml.padding_token_id", TINY_TOKEN_ENDOFTEXT);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_writer_string(w, "tokenizer.chat_template", template);
    free(text);
    free(types);
    free(tokens);
}

struct bytes tiny_llama_write(const struct tiny_llama *spec)
{
    struct gguf_writer w;
    struct rng r;
    gguf_writer_init(&w);
    rng_init(&r, spec->seed);
    tiny_llama_metadata(&w, spec);
    if (spec->tokenizer)
        tiny_llama_tokenizer(&w, spec->vocab);
    add_matrix(&w, "token_embd.weight", spec->embd_type, spec->dim, spec->vocab, &r);
    if (spec->rope_freqs)
        add_vector(&w, "rope_freqs.weight", (spec->rope_dims ? spec->rope_dims : spec->head_dim) / 2, 1.0f, 4.0f, &r);
    for (uint32_t i = 0; i < spec->layers; i++)
        add_layer(&w, spec, i, &r);
    add_vector(&w, "output_norm.weight", spec->dim, 0.5f, 1.5f, &r);
    if (!spec->tied)
        add_matrix(&w, "output.weight", spec->embd_type, spec->dim, spec->vocab, &r);
    return gguf_writer_finish(&w);
}
