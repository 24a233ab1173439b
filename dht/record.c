/* record.c - signed node records (PROTO 4.1). */
#include "dht/record.h"

#include <string.h>

enum {
    RECORD_VERSION = 1,
    RECORD_FIELDS = 11,
    HOST_ENCODED_MAX = 2 + HOST_CHARS_MAX,
    /* array head, version, network, key, nonce, seq, host, port, transport, certificate, issued_at, flags */
    BODY_BYTES_MAX = 1 + 1 + (2 + NET_ID_BYTES) + (2 + PUBKEY_BYTES) + 9 + 9 + HOST_ENCODED_MAX + 3 + (2 + SEAL_KEY_BYTES) +
                     (2 + CERT_BYTES_MAX) + 9 + 1,
};
_Static_assert(1 + BODY_BYTES_MAX + 2 + SIG_BYTES <= RECORD_BYTES_MAX, "a record with every field at its largest fits");

static void write_cert(struct writer *w, const struct node_record *r)
{
    uint8_t buf[CERT_BYTES_MAX];
    struct writer inner;
    struct bytes encoded = bytes_of(NULL, 0);
    writer_init(&inner, buf, sizeof buf);
    if (r->has_cert)
        cert_write(&inner, &r->cert);
    enum err e = writer_finish(&inner, &encoded);
    ENSURE(e == OK);
    write_bin(w, encoded);
}

static void write_body(struct writer *w, const struct node_record *r)
{
    write_array(w, RECORD_FIELDS);
    write_uint(w, RECORD_VERSION);
    write_bin(w, bytes_of(r->net.b, NET_ID_BYTES));
    write_pubkey(w, &r->key);
    write_uint(w, r->pow_nonce);
    write_uint(w, r->seq);
    write_text(w, r->at.host);
    write_uint(w, r->at.port);
    write_bin(w, bytes_of(r->at.transport.b, SEAL_KEY_BYTES));
    write_cert(w, r);
    write_uint(w, r->issued_at_s);
    write_uint(w, r->flags);
}

/* The signed bytes, in buf. */
static struct bytes body_of(const struct node_record *r, uint8_t buf[BODY_BYTES_MAX])
{
    struct writer w;
    struct bytes body;
    writer_init(&w, buf, BODY_BYTES_MAX);
    write_body(&w, r);
    enum err e = writer_finish(&w, &body);
    ENSURE(e == OK);
    return body;
}

void record_sign(const struct secret_key *secret, struct node_record *r)
{
    uint8_t buf[BODY_BYTES_MAX];
    struct pubkey own;
    key_public(secret, &own);
    ENSURE(pubkey_equal(&own, &r->key));
    r->id = node_id_of(&r->key);
    key_sign(secret, PURPOSE_RECORD, &r->net, body_of(r, buf), &r->sig);
}

void record_write(struct writer *w, const struct node_record *r)
{
    write_array(w, 2);
    write_body(w, r);
    write_sig(w, &r->sig);
}

struct bytes record_encode(const struct node_record *r, uint8_t buf[RECORD_BYTES_MAX])
{
    struct writer w;
    struct bytes encoded;
    writer_init(&w, buf, RECORD_BYTES_MAX);
    record_write(&w, r);
    enum err e = writer_finish(&w, &encoded);
    ENSURE(e == OK);
    return encoded;
}

void reader_refuse(struct reader *r, enum err why)
{
    if (!reader_ok(r))
        return;
    r->failed = why;
    r->p = r->end;
}

static void read_key32(struct reader *r, uint8_t out[SEAL_KEY_BYTES])
{
    struct bytes b = read_bin(r, SEAL_KEY_BYTES, SEAL_KEY_BYTES);
    if (b.len == SEAL_KEY_BYTES)
        memcpy(out, b.data, SEAL_KEY_BYTES);
}

static void read_cert(struct reader *r, struct node_record *out)
{
    struct bytes encoded = read_bin(r, 0, CERT_BYTES_MAX);
    if (encoded.len == 0)
        return;
    struct reader inner;
    reader_init(&inner, encoded);
    cert_read(&inner, &out->cert);
    enum err e = reader_finish(&inner);
    if (e != OK)
        reader_refuse(r, e);
    out->has_cert = e == OK;
}

static void read_body(struct reader *r, struct node_record *out)
{
    read_array(r, RECORD_FIELDS);
    if (read_uint(r, UINT64_MAX) != RECORD_VERSION)
        reader_refuse(r, ERR_VERSION);
    struct bytes net = read_bin(r, NET_ID_BYTES, NET_ID_BYTES);
    if (net.len == NET_ID_BYTES)
        memcpy(out->net.b, net.data, NET_ID_BYTES);
    read_pubkey(r, &out->key);
    out->pow_nonce = read_uint(r, UINT64_MAX);
    out->seq = read_uint(r, UINT64_MAX);
    read_text(r, out->at.host, sizeof out->at.host);
    out->at.port = (uint16_t)read_uint(r, UINT16_MAX);
    read_key32(r, out->at.transport.b);
    read_cert(r, out);
    out->issued_at_s = read_uint(r, UINT32_MAX);
    out->flags = (uint32_t)read_uint(r, RECORD_FLAGS_KNOWN);
    if (reader_ok(r) && !host_is_valid(out->at.host))
        reader_refuse(r, ERR_FORMAT);
    if (reader_ok(r) && record_is_dialable(out) && out->at.port == 0)
        reader_refuse(r, ERR_FORMAT);
}

void record_read(struct reader *r, struct node_record *out)
{
    struct node_record rec = { 0 };
    read_array(r, 2);
    read_body(r, &rec);
    read_sig(r, &rec.sig);
    if (!reader_ok(r)) {
        *out = (struct node_record){ 0 };
        return;
    }
    rec.id = node_id_of(&rec.key);
    *out = rec;
}

enum err record_decode(struct bytes encoded, struct node_record *out)
{
    struct reader r;
    struct node_record rec;
    if (encoded.len > RECORD_BYTES_MAX)
        return ERR_TOO_LARGE;
    reader_init(&r, encoded);
    record_read(&r, &rec);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = rec;
    return e;
}

enum err record_check_cheap(const struct node_record *r, const struct net_id *net, unsigned pow_bits, struct wall now)
{
    uint64_t issued_ms = r->issued_at_s * 1000;
    if (!net_id_equal(&r->net, net))
        return ERR_NETWORK;
    if (issued_ms > now.ms + CLOCK_SKEW_MS_MAX || r->seq > now.ms + CLOCK_SKEW_MS_MAX)
        return ERR_STALE;
    if (issued_ms + RECORD_TTL_MS + CLOCK_SKEW_MS_MAX < now.ms)
        return ERR_EXPIRED;
    return pow_check(&r->key, net, r->pow_nonce, pow_bits);
}

enum err record_verify(const struct node_record *r, const struct net_id *net, unsigned pow_bits, struct wall now)
{
    uint8_t buf[BODY_BYTES_MAX];
    enum err e = record_check_cheap(r, net, pow_bits, now);
    if (e == OK)
        e = key_verify(&r->key, PURPOSE_RECORD, net, body_of(r, buf), &r->sig);
    if (e == OK && r->has_cert)
        e = cert_verify(&r->cert, net, &r->key, now);
    return e;
}

bool record_is_dialable(const struct node_record *r) { return (r->flags & RECORD_DIALABLE) != 0; }
