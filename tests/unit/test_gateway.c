/* test_gateway.c - the endpoint over real sockets, the loop played by the test: who gets an answer, who leaves, what is kept.
 *
 * Runs under ThreadSanitizer as well: three threads meet in the gateway (HTTP, watcher, loop).
 */
#include "tests/test.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "node/gateway_http.h"
#include "tests/gguf_writer.h"

static struct catalog_entry entry;                     /* the tiny vocabulary's ids 0..255 are the bytes themselves */

static _Atomic uint32_t holders;

static int open_entry(void **state)
{
    entry.holders = &holders;
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct bytes file = tiny_llama_write(&spec);
    struct gguf g;
    struct fault why;
    (void)state;
    assert_ok(gguf_open(file, false, &g, &why));
    assert_ok(tokenizer_open(&g, &entry.tokenizer, &why));
    assert_ok(model_open_header(&g, &entry.config, &why));
    gguf_close(&g);
    gguf_writer_free(file);
    return 0;
}

static int close_entry(void **state)
{
    (void)state;
    assert_int_equal(holders, 0);                      /* whatever became of them, no request holds its model any longer */
    tokenizer_close(entry.tokenizer);
    return 0;
}

static void no_wake(void *ctx) { (void)ctx; }

static struct gateway *open_gateway(const char *key)
{
    struct gateway_options o = { .host = "127.0.0.1", .api_key = key, .connections_max = 64, .allow_local = true, .wake = no_wake };
    struct gateway *g;
    struct fault why;
    assert_ok(gateway_open(&o, &g, &why));
    return g;
}

static int dial(const struct gateway *g, int receive_bytes)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(gateway_port(g)), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text) { assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text)); }

static void post(int fd, const char *headers, const char *body)
{
    char text[2048];
    snprintf(text, sizeof text, "POST /v1/completions HTTP/1.0\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", headers, strlen(body), body);
    say(fd, text);
}

#define STREAM "{\"model\":\"m\",\"prompt\":\"a\",\"stream\":true}"
#define WHOLE "{\"model\":\"m\",\"prompt\":\"a\"}"

/* Everything until the server closes; heap, free() it. Fails after ten seconds of silence. */
static char *read_all(int fd)
{
    size_t len = 0, cap = 1 << 16;
    char *text = malloc(cap);
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        assert_true(poll(&p, 1, 10000) == 1);
        if (len + 4096 > cap)
            text = realloc(text, cap *= 2);
        assert_non_null(text);
        ssize_t n = recv(fd, text + len, 4095, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = 0;
    close(fd);
    return text;
}

/* The next ask of that kind; others are dropped. False after `ms`. */
static bool wait_ask(struct gateway *g, enum gateway_ask_kind kind, int ms, struct gateway_ask *out)
{
    for (int i = 0; i < ms; i++) {
        while (gateway_next(g, out)) {
            gateway_ask_free(out);
            if (out->kind == kind)
                return true;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return false;
}

/* Plays the loop until the request is with the agent. */
static struct client_id submitted(struct gateway *g)
{
    struct gateway_ask a;
    assert_true(wait_ask(g, ASK_MODEL, 2000, &a));
    gateway_resolved(g, a.client, &entry);
    assert_true(holders > 0);
    assert_true(wait_ask(g, ASK_SUBMIT, 2000, &a));
    return a.client;
}

static void done(struct gateway *g, struct client_id c)
{
    struct agent_effect d = { .kind = AGENT_CLIENT_DONE };
    d.u.done.client = c;
    d.u.done.finish = FINISH_STOP;
    gateway_done(g, c, &d);
}

static void accepted(struct gateway *g, struct client_id c)
{
    struct agent_effect a = { .kind = AGENT_CLIENT_ACCEPTED };
    a.u.accepted.client = c;
    gateway_accepted(g, c, &a);
}

static void a_port_has_one_owner(void **state)
{
    struct gateway *g = open_gateway(NULL), *second;
    struct fault why;
    struct gateway_options o = { .host = "127.0.0.1", .port = gateway_port(g), .connections_max = 4, .wake = no_wake };
    (void)state;
    assert_err(gateway_open(&o, &second, &why), ERR_IO);
    gateway_close(g);
}

static void a_client_that_leaves_is_noticed_whatever_it_sent_before(void **state)
{
    static const char *const extra[] = { "", "GET /healthz HTTP/1.1\r\n", "x" };
    struct gateway *g = open_gateway(NULL);
    struct gateway_ask a;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(extra); i++) {
        int fd = dial(g, 0);
        post(fd, "", STREAM);
        struct client_id c = submitted(g);
        if (extra[i][0])
            say(fd, extra[i]);
        close(fd);
        assert_true(wait_ask(g, ASK_CANCEL, 1000, &a));
        assert_true(a.client.id == c.id && !a.satisfied);
    }
    gateway_close(g);
}

static size_t count_text(const char *text, char wanted)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, "\"text\":\""));)
        for (p += 8; *p && *p != '"'; p++)
            n += *p == wanted;
    return n;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void an_unread_stream_stays_small_and_loses_nothing(void **state)
{
    enum { TOKENS = 60000 };
    struct gateway *g = open_gateway(NULL);
    uint32_t token = 'z';
    int fd = dial(g, 4096);
    (void)state;
    post(fd, "", STREAM);
    struct client_id c = submitted(g);
    accepted(g, c);
    size_t before = heap_bytes();
    for (int i = 0; i < TOKENS; i++)
        gateway_tokens(g, c, &token, 1);
    size_t after = heap_bytes();
    assert_true(after < before || after - before < 2 << 20);   /* a chunk of JSON per token would be 15 MB */
    done(g, c);
    char *text = read_all(fd);
    assert_int_equal(count_text(text, 'z'), TOKENS);
    assert_non_null(strstr(text, "data: [DONE]"));
    free(text);
    gateway_close(g);
}

