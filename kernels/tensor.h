/* tensor.h - what lies in memory: element type, shape, and how many bytes that is.
 *
 * A tensor here is a read-only view of bytes that somebody else keeps (normally a mapped model file). Extent 0 is the
 * contiguous one: a weight matrix that maps `in` values to `out` values has extents { in, out }, row r begins at
 * data + r * tensor_row_bytes(), and a row is a whole number of blocks.
 *
 * Quantised types store blocks: `block_len` values in `block_bytes` bytes. This table knows the size of every type
 * that GGUF has, so that a file can be checked and described completely; what can be *computed* with is less
 * (tensor_type_is_computable), and a model that needs more is refused by name when it is opened.
 *
 * Threads: pure; any thread. Every size is computed in 64 bits and checked: models are larger than 2^32 bytes.
 */
#ifndef TALLYMESH_KERNELS_TENSOR_H
#define TALLYMESH_KERNELS_TENSOR_H

#include "crypto/base.h"

/* name, GGUF id, values per block, bytes per block. Ids 4, 5, 31-33 and 36-38 were withdrawn from the format. */
#define TENSOR_TYPE_TABLE(X)                                                                                           \
    X(F32, 0, 1, 4)                                                                                                    \
    X(F16, 1, 1, 2)                                                                                                    \
    X(Q4_0, 2, 32, 18)                                                                                                 \
    X(Q4_1, 3, 32, 20)                                                                                                 \
    X(Q5_0, 6, 32, 22)                                                                                                 \
    X(Q5_1, 7, 32, 24)                                                                                                 \
    X(Q8_0, 8, 32, 34)                                                                                                 \
    X(Q8_1, 9, 32, 36)                                                                                                 \
    X(Q2_K, 10, 256, 84)                                                                                               \
    X(Q3_K, 11, 256, 110)                                                                                              \
    X(Q4_K, 12, 256, 144)                                                                                              \
    X(Q5_K, 13, 256, 176)                                                                                              \
    X(Q6_K, 14, 256, 210)                                                                                              \
    X(Q8_K, 15, 256, 292)                                                                                              \
    X(IQ2_XXS, 16, 256, 66)                                                                                            \
    X(IQ2_XS, 17, 256, 74)                                                                                             \
    X(IQ3_XXS, 18, 256, 98)                                                                                            \
    X(IQ1_S, 19, 256, 50)                                                                                              \
    X(IQ4_NL, 20, 32, 18)                                                                                              \
    X(IQ3_S, 21, 256, 110)                                                                                             \
    X(IQ2_S, 22, 256, 82)                                                                                              \
    X(IQ4_XS, 23, 256, 136)                                                                                            \
    X(I8, 24, 1, 1)                                                                                                    \
    X(I16, 25, 1, 2)                                                                                                   \
    X(I32, 26, 1, 4)                                                                                                   \
    X(I64, 27, 1, 8)                                                                                                   \
    X(F64, 28, 1, 8)                                                                                                   \
    X(IQ1_M, 29, 256, 56)                                                                                              \
    X(BF16, 30, 1, 2)                                                                                                  \
    X(TQ1_0, 34, 256, 54)                                                                                              \
    X(TQ2_0, 35, 256, 66)                                                                                              \
    X(MXFP4, 39, 32, 17)                                                                                               \
    X(NVFP4, 40, 64, 36)                                                                                               \
    X(Q1_0, 41, 128, 18)                                                                                               \
    X(Q2_0, 42, 64, 18)

enum tensor_type {
#define X(name, id, len, size) TENSOR_##name = id,
    TENSOR_TYPE_TABLE(X)
#undef X
};

enum { TENSOR_DIMS_MAX = 4 };

struct tensor {
    enum tensor_type type;
    uint32_t n_dims;                      /* 1..4; extents beyond it are 1 */
    uint64_t extents[TENSOR_DIMS_MAX];    /* extents[0] is contiguous; none is 0 */
    const uint8_t *data;                  /* NULL: absent (header only, or no such tensor) */
    uint64_t bytes;                       /* size of the whole tensor, known even while data is NULL */
};

/* True if `id` is a type in the table above. */
bool tensor_type_is_known(uint32_t id);
/* True if the engine computes with it in this version: F32, F16, BF16 and what block_format() knows. */
bool tensor_type_is_computable(enum tensor_type type);
/* "Q8_0"; "?" for what is not in the table. Static storage. */
const char *tensor_type_name(uint32_t id);
/* Values per block and bytes per block; 0 for what is not in the table. */
uint32_t tensor_type_block_len(enum tensor_type type);
uint32_t tensor_type_block_bytes(enum tensor_type type);

/* Fills `out` with the shape and its size, data NULL. ERR_UNSUPPORTED: unknown type; ERR_FORMAT: n_dims not 1..4, an
 * extent of 0, or a row that is no whole number of blocks; ERR_OVERFLOW: 2^63 values or bytes, or more. */
enum err tensor_init(struct tensor *out, uint32_t type_id, uint32_t n_dims,
                     const uint64_t extents[TENSOR_DIMS_MAX]) MUST_CHECK;

/* Rows of extents[0] values each: the product of the other extents. */
uint64_t tensor_rows(const struct tensor *t);
/* Bytes from one row to the next; rows touch each other. */
uint64_t tensor_row_bytes(const struct tensor *t);

#endif
