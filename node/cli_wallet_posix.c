/* cli_wallet_posix.c - receipts, jobs, balances: reads the ledger, needs no daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger/bundle.h"
#include "ledger/store_lmdb.h"
#include "node/cli.h"
#include "node/values_jansson.h"

static bool ask_passphrase(struct cli *c)
{
    return isatty(0) && passphrase_ask("passphrase of the key files: ", &c->passphrase) == OK && c->passphrase.text[0];
}

enum err cli_glance(struct cli *c, struct identity_glance *out, struct fault *why)
{
    enum err e = identity_glance(c->data_dir, passphrase_text(&c->passphrase), out, why);
    return e == ERR_LOCKED && ask_passphrase(c) ? identity_glance(c->data_dir, c->passphrase.text, out, why) : e;
}

int wallet_open(struct cli *c, bool with_secrets, struct wallet *w)
{
    char folder[CONFIG_PATH_CHARS + 16];
    struct fault why = { { 0 } };
    struct ledger_recovery recovery;
    memset(w, 0, sizeof *w);
    enum err e = cli_glance(c, &w->who, &why);
    if (e == OK && with_secrets) {
        e = identity_load(c->data_dir, &w->who.net, passphrase_text(&c->passphrase), NULL, &w->identity, &why);
        if (e == ERR_LOCKED && ask_passphrase(c))
            e = identity_load(c->data_dir, &w->who.net, c->passphrase.text, NULL, &w->identity, &why);
        w->has_identity = e == OK;
    }
    if (e != OK)
        return cli_fail(e == ERR_NOT_FOUND ? EXIT_NO_NODE : cli_code_of(e), "%s", why.text);
    snprintf(folder, sizeof folder, "%s/ledger", c->data_dir);
    e = store_lmdb_open(&(struct store_lmdb_config){ .folder = folder, .read_only = true }, &w->store);
    if (e == OK)
        e = ledger_open(&w->ledger, w->store, NULL, &w->who.node, &w->who.net, (struct wall){ 0 }, &recovery);
    if (e != OK) {
        wallet_close(w);
        return cli_fail(EXIT_NO_NODE, e == ERR_NOT_FOUND ? "%s: no ledger yet; it begins with the first start of tallyd" : "%s: %s", folder, err_text(e));
    }
    if (w->has_identity)
        w->ledger.key = &w->identity.node;             /* to open kept prompts; the store stays read-only */
    return EXIT_FINE;
}

void wallet_close(struct wallet *w)
{
    if (w->store)
        store_close(w->store);
    identity_fini(&w->identity);
}

enum err wallet_find(struct wallet *w, const char *text, struct hash *terms, struct receipt_view *receipt, bool *has_receipt)
{
    struct hash id;
    struct job job;
    enum err e = ledger_receipt_lookup(&w->ledger, text, &id);
    if (e == OK && (e = ledger_receipt_find(&w->ledger, &id, receipt)) == OK) {
        *terms = receipt->receipt.terms;
        *has_receipt = true;
        return OK;
    }
    if (e == ERR_EXISTS || hash_parse(text, &id) != OK)
        return e;
    *has_receipt = false;
    e = ledger_job_find(&w->ledger, &id, &job);
    if (e == OK)
        *terms = id;
    return e;
}

static json_t *receipt_json(const struct receipt_view *v, const struct job *job)
{
    json_t *j = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}",
        "id", hash_json(&v->id), "number", amount_json(v->number), "role", side_text(v->role), "peer", key_json(&v->peer),
        "seq", amount_json(v->receipt.seq), "previous", hash_json(&v->receipt.previous), "terms", hash_json(&v->receipt.terms),
        "tokens_in", amount_json(v->receipt.tokens.in), "tokens_cached", amount_json(v->receipt.tokens.cached),
        "tokens_out", amount_json(v->receipt.tokens.out), "cost_pico", amount_json(v->receipt.cost.v), "owed_pico", amount_json(v->receipt.owed.v),
        "token_chain", hash_json(&v->receipt.token_chain), "digest_chain", hash_json(&v->receipt.digest_chain),
        "output_offset", amount_json(v->receipt.output_offset), "parent", hash_json(&v->receipt.parent), "stored_ms", (json_int_t)v->stored.ms);
    if (j && job) {
        json_object_set_new(j, "state", json_string(outcome_text(job->outcome)));
        json_object_set_new(j, "fault", json_string(side_text(job->fault)));
        json_object_set_new(j, "reason", json_string(reason_text(job->reason)));
        json_object_set_new(j, "model", hash_json(&job->model));
        json_object_set_new(j, "model_label", json_string(job->model_label));
    }
    return j;
}

