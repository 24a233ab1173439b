/* test_agent_torture.c - every store call fails once; every message is damaged at random. No crash, no broken promise. */
#include "tests/agent/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *mesh(int providers)
{
    struct world *w = world_new(providers + 1);
    for (int i = 1; i <= providers; i++)
        world_serve(w, i, 100, 400);
    world_start(w);
    return w;
}

/* What the client was told is in the requester's book, and the provider's book says the same. */
static void assert_kept(struct world *w, int client)
{
    struct client *c = world_client(w, client);
    struct receipt_view v;
    struct job j;
    if (c->state == CLIENT_DONE)
        for (uint32_t i = 0; i < c->last.u.done.receipt_count; i++) {
            const struct hash *id = &c->last.u.done.receipts[i];
            struct ledger *l = agent_ledger(world_node(w, 0)->agent);
            assert_true(ledger_receipt_find(l, id, &v) == OK || ledger_job_find(l, id, &j) == OK);
        }
    struct account spent = world_account(w, 0, 1), earned = world_account(w, 1, 0);
    assert_int_equal(spent.spent.v, earned.earned.v);
    assert_int_equal(spent.receipts_spent, earned.receipts_earned);
    world_ledger_check(w, 0);
    world_ledger_check(w, 1);
}

static void two_jobs(struct world *w)
{
    struct request q = world_request(w, 1, 70);
    world_ask(w, 0, 1, &q);
    world_run_ms(w, 40);
    if (world_node(w, 0)->alive) {
        q = world_request(w, 2, 40);
        world_ask(w, 0, 2, &q);
    }
    world_run_ms(w, 30 * 1000);
}

/* `victim`'s store fails at the n-th call, for every n (a third of them unless TORTURE is set). */
static void torture(int victim, enum err with)
{
    struct world *w = mesh(1);
    uint64_t before = store_mem_calls(world_node(w, victim)->store);
    two_jobs(w);
    uint64_t calls = store_mem_calls(world_node(w, victim)->store) - before;
    assert_kept(w, 1);
    world_free(w);
    assert_true(calls > 50);
    uint64_t step = getenv("TORTURE") ? 1 : calls / 24 + 1, broken = 0;
    for (uint64_t n = 1; n <= calls; n += step) {
        w = mesh(1);
        store_mem_fail_at(world_node(w, victim)->store, n, with);
        two_jobs(w);
        broken += (uint64_t)world_node(w, victim)->breakdowns;
        assert_true(world_node(w, victim)->alive);
        assert_kept(w, 1);
        world_free(w);
    }
    assert_true(broken > 0);
}

static void the_requesters_disk_fails(void **state)
{
    (void)state;
    torture(0, ERR_DISK_FULL);
}

static void the_providers_disk_fails(void **state)
{
    (void)state;
    torture(1, ERR_IO);
}

/* ---- damage on the way ---- */

struct damage { struct rng rng; unsigned per_mille; int from, done; };
static bool damage(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct damage *d = ctx;
    (void)to;
    if (type < MSG_OFFER || *len == 0 || (d->from >= 0 && from != d->from) || rng_below(&d->rng, 1000) >= d->per_mille)
        return true;
    d->done++;
    switch (rng_below(&d->rng, 4)) {
    case 0:
        body[rng_below(&d->rng, *len)] ^= (uint8_t)(1u << rng_below(&d->rng, 8));
        break;
    case 1:
        body[rng_below(&d->rng, *len)] = (uint8_t)rng_next(&d->rng);
        break;
    case 2:
        *len = rng_below(&d->rng, *len);
        break;
    default:
        return false;
    }
    return true;
}

/* Whatever one side sends, the other keeps its invariants and pays for nothing it did not receive. */
static void damaged_messages_harm_nobody(void **state)
{
    (void)state;
    int seeds = getenv("TORTURE") ? 2000 : 24, damaged = 0;
    for (int seed = 0; seed < seeds; seed++) {
        struct world *w = mesh(2);
        struct damage d = { .per_mille = seed % 2 ? 20 : 150, .from = seed % 3 - 1 };
        rng_init(&d.rng, (uint64_t)seed);
        world_set_tap(w, (struct world_tap){ damage, &d });
        for (int i = 0; i < 3; i++) {
            struct request q = world_request(w, i, 60);
            world_ask(w, 0, i, &q);
            world_run_ms(w, 50);
        }
        world_run_ms(w, 60 * 1000);
        uint64_t received = 0;
        for (int i = 0; i < 3; i++) {
            assert_int_not_equal(world_client(w, i)->state, CLIENT_WAITING);
            received += world_client(w, i)->count;
        }
        uint64_t spent = world_account(w, 0, 1).spent.v + world_account(w, 0, 2).spent.v;
        uint64_t attempts = 3 * ATTEMPTS_MAX;
        assert_true(spent <= received * 400 + attempts * 100 * (20 + 60));
        for (int i = 0; i < 3; i++) {
            assert_int_equal(agent_counters(world_node(w, i)->agent)->jobs_open_provider, 0);
            assert_int_equal(agent_counters(world_node(w, i)->agent)->jobs_open_requester, 0);
            world_ledger_check(w, i);
        }
        damaged += d.done;
        world_free(w);
    }
    assert_true(damaged > seeds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_requesters_disk_fails),
        cmocka_unit_test(the_providers_disk_fails),
        cmocka_unit_test(damaged_messages_harm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
