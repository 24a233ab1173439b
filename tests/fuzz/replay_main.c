/* replay_main.c - runs one fuzz target without libFuzzer: every file of a corpus folder, then seeded mutations of it.
 *
 * Usage: fuzz_x CORPUS_DIR [MUTATIONS_PER_FILE]. A crash is the only failure. The mutations are the same in every run
 * (seeded by file name and index), so a failure repeats; the failing input is written to fuzz-failure.bin before each
 * run only when FUZZ_KEEP is set, because writing it always would make the run ten times slower.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 20 };

static uint64_t next_random(uint64_t *s)
{
    *s += 0x9e3779b97f4a7c15u;
    uint64_t z = *s;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void run(const uint8_t *data, size_t size)
{
    /* An exact-size heap copy lets AddressSanitizer see a read one past the end. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    if (getenv("FUZZ_KEEP")) {
        FILE *f = fopen("fuzz-failure.bin", "wb");
        if (f) {
            fwrite(copy, 1, size, f);
            fclose(f);
        }
    }
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t mutate(uint8_t *buf, size_t size, size_t cap, uint64_t *rng)
{
    unsigned edits = 1 + (unsigned)(next_random(rng) % 4);
    for (unsigned i = 0; i < edits; i++) {
        switch (next_random(rng) % 5) {
        case 0:
            if (size)
                buf[next_random(rng) % size] ^= (uint8_t)(1u << (next_random(rng) % 8));
            break;
        case 1:
            if (size)
                buf[next_random(rng) % size] = (uint8_t)next_random(rng);
            break;
        case 2:
            size = size ? next_random(rng) % size : 0;
            break;
        case 3:
            if (size && size < cap) {
                size_t at = next_random(rng) % size;
                memmove(buf + at + 1, buf + at, size - at);
                buf[at] = (uint8_t)next_random(rng);
                size++;
            }
            break;
        default:
            if (size >= 8) {
                size_t at = next_random(rng) % (size - 7);
                memset(buf + at, (next_random(rng) & 1) ? 0xff : 0x00, 1 + next_random(rng) % 8);
            }
            break;
        }
    }
    return size;
}

static int run_file(const char *path, unsigned mutations, uint8_t *buf, uint8_t *work)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    size_t size = fread(buf, 1, INPUT_BYTES_MAX, f);
    fclose(f);
    run(buf, size);
    uint64_t rng = size;
    const char *name = strrchr(path, '/');       /* the same mutations in every clone */
    for (const char *p = name ? name : path; *p; p++)
        rng = rng * 31 + (unsigned char)*p;
    for (unsigned i = 0; i < mutations; i++) {
        memcpy(work, buf, size);
        run(work, mutate(work, size, INPUT_BYTES_MAX, &rng));
    }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_DIR [MUTATIONS_PER_FILE]\n", argv[0]);
        return 2;
    }
    unsigned mutations = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2000;
    uint8_t *buf = malloc(INPUT_BYTES_MAX), *work = malloc(INPUT_BYTES_MAX);
    DIR *dir = opendir(argv[1]);
    if (!buf || !work || !dir) {
        fprintf(stderr, "%s: cannot open corpus %s\n", argv[0], argv[1]);
        return 1;
    }
    int files = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        files += run_file(path, mutations, buf, work);
    }
    closedir(dir);
    free(work);
    free(buf);
    printf("%s: %d corpus files, %u mutations each\n", argv[0], files, mutations);
    return files ? 0 : 1;     /* an empty corpus tests nothing */
}
