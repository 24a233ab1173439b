/* store_lmdb.c - the ledger's disk: LMDB in its default, synchronous mode, with its traps absorbed here.
 *
 *   trap                                         answer here
 *   a reader that stays makes the file grow      our read transaction ends with every commit, abort and first write
 *   a killed reader keeps its slot               mdb_reader_check() at open and once a minute
 *   two handles in one process break its locks   our own flock on ledger.lock; it holds within a process too
 *   a full map fails in the middle of a change   ERR_DISK_FULL sticks (store.h), the whole transaction is undone
 *   copies are made world-readable               mdb_env_copyfd2() into our own 0600 descriptor
 *   a new file may vanish with its folder entry  the folder is flushed after creation
 */
#define _DEFAULT_SOURCE                                    /* flock, clock_gettime, O_CLOEXEC */
#include "ledger/store_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || UINTPTR_MAX == UINT32_MAX
#define MAP_BYTES_DEFAULT (UINT64_C(1) << 30)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MAP_BYTES_DEFAULT (UINT64_C(1) << 30)
#endif
#endif
#ifndef MAP_BYTES_DEFAULT
#define MAP_BYTES_DEFAULT (UINT64_C(64) << 30)             /* address space only; the file grows as it is filled */
#endif

enum { READER_CHECK_S = 60, READERS_MAX = 126 };
#define MAP_BYTES_MIN (UINT64_C(1) << 20)

struct store_lmdb {
    struct store store;                                    /* first: ops get this pointer */
    MDB_env *env;
    MDB_dbi tables[STORE_TABLE_COUNT];
    bool absent[STORE_TABLE_COUNT];                        /* read-only, and the file is older than the table */
    MDB_txn *read, *write;                                 /* at most one of them is active */
    bool reading;                                          /* `read` is begun, not merely kept for renewal */
    int lock_fd;
    uint64_t map_bytes;
    time_t readers_checked;
    uint32_t readers_cleared;
};

static struct store_lmdb *lmdb_of(struct store *s) { return (struct store_lmdb *)s; }

static enum err err_of(int rc)
{
    switch (rc) {
    case MDB_SUCCESS: return OK;
    case MDB_NOTFOUND: return ERR_NOT_FOUND;
    case MDB_MAP_FULL: case MDB_TXN_FULL: case ENOSPC: case EDQUOT: case EFBIG: return ERR_DISK_FULL;
    case MDB_INVALID: case MDB_CORRUPTED: case MDB_PAGE_NOTFOUND: return ERR_CORRUPT;
    case MDB_VERSION_MISMATCH: case MDB_INCOMPATIBLE: return ERR_VERSION;
    case MDB_READERS_FULL: return ERR_FULL;
    case EACCES: case EPERM: return ERR_PERMISSION;
    case ENOENT: return ERR_NOT_FOUND;
    case ENOMEM: return ERR_MEMORY;
    default: return ERR_IO;                                /* MDB_PANIC and failed flushes among them */
    }
}

static MDB_val val_of(struct bytes b) { return (MDB_val){ .mv_size = b.len, .mv_data = (void *)(uintptr_t)b.data }; }
static struct bytes view_of(MDB_val v) { return bytes_of(v.mv_data, v.mv_size); }

/* ---- transactions ---- */

static void stop_reading(struct store_lmdb *m)
{
    if (m->reading)
        mdb_txn_reset(m->read);
    m->reading = false;
}

/* The transaction to read in: the open write if there is one, because it must see itself. */
static enum err reading(struct store_lmdb *m, MDB_txn **out)
{
    int rc = MDB_SUCCESS;
    if (!m->write && !m->reading) {
        rc = m->read ? mdb_txn_renew(m->read) : mdb_txn_begin(m->env, NULL, MDB_RDONLY, &m->read);
        m->reading = rc == MDB_SUCCESS;
    }
    *out = m->write ? m->write : m->read;
    return err_of(rc);
}

