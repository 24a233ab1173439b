/* bench_verify.c - what does checking an answer cost, against making it? Not a test.
 *
 *     bench_verify [--backend NAME] [--threads N] [--prompt N] [--answer N] [--rounds N] MODEL.gguf
 *
 * Makes an answer of N tokens alone (batch 1), then scores it as `tally verify --reexecute` does, and compares the seconds.
 * Every scored token must be the one that was made; otherwise the figure would be about something else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/engine.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "kernels/pool_posix.h"

enum { TOKENS_MAX = 4096, ROUNDS_MAX = 64, PREFILL_CHUNK = 512 };   /* the chunk that reexecute_posix.c uses */

static const struct sampler_params sampling = { .temperature_micro = 800000, .top_p_micro = 1000000, .seed = 7 };

struct scoring { const uint32_t *tokens; uint32_t seen, different; };

static void must(enum err e, const char *what, const struct fault *why)
{
    if (e == OK)
        return;
    fprintf(stderr, "bench_verify: %s: %s %s\n", what, err_text(e), why ? why->text : "");
    exit(1);
}

static double seconds_since(uint64_t start) { return (double)(pool_clock_us() - start) * 1e-6; }

static double generate(struct engine *e, uint32_t *tokens, uint32_t prompt, uint32_t answer)
{
    struct engine_job job = { .id = 1, .tokens = tokens, .n = prompt, .max_tokens = answer, .params = sampling, .want_head_bytes = true };
    struct engine_output out[ENGINE_SLOTS_MAX];
    uint64_t start = pool_clock_us();
    must(engine_start(e, &job), "start", NULL);
    while (!engine_idle(e)) {
        size_t n;
        must(engine_step(e, out, ENGINE_SLOTS_MAX, &n), "step", NULL);
        for (size_t i = 0; i < n; i++)
            tokens[out[i].position] = out[i].token;
    }
    return seconds_since(start);
}

static bool each(void *ctx, uint32_t position, uint32_t token, struct bytes head)
{
    struct scoring *s = ctx;
    (void)head;
    s->seen++;
    s->different += token != s->tokens[position];
    return true;
}

static double check(struct engine *e, const uint32_t *tokens, uint32_t prompt, uint32_t answer)
{
    struct scoring s = { .tokens = tokens };
    uint64_t start = pool_clock_us();
    must(engine_score(e, tokens, prompt, prompt + answer, &sampling, each, &s), "score", NULL);
    double took = seconds_since(start);
    ENSURE(s.seen == answer && s.different == 0);
    return took;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, uint32_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

int main(int argc, char **argv)
{
    struct engine_options o = { .slots_max = 1, .threads = 1, .prefill_chunk = PREFILL_CHUNK };
    uint32_t prompt = 32, answer = 256, rounds = 9;
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--backend") == 0)
            o.backend = value, i++;
        else if (strcmp(argv[i], "--threads") == 0)
            o.threads = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--prompt") == 0)
            prompt = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--answer") == 0)
            answer = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = (uint32_t)atoi(value), i++;
        else
            path = argv[i];
    }
    if (!path || prompt == 0 || answer == 0 || prompt + answer > TOKENS_MAX || rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_verify [--backend NAME] [--threads N] [--prompt N] [--answer N] [--rounds N] MODEL.gguf\n");
        return 2;
    }
    struct modelfile mapped;
    struct gguf g;
    struct model model;
    struct engine *e;
    struct fault why = { "" };
    static uint32_t tokens[TOKENS_MAX];
    double make[ROUNDS_MAX], score[ROUNDS_MAX];
    must(modelfile_open(path, &mapped, &why), path, &why);
    must(gguf_open(mapped.bytes, false, &g, &why), "gguf", &why);
    must(model_open(&g, &model, &why), "model", &why);
    must(engine_open(&model, &o, &e, &why), "engine", &why);
    for (uint32_t i = 0; i < prompt; i++)
        tokens[i] = (i * 7919u + 13) % model.config.vocab;
    for (uint32_t r = 0; r < rounds; r++) {
        make[r] = generate(e, tokens, prompt, answer);
        score[r] = check(e, tokens, prompt, answer);
    }
    double m = median(make, rounds), s = median(score, rounds);
    printf("%s, %u thread(s), prompt %u, answer %u, median of %u: made in %.1f ms (%.0f tokens/s), checked in %.1f ms; "
           "checking costs %.1f %% of making\n", engine_backend(e), o.threads, prompt, answer, rounds, m * 1e3,
           answer / m, s * 1e3, 100 * s / m);
    engine_close(e);
    return 0;
}
