/* test_commit_first.c - has anything that stands on a record left the process before the record is on the disk?
 *
 * The real loop turn over the real LMDB store; only the way out is replaced (-Wl,--wrap), and LMDB's commit can be made to
 * fail or to end the process. What leaves is written to memory that outlives the process, with the number of commits
 * that LMDB has finished by then.
 */
#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/node_posix.h"
#include "tests/test.h"

enum commit { COMMIT_WORKS, COMMIT_FAILS, COMMIT_DIES_BEFORE, COMMIT_DIES_AFTER };
static enum commit commit_does;

struct seen {                                              /* shared with the process that dies */
    volatile uint32_t commits;                             /* finished by LMDB */
    volatile uint32_t out, out_too_early;                  /* what stands on a record: all, and before the commit */
    volatile uint32_t free;                                /* what promises nothing */
};
static struct seen *seen;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (commit_does == COMMIT_DIES_BEFORE)
        raise(SIGKILL);
    if (commit_does == COMMIT_FAILS) {
        mdb_txn_abort(txn);
        return EIO;
    }
    int rc = __real_mdb_txn_commit(txn);
    seen->commits += rc == 0;
    if (commit_does == COMMIT_DIES_AFTER)
        raise(SIGKILL);
    return rc;
}

static struct agent_effect script[64];
static uint32_t script_count, script_at;

bool __wrap_agent_next(struct agent *a, struct agent_effect *out);
bool __wrap_agent_next(struct agent *a, struct agent_effect *out)
{
    (void)a;
    if (script_at == script_count)
        return false;
    *out = script[script_at++];
    return true;
}

static void leaves(void)
{
    seen->out++;
    seen->out_too_early += seen->commits == 0;
}

enum err __wrap_transport_send(struct transport *t, uint64_t link, struct bytes frame);
enum err __wrap_transport_send(struct transport *t, uint64_t link, struct bytes frame)
{
    (void)t, (void)link, (void)frame;
    leaves();
    return OK;
}
void __wrap_transport_hangup(struct transport *t, uint64_t link);
void __wrap_transport_hangup(struct transport *t, uint64_t link) { (void)t, (void)link, leaves(); }
void __wrap_transport_mute(struct transport *t, uint64_t link, const struct seal_key *peer, struct mono until);
void __wrap_transport_mute(struct transport *t, uint64_t link, const struct seal_key *peer, struct mono until)
{
    (void)t, (void)link, (void)peer, (void)until;
    leaves();
}
void __wrap_gateway_done(struct gateway *g, struct client_id client, const struct agent_effect *done);
void __wrap_gateway_done(struct gateway *g, struct client_id client, const struct agent_effect *done)
{
    (void)g, (void)client, (void)done;
    leaves();
}
void __wrap_gateway_failed(struct gateway *g, struct client_id client, enum err error, const char *text);
void __wrap_gateway_failed(struct gateway *g, struct client_id client, enum err error, const char *text)
{
    (void)g, (void)client, (void)error, (void)text;
    leaves();
}
void __wrap_node_header_ready(struct node *n, const struct agent_effect *e);
void __wrap_node_header_ready(struct node *n, const struct agent_effect *e) { (void)n, (void)e, leaves(); }
void __wrap_node_header_failed(struct node *n, const struct agent_effect *e);
void __wrap_node_header_failed(struct node *n, const struct agent_effect *e) { (void)n, (void)e, leaves(); }
void __wrap_node_directory_ready(struct node *n);
void __wrap_node_directory_ready(struct node *n) { (void)n, leaves(); }

enum err __wrap_transport_dial(struct transport *t, struct mono now, uint64_t link, const char *host, uint16_t port, const struct seal_key *key);
enum err __wrap_transport_dial(struct transport *t, struct mono now, uint64_t link, const char *host, uint16_t port, const struct seal_key *key)
{
    (void)t, (void)now, (void)link, (void)host, (void)port, (void)key;
    seen->free++;
    return OK;
}
void __wrap_gateway_tokens(struct gateway *g, struct client_id client, const uint32_t *tokens, uint32_t count);
void __wrap_gateway_tokens(struct gateway *g, struct client_id client, const uint32_t *tokens, uint32_t count)
{
    (void)g, (void)client, (void)tokens, (void)count;
    seen->free++;
}

