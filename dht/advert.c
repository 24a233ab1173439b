/* advert.c - signed capacity adverts (PROTO 4.2). */
#include "dht/advert.h"

#include <string.h>

enum {
    ADVERT_VERSION = 1,
    ADVERT_FIELDS = 19,
    BODY_BYTES_MAX = ADVERT_BYTES_MAX - 1 - (2 + SIG_BYTES),
    /* array head, version, record, seq, ttl, model, name, numerics, context, backend, device, prefill, decode, slots,
     * three prices, jurisdiction, tier, energy */
    BODY_BYTES_WORST = 3 + 1 + RECORD_BYTES_MAX + 9 + 5 + (2 + HASH_BYTES) + (2 + MODEL_NAME_CHARS_MAX) + 2 + 5 +
                       (2 + BACKEND_CHARS_MAX) + (2 + DEVICE_CHARS_MAX) + 5 + 5 + 5 + 27 + 4 + 1 + 9,
};
_Static_assert(BODY_BYTES_WORST <= (int)BODY_BYTES_MAX, "an advert with every field at its largest fits");

struct hash advert_key(const struct hash *model) { return hash_of("providers", bytes_of(model->b, HASH_BYTES)); }

static void write_body(struct writer *w, const struct advert *a)
{
    write_array(w, ADVERT_FIELDS);
    write_uint(w, ADVERT_VERSION);
    record_write(w, &a->node);
    write_uint(w, a->seq);
    write_uint(w, a->ttl_ms);
    write_hash(w, &a->model);
    write_text(w, a->model_name);
    write_uint(w, a->numerics);
    write_uint(w, a->context_tokens);
    write_text(w, a->backend);
    write_text(w, a->device);
    write_uint(w, a->prefill_mtps);
    write_uint(w, a->decode_mtps);
    write_uint(w, a->slots);
    write_uint(w, a->prices.input);
    write_uint(w, a->prices.cached_input);
    write_uint(w, a->prices.output);
    write_text(w, a->jurisdiction);
    write_uint(w, a->tier);
    write_uint(w, a->energy_mj_per_1000);
}

static enum err body_of(const struct advert *a, uint8_t buf[BODY_BYTES_MAX], struct bytes *out)
{
    struct writer w;
    writer_init(&w, buf, BODY_BYTES_MAX);
    write_body(&w, a);
    return writer_finish(&w, out);
}

enum err advert_sign(const struct secret_key *secret, struct advert *a)
{
    uint8_t buf[BODY_BYTES_MAX];
    struct bytes body;
    struct pubkey own;
    key_public(secret, &own);
    ENSURE(pubkey_equal(&own, &a->node.key));
    enum err e = body_of(a, buf, &body);
    if (e == OK)
        key_sign(secret, PURPOSE_ADVERT, &a->node.net, body, &a->sig);
    return e;
}

void advert_write(struct writer *w, const struct advert *a)
{
    write_array(w, 2);
    write_body(w, a);
    write_sig(w, &a->sig);
}

struct bytes advert_encode(const struct advert *a, uint8_t buf[ADVERT_BYTES_MAX])
{
    struct writer w;
    struct bytes encoded;
    writer_init(&w, buf, ADVERT_BYTES_MAX);
    advert_write(&w, a);
    enum err e = writer_finish(&w, &encoded);
    ENSURE(e == OK);
    return encoded;
}

/* Empty, or two upper-case letters: a country code. */
static bool is_jurisdiction(const char *text)
{
    if (text[0] == '\0')
        return true;
    return text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'A' && text[1] <= 'Z' && text[2] == '\0';
}

static void read_body(struct reader *r, struct advert *out)
{
    read_array(r, ADVERT_FIELDS);
    if (read_uint(r, UINT64_MAX) != ADVERT_VERSION)
        reader_refuse(r, ERR_VERSION);
    record_read(r, &out->node);
    out->seq = read_uint(r, UINT64_MAX);
    out->ttl_ms = (uint32_t)read_uint(r, ADVERT_TTL_MS);
    read_hash(r, &out->model);
    read_text(r, out->model_name, sizeof out->model_name);
    out->numerics = (uint32_t)read_uint(r, NUMERICS_VERSION_MAX);
    out->context_tokens = (uint32_t)read_uint(r, UINT32_MAX);
    read_text(r, out->backend, sizeof out->backend);
    read_text(r, out->device, sizeof out->device);
    out->prefill_mtps = (uint32_t)read_uint(r, UINT32_MAX);
    out->decode_mtps = (uint32_t)read_uint(r, UINT32_MAX);
    out->slots = (uint32_t)read_uint(r, UINT32_MAX);
    out->prices.input = read_uint(r, UINT64_MAX);
    out->prices.cached_input = read_uint(r, UINT64_MAX);
    out->prices.output = read_uint(r, UINT64_MAX);
    read_text(r, out->jurisdiction, sizeof out->jurisdiction);
    out->tier = (enum tier)read_uint(r, TIER_FACTORY);
    out->energy_mj_per_1000 = read_uint(r, UINT64_MAX);
    if (reader_ok(r) && (!is_jurisdiction(out->jurisdiction) || hash_is_zero(&out->model)))
        reader_refuse(r, ERR_FORMAT);
}

void advert_read(struct reader *r, struct advert *out)
{
    struct advert a = { 0 };
    read_array(r, 2);
    read_body(r, &a);
    read_sig(r, &a.sig);
    *out = reader_ok(r) ? a : (struct advert){ 0 };
}

enum err advert_decode(struct bytes encoded, struct advert *out)
{
    struct reader r;
    struct advert a;
    if (encoded.len > ADVERT_BYTES_MAX)
        return ERR_TOO_LARGE;
    reader_init(&r, encoded);
    advert_read(&r, &a);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = a;
    return e;
}

enum err advert_verify(const struct advert *a, const struct net_id *net, unsigned pow_bits, struct wall now)
{
    uint8_t buf[BODY_BYTES_MAX];
    struct bytes body;
    if (a->seq > now.ms + CLOCK_SKEW_MS_MAX)
        return ERR_STALE;
    if (a->seq + a->ttl_ms + CLOCK_SKEW_MS_MAX < now.ms)
        return ERR_EXPIRED;
    enum err e = record_verify(&a->node, net, pow_bits, now);
    if (e == OK)
        e = body_of(a, buf, &body);
    if (e == OK)
        e = key_verify(&a->node.key, PURPOSE_ADVERT, net, body, &a->sig);
    return e;
}
