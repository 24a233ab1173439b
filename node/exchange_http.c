/* exchange_http.c - what one exchange can do: ask the loop, wait, fail, answer over HTTP.
 *
 * Everything that touches an exchange's state is called with the gateway's lock held; the exchange_send_* functions are the
 * HTTP thread's and are called without it.
 */
#include "node/exchange_http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BLOCK = 16384, ASKS_MAX = 4096 };

struct ask_node { struct gateway_ask ask; struct ask_node *next; };

/* ---- asks: HTTP thread -> loop; the lock is held ---- */

bool gateway_put_ask(struct gateway *g, const struct gateway_ask *a)
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

/* ---- state ---- */

bool exchange_is_waiting(const struct exchange *e)
{
    return e->state == EXCHANGE_RESOLVING || e->state == EXCHANGE_RUNNING || e->state == EXCHANGE_ASKED;
}

void exchange_set_state(struct exchange *e, enum exchange_state s)
{
    bool was = exchange_is_waiting(e);
    e->state = s;
    if (!was && exchange_is_waiting(e) && e->gateway->active++ == 0)
        pthread_cond_signal(&e->gateway->watch_cond);
    if (was && !exchange_is_waiting(e))
        e->gateway->active--;
}

void exchange_resume(struct exchange *e)
{
    if (!e->suspended)
        return;
    e->suspended = false;
    MHD_resume_connection(e->connection);
}

void exchange_suspend(struct exchange *e)
{
    e->suspended = true;
    MHD_suspend_connection(e->connection);
}

void exchange_cancel(struct exchange *e, bool satisfied)
{
    struct gateway_ask a = { .kind = ASK_CANCEL, .client = e->client, .satisfied = satisfied };
    if (!satisfied)
        e->gateway->counters.cancelled++;
    (void)gateway_put_ask(e->gateway, &a);                     /* a full queue: the loop is hung and will be restarted */
}

struct exchange *gateway_find(struct gateway *g, struct client_id client)
{
    struct exchange *e = g->first;
    while (e && e->client.id != client.id)
        e = e->next;
    return e;
}

void exchange_fail(struct exchange *e, const struct api_fault *f)
{
    e->failed = true;
    e->fault = *f;
    if (e->streaming && e->responded)
        exchange_put_end(e);
    exchange_set_state(e, EXCHANGE_ENDED);
    exchange_resume(e);
}

void exchange_fail_err(struct exchange *e, enum err err, const char *text)
{
    struct api_fault f;
    api_fault_of(err, text, &f);
    exchange_fail(e, &f);
}

/* ---- answers over HTTP; HTTP thread ---- */

const char *exchange_header(struct exchange *e, const char *name) { return MHD_lookup_connection_value(e->connection, MHD_HEADER_KIND, name); }

enum MHD_Result exchange_send_body(struct exchange *e, unsigned status, const char *type, const char *body, size_t len)
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

enum MHD_Result exchange_send_fault(struct exchange *e, const struct api_fault *f)
{
    char *json = api_error_json(f);
    enum MHD_Result ok = json ? exchange_send_body(e, f->status, "application/json", json, strlen(json)) : MHD_NO;
    free(json);
    return ok;
}

void gateway_count(struct gateway *g, uint64_t *counter)
{
    pthread_mutex_lock(&g->lock);
    ++*counter;
    pthread_mutex_unlock(&g->lock);
}

enum MHD_Result exchange_refuse(struct exchange *e, unsigned status, const char *type, const char *code, const char *message)
{
    struct api_fault f = { .status = status, .type = type, .code = code };
    snprintf(f.message, sizeof f.message, "%s", message);
    gateway_count(e->gateway, &e->gateway->counters.bad_requests);
    return exchange_send_fault(e, &f);
}

/* Events are made when they can be sent: what a slow reader leaves lying is plain text, a few bytes per token, and
 * becomes one event when it reads on. */
static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *e = cls;
    (void)pos;
    pthread_mutex_lock(&e->gateway->lock);
    if (e->out.len == e->out.sent && e->state == EXCHANGE_RUNNING && !exchange_put_text(e)) {
        exchange_cancel(e, false);
        exchange_fail_err(e, ERR_MEMORY, NULL);
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
        exchange_suspend(e);
        result = 0;
    }
    pthread_mutex_unlock(&e->gateway->lock);
    return result;
}

enum MHD_Result exchange_send_stream(struct exchange *e)
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
enum MHD_Result exchange_send_answer(struct exchange *e)
{
    if (answer_text_end(&e->text) != OK)
        return MHD_NO;
    e->text.shown = 0;
    struct bytes text = answer_text_take(&e->text);
    struct api_answer a = { .chat = e->request.chat, .id = e->id, .model = e->request.model, .created = e->created,
                            .finish = e->satisfied || e->finish == FINISH_STOP ? "stop" : "length", .fingerprint = e->fingerprint };
    char *json = api_answer_json(&a, text, &e->usage);
    enum MHD_Result ok = json ? exchange_send_body(e, 200, "application/json", json, strlen(json)) : MHD_NO;
    free(json);
    return ok;
}
