/* cli_setup_posix.c - `tally init`, `tally key`: this machine's own keys and configuration. */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyfile_posix.h"
#include "node/cli.h"

/* ---- init ---- */

struct init_options {
    const char *network, *bootstraps[CONFIG_BOOTSTRAPS_MAX], *models[CONFIG_MODELS_MAX];
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
    return host_is_valid(o->listen_host) && brackets == (strchr(o->listen_host, ':') != NULL);
}

static int parse_init(struct cli *c, struct init_options *o)
{
    const char *v;
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--network")))
            o->network = v;
        else if ((v = cli_option(c, &i, "--listen"))) {
            if (!parse_listen(v, o))
                return cli_fail(EXIT_USAGE, "--listen wants HOST:PORT, for instance 0.0.0.0:7600 or [::]:7600");
        } else if ((v = cli_option(c, &i, "--pow-bits"))) {
            if (decimal_parse(v, 0, &o->pow_bits) != OK || o->pow_bits > 40)
                return cli_fail(EXIT_USAGE, "--pow-bits wants a number up to 40");
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
    fprintf(f, "# tallyd --print-config shows every key.\nnetwork = \"%s\"\npow_bits = %" PRIu64 "\ndata_dir = \"%s\"\n", o->network, o->pow_bits, c->data_dir);
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

int cmd_init(struct cli *c)
{
    struct init_options o = { .network = "public", .pow_bits = 22 };
    struct identity_glance g;
    struct fault why = { { 0 } };
    char full[CONFIG_PATH_CHARS * 2], hex[2 * PUBKEY_BYTES + 1], path[CONFIG_PATH_CHARS + 16];
    bool written;
    int rc = parse_init(c, &o);
    if (rc != EXIT_FINE)
        return rc;
    if (c->data_dir[0] != '/') {
        char *cwd = getcwd(NULL, 0);
        snprintf(full, sizeof full, "%s/%s", cwd ? cwd : ".", c->data_dir);
        free(cwd);
        snprintf(c->data_dir, sizeof c->data_dir, "%.*s", (int)sizeof c->data_dir - 1, full);
    }
    struct net_id net = net_id_of(o.network);
    enum err e = identity_create(c->data_dir, &net, (unsigned)o.pow_bits, passphrase_text(&c->passphrase), show_pow, NULL, &why);
    if (isatty(2))
        fputs("\r\033[K", stderr);
    if (e == OK)
        e = cli_glance(c, &g, &why);
    if (e != OK)
        return cli_fail(cli_code_of(e), "%s", why.text[0] ? why.text : err_text(e));
    struct node_id id = node_id_of(&g.node);
    hash_format(&id.h, hex);
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    rc = write_config(c, &o, path, &written);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:b}", "node_id", hex, "network", o.network, "data_dir", c->data_dir,
                                 "config", path, "config_written", written));
        return rc;
    }
    printf("node     %s\nnetwork  %s\nkeys     %s (owner.key may be moved to a safe place)\nconfig   %s%s\nnext     tallyd -d %s\n", hex, o.network,
           c->data_dir, path, written ? "" : " (kept as it was)", c->data_dir);
    return rc;
}

/* ---- key ---- */

static int show_keys(struct cli *c)
{
    struct identity_glance g;
    struct fault why = { { 0 } };
    char node[2 * PUBKEY_BYTES + 1], owner[2 * PUBKEY_BYTES + 1] = "", id[HASH_HEX_CHARS + 1], net[2 * NET_ID_BYTES + 1], until[24];
    enum err e = cli_glance(c, &g, &why);
    if (e != OK)
        return cli_fail(e == ERR_NOT_FOUND ? EXIT_NO_NODE : cli_code_of(e), "%s", why.text);
    struct node_id n = node_id_of(&g.node);
    pubkey_format(&g.node, node);
    hash_format(&n.h, id);
    sodium_bin2hex(net, sizeof net, g.net.b, sizeof g.net.b);
    if (g.has_cert)
        pubkey_format(&g.cert.owner, owner);
    if (c->json) {
        cli_print_json(json_pack("{s:s, s:s, s:s, s:s}", "node_id", id, "node_key", node, "owner_key", owner, "network_id", net));
        return EXIT_FINE;
    }
    cli_format_time((struct wall){ g.has_cert ? g.cert.not_after_s * 1000 : 0 }, until);
    printf("node id      %s\nnode key     %s\nowner key    %s\ncertificate  valid until %s\nnetwork id   %s\n", id, node, owner[0] ? owner : "-", until, net);
    return EXIT_FINE;
}

