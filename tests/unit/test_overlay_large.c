/* test_overlay_large.c - two hundred overlays, frames lost, nodes crashed and restarted; and one seed, one trace. Signatures
 * are fakes (fakesig.c): who may forge is not asked here. */
#include "tests/test.h"

#include <time.h>

#include "tests/dht/mesh.h"

enum { N = 200, MODELS = 10, CRASHED = 20 };

static void check_all(struct net *n)
{
    for (size_t i = 0; i < N; i++)
        if (net_node(n, i)->overlay)
            overlay_check(net_node(n, i)->overlay);
}

/* Everybody sees all providers of all models after looking for them. */
static void look_for_everything(struct net *n, size_t providers)
{
    for (size_t i = 0; i < N; i += 5)
        if (net_node(n, i)->alive)
            mesh_find(n, i, (unsigned)(i % MODELS));
    net_run(n, 5000);
    for (size_t i = 0; i < N; i += 5)
        if (net_node(n, i)->alive)
            assert_int_equal(mesh_providers(n, i, (unsigned)(i % MODELS)), providers);
}

static void look_for_each_other(struct net *n)
{
    size_t asked = 0, found = 0;
    for (size_t i = 0; i < N; i += 9) {
        size_t j = (i * 7 + 31) % N;
        if (i == j || !net_node(n, i)->alive || !net_node(n, j)->alive)
            continue;
        net_node(n, i)->found = 0;
        assert_ok(overlay_find_node(net_node(n, i)->overlay, net_now(n), overlay_self(net_node(n, j)->overlay)));
        net_drain(n, i);
        asked++;
    }
    net_run(n, 5000);
    for (size_t i = 0; i < N; i += 9)
        found += net_node(n, i)->alive && net_node(n, i)->found == 1;
    assert_true(found >= asked);
}

static void test_two_hundred_with_loss_and_crashes(void **state)
{
    (void)state;
    struct net *n = net_open(&(struct net_config){ .nodes = N, .seed = 7, .delay_ms_min = 1, .delay_ms_max = 40, .loss_ppm = 20000,
                                                   .full_mesh_max = 16 });
    mesh_start(n, N);
    net_run(n, 8 * 1000);
    assert_int_equal(mesh_joined(n, N), N);
    check_all(n);
    for (size_t i = 0; i < 3 * MODELS; i++)
        mesh_advertise(n, 20 + i * 5, (unsigned)(i % MODELS));
    net_run(n, 4000);
    look_for_everything(n, 3);
    look_for_each_other(n);
    for (size_t i = 0; i < 4; i++)
        mesh_gossip(n, i * 40 + 1);
    net_run(n, 3000);
    size_t heard = 0;
    for (size_t i = 0; i < N; i++)
        heard += net_node(n, i)->gossip;
    assert_int_equal(heard, 4 * (N - 1));                              /* once each, in spite of the loss */
    for (size_t i = 0; i < CRASHED; i++)
        net_crash(n, 100 + i * 3 + (i * 3) % 5 / 4);                   /* never node 0, seldom a provider */
    net_run(n, 1000);
    look_for_each_other(n);
    for (size_t i = 0; i < N; i++)
        if (!net_node(n, i)->alive)
            net_start(n, i, 0);
    net_run(n, 6 * 1000);
    assert_int_equal(mesh_joined(n, N), N);
    check_all(n);
    print_message("%llu events\n", (unsigned long long)net_events(n));
    net_close(n);
}

static struct hash trace_of(uint64_t seed)
{
    enum { FEW = 30 };
    struct net *n = net_open(&(struct net_config){ .nodes = FEW, .seed = seed, .delay_ms_min = 1, .delay_ms_max = 60, .loss_ppm = 50000,
                                                   .check_every_step = true });
    mesh_start(n, FEW);
    mesh_advertise(n, 5, 1);
    net_run(n, 4000);
    mesh_find(n, 9, 1);
    mesh_gossip(n, 3);
    net_crash(n, 11);
    net_run(n, 3000);
    net_start(n, 11, 2);
    net_run(n, 3000);
    assert_int_equal(mesh_providers(n, 9, 1), 1);
    struct hash h = net_trace(n);
    net_close(n);
    return h;
}

static void test_one_seed_one_trace(void **state)
{
    (void)state;
    struct hash a = trace_of(11), b = trace_of(11), c = trace_of(12);
    assert_true(hash_equal(&a, &b));
    assert_false(hash_equal(&a, &c));
}

static void test_a_partition_heals(void **state)
{
    (void)state;
    enum { FEW = 20 };
    struct net *n = net_open(&(struct net_config){ .nodes = FEW, .seed = 5, .delay_ms_min = 1, .delay_ms_max = 20 });
    mesh_start(n, FEW);
    net_run(n, 8000);
    net_partition(n, FEW / 2);
    net_run(n, 60 * 1000);
    assert_int_equal(overlay_peer_count(net_node(n, 0)->overlay), FEW / 2 - 1);
    assert_int_equal(overlay_peer_count(net_node(n, FEW - 1)->overlay), FEW / 2 - 1);
    net_partition(n, 0);
    net_run(n, 70 * 1000);
    for (size_t i = 0; i < FEW; i++)
        assert_int_equal(overlay_peer_count(net_node(n, i)->overlay), FEW - 1);
    net_partition(n, FEW / 2);                                         /* long enough to be forgotten */
    net_run(n, 600 * 1000);
    net_partition(n, 0);
    net_run(n, 150 * 1000);
    for (size_t i = 0; i < FEW; i++)
        assert_int_equal(overlay_peer_count(net_node(n, i)->overlay), FEW - 1);
    net_close(n);
}

/* Left alone for hours: what is offered stays findable, nothing grows. */
static void test_hours_of_quiet(void **state)
{
    (void)state;
    enum { FEW = 7 };
    struct net *n = net_open(&(struct net_config){ .nodes = FEW, .seed = 6, .delay_ms_min = 1, .delay_ms_max = 20 });
    mesh_start(n, FEW);
    mesh_advertise(n, 3, 1);
    for (int hour = 0; hour < 3; hour++) {
        net_run(n, 3600 * 1000);
        mesh_find(n, 5, 1);
        net_run(n, 1000);
        assert_int_equal(mesh_providers(n, 5, 1), 1);
        assert_int_equal(mesh_models(n, 6), 1);
    }
    for (size_t i = 0; i < FEW; i++) {
        struct overlay_gauges g;
        overlay_gauges(net_node(n, i)->overlay, &g);
        overlay_check(net_node(n, i)->overlay);
        assert_int_equal(g.peers, FEW - 1);
        assert_int_equal(g.pending, 0);
        assert_in_range(g.records, 2, FEW + 2);
    }
    net_crash(n, 3);
    net_run(n, 20 * 60 * 1000);
    assert_int_equal(mesh_models(n, 6), 0);                            /* its adverts die with it */
    net_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_hundred_with_loss_and_crashes), cmocka_unit_test(test_one_seed_one_trace),
        cmocka_unit_test(test_a_partition_heals), cmocka_unit_test(test_hours_of_quiet),
    };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
