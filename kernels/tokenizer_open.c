/* tokenizer_open.c - the tokenizer.ggml.* keys of a file become a struct tokenizer. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/tokenizer_parts.h"

/* Tokens that end an answer, whatever the file calls them. Files have been seen that mark some of them as normal. */
static const char *const end_texts[] = {
    "<|eot_id|>",  "<|im_end|>",    "<|end|>",     "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>",
    "<EOT>",       "<|return|>",    "<|call|>",    "</s>",          "<turn|>",
    "<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>",
};

/* And tokens that begin or delimit turns: never a user's to write either. Everything that chat_render.c frames turns with
 * is here or above; where a vocabulary has no token for it, it stays letters. */
static const char *const frame_texts[] = {
    "<|im_start|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<s>",
    "<|system|>", "<|user|>", "<|assistant|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
};

static bool is_one_of(struct bytes text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(text, bytes_text(list[i])))
            return true;
    return false;
}

static enum err read_kind(const struct gguf *g, struct tokenizer *t, struct fault *why)
{
    struct bytes model;
    if (gguf_get_string(g, "tokenizer.ggml.model", &model) != OK)
        return fault_set(why, ERR_FORMAT, "the file has no tokenizer ('tokenizer.ggml.model' is missing or no string)");
    if (bytes_equal(model, bytes_text("gpt2")))
        t->kind = VOCAB_BYTE_LEVEL;
    else if (bytes_equal(model, bytes_text("llama")))
        t->kind = VOCAB_SENTENCEPIECE;
    else
        return fault_set(why, ERR_UNSUPPORTED, "the tokenizer '%s' is not supported, only gpt2 (BPE) and llama "
                         "(SentencePiece)", fault_name(model).text);
    return OK;
}

/* An optional token id; VOCAB_NONE if absent. */
static enum err read_id(const struct gguf *g, const char *key, uint32_t vocab, uint32_t *out, struct fault *why)
{
    uint32_t id;
    enum err e = gguf_get_u32(g, key, &id);
    *out = VOCAB_NONE;
    if (e == ERR_NOT_FOUND || (e == OK && id == UINT32_MAX))   /* some writers say "none" with -1 as u32 */
        return OK;
    if (e != OK || id >= vocab)
        return fault_set(why, ERR_FORMAT, "'%s' is no id of the vocabulary's %" PRIu32 " tokens", key, vocab);
    *out = id;
    return OK;
}

static void add_end(struct tokenizer *t, uint32_t id)
{
    if (id == VOCAB_NONE || tokenizer_is_end(t, id) || t->n_ends == TOKENIZER_ENDS_MAX)
        return;
    size_t at = t->n_ends++;
    for (; at > 0 && t->ends[at - 1] > id; at--)
        t->ends[at] = t->ends[at - 1];
    t->ends[at] = id;
}

/* SentencePiece's own places, where the file names no ids. */
static void assume_sentencepiece_ids(struct tokenizer *t)
{
    const struct vocab *v = &t->vocab;
    if (v->n < 3)
        return;
    if (t->unknown == VOCAB_NONE && v->kinds[0] == TOKEN_UNKNOWN)
        t->unknown = 0;
    if (t->bos == VOCAB_NONE && v->kinds[1] == TOKEN_CONTROL)
        t->bos = 1;
    if (t->eos == VOCAB_NONE && v->kinds[2] == TOKEN_CONTROL)
        t->eos = 2;
}