static int show_bootstrap(struct cli *c)
{
    char path[CONFIG_PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/run.json", c->data_dir);
    json_t *j = json_load_file(path, 0, NULL);
    const char *boot = json_string_value(json_object_get(j, "bootstrap"));
    int rc = EXIT_FINE;
    if (!boot)
        rc = cli_fail(EXIT_NO_NODE, "tallyd is not running with %s; its address is known only while it runs", c->data_dir);
    else if (c->json)
        cli_print_json(json_pack("{s:s}", "bootstrap", boot));
    else
        puts(boot);
    json_decref(j);
    return rc;
}

/* The present and the new passphrase, from descriptors or typed. */
static int read_passphrases(struct cli *c, struct passphrase *before, struct passphrase *after)
{
    struct passphrase again = { "" };
    const char *v, *new_fd = NULL;
    int fd, rc = EXIT_FINE;
    for (int i = 2; i < c->argc; i++) {
        if (!(v = cli_option(c, &i, "--new-passphrase-fd")))
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
        new_fd = v;
    }
    *before = c->passphrase;
    if (new_fd) {
        if (passphrase_parse_fd(new_fd, &fd) != OK || passphrase_from_fd(fd, after) != OK)
            rc = cli_fail(EXIT_USAGE, "--new-passphrase-fd %s: no passphrase can be read there", new_fd);
    } else if ((!before->text[0] && passphrase_ask("present passphrase (empty: none): ", before) != OK) ||
               passphrase_ask("new passphrase (empty: none): ", after) != OK || passphrase_ask("once more: ", &again) != OK) {
        rc = cli_fail(EXIT_USAGE, "a passphrase is typed at a terminal or read from --new-passphrase-fd");
    } else if (strcmp(after->text, again.text) != 0) {
        rc = cli_fail(EXIT_FAILED, "the two new passphrases differ; nothing was changed");
    }
    passphrase_fini(&again);
    return rc;
}

/* A change that was cut short is finished by running it again: a file that has the new passphrase is done. */
static enum err change_one(const char *path, const struct passphrase *before, const struct passphrase *after)
{
    struct key_seed seed;
    enum err e = keyfile_change(path, passphrase_text(before), passphrase_text(after));
    if ((e == ERR_PASSPHRASE || e == ERR_LOCKED) && keyfile_load(path, passphrase_text(after), &seed) == OK) {
        sodium_memzero(&seed, sizeof seed);
        return OK;
    }
    return e;
}

static int change_passphrase(struct cli *c)
{
    static const char *const files[] = { "owner.key", "node.key", "transport.key" };
    struct passphrase before = { "" }, after = { "" };
    char path[CONFIG_PATH_CHARS + 16];
    int rc = read_passphrases(c, &before, &after);
    for (size_t i = 0; rc == EXIT_FINE && i < ARRAY_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", c->data_dir, files[i]);
        enum err e = change_one(path, &before, &after);
        if (e != OK && !(e == ERR_NOT_FOUND && i == 0))        /* the owner key may be kept elsewhere */
            rc = cli_fail(cli_code_of(e), "%s: %s", path, err_text(e));
    }
    if (rc == EXIT_FINE && c->json)
        cli_print_json(json_pack("{s:b}", "passphrase", after.text[0] != 0));
    passphrase_fini(&before);
    passphrase_fini(&after);
    return rc;
}

int cmd_key(struct cli *c)
{
    const char *what = c->argc > 1 ? c->argv[1] : "show";
    if (c->argc > 2 && strcmp(what, "passwd") != 0)
        return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[2]);
    if (strcmp(what, "show") == 0)
        return show_keys(c);
    if (strcmp(what, "bootstrap") == 0)
        return show_bootstrap(c);
    if (strcmp(what, "passwd") == 0)
        return change_passphrase(c);
    return cli_fail(EXIT_USAGE, "what is \"tally key %s\"? show, bootstrap or passwd", what);
}
