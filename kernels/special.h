/* special.h - does a control or user-defined token stand here? A byte trie over their texts; private to the tokenizer.
 *
 * The longest match at a place wins, and the leftmost place first. Texts are at most TOKENIZER_SPECIAL_BYTES_MAX long,
 * so a place costs a bounded number of steps.
 */
#ifndef TALLYMESH_KERNELS_SPECIAL_H
#define TALLYMESH_KERNELS_SPECIAL_H

#include "crypto/base.h"
#include "kernels/pairs.h"
#include "kernels/vocab.h"

struct special {
    struct pairs edges;       /* (node, byte) -> (child, token that ends there or VOCAB_NONE) */
    bool starts[256];         /* some text begins with this byte */
    uint32_t n_nodes;
};

/* Collects the control and user-defined tokens of a vocabulary. Sentences as tokenizer_open(). */
enum err special_init(struct special *s, const struct vocab *v, struct fault *why) MUST_CHECK;
void special_fini(struct special *s);

/* The longest token that text begins with: its id and length, or VOCAB_NONE. Control tokens count only if they end
 * within the first `control_len` bytes. */
uint32_t special_match(const struct special *s, const struct vocab *v, struct bytes text, size_t control_len,
                       size_t *len);
/* The control token with exactly this text, or VOCAB_NONE. */
uint32_t special_find_control(const struct special *s, const struct vocab *v, struct bytes text);

#endif
