/* quant.h - how is a vector of floats written as small integers, and back?
 *
 * Stored rows as floats, the int8 activations of NV1 3.2 and 3.3, and the head bytes that digests are taken over.
 *
 *   head bytes, quantised head n x int8, then ceil(n / group) x fp32 scale (little-endian)
 *   head bytes, float head     n x fp32 (little-endian)
 *
 * Threads: pure; any thread.
 * Spec:    NV1 3, 4.4, 9
 */
#ifndef TALLYMESH_KERNELS_QUANT_H
#define TALLYMESH_KERNELS_QUANT_H

#include "crypto/base.h"
#include "kernels/ops.h"

/* One group of n values: q and *d by NV1 3.2. False: a value is not finite; then q and *d are zero. */
bool quant_group(const float *x, uint32_t n, int8_t *q, float *d);
/* One head of n values: limbs and *d by NV1 3.3. False as above. */
bool quant_head(const float *x, uint32_t n, int8_t *high, int8_t *low, float *d);

/* Row `row` of a stored matrix as fp32 (NV1 4.4). */
void quant_row_to_float(const struct matrix *w, uint32_t row, float *out);

/* NV1 9: size and content. h is used for float heads, x (row `token`) for a quantised one. */
size_t quant_head_bytes(enum tensor_type head, uint32_t dim);
void quant_write_head(enum tensor_type head, uint32_t dim, const float *h, const struct acts *x, uint32_t token,
                      uint8_t *out);

#endif
