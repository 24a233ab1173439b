/* cli_run_curl.c - `tally run`: reads the command line strictly, asks, shows the answer as it arrives. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "node/api_jansson.h"
#include "node/cli_http_curl.h"

/* ---- the answer, as it arrives ---- */

struct run {
    struct cli *c;
    struct text line, body, answer;
    bool streaming;                                    /* the response is an event stream */
    json_t *usage, *error;
    char job[64];
    struct timespec from, first;
    bool has_first, is_waiting;                        /* is_waiting: the terminal shows that nothing has come yet */
};

static double since(const struct timespec *a, const struct timespec *b)
{
    return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

/* About once a second: a person at a terminal is told that it is the node that is waited for. */
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
    struct run *r = ctx;
    struct timespec now;
    (void)a, (void)b, (void)d, (void)e;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (r->has_first || r->c->json || !isatty(2) || since(&r->from, &now) < 0.9)
        return 0;
    fprintf(stderr, "\r%swaiting for the first token, %.0f s%s", cli_dim(r->c), since(&r->from, &now), cli_plain(r->c));
    r->is_waiting = true;
    return 0;
}

static void end_waiting(struct run *r)
{
    if (r->is_waiting)
        fputs("\r\033[K", stderr);
    r->is_waiting = false;
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct run *r = ctx;
    char name[40] = "", value[96] = "";
    if (size * n < 130 && sscanf(data, "%39[^:]: %95[^\r\n]", name, value) == 2) {
        if (strcasecmp(name, "content-type") == 0)
            r->streaming = strncmp(value, "text/event-stream", 17) == 0;
        if (strcasecmp(name, "x-tally-job") == 0)
            snprintf(r->job, sizeof r->job, "%.63s", value);
    }
    return size * n;
}

static void on_event(struct run *r, const char *json)
{
    json_t *j = json_loads(json, 0, NULL), *usage = json_object_get(j, "usage"), *error = json_object_get(j, "error");
    const json_t *choice = json_array_get(json_object_get(j, "choices"), 0);
    const char *text = json_string_value(json_object_get(json_object_get(choice, "delta"), "content"));
    if (text && text[0]) {
        if (!r->has_first)
            clock_gettime(CLOCK_MONOTONIC, &r->first);
        r->has_first = true;
        end_waiting(r);
        text_collect((char *)(uintptr_t)text, 1, strlen(text), &r->answer);
        if (!r->c->json)
            cli_print_safely(text);
    }
    if (json_is_object(usage)) {
        json_decref(r->usage);
        r->usage = json_incref(usage);
    }
    if (json_is_object(error)) {
        json_decref(r->error);
        r->error = json_incref(error);
    }
    json_decref(j);
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
    struct run *r = ctx;
    if (!r->streaming)
        return text_collect(data, size, n, &r->body);
    for (size_t i = 0; i < size * n; i++) {
        if (data[i] != '\n') {
            if (text_collect(&data[i], 1, 1, &r->line) != 1)
                return 0;
            continue;
        }
        if (r->line.len > 6 && strncmp(r->line.data, "data: ", 6) == 0 && strcmp(r->line.data + 6, "[DONE]") != 0)
            on_event(r, r->line.data + 6);
        r->line.len = 0;
    }
    return size * n;
}

/* ---- what was typed ---- */

/* Everything is understood before anything is sent: an answer costs money. */
struct question {
    const char *model, *system, *stops[STOPS_MAX], *price, *countries;
    unsigned stop_count;
    uint64_t tokens, seed, temperature_micro;
    bool has_seed, no_local, batch;
    struct text words;                                 /* joined by spaces; free() its data */
};

static int add_word(struct question *q, char *word)
{
    if (!q->model) {
        q->model = word;
        return EXIT_FINE;
    }
    if (q->words.len && text_collect((char[]){ ' ' }, 1, 1, &q->words) != 1)
        return cli_fail(EXIT_FAILED, "out of memory");
    size_t n = strlen(word);
    return text_collect(word, 1, n, &q->words) == n ? EXIT_FINE : cli_fail(EXIT_FAILED, "out of memory");
}

static int read_number(const char *option, const char *v, unsigned decimals, uint64_t min, uint64_t max, uint64_t *out, const char *wants)
{
    if (decimal_parse(v, decimals, out) == OK && *out >= min && *out <= max)
        return EXIT_FINE;
    return cli_fail(EXIT_USAGE, "%s wants %s, not \"%.60s\"", option, wants, v);
}

