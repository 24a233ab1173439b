/* pack.h - where does a value of a matrix lie in the memory of a CUDA device?
 *
 * Shared by the packer (pack.c, on the host) and the kernels. Rows go in groups of 16; a group's bytes touch each other, and
 * rows beyond the last are zero.
 *
 * F32, F16, BF16: a row is as long as stored, rounded up to 16 bytes. Within each whole block of 256 value 32 i + l lies at
 * 8 l + i, so that lane l of a warp finds its eight values side by side (NV1 4.3); the values after the last whole block
 * lie as stored.
 */
#ifndef TALLYMESH_KERNELS_CUDA_PACK_H
#define TALLYMESH_KERNELS_CUDA_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/matrix.h"

#ifdef __CUDACC__
#define PACK_FUNCTION static __host__ __device__ constexpr
#elif defined(__cplusplus)
#define PACK_FUNCTION [[maybe_unused]] static constexpr
#else
#define PACK_FUNCTION static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { PACK_ROWS = 16 };

PACK_FUNCTION uint32_t float_bytes(enum cuda_type type) { return type == CUDA_F32 ? 4 : 2; }
PACK_FUNCTION uint32_t float_row_bytes(enum cuda_type type, uint32_t cols) { return (cols * float_bytes(type) + 15) & ~15u; }

/* Bytes of a group of 16 rows, a multiple of 16; 0 for a type that no kernel takes. */
size_t cuda_group_bytes(enum cuda_type type, uint32_t cols);
/* Bytes of the whole matrix. */
size_t cuda_packed_bytes(enum cuda_type type, uint32_t rows, uint32_t cols);
/* Rows [16 group, 16 group + 16) of the stored matrix; `out` has cuda_group_bytes(). Groups may be packed by any number of
 * threads, and in pieces as the device takes them. */
void cuda_pack_group(enum cuda_type type, uint32_t rows, uint32_t cols, const uint8_t *stored, uint32_t group, uint8_t *out);

#ifdef __cplusplus
}
#endif

#endif
