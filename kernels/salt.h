/* salt.h - a hash whose collisions cannot be chosen by whoever wrote the model file; private to the tokenizer.
 *
 * The keys of our tables come out of files that strangers offer, and are indexed on the loop of whoever asks for a model.
 * With a hash that anybody can compute, a header of 32 MiB made of colliding tokens and merges took 48 s to open although
 * every probe was bounded. So each table has a salt: the address that the system gave it, which is random and which
 * nobody outside learns. No result depends on it, because nothing ever walks a table in its order.
 *
 * Where addresses are not random, SALT_PROBE_MAX still bounds a lookup, and the file is refused.
 */
#ifndef TALLYMESH_KERNELS_SALT_H
#define TALLYMESH_KERNELS_SALT_H

#include <string.h>

#include "crypto/base.h"

enum { SALT_PROBE_MAX = 256 };   /* random keys at half load stay under 100 with a million entries */

/* Every bit of z reaches every bit of the result, in both halves of a step: with one multiplication alone, two texts
 * that differ in the highest bits of neighbouring words would collide under every salt. */
static inline uint64_t salt_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t salt_of(const void *table) { return salt_mix((uint64_t)(uintptr_t)table); }

static inline size_t salt_hash_pair(uint64_t salt, uint32_t a, uint32_t b)
{
    return (size_t)salt_mix((((uint64_t)a << 32 | b) ^ salt) + 0x9e3779b97f4a7c15u);
}

static inline size_t salt_hash(uint64_t salt, struct bytes text)
{
    uint64_t h = salt ^ text.len, word;
    size_t at = 0;
    for (; text.len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, text.data + at, sizeof word);
        h = salt_mix(h ^ word);
    }
    word = 0;
    if (at < text.len)
        memcpy(&word, text.data + at, text.len - at);
    return (size_t)salt_mix(h ^ word);
}

#endif
