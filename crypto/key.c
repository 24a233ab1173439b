/* key.c - Ed25519 identities, node ids with proof of work, X25519 sealing (PROTO 2.3 to 2.5). */
#include "crypto/key.h"

#include <sodium/core.h>
#include <sodium/crypto_aead_xchacha20poly1305.h>
#include <sodium/crypto_scalarmult_curve25519.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>
#include <string.h>

#include "crypto/hex.h"

_Static_assert((int)PUBKEY_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "Ed25519");
_Static_assert((int)SECRET_KEY_BYTES == crypto_sign_ed25519_SECRETKEYBYTES, "Ed25519");
_Static_assert((int)SIG_BYTES == crypto_sign_ed25519_BYTES, "Ed25519");
_Static_assert((int)KEY_SEED_BYTES == crypto_sign_ed25519_SEEDBYTES, "Ed25519");
_Static_assert((int)SEAL_KEY_BYTES == crypto_scalarmult_curve25519_BYTES, "X25519");
_Static_assert((int)SEAL_OVERHEAD_BYTES == SEAL_KEY_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES, "sealed box");
_Static_assert((int)HASH_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "a hash is the box key");

enum err crypto_start(void) { return sodium_init() < 0 ? ERR_UNAVAILABLE : OK; }

/* ---- signatures ---- */

#define SIGN_PREFIX "tallymesh/"
enum {
    SIGN_PREFIX_CHARS = sizeof SIGN_PREFIX - 1,
    STATEMENT_BYTES_MAX = SIGN_PREFIX_CHARS + PURPOSE_CHARS_MAX + 1 + NET_ID_BYTES + HASH_BYTES,
};

/* What Ed25519 really signs; PROTO 2.3 has the layout. */
struct statement {
    uint8_t b[STATEMENT_BYTES_MAX];
    size_t len;
};

static void statement_add(struct statement *s, const void *data, size_t len)
{
    ENSURE(len <= sizeof s->b - s->len);
    memcpy(s->b + s->len, data, len);
    s->len += len;
}

static void statement_init(struct statement *s, const char *purpose, const struct net_id *net, struct bytes body)
{
    size_t purpose_chars = strlen(purpose);
    ENSURE(purpose_chars > 0);
    ENSURE(purpose_chars <= PURPOSE_CHARS_MAX);
    struct hash digest = hash_of("sig", body);
    s->len = 0;
    statement_add(s, SIGN_PREFIX, SIGN_PREFIX_CHARS);
    statement_add(s, purpose, purpose_chars + 1);              /* with its NUL */
    statement_add(s, net->b, NET_ID_BYTES);
    statement_add(s, digest.b, HASH_BYTES);
}

void key_from_seed(const struct key_seed *seed, struct secret_key *out, struct pubkey *out_public)
{
    crypto_sign_ed25519_seed_keypair(out_public->b, out->b, seed->b);
}

void key_public(const struct secret_key *k, struct pubkey *out)
{
    memcpy(out->b, k->b + KEY_SEED_BYTES, PUBKEY_BYTES);       /* libsodium keeps seed || public key */
}

void key_fini(struct secret_key *k) { sodium_memzero(k->b, sizeof k->b); }

void key_sign(const struct secret_key *k, const char *purpose, const struct net_id *net, struct bytes body, struct sig *out)
{
    struct statement s;
    statement_init(&s, purpose, net, body);
    crypto_sign_ed25519_detached(out->b, NULL, s.b, s.len, k->b);
}

enum err key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body,
                    const struct sig *sig)
{
    struct statement s;
    statement_init(&s, purpose, net, body);
    return crypto_sign_ed25519_verify_detached(sig->b, s.b, s.len, k->b) == 0 ? OK : ERR_SIGNATURE;
}

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b) { return pubkey_compare(a, b) == 0; }
int pubkey_compare(const struct pubkey *a, const struct pubkey *b) { return memcmp(a->b, b->b, PUBKEY_BYTES); }

void pubkey_format(const struct pubkey *k, char out[2 * PUBKEY_BYTES + 1])
{
    hex_format(bytes_of(k->b, PUBKEY_BYTES), out);
}

enum err pubkey_parse(const char *hex, struct pubkey *out) { return hex_parse(bytes_text(hex), out->b, PUBKEY_BYTES); }

/* ---- networks, node ids, proof of work ---- */

struct net_id net_id_of(const char *network_name)
{
    struct hash h = hash_of("net", bytes_text(network_name));
    struct net_id net;
    memcpy(net.b, h.b, NET_ID_BYTES);
    return net;
}

bool net_id_equal(const struct net_id *a, const struct net_id *b) { return memcmp(a->b, b->b, NET_ID_BYTES) == 0; }

struct node_id node_id_of(const struct pubkey *k) { return (struct node_id){ hash_of("id", bytes_of(k->b, PUBKEY_BYTES)) }; }
bool node_id_equal(const struct node_id *a, const struct node_id *b) { return hash_equal(&a->h, &b->h); }

