/* cli_wallet_posix.c - the ledger as the wallet's commands read it, and what ids on the command line mean. Needs no daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "ledger/store_lmdb.h"
#include "node/cli.h"
#include "node/cli_wallet_jansson.h"

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

/* ---- names on the command line ---- */

static bool is_hex_prefix(const char *digits)
{
    return strspn(digits, "0123456789abcdefABCDEF") == strlen(digits) && strlen(digits) <= HASH_HEX_CHARS;
}

static int too_short(const char *digits) { return cli_fail(EXIT_USAGE, "%s: give at least %d digits", digits, CLI_DIGITS_MIN); }

int wallet_find(struct wallet *w, const char *digits, const char *or_what, struct found *f)
{
    struct hash id, terms;
    memset(f, 0, sizeof *f);
    if (!is_hex_prefix(digits))
        return cli_fail(EXIT_NOT_FOUND, "%.80s: no such receipt or job%s here", digits, or_what);
    if (strlen(digits) < CLI_DIGITS_MIN)
        return too_short(digits);
    enum err receipt = ledger_receipt_lookup(&w->ledger, digits, &id), job = ledger_job_lookup(&w->ledger, digits, &terms);
    if (receipt == ERR_EXISTS || job == ERR_EXISTS || (receipt == OK && job == OK))
        return cli_fail(EXIT_USAGE, "%s: more than one receipt or job begins like this; give more digits", digits);
    if (receipt != OK && job != OK)
        return receipt == ERR_NOT_FOUND && job == ERR_NOT_FOUND ? cli_fail(EXIT_NOT_FOUND, "%s: no such receipt or job%s here", digits, or_what)
                                                                : cli_fail(EXIT_FAILED, "the ledger could not be read: %s", err_text(receipt));
    if (job == OK) {
        f->terms = terms;
        f->has_job = ledger_job_find(&w->ledger, &terms, &f->job) == OK;
        f->has_receipt = f->has_job && !hash_is_zero(&f->job.receipt) && ledger_receipt_find(&w->ledger, &f->job.receipt, &f->receipt) == OK;
        return EXIT_FINE;
    }
    if (ledger_receipt_find(&w->ledger, &id, &f->receipt) != OK)
        return cli_fail(EXIT_FAILED, "%s: the receipt could not be read", digits);
    f->has_receipt = true;
    f->terms = f->receipt.receipt.terms;
    f->has_job = ledger_job_find(&w->ledger, &f->terms, &f->job) == OK;
    return EXIT_FINE;
}

struct node_name node_name(const struct pubkey *key)
{
    struct node_id id = node_id_of(key);
    struct node_name name;
    hash_format(&id.h, name.full);
    memcpy(name.shown, name.full, sizeof name.shown - 1);
    name.shown[sizeof name.shown - 1] = 0;
    return name;
}

static bool is_named(const struct pubkey *peer, const char *digits)
{
    char key[2 * PUBKEY_BYTES + 1];
    struct node_name name = node_name(peer);
    pubkey_format(peer, key);
    return strncasecmp(name.full, digits, strlen(digits)) == 0 || strncasecmp(key, digits, strlen(digits)) == 0;
}

int wallet_find_peer(struct wallet *w, const char *digits, struct pubkey *out)
{
    struct account a;
    struct pubkey cursor;
    unsigned found = 0;
    memset(&cursor, 0, sizeof cursor);
    if (!is_hex_prefix(digits))
        return cli_fail(EXIT_USAGE, "what is \"%.80s\"? a node goes by the first digits of its node id or node key", digits);
    if (strlen(digits) < CLI_DIGITS_MIN)
        return too_short(digits);
    while (ledger_account_next(&w->ledger, &cursor, &a) == OK)
        if (is_named(&a.peer, digits)) {
            *out = a.peer;
            found++;
        }
    if (found > 1)
        return cli_fail(EXIT_USAGE, "%s: more than one node begins like this; give more digits", digits);
    return found == 1 ? EXIT_FINE : cli_fail(EXIT_NOT_FOUND, "%s: no business was done with such a node", digits);
}

void wallet_why_not_kept(const struct cli *c, const struct found *f, char out[160])
{
    static struct config config;
    struct config_fault unused;
    char path[CONFIG_PATH_CHARS + 16], until[24];
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    config_defaults(&config);
    if (config_load(&config, path, &unused) != OK)
        config_defaults(&config);
    uint64_t hours = config.keep_prompts_hours;
    if (f->has_job ? f->job.role == SIDE_PROVIDER : f->receipt.role == SIDE_PROVIDER)
        snprintf(out, 160, "this is the provider's half; prompt and answer are the requester's to keep and show");
    else if (!f->has_job || f->job.outcome == OUTCOME_NONE)
        snprintf(out, 160, f->has_job ? "the job is still running" : "this half came back from the peer after a loss, without prompt and answer");
    else if (hours == 0)
        snprintf(out, 160, "prompt and answer are not kept (requester.keep_prompts_hours = 0)");
    else {
        cli_format_time((struct wall){ f->job.ended.ms + hours * 3600 * 1000 }, until);
        snprintf(out, 160, "prompt and answer are not kept (any more): requester.keep_prompts_hours = %" PRIu64 ", until %s", hours, until);
    }
}

/* ---- how records read ---- */

json_t *receipt_json(const struct receipt_view *v, const struct job *job)
{
    json_t *j = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}",
        "id", hash_json(&v->id), "number", amount_json(v->number), "role", side_text(v->role), "peer_id", id_json(&v->peer), "peer", key_json(&v->peer),
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

json_t *job_json(const struct job *job)
{
    static const char *const stages[] = { "", "offered", "running", "ended", "closed" };
    char id[2 * TERMS_JOB_BYTES + 1];
    for (size_t i = 0; i < TERMS_JOB_BYTES; i++)
        snprintf(id + 2 * i, 3, "%02x", job->id.b[i]);
    return json_pack("{s:o, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}",
        "terms", hash_json(&job->terms), "job", id, "role", side_text(job->role), "peer_id", id_json(&job->peer), "peer", key_json(&job->peer),
        "stage", (unsigned)job->stage < ARRAY_COUNT(stages) ? stages[job->stage] : "", "state", outcome_text(job->outcome),
        "fault", side_text(job->fault), "reason", reason_text(job->reason), "model", hash_json(&job->model), "model_label", job->model_label,
        "tokens_in", amount_json(job->tokens.in), "tokens_out", amount_json(job->tokens.out), "cost_pico", amount_json(job->cost.v),
        "output_offset", amount_json(job->output_offset), "parent", hash_json(&job->parent), "receipt", hash_json(&job->receipt),
        "began_ms", (json_int_t)job->began.ms);
}

struct model_shown job_model(const struct job *job)
{
    char hex[HASH_HEX_CHARS + 1];
    struct model_shown m;
    hash_format(&job->model, hex);
    snprintf(m.text, sizeof m.text, "%s", job->model_label);
    if (!m.text[0])
        snprintf(m.text, sizeof m.text, "%.*s", CLI_DIGITS_SHOWN, hex);
    return m;
}
