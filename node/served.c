/* served.c - a table of eight. */
#include "node/served.h"

#include <string.h>

void served_init(struct served_table *t) { memset(t, 0, sizeof *t); }

struct served *served_find(struct served_table *t, const struct hash *model)
{
    for (size_t i = 0; i < SERVED_MAX; i++)
        if (t->entry[i].used && hash_equal(&t->entry[i].model.id, model))
            return &t->entry[i];
    return NULL;
}

enum err served_add(struct served_table *t, const struct served_model *m)
{
    struct served *s = served_find(t, &m->id);
    if (m->price_input > PRICE_MAX || m->price_cached > PRICE_MAX || m->price_output > PRICE_MAX)
        return ERR_PRICE;                                  /* no bid can carry it */
    for (size_t i = 0; i < SERVED_MAX && !s; i++)
        if (!t->entry[i].used)
            s = &t->entry[i];
    if (!s)
        return ERR_FULL;
    if (!s->used)
        *s = (struct served){ .used = true };
    s->model = *m;
    return OK;
}

void served_remove(struct served_table *t, const struct hash *model)
{
    struct served *s = served_find(t, model);
    if (s)
        *s = (struct served){ .used = false };
}

uint32_t served_slots_free(const struct served *s)
{
    uint32_t taken = s->running + s->held;
    return taken < s->model.slots ? s->model.slots - taken : 0;
}

static void change_count(uint32_t *count, int change)
{
    ENSURE(change == 1 || change == -1);
    if (change < 0 && *count == 0)
        return;                                            /* served again after it had gone: counts began anew */
    *count += (uint32_t)change;
}

void served_run(struct served_table *t, const struct hash *model, int change)
{
    struct served *s = served_find(t, model);
    if (s)
        change_count(&s->running, change);
}

void served_hold(struct served_table *t, const struct hash *model, int change)
{
    struct served *s = served_find(t, model);
    if (s)
        change_count(&s->held, change);
}
