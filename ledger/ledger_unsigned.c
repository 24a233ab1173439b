/* ledger_unsigned.c - what was delivered and nobody signed for, and jobs that came to nothing: how long do they stay?
 *
 *   ended -- nothing delivered, nothing claimed ----------------------------------------> idle -- IDLE_KEEP_MS, IDLE_JOBS_MAX --> forgotten
 *     |                                                                                    ^
 *     +-- more delivered than co-signed --> unsigned -- UNSIGNED_KEEP_MS, no claim so far --+
 *                                              +-- claims or the receipt cover it, or the time has passed --> an ordinary job
 *
 * Without the first, a requester that never signs would owe nothing and could go on for ever; without the second, whoever
 * begins jobs and cancels them would fill the disk. The key of an unsigned record follows from the job's end, so that the job
 * finds its record and the clock finds the oldest.
 */
#include "ledger/book.h"

#include <string.h>

static const char idle_key[] = "idle";
enum { IDLE_FIELDS = 2, IDLE_BYTES_MAX = 32, KEY_TIME_BYTES = 8 };

/* ---- delivered, not signed for ---- */

static struct book_key unsigned_key(const struct job *j)
{
    struct wall until = { j->ended.ms > UINT64_MAX - UNSIGNED_KEEP_MS ? UINT64_MAX : j->ended.ms + UNSIGNED_KEEP_MS };
    return book_key_due(until, &j->terms);
}

enum err book_unsigned(struct ledger *l, const struct job *j, struct pico cost, struct pico *out)
{
    struct book_key k = unsigned_key(j);
    uint64_t delivered;
    *out = (struct pico){ 0 };
    enum err e = book_get_number(l, STORE_UNSIGNED, &k, &delivered);
    if (e != OK)
        return e == ERR_NOT_FOUND ? OK : e;
    out->v = delivered > cost.v ? delivered - cost.v : 0;
    return OK;
}

enum err book_unsigned_put(struct ledger *l, const struct job *j, struct pico delivered)
{
    ENSURE(j->role == SIDE_PROVIDER && delivered.v > j->cost.v);
    struct book_key k = unsigned_key(j);
    return book_put_number(l, STORE_UNSIGNED, &k, delivered.v);
}

enum err book_unsigned_paid(struct ledger *l, const struct job *j, struct pico cost)
{
    struct book_key k = unsigned_key(j);
    struct pico tail;
    enum err e = j->outcome == OUTCOME_NONE ? OK : book_unsigned(l, j, cost, &tail);
    if (e != OK || j->outcome == OUTCOME_NONE || tail.v > 0)
        return e;
    return store_del(l->store, STORE_UNSIGNED, book_key_view(&k));
}

/* ---- jobs that came to nothing ---- */

enum err book_idle_load(struct ledger *l, struct book_idle *out)
{
    struct bytes v;
    enum err e = store_get(l->store, STORE_META, bytes_text(idle_key), &v);
    if (e != OK)
        return e;
    struct book_idle i;
    struct reader r;
    reader_init(&r, v);
    read_array(&r, IDLE_FIELDS);
    i.idle = read_uint(&r, UINT64_MAX);
    i.forgotten = read_uint(&r, UINT64_MAX);
    if (reader_finish(&r) != OK)
        return ERR_CORRUPT;
    *out = i;
    return OK;
}

static enum err idle_save(struct ledger *l, const struct book_idle *i)
{
    uint8_t buf[IDLE_BYTES_MAX];
    struct writer w;
    struct bytes value = { 0 };
    writer_init(&w, buf, sizeof buf);
    write_array(&w, IDLE_FIELDS);
    write_uint(&w, i->idle);
    write_uint(&w, i->forgotten);
    enum err e = writer_finish(&w, &value);
    ENSURE(e == OK);
    return store_put(l->store, STORE_META, bytes_text(idle_key), value);
}

static enum err is_idle(struct ledger *l, const struct job *j, bool *out)
{
    struct pico tail = { 0 };
    enum err e = book_unsigned(l, j, j->cost, &tail);
    *out = j->role == SIDE_PROVIDER && j->outcome != OUTCOME_NONE && !j->has_claim && hash_is_zero(&j->receipt) && tail.v == 0;
    return e;
}

enum err book_idle_settle(struct ledger *l, const struct job *j)
{
    struct book_key k = book_key_number(j->number);
    struct book_idle i;
    struct hash terms;
    bool wanted;
    enum err e = is_idle(l, j, &wanted);
    if (e == OK)
        e = book_get_hash(l, STORE_JOB_IDLE, &k, &terms);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    bool there = e == OK;
    if (there == wanted)
        return OK;
    e = book_idle_load(l, &i);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    if (there && i.idle == 0)
        return ERR_CORRUPT;
    i.idle = wanted ? i.idle + 1 : i.idle - 1;
    e = wanted ? book_put_hash(l, STORE_JOB_IDLE, &k, &j->terms) : store_del(l->store, STORE_JOB_IDLE, book_key_view(&k));
    return e == OK ? idle_save(l, &i) : e;
}

enum err book_idle_begin(struct ledger *l)
{
    struct book_idle none = { 0 };
    struct job j;
    uint64_t cursor = UINT64_MAX;
    enum err e = idle_save(l, &none);
    while (e == OK && (e = ledger_job_next(l, &cursor, &j)) == OK)
        e = book_idle_settle(l, &j);
    return book_finish(l, e == ERR_NOT_FOUND ? OK : e);
}

