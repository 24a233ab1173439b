/* gguf.c - one checked walk through a GGUF header.
 *
 * The order matters for safety: a count is compared with the bytes that are left before it sizes anything, so that the
 * tables never get larger than a small multiple of the file itself.
 *
 *   magic, version, counts -> entries (keys unique) -> alignment -> tensor infos (names unique) -> data_start
 *   -> tensor offsets: aligned, ascending without overlap, inside the file
 */
#include "kernels/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gguf_cursor.h"

enum {
    ENTRY_BYTES_MIN = 8 + 1 + 4 + 1,            /* key of one byte, type, a value of one byte */
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8    /* name of one byte, n_dims, one extent, type, offset */
};

static enum err truncated(const struct gguf_cursor *c, struct bytes file, struct fault *why, const char *where)
{
    if (c->in.len < file.len)
        return fault_set(why, ERR_TOO_LARGE, "the header is larger than %d MiB", GGUF_HEADER_BYTES_MAX >> 20);
    return fault_set(why, ERR_FORMAT, "the file ends after %zu bytes, in the middle of %s", file.len, where);
}

static enum err read_preamble(struct gguf_cursor *c, struct bytes file, struct gguf *g, struct fault *why)
{
    struct bytes magic = gguf_cursor_take(c, 4);
    if (!c->ok)
        return truncated(c, file, why, "the magic number");
    if (!bytes_equal(magic, bytes_text("GGUF")))
        return fault_set(why, ERR_FORMAT, "not a GGUF file: it begins with '%s'", fault_name(magic).text);
    g->version = gguf_cursor_u32(c);
    uint64_t n_tensors = gguf_cursor_u64(c), n_entries = gguf_cursor_u64(c);
    if (!c->ok)
        return truncated(c, file, why, "the counts");
    if (g->version == 0x02000000u || g->version == 0x03000000u)
        return fault_set(why, ERR_VERSION, "a big-endian GGUF file (version bytes are reversed) is not supported");
    if (g->version != 2 && g->version != 3)
        return fault_set(why, ERR_VERSION, "GGUF version %" PRIu32 " is not supported, only 2 and 3", g->version);
    if (n_entries > GGUF_ENTRIES_MAX)
        return fault_set(why, ERR_TOO_LARGE, "the file announces %" PRIu64 " metadata entries, more than %d", n_entries,
                         GGUF_ENTRIES_MAX);
    if (n_tensors > GGUF_TENSORS_MAX)
        return fault_set(why, ERR_TOO_LARGE, "the file announces %" PRIu64 " tensors, more than %d", n_tensors,
                         GGUF_TENSORS_MAX);
    if (n_entries * ENTRY_BYTES_MIN + n_tensors * TENSOR_BYTES_MIN > gguf_cursor_left(c))
        return fault_set(why, ERR_FORMAT,
                         "the file announces %" PRIu64 " metadata entries and %" PRIu64
                         " tensors, but has only %zu bytes",
                         n_entries, n_tensors, file.len);
    g->n_entries = (size_t)n_entries;
    g->n_tensors = (size_t)n_tensors;
    return OK;
}

/* Stored bytes of one scalar; 0 for strings, arrays and what is no type at all. */
static size_t scalar_bytes(uint32_t type)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL:
        return 1;
    case GGUF_U16:
    case GGUF_I16:
        return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32:
        return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64:
        return 8;
    }
    return 0;
}

/* Takes `count` elements of one type; false with c->ok still true means a boolean that is neither 0 nor 1. */
static bool take_elements(struct gguf_cursor *c, uint32_t type, uint64_t count, struct bytes *out)
{
    size_t start = c->at;
    if (type == GGUF_STRING) {
        if (count > gguf_cursor_left(c) / 8)
            c->ok = false;
        for (uint64_t i = 0; i < count && c->ok; i++)
            (void)gguf_cursor_string(c);
    } else if (count > gguf_cursor_left(c) / scalar_bytes(type)) {
        c->ok = false;
    } else {
        (void)gguf_cursor_take(c, count * scalar_bytes(type));
    }
    if (!c->ok)
        return true;
    *out = bytes_of(c->at > start ? c->in.data + start : NULL, c->at - start);
    if (type == GGUF_BOOL)
        for (size_t i = 0; i < out->len; i++)
            if (out->data[i] > 1)
                return false;
    return true;
}

