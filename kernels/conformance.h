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
    X(QUANTIZE, 0xd05cbe6223d4cdd1)                                                                                    \
    X(QUANTIZE_HEAD, 0x8166f186eca8ee6b)                                                                               \
    X(MATMUL_Q8_0, 0x12e26a2bb5864c7c)                                                                                 \
    X(MATMUL_Q4_0, 0x076df51fd9baea1b)                                                                                 \
    X(MATMUL_Q4_1, 0x7efcaa617199e31b)                                                                                 \
    X(MATMUL_Q5_0, 0xa7fe62ab9c587acd)                                                                                 \
    X(MATMUL_Q5_1, 0x44e07aa0f24911e3)                                                                                 \
    X(MATMUL_IQ4_NL, 0x7744266fa10b02b8)                                                                               \
    X(MATMUL_MXFP4, 0x05b552662cd0aebe)                                                                                \
    X(MATMUL_Q2_K, 0x497f1f54cd2a5171)                                                                                 \
    X(MATMUL_Q3_K, 0x53fa25ca20fbd7db)                                                                                 \
    X(MATMUL_Q4_K, 0x704b62c7d6a85ea0)                                                                                 \
    X(MATMUL_Q5_K, 0xd02f3706e96d57d0)                                                                                 \
    X(MATMUL_Q6_K, 0xdc80eb9bb3a85a70)                                                                                 \
    X(MATMUL_IQ4_XS, 0x494ebdbc14eee30f)                                                                               \
    X(MATMUL_BF16, 0xd0d3d6b38ff665a0)                                                                                 \
    X(MATMUL_F16, 0x833b7e0418baa06b)                                                                                  \
    X(MATMUL_F32, 0xef499eedbca27c7e)                                                                                  \
    X(RMSNORM, 0x196a9fa363479a07)                                                                                     \
    X(GATE, 0x5261ebf225cbb7cd)                                                                                        \
    X(ADD, 0x50f4461c907c6b69)                                                                                         \
    X(ROPE, 0x3d81031fbf1a3597)                                                                                        \
    X(ATTN_SCORES, 0xaf52c557632940ce)                                                                                 \
    X(ATTN_SOFTMAX, 0x0c75dad4af3297a5)                                                                                \
    X(ATTN_VALUES, 0xc0f253c4c05b10e8)                                                                                 \
    X(ATTN_FOLD, 0x7156aea6a4a654bc)                                                                                   \
    X(ATTN_MERGE, 0x6c646f6321ca961f)                                                                                  \
    X(EXP2, 0x41d54cde2dcf1369)                                                                                        \
    X(EXP, 0x65dd4faa0ad8602a)                                                                                         \
    X(LN, 0xc8d7fe4a2ff0a2e4)                                                                                          \
    X(ROTATION, 0x9d8f438155284f74)                                                                                    \
    X(SAMPLER, 0x11ddcb04ddf6a25e)

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
