/* sampler.h - which token follows these logits?
 *
 * A pure function of (logits, parameters, absolute position): no state, no order of evaluation, no clock. Whoever
 * continues an answer elsewhere, or checks it, gets the same token.
 *
 * Owns:    nothing but the scratch handed in.
 * Threads: pure; any thread with numerics_check_fpu() fine.
 * Spec:    NV1 10
 */
#ifndef TALLYMESH_KERNELS_SAMPLER_H
#define TALLYMESH_KERNELS_SAMPLER_H

#include "crypto/base.h"

enum {
    SAMPLER_TEMPERATURE_MICRO_MIN = 10000,        /* 0.01; below only 0, which is greedy */
    SAMPLER_TEMPERATURE_MICRO_MAX = 100000000,    /* 100 */
    SAMPLER_TOP_P_MICRO_OFF = 1000000
};

struct sampler_params {
    uint32_t temperature_micro;   /* 0 = greedy, else SAMPLER_TEMPERATURE_MICRO_MIN..MAX */
    uint32_t top_k;               /* 0 = off */
    uint32_t top_p_micro;         /* 1..1000000; 1000000 = off */
    uint64_t seed;
};

/* ERR_ARG unless every field is in the range written above. */
enum err sampler_params_check(const struct sampler_params *p) MUST_CHECK;

/* Bytes of scratch that sampler_pick() needs for this vocabulary. */
size_t sampler_scratch_bytes(uint32_t vocab);

/* The token at absolute position `position` (the index it will have). `scratch` is aligned for uint64_t; it may be NULL
 * when p is greedy. ERR_NUMERIC: a logit or a scaled logit is not finite; *token is then untouched. `p` was checked. */
enum err sampler_pick(const float *logits, uint32_t vocab, const struct sampler_params *p, uint32_t position,
                      void *scratch, uint32_t *token) MUST_CHECK;

#endif
