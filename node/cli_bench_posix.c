/* cli_bench_posix.c - `tally bench`: how fast does this machine read and write tokens, and what share of its limit is that? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kernels/engine.h"
#include "kernels/gguf.h"
#include "kernels/measure_posix.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "node/cli.h"
#include "node/setup_posix.h"

enum { BATCHES_MAX = 8, BATCH_MAX = 256, PROMPT_DEFAULT = 512, BATCH_PROMPT = 32, ANSWER = 64, AT_MOST_MS = 6000, ROUNDS = 6 };

struct bench {
    const char *file, *backend;
    uint32_t threads, prompt;
    uint32_t batches[BATCHES_MAX], n_batches;
    /* what was found */
    char opened_backend[32];
    double load_s, first_token_s;
    uint64_t file_bytes, weight_bytes, resident_bytes;
    uint64_t prefill_millitokens_s, decode_millitokens_s[BATCHES_MAX];
    uint64_t read_rate[BATCHES_MAX];         /* of memory, bytes per second, in the rounds of that batch */
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Resident memory of this process now: the second field of /proc/self/statm, in pages. 0: unknown. */
static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%*s %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* "1,8,32" */
static bool parse_batches(const char *text, struct bench *b)
{
    b->n_batches = 0;
    for (;;) {
        char *end;
        unsigned long n = strtoul(text, &end, 10);
        if (end == text || n == 0 || n > BATCH_MAX || b->n_batches == BATCHES_MAX)
            return false;
        b->batches[b->n_batches++] = (uint32_t)n;
        if (*end == '\0')
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

static bool parse_number(const char *text, uint32_t max, uint32_t *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || n == 0 || n > max)
        return false;
    *out = (uint32_t)n;
    return true;
}

static int parse(struct cli *c, struct bench *b)
{
    const char *v;
    for (int i = 1; i < c->argc; i++) {
        if ((v = cli_option(c, &i, "--backend"))) {
            b->backend = strcmp(v, "auto") == 0 ? NULL : v;
        } else if ((v = cli_option(c, &i, "--threads"))) {
            if (!parse_number(v, ENGINE_THREADS_MAX, &b->threads))
                return cli_fail(EXIT_USAGE, "--threads is a number from 1 to %d", ENGINE_THREADS_MAX);
        } else if ((v = cli_option(c, &i, "--prompt"))) {
            if (!parse_number(v, 1 << 20, &b->prompt))
                return cli_fail(EXIT_USAGE, "--prompt is a number of tokens");
        } else if ((v = cli_option(c, &i, "--batch"))) {
            if (!parse_batches(v, b))
                return cli_fail(EXIT_USAGE, "--batch is up to %d numbers from 1 to %d, such as 1,8,32", BATCHES_MAX, BATCH_MAX);
        } else if (c->argv[i][0] == '-' || b->file) {
            return cli_fail(EXIT_USAGE, "what is \"%s\"? (tally help bench)", c->argv[i]);
        } else {
            b->file = c->argv[i];
        }
    }
    return EXIT_FINE;
}

/* A name of the configuration stands for its file; without any word, its first model. */
static int choose_file(struct cli *c, struct bench *b)
{
    static struct config config;
    char path[CONFIG_PATH_CHARS + 16];
    struct config_fault unused;
    if (b->file && access(b->file, R_OK) == 0)
        return EXIT_FINE;
    snprintf(path, sizeof path, "%s/tallyd.conf", c->data_dir);
    config_defaults(&config);
    if (config_load(&config, path, &unused) != OK)
        return cli_fail(EXIT_NOT_FOUND, "%s%s", b->file ? b->file : "which model? name a GGUF file", b->file ? ": no such file, and no configuration that names it" : "");
    for (uint32_t i = 0; i < config.model_count; i++)
        if (!b->file || strcmp(b->file, config.models[i].name) == 0) {
            b->file = config.models[i].path;
            return EXIT_FINE;
        }
    return cli_fail(EXIT_NOT_FOUND, "%s: neither a file nor a model of the configuration", b->file ? b->file : "the configuration names no model");
}

/* One batch in several rounds, each after a pass of the probe: what disturbs the machine then disturbs both. Rates are
 * averaged as times, so that a slow round counts as much as it lasted. */
static enum err measure_batch(struct bench *b, uint32_t i, struct engine *e, struct measure_probe *probe)
{
    const struct measure_plan plan = { .jobs = b->batches[i], .prompt = BATCH_PROMPT, .answer = ANSWER, .at_most_ms = AT_MOST_MS / ROUNDS };
    double per_token = 0, per_byte = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct measure_rates rates;
        per_byte += 1.0 / (double)measure_probe_read(probe);
        enum err err = measure_engine(e, &plan, &rates);
        if (err != OK)
            return err;
        per_token += 1.0 / (double)(rates.decode_millitokens_s ? rates.decode_millitokens_s : 1);
    }
    b->decode_millitokens_s[i] = (uint64_t)(ROUNDS / per_token);
    b->read_rate[i] = (uint64_t)(ROUNDS / per_byte);
    return OK;
}

