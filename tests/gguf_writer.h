/* gguf_writer.h - makes GGUF files in memory for tests: any metadata, any tensors, or a whole random llama.
 *
 * Three levels. gguf_writer_* puts a file together piece by piece and checks nothing, so that malformed files can be
 * made as well. tiny_llama_write() makes a complete valid model with random weights of any shape and type; the same
 * spec gives the same bytes on every machine. gguf_writer_save() puts the bytes on disk for tests that map a file.
 *
 *     struct tiny_llama spec = TINY_LLAMA_DEFAULT;
 *     spec.type = TENSOR_F16;
 *     struct bytes file = tiny_llama_write(&spec);
 *     ... gguf_open(file, false, &g, &why) ...
 *     gguf_writer_free(file);
 *
 * Owns:    heap memory; running out of it aborts, tests have no use for the error.
 */
#ifndef TALLYMESH_TESTS_GGUF_WRITER_H
#define TALLYMESH_TESTS_GGUF_WRITER_H

#include "crypto/base.h"
#include "kernels/gguf.h"
#include "kernels/tensor.h"

/* --- a file, piece by piece ------------------------------------------------------------------------------------ */

struct gguf_writer_buf {
    uint8_t *data;
    size_t len, cap;
};

struct gguf_writer {
    uint32_t version, alignment;        /* alignment is written as general.alignment only if it is not 32 */
    uint64_t n_entries, n_tensors;      /* may be overwritten before finish: they are written as they stand */
    struct gguf_writer_buf entries, infos, data;
};

void gguf_writer_init(struct gguf_writer *w);
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_writer_u64(struct gguf_writer *w, const char *key, uint64_t value);
void gguf_writer_i32(struct gguf_writer *w, const char *key, int32_t value);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_string(struct gguf_writer *w, const char *key, const char *value);
void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct bytes *values, size_t count);
void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *values, size_t count);
void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *values, size_t count);
/* Any entry: type, then the raw bytes that follow it. */
void gguf_writer_raw(struct gguf_writer *w, const char *key, uint32_t type, struct bytes value);
/* Appends a tensor info and its data (zeroes if data is NULL), at the running padded offset. */
void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                        const uint64_t *extents, const void *data, size_t bytes);
/* Appends only an info, with any offset. */
void gguf_writer_info(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *extents,
                      uint64_t offset);
/* The whole file; frees the writer's own memory. Free the result with gguf_writer_free(). */
struct bytes gguf_writer_finish(struct gguf_writer *w);
void gguf_writer_free(struct bytes file);
/* Writes `file` to `path`; false if that fails. */
bool gguf_writer_save(struct bytes file, const char *path);

/* --- a whole random llama --------------------------------------------------------------------------------------- */

struct tiny_llama {
    uint32_t layers, dim, heads, kv_heads, head_dim, ffn_dim, vocab, context;
    uint32_t rope_dims;          /* 0: the key is left out, all of head_dim rotates */
    float rope_base, rope_factor, rms_eps;
    enum tensor_type type;       /* of every matrix: F32, F16, BF16 or one that block_format() knows */
    const enum tensor_type *mix; /* instead: types of the matrices in the order of the file, over and over; NULL: none */
    uint32_t n_mix;
    enum tensor_type embd_type;  /* of token_embd (and of output) */
    bool tied;                   /* no output.weight */
    bool rope_freqs;             /* with a rope_freqs.weight of factors from 1 to 4 */
    bool tokenizer;              /* byte-level BPE of `vocab` (>= 320) tokens and a ChatML template; see below */
    uint64_t seed;
};

/* 2 layers, dim 64, 4 heads sharing 2, ffn 160, 384 tokens, context 128, Q8_0. */
#define TINY_LLAMA_DEFAULT                                                                                             \
    { .layers = 2, .dim = 64, .heads = 4, .kv_heads = 2, .head_dim = 16, .ffn_dim = 160, .vocab = 384, .context = 128, \
      .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0,     \
      .tokenizer = true, .seed = 1 }

/* The tokenizer of a tiny model (pre type qwen2): ids 0..255 are the bytes 0..255, then TINY_MERGES_MAX merged pairs
 * of common English, then the control tokens, then unused fillers. end-of-generation: <|im_end|>, <|endoftext|>. */
enum {
    TINY_TOKEN_MERGED = 256,
    TINY_TOKEN_ENDOFTEXT = 288,
    TINY_TOKEN_IM_START = 289,
    TINY_TOKEN_IM_END = 290,
    TINY_VOCAB_MIN = 320
};

struct bytes tiny_llama_write(const struct tiny_llama *spec);
/* Only metadata and tokenizer entries of a tiny model, for tests that add their own tensors. */
void tiny_llama_metadata(struct gguf_writer *w, const struct tiny_llama *spec);
void tiny_llama_tokenizer(struct gguf_writer *w, uint32_t vocab);

/* Nearest fp16 of a float (ties to even), for tests that need expected values. */
uint16_t gguf_writer_half(float value);

#endif
