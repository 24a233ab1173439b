/* test_store.c - both stores do the same thing: random operations, compared call by call; and what LMDB must refuse or report. */
#define _DEFAULT_SOURCE
#include "tests/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger/store_lmdb.h"
#include "ledger/store_mem.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    /* In memory where there is such a place: thousands of commits, and what a flush means is test_powercut's question. */
    snprintf(folder, sizeof folder, "%s/tm-store-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const files[] = { "ledger.mdb", "ledger.mdb-lock", "ledger.lock", "copy.mdb" };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static struct store *open_lmdb(uint64_t map_bytes)
{
    struct store *s;
    struct store_lmdb_config c = { .folder = folder, .map_bytes = map_bytes };
    assert_ok(store_lmdb_open(&c, &s));
    return s;
}

/* ---- the oracle ---- */

static struct bytes random_key(struct rng *r, uint8_t buf[8])
{
    size_t len = 1 + (size_t)rng_below(r, 3);
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(rng_below(r, 4) * 85);          /* few, so that they meet; 0x00 and 0xff among them */
    return bytes_of(buf, len);
}

static void same_answer(enum err a, enum err b, struct bytes x, struct bytes y)
{
    assert_int_equal(a, b);
    if (a == OK)
        assert_true(bytes_equal(x, y));
}

static void one_operation(struct rng *r, struct store *a, struct store *b)
{
    uint8_t key_buf[8], value_buf[600];
    enum store_table t = rng_below(r, 2) ? STORE_RECEIPT : STORE_JOB;
    struct bytes key = random_key(r, key_buf), ka, kb, va, vb;
    struct bytes value = bytes_of(value_buf, (size_t)rng_below(r, sizeof value_buf));
    enum err ea, eb;
    rng_bytes(r, value_buf, value.len);
    switch (rng_below(r, 7)) {
    case 0: case 1:
        assert_int_equal(store_put(a, t, key, value), store_put(b, t, key, value));
        return;
    case 2:
        assert_int_equal(store_del(a, t, key), store_del(b, t, key));
        return;
    case 3:
        ea = store_get(a, t, key, &va);
        eb = store_get(b, t, key, &vb);
        same_answer(ea, eb, va, vb);
        return;
    case 4:
        if (rng_below(r, 10) == 0)
            key.len = 0;
        ea = store_seek(a, t, key, &ka, &va);
        eb = store_seek(b, t, key, &kb, &vb);
        break;
    case 5:
        if (rng_below(r, 10) == 0)
            key.len = 0;
        ea = store_seek_before(a, t, key, &ka, &va);
        eb = store_seek_before(b, t, key, &kb, &vb);
        break;
    default:
        if (rng_below(r, 3) == 0) {
            store_abort(a);
            store_abort(b);
        } else {
            assert_int_equal(store_commit(a), store_commit(b));
        }
        return;
    }
    same_answer(ea, eb, ka, kb);
    if (ea == OK)
        assert_true(bytes_equal(va, vb));
}

static void same_contents(struct store *a, struct store *b)
{
    for (int t = 0; t < STORE_TABLE_COUNT; t++) {
        struct bytes at = bytes_of(NULL, 0), ka, va, kb, vb;
        uint8_t next[STORE_KEY_BYTES_MAX + 1];
        for (;;) {
            enum err ea = store_seek(a, (enum store_table)t, at, &ka, &va), eb = store_seek(b, (enum store_table)t, at, &kb, &vb);
            same_answer(ea, eb, ka, kb);
            if (ea != OK)
                break;
            assert_true(bytes_equal(va, vb));
            memcpy(next, ka.data, ka.len);
            next[ka.len] = 0;
            at = bytes_of(next, ka.len + 1);
        }
    }
}

static void lmdb_does_what_memory_does(void **state)
{
    (void)state;
    struct store_mem *mem;
    struct rng r;
    assert_ok(store_mem_open(0, &mem));
    struct store *a = store_mem_store(mem), *b = open_lmdb(0);
    rng_init(&r, 5);
    for (int i = 0; i < 20000; i++) {
        one_operation(&r, a, b);
        if (i % 4000 == 3999) {                            /* power off and on, on both */
            store_mem_crash(mem);
            store_close(b);
            b = open_lmdb(0);
            same_contents(a, b);
        }
    }
    store_close(a);
    store_close(b);
}

/* ---- what is LMDB's own ---- */

static void a_full_map_undoes_the_turn_and_says_so(void **state)
{
    (void)state;
    struct store *s = open_lmdb(1 << 20);
    uint8_t value[4000] = { 1 };
    struct bytes v;
    enum err e = OK;
    uint8_t n[2] = { 0 };
    assert_ok(store_put(s, STORE_META, bytes_text("safe"), bytes_text("yes")));
    assert_ok(store_commit(s));
    for (int i = 0; i < 1000 && e == OK; i++) {
        n[0] = (uint8_t)(i >> 8);
        n[1] = (uint8_t)i;
        e = store_put(s, STORE_JOB, bytes_of(n, 2), bytes_of(value, sizeof value));
    }
    assert_err(e, ERR_DISK_FULL);
    assert_err(store_put(s, STORE_META, bytes_text("late"), bytes_text("no")), ERR_DISK_FULL);
    assert_err(store_commit(s), ERR_DISK_FULL);
    assert_ok(store_get(s, STORE_META, bytes_text("safe"), &v));
    n[0] = n[1] = 0;
    assert_err(store_get(s, STORE_JOB, bytes_of(n, 2), &v), ERR_NOT_FOUND);
    assert_err(store_get(s, STORE_META, bytes_text("late"), &v), ERR_NOT_FOUND);
    assert_ok(store_put(s, STORE_META, bytes_text("again"), bytes_text("works")));
    assert_ok(store_commit(s));
    store_close(s);
}

static void files_are_private_and_refused_when_they_are_not(void **state)
{
    (void)state;
    struct store *s = open_lmdb(0);
    struct store_lmdb_config c = { .folder = folder };
    struct store *second;
    assert_err(store_lmdb_open(&c, &second), ERR_STATE);   /* a second writer, here or elsewhere */
    store_close(s);
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/ledger.mdb", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(path, 0640), 0);
    assert_err(store_lmdb_open(&c, &s), ERR_PERMISSION);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(folder, 0770), 0);
    assert_err(store_lmdb_open(&c, &s), ERR_PERMISSION);
    assert_int_equal(chmod(folder, 0700), 0);
    s = open_lmdb(0);
    store_close(s);
}

