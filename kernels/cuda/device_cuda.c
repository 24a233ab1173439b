/* device_cuda.c - passes, tokens and head bytes on a GPU. */
#include "kernels/cuda/device_cuda.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/cuda/pass_cuda.h"
#include "kernels/cuda/selftest_cuda.h"
#include "kernels/cuda/weights_cuda.h"
#include "kernels/kvpages.h"
#include "kernels/pool_posix.h"
#include "kernels/quant.h"
#include "kernels/transformer.h"

/* Graphs are kept per number of rows and per power of two of chunks (positions are below 2^20: 4096 chunks). */
enum { GRAPH_ROWS = 8, GRAPH_CHUNKS = 13, NAME_BYTES = 16 };

struct gpu {
    struct device base;
    const struct model *model;
    int number;
    char name[NAME_BYTES];
    bool lost;                           /* an error was seen: for good */
    uint32_t blocks_wanted;              /* blocks of threads that keep the machine busy */
    cudaStream_t stream;
    struct selftest selftest;
    struct cuda_weights weights;
    struct kvpages pages;
    struct pass pass;
    struct pass_shape last;
    cudaGraphExec_t graphs[GRAPH_ROWS][GRAPH_CHUNKS];
};

static struct gpu *gpu_of(struct device *d) { return (struct gpu *)(void *)d; }
static const struct gpu *gpu_of_const(const struct device *d) { return (const struct gpu *)(const void *)d; }

/* The outcome of work on the device; a failure is remembered. */
static enum err settle(struct gpu *g, enum err e)
{
    if (e == OK)
        return OK;
    g->lost = true;
    return ERR_DEVICE;
}

/* At the head of every call that touches the device: the caller's thread may have used another one. */
static enum err enter(struct gpu *g)
{
    return g->lost || cudaSetDevice(g->number) != cudaSuccess ? settle(g, ERR_DEVICE) : OK;
}

static enum err wait(struct gpu *g) { return cudaStreamSynchronize(g->stream) == cudaSuccess ? OK : ERR_DEVICE; }

/* --- struct device_ops -------------------------------------------------------------------------------------------- */

static void gpu_close(struct device *d)
{
    struct gpu *g = gpu_of(d);
    (void)cudaSetDevice(g->number);
    for (uint32_t i = 0; i < GRAPH_ROWS; i++)
        for (uint32_t k = 0; k < GRAPH_CHUNKS; k++)
            if (g->graphs[i][k])
                (void)cudaGraphExecDestroy(g->graphs[i][k]);
    selftest_fini(&g->selftest);
    pass_fini(&g->pass);
    weights_free(&g->weights);
    if (g->pages.tables)
        kvpages_fini(&g->pages);
    if (g->stream)
        (void)cudaStreamDestroy(g->stream);
    free(g);
}

static const char *gpu_name(const struct device *d) { return gpu_of_const(d)->name; }

static enum err gpu_self_test(struct device *d)
{
    struct gpu *g = gpu_of(d);
    enum err e = enter(g);
    return e == OK ? settle(g, selftest_run(&g->selftest, g->stream)) : e;
}

static enum err gpu_reserve(struct device *d, uint32_t slot, uint32_t positions)
{
    struct gpu *g = gpu_of(d);
    enum err e = enter(g);
    if (e == OK)
        e = kvpages_reserve(&g->pages, slot, positions);
    if (e != OK)
        return e;
    e = settle(g, pass_send_table(&g->pass, g->pages.tables + (size_t)slot * g->pages.per_slot, slot, g->stream));
    if (e != OK)
        kvpages_release(&g->pages, slot);
    return e;
}

static void gpu_release(struct device *d, uint32_t slot) { kvpages_release(&gpu_of(d)->pages, slot); }

/* Blocks for each chunk where the chunks of one block would leave most of the machine idle, and there is room for
 * the parts. */
static bool is_split(const struct gpu *g, const struct pass_shape *s, bool is_small)
{
    const struct model_config *c = &g->model->config;
    bool fits = cuda_partial_floats(s->n, c->heads, s->chunks, c->head_dim) <= g->pass.partial_floats;
    return fits && (is_small || s->tiles * c->kv_heads < g->blocks_wanted);
}

static uint32_t log2_above(uint32_t x)
{
    uint32_t k = 0;
    while (1u << k < x)
        k++;
    return k;
}

