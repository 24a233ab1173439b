/* cli_verify_posix.c - `tally verify`: a receipt of our own ledger, or a bundle somebody handed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/catalog_posix.h"
#include "node/cli.h"
#include "node/reexecute_posix.h"
#include "node/setup_posix.h"

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

/* From our own ledger; the opening only when it is needed, because it may want a passphrase. *unopened is why there is none. */
static int bundle_from_ledger(struct cli *c, const struct verify_options *o, uint8_t *buf, struct bytes *out, struct net_id *net, char unopened[160])
{
    struct wallet w;
    struct found f;
    int rc = wallet_open(c, o->reexecute, &w);
    if (rc != EXIT_FINE)
        return rc;
    *net = w.who.net;
    rc = wallet_find(&w, o->what, " or file", &f);
    enum err e = rc == EXIT_FINE ? ledger_bundle(&w.ledger, &f.terms, o->reexecute, buf, BUNDLE_BYTES_MAX, out) : OK;
    if (e != OK)
        rc = cli_fail(cli_code_of(e), "the receipt's records could not be read: %s", err_text(e));
    else if (rc == EXIT_FINE)
        wallet_why_not_kept(c, &f, unopened);
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

/* ---- the model ---- */

/* Adds the model files of the configuration. */
static void add_configured(const struct cli *c, struct catalog *catalog, struct fault *why)
{
    static struct config config;
    struct config_fault unused;
    const struct catalog_entry *entry;
    char path[CONFIG_PATH_CHARS + 16];
    config_defaults(&config);
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    if (config_load(&config, path, &unused) != OK)
        return;
    for (uint32_t i = 0; i < config.model_count; i++)
        if (catalog_add_file(catalog, config.models[i].name, config.models[i].path, &entry, why) != OK)
            continue;                                  /* another may be the right one; the last fault is told if none is */
}

static bool is_enough(const struct catalog_entry *e, bool weights) { return e && (e->model || !weights); }

const struct catalog_entry *cli_find_model(const struct cli *c, const char *file, const struct hash *id, bool weights,
                                           struct catalog **out, struct fault *why)
{
    char cache[CONFIG_PATH_CHARS + 16], hex[HASH_HEX_CHARS + 1];
    struct stat st;
    const struct catalog_entry *added, *entry = NULL;
    snprintf(cache, sizeof cache, "%s/cache", c->data_dir);
    why->text[0] = 0;
    if (catalog_open(stat(cache, &st) == 0 ? cache : NULL, out) != OK) {
        *out = NULL;
        (void)fault_set(why, ERR_MEMORY, "out of memory");
        return NULL;
    }
    if (file && catalog_add_file(*out, NULL, file, &added, why) != OK)
        return NULL;
    if (file || !weights)
        entry = catalog_find(*out, id);
    if (!file && !is_enough(entry, weights)) {
        add_configured(c, *out, why);
        entry = catalog_find(*out, id);
    }
    if (is_enough(entry, weights))
        return entry;
    hash_format(id, hex);
    if (file)
        (void)fault_set(why, ERR_NOT_FOUND, "%.100s is another model than %.*s...", file, CLI_DIGITS_SHOWN, hex);
    else if (!why->text[0])
        (void)fault_set(why, ERR_NOT_FOUND, "no model file with id %.*s... is configured here; give one with --model FILE", CLI_DIGITS_SHOWN, hex);
    return NULL;
}

/* ---- computing again ---- */

static void print_reexecution(struct cli *c, const struct reexecution *x, bool same)
{
    printf("  %-32s %s%s%s  (%u tokens, %u digests, backend %s, %.3f s)\n", "computed again: bytes", same ? cli_green(c) : cli_red(c),
           same ? "identical" : "DIFFERENT", cli_plain(c), x->tokens, x->digests, x->backend, x->seconds);
    if (!x->tokens_match)
        printf("    token %u of the answer is %u; the model gives %u\n", x->first_token, x->claimed, x->expected);
    if (!x->digests_match)
        printf("    the first digest that differs covers tokens %llu to %llu\n", (unsigned long long)x->first_digest * CLAIM_TOKENS,
               (unsigned long long)x->first_digest * CLAIM_TOKENS + CLAIM_TOKENS - 1);
}

static int not_again(struct fault *why, const char *reason)
{
    (void)fault_set(why, ERR_STATE, "%s", reason);
    return EXIT_CANNOT_REEXECUTE;
}

/* EXIT_FINE, EXIT_NOT_VERIFIED, or EXIT_CANNOT_REEXECUTE with a reason. */
static int run_again(struct cli *c, const struct verify_options *o, const struct bundle *b, const struct bundle_report *r, const char *unopened, json_t *doc,
                     struct fault *why)
{
    struct catalog *catalog = NULL;
    struct reexecution x;
    if (!b->has_opening)
        return not_again(why, unopened);
    const struct catalog_entry *m = cli_find_model(c, o->model, &r->terms.model, true, &catalog, why);
    enum err e = m ? reexecute(m->model, b, r, o->backend, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN), &x, why) : ERR_NOT_FOUND;
    if (catalog)
        catalog_close(catalog);
    if (e != OK)
        return EXIT_CANNOT_REEXECUTE;
    bool same = x.tokens_match && x.digests_match;
    if (c->json)
        json_object_set_new(doc, "reexecution", json_pack("{s:b, s:b, s:i, s:i, s:s, s:f}", "tokens_match", x.tokens_match, "digests_match", x.digests_match,
                                                          "tokens", (int)x.tokens, "digests", (int)x.digests, "backend", x.backend, "seconds", x.seconds));
    else
        print_reexecution(c, &x, same);
    return same ? EXIT_FINE : EXIT_NOT_VERIFIED;
}

