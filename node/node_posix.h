/* node_posix.h - the shell around the agent: one loop thread that turns the world into events and effects into deeds.
 *
 * A turn:  poll -> transport frames, worker results, gateway asks, ticks -> agent_handle() each
 *               -> effects are held while the store is dirty -> store_commit() -> held effects are performed in order.
 * A failed commit performs nothing: the process ends and its supervisor starts it again from what is on disk.
 *
 * Owns:    everything a running node has: identity, store, agent, transport, workers, catalog, gateway.
 * Threads: the loop thread owns all but the inside of workers and gateway.
 * Effects: all of them.
 */
#ifndef TALLYMESH_NODE_NODE_POSIX_H
#define TALLYMESH_NODE_NODE_POSIX_H

#include "ledger/store_lmdb.h"
#include "node/agent.h"
#include "node/catalog_posix.h"
#include "node/config.h"
#include "node/gateway_http.h"
#include "node/identity_posix.h"
#include "node/passphrase_posix.h"
#include "node/supervise_posix.h"
#include "node/transport_zmq.h"
#include "node/worker_thread.h"

enum {
    NODE_RUNS_MAX = 2 * JOBS_MAX, NODE_WAITING_MAX = 128, NODE_TURN_EVENTS_MAX = 512,
    NODE_DRAIN_MS = 20 * 1000,                             /* SIGTERM: finish what is open for so long at most */
    NODE_MODEL_WAIT_MS = 3000,                             /* a client may name a model whose adverts are still on their way */
    NODE_YOUNG_MS = 10 * 1000,                             /* as long as its neighbours may be about to advertise, too */
    NODE_FILES_MS = 5000,                                  /* how often the files of served models are looked at */
    NODE_WAITING_MS = 5000,                                /* not joined by then: the log says why */
    NODE_WHY_CHARS = 400,
    NODE_EXIT_CONFIG = 78,                                 /* EX_CONFIG: a restart cures nothing */
};

struct node_model {                                        /* one served model */
    const struct config_model *config;
    const struct catalog_entry *entry;
    struct worker *worker;
    struct worker_event speed;                             /* WORKER_READY, once it came */
    bool ready;
    char failed[sizeof((struct worker_event *)0)->text];   /* why it could not be started or went on no more; empty: it did */
};

struct node_run { struct run_id run; uint32_t model_idx; };

struct node_waiting {                                      /* a client whose model's header is on its way */
    struct client_id client;
    struct hash model;
    bool has_model;                                        /* false: the name is not known yet */
    char name[sizeof((struct gateway_ask *)0)->model];
    struct mono give_up;
};

struct held_effect {
    struct agent_effect effect;
    void *copy;                                            /* bytes the effect points into; freed when performed */
    struct held_effect *next;
};
struct held_list { struct held_effect *first, *last; };

struct node {
    const struct config *config;
    const struct supervised *supervised;
    struct net_id net;
    struct identity identity;
    char api_key[256];
    struct store *store;
    struct agent *agent;
    struct transport *transport;
    struct catalog *catalog;
    struct gateway *gateway;
    struct node_model models[CONFIG_MODELS_MAX];
    uint32_t model_count;
    uint64_t engine_bytes;                             /* reserved by the models' engines */
    struct node_run runs[NODE_RUNS_MAX];
    uint32_t run_count;
    struct node_waiting waiting[NODE_WAITING_MAX];
    uint32_t waiting_count;
    struct held_list free, held;                           /* effects that need not, and that must, wait for the commit */
    struct held_list failed;                               /* performed, and found their link down: the overlay is told next */
    int wake_fd, signal_fd;
    struct bootstrap self;
    uint64_t watchdog_us;                              /* how often systemd hears "WATCHDOG=1"; 0: not at all */
    struct mono watchdog_at, cert_at;                      /* cert_at: when the certificate is looked at again */
    struct mono started, peers_at;                         /* peers_at, peers_written: peersfile_posix.c */
    struct mono files_at;                              /* the files of served models are looked at again */
    uint64_t peers_written;
    bool draining, stopping, runfile_is_ours, turn_was_full, waiting_said;
    struct mono drain_until;
    enum err broken;                                       /* a commit failed: stop without performing anything */
};

