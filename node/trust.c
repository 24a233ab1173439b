/* trust.c - a short memory for broken promises. */
#include "node/trust.h"

#include <string.h>

void trust_init(struct trust *t) { memset(t, 0, sizeof *t); }

static size_t find(const struct trust *t, const struct node_id *node)
{
    size_t i = 0;
    while (i < TRUST_ENTRIES_MAX && !(t->entry[i].used && node_id_equal(&t->entry[i].node, node)))
        i++;
    return i;
}

static size_t make_room(const struct trust *t)
{
    size_t best = 0;
    for (size_t i = 0; i < TRUST_ENTRIES_MAX; i++) {
        if (!t->entry[i].used)
            return i;
        if (t->entry[i].until.us < t->entry[best].until.us)
            best = i;
    }
    return best;
}

static uint64_t disgrace_ms(uint32_t failures)
{
    uint32_t doublings = failures - 1 < TRUST_DOUBLINGS_MAX ? failures - 1 : TRUST_DOUBLINGS_MAX;
    return (uint64_t)TRUST_FIRST_MS << doublings;
}

void trust_failed(struct trust *t, struct mono now, const struct node_id *node)
{
    size_t i = find(t, node);
    uint32_t failures = 1;
    if (i == TRUST_ENTRIES_MAX)
        i = make_room(t);
    else if (!mono_reached(now, mono_add_ms(t->entry[i].until, disgrace_ms(t->entry[i].failures))))
        failures = t->entry[i].failures + 1;
    t->entry[i].used = true;
    t->entry[i].node = *node;
    t->entry[i].failures = failures;
    t->entry[i].until = mono_add_ms(now, disgrace_ms(failures));
}

void trust_delivered(struct trust *t, const struct node_id *node)
{
    size_t i = find(t, node);
    if (i < TRUST_ENTRIES_MAX)
        t->entry[i].used = false;
}

bool trust_is_bad(const struct trust *t, struct mono now, const struct node_id *node)
{
    size_t i = find(t, node);
    return i < TRUST_ENTRIES_MAX && !mono_reached(now, t->entry[i].until);
}
