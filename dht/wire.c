/* wire.c - one frame in, one frame out (PROTO 3.1). */
#include "dht/wire.h"

#include "crypto/codec.h"

static const struct {
    uint32_t number;
    const char *text;
    size_t body_max;
} messages[MESSAGE_TYPE_COUNT] = {
#define X(name, number, text, body_max) { number, text, body_max },
    MESSAGE_TABLE(X)
#undef X
};

enum { FRAME_FIELDS = 6 };

size_t message_index(uint32_t type)
{
    for (size_t i = 0; i < MESSAGE_TYPE_COUNT; i++)
        if (messages[i].number == type)
            return i;
    return MESSAGE_TYPE_COUNT;
}

bool message_is_known(uint32_t type) { return message_index(type) < MESSAGE_TYPE_COUNT; }

size_t message_body_max(uint32_t type)
{
    size_t i = message_index(type);
    return i < MESSAGE_TYPE_COUNT ? messages[i].body_max : 0;
}

const char *message_name_at(size_t index) { return index < MESSAGE_TYPE_COUNT ? messages[index].text : "unknown"; }
const char *message_name(uint32_t type) { return message_name_at(message_index(type)); }

enum err frame_decode(struct bytes encoded, struct frame *out)
{
    if (encoded.len > FRAME_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct reader r;
    reader_init(&r, encoded);
    read_array(&r, FRAME_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    struct frame f = { .type = (uint32_t)read_uint(&r, UINT32_MAX) };
    f.request = read_uint(&r, UINT64_MAX);
    f.hop = (uint32_t)read_uint(&r, FRAME_HOP_MAX);
    f.age_ms = (uint32_t)read_uint(&r, UINT32_MAX);
    f.body = read_bin(&r, 0, DATA_BODY_BYTES_MAX);
    enum err e = reader_finish(&r);
    if (e != OK)
        return e;
    if (version != WIRE_VERSION)
        return ERR_VERSION;
    if (!message_is_known(f.type))
        return ERR_TYPE;
    if (f.body.len > message_body_max(f.type))
        return ERR_TOO_LARGE;
    *out = f;
    return OK;
}

enum err frame_encode(const struct frame *f, uint8_t *buf, size_t cap, struct bytes *out)
{
    if (!message_is_known(f->type))
        return ERR_TYPE;
    if (f->body.len > message_body_max(f->type))
        return ERR_TOO_LARGE;
    ENSURE(f->hop <= FRAME_HOP_MAX);
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, FRAME_FIELDS);
    write_uint(&w, WIRE_VERSION);
    write_uint(&w, f->type);
    write_uint(&w, f->request);
    write_uint(&w, f->hop);
    write_uint(&w, f->age_ms);
    write_bin(&w, f->body);
    return writer_finish(&w, out);
}
