/* test_agent_certs.c - the owner's certificates beside a job: both are in its bundle; one that runs out is shown to nobody. */
#include "tests/agent/world.h"

#include <string.h>

#include "ledger/bundle.h"

enum { WALL_S = 1800000000, ENDS_AFTER_S = 450 };     /* between two renewals of the adverts */

static struct cert certs[WORLD_NODES_MAX];
static struct pubkey owner_key;

static struct world *certified(int nodes, uint64_t ends_after_s)
{
    struct world *w = world_new(nodes);
    struct key_seed seed = { { 77 } };
    struct secret_key owner;
    key_from_seed(&seed, &owner, &owner_key);
    for (int i = 0; i < nodes; i++) {
        struct world_node *n = world_node(w, i);
        cert_issue(&owner, &n->config.net, &n->public, WALL_S + ends_after_s, &certs[i]);
        n->config.overlay.cert = &certs[i];
        if (i > 0)
            world_serve(w, i, 100, 400);
    }
    key_fini(&owner);
    world_start(w);
    return w;
}

/* The bundle of this client's receipt as `node` has it; checked. */
static struct bundle bundle_at(struct world *w, int node, int client)
{
    static uint8_t buf[BUNDLE_BYTES_MAX];
    struct ledger *book = agent_ledger(world_node(w, node)->agent);
    struct receipt_view v;
    struct bytes bytes;
    struct bundle b;
    struct bundle_report r;
    assert_ok(ledger_receipt_find(book, &world_client(w, client)->last.u.done.receipts[0], &v));
    struct hash terms = v.receipt.terms;
    assert_ok(ledger_bundle(book, &terms, false, buf, sizeof buf, &bytes));
    assert_ok(bundle_decode(bytes, &b));
    assert_ok(bundle_check(&b, &world_node(w, node)->config.net, &r));
    return b;
}

static void ask(struct world *w, int client, bool of_owner)
{
    struct request q = world_request(w, client, 40);
    q.limits.has_owner = of_owner;
    q.limits.owner = owner_key;
    world_ask(w, 0, client, &q);
    world_wait(w, client, 30000);
    world_run_ms(w, 200);
}

static void assert_no_refusal(struct world *w, int nodes)
{
    for (int i = 0; i < nodes; i++)
        for (int e = 0; e < ERR_COUNT; e++)
            if (overlay_counters(agent_overlay(world_node(w, i)->agent))->refused[e])
                fail_msg("node %d has refused messages: %s", i, err_name((enum err)e));
}

static void both_certificates_are_in_the_bundle(void **state)
{
    (void)state;
    struct world *w = certified(2, 1000000);
    ask(w, 1, true);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    for (int node = 0; node < 2; node++) {
        struct bundle b = bundle_at(w, node, 1);
        assert_true(b.has_requester_cert && b.has_provider_cert);
        assert_true(pubkey_equal(&b.requester_cert.node, &world_node(w, 0)->public) && pubkey_equal(&b.provider_cert.node, &world_node(w, 1)->public));
        assert_true(pubkey_equal(&b.provider_cert.owner, &owner_key));
        world_ledger_check(w, node);
    }
    world_free(w);
}

static void one_that_runs_out_is_shown_to_nobody(void **state)
{
    (void)state;
    struct world *w = certified(3, ENDS_AFTER_S);
    ask(w, 1, true);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_run_ms(w, (ENDS_AFTER_S + 20) * 1000);
    for (int i = 0; i < 3; i++)
        assert_false(overlay_own_record(agent_overlay(world_node(w, i)->agent))->has_cert);
    struct hash model = world_model();
    for (size_t cursor = 0, seen = 0; seen < 2; seen++) {
        struct advert ad;
        assert_true(overlay_advert_each(agent_overlay(world_node(w, 0)->agent), world_now(w), &cursor, &ad));
        assert_true(hash_equal(&ad.model, &model) && !ad.node.has_cert);
    }
    world_kill(w, 2);                                      /* who is told anew is told nothing stale */
    world_node(w, 2)->config.overlay.cert = NULL;
    world_restart(w, 2);
    world_run_ms(w, 2000);
    struct request q = world_request(w, 4, 40);            /* it knows the adverts from others, and takes them */
    world_ask(w, 2, 4, &q);
    world_wait(w, 4, 30000);
    assert_int_equal(world_client(w, 4)->state, CLIENT_DONE);
    assert_no_refusal(w, 3);
    world_run_ms(w, 10 * 60 * 1000);
    ask(w, 2, false);
    assert_int_equal(world_client(w, 2)->state, CLIENT_DONE);
    ask(w, 3, true);
    assert_int_equal(world_client(w, 3)->state, CLIENT_FAILED);
    assert_int_equal(world_client(w, 3)->error, ERR_CONSTRAINT);
    assert_no_refusal(w, 3);
    struct bundle b = bundle_at(w, 0, 1);                  /* what was signed while it held stays evidence */
    assert_true(b.has_requester_cert && b.has_provider_cert);
    b = bundle_at(w, 0, 2);
    assert_false(b.has_requester_cert || b.has_provider_cert);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_certificates_are_in_the_bundle),
        cmocka_unit_test(one_that_runs_out_is_shown_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
