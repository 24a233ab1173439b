/* answer_text.c - stop strings and whole characters. */
#include "node/answer_text.h"

#include <stdlib.h>
#include <string.h>

void answer_text_init(struct answer_text *a, const struct tokenizer *t)
{
    memset(a, 0, sizeof *a);
    a->tokenizer = t;
    utf8_stream_init(&a->utf8);
    a->drop_space = tokenizer_adds_space(t);
}

static enum err reserve(struct answer_text *a, size_t more)
{
    if (a->len + more > ANSWER_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (a->len + more + 1 <= a->cap)
        return OK;
    size_t cap = (a->len + more + 1) * 2;
    char *text = realloc(a->text, cap);
    if (!text)
        return ERR_MEMORY;
    a->text = text;
    a->cap = cap;
    return OK;
}

/* Cuts the text before the earliest stop string. Looks only where new text can have completed one. */
static void find_stop(struct answer_text *a, size_t from)
{
    for (uint32_t i = 0; i < a->stop_count; i++) {
        size_t n = strlen(a->stops[i]);
        size_t at = from > n ? from - n : 0;
        const char *hit = a->len > at ? memmem(a->text + at, a->len - at, a->stops[i], n) : NULL;
        if (hit) {
            a->len = (size_t)(hit - a->text);
            a->text[a->len] = 0;
            a->stopped = true;
        }
    }
}

enum err answer_text_push(struct answer_text *a, uint32_t token)
{
    if (a->stopped)
        return OK;
    struct bytes b = tokenizer_token_bytes(a->tokenizer, token);
    if (a->drop_space && b.len) {
        a->drop_space = false;
        if (b.data[0] == ' ')
            b = bytes_of(b.data + 1, b.len - 1);
    }
    enum err e = reserve(a, UTF8_STREAM_ROOM(b.len));
    if (e != OK)
        return e;
    size_t before = a->len;
    a->len += utf8_stream_push(&a->utf8, b, (uint8_t *)a->text + a->len, a->cap - a->len - 1);
    a->text[a->len] = 0;
    find_stop(a, before);
    return OK;
}

enum err answer_text_end(struct answer_text *a)
{
    enum err e = reserve(a, UTF8_STREAM_ROOM(0));
    if (e != OK || a->stopped)
        return e;
    size_t before = a->len;
    a->len += utf8_stream_end(&a->utf8, (uint8_t *)a->text + a->len, a->cap - a->len - 1);
    a->text[a->len] = 0;
    find_stop(a, before);
    a->stopped = true;                                 /* nothing is held back any more */
    return OK;
}

/* Length of the longest end of the text that is a proper beginning of a stop string. */
static size_t held_back(const struct answer_text *a)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < a->stop_count; i++) {
        size_t n = strlen(a->stops[i]);
        for (size_t k = n - 1; k > longest; k--)
            if (k <= a->len && memcmp(a->text + a->len - k, a->stops[i], k) == 0) {
                longest = k;
                break;
            }
    }
    return longest;
}

/* A stop that begins before `shown` cannot match: what was shown was never a beginning of one. After a cut, len >= shown. */
struct bytes answer_text_take(struct answer_text *a)
{
    size_t until = a->stopped ? a->len : a->len - held_back(a);
    while (until > a->shown && until < a->len && ((unsigned char)a->text[until] & 0xc0) == 0x80)
        until--;                                       /* never cut inside a character */
    struct bytes b = bytes_of(a->text ? a->text + a->shown : NULL, until > a->shown ? until - a->shown : 0);
    a->shown += b.len;
    return b;
}

void answer_text_fini(struct answer_text *a)
{
    free(a->text);
    memset(a, 0, sizeof *a);
}
