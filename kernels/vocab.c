/* vocab.c - tokens as plain bytes. */
#include "kernels/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/salt.h"
#include "kernels/tokenizer.h"
#include "kernels/utf8.h"

/* Byte-level spelling: bytes 33-126, 161-172 and 174-255 stand for themselves as characters, the other 68, in order, for
 * U+0100 and up. Gives the byte for a character, or -1. */
static int byte_of_character(uint32_t c)
{
    if ((c >= 33 && c <= 126) || (c >= 161 && c <= 172) || (c >= 174 && c <= 255))
        return (int)c;
    if (c < 256 || c > 256 + 67)
        return -1;
    uint32_t n = c - 256;
    if (n <= 32)
        return (int)n;                /* 0-32 */
    return n < 67 ? (int)(127 + n - 33) : 173;   /* 127-160, 173 */
}

static uint32_t decode_character(const uint8_t *p, int len)
{
    static const uint8_t lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    uint32_t c = p[0] & lead_bits[len];
    for (int i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

/* Undoes the byte-level spelling; a character that stands for no byte stays as it is. out has room for in.len. */
static size_t plain_byte_level(struct bytes in, uint8_t *out)
{
    size_t written = 0;
    for (size_t at = 0; at < in.len;) {
        int n = utf8_step(in.data + at, in.len - at), byte = -1;
        size_t step = n > 0 ? (size_t)n : 1;
        if (n > 0)
            byte = byte_of_character(decode_character(in.data + at, n));
        if (byte >= 0) {
            out[written++] = (uint8_t)byte;
        } else {
            memcpy(out + written, in.data + at, step);
            written += step;
        }
        at += step;
    }
    return written;
}

static size_t plain_sentencepiece(struct bytes in, uint8_t *out)
{
    size_t written = 0;
    for (size_t at = 0; at < in.len;) {
        if (in.len - at >= 3 && memcmp(in.data + at, "\xe2\x96\x81", 3) == 0) {
            out[written++] = ' ';
            at += 3;
        } else {
            out[written++] = in.data[at++];
        }
    }
    return written;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x41>" -> 0x41, else -1. */
static int byte_of_spelling(struct bytes s)
{
    if (s.len != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>')
        return -1;
    int hi = hex_digit(s.data[3]), lo = hex_digit(s.data[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

static size_t plain(enum vocab_kind kind, uint8_t token_kind, struct bytes in, uint8_t *out)
{
    if (token_kind == TOKEN_BYTE && byte_of_spelling(in) >= 0) {
        out[0] = (uint8_t)byte_of_spelling(in);
        return 1;
    }
    if (kind == VOCAB_BYTE_LEVEL && token_kind == TOKEN_NORMAL)
        return plain_byte_level(in, out);
    if (kind == VOCAB_SENTENCEPIECE && (token_kind == TOKEN_NORMAL || token_kind == TOKEN_USER_DEFINED))
        return plain_sentencepiece(in, out);
    if (in.len)
        memcpy(out, in.data, in.len);
    return in.len;
}

static enum err read_kinds(const struct gguf *g, struct vocab *v, struct fault *why)
{
    const struct gguf_entry *types = gguf_find(g, "tokenizer.ggml.token_type");
    if (types && types->count != v->n)
        return fault_set(why, ERR_FORMAT, "%" PRIu64 " token types are listed for %" PRIu32 " tokens", types->count, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t type = TOKEN_NORMAL;
        if (types && (gguf_element_u32(types, i, &type) != OK || type > TOKEN_BYTE))
            return fault_set(why, ERR_FORMAT, "the type of token %" PRIu32 " is not a number from 0 to 6", i);
        v->kinds[i] = type == 0 ? TOKEN_UNUSED : (uint8_t)type;
    }
    return OK;
}

/* A float's bits, mapped so that a greater score gives a smaller integer. */
static uint32_t rank_of_score(float score)
{
    uint32_t bits;
    score += 0.0f;   /* -0 and 0 are one score */
    memcpy(&bits, &score, sizeof bits);
    uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return ~ascending;
}

static enum err read_scores(const struct gguf *g, struct vocab *v, struct fault *why)
{
    const struct gguf_entry *scores = gguf_find(g, "tokenizer.ggml.scores");
    if (!scores || scores->count != v->n)
        return fault_set(why, ERR_FORMAT, "'tokenizer.ggml.scores' is missing or does not have %" PRIu32 " values", v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        float score;
        if (gguf_element_f32(scores, i, &score) != OK)
            return fault_set(why, ERR_FORMAT, "the score of token %" PRIu32 " is not a finite float", i);
        v->ranks[i] = rank_of_score(score);
    }
    return OK;
}

static enum err read_tokens(const struct gguf_entry *tokens, enum vocab_kind kind, struct vocab *v, struct fault *why)
{
    size_t cursor = 0, used = 0;
    struct bytes spelling = bytes_of(NULL, 0);
    for (uint32_t i = 0; i < v->n; i++) {
        ENSURE(gguf_next_string(tokens, &cursor, &spelling));
        if (spelling.len > TOKENIZER_TOKEN_BYTES_MAX)
            return fault_set(why, ERR_TOO_LARGE, "token %" PRIu32 " has %zu bytes, more than %d", i, spelling.len,
                             TOKENIZER_TOKEN_BYTES_MAX);
        v->starts[i] = (uint32_t)used;
        used += plain(kind, v->kinds[i], spelling, v->pool + used);
    }
    v->starts[v->n] = (uint32_t)used;
    return OK;
}

static enum err allocate(struct vocab *v, const struct gguf_entry *tokens, enum vocab_kind kind)
{
    size_t n = v->n, slots = 16;
    while (slots < 2 * n)
        slots *= 2;
    v->mask = slots - 1;
    v->pool = malloc(tokens->value.len + 1);   /* plain bytes are never longer than their spelling */
    v->starts = calloc(n + 1, sizeof *v->starts);
    v->kinds = calloc(n, sizeof *v->kinds);
    v->ranks = kind == VOCAB_SENTENCEPIECE ? calloc(n, sizeof *v->ranks) : NULL;
    v->slots = malloc(slots * sizeof *v->slots);
    v->salt = salt_of(v->slots);
    bool ok = v->pool && v->starts && v->kinds && v->slots && (v->ranks || kind == VOCAB_BYTE_LEVEL);
    return ok ? OK : ERR_MEMORY;
}

enum err vocab_open(const struct gguf *g, enum vocab_kind kind, struct vocab *out, struct fault *why)
{
    const struct gguf_entry *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    if (!tokens || tokens->type != GGUF_ARRAY || tokens->element != GGUF_STRING || tokens->count == 0)
        return fault_set(why, ERR_FORMAT, "'tokenizer.ggml.tokens' is missing or no list of strings");
    if (tokens->count > TOKENIZER_VOCAB_MAX)
        return fault_set(why, ERR_TOO_LARGE, "%" PRIu64 " tokens are more than %d", tokens->count, TOKENIZER_VOCAB_MAX);
    struct vocab v = { .n = (uint32_t)tokens->count };
    enum err e = allocate(&v, tokens, kind);
    if (e != OK)
        (void)fault_set(why, e, "out of memory while reading the vocabulary");
    if (e == OK)
        e = read_kinds(g, &v, why);
    if (e == OK && kind == VOCAB_SENTENCEPIECE)
        e = read_scores(g, &v, why);
    if (e == OK)
        e = read_tokens(tokens, kind, &v, why);
    if (e != OK) {
        vocab_close(&v);
        return e;
    }
    *out = v;
    return OK;
}

void vocab_close(struct vocab *v)
{
    free(v->slots);
    free(v->ranks);
    free(v->kinds);
    free(v->starts);
    free(v->pool);
    *v = (struct vocab){ 0 };
}

void vocab_mark_control(struct vocab *v, uint32_t id)
{
    if (id < v->n)
        v->kinds[id] = TOKEN_CONTROL;
}

struct bytes vocab_bytes(const struct vocab *v, uint32_t id)
{
    ENSURE(id < v->n);
    size_t len = v->starts[id + 1] - v->starts[id];
    return bytes_of(len ? v->pool + v->starts[id] : NULL, len);
}

/* Where the token with these bytes is, or the free slot where it belongs; NULL after too many collisions. */
static uint32_t *locate(const struct vocab *v, struct bytes text)
{
    size_t at = salt_hash(v->salt, text);
    for (size_t probe = 0; probe < SALT_PROBE_MAX; probe++) {
        uint32_t *slot = &v->slots[(at + probe) & v->mask];
        if (*slot == VOCAB_NONE || bytes_equal(vocab_bytes(v, *slot), text))
            return slot;
    }
    return NULL;
}

static void index_bytes(struct vocab *v, enum vocab_kind kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(v->byte_ids); i++) {
        uint8_t byte = (uint8_t)i;
        v->byte_ids[i] = kind == VOCAB_BYTE_LEVEL ? vocab_find(v, bytes_of(&byte, 1)) : VOCAB_NONE;
    }
    for (uint32_t id = 0; id < v->n && kind == VOCAB_SENTENCEPIECE; id++)
        if (v->kinds[id] == TOKEN_BYTE && vocab_bytes(v, id).len == 1)
            v->byte_ids[vocab_bytes(v, id).data[0]] = id;
}

enum err vocab_index(struct vocab *v, enum vocab_kind kind, struct fault *why)
{
    for (size_t i = 0; i <= v->mask; i++)
        v->slots[i] = VOCAB_NONE;
    v->longest = 0;
    for (uint32_t id = 0; id < v->n; id++) {
        struct bytes text = vocab_bytes(v, id);
        if (v->kinds[id] != TOKEN_NORMAL || text.len == 0)
            continue;
        uint32_t *slot = locate(v, text);
        if (!slot)
            return fault_set(why, ERR_FORMAT, "the vocabulary's tokens collide in a way that no honest file's do");
        *slot = id;   /* of two equal tokens the last counts, as in the dictionaries that models are trained with */
        if (text.len > v->longest)
            v->longest = (uint32_t)text.len;
    }
    index_bytes(v, kind);
    return OK;
}

uint32_t vocab_find(const struct vocab *v, struct bytes text)
{
    if (text.len > v->longest)
        return VOCAB_NONE;
    const uint32_t *slot = locate(v, text);
    return slot ? *slot : VOCAB_NONE;
}

uint32_t vocab_find_spelling(const struct vocab *v, struct bytes spelling)
{
    uint8_t text[TOKENIZER_TOKEN_BYTES_MAX];
    if (spelling.len > sizeof text)
        return VOCAB_NONE;
    return vocab_find(v, bytes_of(text, plain_byte_level(spelling, text)));
}
