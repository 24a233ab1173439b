/* model.h - which network is this, and where are its weights?
 *
 * Turns an opened GGUF file into a checked configuration and one tensor view per weight. After model_open() the forward
 * pass may trust everything here: each tensor exists, has the type and shape written below, and its data lies inside
 * the file. Nothing is copied or converted: weights stay in their stored quantisation.
 *
 * Architecture in this version: `llama` (Llama 1-3, Mistral 7B, TinyLlama, SmolLM, ...): RMS norm, rotary embedding on
 * adjacent pairs, grouped-query attention, SiLU-gated feed-forward, no biases. Refused with a sentence: other
 * architectures, biases, fused q/k/v, experts, rope scaling other than none and linear, sliding windows shorter than
 * the context, key length unlike value length, per-layer head counts that differ, split files, and tensors of a type
 * that cannot be computed with (tensor_type_is_computable), each named.
 *
 * Shapes, as { extents[0], extents[1] }, with q_dim = heads * head_dim and kv_dim = kv_heads * head_dim:
 *   token_embd, output  { dim, vocab }       attn_q  { dim, q_dim }      attn_k, attn_v  { dim, kv_dim }
 *   output_norm         { dim }     (F32)    attn_output  { q_dim, dim }
 *   attn_norm, ffn_norm { dim }     (F32)    ffn_gate, ffn_up  { dim, ffn_dim }     ffn_down  { ffn_dim, dim }
 *   rope_freqs          { rope_dims / 2 } (F32, optional: each pair's angle is divided by its value)
 * Matrices may each have any computable type. Row lengths: whole blocks of the type (GGUF's own rule), so any for F32,
 * F16 and BF16, a multiple of 32 or of 256 for the others.
 *
 * Owns:    the array of layers (heap). Tensor data is borrowed from the bytes behind the struct gguf, which must stay
 *          mapped; the struct gguf itself may be closed after model_open().
 * Threads: none inside; read-only after opening.
 * Effects: heap memory only.
 */
#ifndef TALLYMESH_KERNELS_MODEL_H
#define TALLYMESH_KERNELS_MODEL_H

#include "crypto/base.h"
#include "kernels/gguf.h"

/* Bounds that a configuration must keep. They leave room for every public llama-type model and keep all products of
 * two of them far inside 64 bits. */
enum {
    MODEL_LAYERS_MAX = 512,
    MODEL_DIM_MAX = 1 << 16,
    MODEL_HEADS_MAX = 1 << 10,
    MODEL_HEAD_DIM_MAX = 1 << 10,
    MODEL_FFN_DIM_MAX = 1 << 18,
    MODEL_VOCAB_MAX = 1 << 20,
    MODEL_CONTEXT_MAX = 1 << 24,
    MODEL_NAME_BYTES = 96
};

struct model_config {
    char name[MODEL_NAME_BYTES];   /* general.name, printable ASCII, may be "" */
    uint32_t layers;               /* 1..MODEL_LAYERS_MAX */
    uint32_t dim;                  /* width of the residual stream */
    uint32_t heads;                /* query heads */
    uint32_t kv_heads;             /* divides heads */
    uint32_t head_dim;             /* even; heads * head_dim need not equal dim */
    uint32_t ffn_dim;
    uint32_t vocab;                /* rows of token_embd and of output */
    uint32_t context;              /* tokens the model was made for */
    uint32_t rope_dims;            /* even, at most head_dim: how many dimensions of a head rotate */
    float rope_base;               /* finite, at least 1 */
    float rope_factor;             /* linear scaling: positions are divided by it; 1 without scaling; finite, >= 1 */
    float rms_eps;                 /* finite, in (0, 1) */
    bool tied;                     /* the output head is token_embd */
};

struct model_layer {
    struct tensor attn_norm;
    struct tensor attn_q, attn_k, attn_v, attn_output;
    struct tensor ffn_norm;
    struct tensor ffn_gate, ffn_up, ffn_down;
};

struct model {
    struct model_config config;
    struct tensor token_embd;
    struct tensor output_norm;
    struct tensor output;              /* equals token_embd if config.tied */
    struct tensor rope_freqs;          /* data NULL and bytes 0 if the model has none */
    struct model_layer *layers;        /* config.layers of them */
    /* Told of weights that an engine has copied; whoever mapped the file sets it (modelfile_release), else it is NULL. */
    void (*release)(const void *stored, size_t bytes);
};

/* The whole model. On failure *out is untouched and *why (may be NULL) names the key or tensor and what is wrong with it:
 * ERR_FORMAT something missing or contradictory, ERR_UNSUPPORTED an architecture, feature or type we do not compute,
 * ERR_TOO_LARGE over a bound, ERR_ARG g was opened header_only, ERR_MEMORY. Pair with model_close(). */
enum err model_open(const struct gguf *g, struct model *out, struct fault *why) MUST_CHECK;
void model_close(struct model *m);

/* For someone who holds only the header: the same checks of configuration, types and shapes, without any data. The
 * tokenizer and the chat template are opened from the same struct gguf (tokenizer.h, chat.h). */
enum err model_open_header(const struct gguf *g, struct model_config *out, struct fault *why) MUST_CHECK;

#endif
