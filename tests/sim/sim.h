/* sim.h - two hundred whole nodes in one process: what can happen to them, and what must never happen.
 *
 * The very cores (node/agent.h with overlay, market and ledger) over store_mem, joined by links that behave as the
 * transport's do, under virtual time. Everything random comes from one number. Same number, same trace hash.
 *
 *   sim_main.c   options, the three phases of a run, the last lines
 *   sim.c        builds the world, hands each event to its node, commits, performs the effects
 *   queue.c      the one order of all events: (time, sequence)
 *   net.c        links: dialled, ordered, slow, broken, muted, partitioned
 *   engine.c     the fake engine: runs that make tokens at a node's own speed
 *   clients.c    who asks what, and whether the answer is right
 *   faults.c     crashes in every phase of a turn, full disks, broken links, partitions
 *   vices.c      the few nodes that cheat
 *   check.c      safety after each step, agreement and progress at the end
 *   promises.c   every signature that left an honest node
 *
 * Owns:    everything below struct sim; sim_close() frees it.
 * Threads: one.
 * Time:    sim->now, microseconds; a node sees it shifted by its own offset, which changes with each restart.
 */
#ifndef TALLYMESH_TESTS_SIM_SIM_H
#define TALLYMESH_TESTS_SIM_SIM_H

#include "ledger/store_mem.h"
#include "node/agent.h"
#include "tests/sim/promises.h"
#include "tests/sim/queue.h"

enum {
    SIM_MODELS = 3, SIM_VOCAB = 1000, SIM_CONTEXT = 4096, SIM_STOP_ID = 7, SIM_HEADER_BYTES = 70000,
    SIM_POW_BITS = 2, SIM_PROMPT_MAX = 1500, SIM_BOOTSTRAPS = 3,
    SIM_TURN_US = 20,                                      /* a loop that is woken at once still takes a moment */
    SIM_SPIN_MAX = 20000,                                  /* ticks of one node in one virtual second: it spins */
};
#define SIM_NEVER UINT64_MAX
enum { SIM_TOUCHED_MAX = 16 };
#define SIM_NO_WIRE SIZE_MAX
static inline uint64_t sim_ms(uint64_t ms) { return ms * 1000; }

/* One stream per node and purpose, so that one more draw here moves nothing there. */
enum stream { STREAM_LIFE, STREAM_NET, STREAM_CLIENT, STREAM_ENGINE, STREAM_VICE, STREAM_COUNT };

enum vice {
    VICE_NONE,
    VICE_OVERCOUNT,                                        /* provider: claims one token more than it sent */
    VICE_STOP,                                             /* provider: now and then makes no token any more */
    VICE_OWED,                                             /* provider: writes a larger sum into its receipts */
    VICE_NO_SIGNATURE,                                     /* requester: takes the answer and signs nothing */
    VICE_GARBAGE,                                          /* floods its links with noise */
    VICE_REPLAY,                                           /* says again what it said or heard before */
    VICE_DRAWN,                                            /* those above are drawn from the seed */
    VICE_TWO_FACED = VICE_DRAWN,                           /* provider: shows other receipts than it had co-signed (--two-faced) */
    VICE_COUNT
};

/* Drawn from the seed: each seed is another climate. Rates in parts per million. */
struct climate {
    uint32_t delay_ppm, break_ppm, dial_fail_ppm;          /* per frame, per frame, per dial */
    uint32_t jitter_us;
    uint64_t crash_every_us, disk_every_us, partition_every_us;    /* of the whole world; SIM_NEVER: not in this seed */
    uint64_t request_every_us;                             /* per node */
    uint64_t credit_pico, newcomer_pico;
    uint32_t vicious, serving;                             /* how many nodes */
    uint32_t full_mesh;                                    /* links to all up to so many nodes; 0: the product's own figure */
};

/* Faults planted on purpose, to see that the checks see them (--plant). */
enum plant {
    PLANT_NONE,
    PLANT_TOKEN,                                           /* an engine answers with a wrong token now and then */
    PLANT_SPEAK_FIRST,                                     /* effects before the commit, and then the power fails */
    PLANT_TWO_BODIES,                                      /* an honest provider's receipts differ each time */
    PLANT_DEAF,                                            /* co-signed receipts never leave */
    PLANT_COUNT
};

struct sim_options {
    uint64_t seed;
    uint32_t nodes, minutes;
    enum plant plant;
    int trace;                                             /* a node's index; -1: none */
    uint32_t two_faced;                                    /* so many providers equivocate */
    bool quiet;
};

/* ---- links ---- */