/* Whatever the order in which acceptance, tokens and a failure come, the client is told of the failure. */
static void a_failure_is_always_told(void **state)
{
    struct gateway *g = open_gateway(NULL);
    uint32_t token = 'z';
    (void)state;
    for (int i = 0; i < 150; i++) {
        int fd = dial(g, 0);
        post(fd, "", STREAM);
        struct client_id c = submitted(g);
        accepted(g, c);
        if (i % 3 == 1)
            gateway_tokens(g, c, &token, 1);
        for (int spin = 0; spin < i * 40; spin++)
            atomic_signal_fence(memory_order_seq_cst);
        gateway_failed(g, c, ERR_PEER_GONE, "the provider is \xff gone");
        char *text = read_all(fd);
        if (!strstr(text, "provider_lost"))
            fail_msg("round %d: no word of the failure in: %s", i, text);
        free(text);
    }
    gateway_close(g);
}

static void a_whole_answer_and_a_stop_string(void **state)
{
    struct gateway *g = open_gateway(NULL);
    struct gateway_ask a;
    uint32_t ids[] = { 'o', 'n', 'e', '#', 'x' };
    int fd = dial(g, 0);
    (void)state;
    post(fd, "", "{\"model\":\"m\",\"prompt\":\"a\",\"stop\":\"#\"}");
    struct client_id c = submitted(g);
    gateway_tokens(g, c, ids, ARRAY_COUNT(ids));
    accepted(g, c);                                    /* tokens promise nothing and may overtake the acceptance */
    assert_true(wait_ask(g, ASK_CANCEL, 1000, &a) && a.satisfied);
    done(g, c);
    done(g, c);                                        /* a second word about a client changes nothing */
    gateway_failed(g, c, ERR_TIMEOUT, "late");
    char *text = read_all(fd);
    assert_non_null(strstr(text, "200 OK"));
    assert_non_null(strstr(text, "\"text\":\"one\""));
    assert_non_null(strstr(text, "x-tally-job: "));
    free(text);
    gateway_close(g);
}

