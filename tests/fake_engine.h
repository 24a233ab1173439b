/* fake_engine.h - what does a model answer, without a model? For tests of the agent and for the simulator.
 *
 * The next token is a pure function of (seed, everything before it, its absolute position), like the real engine's under
 * NV1, so a continuation by another provider must repeat the answer that it continues.
 *
 * Owns:    nothing.
 * Threads: pure.
 */
#ifndef TALLYMESH_TESTS_FAKE_ENGINE_H
#define TALLYMESH_TESTS_FAKE_ENGINE_H

#include "crypto/hash.h"

static inline uint64_t fake_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ (x >> 33);
}

enum { FAKE_STATE = 1 };                                   /* before any token */

static inline uint64_t fake_absorb(uint64_t state, const uint32_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        state = fake_mix(state + tokens[i] + 1);
    return state;
}

/* The token at `position`, after everything in *state, which it then joins. */
static inline uint32_t fake_next(uint64_t *state, uint64_t seed, uint32_t position, uint32_t vocab)
{
    uint32_t t = (uint32_t)(fake_mix(*state ^ seed * 31 ^ position) % vocab);
    *state = fake_mix(*state + t + 1);
    return t;
}

/* Stands for H("head", canonical head bytes). */
static inline struct hash fake_head(uint32_t token, uint32_t position)
{
    uint32_t head[2] = { token, position };
    return hash_of("head", bytes_of(head, sizeof head));
}

#endif
