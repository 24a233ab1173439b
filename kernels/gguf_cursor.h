/* gguf_cursor.h - little-endian reading that cannot run past the end; private to gguf.c and gguf_find.c.
 *
 * Sticky: after the first read that does not fit, ok is false and every further read gives zeros, so a caller reads
 * all fields of a record and asks once.
 */
#ifndef TALLYMESH_KERNELS_GGUF_CURSOR_H
#define TALLYMESH_KERNELS_GGUF_CURSOR_H

#include "crypto/base.h"

struct gguf_cursor {
    struct bytes in;
    size_t at;
    bool ok;
};

static inline size_t gguf_cursor_left(const struct gguf_cursor *c) { return c->in.len - c->at; }

static inline struct bytes gguf_cursor_take(struct gguf_cursor *c, uint64_t len)
{
    if (!c->ok || len > gguf_cursor_left(c)) {
        c->ok = false;
        return bytes_of(NULL, 0);
    }
    struct bytes taken = bytes_of(len ? c->in.data + c->at : NULL, (size_t)len);
    c->at += (size_t)len;
    return taken;
}

/* An unsigned integer of 1..8 stored bytes. */
static inline uint64_t gguf_le(const uint8_t *p, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint32_t gguf_cursor_u32(struct gguf_cursor *c)
{
    struct bytes b = gguf_cursor_take(c, 4);
    return c->ok ? (uint32_t)gguf_le(b.data, 4) : 0;
}

static inline uint64_t gguf_cursor_u64(struct gguf_cursor *c)
{
    struct bytes b = gguf_cursor_take(c, 8);
    return c->ok ? gguf_le(b.data, 8) : 0;
}

/* u64 length, then so many bytes. */
static inline struct bytes gguf_cursor_string(struct gguf_cursor *c)
{
    uint64_t len = gguf_cursor_u64(c);
    return gguf_cursor_take(c, len);
}

#endif
