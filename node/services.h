/* services.h - what every machine of the agent is handed: time, keys, the overlay to speak through, the book, the outbox.
 *
 * The machines (requester, provider, settlement, headers) share this and nothing else; the agent fills in the time before
 * each event and drains the overlay after each step.
 *
 * Owns:    counters and generators; the rest is borrowed from struct agent.
 * Threads: one.
 * Time:    now and wall are those of the event being handled.
 */
#ifndef TALLYMESH_NODE_SERVICES_H
#define TALLYMESH_NODE_SERVICES_H

#include "node/agent.h"
#include "node/job_msg.h"
#include "node/effects.h"

struct services {
    struct agent_config config;                            /* a copy; what it points to is borrowed */
    struct pubkey self;
    struct overlay *overlay;
    struct ledger *ledger;
    struct effects *out;
    struct mono now;
    struct wall wall;
    struct key_seed entropy;
    uint64_t seeds_drawn, runs_started;
    struct agent_counters counters;
    uint64_t sends_failed;
    uint8_t message[FRAME_BYTES_MAX], plain[FRAME_BYTES_MAX], sealed[FRAME_BYTES_MAX];  /* scratch for one message; nothing in it is remembered */
    uint32_t prompt[PROMPT_TOKENS_MAX];                    /* likewise */
};

/* A fresh secret, never the same twice: H("one-time", entropy || counter). */
void services_seed(struct services *s, struct key_seed *out);
struct run_id services_run(struct services *s);
/* Sends to a connected peer; what does not go out is counted, and the job's deadline answers it. False: it did not. */
bool services_send(struct services *s, const struct node_id *node, enum message_type type, struct bytes body);
/* The authenticated key behind a connected peer; false if it is gone. */
bool services_peer_key(const struct services *s, const struct node_id *node, struct pubkey *out);
/* Owner certified in a connected peer's record, or NULL; lent until the next change of the overlay. */
const struct pubkey *services_peer_owner(const struct services *s, const struct node_id *node);
/* Keeps our certificate and this peer's for the bundles of the jobs between us. */
void services_keep_certs(struct services *s, const struct node_id *node);
uint32_t services_rtt_us(const struct services *s, const struct node_id *node);    /* 0: unknown */
/* The first twelve hex digits of a hash, for logs: as long as `tally` shows them. */
struct short_name { char text[13]; };
struct short_name short_name(const struct hash *h);

#endif
