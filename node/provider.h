/* provider.h - which offers does this node take, and how does it deliver what it was paid for?
 *
 * An offer that meets our conditions gets a signed bid, which holds one slot and one one-time key for RESERVATION_MS. Terms
 * that fit the bid become a `work`: an engine run whose tokens go out as they are made, never more than the window ahead of
 * what the requester has co-signed.
 *
 *   bid ---- RESERVATION_MS, or CANCEL ----> gone
 *    | terms fit, credit suffices, prompt opens
 *    v
 *   RUNNING -- engine done, or cancelled: last claim sent --> CLOSING -- last claim co-signed --> receipt (settlement.h)
 *    |                                                         |
 *    +---- requester gone, or WINDOW full for NO_ACK_MS --------+----> STOPPING -- engine done --> FREE
 *
 * Owns:    at most RESERVATIONS_MAX bids, JOBS_MAX works, STRANGERS_MAX gossiped offers whose requester is being dialled.
 * Threads: none.
 * Effects: through services.
 * Spec:    PROTO 6.1 to 6.8
 */
#ifndef TALLYMESH_NODE_PROVIDER_H
#define TALLYMESH_NODE_PROVIDER_H

#include "node/offer.h"
#include "node/served.h"
#include "node/services.h"
#include "node/token_list.h"
#include "node/unpaid.h"

enum {
    RESERVATIONS_MAX = JOBS_MAX, RESERVATIONS_PER_REQUESTER_MAX = 8,
    STRANGERS_MAX = 16, OFFER_VIEWS_MAX = 64,
    CLAIMS_OPEN_MAX = WINDOW_TOKENS / CLAIM_TOKENS + 2,    /* one per step inside the window, claim 0, a shorter last one */
    NO_ACK_MS = TOKEN_DEADLINE_MS,                         /* a requester that co-signs nothing for so long is gone */
};

struct reservation {
    bool used;
    struct hash offer_hash, bid_hash;
    struct offer offer;
    struct bid bid;
    struct node_id node;
    struct seal_secret secret;                             /* wiped on use and on expiry */
    struct mono until;
};

/* A gossiped offer that we would take; its requester is being dialled. */
struct stranger {
    bool used;
    struct node_id node;
    uint8_t message[SIGNED_BYTES_MAX];
    size_t bytes;
    struct mono until;
};

/* What is known in each state:
 *   WORK_RUNNING   terms are in the book, signed by both; the engine may still add tokens
 *   WORK_CLOSING   the last claim is sent and nothing will be added; its co-signature is awaited
 *   WORK_STOPPING  the job has ended in the book; only the engine's RUN_DONE is awaited */
enum work_state { WORK_FREE, WORK_RUNNING, WORK_CLOSING, WORK_STOPPING };

struct open_claim {
    struct claim claim;
    struct hash digest;
    bool has_digest;
};

struct work {
    enum work_state state;
    struct run_id run;
    struct node_id node;
    struct hash hash;                                      /* of the terms */
    struct terms terms;
    struct token_list made;                                /* the engine's output so far */
    struct hash_list heads;                                /* of made[sent ..] */
    uint32_t sent, acked;                                  /* acked: out of the newest co-signed claim */
    bool run_over, cancelled, satisfied, last_sent, any_ack;
    bool newcomer;                                         /* its requester was one when it began */
    enum finish finish;
    struct token_chain tokens;                             /* over made[0 .. sent) */
    struct digester digester;
    struct digest_chain digests;
    struct claim newest;                                   /* last one sent; valid if claims_sent */
    struct hash newest_digest;
    bool newest_has_digest;
    uint32_t claims_sent, open_count;
    struct open_claim open[CLAIMS_OPEN_MAX];               /* sent, not yet co-signed, oldest first */
    struct mono deadline;                                  /* no co-signature by then: abandoned; MONO_NEVER: none is awaited */
    struct mono next_chunk_at;                             /* tokens are coalesced until then */
    bool chunk_waits;                                      /* and there are some */
};

struct provider {
    struct services *s;
    struct served_table *served;
    bool draining;
    bool ended;                                            /* a job of ended_with has ended since the agent last asked */
    struct pubkey ended_with;
    struct reservation reserved[RESERVATIONS_MAX];
    struct stranger stranger[STRANGERS_MAX];
    struct work work[JOBS_MAX];
    struct unpaid unpaid;
    struct offer_view seen[OFFER_VIEWS_MAX];               /* ring; age_ms holds the time of arrival */
    uint64_t seen_count;
};

void provider_init(struct provider *p, struct services *s, struct served_table *served);
void provider_fini(struct provider *p);                    /* wipes one-time keys */
void provider_drain(struct provider *p);                   /* no new bids from now on */

/* Messages from a connected peer. OK, or the offence to charge it with. */
enum err provider_offer(struct provider *p, const struct node_id *from, struct bytes body, uint32_t age_ms) MUST_CHECK;
enum err provider_terms(struct provider *p, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err provider_claim_ok(struct provider *p, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err provider_cancel(struct provider *p, const struct node_id *from, struct bytes body) MUST_CHECK;
/* An offer heard by gossip; record is the origin's, fit for overlay_open(). */
enum err provider_gossip(struct provider *p, const struct node_record *record, struct bytes body, uint32_t age_ms) MUST_CHECK;
void provider_peer_up(struct provider *p, const struct node_id *node);
void provider_peer_down(struct provider *p, const struct node_id *node);

/* The engine's events; false if the run is not ours. */
bool provider_run_tokens(struct provider *p, struct run_id run, const uint32_t *tokens, const struct hash *heads, uint32_t count);
bool provider_run_done(struct provider *p, struct run_id run, enum finish finish, enum err error);

/* True once after a job ended: its requester may now be due a receipt. */
bool provider_take_ended(struct provider *p, struct pubkey *out);

bool provider_step(struct provider *p);                    /* does one thing that is due; false if nothing is */
struct mono provider_deadline(const struct provider *p);
uint32_t provider_open(const struct provider *p);
uint32_t provider_offers(const struct provider *p, struct mono now, struct offer_view *out, uint32_t max);
void provider_check(const struct provider *p);

#endif