static enum err measure_all(struct bench *b, struct engine *e)
{
    struct measure_rates rates = { 0 };
    struct measure_probe *probe;
    const struct measure_plan prompt = { .jobs = 1, .prompt = b->prompt, .answer = 2, .at_most_ms = 1 };
    enum err err = measure_engine(e, &prompt, &rates);
    b->prefill_millitokens_s = rates.prefill_millitokens_s;
    if (err == OK)
        err = measure_probe_open(b->threads, &probe);
    if (err != OK)
        return err;
    for (uint32_t i = 0; i < b->n_batches && err == OK; i++)
        err = measure_batch(b, i, e, probe);
    measure_probe_close(probe);
    return err;
}

static enum err first_token(struct engine *e)
{
    struct measure_rates ignored;
    const struct measure_plan one = { .jobs = 1, .prompt = 1, .answer = 2, .at_most_ms = 1 };
    return measure_engine(e, &one, &ignored);
}

static enum err bench_model(struct bench *b, const struct model *m, double start, struct fault *why)
{
    struct engine *e;
    uint32_t jobs = 1;
    for (uint32_t i = 0; i < b->n_batches; i++)
        jobs = b->batches[i] > jobs ? b->batches[i] : jobs;
    if (b->prompt > m->config.context - 2)
        b->prompt = m->config.context - 2;
    uint32_t longest = b->prompt + 2, page = 256;
    uint32_t batch_tokens = jobs * ((BATCH_PROMPT + ANSWER + page - 1) / page * page);
    struct engine_options o = { .backend = b->backend, .threads = b->threads, .slots_max = jobs,
                                .kv_tokens_max = longest > batch_tokens ? longest : batch_tokens };
    enum err err = engine_open(m, &o, &e, why);
    if (err != OK)
        return err;
    b->load_s = seconds() - start;
    err = first_token(e);
    b->first_token_s = seconds() - start;
    b->resident_bytes = resident_bytes();
    b->weight_bytes = engine_weight_bytes(e);
    snprintf(b->opened_backend, sizeof b->opened_backend, "%s", engine_backend(e));
    if (err == OK)
        err = measure_all(b, e);
    engine_close(e);
    return err == OK ? OK : fault_set(why, err, "measuring failed: %s", err_text(err));
}

static enum err bench_file(struct bench *b, struct fault *why)
{
    struct modelfile file;
    struct gguf g;
    struct model m;
    double start = seconds();
    enum err e = modelfile_open(b->file, &file, why);
    if (e != OK)
        return e;
    b->file_bytes = file.bytes.len;
    e = gguf_open(file.bytes, false, &g, why);
    if (e == OK) {
        e = model_open(&g, &m, why);
        gguf_close(&g);
        if (e == OK) {
            m.release = modelfile_release;
            e = bench_model(b, &m, start, why);
            model_close(&m);
        }
    }
    modelfile_close(&file);
    return e;
}

/* Weights read per second by a batch: each step reads them once and writes `batch` tokens. */
static double weights_per_second(const struct bench *b, uint32_t i)
{
    return (double)b->decode_millitokens_s[i] / 1e3 / b->batches[i] * (double)b->weight_bytes;
}

