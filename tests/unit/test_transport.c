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

int main(void)
{
    assert_ok(crypto_start());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
