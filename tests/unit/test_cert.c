/* test_cert.c - an owner's word about a node key: golden bytes, and each way in which it does not hold. */
#include "tests/test.h"

#include <string.h>

#include "crypto/cert.h"
#include "crypto/hex.h"

struct fixture {
    struct secret_key owner;
    struct pubkey owner_public, node;
    struct net_id net;
    struct cert cert;
};

enum { NOT_AFTER_S = 2000000000 };

static struct fixture fixture(void)
{
    struct fixture f;
    struct key_seed seed;
    struct secret_key node_secret;
    for (uint8_t i = 0; i < KEY_SEED_BYTES; i++)
        seed.b[i] = i;
    key_from_seed(&seed, &f.owner, &f.owner_public);
    memset(seed.b, 0x11, sizeof seed.b);
    key_from_seed(&seed, &node_secret, &f.node);
    f.net = net_id_of("testnet");
    cert_issue(&f.owner, &f.net, &f.node, NOT_AFTER_S, &f.cert);
    return f;
}

static const struct wall in_time = { (uint64_t)NOT_AFTER_S * 1000 };

/* PROTO 2.6's worked example, made with Python's `cryptography`. */
static const char golden[] = "9501"
                             "c420d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"
                             "ce77359400"
                             "c42003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
                             "c440db79800b3a0247f7550fd272ecad3b3f6ccb62a3a40e40ad5a18345590b1a7ce"
                             "870a0c46f66a97de9c091c2ae7af84319e63927e4ada18d00d2681ce39c1470a";

static struct bytes encode(const struct cert *c, uint8_t buf[CERT_BYTES_MAX])
{
    struct writer w;
    struct bytes b;
    writer_init(&w, buf, CERT_BYTES_MAX);
    cert_write(&w, c);
    assert_ok(writer_finish(&w, &b));
    return b;
}

static void encoding_is_exactly_as_specified(void **state)
{
    (void)state;
    struct fixture f = fixture();
    uint8_t buf[CERT_BYTES_MAX];
    char text[2 * CERT_BYTES_MAX + 1];
    hex_format(encode(&f.cert, buf), text);
    assert_string_equal(text, golden);

    f.cert.not_after_s = UINT64_MAX;                           /* the largest still fits */
    assert_int_equal(encode(&f.cert, buf).len, 2 + 34 + 9 + 34 + 66);
}

static void a_valid_certificate_survives_the_wire(void **state)
{
    (void)state;
    struct fixture f = fixture();
    uint8_t buf[CERT_BYTES_MAX];
    struct reader r;
    struct cert c;
    reader_init(&r, encode(&f.cert, buf));
    cert_read(&r, &c);
    assert_ok(reader_finish(&r));
    assert_true(pubkey_equal(&c.owner, &f.owner_public));
    assert_ok(cert_verify(&c, &f.net, &f.node, in_time));
}

static void each_way_to_be_wrong_has_its_name(void **state)
{
    (void)state;
    struct fixture f = fixture();
    struct net_id other_net = net_id_of("public");
    struct cert c = f.cert;
    assert_ok(cert_verify(&f.cert, &f.net, &f.node, (struct wall){ 0 }));
    assert_ok(cert_verify(&f.cert, &f.net, &f.node, (struct wall){ in_time.ms + 999 }));
    assert_err(cert_verify(&f.cert, &f.net, &f.node, (struct wall){ in_time.ms + 1000 }), ERR_EXPIRED);
    assert_err(cert_verify(&f.cert, &f.net, &f.owner_public, in_time), ERR_CERT);
    assert_err(cert_verify(&f.cert, &other_net, &f.node, in_time), ERR_SIGNATURE);
    c.not_after_s++;
    assert_err(cert_verify(&c, &f.net, &f.node, in_time), ERR_SIGNATURE);
    c = f.cert;
    c.node = f.owner_public;                                   /* another node takes over a certificate */
    assert_err(cert_verify(&c, &f.net, &f.owner_public, in_time), ERR_SIGNATURE);
    c = f.cert;
    c.owner = f.node;                                          /* another owner takes over a node */
    assert_err(cert_verify(&c, &f.net, &f.node, in_time), ERR_SIGNATURE);
    c = f.cert;
    c.owner_sig.b[0] ^= 1;
    assert_err(cert_verify(&c, &f.net, &f.node, in_time), ERR_SIGNATURE);
}

static void every_damaged_byte_is_refused(void **state)
{
    (void)state;
    struct fixture f = fixture();
    uint8_t buf[CERT_BYTES_MAX];
    struct bytes b = encode(&f.cert, buf);
    for (size_t i = 0; i < b.len; i++) {
        struct reader r;
        struct cert c;
        buf[i] ^= 0x40;
        reader_init(&r, b);
        cert_read(&r, &c);
        assert_true(reader_finish(&r) != OK || cert_verify(&c, &f.net, &f.node, in_time) != OK);
        buf[i] ^= 0x40;
        reader_init(&r, bytes_of(buf, i));                     /* and every truncation */
        cert_read(&r, &c);
        assert_true(reader_finish(&r) != OK);
    }
    buf[1] = 2;
    struct reader r;
    struct cert c;
    reader_init(&r, b);
    cert_read(&r, &c);
    assert_err(reader_finish(&r), ERR_VERSION);
}

static int start(void **state)
{
    (void)state;
    assert_ok(crypto_start());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_is_exactly_as_specified),
        cmocka_unit_test(a_valid_certificate_survives_the_wire),
        cmocka_unit_test(each_way_to_be_wrong_has_its_name),
        cmocka_unit_test(every_damaged_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
