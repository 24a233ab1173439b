/* tokenizer_spm.c - SentencePiece BPE: characters, merges by score, bytes for what has no token.
 *
 * The algorithm knows no words: it merges over the whole text. But where no token of the vocabulary has a space after
 * another character (true for the vocabularies in use), no merge can cross such a place, so the text may be cut there
 * without changing the result, and memory stays small however long the text is.
 */
#include "kernels/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/utf8.h"

struct rules {
    const struct vocab *vocab;
    const uint8_t *text;
};

static bool find_merge(const void *rules, const struct merge_symbol *left, const struct merge_symbol *right,
                       uint32_t *rank, uint32_t *id)
{
    const struct rules *r = rules;
    *id = vocab_find(r->vocab, bytes_of(r->text + left->start, left->len + right->len));
    if (*id == VOCAB_NONE)
        return false;
    *rank = r->vocab->ranks[*id];
    return true;
}

static enum err put_bytes(struct encoding *e, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint32_t id = e->t->vocab.byte_ids[text.data[i]];
        if (id == VOCAB_NONE)
            return e->t->unknown == VOCAB_NONE ? OK : encoding_put(e, e->t->unknown);   /* once per character */
        enum err err = encoding_put(e, id);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err encode_chunk(struct encoding *e, struct bytes chunk)
{
    const struct vocab *v = &e->t->vocab;
    enum err err = merge_begin(&e->merge, chunk.len);
    if (err != OK)
        return err;
    for (size_t at = 0; at < chunk.len;) {
        int n = utf8_step(chunk.data + at, chunk.len - at);
        size_t len = n > 0 ? (size_t)n : 1;
        merge_add(&e->merge, (uint32_t)at, (uint32_t)len, vocab_find(v, bytes_of(chunk.data + at, len)));
        at += len;
    }
    merge_run(&e->merge, &(struct rules){ .vocab = v, .text = chunk.data }, find_merge);
    for (uint32_t i = 0; i != MERGE_NONE && err == OK; i = e->merge.symbols[i].next) {
        const struct merge_symbol *s = &e->merge.symbols[i];
        err = s->id != MERGE_NONE ? encoding_put(e, s->id) : put_bytes(e, bytes_of(chunk.data + s->start, s->len));
    }
    return err;
}

static enum err encode_chunks(struct encoding *e, struct bytes text)
{
    size_t start = 0;
    for (size_t i = 1; i <= text.len; i++) {
        bool ends = i == text.len || (e->t->splits_at_spaces && text.data[i] == ' ' && text.data[i - 1] != ' ');
        if (!ends)
            continue;
        enum err err = encode_chunk(e, bytes_of(text.data + start, i - start));
        if (err != OK)
            return err;
        start = i;
    }
    return OK;
}

enum err tokenizer_spm_encode(struct encoding *e, struct bytes fragment, bool begins_text)
{
    if (!begins_text || !e->t->adds_space)
        return encode_chunks(e, fragment);
    uint8_t *spaced = malloc(fragment.len + 1);
    if (!spaced)
        return ERR_MEMORY;
    spaced[0] = ' ';
    memcpy(spaced + 1, fragment.data, fragment.len);
    enum err err = encode_chunks(e, bytes_of(spaced, fragment.len + 1));
    free(spaced);
    return err;
}
