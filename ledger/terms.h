/* terms.h - what did the two sides agree on before a job began?
 *
 * One body per job, signed by requester and provider with different purposes. Everything that a later dispute turns on
 * is named or committed to here: model, arithmetic, prompt, seed, sampling, prices, limits, and which job it continues.
 *
 * Encoded: array(TERMS_FIELDS) in the order of struct terms; see docs/protocol-ledger.md 7.2 for the table and a worked example.
 * The signed bytes are kept and passed on verbatim; terms_hash() of them is the job's name in every later statement.
 *
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.2
 */
#ifndef TALLYMESH_LEDGER_TERMS_H
#define TALLYMESH_LEDGER_TERMS_H

#include "crypto/bounds.h"
#include "crypto/codec.h"
#include "ledger/amount.h"

enum {
    TERMS_VERSION = 1,
    TERMS_JOB_BYTES = 16,
    TEMPERATURE_MICRO_MIN = 10 * 1000,                     /* below 0.01 logit / temperature loses its meaning; 0 is greedy */
    TEMPERATURE_MICRO_MAX = 2 * 1000 * 1000,               /* what OpenAI's API admits */
    TOP_P_MICRO_MAX = 1000 * 1000,                         /* 1.0: no nucleus cut */
    TERMS_VALIDITY_MS_MAX = 60 * 1000,                     /* terms are answered at once or not at all */
};

/* Which side of a job somebody is. The numbers are on the wire (notes) and on disk. */
enum side {
    SIDE_NONE = 0,
    SIDE_REQUESTER = 1,
    SIDE_PROVIDER = 2,
};

struct job_id { uint8_t b[TERMS_JOB_BYTES]; };                /* one per request: a continuation carries the same id */

struct sampling {
    uint32_t temperature_micro;                            /* 0: greedy */
    uint32_t top_k;                                        /* 0: no cut */
    uint32_t top_p_micro;                                  /* 1..1000000 */
};

struct terms {
    struct net_id net;
    struct job_id job;
    struct pubkey requester, provider;                     /* node keys; certificates travel beside */
    struct hash model;
    uint32_t numerics;                                     /* 1 = NV1 */
    struct hash prompt;                                    /* terms_prompt_commitment() over the whole prefill */
    struct hash seed;                                      /* terms_seed_commitment() */
    uint64_t tokens_in, tokens_cached;                     /* of the prefill: at full price, from cache; sum >= 1 */
    struct sampling sampling;
    uint32_t output_max;                                   /* tokens, 1..OUTPUT_TOKENS_MAX */
    uint32_t stop_count, stop[STOP_IDS_MAX];               /* token ids that end the answer */
    struct prices prices;
    struct pico budget;                                    /* at least what output_max would cost */
    uint32_t claim_tokens, window_tokens;                  /* CLAIM_TOKENS; window is a multiple of it */
    uint64_t output_offset;                                /* tokens of this answer that earlier providers delivered */
    struct hash parent;                                    /* terms hash of the job continued; zero iff output_offset is 0 */
    struct hash offer, bid;                                /* hashes of the signed market messages that led here */
    uint64_t validity_ms;                                  /* the provider's signature must arrive within this */
    uint64_t stated_s;                                     /* the requester's clock; sanity and display only */
};

/* Checks with terms_check(), then encodes. out_body is a view into buf. */
enum err terms_encode(const struct terms *t, uint8_t buf[TERMS_BYTES_MAX], struct bytes *out_body) MUST_CHECK;
/* Canonical and internally sensible, or the named error; out untouched on failure. */
enum err terms_decode(struct bytes body, struct terms *out) MUST_CHECK;
/* Sense without context: ERR_ARG (a field out of its range), ERR_KEY (both sides are one key: that is local, free and
 * has no receipt), ERR_OVERFLOW, ERR_PRICE (the budget does not cover output_max). */
enum err terms_check(const struct terms *t) MUST_CHECK;

struct hash terms_hash(struct bytes body);                 /* H("terms", body) */
void terms_sign(const struct secret_key *k, enum side as, const struct net_id *net, struct bytes body, struct sig *out);
/* OK or ERR_SIGNATURE. `t` must be the decoded body. */
enum err terms_verify(const struct terms *t, enum side by, struct bytes body, const struct sig *s) MUST_CHECK;

/* What the whole job costs at most; never fails for terms that passed terms_check(). */
struct pico terms_cost_max(const struct terms *t);
const struct pubkey *terms_key_of(const struct terms *t, enum side side);  /* borrowed from t */

/* The nonce is 32 random bytes, secret until the requester opens it; it keeps short prompts from being guessed.
 * H("prompt", nonce || token ids as u32 LE): what the provider must feed the model, no more and no less. */
struct hash terms_prompt_commitment(const struct hash *nonce, const uint32_t *ids, size_t count);
/* H("seed", nonce || seed as u64 LE). */
struct hash terms_seed_commitment(const struct hash *nonce, uint64_t seed);

#endif
