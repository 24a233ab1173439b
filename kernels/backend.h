/* backend.h - which code computes on this machine, and does it still compute what the law says?
 *
 * Threads: pure; any thread.
 * Spec:    NV1 13
 */
#ifndef TALLYMESH_KERNELS_BACKEND_H
#define TALLYMESH_KERNELS_BACKEND_H

#include "crypto/base.h"
#include "kernels/ops.h"

/* The table of that name ("scalar", "avx2", "avxvnni", "avx512vnni", "amx", "neon", "neondot"); NULL name: the best of this
 * machine. NULL: unknown here. */
const struct ops *backend_find(const char *name);
/* The i-th table that runs on this machine, best first; NULL past the last, which is the scalar one. */
const struct ops *backend_at(size_t i);

/* Runs every operation over built-in inputs and compares the bytes with the law's known ones. ERR_DEVICE: they differ,
 * or the floating-point mode is wrong. A few milliseconds. */
enum err backend_self_test(const struct ops *ops) MUST_CHECK;

#endif
