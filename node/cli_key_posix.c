/* cli_key_posix.c - `tally key`: what this node is called, what to hand to others, the passphrase of its key files. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "crypto/keyfile_posix.h"
#include "node/cli.h"

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
        cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:o}", "node_id", id, "node_key", node, "owner_key", owner, "network_id", net, "certificate_until_ms",
                                 g.has_cert ? json_integer((json_int_t)(g.cert.not_after_s * 1000)) : json_null()));
        return EXIT_FINE;
    }
    cli_format_time((struct wall){ g.has_cert ? g.cert.not_after_s * 1000 : 0 }, until);
    printf("node id      %s\nnode key     %s\nowner key    %s\ncertificate  valid until %s\nnetwork id   %s\n", id, node, owner[0] ? owner : "-", until, net);
    return EXIT_FINE;
}

static bool is_local(const char *boot)
{
    struct bootstrap b;
    return bootstrap_parse(boot, &b) == OK && (strncmp(b.host, "127.", 4) == 0 || strcmp(b.host, "::1") == 0 || strcmp(b.host, "localhost") == 0);
}

static int show_bootstrap(struct cli *c)
{
    char path[CONFIG_PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/run.json", c->data_dir);
    json_t *j = json_load_file(path, 0, NULL);
    const char *boot = json_string_value(json_object_get(j, "bootstrap"));
    int rc = EXIT_FINE;
    if (!boot && identity_is_absent(c->data_dir))
        rc = cli_fail(EXIT_NO_NODE, "no node lives in %s; `tally init` makes one", c->data_dir);
    else if (!boot)
        rc = cli_fail(EXIT_NO_NODE, "tallyd is not running with %s; its address is known only while it runs", c->data_dir);
    else if (c->json)
        cli_print_json(json_pack("{s:s, s:b}", "bootstrap", boot, "this_machine_only", is_local(boot)));
    else
        puts(boot);
    if (boot && !c->json && is_local(boot))
        fputs("tally: warning: this string works on this machine only: the node tells others to dial it on loopback (listen.host, listen.advertise)\n", stderr);
    json_decref(j);
    return rc;
}

/* ---- passwd ---- */

static const char *const key_files[] = { "owner.key", "node.key", "transport.key" };

/* OK, or why this file does not open: ERR_NOT_FOUND, ERR_LOCKED, ERR_PASSPHRASE, ... */
static enum err opens(const char *path, const struct passphrase *with)
{
    struct key_seed seed;
    enum err e = keyfile_load(path, passphrase_text(with), &seed);
    sodium_memzero(&seed, sizeof seed);
    return e;
}

static void file_path(const struct cli *c, size_t i, char out[CONFIG_PATH_CHARS + 16])
{
    snprintf(out, CONFIG_PATH_CHARS + 16, "%s/%s", c->data_dir, key_files[i]);
}

static bool is_locked(const struct cli *c, size_t i)
{
    static const struct passphrase none = { "" };
    char path[CONFIG_PATH_CHARS + 16];
    file_path(c, i, path);
    return opens(path, &none) == ERR_LOCKED;
}

static unsigned locked_count(const struct cli *c)
{
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_COUNT(key_files); i++)
        n += is_locked(c, i);
    return n;
}

/* It opens one of the locked files at least: after a change that was cut short the others have the new one already. */
static int check_present(const struct cli *c, const struct passphrase *before)
{
    char path[CONFIG_PATH_CHARS + 16];
    for (size_t i = 0; i < ARRAY_COUNT(key_files); i++) {
        file_path(c, i, path);
        if (is_locked(c, i) && opens(path, before) == OK)
            return EXIT_FINE;
    }
    return locked_count(c) ? cli_fail(EXIT_LOCKED, "that is not the present passphrase; nothing was changed") : EXIT_FINE;
}

struct passwd_options { const char *new_fd; bool remove; };

