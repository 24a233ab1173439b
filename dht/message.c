/* message.c - bodies of the overlay's own messages (PROTO 3.3, PROTO 4.4, PROTO 5.1): each writer beside its reader. */
#include "dht/message.h"

/* ---- session ---- */

/* What a HELLO signs: the pair of transport keys, so that it is good for this pair of ends alone. */
static struct bytes ends_encode(struct hello_ends ends, uint8_t buf[80])
{
    struct writer w;
    struct bytes encoded;
    writer_init(&w, buf, 80);
    write_array(&w, 2);
    write_bin(&w, bytes_of(ends.speaker->b, SEAL_KEY_BYTES));
    write_bin(&w, bytes_of(ends.listener->b, SEAL_KEY_BYTES));
    enum err e = writer_finish(&w, &encoded);
    ENSURE(e == OK);
    return encoded;
}

void msg_hello_write(struct writer *w, const struct secret_key *secret, const struct node_record *own, struct hello_ends ends)
{
    uint8_t buf[80];
    struct sig sig;
    key_sign(secret, PURPOSE_HELLO, &own->net, ends_encode(ends, buf), &sig);
    write_array(w, 2);
    record_write(w, own);
    write_sig(w, &sig);
}

enum err msg_hello_decode(struct bytes body, struct msg_hello *out)
{
    struct reader r;
    struct msg_hello m = { 0 };
    reader_init(&r, body);
    read_array(&r, 2);
    record_read(&r, &m.record);
    read_sig(&r, &m.sig);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

enum err msg_hello_verify(const struct msg_hello *m, struct hello_ends ends)
{
    uint8_t buf[80];
    return key_verify(&m->record.key, PURPOSE_HELLO, &m->record.net, ends_encode(ends, buf), &m->sig);
}

void msg_goaway_write(struct writer *w, enum goaway reason)
{
    write_array(w, 1);
    write_uint(w, reason);
}

enum err msg_goaway_decode(struct bytes body, enum goaway *out)
{
    struct reader r;
    reader_init(&r, body);
    read_array(&r, 1);
    enum goaway reason = (enum goaway)read_uint(&r, GOAWAY_REFUSED);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = reason;
    return e;
}

void msg_empty_write(struct writer *w) { write_array(w, 0); }

enum err msg_empty_decode(struct bytes body)
{
    struct reader r;
    reader_init(&r, body);
    read_array(&r, 0);
    return reader_finish(&r);
}

/* ---- overlay ---- */

void msg_find_write(struct writer *w, const struct msg_find *m)
{
    write_array(w, 2);
    write_hash(w, &m->target);
    write_uint(w, m->want);
}

enum err msg_find_decode(struct bytes body, struct msg_find *out)
{
    struct reader r;
    struct msg_find m;
    reader_init(&r, body);
    read_array(&r, 2);
    read_hash(&r, &m.target);
    m.want = (uint32_t)read_uint(&r, CONTACTS_PER_REPLY_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

void msg_nodes_read(struct reader *r, struct msg_nodes *out)
{
    *out = (struct msg_nodes){ .count = read_array_max(r, CONTACTS_PER_REPLY_MAX) };
    for (uint32_t i = 0; i < out->count; i++)
        out->records[i] = read_raw(r, RECORD_BYTES_MAX);
}

enum err msg_nodes_decode(struct bytes body, struct msg_nodes *out)
{
    struct reader r;
    struct msg_nodes m;
    reader_init(&r, body);
    msg_nodes_read(&r, &m);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

void msg_store_write(struct writer *w, const struct msg_store *m)
{
    write_array(w, 4);
    write_hash(w, &m->key);
    write_uint(w, m->kind);
    write_uint(w, m->age_ms);
    write_raw(w, m->value);
}

enum err msg_store_decode(struct bytes body, struct msg_store *out)
{
    struct reader r;
    struct msg_store m;
    reader_init(&r, body);
    read_array(&r, 4);
    read_hash(&r, &m.key);
    m.kind = (enum value_kind)read_uint(&r, VALUE_ADVERT);
    m.age_ms = (uint32_t)read_uint(&r, UINT32_MAX);
    m.value = read_raw(&r, m.kind == VALUE_ADVERT ? (size_t)ADVERT_BYTES_MAX : (size_t)RECORD_BYTES_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

void msg_stored_write(struct writer *w, const struct msg_stored *m)
{
    write_array(w, 2);
    write_uint(w, m->result);
    write_uint(w, m->seq);
}

enum err msg_stored_decode(struct bytes body, struct msg_stored *out)
{
    struct reader r;
    struct msg_stored m;
    reader_init(&r, body);
    read_array(&r, 2);
    m.result = (enum stored)read_uint(&r, STORED_INVALID);
    m.seq = read_uint(&r, UINT64_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

void msg_get_write(struct writer *w, const struct msg_get *m)
{
    write_array(w, 2);
    write_hash(w, &m->key);
    write_uint(w, m->skip);
}

enum err msg_get_decode(struct bytes body, struct msg_get *out)
{
    struct reader r;
    struct msg_get m;
    reader_init(&r, body);
    read_array(&r, 2);
    read_hash(&r, &m.key);
    m.skip = (uint32_t)read_uint(&r, UINT32_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

enum err msg_values_decode(struct bytes body, struct msg_values *out)
{
    struct reader r;
    struct msg_values m = { 0 };
    reader_init(&r, body);
    read_array(&r, 3);
    m.total = (uint32_t)read_uint(&r, UINT32_MAX);
    m.count = read_array_max(&r, ADVERTS_PER_REPLY_MAX);
    for (uint32_t i = 0; i < m.count; i++) {
        read_array(&r, 2);
        m.values[i].age_ms = (uint32_t)read_uint(&r, UINT32_MAX);
        m.values[i].value = read_raw(&r, ADVERT_BYTES_MAX);
    }
    msg_nodes_read(&r, &m.nodes);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- gossip ---- */

enum { STATEMENT_BYTES_MAX = PUB_BYTES_MAX - 1 - (2 + SIG_BYTES) };
_Static_assert(1 + (2 + HASH_BYTES) + RECORD_BYTES_MAX + 9 + (3 + GOSSIP_BYTES_MAX) <= STATEMENT_BYTES_MAX, "a full PUB fits");

static struct bytes statement_encode(const struct msg_pub *m, uint8_t buf[STATEMENT_BYTES_MAX])
{
    struct writer w;
    struct bytes statement;
    writer_init(&w, buf, STATEMENT_BYTES_MAX);
    write_array(&w, 4);
    write_hash(&w, &m->topic);
    record_write(&w, &m->origin);
    write_uint(&w, m->number);
    write_bin(&w, m->bytes);
    enum err e = writer_finish(&w, &statement);
    ENSURE(e == OK);
    return statement;
}

void msg_pub_write(struct writer *w, const struct secret_key *secret, const struct msg_pub *m)
{
    uint8_t buf[STATEMENT_BYTES_MAX];
    struct bytes statement = statement_encode(m, buf);
    struct sig sig;
    key_sign(secret, PURPOSE_GOSSIP, &m->origin.net, statement, &sig);
    write_array(w, 2);
    write_raw(w, statement);
    write_sig(w, &sig);
}

static enum err statement_decode(struct bytes statement, struct msg_pub *out)
{
    struct reader r;
    reader_init(&r, statement);
    read_array(&r, 4);
    read_hash(&r, &out->topic);
    record_read(&r, &out->origin);
    out->number = read_uint(&r, UINT64_MAX);
    out->bytes = read_bin(&r, 0, GOSSIP_BYTES_MAX);
    return reader_finish(&r);
}

enum err msg_pub_decode(struct bytes body, struct msg_pub *out)
{
    struct reader r;
    struct msg_pub m = { 0 };
    reader_init(&r, body);
    read_array(&r, 2);
    m.statement = read_raw(&r, STATEMENT_BYTES_MAX);
    read_sig(&r, &m.sig);
    enum err e = reader_finish(&r);
    if (e == OK)
        e = statement_decode(m.statement, &m);
    if (e == OK)
        *out = m;
    return e;
}

enum err msg_pub_verify(const struct msg_pub *m, const struct net_id *net)
{
    if (!net_id_equal(&m->origin.net, net))
        return ERR_NETWORK;
    return key_verify(&m->origin.key, PURPOSE_GOSSIP, net, m->statement, &m->sig);
}

struct hash msg_pub_id(struct bytes body) { return hash_of("gossip", body); }

void msg_ids_write(struct writer *w, const struct msg_ids *m)
{
    write_array(w, m->count);
    for (uint32_t i = 0; i < m->count; i++)
        write_hash(w, &m->ids[i]);
}

enum err msg_ids_decode(struct bytes body, struct msg_ids *out)
{
    struct reader r;
    struct msg_ids m = { 0 };
    reader_init(&r, body);
    m.count = read_array_max(&r, GOSSIP_IDS_MAX);
    for (uint32_t i = 0; i < m.count; i++)
        read_hash(&r, &m.ids[i]);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}
