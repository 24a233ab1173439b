/* utf8.h - where do characters end, and what can be shown of a stream that stops in the middle of one?
 *
 * Tokens are bytes; a character may be spread over several of them. A utf8_stream takes token bytes as they come, gives
 * back what is complete, and holds back at most three bytes. What can never become a character is replaced by U+FFFD,
 * one for each longest beginning of a character, as every browser does.
 *
 * Threads: pure; any thread, one stream at a time.
 */
#ifndef TALLYMESH_KERNELS_UTF8_H
#define TALLYMESH_KERNELS_UTF8_H

#include "crypto/base.h"

/* What stands at p[0..len), len > 0, in strict UTF-8 (no surrogates, no overlong forms, nothing over U+10FFFF):
 * n > 0: a complete character of n bytes; 0: the beginning of one, cut off by the end; -n: n bytes that are no character.
 */
int utf8_step(const uint8_t *p, size_t len);

/* True if the whole text is strict UTF-8. */
bool utf8_is_valid(struct bytes text);

struct utf8_stream {
    uint8_t held[4];
    uint8_t n_held;   /* 0..3 */
};

static inline void utf8_stream_init(struct utf8_stream *s) { *s = (struct utf8_stream){ .n_held = 0 }; }

/* Room that push and end need for `in_bytes` more bytes. */
#define UTF8_STREAM_ROOM(in_bytes) (3 * ((size_t)(in_bytes) + 3))

/* Takes bytes, writes complete characters to out and returns their length. cap >= UTF8_STREAM_ROOM(in.len). */
size_t utf8_stream_push(struct utf8_stream *s, struct bytes in, uint8_t *out, size_t cap);
/* The stream is over: writes U+FFFD if something was held back. cap >= UTF8_STREAM_ROOM(0). */
size_t utf8_stream_end(struct utf8_stream *s, uint8_t *out, size_t cap);

#endif