/* Runs a node until it is told to stop; returns the process's exit code. Worker side of supervise_run(). The passphrase is
 * wiped once the keys are open. */
int node_run(const struct config *c, const struct supervised *s, struct passphrase *passphrase);

struct mono mono_now(void);
struct wall wall_now(void);

/* ---- effects_posix.c ---- */
/* Takes all effects the agent has, with copies of what they point to. */
void node_take_effects(struct node *n);
/* Performs what promises nothing, commits, performs the rest. On failure n->broken is set and no promise has left. */
void node_settle(struct node *n);
void node_drop_held(struct node *n);

/* ---- asks_posix.c ---- */
void node_handle(struct node *n, const struct agent_event *e);
void node_ask(struct node *n, struct gateway_ask *a);
void node_header_ready(struct node *n, const struct agent_effect *e);
void node_header_failed(struct node *n, const struct agent_effect *e);
void node_directory_ready(struct node *n);                 /* names that the mesh does not know are refused */
void node_waiting_tick(struct node *n);                    /* names that were not known yet; time-outs */

/* ---- models_posix.c ---- */
void node_models_turn(struct node *n);                     /* what the workers have to say; every NODE_FILES_MS the files */
/* False if the model has failed, or its file is no longer the one that was opened: then it is withdrawn, its runs have
 * ended with ERR_CORRUPT, and why is in models[idx].failed. Call before each job. */
bool node_model_is_current(struct node *n, uint32_t idx);

/* ---- names_posix.c ---- */
/* "name", "name@idprefix" or an id: does it fit this advert or entry? */
bool node_name_matches(const char *asked, const char *name, const struct hash *id);
/* The model that is meant, if somebody offers it. */
bool node_find_offered(struct node *n, const char *asked, struct hash *out);
/* A name was used for the first time, or again: it means this model from now on. Sentence in why if not OK. */
enum err node_pin(struct node *n, const char *asked, const struct hash *model, char why[NODE_WHY_CHARS]) MUST_CHECK;
/* For people: "no node in reach offers ..., offered: ...", which names some of what is offered (ERR_NO_PROVIDER); or that the name means
 * another model here than is offered under it (ERR_PINNED). */
enum err node_say_not_offered(struct node *n, const char *asked, char out[NODE_WHY_CHARS]);
/* Answers to queries, as below. */
char *node_pins_json(struct node *n);
char *node_unpin_json(struct node *n, const char *asked, unsigned *status);

/* ---- status_jansson.c: answers to queries, heap text, free() it ---- */
char *node_status_json(struct node *n);
char *node_peers_json(struct node *n);
char *node_models_json(struct node *n);
char *node_offers_json(struct node *n);
/* OpenAI's list, or the one named (then *status may become 404). */
char *node_openai_models_json(struct node *n, const char *name, unsigned *status);

/* ---- readiness_posix.c ---- */
/* Joined, and every model loaded. */
bool node_is_ready(struct node *n);
/* "ready", "joining", "loading", "failed" (a model could not be started), "draining"; static. */
const char *node_state(struct node *n);
/* A sentence; empty if it is ready. */
void node_why_not_ready(struct node *n, char out[NODE_WHY_CHARS]);
/* Warns once if nobody has taken us in after NODE_WAITING_MS; call every turn. */
void node_waiting_turn(struct node *n);

/* ---- metrics_posix.c ---- */
char *node_metrics_text(struct node *n);

/* ---- runfile_posix.c, notify ---- */
enum err runfile_write(struct node *n, struct fault *why) MUST_CHECK;
void runfile_remove(struct node *n);
/* Who runs with this folder, as its file says; 0: it does not. */
int runfile_pid(const char *data_dir);
void notify_systemd(const char *state);                    /* "READY=1"; nothing without $NOTIFY_SOCKET */
/* How often systemd wants to hear from us: a third of $WATCHDOG_USEC; 0 if it does not. */
uint64_t notify_every_us(void);

#endif
