/* event.h - everything that can happen to a node and everything it can want done: the border between core and shell.
 *
 * The shell turns sockets, HTTP, timers and worker results into `struct agent_event`, hands each to agent_handle(), then
 * commits the store and only then performs the `struct agent_effect`s in order. So no promise leaves before its record is
 * durable, without the core ever thinking about disks (docs/architecture.md, "Write before you speak").
 *
 * Owns:    nothing. Pointers in an event are lent for the agent_handle() call, pointers in an effect until the next
 *          agent_handle() call. Whoever needs them longer copies.
 * Threads: events and effects are made and used on the loop thread only.
 */
#ifndef TALLYMESH_NODE_EVENT_H
#define TALLYMESH_NODE_EVENT_H

#include "crypto/bounds.h"
#include "crypto/key.h"
#include "dht/overlay.h"

enum { JOB_ID_BYTES = 16, RECEIPTS_PER_REQUEST_MAX = ATTEMPTS_MAX };

/* One client request at this node, chosen by the shell, never reused in a process. */
struct client_id { uint64_t id; };
/* One execution on this node's engine, chosen by the agent, never reused in a process. */
struct run_id { uint64_t id; };

enum latency_class { CLASS_INTERACTIVE, CLASS_BATCH };

/* What the requester insists on. Zero or empty means: no limit. Prices in micro-credits per million tokens. */
struct request_limits {
    uint64_t price_input_max, price_output_max;
    uint64_t budget_pico;                              /* whole request, all attempts */
    uint32_t first_token_ms_max;                       /* predicted by the bid plus measured round trip */
    char jurisdictions[8][2];                          /* allowed; jurisdictions[0][0] == 0: any */
    uint8_t tiers;                                     /* bit per enum tier; 0: any */
    uint32_t energy_mj_per_1k_max;                     /* millijoule per 1000 output tokens; a bid without one is out */
    struct pubkey owner;                               /* only nodes certified by this owner, when has_owner */
    bool has_owner;
};

/* A request after rendering and tokenising. Secret randomness is drawn by the shell because cores draw none. */
struct request {
    struct client_id client;
    struct hash model;
    const uint32_t *prompt; uint32_t prompt_count;
    uint32_t output_max;
    const uint32_t *stop_ids; uint32_t stop_count;     /* the model's end-of-generation ids, at most STOP_IDS_MAX */
    uint32_t temperature_micro, top_k, top_p_micro;    /* 0 = greedy; top_k 0 = off; top_p 1000000 = off */
    uint64_t seed;
    uint8_t job_id[JOB_ID_BYTES];                      /* random; names the request to its client */
    struct hash nonce;                                 /* random; opens the commitments later */
    enum latency_class class;
    struct request_limits limits;
    bool allow_local;                                  /* answer here, free, when this node serves the model */
};

/* A model this node serves, as the shell measured it. header is lent until AGENT_MODEL_GONE for the same model. */
struct served_model {
    struct hash id, tensor_hash;
    char name[MODEL_NAME_CHARS_MAX + 1];
    struct bytes header;                               /* GGUF bytes before the tensor data; served to requesters */
    uint32_t context, vocab, slots;
    char backend[BACKEND_CHARS_MAX + 1], device[DEVICE_CHARS_MAX + 1];
    uint64_t prefill_millitokens_s, decode_millitokens_s;
    uint64_t price_input, price_cached, price_output;  /* micro-credits per million tokens */
    uint32_t energy_mj_per_1k;                         /* 0: not measured */
};

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_CANCELLED, FINISH_ERROR };

enum agent_event_kind {
    AGENT_TICK,                                        /* a deadline was reached, nothing else happened */
    AGENT_OVERLAY,                                     /* link up, link down, frame */
    AGENT_REQUEST,
    AGENT_CANCEL,                                      /* client left, or has enough (stop string) */
    AGENT_RUN_TOKENS,                                  /* the engine made tokens */
    AGENT_RUN_DONE,                                    /* the engine is finished with a run; no more events for it */
    AGENT_MODEL_READY, AGENT_MODEL_GONE,
    AGENT_HEADER_WANTED,                               /* the shell needs a model's header to render and tokenise */
    AGENT_DIRECTORY_WANTED,                            /* a client names a model that no known advert has: ask the mesh once more */
    AGENT_DRAIN,                                       /* take no new work; agent_drained() when all is settled */
};

struct agent_event {
    enum agent_event_kind kind;
    union {
        struct overlay_event overlay;
        struct request request;
        struct { struct client_id client; bool satisfied; } cancel;
        struct {
            struct run_id run;
            const uint32_t *tokens;
            const struct hash *head_hashes;            /* H("head", canonical head bytes) per token; NULL for local runs */
            uint32_t count;
        } tokens;
        struct { struct run_id run; enum finish finish; enum err error; } done;
        struct served_model model;
        struct { struct hash model; } gone;
        struct { struct hash model; } header;
    } u;
};

enum agent_effect_kind {
    AGENT_DIAL, AGENT_HANGUP, AGENT_SEND, AGENT_MUTE,
    AGENT_RUN_START, AGENT_RUN_ALLOW, AGENT_RUN_CANCEL,
    AGENT_CLIENT_ACCEPTED,                             /* a provider has been chosen, or the run is local */
    AGENT_CLIENT_TOKENS, AGENT_CLIENT_DONE, AGENT_CLIENT_FAILED,
    AGENT_HEADER_READY, AGENT_HEADER_FAILED,
    AGENT_DIRECTORY_READY,                             /* the mesh has answered: who is not in the directory now is not known to it */
    AGENT_LOG,
};

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct agent_effect {
    enum agent_effect_kind kind;
    union {
        struct { struct link link; struct endpoint to; } dial;
        struct { struct link link; } hangup;
        struct { struct link link; struct bytes frame; } send;
        struct { struct link link; struct seal_key transport; uint32_t ms; } mute;
        struct {
            struct run_id run;
            struct hash model;
            struct pubkey requester;                       /* only he reads on from what his runs before left here */
            const uint32_t *tokens; uint32_t token_count;  /* prompt, and for a continuation the answer so far */
            uint32_t output_max;
            uint32_t allowed;                              /* pause after so many tokens until AGENT_RUN_ALLOW; 0: output_max */
            const uint32_t *stop_ids; uint32_t stop_count;
            uint32_t temperature_micro, top_k, top_p_micro;
            uint64_t seed;
            bool want_head_hashes;
        } start;
        struct { struct run_id run; uint32_t allowed; } allow; /* tokens in all, never fewer than before */
        struct { struct run_id run; } cancel;
        struct { struct client_id client; struct node_id provider; bool local; uint64_t price_input, price_output; } accepted;
        struct { struct client_id client; const uint32_t *tokens; uint32_t count; } tokens;
        struct {
            struct client_id client;
            enum finish finish;
            uint32_t tokens_in, tokens_cached, tokens_out;     /* of the whole request */
            uint64_t cost_pico;
            struct hash receipts[RECEIPTS_PER_REQUEST_MAX];    /* receipt id, or terms hash while its receipt is outstanding */
            uint32_t receipt_count;
            bool local;
        } done;
        struct { struct client_id client; enum err error; char text[160]; } failed;
        struct { struct hash model; struct hash tensor_hash; struct bytes header; enum err error; } header;
        struct { enum log_level level; const char *event; char text[200]; } log;
    } u;
};

#endif