static json_t *job_json(const struct job *job)
{
    static const char *const stages[] = { "", "offered", "running", "ended", "closed" };
    char id[2 * TERMS_JOB_BYTES + 1];
    for (size_t i = 0; i < TERMS_JOB_BYTES; i++)
        snprintf(id + 2 * i, 3, "%02x", job->id.b[i]);
    return json_pack("{s:o, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}",
        "terms", hash_json(&job->terms), "job", id, "role", side_text(job->role), "peer", key_json(&job->peer),
        "stage", (unsigned)job->stage < ARRAY_COUNT(stages) ? stages[job->stage] : "", "state", outcome_text(job->outcome),
        "fault", side_text(job->fault), "reason", reason_text(job->reason), "model_label", job->model_label,
        "tokens_in", amount_json(job->tokens.in), "tokens_out", amount_json(job->tokens.out), "cost_pico", amount_json(job->cost.v),
        "output_offset", amount_json(job->output_offset), "parent", hash_json(&job->parent), "receipt", hash_json(&job->receipt),
        "began_ms", (json_int_t)job->began.ms);
}

static void print_receipt_row(struct cli *c, const struct receipt_view *v, const struct job *job)
{
    char id[HASH_HEX_CHARS + 1], peer[2 * PUBKEY_BYTES + 1], when[24], cost[AMOUNT_CHARS_MAX + 1];
    hash_format(&v->id, id);
    pubkey_format(&v->peer, peer);
    cli_format_time(v->stored, when);
    cli_format_credits(v->receipt.cost.v, cost);
    printf("%s%.12s%s  %-19s  %-9s  %.12s  %6" PRIu64 " in %6" PRIu64 " out  %s%s credits  %-9s %s\n", cli_bold(c), id, cli_plain(c), when,
           v->role == SIDE_PROVIDER ? "earned" : "spent", peer, v->receipt.tokens.in, v->receipt.tokens.out,
           v->role == SIDE_PROVIDER ? "+" : "-", cost, job ? outcome_text(job->outcome) : "", job ? job->model_label : "");
}

static int list_receipts(struct cli *c, struct wallet *w, uint64_t limit)
{
    uint64_t cursor = UINT64_MAX, n = 0;
    struct receipt_view v;
    struct job job;
    json_t *list = json_array();
    for (; n < limit && ledger_receipt_next(&w->ledger, &cursor, &v) == OK; n++) {
        struct receipt_view copy = v;                  /* v.body is lent until the next store call; not used here */
        const struct job *known = ledger_job_find(&w->ledger, &v.receipt.terms, &job) == OK ? &job : NULL;
        if (c->json)
            json_array_append_new(list, receipt_json(&copy, known));
        else
            print_receipt_row(c, &copy, known);
    }
    if (c->json)
        cli_print_json(json_pack("{s:O}", "receipts", list));
    else if (n == 0)
        puts("no receipts yet");
    json_decref(list);
    return EXIT_FINE;
}

static int list_jobs(struct cli *c, struct wallet *w, uint64_t limit)
{
    uint64_t cursor = UINT64_MAX, n = 0;
    struct job job;
    json_t *list = json_array();
    for (; n < limit && ledger_job_next(&w->ledger, &cursor, &job) == OK; n++) {
        char terms[HASH_HEX_CHARS + 1], peer[2 * PUBKEY_BYTES + 1], when[24];
        if (c->json) {
            json_array_append_new(list, job_json(&job));
            continue;
        }
        hash_format(&job.terms, terms);
        pubkey_format(&job.peer, peer);
        cli_format_time(job.began, when);
        printf("%s%.12s%s  %-19s  %-9s  %.12s  %6" PRIu64 " in %6" PRIu64 " out  %-9s  %s\n", cli_bold(c), terms, cli_plain(c), when,
               side_text(job.role), peer, job.tokens.in, job.tokens.out, outcome_text(job.outcome), reason_text(job.reason));
    }
    if (c->json)
        cli_print_json(json_pack("{s:O}", "jobs", list));
    else if (n == 0)
        puts("no jobs yet");
    json_decref(list);
    return EXIT_FINE;
}

