/* model.c - one view per weight. The file's tensors are sorted into slots by name; a tensor without a slot is refused,
 * because a weight that we ignore (a bias, an expert, a norm) would make the model answer nonsense without an error.
 */
#include "kernels/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/model_config.h"

/* Which number of the configuration an extent must equal. */
enum extent { EXTENT_ONE, EXTENT_DIM, EXTENT_Q, EXTENT_KV, EXTENT_FFN, EXTENT_VOCAB, EXTENT_ROPE_PAIRS };

struct slot {
    const char *name;           /* without "blk.N." */
    size_t offset;              /* in struct model or struct model_layer */
    enum extent in, out;        /* out == EXTENT_ONE: a vector, which must be F32 */
    bool optional;
};

static const struct slot model_slots[] = {
    { "token_embd.weight", offsetof(struct model, token_embd), EXTENT_DIM, EXTENT_VOCAB, false },
    { "output_norm.weight", offsetof(struct model, output_norm), EXTENT_DIM, EXTENT_ONE, false },
    { "output.weight", offsetof(struct model, output), EXTENT_DIM, EXTENT_VOCAB, true },
    { "rope_freqs.weight", offsetof(struct model, rope_freqs), EXTENT_ROPE_PAIRS, EXTENT_ONE, true },
};

static const struct slot layer_slots[] = {
    { "attn_norm.weight", offsetof(struct model_layer, attn_norm), EXTENT_DIM, EXTENT_ONE, false },
    { "attn_q.weight", offsetof(struct model_layer, attn_q), EXTENT_DIM, EXTENT_Q, false },
    { "attn_k.weight", offsetof(struct model_layer, attn_k), EXTENT_DIM, EXTENT_KV, false },
    { "attn_v.weight", offsetof(struct model_layer, attn_v), EXTENT_DIM, EXTENT_KV, false },
    { "attn_output.weight", offsetof(struct model_layer, attn_output), EXTENT_Q, EXTENT_DIM, false },
    { "ffn_norm.weight", offsetof(struct model_layer, ffn_norm), EXTENT_DIM, EXTENT_ONE, false },
    { "ffn_gate.weight", offsetof(struct model_layer, ffn_gate), EXTENT_DIM, EXTENT_FFN, false },
    { "ffn_up.weight", offsetof(struct model_layer, ffn_up), EXTENT_DIM, EXTENT_FFN, false },
    { "ffn_down.weight", offsetof(struct model_layer, ffn_down), EXTENT_FFN, EXTENT_DIM, false },
};

static uint64_t extent_of(const struct model_config *c, enum extent extent)
{
    switch (extent) {
    case EXTENT_ONE:
        return 1;
    case EXTENT_DIM:
        return c->dim;
    case EXTENT_Q:
        return (uint64_t)c->heads * c->head_dim;
    case EXTENT_KV:
        return (uint64_t)c->kv_heads * c->head_dim;
    case EXTENT_FFN:
        return c->ffn_dim;
    case EXTENT_VOCAB:
        return c->vocab;
    case EXTENT_ROPE_PAIRS:
        return c->rope_dims / 2;
    }
    return 0;
}

static const struct slot *find_slot(const struct slot *slots, size_t count, struct bytes name)
{
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(name, bytes_text(slots[i].name)))
            return &slots[i];
    return NULL;
}

/* "blk.17.attn_q.weight" -> 17 and "attn_q.weight". Numbers have no leading zero, so every name has one spelling. */
static bool split_layer_name(struct bytes name, uint32_t *layer, struct bytes *rest)
{
    if (name.len < 7 || memcmp(name.data, "blk.", 4) != 0)
        return false;
    size_t at = 4;
    uint32_t n = 0;
    while (at < name.len && at < 8 && name.data[at] >= '0' && name.data[at] <= '9')
        n = n * 10 + (uint32_t)(name.data[at++] - '0');
    if (at == 4 || at == name.len || name.data[at] != '.' || (name.data[4] == '0' && at > 5))
        return false;
    *layer = n;
    *rest = bytes_of(name.data + at + 1, name.len - at - 1);
    return true;
}

