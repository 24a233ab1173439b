/* tally_main.c - the command line: finds the command, runs it. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/cli.h"
#include "node/datadir_posix.h"

const struct command commands[] = {
    { "init", "[--network NAME] [--pow-bits N]", "make this machine's keys and a configuration",
      "  --network NAME     mesh to belong to (default: public)\n"
      "  --pow-bits N       proof of work of that network (default: " TEXT_OF(POW_BITS_PUBLIC) "; testnets " TEXT_OF(POW_BITS_TESTNET) ")\n"
      "  --listen ADDR:PORT mesh address (default: 0.0.0.0:7600; no name)\n"
      "  --bootstrap STR    where to join; may be given several times\n"
      "  --model NAME=FILE  serve a GGUF file; may be given several times\n"
      "example: tally init --model mine=/srv/models/mine.gguf --bootstrap 'tally://...'\n", cmd_init },
    { "status", "", "this node: identity, peers, models, jobs, money", "example: tally status --json | jq .state\n", cmd_status },
    { "peers", "", "who is connected, and how far away", "", cmd_peers },
    { "models", "", "what the mesh offers: model, provider, measured speed, price",
      "Prices are credits per million tokens. Speeds are tokens per second, measured when the provider started.\n", cmd_models },
    { "offers", "", "work offers heard lately, and what became of them", "", cmd_offers },
    { "pins", "[--forget NAME]", "which model each name means here, since it was first used",
      "  --forget NAME      the next use of the name pins it anew, to what most nodes then offer under it\n"
      "Names are not unique in the mesh. A pinned one goes on meaning the same model; if nobody offers that one any more, a request says so.\n"
      "NAME@ID and a model id say themselves what they mean, and pin nothing.\n", cmd_pins },
    { "run", "MODEL QUESTION", "ask, and watch the answer arrive",
      "  --system TEXT      system message\n"
      "  --max-tokens N     1 to 65536 (default: 512)\n"
      "  --temperature T    0 to 2 (default: 0.7; 0 is greedy)\n"
      "  --seed N           same seed, same question, same model: same answer, on any provider\n"
      "  --stop TEXT        end before this text; up to four\n"
      "  --no-local         never answer with this node's own model\n"
      "  --batch            gossip the offer and wait for cheap bids\n"
      "  --max-price P      most to pay, in credits per million output tokens\n"
      "  --jurisdiction CC  only providers there: DE or DE,FR\n"
      "  --                 what follows is the question, also if it begins with -\n"
      "Words of the question are joined by spaces. The rate shown is all tokens of the answer over the time since it was asked.\n"
      "Where a provider was lost on the way there is a receipt for each; the lost one's is named by its terms until it is back and signs.\n"
      "examples: tally run tally-tales Tell me a story\n"
      "          tally run tally-tales \"Tell me a story about a lighthouse\"\n"
      "          tally run tally-tales --json --seed 7 \"Who are you?\"\n", cmd_run },
    { "receipts", "[--limit N] [--jobs] [--peer NODE]", "receipts, newest first (works while tallyd is stopped)",
      "  --limit N          (default: 20)\n  --jobs             jobs instead: also those that never came to a receipt; they are named by their terms\n"
      "  --peer NODE        only with this node: the first digits of its node id or node key\n", cmd_receipts },
    { "receipt", "ID [--bundle FILE] [--open]", "one receipt in full, as this side holds it",
      "  ID                 the first digits, four at least, of a receipt or of the terms of a job\n"
      "  --bundle FILE      write everything needed to check it elsewhere\n"
      "  --open             show prompt and answer while they are kept, also in the bundle (asks for the key's passphrase if it has one)\n"
      "  --model FILE       with --open: whose words they are (default: the configured model or the header fetched for the job)\n"
      "example: tally receipt 3f2a91bc --bundle job.tally\n", cmd_receipt },
    { "verify", "ID|FILE [--reexecute] [--model FILE]", "check signatures, chain and arithmetic; or compute it again",
      "  --reexecute        run the model once over prompt and answer and compare bytes\n"
      "  --model FILE       GGUF to use (default: the one in the configuration with the right id)\n"
      "  --backend NAME     compute with this backend (all give the same bytes)\n"
      "exit code 0: verified; 5: something is wrong; 8: what is signed is verified, and could not be computed again\n"
      "--json: verified (false with exit code 5 only), reexecuted (with --reexecute), reason (why it was not), checks, reexecution\n"
      "examples: tally verify 3f2a91bc            tally verify job.tally --reexecute --model mine.gguf\n", cmd_verify },
    { "balance", "[NODE]", "what is owed to you and by you, per node", "  NODE               only this one: the first digits of its node id or node key\n"
      "A node is frozen if it showed another receipt under a number that has one; nothing is signed with it any more. `tally balance NODE`\n"
      "names both receipts, with --json byte for byte.\n", cmd_balance },
    { "key", "[show|bootstrap|passwd|renew|certify]", "this node's public keys; what to hand to others",
      "  show               owner key, node key, node id (default)\n"
      "  bootstrap          the string others need to join through this node\n"
      "  passwd             set, change or remove the passphrase of the key files: asked for at the terminal, or\n"
      "    --passphrase-fd N      the present one, from descriptor N\n"
      "    --new-passphrase-fd N  the new one\n"
      "    --remove               no passphrase any more\n"
      "  renew              a new certificate of the owner key for this node; the old one is warned about 30 days before it ends\n"
      "  certify NODE_KEY   a certificate for another node of the same owner, to be copied there\n"
      "    --out FILE             where to (default: the key's first digits and .cert)\n"
      "    --days N               1 to 3650 (default: 365)\n"
      "    --owner-key FILE       the owner key, if it is kept elsewhere\n", cmd_key },
    { "bench", "[MODEL|FILE]", "how fast this machine reads and writes tokens, and what share of its limit that is",
      "  MODEL or FILE      a model of the configuration, or a GGUF file (default: the first model of the configuration)\n"
      "  --backend NAME     compute with this backend (default: the best here)\n"
      "  --threads N        compute threads (default: one per core)\n"
      "  --prompt N         tokens of the prompt (default: 512)\n"
      "  --batch N,N,...    answers at once (default: 1,8,32)\n"
      "What one answer alone gets is what a node advertises. Stop the node first: whatever else runs takes its share.\n"
      "A step of decoding reads all weights, so the rate of memory limits it; not if they fit into the cache: then no share is shown.\n"
      "A prompt longer than the model's context is cut. `tally doctor` lists the backends.\n"
      "example: tally bench /srv/models/mine.gguf --json\n", cmd_bench },
    { "doctor", "", "look for what is wrong with this machine's set-up", "", cmd_doctor },
};
const size_t command_count = ARRAY_COUNT(commands);

static void print_usage(FILE *f)
{
    fputs("tally - the wallet and the eyes of a Tallymesh node\n\nusage: tally [-d DIR] [--json] COMMAND ...\n\n", f);
    for (size_t i = 0; i < command_count; i++)
        fprintf(f, "  %-9s %-38s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
    fputs("\n  -d, --data-dir DIR   the node's folder (default: $TALLY_DATA_DIR, ~/.tallymesh, /var/lib/tallymesh)\n"
          "  --api URL            ask whoever answers there (default: the running node of that folder, and no other)\n"
          "  --json               one JSON document instead of text, {\"error\": {\"message\", \"exit\"}} if it failed; amounts are strings\n"
          "  --passphrase-fd N    read the key files' passphrase from descriptor N\n"
          "  tally help COMMAND   options and examples; tally help exit-codes\n"
          "environment: TALLY_DATA_DIR; TALLY_API_KEY, the key of a node with api.key_file (read from there if the file may be)\n", f);
}

static int print_help(const char *topic)
{
    if (strcmp(topic, "exit-codes") == 0) {
        puts("0 fine\n1 failed\n2 usage\n3 no node answers, or no ledger here\n4 not found\n5 not verified: a signature, sum or byte is wrong\n"
             "6 declined by the mesh: price, credit, capacity or a constraint\n7 locked: passphrase needed or wrong\n"
             "8 signatures verified, but not computed again: the model or the opened prompt is missing");
        return EXIT_FINE;
    }
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, topic) == 0) {
            printf("usage: tally %s %s\n%s\n%s", commands[i].name, commands[i].arguments, commands[i].summary, commands[i].help);
            return EXIT_FINE;
        }
    return cli_fail(EXIT_USAGE, "there is no command \"%s\"", topic);
}

/* What --json needs to know when a command is over. */
static struct { bool json, printed; char text[600]; } outcome;

