/* bench_engine.c - how many tokens per second? Not a test.
 *
 *     bench_engine [--backend NAME] [--threads N] [--prompt N] [--answer N] [--jobs N]
 *                  [MODEL.gguf | --random 7m | --random 1b | --random 8b]
 *
 * Prints prefill (a prompt of 512 tokens, or N) and decode (64 tokens, or N) for 1 and 8 jobs at once, or for N. All
 * prompts are read before the first job goes on to its second token, so the two figures do not mix.
 * bench_memory says how fast the machine reads memory; bench/engine.sh runs both beside other engines.
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

enum { JOBS_MAX = 64, JOBS_USUAL = 8, ANSWER_MAX = 1024, ANSWER_USUAL = 64, PROMPT_MAX = 2048, PROMPT_USUAL = 512,
       PAGE_TOKENS = 256 };   /* a job takes whole pages */

struct bench {
    struct model model;
    struct engine *engine;
    uint32_t prompt_len;
    uint32_t answer_len;
};

static void must(enum err e, const char *what, const struct fault *why)
{
    if (e == OK)
        return;
    fprintf(stderr, "%s: %s %s\n", what, err_text(e), why ? why->text : "");
    exit(1);
}

static double seconds_since(uint64_t start) { return (double)(pool_clock_us() - start) * 1e-6; }

static uint64_t step_while_work(struct engine *e)
{
    struct engine_output out[ENGINE_SLOTS_MAX];
    uint64_t written = 0;
    for (size_t n; engine_has_work(e); written += n)
        must(engine_step(e, out, ARRAY_COUNT(out), &n), "step", NULL);
    return written;
}

static void run(struct bench *b, uint32_t jobs)
{
    uint32_t prompt[PROMPT_MAX];
    for (uint32_t i = 0; i < b->prompt_len; i++)
        prompt[i] = (i * 7919u + 13) % b->model.config.vocab;
    for (uint32_t k = 0; k < jobs; k++) {
        struct engine_job job = { .id = k, .tokens = prompt, .n = b->prompt_len, .max_tokens = b->answer_len + 1,
                                  .allowed = 1, .params = { .top_p_micro = 1000000 } };
        must(engine_start(b->engine, &job), "start", NULL);
    }
    uint64_t start = pool_clock_us();
    step_while_work(b->engine);
    double prefill = seconds_since(start);
    for (uint32_t k = 0; k < jobs; k++)
        must(engine_allow(b->engine, k, b->answer_len + 1), "allow", NULL);
    start = pool_clock_us();
    uint64_t written = step_while_work(b->engine);
    double decode = seconds_since(start);
    printf("  %u job%s: prefill %8.1f t/s   decode %8.1f t/s in total, %.2f ms per step\n", jobs, jobs == 1 ? " " : "s",
           jobs * b->prompt_len / prefill, (double)written / decode, decode * 1e3 * jobs / (double)written);
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
    if (strcmp(size, "8b") == 0) {
        spec.layers = 32, spec.dim = 4096, spec.heads = 32, spec.kv_heads = 8, spec.head_dim = 128, spec.ffn_dim = 14336;
        spec.vocab = 128256, spec.context = 8192, spec.tied = false;
    }
    return tiny_llama_write(&spec);
}

int main(int argc, char **argv)
{
    struct engine_options o = { .threads = 1 };
    const char *random = "7m", *path = NULL;
    uint32_t prompt_len = PROMPT_USUAL, answer_len = ANSWER_USUAL, jobs = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--backend") == 0)
            o.backend = value, i++;
        else if (strcmp(argv[i], "--threads") == 0)
            o.threads = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--prompt") == 0)
            prompt_len = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--answer") == 0)
            answer_len = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--jobs") == 0)
            jobs = (uint32_t)atoi(value), i++;
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
    if (prompt_len == 0 || prompt_len > PROMPT_MAX || answer_len == 0 || answer_len > ANSWER_MAX || jobs > JOBS_MAX ||
        prompt_len + answer_len >= b.model.config.context) {
        fprintf(stderr, "prompt, answer or jobs over the bounds of this program or of the model's context\n");
        return 1;
    }
    b.prompt_len = prompt_len;
    b.answer_len = answer_len;
    o.slots_max = jobs ? jobs : JOBS_USUAL;
    o.kv_tokens_max = o.slots_max * (prompt_len + answer_len + 1 + PAGE_TOKENS);
    uint64_t start = pool_clock_us();
    must(engine_open(&b.model, &o, &b.engine, &why), "engine", &why);
    printf("%s, %u thread(s), opened in %.2f s, prompts of %u, answers of %u\n", engine_backend(b.engine),
           o.threads, seconds_since(start), b.prompt_len, b.answer_len);
    if (jobs) {
        run(&b, jobs);
    } else {
        run(&b, 1);
        run(&b, 1);
        run(&b, JOBS_USUAL);
    }
    engine_close(b.engine);
    return 0;
}
