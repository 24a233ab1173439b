/* test_keyfile.c - seeds in files: what is refused, what is never lost. Works in a folder of its own under TMPDIR. */
#define _POSIX_C_SOURCE 200809L
#include "tests/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/hex.h"
#include "crypto/keyfile_posix.h"
#include "crypto/random_os.h"

static char folder[256];
static char path[300];

static struct key_seed seed_of(uint8_t value)
{
    struct key_seed s;
    memset(s.b, value, sizeof s.b);
    return s;
}

static bool seed_equal(const struct key_seed *a, const struct key_seed *b) { return memcmp(a->b, b->b, sizeof a->b) == 0; }
static bool seed_is_zero(const struct key_seed *a)
{
    struct key_seed zero = seed_of(0);
    return seed_equal(a, &zero);
}

static size_t read_file(uint8_t *buf, size_t cap)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(buf, 1, cap, f);
    fclose(f);
    return len;
}

static void write_file(const uint8_t *buf, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(buf, 1, len, f), len);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
}

static int files_in_folder(void)
{
    int files = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        files += e->d_name[0] != '.';
    closedir(d);
    return files;
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char victim[600];
        snprintf(victim, sizeof victim, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            unlink(victim);
    }
    closedir(d);
}

/* docs/disk-format.md's worked example: a plain file whose seed is 00 01 .. 1f. Check bytes: Python's hashlib. */
static const char golden[] = "54414c4c594b4559" "01" "00" "0000000000000000" "0000000000000000" "00000000000000000000000000000000"
                             "000000000000000000000000000000000000000000000000"
                             "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                             "f3b91018887c3aa7e485502e26b9f471";

static void plain_files_are_exactly_as_specified(void **state)
{
    (void)state;
    struct key_seed seed, back;
    uint8_t buf[KEYFILE_BYTES + 1];
    char text[2 * KEYFILE_BYTES + 3];
    struct stat st;
    for (uint8_t i = 0; i < KEY_SEED_BYTES; i++)
        seed.b[i] = i;
    mode_t old = umask(0);                                     /* the mode is ours, whatever the umask */
    assert_ok(keyfile_create(path, &seed, NULL));
    umask(old);
    size_t len = read_file(buf, sizeof buf);
    hex_format(bytes_of(buf, len), text);
    assert_string_equal(text, golden);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_ok(keyfile_load(path, NULL, &back));
    assert_true(seed_equal(&seed, &back));
    assert_ok(keyfile_load(path, "not needed", &back));
    assert_int_equal(files_in_folder(), 1);
}

static void an_existing_file_is_never_overwritten(void **state)
{
    (void)state;
    struct key_seed first = seed_of(1), second = seed_of(2), back;
    assert_ok(keyfile_create(path, &first, NULL));
    assert_err(keyfile_create(path, &second, NULL), ERR_EXISTS);
    assert_ok(keyfile_load(path, NULL, &back));
    assert_true(seed_equal(&first, &back));
    assert_int_equal(files_in_folder(), 1);
}

static void of_many_creators_one_wins(void **state)
{
    (void)state;
    enum { CREATORS = 8 };
    int created = 0;
    uint8_t winner = 0;
    pid_t pids[CREATORS];
    for (uint8_t i = 0; i < CREATORS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            struct key_seed s = seed_of((uint8_t)(i + 1));
            _exit(keyfile_create(path, &s, NULL) == OK ? 0 : 1);
        }
    }
    for (uint8_t i = 0; i < CREATORS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            created++;
            winner = (uint8_t)(i + 1);
        }
    }
    struct key_seed back;
    assert_int_equal(created, 1);
    assert_ok(keyfile_load(path, NULL, &back));
    assert_int_equal(back.b[0], winner);
    assert_int_equal(files_in_folder(), 1);
}

static void a_passphrase_locks(void **state)
{
    (void)state;
    struct key_seed seed = seed_of(7), back = seed_of(9);
    uint8_t buf[KEYFILE_BYTES + 1];
    assert_err(keyfile_create(path, &seed, ""), ERR_ARG);
    assert_ok(keyfile_create(path, &seed, "correct horse"));
    assert_ok(keyfile_load(path, "correct horse", &back));
    assert_true(seed_equal(&seed, &back));
    assert_err(keyfile_load(path, "correct horsf", &back), ERR_PASSPHRASE);
    assert_true(seed_is_zero(&back));
    assert_err(keyfile_load(path, NULL, &back), ERR_LOCKED);
    assert_int_equal(read_file(buf, sizeof buf), KEYFILE_BYTES);
    for (size_t i = 0; i + 4 <= KEYFILE_BYTES; i++)
        assert_true(memcmp(buf + i, seed.b, 4) != 0);          /* the seed is not in there */
}