static void pow_start(struct hasher *h, const struct pubkey *k, const struct net_id *net)
{
    hasher_init(h, "pow");
    hasher_add(h, bytes_of(k->b, PUBKEY_BYTES));
    hasher_add(h, bytes_of(net->b, NET_ID_BYTES));
}

/* `start` is copied: everything before the nonce is hashed once per search. */
static bool pow_holds(const struct hasher *start, uint64_t nonce, unsigned bits)
{
    static const struct hash zero;
    struct hasher one = *start;
    struct hash h;
    hasher_add_u64(&one, nonce);
    hasher_finish(&one, &h);
    return hash_common_bits(&h, &zero) >= bits;
}

enum err pow_check(const struct pubkey *k, const struct net_id *net, uint64_t nonce, unsigned bits)
{
    struct hasher start;
    pow_start(&start, k, net);
    return pow_holds(&start, nonce, bits) ? OK : ERR_POW;
}

enum err pow_search(const struct pubkey *k, const struct net_id *net, unsigned bits, uint64_t tries, uint64_t *nonce)
{
    struct hasher start;
    pow_start(&start, k, net);
    for (uint64_t i = 0; i < tries; i++, (*nonce)++)
        if (pow_holds(&start, *nonce, bits))
            return OK;
    return ERR_NOT_FOUND;
}

/* ---- sealing ---- */

void seal_key_from_seed(const struct key_seed *seed, struct seal_secret *out, struct seal_key *out_public)
{
    /* Hashed, so that a seed used for a signing key by mistake does not also become the X25519 scalar. */
    struct hash scalar = hash_of("seal-key", bytes_of(seed->b, KEY_SEED_BYTES));
    memcpy(out->b, scalar.b, SEAL_KEY_BYTES);
    sodium_memzero(&scalar, sizeof scalar);
    crypto_scalarmult_curve25519_base(out_public->b, out->b);
}

void seal_fini(struct seal_secret *s) { sodium_memzero(s->b, sizeof s->b); }

struct seal_ends {
    const struct seal_key *ephemeral, *reader;
};

/* The box key from the shared point. false if the point is zero, that is, if the other side's key has small order. */
static bool box_key(const struct seal_secret *mine, const struct seal_key *theirs, struct seal_ends ends, struct hash *out)
{
    uint8_t shared[SEAL_KEY_BYTES];
    struct hasher h;
    bool contributory = crypto_scalarmult_curve25519(shared, mine->b, theirs->b) == 0;
    hasher_init(&h, "seal");
    hasher_add(&h, bytes_of(shared, sizeof shared));
    hasher_add(&h, bytes_of(ends.ephemeral->b, SEAL_KEY_BYTES));
    hasher_add(&h, bytes_of(ends.reader->b, SEAL_KEY_BYTES));
    hasher_finish(&h, out);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(&h, sizeof h);
    return contributory;
}

/* One key per box, so the nonce has nothing to separate. */
static const uint8_t box_nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

enum err seal(const struct seal_key *reader, const struct key_seed *ephemeral, struct bytes context, struct bytes message,
              uint8_t *out)
{
    struct seal_secret mine;
    struct seal_key mine_public;
    struct hash key;
    seal_key_from_seed(ephemeral, &mine, &mine_public);
    bool ok = box_key(&mine, reader, (struct seal_ends){ &mine_public, reader }, &key);
    seal_fini(&mine);
    if (ok) {
        memcpy(out, mine_public.b, SEAL_KEY_BYTES);
        crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEAL_KEY_BYTES, NULL, message.data, message.len, context.data,
                                                   context.len, NULL, box_nonce, key.b);
    } else {
        memset(out, 0, message.len + SEAL_OVERHEAD_BYTES);
    }
    sodium_memzero(&key, sizeof key);
    return ok ? OK : ERR_KEY;
}

enum err seal_open(const struct seal_secret *s, struct bytes context, struct bytes sealed, uint8_t *out)
{
    if (sealed.len < SEAL_OVERHEAD_BYTES)
        return ERR_SIGNATURE;
    struct seal_key ephemeral, reader;
    struct hash key;
    memcpy(ephemeral.b, sealed.data, SEAL_KEY_BYTES);
    crypto_scalarmult_curve25519_base(reader.b, s->b);
    bool ok = box_key(s, &ephemeral, (struct seal_ends){ &ephemeral, &reader }, &key);
    ok = ok && crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed.data + SEAL_KEY_BYTES,
                                                          sealed.len - SEAL_KEY_BYTES, context.data, context.len,
                                                          box_nonce, key.b) == 0;
    sodium_memzero(&key, sizeof key);
    if (!ok && sealed.len > SEAL_OVERHEAD_BYTES)
        memset(out, 0, sealed.len - SEAL_OVERHEAD_BYTES);
    return ok ? OK : ERR_SIGNATURE;
}