int cli_fail(enum exit_code code, const char *format, ...)
{
    va_list ap;
    char *text = outcome.text;
    va_start(ap, format);
    vsnprintf(text, sizeof outcome.text, format, ap);
    va_end(ap);
    for (char *p = text; *p; p++)                      /* a node's or peer's words must not steer the terminal */
        if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
            *p = '?';
    fprintf(stderr, "tally: %s\n", text);
    return (int)code;
}

/* A failure is a document as well, unless the command has printed what it found out. */
static int finish(int rc)
{
    if (outcome.json && rc != EXIT_FINE && !outcome.printed) {
        json_t *text = json_string(outcome.text);
        cli_print_json(json_pack("{s:{s:o, s:i}}", "error", "message", text ? text : json_string("the message is no UTF-8"), "exit", rc));
    }
    return rc;
}

enum exit_code cli_code_of(enum err e)
{
    static const struct { enum err err; enum exit_code code; } table[] = {
        { OK, EXIT_FINE }, { ERR_NOT_FOUND, EXIT_NOT_FOUND }, { ERR_LOCKED, EXIT_LOCKED }, { ERR_PASSPHRASE, EXIT_LOCKED },
        { ERR_SIGNATURE, EXIT_NOT_VERIFIED }, { ERR_MISMATCH, EXIT_NOT_VERIFIED }, { ERR_CHAIN, EXIT_NOT_VERIFIED },
        { ERR_CREDIT, EXIT_DECLINED }, { ERR_PRICE, EXIT_DECLINED }, { ERR_CAPACITY, EXIT_DECLINED }, { ERR_CONSTRAINT, EXIT_DECLINED },
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        if (table[i].err == e)
            return table[i].code;
    return EXIT_FAILED;
}

void cli_print_json(json_t *j)
{
    /* Six digits: times measured here are worth no more, and 0.069471401000000002 is no number to read. */
    char *text = j ? json_dumps(j, JSON_SORT_KEYS | JSON_REAL_PRECISION(6) | (isatty(1) ? JSON_INDENT(2) : JSON_COMPACT)) : NULL;
    if (text)
        puts(text);
    outcome.printed = true;
    free(text);
    json_decref(j);
}

const char *cli_bold(const struct cli *c) { return c->colour ? "\033[1m" : ""; }
const char *cli_dim(const struct cli *c) { return c->colour ? "\033[2m" : ""; }
const char *cli_green(const struct cli *c) { return c->colour ? "\033[32m" : ""; }
const char *cli_red(const struct cli *c) { return c->colour ? "\033[31m" : ""; }
const char *cli_plain(const struct cli *c) { return c->colour ? "\033[0m" : ""; }

void cli_format_time(struct wall w, char out[24])
{
    time_t t = (time_t)(w.ms / 1000);
    struct tm tm;
    if (w.ms == 0 || !localtime_r(&t, &tm) || strftime(out, 24, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(out, 24, "-");
}

void cli_format_credits(uint64_t pico, char out[AMOUNT_CHARS_MAX + 1])
{
    amount_format((struct pico){ pico }, out);
    size_t n = strlen(out);
    while (n && out[n - 1] == '0')
        out[--n] = 0;
    if (n && out[n - 1] == '.')
        out[--n] = 0;
}

void cli_print_safely(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p++;                                       /* C1 controls: some terminals obey them */
        else if ((*p >= 0x20 && *p != 0x7f) || *p == '\n' || *p == '\t')
            putchar(*p);
    }
    fflush(stdout);
}

const char *cli_option(struct cli *c, int *i, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(c->argv[*i], name, n) != 0)
        return NULL;
    if (c->argv[*i][n] == '=')
        return c->argv[*i] + n + 1;
    if (c->argv[*i][n] != 0)
        return NULL;
    if (*i + 1 >= c->argc)
        exit(finish(cli_fail(EXIT_USAGE, "%s wants a value", name)));
    return c->argv[++*i];
}

static int read_passphrase(struct cli *c, const char *fd_text)
{
    int fd;
    enum err e = passphrase_parse_fd(fd_text, &fd);
    if (e == OK)
        e = passphrase_from_fd(fd, &c->passphrase);
    return e == OK ? EXIT_FINE : cli_fail(EXIT_USAGE, "--passphrase-fd %s: %s", fd_text, err_text(e));
}

static bool is_asked_for(const struct cli *c, const char *flag)
{
    for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++)
        if (strcmp(c->argv[i], flag) == 0)
            return true;
    return false;
}