static enum err read_entry(struct gguf_cursor *c, struct bytes file, struct gguf_entry *e, struct fault *why)
{
    e->key = gguf_cursor_string(c);
    uint32_t type = gguf_cursor_u32(c), element = type;
    if (!c->ok)
        return truncated(c, file, why, "a metadata key");
    if (e->key.len == 0 || e->key.len > GGUF_KEY_BYTES_MAX)
        return fault_set(why, ERR_FORMAT, "a metadata key has %zu bytes, allowed are 1 to %d", e->key.len,
                         GGUF_KEY_BYTES_MAX);
    const struct fault_name key = fault_name(e->key);
    e->count = 1;
    if (type == GGUF_ARRAY) {
        element = gguf_cursor_u32(c);
        e->count = gguf_cursor_u64(c);
        if (!c->ok)
            return truncated(c, file, why, "the head of an array");
        if (element == GGUF_ARRAY)
            return fault_set(why, ERR_UNSUPPORTED, "metadata '%s' is an array of arrays", key.text);
    }
    if (element != GGUF_STRING && scalar_bytes(element) == 0)
        return fault_set(why, ERR_FORMAT, "metadata '%s' has the unknown value type %" PRIu32, key.text, element);
    if (element == GGUF_STRING && type == GGUF_STRING) {
        e->value = gguf_cursor_string(c);
    } else if (!take_elements(c, element, e->count, &e->value)) {
        return fault_set(why, ERR_FORMAT, "metadata '%s' holds a boolean that is neither 0 nor 1", key.text);
    }
    if (!c->ok && c->in.len == file.len)
        return fault_set(why, ERR_FORMAT, "metadata '%s' (%" PRIu64 " values of type %" PRIu32
                         ") does not fit into the file of %zu bytes", key.text, e->count, element, file.len);
    if (!c->ok)
        return truncated(c, file, why, "metadata");
    e->type = (enum gguf_type)type;
    e->element = (enum gguf_type)element;
    return OK;
}

static enum err read_entries(struct gguf_cursor *c, struct bytes file, struct gguf *g, struct fault *why)
{
    for (size_t i = 0; i < g->n_entries; i++) {
        enum err e = read_entry(c, file, &g->entries[i], why);
        if (e != OK)
            return e;
    }
    return OK;
}

static enum err read_tensor(struct gguf_cursor *c, struct bytes file, struct gguf_tensor *t, struct fault *why)
{
    t->name = gguf_cursor_string(c);
    uint32_t n_dims = gguf_cursor_u32(c);
    if (!c->ok)
        return truncated(c, file, why, "a tensor's name");
    if (t->name.len == 0 || t->name.len > GGUF_TENSOR_NAME_BYTES_MAX)
        return fault_set(why, ERR_FORMAT, "a tensor's name has %zu bytes, allowed are 1 to %d", t->name.len,
                         GGUF_TENSOR_NAME_BYTES_MAX);
    const struct fault_name name = fault_name(t->name);
    if (n_dims < 1 || n_dims > TENSOR_DIMS_MAX)
        return fault_set(why, ERR_FORMAT, "tensor '%s' has %" PRIu32 " dimensions, allowed are 1 to %d", name.text,
                         n_dims, TENSOR_DIMS_MAX);
    uint64_t extents[TENSOR_DIMS_MAX] = { 1, 1, 1, 1 };
    for (uint32_t i = 0; i < n_dims; i++)
        extents[i] = gguf_cursor_u64(c);
    uint32_t type = gguf_cursor_u32(c);
    t->offset = gguf_cursor_u64(c);
    if (!c->ok)
        return truncated(c, file, why, "a tensor's description");
    enum err e = tensor_init(&t->tensor, type, n_dims, extents);
    if (e == ERR_UNSUPPORTED)
        return fault_set(why, e, "tensor '%s' has the unknown type %" PRIu32, name.text, type);
    if (e == ERR_OVERFLOW)
        return fault_set(why, e, "tensor '%s' has 2^63 values or bytes, or more", name.text);
    if (e != OK)
        return fault_set(why, e, "tensor '%s': a row of %" PRIu64 " values is no whole number of blocks of %s, or an "
                         "extent is 0", name.text, extents[0], tensor_type_name(type));
    return OK;
}

static enum err read_tensors(struct gguf_cursor *c, struct bytes file, struct gguf *g, struct fault *why)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        enum err e = read_tensor(c, file, &g->tensors[i], why);
        if (e != OK)
            return e;
    }
    return OK;
}

static int compare_names(const void *a, const void *b)
{
    const struct bytes *x = a, *y = b;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return memcmp(x->data, y->data, x->len);
}

/* Sorts `names` (scratch) and refuses neighbours that are equal. */
static enum err check_unique(struct bytes *names, size_t count, const char *what, struct fault *why)
{
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++)
        if (bytes_equal(names[i - 1], names[i]))
            return fault_set(why, ERR_FORMAT, "the %s '%s' appears twice", what, fault_name(names[i]).text);
    return OK;
}

static enum err check_names(const struct gguf *g, struct fault *why)
{
    size_t most = g->n_entries > g->n_tensors ? g->n_entries : g->n_tensors;
    struct bytes *names = calloc(most + 1, sizeof *names);
    if (!names)
        return fault_set(why, ERR_MEMORY, "out of memory while checking names");
    for (size_t i = 0; i < g->n_entries; i++)
        names[i] = g->entries[i].key;
    enum err e = check_unique(names, g->n_entries, "metadata key", why);
    if (e == OK) {
        for (size_t i = 0; i < g->n_tensors; i++)
            names[i] = g->tensors[i].name;
        e = check_unique(names, g->n_tensors, "tensor", why);
    }
    free(names);
    return e;
}

