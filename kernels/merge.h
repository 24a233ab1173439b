/* merge.h - which neighbours become one symbol next? The loop that both kinds of BPE share; private to the tokenizer.
 *
 * A word is a chain of symbols. Every pair of neighbours that can merge is a candidate in a heap, ordered by rank and
 * then by place; the best is merged, its two new neighbour pairs become candidates, until none is left. A candidate
 * goes stale when one of its symbols has changed since; that shows in the lengths, so nothing is ever searched for or
 * removed from the middle of the heap. n symbols cost at most 3n candidates: n log n, whatever the text.
 *
 * Owns: two arrays that grow to the longest word and are reused for the next one.
 */
#ifndef TALLYMESH_KERNELS_MERGE_H
#define TALLYMESH_KERNELS_MERGE_H

#include "crypto/base.h"

#define MERGE_NONE UINT32_MAX   /* no neighbour, no token */

struct merge_symbol {
    uint32_t start, len;   /* in the word's text; len 0: swallowed by its left neighbour */
    uint32_t prev, next;   /* indices or MERGE_NONE */
    uint32_t id;           /* token, or MERGE_NONE */
};

struct merge_candidate {
    uint32_t rank;         /* the smaller, the sooner */
    uint32_t left, right;  /* indices; among equal ranks the leftmost goes first */
    uint32_t len;          /* of both together when the candidate was found */
    uint32_t id;           /* what they become */
};

struct merge {
    struct merge_symbol *symbols;
    size_t n_symbols, cap_symbols;
    struct merge_candidate *heap;
    size_t n_heap, cap_heap;
};

/* May these two become one, with which rank and as which token? */
typedef bool merge_find(const void *rules, const struct merge_symbol *left, const struct merge_symbol *right,
                        uint32_t *rank, uint32_t *id);

void merge_init(struct merge *m);
void merge_fini(struct merge *m);
/* Begins a new word of at most n_max symbols. ERR_MEMORY. */
enum err merge_begin(struct merge *m, size_t n_max) MUST_CHECK;
/* Appends a symbol. */
void merge_add(struct merge *m, uint32_t start, uint32_t len, uint32_t id);
/* Merges until nothing can merge. Walk the result from symbol 0 along `next`. */
void merge_run(struct merge *m, const void *rules, merge_find *find);

#endif
