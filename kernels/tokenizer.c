/* tokenizer.c - segments to tokens, tokens to bytes. */
#include "kernels/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/tokenizer_parts.h"

enum err encoding_put(struct encoding *e, uint32_t id)
{
    if (e->out->count == e->out->cap)
        return ERR_FULL;
    e->out->ids[e->out->count++] = id;
    return OK;
}

static enum err encode_fragment(struct encoding *e, struct bytes fragment, bool begins_text)
{
    if (fragment.len == 0)
        return OK;
    switch (e->t->kind) {
    case VOCAB_BYTE_LEVEL:
        return tokenizer_bpe_encode(e, fragment);
    case VOCAB_SENTENCEPIECE:
        return tokenizer_spm_encode(e, fragment, begins_text);
    }
    return ERR_ARG;
}

/* Where the segment ends that holds a place: control tokens must end before it, and only in template text. */
struct border {
    const struct text_segment *segments;
    size_t n_segments, idx;
    size_t end;   /* of segment idx, in the joined text */
};

static size_t control_len_at(struct border *b, size_t at)
{
    while (b->idx < b->n_segments && at >= b->end) {
        b->idx++;
        b->end += b->idx < b->n_segments ? b->segments[b->idx].text.len : 0;
    }
    return b->idx < b->n_segments && b->segments[b->idx].is_template ? b->end - at : 0;
}

/* Splits at special tokens, longest and leftmost first, and encodes what lies between them. */
static enum err encode_text(struct encoding *e, struct bytes text, struct border border)
{
    size_t start = 0, at = 0;
    bool begins_text = true;
    while (at < text.len) {
        size_t len = 0;
        uint32_t id = special_match(&e->t->special, &e->t->vocab, bytes_of(text.data + at, text.len - at),
                                    control_len_at(&border, at), &len);
        if (id == VOCAB_NONE) {
            at++;
            continue;
        }
        enum err err = encode_fragment(e, bytes_of(text.data + start, at - start), begins_text);
        if (err == OK)
            err = encoding_put(e, id);
        if (err != OK)
            return err;
        at += len;
        start = at;
        begins_text = e->t->vocab.kinds[id] == TOKEN_CONTROL;
    }
    return encode_fragment(e, bytes_of(text.data + start, text.len - start), begins_text);
}

/* Total length, or SIZE_MAX if it is over the bound. */
static size_t joined_len(const struct text_segment *segments, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (segments[i].text.len > TOKENIZER_TEXT_BYTES_MAX - total)
            return SIZE_MAX;
        total += segments[i].text.len;
    }
    return total;
}

enum err tokenizer_encode(const struct tokenizer *t, const struct text_segment *segments, size_t n_segments,
                          struct token_list *out)
{
    size_t total = joined_len(segments, n_segments), at = 0;
    if (total == SIZE_MAX)
        return ERR_TOO_LARGE;
    if (total == 0)
        return OK;
    uint8_t *joined = malloc(total);
    if (!joined)
        return ERR_MEMORY;
    for (size_t i = 0; i < n_segments; i++) {
        if (segments[i].text.len)
            memcpy(joined + at, segments[i].text.data, segments[i].text.len);
        at += segments[i].text.len;
    }
    struct token_list list = *out;
    struct encoding e = { .t = t, .out = &list };
    merge_init(&e.merge);
    struct border border = { .segments = segments, .n_segments = n_segments, .end = segments[0].text.len };
    enum err err = encode_text(&e, bytes_of(joined, total), border);
    merge_fini(&e.merge);
    free(joined);
    if (err == OK)
        out->count = list.count;
    return err;
}

struct bytes tokenizer_token_bytes(const struct tokenizer *t, uint32_t id)
{
    static const struct bytes nothing = { NULL, 0 };
    if (id >= t->vocab.n)
        return nothing;
    switch ((enum token_kind)t->vocab.kinds[id]) {
    case TOKEN_NORMAL:
    case TOKEN_USER_DEFINED:
    case TOKEN_BYTE:
        return vocab_bytes(&t->vocab, id);
    case TOKEN_UNKNOWN:
        return bytes_text("\xef\xbf\xbd");
    case TOKEN_CONTROL:
    case TOKEN_UNUSED:
        return nothing;
    }
    return nothing;
}

struct bytes tokenizer_token_text(const struct tokenizer *t, uint32_t id)
{
    return id < t->vocab.n ? vocab_bytes(&t->vocab, id) : bytes_text("[no such token]");
}

size_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n_ids, uint8_t *out, size_t cap)
{
    size_t total = 0;
    bool drop_space = t->adds_space;
    for (size_t i = 0; i < n_ids; i++) {
        struct bytes b = tokenizer_token_bytes(t, ids[i]);
        if (b.len == 0)
            continue;
        if (drop_space && b.data[0] == ' ')
            b = bytes_of(b.data + 1, b.len - 1);
        drop_space = false;
        size_t room = total < cap ? cap - total : 0, fits = b.len < room ? b.len : room;
        if (fits)
            memcpy(out + total, b.data, fits);
        total += b.len;
    }
    return total;
}

uint32_t tokenizer_vocab(const struct tokenizer *t) { return t->vocab.n; }
bool tokenizer_adds_bos(const struct tokenizer *t) { return t->adds_bos; }
bool tokenizer_adds_space(const struct tokenizer *t) { return t->adds_space; }

static bool give(uint32_t id, uint32_t *out)
{
    if (id == VOCAB_NONE)
        return false;
    *out = id;
    return true;
}

bool tokenizer_bos(const struct tokenizer *t, uint32_t *out) { return give(t->bos, out); }
bool tokenizer_eos(const struct tokenizer *t, uint32_t *out) { return give(t->eos, out); }

bool tokenizer_find_control(const struct tokenizer *t, struct bytes text, uint32_t *out)
{
    return give(special_find_control(&t->special, &t->vocab, text), out);
}

const uint32_t *tokenizer_ends(const struct tokenizer *t, size_t *count)
{
    *count = t->n_ends;
    return t->ends;
}

bool tokenizer_is_end(const struct tokenizer *t, uint32_t id)
{
    for (size_t i = 0; i < t->n_ends; i++)
        if (t->ends[i] == id)
            return true;
    return false;
}

bool tokenizer_is_control(const struct tokenizer *t, uint32_t id)
{
    return id >= t->vocab.n || t->vocab.kinds[id] == TOKEN_CONTROL;
}
