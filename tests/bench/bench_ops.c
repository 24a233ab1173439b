/* bench_ops.c - how near do the matrix products come to what the machine can do? Not a test.
 *
 *     bench_ops [--backend NAME] [--threads N] [--type NAME] [--tokens N] [--mb N] [--pack]
 *
 * For every quantised type and 1, 8, 32 and 128 tokens (or N): bytes of packed weights and multiplications per second,
 * spread over a pool as the engine does it. Between the samples two probes run: reading memory as fast as it goes,
 * and, on x86 with VNNI, nothing but vpdpbusd on registers. The best sample of each is compared, so all of them saw
 * the same minute.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/backend.h"
#include "kernels/blocks.h"
#include "kernels/pages_posix.h"
#include "kernels/pool_posix.h"
#include "tests/kernels/random_input.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { COLS = 4096, TOKENS_MAX = 128, ROWS_PER_ITEM = 128, SAMPLES = 7, PEAK_STEPS = 1 << 17 };

struct bench {
    const struct ops *ops;
    struct pool *pool;
    struct matrix w;
    struct acts x;
    uint32_t n;
    float *y;
    size_t bytes;                /* of packed weights */
    _Atomic uint32_t sink;
};

/* With one thread, the time that it had the processor: other work on the machine then disturbs less. */
static double now(const struct bench *b)
{
    struct timespec t;
    if (pool_threads(b->pool) > 1)
        return (double)pool_clock_us() * 1e-6;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds(struct bench *b, uint32_t items, void (*fn)(void *, uint32_t))
{
    double start = now(b);
    pool_run(b->pool, items, fn, b);
    return now(b) - start;
}

static void multiply_item(void *ctx, uint32_t item)
{
    struct bench *b = ctx;
    uint32_t begin = item * ROWS_PER_ITEM, end = begin + ROWS_PER_ITEM;
    b->ops->matmul(&b->w, &b->x, b->n, begin, end < b->w.rows ? end : b->w.rows, b->y, b->w.rows);
}

static void pack_item(void *ctx, uint32_t item)
{
    struct bench *b = ctx;
    uint32_t begin = item * ROWS_PER_ITEM, end = begin + ROWS_PER_ITEM;
    b->ops->pack(&b->w, begin, end < b->w.rows ? end : b->w.rows, (uint8_t *)(uintptr_t)b->w.packed);
}

/* --- probes ----------------------------------------------------------------------------------------------------- */

enum { READ_ITEM = 1 << 19, STREAMS = 8 };

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint32_t read_all(const uint8_t *p, size_t bytes)
{
    __m256i s[2] = { _mm256_setzero_si256(), _mm256_setzero_si256() };
    size_t each = bytes / STREAMS;
    for (size_t i = 0; i < each; i += 64)
        for (size_t k = 0; k < STREAMS; k++) {
            const uint8_t *at = p + k * each + i;
            _mm_prefetch((const char *)at + 2048, _MM_HINT_T0);
            s[0] = _mm256_xor_si256(s[0], _mm256_loadu_si256((const __m256i *)at));
            s[1] = _mm256_xor_si256(s[1], _mm256_loadu_si256((const __m256i *)(at + 32)));
        }
    return (uint32_t)_mm256_extract_epi32(_mm256_xor_si256(s[0], s[1]), 0);
}

__attribute__((target("avx512f,avx512vnni"))) static uint32_t dot_steps(void)
{
    __m512i s[12], a = _mm512_set1_epi8(3), x = _mm512_set1_epi8(5);
#pragma GCC unroll 12
    for (int k = 0; k < 12; k++)
        s[k] = _mm512_set1_epi32(k);
    for (uint32_t i = 0; i < PEAK_STEPS; i++) {
#pragma GCC unroll 12
        for (int k = 0; k < 12; k++)
            __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(s[k]) : "v"(a), "v"(x));
    }
#pragma GCC unroll 12
    for (int k = 1; k < 12; k++)
        s[0] = _mm512_add_epi32(s[0], s[k]);
    return (uint32_t)_mm512_reduce_add_epi32(s[0]);
}
static bool has_peak(void) { return __builtin_cpu_supports("avx512vnni"); }
#else
static uint32_t read_all(const uint8_t *p, size_t bytes)
{
    uint64_t s = 0, v;
    for (size_t i = 0; i + sizeof v <= bytes; i += sizeof v) {
        memcpy(&v, p + i, sizeof v);
        s ^= v;
    }
    return (uint32_t)s;
}
static uint32_t dot_steps(void) { return 0; }
static bool has_peak(void) { return false; }
#endif

static void read_item(void *ctx, uint32_t item)
{
    struct bench *b = ctx;
    b->sink ^= read_all(b->w.packed + (size_t)item * READ_ITEM, READ_ITEM);
}

static void peak_item(void *ctx, uint32_t item)
{
    struct bench *b = ctx;
    b->sink ^= dot_steps() + item;
}

/* --- one type --------------------------------------------------------------------------------------------------- */

static void best(double *rate, double work, double s)
{
    if (work / s > *rate)
        *rate = work / s;
}

