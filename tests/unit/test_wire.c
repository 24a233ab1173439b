/* test_wire.c - frames and the overlay's own bodies against golden bytes, and the ways in which they are refused. */
#include "tests/test.h"

#include <string.h>

#include "dht/message.h"
#include "tests/dht/vectors.h"

static struct frame load(const char *name, struct vector *v)
{
    struct frame f;
    assert_ok(frame_decode(vector_load(name, v), &f));
    return f;
}

static void assert_frame(const char *name, const struct frame *f)
{
    struct vector v;
    uint8_t buf[VECTOR_BYTES_MAX];
    struct bytes golden = vector_load(name, &v), encoded;
    assert_ok(frame_encode(f, buf, sizeof buf, &encoded));
    assert_int_equal(encoded.len, golden.len);
    assert_memory_equal(encoded.data, golden.data, golden.len);
}

/* Finishes a body and checks the whole frame against its vector. */
static void assert_body(const char *name, struct frame f, const struct writer *w)
{
    assert_ok(writer_finish(w, &f.body));
    assert_frame(name, &f);
}

static void test_every_vector_round_trips_and_breaks(void **state)
{
    (void)state;
    static const char *const names[] = { "hello", "hello_ok", "ping", "pong", "goaway", "find", "nodes", "store", "stored", "get",
                                         "values", "pub", "ihave", "iwant", "offer" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct vector v;
        struct frame f = load(names[i], &v), again;
        assert_string_equal(message_name(f.type), names[i]);
        assert_frame(names[i], &f);
        for (size_t len = 0; len < v.len; len++)
            assert_int_not_equal(frame_decode(bytes_of(v.b, len), &again), OK);
        v.b[v.len] = 0;
        assert_err(frame_decode(bytes_of(v.b, v.len + 1), &again), ERR_ENCODING);
    }
}

static void test_frame_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum err expected;
    } cases[] = {
        { "\x96\x02\x03\x07\x00\x00\xc4\x01\x90", 9, ERR_VERSION },
        { "\x96\x01\x06\x07\x00\x00\xc4\x01\x90", 9, ERR_TYPE },
        { "\x95\x01\x03\x07\x00\xc4\x01\x90", 8, ERR_ENCODING },
        { "\x96\x01\x03\xcc\x07\x00\x00\xc4\x01\x90", 10, ERR_ENCODING },             /* 7 not in its shortest form */
        { "\x96\x01\x03\x07\xcd\x01\x00\x00\xc4\x01\x90", 11, ERR_OVERFLOW },         /* hop 256 */
        { "\x96\x01\x03\x07\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xc4\x01\x90", 17, ERR_OVERFLOW },
        { "\x96\x01\x03\x07\x00\x00\xa1\x41", 8, ERR_ENCODING },                      /* str instead of bin */
        { "", 0, ERR_ENCODING },
    };
    struct frame f;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_err(frame_decode(bytes_of(cases[i].bytes, cases[i].len), &f), cases[i].expected);
}

static void test_caps_hold_exactly(void **state)
{
    (void)state;
    static uint8_t body[FRAME_BYTES_MAX + 1], buf[FRAME_BYTES_MAX + 64];
    struct frame f = { .type = MSG_BID, .body = { body, CONTROL_BODY_BYTES_MAX } }, back;
    struct bytes encoded;
    assert_ok(frame_encode(&f, buf, sizeof buf, &encoded));
    assert_ok(frame_decode(encoded, &back));
    f.body.len++;
    assert_err(frame_encode(&f, buf, sizeof buf, &encoded), ERR_TOO_LARGE);
    f = (struct frame){ .type = MSG_TERMS, .request = UINT64_MAX, .hop = 255, .age_ms = UINT32_MAX, .body = { body, DATA_BODY_BYTES_MAX } };
    assert_ok(frame_encode(&f, buf, sizeof buf, &encoded));
    assert_true(encoded.len <= FRAME_BYTES_MAX);
    assert_ok(frame_decode(encoded, &back));
    /* The same bytes as a BID are over its cap, and one byte more than a frame may have is refused unread. */
    assert_int_equal(buf[2], MSG_TERMS);
    buf[2] = MSG_BID;
    assert_err(frame_decode(encoded, &back), ERR_TOO_LARGE);
    assert_err(frame_decode(bytes_of(buf, FRAME_BYTES_MAX + 1), &back), ERR_TOO_LARGE);
    assert_err(frame_encode(&(struct frame){ .type = 6 }, buf, sizeof buf, &encoded), ERR_TYPE);
}

static void test_hello(void **state)
{
    (void)state;
    struct vector v;
    struct frame f = load("hello", &v);
    struct msg_hello m;
    struct seal_key mine, yours;
    struct secret_key node;
    uint8_t buf[VECTOR_BYTES_MAX];
    struct writer w;
    memset(mine.b, 3, sizeof mine.b);
    memset(yours.b, 4, sizeof yours.b);
    assert_ok(msg_hello_decode(f.body, &m));
    assert_ok(msg_hello_verify(&m, (struct hello_ends){ &mine, &yours }));
    assert_err(msg_hello_verify(&m, (struct hello_ends){ &yours, &mine }), ERR_SIGNATURE);
    struct node_record own = vector_record(false);
    vector_key(1, &node);
    writer_init(&w, buf, sizeof buf);
    msg_hello_write(&w, &node, &own, (struct hello_ends){ &mine, &yours });
    assert_body("hello", (struct frame){ .type = MSG_HELLO }, &w);
}