/* Global options may stand anywhere before a "--"; what is left is the command's. Returns an exit code, or -1 to go on. */
static int take_globals(struct cli *c)
{
    int kept = 0;
    bool words_only = false;
    outcome.json = is_asked_for(c, "--json");          /* also for what is wrong before it */
    for (int i = 0; i < c->argc; i++) {
        const char *v;
        words_only = words_only || strcmp(c->argv[i], "--") == 0;
        if (words_only)
            c->argv[kept++] = c->argv[i];
        else if (strcmp(c->argv[i], "--json") == 0)
            c->json = true;
        else if (strcmp(c->argv[i], "--yes") == 0)
            c->yes = true;
        else if ((v = cli_option(c, &i, "-d")))
            snprintf(c->data_dir, sizeof c->data_dir, "%s", v);
        else if ((v = cli_option(c, &i, "--data-dir")))
            snprintf(c->data_dir, sizeof c->data_dir, "%s", v);
        else if ((v = cli_option(c, &i, "--api")))
            snprintf(c->api, sizeof c->api, "%s", v);
        else if ((v = cli_option(c, &i, "--passphrase-fd"))) {
            if (read_passphrase(c, v) != EXIT_FINE)
                return EXIT_USAGE;
        } else
            c->argv[kept++] = c->argv[i];
    }
    c->argc = kept;
    return -1;
}

