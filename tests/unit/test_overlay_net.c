/* test_overlay_net.c - fifty overlays with real signatures: everybody joins, is one hop from everybody, and finds what is
 * offered and who is sought. */
#include "tests/test.h"

#include "tests/dht/mesh.h"

enum { N = 50 };

static void test_fifty_are_one_hop(void **state)
{
    (void)state;
    struct net *n = net_open(&(struct net_config){ .nodes = N, .seed = 1, .delay_ms_min = 1, .delay_ms_max = 20, .pow_bits = 4 });
    mesh_start(n, N);
    net_run(n, 15 * 1000);
    assert_int_equal(mesh_joined(n, N), N);
    for (size_t i = 0; i < N; i++) {
        overlay_check(net_node(n, i)->overlay);
        assert_int_equal(overlay_peer_count(net_node(n, i)->overlay), N - 1);
        assert_int_equal(net_node(n, i)->peers_down, 0);
    }
    for (size_t i = 0; i < N; i += 3)
        mesh_advertise(n, i, (unsigned)(i % 4));
    net_run(n, 3000);
    for (size_t i = 0; i < N; i += 7)
        mesh_find(n, i, 2);
    net_run(n, 3000);
    for (size_t i = 0; i < N; i += 7) {
        assert_int_equal(net_node(n, i)->providers, 1);
        assert_int_equal(mesh_providers(n, i, 2), 4);
    }
    mesh_gossip(n, 7);
    net_run(n, 1000);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(net_node(n, i)->gossip, i != 7);
    net_close(n);
}

/* Nobody has to ask: in a small mesh what a newcomer offers is listed everywhere soon after it came, also by those who looked a
 * moment before, and by those who came just before. */
static void test_newcomers_offers_are_listed_soon(void **state)
{
    (void)state;
    enum { FIRST = 32, LATER = 4 };
    struct net *n = net_open(&(struct net_config){ .nodes = FIRST + LATER, .seed = 7, .delay_ms_min = 1, .delay_ms_max = 20, .pow_bits = 4 });
    mesh_start(n, FIRST);
    net_run(n, 1000);
    mesh_advertise(n, 3, 0);                               /* its model took a second to load */
    net_run(n, 10 * 1000);
    for (size_t i = 0; i < FIRST; i++)
        assert_int_equal(mesh_models(n, i), 1);
    net_run(n, 60 * 1000);
    for (size_t i = FIRST; i < FIRST + LATER; i++) {
        net_start(n, i, 0);
        net_run(n, 400);
        mesh_advertise(n, i, (unsigned)i);
        net_run(n, 1200);
    }
    net_run(n, 10 * 1000);
    for (size_t i = 0; i < FIRST + LATER; i++)
        assert_int_equal(mesh_models(n, i), 1 + LATER);
    net_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fifty_are_one_hop), cmocka_unit_test(test_newcomers_offers_are_listed_soon) };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
