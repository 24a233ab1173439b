/* store.c - what every store does alike: sticky failure, size limits, nothing written to a read-only one. */
#include "ledger/store.h"

const char *store_table_name(enum store_table t)
{
    static const char *const names[] = {
#define X(name, text) text,
        STORE_TABLES(X)
#undef X
    };
    ENSURE((unsigned)t < STORE_TABLE_COUNT);
    return names[t];
}

/* A missing entry is an answer; everything else is a failure of this transaction. */
static enum err stick(struct store *s, enum err e)
{
    if (e != OK && e != ERR_NOT_FOUND && s->failed == OK)
        s->failed = e;
    return e;
}

enum err store_get(struct store *s, enum store_table t, struct bytes key, struct bytes *out)
{
    return s->failed != OK ? s->failed : stick(s, s->ops->get(s, t, key, out));
}

enum err store_put(struct store *s, enum store_table t, struct bytes key, struct bytes value)
{
    ENSURE(key.len > 0 && key.len <= STORE_KEY_BYTES_MAX);
    ENSURE(value.len <= STORE_VALUE_BYTES_MAX);
    if (s->read_only)
        return ERR_STATE;
    if (s->failed != OK)
        return s->failed;
    s->dirty = true;
    return stick(s, s->ops->put(s, t, key, value));
}

enum err store_del(struct store *s, enum store_table t, struct bytes key)
{
    ENSURE(key.len > 0 && key.len <= STORE_KEY_BYTES_MAX);
    if (s->read_only)
        return ERR_STATE;
    if (s->failed != OK)
        return s->failed;
    s->dirty = true;
    return stick(s, s->ops->del(s, t, key));
}

enum err store_seek(struct store *s, enum store_table t, struct bytes key, struct bytes *out_key, struct bytes *out_value)
{
    return s->failed != OK ? s->failed : stick(s, s->ops->seek(s, t, key, false, out_key, out_value));
}

enum err store_seek_before(struct store *s, enum store_table t, struct bytes key, struct bytes *out_key, struct bytes *out_value)
{
    return s->failed != OK ? s->failed : stick(s, s->ops->seek(s, t, key, true, out_key, out_value));
}

void store_fail(struct store *s, enum err e)
{
    ENSURE(e != OK);
    if (s->failed == OK)
        s->failed = e;
}

enum err store_commit(struct store *s)
{
    enum err e = s->failed;
    if (e == OK && s->dirty)
        e = s->ops->commit(s);
    if (e != OK || !s->dirty)
        s->ops->abort(s);                                  /* also ends a transaction that only read */
    s->failed = OK;
    s->dirty = false;
    return e;
}

void store_abort(struct store *s)
{
    s->ops->abort(s);
    s->failed = OK;
    s->dirty = false;
}

void store_close(struct store *s)
{
    store_abort(s);
    s->ops->close(s);
}