int cmd_receipts(struct cli *c)
{
    uint64_t limit = 20;
    bool jobs = false;
    struct wallet w;
    for (int i = 1; i < c->argc; i++) {
        const char *v = cli_option(c, &i, "--limit");
        if (v && decimal_parse(v, 0, &limit) != OK)
            return cli_fail(EXIT_USAGE, "--limit wants a number");
        if (!v && strcmp(c->argv[i], "--jobs") == 0)
            jobs = true;
        else if (!v)
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
    }
    int rc = wallet_open(c, false, &w);
    if (rc != EXIT_FINE)
        return rc;
    rc = jobs ? list_jobs(c, &w, limit) : list_receipts(c, &w, limit);
    wallet_close(&w);
    return rc;
}

static void print_receipt(struct cli *c, const struct receipt_view *v, const struct job *job)
{
    char hex[HASH_HEX_CHARS + 1], key[2 * PUBKEY_BYTES + 1], when[24], cost[AMOUNT_CHARS_MAX + 1], owed[AMOUNT_CHARS_MAX + 1];
    hash_format(&v->id, hex);
    pubkey_format(&v->peer, key);
    cli_format_time(v->stored, when);
    cli_format_credits(v->receipt.cost.v, cost);
    cli_format_credits(v->receipt.owed.v, owed);
    printf("%sreceipt  %s%s\n", cli_bold(c), hex, cli_plain(c));
    printf("held as  %s\n%s %s\nstored   %s\n", side_text(v->role), v->role == SIDE_PROVIDER ? "payer   " : "provider", key, when);
    if (job)
        printf("state    %s (%s)%s%s\nmodel    %s\n", outcome_text(job->outcome), reason_text(job->reason),
               job->fault == SIDE_NONE ? "" : ", at fault: ", job->fault == SIDE_NONE ? "" : side_text(job->fault), job->model_label);
    printf("tokens   %" PRIu64 " in, %" PRIu64 " cached, %" PRIu64 " out", v->receipt.tokens.in, v->receipt.tokens.cached, v->receipt.tokens.out);
    if (v->receipt.output_offset)
        printf(" (continues an answer after %" PRIu64 " tokens)", v->receipt.output_offset);
    printf("\ncost     %s credits\nchannel  receipt %" PRIu64 ", owed in all %s credits\n", cost, v->receipt.seq, owed);
    hash_format(&v->receipt.terms, hex);
    printf("terms    %s\n", hex);
    hash_format(&v->receipt.token_chain, hex);
    printf("answer   %s  (hash chain over the token ids)\n", hex);
    hash_format(&v->receipt.digest_chain, hex);
    printf("work     %s  (hash chain over what fed the output head)\n", hex);
    printf("signed   by both sides\n");
}

static int write_bundle(struct cli *c, struct wallet *w, const struct hash *terms, const char *path, bool open)
{
    uint8_t *buf = malloc(BUNDLE_BYTES_MAX);
    struct bytes b;
    if (!buf)
        return cli_fail(EXIT_FAILED, "out of memory");
    enum err e = ledger_bundle(&w->ledger, terms, NULL, NULL, open, buf, BUNDLE_BYTES_MAX, &b);
    mode_t old = umask(0077);                          /* an opened prompt is nobody else's business */
    FILE *f = e == OK ? fopen(path, "wxe") : NULL;
    umask(old);
    int rc = EXIT_FINE;
    if (e != OK)
        rc = cli_fail(cli_code_of(e), "the bundle could not be made: %s", err_text(e));
    else if (!f || fwrite(b.data, 1, b.len, f) != b.len || fclose(f) != 0)
        rc = cli_fail(EXIT_FAILED, "%s: cannot be written (it must not exist yet)", path);
    else if (!c->json)
        printf("bundle   %s (%zu bytes)\n", path, b.len);
    free(buf);
    return rc;
}

