/* cli_setup_posix.c - `tally init`: a configuration, then the keys it needs. Again: what is missing, and what it did not take over. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli.h"
#include "node/setup_posix.h"

struct init_options {
    const char *network;                               /* NULL: not given */
    const char *bootstraps[CONFIG_BOOTSTRAPS_MAX], *models[CONFIG_MODELS_MAX];
    bool has_pow_bits;
    uint64_t pow_bits;
    unsigned bootstrap_count, model_count;
    char listen_host[HOST_CHARS_MAX + 1];              /* empty: not given */
    uint64_t listen_port;
};

static void show_pow(void *ctx, uint64_t tries)
{
    (void)ctx;
    if (isatty(2))
        fprintf(stderr, "\rproof of work for this identity: %" PRIu64 " million tries", tries / 1000000);
}

/* HOST:PORT; an IPv6 address in brackets. */
static bool parse_listen(const char *text, struct init_options *o)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool brackets = n > 2 && text[0] == '[' && text[n - 1] == ']';
    if (!colon || n - 2 * brackets > HOST_CHARS_MAX || decimal_parse(colon + 1, 0, &o->listen_port) != OK || o->listen_port > 65535)
        return false;
    snprintf(o->listen_host, sizeof o->listen_host, "%.*s", (int)(n - 2 * brackets), text + brackets);
    return config_is_address(o->listen_host) && brackets == (strchr(o->listen_host, ':') != NULL);
}

static int parse_init(struct cli *c, struct init_options *o)
{
    const char *v;
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--network")))
            o->network = v;
        else if ((v = cli_option(c, &i, "--listen"))) {
            if (!parse_listen(v, o))
                return cli_fail(EXIT_USAGE, "--listen wants ADDRESS:PORT, for instance 0.0.0.0:7600 or [::]:7600");
        } else if ((v = cli_option(c, &i, "--pow-bits"))) {
            o->has_pow_bits = true;
            if (decimal_parse(v, 0, &o->pow_bits) != OK || o->pow_bits > POW_BITS_MAX)
                return cli_fail(EXIT_USAGE, "--pow-bits wants a number up to " TEXT_OF(POW_BITS_MAX));
        } else if ((v = cli_option(c, &i, "--bootstrap"))) {
            struct bootstrap b;
            if (o->bootstrap_count == CONFIG_BOOTSTRAPS_MAX || bootstrap_parse(v, &b) != OK)
                return cli_fail(EXIT_USAGE, "%s: not a bootstrap string (tally://HOST:PORT/KEY?net=ID)", v);
            o->bootstraps[o->bootstrap_count++] = v;
        } else if ((v = cli_option(c, &i, "--model"))) {
            if (o->model_count == CONFIG_MODELS_MAX || !strchr(v, '=') || strchr(v, '=') == v)
                return cli_fail(EXIT_USAGE, "--model wants NAME=FILE");
            o->models[o->model_count++] = v;
        } else
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
    }
    return EXIT_FINE;
}

static void write_models(FILE *f, const struct init_options *o)
{
    for (unsigned i = 0; i < o->model_count; i++) {
        const char *file = strchr(o->models[i], '=') + 1;
        char *full = realpath(file, NULL);
        fprintf(f, "model \"%.*s\" {\n    path = \"%s\"\n    price_input = 0.05\n    price_output = 0.20\n}\n", (int)(file - 1 - o->models[i]), o->models[i],
                full ? full : file);
        free(full);
    }
}

/* *written is false if there was one, which is kept. */
static int write_config(struct cli *c, const struct init_options *o, const char *path, bool *written)
{
    FILE *f = fopen(path, "wxe");
    *written = f != NULL;
    if (!f && errno == EEXIST)
        return EXIT_FINE;
    if (!f)
        return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    fprintf(f, "# tallyd --print-config shows every key.\nnetwork = \"%s\"\npow_bits = %" PRIu64 "\ndata_dir = \"%s\"\n", o->network ? o->network : "public",
            o->has_pow_bits ? o->pow_bits : POW_BITS_PUBLIC, c->data_dir);
    fprintf(f, "bootstrap = {");
    for (unsigned i = 0; i < o->bootstrap_count; i++)
        fprintf(f, "%s\"%s\"", i ? ", " : "", o->bootstraps[i]);
    fprintf(f, "}\n");
    if (o->listen_host[0])
        fprintf(f, "listen {\n    host = \"%s\"\n    port = %" PRIu64 "\n}\n", o->listen_host, o->listen_port);
    write_models(f, o);
    if (fclose(f) != 0)
        return cli_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    return EXIT_FINE;
}