static void the_passphrase_can_change(void **state)
{
    (void)state;
    struct key_seed seed = seed_of(7), back;
    assert_ok(keyfile_create(path, &seed, NULL));
    assert_ok(keyfile_change(path, NULL, "one"));
    assert_err(keyfile_load(path, NULL, &back), ERR_LOCKED);
    assert_err(keyfile_change(path, "two", NULL), ERR_PASSPHRASE);
    assert_err(keyfile_change(path, "one", ""), ERR_ARG);
    assert_ok(keyfile_load(path, "one", &back));
    assert_ok(keyfile_change(path, "one", NULL));
    assert_ok(keyfile_load(path, NULL, &back));
    assert_true(seed_equal(&seed, &back));
    assert_int_equal(files_in_folder(), 1);
    empty_folder();
    assert_err(keyfile_change(path, NULL, NULL), ERR_NOT_FOUND);
    assert_int_equal(files_in_folder(), 0);
}

static void open_permissions_are_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0610, 0601, 0666, 0777 };
    struct key_seed seed = seed_of(7), back;
    assert_ok(keyfile_create(path, &seed, NULL));
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        back = seed_of(9);
        assert_err(keyfile_load(path, NULL, &back), ERR_PERMISSION);
        assert_true(seed_is_zero(&back));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_ok(keyfile_load(path, NULL, &back));
}

