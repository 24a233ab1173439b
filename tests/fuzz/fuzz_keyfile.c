/* fuzz_keyfile.c - a key file gives the seed that stands in it, or none: what is accepted says the same as it is written again. */
#define _GNU_SOURCE
#include <string.h>

#include "crypto/hash.h"
#include "crypto/keyfile_posix.h"
#include "tests/fuzz/memfile_linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AT_KIND = 9, AT_OPSLIMIT = 10, AT_MEMLIMIT = 18, AT_SEED = 66, AT_CHECK = 98, CHECK_BYTES = KEYFILE_BYTES - AT_CHECK };

static enum err load(const uint8_t *data, size_t size, const char *passphrase, struct key_seed *out)
{
    char path[MEMFILE_PATH_CHARS];
    int fd = memfile_open(data, size, path);
    memset(out->b, 0x55, sizeof out->b);
    enum err e = keyfile_load(path, passphrase, out);
    close(fd);
    for (size_t i = 0; e != OK && i < sizeof out->b; i++)
        if (out->b[i] != 0)
            abort();
    return e;
}

static void plain(const uint8_t *data, size_t size)
{
    static const uint8_t nothing[AT_SEED - AT_OPSLIMIT];
    struct key_seed seed;
    if (load(data, size, NULL, &seed) != OK)
        return;
    if (size != KEYFILE_BYTES || data[AT_KIND] != 0 || memcmp(data + AT_OPSLIMIT, nothing, sizeof nothing) != 0 ||
        memcmp(data + AT_SEED, seed.b, sizeof seed.b) != 0)
        abort();
}

/* A box with costs that are no more than a moment's; others are a test of patience. */
static void locked(const uint8_t *data, size_t size)
{
    static const uint8_t cheap[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x20 };
    struct key_seed seed;
    if (size != KEYFILE_BYTES || data[AT_KIND] != 1 || memcmp(data + AT_OPSLIMIT, cheap, sizeof cheap) != 0)
        return;
    enum err e = load(data, size, "open sesame", &seed);
    if (e != OK && e != ERR_PASSPHRASE && e != ERR_CORRUPT && e != ERR_VERSION)
        abort();
    if (e == OK && load(data, size, "open sesame!", &seed) != ERR_PASSPHRASE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4 * KEYFILE_BYTES || crypto_start() != OK)
        return 0;
    plain(data, size);
    locked(data, size);
    if (size != KEYFILE_BYTES)
        return 0;
    uint8_t repaired[KEYFILE_BYTES];                       /* what the check bytes would have hidden */
    struct hash check = hash_of("keyfile", bytes_of(data, AT_CHECK));
    memcpy(repaired, data, AT_CHECK);
    memcpy(repaired + AT_CHECK, check.b, CHECK_BYTES);
    plain(repaired, sizeof repaired);
    return 0;
}