static int read_new(const struct passwd_options *o, struct passphrase *after)
{
    struct passphrase again = { "" };
    int fd, rc = EXIT_FINE;
    if (o->remove)
        return EXIT_FINE;
    if (o->new_fd)
        return passphrase_parse_fd(o->new_fd, &fd) == OK && passphrase_from_fd(fd, after) == OK
                   ? EXIT_FINE : cli_fail(EXIT_USAGE, "--new-passphrase-fd %s: no passphrase can be read there (--remove takes it away)", o->new_fd);
    if (passphrase_ask("new passphrase (empty: none): ", after) != OK || passphrase_ask("once more: ", &again) != OK)
        rc = cli_fail(EXIT_USAGE, "a passphrase is typed at a terminal or read from --new-passphrase-fd");
    else if (strcmp(after->text, again.text) != 0)
        rc = cli_fail(EXIT_FAILED, "the two new passphrases differ; nothing was changed");
    passphrase_fini(&again);
    return rc;
}

/* A file that has the new passphrase is done: a change that was cut short is finished by running it again. */
static int change_files(const struct cli *c, const struct passphrase *before, const struct passphrase *after)
{
    char path[CONFIG_PATH_CHARS + 16];
    for (size_t i = 0; i < ARRAY_COUNT(key_files); i++) {
        file_path(c, i, path);
        enum err e = keyfile_change(path, passphrase_text(before), passphrase_text(after));
        if ((e == ERR_PASSPHRASE || e == ERR_LOCKED) && opens(path, after) == OK)
            e = OK;
        if (e != OK && !(e == ERR_NOT_FOUND && i == 0))        /* the owner key may be kept elsewhere */
            return cli_fail(cli_code_of(e), "%s: %s", path, err_text(e));
    }
    return EXIT_FINE;
}

static int change(struct cli *c, const struct passwd_options *o, struct passphrase *before, struct passphrase *after)
{
    bool had = locked_count(c) > 0;
    *before = c->passphrase;
    if (had && !before->text[0] && passphrase_ask("present passphrase: ", before) != OK)
        return cli_fail(EXIT_USAGE, "the present passphrase is typed at a terminal or read from --passphrase-fd");
    int rc = check_present(c, before);
    if (rc == EXIT_FINE)
        rc = read_new(o, after);
    if (rc == EXIT_FINE)
        rc = change_files(c, before, after);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json)
        cli_print_json(json_pack("{s:b}", "passphrase", after->text[0] != 0));
    else
        printf("passphrase %s: the key files in %s %s\n", after->text[0] ? (had ? "changed" : "set") : "removed", c->data_dir,
               after->text[0] ? "open with the new one only" : "open without one");
    return EXIT_FINE;
}

static int change_passphrase(struct cli *c)
{
    struct passphrase before = { "" }, after = { "" };
    struct passwd_options o = { 0 };
    const char *v;
    for (int i = 2; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--new-passphrase-fd")))
            o.new_fd = v;
        else if (strcmp(c->argv[i], "--remove") == 0)
            o.remove = true;
        else
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
    }
    if (o.remove && o.new_fd)
        return cli_fail(EXIT_USAGE, "--remove and --new-passphrase-fd are two wishes");
    if (identity_is_absent(c->data_dir))
        return cli_fail(EXIT_NO_NODE, "no node lives in %s; `tally init` makes one", c->data_dir);
    int rc = change(c, &o, &before, &after);
    passphrase_fini(&before);
    passphrase_fini(&after);
    return rc;
}

int cmd_key(struct cli *c)
{
    const char *what = c->argc > 1 ? c->argv[1] : "show";
    if (strcmp(what, "renew") == 0)
        return key_renew(c);
    if (strcmp(what, "certify") == 0)
        return key_certify(c);
    if (c->argc > 2 && strcmp(what, "passwd") != 0)
        return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[2]);
    if (strcmp(what, "show") == 0)
        return show_keys(c);
    if (strcmp(what, "bootstrap") == 0)
        return show_bootstrap(c);
    if (strcmp(what, "passwd") == 0)
        return change_passphrase(c);
    return cli_fail(EXIT_USAGE, "what is \"tally key %s\"? show, bootstrap, passwd, renew or certify", what);
}
