/* model_id.h - what is a model's name, so that a header from a stranger can be checked against it?
 *
 *   header hash = H("header", GGUF bytes before the tensor data)
 *   tensor hash = H("tensors", the tensor data)
 *   model id    = H("model", header hash || tensor hash)
 *
 * Whoever knows the id and is given header and tensor hash can check the header without holding the weights.
 *
 * Owns: nothing. Threads: pure.
 * Spec: PROTO 8.1
 */
#ifndef TALLYMESH_NODE_MODEL_ID_H
#define TALLYMESH_NODE_MODEL_ID_H

#include "crypto/hash.h"

#define MODEL_HEADER_DOMAIN "header"
#define MODEL_TENSORS_DOMAIN "tensors"

static inline struct hash model_header_hash(struct bytes header) { return hash_of(MODEL_HEADER_DOMAIN, header); }
static inline struct hash model_id_of(const struct hash *header_hash, const struct hash *tensor_hash)
{
    struct hasher h;
    struct hash out;
    hasher_init(&h, "model");
    hasher_add_hash(&h, header_hash);
    hasher_add_hash(&h, tensor_hash);
    hasher_finish(&h, &out);
    return out;
}

#endif