static enum err writing(struct store_lmdb *m, MDB_txn **out)
{
    int rc = MDB_SUCCESS;
    if (!m->write) {
        stop_reading(m);
        rc = mdb_txn_begin(m->env, NULL, 0, &m->write);
        if (rc != MDB_SUCCESS)
            m->write = NULL;
    }
    *out = m->write;
    return err_of(rc);
}

static void clear_dead_readers(struct store_lmdb *m)
{
    int dead = 0;
    if (mdb_reader_check(m->env, &dead) == MDB_SUCCESS)
        m->readers_cleared += (uint32_t)dead;
}

static void check_readers(struct store_lmdb *m)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (m->readers_checked != 0 && now.tv_sec - m->readers_checked < READER_CHECK_S)
        return;
    clear_dead_readers(m);
    m->readers_checked = now.tv_sec;
}

static enum err lmdb_commit(struct store *s)
{
    struct store_lmdb *m = lmdb_of(s);
    stop_reading(m);
    MDB_txn *txn = m->write;
    m->write = NULL;                                       /* freed by commit whatever it returns */
    int rc = txn ? mdb_txn_commit(txn) : MDB_SUCCESS;
    if (rc == MDB_SUCCESS)
        check_readers(m);
    return err_of(rc);
}

static void lmdb_abort(struct store *s)
{
    struct store_lmdb *m = lmdb_of(s);
    stop_reading(m);
    if (m->write)
        mdb_txn_abort(m->write);
    m->write = NULL;
}

/* ---- access ---- */

static enum err lmdb_get(struct store *s, enum store_table t, struct bytes key, struct bytes *out)
{
    MDB_txn *txn;
    enum err e = reading(lmdb_of(s), &txn);
    if (e != OK)
        return e;
    MDB_val k = val_of(key), v;
    e = lmdb_of(s)->absent[t] ? ERR_NOT_FOUND : err_of(mdb_get(txn, lmdb_of(s)->tables[t], &k, &v));
    if (e == OK)
        *out = view_of(v);
    return e;
}

static enum err lmdb_put(struct store *s, enum store_table t, struct bytes key, struct bytes value)
{
    MDB_txn *txn;
    enum err e = writing(lmdb_of(s), &txn);
    if (e != OK)
        return e;
    MDB_val k = val_of(key), v = val_of(value);
    /* The primary grows at its end: appending fills pages whole instead of halving them. */
    int rc = mdb_put(txn, lmdb_of(s)->tables[t], &k, &v, t == STORE_RECEIPT ? MDB_APPEND : 0);
    if (rc == MDB_KEYEXIST)
        rc = mdb_put(txn, lmdb_of(s)->tables[t], &k, &v, 0);
    return err_of(rc);
}

static enum err lmdb_del(struct store *s, enum store_table t, struct bytes key)
{
    MDB_txn *txn;
    enum err e = writing(lmdb_of(s), &txn);
    if (e != OK)
        return e;
    MDB_val k = val_of(key);
    e = err_of(mdb_del(txn, lmdb_of(s)->tables[t], &k, NULL));
    return e == ERR_NOT_FOUND ? OK : e;
}

static int place(MDB_cursor *c, MDB_val *k, MDB_val *v, bool backward)
{
    if (!backward)
        return mdb_cursor_get(c, k, v, k->mv_size ? MDB_SET_RANGE : MDB_FIRST);
    if (k->mv_size == 0)
        return mdb_cursor_get(c, k, v, MDB_LAST);
    int rc = mdb_cursor_get(c, k, v, MDB_SET_RANGE);
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
        return rc;
    return mdb_cursor_get(c, k, v, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
}

static enum err lmdb_seek(struct store *s, enum store_table t, struct bytes key, bool backward, struct bytes *out_key,
                          struct bytes *out_value)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    enum err e = reading(lmdb_of(s), &txn);
    if (e == OK && lmdb_of(s)->absent[t])
        e = ERR_NOT_FOUND;
    if (e == OK)
        e = err_of(mdb_cursor_open(txn, lmdb_of(s)->tables[t], &cursor));
    if (e != OK)
        return e;
    MDB_val k = val_of(key), v;
    e = err_of(place(cursor, &k, &v, backward));
    mdb_cursor_close(cursor);
    if (e == OK) {
        *out_key = view_of(k);
        *out_value = view_of(v);
    }
    return e;
}

