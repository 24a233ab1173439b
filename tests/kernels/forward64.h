/* forward64.h - the same network in double precision with the C library's mathematics, written without a look at NV1:
 * no quantised activations, no tiles, no order. It answers the second question about the engine: not whether backends
 * agree, but whether what they agree on is right. */
#ifndef TALLYMESH_TESTS_KERNELS_FORWARD64_H
#define TALLYMESH_TESTS_KERNELS_FORWARD64_H

#include "kernels/model.h"

/* Logits after every token: (n, vocab). */
void forward64(const struct model *m, const uint32_t *tokens, uint32_t n, double *logits);

/* KL divergence in nats of softmax(b) from softmax(a), and the rms of b - a (means removed) over the rms of a. */
double kl_divergence(const double *a, const float *b, uint32_t n);
double relative_rms(const double *a, const float *b, uint32_t n);

#endif
