/* identity_posix.h - who this node is: the files of a data folder, made by `tally init`, read by everything else.
 *
 *   <data_dir>/owner.key       seed of the owner key (may be moved offline after init; only certificates need it)
 *   <data_dir>/node.key        seed of the node key
 *   <data_dir>/transport.key   seed of the X25519 transport key (may be replaced at will: a new HELLO carries it)
 *   <data_dir>/node.pow        proof-of-work nonce and network id, as text
 *   <data_dir>/owner.cert      the owner's certificate for the node key (crypto/cert.h)
 *   <data_dir>/ledger/         LMDB (ledger/store_lmdb.h)       <data_dir>/cache/  headers and hashes
 *   <data_dir>/run.json        while tallyd runs: pid, API address, mesh address, bootstrap string
 *
 * Owns:    struct identity holds secrets; wipe with identity_fini().
 * Threads: start-up and command line only; blocking.
 * Effects: files, all 0600 in a folder of 0700.
 */
#ifndef TALLYMESH_NODE_IDENTITY_POSIX_H
#define TALLYMESH_NODE_IDENTITY_POSIX_H

#include "crypto/cert.h"
#include "crypto/key.h"
#include "kernels/fault.h"

enum {
    IDENTITY_CERT_DAYS = 365, IDENTITY_CERT_DAYS_MAX = 3650,
    IDENTITY_CERT_WARN_DAYS = 30,                      /* from then on doctor and the daemon's log say so */
};

struct identity {
    struct secret_key node;
    struct key_seed node_seed;                         /* the ledger's secrets are encrypted under a key derived from it */
    struct pubkey node_public, owner_public;
    struct seal_secret transport_secret;
    struct seal_key transport;
    uint64_t pow_nonce;
    struct cert cert;                                  /* as read, also if it has run out */
    bool has_cert, cert_expired;                       /* expired: has_cert is false, the node runs without an owner */
};

/* Creates what is missing, and a proof of work if the one that is there proves less than pow_bits: a second call changes
 * nothing. A node that has its certificate needs no owner key, and gets none. ERR_NETWORK. `progress` is called now and
 * then while the proof of work is searched (may be NULL). Errors name the file. */
enum err identity_create(const char *data_dir, const struct net_id *net, unsigned pow_bits, const char *passphrase,
                         void (*progress)(void *ctx, uint64_t tries), void *ctx, struct fault *why) MUST_CHECK;
/* ERR_NOT_FOUND (run `tally init`), ERR_LOCKED, ERR_PASSPHRASE, ERR_PERMISSION, ERR_NETWORK (made for another network),
 * ERR_CERT; a certificate that has run out is none. cert_path NULL or "": <data_dir>/owner.cert, which may be absent. */
enum err identity_load(const char *data_dir, const struct net_id *net, const char *passphrase, const char *cert_path,
                       struct identity *out, struct fault *why) MUST_CHECK;
void identity_fini(struct identity *id);

/* No key file, no proof of work: nobody has made a node of this folder. */
bool identity_is_absent(const char *data_dir);

/* What can be said with as little as possible: network id from node.pow, node key and owner from owner.cert. Wallet commands
 * therefore work while keys are locked. Without a certificate node.key has to be opened; passphrase NULL: there is none.
 * ERR_NOT_FOUND, ERR_LOCKED, ERR_PASSPHRASE, ERR_CORRUPT, ERR_CERT (of another node). */
struct identity_glance {
    struct net_id net;
    struct pubkey node;
    uint64_t pow_nonce;
    struct cert cert;
    bool has_cert;
};
enum err identity_glance(const char *data_dir, const char *passphrase, struct identity_glance *out, struct fault *why) MUST_CHECK;

/* The owner's word for a node key of this network, from the seed in owner_key (a key file). ERR_NOT_FOUND, ERR_LOCKED,
 * ERR_PASSPHRASE, ERR_PERMISSION ... */
enum err identity_certify(const char *owner_key, const char *passphrase, const struct net_id *net, const struct pubkey *node, uint64_t days,
                          struct cert *out, struct fault *why) MUST_CHECK;
/* Writes it whole or not at all, over what was there. */
enum err identity_cert_write(const char *path, const struct cert *c, struct fault *why) MUST_CHECK;
/* Whole days until it runs out; negative: it has. */
int64_t identity_cert_days_left(const struct cert *c, struct wall now);

/* Makes a folder and its parents, 0700. */
enum err folder_create(const char *path, struct fault *why) MUST_CHECK;

#endif
