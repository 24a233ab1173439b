/* test_record.c - node records and adverts: golden bytes, and each way in which one is not believed. */
#include "tests/test.h"

#include <string.h>

#include "tests/dht/vectors.h"

static void assert_golden(const char *name, struct bytes encoded)
{
    struct vector v;
    struct bytes golden = vector_load(name, &v);
    assert_int_equal(encoded.len, golden.len);
    assert_memory_equal(encoded.data, golden.data, golden.len);
}

static void test_records_equal_the_golden_bytes(void **state)
{
    (void)state;
    uint8_t buf[RECORD_BYTES_MAX];
    struct node_record plain = vector_record(false), certified = vector_record(true), back;
    struct net_id net = vector_net();
    assert_golden("record", record_encode(&plain, buf));
    struct bytes encoded = record_encode(&certified, buf);
    assert_golden("record_cert", encoded);
    assert_ok(record_decode(encoded, &back));
    assert_memory_equal(&back, &certified, sizeof back);
    assert_ok(record_verify(&back, &net, 0, VECTOR_WALL));
    assert_true(node_id_equal(&back.id, &plain.id));
}

static void test_a_record_is_refused(void **state)
{
    (void)state;
    struct net_id net = vector_net(), other = net_id_of("other");
    struct node_record r = vector_record(true), bad;
    assert_err(record_verify(&r, &other, 0, VECTOR_WALL), ERR_NETWORK);
    assert_err(record_verify(&r, &net, 60, VECTOR_WALL), ERR_POW);
    assert_err(record_verify(&r, &net, 0, (struct wall){ VECTOR_WALL.ms - 3600 * 1000 }), ERR_STALE);
    assert_err(record_verify(&r, &net, 0, (struct wall){ VECTOR_WALL.ms + 3 * RECORD_TTL_MS }), ERR_EXPIRED);
    bad = r;
    bad.at.port++;
    assert_err(record_verify(&bad, &net, 0, VECTOR_WALL), ERR_SIGNATURE);
    bad = r;
    bad.at.transport.b[0] ^= 1;
    assert_err(record_verify(&bad, &net, 0, VECTOR_WALL), ERR_SIGNATURE);
    /* A certificate for another node key, in a record that is itself well signed. */
    struct secret_key node, owner, third;
    struct pubkey third_public;
    vector_key(1, &node);
    vector_key(2, &owner);
    vector_key(9, &third);
    key_public(&third, &third_public);
    bad = r;
    cert_issue(&owner, &net, &third_public, 2000000000, &bad.cert);
    record_sign(&node, &bad);
    assert_err(record_verify(&bad, &net, 0, VECTOR_WALL), ERR_CERT);
    bad = r;
    cert_issue(&owner, &net, &bad.key, 1000, &bad.cert);
    record_sign(&node, &bad);
    assert_err(record_verify(&bad, &net, 0, VECTOR_WALL), ERR_EXPIRED);
}

static void test_record_shapes(void **state)
{
    (void)state;
    uint8_t buf[RECORD_BYTES_MAX];
    struct node_record r = vector_record(false), back;
    struct bytes encoded = record_encode(&r, buf);
    for (size_t len = 0; len < encoded.len; len++)
        assert_int_not_equal(record_decode(bytes_of(buf, len), &back), OK);
    strcpy(r.at.host, "not a host");
    assert_err(record_decode(record_encode(&r, buf), &back), ERR_FORMAT);
    r = vector_record(false);
    r.at.port = 0;
    assert_err(record_decode(record_encode(&r, buf), &back), ERR_FORMAT);
    r = vector_record(false);
    r.flags = 2;
    assert_err(record_decode(record_encode(&r, buf), &back), ERR_OVERFLOW);
    r = vector_record(true);
    memset(r.at.host, 'a', HOST_CHARS_MAX);
    for (size_t i = 50; i < HOST_CHARS_MAX; i += 50)
        r.at.host[i] = '.';
    r.at.host[HOST_CHARS_MAX] = '\0';
    r.pow_nonce = r.seq = UINT64_MAX;
    r.issued_at_s = UINT32_MAX;
    assert_ok(record_decode(record_encode(&r, buf), &back));               /* the largest record fits */
}

static void test_adverts(void **state)
{
    (void)state;
    uint8_t buf[ADVERT_BYTES_MAX];
    struct net_id net = vector_net();
    struct advert a = vector_advert(), back;
    struct bytes encoded = advert_encode(&a, buf);
    assert_golden("advert", encoded);
    assert_ok(advert_decode(encoded, &back));
    assert_memory_equal(&back, &a, sizeof back);
    assert_ok(advert_verify(&back, &net, 0, VECTOR_WALL));
    for (size_t len = 0; len < encoded.len; len++)
        assert_int_not_equal(advert_decode(bytes_of(buf, len), &back), OK);
    assert_err(advert_verify(&a, &net, 0, (struct wall){ VECTOR_WALL.ms + 40 * 60 * 1000 }), ERR_EXPIRED);
    struct advert bad = a;
    bad.prices.output++;
    assert_err(advert_verify(&bad, &net, 0, VECTOR_WALL), ERR_SIGNATURE);
    bad = a;
    bad.seq += 3600 * 1000;
    assert_err(advert_verify(&bad, &net, 0, VECTOR_WALL), ERR_STALE);
    bad = a;
    strcpy(bad.jurisdiction, "de");
    assert_err(advert_decode(advert_encode(&bad, buf), &back), ERR_FORMAT);
    bad = a;
    bad.ttl_ms = ADVERT_TTL_MS + 1;
    assert_err(advert_decode(advert_encode(&bad, buf), &back), ERR_OVERFLOW);
}

static void test_the_largest_advert_fits(void **state)
{
    (void)state;
    struct secret_key node;
    uint8_t buf[ADVERT_BYTES_MAX];
    struct advert a = vector_advert(), back;
    a.node = vector_record(true);
    memset(a.node.at.host, 'a', HOST_CHARS_MAX);
    for (size_t i = 50; i < HOST_CHARS_MAX; i += 50)
        a.node.at.host[i] = '.';
    memset(a.model_name, 'm', MODEL_NAME_CHARS_MAX);
    memset(a.backend, 'b', BACKEND_CHARS_MAX);
    memset(a.device, 'd', DEVICE_CHARS_MAX);
    a.prices = (struct advert_prices){ UINT64_MAX, UINT64_MAX, UINT64_MAX };
    a.energy_mj_per_1000 = a.seq = UINT64_MAX;
    a.context_tokens = a.prefill_mtps = a.decode_mtps = a.slots = UINT32_MAX;
    vector_key(1, &node);
    assert_ok(advert_sign(&node, &a));
    assert_ok(advert_decode(advert_encode(&a, buf), &back));
    assert_int_equal(back.seq, UINT64_MAX);
}

static void test_keys_of_models_differ(void **state)
{
    (void)state;
    struct hash zero = { { 0 } }, one = { { 1 } };
    struct hash a = advert_key(&zero), b = advert_key(&one);
    assert_false(hash_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_equal_the_golden_bytes), cmocka_unit_test(test_a_record_is_refused),
        cmocka_unit_test(test_record_shapes), cmocka_unit_test(test_adverts), cmocka_unit_test(test_the_largest_advert_fits),
        cmocka_unit_test(test_keys_of_models_differ),
    };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