/* OK with *out NULL: the device has no memory left for a graph, and is well. */
static enum err capture(struct gpu *g, const struct pass_shape *s, cudaGraphExec_t *out)
{
    cudaGraph_t graph = NULL;
    if (cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeThreadLocal) != cudaSuccess)
        return ERR_DEVICE;
    enum err e = pass_enqueue(&g->pass, s, g->stream);
    if (cudaStreamEndCapture(g->stream, &graph) != cudaSuccess || !graph)
        return ERR_DEVICE;
    cudaError_t made = e == OK ? cudaGraphInstantiate(out, graph, 0) : cudaSuccess;
    (void)cudaGraphDestroy(graph);
    if (made == cudaSuccess)
        return e;
    *out = NULL;
    if (made != cudaErrorMemoryAllocation)
        return ERR_DEVICE;
    (void)cudaGetLastError();                              /* the next launch shall not be blamed */
    return OK;
}

/* A few rows, all wanted: as a graph whose grids have room for the next power of two of chunks. Without memory for a
 * graph the launches go one by one: slower, the same bits. */
static enum err play(struct gpu *g, struct pass_shape s)
{
    uint32_t k = log2_above(s.chunks);
    s.chunks = 1u << k < g->pages.per_slot ? 1u << k : g->pages.per_slot;
    s.split = is_split(g, &s, true);
    cudaGraphExec_t *graph = &g->graphs[s.n - 1][k];
    if (!*graph && capture(g, &s, graph) != OK)
        return ERR_DEVICE;
    if (!*graph)
        return pass_enqueue(&g->pass, &s, g->stream);
    return cudaGraphLaunch(*graph, g->stream) == cudaSuccess ? OK : ERR_DEVICE;
}

static uint32_t last_position(const struct row *rows, uint32_t n)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < n; i++)
        last = rows[i].position > last ? rows[i].position : last;
    return last;
}

static enum err forward(struct gpu *g, const struct row *rows, uint32_t n)
{
    struct pass_shape s = pass_prepare(&g->pass, rows, n, n <= GRAPH_ROWS);
    if (pass_reach(&g->pass, last_position(rows, n), g->stream) != OK)
        return ERR_DEVICE;
    g->last = s;
    if (n <= GRAPH_ROWS && s.wanted == n)
        return play(g, s) == OK ? wait(g) : ERR_DEVICE;
    s.split = is_split(g, &s, false);
    return pass_enqueue(&g->pass, &s, g->stream) == OK ? wait(g) : ERR_DEVICE;
}

static enum err gpu_forward(struct device *d, const struct row *rows, uint32_t n)
{
    struct gpu *g = gpu_of(d);
    ENSURE(n > 0);
    ENSURE(n <= g->pass.shape.rows_max);
    enum err e = enter(g);
    return e == OK ? settle(g, forward(g, rows, n)) : e;
}

static bool gpu_row_failed(const struct device *d, uint32_t i)
{
    const struct gpu *g = gpu_of_const(d);
    ENSURE(i < g->last.n);
    return g->pass.results.bad[i] != 0;
}

static enum err pick_some(struct gpu *g, struct pick *picks, uint32_t n)
{
    struct cuda_pick *asked = g->pass.results.picks;
    for (uint32_t i = 0; i < n; i++)
        asked[i] = (struct cuda_pick){ .temperature_micro = picks[i].params->temperature_micro,
                                       .top_k = picks[i].params->top_k,
                                       .top_p_micro = picks[i].params->top_p_micro, .position = picks[i].position,
                                       .seed = picks[i].params->seed, .row = i };
    if (pass_enqueue_picks(&g->pass, picks[0].wanted, n, g->stream) != OK || wait(g) != OK)
        return ERR_DEVICE;
    for (uint32_t i = 0; i < n; i++) {
        picks[i].error = asked[i].bad ? ERR_NUMERIC : OK;
        picks[i].token = asked[i].token;
    }
    return OK;
}

static enum err gpu_pick(struct device *d, struct pick *picks, uint32_t n)
{
    struct gpu *g = gpu_of(d);
    enum err e = enter(g);
    for (uint32_t first = 0, count; e == OK && first < n; first += count) {
        ENSURE(picks[first].wanted < g->last.wanted);
        count = 1;
        while (first + count < n && count < PASS_PICKS_MAX &&
               picks[first + count].wanted == picks[first].wanted + count)
            count++;
        ENSURE(picks[first].wanted + count <= g->last.wanted);
        e = settle(g, pick_some(g, picks + first, count));
    }
    return e;
}

