/* bench_load.c - how long from nothing to the first token, and to that of an owner's next turn? Prints one line each.
 *
 *   bench_load MODEL.gguf [THREADS] [PROMPT]
 *
 * The file should be in the page cache (cat MODEL.gguf > /dev/null), and the machine idle.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "kernels/engine.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "kernels/pool_posix.h"

enum { MORE = 60, ANSWER = 8 };

static void must(enum err err, const char *what)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_text(err));
    exit(1);
}

/* Milliseconds from the start of a job of n tokens to its first token; *end_ms is what ending it takes. */
static double first_token_ms(struct engine *e, const uint32_t *tokens, uint32_t n, const uint8_t *owner, double *end_ms)
{
    struct engine_output out[ENGINE_SLOTS_MAX];
    const struct engine_job job = { .id = 1, .tokens = tokens, .n = n, .max_tokens = ANSWER, .owner = owner,
                                    .params = { .top_p_micro = SAMPLER_TOP_P_MICRO_OFF } };
    uint64_t start = pool_clock_us();
    must(engine_start(e, &job), "start");
    for (size_t made = 0; made == 0;)
        must(engine_step(e, out, ENGINE_SLOTS_MAX, &made), "step");
    uint64_t first = pool_clock_us();
    must(engine_cancel(e, 1), "end");
    *end_ms = (double)(pool_clock_us() - first) / 1e3;
    return (double)(first - start) / 1e3;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: bench_load MODEL.gguf [THREADS] [PROMPT]\n");
        return 2;
    }
    const struct engine_options options = { .threads = argc > 2 ? (uint32_t)atoi(argv[2]) : 2 };
    uint32_t prompt = argc > 3 ? (uint32_t)atoi(argv[3]) : 1000;
    struct modelfile file;
    struct gguf g;
    struct model m;
    struct engine *e;
    uint64_t start = pool_clock_us();
    must(modelfile_open(argv[1], &file, NULL), argv[1]);
    must(gguf_open(file.bytes, false, &g, NULL), "header");
    must(model_open(&g, &m, NULL), "model");
    m.release = modelfile_release;
    must(engine_open(&m, &options, &e, NULL), "engine");
    double open_ms = (double)(pool_clock_us() - start) / 1e3, end_ms;
    uint32_t *tokens = calloc(prompt + MORE, sizeof *tokens);
    if (!tokens)
        return 1;
    for (uint32_t i = 0; i < prompt + MORE; i++)
        tokens[i] = (i * 7919u + 1) % engine_vocab(e);
    double first_ms = first_token_ms(e, tokens, 1, NULL, &end_ms);
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    printf("%s: open %.0f ms, first token %.0f ms later; resident at most %ld MiB of a file of %zu MiB\n", engine_backend(e), open_ms,
           first_ms, used.ru_maxrss >> 10, file.bytes.len >> 20);
    static const uint8_t owner[ENGINE_OWNER_BYTES] = { 1 };
    double cold_ms = first_token_ms(e, tokens, prompt, NULL, &end_ms), unused;
    printf("prompt of %u tokens: first token after %.0f ms; wiped in %.2f ms\n", prompt, cold_ms, end_ms);
    (void)first_token_ms(e, tokens, prompt, owner, &unused);
    printf("its owner's next turn, %d tokens more: after %.0f ms\n", MORE, first_token_ms(e, tokens, prompt + MORE, owner, &unused));
    free(tokens);
    engine_close(e);
    model_close(&m);
    gguf_close(&g);
    modelfile_close(&file);
    return 0;
}
