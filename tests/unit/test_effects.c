/* test_effects.c - does the loop lose nothing of a turn, and promise nothing that is not on disk?
 *
 * The agent and the transport are replaced at their calls (-Wl,--wrap): what the agent would want is a script, and what
 * leaves is a list. The store is the one in memory, whose commit can be made to fail.
 */
#include "ledger/store_mem.h"
#include "node/node_posix.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

enum { MANY = 1000 };

static struct agent_effect script[MANY];
static uint32_t script_count, script_at;
static uint32_t sent, dialled, hung_up, down_count[2 * MANY];
static enum err send_says, dial_says;

bool __wrap_agent_next(struct agent *a, struct agent_effect *out);
bool __wrap_agent_next(struct agent *a, struct agent_effect *out)
{
    (void)a;
    if (script_at == script_count)
        return false;
    *out = script[script_at++];
    return true;
}

void __wrap_node_handle(struct node *n, const struct agent_event *e);
void __wrap_node_handle(struct node *n, const struct agent_event *e)
{
    (void)n;
    assert_int_equal(e->kind, AGENT_OVERLAY);
    assert_int_equal(e->u.overlay.kind, OVERLAY_LINK_DOWN);
    down_count[e->u.overlay.link.id]++;
}

enum err __wrap_transport_dial(struct transport *t, struct mono now, uint64_t link, const char *host, uint16_t port, const struct seal_key *key);
enum err __wrap_transport_dial(struct transport *t, struct mono now, uint64_t link, const char *host, uint16_t port, const struct seal_key *key)
{
    (void)t, (void)now, (void)link, (void)host, (void)port, (void)key;
    dialled++;
    return dial_says;
}

enum err __wrap_transport_send(struct transport *t, uint64_t link, struct bytes frame);
enum err __wrap_transport_send(struct transport *t, uint64_t link, struct bytes frame)
{
    (void)t, (void)link, (void)frame;
    sent++;
    return send_says;
}

void __wrap_transport_hangup(struct transport *t, uint64_t link);
void __wrap_transport_hangup(struct transport *t, uint64_t link)
{
    (void)t, (void)link;
    hung_up++;
}

static struct node node;
static struct store_mem *mem;

static void begin(uint32_t dials, uint32_t sends)
{
    memset(&node, 0, sizeof node);
    memset(down_count, 0, sizeof down_count);
    script_count = script_at = sent = dialled = hung_up = 0;
    send_says = dial_says = OK;
    assert_ok(store_mem_open(0, &mem));
    node.store = store_mem_store(mem);
    for (uint32_t i = 0; i < dials; i++)
        script[script_count++] = (struct agent_effect){ .kind = AGENT_DIAL, .u.dial.link.id = i };
    for (uint32_t i = 0; i < sends; i++)
        script[script_count++] = (struct agent_effect){ .kind = AGENT_SEND, .u.send = { { MANY + i }, bytes_text("frame") } };
    assert_ok(store_put(node.store, STORE_META, bytes_text("key"), bytes_text("value")));
}

static void end(void)
{
    node_drop_held(&node);
    store_close(node.store);
}

static void every_failed_dial_is_told(void **state)
{
    (void)state;
    begin(MANY, 0);
    dial_says = ERR_FULL;
    node_take_effects(&node);
    node_settle(&node);
    assert_ok(node.broken);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(down_count[i], 1);
    end();
}

static void every_full_link_is_ended_and_told(void **state)
{
    (void)state;
    begin(0, MANY);
    send_says = ERR_FULL;
    node_take_effects(&node);
    node_settle(&node);
    assert_int_equal(hung_up, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(down_count[MANY + i], 1);
    end();
}

static void nothing_leaves_before_the_disk_has_it(void **state)
{
    (void)state;
    begin(3, 5);
    node_take_effects(&node);
    assert_int_equal(sent + dialled, 0);
    node_settle(&node);
    assert_ok(node.broken);
    assert_int_equal(sent, 5);
    assert_int_equal(dialled, 3);
    assert_int_equal(store_mem_commits(mem), 1);
    end();
}

static void a_commit_that_fails_lets_no_promise_out(void **state)
{
    (void)state;
    begin(3, 5);
    node_take_effects(&node);
    store_mem_fail_at(mem, 1, ERR_DISK_FULL);
    node_settle(&node);
    assert_err(node.broken, ERR_DISK_FULL);
    assert_int_equal(sent, 0);
    assert_int_equal(dialled, 3);                          /* a dial promises nothing */
    assert_null(node.held.first);
    assert_int_equal(store_mem_commits(mem), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_dial_is_told),
        cmocka_unit_test(every_full_link_is_ended_and_told),
        cmocka_unit_test(nothing_leaves_before_the_disk_has_it),
        cmocka_unit_test(a_commit_that_fails_lets_no_promise_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
