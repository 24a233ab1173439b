/* key.h - identities: Ed25519 keys that sign, the node id, its proof of work, and X25519 keys that seal.
 *
 * Owns:    secrets live in struct secret_key / struct seal_secret; wipe them with key_fini / seal_fini.
 * Threads: pure after crypto_start() has succeeded once in the process.
 * Effects: none; seeds come from the caller (random_os.h in the shell, a test's own bytes in tests).
 * Spec:    PROTO 2.3 (signatures), 2.4 (node id and proof of work), 2.5 (sealing). RFC 8032; libsodium's strict verification.
 *
 * A signature is plain Ed25519 over "tallymesh/" purpose || 0x00 || network id (8 bytes) || H("sig", body), at most 64
 * bytes whatever the body's size. The purpose keeps a statement made in one role from being replayed in another; the
 * network id keeps a testnet's receipts out of the public mesh; the hash lets a body of any size be signed in fixed memory.
 */
#ifndef TALLYMESH_CRYPTO_KEY_H
#define TALLYMESH_CRYPTO_KEY_H

#include "crypto/hash.h"

enum {
    PUBKEY_BYTES = 32, SECRET_KEY_BYTES = 64, SIG_BYTES = 64, KEY_SEED_BYTES = 32,
    SEAL_KEY_BYTES = 32, SEAL_OVERHEAD_BYTES = 48, NET_ID_BYTES = 8,
    PURPOSE_CHARS_MAX = 13,                                /* what is signed then fits 64 bytes */
};

struct pubkey { uint8_t b[PUBKEY_BYTES]; };
struct secret_key { uint8_t b[SECRET_KEY_BYTES]; };
struct sig { uint8_t b[SIG_BYTES]; };
struct key_seed { uint8_t b[KEY_SEED_BYTES]; };
struct seal_key { uint8_t b[SEAL_KEY_BYTES]; };            /* X25519 public: seals to one reader; also CURVE's key form */
struct seal_secret { uint8_t b[SEAL_KEY_BYTES]; };
struct net_id { uint8_t b[NET_ID_BYTES]; };                /* H("net", network name) cut to 8 bytes */
struct node_id { struct hash h; };                         /* H("id", node public key) */

/* Purposes of signatures, the whole list (PROTO 2.3). */
#define PURPOSE_CERT "cert"                /* owner certifies a node key */
#define PURPOSE_RECORD "record"            /* node record */
#define PURPOSE_ADVERT "advert"            /* capacity advert */
#define PURPOSE_HELLO "hello"
#define PURPOSE_GOSSIP "gossip"            /* a published message, by its origin */
#define PURPOSE_OFFER "offer"
#define PURPOSE_BID "bid"
#define PURPOSE_TERMS_REQUESTER "terms-r"
#define PURPOSE_TERMS_PROVIDER "terms-p"
#define PURPOSE_CLAIM_PROVIDER "claim-p"
#define PURPOSE_CLAIM_REQUESTER "claim-r"
#define PURPOSE_RECEIPT_PROVIDER "receipt-p"
#define PURPOSE_RECEIPT_REQUESTER "receipt-r"
#define PURPOSE_NOTE "note"                /* state and side at fault, by whoever asserts it */

/* Initialises libsodium. ERR_UNAVAILABLE if the system has no randomness. Idempotent. */
enum err crypto_start(void) MUST_CHECK;

void key_from_seed(const struct key_seed *seed, struct secret_key *out, struct pubkey *out_public);
void key_public(const struct secret_key *k, struct pubkey *out);
void key_fini(struct secret_key *k);                                       /* wipes */
void key_sign(const struct secret_key *k, const char *purpose, const struct net_id *net, struct bytes body, struct sig *out);
/* OK, or ERR_SIGNATURE (also for small-order or non-canonical keys and signatures). */
enum err key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body,
                    const struct sig *s) MUST_CHECK;
bool pubkey_equal(const struct pubkey *a, const struct pubkey *b);
int pubkey_compare(const struct pubkey *a, const struct pubkey *b);
void pubkey_format(const struct pubkey *k, char out[2 * PUBKEY_BYTES + 1]);
enum err pubkey_parse(const char *hex, struct pubkey *out) MUST_CHECK;

struct net_id net_id_of(const char *network_name);
bool net_id_equal(const struct net_id *a, const struct net_id *b);

struct node_id node_id_of(const struct pubkey *k);
bool node_id_equal(const struct node_id *a, const struct node_id *b);

/* Proof of work on an identity: H("pow", public key || net id || nonce as u64 LE) has at least `bits` leading zero bits. */
enum err pow_check(const struct pubkey *k, const struct net_id *net, uint64_t nonce, unsigned bits) MUST_CHECK;
/* Searches from *nonce at most `tries` steps. OK with *nonce set, ERR_NOT_FOUND with *nonce where to go on. */
enum err pow_search(const struct pubkey *k, const struct net_id *net, unsigned bits, uint64_t tries, uint64_t *nonce) MUST_CHECK;

/* Secret scalar = H("seal-key", seed). The pair also serves as a CURVE key pair. */
void seal_key_from_seed(const struct key_seed *seed, struct seal_secret *out, struct seal_key *out_public);
void seal_fini(struct seal_secret *s);
/* Sealed box to `reader`, bound to `context` (associated data that both sides know): ephemeral X25519 public key (32)
 * || XChaCha20-Poly1305 ciphertext (message.len) || tag (16), under H("seal", shared point || ephemeral key || reader key).
 * The ephemeral key comes from `ephemeral`, which must be fresh and secret. out has room for message.len +
 * SEAL_OVERHEAD_BYTES. ERR_KEY if the reader's key has small order (a stranger chose it); out is then zeroed. */
enum err seal(const struct seal_key *reader, const struct key_seed *ephemeral, struct bytes context, struct bytes message,
              uint8_t *out) MUST_CHECK;
/* Opens into out (room for sealed.len - SEAL_OVERHEAD_BYTES). ERR_SIGNATURE if it was not sealed to us with this context
 * or is damaged; out is then zeroed. */
enum err seal_open(const struct seal_secret *s, struct bytes context, struct bytes sealed, uint8_t *out) MUST_CHECK;

#endif
