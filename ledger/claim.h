/* claim.h - how far has this job come, in words both sides sign while it runs?
 *
 * A claim says: of this job, so many tokens were read and written, they are these (token chain), they came from this
 * computation (digest chain), and so much is owed for them. It holds no clock and nothing random, so claim k of a job
 * is one byte string however often it is signed. Claims are cumulative: the latest co-signed one is what is owed.
 *
 *   claim 0            after the prefill, before any output (optional)
 *   claim k, out = 32k while the answer runs
 *   last claim         out anywhere above 32(k-1): nothing may follow a claim whose out is not 32k
 *
 * The provider signs, the requester co-signs after counting for itself. Several may be outstanding, never more than
 * the terms' window.
 *
 * Encoded: array(9) [version, terms hash, k, tokens in, cached, out, token chain, digest chain, cost in pico-credits].
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.4
 */
#ifndef TALLYMESH_LEDGER_CLAIM_H
#define TALLYMESH_LEDGER_CLAIM_H

#include "ledger/chain.h"

enum { CLAIM_VERSION = 1 };

struct claim {
    struct hash terms;
    uint64_t index;                                        /* k: out / claim_tokens, rounded up */
    struct tokens tokens;
    struct hash token_chain, digest_chain;
    struct pico cost;
};

/* The one claim for these terms at these counts. in and cached are those of the terms (a prefill is billed whole, once
 * it is done). The chains must have seen exactly what `out` says: `tokens->count` output tokens and all their digests.
 * ERR_MISMATCH otherwise. */
enum err claim_make(const struct terms *t, const struct hash *terms_hash, const struct token_chain *tokens,
                    const struct digest_chain *digests, struct claim *out) MUST_CHECK;
/* Arithmetic against the terms: ERR_MISMATCH (other terms, counts, index or cost), ERR_OVERFLOW (above output_max). */
enum err claim_check(const struct claim *c, const struct terms *t, const struct hash *terms_hash) MUST_CHECK;
/* True if nothing may follow c: its out is no whole multiple of the step. */
bool claim_is_last(const struct claim *c);

enum err claim_encode(const struct claim *c, uint8_t buf[CLAIM_BYTES_MAX], struct bytes *out_body) MUST_CHECK;
enum err claim_decode(struct bytes body, struct claim *out) MUST_CHECK;

struct hash claim_hash(struct bytes body);                 /* H("claim", body) */
void claim_sign(const struct secret_key *k, enum side as, const struct net_id *net, const struct claim *c, struct sig *out);
enum err claim_verify(const struct claim *c, const struct terms *t, enum side by, const struct sig *s) MUST_CHECK;

#endif
