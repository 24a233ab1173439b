/* hand_requester.h - a requester played by hand: it holds a node's key and link, and says what no honest agent would.
 *
 * The agent of that node keeps the link alive and hears nothing of what the provider answers; the tap takes it away. Of each
 * job the tokens, the claims and their endings are kept, so that a test can sign some of them, or none.
 */
#ifndef TALLYMESH_TESTS_AGENT_HAND_REQUESTER_H
#define TALLYMESH_TESTS_AGENT_HAND_REQUESTER_H

#include "tests/agent/world.h"

enum { HAND_PROMPT = 20, HAND_TOKENS_MAX = 4096, HAND_CLAIMS_MAX = 160 };

struct hand_claim {
    struct claim claim;
    bool has_digest, last;
    struct hash digest;
    struct sig provider_sig;
};

struct hand {
    struct world *w;
    int from, to;
    uint64_t offers;                                       /* made so far; each has another id */
    uint32_t output_max;                                   /* of the next offer */
    uint32_t prompt[HAND_PROMPT];
    struct hash nonce;
    struct offer offer;
    struct hash offer_hash, bid_hash;
    struct bid bid;
    bool has_bid;
    struct decline declined, refused;                      /* the last of each; reason DECLINE_NONE: none */
    /* Changes the terms of a fitting job before they are signed; NULL: as they are. */
    void (*change)(struct terms *t);
    struct terms terms;
    struct hash hash;
    uint8_t terms_message[TERMS_MSG_BYTES_MAX];
    size_t terms_bytes;
    bool accepted;                                         /* TERMS_OK came, and its signature verifies */
    uint32_t tokens;
    struct hand_claim claims[HAND_CLAIMS_MAX];
    uint32_t claim_count, receipts;
};

/* Node `from` is played by hand towards `to` from now on; takes the world's tap. */
void hand_init(struct hand *h, struct world *w, int from, int to);
/* The offer as it would be sent, signed with `key`. */
struct bytes hand_offer_message(struct hand *h, const struct secret_key *key, uint8_t buf[SIGNED_BYTES_MAX]);
/* Offers and waits a moment: true if a bid came, else h->declined says why not. */
bool hand_offers(struct hand *h);
/* Answers the bid with terms, prompt sealed, and waits a moment: true if they were accepted, else h->refused says why not. */
bool hand_agrees(struct hand *h);
bool hand_begins(struct hand *h, uint32_t output_max);     /* both */
void hand_sends_terms_again(struct hand *h);
void hand_signs(struct hand *h, uint32_t claim);           /* CLAIM_OK for the claim at this index in h->claims */
void hand_cancels(struct hand *h, enum cancel_why why);
struct job hand_job(struct hand *h);                       /* as the provider's book has it */

#endif