static enum err check_tensor(const struct model_config *c, const struct slot *slot, const struct gguf_tensor *t,
                             struct fault *why)
{
    const struct tensor *tensor = &t->tensor;
    const struct fault_name name = fault_name(t->name);
    uint64_t in = extent_of(c, slot->in), out = extent_of(c, slot->out);
    if (tensor->extents[0] != in || tensor->extents[1] != out || tensor->extents[2] != 1 || tensor->extents[3] != 1)
        return fault_set(why, ERR_FORMAT, "tensor '%s' has the shape %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
                         ", expected %" PRIu64 " x %" PRIu64, name.text, tensor->extents[0], tensor->extents[1],
                         tensor->extents[2], tensor->extents[3], in, out);
    if (slot->out == EXTENT_ONE && tensor->type != TENSOR_F32)
        return fault_set(why, ERR_UNSUPPORTED, "tensor '%s' is %s, but norms and factors must be F32", name.text,
                         tensor_type_name(tensor->type));
    if (!tensor_type_is_computable(tensor->type))
        return fault_set(why, ERR_UNSUPPORTED, "tensor '%s' has the type %s, which this version does not compute",
                         name.text, tensor_type_name(tensor->type));
    return OK;
}

static enum err place(struct model *m, const struct gguf_tensor *t, struct fault *why)
{
    uint32_t layer;
    struct bytes rest;
    const struct slot *slot;
    uint8_t *base;
    if (split_layer_name(t->name, &layer, &rest) && layer < m->config.layers) {
        slot = find_slot(layer_slots, ARRAY_COUNT(layer_slots), rest);
        base = (uint8_t *)&m->layers[layer];
    } else {
        slot = find_slot(model_slots, ARRAY_COUNT(model_slots), t->name);
        base = (uint8_t *)m;
    }
    if (!slot)
        return fault_set(why, ERR_UNSUPPORTED, "tensor '%s' has no place in a llama model of %" PRIu32
                         " layers as this version computes it", fault_name(t->name).text, m->config.layers);
    enum err e = check_tensor(&m->config, slot, t, why);
    if (e == OK)
        memcpy(base + slot->offset, &t->tensor, sizeof t->tensor);
    return e;
}

static const char *first_missing(const uint8_t *base, const struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct tensor t;
        memcpy(&t, base + slots[i].offset, sizeof t);
        if (t.bytes == 0 && !slots[i].optional)
            return slots[i].name;
    }
    return NULL;
}

static enum err check_complete(const struct model *m, struct fault *why)
{
    const char *missing = first_missing((const uint8_t *)m, model_slots, ARRAY_COUNT(model_slots));
    if (missing)
        return fault_set(why, ERR_FORMAT, "the tensor '%s' is missing", missing);
    for (uint32_t i = 0; i < m->config.layers; i++) {
        missing = first_missing((const uint8_t *)&m->layers[i], layer_slots, ARRAY_COUNT(layer_slots));
        if (missing)
            return fault_set(why, ERR_FORMAT, "the tensor 'blk.%" PRIu32 ".%s' is missing", i, missing);
    }
    return OK;
}

/* Everything but the presence of data, which model_open() demands and model_open_header() does without. */
static enum err open_checked(const struct gguf *g, struct model *out, struct fault *why)
{
    struct model m = { .layers = NULL };
    enum err e = model_config_read(g, &m.config, why);
    if (e != OK)
        return e;
    m.layers = calloc(m.config.layers, sizeof *m.layers);
    if (!m.layers)
        return fault_set(why, ERR_MEMORY, "out of memory while opening the model");
    for (size_t i = 0; i < g->n_tensors && e == OK; i++)
        e = place(&m, &g->tensors[i], why);
    if (e == OK)
        e = check_complete(&m, why);
    if (e != OK) {
        model_close(&m);
        return e;
    }
    m.config.tied = m.output.bytes == 0;
    if (m.config.tied)
        m.output = m.token_embd;
    *out = m;
    return OK;
}

enum err model_open(const struct gguf *g, struct model *out, struct fault *why)
{
    if (g->header_only)
        return fault_set(why, ERR_ARG, "only the header of this model is here, not its weights");
    if ((uintptr_t)g->header.data % GGUF_ALIGNMENT_MIN != 0)
        return fault_set(why, ERR_ARG, "the model's bytes must begin at an address that is a multiple of %d",
                         GGUF_ALIGNMENT_MIN);
    return open_checked(g, out, why);
}

enum err model_open_header(const struct gguf *g, struct model_config *out, struct fault *why)
{
    struct model m;
    enum err e = open_checked(g, &m, why);
    if (e != OK)
        return e;
    *out = m.config;
    model_close(&m);
    return OK;
}

void model_close(struct model *m)
{
    free(m->layers);
    *m = (struct model){ .layers = NULL };
}