/* ---- opening and closing ---- */

static void lmdb_close(struct store *s)
{
    struct store_lmdb *m = lmdb_of(s);
    if (m->read)
        mdb_txn_abort(m->read);
    if (m->env)
        mdb_env_close(m->env);
    if (m->lock_fd >= 0)
        close(m->lock_fd);                                 /* the flock goes with it */
    free(m);
}

static const struct store_ops lmdb_ops = {
    .get = lmdb_get, .put = lmdb_put, .del = lmdb_del, .seek = lmdb_seek,
    .commit = lmdb_commit, .abort = lmdb_abort, .close = lmdb_close,
};

static bool is_ours(const struct stat *st, mode_t forbidden)
{
    return st->st_uid == geteuid() && (st->st_mode & forbidden) == 0;
}

/* The folder must be ours and nobody else may write in it; a file must be ours and closed to everybody else. */
static enum err check_modes(const char *folder, const char *file, bool may_create)
{
    struct stat st;
    if (may_create && mkdir(folder, 0700) != 0 && errno != EEXIST)
        return err_of(errno);
    if (stat(folder, &st) != 0)
        return err_of(errno);
    if (!S_ISDIR(st.st_mode) || !is_ours(&st, 0022))
        return ERR_PERMISSION;
    if (stat(file, &st) != 0)
        return errno == ENOENT && may_create ? OK : err_of(errno);
    return S_ISREG(st.st_mode) && is_ours(&st, 0077) ? OK : ERR_PERMISSION;
}

static enum err take_writer_lock(struct store_lmdb *m, const char *path)
{
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->lock_fd < 0)
        return err_of(errno);
    if (flock(m->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? ERR_STATE : ERR_IO;
    return OK;
}

static enum err flush_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_of(errno);
    int rc = fsync(fd);
    close(fd);
    return rc == 0 ? OK : ERR_IO;
}

/* NOTLS: a read transaction belongs to us, not to the thread, so it can be kept for renewal beside a write. */
static enum err open_env(struct store_lmdb *m, const char *file)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (m->store.read_only ? MDB_RDONLY : 0);
    for (uint64_t bytes = m->map_bytes;; bytes /= 2) {
        int rc = mdb_env_create(&m->env);
        if (rc != MDB_SUCCESS)
            return err_of(rc);
        mdb_env_set_maxdbs(m->env, STORE_TABLE_COUNT);
        mdb_env_set_maxreaders(m->env, READERS_MAX);
        rc = mdb_env_set_mapsize(m->env, (size_t)bytes);
        if (rc == MDB_SUCCESS)
            rc = mdb_env_open(m->env, file, flags, 0600);
        m->map_bytes = bytes;
        if (rc == MDB_SUCCESS)
            return OK;
        mdb_env_close(m->env);                             /* an environment that failed to open must not be used again */
        m->env = NULL;
        if (rc != ENOMEM || bytes / 2 < MAP_BYTES_MIN)     /* a limit on address space: try with less */
            return err_of(rc);
    }
}

/* Who only reads may meet a file from before a table was added: it reads as empty. */
static int table_open(struct store_lmdb *m, MDB_txn *txn, enum store_table t)
{
    int rc = mdb_dbi_open(txn, store_table_name(t), m->store.read_only ? 0 : MDB_CREATE, &m->tables[t]);
    m->absent[t] = m->store.read_only && rc == MDB_NOTFOUND;
    return m->absent[t] ? MDB_SUCCESS : rc;
}

