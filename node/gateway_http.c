/* gateway_http.c - libmicrohttpd around exchanges.
 *
 * Two threads meet here under one lock: microhttpd's (handlers below) and the loop's (the gateway_* calls). A connection
 * with nothing to do is suspended; whoever gives it something resumes it. microhttpd does not look at a suspended
 * connection, so a third thread looks for clients that have gone, five times a second, while there are any at all.
 */
#include "node/gateway_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "node/exchange_http.h"

enum { WATCH_MS = 200, IDLE_TIMEOUT_S = 120 };

/* ---- exchanges come and go ---- */

static struct exchange *exchange_new(struct gateway *g, struct MHD_Connection *c)
{
    struct exchange *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->gateway = g;
    e->connection = c;
    e->limits = g->options.limits;
    e->allow_local = g->options.allow_local;
    pthread_mutex_lock(&g->lock);
    e->client.id = ++g->next_client;
    e->next = g->first;
    if (g->first)
        g->first->prev = e;
    g->first = e;
    g->counters.connections++;
    pthread_mutex_unlock(&g->lock);
    return e;
}

static void exchange_free(struct exchange *e)
{
    api_request_fini(&e->request);
    answer_text_fini(&e->text);
    if (e->entry)
        catalog_release(e->entry);                     /* after the text, which reads its tokenizer */
    free(e->body);
    free(e->out.data);
    free(e);
}

/* ---- clients that have gone ---- */

/* Asks for the end of the stream itself: bytes that the client sent ahead of it would hide it from recv(). A client that
 * shuts down only its sending half is taken for gone as well; none that speaks HTTP/1.1 for a living does. */
static bool has_left(struct exchange *e)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return true;
    struct pollfd p = { .fd = info->connect_fd, .events = POLLRDHUP };
    return poll(&p, 1, 0) > 0;
}