static void print_verdict(struct cli *c, int rc, const struct fault *why)
{
    if (rc == EXIT_CANNOT_REEXECUTE)
        printf("%ssignatures verified; not computed again:%s %s\n", cli_bold(c), cli_plain(c), why->text);
    else
        printf("%s%s%s\n", rc == EXIT_FINE ? cli_green(c) : cli_red(c), rc == EXIT_FINE ? "verified" : "NOT verified", cli_plain(c));
}

static int verify(struct cli *c, const struct verify_options *o, uint8_t *buf)
{
    struct bytes in;
    struct bundle b;
    struct bundle_report r;
    struct net_id net;
    struct stat st;
    struct fault why = { { 0 } };
    char unopened[160] = "the bundle was made without --open: it has no prompt and answer";
    bool from_file = stat(o->what, &st) == 0 && S_ISREG(st.st_mode);
    if (!from_file && strpbrk(o->what, "/."))          /* no id is written like that */
        return cli_fail(EXIT_NOT_FOUND, "%s: there is no such file", o->what);
    int rc = from_file ? read_bundle(o->what, buf, &in) : bundle_from_ledger(c, o, buf, &in, &net, unopened);
    if (rc != EXIT_FINE)
        return rc;
    if (bundle_decode(in, &b) != OK)
        return cli_fail(EXIT_NOT_VERIFIED, "%s: not a receipt bundle", o->what);
    if (from_file) {                                   /* a stranger's bundle: it says which network it is of */
        struct terms t;
        if (terms_decode(b.terms.body, &t) == OK)
            net = t.net;
    }
    enum err e = bundle_check(&b, &net, &r);
    json_t *doc = c->json ? json_pack("{s:o}", "checks", report_json(&r)) : NULL;
    rc = e == OK ? EXIT_FINE : EXIT_NOT_VERIFIED;
    if (!c->json)
        print_report(c, &r);
    if (rc == EXIT_FINE && o->reexecute)
        rc = run_again(c, o, &b, &r, unopened, doc, &why);
    if (!c->json) {
        print_verdict(c, rc, &why);
        return rc;
    }
    json_object_set_new(doc, "verified", json_boolean(rc != EXIT_NOT_VERIFIED));
    if (o->reexecute)
        json_object_set_new(doc, "reexecuted", json_boolean(e == OK && rc != EXIT_CANNOT_REEXECUTE));
    if (rc == EXIT_CANNOT_REEXECUTE)
        json_object_set_new(doc, "reason", json_string(why.text));
    cli_print_json(doc);
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
        else if (o.what || c->argv[i][0] == '-')
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
        else
            o.what = c->argv[i];
    }
    struct fault why;
    if (o.backend && setup_check_backend(o.backend, &why) != OK)
        return cli_fail(EXIT_USAGE, "%s", why.text);
    if (o.backend && strcmp(o.backend, "auto") == 0)
        o.backend = NULL;
    if (!o.what)
        return cli_fail(EXIT_USAGE, "verify what? a receipt id (`tally receipts`) or a bundle file");
    uint8_t *buf = malloc(BUNDLE_BYTES_MAX);
    int rc = buf ? verify(c, &o, buf) : cli_fail(EXIT_FAILED, "out of memory");
    free(buf);
    return rc;
}