static enum err open_tables(struct store_lmdb *m)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(m->env, NULL, m->store.read_only ? MDB_RDONLY : 0, &txn);
    if (rc != MDB_SUCCESS)
        return err_of(rc);
    for (int t = 0; t < STORE_TABLE_COUNT && rc == MDB_SUCCESS; t++)
        rc = table_open(m, txn, (enum store_table)t);
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return err_of(rc);
    }
    return err_of(mdb_txn_commit(txn));
}

static enum err open_in(struct store_lmdb *m, const char *folder)
{
    char file[PATH_MAX], lock[PATH_MAX];
    int n = snprintf(file, sizeof file, "%s/ledger.mdb", folder);
    if (n < 0 || (size_t)n >= sizeof file)
        return ERR_ARG;
    snprintf(lock, sizeof lock, "%s/ledger.lock", folder);
    enum err e = check_modes(folder, file, !m->store.read_only);
    if (e == OK && !m->store.read_only)
        e = take_writer_lock(m, lock);
    if (e == OK)
        e = open_env(m, file);
    if (e == OK)
        e = open_tables(m);
    if (e == OK && !m->store.read_only)
        e = flush_folder(folder);
    if (e == OK)
        check_readers(m);
    return e;
}

enum err store_lmdb_open(const struct store_lmdb_config *c, struct store **out)
{
    struct store_lmdb *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_MEMORY;
    m->store.ops = &lmdb_ops;
    m->store.read_only = c->read_only;
    m->lock_fd = -1;
    m->map_bytes = c->map_bytes ? c->map_bytes : MAP_BYTES_DEFAULT;
    if (m->map_bytes < MAP_BYTES_MIN)
        m->map_bytes = MAP_BYTES_MIN;
    enum err e = open_in(m, c->folder);
    if (e == OK)
        *out = &m->store;
    else
        lmdb_close(&m->store);
    return e;
}

/* ---- looking after it ---- */

enum err store_lmdb_info(struct store *s, struct store_lmdb_info *out)
{
    struct store_lmdb *m = lmdb_of(s);
    MDB_envinfo info;
    MDB_stat page;
    unsigned flags;
    int fd, major, minor, patch;
    struct stat st;
    clear_dead_readers(m);
    if (mdb_env_info(m->env, &info) != 0 || mdb_env_stat(m->env, &page) != 0 || mdb_env_get_flags(m->env, &flags) != 0 ||
        mdb_env_get_fd(m->env, &fd) != 0 || fstat(fd, &st) != 0)
        return ERR_IO;
    *out = (struct store_lmdb_info){
        .map_bytes = info.me_mapsize,
        .used_bytes = (uint64_t)(info.me_last_pgno + 1) * page.ms_psize,
        .file_bytes = (uint64_t)st.st_size,
        .readers = info.me_numreaders,
        .readers_max = info.me_maxreaders,
        .readers_cleared = m->readers_cleared,
        .synchronous = (flags & (MDB_NOSYNC | MDB_NOMETASYNC | MDB_MAPASYNC | MDB_WRITEMAP)) == 0,
    };
    snprintf(out->version, sizeof out->version, "%s", mdb_version(&major, &minor, &patch));
    out->version_is_known_bad = major == 0 && minor == 9 && patch >= 26 && patch <= 31;
    return OK;
}

enum err store_lmdb_backup(struct store *s, const char *path)
{
    struct store_lmdb *m = lmdb_of(s);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? ERR_EXISTS : err_of(errno);
    enum err e = err_of(mdb_env_copyfd2(m->env, fd, MDB_CP_COMPACT));
    if (e == OK && fsync(fd) != 0)
        e = ERR_IO;
    if (close(fd) != 0 && e == OK)
        e = ERR_IO;
    if (e != OK)
        unlink(path);                                      /* half a backup is worse than none */
    return e;
}
