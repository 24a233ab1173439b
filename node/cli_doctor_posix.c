/* cli_doctor_posix.c - `tally doctor`: what is wrong with this machine's set-up, and what would mend it. */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernels/backend.h"
#include "ledger/store_lmdb.h"
#include "node/address_posix.h"
#include "node/cli.h"
#include "node/cli_wallet_jansson.h"
#include "node/setup_posix.h"

enum { PROBE_MS = 2000, YOUNG_MS = 5000 };                /* joining takes a moment */

enum verdict { GOOD, WARNING, BAD };

struct doctor { struct cli *c; json_t *list; unsigned bad; };

static void say(struct doctor *d, enum verdict v, const char *check, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void say(struct doctor *d, enum verdict v, const char *check, const char *format, ...)
{
    static const char *const words[] = { "ok", "warning", "BAD" };
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    d->bad += v == BAD;
    if (d->c->json)
        json_array_append_new(d->list, json_pack("{s:s, s:s, s:s}", "check", check, "result", words[v], "text", text));
    else
        printf("%-14s %s%-8s%s %s\n", check, v == GOOD ? cli_green(d->c) : v == BAD ? cli_red(d->c) : cli_bold(d->c), words[v], cli_plain(d->c), text);
}

static void check_certificate(struct doctor *d, const struct identity_glance *g)
{
    struct wall now = { (uint64_t)time(NULL) * 1000 };
    char until[24];
    if (!g->has_cert)
        return;
    enum err e = cert_verify(&g->cert, &g->net, &g->node, now);
    int64_t days = identity_cert_days_left(&g->cert, now);
    cli_format_time((struct wall){ g->cert.not_after_s * 1000 }, until);
    if (e == ERR_EXPIRED)
        say(d, BAD, "certificate", "ran out at %s, so the node has no owner; `tally key renew`, then restart tallyd", until);
    else if (e != OK)
        say(d, BAD, "certificate", "%s", err_text(e));
    else if (days < IDENTITY_CERT_WARN_DAYS)
        say(d, WARNING, "certificate", "runs out in %d days, at %s; `tally key renew`, then restart tallyd", (int)days, until);
    else
        say(d, GOOD, "certificate", "the owner's certificate holds until %s", until);
}

static void check_files(struct doctor *d, struct identity_glance *g, bool *has_identity)
{
    struct stat st;
    struct fault why = { { 0 } };
    enum err e = cli_glance(d->c, g, &why);
    *has_identity = e == OK;
    if (e != OK) {
        say(d, BAD, "identity", "%s", why.text);
        return;
    }
    say(d, GOOD, "identity", "keys and proof of work are there");
    if (stat(d->c->data_dir, &st) == 0 && (st.st_mode & 077))
        say(d, WARNING, "data folder", "%s is open to others (mode %03o); chmod 700", d->c->data_dir, st.st_mode & 0777);
    check_certificate(d, g);
}

static void check_ledger(struct doctor *d)
{
    struct wallet w;
    struct store_lmdb_info info;
    char folder[CONFIG_PATH_CHARS + 16], why[160];
    struct stat st;
    snprintf(folder, sizeof folder, "%s/ledger", d->c->data_dir);
    if (stat(folder, &st) != 0) {
        say(d, WARNING, "ledger", "none yet; it begins with the first start of tallyd");
        return;
    }
    if (wallet_open(d->c, false, &w) != EXIT_FINE) {
        say(d, BAD, "ledger", "cannot be opened");
        return;
    }
    enum err e = ledger_check(&w.ledger, why);
    say(d, e == OK ? GOOD : BAD, "ledger", "%s", e == OK ? "every signature, sum and chain in it holds" : why);
    uint64_t frozen = wallet_count_frozen(&w);
    if (frozen)
        say(d, WARNING, "channels", "%" PRIu64 " frozen: %s kept two books; `tally balance` names them, `tally balance NODE --json` has the proof", frozen,
            frozen == 1 ? "a node" : "nodes");
    if (store_lmdb_info(w.store, &info) == OK)
        say(d, info.version_is_known_bad ? BAD : GOOD, "database", "%s, %" PRIu64 " of %" PRIu64 " MiB used%s", info.version, info.used_bytes >> 20,
            info.map_bytes >> 20, info.version_is_known_bad ? "; this version can lose data" : "");
    wallet_close(&w);
}

static void say_check(struct doctor *d, const char *check, enum err e, const struct fault *why, const char *good)
{
    say(d, e == OK ? GOOD : BAD, check, "%s", e == OK ? good : why->text);
}

/* False if there is nothing to go on with. */
static bool check_config(struct doctor *d, struct config *config)
{
    struct config_fault why = { { 0 } };
    char path[CONFIG_PATH_CHARS + 16];
    struct stat st;
    snprintf(path, sizeof path, "%s/tallyd.conf", d->c->data_dir);
    config_defaults(config);
    if (stat(path, &st) != 0) {
        say(d, WARNING, "configuration", "%s is not there; `tally init` writes it", path);
        return false;
    }
    enum err e = config_load(config, path, &why);
    if (e == OK)
        e = config_validate(config, &why);
    snprintf(config->data_dir, sizeof config->data_dir, "%s", d->c->data_dir);
    say(d, e == OK ? GOOD : BAD, "configuration", "%s", e == OK ? path : why.text);
    return e == OK;
}

static void check_models(struct doctor *d, const struct config *config)
{
    for (uint32_t i = 0; i < config->model_count; i++) {
        struct fault why = { { 0 } };
        bool has_chat = true;
        enum err e = setup_check_model(&config->models[i], &has_chat, &why);
        say(d, e != OK ? BAD : has_chat ? GOOD : WARNING, "model", "%s%s", e == OK ? config->models[i].name : why.text,
            e == OK && !has_chat ? ": its chat template is of no known family" : "");
    }
}

static enum err dial(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
    socklen_t len = sizeof error;
    if (fd < 0)
        return ERR_IO;
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        error = errno;
    else if (poll(&p, 1, PROBE_MS) != 1)
        error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    close(fd);
    errno = error;
    return error ? ERR_IO : OK;
}

/* Does anybody listen there? Says nothing about who. */
static bool reaches(const struct bootstrap *b, char why[160])
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", b->port);
    int rc = getaddrinfo(b->host, port, &hints, &found);
    if (rc != 0) {
        snprintf(why, 160, "%s", gai_strerror(rc));
        return false;
    }
    bool fine = false;
    for (const struct addrinfo *a = found; a && !fine; a = a->ai_next) {
        fine = dial(a) == OK;
        snprintf(why, 160, "%s", strerror(errno));
    }
    freeaddrinfo(found);
    return fine;
}

