/* cli_cert_posix.c - `tally key renew` and `tally key certify`: the owner's word that a node key is theirs, for another year. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "node/cli.h"

struct cert_options { const char *owner_key, *out, *node; uint64_t days; };

static int parse(struct cli *c, bool wants_node, struct cert_options *o)
{
    const char *v;
    *o = (struct cert_options){ .days = IDENTITY_CERT_DAYS };
    for (int i = 2; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--owner-key")))
            o->owner_key = v;
        else if (wants_node && (v = cli_option(c, &i, "--out")))
            o->out = v;
        else if ((v = cli_option(c, &i, "--days"))) {
            if (decimal_parse(v, 0, &o->days) != OK || o->days == 0 || o->days > IDENTITY_CERT_DAYS_MAX)
                return cli_fail(EXIT_USAGE, "--days wants a whole number from 1 to %d, not \"%s\"", IDENTITY_CERT_DAYS_MAX, v);
        } else if (wants_node && !o->node && c->argv[i][0] != '-')
            o->node = c->argv[i];
        else
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
    }
    return wants_node && !o->node ? cli_fail(EXIT_USAGE, "certify which node? its node key, as `tally key show` says it there") : EXIT_FINE;
}

static int glance(struct cli *c, struct identity_glance *out)
{
    struct fault why = { { 0 } };
    enum err e = cli_glance(c, out, &why);
    return e == OK ? EXIT_FINE : cli_fail(e == ERR_NOT_FOUND ? EXIT_NO_NODE : cli_code_of(e), "%s", why.text);
}

/* Signs for `node` with the owner key of this folder or of --owner-key. */
static int sign(struct cli *c, const struct cert_options *o, const struct net_id *net, const struct pubkey *node, struct cert *out)
{
    char path[CONFIG_PATH_CHARS + 16];
    struct fault why = { { 0 } };
    snprintf(path, sizeof path, "%s/owner.key", c->data_dir);
    const char *owner_key = o->owner_key ? o->owner_key : path;
    enum err e = identity_certify(owner_key, passphrase_text(&c->passphrase), net, node, o->days, out, &why);
    if (e == ERR_LOCKED && passphrase_ask("passphrase of the owner key: ", &c->passphrase) == OK && c->passphrase.text[0])
        e = identity_certify(owner_key, c->passphrase.text, net, node, o->days, out, &why);
    if (e == ERR_NOT_FOUND)
        return cli_fail(EXIT_NOT_FOUND, "%s is not there; --owner-key FILE says where the owner key is kept", owner_key);
    return e == OK ? EXIT_FINE : cli_fail(cli_code_of(e), "%s", why.text);
}

static int keep(struct cli *c, const char *path, const struct cert *cert, const char *next)
{
    struct fault why = { { 0 } };
    char until[24], owner[2 * PUBKEY_BYTES + 1], node[2 * PUBKEY_BYTES + 1];
    if (identity_cert_write(path, cert, &why) != OK)
        return cli_fail(EXIT_FAILED, "%s", why.text);
    pubkey_format(&cert->owner, owner);
    pubkey_format(&cert->node, node);
    cli_format_time((struct wall){ cert->not_after_s * 1000 }, until);
    if (c->json)
        cli_print_json(json_pack("{s:s, s:s, s:s, s:I}", "file", path, "node_key", node, "owner_key", owner, "certificate_until_ms",
                                 (json_int_t)(cert->not_after_s * 1000)));
    else
        printf("certificate  %s\nnode key     %s\nowner key    %s\nvalid until  %s\nnext         %s\n", path, node, owner, until, next);
    return EXIT_FINE;
}

int key_renew(struct cli *c)
{
    struct cert_options o;
    struct identity_glance g;
    struct cert cert;
    char path[CONFIG_PATH_CHARS + 16];
    int rc = parse(c, false, &o);
    if (rc == EXIT_FINE)
        rc = glance(c, &g);
    if (rc == EXIT_FINE)
        rc = sign(c, &o, &g.net, &g.node, &cert);
    if (rc != EXIT_FINE)
        return rc;
    snprintf(path, sizeof path, "%s/owner.cert", c->data_dir);
    if (g.has_cert && !pubkey_equal(&g.cert.owner, &cert.owner))
        return cli_fail(EXIT_FAILED, "this is not the owner key that certified the node; to give it another owner, take %s away first", path);
    return keep(c, path, &cert, "restart tallyd: it reads its certificate when it starts");
}

int key_certify(struct cli *c)
{
    struct cert_options o;
    struct identity_glance g;
    struct pubkey node;
    struct cert cert;
    struct stat st;
    char name[32];
    int rc = parse(c, true, &o);
    if (rc != EXIT_FINE)
        return rc;
    if (pubkey_parse(o.node, &node) != OK)
        return cli_fail(EXIT_USAGE, "\"%s\" is no node key: 64 hexadecimal digits, as `tally key show` says them there", o.node);
    snprintf(name, sizeof name, "%.*s.cert", CLI_DIGITS_SHOWN, o.node);
    const char *path = o.out ? o.out : name;
    if (stat(path, &st) == 0)
        return cli_fail(EXIT_FAILED, "%s is there already; --out FILE names another", path);
    rc = glance(c, &g);
    if (rc == EXIT_FINE)
        rc = sign(c, &o, &g.net, &node, &cert);
    if (rc != EXIT_FINE)
        return rc;
    return keep(c, path, &cert, "there: copy it over owner.cert in that node's folder (or name it in owner_cert) and restart its tallyd");
}
