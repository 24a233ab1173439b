/* throttle.c - token buckets (PROTO 3.6). */
#include "dht/throttle.h"

enum { MICRO = 1000000 };

static const struct bucket_rate bytes_rate = { PEER_BYTES_PER_S, PEER_BYTES_BURST };
static const struct bucket_rate message_rate = { PEER_MSGS_PER_S, PEER_MSGS_BURST };
/* One point a second, a hundred at most: an honest peer with an odd bug survives, a hostile one does not last. */
static const struct bucket_rate patience_rate = { 1, 100 };

static uint64_t capacity(struct bucket_rate rate) { return (uint64_t)rate.burst * MICRO; }

void bucket_init(struct bucket *b, struct mono now, struct bucket_rate rate)
{
    *b = (struct bucket){ .level = capacity(rate), .filled = now };
}

static void refill(struct bucket *b, struct mono now, struct bucket_rate rate)
{
    if (now.us <= b->filled.us)
        return;
    uint64_t elapsed_us = now.us - b->filled.us;
    uint64_t room = capacity(rate) - b->level;
    b->filled = now;
    if (elapsed_us >= room / rate.per_s + 1)                   /* full before the product could overflow */
        b->level = capacity(rate);
    else
        b->level += elapsed_us * rate.per_s;
    if (b->level > capacity(rate))
        b->level = capacity(rate);
}

bool bucket_take(struct bucket *b, struct mono now, struct bucket_rate rate, uint32_t amount)
{
    refill(b, now, rate);
    uint64_t cost = (uint64_t)amount * MICRO;
    if (cost > b->level)
        return false;
    b->level -= cost;
    return true;
}

void throttle_init(struct throttle *t, struct mono now)
{
    bucket_init(&t->bytes, now, bytes_rate);
    bucket_init(&t->messages, now, message_rate);
    bucket_init(&t->patience, now, patience_rate);
}

enum err throttle_charge(struct throttle *t, struct mono now, size_t bytes)
{
    ENSURE(bytes <= UINT32_MAX);
    bool messages_left = bucket_take(&t->messages, now, message_rate, 1);
    bool bytes_left = bucket_take(&t->bytes, now, bytes_rate, (uint32_t)bytes);
    return messages_left && bytes_left ? OK : ERR_RATE;
}

/* What an offence costs, in points. Forgery cannot happen by accident; late or unknown things can. */
static uint32_t price(enum err what)
{
    if (what == ERR_SIGNATURE || what == ERR_KEY || what == ERR_POW || what == ERR_NETWORK || what == ERR_EQUIVOCATION)
        return 50;
    if (what == ERR_ENCODING || what == ERR_TOO_LARGE || what == ERR_OVERFLOW || what == ERR_FORMAT)
        return 20;
    if (what == ERR_STATE || what == ERR_CERT || what == ERR_QUOTA)
        return 10;
    if (what == ERR_RATE)
        return 2;
    return 1;
}

bool throttle_offence(struct throttle *t, struct mono now, enum err what)
{
    if (bucket_take(&t->patience, now, patience_rate, price(what)))
        return false;
    t->patience.level = 0;                                     /* an offence it could not pay for leaves nothing */
    return true;
}