static void *watch(void *arg)
{
    struct gateway *g = arg;
    pthread_mutex_lock(&g->lock);
    while (!g->closing) {
        if (g->active == 0) {
            pthread_cond_wait(&g->watch_cond, &g->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WATCH_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&g->watch_cond, &g->lock, &until);
        for (struct exchange *e = g->first; e; e = e->next)
            if (exchange_is_waiting(e) && e->suspended && has_left(e)) {
                e->gone = true;
                exchange_cancel(e, false);
                exchange_set_state(e, EXCHANGE_ENDED);
                exchange_resume(e);
            }
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* ---- routes ---- */

static bool key_is_right(struct exchange *e)
{
    const struct gateway *g = e->gateway;
    const char *given = exchange_header(e, "Authorization");
    uint8_t a[32], b[32];
    if (!g->api_key[0])
        return true;
    if (!given || strncasecmp(given, "Bearer ", 7) != 0)
        return false;
    /* Equal-length digests, compared in constant time, so that neither length nor prefix leaks. */
    crypto_generichash(a, sizeof a, (const uint8_t *)given + 7, strlen(given + 7), NULL, 0);
    crypto_generichash(b, sizeof b, (const uint8_t *)g->api_key, strlen(g->api_key), NULL, 0);
    return sodium_memcmp(a, b, sizeof a) == 0;
}

static bool name_is_local(const char *host)
{
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    return (n == 9 && strncasecmp(host, "localhost", 9) == 0) || (n == 9 && strncmp(host, "127.0.0.1", 9) == 0) ||
           (n == 5 && strncmp(host, "[::1]", 5) == 0);
}

/* A page in a browser must not reach a loopback service through a name of its own (DNS rebinding). */
static bool host_is_local(struct exchange *e)
{
    const char *host = exchange_header(e, "Host");
    return !e->gateway->loopback || !host || name_is_local(host);
}

/* Nor may a foreign page spend this node's money by posting blindly to its real address. A key, which no page knows,
 * makes the question moot. */
static bool origin_is_ours(struct exchange *e)
{
    const char *origin = exchange_header(e, "Origin");
    if (!origin || e->gateway->api_key[0])
        return true;
    const char *host = strstr(origin, "://");
    return host && name_is_local(host + 3);
}

/* Who means one node must not be served, and charged, by another that has its port by now. */
static bool node_is_us(struct exchange *e)
{
    struct hash id;
    const char *text = exchange_header(e, NODE_HEADER);
    return !text || (hash_parse(text, &id) == OK && hash_equal(&id, &e->gateway->options.self.h));
}

static enum MHD_Result begin_query(struct exchange *e, enum gateway_query q, const char *argument)
{
    struct gateway_ask a = { .kind = ASK_QUERY, .client = e->client, .query = q };
    snprintf(a.model, sizeof a.model, "%.*s", (int)sizeof a.model - 1, argument);
    pthread_mutex_lock(&e->gateway->lock);
    bool queued = gateway_put_ask(e->gateway, &a);
    if (queued) {
        exchange_set_state(e, EXCHANGE_ASKED);
        exchange_suspend(e);
    }
    pthread_mutex_unlock(&e->gateway->lock);
    return queued ? MHD_YES : exchange_refuse(e, 503, "server_error", "no_capacity", "too many requests are waiting");
}

#define PINS_URL "/tally/v1/pins/"

static const struct { const char *path; enum gateway_query query; bool open; } queries[] = {
    { "/tally/v1/status", QUERY_STATUS, false }, { "/tally/v1/peers", QUERY_PEERS, false }, { "/tally/v1/models", QUERY_MODELS, false },
    { "/tally/v1/offers", QUERY_OFFERS, false }, { "/v1/models", QUERY_OPENAI_MODELS, false },
    { "/tally/v1/pins", QUERY_PINS, false },
    { "/metrics", QUERY_METRICS, false }, { "/readyz", QUERY_READY, true },
};

static enum MHD_Result route(struct exchange *e, const char *method, const char *url)
{
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0, post = strcmp(method, "POST") == 0;
    if (!host_is_local(e))
        return exchange_refuse(e, 403, "permission_error", "bad_host", "this endpoint answers to localhost only");
    if (!origin_is_ours(e))
        return exchange_refuse(e, 403, "permission_error", "bad_origin", "this endpoint does not answer pages of other sites");
    if (!node_is_us(e))
        return exchange_refuse(e, 421, "invalid_request_error", "wrong_node", "another node answers at this address");
    if (get && strcmp(url, "/healthz") == 0)
        return exchange_send_body(e, 200, "text/plain", "ok\n", 3);
    for (size_t i = 0; get && i < ARRAY_COUNT(queries); i++)
        if (queries[i].open && strcmp(url, queries[i].path) == 0)
            return begin_query(e, queries[i].query, "");
    if (!key_is_right(e)) {
        gateway_count(e->gateway, &e->gateway->counters.unauthorised);
        return exchange_refuse(e, 401, "authentication_error", "invalid_api_key",
                               "the API key of this node is needed: Authorization: Bearer KEY, where KEY is what its api.key_file holds");
    }
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++)
        if (strcmp(url, queries[i].path) == 0)
            return get ? begin_query(e, queries[i].query, "") : exchange_refuse(e, 405, "invalid_request_error", "method", "GET is wanted here");
    if (get && strncmp(url, "/v1/models/", 11) == 0)
        return begin_query(e, QUERY_OPENAI_MODELS, url + 11);
    if (strncmp(url, PINS_URL, sizeof PINS_URL - 1) == 0)
        return strcmp(method, "DELETE") == 0 ? begin_query(e, QUERY_UNPIN, url + sizeof PINS_URL - 1)
                                             : exchange_refuse(e, 405, "invalid_request_error", "method", "DELETE is wanted here");
    bool chat = strcmp(url, "/v1/chat/completions") == 0;
    if (!chat && strcmp(url, "/v1/completions") != 0)
        return exchange_refuse(e, 404, "not_found_error", "unknown_url", "there is no such address here");
    if (!post)
        return exchange_refuse(e, 405, "invalid_request_error", "method", "POST is wanted here");
    if (e->body_too_large)
        return exchange_refuse(e, 413, "invalid_request_error", "too_large", "the request body is larger than 4 MiB");
    return completion_begin(e, chat);
}

static void take_body(struct exchange *e, const char *data, size_t len)
{
    if (e->refused)
        return;                                        /* a stranger's words are not worth memory */
    if (e->body_too_large || e->body_len + len > API_BODY_BYTES_MAX) {
        e->body_too_large = true;                      /* read on and forget, then refuse in one piece */
        return;
    }
    if (e->body_len + len > e->body_cap) {
        size_t cap = (e->body_len + len) * 2;
        char *grown = realloc(e->body, cap);
        if (!grown) {
            e->body_too_large = true;
            return;
        }
        e->body = grown;
        e->body_cap = cap;
    }
    memcpy(e->body + e->body_len, data, len);
    e->body_len += len;
}

/* Called again after each resume, until a response was queued. Whether a stream has begun is settled under the lock: a
 * failure before that is an HTTP status, after that it is an event. */
static enum MHD_Result go_on(struct exchange *e, const char *method, const char *url)
{
    struct gateway *g = e->gateway;
    pthread_mutex_lock(&g->lock);
    enum exchange_state s = e->state;
    bool failed = e->failed, gone = e->gone, accepted = e->accepted || e->out.len > 0;
    if (s != EXCHANGE_READING && s != EXCHANGE_RESOLVED && s != EXCHANGE_ENDED && !(e->streaming && accepted)) {
        exchange_suspend(e);                                    /* woken for nothing */
        pthread_mutex_unlock(&g->lock);
        return MHD_YES;
    }
    bool begins = e->streaming && s != EXCHANGE_READING && s != EXCHANGE_RESOLVED && !failed;
    e->responded = e->responded || begins;
    pthread_mutex_unlock(&g->lock);
    if (gone)
        return MHD_NO;
    if (s == EXCHANGE_READING)
        return route(e, method, url);
    if (failed)
        return exchange_send_fault(e, &e->fault);
    if (s == EXCHANGE_RESOLVED)
        return completion_submit(e);
    if (begins)
        return exchange_send_stream(e);
    if (e->status)
        return exchange_send_body(e, e->status, e->content_type, e->out.data ? e->out.data : "", e->out.len);
    return exchange_send_answer(e);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                                  const char *data, size_t *data_len, void **state)
{
    struct exchange *e = *state;
    (void)version;
    if (!e) {
        *state = e = exchange_new(cls, c);
        if (!e)
            return MHD_NO;
        e->refused = !key_is_right(e) || !host_is_local(e) || !origin_is_ours(e) || !node_is_us(e);
        return MHD_YES;
    }
    if (*data_len) {
        take_body(e, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    return go_on(e, method, url);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
    struct gateway *g = cls;
    struct exchange *e = *state;
    (void)c;
    (void)code;
    if (!e)
        return;
    pthread_mutex_lock(&g->lock);
    if (e->state == EXCHANGE_RUNNING || e->state == EXCHANGE_RESOLVING)
        exchange_cancel(e, false);
    exchange_set_state(e, EXCHANGE_ENDED);
    if (e->prev)
        e->prev->next = e->next;
    else
        g->first = e->next;
    if (e->next)
        e->next->prev = e->prev;
    g->counters.connections--;
    pthread_mutex_unlock(&g->lock);
    exchange_free(e);
    *state = NULL;
}

/* ---- open and close ---- */

static bool is_loopback(const char *host) { return strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0; }

static enum err start_daemon(struct gateway *g, struct fault *why)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", g->options.port);
    if (getaddrinfo(g->host, port, &hints, &found) != 0)
        return fault_set(why, ERR_CONFIG, "api.host %s is no address of this machine", g->host);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (found->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    g->daemon = MHD_start_daemon(flags, g->options.port, NULL, NULL, on_request, g, MHD_OPTION_SOCK_ADDR, found->ai_addr,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, g,
                                 MHD_OPTION_CONNECTION_LIMIT, g->options.connections_max,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
    /* Not MHD_OPTION_LISTENING_ADDRESS_REUSE: that is SO_REUSEPORT, with which two nodes would share a port in silence.
     * SO_REUSEADDR, which lets a restarted node have its port back, is microhttpd's default. */
    freeaddrinfo(found);
    if (!g->daemon)
        return fault_set(why, ERR_IO, "api address %s port %u cannot be bound: %s (api.host, api.port)", g->host, g->options.port, strerror(errno));
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(g->daemon, MHD_DAEMON_INFO_BIND_PORT);
    g->port = info ? info->port : g->options.port;
    return OK;
}

enum err gateway_open(const struct gateway_options *o, struct gateway **out, struct fault *why)
{
    struct gateway *g = calloc(1, sizeof *g);
    pthread_condattr_t attr;
    if (!g)
        return ERR_MEMORY;
    g->options = *o;
    snprintf(g->host, sizeof g->host, "%s", o->host);
    if (o->api_key)
        snprintf(g->api_key, sizeof g->api_key, "%s", o->api_key);
    g->loopback = is_loopback(g->host);
    g->ask_last = &g->ask_first;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->watch_cond, &attr);
    pthread_condattr_destroy(&attr);
    enum err e = start_daemon(g, why);
    if (e == OK && pthread_create(&g->watcher, NULL, watch, g) != 0) {
        MHD_stop_daemon(g->daemon);
        e = fault_set(why, ERR_UNAVAILABLE, "no thread for the endpoint");
    }
    if (e != OK) {
        pthread_cond_destroy(&g->watch_cond);
        pthread_mutex_destroy(&g->lock);
        free(g);
        return e;
    }
    *out = g;
    return OK;
}

uint16_t gateway_port(const struct gateway *g) { return g->port; }

void gateway_close(struct gateway *g)
{
    struct gateway_ask a;
    pthread_mutex_lock(&g->lock);
    g->closing = true;
    pthread_cond_signal(&g->watch_cond);
    for (struct exchange *e = g->first; e; e = e->next)
        if (exchange_is_waiting(e))
            exchange_fail_err(e, ERR_UNAVAILABLE, "the node is stopping");
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->watcher, NULL);
    MHD_stop_daemon(g->daemon);
    while (gateway_next(g, &a))
        gateway_ask_free(&a);
    pthread_cond_destroy(&g->watch_cond);
    pthread_mutex_destroy(&g->lock);
    free(g);
}
