/* requester.h - how does a client's request become an answer that is paid for?
 *
 * One `ask` per request. It makes a signed offer, collects bids, agrees terms with one provider, counts and co-signs what
 * that provider delivers, and if the provider fails makes a new offer for the rest. A request answered by this node's own
 * engine is an ask too, without market and without receipt.
 *
 *                     no bid in time: the client is told why
 *   FREE -> OFFERED ---------------------------------------> FREE
 *              | bid chosen, terms signed and sealed prompt sent
 *              v                 refused, silent, link lost: a new offer for the rest (ATTEMPTS_MAX)
 *           AGREED -----------------------------------------> OFFERED
 *              | provider's signature
 *              v                 link lost, token deadline, wrong claim
 *           RUNNING ----------------------------------------> OFFERED
 *              |        \ client cancels
 *              |         -> CANCELLING
 *              v last claim co-signed |
 *           CLOSING <-----------------+
 *              | receipt co-signed, or RECEIPT_WAIT_MS: the client has its answer, the receipt follows later
 *              v
 *            FREE
 *
 *   OFFERED <-> QUEUED: all who could answer are busy; offered again with growing pauses, QUEUE_MS_MAX at most.
 *   LOCAL: own engine; FREE when it is done.
 *
 * Owns:    at most JOBS_MAX asks; their token lists.
 * Threads: none.
 * Effects: through services: messages by the overlay, client effects by the outbox, signatures by the ledger.
 * Spec:    PROTO 6.1 to 6.9
 */
#ifndef TALLYMESH_NODE_REQUESTER_H
#define TALLYMESH_NODE_REQUESTER_H

#include "node/offer.h"
#include "node/services.h"
#include "node/token_list.h"
#include "node/trust.h"

enum {
    ASKED_MAX = 16,                                        /* providers asked directly for one offer, in rounds of OFFER_PROVIDERS_MAX */
    RECEIPT_WAIT_MS = 2000, CANCEL_WAIT_MS = 2000,
    FIRST_TOKEN_FACTOR = 4, FIRST_TOKEN_GRACE_MS = 2000,   /* patience: four times the prediction, and two seconds */
};

/* What is known in each state:
 *   ASK_OFFERED     offer is signed, its bytes are in `offer`; bids are collected until grace_at or deadline
 *   ASK_QUEUED      whoever could answer has no free slot; offered again at deadline, until queue_until
 *   ASK_AGREED      our signature on terms is in the book, terms and prompt are sent; buy.terms is filled in
 *   ASK_RUNNING     both signatures on the terms are in the book
 *   ASK_CANCELLING  as RUNNING or AGREED, and CANCEL is sent: the provider's last claim is awaited
 *   ASK_CLOSING     the last claim is co-signed and the job ended in the book; the receipt is awaited
 *   ASK_LOCAL       our own engine runs it */
enum ask_state { ASK_FREE, ASK_OFFERED, ASK_QUEUED, ASK_AGREED, ASK_RUNNING, ASK_CANCELLING, ASK_CLOSING, ASK_LOCAL };

enum asked_state { ASKED_DIALLING, ASKED_SENT, ASKED_DECLINED, ASKED_BID };
struct asked {
    struct node_id node;
    enum asked_state state;
    uint64_t cost;                                         /* of the whole rest at most, as advertised */
};

struct held_bid {
    struct bid bid;
    struct hash hash;
    struct node_id node;
    uint64_t cost;                                         /* of the whole rest at most, pico-credits */
    uint64_t wait_us;                                      /* first token as predicted, and one round trip */
    bool failed_before;                                    /* this provider failed this request, or others lately: last resort */
    struct mono until;                                     /* terms sent later would find the slot released */
};

struct purchase {                                          /* the job with the chosen provider */
    struct node_id node;
    struct terms terms;
    struct hash hash;
    uint32_t base;                                         /* index in tokens where this job's output begins */
    uint32_t received;                                     /* output tokens of this job */
    bool claimed;                                          /* last, last_digest are valid */
    struct claim last;                                     /* newest claim both sides signed */
    struct hash last_digest;
    bool last_has_digest;
    struct token_chain tokens;                             /* at last.tokens.out */
    struct digest_chain digests;
    uint32_t first_token_ms;                               /* as bid */
};