static void a_reader_sees_commits_and_cannot_write(void **state)
{
    (void)state;
    struct store_lmdb_config c = { .folder = folder, .read_only = true };
    struct store *s;
    assert_err(store_lmdb_open(&c, &s), ERR_NOT_FOUND);    /* no ledger yet */
    s = open_lmdb(0);
    assert_ok(store_put(s, STORE_META, bytes_text("k"), bytes_text("v")));
    assert_ok(store_commit(s));
    store_close(s);
    assert_ok(store_lmdb_open(&c, &s));
    struct bytes v;
    assert_ok(store_get(s, STORE_META, bytes_text("k"), &v));
    assert_true(bytes_equal(v, bytes_text("v")));
    assert_err(store_put(s, STORE_META, bytes_text("k"), bytes_text("w")), ERR_STATE);
    assert_ok(store_commit(s));
    store_close(s);
}

static void damage_is_named(void **state)
{
    (void)state;
    struct store *s = open_lmdb(0);
    store_close(s);
    char path[128];
    snprintf(path, sizeof path, "%s/ledger.mdb", folder);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    for (int i = 0; i < 8192; i++)
        fputc(0x5a, f);
    fclose(f);
    struct store_lmdb_config c = { .folder = folder };
    assert_err(store_lmdb_open(&c, &s), ERR_CORRUPT);
}

static void doctor_learns_version_mode_and_sizes(void **state)
{
    (void)state;
    struct store *s = open_lmdb(0);
    struct store_lmdb_info info;
    assert_ok(store_put(s, STORE_META, bytes_text("k"), bytes_text("v")));
    assert_ok(store_commit(s));
    assert_ok(store_lmdb_info(s, &info));
    assert_true(info.synchronous && info.used_bytes > 0 && info.used_bytes <= info.file_bytes && info.readers_max >= 126);
    assert_non_null(strstr(info.version, "LMDB"));
    char path[128];
    snprintf(path, sizeof path, "%s/copy.mdb", folder);
    assert_ok(store_lmdb_backup(s, path));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_err(store_lmdb_backup(s, path), ERR_EXISTS);
    store_close(s);
}