/* One that answers is enough to join. */
static void check_bootstraps(struct doctor *d, const struct config *config)
{
    struct { struct bootstrap b; bool reached; char why[160]; } tried[CONFIG_BOOTSTRAPS_MAX];
    bool any = false;
    for (uint32_t i = 0; i < config->bootstrap_count; i++) {
        ENSURE(bootstrap_parse(config->bootstrap[i], &tried[i].b) == OK);      /* as config.c wrote it */
        tried[i].reached = reaches(&tried[i].b, tried[i].why);
        any = any || tried[i].reached;
    }
    for (uint32_t i = 0; i < config->bootstrap_count; i++) {
        char address[ADDRESS_TEXT_CHARS];
        address_text(tried[i].b.host, tried[i].b.port, address);
        if (tried[i].reached)
            say(d, GOOD, "bootstrap", "%s: somebody listens there", address);
        else
            say(d, any ? WARNING : BAD, "bootstrap", "%s cannot be reached: %s", address, tried[i].why);
    }
}

/* What the running node says of itself. */
static void check_node(struct doctor *d)
{
    json_t *j;
    if (cli_is_stopped(d->c)) {
        say(d, GOOD, "node", "not running");
        return;
    }
    if (cli_get_json(d->c, "/tally/v1/status", &j) != EXIT_FINE) {
        say(d, BAD, "node", "run.json says that it runs, but nobody answers at %s", cli_api(d->c));
        return;
    }
    const char *state = json_string_value(json_object_get(j, "state")), *why = json_string_value(json_object_get(j, "reason"));
    bool is_young = json_integer_value(json_object_get(j, "uptime_ms")) < YOUNG_MS;
    state = state ? state : "";
    enum verdict v = strcmp(state, "ready") == 0 ? GOOD : strcmp(state, "failed") == 0 || (strcmp(state, "joining") == 0 && !is_young) ? BAD : WARNING;
    say(d, v, "node", "%s, %d peers%s%s", state, (int)json_integer_value(json_object_get(j, "peers")), why ? ": " : "", why ? why : "");
    json_decref(j);
}

static void check_setup(struct doctor *d, const struct config *config)
{
    struct fault why = { { 0 } };
    enum err e = setup_check_backend(config->backend, &why);
    say_check(d, "engine", e, &why, config->backend);
    e = setup_check_identity(config, &why);
    say_check(d, "network", e, &why, config->network);
    e = setup_check_listen(config, cli_is_stopped(d->c) && config->listen_port != 0, &why);
    say_check(d, "listen", e, &why, config->listen_host);
    e = setup_check_bootstraps(config, &why);
    if (e != OK)
        say(d, BAD, "bootstrap", "%s", why.text);
    else
        check_bootstraps(d, config);
    check_models(d, config);
}

static void check_machine(struct doctor *d)
{
    struct rlimit files;
    const struct ops *ops;
    for (size_t i = 0; (ops = backend_at(i)); i++) {
        enum err e = backend_self_test(ops);
        say(d, e == OK ? GOOD : BAD, "backend", "%s: %s", ops->name, e == OK ? "reproduces NV1's conformance vectors" : err_text(e));
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        say(d, files.rlim_max >= 1024 ? GOOD : WARNING, "descriptors", "%llu at most; two per peer are needed", (unsigned long long)files.rlim_max);
    say(d, time(NULL) > 1700000000 ? GOOD : BAD, "clock", "%s", time(NULL) > 1700000000 ? "plausible" : "years behind; certificates and records will be refused");
}

int cmd_doctor(struct cli *c)
{
    static struct config config;
    struct doctor d = { .c = c, .list = json_array() };
    struct identity_glance g;
    bool has_identity;
    check_files(&d, &g, &has_identity);
    bool configured = check_config(&d, &config);
    if (has_identity)
        check_ledger(&d);
    if (configured)
        check_setup(&d, &config);
    check_machine(&d);
    if (has_identity)
        check_node(&d);
    if (c->json)
        cli_print_json(json_pack("{s:i, s:O}", "bad", (int)d.bad, "checks", d.list));
    json_decref(d.list);
    return d.bad ? EXIT_FAILED : EXIT_FINE;
}
