/* cli_node_curl.c - commands that ask a running node: status, peers, models, offers, run. */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/address_posix.h"
#include "node/cli.h"

struct text { char *data; size_t len; };

const char *cli_api(struct cli *c)
{
    char path[CONFIG_PATH_CHARS + 16];
    if (c->api[0])
        return c->api;
    snprintf(path, sizeof path, "%s/run.json", c->data_dir);
    json_t *j = json_load_file(path, 0, NULL);
    const char *api = json_string_value(json_object_get(j, "api"));
    snprintf(c->api, sizeof c->api, "%s", api ? api : "http://127.0.0.1:8600");
    json_decref(j);
    return c->api;
}

bool cli_is_stopped(const struct cli *c)
{
    char run[CONFIG_PATH_CHARS + 16], pow[CONFIG_PATH_CHARS + 16];
    struct stat st;
    snprintf(run, sizeof run, "%s/run.json", c->data_dir);
    snprintf(pow, sizeof pow, "%s/node.pow", c->data_dir);
    return !c->api[0] && stat(run, &st) != 0 && errno == ENOENT && stat(pow, &st) == 0;
}

static int say_stopped(const struct cli *c) { return cli_fail(EXIT_NO_NODE, "tallyd is not running with %s", c->data_dir); }

static size_t collect(char *data, size_t size, size_t n, void *ctx)
{
    struct text *t = ctx;
    char *grown = realloc(t->data, t->len + size * n + 1);
    if (!grown)
        return 0;
    memcpy(grown + t->len, data, size * n);
    t->data = grown;
    t->len += size * n;
    t->data[t->len] = 0;
    return size * n;
}

static CURL *open_request(struct cli *c, const char *path, struct curl_slist **headers)
{
    CURL *h = curl_easy_init();
    char url[512], auth[300];
    if (!h)
        return NULL;
    snprintf(url, sizeof url, "%s%s", cli_api(c), path);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");         /* the node is ours; no proxy stands between */
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
    curl_easy_setopt(h, CURLOPT_TCP_NODELAY, 1L);
    if (c->api_key) {
        snprintf(auth, sizeof auth, "Authorization: Bearer %s", c->api_key);
        *headers = curl_slist_append(*headers, auth);
    }
    return h;
}

static int no_node(struct cli *c, CURLcode rc)
{
    return cli_fail(EXIT_NO_NODE, "no node answers at %s (%s); is tallyd running with this data folder (%s)?", cli_api(c), curl_easy_strerror(rc), c->data_dir);
}

int cli_get_json(struct cli *c, const char *path, json_t **out)
{
    struct curl_slist *headers = NULL;
    struct text t = { 0 };
    long status = 0;
    if (cli_is_stopped(c))
        return say_stopped(c);
    CURL *h = open_request(c, path, &headers);
    if (!h)
        return cli_fail(EXIT_FAILED, "libcurl does not start");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, 10000L);
    CURLcode rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    *out = rc == CURLE_OK && t.data ? json_loads(t.data, 0, NULL) : NULL;
    free(t.data);
    if (rc != CURLE_OK)
        return no_node(c, rc);
    if (status != 200 || !*out) {
        const char *message = json_string_value(json_object_get(json_object_get(*out, "error"), "message"));
        int code = cli_fail(EXIT_FAILED, "the node answered %ld: %s", status, message ? message : "not what was expected");
        json_decref(*out);
        return code;
    }
    return EXIT_FINE;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static uint64_t number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (uint64_t)json_integer_value(v) : strtoull(text_of(o, key), NULL, 10);
}

static void print_price(uint64_t micro, char out[32]) { snprintf(out, 32, "%" PRIu64 ".%06" PRIu64, micro / 1000000, micro % 1000000); }

