/* test_transport.c - does the transport move frames, and does it tell the truth about links? */
#include "tests/transport_rig_zmq.h"

static void frames_go_both_ways(void **state)
{
    (void)state;
    struct rig_node a, b, *both[] = { &a, &b };
    rig_open(&a, 1, NULL);
    rig_open(&b, 2, NULL);
    rig_dial(&a, 7, &b);
    assert_ok(rig_send(&a, 7, 100, 'x'));                  /* before LINK_UP: waits in the queue */
    rig_pump(both, 2, 3000, &b.frames, 1);
    rig_pump(both, 2, 3000, &a.ups, 1);                    /* the monitor may tell a little after the frame has gone */
    assert_int_equal(a.ups, 1);
    assert_int_equal(a.log[0].kind, TRANSPORT_LINK_UP);
    assert_int_equal(a.log[0].link, 7);
    assert_int_equal(b.frames, 1);
    assert_int_equal(b.log[0].bytes, 100);
    assert_true((b.last_in & LINK_INBOUND_BIT) != 0);
    assert_memory_equal(b.log[0].peer.b, a.keys.open.b, SEAL_KEY_BYTES);

    assert_ok(rig_send(&b, b.last_in, FRAME_BYTES_MAX, 'y'));
    rig_pump(both, 2, 3000, &a.frames, 1);
    assert_int_equal(a.frames, 1);
    assert_int_equal(a.log[1].bytes, FRAME_BYTES_MAX);
    assert_memory_equal(a.log[1].peer.b, b.keys.open.b, SEAL_KEY_BYTES);
    assert_err(rig_send(&a, 7, FRAME_BYTES_MAX + 1, 'z'), ERR_TOO_LARGE);
    assert_err(rig_send(&a, 7, 0, 'z'), ERR_ARG);
    assert_err(rig_send(&a, 8, 1, 'z'), ERR_PEER_GONE);

    transport_hangup(a.t, 7);
    rig_pump(both, 2, 1000, &b.downs, 1);
    assert_int_equal(b.downs, 1);                          /* inbound too: seen at once, not after a heartbeat */
    assert_int_equal(a.downs, 0);                          /* who hangs up is not told */
    assert_err(rig_send(&b, b.last_in, 1, 'z'), ERR_PEER_GONE);
    rig_close(&a);
    rig_close(&b);
}

/* The largest model header, in the largest parts, from a peer who dialled us: we asked for it, so it may come at once. */
static void a_header_passes_inbound(void **state)
{
    (void)state;
    enum { PARTS = HEADER_BYTES_MAX / HEADER_PART_BYTES };
    struct rig_node a, b, *both[] = { &a, &b };
    rig_open(&a, 1, NULL);
    rig_open(&b, 2, NULL);
    rig_dial(&a, 7, &b);
    for (size_t i = 0; i < PARTS; i++) {
        assert_ok(rig_send(&a, 7, HEADER_PART_BYTES, 'p'));
        rig_pump(both, 2, 3000, &b.frames, i + 1 > 100 ? i + 1 - 100 : 0);
    }
    rig_pump(both, 2, 3000, &b.frames, PARTS);
    assert_int_equal(b.frames, PARTS);
    assert_int_equal(a.downs + b.downs, 0);
    rig_close(&a);
    rig_close(&b);
}

static void an_address_in_use_is_an_error(void **state)
{
    (void)state;
    struct rig_node a;
    struct transport *t;
    rig_open(&a, 1, NULL);
    struct transport_config c = { .host = "127.0.0.1", .port = transport_port(a.t), .transport = a.keys.open, .secret = &a.keys.secret };
    transport_limits_default(&c.limits);
    assert_err(transport_open(&c, rig_now(), &t), ERR_IO);
    c.host = "localhost";
    assert_err(transport_open(&c, rig_now(), &t), ERR_CONFIG);
    c.host = "::1";
    c.port = 0;
    c.limits.msgs_per_s = 0;
    assert_err(transport_open(&c, rig_now(), &t), ERR_CONFIG);
    rig_close(&a);
}

static void version_six_works(void **state)
{
    (void)state;
    struct rig_node a, *one = &a, *both[2];
    struct keys k = keys_make(2);
    struct rig_node b = { .keys = k };
    struct transport_config c = { .host = "::1", .transport = k.open, .secret = &k.secret };
    transport_limits_default(&c.limits);
    if (transport_open(&c, rig_now(), &b.t) != OK)
        skip();                                            /* a machine without IPv6 */
    rig_open(&a, 1, NULL);
    both[0] = one, both[1] = &b;
    assert_ok(transport_dial(a.t, rig_now(), 1, "::1", transport_port(b.t), &k.open));
    assert_ok(rig_send(&a, 1, 3, 'x'));
    rig_pump(both, 2, 3000, &b.frames, 1);
    assert_int_equal(b.frames, 1);
    rig_close(&a);
    rig_close(&b);
}

/* Both ends at random: dial, send, hang up, mute, and never a lost invariant or a frame on a link that is over. */
static void random_life(void **state)
{
    (void)state;
    struct rig_node a, b, *both[] = { &a, &b };
    struct rng r;
    rng_init(&r, 7);
    rig_open(&a, 1, NULL);
    rig_open(&b, 2, NULL);
    uint64_t next = 0;
    for (int i = 0; i < 400; i++) {
        uint64_t link = next == 0 ? 1 : 1 + rng_below(&r, next);
        switch (rng_below(&r, 5)) {
        case 0:
            if (transport_counters(a.t)->outbound_links < 8)
                (void)!transport_dial(a.t, rig_now(), ++next, "127.0.0.1", transport_port(b.t), &b.keys.open);
            break;
        case 1: (void)!rig_send(&a, link, 1 + rng_below(&r, 3000), 'r'); break;
        case 2: (void)!rig_send(&b, b.last_in, 1 + rng_below(&r, 3000), 'r'); break;
        case 3: transport_hangup(rng_below(&r, 2) ? a.t : b.t, rng_below(&r, 2) ? link : b.last_in); break;
        case 4:
            a.log_count = b.log_count = 0;
            rig_pump(both, 2, 1 + (uint32_t)rng_below(&r, 8), NULL, 0);
            break;
        }
    }
    for (uint64_t link = 1; link <= next; link++)
        transport_hangup(a.t, link);
    rig_pump(both, 2, 500, NULL, 0);
    assert_int_equal(transport_counters(a.t)->outbound_links, 0);
    assert_int_equal(transport_counters(b.t)->inbound_links, 0);
    assert_int_equal(transport_counters(b.t)->inbound_connections, 0);
    assert_int_equal(transport_counters(b.t)->muted_keys, 0);
    rig_close(&a);
    rig_close(&b);
}

int main(void)
{
    assert_ok(crypto_start());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways),
        cmocka_unit_test(a_header_passes_inbound),
        cmocka_unit_test(an_address_in_use_is_an_error),
        cmocka_unit_test(version_six_works),
        cmocka_unit_test(random_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
