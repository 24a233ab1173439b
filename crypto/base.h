/* base.h - the words every layer speaks: results, borrowed bytes, time, seeded randomness, ENSURE.
 *
 * Owns:    nothing.
 * Threads: everything here is pure; any thread.
 * Time:    two clocks that cannot be mixed up: struct mono (durations, deadlines) and struct wall (sanity bounds only).
 * Effects: none, except that a failed ENSURE writes one line to stderr and aborts.
 */
#ifndef TALLYMESH_CRYPTO_BASE_H
#define TALLYMESH_CRYPTO_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT_OF(macro) TEXT_OF_EXPANDED(macro)         /* a number that is a macro, as a string literal */
#define TEXT_OF_EXPANDED(text) #text

/* Everything that can go wrong, once. name, text shown to people. Append; numbers are not on any wire or disk. */
#define ERR_TABLE(X)                                                                                                   \
    X(OK, "ok")                                                                                                        \
    X(ERR_ARG, "invalid argument")                                                                                     \
    X(ERR_FULL, "no room left in a bounded table")                                                                     \
    X(ERR_NOT_FOUND, "not found")                                                                                      \
    X(ERR_EXISTS, "already exists")                                                                                    \
    X(ERR_OVERFLOW, "number out of range")                                                                             \
    X(ERR_TOO_LARGE, "larger than its limit")                                                                          \
    X(ERR_ENCODING, "bytes are not in canonical form")                                                                 \
    X(ERR_VERSION, "unknown version")                                                                                  \
    X(ERR_TYPE, "unknown message type")                                                                                \
    X(ERR_SIGNATURE, "signature does not verify")                                                                      \
    X(ERR_KEY, "not an acceptable key")                                                                                \
    X(ERR_POW, "proof of work is too small")                                                                           \
    X(ERR_NETWORK, "belongs to another network")                                                                       \
    X(ERR_CERT, "certificate is not valid")                                                                            \
    X(ERR_EXPIRED, "expired")                                                                                          \
    X(ERR_STALE, "older than what is already known")                                                                   \
    X(ERR_REPLAY, "already seen")                                                                                      \
    X(ERR_EQUIVOCATION, "two different statements under one sequence number")                                          \
    X(ERR_QUOTA, "over its quota")                                                                                     \
    X(ERR_RATE, "too many in too short a time")                                                                        \
    X(ERR_STATE, "not possible in this state")                                                                         \
    X(ERR_MISMATCH, "the two sides do not agree")                                                                      \
    X(ERR_CHAIN, "hash chain does not fit")                                                                            \
    X(ERR_CREDIT, "credit limit reached")                                                                              \
    X(ERR_PRICE, "price is over the limit")                                                                            \
    X(ERR_CONSTRAINT, "a placement constraint is not met")                                                             \
    X(ERR_CAPACITY, "no capacity at present")                                                                          \
    X(ERR_NO_PROVIDER, "no provider offers this model")                                                                \
    X(ERR_TIMEOUT, "took too long")                                                                                    \
    X(ERR_CANCELLED, "cancelled")                                                                                      \
    X(ERR_PEER_GONE, "the peer is gone")                                                                               \
    X(ERR_PASSPHRASE, "wrong passphrase")                                                                              \
    X(ERR_LOCKED, "a passphrase is needed")                                                                            \
    X(ERR_PERMISSION, "file permissions are too open")                                                                 \
    X(ERR_IO, "input or output failed")                                                                                \
    X(ERR_DISK_FULL, "disk or map is full")                                                                            \
    X(ERR_CORRUPT, "stored data is damaged")                                                                           \
    X(ERR_MEMORY, "out of memory")                                                                                     \
    X(ERR_FORMAT, "malformed file")                                                                                    \
    X(ERR_UNSUPPORTED, "not supported")                                                                                \
    X(ERR_CONTEXT, "longer than the model's context")                                                                  \
    X(ERR_NUMERIC, "a NaN or infinity appeared in the forward pass")                                                   \
    X(ERR_DEVICE, "the compute device failed")                                                                         \
    X(ERR_CONFIG, "configuration is not valid")                                                                        \
    X(ERR_UNAVAILABLE, "the service is not available")                                                                 \
    X(ERR_PINNED, "the name is pinned to another model")

enum err {
#define X(name, text) name,
    ERR_TABLE(X)
#undef X
    ERR_COUNT
};

/* "ERR_STALE"; never NULL, static storage. */
const char *err_name(enum err e);
/* "older than what is already known"; never NULL, static storage. */
const char *err_text(enum err e);

/* ENSURE(cond): we are wrong otherwise. On in every build: stopping is better than mis-paying. Never reachable from
 * network or file input. */
#define ENSURE(cond) ((cond) ? (void)0 : ensure_failed(#cond, __FILE__, __LINE__))
_Noreturn void ensure_failed(const char *cond, const char *file, int line);

/* A loan: valid until the call returns unless the header that hands it out says longer. data may be NULL iff len is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};
static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){ .data = data, .len = len };
}
bool bytes_equal(struct bytes a, struct bytes b);      /* not constant time; never for secrets */
struct bytes bytes_text(const char *nul_terminated);   /* without the NUL */

/* Monotonic time, microseconds since an arbitrary start. */
struct mono {
    uint64_t us;
};
#define MONO_NEVER ((struct mono){ UINT64_MAX })
static inline struct mono mono_add_ms(struct mono t, uint64_t ms)
{
    return (struct mono){ t.us > UINT64_MAX - ms * 1000 ? UINT64_MAX : t.us + ms * 1000 };
}
static inline bool mono_reached(struct mono now, struct mono deadline) { return now.us >= deadline.us; }
static inline struct mono mono_min(struct mono a, struct mono b) { return a.us < b.us ? a : b; }
/* Milliseconds from `from` to `to`; 0 if `to` is earlier. */
static inline uint64_t mono_ms_between(struct mono from, struct mono to)
{
    return to.us > from.us ? (to.us - from.us) / 1000 : 0;
}

/* Wall clock, milliseconds since 1970 UTC. Only ever a sanity bound or a display value. */
struct wall {
    uint64_t ms;
};

/* Seeded, reproducible randomness for cores (xoshiro256**). Not for secrets: those come from random_os.h. */
struct rng {
    uint64_t s[4];
};
void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound);     /* uniform in [0, bound); bound > 0 */
void rng_bytes(struct rng *r, void *out, size_t len);

#endif
