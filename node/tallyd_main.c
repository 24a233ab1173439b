/* tallyd_main.c - the daemon: reads its configuration, then runs a supervised node. */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/keyfile_posix.h"
#include "node/datadir_posix.h"
#include "node/log_posix.h"
#include "node/node_posix.h"
#include "node/setup_posix.h"

enum { SETS_MAX = 64 };

static const char usage[] =
    "tallyd - one node of a Tallymesh: joins, bids, computes, keeps its half of every receipt\n"
    "\n"
    "usage: tallyd [-c FILE] [-d DIR] [--set KEY=VALUE]... [--passphrase-fd N] [--check] [--print-config] [--version]\n"
    "  -c, --config FILE     configuration (default: DATA_DIR/tallyd.conf if there, else /etc/tallymesh/tallyd.conf)\n"
    "  -d, --data-dir DIR    same as --set data_dir=DIR; without it $TALLY_DATA_DIR, else ~/.tallymesh or\n"
    "                        /var/lib/tallymesh, where a node lives: as tally does\n"
    "      --set KEY=VALUE   override one key, for instance --set listen.port=7601; of a model: --set model.NAME.slots=8\n"
    "      --passphrase-fd N read the key files' passphrase from descriptor N; without it from the systemd credential\n"
    "                        \"passphrase\", or it is asked for at the terminal\n"
    "      --check           say what in the configuration cannot work here, exit\n"
    "      --print-config    every key with its default and meaning\n"
    "\n"
    "signals: SIGTERM and SIGINT finish open work (20 s at most) and end; a second one ends at once; SIGHUP is ignored\n"
    "exit codes: 0 ended as asked, 2 usage, 78 configuration or identity wrong, 71 cannot fork\n"
    "example: tally init -d ~/.tallymesh && tallyd -d ~/.tallymesh\n";

static void print_line(void *to, const char *text)
{
    fputs(text, to);
    fputc('\n', to);
}

struct arguments {
    const char *config, *data_dir, *passphrase_fd, *sets[SETS_MAX];
    unsigned set_count;
    bool check;
};

/* Returns an exit code, or -1 to go on. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "data-dir", required_argument, NULL, 'd' },
        { "set", required_argument, NULL, 's' },    { "check", no_argument, NULL, 'k' },
        { "passphrase-fd", required_argument, NULL, 'w' },
        { "print-config", no_argument, NULL, 'p' }, { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    int o;
    while ((o = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            a->config = optarg;
            break;
        case 'd':
            a->data_dir = optarg;
            break;
        case 's':
            if (a->set_count == SETS_MAX || !strchr(optarg, '=')) {
                fprintf(stderr, "tallyd: --set wants KEY=VALUE, at most %d times\n", SETS_MAX);
                return 2;
            }
            a->sets[a->set_count++] = optarg;
            break;
        case 'w':
            a->passphrase_fd = optarg;
            break;
        case 'k':
            a->check = true;
            break;
        case 'p':
            config_example(print_line, stdout);
            return 0;
        case 'v':
            puts("tallyd " TALLY_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "tallyd: what is \"%s\"?\n%s", argv[optind], usage);
        return 2;
    }
    return -1;
}

static enum err apply_sets(struct config *c, const struct arguments *a, struct config_fault *why)
{
    enum err e = OK;
    if (a->data_dir)
        e = config_set(c, "data_dir", a->data_dir, why);
    for (unsigned i = 0; e == OK && i < a->set_count; i++) {
        char key[96];
        const char *eq = strchr(a->sets[i], '=');
        snprintf(key, sizeof key, "%.*s", (int)(eq - a->sets[i]), a->sets[i]);
        e = config_set(c, key, eq + 1, why);
        if (e != OK) {
            char told[CONFIG_FAULT_CHARS];
            memcpy(told, why->text, sizeof told);
            snprintf(why->text, sizeof why->text, "--set %.80s: %.200s", key, told);
        }
    }
    return e;
}

/* Built-in values; the folder is the one that `tally` would take. $TALLY_DATA_DIR is a key of the environment as well. */
static void defaults(struct config *c)
{
    config_defaults(c);
    datadir_find(c->data_dir);
}

/* As for tally, a TALLY_DATA_DIR that is set to nothing names no folder. */
static char *environment(const char *name)
{
    char *value = getenv(name);
    return value && !value[0] && strcmp(name, "TALLY_DATA_DIR") == 0 ? NULL : value;
}

