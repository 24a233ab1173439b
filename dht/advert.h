/* advert.h - the signed capacity advert: what a provider serves, how fast it measured itself to be, and what it charges.
 *
 * No queue length and no load: one second old, load misleads more than it helps; load is asked for with an offer.
 *
 * Encoded: array(2) [body, signature], at most ADVERT_BYTES_MAX bytes; signature with PURPOSE_ADVERT over the encoded body
 * by the key of the node record inside. Body: array(19)
 *
 *   [0] version 1               [7] context_tokens        [13] price, input           micro-credits
 *   [1] node record, encoded    [8] backend text <= 16    [14] price, cached input    per million
 *   [2] seq (as in records)     [9] device text <= 48     [15] price, output          tokens
 *   [3] ttl_ms                 [10] prefill  milli-       [16] jurisdiction: 2 upper-case letters, or empty
 *   [4] model id               [11] decode   tokens/s     [17] tier: 0 edge, 1 regional, 2 factory
 *   [5] model name text <= 64  [12] slots; 0: withdrawn   [18] energy, mJ per 1000 output tokens; 0: not measured
 *   [6] numerics version
 *
 * Stored under advert_key(model id) and, so that one lookup lists the models of a mesh, under advert_key(zero).
 *
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 4.2
 */
#ifndef TALLYMESH_DHT_ADVERT_H
#define TALLYMESH_DHT_ADVERT_H

#include "dht/record.h"

enum { MODEL_NAME_CHARS_MAX = 64, BACKEND_CHARS_MAX = 16, DEVICE_CHARS_MAX = 48, NUMERICS_VERSION_MAX = 255 };

enum tier { TIER_EDGE = 0, TIER_REGIONAL = 1, TIER_FACTORY = 2 };

struct advert_prices {                                          /* micro-credits per million tokens */
    uint64_t input, cached_input, output;
};

struct advert {
    struct node_record node;                               /* the author: one fetch is enough to dial it */
    uint64_t seq;
    uint32_t ttl_ms;
    struct hash model;
    char model_name[MODEL_NAME_CHARS_MAX + 1];
    uint32_t numerics;                                     /* 1: NV1 */
    uint32_t context_tokens;
    char backend[BACKEND_CHARS_MAX + 1];                   /* "cpu-avx2" */
    char device[DEVICE_CHARS_MAX + 1];                     /* as the machine names itself */
    uint32_t prefill_mtps, decode_mtps;                    /* measured, thousandths of a token per second */
    uint32_t slots;                                        /* requests at once; 0: withdrawn */
    struct advert_prices prices;
    char jurisdiction[3];                                  /* "DE"; "" if not stated */
    enum tier tier;
    uint64_t energy_mj_per_1000;                           /* 0: not measured */
    struct sig sig;
};

/* Where adverts of a model are stored: H("providers", model id). The zero hash gives the directory of all models. */
struct hash advert_key(const struct hash *model);

/* Signs a; a->node must be the signer's own signed record. ERR_TOO_LARGE if it would not fit ADVERT_BYTES_MAX. */
enum err advert_sign(const struct secret_key *secret, struct advert *a) MUST_CHECK;
void advert_write(struct writer *w, const struct advert *a);
struct bytes advert_encode(const struct advert *a, uint8_t buf[ADVERT_BYTES_MAX]);    /* of one that advert_sign() took */
void advert_read(struct reader *r, struct advert *out);
/* One advert and nothing after it. ERR_ENCODING, ERR_TOO_LARGE, ERR_VERSION, ERR_FORMAT. */
enum err advert_decode(struct bytes encoded, struct advert *out) MUST_CHECK;
/* The record inside and the advert's own signature; ERR_EXPIRED if seq (a wall time) is older than ttl_ms plus the
 * tolerated skew, ERR_STALE if it lies in the future. */
enum err advert_verify(const struct advert *a, const struct net_id *net, unsigned pow_bits, struct wall now) MUST_CHECK;

#endif
