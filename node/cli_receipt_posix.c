/* cli_receipt_posix.c - `tally receipt`: one receipt or job in full, its question and answer, its bundle. */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/bundle.h"
#include "node/answer_text.h"
#include "node/cli.h"
#include "node/cli_wallet_jansson.h"

struct receipt_options { const char *which, *bundle, *model; bool open; };

/* What was asked and answered, if this side can show it. */
struct opened {
    bool kept, has_text;
    size_t prompt_count, output_count;
    char *question, *answer;                           /* heap; NULL without text */
    char why[FAULT_TEXT_BYTES];                        /* not kept, or without text */
};

static void opened_fini(struct opened *o)
{
    if (o->question)
        sodium_memzero(o->question, strlen(o->question));
    if (o->answer)
        sodium_memzero(o->answer, strlen(o->answer));
    free(o->question);
    free(o->answer);
}

/* Heap text of token ids; control tokens by name, because they are part of what was computed. NULL: no memory. */
static char *text_of_ids(const struct tokenizer *t, const uint32_t *ids, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    for (size_t i = 0; f && i < count; i++) {
        struct bytes b = tokenizer_is_control(t, ids[i]) ? tokenizer_token_text(t, ids[i]) : tokenizer_token_bytes(t, ids[i]);
        fwrite(b.data, 1, b.len, f);
    }
    return f && fclose(f) == 0 ? text : NULL;
}

static void decode(const struct cli *c, const struct receipt_options *o, const struct found *f, const struct opening *in, struct opened *out)
{
    struct catalog *catalog = NULL;
    struct fault why = { { 0 } };
    const struct catalog_entry *m = f->has_job ? cli_find_model(c, o->model, &f->job.model, false, &catalog, &why) : NULL;
    if (m) {
        out->question = text_of_ids(m->tokenizer, in->prompt, in->prompt_count);
        out->answer = text_of_ids(m->tokenizer, in->output, in->output_count);
        out->has_text = out->question && out->answer;
    }
    snprintf(out->why, sizeof out->why, "%s", m ? "" : why.text);
    if (catalog)
        catalog_close(catalog);
}

static void open_it(const struct cli *c, struct wallet *w, const struct receipt_options *o, const struct found *f, struct opened *out)
{
    enum { IDS_MAX = STORE_VALUE_BYTES_MAX / sizeof(uint32_t) };
    struct opening in;
    uint32_t *ids = malloc(IDS_MAX * sizeof *ids);
    memset(out, 0, sizeof *out);
    enum err e = ids ? ledger_opening_get(&w->ledger, &f->terms, ids, IDS_MAX, &in) : ERR_MEMORY;
    if (e == ERR_NOT_FOUND)
        wallet_why_not_kept(c, f, out->why);
    else if (e != OK)
        snprintf(out->why, sizeof out->why, "prompt and answer could not be read: %s", err_text(e));
    else {
        out->kept = true;
        out->prompt_count = in.prompt_count;
        out->output_count = in.output_count;
        decode(c, o, f, &in, out);
    }
    if (ids)
        sodium_memzero(ids, IDS_MAX * sizeof *ids);
    free(ids);
}

static json_t *opened_json(const struct opened *o)
{
    json_t *j = json_pack("{s:b}", "kept", o->kept);
    if (o->kept) {
        json_object_set_new(j, "prompt_tokens", json_integer((json_int_t)o->prompt_count));
        json_object_set_new(j, "answer_tokens", json_integer((json_int_t)o->output_count));
    }
    if (o->has_text) {
        json_t *question = json_string(o->question), *answer = json_string(o->answer);
        json_object_set_new(j, "question", question ? question : json_null());          /* not UTF-8 */
        json_object_set_new(j, "answer", answer ? answer : json_null());
    }
    if (o->why[0])
        json_object_set_new(j, "reason", json_string(o->why));
    return j;
}

static void print_opened(struct cli *c, const struct opened *o)
{
    if (!o->kept) {
        printf("opening  %s\n", o->why);
        return;
    }
    if (!o->has_text) {
        printf("opening  %zu tokens of prompt, %zu of answer; no text: %s\n", o->prompt_count, o->output_count, o->why);
        return;
    }
    printf("\n%squestion as the model saw it%s (%zu tokens)\n", cli_bold(c), cli_plain(c), o->prompt_count);
    cli_print_safely(o->question);
    printf("\n\n%sanswer%s (%zu tokens)\n", cli_bold(c), cli_plain(c), o->output_count);
    cli_print_safely(o->answer);
    putchar('\n');
}

