/* net.h - many overlays in one process: virtual time, seeded delay and loss, a trace hash. For the tests of dht/ only;
 * the whole node's simulator lives elsewhere. */
#ifndef TALLYMESH_TESTS_DHT_NET_H
#define TALLYMESH_TESTS_DHT_NET_H

#include "dht/overlay_state.h"

struct net_node {
    struct overlay *overlay;
    struct secret_key key;
    struct seal_key transport;
    struct overlay_config config;
    bool alive;
    uint64_t inbound_last;
    /* what the overlay told its parent */
    uint32_t peers_up, peers_down, messages, gossip, providers, found;
    bool joined;
    struct mono joined_at;
    struct overlay_effect last_message, last_gossip, last_found;   /* lent parts are not kept */
    uint8_t last_body[2048];
};

struct net_config {
    size_t nodes;
    uint64_t seed;
    uint32_t loss_ppm;                                     /* of frames */
    uint32_t delay_ms_min, delay_ms_max;
    unsigned pow_bits;
    uint32_t full_mesh_max;
    bool check_every_step;
};

struct net;
struct net *net_open(const struct net_config *cfg);
void net_close(struct net *n);
struct net_node *net_node(struct net *n, size_t i);
size_t net_index(const struct net *n, const struct node_id *id);
struct mono net_now(const struct net *n);
struct wall net_wall(const struct net *n);
void net_start(struct net *n, size_t i, size_t bootstrap);     /* boots; SIZE_MAX: no bootstrap */
void net_crash(struct net *n, size_t i);
/* Nodes below `split` and the others no longer reach each other, silently; 0 heals. */
void net_partition(struct net *n, size_t split);
void net_drain(struct net *n, size_t i);                   /* after a verb */
void net_run(struct net *n, uint64_t ms);                  /* so much virtual time */
struct hash net_trace(const struct net *n);                /* hash over every event handled */
uint64_t net_events(const struct net *n);
struct bootstrap net_bootstrap(struct net *n, size_t i);
struct key_seed net_seed(uint64_t seed, size_t i, const char *what);

#endif
