/* bench_gpu.c - how many tokens per second does an 8B-shaped model make on this GPU? Not a test.
 *
 *     bench_gpu READ_GB_S q8_0 | q4_k_m         prefill, decode and verification by the engine
 *     bench_gpu READ_GB_S FOLDER/MODEL.gguf     the same of a file
 *     bench_gpu READ_GB_S kernels               each matrix kernel alone (bench_kernels.c)
 *
 * READ_GB_S is the rate at which the GPU reads its memory (bench_bandwidth.cu), of which the shares are. The 8B-shaped
 * models need no file and little of the host's memory: all matrices of a type lie in the same random blocks here, and
 * each has a place of its own on the device. Every figure is the better of two runs; the first also captures the
 * graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/engine.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "kernels/pool_posix.h"
#include "tests/gguf_writer.h"
#include "tests/gpu/bench_kernels.h"

enum { LAYERS = 32, DIM = 4096, HEADS = 32, KV_HEADS = 8, HEAD_DIM = 128, FFN = 14336, VOCAB = 128256, CONTEXT = 8192,
       THREADS = 16, SLOTS = 64, TOKENS_MAX = 8192, BLOCKS_AT_ONCE = 1 << 14 };

static struct pool *pool;

static void must(enum err e, const char *what, const struct fault *why)
{
    if (e == OK)
        return;
    fprintf(stderr, "%s: %s %s\n", what, err_text(e), why ? why->text : "");
    exit(1);
}

/* --- a model out of nothing --------------------------------------------------------------------------------------- */

struct random_blocks {
    const struct block_format *format;
    uint8_t *data;
    size_t blocks;
};

/* Blocks whose weights are of the order of 1 / sqrt(DIM), so that activations stay sane through all layers. */
static void fill_some(void *ctx, uint32_t item)
{
    const struct random_blocks *b = ctx;
    size_t first = (size_t)item * BLOCKS_AT_ONCE, end = first + BLOCKS_AT_ONCE;
    uint16_t d = gguf_writer_half(b->format->has_scale ? 0x1p-14f : 0x1p-12f);
    struct rng r;
    rng_init(&r, item + 1);
    for (size_t i = first; i < end && i < b->blocks; i++) {
        uint8_t *block = b->data + i * b->format->bytes;
        rng_bytes(&r, block, b->format->bytes);
        memcpy(block + b->format->half_at, &d, 2);
        if (b->format->has_min)
            memcpy(block + b->format->half_at + 2, &d, 2);
    }
}

/* As many bytes as the greatest matrix of this type will want. */
static const uint8_t *blocks_of(enum tensor_type type)
{
    static struct random_blocks known[64];
    struct random_blocks *b = &known[type];
    if (!b->data) {
        b->format = block_format(type);
        ENSURE(b->format);
        b->blocks = (size_t)VOCAB * DIM / b->format->len;
        b->data = malloc(b->blocks * b->format->bytes);
        ENSURE(b->data);
        pool_run(pool, (uint32_t)(b->blocks / BLOCKS_AT_ONCE + 1), fill_some, b);
    }
    return b->data;
}

static struct tensor matrix(enum tensor_type type, uint32_t cols, uint32_t rows)
{
    struct tensor t;
    must(tensor_init(&t, (uint32_t)type, 2, (const uint64_t[TENSOR_DIMS_MAX]){ cols, rows, 1, 1 }), "tensor", NULL);
    t.data = blocks_of(type);
    return t;
}

static struct tensor norm(void)
{
    static float ones[DIM];
    struct tensor t;
    for (uint32_t i = 0; i < DIM; i++)
        ones[i] = 1.0f;
    must(tensor_init(&t, TENSOR_F32, 1, (const uint64_t[TENSOR_DIMS_MAX]){ DIM, 1, 1, 1 }), "tensor", NULL);
    t.data = (const uint8_t *)ones;
    return t;
}

