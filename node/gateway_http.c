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

#include "crypto/random_os.h"
#include "node/exchange.h"

enum { WATCH_MS = 200, IDLE_TIMEOUT_S = 120, READ_BLOCK = 16384, ASKS_MAX = 4096 };

struct ask_node { struct gateway_ask ask; struct ask_node *next; };

struct gateway {
    struct gateway_options options;
    char host[256], api_key[256];
    struct MHD_Daemon *daemon;
    uint16_t port;
    bool loopback;
    pthread_mutex_t lock;
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

/* ---- asks: HTTP thread -> loop; g->lock held ---- */

static bool put_ask(struct gateway *g, const struct gateway_ask *a)
{
    /* Nobody answers any more while closing, and microhttpd must not be stopped with a suspended connection. */
    struct ask_node *n = g->ask_count < ASKS_MAX && !g->closing ? malloc(sizeof *n) : NULL;
    if (!n)
        return false;
    n->ask = *a;
    n->next = NULL;
    *g->ask_last = n;
    g->ask_last = &n->next;
    g->ask_count++;
    g->options.wake(g->options.wake_ctx);
    return true;
}

bool gateway_next(struct gateway *g, struct gateway_ask *out)
{
    pthread_mutex_lock(&g->lock);
    struct ask_node *n = g->ask_first;
    if (n) {
        *out = n->ask;
        g->ask_first = n->next;
        if (!g->ask_first)
            g->ask_last = &g->ask_first;
        g->ask_count--;
    }
    pthread_mutex_unlock(&g->lock);
    free(n);
    return n != NULL;
}

void gateway_ask_free(struct gateway_ask *a)
{
    free(a->owned);
    a->owned = NULL;
}

/* ---- exchanges ---- */

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
    free(e->body);
    free(e->out.data);
    free(e);
}

static bool is_waiting(const struct exchange *e)
{
    return e->state == EXCHANGE_RESOLVING || e->state == EXCHANGE_RUNNING || e->state == EXCHANGE_ASKED;
}

static void set_state(struct exchange *e, enum exchange_state s)
{
    bool was = is_waiting(e);
    e->state = s;
    if (!was && is_waiting(e) && e->gateway->active++ == 0)
        pthread_cond_signal(&e->gateway->watch_cond);
    if (was && !is_waiting(e))
        e->gateway->active--;
}

static void resume(struct exchange *e)
{
    if (!e->suspended)
        return;
    e->suspended = false;
    MHD_resume_connection(e->connection);
}

static void suspend(struct exchange *e)
{
    e->suspended = true;
    MHD_suspend_connection(e->connection);
}

static void cancel(struct exchange *e, bool satisfied)
{
    struct gateway_ask a = { .kind = ASK_CANCEL, .client = e->client, .satisfied = satisfied };
    if (!satisfied)
        e->gateway->counters.cancelled++;
    (void)put_ask(e->gateway, &a);                     /* a full queue: the loop is hung and will be restarted */
}

static struct exchange *find(struct gateway *g, struct client_id client)
{
    struct exchange *e = g->first;
    while (e && e->client.id != client.id)
        e = e->next;
    return e;
}

static void fail(struct exchange *e, const struct api_fault *f)
{
    e->failed = true;
    e->fault = *f;
    if (e->streaming && e->responded)
        exchange_put_end(e);
    set_state(e, EXCHANGE_ENDED);
    resume(e);
}

static void fail_err(struct exchange *e, enum err err, const char *text)
{
    struct api_fault f;
    api_fault_of(err, text, &f);
    fail(e, &f);
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
            if (is_waiting(e) && e->suspended && has_left(e)) {
                e->gone = true;
                cancel(e, false);
                set_state(e, EXCHANGE_ENDED);
                resume(e);
            }
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* ---- answers over HTTP; HTTP thread ---- */

static enum MHD_Result send_body(struct exchange *e, unsigned status, const char *type, const char *body, size_t len)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (e->job_hex[0])
        MHD_add_response_header(r, "x-tally-job", e->job_hex);
    if (status == 503 || status == 429)
        MHD_add_response_header(r, "Retry-After", "1");
    if (status == 401)
        MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    char receipts[RECEIPTS_PER_REQUEST_MAX * (HASH_HEX_CHARS + 1) + 1];
    receipts[0] = 0;
    for (uint32_t i = 0; i < e->usage.receipt_count; i++) {
        char hex[HASH_HEX_CHARS + 1];
        hash_format(&e->usage.receipts[i], hex);
        snprintf(receipts + strlen(receipts), sizeof receipts - strlen(receipts), "%s%s", i ? "," : "", hex);
    }
    if (receipts[0])
        MHD_add_response_header(r, "x-tally-receipts", receipts);
    enum MHD_Result ok = MHD_queue_response(e->connection, status, r);
    MHD_destroy_response(r);
    return ok;
}

