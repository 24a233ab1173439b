/* store_mem.c - sorted arrays with an undo list. A commit forgets the list; abort and crash play it backwards. */
#include "ledger/store_mem.h"

#include <stdlib.h>
#include <string.h>

struct blob {
    uint8_t *data;                                         /* NULL: absent */
    size_t len;
};
struct entry {
    struct blob key, value;
};
struct table {
    struct entry *entries;                                 /* sorted by key */
    size_t count, room;
};
/* How to take one change back: `before` absent means the key was new. */
struct undo {
    enum store_table table;
    struct blob key, before;
};
struct store_mem {
    struct store store;                                    /* first: ops get this pointer */
    struct store reader;
    struct table tables[STORE_TABLE_COUNT];
    struct undo *undo;
    size_t undo_count, undo_room;
    size_t bytes, bytes_max;
    uint64_t calls, commits, fail_at;
    enum err fail_with;
};

static struct store_mem *mem_of(struct store *s) { return (struct store_mem *)s; }

static bool blob_copy(struct bytes b, struct blob *out)
{
    uint8_t *data = malloc(b.len ? b.len : 1);
    if (!data)
        return false;
    if (b.len)
        memcpy(data, b.data, b.len);
    *out = (struct blob){ data, b.len };
    return true;
}

static struct bytes blob_view(struct blob b) { return bytes_of(b.data, b.len); }