static void foreign_pages_and_strangers_are_refused(void **state)
{
    static const struct { const char *key, *headers, *status; } table[] = {
        { NULL, "Origin: http://evil.example\r\n", " 403 " }, { NULL, "Origin: null\r\n", " 403 " },
        { NULL, "Origin: http://localhost.evil.example\r\n", " 403 " }, { NULL, "Origin: http://localhost:3000\r\n", NULL },
        { NULL, "Origin: http://127.0.0.1\r\n", NULL }, { "sesame", "", " 401 " }, { "sesame", "Authorization: Bearer sesam\r\n", " 401 " },
        { "sesame", "Origin: https://ours.example\r\nAuthorization: Bearer sesame\r\n", NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct gateway *g = open_gateway(table[i].key);
        struct gateway_ask a;
        int fd = dial(g, 0);
        post(fd, table[i].headers, WHOLE);
        if (!table[i].status) {
            assert_true(wait_ask(g, ASK_MODEL, 2000, &a));
            close(fd);
        } else {
            char *text = read_all(fd);
            assert_non_null(strstr(text, table[i].status));
            assert_false(gateway_next(g, &a));
            free(text);
        }
        gateway_close(g);
    }
}

/* What one request is answered with before the loop hears of it; heap, free() it. */
static char *refusal(struct gateway *g, const char *head, const char *body)
{
    char text[2048];
    struct gateway_ask a;
    int fd = dial(g, 0);
    snprintf(text, sizeof text, "%s\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    say(fd, text);
    char *answer = read_all(fd);
    assert_false(gateway_next(g, &a));
    return answer;
}

#define POST "POST /v1/completions HTTP/1.0\r\n"

/* A constraint that is not understood would be one that nobody keeps. */
static void a_placement_header_is_understood_or_refused(void **state)
{
    static const struct { const char *header, *says; } table[] = {
        { "x-tally-jurisdiction: Germany", "x-tally-jurisdiction wants one to eight countries as two capital letters" },
        { "x-tally-jurisdiction: DE,", "two capital letters" }, { "x-tally-jurisdiction:", "two capital letters" },
        { "x-tally-jurisdiction: de", "two capital letters" }, { "x-tally-jurisdiction: DE,FR,IT,ES,PT,NL,BE,AT,CH", "one to eight" },
        { "x-tally-max-price-output: cheap", "credits per million tokens" }, { "x-tally-max-price-input: 0", "more than 0" },
        { "x-tally-budget: -1", "credits for the whole request" }, { "x-tally-max-first-token-ms: 4294967296", "milliseconds" },
        { "x-tally-tier: moon", "edge, regional or factory" }, { "x-tally-owner: me", "64 hexadecimal digits" },
        { "x-tally-class: first", "interactive or batch" }, { "x-tally-local: 0", "yes or no" },
        { "x-tally-juristiction: DE", "x-tally-juristiction is no header that this node knows" },
        { "X-Tally-Jurisdiction: DE\r\nx-tally-jurisdiction: FR", "is given twice" },
    };
    struct gateway *g = open_gateway(NULL);
    struct gateway_ask a;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char head[256];
        snprintf(head, sizeof head, POST "%s", table[i].header);
        char *text = refusal(g, head, WHOLE);
        if (!strstr(text, " 400 ") || !strstr(text, "\"code\":\"bad_header\"") || !strstr(text, table[i].says) || strcasestr(text, "\"param\":\"x-tally") == NULL)
            fail_msg("%s: %s", table[i].header, text);
        free(text);
    }
    int fd = dial(g, 0);
    post(fd, "x-tally-jurisdiction: DE,FR\r\nX-TALLY-MAX-PRICE-OUTPUT: 0.25\r\nx-tally-max-first-token-ms: 70\r\nx-tally-tier: regional\r\n"
             "x-tally-class: batch\r\nx-tally-local: no\r\nx-other: 1\r\n", WHOLE);
    assert_true(wait_ask(g, ASK_MODEL, 2000, &a));
    gateway_resolved(g, a.client, &entry);
    struct request r = { .allow_local = true };
    for (int i = 0; i < 2000 && r.allow_local; i++) {
        if (gateway_next(g, &a) && a.kind == ASK_SUBMIT)
            r = a.request;
        gateway_ask_free(&a);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    assert_memory_equal(r.limits.jurisdictions, "DEFR\0", 5);
    assert_int_equal(r.limits.price_output_max, 250000);
    assert_int_equal(r.limits.first_token_ms_max, 70);
    assert_true(r.limits.tiers == 2 && r.class == CLASS_BATCH && !r.allow_local);
    close(fd);
    gateway_close(g);
}

/* With a key set, only what says nothing about anybody answers without it. */
static void a_key_covers_all_but_health(void **state)
{
    static const char *const closed[] = { "/metrics", "/v1/models", "/tally/v1/status" };
    struct gateway *g = open_gateway("sesame");
    struct gateway_ask a;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(closed); i++) {
        char head[100];
        snprintf(head, sizeof head, "GET %s HTTP/1.0", closed[i]);
        char *text = refusal(g, head, "");
        assert_non_null(strstr(text, " 401 "));
        assert_non_null(strstr(text, "api.key_file"));
        free(text);
    }
    char *text = refusal(g, "GET /healthz HTTP/1.0", "");
    assert_non_null(strstr(text, " 200 "));
    free(text);
    for (int with_key = 0; with_key < 2; with_key++) {
        int fd = dial(g, 0);
        say(fd, with_key ? "GET /metrics HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer sesame\r\n\r\n" : "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert_true(wait_ask(g, ASK_QUERY, 2000, &a));
        assert_int_equal(a.query, with_key ? QUERY_METRICS : QUERY_READY);
        close(fd);
    }
    gateway_close(g);
}

/* Whoever names the node that is meant is neither answered nor charged by another. */
static void another_nodes_client_is_turned_away(void **state)
{
    static const char *const heads[] = { POST "x-tally-node" ": " "1111111111111111111111111111111111111111111111111111111111111111", POST "x-tally-node" ": x",
                                         "GET /tally/v1/status HTTP/1.0\r\n" "x-tally-node" ": " "1111111111111111111111111111111111111111111111111111111111111111" };
    struct gateway *g = open_gateway(NULL);
    struct gateway_ask a;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        char *text = refusal(g, heads[i], i < 2 ? WHOLE : "");
        assert_non_null(strstr(text, " 421 "));
        assert_non_null(strstr(text, "wrong_node"));
        free(text);
    }
    int fd = dial(g, 0);
    post(fd, "x-tally-node" ": " "0000000000000000000000000000000000000000000000000000000000000000" "\r\n", WHOLE);      /* the test's gateway has the id zero */
    assert_true(wait_ask(g, ASK_MODEL, 2000, &a));
    close(fd);
    gateway_close(g);
}

/* docs/api.md lists them. */
static void wrong_addresses_and_methods_have_codes(void **state)
{
    static const struct { const char *head, *status, *code; } table[] = {
        { "GET /v1/nothing HTTP/1.0", " 404 ", "unknown_url" }, { "GET /v1/completions HTTP/1.0", " 405 ", "\"method\"" },
        { "POST /v1/models HTTP/1.0", " 405 ", "\"method\"" }, { POST "Origin: https://evil.example", " 403 ", "bad_origin" },
    };
    struct gateway *g = open_gateway(NULL);
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char *text = refusal(g, table[i].head, "");
        if (!strstr(text, table[i].status) || !strstr(text, table[i].code))
            fail_msg("%s: %s", table[i].head, text);
        free(text);
    }
    gateway_close(g);
}

