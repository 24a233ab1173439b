/* chain.c - the running hashes that both sides keep while an answer streams. */
#include "ledger/chain.h"

void token_chain_init(struct token_chain *c, const struct hash *terms_hash)
{
    *c = (struct token_chain){ .at = hash_of("tokens", bytes_of(terms_hash->b, HASH_BYTES)) };
}

void token_chain_add(struct token_chain *c, uint32_t id)
{
    uint8_t le[4] = { (uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24) };
    struct hasher h;
    hasher_init(&h, "tokens");
    hasher_add_hash(&h, &c->at);
    hasher_add(&h, bytes_of(le, sizeof le));
    hasher_finish(&h, &c->at);
    c->count++;
}

void digester_init(struct digester *d, const struct pubkey *provider, const struct hash *nonce)
{
    *d = (struct digester){ .provider = *provider, .nonce = *nonce };
}

static void finish_digest(struct digester *d, struct hash *out)
{
    struct hasher h;
    hasher_init(&h, "digest");
    hasher_add(&h, bytes_of(d->provider.b, PUBKEY_BYTES));
    hasher_add_hash(&h, &d->nonce);
    hasher_add_u64(&h, d->index);
    for (uint32_t i = 0; i < d->filled; i++)
        hasher_add_hash(&h, &d->heads[i]);
    hasher_finish(&h, out);
    d->index++;
    d->filled = 0;
}

bool digester_add(struct digester *d, const struct hash *head, struct hash *out)
{
    ENSURE(d->filled < CLAIM_TOKENS);
    d->heads[d->filled++] = *head;
    if (d->filled < CLAIM_TOKENS)
        return false;
    finish_digest(d, out);
    return true;
}

bool digester_end(struct digester *d, struct hash *out)
{
    if (d->filled == 0)
        return false;
    finish_digest(d, out);
    return true;
}

void digest_chain_init(struct digest_chain *c, const struct hash *terms_hash)
{
    *c = (struct digest_chain){ .at = hash_of("digests", bytes_of(terms_hash->b, HASH_BYTES)) };
}

void digest_chain_add(struct digest_chain *c, const struct hash *digest)
{
    struct hasher h;
    hasher_init(&h, "digests");
    hasher_add_hash(&h, &c->at);
    hasher_add_hash(&h, digest);
    hasher_finish(&h, &c->at);
    c->count++;
}