static int key_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int c = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Index of the first entry with a key >= `key`; *found if it is that key. */
static size_t lower_bound(const struct table *t, struct bytes key, bool *found)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (key_compare(blob_view(t->entries[mid].key), key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < t->count && key_compare(blob_view(t->entries[low].key), key) == 0;
    return low;
}

/* Room for one more element in a growing array; false without memory. */
static bool grow(void **array, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t wanted = *room ? *room * 2 : 16;
    void *bigger = realloc(*array, wanted * size);
    if (!bigger)
        return false;
    *array = bigger;
    *room = wanted;
    return true;
}

static void insert_at(struct table *t, size_t at, struct entry e)
{
    memmove(&t->entries[at + 1], &t->entries[at], (t->count - at) * sizeof e);
    t->entries[at] = e;
    t->count++;
}

static void remove_at(struct table *t, size_t at)
{
    memmove(&t->entries[at], &t->entries[at + 1], (t->count - at - 1) * sizeof t->entries[0]);
    t->count--;
}

/* Counts the call; the injected failure if it is its turn. It stays until abort through the sticky error. */
static enum err fallible(struct store_mem *m)
{
    m->calls++;
    if (m->fail_at == 0 || m->calls != m->fail_at)
        return OK;
    m->fail_at = 0;
    return m->fail_with;
}

static enum err table_get(const struct table *t, struct bytes key, struct bytes *out)
{
    bool found;
    size_t at = lower_bound(t, key, &found);
    if (!found)
        return ERR_NOT_FOUND;
    *out = blob_view(t->entries[at].value);
    return OK;
}

static enum err table_seek(const struct table *t, struct bytes key, bool backward, struct bytes *out_key, struct bytes *out_value)
{
    bool found;
    size_t at = backward && key.len == 0 ? t->count : lower_bound(t, key, &found);
    if (backward ? at == 0 : at == t->count)
        return ERR_NOT_FOUND;
    const struct entry *entry = &t->entries[backward ? at - 1 : at];
    *out_key = blob_view(entry->key);
    *out_value = blob_view(entry->value);
    return OK;
}

static enum err mem_get(struct store *s, enum store_table table, struct bytes key, struct bytes *out)
{
    struct store_mem *m = mem_of(s);
    enum err e = fallible(m);
    return e == OK ? table_get(&m->tables[table], key, out) : e;
}

static enum err mem_put(struct store *s, enum store_table table, struct bytes key, struct bytes value)
{
    struct store_mem *m = mem_of(s);
    enum err e = fallible(m);
    if (e != OK)
        return e;
    if (m->bytes_max && m->bytes + key.len + value.len > m->bytes_max)
        return ERR_DISK_FULL;
    struct table *t = &m->tables[table];
    struct blob undo_key = { 0 }, new_key = { 0 }, new_value = { 0 };
    if (!grow((void **)&m->undo, &m->undo_room, m->undo_count, sizeof m->undo[0]) ||
        !grow((void **)&t->entries, &t->room, t->count, sizeof t->entries[0]) || !blob_copy(key, &undo_key))
        return ERR_MEMORY;
    if (!blob_copy(value, &new_value) || !blob_copy(key, &new_key)) {
        free(undo_key.data);
        free(new_value.data);
        return ERR_MEMORY;
    }
    bool found;
    size_t at = lower_bound(t, key, &found);
    struct undo *u = &m->undo[m->undo_count++];
    *u = (struct undo){ .table = table, .key = undo_key };
    if (found) {
        u->before = t->entries[at].value;
        t->entries[at].value = new_value;
        free(new_key.data);
        m->bytes = m->bytes - u->before.len + value.len;
    } else {
        insert_at(t, at, (struct entry){ new_key, new_value });
        m->bytes += key.len + value.len;
    }
    return OK;
}

static enum err mem_del(struct store *s, enum store_table table, struct bytes key)
{
    struct store_mem *m = mem_of(s);
    enum err e = fallible(m);
    if (e != OK)
        return e;
    struct table *t = &m->tables[table];
    bool found;
    size_t at = lower_bound(t, key, &found);
    if (!found)
        return OK;
    if (!grow((void **)&m->undo, &m->undo_room, m->undo_count, sizeof m->undo[0]))
        return ERR_MEMORY;
    struct entry gone = t->entries[at];
    remove_at(t, at);
    m->undo[m->undo_count++] = (struct undo){ table, gone.key, gone.value };
    m->bytes -= gone.key.len + gone.value.len;
    return OK;
}

static enum err mem_seek(struct store *s, enum store_table table, struct bytes key, bool backward, struct bytes *out_key,
                         struct bytes *out_value)
{
    struct store_mem *m = mem_of(s);
    enum err e = fallible(m);
    return e == OK ? table_seek(&m->tables[table], key, backward, out_key, out_value) : e;
}

static void forget_undo(struct store_mem *m)
{
    for (size_t i = 0; i < m->undo_count; i++) {
        free(m->undo[i].key.data);
        free(m->undo[i].before.data);
    }
    m->undo_count = 0;
}

static enum err mem_commit(struct store *s)
{
    struct store_mem *m = mem_of(s);
    enum err e = fallible(m);
    if (e != OK)
        return e;
    forget_undo(m);
    m->commits++;
    return OK;
}

/* Cannot fail: a key that comes back finds the room it left, because tables never shrink. */
static void undo_one(struct store_mem *m, struct undo *u)
{
    struct table *t = &m->tables[u->table];
    bool found;
    size_t at = lower_bound(t, blob_view(u->key), &found);
    if (found && u->before.data) {
        m->bytes = m->bytes - t->entries[at].value.len + u->before.len;
        free(t->entries[at].value.data);
        t->entries[at].value = u->before;
        free(u->key.data);
    } else if (found) {
        struct entry gone = t->entries[at];
        remove_at(t, at);
        m->bytes -= gone.key.len + gone.value.len;
        free(gone.key.data);
        free(gone.value.data);
        free(u->key.data);
    } else {
        ENSURE(u->before.data && t->count < t->room);
        insert_at(t, at, (struct entry){ u->key, u->before });
        m->bytes += u->key.len + u->before.len;
    }
}

static void mem_abort(struct store *s)
{
    struct store_mem *m = mem_of(s);
    while (m->undo_count > 0)
        undo_one(m, &m->undo[--m->undo_count]);
}

static void mem_close(struct store *s)
{
    struct store_mem *m = mem_of(s);
    for (size_t t = 0; t < STORE_TABLE_COUNT; t++) {
        for (size_t i = 0; i < m->tables[t].count; i++) {
            free(m->tables[t].entries[i].key.data);
            free(m->tables[t].entries[i].value.data);
        }
        free(m->tables[t].entries);
    }
    forget_undo(m);
    free(m->undo);
    free(m);
}

static const struct store_ops mem_ops = {
    .get = mem_get, .put = mem_put, .del = mem_del, .seek = mem_seek,
    .commit = mem_commit, .abort = mem_abort, .close = mem_close,
};

/* ---- the reader: store.c keeps put, del and commit from a store that is read-only ---- */

static const struct store_mem *mem_of_reader(const struct store *s)
{
    return (const struct store_mem *)(const void *)((const char *)s - offsetof(struct store_mem, reader));
}

static enum err reader_get(struct store *s, enum store_table table, struct bytes key, struct bytes *out)
{
    return table_get(&mem_of_reader(s)->tables[table], key, out);
}

static enum err reader_seek(struct store *s, enum store_table table, struct bytes key, bool backward, struct bytes *out_key,
                            struct bytes *out_value)
{
    return table_seek(&mem_of_reader(s)->tables[table], key, backward, out_key, out_value);
}

static void reader_nothing(struct store *s) { (void)s; }

static const struct store_ops reader_ops = { .get = reader_get, .seek = reader_seek, .abort = reader_nothing, .close = reader_nothing };

enum err store_mem_open(size_t bytes_max, struct store_mem **out)
{
    struct store_mem *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_MEMORY;
    m->store.ops = &mem_ops;
    m->reader = (struct store){ .ops = &reader_ops, .read_only = true };
    m->bytes_max = bytes_max;
    *out = m;
    return OK;
}

struct store *store_mem_store(struct store_mem *m) { return &m->store; }

void store_mem_crash(struct store_mem *m)
{
    m->fail_at = 0;
    store_abort(&m->store);
}

void store_mem_fail_at(struct store_mem *m, uint64_t n, enum err e)
{
    m->fail_at = n ? m->calls + n : 0;
    m->fail_with = e;
}

struct store *store_mem_reader(struct store_mem *m) { return &m->reader; }

uint64_t store_mem_calls(const struct store_mem *m) { return m->calls; }
uint64_t store_mem_commits(const struct store_mem *m) { return m->commits; }
size_t store_mem_bytes(const struct store_mem *m) { return m->bytes; }