static int read_countries(const char *v, const char **out)
{
    size_t n = strlen(v), good = 0;
    while (good + 2 <= n && v[good] >= 'A' && v[good] <= 'Z' && v[good + 1] >= 'A' && v[good + 1] <= 'Z' && (v[good + 2] == 0 || v[good + 2] == ','))
        good += v[good + 2] == ',' ? 3 : 2;
    if (n == 0 || good != n || v[n - 1] == ',' || n > 8 * 3 - 1)
        return cli_fail(EXIT_USAGE, "--jurisdiction wants one to eight countries as two capital letters, with commas between (DE or DE,FR), not \"%.60s\"", v);
    *out = v;
    return EXIT_FINE;
}

static int read_stop(struct question *q, const char *v)
{
    if (q->stop_count == STOPS_MAX || !v[0] || strlen(v) > STOP_BYTES_MAX)
        return cli_fail(EXIT_USAGE, "--stop wants a text of 1 to %d bytes, at most %d times", STOP_BYTES_MAX, STOPS_MAX);
    q->stops[q->stop_count++] = v;
    return EXIT_FINE;
}

/* One option or word; -1: it is no option that we know. */
static int read_argument(struct cli *c, int *i, struct question *q)
{
    const char *v;
    uint64_t price;
    if ((v = cli_option(c, i, "--system"))) {
        q->system = v;
        return EXIT_FINE;
    }
    if ((v = cli_option(c, i, "--max-tokens")))
        return read_number("--max-tokens", v, 0, 1, OUTPUT_TOKENS_MAX, &q->tokens, "a whole number from 1 to 65536");
    if ((v = cli_option(c, i, "--temperature")))
        return read_number("--temperature", v, 6, 0, 2000000, &q->temperature_micro, "a number from 0 to 2");
    if ((v = cli_option(c, i, "--seed"))) {
        q->has_seed = true;
        return read_number("--seed", v, 0, 0, INT64_MAX, &q->seed, "a whole number from 0 to 9223372036854775807");
    }
    if ((v = cli_option(c, i, "--stop")))
        return read_stop(q, v);
    if ((v = cli_option(c, i, "--max-price"))) {
        q->price = v;
        return read_number("--max-price", v, 6, 1, UINT64_MAX, &price, "credits per million output tokens, more than 0 (0.2, at most six decimals)");
    }
    if ((v = cli_option(c, i, "--jurisdiction")))
        return read_countries(v, &q->countries);
    if (strcmp(c->argv[*i], "--no-local") == 0)
        q->no_local = true;
    else if (strcmp(c->argv[*i], "--batch") == 0)
        q->batch = true;
    else
        return -1;
    return EXIT_FINE;
}
_Static_assert(OUTPUT_TOKENS_MAX == 65536, "the sentence about --max-tokens says so");

static int read_question(struct cli *c, struct question *q)
{
    bool words_only = false;
    for (int i = 1; i < c->argc; i++) {
        char *word = c->argv[i];
        if (!words_only && strcmp(word, "--") == 0) {
            words_only = true;
            continue;
        }
        int rc = words_only ? -1 : read_argument(c, &i, q);
        if (rc == -1 && !words_only && word[0] == '-' && word[1])
            rc = cli_fail(EXIT_USAGE, "what is \"%.60s\"? (a question that begins with - comes after --)", word);
        else if (rc == -1)
            rc = add_word(q, word);
        if (rc != EXIT_FINE)
            return rc;
    }
    if (!q->model)
        return cli_fail(EXIT_USAGE, "usage: tally run MODEL QUESTION (tally help run)");
    if (!q->model[0] || strlen(q->model) > API_MODEL_CHARS_MAX)
        return cli_fail(EXIT_USAGE, "\"%.60s\" names no model; tally models lists them", q->model);
    if (!q->words.data || strspn(q->words.data, " \t\r\n") == q->words.len)
        return cli_fail(EXIT_USAGE, "the question is empty: tally run %.60s QUESTION", q->model);
    return EXIT_FINE;
}

/* NULL: something is no UTF-8, or no memory. */
static char *question_body(const struct question *q)
{
    json_t *messages = json_array(), *stops = json_array();
    if (q->system)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", q->system));
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", q->words.data));
    for (unsigned i = 0; i < q->stop_count; i++)
        json_array_append_new(stops, json_string(q->stops[i]));
    bool whole = json_array_size(messages) == (q->system ? 2u : 1u) && json_array_size(stops) == q->stop_count;
    json_t *j = json_pack("{s:s, s:o, s:o, s:b, s:I, s:f}", "model", q->model, "messages", messages, "stop", stops, "stream", 1,
                          "max_tokens", (json_int_t)q->tokens, "temperature", (double)q->temperature_micro / 1e6);
    if (j && q->has_seed)
        json_object_set_new(j, "seed", json_integer((json_int_t)q->seed));
    char *body = j && whole ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return body;
}