static void gpu_head_bytes(const struct device *d, uint32_t wanted, uint8_t *out)
{
    const struct gpu *g = gpu_of_const(d);
    const struct pass_results *r = &g->pass.results;
    uint32_t dim = g->model->config.dim;
    ENSURE(wanted < g->last.wanted);
    enum tensor_type type = (enum tensor_type)g->weights.head.type;
    struct acts acts = { .cols = dim, .group = ops_act_group(type), .q = r->q, .d = r->d };
    quant_write_head(type, dim, r->h + (size_t)wanted * dim, &acts, wanted, out);
}

static const struct device_ops gpu_ops = {
    .close = gpu_close,
    .name = gpu_name,
    .self_test = gpu_self_test,
    .reserve = gpu_reserve,
    .release = gpu_release,
    .forward = gpu_forward,
    .row_failed = gpu_row_failed,
    .pick = gpu_pick,
    .head_bytes = gpu_head_bytes,
};

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* "cuda" or "cuda:N" of a device that is there; else -1. */
static int number_of(const char *name)
{
    int number = 0, count = 0;
    if (!name || strncmp(name, "cuda", 4) != 0)
        return -1;
    const char *digits = name + 4;
    if (*digits == ':') {
        if (digits[1] < '0' || digits[1] > '9')
            return -1;
        for (digits++; *digits >= '0' && *digits <= '9' && number < 1000; digits++)
            number = number * 10 + (*digits - '0');
    }
    if (*digits != '\0')
        return -1;
    if (cudaGetDeviceCount(&count) != cudaSuccess) {
        (void)cudaGetLastError();
        return -1;
    }
    return number < count ? number : -1;
}

bool device_cuda_is_here(const char *name) { return number_of(name) >= 0; }

static enum err open_stream(struct gpu *g, struct fault *why)
{
    int multiprocessors = 0;
    bool fine = cudaSetDevice(g->number) == cudaSuccess &&
                cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, g->number) == cudaSuccess &&
                cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking) == cudaSuccess;
    if (!fine)
        return fault_set(why, ERR_DEVICE, "%s does not answer: %s", g->name, cudaGetErrorString(cudaGetLastError()));
    g->blocks_wanted = 4 * (uint32_t)multiprocessors;
    enum err e = selftest_init(&g->selftest, why);
    if (e != OK)
        return e;
    if (selftest_run(&g->selftest, g->stream) != OK)
        return fault_set(why, ERR_DEVICE, "%s does not compute what NV1 says", g->name);
    return OK;
}

static enum err upload(struct gpu *g, uint32_t threads, struct fault *why)
{
    struct pool *pool;
    enum err e = pool_open(threads, &pool);
    if (e != OK)
        return fault_set(why, e, "threads that pack the weights could not be started");
    e = weights_upload(&g->weights, g->model, pool, g->stream, why);
    pool_close(pool);
    return e;
}

static enum err build(struct gpu *g, uint32_t threads, const struct device_shape *shape, struct fault *why)
{
    enum err e = transformer_check_limits(&g->model->config, why);
    if (e == OK)
        e = open_stream(g, why);
    if (e != OK)
        return e;
    e = kvpages_init(&g->pages, shape->slots, shape->pages, shape->pages_per_slot);
    if (e != OK)
        return fault_set(why, e, "not enough memory for the table of pages");
    e = pass_init(&g->pass, g->model, &g->weights, shape, why);
    return e == OK ? upload(g, threads, why) : e;
}

enum err device_cuda_open(const struct model *model, const char *name, uint32_t threads,
                          const struct device_shape *shape, struct device **out, struct fault *why)
{
    int number = number_of(name);
    if (number < 0)
        return fault_set(why, ERR_NOT_FOUND, "no device \"%.16s\" on this machine", name ? name : "");
    struct gpu *g = calloc(1, sizeof *g);
    if (!g)
        return fault_set(why, ERR_MEMORY, "not enough memory for an engine");
    *g = (struct gpu){ .base = { .ops = &gpu_ops }, .model = model, .number = number };
    (void)snprintf(g->name, sizeof g->name, "cuda:%d", number);
    enum err e = build(g, threads ? threads : 1, shape, why);
    if (e != OK) {
        gpu_close(&g->base);
        return e;
    }
    *out = &g->base;
    return OK;
}

uint64_t device_cuda_reserves(const struct model *model, const char *name, const struct device_shape *shape)
{
    if (number_of(name) < 0)
        return 0;
    return sizeof(struct gpu) + pass_host_bytes(model, shape) +
           kvpages_bytes(shape->slots, shape->pages, shape->pages_per_slot) +
           model->config.layers * sizeof(struct cuda_layer);
}
