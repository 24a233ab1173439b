/* test_catalog.c - own models always have a place, fetched headers come and go, and what somebody holds stays. */
#include "tests/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/catalog_posix.h"
#include "node/headercache_posix.h"
#include "node/model_id.h"
#include "tests/gguf_writer.h"

enum { MANY = HEADERCACHE_FILES_MAX + 40 };

static struct bytes file;                              /* one model; other tensors behind its header make another model */
static struct bytes header;
static char folder[64];
static struct fault why;

static int setup(void **state)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct gguf g;
    (void)state;
    file = tiny_llama_write(&spec);
    assert_ok(gguf_open(file, false, &g, &why));
    header = g.header;
    gguf_close(&g);
    snprintf(folder, sizeof folder, "/tmp/test_catalog.XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    char command[100];
    (void)state;
    gguf_writer_free(file);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0;
}

static struct hash tensors_at(uint32_t i) { return hash_of("test tensors", bytes_of(&i, sizeof i)); }

static struct hash id_at(uint32_t i)
{
    struct hash tensors = tensors_at(i), h = model_header_hash(header);
    return model_id_of(&h, &tensors);
}

static enum err add(struct catalog *c, uint32_t i, const struct catalog_entry **out)
{
    struct hash tensors = tensors_at(i), id = id_at(i);
    return catalog_add_header(c, &id, &tensors, header, out, &why);
}