/* Bytes of the last level of cache as the system tells them; 0: unknown. */
static uint64_t cache_bytes(void)
{
#ifdef _SC_LEVEL3_CACHE_SIZE
    long n = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return n > 0 ? (uint64_t)n : 0;
#else
    return 0;
#endif
}

/* Such weights are read from memory once and never again: a share of its rate would say nothing, and may exceed 100 %. */
static bool weights_stay_in_cache(const struct bench *b) { return b->weight_bytes < cache_bytes(); }

struct size_text { char text[24]; };

static struct size_text size_text(uint64_t bytes)
{
    struct size_text t;
    bool large = bytes >= 1000000000;
    snprintf(t.text, sizeof t.text, large ? "%.2f GB" : "%.1f MB", (double)bytes / (large ? 1e9 : 1e6));
    return t;
}

static void print_text(const struct cli *c, const struct bench *b)
{
    bool cached = weights_stay_in_cache(b);
    printf("%s%s%s\n", cli_bold(c), b->file, cli_plain(c));
    printf("  backend %s, %u threads; first token %.2f s after the start, %s of memory for a file of %s\n", b->opened_backend, b->threads,
           b->first_token_s, size_text(b->resident_bytes).text, size_text(b->file_bytes).text);
    printf("  a step reads %s of weights; ", size_text(b->weight_bytes).text);
    if (cached)
        printf("they fit into the cache (%s), so the rate of memory is not their limit\n\n", size_text(cache_bytes()).text);
    else
        printf("the limit is how fast this machine reads memory, probed between the rounds\n\n");
    printf("  prefill, prompt of %-6u %10.1f tokens/s\n", b->prompt, (double)b->prefill_millitokens_s / 1e3);
    for (uint32_t i = 0; i < b->n_batches; i++) {
        printf("  decode, %3u at once      %10.1f tokens/s", b->batches[i], (double)b->decode_millitokens_s[i] / 1e3);
        if (!cached)
            printf("   %5.1f GB/s of weights, %3.0f %% of the limit (%.1f GB/s)", weights_per_second(b, i) / 1e9,
                   100 * weights_per_second(b, i) / (double)b->read_rate[i], (double)b->read_rate[i] / 1e9);
        printf("\n");
    }
}

static void print_json(const struct bench *b)
{
    json_t *decode = json_array();
    for (uint32_t i = 0; i < b->n_batches; i++)
        json_array_append_new(decode, json_pack("{s:i, s:f, s:I, s:f}", "batch", (int)b->batches[i], "tokens_s", (double)b->decode_millitokens_s[i] / 1e3,
                                                "read_bytes_s", (json_int_t)b->read_rate[i], "share_of_limit", weights_per_second(b, i) / (double)b->read_rate[i]));
    cli_print_json(json_pack("{s:s, s:s, s:i, s:I, s:I, s:b, s:I, s:f, s:f, s:i, s:f, s:o}", "file", b->file, "backend", b->opened_backend, "threads",
                             (int)b->threads, "file_bytes", (json_int_t)b->file_bytes, "weight_bytes", (json_int_t)b->weight_bytes,
                             "weights_in_cache", weights_stay_in_cache(b), "resident_bytes", (json_int_t)b->resident_bytes, "load_s", b->load_s,
                             "first_token_s", b->first_token_s, "prompt", (int)b->prompt, "prefill_tokens_s", (double)b->prefill_millitokens_s / 1e3, "decode", decode));
}

int cmd_bench(struct cli *c)
{
    struct bench b = { .prompt = PROMPT_DEFAULT, .batches = { 1, 8, 32 }, .n_batches = 3 };
    struct fault why = { { 0 } };
    int rc = parse(c, &b);
    if (rc == EXIT_FINE)
        rc = choose_file(c, &b);
    if (rc != EXIT_FINE)
        return rc;
    if (b.backend && setup_check_backend(b.backend, &why) != OK)
        return cli_fail(EXIT_USAGE, "%s", why.text);
    if (b.threads == 0)
        b.threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
    enum err e = bench_file(&b, &why);
    if (e != OK)
        return cli_fail(cli_code_of(e), "%s", why.text[0] ? why.text : err_text(e));
    if (c->json)
        print_json(&b);
    else
        print_text(c, &b);
    return EXIT_FINE;
}
