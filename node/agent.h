/* agent.h - the whole node as one core: overlay, market, jobs on both sides, ledger.
 *
 * Three calls: agent_handle(event), agent_next(&effect) until false, agent_deadline(). Composition is one-way: the agent
 * asks the overlay, the requester machine, the provider machine and the ledger; none of them knows another.
 *
 * Owns:    everything inside `struct agent` (allocated once by the caller; see agent_size()); the store and the
 *          secret key are borrowed and outlive it.
 * Threads: one; the shell's loop thread, or the simulator.
 * Time:    every call gets `now` (monotonic; may repeat, never goes back) and `wall` (sanity bounds and display only).
 * Effects: in an outbox, bounded; drain with agent_next() after the store has been committed.
 * Spec:    PROTO 6 (market and jobs), 7 (ledger), 8 (model headers)
 */
#ifndef TALLYMESH_NODE_AGENT_H
#define TALLYMESH_NODE_AGENT_H

#include "crypto/bootstrap.h"
#include "ledger/ledger.h"
#include "node/event.h"

struct agent_config {
    struct net_id net;
    unsigned pow_bits;
    const struct secret_key *key;                      /* node key, borrowed */
    struct overlay_config overlay;                     /* own record's fields, transport key, certificate */
    struct key_seed entropy;                           /* from the OS; one-time keys are derived from it */
    uint64_t seed;                                     /* for everything that need not be secret */
    char jurisdiction[2];
    uint8_t tier;
    uint64_t credit_limit_pico;                        /* per requester, as a provider; 0: refuse all postpaid work */
    uint64_t newcomer_limit_pico;                      /* all newcomers together */
    uint32_t keep_prompts_hours;                       /* requester: how long prompt, nonce and answer are kept, encrypted */
    uint32_t token_deadline_ms;                        /* 0: TOKEN_DEADLINE_MS */
    bool serve;                                        /* false: never bids */
};

struct agent;
size_t agent_size(void);                               /* bytes to allocate for one agent, suitably aligned */

/* Opens the ledger view over `store` (recovery included). Any error is the store's or ERR_CONFIG. */
enum err agent_init(struct agent *a, const struct agent_config *c, struct store *store, struct mono now, struct wall wall) MUST_CHECK;
void agent_fini(struct agent *a);                      /* wipes one-time keys and kept secrets */

void agent_handle(struct agent *a, struct mono now, struct wall wall, const struct agent_event *e);
bool agent_next(struct agent *a, struct agent_effect *out);
struct mono agent_deadline(const struct agent *a);

enum err agent_bootstrap(struct agent *a, struct mono now, const struct bootstrap *b) MUST_CHECK;
bool agent_joined(const struct agent *a);
bool agent_drained(const struct agent *a);             /* after AGENT_DRAIN: no open job on either side, no receipt outstanding */

/* Views for status, metrics and the command line; borrowed until the next agent_handle(). */
const struct overlay *agent_overlay(const struct agent *a);
struct ledger *agent_ledger(struct agent *a);

struct agent_counters {
    uint64_t requests, requests_local, requests_failed, jobs_served, jobs_lost, failovers, offers_seen, bids_sent,
        offers_declined[ERR_COUNT], tokens_in, tokens_out, tokens_bought, receipts_closed, headers_served;
    uint32_t jobs_open_provider, jobs_open_requester;
};
const struct agent_counters *agent_counters(const struct agent *a);

/* Recent offers this node heard of, newest first, for `tally offers`. Returns how many were written. */
struct offer_view {
    struct hash model;
    struct pubkey requester;
    uint64_t price_input_max, price_output_max, age_ms;
    uint32_t output_max, prompt_count;
    bool gossiped, bid;
    enum err declined;                                 /* why no bid was sent; OK if one was */
};
uint32_t agent_offers(const struct agent *a, struct mono now, struct offer_view *out, uint32_t max);

/* Asserts the invariants of every machine inside (ENSURE). Called by the simulator after each step. */
void agent_check(const struct agent *a);
/* The part that an event on this link (id 0: on none) can have broken: jobs, bounds, the link's peer. Cheap enough for every step. */
void agent_check_step(const struct agent *a, struct link link);

#endif
