/* cli_http_curl.c - finds the node's endpoint, asks it, and says in words what went wrong. */
#include "node/cli_http_curl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

size_t text_collect(char *data, size_t size, size_t n, void *ctx)
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

const char *json_text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

uint64_t json_number_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? (uint64_t)json_integer_value(v) : strtoull(json_text_of(o, key), NULL, 10);
}

/* ---- which node ---- */

static void run_path(const struct cli *c, char out[CONFIG_PATH_CHARS + 16]) { snprintf(out, CONFIG_PATH_CHARS + 16, "%s/run.json", c->data_dir); }

bool cli_is_stopped(const struct cli *c)
{
    char path[CONFIG_PATH_CHARS + 16];
    struct stat st;
    run_path(c, path);
    return !c->api[0] && stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

const char *cli_api(struct cli *c) { return c->api; }

/* What tallyd would read as its key with this folder; a daemon that was told by flag is not found out this way. */
static void find_key(struct cli *c)
{
    static struct config config;
    struct config_fault why;
    struct stat st;
    char path[CONFIG_PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    if (stat(path, &st) != 0)
        snprintf(path, sizeof path, "/etc/tallymesh/tallyd.conf");
    config_defaults(&config);
    if ((stat(path, &st) == 0 && config_load(&config, path, &why) != OK) || config_environment(&config, getenv, &why) != OK)
        return;
    FILE *f = config.api_key_file[0] ? fopen(config.api_key_file, "re") : NULL;
    if (f && fgets(c->key_text, sizeof c->key_text, f)) {
        c->key_text[strcspn(c->key_text, "\r\n")] = 0;
        c->api_key = c->key_text[0] ? c->key_text : NULL;
    }
    if (f)
        fclose(f);
}

static int say_stopped(const struct cli *c)
{
    if (!identity_is_absent(c->data_dir))
        return cli_fail(EXIT_NO_NODE, "tallyd is not running with %s; `tallyd -d %s` starts it", c->data_dir, c->data_dir);
    return cli_fail(EXIT_NO_NODE, "tallyd is not running with %s: no node lives there (tally init makes one; --api URL asks another)", c->data_dir);
}

int cli_find_node(struct cli *c)
{
    char path[CONFIG_PATH_CHARS + 16];
    json_error_t why;
    if (c->api[0])
        return EXIT_FINE;
    if (cli_is_stopped(c))
        return say_stopped(c);
    run_path(c, path);
    json_t *j = json_load_file(path, 0, &why);
    snprintf(c->api, sizeof c->api, "%s", json_text_of(j, "api"));
    snprintf(c->node, sizeof c->node, "%s", json_text_of(j, "id"));
    if (!j)
        return cli_fail(EXIT_NO_NODE, "%s", why.text);
    json_decref(j);
    if (!c->api[0] || !c->node[0])
        return cli_fail(EXIT_NO_NODE, "%s does not say where tallyd listens", path);
    if (!c->api_key)
        find_key(c);
    return EXIT_FINE;
}

/* ---- asking ---- */

CURL *cli_request(struct cli *c, const char *path, struct curl_slist **headers)
{
    CURL *h = curl_easy_init();
    char url[512], text[300];
    if (!h)
        return NULL;
    size_t n = strlen(c->api);
    while (n && c->api[n - 1] == '/')
        n--;
    snprintf(url, sizeof url, "%.*s%s", (int)n, c->api, path);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");         /* the node is ours; no proxy stands between */
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, 3000L);
    curl_easy_setopt(h, CURLOPT_TCP_NODELAY, 1L);
    if (c->api_key) {
        snprintf(text, sizeof text, "Authorization: Bearer %s", c->api_key);
        *headers = curl_slist_append(*headers, text);
    }
    if (c->node[0]) {
        snprintf(text, sizeof text, "x-tally-node: %s", c->node);
        *headers = curl_slist_append(*headers, text);
    }
    return h;
}

int cli_no_answer(struct cli *c, CURLcode rc)
{
    if (c->node[0])
        return cli_fail(EXIT_NO_NODE, "tallyd is not running with %s: nobody answers at %s (%s)", c->data_dir, c->api, curl_easy_strerror(rc));
    return cli_fail(EXIT_NO_NODE, "no node answers at %s (%s)", c->api, curl_easy_strerror(rc));
}

static enum exit_code code_of(const char *code)
{
    static const struct { const char *code; enum exit_code exit; } table[] = {
        { "model_not_found", EXIT_NOT_FOUND }, { "model_changed", EXIT_NOT_FOUND }, { "not_pinned", EXIT_NOT_FOUND }, { "credit_limit", EXIT_DECLINED }, { "no_eligible_provider", EXIT_DECLINED }, { "no_capacity", EXIT_DECLINED },
        { "rate_limit_exceeded", EXIT_DECLINED },
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        if (strcmp(code, table[i].code) == 0)
            return table[i].exit;
    return EXIT_FAILED;
}

int cli_refused(struct cli *c, long status, const json_t *error)
{
    const char *message = json_text_of(error, "message"), *code = json_text_of(error, "code");
    if (status == 421)
        return cli_fail(EXIT_NO_NODE, "tallyd is not running with %s: another node answers at %s", c->data_dir, c->api);
    if (status == 401)
        return cli_fail(EXIT_FAILED, "%s; set TALLY_API_KEY to what the node's api.key_file holds",
                        c->api_key ? "the node has another API key than the one it was sent" : "the node asks for its API key");
    if (!message[0])
        return cli_fail(EXIT_FAILED, "HTTP status %ld from %s, which is not what a node answers", status, c->api);
    return cli_fail(code_of(code), "%s%s%s%s", message, code[0] ? " (" : "", code, code[0] ? ")" : "");
}

int cli_get_json(struct cli *c, const char *path, json_t **out) { return cli_json(c, NULL, path, out); }

int cli_json(struct cli *c, const char *method, const char *path, json_t **out)
{
    struct curl_slist *headers = NULL;
    struct text t = { 0 };
    long status = 0;
    int found = cli_find_node(c);
    if (found != EXIT_FINE)
        return found;
    CURL *h = cli_request(c, path, &headers);
    if (!h)
        return cli_fail(EXIT_FAILED, "libcurl does not start");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, text_collect);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &t);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, 10000L);
    if (method)
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
    CURLcode rc = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    *out = rc == CURLE_OK && t.data ? json_loads(t.data, 0, NULL) : NULL;
    free(t.data);
    if (rc != CURLE_OK)
        return cli_no_answer(c, rc);
    if (status == 200 && *out)
        return EXIT_FINE;
    int code = cli_refused(c, status, json_object_get(*out, "error"));
    json_decref(*out);
    return code;
}