static enum MHD_Result send_fault(struct exchange *e, const struct api_fault *f)
{
    char *json = api_error_json(f);
    enum MHD_Result ok = json ? send_body(e, f->status, "application/json", json, strlen(json)) : MHD_NO;
    free(json);
    return ok;
}

static void count(struct gateway *g, uint64_t *counter)
{
    pthread_mutex_lock(&g->lock);
    ++*counter;
    pthread_mutex_unlock(&g->lock);
}

static enum MHD_Result send_simple_fault(struct exchange *e, unsigned status, const char *type, const char *code, const char *message)
{
    struct api_fault f = { .status = status, .type = type, .code = code };
    snprintf(f.message, sizeof f.message, "%s", message);
    count(e->gateway, &e->gateway->counters.bad_requests);
    return send_fault(e, &f);
}

/* Events are made when they can be sent: what a slow reader leaves lying is plain text, a few bytes per token, and
 * becomes one event when it reads on. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *e = cls;
    (void)pos;
    pthread_mutex_lock(&e->gateway->lock);
    if (e->out.len == e->out.sent && e->state == EXCHANGE_RUNNING && !exchange_put_text(e)) {
        cancel(e, false);
        fail_err(e, ERR_MEMORY, NULL);
    }
    size_t n = e->out.len - e->out.sent;
    ssize_t result;
    if (n > 0) {
        n = n < max ? n : max;
        memcpy(buf, e->out.data + e->out.sent, n);
        e->out.sent += n;
        result = (ssize_t)n;
    } else if (e->state == EXCHANGE_ENDED) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        suspend(e);
        result = 0;
    }
    pthread_mutex_unlock(&e->gateway->lock);
    return result;
}

static enum MHD_Result send_stream(struct exchange *e)
{
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, READ_BLOCK, read_stream, e, NULL);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", "text/event-stream; charset=utf-8");
    MHD_add_response_header(r, "Cache-Control", "no-cache");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    MHD_add_response_header(r, "x-tally-job", e->job_hex);
    enum MHD_Result ok = MHD_queue_response(e->connection, 200, r);
    MHD_destroy_response(r);
    return ok;
}

/* Everything is known: the whole answer in one body. */
static enum MHD_Result send_answer(struct exchange *e)
{
    if (answer_text_end(&e->text) != OK)
        return MHD_NO;
    e->text.shown = 0;
    struct bytes text = answer_text_take(&e->text);
    struct api_answer a = { .chat = e->request.chat, .id = e->id, .model = e->request.model, .created = e->created,
                            .finish = e->satisfied || e->finish == FINISH_STOP ? "stop" : "length", .fingerprint = e->fingerprint };
    char *json = api_answer_json(&a, text, &e->usage);
    enum MHD_Result ok = json ? send_body(e, 200, "application/json", json, strlen(json)) : MHD_NO;
    free(json);
    return ok;
}

/* ---- a request becomes work ---- */

static void name_job(struct exchange *e)
{
    random_os(e->job_id, sizeof e->job_id);
    sodium_bin2hex(e->job_hex, sizeof e->job_hex, e->job_id, sizeof e->job_id);
    snprintf(e->id, sizeof e->id, "%s-%s", e->request.chat ? "chatcmpl" : "cmpl", e->job_hex);
    e->created = (int64_t)time(NULL);
}

static const char *header(struct exchange *e, const char *name) { return MHD_lookup_connection_value(e->connection, MHD_HEADER_KIND, name); }

static void tighten(uint64_t *limit, uint64_t asked)
{
    if (asked && (*limit == 0 || asked < *limit))
        *limit = asked;
}

