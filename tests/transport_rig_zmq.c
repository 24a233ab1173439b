/* transport_rig_zmq.c - pumped nodes and libzmq attackers. */
#define _POSIX_C_SOURCE 200809L
#include "tests/transport_rig_zmq.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct keys keys_make(uint8_t seed)
{
    struct key_seed s = { { seed, 1 } };
    struct keys k;
    seal_key_from_seed(&s, &k.secret, &k.open);
    return k;
}

struct mono rig_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct mono){ (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 };
}

void rig_open(struct rig_node *n, uint8_t seed, void (*change)(struct transport_limits *))
{
    memset(n, 0, sizeof *n);
    n->keys = keys_make(seed);
    struct transport_config c = { .host = "127.0.0.1", .transport = n->keys.open, .secret = &n->keys.secret };
    transport_limits_default(&c.limits);
    if (change)
        change(&c.limits);
    assert_ok(transport_open(&c, rig_now(), &n->t));
    assert_true(transport_port(n->t) != 0);
}

void rig_close(struct rig_node *n)
{
    transport_close(n->t);
    n->t = NULL;
}

static void note(struct rig_node *n, const struct transport_event *e)
{
    n->frames += e->kind == TRANSPORT_FRAME;
    n->ups += e->kind == TRANSPORT_LINK_UP;
    n->downs += e->kind == TRANSPORT_LINK_DOWN;
    if (e->kind == TRANSPORT_FRAME)
        n->last_in = e->link;
    if (n->log_count == RIG_LOG_MAX)
        return;
    n->log[n->log_count].kind = e->kind;
    n->log[n->log_count].link = e->link;
    n->log[n->log_count].peer = e->peer;
    n->log[n->log_count].bytes = e->frame.len;
    n->log[n->log_count].first = e->frame.len > 0 ? e->frame.data[0] : 0;
    n->log_count++;
}

static void turn(struct rig_node *n)
{
    struct transport_event e;
    transport_turn(n->t, rig_now());
    while (transport_next(n->t, rig_now(), &e))
        note(n, &e);
}

void rig_pump(struct rig_node *const *nodes, size_t count, uint32_t ms, const size_t *until, size_t at_least)
{
    struct mono end = mono_add_ms(rig_now(), ms);
    while (!mono_reached(rig_now(), end) && !(until && *until >= at_least))
        for (size_t i = 0; i < count; i++) {
            transport_wait(nodes[i]->t, rig_now(), count == 1 && ms > 20 ? 20 : 1);
            turn(nodes[i]);
        }
}

void rig_run(struct rig_node *n, uint32_t ms) { rig_pump(&n, 1, ms, NULL, 0); }

void rig_dial(struct rig_node *from, uint64_t link, const struct rig_node *to)
{
    assert_ok(transport_dial(from->t, rig_now(), link, "127.0.0.1", transport_port(to->t), &to->keys.open));
}

enum err rig_send(struct rig_node *n, uint64_t link, size_t bytes, uint8_t fill)
{
    static uint8_t buf[2 * FRAME_BYTES_MAX];
    assert_true(bytes <= sizeof buf);
    memset(buf, fill, bytes);
    return transport_send(n->t, link, bytes_of(buf, bytes));
}

uint64_t rig_counter(const struct rig_node *n, const char *name)
{
    const char *found;
    uint64_t value;
    for (size_t i = 0; transport_counter_at(n->t, i, &found, &value); i++)
        if (strcmp(found, name) == 0)
            return value;
    fail_msg("no counter %s", name);
    return 0;
}

void *rig_attacker(void *context, const struct rig_node *n, uint8_t seed, const void *routing_id, size_t routing_id_len)
{
    struct keys k = keys_make(seed);
    char endpoint[64];
    int zero = 0, never = -1;
    void *s = zmq_socket(context, ZMQ_DEALER);
    assert_non_null(s);
    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(s, ZMQ_RECONNECT_IVL, &never, sizeof never);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, k.open.b, sizeof k.open.b);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, k.secret.b, sizeof k.secret.b);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, n->keys.open.b, sizeof n->keys.open.b);
    if (routing_id)
        assert_int_equal(zmq_setsockopt(s, ZMQ_ROUTING_ID, routing_id, routing_id_len), 0);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", transport_port(n->t));
    assert_int_equal(zmq_connect(s, endpoint), 0);
    return s;
}