/* ---- one place where an ended job's sums and lists follow from what is known of it ---- */

enum err book_job_settle(struct ledger *l, struct job *j)
{
    struct book_key due = book_key_peer_number(&j->peer, j->number);
    bool received = !hash_is_zero(&j->receipt);
    struct pico reserved = { 0 };
    if (j->outcome == OUTCOME_NONE && !received)
        return OK;                                         /* still running: all of it stays reserved */
    enum err e = j->outcome == OUTCOME_NONE ? OK : book_unsigned(l, j, j->cost, &reserved);
    if (e == OK && j->has_claim && !received)
        e = amount_add(reserved, j->cost, &reserved);
    if (e == OK)
        e = book_reserve(l, j, reserved);
    if (e != OK)
        return e;
    j->stage = j->has_claim && !received ? JOB_ENDED : JOB_CLOSED;
    if (j->role == SIDE_PROVIDER && j->stage == JOB_ENDED)
        e = book_put_hash(l, STORE_JOB_DUE, &due, &j->terms);
    else if (j->role == SIDE_PROVIDER)
        e = store_del(l->store, STORE_JOB_DUE, book_key_view(&due));
    return e == OK ? book_idle_settle(l, j) : e;
}

/* ---- the clock ---- */

static enum err release(struct ledger *l, const struct hash *terms)
{
    struct job j;
    enum err e = book_job_load(l, terms, &j);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    struct book_key k = unsigned_key(&j);
    e = store_del(l->store, STORE_UNSIGNED, book_key_view(&k));
    if (e == OK)
        e = book_job_settle(l, &j);
    return e == OK ? book_job_save(l, &j) : e;
}

enum err ledger_unsigned_release(struct ledger *l, struct wall now, uint32_t max, uint32_t *out_released)
{
    ENSURE(l->key != NULL);
    for (*out_released = 0; *out_released < max; (*out_released)++) {
        struct book_key first = book_key_number(0);
        struct bytes key, value;
        struct hash terms;
        enum err e = store_seek(l->store, STORE_UNSIGNED, book_key_view(&first), &key, &value);
        if (e == ERR_NOT_FOUND)
            return OK;
        if (e == OK && key.len != KEY_TIME_BYTES + HASH_BYTES)
            e = ERR_CORRUPT;
        if (e != OK || book_number_at(key, 0) > now.ms)
            return e;
        memcpy(terms.b, key.data + KEY_TIME_BYTES, HASH_BYTES);
        e = book_finish(l, release(l, &terms));
        if (e != OK)
            return e;
    }
    return OK;
}

/* Nothing is left that could be asked for: no claim was co-signed, and what was delivered, if anything, counts no longer. */
static enum err forget(struct ledger *l, const struct job *j)
{
    struct book_key number = book_key_number(j->number), id = book_key_job_id(&j->id, j->number), terms = book_key_hash(&j->terms),
                    ours = book_key_hash_side(&j->terms, SIDE_PROVIDER), theirs = book_key_hash_side(&j->terms, SIDE_REQUESTER);
    const struct { enum store_table table; const struct book_key *key; } records[] = {
        { STORE_JOB_IDLE, &number }, { STORE_JOB_NUMBER, &number }, { STORE_JOB_ID, &id }, { STORE_TERMS, &terms },
        { STORE_NOTE, &ours }, { STORE_NOTE, &theirs }, { STORE_JOB, &terms },
    };
    struct book_idle i;
    ENSURE(j->role == SIDE_PROVIDER && j->stage == JOB_CLOSED && !j->has_claim && j->reserved.v == 0);
    enum err e = book_idle_load(l, &i);
    for (size_t k = 0; k < ARRAY_COUNT(records) && e == OK; k++)
        e = store_del(l->store, records[k].table, book_key_view(records[k].key));
    if (e != OK)
        return e;
    if (i.idle == 0)
        return ERR_CORRUPT;
    i.idle--;
    i.forgotten++;
    return idle_save(l, &i);
}

/* The oldest; ERR_NOT_FOUND if there is none or it may stay. */
static enum err oldest_to_forget(struct ledger *l, struct wall now, struct job *out)
{
    struct book_key first = book_key_number(0);
    struct bytes key, value;
    struct book_idle i;
    struct hash terms;
    enum err e = store_seek(l->store, STORE_JOB_IDLE, book_key_view(&first), &key, &value);
    if (e != OK)
        return e;
    if (value.len != HASH_BYTES)
        return ERR_CORRUPT;
    memcpy(terms.b, value.data, HASH_BYTES);
    e = book_job_load(l, &terms, out);
    if (e == OK)
        e = book_idle_load(l, &i);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    bool is_old = out->ended.ms <= now.ms && now.ms - out->ended.ms >= IDLE_KEEP_MS;
    return is_old || i.idle > IDLE_JOBS_MAX ? OK : ERR_NOT_FOUND;
}

enum err ledger_idle_prune(struct ledger *l, struct wall now, uint32_t max, uint32_t *out_pruned)
{
    ENSURE(l->key != NULL);
    for (*out_pruned = 0; *out_pruned < max; (*out_pruned)++) {
        struct job j;
        enum err e = oldest_to_forget(l, now, &j);
        if (e != OK)
            return e == ERR_NOT_FOUND ? OK : e;
        e = book_finish(l, forget(l, &j));
        if (e != OK)
            return e;
    }
    return OK;
}
