/* lookup.c - the iterative walk (PROTO 4.6). */
#include "dht/lookup.h"

#include <string.h>

void lookup_init(struct lookup *l, struct mono now, const struct hash *target)
{
    memset(l, 0, sizeof *l);
    l->target = *target;
    l->deadline = mono_add_ms(now, LOOKUP_MS_MAX);
}

size_t lookup_index(const struct lookup *l, const struct node_id *id)
{
    for (size_t i = 0; i < l->count; i++)
        if (node_id_equal(&l->candidates[i].record.id, id))
            return i;
    return LOOKUP_NONE;
}

static bool has_failed(const struct lookup *l, const struct node_id *id)
{
    size_t n = l->failed_count < LOOKUP_FAILED_MAX ? l->failed_count : LOOKUP_FAILED_MAX;
    for (size_t i = 0; i < n; i++)
        if (hash_equal(&l->failed[i], &id->h))
            return true;
    return false;
}

bool lookup_add(struct lookup *l, const struct node_record *record)
{
    if (lookup_index(l, &record->id) != LOOKUP_NONE || has_failed(l, &record->id))
        return false;
    size_t at = l->count;
    while (at > 0 && hash_distance_compare(&l->target, &record->id.h, &l->candidates[at - 1].record.id.h) < 0)
        at--;
    if (at == LOOKUP_KEPT)
        return false;
    size_t tail = l->count < LOOKUP_KEPT ? l->count - at : LOOKUP_KEPT - 1 - at;
    memmove(&l->candidates[at + 1], &l->candidates[at], tail * sizeof l->candidates[0]);
    l->candidates[at] = (struct candidate){ .record = *record };
    l->count += l->count < LOOKUP_KEPT;
    return true;
}

size_t lookup_pick(const struct lookup *l)
{
    size_t asked = 0, first_new = LOOKUP_NONE;
    for (size_t i = 0; i < l->count; i++) {
        asked += l->candidates[i].state == CANDIDATE_ASKED;
        if (l->candidates[i].state == CANDIDATE_NEW && first_new == LOOKUP_NONE && i < LOOKUP_WIDTH)
            first_new = i;
    }
    return asked < LOOKUP_ALPHA ? first_new : LOOKUP_NONE;
}

void lookup_asked(struct lookup *l, size_t i, uint64_t request, struct mono deadline)
{
    ENSURE(i < l->count);
    struct candidate *c = &l->candidates[i];
    c->state = CANDIDATE_ASKED;
    c->request = request;
    c->deadline = deadline;
    c->tries += request != 0;
}

size_t lookup_match(const struct lookup *l, uint64_t request, const struct node_id *from)
{
    size_t i = lookup_index(l, from);
    if (i == LOOKUP_NONE || l->candidates[i].state != CANDIDATE_ASKED || l->candidates[i].request != request || request == 0)
        return LOOKUP_NONE;
    return i;
}

void lookup_answered(struct lookup *l, size_t i)
{
    ENSURE(i < l->count);
    l->candidates[i].state = CANDIDATE_ANSWERED;
}

void lookup_failed(struct lookup *l, size_t i)
{
    ENSURE(i < l->count);
    l->failed[l->failed_count++ % LOOKUP_FAILED_MAX] = l->candidates[i].record.id.h;
    l->count--;
    memmove(&l->candidates[i], &l->candidates[i + 1], (l->count - i) * sizeof l->candidates[0]);
}

bool lookup_late(const struct lookup *l, struct mono now, size_t *i)
{
    for (size_t k = 0; k < l->count; k++) {
        if (l->candidates[k].state != CANDIDATE_ASKED || !mono_reached(now, l->candidates[k].deadline))
            continue;
        *i = k;
        return true;
    }
    return false;
}

bool lookup_is_done(const struct lookup *l, struct mono now)
{
    if (mono_reached(now, l->deadline))
        return true;
    for (size_t i = 0; i < l->count && i < LOOKUP_WIDTH; i++)
        if (l->candidates[i].state != CANDIDATE_ANSWERED)
            return false;
    return true;
}

struct mono lookup_deadline(const struct lookup *l)
{
    struct mono deadline = l->deadline;
    for (size_t i = 0; i < l->count; i++)
        if (l->candidates[i].state == CANDIDATE_ASKED)
            deadline = mono_min(deadline, l->candidates[i].deadline);
    return deadline;
}

void lookup_check(const struct lookup *l)
{
    size_t asked = 0;
    ENSURE(l->count <= LOOKUP_KEPT);
    for (size_t i = 0; i < l->count; i++) {
        asked += l->candidates[i].state == CANDIDATE_ASKED;
        ENSURE(l->candidates[i].tries <= LOOKUP_TRIES_MAX);
        if (i > 0)
            ENSURE(hash_distance_compare(&l->target, &l->candidates[i - 1].record.id.h, &l->candidates[i].record.id.h) < 0);
    }
    ENSURE(asked <= LOOKUP_ALPHA);
}
