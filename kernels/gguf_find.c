/* gguf_find.c - lookups in an opened header: lenient in integer width, strict in everything else. */
#include "kernels/gguf.h"

#include <math.h>
#include <string.h>

#include "kernels/gguf_cursor.h"

const struct gguf_entry *gguf_find(const struct gguf *g, const char *key)
{
    struct bytes wanted = bytes_text(key);
    for (size_t i = 0; i < g->n_entries; i++)
        if (bytes_equal(g->entries[i].key, wanted))
            return &g->entries[i];
    return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
    struct bytes wanted = bytes_text(name);
    for (size_t i = 0; i < g->n_tensors; i++)
        if (bytes_equal(g->tensors[i].name, wanted))
            return &g->tensors[i];
    return NULL;
}

/* A stored integer as sign and magnitude; ERR_TYPE if the type is no integer. */
static enum err stored_integer(enum gguf_type type, const uint8_t *p, uint64_t idx, int64_t *out)
{
    uint64_t raw;
    switch (type) {
    case GGUF_U8:
        *out = p[idx];
        return OK;
    case GGUF_I8:
        *out = (int8_t)p[idx];
        return OK;
    case GGUF_U16:
        *out = (int64_t)gguf_le(p + 2 * idx, 2);
        return OK;
    case GGUF_I16:
        *out = (int16_t)gguf_le(p + 2 * idx, 2);
        return OK;
    case GGUF_U32:
        *out = (int64_t)gguf_le(p + 4 * idx, 4);
        return OK;
    case GGUF_I32:
        *out = (int32_t)gguf_le(p + 4 * idx, 4);
        return OK;
    case GGUF_U64:
        raw = gguf_le(p + 8 * idx, 8);
        if (raw > INT64_MAX)
            return ERR_OVERFLOW;
        *out = (int64_t)raw;
        return OK;
    case GGUF_I64:
        *out = (int64_t)gguf_le(p + 8 * idx, 8);
        return OK;
    case GGUF_F32:
    case GGUF_F64:
    case GGUF_BOOL:
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
    return ERR_TYPE;
}

enum err gguf_element_u32(const struct gguf_entry *e, uint64_t idx, uint32_t *out)
{
    ENSURE(idx < e->count);
    int64_t value;
    enum err err = stored_integer(e->element, e->value.data, idx, &value);
    if (err != OK)
        return err;
    if (value < 0 || value > UINT32_MAX)
        return ERR_OVERFLOW;
    *out = (uint32_t)value;
    return OK;
}

enum err gguf_element_f32(const struct gguf_entry *e, uint64_t idx, float *out)
{
    ENSURE(idx < e->count);
    float value;
    if (e->element == GGUF_F32) {
        uint32_t bits = (uint32_t)gguf_le(e->value.data + 4 * idx, 4);
        memcpy(&value, &bits, sizeof value);
    } else if (e->element == GGUF_F64) {
        uint64_t bits = gguf_le(e->value.data + 8 * idx, 8);
        double wide;
        memcpy(&wide, &bits, sizeof wide);
        if (!isfinite(wide) || fabs(wide) > 3.4028234663852886e38)
            return ERR_OVERFLOW;
        value = (float)wide;
    } else {
        return ERR_TYPE;
    }
    if (!isfinite(value))
        return ERR_OVERFLOW;
    *out = value;
    return OK;
}

/* The entry if it is a scalar of this header, NULL with the reason in *why otherwise. */
static const struct gguf_entry *find_scalar(const struct gguf *g, const char *key, enum err *why)
{
    const struct gguf_entry *e = gguf_find(g, key);
    *why = !e ? ERR_NOT_FOUND : ERR_TYPE;
    return e && e->type != GGUF_ARRAY ? e : NULL;
}

enum err gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out)
{
    enum err why;
    const struct gguf_entry *e = find_scalar(g, key, &why);
    return e ? gguf_element_u32(e, 0, out) : why;
}

enum err gguf_get_f32(const struct gguf *g, const char *key, float *out)
{
    enum err why;
    const struct gguf_entry *e = find_scalar(g, key, &why);
    return e ? gguf_element_f32(e, 0, out) : why;
}

enum err gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
    enum err why;
    const struct gguf_entry *e = find_scalar(g, key, &why);
    if (!e)
        return why;
    if (e->type != GGUF_BOOL)
        return ERR_TYPE;
    *out = e->value.data[0] != 0;
    return OK;
}

enum err gguf_get_string(const struct gguf *g, const char *key, struct bytes *out)
{
    enum err why;
    const struct gguf_entry *e = find_scalar(g, key, &why);
    if (!e)
        return why;
    if (e->type != GGUF_STRING)
        return ERR_TYPE;
    *out = e->value;
    return OK;
}

bool gguf_next_string(const struct gguf_entry *e, size_t *cursor, struct bytes *out)
{
    ENSURE(e->type == GGUF_ARRAY && e->element == GGUF_STRING);
    if (*cursor >= e->value.len)
        return false;
    struct gguf_cursor c = { .in = e->value, .at = *cursor, .ok = true };
    *out = gguf_cursor_string(&c);
    ENSURE(c.ok);   /* gguf_open() walked these very strings */
    *cursor = c.at;
    return true;
}
