/* chain.h - how do both sides commit to the answer while it streams?
 *
 * Two running hashes per job. The token chain is over the token ids that the requester sees, so both sides compute it.
 * The digest chain is over what the provider's model computed to get them: the hash of the canonical bytes fed to the
 * output head at each token, thirty-two tokens to a digest, salted with provider and nonce so that nobody can copy a
 * digest. The requester cannot compute digests without running the model; it keeps them, and whoever re-executes the
 * job compares them.
 *
 *   token chain:   c_0 = H("tokens", terms hash)    c_{i+1} = H("tokens", c_i || id u32 LE)
 *   digest:        D_j = H("digest", provider key || nonce || j u64 LE || head hashes of tokens 32j .. min(32j+31, end))
 *   digest chain:  d_0 = H("digests", terms hash)   d_{j+1} = H("digests", d_j || D_j)
 *
 * Owns:    the structs are the caller's, fixed size.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.3
 */
#ifndef TALLYMESH_LEDGER_CHAIN_H
#define TALLYMESH_LEDGER_CHAIN_H

#include "ledger/terms.h"

struct token_chain {
    struct hash at;
    uint64_t count;
};
void token_chain_init(struct token_chain *c, const struct hash *terms_hash);
void token_chain_add(struct token_chain *c, uint32_t id);

/* The provider's side (and a verifier's): head hashes in, digests out. */
struct digester {
    struct pubkey provider;
    struct hash nonce;
    uint64_t index;                                        /* of the digest that is being filled */
    uint32_t filled;
    struct hash heads[CLAIM_TOKENS];
};
void digester_init(struct digester *d, const struct pubkey *provider, const struct hash *nonce);
/* True when `head` was the last of its thirty-two: *out is then the digest, and the next one begins. */
bool digester_add(struct digester *d, const struct hash *head, struct hash *out);
/* The answer ended: true with the digest of the shorter rest, false if there is no rest. */
bool digester_end(struct digester *d, struct hash *out);

struct digest_chain {
    struct hash at;
    uint64_t count;
};
void digest_chain_init(struct digest_chain *c, const struct hash *terms_hash);
void digest_chain_add(struct digest_chain *c, const struct hash *digest);

#endif
