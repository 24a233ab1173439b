/* world.h - a few agents in one process, a cable between them, a fake engine, virtual time.
 *
 * The engine is a pure function of (seed, everything before, position), so that a continuation must repeat the answer it
 * continues. Every frame crosses the cable after LATENCY_US, in order per link; a test may look at it, change it or lose
 * it on the way. agent_check() runs after every event of every agent.
 */
#ifndef TALLYMESH_TESTS_AGENT_WORLD_H
#define TALLYMESH_TESTS_AGENT_WORLD_H

#include "tests/test.h"

#include "dht/wire.h"
#include "ledger/store_mem.h"
#include "node/agent.h"
#include "node/job_msg.h"
#include "node/offer.h"

enum {
    WORLD_NODES_MAX = 6, WORLD_CLIENTS_MAX = 96, WORLD_RUNS_MAX = 128, WORLD_LINKS_MAX = 256,
    LATENCY_US = 500, TOKEN_US = 1000, VOCAB = 1000, CONTEXT = 4096, STOP_ID = 7,
};

enum client_state { CLIENT_UNUSED, CLIENT_WAITING, CLIENT_DONE, CLIENT_FAILED };
struct client {
    enum client_state state;
    int node;
    bool accepted, local;
    uint32_t tokens[4096];
    uint32_t count;
    enum finish finish;
    enum err error;
    char text[200];
    struct agent_effect last;                              /* DONE as it came */
    struct mono began, first_token, ended, last_token;
    uint64_t gap_us_max;                                   /* longest time between two tokens */
};

struct world_node {
    bool alive;
    struct agent *agent;
    struct store_mem *store;
    struct secret_key key;
    struct pubkey public;
    struct node_id id;
    struct agent_config config;
    bool serves;
    struct served_model model;
    int breakdowns;                                        /* times its store failed; it then restarts, as a supervisor would see to */
    bool frozen;                                           /* engine makes no tokens */
    uint64_t made;
    int engine_fails_at;                                   /* output token index at which the engine fails; -1: never */
    int engine_quits_at;                                   /* ends here and says `engine_says`; -1: when it is over */
    enum finish engine_says;
    bool engine_runs_on;                                   /* a stop token stops it not */
    int header_ready, header_failed, directory_ready;
    struct bytes header_got;
};

/* Looks at a frame on its way: may rewrite *body (buf has room for FRAME_BYTES_MAX). False: lost. */
struct world_tap {
    bool (*on_frame)(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx);
    void *ctx;
};

struct world *world_new(int nodes);
void world_free(struct world *w);
struct world_node *world_node(struct world *w, int i);
struct client *world_client(struct world *w, int i);
struct mono world_now(const struct world *w);
void world_set_tap(struct world *w, struct world_tap tap);

/* Credit limits, prices and so on go into world_node(i)->config and ->model before world_start(). */
void world_serve(struct world *w, int node, uint64_t price_input, uint64_t price_output);
void world_start(struct world *w);                         /* starts all, joins them, runs until adverts are known */
void world_kill(struct world *w, int node);                /* power off: links drop, what was not committed is gone */
/* A message that node `from` never wrote reaches `to` over their link: whoever holds the keys can say what it likes. */
void world_say(struct world *w, int from, int to, uint32_t type, struct bytes body);
uint64_t world_made(const struct world *w, int node);      /* tokens that its engine has made since the world began */
void world_cut(struct world *w, int a, int b);             /* the link between two nodes breaks; both are told */
void world_restart(struct world *w, int node);
void world_event(struct world *w, int node, const struct agent_event *e);
void world_run_ms(struct world *w, uint64_t ms);
/* Runs until the client has its last word; fails the test after `ms`. */
void world_wait(struct world *w, int client, uint64_t ms);

extern const uint8_t world_header[];
extern const size_t world_header_bytes;
struct hash world_model(void);
/* A request for the model, 20 prompt tokens, greedy, seed from the client's number. */
struct request world_request(struct world *w, int client, uint32_t output_max);
void world_ask(struct world *w, int node, int client, const struct request *q);
void world_cancel(struct world *w, int client, bool satisfied);
/* What the engine must answer to that request. */
uint32_t world_expected(const struct request *q, uint32_t *out, uint32_t max);
/* Fails unless the client was told exactly that. */
void world_assert_answer(struct world *w, int client, const struct request *q);
uint64_t world_receipts(struct world *w, int node);
struct account world_account(struct world *w, int node, int peer);
void world_ledger_check(struct world *w, int node);

#endif