static int run_command(struct cli *c)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, c->argv[0]) != 0)
            continue;
        if (c->argc > 1 && (strcmp(c->argv[1], "--help") == 0 || strcmp(c->argv[1], "-h") == 0))
            return print_help(c->argv[0]);
        if (c->argc > 1 && !commands[i].arguments[0])
            return cli_fail(EXIT_USAGE, "what is \"%.60s\"? tally %s takes no arguments", c->argv[1], c->argv[0]);
        if (crypto_start() != OK)
            return cli_fail(EXIT_FAILED, "no system randomness");
        if (!c->data_dir[0])
            datadir_find(c->data_dir);
        int rc = commands[i].run(c);
        passphrase_fini(&c->passphrase);
        return rc;
    }
    return cli_fail(EXIT_USAGE, "there is no command \"%s\"; `tally help` lists them", c->argv[0]);
}

static int obey(struct cli *c)
{
    int rc = take_globals(c);
    if (rc >= 0)
        return rc;
    if (c->argc == 0) {
        print_usage(stderr);
        return cli_fail(EXIT_USAGE, "no command");
    }
    if (strcmp(c->argv[0], "help") == 0 && c->argc > 1)
        return print_help(c->argv[1]);
    if (strcmp(c->argv[0], "help") == 0 || strcmp(c->argv[0], "--help") == 0 || strcmp(c->argv[0], "-h") == 0) {
        print_usage(stdout);
        return EXIT_FINE;
    }
    if (strcmp(c->argv[0], "--version") == 0) {
        puts("tally " TALLY_VERSION);
        return EXIT_FINE;
    }
    return run_command(c);
}

int main(int argc, char **argv)
{
    static struct cli c;
    c.argc = argc - 1;
    c.argv = argv + 1;
    c.tty = isatty(1);
    const char *no_color = getenv("NO_COLOR");         /* no-color.org: present and not empty */
    c.colour = c.tty && !(no_color && no_color[0]) && !(getenv("TERM") && strcmp(getenv("TERM"), "dumb") == 0);
    c.api_key = getenv("TALLY_API_KEY");
    if (c.api_key && !c.api_key[0])
        c.api_key = NULL;
    return finish(obey(&c));
}
