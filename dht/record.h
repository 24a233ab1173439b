/* record.h - the signed node record: who a node is and where to dial it.
 *
 * Encoded: array(2) [body, signature], at most RECORD_BYTES_MAX bytes; signature with PURPOSE_RECORD over the encoded body.
 * Body: array(11)
 *
 *   [0] version 1        [4] seq u64               [8] certificate: bin, empty or an encoded struct cert
 *   [1] network id       [5] host text             [9] issued_at, seconds since 1970
 *   [2] node public key  [6] port                 [10] flags: bit 0 dialable
 *   [3] proof-of-work    [7] transport key
 *       nonce                (X25519)
 *
 * seq is the author's wall clock in milliseconds when it signed, or its last seq + 1 if that is more: it grows across
 * restarts without anything being remembered.
 *
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 4.1
 */
#ifndef TALLYMESH_DHT_RECORD_H
#define TALLYMESH_DHT_RECORD_H

#include "crypto/bootstrap.h"
#include "crypto/bounds.h"
#include "crypto/cert.h"

enum { RECORD_DIALABLE = 1, RECORD_FLAGS_KNOWN = 1 };

struct endpoint {
    char host[HOST_CHARS_MAX + 1];
    uint16_t port;
    struct seal_key transport;                             /* the key CURVE must meet there */
};

struct node_record {
    struct net_id net;
    struct pubkey key;
    struct node_id id;                                     /* derived from key; not encoded */
    uint64_t pow_nonce;
    uint64_t seq;
    struct endpoint at;
    bool has_cert;
    struct cert cert;                                      /* zero if !has_cert */
    uint64_t issued_at_s;
    uint32_t flags;
    struct sig sig;
};

/* Signs r with `secret` (whose public part must be r->key): fills id and sig. */
void record_sign(const struct secret_key *secret, struct node_record *r);
void record_write(struct writer *w, const struct node_record *r);
struct bytes record_encode(const struct node_record *r, uint8_t buf[RECORD_BYTES_MAX]);
/* Reads shape only: version, valid host, known flags, sizes. The reader fails otherwise and out is zeroed. */
void record_read(struct reader *r, struct node_record *out);
/* One record and nothing after it. ERR_ENCODING, ERR_TOO_LARGE, ERR_VERSION, ERR_FORMAT (host). */
enum err record_decode(struct bytes encoded, struct node_record *out) MUST_CHECK;

/* The cheap half: ERR_NETWORK, ERR_POW, ERR_EXPIRED (older than RECORD_TTL_MS), ERR_STALE (from the future), with
 * CLOCK_SKEW_MS_MAX of tolerance both ways. */
enum err record_check_cheap(const struct node_record *r, const struct net_id *net, unsigned pow_bits, struct wall now) MUST_CHECK;
/* The cheap half, then ERR_SIGNATURE, then the certificate if there is one (ERR_CERT, ERR_EXPIRED, ERR_SIGNATURE). */
enum err record_verify(const struct node_record *r, const struct net_id *net, unsigned pow_bits, struct wall now) MUST_CHECK;
bool record_is_dialable(const struct node_record *r);

/* Fails a reader for a reason of meaning rather than of form. The first reason stays. */
void reader_refuse(struct reader *r, enum err why);

#endif