static void test_find_and_nodes(void **state)
{
    (void)state;
    struct vector v;
    uint8_t buf[VECTOR_BYTES_MAX];
    struct writer w;
    struct msg_find find;
    struct msg_nodes nodes;
    struct node_record r;
    struct frame f = load("find", &v);
    assert_ok(msg_find_decode(f.body, &find));
    assert_int_equal(find.want, 10);
    writer_init(&w, buf, sizeof buf);
    msg_find_write(&w, &find);
    assert_body("find", (struct frame){ .type = MSG_FIND, .request = 300 }, &w);
    f = load("nodes", &v);
    assert_ok(msg_nodes_decode(f.body, &nodes));
    assert_int_equal(nodes.count, 2);
    assert_ok(record_decode(nodes.records[1], &r));
    assert_true(r.has_cert);
    assert_err(msg_nodes_decode(bytes_of("\x9b\0\0\0\0\0\0\0\0\0\0\0", 12), &nodes), ERR_TOO_LARGE);    /* 11 records */
}

static void test_store_get_values(void **state)
{
    (void)state;
    struct vector v;
    uint8_t buf[VECTOR_BYTES_MAX];
    struct writer w;
    struct msg_store store;
    struct msg_stored stored;
    struct msg_get get;
    struct msg_values values;
    struct frame f = load("store", &v);
    assert_ok(msg_store_decode(f.body, &store));
    writer_init(&w, buf, sizeof buf);
    msg_store_write(&w, &store);
    assert_body("store", (struct frame){ .type = MSG_STORE, .request = 70000 }, &w);
    f = load("stored", &v);
    assert_ok(msg_stored_decode(f.body, &stored));
    assert_int_equal(stored.result, STORED_STALE);
    writer_init(&w, buf, sizeof buf);
    msg_stored_write(&w, &stored);
    assert_body("stored", (struct frame){ .type = MSG_STORED, .request = 70000 }, &w);
    f = load("get", &v);
    assert_ok(msg_get_decode(f.body, &get));
    assert_int_equal(get.skip, 7);
    writer_init(&w, buf, sizeof buf);
    msg_get_write(&w, &get);
    assert_body("get", (struct frame){ .type = MSG_GET, .request = UINT64_C(5000000000) }, &w);
    f = load("values", &v);
    assert_ok(msg_values_decode(f.body, &values));
    assert_int_equal(values.count, 1);
    assert_int_equal(values.values[0].age_ms, 1000);
    struct advert a;
    assert_ok(advert_decode(values.values[0].value, &a));
    assert_int_equal(values.nodes.count, 1);
}

static void test_gossip_bodies(void **state)
{
    (void)state;
    struct vector v, v2;
    uint8_t buf[VECTOR_BYTES_MAX];
    struct writer w;
    struct msg_pub pub;
    struct msg_ids ids;
    struct secret_key node;
    struct net_id net = vector_net(), other = net_id_of("other");
    struct frame f = load("pub", &v);
    assert_ok(msg_pub_decode(f.body, &pub));
    assert_ok(msg_pub_verify(&pub, &net));
    assert_err(msg_pub_verify(&pub, &other), ERR_NETWORK);
    assert_memory_equal(pub.bytes.data, "an offer", 8);
    vector_key(1, &node);
    writer_init(&w, buf, sizeof buf);
    msg_pub_write(&w, &node, &pub);
    assert_body("pub", (struct frame){ .type = MSG_PUB, .hop = 2, .age_ms = 1500 }, &w);
    struct hash id = msg_pub_id(f.body);
    f = load("iwant", &v2);
    assert_ok(msg_ids_decode(f.body, &ids));
    assert_int_equal(ids.count, 2);
    assert_true(hash_equal(&ids.ids[0], &id));
    writer_init(&w, buf, sizeof buf);
    msg_ids_write(&w, &ids);
    assert_body("iwant", (struct frame){ .type = MSG_IWANT }, &w);
    pub.sig.b[5] ^= 1;
    assert_err(msg_pub_verify(&pub, &net), ERR_SIGNATURE);
}

static void test_names_and_caps_agree_with_the_table(void **state)
{
    (void)state;
    assert_string_equal(message_name(12345), "unknown");
    assert_int_equal(message_index(MSG_HELLO), MSG_HELLO_INDEX);
    assert_int_equal(message_index(MSG_HEADER_PART), MESSAGE_TYPE_COUNT - 1);
    assert_int_equal(message_body_max(MSG_HEADER_PART), DATA_BODY_BYTES_MAX);
    assert_int_equal(message_body_max(99), 0);
    struct vector v;
    enum goaway reason;
    struct frame f = load("goaway", &v);
    assert_ok(msg_goaway_decode(f.body, &reason));
    assert_int_equal(reason, GOAWAY_NO_SESSION);
    assert_err(msg_goaway_decode(bytes_of("\x91\x06", 2), &reason), ERR_OVERFLOW);
    assert_err(msg_empty_decode(bytes_of("\x91\x06", 2)), ERR_ENCODING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_vector_round_trips_and_breaks), cmocka_unit_test(test_frame_refusals),
        cmocka_unit_test(test_caps_hold_exactly), cmocka_unit_test(test_hello), cmocka_unit_test(test_find_and_nodes),
        cmocka_unit_test(test_store_get_values), cmocka_unit_test(test_gossip_bodies),
        cmocka_unit_test(test_names_and_caps_agree_with_the_table),
    };
    ENSURE(crypto_start() == OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