static uint32_t files_on_disk(void)
{
    char path[80];
    uint32_t n = 0;
    snprintf(path, sizeof path, "%s/headers", folder);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        n += d->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static void headers_beyond_count_are_all_learnt(void **state)
{
    struct catalog *c;
    const struct catalog_entry *e;
    (void)state;
    assert_ok(catalog_open(NULL, &c));
    for (uint32_t i = 0; i < MANY; i++) {
        struct hash id = id_at(i);
        assert_ok(add(c, i, &e));
        assert_true(hash_equal(&e->id, &id));
        assert_ptr_equal(catalog_find(c, &id), e);
        assert_in_range(catalog_fetched(c), 1, CATALOG_FETCHED_MAX);
    }
    struct hash first = id_at(0);
    assert_null(catalog_find(c, &first));
    catalog_close(c);
}

static void the_least_asked_for_gives_way(void **state)
{
    struct catalog *c;
    const struct catalog_entry *e;
    struct hash favourite = id_at(0);
    (void)state;
    assert_ok(catalog_open(NULL, &c));
    for (uint32_t i = 0; i < MANY; i++) {
        assert_ok(add(c, i, &e));
        assert_non_null(catalog_find(c, &favourite));
    }
    catalog_close(c);
}

static void what_is_held_stays(void **state)
{
    struct catalog *c;
    const struct catalog_entry *held[CATALOG_FETCHED_MAX], *e;
    (void)state;
    assert_ok(catalog_open(NULL, &c));
    for (uint32_t i = 0; i < CATALOG_FETCHED_MAX; i++) {
        assert_ok(add(c, i, &held[i]));
        catalog_hold(held[i]);
    }
    assert_err(add(c, MANY, &e), ERR_FULL);
    assert_true(strstr(why.text, "too many") != NULL);
    for (uint32_t i = 0; i < CATALOG_FETCHED_MAX; i++) {
        struct hash id = id_at(i);
        assert_ptr_equal(catalog_find(c, &id), held[i]);
        assert_int_equal(held[i]->config.vocab, 384);
    }
    catalog_release(held[7]);
    assert_ok(add(c, MANY, &e));
    struct hash gone = id_at(7);
    assert_null(catalog_find(c, &gone));
    for (uint32_t i = 0; i < CATALOG_FETCHED_MAX; i++)
        if (i != 7)
            catalog_release(held[i]);
    catalog_close(c);
}

static void the_disk_remembers_the_newest(void **state)
{
    struct catalog *c;
    const struct catalog_entry *e;
    (void)state;
    assert_ok(catalog_open(folder, &c));
    for (uint32_t i = 0; i < MANY; i++)
        assert_ok(add(c, i, &e));
    catalog_close(c);
    assert_int_equal(files_on_disk(), HEADERCACHE_FILES_MAX);
    assert_ok(catalog_open(folder, &c));
    assert_int_equal(catalog_fetched(c), 0);               /* a start reads none of them */
    struct hash newest = id_at(MANY - 1), oldest = id_at(0);
    e = catalog_find(c, &newest);
    assert_non_null(e);
    assert_true(bytes_equal(e->header, header));
    assert_null(catalog_find(c, &oldest));
    catalog_close(c);
}

static void a_damaged_copy_is_forgotten(void **state)
{
    struct catalog *c;
    char hex[HASH_HEX_CHARS + 1], path[200];
    struct hash id = id_at(MANY - 2);
    (void)state;
    hash_format(&id, hex);
    snprintf(path, sizeof path, "%s/headers/%s", folder, hex);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fputs("not the tensor hash", f);
    fclose(f);
    assert_ok(catalog_open(folder, &c));
    assert_null(catalog_find(c, &id));
    assert_int_not_equal(access(path, F_OK), 0);
    catalog_close(c);
}

static void count(void *ctx) { ++*(int *)ctx; }

static void a_full_cache_keeps_no_model_from_being_served(void **state)
{
    struct catalog *c;
    const struct catalog_entry *e, *held[CATALOG_FETCHED_MAX];
    char path[80], name[16];
    int slices = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    assert_true(gguf_writer_save(file, path));
    assert_ok(catalog_open(folder, &c));
    catalog_on_progress(c, count, &slices);
    for (uint32_t i = 0; i < CATALOG_FETCHED_MAX; i++) {
        assert_ok(add(c, i, &held[i]));
        catalog_hold(held[i]);
    }
    for (int i = 0; i < CATALOG_FILES_MAX; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        assert_ok(catalog_add_file(c, name, path, &e, &why));
        assert_non_null(e->model);
        assert_null(e->holders);
    }
    assert_int_equal(slices, 1);                           /* hashed once, then remembered */
    assert_err(catalog_add_file(c, "one more", path, &e, &why), ERR_FULL);
    for (uint32_t i = 0; i < CATALOG_FETCHED_MAX; i++)
        catalog_release(held[i]);
    catalog_close(c);
}

static void a_file_that_changes_is_noticed(void **state)
{
    struct catalog *c;
    const struct catalog_entry *e, *fetched;
    char path[80], other[80];
    (void)state;
    snprintf(path, sizeof path, "%s/served.gguf", folder);
    snprintf(other, sizeof other, "%s/other.gguf", folder);
    assert_true(gguf_writer_save(file, path));
    assert_ok(catalog_open(NULL, &c));
    assert_ok(catalog_add_file(c, NULL, path, &e, &why));
    assert_true(catalog_is_current(e, path));
    assert_int_equal(rename(path, other), 0);
    assert_false(catalog_is_current(e, path));             /* gone */
    assert_true(gguf_writer_save(file, path));
    assert_false(catalog_is_current(e, path));             /* replaced, if only by the same bytes */
    assert_int_equal(rename(other, path), 0);
    assert_true(catalog_is_current(e, path));
    FILE *f = fopen(path, "r+e");                          /* edited in place, its size as before */
    assert_non_null(f);
    struct timespec later[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 2000000000 } };
    assert_int_equal(fputc('G', f), 'G');
    fclose(f);
    assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0);   /* clocks of file systems are coarse */
    assert_false(catalog_is_current(e, path));
    assert_ok(add(c, 1, &fetched));
    assert_false(catalog_is_current(fetched, path));       /* has no file */
    catalog_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_beyond_count_are_all_learnt),
        cmocka_unit_test(the_least_asked_for_gives_way),
        cmocka_unit_test(what_is_held_stays),
        cmocka_unit_test(the_disk_remembers_the_newest),
        cmocka_unit_test(a_damaged_copy_is_forgotten),
        cmocka_unit_test(a_full_cache_keeps_no_model_from_being_served),
        cmocka_unit_test(a_file_that_changes_is_noticed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