static void reading_between_turns_does_not_make_the_file_grow(void **state)
{
    (void)state;
    struct store *s = open_lmdb(0);
    uint8_t value[2000] = { 0 };
    struct bytes v;
    for (int i = 0; i < 300; i++) {
        value[0] = (uint8_t)i;
        for (uint8_t k = 0; k < 8; k++)
            assert_ok(store_put(s, STORE_JOB, bytes_of(&k, 1), bytes_of(value, sizeof value)));
        assert_ok(store_commit(s));
        assert_ok(store_get(s, STORE_JOB, bytes_of("\0", 1), &v));      /* begins to read; the next write must end that */
    }
    struct store_lmdb_info info;
    assert_ok(store_lmdb_info(s, &info));
    assert_true(info.file_bytes < 1024 * 1024);            /* an open reader would have pinned 300 x 32 KiB */
    store_close(s);
}

/* Opens for reading, begins to read, says so and waits to be killed. */
static int be_a_reader(const char *where)
{
    struct store_lmdb_config c = { .folder = where, .read_only = true };
    struct store *s;
    struct bytes v;
    if (store_lmdb_open(&c, &s) != OK || store_get(s, STORE_META, bytes_text("k"), &v) != OK)
        return 1;
    if (write(STDOUT_FILENO, "r", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static const char *program;

static void a_killed_reader_gives_its_slot_back(void **state)
{
    (void)state;
    struct store *s = open_lmdb(0);
    assert_ok(store_put(s, STORE_META, bytes_text("k"), bytes_text("v")));
    assert_ok(store_commit(s));
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDOUT_FILENO);
        execl(program, program, "reader", folder, (char *)NULL);
        _exit(127);
    }
    char ready = 0;
    close(pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &ready, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipe_fds[0]);
    struct store_lmdb_info info;
    assert_ok(store_lmdb_info(s, &info));
    assert_int_equal(info.readers_cleared, 1);
    store_close(s);
}

static void a_checker_meets_no_fault_and_leaves_none(void **state)
{
    (void)state;
    struct store_mem *mem;
    struct bytes key = bytes_text("key"), found_key, value;
    assert_ok(store_mem_open(0, &mem));
    struct store *s = store_mem_store(mem), *reader = store_mem_reader(mem);
    assert_ok(store_put(s, STORE_JOB, key, bytes_text("value")));
    store_mem_fail_at(mem, 1, ERR_IO);                     /* meant for the ledger's next call, whoever reads before it */
    uint64_t calls = store_mem_calls(mem);
    assert_ok(store_get(reader, STORE_JOB, key, &value));  /* also what is not committed yet */
    assert_true(bytes_equal(value, bytes_text("value")));
    assert_int_equal(store_mem_calls(mem), calls);
    assert_err(store_get(s, STORE_JOB, key, &value), ERR_IO);
    assert_ok(store_seek(reader, STORE_JOB, bytes_text("k"), &found_key, &value));    /* nothing sticks to the reader */
    assert_true(bytes_equal(found_key, key));
    assert_err(store_get(reader, STORE_JOB, bytes_text("x"), &value), ERR_NOT_FOUND);
    assert_err(store_put(reader, STORE_JOB, key, key), ERR_STATE);
    assert_err(store_commit(s), ERR_IO);
    assert_err(store_get(reader, STORE_JOB, key, &value), ERR_NOT_FOUND);
    store_close(s);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "reader") == 0)
        return be_a_reader(argv[2]);
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(lmdb_does_what_memory_does),
        CASE(a_full_map_undoes_the_turn_and_says_so),
        CASE(files_are_private_and_refused_when_they_are_not),
        CASE(a_reader_sees_commits_and_cannot_write),
        CASE(damage_is_named),
        CASE(doctor_learns_version_mode_and_sizes),
        CASE(a_killed_reader_gives_its_slot_back),
        CASE(reading_between_turns_does_not_make_the_file_grow),
        cmocka_unit_test(a_checker_meets_no_fault_and_leaves_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
