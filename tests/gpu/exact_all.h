/* exact_all.h - the elementary functions of a CUDA device, many values at a time: y[i] = function(first + i * step).
 *
 * The counter is the bits of the argument but where the table says otherwise.
 *
 * Threads: one launch in the default stream.
 * Spec:    NV1 1, 2
 */
#ifndef TALLYMESH_TESTS_GPU_EXACT_ALL_H
#define TALLYMESH_TESTS_GPU_EXACT_ALL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum exact_function {
    EXACT_EXP2,                          /* NV1 2.1 */
    EXACT_EXP,                           /* 2.2 */
    EXACT_POW2,                          /* 2.3 of minus the counter as a number */
    EXACT_LN1P,                          /* 2.4 */
    EXACT_LN,                            /* 2.5 */
    EXACT_SILU,                          /* 2.6 */
    EXACT_CEIL,                          /* 7.3, the least integer not below */
    EXACT_ROUND,                         /* rne() into an integer, as its bits */
    EXACT_HALF,                          /* 1.5; the counter is the half's bits */
    EXACT_SQRT,                          /* 1.2, and so on */
    EXACT_RECIPROCAL,                    /* 1 / x */
    EXACT_SHARE,                         /* x / 127 */
    EXACT_PRODUCT,                       /* x * 0.7: subnormals are rounded, not flushed */
    EXACT_SUM,                           /* x + 1 */
    EXACT_FUSED,                         /* x * x + 2^-126 */
    EXACT_FUNCTIONS
};

void exact_all(enum exact_function function, uint32_t first, uint32_t step, uint32_t n, float *y);

#ifdef __cplusplus
}
#endif

#endif
