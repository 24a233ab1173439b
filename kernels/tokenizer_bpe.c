/* tokenizer_bpe.c - byte-level BPE: words, bytes, merges by rank. */
#include "kernels/tokenizer_parts.h"

static bool find_merge(const void *rules, const struct merge_symbol *left, const struct merge_symbol *right,
                       uint32_t *rank, uint32_t *id)
{
    const struct tokenizer *t = rules;
    const struct pair_slot *found = pairs_find(&t->merges, left->id, right->id);
    if (!found)
        return false;
    *rank = found->x;
    *id = found->y;
    return true;
}

/* A byte that has no token becomes the unknown token, or nothing where the vocabulary has none: the model has never
 * seen that byte. Vocabularies trained on bytes have all 256.
 */
static enum err put_symbols(struct encoding *e)
{
    for (uint32_t i = 0; i != MERGE_NONE; i = e->merge.symbols[i].next) {
        uint32_t id = e->merge.symbols[i].id != MERGE_NONE ? e->merge.symbols[i].id : e->t->unknown;
        enum err err = id == VOCAB_NONE ? OK : encoding_put(e, id);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err encode_word(void *ctx, struct bytes word)
{
    struct encoding *e = ctx;
    const struct vocab *v = &e->t->vocab;
    if (word.len == 1 || pretoken_takes_whole_words(e->t->pretoken)) {
        uint32_t id = vocab_find(v, word);
        if (id != VOCAB_NONE)
            return encoding_put(e, id);
    }
    enum err err = merge_begin(&e->merge, word.len);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < word.len; i++)
        merge_add(&e->merge, i, 1, v->byte_ids[word.data[i]]);
    merge_run(&e->merge, e->t, find_merge);
    return put_symbols(e);
}

enum err tokenizer_bpe_encode(struct encoding *e, struct bytes fragment)
{
    return pretoken_split(e->t->pretoken, fragment, e, encode_word);
}
