/* soak_main.c - runs one fuzz target on random bytes for a while, without libFuzzer.
 *
 * Usage: soak_x [SEED [SECONDS]]      says how many inputs it tried; a crash is the only failure, and the line before it
 * is the input in hexadecimal if SOAK_SHOW is set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 160 };

static void show(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf("%02x", data[i]);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, count = 0;
    time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 10);
    struct rng r;
    rng_init(&r, seed);
    for (; time(NULL) < end; count++) {
        uint8_t input[INPUT_BYTES_MAX];
        size_t size = (size_t)rng_below(&r, INPUT_BYTES_MAX - 8) + 8;
        rng_bytes(&r, input, size);
        if (getenv("SOAK_SHOW"))
            show(input, size);
        (void)LLVMFuzzerTestOneInput(input, size);
    }
    printf("seed %llu: %llu inputs\n", (unsigned long long)seed, (unsigned long long)count);
    return 0;
}