struct ask {
    enum ask_state state;
    struct client_id client;
    struct hash model, nonce;
    char model_name[MODEL_NAME_CHARS_MAX + 1];             /* as adverts call it; display only */
    uint8_t job_id[JOB_ID_BYTES];
    struct token_list tokens;                              /* prompt, then everything delivered */
    uint32_t prompt_count, output_max, stop_count, stop[STOP_IDS_MAX];
    uint32_t temperature_micro, top_k, top_p_micro;
    uint64_t seed;
    enum latency_class class;
    struct request_limits limits;

    uint8_t offer[SIGNED_BYTES_MAX];                       /* as sent */
    size_t offer_bytes;
    struct hash offer_hash, commitment;
    bool gossiped, searching;
    struct mono deadline, queue_until;
    struct mono first_bid_at;                              /* first acceptable bid; MONO_NEVER: none yet */
    struct mono last_resort_at;                            /* those that failed before are taken from now on; MONO_NEVER: no bid yet */
    struct mono grace_at;                                  /* when to decide, of the bids at hand, next */
    uint32_t rounds;                                       /* offers made for this request */
    uint32_t retry_ms;                                     /* the next pause in the queue */
    struct asked asked[ASKED_MAX];
    uint32_t asked_count;
    struct held_bid bids[BIDS_MAX];
    uint32_t bid_count;
    struct decline why_not;                                /* the most telling refusal so far */
    struct node_id why_not_by;

    struct purchase buy;
    uint32_t attempts;
    struct node_id failed[ATTEMPTS_MAX];
    uint32_t failed_count;
    struct hash receipts[RECEIPTS_PER_REQUEST_MAX];        /* terms hash, replaced by the receipt's id once it is complete */
    struct hash receipt_terms[RECEIPTS_PER_REQUEST_MAX];
    uint32_t receipt_count;
    uint64_t spent;                                        /* pico-credits, of earlier attempts */
    struct hash parent;                                    /* terms hash of the last attempt that delivered; zero: none */
    bool accepted, satisfied, cancelled;
    enum finish finish;
    struct run_id run;                                     /* LOCAL */
};

struct requester {
    struct services *s;
    struct trust trust;
    struct ask ask[JOBS_MAX];
};

void requester_init(struct requester *r, struct services *s);
void requester_fini(struct requester *r);

/* Starts a request on the mesh; every failure is told to the client. */
void requester_request(struct requester *r, const struct request *q);
/* The same on our own engine; the caller has counted the slot. False if it could not start (the client was told). */
bool requester_request_local(struct requester *r, const struct request *q);
void requester_cancel(struct requester *r, struct client_id client, bool satisfied);

void requester_peer_up(struct requester *r, const struct node_id *node);
void requester_peer_down(struct requester *r, const struct node_id *node);
void requester_offended(struct requester *r, const struct node_id *node);  /* this peer broke the protocol: nothing is awaited from it */
void requester_providers(struct requester *r, const struct hash *model);   /* a lookup for them has finished */

/* Messages from a connected peer. OK, or the offence to charge the peer with; what is merely late is OK. */
enum err requester_bid(struct requester *r, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err requester_decline(struct requester *r, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err requester_terms_ok(struct requester *r, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err requester_refuse(struct requester *r, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err requester_chunk(struct requester *r, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err requester_claim(struct requester *r, const struct node_id *from, struct bytes body) MUST_CHECK;
/* The ledger co-signed a receipt for this job. */
void requester_receipt(struct requester *r, const struct hash *terms, const struct hash *receipt);

/* Own engine's events; false if the run is not ours. */
bool requester_run_tokens(struct requester *r, struct run_id run, const uint32_t *tokens, uint32_t count);
bool requester_run_done(struct requester *r, struct run_id run, enum finish finish, enum err error, struct hash *out_model);

/* Does one thing that is due; false if nothing is. */
bool requester_step(struct requester *r);
struct mono requester_deadline(const struct requester *r);
uint32_t requester_open(const struct requester *r);
void requester_check(const struct requester *r);

#endif
