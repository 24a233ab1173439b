/* ledger_pin.c - which model does a name mean for this node? The one that it meant when it was first used.
 *
 *   pin: name -> model id, when
 *
 * Anybody may advertise anything under any name, and the mesh resolves a name to what most nodes offer under it. Without a memory a
 * majority, or whoever pretends to be one, could exchange the model behind a name that people have come to rely on.
 */
#include "ledger/book.h"

#include <string.h>

enum { PIN_FIELDS = 2, PIN_BYTES_MAX = 64 };

static bool is_name(struct bytes name) { return name.len > 0 && name.len <= MODEL_LABEL_CHARS_MAX; }

static enum err pin_decode(struct bytes key, struct bytes value, struct pin *out)
{
    struct reader r;
    struct pin p = { .name = "" };
    reader_init(&r, value);
    read_array(&r, PIN_FIELDS);
    read_hash(&r, &p.model);
    p.since.ms = read_uint(&r, UINT64_MAX);
    if (reader_finish(&r) != OK || !is_name(key) || memchr(key.data, 0, key.len))
        return ERR_CORRUPT;
    memcpy(p.name, key.data, key.len);
    *out = p;
    return OK;
}

enum err ledger_pin_find(struct ledger *l, const char *name, struct pin *out)
{
    struct bytes key = bytes_text(name), value;
    if (!is_name(key))
        return ERR_NOT_FOUND;
    enum err e = store_get(l->store, STORE_PIN, key, &value);
    return e == OK ? pin_decode(key, value, out) : e;
}

enum err ledger_pin_next(struct ledger *l, struct pin *p)
{
    struct bytes key, value;
    /* With its NUL: the first key behind that name. No key at all: the first of all. */
    enum err e = store_seek(l->store, STORE_PIN, bytes_of(p->name, p->name[0] ? strlen(p->name) + 1 : 0), &key, &value);
    return e == OK ? pin_decode(key, value, p) : e;
}

static enum err is_room(struct ledger *l)
{
    struct pin p = { .name = "" };
    enum err e = OK;
    for (uint32_t n = 0; e == OK; n++) {
        if (n == PINS_MAX)
            return ERR_FULL;
        e = ledger_pin_next(l, &p);
    }
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err ledger_pin(struct ledger *l, const char *name, const struct hash *model, struct wall now)
{
    uint8_t buf[PIN_BYTES_MAX];
    struct writer w;
    struct bytes value = { 0 };
    struct pin known;
    if (!is_name(bytes_text(name)))
        return ERR_ARG;
    enum err e = ledger_pin_find(l, name, &known);
    if (e == OK)
        return hash_equal(&known.model, model) ? OK : ERR_PINNED;
    if (e == ERR_NOT_FOUND)
        e = is_room(l);
    if (e != OK)
        return e;
    writer_init(&w, buf, sizeof buf);
    write_array(&w, PIN_FIELDS);
    write_hash(&w, model);
    write_uint(&w, now.ms);
    e = writer_finish(&w, &value);
    ENSURE(e == OK);
    return store_put(l->store, STORE_PIN, bytes_text(name), value);
}

enum err ledger_unpin(struct ledger *l, const char *name)
{
    struct pin known;
    enum err e = ledger_pin_find(l, name, &known);
    return e == OK || e == ERR_CORRUPT ? store_del(l->store, STORE_PIN, bytes_text(name)) : e;
}