struct wire_end {
    size_t node;
    struct link link;
    uint64_t life;                                         /* of the node, when this end came to be */
    bool open;                                             /* this side still knows the link */
    bool heard;                                            /* listener: the first frame has arrived, the link exists */
};
/* Direction d runs from end[d] to end[!d]; end[0] dialled. */
struct wire {
    struct wire_end end[2];
    bool up;
    uint64_t last_us[2];                                   /* TCP keeps order */
    uint64_t dead_us[2];                                   /* what would arrive later is lost */
    uint64_t stalled_us;                                   /* nothing arrives before: a partition that TCP sits out */
};
struct link_map { size_t *wire, room; };
/* What left a node for one job: the highest offset of its chunks. */
struct delivered { struct hash terms; uint64_t tokens; };
struct muting { struct seal_key key; uint64_t until_us; };

/* ---- nodes ---- */

enum crash_kind { CRASH_NONE, CRASH_BEFORE_COMMIT, CRASH_MID_EFFECTS };

struct run {
    bool used, cancelled, stuck, heads, paused;
    struct run_id id;
    uint64_t seed, state;
    uint32_t position, made, allowed, output_max, stop[STOP_IDS_MAX], stop_count;
};

struct sim_node {
    size_t idx;
    bool alive;
    enum vice vice;
    struct agent *agent;
    struct store_mem *store;
    struct secret_key key;
    struct pubkey public;
    struct node_id id;
    struct seal_key transport;
    struct agent_config config;
    struct rng rng[STREAM_COUNT];
    uint32_t x, y;                                         /* place, 0..1000 */
    uint64_t mono_offset_us, life, tick_us, inbound_last;
    uint64_t spin_second, spin_count, turns;
    int64_t wall_offset_ms;
    struct link_map links[2];
    struct muting *muted;
    size_t muted_count, muted_room;
    enum crash_kind crash;
    uint32_t crash_after;                                  /* effects performed before a CRASH_MID_EFFECTS */
    struct served_model served[SIM_MODELS];
    bool serves[SIM_MODELS];
    uint32_t step_us, batch;                               /* the engine's pace */
    struct run *runs;
    size_t runs_count;
    struct hash *acknowledged;                             /* receipts this node has named to anybody */
    size_t acknowledged_count, acknowledged_room;
    struct delivered *delivered;                           /* of all its lives, in order of first chunk */
    size_t delivered_count, delivered_room;
    struct account *accounts;                              /* check.c: as last seen, by the other's index */
    struct ledger_totals totals;                           /* what they come to */
    bool conflicted;                                       /* check.c: this turn found a conflict */
    struct pubkey *frozen;                                 /* with whom this node has stopped doing business, over all its lives */
    size_t frozen_count, frozen_room;
    struct bytes *spoken;                                  /* VICE_REPLAY: frames to say again */
    size_t spoken_count;
    uint64_t victim;                                       /* whom the noise goes to at present */
};

/* ---- clients ---- */

enum client_state { CLIENT_WAITING, CLIENT_DONE, CLIENT_FAILED, CLIENT_LOST };   /* LOST: its node died */

struct client {
    enum client_state state;
    size_t node;
    uint64_t life, seed, asked_us, first_us;
    uint32_t prompt_count, output_max, count, model;
    uint64_t expect;                                       /* the engine's state after what was told */
    bool accepted, cancelled, probe, easy;                 /* easy: nothing in it that a mesh could refuse */
    uint32_t last_token;
    enum finish finish;
    enum err error;
    uint64_t cost_pico;
    struct hash receipts[RECEIPTS_PER_REQUEST_MAX];
    uint32_t receipt_count;
    char text[160];
};

/* ---- the world ---- */

struct sim_counts {
    uint64_t events, frames, ticks, dials, dials_failed, breaks, crashes, crashes_uncommitted, disk_failures, partitions,
        requests, done, failed, lost, tokens, failovers, receipts, headers, mutes, vice_frames, frozen, sweeps, refusals[ERR_COUNT],
        sent[MESSAGE_TYPE_COUNT + 1];
};

struct sim {
    struct sim_options options;
    struct climate climate;
    struct net_id net;
    uint64_t now, checks, check_every;
    size_t touched[SIM_TOUCHED_MAX], touched_count;        /* check.c: nodes that this turn is about */
    struct queue queue;
    struct rng rng;                                        /* the world's own: faults */
    struct sim_node *nodes;
    size_t count;
    struct wire *wires;
    size_t wires_count, wires_room;
    struct client *clients;
    size_t clients_count, clients_room;
    struct promises promises;
    struct hasher trace;
    uint8_t headers[SIM_MODELS][SIM_HEADER_BYTES];
    struct hash models[SIM_MODELS], tensors[SIM_MODELS];
    bool faults_on, vices_on;
    bool *side;                                            /* partition: who is on the far side */
    uint64_t partition_until;
    struct sim_counts counts;
};

