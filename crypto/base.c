/* base.c - error table, ENSURE, the seeded generator. */
#include "crypto/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
} errors[] = {
#define X(name, text) { #name, text },
    ERR_TABLE(X)
#undef X
};
_Static_assert(ARRAY_COUNT(errors) == ERR_COUNT, "one row per code");

const char *err_name(enum err e) { return (unsigned)e < ERR_COUNT ? errors[e].name : "ERR_UNKNOWN"; }
const char *err_text(enum err e) { return (unsigned)e < ERR_COUNT ? errors[e].text : "unknown error"; }

void ensure_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "tallymesh: internal invariant broken: %s (%s:%d)\n", cond, file, line);
    abort();
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct bytes bytes_text(const char *text) { return bytes_of(text, strlen(text)); }

static uint64_t splitmix(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

static uint64_t rotl(uint64_t x, unsigned k) { return (x << k) | (x >> (64 - k)); }

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    ENSURE(bound > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound;   /* reject the uneven tail */
    uint64_t v = rng_next(r);
    while (v >= limit)
        v = rng_next(r);
    return v % bound;
}

void rng_bytes(struct rng *r, void *out, size_t len)
{
    uint8_t *p = out;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = rng_next(r);
        memcpy(p + i, &v, len - i < 8 ? len - i : 8);
    }
}
