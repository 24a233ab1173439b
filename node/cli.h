/* cli.h - what the commands of `tally` share: where to look, how to print, what exit codes mean. Private to the program. */
#ifndef TALLYMESH_NODE_CLI_H
#define TALLYMESH_NODE_CLI_H

#include <jansson.h>

#include "ledger/ledger.h"
#include "node/catalog_posix.h"
#include "node/config.h"
#include "node/identity_posix.h"
#include "node/passphrase_posix.h"

/* One table for the whole command line; documented in README and `tally help exit-codes`. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,               /* the command was understood and did not work */
    EXIT_USAGE = 2,
    EXIT_NO_NODE = 3,              /* no node answers, or there is no ledger here */
    EXIT_NOT_FOUND = 4,
    EXIT_NOT_VERIFIED = 5,         /* a signature, sum or byte is wrong */
    EXIT_DECLINED = 6,             /* the mesh said no: price, credit, capacity, constraint */
    EXIT_LOCKED = 7,               /* a passphrase is needed or wrong */
    EXIT_CANNOT_REEXECUTE = 8,     /* what is signed is verified; the model or the opened prompt is missing */
};

struct cli {
    char data_dir[CONFIG_PATH_CHARS];
    char api[320];                 /* --api; empty until cli_find_node() has read run.json */
    char node[HASH_HEX_CHARS + 1]; /* the node that is meant; empty with --api, which asks whoever is there */
    const char *api_key;           /* $TALLY_API_KEY; else key_text, from the node's api.key_file; else NULL */
    char key_text[256];
    bool json, tty, colour, yes;
    struct passphrase passphrase;  /* --passphrase-fd, or asked for when a key turns out to be locked */
    int argc;                      /* of the command: argv[0] is its name */
    char **argv;
};

struct command {
    const char *name, *arguments, *summary, *help;   /* arguments "": takes none. help: options and examples */
    int (*run)(struct cli *c);
};
extern const struct command commands[];
extern const size_t command_count;

/* One line to stderr, "tally: ...", and the exit code back. With --json the last one of a command that fails without having
 * printed its document becomes {"error": {"message", "exit"}} on standard output. */
int cli_fail(enum exit_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum exit_code cli_code_of(enum err e);
void cli_print_json(json_t *j);                        /* steals j; indented on a terminal, compact otherwise */
const char *cli_bold(const struct cli *c), *cli_dim(const struct cli *c), *cli_green(const struct cli *c),
    *cli_red(const struct cli *c), *cli_plain(const struct cli *c);
/* Milliseconds since 1970 as "2026-11-21 01:02:03". */
void cli_format_time(struct wall w, char out[24]);
/* Pico-credits as credits without trailing zeros: "0.00000075". */
void cli_format_credits(uint64_t pico, char out[AMOUNT_CHARS_MAX + 1]);
/* To stdout. Answers come from a model: nothing it writes may steer the terminal. */
void cli_print_safely(const char *text);
/* An option that takes a value: "--limit 5" or "--limit=5". Advances *i. NULL if argv[*i] is another; "" never. */
const char *cli_option(struct cli *c, int *i, const char *name);

/* The ledger, read-only, works while tallyd is stopped or running. with_secrets asks for the node key (passphrase). */
struct wallet {
    struct identity_glance who;
    struct identity identity;
    bool has_identity;
    struct store *store;
    struct ledger ledger;
};
/* identity_glance(), which asks for the passphrase at the terminal if there is no other way. */
enum err cli_glance(struct cli *c, struct identity_glance *out, struct fault *why);
int wallet_open(struct cli *c, bool with_secrets, struct wallet *out);   /* EXIT_FINE or what cli_fail() gave */
void wallet_close(struct wallet *w);
/* What an id on the command line stands for: its first digits, at least CLI_DIGITS_MIN, of a receipt id or of a terms hash. */
struct found {
    struct hash terms;
    struct receipt_view receipt;                       /* its body is gone: the store had lent it */
    struct job job;
    bool has_receipt, has_job;                         /* one at least; a receipt that was adopted after a loss has no job */
};
enum { CLI_DIGITS_MIN = 4, CLI_DIGITS_SHOWN = 12 };
/* EXIT_FINE or what cli_fail() gave; `or_what` names what else it might have been: "" or " or file". */
int wallet_find(struct wallet *w, const char *digits, const char *or_what, struct found *out);
/* A peer we have had business with, by the first digits of its node id or node key. */
int wallet_find_peer(struct wallet *w, const char *digits, struct pubkey *out);
/* Why this side cannot show what was asked and answered: never kept, kept by the other side, purged. */
void wallet_why_not_kept(const struct cli *c, const struct found *f, char out[160]);

/* The model with this id: `file` if not NULL, else one of the configuration, else (weights not needed) a header that was
 * fetched before. NULL and a sentence. The catalog is the caller's to close. */
const struct catalog_entry *cli_find_model(const struct cli *c, const char *file, const struct hash *id, bool weights,
                                           struct catalog **catalog, struct fault *why);

int cmd_init(struct cli *c);
int cmd_status(struct cli *c);
int cmd_peers(struct cli *c);
int cmd_models(struct cli *c);
int cmd_offers(struct cli *c);
int cmd_pins(struct cli *c);
int cmd_run(struct cli *c);
int cmd_receipts(struct cli *c);
int cmd_receipt(struct cli *c);
int cmd_balance(struct cli *c);
int cmd_verify(struct cli *c);
int cmd_key(struct cli *c);
int cmd_doctor(struct cli *c);
int cmd_bench(struct cli *c);
int key_renew(struct cli *c), key_certify(struct cli *c);    /* of cmd_key; cli_cert_posix.c */

/* The address of the node's endpoint, once it was asked; "" before. */
const char *cli_api(struct cli *c);
/* No address was given, and the folder has none: its node is not running, and whoever listens at the usual port is another. */
bool cli_is_stopped(const struct cli *c);
/* GETs a document; EXIT_FINE and *out, or what cli_fail() gave. */
int cli_get_json(struct cli *c, const char *path, json_t **out);
/* The same with another method; NULL: GET. */
int cli_json(struct cli *c, const char *method, const char *path, json_t **out);

#endif
