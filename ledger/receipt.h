/* receipt.h - what is owed on a channel after its latest job, in words both sides sign?
 *
 * A channel is one direction of debt: one requester key, one provider key. Each closed job with a co-signed claim adds
 * one receipt: number, link to the one before, the job's last claim, and the channel's new total. The newest receipt
 * alone says everything that is owed; the chain says why.
 *
 * Encoded: array(16) [version, net id, channel id, seq, previous receipt id, terms hash, tokens in, cached, out,
 *          token chain, digest chain, job cost, owed, settled, output offset, parent terms hash].
 * The claim behind it is implied: same terms, counts, chains and cost.
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.5
 */
#ifndef TALLYMESH_LEDGER_RECEIPT_H
#define TALLYMESH_LEDGER_RECEIPT_H

#include "ledger/claim.h"

enum { RECEIPT_VERSION = 1 };

struct receipt {
    struct net_id net;
    struct hash channel;                                   /* receipt_channel() */
    uint64_t seq;                                          /* 1, 2, 3, ... without gaps */
    struct hash previous;                                  /* id of seq - 1; zero for seq 1 */
    struct hash terms;
    struct tokens tokens;
    struct hash token_chain, digest_chain;
    struct pico cost;                                      /* of this job */
    struct pico owed, settled;                             /* of this channel, cumulative; settled <= owed */
    uint64_t output_offset;                                /* as in the terms: 0, or where this continuation began */
    struct hash parent;                                    /* as in the terms: zero, or the terms hash of the job continued */
};

/* H("channel", requester key || provider key). */
struct hash receipt_channel(const struct pubkey *requester, const struct pubkey *provider);

enum err receipt_encode(const struct receipt *r, uint8_t buf[RECEIPT_BODY_BYTES_MAX], struct bytes *out_body) MUST_CHECK;
enum err receipt_decode(struct bytes body, struct receipt *out) MUST_CHECK;
struct hash receipt_id(struct bytes body);                 /* H("receipt", body) */

void receipt_sign(const struct secret_key *k, enum side as, const struct net_id *net, struct bytes body, struct sig *out);
/* `by` is that side's node key. OK, ERR_SIGNATURE. */
enum err receipt_verify(const struct receipt *r, const struct pubkey *key, enum side by, struct bytes body,
                        const struct sig *s) MUST_CHECK;

/* Against the terms and, if not NULL, the claim: ERR_MISMATCH (channel, counts, chains, cost, offset, parent), ERR_NETWORK. */
enum err receipt_check(const struct receipt *r, const struct terms *t, const struct hash *terms_hash,
                       const struct claim *c) MUST_CHECK;
/* Against the receipt before it (NULL: r must be the first): ERR_CHAIN (seq, link), ERR_MISMATCH (total, settled),
 * ERR_OVERFLOW. */
enum err receipt_check_link(const struct receipt *r, const struct receipt *previous, const struct hash *previous_id) MUST_CHECK;

#endif