/* All that may tell somebody of something that was recorded in this turn, or whose order to such a thing matters. */
static const enum agent_effect_kind dependent[] = {
    AGENT_SEND, AGENT_HANGUP, AGENT_MUTE, AGENT_CLIENT_DONE, AGENT_CLIENT_FAILED, AGENT_HEADER_READY, AGENT_HEADER_FAILED,
    AGENT_DIRECTORY_READY,
};

static struct node node;
static char folder[64];

static void want(enum agent_effect_kind kind)
{
    struct agent_effect *e = &script[script_count++];
    *e = (struct agent_effect){ .kind = kind };
    if (kind == AGENT_SEND)
        e->u.send.frame = bytes_text("RECEIPT_OK");
}

static bool record_is_there(void)
{
    struct store *s;
    struct bytes value;
    assert_ok(store_lmdb_open(&(struct store_lmdb_config){ .folder = folder }, &s));
    enum err e = store_get(s, STORE_META, bytes_text("the record"), &value);
    store_close(s);
    return e == OK;
}

static void one_turn(enum commit how, enum agent_effect_kind kind)
{
    memset(&node, 0, sizeof node);
    script_count = script_at = 0;
    assert_ok(store_lmdb_open(&(struct store_lmdb_config){ .folder = folder }, &node.store));
    assert_ok(store_put(node.store, STORE_META, bytes_text("the record"), bytes_text("that the frame is about")));
    want(AGENT_DIAL);
    want(kind);
    want(AGENT_CLIENT_TOKENS);
    commit_does = how;
    *seen = (struct seen){ 0 };
    node_take_effects(&node);
    node_settle(&node);
    commit_does = COMMIT_WORKS;
}

static void end_turn(void)
{
    node_drop_held(&node);
    store_close(node.store);
}

/* In a process of its own, which must not live to the end of the turn. */
static void one_turn_dies(enum commit how, enum agent_effect_kind kind)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        one_turn(how, kind);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void dying_in_the_commit_nothing_has_been_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dependent); i++) {
        one_turn_dies(COMMIT_DIES_BEFORE, dependent[i]);
        assert_int_equal(seen->out, 0);
        assert_int_equal(seen->free, 2);                   /* the turn did come so far */
        assert_false(record_is_there());
    }
}

static void a_commit_that_fails_lets_nothing_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dependent); i++) {
        one_turn(COMMIT_FAILS, dependent[i]);
        assert_err(node.broken, ERR_IO);
        assert_int_equal(seen->out, 0);
        node_settle(&node);                                /* and not later either */
        assert_int_equal(seen->out, 0);
        end_turn();
        assert_false(record_is_there());
    }
}

static void dying_behind_the_commit_the_record_is_there(void **state)
{
    (void)state;
    one_turn_dies(COMMIT_DIES_AFTER, AGENT_SEND);
    assert_int_equal(seen->out, 0);
    assert_true(record_is_there());
}

static void all_of_it_leaves_behind_the_commit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dependent); i++) {
        one_turn(COMMIT_WORKS, dependent[i]);
        assert_ok(node.broken);
        assert_int_equal(seen->out, 1);
        assert_int_equal(seen->out_too_early, 0);
        end_turn();
        assert_true(record_is_there());
    }
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tallymesh-commit-XXXXXX");
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return seen == MAP_FAILED || !mkdtemp(folder);
}

static int teardown(void **state)
{
    (void)state;
    static const char *const files[] = { "ledger.mdb", "ledger.mdb-lock", "ledger.lock" };
    char path[96];
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder) + munmap(seen, sizeof *seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {                    /* the order matters: the record is not there until one commits */
        cmocka_unit_test(dying_in_the_commit_nothing_has_been_said),
        cmocka_unit_test(a_commit_that_fails_lets_nothing_out),
        cmocka_unit_test(dying_behind_the_commit_the_record_is_there),
        cmocka_unit_test(all_of_it_leaves_behind_the_commit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
