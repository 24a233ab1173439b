/* tensor.c - the size table of GGUF's element types and checked shape arithmetic. */
#include "kernels/tensor.h"

#include "kernels/blocks.h"

static const struct type_row {
    const char *name;
    uint32_t id, block_len, block_bytes;
} types[] = {
#define X(name, id, len, size) { #name, id, len, size },
    TENSOR_TYPE_TABLE(X)
#undef X
};

static const struct type_row *find_type(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}

bool tensor_type_is_known(uint32_t id) { return find_type(id) != NULL; }

bool tensor_type_is_computable(enum tensor_type type)
{
    return type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16 || block_format(type);
}

const char *tensor_type_name(uint32_t id)
{
    const struct type_row *row = find_type(id);
    return row ? row->name : "?";
}

uint32_t tensor_type_block_len(enum tensor_type type)
{
    const struct type_row *row = find_type((uint32_t)type);
    return row ? row->block_len : 0;
}

uint32_t tensor_type_block_bytes(enum tensor_type type)
{
    const struct type_row *row = find_type((uint32_t)type);
    return row ? row->block_bytes : 0;
}

/* a * b, or false if that is 2^63 or more: sizes stay positive in every signed 64-bit type too. */
static bool multiply(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b != 0 && a > (uint64_t)INT64_MAX / b)
        return false;
    *out = a * b;
    return true;
}

enum err tensor_init(struct tensor *out, uint32_t type_id, uint32_t n_dims, const uint64_t extents[TENSOR_DIMS_MAX])
{
    const struct type_row *row = find_type(type_id);
    if (!row)
        return ERR_UNSUPPORTED;
    if (n_dims < 1 || n_dims > TENSOR_DIMS_MAX)
        return ERR_FORMAT;
    struct tensor t = { .type = (enum tensor_type)type_id, .n_dims = n_dims, .extents = { 1, 1, 1, 1 } };
    uint64_t values = 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        if (extents[i] == 0)
            return ERR_FORMAT;
        if (!multiply(values, extents[i], &values))
            return ERR_OVERFLOW;
        t.extents[i] = extents[i];
    }
    if (extents[0] % row->block_len != 0)
        return ERR_FORMAT;
    if (!multiply(values / row->block_len, row->block_bytes, &t.bytes))
        return ERR_OVERFLOW;
    *out = t;
    return OK;
}

uint64_t tensor_rows(const struct tensor *t) { return t->extents[1] * t->extents[2] * t->extents[3]; }

uint64_t tensor_row_bytes(const struct tensor *t)
{
    return t->extents[0] / tensor_type_block_len(t->type) * tensor_type_block_bytes(t->type);
}
