/* cert.h - an owner's word that a node key is theirs.
 *
 * A rack has one owner key, kept offline if its owner likes, and many node keys. Peers see the node key; the certificate
 * says who stands behind it. A certificate that has expired or names another key or network is refused.
 *
 * Encoded: array(5) [version = 1, node public key, not_after (seconds since 1970), owner public key, owner signature],
 *          signature (PURPOSE_CERT) over array(4) [version, node public key, not_after, owner public key].
 * Spec:    PROTO 2.6. At most CERT_BYTES_MAX bytes.
 */
#ifndef TALLYMESH_CRYPTO_CERT_H
#define TALLYMESH_CRYPTO_CERT_H

#include "crypto/codec.h"

enum { CERT_BYTES_MAX = 192 };

struct cert {
    struct pubkey node, owner;
    uint64_t not_after_s;
    struct sig owner_sig;
};

void cert_issue(const struct secret_key *owner, const struct net_id *net, const struct pubkey *node, uint64_t not_after_s,
                struct cert *out);
void cert_write(struct writer *w, const struct cert *c);
void cert_read(struct reader *r, struct cert *out);
/* ERR_CERT (names another node key), ERR_EXPIRED (now is past not_after), ERR_SIGNATURE. The clock is the caller's: a node
 * that does not trust its own passes a lower bound. */
enum err cert_verify(const struct cert *c, const struct net_id *net, const struct pubkey *node, struct wall now) MUST_CHECK;

#endif