static enum err read_alignment(struct gguf *g, struct fault *why)
{
    uint32_t alignment = GGUF_ALIGNMENT_DEFAULT;
    enum err e = gguf_get_u32(g, "general.alignment", &alignment);
    if (e != OK && e != ERR_NOT_FOUND)
        return fault_set(why, ERR_FORMAT, "general.alignment is not an integer");
    if (alignment < GGUF_ALIGNMENT_MIN || alignment > GGUF_ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)
        return fault_set(why, ERR_FORMAT, "general.alignment is %" PRIu32 ", not a power of two from %d to %d", alignment,
                         GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    g->alignment = alignment;
    return OK;
}

/* Splits the file at data_start. A file without tensors may end without the padding. */
static enum err find_data(struct gguf *g, struct bytes file, size_t header_end, struct fault *why)
{
    uint64_t data_start = ((uint64_t)header_end + g->alignment - 1) & ~((uint64_t)g->alignment - 1);
    if (data_start > file.len && g->n_tensors > 0)
        return fault_set(why, ERR_FORMAT, "the file ends after %zu bytes, before the padding of the header at %" PRIu64,
                         file.len, data_start);
    g->data_start = data_start < file.len ? data_start : file.len;
    g->header = bytes_of(file.data, (size_t)g->data_start);
    size_t rest = g->header_only ? 0 : file.len - (size_t)g->data_start;
    g->data = bytes_of(rest ? file.data + g->data_start : NULL, rest);
    return OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct gguf_tensor *x = *(struct gguf_tensor *const *)a, *y = *(struct gguf_tensor *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static enum err place_tensor(struct gguf *g, struct gguf_tensor *t, const struct gguf_tensor *before, struct fault *why)
{
    const struct fault_name name = fault_name(t->name);
    if (t->offset % g->alignment != 0)
        return fault_set(why, ERR_FORMAT, "tensor '%s' begins at %" PRIu64 ", no multiple of the alignment %" PRIu32,
                         name.text, t->offset, g->alignment);
    if (t->offset > (uint64_t)INT64_MAX - t->tensor.bytes)
        return fault_set(why, ERR_OVERFLOW, "tensor '%s' ends beyond 2^63", name.text);
    if (before && before->offset + before->tensor.bytes > t->offset)
        return fault_set(why, ERR_FORMAT, "tensor '%s' overlaps tensor '%s'", name.text, fault_name(before->name).text);
    g->data_bytes = t->offset + t->tensor.bytes;
    if (g->header_only)
        return OK;
    if (g->data_bytes > g->data.len)
        return fault_set(why, ERR_FORMAT, "tensor '%s' ends at byte %" PRIu64 " of the tensor data, but there are only "
                         "%zu: the file is cut off", name.text, g->data_bytes, g->data.len);
    t->tensor.data = g->data.data + t->offset;
    return OK;
}

static enum err place_tensors(struct gguf *g, struct fault *why)
{
    struct gguf_tensor **order = calloc(g->n_tensors + 1, sizeof(*order));
    if (!order)
        return fault_set(why, ERR_MEMORY, "out of memory while checking tensors");
    for (size_t i = 0; i < g->n_tensors; i++)
        order[i] = &g->tensors[i];
    qsort(order, g->n_tensors, sizeof(*order), compare_offsets);
    enum err e = OK;
    for (size_t i = 0; i < g->n_tensors && e == OK; i++)
        e = place_tensor(g, order[i], i ? order[i - 1] : NULL, why);
    free(order);
    return e;
}

static enum err read_all(struct gguf_cursor *c, struct bytes file, struct gguf *g, struct fault *why)
{
    enum err e = read_entries(c, file, g, why);
    if (e == OK)
        e = read_tensors(c, file, g, why);
    if (e == OK)
        e = check_names(g, why);
    if (e == OK)
        e = read_alignment(g, why);
    if (e == OK)
        e = find_data(g, file, c->at, why);
    if (e == OK)
        e = place_tensors(g, why);
    return e;
}

enum err gguf_open(struct bytes file, bool header_only, struct gguf *out, struct fault *why)
{
    struct bytes front = bytes_of(file.data, file.len < GGUF_HEADER_BYTES_MAX ? file.len : GGUF_HEADER_BYTES_MAX);
    struct gguf_cursor c = { .in = front, .ok = true };
    struct gguf g = { .header_only = header_only };
    enum err e = read_preamble(&c, file, &g, why);
    if (e != OK)
        return e;
    g.entries = calloc(g.n_entries + 1, sizeof *g.entries);
    g.tensors = calloc(g.n_tensors + 1, sizeof *g.tensors);
    if (!g.entries || !g.tensors)
        e = fault_set(why, ERR_MEMORY, "out of memory while reading the header");
    else
        e = read_all(&c, file, &g, why);
    if (e != OK) {
        gguf_close(&g);
        return e;
    }
    *out = g;
    return OK;
}

void gguf_close(struct gguf *g)
{
    free(g->tensors);
    free(g->entries);
    *g = (struct gguf){ 0 };
}
