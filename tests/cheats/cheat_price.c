/* cheat_price.c - a provider that adds one pico-credit to every claim it makes.
 *
 * Linked with --wrap=claim_make. The requester counts for itself and must refuse to sign.
 */
#include "ledger/claim.h"

enum err __real_claim_make(const struct terms *t, const struct hash *terms_hash, const struct token_chain *tokens,
                           const struct digest_chain *digests, struct claim *out);
enum err __wrap_claim_make(const struct terms *t, const struct hash *terms_hash, const struct token_chain *tokens,
                           const struct digest_chain *digests, struct claim *out);

enum err __wrap_claim_make(const struct terms *t, const struct hash *terms_hash, const struct token_chain *tokens,
                           const struct digest_chain *digests, struct claim *out)
{
    enum err e = __real_claim_make(t, terms_hash, tokens, digests, out);
    if (e == OK)
        out->cost.v += 1;
    return e;
}