/* ---- what is said about the options ---- */

enum { NOTES_MAX = CONFIG_BOOTSTRAPS_MAX + CONFIG_MODELS_MAX + 4 };
struct notes { char text[NOTES_MAX][FAULT_TEXT_BYTES]; unsigned count; };

static void note(struct notes *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct notes *n, const char *format, ...)
{
    va_list ap;
    ENSURE(n->count < NOTES_MAX);
    va_start(ap, format);
    vsnprintf(n->text[n->count++], FAULT_TEXT_BYTES, format, ap);
    va_end(ap);
}

static json_t *notes_json(const struct notes *n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n->count; i++) {
        json_t *text = json_string(n->text[i]);
        json_array_append_new(list, text ? text : json_null());
    }
    return list;
}

static bool has_bootstrap(const struct config *config, const char *text)
{
    struct bootstrap b;
    char canonical[BOOTSTRAP_CHARS_MAX + 1];
    if (bootstrap_parse(text, &b) != OK)
        return false;
    bootstrap_format(&b, canonical);
    for (uint32_t i = 0; i < config->bootstrap_count; i++)
        if (strcmp(config->bootstrap[i], canonical) == 0)
            return true;
    return false;
}

static bool has_model(const struct config *config, const char *option)
{
    const char *file = strchr(option, '=') + 1;
    char *full = realpath(file, NULL);
    bool found = false;
    for (uint32_t i = 0; i < config->model_count && !found; i++)
        found = strlen(config->models[i].name) == (size_t)(file - 1 - option) && strncmp(config->models[i].name, option, (size_t)(file - 1 - option)) == 0 &&
                strcmp(config->models[i].path, full ? full : file) == 0;
    free(full);
    return found;
}

/* Options that an older configuration, which is never touched, does not say. */
static void compare(const struct init_options *o, const struct config *config, struct notes *out)
{
    if (o->network && strcmp(o->network, config->network) != 0)
        note(out, "--network %.100s (it says network = \"%s\"; another network wants another folder: -d)", o->network, config->network);
    if (o->has_pow_bits && o->pow_bits != config->pow_bits)
        note(out, "--pow-bits %u (it says pow_bits = %u)", (unsigned)o->pow_bits, config->pow_bits);
    if (o->listen_host[0] && (strcmp(o->listen_host, config->listen_host) != 0 || o->listen_port != config->listen_port))
        note(out, "--listen %.100s port %u (it says listen { host = \"%.80s\" port = %u })", o->listen_host, (unsigned)o->listen_port, config->listen_host,
             config->listen_port);
    for (unsigned i = 0; i < o->bootstrap_count; i++)
        if (!has_bootstrap(config, o->bootstraps[i]))
            note(out, "--bootstrap %.180s (add it to bootstrap = {...})", o->bootstraps[i]);
    for (unsigned i = 0; i < o->model_count; i++)
        if (!has_model(config, o->models[i])) {
            const char *file = strchr(o->models[i], '=') + 1;
            note(out, "--model %.90s (write: model \"%.*s\" { path = \"%.90s\" })", o->models[i], (int)(file - 1 - o->models[i]), o->models[i], file);
        }
}

/* What is written, or was, and may not work yet. */
static void look_at(const struct config *config, struct notes *out)
{
    struct fault why;
    for (uint32_t i = 0; i < config->model_count; i++)
        if (setup_check_model(&config->models[i], NULL, &why) != OK)
            note(out, "%s", why.text);
    if (setup_check_listen(config, false, &why) != OK)
        note(out, "%s", why.text);
}