/* Marks the ids that the file names, and well-known texts, as control tokens; collects those that end an answer. */
static enum err read_special_ids(const struct gguf *g, struct tokenizer *t, struct fault *why)
{
    struct vocab *v = &t->vocab;
    uint32_t eot = VOCAB_NONE, eom = VOCAB_NONE;
    enum err e = read_id(g, "tokenizer.ggml.bos_token_id", v->n, &t->bos, why);
    if (e == OK)
        e = read_id(g, "tokenizer.ggml.eos_token_id", v->n, &t->eos, why);
    if (e == OK)
        e = read_id(g, "tokenizer.ggml.unknown_token_id", v->n, &t->unknown, why);
    if (e == OK)
        e = read_id(g, "tokenizer.ggml.eot_token_id", v->n, &eot, why);
    if (e == OK)
        e = read_id(g, "tokenizer.ggml.eom_token_id", v->n, &eom, why);
    if (e != OK)
        return e;
    if (t->kind == VOCAB_SENTENCEPIECE)
        assume_sentencepiece_ids(t);
    if (t->unknown != VOCAB_NONE && v->kinds[t->unknown] == TOKEN_CONTROL)
        v->kinds[t->unknown] = TOKEN_UNKNOWN;   /* many a file calls <unk> a control token */
    const uint32_t named[] = { t->bos, t->eos, eot, eom };
    for (size_t i = 0; i < ARRAY_COUNT(named); i++)
        if (named[i] != VOCAB_NONE)
            vocab_mark_control(v, named[i]);
    for (size_t i = 1; i < ARRAY_COUNT(named); i++)
        add_end(t, named[i]);
    return OK;
}

static void read_special_texts(struct tokenizer *t)
{
    struct vocab *v = &t->vocab;
    uint32_t plain_end = VOCAB_NONE;
    bool has_channels = false;   /* with <|return|> and <|call|>, <|end|> only ends a part of an answer */
    for (uint32_t id = 0; id < v->n; id++) {
        struct bytes text = vocab_bytes(v, id);
        if (text.len < 3 || (text.data[0] != '<' && text.data[0] != '[') || v->kinds[id] == TOKEN_UNUSED)
            continue;
        bool ends = is_one_of(text, end_texts, ARRAY_COUNT(end_texts));
        if (ends || is_one_of(text, frame_texts, ARRAY_COUNT(frame_texts)))
            vocab_mark_control(v, id);
        has_channels |= bytes_equal(text, bytes_text("<|return|>")) || bytes_equal(text, bytes_text("<|call|>"));
        if (bytes_equal(text, bytes_text("<|end|>")))
            plain_end = id;
        else if (ends)
            add_end(t, id);
    }
    if (!has_channels)
        add_end(t, plain_end);
}

/* Files name <|endoftext|>, even BOS, for what they have no token for. Users write such characters; so then there is none. */
static void keep_unknown_from_control(struct tokenizer *t)
{
    if (t->unknown != VOCAB_NONE && t->vocab.kinds[t->unknown] == TOKEN_CONTROL)
        t->unknown = VOCAB_NONE;
}

/* One merge, "left right" in byte-level spelling. A merge whose parts or result are no tokens can never apply. */
static enum err add_merge(struct tokenizer *t, uint32_t rank, struct bytes merge, struct fault *why)
{
    const uint8_t *gap = merge.len > 2 ? memchr(merge.data + 1, ' ', merge.len - 2) : NULL;
    if (!gap)
        return fault_set(why, ERR_FORMAT, "merge %" PRIu32 " is not two pieces with a space between them", rank);
    size_t left_len = (size_t)(gap - merge.data), right_len = merge.len - left_len - 1;
    uint8_t joined[TOKENIZER_TOKEN_BYTES_MAX];
    if (left_len + right_len > sizeof joined)
        return fault_set(why, ERR_TOO_LARGE, "merge %" PRIu32 " has %zu bytes", rank, merge.len);
    memcpy(joined, merge.data, left_len);
    memcpy(joined + left_len, gap + 1, right_len);
    const uint32_t left = vocab_find_spelling(&t->vocab, bytes_of(merge.data, left_len));
    const uint32_t right = vocab_find_spelling(&t->vocab, bytes_of(gap + 1, right_len));
    const uint32_t whole = vocab_find_spelling(&t->vocab, bytes_of(joined, left_len + right_len));
    if (left == VOCAB_NONE || right == VOCAB_NONE || whole == VOCAB_NONE)
        return OK;
    enum err e = pairs_put(&t->merges, left, right, rank, whole);
    if (e != OK && e != ERR_EXISTS)
        return fault_set(why, e, "merge %" PRIu32 " could not be indexed: %s", rank, err_text(e));
    return OK;
}