static struct curl_slist *question_headers(const struct question *q)
{
    char text[160];
    struct curl_slist *h = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/json"), "Expect:");
    if (q->price) {
        snprintf(text, sizeof text, "x-tally-max-price-output: %.100s", q->price);
        h = curl_slist_append(h, text);
    }
    if (q->countries) {
        snprintf(text, sizeof text, "x-tally-jurisdiction: %.100s", q->countries);
        h = curl_slist_append(h, text);
    }
    if (q->no_local)
        h = curl_slist_append(h, "x-tally-local: no");
    if (q->batch)
        h = curl_slist_append(h, "x-tally-class: batch");
    return h;
}

/* ---- what came of it ---- */

/* The rate is what a person saw: all tokens of the answer over all the time since the question. Tokens arrive in bursts, and
 * the client cannot tell how many were in the first, so a rate "after the first token" would be anything. */
struct timing { double total, first, rate; };

static struct timing timing_of(const struct run *r)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double total = since(&r->from, &now);
    uint64_t out = json_number_of(r->usage, "completion_tokens");
    return (struct timing){ total, r->has_first ? since(&r->from, &r->first) : total, total > 0 ? (double)out / total : 0 };
}

static void print_summary(struct run *r, const struct timing *t)
{
    char cost[AMOUNT_CHARS_MAX + 1];
    size_t i;
    json_t *receipt, *tally = json_object_get(r->usage, "tally");
    bool dim = isatty(2);                              /* the answer may go to a terminal and this to a file, or the other way */
    cli_format_credits(json_number_of(tally, "cost_pico"), cost);
    fprintf(stderr, "%s%" PRIu64 " + %" PRIu64 " tokens in %.2f s (%.0f tokens/s), first after %.0f ms, ", dim ? cli_dim(r->c) : "",
            json_number_of(r->usage, "prompt_tokens"), json_number_of(r->usage, "completion_tokens"), t->total, t->rate, t->first * 1000);
    if (json_is_true(json_object_get(tally, "local")))
        fputs("answered by this node: free, no receipt", stderr);
    else
        fprintf(stderr, "%s credits, receipt", cost);
    json_array_foreach(json_object_get(tally, "receipts"), i, receipt)
        fprintf(stderr, " %.12s", json_string_value(receipt));
    fprintf(stderr, "%s\n", dim ? cli_plain(r->c) : "");
}

static int report(struct run *r, CURLcode rc, long status)
{
    struct timing t = timing_of(r);
    if (r->answer.len && !r->c->json && (rc != CURLE_OK || r->error || !r->usage))
        putchar('\n');
    fflush(stdout);
    if (rc != CURLE_OK && !r->answer.len)
        return cli_no_answer(r->c, rc);
    if (rc != CURLE_OK)
        return cli_fail(EXIT_FAILED, "the node went away in the middle of the answer (%s)", curl_easy_strerror(rc));
    if (status != 200 || r->error || !r->usage) {
        json_t *body = r->body.data ? json_loads(r->body.data, 0, NULL) : NULL;
        int code = cli_refused(r->c, status, r->error ? r->error : json_object_get(body, "error"));
        json_decref(body);
        return code;
    }
    if (r->c->json) {
        cli_print_json(json_pack("{s:s, s:s, s:O, s:f, s:f}", "answer", r->answer.data ? r->answer.data : "", "job", r->job, "usage", r->usage,
                                 "seconds", t.total, "first_token_seconds", t.first));
        return EXIT_FINE;
    }
    putchar('\n');
    fflush(stdout);
    print_summary(r, &t);
    return EXIT_FINE;
}

static int ask(struct cli *c, const char *body, struct curl_slist *headers)
{
    struct run r = { .c = c };
    long status = 0;
    CURL *h = cli_request(c, "/v1/chat/completions", &headers);
    if (!h)
        return cli_fail(EXIT_FAILED, "out of memory");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &r);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &r);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, &r);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    clock_gettime(CLOCK_MONOTONIC, &r.from);
    CURLcode rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    end_waiting(&r);
    int code = report(&r, rc, status);
    json_decref(r.usage);
    json_decref(r.error);
    free(r.line.data);
    free(r.body.data);
    free(r.answer.data);
    return code;
}

int cmd_run(struct cli *c)
{
    struct question q = { .tokens = 512, .temperature_micro = 700000 };
    int rc = read_question(c, &q);
    char *body = rc == EXIT_FINE ? question_body(&q) : NULL;
    if (rc == EXIT_FINE && !body)
        rc = cli_fail(EXIT_USAGE, "the question, the model or an option is not UTF-8 text");
    if (rc == EXIT_FINE)
        rc = cli_find_node(c);
    if (rc == EXIT_FINE)
        rc = ask(c, body, question_headers(&q));
    free(body);
    free(q.words.data);
    return rc;
}