/* What the mesh says no to, as an OpenAI client reads it: the status it retries on, when, and the words. */
static void a_refusal_of_the_mesh_has_status_shape_and_time(void **state)
{
    static const struct { enum err err; const char *status, *code; bool again; } table[] = {
        { ERR_RATE, " 429 ", "\"code\":\"rate_limit_exceeded\"", true }, { ERR_CREDIT, " 429 ", "\"code\":\"credit_limit\"", true },
        { ERR_UNAVAILABLE, " 503 ", "\"code\":\"unavailable\"", true }, { ERR_STATE, " 503 ", "\"code\":\"no_eligible_provider\"", true },
        { ERR_MISMATCH, " 502 ", "\"code\":\"bad_provider\"", false }, { ERR_IO, " 500 ", "\"code\":\"internal_error\"", false },
    };
    struct gateway *g = open_gateway(NULL);
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        for (int streaming = 0; streaming < 2; streaming++) {  /* a stream that has not begun is a status as well */
            int fd = dial(g, 0);
            post(fd, "", streaming ? STREAM : WHOLE);
            gateway_failed(g, submitted(g), table[i].err, "because");
            char *text = read_all(fd);
            if (!strstr(text, table[i].status) || !strstr(text, table[i].code) || !strstr(text, "{\"error\":{\"message\":\"because\",") ||
                (strstr(text, "Retry-After: 1\r\n") != NULL) != table[i].again)
                fail_msg("%s: %s", err_name(table[i].err), text);
            free(text);
        }
    gateway_close(g);
}

/* ---- closing while clients keep coming ---- */

static atomic_bool hammering;

static void *hammer(void *arg)
{
    const struct gateway *g = arg;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(gateway_port(g)), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    static const char request[] = "GET /tally/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    while (hammering) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            (void)!send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

/* microhttpd aborts the process if it is stopped while a connection is suspended. The hammer reads the port once, before
 * anything is closed. */
static void closing_under_fire_is_quiet(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++) {
        struct gateway *g = open_gateway(NULL);
        pthread_t thread;
        struct gateway_ask a;
        hammering = true;
        assert_int_equal(pthread_create(&thread, NULL, hammer, g), 0);
        assert_true(wait_ask(g, ASK_QUERY, 2000, &a));
        gateway_reply(g, a.client, 200, "text/plain", "fine\n");
        for (int k = 0; k < i % 5; k++)
            (void)wait_ask(g, ASK_QUERY, 1, &a);
        gateway_close(g);
        hammering = false;
        pthread_join(thread, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_has_one_owner),
        cmocka_unit_test(a_client_that_leaves_is_noticed_whatever_it_sent_before),
        cmocka_unit_test(an_unread_stream_stays_small_and_loses_nothing),
        cmocka_unit_test(a_failure_is_always_told),
        cmocka_unit_test(a_whole_answer_and_a_stop_string),
        cmocka_unit_test(foreign_pages_and_strangers_are_refused),
        cmocka_unit_test(a_placement_header_is_understood_or_refused),
        cmocka_unit_test(a_key_covers_all_but_health),
        cmocka_unit_test(another_nodes_client_is_turned_away),
        cmocka_unit_test(wrong_addresses_and_methods_have_codes),
        cmocka_unit_test(a_refusal_of_the_mesh_has_status_shape_and_time),
        cmocka_unit_test(closing_under_fire_is_quiet),
    };
    return cmocka_run_group_tests(tests, open_entry, close_entry);
}
