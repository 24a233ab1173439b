/* Fifty and two hundred overlays in one process: everybody joins, finds everybody, and finds what is offered. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/dht/net.h"

static struct hash model_hash(unsigned n) { return hash_of("model", bytes_of(&n, sizeof n)); }

static struct advert advert_for(unsigned model)
{
    struct advert a = { .model = model_hash(model), .numerics = 1, .context_tokens = 2048, .backend = "cpu-ref", .device = "test",
                        .prefill_mtps = 100000, .decode_mtps = 10000, .slots = 2, .prices = { 100, 10, 300 } };
    snprintf(a.model_name, sizeof a.model_name, "model-%u", model);
    return a;
}

static void start_all(struct net *n, size_t nodes)
{
    net_start(n, 0, SIZE_MAX);
    for (size_t i = 1; i < nodes; i++) {
        net_start(n, i, 0);
        net_run(n, 20);
    }
}

static size_t count_joined(struct net *n, size_t nodes)
{
    size_t joined = 0;
    for (size_t i = 0; i < nodes; i++)
        joined += net_node(n, i)->overlay && overlay_joined(net_node(n, i)->overlay);
    return joined;
}

static void advertise(struct net *n, size_t i, unsigned model)
{
    struct advert a = advert_for(model);
    assert_ok(overlay_advertise(net_node(n, i)->overlay, net_now(n), net_wall(n), &a));
    net_drain(n, i);
}

static void find(struct net *n, size_t i, unsigned model)
{
    struct hash m = model_hash(model);
    assert_ok(overlay_find_providers(net_node(n, i)->overlay, net_now(n), &m));
    net_drain(n, i);
}

static size_t providers(struct net *n, size_t i, unsigned model)
{
    static struct advert found[64];
    struct hash m = model_hash(model);
    size_t count = overlay_providers(net_node(n, i)->overlay, net_now(n), &m, found, 64);
    net_drain(n, i);
    for (size_t k = 0; k + 1 < count; k++)
        assert_true(hash_compare(&found[k].node.id.h, &found[k + 1].node.id.h) < 0);
    return count;
}

static void test_fifty_are_one_hop(void **state)
{
    (void)state;
    enum { N = 50 };
    struct net *n = net_open(&(struct net_config){ .nodes = N, .seed = 1, .delay_ms_min = 1, .delay_ms_max = 20, .pow_bits = 4 });
    start_all(n, N);
    net_run(n, 20 * 1000);
    assert_int_equal(count_joined(n, N), N);
    for (size_t i = 0; i < N; i++) {
        overlay_check(net_node(n, i)->overlay);
        assert_int_equal(overlay_peer_count(net_node(n, i)->overlay), N - 1);
    }
    for (size_t i = 0; i < N; i++)
        advertise(n, i, (unsigned)(i % 3));
    net_run(n, 5000);
    for (size_t i = 0; i < N; i += 7)
        find(n, i, (unsigned)(i % 3));
    net_run(n, 5000);
    for (size_t i = 0; i < N; i += 7) {
        assert_int_equal(net_node(n, i)->providers, 1);
        assert_int_equal(providers(n, i, (unsigned)(i % 3)), i % 3 < 2 ? 17 : 16);
    }
    struct overlay_gauges g;
    overlay_gauges(net_node(n, 0)->overlay, &g);
    print_message("bytes %zu events %llu outbox peak %u effects %u bytes, records %u lookups %llu\n", overlay_bytes(), (unsigned long long)net_events(n), g.outbox_peak, g.outbox_bytes_peak, g.records, (unsigned long long)overlay_counters(net_node(n,0)->overlay)->lookups);
    net_close(n);
}

static void test_two_hundred(void **state)
{
    (void)state;
    enum { N = 200 };
    struct net *n = net_open(&(struct net_config){ .nodes = N, .seed = 7, .delay_ms_min = 1, .delay_ms_max = 40, .pow_bits = 4,
                                                   .loss_ppm = 10000, .full_mesh_max = 32 });
    start_all(n, N);
    net_run(n, 20 * 1000);
    assert_int_equal(count_joined(n, N), N);
    struct overlay_gauges g;
    for (size_t i = 0; i < N; i += 50) {
    overlay_gauges(net_node(n, i)->overlay, &g);
    print_message("peers %u contacts %u events %llu outbox peak %u effects %u bytes, records %u lookups %llu to %llu\n", g.peers, g.contacts, (unsigned long long)net_events(n), g.outbox_peak, g.outbox_bytes_peak, g.records, (unsigned long long)overlay_counters(net_node(n,i)->overlay)->lookups,
     (unsigned long long)overlay_counters(net_node(n,i)->overlay)->lookup_timeouts);
    const struct overlay_counters *c = overlay_counters(net_node(n,i)->overlay);
    for (int k = 0; k < ERR_COUNT; k++) if (c->refused[k]) print_message("  %s %llu\n", err_name((enum err)k), (unsigned long long)c->refused[k]);
    }
    net_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fifty_are_one_hop), cmocka_unit_test(test_two_hundred) };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
