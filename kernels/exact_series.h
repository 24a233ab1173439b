/* exact_series.h - the coefficients of NV1's two exponentials, lowest degree first: initialisers of a float[8].
 *
 * Every backend evaluates them in its own registers; what the law says stands here once. No types, so that kernels for
 * a GPU can have it too.
 * Units:   none.
 * Spec:    NV1 2.1, 2.2
 */
#ifndef TALLYMESH_KERNELS_EXACT_SERIES_H
#define TALLYMESH_KERNELS_EXACT_SERIES_H

#define EXACT_EXP2_SERIES                                                                                              \
    { 0x1p+0f, 0x1.62e43p-1f, 0x1.ebfbep-3f, 0x1.c6b08ep-5f, 0x1.3b2ab6p-7f, 0x1.5d87fep-10f, 0x1.430912p-13f,          \
      0x1.ffcbfcp-17f }
#define EXACT_EXP_SERIES                                                                                               \
    { 0x1p+0f, 0x1p+0f, 0x1p-1f, 0x1.555556p-3f, 0x1.555556p-5f, 0x1.111112p-7f, 0x1.6c16c2p-10f, 0x1.a01a02p-13f }

#endif
