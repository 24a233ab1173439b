/* test_identity.c - the owner's certificate: made, renewed, given to another node, and run out without stopping anybody. */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyfile_posix.h"
#include "node/identity_posix.h"

static char dir[64];
static struct net_id net;
static struct fault why;

static void in_dir(const char *name, char out[128]) { snprintf(out, 128, "%s/%s", dir, name); }

static int make_node(void **state)
{
    (void)state;
    assert_ok(crypto_start());
    snprintf(dir, sizeof dir, "/tmp/tally-identity-XXXXXX");
    assert_non_null(mkdtemp(dir));
    net = net_id_of("identity");
    assert_ok(identity_create(dir, &net, 2, NULL, NULL, NULL, &why));
    return 0;
}

static int remove_node(void **state)
{
    (void)state;
    static const char *const names[] = { "owner.key", "node.key", "transport.key", "node.pow", "owner.cert" };
    char path[128];
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        in_dir(names[i], path);
        unlink(path);
    }
    return rmdir(dir);
}

static struct identity load(void)
{
    struct identity id;
    enum err e = identity_load(dir, &net, NULL, NULL, &id, &why);
    if (e)
        fail_msg("%s", why.text);
    return id;
}

/* As the owner would have signed it some time ago. */
static void write_cert(int64_t ends_in_s)
{
    char key[128], path[128];
    struct key_seed seed;
    struct secret_key owner;
    struct pubkey unused;
    struct cert c;
    struct identity id = load();
    in_dir("owner.key", key);
    in_dir("owner.cert", path);
    assert_ok(keyfile_load(key, NULL, &seed));
    key_from_seed(&seed, &owner, &unused);
    cert_issue(&owner, &net, &id.node_public, (uint64_t)((int64_t)time(NULL) + ends_in_s), &c);
    assert_ok(identity_cert_write(path, &c, &why));
    key_fini(&owner);
    identity_fini(&id);
}

static void a_certificate_that_has_run_out_is_none(void **state)
{
    (void)state;
    struct identity id = load();
    assert_true(id.has_cert && !id.cert_expired);
    identity_fini(&id);
    write_cert(-10);
    id = load();
    assert_true(!id.has_cert && id.cert_expired);
    assert_int_equal(identity_cert_days_left(&id.cert, (struct wall){ (uint64_t)time(NULL) * 1000 }), -1);
    struct identity_glance g;
    assert_ok(identity_glance(dir, NULL, &g, &why));       /* the wallet still knows whose ledger it is */
    assert_true(pubkey_equal(&g.node, &id.node_public));
    identity_fini(&id);
    write_cert(1000);
    id = load();
    assert_true(id.has_cert && !id.cert_expired);
    identity_fini(&id);
}

static void one_of_another_node_is_refused(void **state)
{
    (void)state;
    char key[128], path[128];
    struct pubkey another = { { 7 } };
    struct cert c;
    struct identity id;
    in_dir("owner.key", key);
    in_dir("owner.cert", path);
    assert_ok(identity_certify(key, NULL, &net, &another, 100, &c, &why));
    assert_ok(cert_verify(&c, &net, &another, (struct wall){ (uint64_t)time(NULL) * 1000 }));
    assert_in_range(identity_cert_days_left(&c, (struct wall){ (uint64_t)time(NULL) * 1000 }), 99, 100);
    assert_ok(identity_cert_write(path, &c, &why));
    assert_err(identity_load(dir, &net, NULL, NULL, &id, &why), ERR_CERT);
    unlink(path);
    assert_ok(identity_create(dir, &net, 2, NULL, NULL, NULL, &why));   /* made anew */
    id = load();
    assert_true(id.has_cert);
    identity_fini(&id);
}

/* The owner key moved to a safe place: asking for what is missing makes no second owner. */
static void a_certified_node_gets_no_second_owner(void **state)
{
    (void)state;
    char key[128], away[128];
    struct cert c;
    struct identity before = load(), after;
    in_dir("owner.key", key);
    in_dir("away", away);
    assert_int_equal(rename(key, away), 0);
    assert_ok(identity_create(dir, &net, 2, NULL, NULL, NULL, &why));
    assert_int_equal(access(key, F_OK), -1);
    assert_err(identity_certify(key, NULL, &net, &before.node_public, 1, &c, &why), ERR_NOT_FOUND);
    assert_ok(identity_certify(away, NULL, &net, &before.node_public, 1, &c, &why));
    after = load();
    assert_true(pubkey_equal(&before.owner_public, &after.owner_public) && pubkey_equal(&c.owner, &after.owner_public));
    assert_int_equal(rename(away, key), 0);
    identity_fini(&before);
    identity_fini(&after);
}

static void days_are_counted_down(void **state)
{
    (void)state;
    struct cert c = { .not_after_s = 100 * 86400 };
    static const struct { uint64_t s; int64_t days; } table[] = {
        { 0, 100 }, { 1, 99 }, { 99 * 86400, 1 }, { 99 * 86400 + 1, 0 }, { 100 * 86400, 0 }, { 100 * 86400 + 1, -1 }, { 102 * 86400, -3 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        assert_int_equal(identity_cert_days_left(&c, (struct wall){ table[i].s * 1000 }), table[i].days);
    c.not_after_s = UINT64_MAX;
    assert_true(identity_cert_days_left(&c, (struct wall){ 0 }) > 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_that_has_run_out_is_none),
        cmocka_unit_test(one_of_another_node_is_refused),
        cmocka_unit_test(a_certified_node_gets_no_second_owner),
        cmocka_unit_test(days_are_counted_down),
    };
    return cmocka_run_group_tests(tests, make_node, remove_node);
}
