/* utf8.c - strict UTF-8, and a stream of it that may stop anywhere. */
#include "kernels/utf8.h"

#include <string.h>

/* Which second bytes may follow a lead byte: this is where overlong forms, surrogates and what is over U+10FFFF are
 * excluded. Everything after the second byte is 80..BF. */
struct lead {
    uint8_t len, second_lo, second_hi;
};

static struct lead lead_of(uint8_t b)
{
    if (b < 0x80)
        return (struct lead){ 1, 0, 0 };
    if (b < 0xc2 || b > 0xf4)
        return (struct lead){ 0, 0, 0 };
    if (b < 0xe0)
        return (struct lead){ 2, 0x80, 0xbf };
    if (b < 0xf0)
        return (struct lead){ 3, b == 0xe0 ? 0xa0 : 0x80, b == 0xed ? 0x9f : 0xbf };
    return (struct lead){ 4, b == 0xf0 ? 0x90 : 0x80, b == 0xf4 ? 0x8f : 0xbf };
}

int utf8_step(const uint8_t *p, size_t len)
{
    struct lead lead = lead_of(p[0]);
    if (lead.len == 0)
        return -1;
    for (int i = 1; i < lead.len; i++) {
        if ((size_t)i == len)
            return 0;
        uint8_t lo = i == 1 ? lead.second_lo : 0x80, hi = i == 1 ? lead.second_hi : 0xbf;
        if (p[i] < lo || p[i] > hi)
            return -i;
    }
    return lead.len;
}

bool utf8_is_valid(struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        int n = utf8_step(text.data + at, text.len - at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static size_t put_replacement(uint8_t *out)
{
    memcpy(out, "\xef\xbf\xbd", 3);
    return 3;
}

/* Handles what stands at the front of `held` once it is decided; returns the bytes written. */
static size_t settle(struct utf8_stream *s, uint8_t *out)
{
    int n = utf8_step(s->held, s->n_held);
    if (n == 0)
        return 0;
    size_t taken = (size_t)(n > 0 ? n : -n), written;
    if (n > 0) {
        memcpy(out, s->held, taken);
        written = taken;
    } else {
        written = put_replacement(out);
    }
    s->n_held = (uint8_t)(s->n_held - taken);
    memmove(s->held, s->held + taken, s->n_held);
    return written;
}

size_t utf8_stream_push(struct utf8_stream *s, struct bytes in, uint8_t *out, size_t cap)
{
    ENSURE(cap >= UTF8_STREAM_ROOM(in.len));
    size_t written = 0;
    for (size_t i = 0; i < in.len; i++) {
        s->held[s->n_held++] = in.data[i];
        size_t more;
        do {
            more = s->n_held ? settle(s, out + written) : 0;
            written += more;
        } while (more);
        ENSURE(s->n_held < sizeof s->held);
    }
    return written;
}

size_t utf8_stream_end(struct utf8_stream *s, uint8_t *out, size_t cap)
{
    ENSURE(cap >= UTF8_STREAM_ROOM(0));
    size_t written = s->n_held ? put_replacement(out) : 0;   /* what is held is one beginning of a character */
    s->n_held = 0;
    return written;
}
