/* tiles.h - which queries does a block of threads answer together?
 *
 * Rows that follow each other in the batch and belong to one slot share the reading of its keys and values; so do the
 * query heads of one kv head. How they are grouped changes no bit.
 *
 * Threads: pure; any thread.
 */
#ifndef TALLYMESH_KERNELS_CUDA_TILES_H
#define TALLYMESH_KERNELS_CUDA_TILES_H

#include "kernels/cuda/steps.h"

/* At most this many tiles of n rows with `group` query heads per kv head. */
uint32_t tiles_max(uint32_t n, uint32_t group);
/* Fills tiles, returns their number. one_row: no tile holds two rows, so that the number depends on n alone. */
uint32_t tiles_fill(const struct cuda_row *rows, uint32_t n, uint32_t group, bool one_row,
                    struct cuda_query_tile *tiles);

#endif
