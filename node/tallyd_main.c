/* tallyd_main.c - the daemon: reads its configuration, then runs a supervised node. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/log_posix.h"
#include "node/node_posix.h"

enum { SETS_MAX = 64 };

static const char usage[] =
    "tallyd - one node of a Tallymesh: joins, bids, computes, keeps its half of every receipt\n"
    "\n"
    "usage: tallyd [-c FILE] [-d DIR] [--set KEY=VALUE]... [--check] [--print-config] [--version]\n"
    "  -c, --config FILE     configuration (default: DATA_DIR/tallyd.conf if there, else /etc/tallymesh/tallyd.conf)\n"
    "  -d, --data-dir DIR    same as --set data_dir=DIR\n"
    "      --set KEY=VALUE   override one key, for instance --set listen.port=7601\n"
    "      --check           read the configuration, say what is wrong with it, exit\n"
    "      --print-config    every key with its default and meaning\n"
    "\n"
    "signals: SIGTERM finishes open work (20 s at most) and ends; a second one ends at once\n"
    "exit codes: 0 ended as asked, 2 usage, 78 configuration or identity wrong, 71 cannot fork\n"
    "example: tally init -d ~/.tallymesh && tallyd -d ~/.tallymesh\n";

static void print_line(void *to, const char *text)
{
    fputs(text, to);
    fputc('\n', to);
}

struct arguments {
    const char *config, *data_dir, *sets[SETS_MAX];
    unsigned set_count;
    bool check;
};

/* Returns an exit code, or -1 to go on. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "data-dir", required_argument, NULL, 'd' },
        { "set", required_argument, NULL, 's' },    { "check", no_argument, NULL, 'k' },
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
    }
    return e;
}

static enum err read_config(struct config *c, const struct arguments *a, struct config_fault *why)
{
    char path[CONFIG_PATH_CHARS + 16];
    struct stat st;
    config_defaults(c);
    enum err e = config_environment(c, getenv, why);
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
        config_defaults(c);
        e = config_load(c, path, why);
        if (e == OK)
            e = config_environment(c, getenv, why);
        if (e == OK)
            e = apply_sets(c, a, why);                 /* ... and flags win over it */
    }
    return e == OK ? config_validate(c, why) : e;
}

static int work(const struct supervised *s, void *ctx) { return node_run(ctx, s); }

static void say_restart(void *ctx, int signal, int exit_code, uint32_t restarts, uint32_t pause_ms)
{
    (void)ctx;
    log_event(LOG_WARN, "restarting", "signal=%d exit=%d restarts=%u pause_ms=%u", signal, exit_code, restarts, pause_ms);
}

int main(int argc, char **argv)
{
    static struct config config;
    struct config_fault why = { { 0 } };
    struct arguments a = { 0 };
    int rc = parse_arguments(argc, argv, &a);
    if (rc >= 0)
        return rc;
    enum err e = read_config(&config, &a, &why);
    if (e != OK) {
        fprintf(stderr, "tallyd: %s\n", why.text[0] ? why.text : err_text(e));
        return NODE_EXIT_CONFIG;
    }
    if (a.check) {
        printf("configuration is valid: network %s, data in %s, %u models\n", config.network, config.data_dir, config.model_count);
        return 0;
    }
    log_setup(config.log_level, strcmp(config.log_format, "json") == 0);
    if (!config.supervise)
        return node_run(&config, NULL);
    struct supervise s = { .memory_bytes_max = (uint64_t)(config.memory_mb ? config.memory_mb : SUPERVISE_MEMORY_MIB_DEFAULT) << 20,
                           .on_restart = say_restart };
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    s.memory_bytes_max = 0;                            /* a sanitizer's shadow is terabytes of writable address space */
#endif
    return supervise_run(&s, work, &config);
}
