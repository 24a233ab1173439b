/* test_two_agents.c - a request answered end to end between agents in one process. */
#include "tests/agent/world.h"

#include <string.h>

static void assert_answer(struct world *w, int client, const struct request *q)
{
    uint32_t want[4096], n = world_expected(q, want, 4096);
    const struct client *c = world_client(w, client);
    assert_int_equal(c->count, n);
    assert_memory_equal(c->tokens, want, n * sizeof want[0]);
}

/* node 0 asks, node 1 serves: one receipt, the same on both sides. */
static void happy_path(void **state)
{
    (void)state;
    struct world *w = world_new(2);
    world_serve(w, 1, 100, 400);
    world_start(w);
    struct request q = world_request(w, 1, 100);
    world_ask(w, 0, 1, &q);
    world_wait(w, 1, 5000);
    struct client *c = world_client(w, 1);
    assert_int_equal(c->state, CLIENT_DONE);
    assert_answer(w, 1, &q);
    assert_int_equal(c->finish, FINISH_LENGTH);
    assert_int_equal(c->last.u.done.tokens_in, 20);
    assert_int_equal(c->last.u.done.tokens_out, 100);
    assert_int_equal(c->last.u.done.cost_pico, 20 * 100 + 100 * 400);
    assert_int_equal(c->last.u.done.receipt_count, 1);
    world_run_ms(w, 100);
    struct receipt_view mine, theirs;
    assert_ok(ledger_receipt_find(agent_ledger(world_node(w, 0)->agent), &c->last.u.done.receipts[0], &mine));
    assert_ok(ledger_receipt_find(agent_ledger(world_node(w, 1)->agent), &c->last.u.done.receipts[0], &theirs));
    assert_int_equal(mine.receipt.tokens.out, 100);
    assert_true(bytes_equal(mine.body, theirs.body));
    assert_int_equal(world_account(w, 0, 1).spent.v, 42000);
    assert_int_equal(world_account(w, 1, 0).earned.v, 42000);
    world_ledger_check(w, 0);
    world_ledger_check(w, 1);
    assert_int_equal(agent_counters(world_node(w, 0)->agent)->jobs_open_requester, 0);
    assert_int_equal(agent_counters(world_node(w, 1)->agent)->jobs_open_provider, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(happy_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