int cmd_status(struct cli *c)
{
    json_t *j, *m;
    size_t i;
    char credits[AMOUNT_CHARS_MAX + 1], address[ADDRESS_TEXT_CHARS];
    int rc = cli_get_json(c, "/tally/v1/status", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    address_text(text_of(j, "host"), (uint16_t)number_of(j, "port"), address);
    printf("%snode     %.12s%s  %s%s%s\nnetwork  %s\naddress  %s\npeers    %" PRIu64 "\nuptime   %" PRIu64 " s\n", cli_bold(c), text_of(j, "id"),
           cli_plain(c), strcmp(text_of(j, "state"), "ready") == 0 ? cli_green(c) : cli_dim(c), text_of(j, "state"), cli_plain(c), text_of(j, "network"),
           address, number_of(j, "peers"), number_of(j, "uptime_ms") / 1000);
    if (text_of(j, "reason")[0])
        printf("why      %s\n", text_of(j, "reason"));
    json_array_foreach(json_object_get(j, "models"), i, m)
        printf("model    %s (%.12s) on %s: %" PRIu64 " tokens/s prefill, %" PRIu64 " decode, context %" PRIu64 "\n", text_of(m, "name"), text_of(m, "id"),
               text_of(m, "backend"), number_of(m, "prefill_millitokens_s") / 1000, number_of(m, "decode_millitokens_s") / 1000, number_of(m, "context"));
    const json_t *jobs = json_object_get(j, "jobs"), *ledger = json_object_get(j, "ledger");
    printf("jobs     %" PRIu64 " served, %" PRIu64 " asked (%" PRIu64 " answered here), %" PRIu64 " open\n", number_of(jobs, "served"), number_of(jobs, "requested"),
           number_of(jobs, "local"), number_of(jobs, "open_provider") + number_of(jobs, "open_requester"));
    cli_format_credits(number_of(ledger, "earned_pico"), credits);
    printf("earned   %s credits", credits);
    cli_format_credits(number_of(ledger, "spent_pico"), credits);
    printf(", spent %s, %" PRIu64 " receipts\n", credits, number_of(ledger, "receipts"));
    json_decref(j);
    return EXIT_FINE;
}

int cmd_peers(struct cli *c)
{
    json_t *j, *p;
    size_t i;
    int rc = cli_get_json(c, "/tally/v1/peers", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    printf("%s%-12s  %-28s %9s  %-8s %s%s\n", cli_bold(c), "NODE", "ADDRESS", "RTT", "DIALLED", "OWNER", cli_plain(c));
    json_array_foreach(json_object_get(j, "peers"), i, p) {
        char address[ADDRESS_TEXT_CHARS];
        address_text(text_of(p, "host"), (uint16_t)number_of(p, "port"), address);
        printf("%.12s  %-28s %6.2f ms  %-8s %.12s\n", text_of(p, "id"), address, (double)number_of(p, "rtt_us") / 1000.0,
               json_is_true(json_object_get(p, "outbound")) ? "by us" : "by them", text_of(p, "owner"));
    }
    json_decref(j);
    return EXIT_FINE;
}

int cmd_models(struct cli *c)
{
    json_t *j, *a;
    size_t i;
    int rc = cli_get_json(c, "/tally/v1/models", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    printf("%s%-20s %-12s %-12s %10s %10s  %12s %12s  %-4s %-8s %s%s\n", cli_bold(c), "MODEL", "ID", "PROVIDER", "PREFILL/S", "DECODE/S", "IN/M", "OUT/M", "LAW",
           "TIER", "BACKEND", cli_plain(c));
    json_array_foreach(json_object_get(j, "adverts"), i, a) {
        char in[32], out[32];
        print_price(number_of(a, "price_input"), in);
        print_price(number_of(a, "price_output"), out);
        printf("%-20s %.12s %.12s %10" PRIu64 " %10" PRIu64 "  %12s %12s  %-4s %-8s %s%s\n", text_of(a, "model"), text_of(a, "model_id"), text_of(a, "provider"),
               number_of(a, "prefill_millitokens_s") / 1000, number_of(a, "decode_millitokens_s") / 1000, in, out, text_of(a, "jurisdiction"), text_of(a, "tier"),
               text_of(a, "backend"), json_is_true(json_object_get(a, "self")) ? " (this node)" : "");
    }
    if (json_array_size(json_object_get(j, "adverts")) == 0)
        puts("no model is offered in reach");
    json_decref(j);
    return EXIT_FINE;
}

int cmd_offers(struct cli *c)
{
    json_t *j, *o;
    size_t i;
    int rc = cli_get_json(c, "/tally/v1/offers", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    if (json_array_size(json_object_get(j, "offers")) == 0)
        puts("no offers heard lately");
    else
        printf("%s%7s  %-12s  %-12s  %9s %9s  %-6s  %s%s\n", cli_bold(c), "AGO", "MODEL", "REQUESTER", "PROMPT", "ANSWER", "CAME", "WHAT BECAME OF IT", cli_plain(c));
    json_array_foreach(json_object_get(j, "offers"), i, o)
        printf("%5" PRIu64 " s  %.12s  %.12s  %9" PRIu64 " %9" PRIu64 "  %-6s  %s\n", number_of(o, "age_ms") / 1000, text_of(o, "model_id"),
               text_of(o, "requester_id"), number_of(o, "prompt_tokens"), number_of(o, "output_max"), json_is_true(json_object_get(o, "gossiped")) ? "gossip" : "direct",
               json_is_true(json_object_get(o, "bid")) ? "we bid" : text_of(o, "declined"));
    json_decref(j);
    return EXIT_FINE;
}

/* ---- run ---- */

struct run {
    struct cli *c;
    struct text line, body, answer;
    bool streaming;                                    /* the response is an event stream */
    json_t *usage, *error;
    char job[64];
    struct timespec from, first;
    bool has_first;
};

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

/* Answers come from a model: nothing it writes may steer the terminal. */
static void print_safely(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p++;                                       /* C1 controls: some terminals obey them */
        else if ((*p >= 0x20 && *p != 0x7f) || *p == '\n' || *p == '\t')
            putchar(*p);
    }
    fflush(stdout);
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
        collect((char *)(uintptr_t)text, 1, strlen(text), &r->answer);
        if (!r->c->json)
            print_safely(text);
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
        return collect(data, size, n, &r->body);
    for (size_t i = 0; i < size * n; i++) {
        if (data[i] != '\n') {
            if (collect(&data[i], 1, 1, &r->line) != 1)
                return 0;
            continue;
        }
        if (r->line.len > 6 && strncmp(r->line.data, "data: ", 6) == 0 && strcmp(r->line.data + 6, "[DONE]") != 0)
            on_event(r, r->line.data + 6);
        r->line.len = 0;
    }
    return size * n;
}

static double since(const struct timespec *a, const struct timespec *b)
{
    return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static void print_summary(struct run *r)
{
    struct timespec now;
    char cost[AMOUNT_CHARS_MAX + 1];
    size_t i;
    json_t *receipt, *tally = json_object_get(r->usage, "tally");
    bool dim = isatty(2);                              /* the answer may go to a terminal and this to a file, or the other way */
    clock_gettime(CLOCK_MONOTONIC, &now);
    double total = since(&r->from, &now), first = r->has_first ? since(&r->from, &r->first) : total;
    uint64_t out = number_of(r->usage, "completion_tokens");
    cli_format_credits(number_of(tally, "cost_pico"), cost);
    fprintf(stderr, "%s%" PRIu64 " + %" PRIu64 " tokens, first after %.0f ms, %.0f tokens/s, ", dim ? cli_dim(r->c) : "", number_of(r->usage, "prompt_tokens"), out,
            first * 1000, total > first && out > 1 ? (double)(out - 1) / (total - first) : 0.0);
    if (json_is_true(json_object_get(tally, "local")))
        fputs("answered by this node: free, no receipt", stderr);
    else
        fprintf(stderr, "%s credits, receipt", cost);
    json_array_foreach(json_object_get(tally, "receipts"), i, receipt)
        fprintf(stderr, " %.12s", json_string_value(receipt));
    fprintf(stderr, "%s\n", dim ? cli_plain(r->c) : "");
}

static int run_error(struct run *r, long status)
{
    json_t *body = r->body.data ? json_loads(r->body.data, 0, NULL) : NULL;
    const json_t *e = r->error ? r->error : json_object_get(body, "error");
    const char *message = json_string_value(json_object_get(e, "message")), *code = json_string_value(json_object_get(e, "code"));
    static const struct { const char *code; enum exit_code exit; } table[] = {
        { "model_not_found", EXIT_NOT_FOUND }, { "credit_limit", EXIT_DECLINED }, { "no_eligible_provider", EXIT_DECLINED }, { "no_capacity", EXIT_DECLINED },
    };
    enum exit_code rc = EXIT_FAILED;
    for (size_t i = 0; code && i < ARRAY_COUNT(table); i++)
        if (strcmp(code, table[i].code) == 0)
            rc = table[i].exit;
    cli_fail(rc, "%s%s%s%s", message ? message : "the node gave no answer", code ? " (" : "", code ? code : "", code ? ")" : "");
    if (!message)
        cli_fail(rc, "HTTP status %ld", status);
    json_decref(body);
    return (int)rc;
}

static json_t *build_question(struct cli *c, struct curl_slist **headers)
{
    const char *v, *model = NULL, *question = NULL, *system = NULL;
    char text[160];
    json_t *j = json_pack("{s:b, s:i, s:f, s:[]}", "stream", 1, "max_tokens", 512, "temperature", 0.7, "stop");
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--system")))
            system = v;
        else if ((v = cli_option(c, &i, "--max-tokens")))
            json_object_set_new(j, "max_tokens", json_integer(strtoll(v, NULL, 10)));
        else if ((v = cli_option(c, &i, "--temperature")))
            json_object_set_new(j, "temperature", json_real(strtod(v, NULL)));
        else if ((v = cli_option(c, &i, "--seed")))
            json_object_set_new(j, "seed", json_integer((json_int_t)strtoull(v, NULL, 10)));
        else if ((v = cli_option(c, &i, "--stop")))
            json_array_append_new(json_object_get(j, "stop"), json_string(v));
        else if ((v = cli_option(c, &i, "--max-price"))) {
            snprintf(text, sizeof text, "x-tally-max-price-output: %.60s", v);
            *headers = curl_slist_append(*headers, text);
        } else if ((v = cli_option(c, &i, "--jurisdiction"))) {
            snprintf(text, sizeof text, "x-tally-jurisdiction: %.60s", v);
            *headers = curl_slist_append(*headers, text);
        } else if (strcmp(c->argv[i], "--no-local") == 0)
            *headers = curl_slist_append(*headers, "x-tally-local: no");
        else if (strcmp(c->argv[i], "--batch") == 0)
            *headers = curl_slist_append(*headers, "x-tally-class: batch");
        else if (c->argv[i][0] == '-' && c->argv[i][1])
            question = NULL, model = NULL, i = c->argc;
        else if (!model)
            model = c->argv[i];
        else if (!question)
            question = c->argv[i];
    }
    if (!model || !question) {
        json_decref(j);
        return NULL;
    }
    json_t *messages = json_array();
    if (system)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", question));
    json_object_set_new(j, "messages", messages);
    json_object_set_new(j, "model", json_string(model));
    return j;
}

static int ask(struct cli *c, json_t *question, struct curl_slist *headers)
{
    struct run r = { .c = c };
    long status = 0;
    char *body = json_dumps(question, JSON_COMPACT);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    CURL *h = open_request(c, "/v1/chat/completions", &headers);
    if (!h || !body)
        return cli_fail(EXIT_FAILED, "out of memory");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, &r);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &r);
    clock_gettime(CLOCK_MONOTONIC, &r.from);
    CURLcode rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    free(body);
    int code = EXIT_FINE;
    if (rc != CURLE_OK && !r.answer.len)
        code = no_node(c, rc);
    else if (rc != CURLE_OK)
        code = cli_fail(EXIT_FAILED, "\nthe node went away in the middle of the answer (%s)", curl_easy_strerror(rc));
    else if (status != 200 || r.error || !r.usage)
        code = run_error(&r, status);
    else if (c->json)
        cli_print_json(json_pack("{s:s, s:s, s:O}", "answer", r.answer.data ? r.answer.data : "", "job", r.job, "usage", r.usage));
    else {
        putchar('\n');
        fflush(stdout);
        print_summary(&r);
    }
    json_decref(r.usage);
    json_decref(r.error);
    free(r.line.data);
    free(r.body.data);
    free(r.answer.data);
    return code;
}

int cmd_run(struct cli *c)
{
    struct curl_slist *headers = NULL;
    json_t *question = build_question(c, &headers);
    if (question && cli_is_stopped(c)) {
        json_decref(question);
        curl_slist_free_all(headers);
        return say_stopped(c);
    }
    if (!question)
        return cli_fail(EXIT_USAGE, "usage: tally run MODEL \"QUESTION\" (tally help run)");
    int rc = ask(c, question, headers);
    json_decref(question);
    return rc;
}
