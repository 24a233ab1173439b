/* tokenizer.h - text to token ids and back, exactly as the model was trained.
 *
 * Two kinds, both from the file's own vocabulary: byte-level BPE (`gpt2`: a published pattern splits the text into
 * words, then pairs are merged by rank) and SentencePiece BPE (`llama`: pairs are merged by score, spaces count as
 * letters, what has no token is spelled in byte tokens). Pre-splitting patterns in this version: llama-bpe, qwen2,
 * gpt-2, smollm, default, and their aliases; any other is refused by name, because wrong tokens make a model answer
 * nonsense without an error.
 *
 * Control tokens and who may write them. A vocabulary holds tokens such as <|im_end|> that end a turn. If the text of a
 * user could become one, a user could write turns for the system. So text comes in segments, each marked as template
 * (ours) or not (somebody else's): control tokens are recognised only inside template segments, and neither merging
 * nor lookup can produce one from letters. Apart from that, segments are one text: merging crosses their borders, as
 * if the template had been rendered into a single string. Tokens that the file calls user-defined (<think>, ...) are
 * plain vocabulary and are recognised everywhere.
 *
 * Cost: linear in the text times the logarithm of the longest word; no text makes it quadratic. A vocabulary made to be
 * slow can make each place cost a walk of TOKENIZER_SPECIAL_BYTES_MAX and a look at TOKENIZER_TOKEN_BYTES_MAX bytes:
 * some seconds for 1 MiB, on the thread that encodes. No text is refused but
 * for its length: bytes that are not UTF-8 are encoded too (BPE has a token for each byte).
 * There is no normalisation: the bytes that come out of decoding are the bytes that went in.
 *
 * Owns:    everything inside struct tokenizer (heap); nothing is borrowed from the file after opening.
 * Threads: read-only after opening; any number of threads may encode and decode at once.
 * Effects: heap memory only.
 */
#ifndef TALLYMESH_KERNELS_TOKENIZER_H
#define TALLYMESH_KERNELS_TOKENIZER_H

#include "crypto/base.h"
#include "kernels/gguf.h"

enum {
    TOKENIZER_VOCAB_MAX = 1 << 20,
    TOKENIZER_TOKEN_BYTES_MAX = 4096,      /* longest token a file may have; the longest seen has 512 (spaces) */
    TOKENIZER_SPECIAL_BYTES_MAX = 128,     /* longer control and user-defined tokens are not searched for in text */
    TOKENIZER_ENDS_MAX = 32,
    TOKENIZER_TEXT_BYTES_MAX = 4 << 20     /* some million tokens; one word of that length needs 250 MB of scratch */
};

struct tokenizer;

/* A piece of text and whose it is. */
struct text_segment {
    struct bytes text;
    bool is_template;   /* control tokens are recognised */
};

/* The caller's bounded array; functions append. */
struct token_list {
    uint32_t *ids;
    size_t cap;
    size_t count;
};

/* Reads vocabulary, merges and special tokens. ERR_FORMAT something missing or contradictory, ERR_UNSUPPORTED another
 * kind of tokenizer or pattern, ERR_TOO_LARGE over a bound, ERR_MEMORY; *why (may be NULL) is a sentence. */
enum err tokenizer_open(const struct gguf *g, struct tokenizer **out, struct fault *why) MUST_CHECK;
void tokenizer_close(struct tokenizer *t);   /* NULL is fine */

/* Appends the tokens of the segments, read as one text, to *out. Adds no BOS: see tokenizer_adds_bos(). ERR_FULL: they
 * do not fit (out->count is as before), ERR_TOO_LARGE: more than TOKENIZER_TEXT_BYTES_MAX, ERR_MEMORY. */
enum err tokenizer_encode(const struct tokenizer *t, const struct text_segment *segments, size_t n_segments,
                          struct token_list *out) MUST_CHECK;

/* The bytes a token stands for, borrowed from t. Empty for control and unused tokens and for ids outside the vocabulary,
 * U+FFFD for the unknown token. May be part of a character: put them through a utf8_stream (utf8.h) before showing. */
struct bytes tokenizer_token_bytes(const struct tokenizer *t, uint32_t id);

/* All bytes of a sequence, as much as fits into out[cap]; the return value is the full length, so a value over cap
 * means "too small". One leading space is dropped if the tokenizer adds one when encoding, so that text survives the
 * round trip. */
size_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n_ids, uint8_t *out, size_t cap);

/* The name of any token, control ones included, for people and logs: borrowed, not NUL-terminated. */
struct bytes tokenizer_token_text(const struct tokenizer *t, uint32_t id);

uint32_t tokenizer_vocab(const struct tokenizer *t);
/* True if the model expects BOS before the first token of a conversation or a plain prompt. */
bool tokenizer_adds_bos(const struct tokenizer *t);
/* True if encoding puts a space before the text (SentencePiece), which a decoder of an answer may want to drop. */
bool tokenizer_adds_space(const struct tokenizer *t);
/* The ids of BOS and EOS; false if the vocabulary has none. */
bool tokenizer_bos(const struct tokenizer *t, uint32_t *out);
bool tokenizer_eos(const struct tokenizer *t, uint32_t *out);
/* The id of a control token with exactly this text; false if there is none. */
bool tokenizer_find_control(const struct tokenizer *t, struct bytes text, uint32_t *out);

/* Tokens after which the model has finished: EOS, EOT, EOM as the file names them, and well-known ones by their text.
 * Ascending ids, at most TOKENIZER_ENDS_MAX, possibly none; borrowed. */
const uint32_t *tokenizer_ends(const struct tokenizer *t, size_t *count);
bool tokenizer_is_end(const struct tokenizer *t, uint32_t id);
/* True for control tokens and ids outside the vocabulary: nothing a user's text may contain. */
bool tokenizer_is_control(const struct tokenizer *t, uint32_t id);

#endif