/* Q4_K_M: half of the values and of the down projections, and the head, are Q6_K. */
static struct model random_model(bool is_mixed)
{
    static struct model_layer layers[LAYERS];
    enum tensor_type most = is_mixed ? TENSOR_Q4_K : TENSOR_Q8_0, some = is_mixed ? TENSOR_Q6_K : TENSOR_Q8_0;
    for (uint32_t i = 0; i < LAYERS; i++) {
        enum tensor_type better = i < LAYERS / 8 || i >= 7 * LAYERS / 8 || (i - LAYERS / 8) % 3 == 2 ? some : most;
        layers[i] = (struct model_layer){
            .attn_norm = norm(), .ffn_norm = norm(), .attn_q = matrix(most, DIM, HEADS * HEAD_DIM),
            .attn_k = matrix(most, DIM, KV_HEADS * HEAD_DIM), .attn_v = matrix(better, DIM, KV_HEADS * HEAD_DIM),
            .attn_output = matrix(most, HEADS * HEAD_DIM, DIM), .ffn_gate = matrix(most, DIM, FFN),
            .ffn_up = matrix(most, DIM, FFN), .ffn_down = matrix(better, FFN, DIM),
        };
    }
    return (struct model){
        .config = { .layers = LAYERS, .dim = DIM, .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = HEAD_DIM,
                    .ffn_dim = FFN, .vocab = VOCAB, .context = CONTEXT, .rope_dims = HEAD_DIM, .rope_base = 500000.0f,
                    .rope_factor = 1.0f, .rms_eps = 1e-5f },
        .token_embd = matrix(most, DIM, VOCAB), .output_norm = norm(), .output = matrix(some, DIM, VOCAB),
        .layers = layers,
    };
}

static struct model model_of_file(const char *path)
{
    struct fault why = { "" };
    struct modelfile file;
    struct gguf g;
    struct model model;
    must(modelfile_open(path, &file, &why), path, &why);
    must(gguf_open(file.bytes, false, &g, &why), path, &why);
    must(model_open(&g, &model, &why), path, &why);
    gguf_close(&g);
    return model;
}

/* --- what the engine makes of it ---------------------------------------------------------------------------------- */

struct figures {
    double prefill, decode;              /* tokens per second, all jobs together */
};

static const struct sampler_params GREEDY = { .top_p_micro = 1000000 };

static double seconds_since(uint64_t start) { return (double)(pool_clock_us() - start) * 1e-6; }

static uint32_t step_while_work(struct engine *e, uint32_t *answer)
{
    static struct engine_output out[SLOTS];
    uint32_t written = 0;
    for (size_t n; engine_has_work(e); written += (uint32_t)n) {
        must(engine_step(e, out, ARRAY_COUNT(out), &n), "step", NULL);
        for (size_t i = 0; i < n; i++) {
            must(out[i].error, "an answer", NULL);
            if (answer)
                answer[out[i].position] = out[i].token;
        }
    }
    return written;
}

/* All prompts are read before the first job goes on to its second token, so the two figures do not mix. */
static struct figures run(struct engine *e, uint32_t *tokens, uint32_t jobs, uint32_t prompt, uint32_t answer)
{
    for (uint32_t k = 0; k < jobs; k++) {
        struct engine_job job = { .id = k, .tokens = tokens, .n = prompt, .max_tokens = answer + 1, .allowed = 1,
                                  .params = GREEDY };
        must(engine_start(e, &job), "start", NULL);
    }
    uint64_t start = pool_clock_us();
    (void)step_while_work(e, NULL);
    struct figures f = { .prefill = jobs * prompt / seconds_since(start) };
    for (uint32_t k = 0; k < jobs; k++)
        must(engine_allow(e, k, answer + 1), "allow", NULL);
    start = pool_clock_us();
    f.decode = step_while_work(e, NULL) / seconds_since(start);
    return f;
}