/* ---- sim.c ---- */
struct sim *sim_open(const struct sim_options *o);
void sim_close(struct sim *s);
void sim_run(struct sim *s, uint64_t until_us);
struct hash sim_trace(const struct sim *s);
struct mono sim_mono(const struct sim *s, const struct sim_node *n);
struct wall sim_wall(const struct sim *s, const struct sim_node *n);
void sim_event(struct sim *s, struct sim_node *n, const struct agent_event *e);    /* one turn of this node */
void sim_start(struct sim *s, struct sim_node *n);
void sim_crash(struct sim *s, struct sim_node *n);
struct sim_node *sim_node_of(struct sim *s, const struct node_id *id);
struct sim_node *sim_node_of_key(struct sim *s, const struct pubkey *key);
bool sim_is_traced(const struct sim *s, const struct sim_node *n);
uint64_t sim_exponential(struct rng *r, uint64_t mean);    /* integers only: the same on every machine */
/* A property does not hold: says which, and the command that repeats it; exits with 1. */
_Noreturn void sim_violation(const struct sim *s, const struct sim_node *n, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- net.c ---- */
void net_dial(struct sim *s, struct sim_node *from, struct link link, const struct endpoint *to);
/* Who is at the other end; SIZE_MAX: nobody any more. */
size_t net_other(struct sim *s, const struct sim_node *n, struct link link);
void net_send(struct sim *s, struct sim_node *from, struct link link, struct bytes frame);
void net_hangup(struct sim *s, struct sim_node *from, struct link link);
void net_mute(struct sim *s, struct sim_node *by, struct link link, const struct seal_key *key, uint64_t ms);
void net_crashed(struct sim *s, struct sim_node *n);
void net_break(struct sim *s, size_t wire);
void net_partition(struct sim *s, uint64_t until_us);      /* s->side says who is where */
void net_item(struct sim *s, const struct queue_item *it);
/* A link of this node that is up, by a number that picks; false if it has none. */
bool net_pick(struct sim *s, struct sim_node *n, uint64_t pick, struct link *out);
void net_free(struct sim *s);

/* ---- engine.c ---- */
void engine_start(struct sim *s, struct sim_node *n, const struct agent_effect *e);
void engine_allow(struct sim *s, struct sim_node *n, struct run_id run, uint32_t allowed);
void engine_cancel(struct sim *s, struct sim_node *n, struct run_id run);
void engine_step(struct sim *s, struct sim_node *n, size_t run);

/* ---- clients.c ---- */
void clients_begin(struct sim *s, struct sim_node *n, uint64_t until_us);  /* this node's users ask until then */
void clients_item(struct sim *s, const struct queue_item *it);
void clients_probe(struct sim *s, struct sim_node *n);     /* one request that must succeed */
void clients_effect(struct sim *s, struct sim_node *n, const struct agent_effect *e);
void clients_crashed(struct sim *s, const struct sim_node *n);

/* ---- faults.c ---- */
void faults_begin(struct sim *s);
void faults_stop(struct sim *s);                            /* whoever is down comes back, partitions heal */
void faults_item(struct sim *s, const struct queue_item *it);

/* ---- vices.c ---- */
void vices_begin(struct sim *s, struct sim_node *n);
void vices_item(struct sim *s, struct sim_node *n);
/* What this node really sends instead; buf has room for a frame. False: nothing. */
bool vices_send(struct sim *s, struct sim_node *n, uint8_t *buf, struct bytes *frame);
/* The planted fault, in whatever node; as vices_send(). */
bool vices_planted(struct sim *s, struct sim_node *n, uint8_t *buf, struct bytes *frame);
void vices_free(struct sim_node *n);

/* ---- check.c ---- */
void check_sent(struct sim *s, struct sim_node *n, struct bytes frame);            /* before it leaves */
void check_heard(struct sim *s, struct sim_node *n, struct sim_node *from, struct bytes frame);    /* after the turn */
/* The turn that runs is about this node as well. */
void check_touched(struct sim *s, size_t node);
void check_acknowledged(struct sim *s, struct sim_node *n, const struct hash *receipt);
void check_restarted(struct sim *s, struct sim_node *n);
void check_turn(struct sim *s, struct sim_node *n, bool wrote);
void check_end(struct sim *s);
bool check_settled(struct sim *s);                         /* nothing is due between honest nodes */

#endif
