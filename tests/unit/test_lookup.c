/* test_lookup.c - one walk through a made-up network, and the ways in which nodes spoil it. */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

#include "dht/lookup.h"

enum { NODES = 300, KNOWN = 24 };

static struct node_record nodes[NODES];
static struct hash target;

static int by_distance(const void *a, const void *b)
{
    const struct node_record *x = a, *y = b;
    return hash_distance_compare(&target, &x->id.h, &y->id.h);
}

static void make_network(uint64_t seed)
{
    target = hash_of("target", bytes_of(&seed, sizeof seed));
    for (uint64_t i = 0; i < NODES; i++) {
        uint64_t n[2] = { seed, i };
        nodes[i] = (struct node_record){ .flags = RECORD_DIALABLE };
        nodes[i].id.h = hash_of("node", bytes_of(n, sizeof n));
    }
    qsort(nodes, NODES, sizeof nodes[0], by_distance);
}

/* What node i would name: its neighbours in order of distance, with gaps the farther off they are. */
static void name_neighbours(struct lookup *l, size_t i)
{
    for (size_t k = 1; k <= KNOWN; k++) {
        size_t step = k * k / 4 + 1;
        if (i >= step)
            lookup_add(l, &nodes[i - step]);
        if (i + k < NODES)
            lookup_add(l, &nodes[i + k]);
    }
}

static size_t index_of(const struct node_id *id)
{
    for (size_t i = 0; i < NODES; i++)
        if (node_id_equal(&nodes[i].id, id))
            return i;
    return SIZE_MAX;
}

/* Asks until the walk is over; nodes whose index is a multiple of `dead_every` never answer. Returns questions asked. */
static size_t walk(struct lookup *l, size_t dead_every)
{
    struct mono now = { 1000 };
    uint64_t request = 0;
    size_t asked = 0, i;
    lookup_init(l, now, &target);
    lookup_add(l, &nodes[NODES - 1]);
    while (!lookup_is_done(l, now)) {
        while ((i = lookup_pick(l)) != LOOKUP_NONE) {
            lookup_asked(l, i, ++request, mono_add_ms(now, LOOKUP_RPC_TIMEOUT_MS));
            asked++;
        }
        lookup_check(l);
        now = mono_add_ms(now, 10);
        for (i = 0; i < l->count; i++) {
            size_t who = index_of(&l->candidates[i].record.id);
            if (l->candidates[i].state != CANDIDATE_ASKED || (dead_every && who % dead_every == 0))
                continue;
            struct node_id id = nodes[who].id;
            assert_int_equal(lookup_match(l, l->candidates[i].request, &id), i);
            name_neighbours(l, who);
            lookup_answered(l, lookup_index(l, &id) != LOOKUP_NONE ? lookup_index(l, &id) : 0);
            break;
        }
        if (i == l->count) {
            now = lookup_deadline(l);
            while (lookup_late(l, now, &i)) {
                if (l->candidates[i].tries < LOOKUP_TRIES_MAX)
                    lookup_asked(l, i, ++request, mono_add_ms(now, LOOKUP_RPC_TIMEOUT_MS));
                else
                    lookup_failed(l, i);
            }
        }
    }
    return asked;
}

static void test_the_walk_finds_the_closest(void **state)
{
    (void)state;
    struct lookup *l = malloc(sizeof *l);
    for (uint64_t seed = 0; seed < 20; seed++) {
        make_network(seed);
        size_t asked = walk(l, 0);
        assert_in_range(asked, LOOKUP_WIDTH, 60);
        assert_int_equal(l->count, LOOKUP_KEPT);
        for (size_t i = 0; i < LOOKUP_WIDTH; i++) {
            assert_true(node_id_equal(&l->candidates[i].record.id, &nodes[i].id));
            assert_int_equal(l->candidates[i].state, CANDIDATE_ANSWERED);
        }
    }
    free(l);
}

static void test_silent_nodes_are_stepped_over(void **state)
{
    (void)state;
    struct lookup *l = malloc(sizeof *l);
    make_network(99);
    walk(l, 5);
    size_t expected = 0;
    for (size_t i = 0; i < LOOKUP_WIDTH; i++) {
        while (expected % 5 == 0)
            expected++;
        assert_true(node_id_equal(&l->candidates[i].record.id, &nodes[expected].id));
        assert_int_equal(l->candidates[i].state, CANDIDATE_ANSWERED);
        expected++;
    }
    free(l);
}

static void test_bounds(void **state)
{
    (void)state;
    struct lookup *l = malloc(sizeof *l);
    struct mono now = { 0 };
    make_network(1);
    lookup_init(l, now, &target);
    assert_true(lookup_is_done(l, now));                               /* nobody to ask: over at once */
    for (size_t i = NODES; i-- > 0;)
        assert_true(lookup_add(l, &nodes[i]));                         /* each is closer than all before */
    assert_int_equal(l->count, LOOKUP_KEPT);
    assert_false(lookup_add(l, &nodes[0]));                            /* known */
    assert_false(lookup_add(l, &nodes[LOOKUP_KEPT]));                  /* too far */
    for (size_t n = 0; n < LOOKUP_ALPHA; n++)
        lookup_asked(l, lookup_pick(l), n + 1, mono_add_ms(now, 100));
    assert_int_equal(lookup_pick(l), LOOKUP_NONE);
    assert_int_equal(lookup_match(l, 1, &nodes[1].id), LOOKUP_NONE);   /* somebody else's question */
    assert_int_equal(lookup_match(l, 7, &nodes[0].id), LOOKUP_NONE);
    lookup_failed(l, 0);
    assert_false(lookup_add(l, &nodes[0]));                            /* failed: cannot be named back in */
    assert_int_equal(lookup_pick(l), LOOKUP_ALPHA - 1);
    assert_true(lookup_is_done(l, mono_add_ms(now, LOOKUP_MS_MAX)));   /* never for ever */
    lookup_check(l);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_walk_finds_the_closest), cmocka_unit_test(test_silent_nodes_are_stepped_over),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
