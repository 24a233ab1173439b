/* cli_verify_posix.c - `tally verify`: a receipt of our own ledger, or a bundle somebody handed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/catalog_posix.h"
#include "node/cli.h"
#include "node/reexecute_posix.h"

struct verify_options { const char *what, *model, *backend; bool reexecute; };

static int read_bundle(const char *path, uint8_t *buf, struct bytes *out)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(buf, 1, BUNDLE_BYTES_MAX, f) : 0;
    bool whole = f && feof(f);
    if (f)
        fclose(f);
    if (!f)
        return cli_fail(EXIT_NOT_FOUND, "%s: cannot be read", path);
    if (!whole)
        return cli_fail(EXIT_FAILED, "%s: larger than any bundle", path);
    *out = bytes_of(buf, n);
    return EXIT_FINE;
}

/* From our own ledger; the opening only when it is needed, because it may want a passphrase. */
static int bundle_from_ledger(struct cli *c, const struct verify_options *o, uint8_t *buf, struct bytes *out, struct net_id *net)
{
    struct wallet w;
    struct hash terms;
    struct receipt_view view;
    bool has_receipt;
    int rc = wallet_open(c, o->reexecute, &w);
    if (rc != EXIT_FINE)
        return rc;
    *net = w.who.net;
    enum err e = wallet_find(&w, o->what, &terms, &view, &has_receipt);
    if (e != OK)
        rc = cli_fail(EXIT_NOT_FOUND, e == ERR_EXISTS ? "%s: more than one receipt begins like this" : "%s: no such receipt or file", o->what);
    else if ((e = ledger_bundle(&w.ledger, &terms, NULL, NULL, o->reexecute, buf, BUNDLE_BYTES_MAX, out)) != OK)
        rc = cli_fail(cli_code_of(e), "the receipt's records could not be read: %s", err_text(e));
    wallet_close(&w);
    return rc;
}

static const char *result_word(enum check_result r)
{
    switch (r) {
    case CHECK_ABSENT:
        return "absent";
    case CHECK_PASSED:
        return "ok";
    case CHECK_FAILED:
        break;
    }
    return "FAILED";
}

static void print_report(struct cli *c, const struct bundle_report *r)
{
    for (int i = 0; i < BUNDLE_CHECK_COUNT; i++) {
        const char *colour = r->result[i] == CHECK_FAILED ? cli_red(c) : r->result[i] == CHECK_PASSED ? cli_green(c) : cli_dim(c);
        if (r->result[i] == CHECK_ABSENT)
            continue;
        printf("  %-32s %s%s%s\n", bundle_check_label((enum bundle_check_id)i), colour, result_word(r->result[i]), cli_plain(c));
        if (r->result[i] == CHECK_FAILED)
            printf("    %s\n", bundle_check_sentence((enum bundle_check_id)i));
    }
}

static json_t *report_json(const struct bundle_report *r)
{
    json_t *j = json_object();
    for (int i = 0; i < BUNDLE_CHECK_COUNT; i++)
        json_object_set_new(j, bundle_check_label((enum bundle_check_id)i), json_string(result_word(r->result[i])));
    return j;
}

/* The model file with the right id: --model, else those of the node's configuration. */
static const struct catalog_entry *find_model(struct cli *c, const struct verify_options *o, const struct hash *id, struct catalog *catalog)
{
    static struct config config;
    struct config_fault config_why;
    struct fault why;
    const struct catalog_entry *entry;
    char path[CONFIG_PATH_CHARS + 16];
    if (o->model) {
        if (catalog_add_file(catalog, NULL, o->model, &entry, &why) != OK)
            cli_fail(EXIT_FAILED, "%s", why.text);
        return catalog_find(catalog, id);
    }
    config_defaults(&config);
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    if (config_load(&config, path, &config_why) == OK)
        for (uint32_t i = 0; i < config.model_count; i++)
            if (catalog_add_file(catalog, config.models[i].name, config.models[i].path, &entry, &why) != OK)
                cli_fail(EXIT_FAILED, "%s", why.text);
    entry = catalog_find(catalog, id);
    return entry && entry->model ? entry : NULL;
}

