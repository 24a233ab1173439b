/* answer_text.h - turns token ids into the text a client may see: whole characters, nothing past a stop string.
 *
 * A stop string may span tokens, so the longest end of the text that could still become one is held back. The stop string
 * itself is never shown. Characters are whole: a token may end inside one.
 *
 * Owns:    its buffers (heap, bounded by the answer's length); answer_text_fini() frees them.
 * Threads: none inside. Effects: heap only.
 */
#ifndef TALLYMESH_NODE_ANSWER_TEXT_H
#define TALLYMESH_NODE_ANSWER_TEXT_H

#include "kernels/tokenizer.h"
#include "kernels/utf8.h"

enum {
    STOPS_MAX = 4, STOP_BYTES_MAX = 256,
    ANSWER_BYTES_MAX = 4 << 20,                        /* 64 bytes for each of the most tokens: a vocabulary with tokens of a
                                                          megabyte must not turn four bytes on the wire into one here */
};

struct answer_text {
    const struct tokenizer *tokenizer;                 /* borrowed */
    struct utf8_stream utf8;
    char stops[STOPS_MAX][STOP_BYTES_MAX + 1];
    uint32_t stop_count;
    char *text;                                        /* NUL-terminated */
    size_t len, cap, shown;                            /* all decoded; text[0..shown) was handed out */
    bool stopped;                                      /* a stop string matched; text ends before it */
    bool drop_space;                                   /* SentencePiece: the first space is not the answer's */
};

void answer_text_init(struct answer_text *a, const struct tokenizer *t);
/* Adds a token's text. ERR_MEMORY, ERR_TOO_LARGE (over ANSWER_BYTES_MAX). Ignored after a stop string matched. */
enum err answer_text_push(struct answer_text *a, uint32_t token) MUST_CHECK;
/* No more tokens come: what was held back may be shown. */
enum err answer_text_end(struct answer_text *a) MUST_CHECK;
/* What may be shown and was not yet; lent until the next call. Advances. */
struct bytes answer_text_take(struct answer_text *a);
void answer_text_fini(struct answer_text *a);

#endif