static void print_row(struct engine *e, uint32_t *tokens, double read_gb_s, const uint32_t (*row)[3])
{
    uint32_t jobs = (*row)[0], prompt = (*row)[1], answer = (*row)[2];
    if (prompt + answer >= engine_context(e))
        return;
    struct figures a = run(e, tokens, jobs, prompt, answer), b = run(e, tokens, jobs, prompt, answer);
    double prefill = a.prefill > b.prefill ? a.prefill : b.prefill, decode = a.decode > b.decode ? a.decode : b.decode;
    double steps = decode / jobs, share = steps * (double)engine_weight_bytes(e) / (read_gb_s * 1e9);
    printf("  %2u x (%4u + %3u)   prefill %8.0f t/s   decode %8.1f t/s, %6.2f ms a step, %3.0f %% of the bandwidth\n",
           jobs, prompt, answer, prefill, decode, 1e3 / steps, 100 * share);
    fflush(stdout);
}

struct scoring {
    const uint32_t *tokens;
    uint32_t seen, different;
};

static bool count_token(void *ctx, uint32_t position, uint32_t token, struct bytes head)
{
    struct scoring *s = ctx;
    (void)head;
    s->seen++;
    s->different += token != s->tokens[position];
    return true;
}

/* What it costs to check an answer beside making it. */
static void print_verification(struct engine *e, uint32_t *tokens)
{
    enum { PROMPT = 32, ANSWER = 256 };
    double made = 1e9, checked = 1e9;
    struct scoring s = { .tokens = tokens };
    for (uint32_t i = 0; i < 3; i++) {
        struct engine_job job = { .id = 1, .tokens = tokens, .n = PROMPT, .max_tokens = ANSWER, .params = GREEDY,
                                  .want_head_bytes = true };
        uint64_t start = pool_clock_us();
        must(engine_start(e, &job), "start", NULL);
        (void)step_while_work(e, tokens);
        double took = seconds_since(start);
        made = took < made ? took : made;
        s.seen = 0;
        start = pool_clock_us();
        must(engine_score(e, tokens, PROMPT, PROMPT + ANSWER, &GREEDY, count_token, &s), "score", NULL);
        took = seconds_since(start);
        checked = took < checked ? took : checked;
    }
    bool same = s.different == 0 && s.seen == ANSWER;
    printf("  verifying %d tokens after %d: %.1f ms; making them: %.1f ms; ratio %.1f %%%s\n", ANSWER, PROMPT,
           checked * 1e3, made * 1e3, 100 * checked / made, same ? "" : "; AND THEY DIFFER");
    if (!same)
        exit(1);
}

static void bench_engine(const char *type, double read_gb_s)
{
    static const uint32_t rows[][3] = { { 1, 512, 128 }, { 1, 2048, 64 },  { 1, 8000, 64 },
                                        { 8, 512, 64 },  { 32, 128, 64 }, { 64, 128, 64 } };
    static uint32_t tokens[TOKENS_MAX];
    struct fault why = { "" };
    struct engine *e;
    uint64_t start = pool_clock_us();
    struct model model = strchr(type, '/') ? model_of_file(type) : random_model(strcmp(type, "q4_k_m") == 0);
    double made = seconds_since(start);
    struct engine_options o = { .backend = "cuda", .threads = THREADS, .slots_max = SLOTS, .prefill_chunk = 2048,
                                .kv_tokens_max = SLOTS * 512 };
    start = pool_clock_us();
    must(engine_open(&model, &o, &e, &why), "engine", &why);
    printf("%s: made in %.1f s, opened in %.1f s (%.1f GB of weights a step)\n", type, made,
           seconds_since(start), (double)engine_weight_bytes(e) * 1e-9);
    fflush(stdout);
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        tokens[i] = (i * 7919u + 13) % engine_vocab(e);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        print_row(e, tokens, read_gb_s, &rows[i]);
    print_verification(e, tokens);
    engine_close(e);
}

int main(int argc, char **argv)
{
    double read_gb_s = argc > 2 ? atof(argv[1]) : 0;
    if (read_gb_s <= 0) {
        fprintf(stderr, "usage: bench_gpu READ_GB_S q8_0 | q4_k_m | FOLDER/MODEL.gguf | kernels\n");
        return 2;
    }
    must(pool_open(THREADS, &pool), "threads", NULL);
    if (strcmp(argv[2], "kernels") == 0)
        bench_kernels(read_gb_s);
    else
        bench_engine(argv[2], read_gb_s);
    pool_close(pool);
    return 0;
}
