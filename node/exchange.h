/* exchange.h - one HTTP request and its answer, as gateway_http.c keeps it. Private to the gateway.
 *
 *   READING -> RESOLVING -> RUNNING -> ENDED          chat and completions
 *   READING -> ASKED -> ENDED                         queries answered by the loop
 *   anything -> ENDED by a fault
 *
 * READING    the body is arriving (HTTP thread only)
 * RESOLVING  ASK_MODEL is with the loop; connection suspended
 * RESOLVED   the loop found the model: the HTTP thread tokenises next, then ASK_SUBMIT -> RUNNING
 * RUNNING    the agent works on it; text grows; connection suspended while there is nothing to send; events are made when
 *            the client has taken what was made before
 * ENDED      done or fault is set; what is left is sent, then the connection is free
 */
#ifndef TALLYMESH_NODE_EXCHANGE_H
#define TALLYMESH_NODE_EXCHANGE_H

#include "node/api_jansson.h"
#include "node/gateway_http.h"

struct MHD_Connection;

enum exchange_state { EXCHANGE_READING, EXCHANGE_RESOLVING, EXCHANGE_RESOLVED, EXCHANGE_RUNNING, EXCHANGE_ASKED, EXCHANGE_ENDED };

struct buffer { char *data; size_t len, cap, sent; };

struct exchange {
    struct exchange *next, *prev;
    struct gateway *gateway;
    struct MHD_Connection *connection;
    struct client_id client;
    enum exchange_state state;
    bool suspended, streaming, accepted, responded, gone, satisfied;
    char *body; size_t body_len, body_cap;
    bool body_too_large, refused;                      /* refused: by its headers alone; the body is not kept */
    struct api_request request;
    const struct catalog_entry *entry;
    struct request_limits limits;
    enum latency_class class;
    bool allow_local;
    uint8_t job_id[JOB_ID_BYTES];
    char job_hex[2 * JOB_ID_BYTES + 1], id[48], fingerprint[40];
    int64_t created;
    struct answer_text text;
    struct buffer out;                                 /* server-sent events, or a whole body */
    bool failed;
    struct api_fault fault;
    struct api_usage usage;
    enum finish finish;
    struct node_id provider;
    unsigned status;                                   /* of a query's answer */
    char content_type[48];
};

/* sse.c-like helpers in gateway_stream.c: append events to e->out. False: out of memory. */
bool exchange_put_text(struct exchange *e);            /* what may be shown now */
bool exchange_put_end(struct exchange *e);             /* finish, usage, [DONE]; or the error event */
bool buffer_add(struct buffer *b, const void *data, size_t len);

#endif