static void measure(struct bench *b, const char *type, uint32_t n)
{
    uint32_t threads = pool_threads(b->pool), items = (b->w.rows + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM;
    double macs = (double)b->w.rows * COLS * n, read = 0, peak = 0, bytes = 0, products = 0;
    b->n = n;
    for (int i = 0; i < SAMPLES; i++) {
        best(&read, (double)(b->bytes / READ_ITEM) * READ_ITEM, seconds(b, (uint32_t)(b->bytes / READ_ITEM),
                                                                        read_item));
        if (has_peak())
            best(&peak, 12.0 * 64 * PEAK_STEPS * threads, seconds(b, threads, peak_item));
        double s = seconds(b, items, multiply_item);
        best(&bytes, (double)b->bytes, s);
        best(&products, macs, s);
    }
    printf("%-7s %4u  %6.1f GB/s  %3.0f %% of %5.1f   %7.1f GMAC/s", type, n, bytes * 1e-9, 100 * bytes / read,
           read * 1e-9,
           products * 1e-9);
    if (peak > 0)
        printf("  %3.0f %% of %5.0f", 100 * products / peak, peak * 1e-9);
    printf("\n");
}

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return p;
}

static void run_type(struct bench *b, const struct block_format *f, size_t megabytes, uint32_t tokens, bool pack_only)
{
    struct rng r;
    rng_init(&r, 1);
    size_t row_bytes = (size_t)COLS / f->len * f->bytes;
    uint32_t rows = (uint32_t)(megabytes * 1000000 / row_bytes) / 256 * 256;
    uint8_t *data = must(malloc(rows * row_bytes));
    input_blocks(&r, f, data, (size_t)rows * COLS / f->len, false);
    for (size_t i = 0; f->type == TENSOR_MXFP4 && i < rows * row_bytes; i += f->bytes)
        data[i] = (uint8_t)(120 + data[i] % 8);    /* subnormal scales take a hundred cycles each */
    b->w = (struct matrix){ .type = f->type, .rows = rows, .cols = COLS, .data = data };
    b->bytes = b->ops->packed_bytes(f->type, rows, COLS);
    uint8_t *packed = b->bytes ? must(pages_alloc(b->bytes)) : NULL;
    if (packed)
        memset(packed, 0, b->bytes);
    else
        b->bytes = rows * row_bytes;
    b->w.packed = packed ? packed : data;
    if (packed) {
        double s = seconds(b, rows / ROWS_PER_ITEM, pack_item);
        printf("%-7s pack  %6.2f GB/s of the file, %.3f times its size\n", tensor_type_name(f->type),
               (double)(rows * row_bytes) / s * 1e-9, (double)b->bytes / (double)(rows * row_bytes));
    }
    b->y = must(malloc((size_t)rows * TOKENS_MAX * sizeof *b->y));
    for (uint32_t n = 1; n <= TOKENS_MAX && !pack_only; n = n == 1 ? 8 : n * 4)
        if (tokens == 0)
            measure(b, tensor_type_name(f->type), n);
    if (tokens > 0)
        measure(b, tensor_type_name(f->type), tokens);
    free(b->y);
    free(packed);
    free(data);
}

static void make_acts(struct bench *b)
{
    uint32_t blocks = ops_act_blocks(COLS);
    b->x = (struct acts){ .cols = COLS,
                          .q = must(malloc((size_t)TOKENS_MAX * COLS)),
                          .d = must(malloc((size_t)TOKENS_MAX * blocks * ACT_SCALES * sizeof(float))),
                          .sums = must(malloc((size_t)TOKENS_MAX * blocks * ACT_RUNS * sizeof(int16_t))) };
}

/* Inputs grouped as this type reads them. */
static void fill_acts(struct bench *b, enum tensor_type type)
{
    static float in[COLS];
    struct rng r;
    rng_init(&r, 2);
    b->x.group = ops_act_group(type);
    for (uint32_t t = 0; t < TOKENS_MAX; t++) {
        input_values(&r, INPUT_ORDINARY, in, COLS);
        (void)b->ops->quantize(in, &b->x, t);
    }
}

int main(int argc, char **argv)
{
    struct bench b = { .ops = backend_find(NULL) };
    uint32_t threads = 2;
    size_t megabytes = 128;
    const char *type = NULL;
    uint32_t tokens = 0;
    bool pack_only = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--backend") == 0)
            b.ops = backend_find(value), i++;
        else if (strcmp(argv[i], "--threads") == 0)
            threads = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--type") == 0)
            type = value, i++;
        else if (strcmp(argv[i], "--tokens") == 0)
            tokens = (uint32_t)atoi(value), i++;
        else if (strcmp(argv[i], "--mb") == 0)
            megabytes = (size_t)atoi(value), i++;
        else if (strcmp(argv[i], "--pack") == 0)
            pack_only = true;
    }
    if (!b.ops || tokens > TOKENS_MAX || pool_open(threads, &b.pool) != OK)
        return 1;
    make_acts(&b);
    printf("%s, %u threads, %zu MB of weights\n", b.ops->name, threads, megabytes);
    const struct block_format *f;
    for (size_t i = 0; (f = block_format_at(i)); i++)
        if (!type || strcmp(type, tensor_type_name(f->type)) == 0) {
            fill_acts(&b, f->type);
            run_type(&b, f, megabytes, tokens, pack_only);
        }
    pool_close(b.pool);
    free(b.x.q);
    free(b.x.d);
    free(b.x.sums);
    return 0;
}
