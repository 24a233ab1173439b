/* bundle.c - a receipt and all it rests on, as one byte string. Form only; bundle_check.c judges the content. */
#include "ledger/bundle.h"

enum { BUNDLE_FIELDS = 15, OPENING_FIELDS = 4, TOKEN_BYTES = 4 };

/* ---- encoding ---- */

static void write_signed(struct writer *w, const struct bundle_signed *s, bool provider_first)
{
    write_bin(w, s->body);
    write_sig(w, provider_first ? &s->provider_sig : &s->requester_sig);
    write_sig(w, provider_first ? &s->requester_sig : &s->provider_sig);
}

static void write_cert_or_empty(struct writer *w, bool has, const struct cert *c)
{
    if (has)
        cert_write(w, c);
    else
        write_array(w, 0);
}

static void write_opening(struct writer *w, const struct bundle *b)
{
    if (!b->has_opening) {
        write_array(w, 0);
        return;
    }
    write_array(w, OPENING_FIELDS);
    write_hash(w, &b->nonce);
    write_uint(w, b->seed);
    write_bin(w, b->prefill);
    write_bin(w, b->output);
}

enum err bundle_encode(const struct bundle *b, uint8_t *buf, size_t cap, struct bytes *out)
{
    ENSURE(b->note_count <= BUNDLE_NOTES_MAX);
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, BUNDLE_FIELDS);
    write_uint(&w, BUNDLE_VERSION);
    write_signed(&w, &b->terms, false);
    write_cert_or_empty(&w, b->has_requester_cert, &b->requester_cert);
    write_cert_or_empty(&w, b->has_provider_cert, &b->provider_cert);
    write_signed(&w, &b->claim, true);
    write_bin(&w, b->digests);
    write_signed(&w, &b->receipt, true);
    write_array(&w, b->note_count);
    for (uint32_t i = 0; i < b->note_count; i++) {
        write_array(&w, 2);
        write_bin(&w, b->notes[i].body);
        write_sig(&w, &b->notes[i].sig);
    }
    write_opening(&w, b);
    return writer_finish(&w, out);
}

/* ---- decoding ---- */

static void read_signed(struct reader *r, struct bundle_signed *s, size_t body_max, bool provider_first)
{
    s->body = read_bin(r, 0, body_max);
    read_sig(r, provider_first ? &s->provider_sig : &s->requester_sig);
    read_sig(r, provider_first ? &s->requester_sig : &s->provider_sig);
}

/* A certificate is an array with fields, its absence one with none: looked at before it is taken apart. */
static bool read_cert_or_empty(struct reader *r, struct cert *c)
{
    struct bytes raw = read_raw(r, CERT_BYTES_MAX);
    struct reader inner;
    reader_init(&inner, raw);
    if (raw.len <= 1) {
        read_array(&inner, 0);
        if (reader_ok(r) && reader_finish(&inner) != OK)
            r->failed = ERR_ENCODING;
        return false;
    }
    cert_read(&inner, c);
    if (reader_ok(r))
        r->failed = reader_finish(&inner);
    return reader_ok(r);
}

static bool read_opening(struct reader *r, struct bundle *b)
{
    uint32_t fields = read_array_max(r, OPENING_FIELDS);
    if (fields == 0)
        return false;
    if (fields != OPENING_FIELDS && reader_ok(r))
        r->failed = ERR_ENCODING;
    read_hash(r, &b->nonce);
    b->seed = read_uint(r, UINT64_MAX);
    b->prefill = read_bin(r, 0, BUNDLE_BYTES_MAX);
    b->output = read_bin(r, 0, BUNDLE_BYTES_MAX);
    return reader_ok(r);
}

enum err bundle_decode(struct bytes in, struct bundle *out)
{
    if (in.len > BUNDLE_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct bundle b = { 0 };
    struct reader r;
    reader_init(&r, in);
    read_array(&r, BUNDLE_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    read_signed(&r, &b.terms, TERMS_BYTES_MAX, false);
    b.has_requester_cert = read_cert_or_empty(&r, &b.requester_cert);
    b.has_provider_cert = read_cert_or_empty(&r, &b.provider_cert);
    read_signed(&r, &b.claim, CLAIM_BYTES_MAX, true);
    b.digests = read_bin(&r, 0, BUNDLE_BYTES_MAX);
    read_signed(&r, &b.receipt, RECEIPT_BODY_BYTES_MAX, true);
    b.note_count = read_array_max(&r, BUNDLE_NOTES_MAX);
    for (uint32_t i = 0; i < b.note_count; i++) {
        read_array(&r, 2);
        b.notes[i].body = read_bin(&r, 0, NOTE_BYTES_MAX);
        read_sig(&r, &b.notes[i].sig);
    }
    b.has_opening = read_opening(&r, &b);
    enum err e = reader_finish(&r);
    if (e == OK && version != BUNDLE_VERSION)
        e = ERR_VERSION;
    if (e == OK && (b.digests.len % HASH_BYTES || b.prefill.len % TOKEN_BYTES || b.output.len % TOKEN_BYTES))
        e = ERR_ENCODING;
    if (e == OK)
        *out = b;
    return e;
}

/* ---- looking in ---- */

size_t bundle_prefill_count(const struct bundle *b) { return b->prefill.len / TOKEN_BYTES; }
size_t bundle_output_count(const struct bundle *b) { return b->output.len / TOKEN_BYTES; }
size_t bundle_digest_count(const struct bundle *b) { return b->digests.len / HASH_BYTES; }

static uint32_t token_at(struct bytes ids, size_t i)
{
    ENSURE(i < ids.len / TOKEN_BYTES);
    const uint8_t *p = ids.data + i * TOKEN_BYTES;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t bundle_prefill_id(const struct bundle *b, size_t i) { return token_at(b->prefill, i); }
uint32_t bundle_output_id(const struct bundle *b, size_t i) { return token_at(b->output, i); }

struct hash bundle_digest(const struct bundle *b, size_t i)
{
    ENSURE(i < bundle_digest_count(b));
    struct hash h;
    for (size_t j = 0; j < HASH_BYTES; j++)
        h.b[j] = b->digests.data[i * HASH_BYTES + j];
    return h;
}
