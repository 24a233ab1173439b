/* conformance.h - one number per operation: a digest of what a backend makes of built-in inputs.
 *
 * The inputs come from a seeded generator and include zeros, subnormals, huge values and odd lengths. The expected
 * numbers were written by the scalar reference; they let a node ask, without a model and within milliseconds, whether
 * compiler, processor and settings still obey NV1. They are not a proof: that is tests/kernels/.
 *
 * Threads: pure; any thread.
 * Spec:    NV1 13
 */
#ifndef TALLYMESH_KERNELS_CONFORMANCE_H
#define TALLYMESH_KERNELS_CONFORMANCE_H

#include "crypto/base.h"
#include "kernels/ops.h"

/* name, expected digest */
#define CONFORMANCE_TABLE(X)                                                                                           \
    X(QUANTIZE, 0xb124c587df54d2e3)                                                                                    \
    X(QUANTIZE_HEAD, 0x3245a9f9d812ba5f)                                                                               \
    X(MATMUL_Q8, 0xb0f6c8e7e42bec6a)                                                                                   \
    X(MATMUL_F16, 0x8aa0e5fd9d6093dc)                                                                                  \
    X(MATMUL_F32, 0xebcbc3f5087a71e5)                                                                                  \
    X(RMSNORM, 0xc4d02e13b47c5c6d)                                                                                     \
    X(GATE, 0xbf35ba4c17676b1f)                                                                                        \
    X(ADD, 0x20473ffabc798fde)                                                                                         \
    X(ROPE, 0xd4b56c4ff169f003)                                                                                        \
    X(ATTN_SCORES, 0xc6f5f11897214a91)                                                                                 \
    X(ATTN_SOFTMAX, 0x66c9c67ad48782f9)                                                                                \
    X(ATTN_VALUES, 0x30120b61400dfd6a)                                                                                 \
    X(ATTN_FOLD, 0xaa381921377da8cf)                                                                                   \
    X(ATTN_MERGE, 0xd99c293233e3669e)                                                                                  \
    X(EXP2, 0x33624fee7b7cba21)                                                                                        \
    X(EXP, 0x609ce101c43183e2)                                                                                         \
    X(LN, 0x994c6914362500c2)                                                                                          \
    X(ROTATION, 0x56a6183776dabef6)                                                                                    \
    X(SAMPLER, 0xa6b9f611230b56aa)

enum conformance_case {
#define X(name, digest) CONFORMANCE_##name,
    CONFORMANCE_TABLE(X)
#undef X
    CONFORMANCE_COUNT
};

const char *conformance_name(enum conformance_case c);
uint64_t conformance_expected(enum conformance_case c);
uint64_t conformance_digest(const struct ops *ops, enum conformance_case c);

#endif
