/* mesh.c - what the network tests do with a whole net. */
#include "tests/dht/mesh.h"

#include "tests/test.h"

#include <stdio.h>

static struct hash model_hash(unsigned n) { return hash_of("model", bytes_of(&n, sizeof n)); }

void mesh_start(struct net *n, size_t nodes)
{
    net_start(n, 0, SIZE_MAX);
    for (size_t i = 1; i < nodes; i++) {
        net_start(n, i, 0);
        net_run(n, 20);
    }
}

size_t mesh_joined(struct net *n, size_t nodes)
{
    size_t joined = 0;
    for (size_t i = 0; i < nodes; i++)
        joined += net_node(n, i)->overlay && overlay_joined(net_node(n, i)->overlay);
    return joined;
}

void mesh_advertise(struct net *n, size_t i, unsigned model)
{
    struct advert a = { .model = model_hash(model), .numerics = 1, .context_tokens = 2048, .backend = "cpu-ref", .device = "test",
                        .prefill_mtps = 100000, .decode_mtps = 10000, .slots = 2, .prices = { 100, 10, 300 } };
    snprintf(a.model_name, sizeof a.model_name, "model-%u", model);
    assert_ok(overlay_advertise(net_node(n, i)->overlay, net_now(n), net_wall(n), &a));
    net_drain(n, i);
}

void mesh_find(struct net *n, size_t i, unsigned model)
{
    struct hash m = model_hash(model);
    assert_ok(overlay_find_providers(net_node(n, i)->overlay, net_now(n), &m));
    net_drain(n, i);
}

size_t mesh_providers(struct net *n, size_t i, unsigned model)
{
    static struct advert found[64];
    struct hash m = model_hash(model);
    size_t count = overlay_providers(net_node(n, i)->overlay, net_now(n), &m, found, 64);
    net_drain(n, i);
    for (size_t k = 0; k + 1 < count; k++)
        assert_true(hash_compare(&found[k].node.id.h, &found[k + 1].node.id.h) < 0);
    return count;
}

size_t mesh_models(struct net *n, size_t i)
{
    struct advert a;
    size_t cursor = 0, count = 0;
    while (overlay_advert_each(net_node(n, i)->overlay, net_now(n), &cursor, &a))
        count++;
    return count;
}

void mesh_gossip(struct net *n, size_t i)
{
    struct hash m = model_hash(1), topic = gossip_topic(&m);
    assert_ok(overlay_publish(net_node(n, i)->overlay, net_now(n), &topic, bytes_text("an offer")));
    net_drain(n, i);
}
