/* config.h - what a node has been told: one table of keys, read from a file, then environment, then flags.
 *
 * The table in config.c is the only place a key exists: the parser, the printed example (`tallyd --print-config`), the
 * environment names and the --set flag are all made from it, so none can be undocumented.
 *
 * Order, last wins: built-in default, file, environment TALLY_SECTION_KEY, flag --set section.key=value.
 * Keys of a model section have a flag, --set model.NAME.key=value, which also adds a model, but no environment name: model
 * names have dots, dashes and capitals, which no name of an environment variable keeps apart.
 * Owns:    strings inside the struct; no heap.
 * Threads: filled once at start, then read-only.
 * Effects: none here; config_confuse.c reads the file.
 * Units:   prices are entered in credits per million tokens (up to six decimals), limits in credits (up to twelve).
 */
#ifndef TALLYMESH_NODE_CONFIG_H
#define TALLYMESH_NODE_CONFIG_H

#include "crypto/bootstrap.h"

enum {
    CONFIG_PATH_CHARS = 400, CONFIG_MODELS_MAX = 16, CONFIG_BOOTSTRAPS_MAX = 16, CONFIG_WORD_CHARS = 64,
    CONFIG_FAULT_CHARS = 300,
    CONFIG_MEMORY_MIB_MIN = 64,                        /* tables, stacks and sockets of a node without models; half of it does not start */
};

struct config_model {
    char name[CONFIG_WORD_CHARS + 1];                  /* the section's title; what clients call it */
    char path[CONFIG_PATH_CHARS];                      /* GGUF file */
    uint64_t price_input, price_cached, price_output;  /* micro-credits per million tokens */
    uint32_t slots, context;                           /* context 0: the model's own */
};

struct config {
    char network[CONFIG_WORD_CHARS + 1];
    char data_dir[CONFIG_PATH_CHARS];
    uint32_t pow_bits;

    char listen_host[HOST_CHARS_MAX + 1];
    uint16_t listen_port;
    char advertise_host[HOST_CHARS_MAX + 1];           /* empty: the listen host */
    char bootstrap[CONFIG_BOOTSTRAPS_MAX][BOOTSTRAP_CHARS_MAX + 1];
    uint32_t bootstrap_count;
    char owner_cert[CONFIG_PATH_CHARS];

    char api_host[HOST_CHARS_MAX + 1];
    uint16_t api_port;
    char api_key_file[CONFIG_PATH_CHARS];              /* empty: no key asked for (loopback only) */

    bool provide;
    char jurisdiction[3];
    uint8_t tier;                                      /* 0 edge, 1 regional, 2 factory */
    uint32_t energy_mj_per_1k;
    uint64_t credit_limit_pico, newcomer_limit_pico;

    uint64_t price_input_max, price_output_max, budget_pico;
    uint32_t keep_prompts_hours, token_deadline_ms;
    bool allow_local;

    char backend[CONFIG_WORD_CHARS + 1];               /* "auto", "scalar", "avx2", ... */
    uint32_t threads;                                  /* 0: one per core */

    uint32_t memory_mb;                                /* total of the worker process; 0: SUPERVISE_MEMORY_MIB_DEFAULT and what its engines reserve */
    uint32_t inbound_max;
    bool supervise;

    char log_level[CONFIG_WORD_CHARS + 1], log_format[CONFIG_WORD_CHARS + 1];

    struct config_model models[CONFIG_MODELS_MAX];
    uint32_t model_count;
};

struct config_fault { char text[CONFIG_FAULT_CHARS]; };

void config_defaults(struct config *c);

/* Sets one key ("listen.port", "network", "model.NAME.slots": a model that is not there yet begins) from text. ERR_CONFIG with a sentence that names the key and what it wants. */
enum err config_set(struct config *c, const char *key, const char *value, struct config_fault *why) MUST_CHECK;
/* A model section by this name is there, with defaults. */
enum err config_begin_model(struct config *c, const char *name, struct config_fault *why) MUST_CHECK;
/* One key of a model section. */
enum err config_set_model(struct config *c, const char *name, const char *key, const char *value, struct config_fault *why) MUST_CHECK;
/* Applies every TALLY_SECTION_KEY found by `lookup` (getenv in the shell). */
enum err config_environment(struct config *c, char *(*lookup)(const char *name), struct config_fault *why) MUST_CHECK;
/* True for an IPv4 or IPv6 literal: what a socket can be bound to. */
bool config_is_address(const char *host);
/* Relations between keys; call last. What this machine and folder make of it: setup_posix.h. */
enum err config_validate(const struct config *c, struct config_fault *why) MUST_CHECK;

/* The documented example, line by line. */
void config_example(void (*line)(void *to, const char *text), void *to);

/* Every key, for readers of other formats (config_confuse.c). section is "" at top level; model keys have is_model. */
struct config_key { const char *section, *key; bool is_list, is_model; };
uint32_t config_keys(struct config_key *out, uint32_t max);

/* Decimal text to an integer scaled by 10^decimals: "0.25", 6 -> 250000. ERR_FORMAT, ERR_OVERFLOW. */
enum err decimal_parse(const char *text, unsigned decimals, uint64_t *out) MUST_CHECK;

/* config_confuse.c: reads a file with libconfuse. Errors name file and line. */
enum err config_load(struct config *c, const char *path, struct config_fault *why) MUST_CHECK;

#endif
