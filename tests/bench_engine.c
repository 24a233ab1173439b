/* bench_engine.c - how many tokens per second? Not a test.
 *
 *     bench_engine [--backend NAME] [--threads N] [--prompt N] [MODEL.gguf | --random 7m | --random 1b]
 *
 * Prints prefill (a prompt of 512 tokens, or N) and decode (64 tokens) for 1 and 8 jobs at once, beside the rate at which
 * one thread reads memory in the same minute.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/engine.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "kernels/pool_posix.h"
#include "tests/gguf_writer.h"

enum { JOBS_MAX = 8, ANSWER = 64, PROMPT_MAX = 512 };

struct bench {
    struct model model;
    struct engine *engine;
    uint32_t prompt_len;
};

static void must(enum err e, const char *what, const struct fault *why)
{
    if (e == OK)
        return;
    fprintf(stderr, "%s: %s %s\n", what, err_text(e), why ? why->text : "");
    exit(1);
}

static double seconds_since(uint64_t start) { return (double)(pool_clock_us() - start) * 1e-6; }

static void run(struct bench *b, uint32_t jobs)
{
    uint32_t prompt[PROMPT_MAX];
    struct engine_output out[ENGINE_SLOTS_MAX];
    size_t n;
    for (uint32_t i = 0; i < b->prompt_len; i++)
        prompt[i] = (i * 7919u + 13) % b->model.config.vocab;
    for (uint32_t k = 0; k < jobs; k++) {
        struct engine_job job = { .id = k, .tokens = prompt, .n = b->prompt_len, .max_tokens = ANSWER,
                                  .params = { .top_p_micro = 1000000 } };
        must(engine_start(b->engine, &job), "start", NULL);
    }
    uint64_t start = pool_clock_us();
    do
        must(engine_step(b->engine, out, ARRAY_COUNT(out), &n), "step", NULL);
    while (engine_backlog(b->engine) > 0);
    double prefill = seconds_since(start);
    start = pool_clock_us();
    uint64_t written = 0;
    while (!engine_idle(b->engine)) {
        must(engine_step(b->engine, out, ARRAY_COUNT(out), &n), "step", NULL);
        written += n;
    }
    double decode = seconds_since(start);
    printf("  %u job%s: prefill %8.1f t/s   decode %8.1f t/s in total, %.2f ms per step\n", jobs, jobs == 1 ? " " : "s",
           jobs * b->prompt_len / prefill, (double)written / decode, decode * 1e3 * jobs / (double)written);
}

/* One thread reading 256 MiB, so that a memory-bound figure can be judged. */
static double read_gb_per_s(void)
{
    size_t words = 32u << 20;
    uint64_t *m = calloc(words, sizeof *m), sum = 0;
    if (!m)
        return 0;
    memset(m, 1, words * sizeof *m);
    uint64_t start = pool_clock_us();
    for (size_t i = 0; i < words; i += 4)
        sum += m[i] ^ m[i + 1] ^ m[i + 2] ^ m[i + 3];
    double s = seconds_since(start);
    volatile uint64_t sink = sum;
    (void)sink;
    free(m);
    return (double)(words * sizeof *m) / s * 1e-9;
}

static struct bytes random_model(const char *size)
{
    struct tiny_llama spec = { .layers = 8, .dim = 256, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn_dim = 704,
                               .vocab = 4096, .context = 1024, .rope_base = 10000.0f, .rope_factor = 1.0f,
                               .rms_eps = 1e-5f, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0, .tied = true,
                               .seed = 1 };
    if (strcmp(size, "1b") == 0) {
        spec.layers = 22, spec.dim = 2048, spec.heads = 32, spec.kv_heads = 4, spec.ffn_dim = 5632;
        spec.vocab = 32000, spec.context = 2048, spec.tied = false;
    }
    return tiny_llama_write(&spec);
}

int main(int argc, char **argv)
{
    struct engine_options o = { .slots_max = JOBS_MAX };
    const char *random = "7m", *path = NULL;
    uint32_t prompt_len = PROMPT_MAX;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--backend") == 0)
            o.backend = value, i++;
        else if (strcmp(argv[i], "--threads") == 0)
            o.threads = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--prompt") == 0)
            prompt_len = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--random") == 0)
            random = value, i++;
        else
            path = argv[i];
    }
    struct modelfile mapped;
    struct bytes file;
    struct gguf g;
    struct fault why = { "" };
    struct bench b = { .engine = NULL };
    if (path) {
        must(modelfile_open(path, &mapped, &why), path, &why);
        file = mapped.bytes;
    } else {
        file = random_model(random);
    }
    must(gguf_open(file, false, &g, &why), "gguf", &why);
    must(model_open(&g, &b.model, &why), "model", &why);
    b.prompt_len = b.model.config.context > PROMPT_MAX + ANSWER ? prompt_len : b.model.config.context / 2;
    if (b.prompt_len == 0 || b.prompt_len > PROMPT_MAX)
        b.prompt_len = PROMPT_MAX;
    o.kv_tokens_max = JOBS_MAX * (PROMPT_MAX + ANSWER + 256);
    uint64_t start = pool_clock_us();
    must(engine_open(&b.model, &o, &b.engine, &why), "engine", &why);
    printf("%s, %u thread(s), opened in %.2f s, one thread reads %.1f GB/s, prompts of %u\n", engine_backend(b.engine),
           o.threads ? o.threads : 1, seconds_since(start), read_gb_per_s(), b.prompt_len);
    run(&b, 1);
    run(&b, 1);
    run(&b, JOBS_MAX);
    engine_close(b.engine);
    return 0;
}
