/* offer.h - what a requester asks for and what a provider answers: signed offers, signed bids, and named refusals.
 *
 * An offer holds a commitment to the prompt, never the prompt. A bid holds the one-time key to which the prompt will be
 * sealed if this provider is chosen. Whoever does not bid says which limit stood in the way.
 *
 * Owns:    nothing.
 * Threads: pure.
 * Spec:    PROTO 6.1 (offer), PROTO 6.2 (bid), PROTO 6.3 (decline)
 */
#ifndef TALLYMESH_NODE_OFFER_H
#define TALLYMESH_NODE_OFFER_H

#include "crypto/codec.h"
#include "ledger/amount.h"
#include "ledger/note.h"
#include "node/event.h"

enum {
    OFFER_VERSION = 1, OFFER_ID_BYTES = 16, JURISDICTIONS_MAX = 8,
    OFFER_BYTES_MAX = 384, BID_VERSION = 1, BID_BYTES_MAX = 256,
    SIGNED_BYTES_MAX = OFFER_BYTES_MAX + SIG_BYTES + 8,     /* OFFER and BID on the wire: body and signature */
    DECLINE_BYTES_MAX = 64,
};

struct offer {
    uint8_t id[OFFER_ID_BYTES];
    struct hash model;
    struct pubkey requester;
    struct hash commitment;                                 /* of the prompt (ledger/terms.h) */
    uint32_t prompt_count, cached_hint, output_max;
    enum latency_class class;
    struct request_limits limits;                           /* budget_pico stays at home and is 0 here */
    uint32_t ttl_ms;                                        /* relative: age on the way counts against it */
};

/* The bytes that are signed. ERR_ARG for a value that offer_decode() refuses. */
enum err offer_encode(const struct offer *o, uint8_t out[OFFER_BYTES_MAX], struct bytes *view) MUST_CHECK;
enum err offer_decode(struct bytes body, struct offer *out) MUST_CHECK;
struct hash offer_hash(struct bytes body);

struct bid {
    struct hash offer;
    struct pubkey provider;
    uint64_t price_input, price_cached, price_output;       /* micro-credits per million tokens */
    uint32_t first_token_ms;                                /* the provider's own prediction: queue and prefill */
    struct seal_key one_time;
    uint32_t reservation_ms;
    char jurisdiction[2];                                   /* both zero: not stated */
    uint8_t tier;                                           /* enum tier */
    uint32_t energy_mj_per_1k;                              /* 0: not measured */
    uint32_t slots_free;
};

/* ERR_ARG as above. */
enum err bid_encode(const struct bid *b, uint8_t out[BID_BYTES_MAX], struct bytes *view) MUST_CHECK;
enum err bid_decode(struct bytes body, struct bid *out) MUST_CHECK;

/* OFFER and BID on the wire: [body, signature]. body is lent from the message. */
struct signed_msg {
    struct bytes body;
    struct sig sig;
};
enum err signed_msg_encode(const struct signed_msg *m, uint8_t out[SIGNED_BYTES_MAX], struct bytes *view) MUST_CHECK;
enum err signed_msg_decode(struct bytes message, struct signed_msg *out) MUST_CHECK;

/* Why there is no bid, or no job after one. Numbers are on the wire: append. name, what it is to us, what the book calls it
 * (it has fewer words), text. */
