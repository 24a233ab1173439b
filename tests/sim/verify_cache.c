/* verify_cache.c - two hundred nodes verify the same record; once is enough for one process.
 *
 * Linked in place of key_verify() (--wrap): the answer is a pure function of its arguments, so remembering it changes
 * nothing but the time a seed takes. Nodes still pay for signatures that nobody has verified before.
 */
#include "tests/sim/promises.h"

#include "crypto/key.h"

enum err __real_key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body, const struct sig *s);
enum err __wrap_key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body, const struct sig *s);

static struct promises known;

enum err __wrap_key_verify(const struct pubkey *k, const char *purpose, const struct net_id *net, struct bytes body, const struct sig *s)
{
    struct hasher h;
    struct hash name, answer = { { 0 } };
    hasher_init(&h, "verified");
    hasher_add(&h, bytes_of(k, sizeof *k));
    hasher_add(&h, bytes_of(net, sizeof *net));
    hasher_add(&h, bytes_of(s, sizeof *s));
    hasher_add_u64(&h, bytes_text(purpose).len);
    hasher_add(&h, bytes_text(purpose));
    hasher_add(&h, body);
    hasher_finish(&h, &name);
    const struct hash *before = promises_find(&known, &name);
    if (before)
        return (enum err)before->b[0];
    enum err e = __real_key_verify(k, purpose, net, body, s);
    answer.b[0] = (uint8_t)e;
    (void)promises_keep(&known, &name, &answer);
    return e;
}
