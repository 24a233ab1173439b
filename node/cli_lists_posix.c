/* cli_lists_posix.c - `tally receipts` and `tally balance`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/cli.h"
#include "node/cli_wallet_jansson.h"

/* ---- receipts ---- */

/* Which rows of a list are wanted. */
struct selection {
    uint64_t limit;
    bool jobs, one_peer;
    struct pubkey peer;
};

static bool is_wanted(const struct selection *s, const struct pubkey *peer) { return !s->one_peer || pubkey_equal(&s->peer, peer); }

static void print_receipt_row(struct cli *c, const struct receipt_view *v, const struct job *job)
{
    char id[HASH_HEX_CHARS + 1], when[24], cost[AMOUNT_CHARS_MAX + 1];
    hash_format(&v->id, id);
    cli_format_time(v->stored, when);
    cli_format_credits(v->receipt.cost.v, cost);
    printf("%s%.12s%s  %-19s  %-6s  %s  %7" PRIu64 " %7" PRIu64 "  %s%-16s  %-9s  %s\n", cli_bold(c), id, cli_plain(c), when,
           v->role == SIDE_PROVIDER ? "earned" : "spent", node_name(&v->peer).shown, v->receipt.tokens.in, v->receipt.tokens.out,
           v->role == SIDE_PROVIDER ? "+" : "-", cost, job ? outcome_text(job->outcome) : "-", job ? job_model(job).text : "-");
}

