/* tokenizer_parts.h - what a tokenizer is made of; private to tokenizer*.c.
 *
 *   tokenizer.c         encode: segments -> one text -> control tokens and the fragments between them
 *   tokenizer_bpe.c     fragment -> words (pretoken) -> bytes -> merges by rank
 *   tokenizer_spm.c     fragment -> characters -> merges by score
 *   tokenizer_open.c    the file's keys -> struct tokenizer
 */
#ifndef TALLYMESH_KERNELS_TOKENIZER_PARTS_H
#define TALLYMESH_KERNELS_TOKENIZER_PARTS_H

#include "kernels/merge.h"
#include "kernels/pairs.h"
#include "kernels/pretoken.h"
#include "kernels/special.h"
#include "kernels/tokenizer.h"
#include "kernels/vocab.h"

struct tokenizer {
    enum vocab_kind kind;
    struct vocab vocab;
    struct special special;
    struct pretoken *pretoken;    /* BPE */
    struct pairs merges;          /* BPE: (left id, right id) -> (rank, id) */
    bool adds_bos, adds_space;
    bool splits_at_spaces;        /* SentencePiece: no token has a space after another character */
    uint32_t bos, eos, unknown;   /* or VOCAB_NONE */
    uint32_t ends[TOKENIZER_ENDS_MAX];
    size_t n_ends;
};

/* One call of tokenizer_encode(). */
struct encoding {
    const struct tokenizer *t;
    struct merge merge;
    struct token_list *out;
};

/* ERR_FULL if the caller's array is. */
enum err encoding_put(struct encoding *e, uint32_t id) MUST_CHECK;
/* Encode a fragment without control tokens; begins_text asks SentencePiece for its leading space. */
enum err tokenizer_bpe_encode(struct encoding *e, struct bytes fragment) MUST_CHECK;
enum err tokenizer_spm_encode(struct encoding *e, struct bytes fragment, bool begins_text) MUST_CHECK;

#endif
