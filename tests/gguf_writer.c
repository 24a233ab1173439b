/* gguf_writer.c - puts GGUF files together for tests. */
#include "tests/gguf_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct gguf_writer_buf *b, const void *data, size_t len)
{
    if (len > b->cap - b->len) {
        b->cap = 2 * b->cap + len + 256;
        b->data = realloc(b->data, b->cap);
        ENSURE(b->data != NULL);
    }
    if (len == 0)
        return;
    if (data)
        memcpy(b->data + b->len, data, len);
    else
        memset(b->data + b->len, 0, len);
    b->len += len;
}

static void put_le(struct gguf_writer_buf *b, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put(b, bytes, len);
}

static void put_string(struct gguf_writer_buf *b, struct bytes s)
{
    put_le(b, s.len, 8);
    put(b, s.data, s.len);
}

static void put_f32(struct gguf_writer_buf *b, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_le(b, bits, 4);
}

static void begin_entry(struct gguf_writer *w, const char *key, uint32_t type)
{
    put_string(&w->entries, bytes_text(key));
    put_le(&w->entries, type, 4);
    w->n_entries++;
}

static void begin_array(struct gguf_writer *w, const char *key, uint32_t element, size_t count)
{
    begin_entry(w, key, GGUF_ARRAY);
    put_le(&w->entries, element, 4);
    put_le(&w->entries, count, 8);
}

void gguf_writer_init(struct gguf_writer *w) { *w = (struct gguf_writer){ .version = 3, .alignment = 32 }; }

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    begin_entry(w, key, GGUF_U32);
    put_le(&w->entries, value, 4);
}

void gguf_writer_u64(struct gguf_writer *w, const char *key, uint64_t value)
{
    begin_entry(w, key, GGUF_U64);
    put_le(&w->entries, value, 8);
}

void gguf_writer_i32(struct gguf_writer *w, const char *key, int32_t value)
{
    begin_entry(w, key, GGUF_I32);
    put_le(&w->entries, (uint32_t)value, 4);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float value)
{
    begin_entry(w, key, GGUF_F32);
    put_f32(&w->entries, value);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value)
{
    begin_entry(w, key, GGUF_BOOL);
    put_le(&w->entries, value, 1);
}

void gguf_writer_string(struct gguf_writer *w, const char *key, const char *value)
{
    begin_entry(w, key, GGUF_STRING);
    put_string(&w->entries, bytes_text(value));
}

void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct bytes *values, size_t count)
{
    begin_array(w, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++)
        put_string(&w->entries, values[i]);
}

void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *values, size_t count)
{
    begin_array(w, key, GGUF_I32, count);
    for (size_t i = 0; i < count; i++)
        put_le(&w->entries, (uint32_t)values[i], 4);
}

void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *values, size_t count)
{
    begin_array(w, key, GGUF_F32, count);
    for (size_t i = 0; i < count; i++)
        put_f32(&w->entries, values[i]);
}

void gguf_writer_raw(struct gguf_writer *w, const char *key, uint32_t type, struct bytes value)
{
    begin_entry(w, key, type);
    put(&w->entries, value.data, value.len);
}

void gguf_writer_info(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *extents,
                      uint64_t offset)
{
    put_string(&w->infos, bytes_text(name));
    put_le(&w->infos, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        put_le(&w->infos, extents[i], 8);
    put_le(&w->infos, type, 4);
    put_le(&w->infos, offset, 8);
    w->n_tensors++;
}

static void pad(struct gguf_writer_buf *b, size_t alignment)
{
    put(b, NULL, (alignment - b->len % alignment) % alignment);
}

void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                        const uint64_t *extents, const void *data, size_t bytes)
{
    pad(&w->data, w->alignment);
    gguf_writer_info(w, name, type, n_dims, extents, w->data.len);
    put(&w->data, data, bytes);
}

struct bytes gguf_writer_finish(struct gguf_writer *w)
{
    if (w->alignment != GGUF_ALIGNMENT_DEFAULT)
        gguf_writer_u32(w, "general.alignment", w->alignment);
    struct gguf_writer_buf file = { 0 };
    put(&file, "GGUF", 4);
    put_le(&file, w->version, 4);
    put_le(&file, w->n_tensors, 8);
    put_le(&file, w->n_entries, 8);
    put(&file, w->entries.data, w->entries.len);
    put(&file, w->infos.data, w->infos.len);
    pad(&file, w->alignment ? w->alignment : 1);
    put(&file, w->data.data, w->data.len);
    pad(&file, w->alignment ? w->alignment : 1);
    free(w->data.data);
    free(w->infos.data);
    free(w->entries.data);
    gguf_writer_init(w);
    return bytes_of(file.data, file.len);
}

void gguf_writer_free(struct bytes file) { free((void *)(uintptr_t)file.data); }

bool gguf_writer_save(struct bytes file, const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return false;
    bool ok = fwrite(file.data, 1, file.len, f) == file.len;
    return fclose(f) == 0 && ok;
}
