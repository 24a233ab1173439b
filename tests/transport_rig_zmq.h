/* transport_rig_zmq.h - what the transport's tests share: keys, nodes that are pumped in one thread, an attacker's socket. */
#ifndef TALLYMESH_TESTS_TRANSPORT_RIG_ZMQ_H
#define TALLYMESH_TESTS_TRANSPORT_RIG_ZMQ_H

#include <zmq.h>

#include "node/transport_zmq.h"
#include "tests/test.h"

struct keys {
    struct seal_key open;
    struct seal_secret secret;
};
struct keys keys_make(uint8_t seed);                       /* the same for the same seed */

struct mono rig_now(void);

enum { RIG_LOG_MAX = 512 };
/* A transport and what it has said. */
struct rig_node {
    struct transport *t;
    struct keys keys;
    struct { enum transport_event_kind kind; uint64_t link; struct seal_key peer; size_t bytes; uint8_t first; } log[RIG_LOG_MAX];
    size_t log_count, frames, ups, downs;
    uint64_t last_in;                                      /* link of the last frame */
};

/* Opens on 127.0.0.1, any port, with the default limits changed by `change` (may be NULL). */
void rig_open(struct rig_node *n, uint8_t seed, void (*change)(struct transport_limits *));
void rig_close(struct rig_node *n);
/* Takes turns on all nodes for ms, or until *until >= at_least (until may be NULL). */
void rig_pump(struct rig_node *const *nodes, size_t count, uint32_t ms, const size_t *until, size_t at_least);
void rig_run(struct rig_node *n, uint32_t ms);             /* one node, so long */
void rig_dial(struct rig_node *from, uint64_t link, const struct rig_node *to);
enum err rig_send(struct rig_node *n, uint64_t link, size_t bytes, uint8_t fill);
uint64_t rig_counter(const struct rig_node *n, const char *name);

/* A plain libzmq DEALER with this key, dialling n. routing_id may be NULL. No reconnect. */
void *rig_attacker(void *context, const struct rig_node *n, uint8_t seed, const void *routing_id, size_t routing_id_len);

#endif