/* ---- the bundle ---- */

/* EXIT_FINE and *bytes, or what cli_fail() gave, and then there is no file. */
static int write_bundle(struct wallet *w, const struct hash *terms, const char *path, bool open, size_t *bytes)
{
    struct bytes b = bytes_of(NULL, 0);
    uint8_t *buf = malloc(BUNDLE_BYTES_MAX);
    mode_t old = umask(0077);                          /* an opened prompt is nobody else's business */
    FILE *f = fopen(path, "wxe");
    int error = errno;
    umask(old);
    if (!f || !buf) {
        free(buf);
        if (f)
            fclose(f);
        return !f && error == EEXIST ? cli_fail(EXIT_FAILED, "%s: exists already; a bundle overwrites nothing", path)
                                     : cli_fail(EXIT_FAILED, "%s: %s", path, f ? "out of memory" : strerror(error));
    }
    enum err e = ledger_bundle(&w->ledger, terms, open, buf, BUNDLE_BYTES_MAX, &b);
    bool written = e == OK && fwrite(b.data, 1, b.len, f) == b.len;
    error = errno;
    written = fclose(f) == 0 && written;
    *bytes = b.len;
    if (open)
        sodium_memzero(buf, BUNDLE_BYTES_MAX);
    free(buf);
    if (written)
        return EXIT_FINE;
    unlink(path);
    return e != OK ? cli_fail(cli_code_of(e), "the bundle could not be made: %s", err_text(e)) : cli_fail(EXIT_FAILED, "%s: %s", path, strerror(error));
}

/* ---- the page ---- */

static enum side other_side(enum side s) { return s == SIDE_PROVIDER ? SIDE_REQUESTER : SIDE_PROVIDER; }

static void print_state(const struct job *job, const struct note *theirs)
{
    if (job->outcome == OUTCOME_NONE) {
        printf("state    running\n");
        return;
    }
    printf("state    %s (%s)%s%s\n", outcome_text(job->outcome), reason_text(job->reason), job->fault == SIDE_NONE ? "" : ", at fault: ",
           job->fault == SIDE_NONE ? "" : side_text(job->fault));
    if (theirs && (theirs->outcome != job->outcome || theirs->reason != job->reason))      /* each side notes what it saw */
        printf("peer     says: %s (%s)%s%s\n", outcome_text(theirs->outcome), reason_text(theirs->reason), theirs->fault == SIDE_NONE ? "" : ", at fault: ",
               theirs->fault == SIDE_NONE ? "" : side_text(theirs->fault));
}

static void print_parties(enum side role, const struct pubkey *peer)
{
    char key[2 * PUBKEY_BYTES + 1];
    pubkey_format(peer, key);
    printf("held as  %s\n%s %s  (node key %.*s...)\n", side_text(role), role == SIDE_PROVIDER ? "payer   " : "provider", node_name(peer).full, CLI_DIGITS_SHOWN, key);
}

static void print_receipt(struct cli *c, const struct receipt_view *v, const struct job *job, const struct note *theirs)
{
    char hex[HASH_HEX_CHARS + 1], when[24], cost[AMOUNT_CHARS_MAX + 1], owed[AMOUNT_CHARS_MAX + 1];
    hash_format(&v->id, hex);
    cli_format_time(v->stored, when);
    cli_format_credits(v->receipt.cost.v, cost);
    cli_format_credits(v->receipt.owed.v, owed);
    printf("%sreceipt  %s%s\n", cli_bold(c), hex, cli_plain(c));
    print_parties(v->role, &v->peer);
    printf("stored   %s\n", when);
    if (job) {
        print_state(job, theirs);
        printf("model    %s\n", job_model(job).text);
    }
    printf("tokens   %" PRIu64 " in, %" PRIu64 " cached, %" PRIu64 " out", v->receipt.tokens.in, v->receipt.tokens.cached, v->receipt.tokens.out);
    if (v->receipt.output_offset)
        printf(" (continues an answer after %" PRIu64 " tokens)", v->receipt.output_offset);
    printf("\ncost     %s credits\nchannel  receipt %" PRIu64 ", owed in all %s credits\n", cost, v->receipt.seq, owed);
    hash_format(&v->receipt.terms, hex);
    printf("terms    %s\n", hex);
    hash_format(&v->receipt.token_chain, hex);
    printf("answer   %s  (commitment to the token ids, salted with this job's terms)\n", hex);
    hash_format(&v->receipt.digest_chain, hex);
    printf("work     %s  (commitment to what fed the output head, salted likewise)\n", hex);
    printf("signed   by both sides\n");
}