static enum err read_merges(const struct gguf *g, struct tokenizer *t, struct fault *why)
{
    const struct gguf_entry *merges = gguf_find(g, "tokenizer.ggml.merges");
    if (!merges || merges->type != GGUF_ARRAY || merges->element != GGUF_STRING)
        return fault_set(why, ERR_FORMAT, "'tokenizer.ggml.merges' is missing or no list of strings");
    if (merges->count > 2 * (uint64_t)TOKENIZER_VOCAB_MAX)
        return fault_set(why, ERR_TOO_LARGE, "%" PRIu64 " merges are more than %d", merges->count, 2 * TOKENIZER_VOCAB_MAX);
    if (pairs_init(&t->merges, (size_t)merges->count) != OK)
        return fault_set(why, ERR_MEMORY, "out of memory while reading the merges");
    size_t cursor = 0;
    struct bytes merge;
    enum err e = OK;
    for (uint32_t rank = 0; e == OK && gguf_next_string(merges, &cursor, &merge); rank++)
        e = add_merge(t, rank, merge, why);
    return e;
}

static enum err open_bpe(const struct gguf *g, struct tokenizer *t, struct fault *why)
{
    struct bytes pre = bytes_text("default");
    if (gguf_get_string(g, "tokenizer.ggml.pre", &pre) == ERR_TYPE)
        return fault_set(why, ERR_FORMAT, "'tokenizer.ggml.pre' is not a string");
    enum err e = pretoken_open(pre, &t->pretoken, why);
    if (e == OK)
        e = read_merges(g, t, why);
    if (e != OK)
        return e;
    t->adds_bos = pretoken_adds_bos(t->pretoken);
    return OK;
}

static bool has_space_after_character(struct bytes text)
{
    for (size_t i = 1; i < text.len; i++)
        if (text.data[i] == ' ' && text.data[i - 1] != ' ')
            return true;
    return false;
}

static enum err open_spm(const struct gguf *g, struct tokenizer *t, struct fault *why)
{
    t->adds_bos = t->adds_space = t->splits_at_spaces = true;
    if (gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &t->adds_space) == ERR_TYPE)
        return fault_set(why, ERR_FORMAT, "'tokenizer.ggml.add_space_prefix' is not a boolean");
    for (uint32_t id = 0; id < t->vocab.n; id++)
        if (t->vocab.kinds[id] == TOKEN_NORMAL && has_space_after_character(vocab_bytes(&t->vocab, id)))
            t->splits_at_spaces = false;
    return OK;
}

static enum err open_parts(const struct gguf *g, struct tokenizer *t, struct fault *why)
{
    enum err e = read_kind(g, t, why);
    if (e == OK)
        e = vocab_open(g, t->kind, &t->vocab, why);
    if (e == OK)
        e = read_special_ids(g, t, why);
    if (e != OK)
        return e;
    read_special_texts(t);
    keep_unknown_from_control(t);
    e = vocab_index(&t->vocab, t->kind, why);
    if (e == OK)
        e = special_init(&t->special, &t->vocab, why);
    if (e == OK)
        e = t->kind == VOCAB_BYTE_LEVEL ? open_bpe(g, t, why) : open_spm(g, t, why);
    if (e == OK && gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->adds_bos) == ERR_TYPE)
        e = fault_set(why, ERR_FORMAT, "'tokenizer.ggml.add_bos_token' is not a boolean");
    t->adds_bos = t->adds_bos && t->bos != VOCAB_NONE;
    return e;
}

enum err tokenizer_open(const struct gguf *g, struct tokenizer **out, struct fault *why)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return fault_set(why, ERR_MEMORY, "out of memory while opening the tokenizer");
    t->bos = t->eos = t->unknown = VOCAB_NONE;
    enum err e = open_parts(g, t, why);
    if (e != OK) {
        tokenizer_close(t);
        return e;
    }
    *out = t;
    return OK;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    pairs_fini(&t->merges);
    pretoken_close(t->pretoken);
    special_fini(&t->special);
    vocab_close(&t->vocab);
    free(t);
}
