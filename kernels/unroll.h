/* unroll.h - a loop with a small constant count, written out. Accumulators in arrays stay in registers only then, and -O2
 * alone does not do it. */
#ifndef TALLYMESH_KERNELS_UNROLL_H
#define TALLYMESH_KERNELS_UNROLL_H

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