static int run_again(struct cli *c, const struct verify_options *o, const struct bundle *b, const struct terms *t, json_t *doc)
{
    struct catalog *catalog;
    struct reexecution x;
    struct fault why = { { 0 } };
    char cache[CONFIG_PATH_CHARS + 16], hex[HASH_HEX_CHARS + 1];
    struct stat st;
    snprintf(cache, sizeof cache, "%s/cache", c->data_dir);
    if (catalog_open(stat(cache, &st) == 0 ? cache : NULL, &catalog) != OK)
        return cli_fail(EXIT_FAILED, "out of memory");
    const struct catalog_entry *m = find_model(c, o, &t->model, catalog);
    hash_format(&t->model, hex);
    int rc;
    enum err e = OK;
    if (!m || !m->model)
        rc = cli_fail(EXIT_CANNOT_REEXECUTE, "no model file with id %.16s... here; give one with --model FILE", hex);
    else if ((e = reexecute(m->model, b, t, o->backend, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), &x, &why)) != OK)
        rc = cli_fail(e == ERR_STATE ? EXIT_CANNOT_REEXECUTE : EXIT_FAILED, "%s", why.text);
    else
        rc = x.tokens_match && x.digests_match ? EXIT_FINE : EXIT_NOT_VERIFIED;
    if (m && m->model && e == OK && c->json)
        json_object_set_new(doc, "reexecution", json_pack("{s:b, s:b, s:i, s:i, s:s, s:f}", "tokens_match", x.tokens_match, "digests_match", x.digests_match,
                                                          "tokens", (int)x.tokens, "digests", (int)x.digests, "backend", x.backend, "seconds", x.seconds));
    else if (m && m->model && e == OK) {
        printf("  %-32s %s%s%s  (%u tokens, %u digests, backend %s, %.3f s)\n", "computed again: bytes", rc == EXIT_FINE ? cli_green(c) : cli_red(c),
               rc == EXIT_FINE ? "identical" : "DIFFERENT", cli_plain(c), x.tokens, x.digests, x.backend, x.seconds);
        if (!x.tokens_match)
            printf("    token %u of the answer is %u; the model gives %u\n", x.first_token, x.claimed, x.expected);
        if (!x.digests_match)
            printf("    the first digest that differs covers tokens %llu to %llu\n", (unsigned long long)x.first_digest * CLAIM_TOKENS,
                   (unsigned long long)x.first_digest * CLAIM_TOKENS + CLAIM_TOKENS - 1);
    }
    catalog_close(catalog);
    return rc;
}

static int verify(struct cli *c, const struct verify_options *o, uint8_t *buf)
{
    struct bytes in;
    struct bundle b;
    struct bundle_report r;
    struct net_id net;
    struct stat st;
    bool from_file = stat(o->what, &st) == 0 && S_ISREG(st.st_mode);
    int rc = from_file ? read_bundle(o->what, buf, &in) : bundle_from_ledger(c, o, buf, &in, &net);
    if (rc != EXIT_FINE)
        return rc;
    if (bundle_decode(in, &b) != OK)
        return cli_fail(EXIT_NOT_VERIFIED, "%s: not a receipt bundle", o->what);
    if (from_file) {                                   /* a stranger's bundle: it says which network it is of */
        struct terms t;
        if (terms_decode(b.terms.body, &t) == OK)
            net = t.net;
    }
    enum err e = bundle_check(&b, &net, (struct wall){ (uint64_t)time(NULL) * 1000 }, &r);
    json_t *doc = c->json ? json_pack("{s:b, s:o}", "verified", e == OK, "checks", report_json(&r)) : NULL;
    rc = e == OK ? EXIT_FINE : EXIT_NOT_VERIFIED;
    if (!c->json)
        print_report(c, &r);
    if (rc == EXIT_FINE && o->reexecute)
        rc = run_again(c, o, &b, &r.terms, doc);
    if (c->json) {
        json_object_set_new(doc, "verified", json_boolean(rc == EXIT_FINE));
        cli_print_json(doc);
    } else
        printf("%s%s%s\n", rc == EXIT_FINE ? cli_green(c) : cli_red(c), rc == EXIT_FINE ? "verified" : "NOT verified", cli_plain(c));
    return rc;
}

int cmd_verify(struct cli *c)
{
    struct verify_options o = { 0 };
    const char *v;
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--model")))
            o.model = v;
        else if ((v = cli_option(c, &i, "--backend")))
            o.backend = v;
        else if (strcmp(c->argv[i], "--reexecute") == 0)
            o.reexecute = true;
        else
            o.what = c->argv[i];
    }
    if (!o.what)
        return cli_fail(EXIT_USAGE, "verify what? a receipt id (`tally receipts`) or a bundle file");
    uint8_t *buf = malloc(BUNDLE_BYTES_MAX);
    int rc = buf ? verify(c, &o, buf) : cli_fail(EXIT_FAILED, "out of memory");
    free(buf);
    return rc;
}
