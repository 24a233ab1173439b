/* random_os.c - secret randomness, from the operating system by way of libsodium. */
#include "crypto/random_os.h"

#include <sodium/randombytes.h>

void random_os(void *out, size_t len)
{
    if (len > 0)
        randombytes_buf(out, len);
}

void random_seed(struct key_seed *out) { random_os(out->b, KEY_SEED_BYTES); }