/* A bootstrap string names its network, so a wrong one is found before anything is written. */
static int check_networks(const struct init_options *o)
{
    struct net_id net = net_id_of(o->network ? o->network : "public");
    for (unsigned i = 0; i < o->bootstrap_count; i++) {
        struct bootstrap b;
        if (bootstrap_parse(o->bootstraps[i], &b) == OK && !net_id_equal(&b.net, &net))
            return cli_fail(EXIT_USAGE, "%s is of another network than \"%s\"; ask whoever gave it to you for --network NAME", o->bootstraps[i],
                            o->network ? o->network : "public");
    }
    return EXIT_FINE;
}

static void make_absolute(struct cli *c)
{
    char full[CONFIG_PATH_CHARS * 2];
    if (c->data_dir[0] == '/')
        return;
    char *cwd = getcwd(NULL, 0);
    snprintf(full, sizeof full, "%s/%s", cwd ? cwd : ".", c->data_dir);
    free(cwd);
    snprintf(c->data_dir, sizeof c->data_dir, "%.*s", (int)sizeof c->data_dir - 1, full);
}

/* ---- init ---- */

struct made {
    const char *config_path;
    bool config_written;
    struct notes refused, doubts;
};

static int report(struct cli *c, const struct config *config, const struct identity_glance *g, const struct made *m)
{
    char hex[HASH_HEX_CHARS + 1];
    struct node_id id = node_id_of(&g->node);
    hash_format(&id.h, hex);
    int rc = m->refused.count ? EXIT_FAILED : EXIT_FINE;
    for (unsigned i = 0; i < m->doubts.count; i++)
        fprintf(stderr, "tally: warning: %s\n", m->doubts.text[i]);
    if (c->json) {
        cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "node_id", hex, "network", config->network, "data_dir", c->data_dir,
                                 "config", m->config_path, "config_written", m->config_written, "not_applied", notes_json(&m->refused),
                                 "warnings", notes_json(&m->doubts)));
    } else
        printf("node     %s\nnetwork  %s\nkeys     %s (owner.key may be moved to a safe place)\nconfig   %s%s\nnext     tallyd -d %s\n", hex, config->network,
               c->data_dir, m->config_path, m->config_written ? "" : " (was there, kept as it was)", c->data_dir);
    if (rc != EXIT_FINE)
        cli_fail(EXIT_FAILED, "not applied, because %s was there already; edit it:", m->config_path);
    for (unsigned i = 0; i < m->refused.count; i++)
        fprintf(stderr, "  %s\n", m->refused.text[i]);
    return rc;
}

/* The configuration comes first: should the search for a proof of work be cut short, the next `tally init` knows for what
 * network it was. */
static int make(struct cli *c, const struct init_options *o)
{
    static struct config config;
    static struct made m;
    struct config_fault fault = { { 0 } };
    struct fault why = { { 0 } };
    struct identity_glance g;
    char path[CONFIG_PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    m.config_path = path;
    if (folder_create(c->data_dir, &why) != OK)
        return cli_fail(EXIT_FAILED, "%s", why.text);
    int rc = write_config(c, o, path, &m.config_written);
    if (rc != EXIT_FINE)
        return rc;
    config_defaults(&config);
    if (config_load(&config, path, &fault) != OK)
        return cli_fail(EXIT_FAILED, "%s", fault.text);
    compare(o, &config, &m.refused);
    look_at(&config, &m.doubts);
    struct net_id net = net_id_of(config.network);
    enum err e = identity_create(c->data_dir, &net, config.pow_bits, passphrase_text(&c->passphrase), show_pow, NULL, &why);
    if (isatty(2))
        fputs("\r\033[K", stderr);
    if (e == OK)
        e = cli_glance(c, &g, &why);
    return e == OK ? report(c, &config, &g, &m) : cli_fail(cli_code_of(e), "%s", why.text[0] ? why.text : err_text(e));
}

int cmd_init(struct cli *c)
{
    struct init_options o = { 0 };
    int rc = parse_init(c, &o);
    if (rc == EXIT_FINE)
        rc = check_networks(&o);
    if (rc != EXIT_FINE)
        return rc;
    make_absolute(c);
    return make(c, &o);
}
