/* liveness.c - pings, misses and round-trip time (PROTO 3.5). */
#include "dht/liveness.h"

void liveness_init(struct liveness *l, struct mono now) { *l = (struct liveness){ .next_ping = now, .heard = now }; }

void liveness_heard(struct liveness *l, struct mono now)
{
    l->heard = now;
    l->misses = 0;
}

enum liveness_verdict liveness_due(struct liveness *l, struct mono now)
{
    if (l->asked && mono_reached(now, mono_add_ms(l->asked_at, PONG_TIMEOUT_MS))) {
        l->asked = false;
        l->next_ping = now;                                    /* loss is not death: ask again at once */
        if (l->heard.us <= l->asked_at.us)
            l->misses++;
    }
    if (l->misses >= PING_MISSES_MAX)
        return LIVENESS_DEAD;
    return !l->asked && mono_reached(now, l->next_ping) ? LIVENESS_PING : LIVENESS_WAIT;
}

void liveness_asked(struct liveness *l, struct mono now, uint64_t request)
{
    l->asked = true;
    l->request = request;
    l->asked_at = now;
    l->next_ping = mono_add_ms(now, PING_INTERVAL_MS);
}

enum err liveness_answered(struct liveness *l, struct mono now, uint64_t request)
{
    if (!l->asked || l->request != request)
        return ERR_NOT_FOUND;
    uint64_t sample = now.us - l->asked_at.us;
    if (sample > UINT32_MAX)
        sample = UINT32_MAX;
    if (sample == 0)
        sample = 1;                                            /* 0 means: never measured */
    l->asked = false;
    l->rtt_us = l->rtt_us == 0 ? (uint32_t)sample : (uint32_t)((7 * (uint64_t)l->rtt_us + sample) / 8);
    if (l->rtt_us == 0)
        l->rtt_us = 1;
    return OK;
}

struct mono liveness_deadline(const struct liveness *l)
{
    return l->asked ? mono_add_ms(l->asked_at, PONG_TIMEOUT_MS) : l->next_ping;
}
