/* transport_zmq.c - the loop's turn: what happened is collected, judged, and handed out event by event. */
#include "node/transport_parts_zmq.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

static void wakes_collect(struct transport *t)
{
    struct epoll_event wakes[WAKES_PER_TURN];
    int n = epoll_wait(t->epoll, wakes, WAKES_PER_TURN, 0);
    for (int i = 0; i < n; i++) {
        uint64_t tag = wakes[i].data.u64, slot = tag & 0xffff;
        if (tag == TAG_ROUTER)
            t->router_readable = true;
        else if (tag == TAG_ROUTER_MONITOR)
            t->router_monitor_readable = true;
        else if (tag == TAG_ZAP)
            t->zap_readable = true;
        else if (tag & TAG_LINK)
            t->outbound[slot].readable = true;
        else
            t->outbound[slot].monitor_readable = true;
    }
}

static void outbound_turn_start(struct transport *t, struct peer_link *l)
{
    if (l->state == LINK_FREE)
        return;
    if (l->monitor_readable)
        monitor_outbound(t, l);
    if (l->state == LINK_DIALLING && mono_reached(t->now, l->due))
        link_end(t, l);
    else if (l->state == LINK_ENDING && mono_reached(t->now, l->due))
        link_tell_down(t, l);
}

void transport_turn(struct transport *t, struct mono now)
{
    frame_release(t);
    t->now = now;
    t->frames_left = t->limits.frames_per_turn;
    wakes_collect(t);
    monitor_inbound(t);
    zap_serve(t);
    for (uint32_t i = 0; i < t->limits.outbound_max; i++)
        outbound_turn_start(t, &t->outbound[i]);
    for (uint32_t i = 0; i < t->inbound_slots; i++) {
        struct peer_link *l = &t->inbound[i];
        if (l->state == LINK_ENDING && mono_reached(now, l->due))
            link_tell_down(t, l);
        else if (l->state == LINK_DEAD && mono_reached(now, l->due))
            l->state = LINK_FREE;
    }
    connections_sweep(t);
    t->counters.muted_keys = t->admission.mute_count;
}

/* Tells one link's news. */
static void tell(struct transport *t, struct peer_link *l, struct transport_event *out)
{
    *out = (struct transport_event){ .kind = l->tell_up ? TRANSPORT_LINK_UP : TRANSPORT_LINK_DOWN, .link = l->id, .peer = l->peer };
    if (l->tell_up) {
        tell_forget(t, l);
        t->counters.links_up++;
        return;
    }
    t->counters.links_down++;
    link_drop(t, l);
}

static bool tell_next(struct transport *t, struct transport_event *out)
{
    struct peer_link *found = NULL;
    for (uint32_t i = 0; !found && i < t->limits.outbound_max; i++)
        if (t->outbound[i].tell_up || t->outbound[i].tell_down)
            found = &t->outbound[i];
    for (uint32_t i = 0; !found && i < t->inbound_slots; i++)
        if (t->inbound[i].tell_down)
            found = &t->inbound[i];
    ENSURE(found);
    tell(t, found, out);
    return true;
}

bool transport_next(struct transport *t, struct mono now, struct transport_event *out)
{
    frame_release(t);
    t->now = now;
    if (t->tell_count > 0)
        return tell_next(t, out);
    if (frames_next(t, out))
        return true;
    return t->tell_count > 0 && tell_next(t, out);         /* found out while reading */
}

uint16_t transport_port(const struct transport *t) { return t->port; }
int transport_fd(const struct transport *t) { return t->epoll; }

struct mono transport_deadline(const struct transport *t)
{
    struct mono due = t->counters.inbound_connections > 0 || t->counters.outbound_links > 0 || t->gate_shut ? mono_add_ms(t->swept, SWEEP_MS) : MONO_NEVER;
    if (t->router_readable || t->router_monitor_readable || t->zap_readable || t->tell_count > 0)
        return t->now;
    for (uint32_t i = 0; i < t->limits.outbound_max; i++) {
        const struct peer_link *l = &t->outbound[i];
        if (l->state == LINK_FREE)
            continue;
        if (l->monitor_readable || (l->readable && l->state != LINK_DIALLING && mono_reached(t->now, l->paused_until)))
            return t->now;
        if (l->readable && l->state == LINK_OPEN)
            due = mono_min(due, l->paused_until);
        if (l->state == LINK_DIALLING || l->state == LINK_ENDING)
            due = mono_min(due, l->due);
    }
    return due;                                            /* an inbound ENDING keeps router_readable until it is told */
}

void transport_wait(const struct transport *t, struct mono now, uint32_t timeout_ms)
{
    struct pollfd p = { .fd = t->epoll, .events = POLLIN };
    uint64_t ms = mono_reached(now, transport_deadline(t)) ? 0 : mono_ms_between(now, transport_deadline(t)) + 1;
    poll(&p, 1, (int)(ms < timeout_ms ? ms : timeout_ms));
}

/* ---- counters ---- */

static const struct {
    const char *name;
    size_t offset;
} counter_table[] = {
#define X(field) { #field, offsetof(struct transport_counters, field) },
    TRANSPORT_COUNTERS(X)
#undef X
};

const struct transport_counters *transport_counters(const struct transport *t) { return &t->counters; }

bool transport_counter_at(const struct transport *t, size_t idx, const char **name, uint64_t *value)
{
    if (idx >= ARRAY_COUNT(counter_table))
        return false;
    *name = counter_table[idx].name;
    memcpy(value, (const char *)&t->counters + counter_table[idx].offset, sizeof *value);
    return true;
}