static int list_receipts(struct cli *c, struct wallet *w, const struct selection *s)
{
    uint64_t cursor = UINT64_MAX, n = 0;
    struct receipt_view v;
    struct job job;
    json_t *list = json_array();
    while (n < s->limit && ledger_receipt_next(&w->ledger, &cursor, &v) == OK) {
        if (!is_wanted(s, &v.peer))
            continue;
        struct receipt_view copy = v;                  /* v.body is lent until the next store call; not used here */
        const struct job *known = ledger_job_find(&w->ledger, &v.receipt.terms, &job) == OK ? &job : NULL;
        if (n++ == 0 && !c->json)
            printf("%s%-12s  %-19s  %-6s  %-12s  %7s %7s  %-17s  %-9s  %s%s\n", cli_bold(c), "RECEIPT", "WHEN", "WE", "NODE", "IN", "OUT", "CREDITS", "STATE",
                   "MODEL", cli_plain(c));
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

static void print_job_row(struct cli *c, const struct job *job)
{
    char terms[HASH_HEX_CHARS + 1], receipt[HASH_HEX_CHARS + 1], when[24];
    hash_format(&job->terms, terms);
    hash_format(&job->receipt, receipt);
    cli_format_time(job->began, when);
    printf("%s%.12s%s  %-19s  %-9s  %s  %7" PRIu64 " %7" PRIu64 "  %-12.12s  %-9s  %-20s  %s\n", cli_bold(c), terms, cli_plain(c), when, side_text(job->role),
           node_name(&job->peer).shown, job->tokens.in, job->tokens.out, hash_is_zero(&job->receipt) ? "-" : receipt,
           job->outcome == OUTCOME_NONE ? "running" : outcome_text(job->outcome), job_model(job).text,
           job->outcome == OUTCOME_NONE ? "" : reason_text(job->reason));
}

static int list_jobs(struct cli *c, struct wallet *w, const struct selection *s)
{
    uint64_t cursor = UINT64_MAX, n = 0;
    struct job job;
    json_t *list = json_array();
    while (n < s->limit && ledger_job_next(&w->ledger, &cursor, &job) == OK) {
        if (!is_wanted(s, &job.peer))
            continue;
        if (n++ == 0 && !c->json)
            printf("%s%-12s  %-19s  %-9s  %-12s  %7s %7s  %-12s  %-9s  %-20s  %s%s\n", cli_bold(c), "TERMS", "BEGAN", "WE ARE", "NODE", "IN", "OUT", "RECEIPT",
                   "STATE", "MODEL", "WHY", cli_plain(c));
        if (c->json)
            json_array_append_new(list, job_json(&job));
        else
            print_job_row(c, &job);
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
    struct selection s = { .limit = 20 };
    const char *peer = NULL;
    struct wallet w;
    for (int i = 1; i < c->argc; i++) {
        const char *v;
        if ((v = cli_option(c, &i, "--limit"))) {
            if (decimal_parse(v, 0, &s.limit) != OK)
                return cli_fail(EXIT_USAGE, "--limit wants a number");
        } else if ((v = cli_option(c, &i, "--peer")))
            peer = v;
        else if (strcmp(c->argv[i], "--jobs") == 0)
            s.jobs = true;
        else
            return cli_fail(EXIT_USAGE, "what is \"%s\"?", c->argv[i]);
    }
    int rc = wallet_open(c, false, &w);
    if (rc != EXIT_FINE)
        return rc;
    s.one_peer = peer != NULL;
    if (peer)
        rc = wallet_find_peer(&w, peer, &s.peer);
    if (rc == EXIT_FINE)
        rc = s.jobs ? list_jobs(c, &w, &s) : list_receipts(c, &w, &s);
    wallet_close(&w);
    return rc;
}

/* ---- balance ---- */

static json_t *account_json(struct wallet *w, const struct account *a)
{
    return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "peer_id", id_json(&a->peer), "peer", key_json(&a->peer), "frozen", wallet_is_frozen(w, &a->peer),
        "earned_pico", amount_json(a->earned.v), "earned_settled_pico", amount_json(a->earned_settled.v), "earned_pending_pico", amount_json(a->earned_pending.v),
        "spent_pico", amount_json(a->spent.v), "spent_settled_pico", amount_json(a->spent_settled.v), "spent_pending_pico", amount_json(a->spent_pending.v));
}

static void print_account(struct cli *c, struct wallet *w, const struct account *a, bool is_first)
{
    char in[AMOUNT_CHARS_MAX + 1], out[AMOUNT_CHARS_MAX + 1];
    if (is_first)
        printf("%s%-12s  %-16s %9s  %-16s %9s%s\n", cli_bold(c), "NODE", "OWES YOU", "RECEIPTS", "YOU OWE", "RECEIPTS", cli_plain(c));
    cli_format_credits(a->earned.v - a->earned_settled.v, in);
    cli_format_credits(a->spent.v - a->spent_settled.v, out);
    printf("%s  %-16s %9" PRIu64 "  %-16s %9" PRIu64 "%s%s%s\n", node_name(&a->peer).shown, in, a->receipts_earned, out, a->receipts_spent,
           cli_red(c), wallet_is_frozen(w, &a->peer) ? "  frozen" : "", cli_plain(c));
}

static int print_totals(struct cli *c, struct wallet *w, json_t *list)
{
    struct ledger_totals t;
    char in[AMOUNT_CHARS_MAX + 1], out[AMOUNT_CHARS_MAX + 1];
    if (ledger_totals(&w->ledger, &t) != OK)
        return cli_fail(EXIT_FAILED, "the ledger could not be read");
    if (c->json) {
        cli_print_json(json_pack("{s:O, s:o, s:o, s:o, s:o, s:o}", "peers", list, "earned_pico", amount_json(t.earned.v), "earned_pending_pico", amount_json(t.earned_pending.v),
                                 "spent_pico", amount_json(t.spent.v), "spent_pending_pico", amount_json(t.spent_pending.v), "receipts", amount_json(t.receipts)));
        return EXIT_FINE;
    }
    cli_format_credits(t.earned.v - t.earned_settled.v, in);
    cli_format_credits(t.spent.v - t.spent_settled.v, out);
    printf("%sowed to you %s credits, owed by you %s credits, %" PRIu64 " receipts%s\n", cli_bold(c), in, out, t.receipts, cli_plain(c));
    return EXIT_FINE;
}

static int balance_of_one(struct cli *c, struct wallet *w, const char *digits)
{
    struct account a;
    struct pubkey peer;
    int rc = wallet_find_peer(w, digits, &peer);
    if (rc != EXIT_FINE)
        return rc;
    if (ledger_account(&w->ledger, &peer, &a) != OK)
        return cli_fail(EXIT_FAILED, "the ledger could not be read");
    bool frozen = wallet_is_frozen(w, &peer);
    if (c->json) {
        json_t *j = account_json(w, &a);
        if (j && frozen)
            json_object_set_new(j, "evidence", evidence_json(w, &peer));
        cli_print_json(j);
        return EXIT_FINE;
    }
    print_account(c, w, &a, true);
    if (frozen)
        evidence_print(c, w, &peer);
    return EXIT_FINE;
}

static int balance_of_all(struct cli *c, struct wallet *w)
{
    struct account a;
    struct pubkey cursor;
    bool is_first = true;
    json_t *list = json_array();
    memset(&cursor, 0, sizeof cursor);
    for (; ledger_account_next(&w->ledger, &cursor, &a) == OK; is_first = false)
        if (c->json)
            json_array_append_new(list, account_json(w, &a));
        else
            print_account(c, w, &a, is_first);
    int rc = print_totals(c, w, list);
    json_decref(list);
    return rc;
}

int cmd_balance(struct cli *c)
{
    struct wallet w;
    if (c->argc > 2)
        return cli_fail(EXIT_USAGE, "what is \"%s\"? one node at most", c->argv[2]);
    int rc = wallet_open(c, false, &w);
    if (rc != EXIT_FINE)
        return rc;
    rc = c->argc == 2 ? balance_of_one(c, &w, c->argv[1]) : balance_of_all(c, &w);
    wallet_close(&w);
    return rc;
}
