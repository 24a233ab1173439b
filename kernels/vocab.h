/* vocab.h - which bytes does token N stand for, and which token stands for these bytes? Private to the tokenizer.
 *
 * Files spell tokens in disguise: byte-level BPE writes every byte as a printable character, SentencePiece writes a
 * space as U+2581 and single bytes as <0x41>. Here all of them are plain bytes, so no other code knows of disguises.
 * Control tokens keep their literal text and are *not* found by vocab_find(): letters never become control tokens.
 */
#ifndef TALLYMESH_KERNELS_VOCAB_H
#define TALLYMESH_KERNELS_VOCAB_H

#include "crypto/base.h"
#include "kernels/gguf.h"

#define VOCAB_NONE UINT32_MAX

enum vocab_kind { VOCAB_BYTE_LEVEL, VOCAB_SENTENCEPIECE };

enum token_kind {   /* as stored in tokenizer.ggml.token_type */
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
};

struct vocab {
    uint32_t n;
    uint32_t longest;        /* bytes of the longest token that vocab_find() can return */
    uint8_t *pool;           /* all tokens' bytes */
    uint32_t *starts;        /* n + 1 offsets into the pool */
    uint8_t *kinds;          /* enum token_kind */
    uint32_t *ranks;         /* SentencePiece: the better the score, the smaller; else NULL */
    uint32_t *slots;         /* hash table of ids */
    uint64_t salt;           /* of their hashes: salt.h */
    size_t mask;
    uint32_t byte_ids[256];  /* the token of a single byte, or VOCAB_NONE */
};

/* Reads tokens, kinds and scores and undoes the disguise. Tokens marked by vocab_mark_control() afterwards leave the
 * lookup, so call vocab_index() when all marks are set. */
enum err vocab_open(const struct gguf *g, enum vocab_kind kind, struct vocab *out, struct fault *why) MUST_CHECK;
void vocab_close(struct vocab *v);
void vocab_mark_control(struct vocab *v, uint32_t id);
/* Builds the lookup and byte_ids. */
enum err vocab_index(struct vocab *v, enum vocab_kind kind, struct fault *why) MUST_CHECK;

/* The token's bytes (control tokens: their text), borrowed. id < n. */
struct bytes vocab_bytes(const struct vocab *v, uint32_t id);
/* The normal token with exactly these bytes, or VOCAB_NONE. */
uint32_t vocab_find(const struct vocab *v, struct bytes text);
/* The same for a spelling as it stands in the file's merges (byte-level only). */
uint32_t vocab_find_spelling(const struct vocab *v, struct bytes spelling);

#endif