static void other_things_than_files_are_refused(void **state)
{
    (void)state;
    struct key_seed seed = seed_of(7), back;
    assert_err(keyfile_load(path, NULL, &back), ERR_NOT_FOUND);
    assert_err(keyfile_load(folder, NULL, &back), ERR_CORRUPT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_err(keyfile_load(path, NULL, &back), ERR_CORRUPT);  /* and does not hang */
    assert_err(keyfile_create(path, &seed, NULL), ERR_EXISTS);
    assert_err(keyfile_create("/nonexistent-folder/key", &seed, NULL), ERR_NOT_FOUND);
    static char longer[5000];
    memset(longer, 'a', sizeof longer - 1);
    assert_err(keyfile_create(longer, &seed, NULL), ERR_ARG);
}

static void every_truncation_and_every_damaged_byte_is_noticed(void **state)
{
    (void)state;
    struct key_seed seed = seed_of(7), back;
    uint8_t buf[KEYFILE_BYTES + 1];
    assert_ok(keyfile_create(path, &seed, NULL));
    assert_int_equal(read_file(buf, sizeof buf), KEYFILE_BYTES);
    for (size_t len = 0; len <= KEYFILE_BYTES + 1; len++) {
        buf[KEYFILE_BYTES] = 0;
        write_file(buf, len);
        assert_err(keyfile_load(path, NULL, &back), len == KEYFILE_BYTES ? OK : ERR_CORRUPT);
    }
    for (size_t i = 0; i < KEYFILE_BYTES; i++) {
        buf[i] ^= 0x20;
        write_file(buf, KEYFILE_BYTES);
        back = seed_of(9);
        assert_err(keyfile_load(path, NULL, &back), i == 8 ? ERR_VERSION : ERR_CORRUPT);
        assert_true(seed_is_zero(&back));
        buf[i] ^= 0x20;
    }
}

/* Check bytes do not make a file ours: with them right, magic and the fields that a plain file does not use count as well. */
static void a_plain_file_has_one_form(void **state)
{
    (void)state;
    enum { AT_CHECK = 98 };
    static const size_t places[] = { 0, 7, 10, 17, 18, 25, 26, 41, 42, 65 };
    struct key_seed seed = seed_of(7), back;
    uint8_t buf[KEYFILE_BYTES];
    assert_ok(keyfile_create(path, &seed, NULL));
    assert_int_equal(read_file(buf, sizeof buf), KEYFILE_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        buf[places[i]] ^= 1;
        struct hash h = hash_of("keyfile", bytes_of(buf, AT_CHECK));
        memcpy(buf + AT_CHECK, h.b, KEYFILE_BYTES - AT_CHECK);
        write_file(buf, sizeof buf);
        assert_err(keyfile_load(path, NULL, &back), ERR_CORRUPT);
        buf[places[i]] ^= 1;
    }
}

/* A planted file must not make us spend a terabyte or a year. */
static void unbelievable_costs_are_refused(void **state)
{
    (void)state;
    enum { AT_KIND = 9, AT_OPSLIMIT = 10, AT_MEMLIMIT = 18 };
    static const struct { size_t at; uint8_t bytes[8]; } rows[] = {
        { AT_OPSLIMIT, { 0 } },
        { AT_OPSLIMIT, { 17 } },
        { AT_OPSLIMIT, { 3, 0, 0, 0, 1 } },
        { AT_MEMLIMIT, { 0 } },
        { AT_MEMLIMIT, { 1, 0, 0, 0x40 } },
        { AT_MEMLIMIT, { 0, 0, 0, 0, 0, 0, 0, 0x80 } },
    };
    struct key_seed seed = seed_of(7), back;
    uint8_t original[KEYFILE_BYTES], buf[KEYFILE_BYTES];
    assert_ok(keyfile_create(path, &seed, "p"));
    assert_int_equal(read_file(original, sizeof original), KEYFILE_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        memcpy(buf, original, sizeof buf);
        memcpy(buf + rows[i].at, rows[i].bytes, 8);
        write_file(buf, sizeof buf);
        assert_err(keyfile_load(path, "p", &back), ERR_CORRUPT);
    }
    memcpy(buf, original, sizeof buf);
    buf[AT_KIND] = 2;
    write_file(buf, sizeof buf);
    assert_err(keyfile_load(path, "p", &back), ERR_CORRUPT);
    buf[AT_KIND] = 0;                                          /* a locked file does not pass for a plain one */
    write_file(buf, sizeof buf);
    assert_err(keyfile_load(path, "p", &back), ERR_CORRUPT);
    memcpy(buf, original, sizeof buf);
    buf[50] ^= 1;                                              /* nonce; bound as associated data */
    write_file(buf, sizeof buf);
    assert_err(keyfile_load(path, "p", &back), ERR_PASSPHRASE);
}

static void a_failed_write_changes_nothing(void **state)
{
    (void)state;
    struct key_seed seed = seed_of(7), back;
    struct rlimit before, small;
    assert_ok(keyfile_create(path, &seed, NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 50;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err e = keyfile_change(path, NULL, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_err(e, ERR_IO);
    assert_ok(keyfile_load(path, NULL, &back));
    assert_true(seed_equal(&seed, &back));
    assert_int_equal(files_in_folder(), 1);
}

/* Kill a process that rewrites the file without pause: whatever the moment, the file is whole. */
static void a_killed_rewrite_leaves_a_whole_file(void **state)
{
    (void)state;
    struct key_seed seed = seed_of(7), back;
    struct rng rng;
    rng_init(&rng, 11);
    assert_ok(keyfile_create(path, &seed, NULL));
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            while (keyfile_change(path, NULL, NULL) == OK)
                ;
        nanosleep(&(struct timespec){ .tv_nsec = (long)(500000 + rng_below(&rng, 3000000)) }, NULL);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        assert_ok(keyfile_load(path, NULL, &back));
        assert_true(seed_equal(&seed, &back));
    }
}

static void random_seeds_differ(void **state)
{
    (void)state;
    struct key_seed a, b;
    random_seed(&a);
    random_seed(&b);
    assert_false(seed_equal(&a, &b));
    assert_false(seed_is_zero(&a));
    random_os(NULL, 0);
}

static int start(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/tm-keyfile-XXXXXX", base ? base : "/tmp");
    assert_ok(crypto_start());
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/node.key", folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int tidy(void **state)
{
    (void)state;
    empty_folder();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(plain_files_are_exactly_as_specified, tidy),
        cmocka_unit_test_teardown(an_existing_file_is_never_overwritten, tidy),
        cmocka_unit_test_teardown(of_many_creators_one_wins, tidy),
        cmocka_unit_test_teardown(a_passphrase_locks, tidy),
        cmocka_unit_test_teardown(the_passphrase_can_change, tidy),
        cmocka_unit_test_teardown(open_permissions_are_refused, tidy),
        cmocka_unit_test_teardown(other_things_than_files_are_refused, tidy),
        cmocka_unit_test_teardown(every_truncation_and_every_damaged_byte_is_noticed, tidy),
        cmocka_unit_test_teardown(a_plain_file_has_one_form, tidy),
        cmocka_unit_test_teardown(unbelievable_costs_are_refused, tidy),
        cmocka_unit_test_teardown(a_failed_write_changes_nothing, tidy),
        cmocka_unit_test_teardown(a_killed_rewrite_leaves_a_whole_file, tidy),
        cmocka_unit_test(random_seeds_differ),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
