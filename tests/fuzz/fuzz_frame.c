/* fuzz_frame.c - one frame of any type from strangers: frame and body decode without harm, and what decodes encodes to the
 * same bytes. */
#include "dht/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct writer *w, struct bytes body)
{
    struct bytes again;
    enum err e = writer_finish(w, &again);
    ENSURE(e == OK);
    ENSURE(bytes_equal(again, body));
}

static void check_session(const struct frame *f)
{
    struct msg_hello hello;
    enum goaway reason;
    if (f->type == MSG_HELLO || f->type == MSG_HELLO_OK) {
        if (msg_hello_decode(f->body, &hello) == OK)
            ENSURE(f->body.len <= RECORD_BYTES_MAX + 3 + 2 + SIG_BYTES);
    } else if (f->type == MSG_GOAWAY) {
        if (msg_goaway_decode(f->body, &reason) == OK)
            ENSURE(reason <= GOAWAY_REFUSED);
    } else if (msg_empty_decode(f->body) == OK) {
        ENSURE(f->body.len == 1);
    }
}

static void check_nodes(const struct msg_nodes *nodes)
{
    struct node_record r;
    ENSURE(nodes->count <= CONTACTS_PER_REPLY_MAX);
    for (uint32_t i = 0; i < nodes->count; i++)
        ENSURE(record_decode(nodes->records[i], &r) < ERR_COUNT);
}

static void check_lookup(const struct frame *f)
{
    static uint8_t buf[CONTROL_BODY_BYTES_MAX];
    struct msg_find find;
    struct msg_nodes nodes;
    struct msg_get get;
    struct msg_values values;
    struct advert a;
    struct writer w;
    writer_init(&w, buf, sizeof buf);
    if (f->type == MSG_FIND && msg_find_decode(f->body, &find) == OK) {
        msg_find_write(&w, &find);
        check_same(&w, f->body);
    } else if (f->type == MSG_GET && msg_get_decode(f->body, &get) == OK) {
        msg_get_write(&w, &get);
        check_same(&w, f->body);
    } else if (f->type == MSG_NODES && msg_nodes_decode(f->body, &nodes) == OK) {
        check_nodes(&nodes);
    } else if (f->type == MSG_VALUES && msg_values_decode(f->body, &values) == OK) {
        ENSURE(values.count <= ADVERTS_PER_REPLY_MAX);
        for (uint32_t i = 0; i < values.count; i++)
            ENSURE(advert_decode(values.values[i].value, &a) < ERR_COUNT);
        check_nodes(&values.nodes);
    }
}

static void check_store_and_gossip(const struct frame *f)
{
    static uint8_t buf[CONTROL_BODY_BYTES_MAX];
    struct msg_store store;
    struct msg_stored stored;
    struct msg_pub pub;
    struct msg_ids ids;
    struct writer w;
    writer_init(&w, buf, sizeof buf);
    if (f->type == MSG_STORE && msg_store_decode(f->body, &store) == OK) {
        msg_store_write(&w, &store);
        check_same(&w, f->body);
    } else if (f->type == MSG_STORED && msg_stored_decode(f->body, &stored) == OK) {
        msg_stored_write(&w, &stored);
        check_same(&w, f->body);
    } else if (f->type == MSG_PUB && msg_pub_decode(f->body, &pub) == OK) {
        ENSURE(pub.bytes.len <= GOSSIP_BYTES_MAX);
        ENSURE(f->body.len <= PUB_BYTES_MAX);
    } else if ((f->type == MSG_IHAVE || f->type == MSG_IWANT) && msg_ids_decode(f->body, &ids) == OK) {
        msg_ids_write(&w, &ids);
        check_same(&w, f->body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[FRAME_BYTES_MAX];
    struct frame f;
    struct bytes again;
    if (frame_decode(bytes_of(data, size), &f) != OK)
        return 0;
    enum err e = frame_encode(&f, buf, sizeof buf, &again);
    ENSURE(e == OK);
    ENSURE(bytes_equal(again, bytes_of(data, size)));
    if (f.type < MSG_FIND)
        check_session(&f);
    else if (f.type < MSG_PUB)
        check_lookup(&f);
    check_store_and_gossip(&f);
    return 0;
}
