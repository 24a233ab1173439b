/* exchange_http.h - one HTTP request and its answer, as gateway_http.c keeps it. Private to the gateway.
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
#ifndef TALLYMESH_NODE_EXCHANGE_HTTP_H
#define TALLYMESH_NODE_EXCHANGE_HTTP_H

#include "node/api_jansson.h"
#include "node/gateway_http.h"

#include <microhttpd.h>
#include <pthread.h>

struct ask_node;

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

struct gateway {
    struct gateway_options options;
    char host[256], api_key[256];
    struct MHD_Daemon *daemon;
    uint16_t port;
    bool loopback;
    pthread_mutex_t lock;                              /* everything below, and every exchange's state */
    pthread_cond_t watch_cond;
    pthread_t watcher;
    bool closing;
    struct exchange *first;
    uint32_t active;                                   /* exchanges that wait for the loop */
    uint64_t next_client;
    struct ask_node *ask_first, **ask_last;
    uint32_t ask_count;
    struct gateway_counters counters;
};

/* ---- exchange_http.c, lock held ---- */
bool gateway_put_ask(struct gateway *g, const struct gateway_ask *a);      /* false: the queue is full */
struct exchange *gateway_find(struct gateway *g, struct client_id client); /* NULL: it has gone */
bool exchange_is_waiting(const struct exchange *e);
void exchange_set_state(struct exchange *e, enum exchange_state s);
void exchange_resume(struct exchange *e);
void exchange_suspend(struct exchange *e);
void exchange_cancel(struct exchange *e, bool satisfied);
void exchange_fail(struct exchange *e, const struct api_fault *f);
void exchange_fail_err(struct exchange *e, enum err err, const char *text);

/* ---- exchange_http.c, HTTP thread, lock not held; results are microhttpd's ---- */
const char *exchange_header(struct exchange *e, const char *name);         /* of the request; NULL if absent */
void gateway_count(struct gateway *g, uint64_t *counter);
enum MHD_Result exchange_send_body(struct exchange *e, unsigned status, const char *type, const char *body, size_t len);
enum MHD_Result exchange_send_fault(struct exchange *e, const struct api_fault *f);
enum MHD_Result exchange_refuse(struct exchange *e, unsigned status, const char *type, const char *code, const char *message);
enum MHD_Result exchange_send_stream(struct exchange *e);
enum MHD_Result exchange_send_answer(struct exchange *e);

/* ---- placement_http.c, HTTP thread: false and *fault if a header of ours is wrong or unknown ---- */
#define NODE_HEADER "x-tally-node"                     /* the node that is meant; gateway_http.c answers for no other */
bool placement_read(struct exchange *e, struct api_fault *fault);

/* ---- completion_http.c, HTTP thread ---- */
enum MHD_Result completion_begin(struct exchange *e, bool chat);
enum MHD_Result completion_submit(struct exchange *e);

/* stream_http.c: append events to e->out. False: out of memory. */
bool exchange_put_text(struct exchange *e);            /* what may be shown now */
bool exchange_put_end(struct exchange *e);             /* finish, usage, [DONE]; or the error event */
bool buffer_add(struct buffer *b, const void *data, size_t len);

#endif