#define DECLINE_TABLE(X)                                                                                               \
    X(DECLINE_NONE, OK, REASON_NONE, "not declined")                                                                   \
    X(DECLINE_MODEL, ERR_NO_PROVIDER, REASON_MODEL, "the model is not served here")                                    \
    X(DECLINE_DRAINING, ERR_UNAVAILABLE, REASON_SHUTDOWN, "the node is shutting down")                                 \
    X(DECLINE_CAPACITY, ERR_CAPACITY, REASON_CAPACITY, "all slots are taken")                                          \
    X(DECLINE_PRICE_INPUT, ERR_PRICE, REASON_TERMS, "the price cap for input is below the price")                      \
    X(DECLINE_PRICE_OUTPUT, ERR_PRICE, REASON_TERMS, "the price cap for output is below the price")                    \
    X(DECLINE_JURISDICTION, ERR_CONSTRAINT, REASON_TERMS, "not in an allowed jurisdiction")                            \
    X(DECLINE_TIER, ERR_CONSTRAINT, REASON_TERMS, "not of an allowed tier")                                            \
    X(DECLINE_ENERGY, ERR_CONSTRAINT, REASON_TERMS, "uses more energy than allowed, or has not measured it")           \
    X(DECLINE_OWNER, ERR_CONSTRAINT, REASON_TERMS, "not certified by the demanded owner")                              \
    X(DECLINE_CONTEXT, ERR_CONTEXT, REASON_TERMS, "prompt and answer exceed the model's context")                      \
    X(DECLINE_FIRST_TOKEN, ERR_CONSTRAINT, REASON_TERMS, "the first token would come too late")                        \
    X(DECLINE_CREDIT_REQUESTER, ERR_CREDIT, REASON_CREDIT, "credit limit for this requester")                          \
    X(DECLINE_CREDIT_NEWCOMERS, ERR_CREDIT, REASON_CREDIT, "credit limit for all newcomers together")                  \
    X(DECLINE_EXPIRED, ERR_EXPIRED, REASON_TERMS, "the offer or the reservation has expired")                          \
    X(DECLINE_TERMS, ERR_MISMATCH, REASON_TERMS, "the terms are not what was bid")                                     \
    X(DECLINE_SEALED, ERR_SIGNATURE, REASON_PROMPT, "the sealed prompt does not open or does not match its commitment")\
    X(DECLINE_CHANNEL, ERR_STATE, REASON_TERMS, "the receipt channel between both nodes is frozen")                    \
    X(DECLINE_BUDGET, ERR_PRICE, REASON_TERMS, "the request could cost more than its budget")                          \
    X(DECLINE_RATE, ERR_RATE, REASON_TERMS, "too many offers in too short a time")                                     \
    X(DECLINE_CANCELLED, ERR_CANCELLED, REASON_CLIENT_CANCEL, "cancelled before the first token")                      \
    X(DECLINE_FAILED, ERR_UNAVAILABLE, REASON_ENGINE, "the provider could not do it")                                  \
    X(DECLINE_UNPAID, ERR_RATE, REASON_TERMS, "too many jobs begun that nobody has signed for")

enum decline_reason {
#define X(name, err, reason, text) name,
    DECLINE_TABLE(X)
#undef X
    DECLINE_COUNT
};

enum err decline_err(enum decline_reason r);
enum reason decline_book_reason(enum decline_reason r);
const char *decline_text(enum decline_reason r);            /* never NULL, static storage */
/* limit or have for people, in decline_unit(): "0.24" and "credits per million tokens", "12" and "tokens"; "" if there is none. */
void decline_amount(enum decline_reason r, uint64_t v, char out[AMOUNT_CHARS_MAX + 1]);
const char *decline_unit(enum decline_reason r);

/* Refusal of an offer (subject = offer hash) or of terms (subject = terms hash). limit and have in the reason's own
 * unit: pico-credits, micro-credits per million tokens, tokens, milliseconds or slots; 0 where there is none. */
struct decline {
    struct hash subject;
    enum decline_reason reason;
    uint64_t limit, have;
};
enum err decline_encode(const struct decline *d, uint8_t out[DECLINE_BYTES_MAX], struct bytes *view) MUST_CHECK;
enum err decline_decode(struct bytes body, struct decline *out) MUST_CHECK;

/* Limits as an offer carries them: a price cap that no price can exceed is none. ERR_ARG: a jurisdiction that is no country. */
enum err limits_settle(struct request_limits *l) MUST_CHECK;

/* One constraint at a time, the first that fails; DECLINE_NONE if all hold. The provider asks it about itself before
 * bidding, the requester about every advert and every bid: one rule, three places. have and limit are for the refusal's
 * text: what the placement has, what the request allows; untouched where that is no number. */
struct placement {
    uint64_t price_input, price_output;
    char jurisdiction[2];
    uint8_t tier;
    uint32_t energy_mj_per_1k;
    const struct pubkey *owner;                             /* certified owner, NULL if unknown */
};
enum decline_reason limits_check(const struct request_limits *l, const struct placement *p, uint64_t *out_have, uint64_t *out_limit);

#endif
