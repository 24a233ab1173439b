/* admission.c - addresses, keys and refusals in fixed tables; linear scans, because connections are rare beside frames. */
#include "node/admission.h"

#include <string.h>

void rate_init(struct bucket *b, struct rate r, struct mono now)
{
    b->level_milli = r.burst * 1000;
    b->at = now;
}

/* What the bucket holds at `now`. An hour of refill at most: times any 32-bit rate that stays below 2^64. */
static uint64_t level_at(const struct bucket *b, struct rate r, struct mono now)
{
    uint64_t hour_us = UINT64_C(3600) * 1000000, passed_us = now.us > b->at.us ? now.us - b->at.us : 0;
    if (passed_us > hour_us)
        passed_us = hour_us;
    uint64_t level = b->level_milli + passed_us * (r.milli_per_s / 1000) / 1000 +
                     passed_us * (r.milli_per_s % 1000) / 1000000;
    return level < r.burst * 1000 ? level : r.burst * 1000;
}

bool rate_take(struct bucket *b, struct rate r, struct mono now, uint64_t n)
{
    uint64_t level = level_at(b, r, now);
    if (level / 1000 < n)
        return false;                                      /* b unchanged: fractions keep accumulating from b->at */
    b->level_milli = level - n * 1000;
    b->at = now;
    return true;
}

struct mono rate_ready(const struct bucket *b, struct rate r, struct mono now, uint64_t n)
{
    uint64_t level = level_at(b, r, now), want = (n < r.burst ? n : r.burst) * 1000;
    if (level >= want)
        return now;
    if (r.milli_per_s == 0)
        return MONO_NEVER;
    return (struct mono){ now.us + (want - level) * 1000000 / r.milli_per_s + 1 };
}

struct address address_of_ip(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    struct address a;
    memcpy(a.b, ip, sizeof a.b);
    if (memcmp(a.b, mapped, sizeof mapped) != 0)
        memset(a.b + 8, 0, 8);
    return a;
}

void admission_init(struct admission *a, const struct admission_limits *limits)
{
    memset(a, 0, sizeof *a);
    a->limits = *limits;
}

static bool address_equal(const struct address *x, const struct address *y) { return memcmp(x->b, y->b, sizeof x->b) == 0; }
static bool seal_key_equal(const struct seal_key *x, const struct seal_key *y) { return memcmp(x->b, y->b, sizeof x->b) == 0; }

/* The slot of an address; else a free one; else the idle one that was quiet longest; else ADMISSION_ADDRESSES_MAX. */
static size_t address_slot(const struct admission *a, const struct address *at)
{
    size_t best = ADMISSION_ADDRESSES_MAX;
    for (size_t i = 0; i < ADMISSION_ADDRESSES_MAX; i++) {
        if (a->addresses[i].used && address_equal(&a->addresses[i].at, at))
            return i;
        if (a->addresses[i].open > 0 || (best < ADMISSION_ADDRESSES_MAX && !a->addresses[best].used))
            continue;
        if (best == ADMISSION_ADDRESSES_MAX || !a->addresses[i].used ||
            a->addresses[i].bucket.at.us < a->addresses[best].bucket.at.us)
            best = i;
    }
    return best;
}

enum err admission_connect(struct admission *a, struct mono now, const struct address *at)
{
    size_t i = address_slot(a, at);
    if (i == ADMISSION_ADDRESSES_MAX)
        return ERR_FULL;
    if (!a->addresses[i].used || !address_equal(&a->addresses[i].at, at)) {
        a->addresses[i].at = *at;
        a->addresses[i].used = true;
        a->addresses[i].open = 0;
        rate_init(&a->addresses[i].bucket, a->limits.address_rate, now);
    }
    if (!rate_take(&a->addresses[i].bucket, a->limits.address_rate, now, 1))
        return ERR_RATE;
    if (a->addresses[i].open >= a->limits.address_open_max)
        return ERR_QUOTA;
    a->addresses[i].open++;
    return OK;
}

void admission_disconnect(struct admission *a, const struct address *at)
{
    size_t i = address_slot(a, at);
    ENSURE(i < ADMISSION_ADDRESSES_MAX && a->addresses[i].used && address_equal(&a->addresses[i].at, at));
    ENSURE(a->addresses[i].open > 0);
    a->addresses[i].open--;
}

/* The slot of a key; else a free one; else the one whose bucket was used longest ago. */
static size_t key_slot(const struct admission *a, const struct seal_key *key)
{
    size_t best = 0;
    for (size_t i = 0; i < ADMISSION_KEYS_MAX; i++) {
        if (a->keys[i].used && seal_key_equal(&a->keys[i].key, key))
            return i;
        if (a->keys[best].used && (!a->keys[i].used || a->keys[i].bucket.at.us < a->keys[best].bucket.at.us))
            best = i;
    }
    return best;
}

enum err admission_key(struct admission *a, struct mono now, const struct seal_key *key)
{
    if (admission_is_muted(a, now, key))
        return ERR_KEY;
    size_t i = key_slot(a, key);
    if (!a->keys[i].used || !seal_key_equal(&a->keys[i].key, key)) {
        a->keys[i].key = *key;
        a->keys[i].used = true;
        rate_init(&a->keys[i].bucket, a->limits.key_rate, now);
    }
    return rate_take(&a->keys[i].bucket, a->limits.key_rate, now, 1) ? OK : ERR_RATE;
}

/* Forgets refusals that are over. */
static void mutes_expire(struct admission *a, struct mono now)
{
    for (uint32_t i = 0; i < a->mute_count;)
        if (mono_reached(now, a->mutes[i].until))
            a->mutes[i] = a->mutes[--a->mute_count];
        else
            i++;
}

void admission_mute(struct admission *a, struct mono now, const struct seal_key *key, struct mono until)
{
    mutes_expire(a, now);
    uint32_t soonest = 0;
    for (uint32_t i = 0; i < a->mute_count; i++) {
        if (seal_key_equal(&a->mutes[i].key, key)) {
            a->mutes[i].until.us = a->mutes[i].until.us > until.us ? a->mutes[i].until.us : until.us;
            return;
        }
        if (a->mutes[i].until.us < a->mutes[soonest].until.us)
            soonest = i;
    }
    uint32_t slot = a->mute_count < ADMISSION_MUTES_MAX ? a->mute_count++ : soonest;
    a->mutes[slot].key = *key;
    a->mutes[slot].until = until;
}

bool admission_is_muted(const struct admission *a, struct mono now, const struct seal_key *key)
{
    for (uint32_t i = 0; i < a->mute_count; i++)
        if (seal_key_equal(&a->mutes[i].key, key) && !mono_reached(now, a->mutes[i].until))
            return true;
    return false;
}

uint32_t admission_muted_count(struct admission *a, struct mono now)
{
    mutes_expire(a, now);
    return a->mute_count;
}
