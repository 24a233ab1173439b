/* packing.h - how do the weights get from the model file into the shape a backend reads fastest?
 *
 * All packed matrices of a model lie behind each other in one block of memory, on large pages where the system has them:
 * a decode step walks through all of it, and small pages cost it a tenth of the bandwidth. Packing is spread over the pool
 * by ranges of rows. When a range is packed its place in the file is given back, so that the sum of both stays near one
 * copy of the weights at all times.
 *
 * Owns:    the block (heap).
 * Threads: one caller; the work inside is spread over the pool.
 */
#ifndef TALLYMESH_KERNELS_PACKING_H
#define TALLYMESH_KERNELS_PACKING_H

#include "crypto/base.h"
#include "kernels/ops.h"

struct pool;

/* Bytes that this matrix takes in the block; 0: it is read as stored. */
size_t packing_bytes(const struct ops *ops, enum tensor_type type, uint32_t rows, uint32_t cols);

/* Packs every quantised matrix and sets its `packed`. `release` (may be NULL) is told of stored bytes that will hardly be
 * read again. *block is what packing_free() frees, NULL if nothing was to be packed. ERR_MEMORY: nothing is packed. */
enum err packing_make(const struct ops *ops, struct pool *pool, struct matrix *const *matrices, uint32_t count,
                      void (*release)(const void *stored, size_t bytes), void **block) MUST_CHECK;
void packing_free(void *block);

#endif
