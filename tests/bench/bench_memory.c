/* bench_memory.c - how fast does this machine read memory? Not a test.
 *
 *     bench_memory [THREADS]
 *
 * Decoding one answer reads every weight once per token, so tokens/s times bytes of weights cannot pass this rate.
 * Each thread reads its own half GiB as STREAMS interleaved streams with prefetch: one stream per core leaves a third of
 * the bandwidth unused on machines measured so far, and the probe has to be better than any kernel it judges.
 * Prints the best of ROUNDS rounds, and all of them, since a virtual machine's share drifts within seconds.
 * `tally bench` has a probe of its own (kernels/measure_posix.h); this one shares nothing with the engine, no pool and no
 * pages, and so says whether that one is too kind.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pool_posix.h"

enum {
    THREADS_MAX = 64,
    THREAD_BYTES = 512 << 20,
    STREAMS = 8,
    STREAM_BYTES = THREAD_BYTES / STREAMS,
    LINE = 64,
    AHEAD = 2048,
    ROUNDS = 8
};

struct line {
    uint64_t words __attribute__((vector_size(LINE)));
};

struct reader {
    const struct line *memory;       /* STREAMS x STREAM_BYTES */
    pthread_barrier_t *gate;         /* of all readers: before and after each round */
    uint64_t sum;                    /* so that no load can be left out */
};

#if defined __x86_64__ && defined __GNUC__
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t read_all(const struct line *memory)
{
    enum { LINES = STREAM_BYTES / LINE, LINES_AHEAD = AHEAD / LINE };
    struct line sum = { { 0 } };
    for (size_t i = 0; i < LINES; i++) {
        for (size_t s = 0; s < STREAMS; s++) {
            __builtin_prefetch(&memory[s * LINES + i + LINES_AHEAD]);
            sum.words ^= memory[s * LINES + i].words;
        }
    }
    return sum.words[0] ^ sum.words[1] ^ sum.words[2] ^ sum.words[3] ^ sum.words[4] ^ sum.words[5] ^ sum.words[6] ^
           sum.words[7];
}

/* The thread that takes the time reads as well: one that only waited could be late to see the start. */
static double read_round(struct reader *r)
{
    pthread_barrier_wait(r->gate);
    uint64_t start = pool_clock_us();
    r->sum += read_all(r->memory);
    pthread_barrier_wait(r->gate);
    return (double)(pool_clock_us() - start) * 1e-6;
}

static void *reader_main(void *ctx)
{
    for (int round = 0; round < ROUNDS; round++)
        read_round(ctx);
    return NULL;
}

static const struct line *filled_memory(void)
{
    void *m = aligned_alloc(LINE, THREAD_BYTES + AHEAD);   /* the last prefetches lie inside it too */
    if (!m) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    memset(m, 1, THREAD_BYTES + AHEAD);
    return m;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    if (threads == 0 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: bench_memory [THREADS], at most %d\n", THREADS_MAX);
        return 1;
    }
    static struct reader readers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        readers[i] = (struct reader){ .memory = filled_memory(), .gate = &gate };
        if (i > 0 && pthread_create(&ids[i], NULL, reader_main, &readers[i]) != 0) {
            fprintf(stderr, "no thread\n");
            return 1;
        }
    }
    double rates[ROUNDS], best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        rates[round] = (double)THREAD_BYTES * threads / read_round(&readers[0]) * 1e-9;
        best = rates[round] > best ? rates[round] : best;
    }
    printf("%u thread(s) read %.1f GB/s; rounds:", threads, best);
    for (int round = 0; round < ROUNDS; round++)
        printf(" %.1f", rates[round]);
    printf("\n");
    for (unsigned i = 0; i < threads; i++) {
        if (i > 0)
            pthread_join(ids[i], NULL);
        free((void *)(uintptr_t)readers[i].memory);
    }
    pthread_barrier_destroy(&gate);
    return 0;
}
