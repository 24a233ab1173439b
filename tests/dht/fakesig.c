/* fakesig.c - signatures for runs of many nodes, where Ed25519 would be four fifths of the time and is not the question.
 *
 * Linked with --wrap=key_sign and --wrap=key_verify: a "signature" is a hash of key, purpose, network and body. Anybody
 * could forge it, so no test about forgery may link this file. */
#include <string.h>

#include "crypto/key.h"

void __wrap_key_sign(const struct secret_key *k, const char *purpose, const struct net_id *net, struct bytes body, struct sig *out);
enum err __wrap_key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body, const struct sig *s);

static struct sig fake(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body)
{
    struct hasher h;
    struct hash out;
    struct sig sig;
    hasher_init(&h, purpose);
    hasher_add(&h, bytes_of(k->b, sizeof k->b));
    hasher_add(&h, bytes_of(net->b, sizeof net->b));
    hasher_add(&h, body);
    hasher_finish(&h, &out);
    memcpy(sig.b, out.b, HASH_BYTES);
    memcpy(sig.b + HASH_BYTES, out.b, HASH_BYTES);
    return sig;
}

void __wrap_key_sign(const struct secret_key *k, const char *purpose, const struct net_id *net, struct bytes body, struct sig *out)
{
    struct pubkey pub;
    key_public(k, &pub);
    *out = fake(&pub, purpose, net, body);
}

enum err __wrap_key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body, const struct sig *s)
{
    struct sig expected = fake(k, purpose, net, body);
    return memcmp(&expected, s, sizeof expected) == 0 ? OK : ERR_SIGNATURE;
}