static const char *why_no_receipt(const struct job *job)
{
    if (job->outcome == OUTCOME_NONE)
        return "none yet: the job is not over";
    if (job->stage == JOB_ENDED)
        return "none yet: it is signed when both nodes are connected again";
    return "none: nothing was signed for, so nothing is owed";
}

static void print_job(struct cli *c, const struct job *job, const struct note *theirs)
{
    char hex[HASH_HEX_CHARS + 1], when[24], cost[AMOUNT_CHARS_MAX + 1];
    hash_format(&job->terms, hex);
    cli_format_time(job->began, when);
    cli_format_credits(job->cost.v, cost);
    printf("%sjob      %s%s  (terms)\nreceipt  %s\n", cli_bold(c), hex, cli_plain(c), why_no_receipt(job));
    print_parties(job->role, &job->peer);
    printf("began    %s\n", when);
    print_state(job, theirs);
    printf("model    %s\ntokens   %" PRIu64 " in, %" PRIu64 " out signed for by both sides\ncost     %s credits\n", job_model(job).text, job->tokens.in,
           job->tokens.out, cost);
}

static json_t *page_json(const struct found *f, const struct note *theirs)
{
    json_t *j = f->has_receipt ? receipt_json(&f->receipt, f->has_job ? &f->job : NULL) : job_json(&f->job);
    if (theirs)
        json_object_set_new(j, "peer_note", json_pack("{s:s, s:s, s:s}", "state", outcome_text(theirs->outcome), "fault", side_text(theirs->fault), "reason",
                                                      reason_text(theirs->reason)));
    if (!f->has_receipt)
        json_object_set_new(j, "no_receipt", json_string(why_no_receipt(&f->job)));
    return j;
}

static void show(struct cli *c, struct wallet *w, const struct receipt_options *o, const struct found *f, const struct opened *opened, size_t bundle_bytes)
{
    struct note note;
    const struct note *theirs = f->has_job && ledger_note_find(&w->ledger, &f->terms, other_side(f->job.role), &note) == OK ? &note : NULL;
    if (c->json) {
        json_t *j = page_json(f, theirs);
        if (o->bundle)
            json_object_set_new(j, "bundle", json_pack("{s:s, s:I, s:b}", "path", o->bundle, "bytes", (json_int_t)bundle_bytes, "opened", o->open));
        if (o->open)
            json_object_set_new(j, "opening", opened_json(opened));
        cli_print_json(j);
        return;
    }
    if (f->has_receipt)
        print_receipt(c, &f->receipt, f->has_job ? &f->job : NULL, theirs);
    else
        print_job(c, &f->job, theirs);
    if (o->bundle)
        printf("bundle   %s (%zu bytes%s)\n", o->bundle, bundle_bytes, o->open ? ", with prompt and answer" : "");
    if (o->open)
        print_opened(c, opened);
}

static int receipt(struct cli *c, struct wallet *w, const struct receipt_options *o)
{
    struct found f;
    struct opened opened = { 0 };
    size_t bytes = 0;
    int rc = wallet_find(w, o->which, "", &f);
    if (rc != EXIT_FINE)
        return rc;
    if (o->open)
        open_it(c, w, o, &f, &opened);
    if (o->bundle && o->open && !opened.kept)
        rc = cli_fail(EXIT_NOT_FOUND, "no opened bundle was made: %s", opened.why);
    else if (o->bundle)
        rc = write_bundle(w, &f.terms, o->bundle, o->open, &bytes);      /* before anything is printed: it may fail */
    if (rc == EXIT_FINE)
        show(c, w, o, &f, &opened, bytes);
    opened_fini(&opened);
    return rc;
}

int cmd_receipt(struct cli *c)
{
    struct receipt_options o = { 0 };
    struct wallet w;
    const char *v;
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--bundle")))
            o.bundle = v;
        else if ((v = cli_option(c, &i, "--model")))
            o.model = v;
        else if (strcmp(c->argv[i], "--open") == 0)
            o.open = true;
        else if (o.which || c->argv[i][0] == '-')
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
        else
            o.which = c->argv[i];
    }
    if (!o.which)
        return cli_fail(EXIT_USAGE, "which receipt? `tally receipts` lists them");
    int rc = wallet_open(c, o.open, &w);
    if (rc != EXIT_FINE)
        return rc;
    rc = receipt(c, &w, &o);
    wallet_close(&w);
    return rc;
}