static enum err read_config(struct config *c, const struct arguments *a, struct config_fault *why)
{
    char path[CONFIG_PATH_CHARS + 16];
    struct stat st;
    defaults(c);
    enum err e = config_environment(c, environment, why);
    if (e == OK)
        e = apply_sets(c, a, why);                     /* data_dir decides where the file is ... */
    if (e != OK)
        return e;
    if (a->config) {
        snprintf(path, sizeof path, "%s", a->config);
    } else {
        snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
        if (stat(path, &st) != 0)
            snprintf(path, sizeof path, "/etc/tallymesh/tallyd.conf");
    }
    if (a->config || stat(path, &st) == 0) {
        defaults(c);
        e = config_load(c, path, why);
        if (e == OK)
            e = config_environment(c, environment, why);
        if (e == OK)
            e = apply_sets(c, a, why);                 /* ... and flags win over it */
    }
    return e == OK ? config_validate(c, why) : e;
}

/* --check: what would keep this configuration from working here. */
static int check(const struct config *c)
{
    struct fault why = { { 0 } };
    if (crypto_start() != OK || setup_check(c, &why) != OK) {
        fprintf(stderr, "tallyd: %s\n", why.text[0] ? why.text : "no system randomness");
        return NODE_EXIT_CONFIG;
    }
    printf("configuration is valid: network %s, data in %s%s, %u models\n", c->network, c->data_dir,
           identity_is_absent(c->data_dir) ? " (where no node lives yet: tally init)" : "", c->model_count);
    return 0;
}

struct work { struct config config; struct passphrase passphrase; };

/* A supervised worker wipes its own copy; the supervisor keeps one, because a worker that is started again needs it. */
static int work(const struct supervised *s, void *ctx)
{
    struct work *w = ctx;
    return node_run(&w->config, s, &w->passphrase);
}

/* Asked for only if the keys want one and a person is there. */
static enum err read_passphrase(const struct config *c, const char *fd_text, struct passphrase *out)
{
    char path[CONFIG_PATH_CHARS + 16];
    struct key_seed seed;
    int fd;
    if (fd_text) {
        enum err e = passphrase_parse_fd(fd_text, &fd);
        if (e == OK)
            e = passphrase_from_fd(fd, out);
        if (e == OK && fd > 2)
            close(fd);
        return e;
    }
    enum err e = passphrase_from_credential(out);
    if (e != ERR_NOT_FOUND)
        return e;
    snprintf(path, sizeof path, "%s/node.key", c->data_dir);
    e = crypto_start();
    if (e == OK)
        e = keyfile_load(path, NULL, &seed);
    sodium_memzero(&seed, sizeof seed);
    if (e != ERR_LOCKED || !isatty(0))
        return OK;                                     /* whatever else is wrong is said when the identity is loaded */
    return passphrase_ask("passphrase of the key files: ", out);
}

static void say_restart(void *ctx, int signal, int exit_code, uint32_t restarts, uint32_t pause_ms)
{
    (void)ctx;
    log_event(LOG_WARN, "restarting", "signal=%d exit=%d restarts=%u pause_ms=%u", signal, exit_code, restarts, pause_ms);
    notify_systemd("WATCHDOG=1");                      /* the worker cannot say it; the pause is a third of the watchdog at most */
}

int main(int argc, char **argv)
{
    static struct work w;
    struct config_fault why = { { 0 } };
    struct arguments a = { 0 };
    int rc = parse_arguments(argc, argv, &a);
    if (rc >= 0)
        return rc;
    enum err e = read_config(&w.config, &a, &why);
    if (e != OK) {
        fprintf(stderr, "tallyd: %s\n", why.text[0] ? why.text : err_text(e));
        return NODE_EXIT_CONFIG;
    }
    if (a.check)
        return check(&w.config);
    e = read_passphrase(&w.config, a.passphrase_fd, &w.passphrase);
    if (e != OK) {
        fprintf(stderr, "tallyd: passphrase%s%s: %s\n", a.passphrase_fd ? " from descriptor " : "", a.passphrase_fd ? a.passphrase_fd : "", err_text(e));
        return a.passphrase_fd ? 2 : NODE_EXIT_CONFIG;
    }
    log_setup(w.config.log_level, strcmp(w.config.log_format, "json") == 0);
    if (!w.config.supervise)
        return work(NULL, &w);
    struct supervise s = { .memory_bytes_max = (uint64_t)(w.config.memory_mb ? w.config.memory_mb : SUPERVISE_MEMORY_MIB_DEFAULT) << 20,
                           .memory_is_total = w.config.memory_mb > 0, .on_restart = say_restart };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    s.memory_bytes_max = 0;                            /* a sanitizer's shadow is terabytes of writable address space */
#endif
    rc = supervise_run(&s, work, &w);
    passphrase_fini(&w.passphrase);
    return rc;
}
