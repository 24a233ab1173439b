/* dot_avx512.h - the three instructions that the AVX-512 products are made of, in the order in which they are written.
 *
 * Not the intrinsics: around loops gcc 12 copies their accumulators between registers (docs/kernels.md has what that
 * costs), and it gathers the prefetches of an unrolled block at its beginning, where a dozen of them fill the
 * queue to memory and the products wait. They are volatile for that order alone; what they read and write is in
 * registers.
 *
 * Threads: pure.
 */
#ifndef TALLYMESH_KERNELS_DOT_AVX512_H
#define TALLYMESH_KERNELS_DOT_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Four products of unsigned and signed bytes per lane: vpdpbusd. */
ALWAYS_INLINE void add_products(__m512i *sum, __m512i weights, __m512i inputs)
{
    __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(weights), "v"(inputs));
}

/* Two products of signed words per lane: vpdpwssd. */
ALWAYS_INLINE void add_word_products(__m512i *sum, __m512i a, __m512i b)
{
    __asm__ volatile("vpdpwssd %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
}

/* The line at this address will be needed. Not a pointer: it may lie behind the end of what is read. */
ALWAYS_INLINE void fetch_line(uintptr_t address) { __asm__ volatile("prefetcht0 (%0)" : : "r"(address)); }

#endif
