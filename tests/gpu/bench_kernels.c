/* bench_kernels.c - a matrix of 14336 x 4096 of each type times 1 to 2048 tokens: microseconds, share of the bandwidth
 * for a few, 10^12 multiplications a second for many.
 *
 * The bits are random: speed does not depend on them. Launches go round through copies of the matrix that together are
 * more than the second-level cache, and are timed between two events. */
#include "tests/gpu/bench_kernels.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/cuda/pack.h"
#include "kernels/ops.h"

enum { ROWS = 14336, COLS = 4096, TOKENS_MAX = 2048, COPIES_MAX = 32, HOST_BYTES = 1 << 24 };
#define COPIES_BYTES ((size_t)400 << 20)

static void must(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
    exit(1);
}

static void *device_bytes(size_t bytes)
{
    void *p = NULL;
    must(cudaMalloc(&p, bytes), "cudaMalloc");
    return p;
}

/* Device memory of random bits. */
static void *random_device_bytes(size_t bytes)
{
    static uint8_t *noise;
    if (!noise) {
        struct rng r;
        noise = malloc(HOST_BYTES);
        ENSURE(noise);
        rng_init(&r, 1);
        rng_bytes(&r, noise, HOST_BYTES);
    }
    uint8_t *p = device_bytes(bytes);
    for (size_t at = 0; at < bytes; at += HOST_BYTES) {
        size_t n = bytes - at < HOST_BYTES ? bytes - at : HOST_BYTES;
        must(cudaMemcpy(p + at, noise, n, cudaMemcpyHostToDevice), "cudaMemcpy");
    }
    return p;
}

struct setting {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    struct cuda_matrix copies[COPIES_MAX];
    uint32_t count;
    struct cuda_acts acts;
    float *x, *y;
};

static void multiply(const struct setting *s, uint32_t copy, uint32_t tokens)
{
    const struct cuda_matrix *w = &s->copies[copy % s->count];
    if (block_format((enum tensor_type)w->type))
        cuda_matmul(w, &s->acts, tokens, s->y, ROWS, s->stream);
    else
        cuda_matmul_float(w, s->x, tokens, s->y, ROWS, s->stream);
}

/* Microseconds of one product: the best of three rounds through all copies, and a few more. */
static double measure(const struct setting *s, uint32_t tokens)
{
    double best = 1e30;
    uint32_t launches = tokens > 64 ? 6 : 2 * s->count;
    for (uint32_t round = 0; round < 4; round++) {
        float ms = 0;
        must(cudaEventRecord(s->begin, s->stream), "event");
        for (uint32_t i = 0; i < launches; i++)
            multiply(s, i, tokens);
        must(cudaEventRecord(s->end, s->stream), "event");
        must(cudaGetLastError(), "launch");
        must(cudaEventSynchronize(s->end), "kernel");
        must(cudaEventElapsedTime(&ms, s->begin, s->end), "event");
        double us = (double)ms * 1e3 / launches;
        best = round > 0 && us < best ? us : best;
    }
    return best;
}

static void bench_type(struct setting *s, enum cuda_type type, double read_gb_s)
{
    static const uint32_t few[] = { 1, 4, 8 }, many[] = { 16, 64, 128, 512, 2048 };
    size_t bytes = cuda_packed_bytes(type, ROWS, COLS);
    bool is_float = !block_format((enum tensor_type)type);
    s->count = (uint32_t)(COPIES_BYTES / bytes + 1);
    s->count = s->count < COPIES_MAX ? s->count : COPIES_MAX;
    for (uint32_t i = 0; i < s->count; i++)
        s->copies[i] = (struct cuda_matrix){ .type = type, .rows = ROWS, .cols = COLS,
                                             .packed = random_device_bytes(bytes) };
    printf("  %-7s", tensor_type_name((uint32_t)type));
    s->acts.group = is_float ? 256 : ops_act_group((enum tensor_type)type);
    for (size_t i = 0; i < ARRAY_COUNT(few); i++) {
        double us = measure(s, few[i]);
        printf("  %6.1f us %3.0f %%", us, 100 * (double)bytes / (us * 1e3) / read_gb_s);
    }
    for (size_t i = 0; i < ARRAY_COUNT(many) && !is_float; i++) {
        double us = measure(s, many[i]);
        printf("  %7.1f us %4.0f T", us, (double)ROWS * COLS * many[i] / us * 1e-6);
    }
    printf("\n");
    fflush(stdout);
    for (uint32_t i = 0; i < s->count; i++)
        must(cudaFree((void *)(uintptr_t)s->copies[i].packed), "cudaFree");
}

void bench_kernels(double read_gb_s)
{
    struct setting s = { 0 };
    size_t blocks = (size_t)TOKENS_MAX * (COLS / 256);
    must(cudaSetDevice(0), "cudaSetDevice");
    must(cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking), "stream");
    must(cudaEventCreate(&s.begin), "event");
    must(cudaEventCreate(&s.end), "event");
    s.acts = (struct cuda_acts){ .cols = COLS, .q = random_device_bytes(blocks * 256),
                                 .d = random_device_bytes(blocks * CUDA_ACT_SCALES * 4),
                                 .sums = random_device_bytes(blocks * CUDA_ACT_SUMS) };
    s.x = random_device_bytes((size_t)TOKENS_MAX * COLS * 4);
    s.y = device_bytes((size_t)TOKENS_MAX * ROWS * 4);
    printf("%d x %d times 1, 4, 8 tokens (share of the bandwidth), then 16, 64, 128, 512, 2048 (T products a second)\n",
           ROWS, COLS);
    for (size_t i = 0; block_format_at(i); i++)
        bench_type(&s, (enum cuda_type)block_format_at(i)->type, read_gb_s);
    bench_type(&s, CUDA_F16, read_gb_s);
    bench_type(&s, CUDA_F32, read_gb_s);
}
