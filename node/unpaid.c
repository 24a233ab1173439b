/* unpaid.c - places as a point in time: n places taken are free again n pauses from now. */
#include "node/unpaid.h"

#include <string.h>

struct allowance { uint32_t places, pause_ms; };
static const struct allowance for_one = { UNPAID_JOBS_MAX, UNPAID_PAUSE_MS };
static const struct allowance for_newcomers = { UNPAID_NEWCOMERS_MAX, UNPAID_NEWCOMERS_PAUSE_MS };

static uint32_t left(struct mono free_at, struct mono now, struct allowance a)
{
    uint64_t pause_us = (uint64_t)a.pause_ms * 1000, taken = free_at.us > now.us ? (free_at.us - now.us + pause_us - 1) / pause_us : 0;
    return taken < a.places ? a.places - (uint32_t)taken : 0;
}

static struct mono taken_one(struct mono free_at, struct mono now, struct allowance a)
{
    return mono_add_ms(free_at.us > now.us ? free_at : now, a.pause_ms);
}

static struct mono given_back(struct mono free_at, struct allowance a)
{
    uint64_t us = (uint64_t)a.pause_ms * 1000;
    return (struct mono){ free_at.us > us ? free_at.us - us : 0 };
}

/* The requester's entry, or the one to give up for it. */
static size_t slot_of(const struct unpaid *u, const struct pubkey *requester)
{
    size_t soonest = 0;
    for (size_t i = 0; i < UNPAID_REQUESTERS_MAX; i++) {
        if (pubkey_equal(&u->requester[i].key, requester))
            return i;
        if (u->requester[i].free_at.us < u->requester[soonest].free_at.us)
            soonest = i;
    }
    return soonest;
}

static struct mono free_at_of(const struct unpaid *u, const struct pubkey *requester)
{
    size_t i = slot_of(u, requester);
    return pubkey_equal(&u->requester[i].key, requester) ? u->requester[i].free_at : (struct mono){ 0 };
}

uint32_t unpaid_places(const struct unpaid *u, struct mono now, const struct pubkey *requester, bool newcomer)
{
    uint32_t own = left(free_at_of(u, requester), now, for_one), all = left(u->newcomers_free_at, now, for_newcomers);
    return newcomer && all < own ? all : own;
}

void unpaid_begun(struct unpaid *u, struct mono now, const struct pubkey *requester, bool newcomer)
{
    struct mono free_at = free_at_of(u, requester);
    size_t i = slot_of(u, requester);
    u->requester[i].key = *requester;
    u->requester[i].free_at = taken_one(free_at, now, for_one);
    if (newcomer)
        u->newcomers_free_at = taken_one(u->newcomers_free_at, now, for_newcomers);
}

void unpaid_signed(struct unpaid *u, const struct pubkey *requester, bool newcomer)
{
    size_t i = slot_of(u, requester);
    if (pubkey_equal(&u->requester[i].key, requester))
        u->requester[i].free_at = given_back(u->requester[i].free_at, for_one);
    if (newcomer)
        u->newcomers_free_at = given_back(u->newcomers_free_at, for_newcomers);
}
