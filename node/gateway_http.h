/* gateway_http.h - the OpenAI-compatible endpoint: HTTP on one side, asks and answers for the loop on the other.
 *
 * The HTTP thread parses, renders and tokenises; it never sees the agent. What it wants goes into a queue of asks that
 * the loop thread drains; what the loop has to say comes back through the gateway_* calls below, each naming the client.
 *
 *   chat request --parse--> ASK_MODEL name --loop--> gateway_resolved(entry) --tokenise--> ASK_SUBMIT request
 *        --loop--> gateway_accepted, gateway_tokens*, gateway_done | gateway_failed
 *   client gone or stop string matched --> ASK_CANCEL          GET /tally/v1/..., /metrics --> ASK_QUERY --> gateway_reply
 *
 * Owns:    connections, their buffers, and copies of everything it is told. Holds the catalog
 *          entry of each open request (catalog_hold()).
 * Threads: gateway_open .. gateway_close and all calls below from the loop thread; one HTTP thread inside. `wake` is
 *          called on the HTTP thread after an ask was queued.
 * Effects: listens; heap bounded by connections x buffer limits.
 * Spec:    OpenAI chat completions and completions as clients use them; docs/api.md lists fields, headers and extensions.
 */
#ifndef TALLYMESH_NODE_GATEWAY_HTTP_H
#define TALLYMESH_NODE_GATEWAY_HTTP_H

#include "node/catalog_posix.h"
#include "node/config.h"
#include "node/event.h"

struct gateway_options {
    const char *host;
    uint16_t port;                                     /* 0: a free one; see gateway_port() */
    const char *api_key;                               /* NULL: none asked for */
    struct node_id self;                               /* a request that names another node is not for us */
    uint32_t connections_max;
    struct request_limits limits;                      /* the node's own limits; a request may only tighten them */
    bool allow_local;
    void (*wake)(void *ctx);
    void *wake_ctx;
};

enum gateway_query { QUERY_STATUS, QUERY_PEERS, QUERY_MODELS, QUERY_OFFERS, QUERY_OPENAI_MODELS, QUERY_METRICS, QUERY_READY,
                     QUERY_PINS, QUERY_UNPIN };

enum gateway_ask_kind { ASK_MODEL, ASK_SUBMIT, ASK_CANCEL, ASK_QUERY };

struct gateway_ask {
    enum gateway_ask_kind kind;
    struct client_id client;
    char model[2 * HASH_BYTES + MODEL_NAME_CHARS_MAX + 2];  /* ASK_MODEL: name, id in hex, or name@idprefix; QUERY_OPENAI_MODELS: "" = all;
                                                            * QUERY_UNPIN: name */
    struct request request;                            /* ASK_SUBMIT: prompt and stop_ids point into `owned` */
    bool satisfied;                                    /* ASK_CANCEL */
    enum gateway_query query;                          /* ASK_QUERY */
    void *owned;
};

struct gateway;
/* ERR_IO with *why filled (port taken, address not ours). */
enum err gateway_open(const struct gateway_options *o, struct gateway **out, struct fault *why) MUST_CHECK;
uint16_t gateway_port(const struct gateway *g);
void gateway_close(struct gateway *g);                 /* open streams end with an error event */

bool gateway_next(struct gateway *g, struct gateway_ask *out);
void gateway_ask_free(struct gateway_ask *a);

/* Answers; a client that has gone is ignored. */
void gateway_resolved(struct gateway *g, struct client_id client, const struct catalog_entry *entry);
void gateway_accepted(struct gateway *g, struct client_id client, const struct agent_effect *accepted);
void gateway_tokens(struct gateway *g, struct client_id client, const uint32_t *tokens, uint32_t count);
void gateway_done(struct gateway *g, struct client_id client, const struct agent_effect *done);
void gateway_failed(struct gateway *g, struct client_id client, enum err error, const char *text);
/* Answer to ASK_QUERY: HTTP status, "application/json" or "text/plain; version=0.0.4", and the body (copied). */
void gateway_reply(struct gateway *g, struct client_id client, unsigned status, const char *content_type, const char *body);

struct gateway_counters { uint64_t requests, streams, cancelled, bad_requests, unauthorised; uint32_t connections; };
struct gateway_counters gateway_counters(struct gateway *g);

#endif
