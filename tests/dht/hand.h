/* hand.h - one overlay under test, and identities that talk to it frame by frame, by hand. For cmocka programs. */
#ifndef TALLYMESH_TESTS_DHT_HAND_H
#define TALLYMESH_TESTS_DHT_HAND_H

#include "tests/test.h"

#include "dht/overlay_state.h"

enum { HAND_POW = 6 };

struct who {
    struct secret_key key;
    struct seal_key transport;
    struct node_record record;
};

/* What came out of the last event. */
struct outcome {
    size_t hello_ok, goaway, mute, hangup, up, down, message, pong, dial, gossip, pub, ihave, iwant, stored, values, nodes;
    struct link dialled;
    struct overlay_effect last_gossip;
    struct msg_stored last_stored;
    uint32_t values_total, nodes_count, last_hop, last_age_ms;
};

extern struct net_id hand_net;
extern struct mono hand_now;
extern const struct wall hand_wall;
extern const struct frame hand_ping;

struct who hand_who(size_t i, unsigned pow_bits, const struct net_id *id);
struct overlay *hand_open(struct who *self);               /* free() it */
struct outcome hand_drain(struct overlay *o);
struct outcome hand_say_bytes(struct overlay *o, struct link link, const struct seal_key *from, struct bytes frame);
struct outcome hand_say(struct overlay *o, struct link link, const struct seal_key *from, const struct frame *f);
struct outcome hand_hello(struct overlay *o, struct link link, const struct who *author, const struct seal_key *from,
                          const struct seal_key *listener, enum message_type type);
struct outcome hand_tick(struct overlay *o, uint64_t after_ms);
struct link hand_inbound(uint64_t n);
/* A new inbound peer on link n. */
struct who hand_peer(struct overlay *o, const struct who *self, size_t n);
uint64_t hand_refused(const struct overlay *o, enum err e);

#endif
