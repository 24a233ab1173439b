/* ask.h - the four parts of the requester among themselves. Not for others.
 *
 * requester.c owns an ask's life and its clock, candidates.c knows who is worth asking, bidding.c finds somebody for the rest
 * of it, purchase.c deals with the one who was chosen.
 */
#ifndef TALLYMESH_NODE_ASK_H
#define TALLYMESH_NODE_ASK_H

#include "node/requester.h"

static inline uint32_t ask_delivered(const struct ask *a) { return a->tokens.count - a->prompt_count; }
static inline uint32_t ask_rest(const struct ask *a) { return a->output_max - ask_delivered(a); }

/* ---- requester.c ---- */
struct ask *ask_of_terms(struct requester *r, const struct hash *terms, const struct node_id *from);
/* The client has its last word; the ask is free afterwards. */
void ask_done(struct requester *r, struct ask *a, enum finish finish);
void ask_fail(struct requester *r, struct ask *a, enum err error, const char *why);
/* Keeps what opens the commitments of the job at hand, for later verification. */
void ask_keep_opening(struct requester *r, struct ask *a);
/* Delivers to the client unless it has enough. */
void ask_tell_tokens(struct requester *r, struct ask *a, const uint32_t *tokens, uint32_t count);

/* ---- candidates.c ---- */
enum { ADVERTS_MAX = 32 };
struct candidate {
    const struct advert *advert;
    bool failed;
    uint64_t cost;
    uint32_t rtt_us;
};
/* Providers worth asking, best first: those that did not fail lately, then by cost, then by round trip. Those whose advert
 * already rules them out are remembered as refusals. out points into adverts. */
size_t candidates_rank(struct requester *r, struct ask *a, struct advert adverts[ADVERTS_MAX], struct candidate out[ADVERTS_MAX]);
/* Most the rest can cost at these prices; UINT64_MAX if that does not fit (and so fits no budget). */
uint64_t candidate_cost(const struct ask *a, uint64_t price_in, uint64_t price_out);
/* Failed this request before, or others lately. */
bool candidate_is_bad(const struct requester *r, const struct ask *a, const struct node_id *node);

/* ---- bidding.c ---- */
/* Keeps the refusal if it is more telling than what is known so far. */
void bidding_note_refusal(struct ask *a, const struct decline *d, const struct node_id *by);
/* A signed offer for what is left of the ask, to whoever is known; the ask is OFFERED or has failed. */
void bidding_start(struct requester *r, struct ask *a);
/* Chooses if it is time to, asks more providers if all have declined, gives up if nobody is left. */
void bidding_consider(struct requester *r, struct ask *a);
/* Tells everybody asked, except `chosen` (may be NULL), that they are released. */
void bidding_release(struct requester *r, struct ask *a, const struct node_id *chosen);

/* ---- purchase.c ---- */
/* Signs terms and sends them with the sealed prompt; false if this bidder could not be reached. */
bool purchase_begin(struct requester *r, struct ask *a, const struct held_bid *b);
/* The provider failed: its part is closed in the book, and the rest is offered again if there is a rest. */
void purchase_failed(struct requester *r, struct ask *a, enum side fault, enum reason why);
void purchase_cancel(struct requester *r, struct ask *a);
/* The wait for the last claim or the receipt is over. */
void purchase_give_up(struct requester *r, struct ask *a);

#endif