int cmd_receipt(struct cli *c)
{
    const char *which = NULL, *path = NULL, *v;
    bool open = false, has_receipt = false;
    struct wallet w;
    struct hash terms;
    struct receipt_view view;
    struct job job;
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--bundle")))
            path = v;
        else if (strcmp(c->argv[i], "--open") == 0)
            open = true;
        else
            which = c->argv[i];
    }
    if (!which)
        return cli_fail(EXIT_USAGE, "which receipt? `tally receipts` lists them");
    int rc = wallet_open(c, open, &w);
    if (rc != EXIT_FINE)
        return rc;
    enum err e = wallet_find(&w, which, &terms, &view, &has_receipt);
    if (e != OK) {
        wallet_close(&w);
        return cli_fail(e == ERR_EXISTS ? EXIT_FAILED : EXIT_NOT_FOUND, e == ERR_EXISTS ? "%s: more than one receipt begins like this" : "%s: no such receipt here", which);
    }
    bool has_job = ledger_job_find(&w.ledger, &terms, &job) == OK;
    if (has_receipt && c->json)
        cli_print_json(receipt_json(&view, has_job ? &job : NULL));
    else if (has_receipt)
        print_receipt(c, &view, has_job ? &job : NULL);
    else if (c->json)
        cli_print_json(job_json(&job));
    else
        printf("job without a channel receipt yet: %s, %" PRIu64 " tokens signed for by both sides\n", outcome_text(job.outcome), job.tokens.out);
    if (path)
        rc = write_bundle(c, &w, &terms, path, open);
    wallet_close(&w);
    return rc;
}

int cmd_balance(struct cli *c)
{
    struct wallet w;
    struct ledger_totals t;
    struct account a;
    struct pubkey cursor;
    char in[AMOUNT_CHARS_MAX + 1], out[AMOUNT_CHARS_MAX + 1], key[2 * PUBKEY_BYTES + 1];
    memset(&cursor, 0, sizeof cursor);
    int rc = wallet_open(c, false, &w);
    if (rc != EXIT_FINE)
        return rc;
    json_t *list = json_array();
    while (ledger_account_next(&w.ledger, &cursor, &a) == OK) {
        if (c->json) {
            json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "peer", key_json(&a.peer),
                "earned_pico", amount_json(a.earned.v), "earned_settled_pico", amount_json(a.earned_settled.v), "earned_pending_pico", amount_json(a.earned_pending.v),
                "spent_pico", amount_json(a.spent.v), "spent_settled_pico", amount_json(a.spent_settled.v), "spent_pending_pico", amount_json(a.spent_pending.v)));
            continue;
        }
        pubkey_format(&a.peer, key);
        cli_format_credits(a.earned.v - a.earned_settled.v, in);
        cli_format_credits(a.spent.v - a.spent_settled.v, out);
        printf("%.16s  owes you %s (%" PRIu64 " receipts), you owe %s (%" PRIu64 " receipts)\n", key, in, a.receipts_earned, out, a.receipts_spent);
    }
    if (ledger_totals(&w.ledger, &t) != OK)
        rc = cli_fail(EXIT_FAILED, "the ledger could not be read");
    else if (c->json)
        cli_print_json(json_pack("{s:O, s:o, s:o, s:o, s:o, s:o}", "peers", list, "earned_pico", amount_json(t.earned.v), "earned_pending_pico", amount_json(t.earned_pending.v),
                                 "spent_pico", amount_json(t.spent.v), "spent_pending_pico", amount_json(t.spent_pending.v), "receipts", amount_json(t.receipts)));
    else {
        cli_format_credits(t.earned.v - t.earned_settled.v, in);
        cli_format_credits(t.spent.v - t.spent_settled.v, out);
        printf("%sowed to you %s credits, owed by you %s credits, %" PRIu64 " receipts%s\n", cli_bold(c), in, out, t.receipts, cli_plain(c));
    }
    json_decref(list);
    wallet_close(&w);
    return rc;
}