/* The x-tally-... headers: what this request insists on beyond the node's own limits. */
static bool read_placement(struct exchange *e, char wrong[64])
{
    uint64_t v;
    static const struct { const char *name; size_t at; unsigned decimals; } prices[] = {
        { "x-tally-max-price-input", offsetof(struct request_limits, price_input_max), 6 },
        { "x-tally-max-price-output", offsetof(struct request_limits, price_output_max), 6 },
        { "x-tally-budget", offsetof(struct request_limits, budget_pico), 12 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(prices); i++) {
        const char *text = header(e, prices[i].name);
        if (!text)
            continue;
        snprintf(wrong, 64, "%s", prices[i].name);
        if (decimal_parse(text, prices[i].decimals, &v) != OK)
            return false;
        tighten((uint64_t *)(void *)((char *)&e->limits + prices[i].at), v);
    }
    const char *text = header(e, "x-tally-max-first-token-ms");
    snprintf(wrong, 64, "x-tally-max-first-token-ms");
    if (text && (decimal_parse(text, 0, &v) != OK || v > UINT32_MAX))
        return false;
    if (text)
        e->limits.first_token_ms_max = (uint32_t)v;
    text = header(e, "x-tally-jurisdiction");
    snprintf(wrong, 64, "x-tally-jurisdiction");
    for (size_t n = 0; text && *text; n++) {
        if (n == ARRAY_COUNT(e->limits.jurisdictions) || text[0] < 'A' || text[0] > 'Z' || text[1] < 'A' || text[1] > 'Z' ||
            (text[2] != 0 && text[2] != ','))
            return false;
        memcpy(e->limits.jurisdictions[n], text, 2);
        text += text[2] == ',' ? 3 : 2;
    }
    text = header(e, "x-tally-tier");
    snprintf(wrong, 64, "x-tally-tier");
    if (text) {
        static const char *const tiers[] = { "edge", "regional", "factory" };
        uint8_t bits = 0;
        for (unsigned i = 0; i < ARRAY_COUNT(tiers); i++)
            bits = (uint8_t)(bits | (strcmp(text, tiers[i]) == 0) << i);
        if (!bits)
            return false;
        e->limits.tiers = bits;
    }
    text = header(e, "x-tally-owner");
    snprintf(wrong, 64, "x-tally-owner");
    if (text) {
        if (pubkey_parse(text, &e->limits.owner) != OK)
            return false;
        e->limits.has_owner = true;
    }
    text = header(e, "x-tally-class");
    snprintf(wrong, 64, "x-tally-class");
    if (text && strcmp(text, "batch") != 0 && strcmp(text, "interactive") != 0)
        return false;
    e->class = text && text[0] == 'b' ? CLASS_BATCH : CLASS_INTERACTIVE;
    text = header(e, "x-tally-local");
    snprintf(wrong, 64, "x-tally-local");
    if (text && strcmp(text, "no") != 0 && strcmp(text, "yes") != 0)
        return false;
    if (text && text[0] == 'n')
        e->allow_local = false;
    return true;
}

static enum MHD_Result begin_completion(struct exchange *e, bool chat)
{
    struct api_fault f;
    char wrong[64];
    struct gateway_ask a = { .kind = ASK_MODEL, .client = e->client };
    if (api_parse(bytes_of(e->body, e->body_len), chat, &e->request, &f) != OK) {
        count(e->gateway, &e->gateway->counters.bad_requests);
        return send_fault(e, &f);
    }
    free(e->body);                                     /* parsed: a request that waits need not keep it */
    e->body = NULL;
    e->body_len = e->body_cap = 0;
    name_job(e);
    if (!read_placement(e, wrong))
        return send_simple_fault(e, 400, "invalid_request_error", "bad_header", wrong);
    snprintf(a.model, sizeof a.model, "%.*s", (int)sizeof a.model - 1, e->request.model);
    e->streaming = e->request.stream;
    pthread_mutex_lock(&e->gateway->lock);
    e->gateway->counters.requests++;
    e->gateway->counters.streams += e->streaming;
    bool queued = put_ask(e->gateway, &a);
    if (queued) {
        set_state(e, EXCHANGE_RESOLVING);
        suspend(e);
    }
    pthread_mutex_unlock(&e->gateway->lock);
    return queued ? MHD_YES : send_simple_fault(e, 503, "server_error", "no_capacity", "too many requests are waiting");
}

static enum err encode_prompt(struct exchange *e, struct token_list *list, struct fault *why)
{
    const struct catalog_entry *m = e->entry;
    if (e->request.chat) {
        if (!m->has_chat)
            return fault_set(why, ERR_UNSUPPORTED, "this model's chat template is of no known family; /v1/completions works");
        return chat_encode(&m->chat, m->tokenizer, e->request.messages, e->request.message_count, true, list);
    }
    if (e->request.has_ids) {
        for (size_t i = 0; i < e->request.id_count; i++) {
            if (e->request.ids[i] >= m->config.vocab)
                return fault_set(why, ERR_ARG, "token id %u is not in the vocabulary", e->request.ids[i]);
            if (list->count == list->cap)
                return ERR_FULL;
            list->ids[list->count++] = e->request.ids[i];
        }
        return OK;
    }
    uint32_t bos;
    if (tokenizer_adds_bos(m->tokenizer) && tokenizer_bos(m->tokenizer, &bos))
        list->ids[list->count++] = bos;
    return tokenizer_encode(m->tokenizer, &(struct text_segment){ .text = e->request.prompt }, 1, list);
}

/* Tokenises outside the lock; the entry is immutable. */
static enum err make_request(struct exchange *e, struct gateway_ask *a, struct fault *why)
{
    size_t ends, context = e->entry->config.context, cap = context < PROMPT_TOKENS_MAX ? context : PROMPT_TOKENS_MAX;
    const uint32_t *end_ids = tokenizer_ends(e->entry->tokenizer, &ends);
    ends = ends < STOP_IDS_MAX ? ends : STOP_IDS_MAX;
    uint32_t *ids = malloc((cap + STOP_IDS_MAX + 1) * sizeof *ids);
    if (!ids)
        return ERR_MEMORY;
    struct token_list list = { .ids = ids, .cap = cap };
    enum err err = encode_prompt(e, &list, why);
    if (err == ERR_FULL || (err == OK && list.count >= context))
        err = fault_set(why, ERR_CONTEXT, "the prompt is longer than this model's context of %zu tokens (or the mesh's %d)", context, PROMPT_TOKENS_MAX);
    if (err == OK && list.count == 0)
        err = fault_set(why, ERR_ARG, "the prompt has no tokens");
    if (err != OK) {
        free(ids);
        return err;
    }
    memcpy(ids + list.count, end_ids, ends * sizeof *ids);
    uint32_t room = (uint32_t)(context - list.count), wanted = e->request.has_output_max ? e->request.output_max : API_OUTPUT_DEFAULT;
    if (!e->request.has_seed)
        random_os(&e->request.seed, sizeof e->request.seed);
    *a = (struct gateway_ask){ .kind = ASK_SUBMIT, .client = e->client, .owned = ids };
    a->request = (struct request){
        .client = e->client, .model = e->entry->id, .prompt = ids, .prompt_count = (uint32_t)list.count,
        .output_max = wanted < room ? wanted : room, .stop_ids = ids + list.count, .stop_count = (uint32_t)ends,
        .temperature_micro = e->request.temperature_micro, .top_k = e->request.top_k, .top_p_micro = e->request.top_p_micro,
        .seed = e->request.seed, .class = e->class, .limits = e->limits, .allow_local = e->allow_local,
    };
    memcpy(a->request.job_id, e->job_id, sizeof e->job_id);
    random_os(&a->request.nonce, sizeof a->request.nonce);
    return OK;
}

static enum MHD_Result submit(struct exchange *e)
{
    struct gateway_ask a;
    struct fault why = { { 0 } };
    struct api_fault f;
    enum err err = make_request(e, &a, &why);
    if (err != OK) {
        api_fault_of(err, why.text, &f);
        return send_fault(e, &f);
    }
    api_request_drop_prompt(&e->request);
    answer_text_init(&e->text, e->entry->tokenizer);
    memcpy(e->text.stops, e->request.stops, sizeof e->text.stops);
    e->text.stop_count = e->request.stop_count;
    char hex[HASH_HEX_CHARS + 1];
    hash_format(&e->entry->id, hex);
    snprintf(e->fingerprint, sizeof e->fingerprint, "nv1-%.16s", hex);
    pthread_mutex_lock(&e->gateway->lock);
    bool queued = put_ask(e->gateway, &a);
    if (queued) {
        set_state(e, EXCHANGE_RUNNING);
        suspend(e);
    }
    pthread_mutex_unlock(&e->gateway->lock);
    if (queued)
        return MHD_YES;
    gateway_ask_free(&a);
    return send_simple_fault(e, 503, "server_error", "no_capacity", "too many requests are waiting");
}

/* ---- routes ---- */

static bool key_is_right(struct exchange *e)
{
    const struct gateway *g = e->gateway;
    const char *given = header(e, "Authorization");
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
    const char *host = header(e, "Host");
    return !e->gateway->loopback || !host || name_is_local(host);
}

/* Nor may a foreign page spend this node's money by posting blindly to its real address. A key, which no page knows,
 * makes the question moot. */
static bool origin_is_ours(struct exchange *e)
{
    const char *origin = header(e, "Origin");
    if (!origin || e->gateway->api_key[0])
        return true;
    const char *host = strstr(origin, "://");
    return host && name_is_local(host + 3);
}

static enum MHD_Result begin_query(struct exchange *e, enum gateway_query q, const char *argument)
{
    struct gateway_ask a = { .kind = ASK_QUERY, .client = e->client, .query = q };
    snprintf(a.model, sizeof a.model, "%.*s", (int)sizeof a.model - 1, argument);
    pthread_mutex_lock(&e->gateway->lock);
    bool queued = put_ask(e->gateway, &a);
    if (queued) {
        set_state(e, EXCHANGE_ASKED);
        suspend(e);
    }
    pthread_mutex_unlock(&e->gateway->lock);
    return queued ? MHD_YES : send_simple_fault(e, 503, "server_error", "no_capacity", "too many requests are waiting");
}

static const struct { const char *path; enum gateway_query query; bool open; } queries[] = {
    { "/tally/v1/status", QUERY_STATUS, false }, { "/tally/v1/peers", QUERY_PEERS, false }, { "/tally/v1/models", QUERY_MODELS, false },
    { "/tally/v1/offers", QUERY_OFFERS, false }, { "/v1/models", QUERY_OPENAI_MODELS, false },
    { "/metrics", QUERY_METRICS, true }, { "/readyz", QUERY_READY, true },
};

static enum MHD_Result route(struct exchange *e, const char *method, const char *url)
{
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0, post = strcmp(method, "POST") == 0;
    if (!host_is_local(e))
        return send_simple_fault(e, 403, "permission_error", "bad_host", "this endpoint answers to localhost only");
    if (!origin_is_ours(e))
        return send_simple_fault(e, 403, "permission_error", "bad_origin", "this endpoint does not answer pages of other sites");
    if (get && strcmp(url, "/healthz") == 0)
        return send_body(e, 200, "text/plain", "ok\n", 3);
    for (size_t i = 0; get && i < ARRAY_COUNT(queries); i++)
        if (queries[i].open && strcmp(url, queries[i].path) == 0)
            return begin_query(e, queries[i].query, "");
    if (!key_is_right(e)) {
        count(e->gateway, &e->gateway->counters.unauthorised);
        return send_simple_fault(e, 401, "authentication_error", "invalid_api_key", "a valid API key is needed");
    }
    for (size_t i = 0; get && i < ARRAY_COUNT(queries); i++)
        if (strcmp(url, queries[i].path) == 0)
            return begin_query(e, queries[i].query, "");
    if (get && strncmp(url, "/v1/models/", 11) == 0)
        return begin_query(e, QUERY_OPENAI_MODELS, url + 11);
    bool chat = strcmp(url, "/v1/chat/completions") == 0;
    if (!chat && strcmp(url, "/v1/completions") != 0)
        return send_simple_fault(e, 404, "not_found_error", "unknown_url", "there is no such address here");
    if (!post)
        return send_simple_fault(e, 405, "invalid_request_error", "method", "POST is wanted here");
    if (e->body_too_large)
        return send_simple_fault(e, 413, "invalid_request_error", "too_large", "the request body is larger than 4 MiB");
    return begin_completion(e, chat);
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
        suspend(e);                                    /* woken for nothing */
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
        return send_fault(e, &e->fault);
    if (s == EXCHANGE_RESOLVED)
        return submit(e);
    if (begins)
        return send_stream(e);
    if (e->status)
        return send_body(e, e->status, e->content_type, e->out.data ? e->out.data : "", e->out.len);
    return send_answer(e);
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
        e->refused = !key_is_right(e) || !host_is_local(e) || !origin_is_ours(e);
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
        cancel(e, false);
    set_state(e, EXCHANGE_ENDED);
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

/* ---- answers from the loop ---- */

void gateway_resolved(struct gateway *g, struct client_id client, const struct catalog_entry *entry)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = find(g, client);
    if (e && e->state == EXCHANGE_RESOLVING) {
        e->entry = entry;
        set_state(e, EXCHANGE_RESOLVED);
        resume(e);
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_accepted(struct gateway *g, struct client_id client, const struct agent_effect *a)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = find(g, client);
    if (e && e->state == EXCHANGE_RUNNING) {
        e->provider = a->u.accepted.provider;
        if (e->streaming && !e->accepted) {
            if (!exchange_put_text(e))
                fail_err(e, ERR_MEMORY, NULL);
            resume(e);
        }
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_tokens(struct gateway *g, struct client_id client, const uint32_t *tokens, uint32_t count)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = find(g, client);
    if (e && e->state == EXCHANGE_RUNNING && !e->satisfied) {
        enum err err = OK;
        for (uint32_t i = 0; err == OK && i < count; i++)
            err = answer_text_push(&e->text, tokens[i]);
        if (err == OK && e->streaming && !e->accepted && !exchange_put_text(e))
            err = ERR_MEMORY;
        if (err == OK && e->text.stopped) {
            e->satisfied = true;
            cancel(e, true);
        }
        if (err != OK) {
            cancel(e, false);
            fail_err(e, err, NULL);
        }
        if (e->streaming)
            resume(e);                                 /* read_stream() makes the event */
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_done(struct gateway *g, struct client_id client, const struct agent_effect *d)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = find(g, client);
    if (e && e->state == EXCHANGE_RUNNING) {
        e->finish = d->u.done.finish;
        e->usage = (struct api_usage){ .tokens_in = d->u.done.tokens_in, .tokens_cached = d->u.done.tokens_cached,
                                       .tokens_out = d->u.done.tokens_out, .cost_pico = d->u.done.cost_pico,
                                       .receipt_count = d->u.done.receipt_count, .local = d->u.done.local };
        memcpy(e->usage.job, e->job_hex, sizeof e->usage.job);
        memcpy(e->usage.receipts, d->u.done.receipts, sizeof e->usage.receipts);
        if (e->streaming && !exchange_put_end(e))
            fail_err(e, ERR_MEMORY, NULL);
        set_state(e, EXCHANGE_ENDED);
        resume(e);
    }
    pthread_mutex_unlock(&g->lock);
}

void gateway_failed(struct gateway *g, struct client_id client, enum err error, const char *text)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = find(g, client);
    if (e && is_waiting(e))
        fail_err(e, error, text);
    pthread_mutex_unlock(&g->lock);
}

void gateway_reply(struct gateway *g, struct client_id client, unsigned status, const char *content_type, const char *body)
{
    pthread_mutex_lock(&g->lock);
    struct exchange *e = find(g, client);
    if (e && e->state == EXCHANGE_ASKED) {
        e->status = status;
        snprintf(e->content_type, sizeof e->content_type, "%s", content_type);
        if (!buffer_add(&e->out, body, strlen(body)))
            fail_err(e, ERR_MEMORY, NULL);
        set_state(e, EXCHANGE_ENDED);
        resume(e);
    }
    pthread_mutex_unlock(&g->lock);
}

struct gateway_counters gateway_counters(struct gateway *g)
{
    pthread_mutex_lock(&g->lock);
    struct gateway_counters c = g->counters;
    pthread_mutex_unlock(&g->lock);
    return c;
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
        return fault_set(why, ERR_IO, "api address %s port %u cannot be bound (%s)", g->host, g->options.port, strerror(errno));
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
        if (is_waiting(e))
            fail_err(e, ERR_UNAVAILABLE, "the node is stopping");
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->watcher, NULL);
    MHD_stop_daemon(g->daemon);
    while (gateway_next(g, &a))
        gateway_ask_free(&a);
    pthread_cond_destroy(&g->watch_cond);
    pthread_mutex_destroy(&g->lock);
    free(g);
}
