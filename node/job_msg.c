/* job_msg.c - one encoder and one decoder per message, in the order of job_msg.h. */
#include "node/job_msg.h"

#include <string.h>

enum {
    TERMS_MSG_FIELDS = 3, PROMPT_MSG_FIELDS = 3, OK_MSG_FIELDS = 3, CHUNK_MSG_FIELDS = 3, CLAIM_MSG_FIELDS = 4,
    RECEIPT_MSG_FIELDS = 4, CANCEL_MSG_FIELDS = 2, RESYNC_FIELDS = 4, ADOPT_FIELDS = 5, KEPT_FIELDS = 4, HEADER_GET_FIELDS = 2, HEADER_PART_FIELDS = 5,
};

/* ---- terms ---- */

enum err terms_msg_encode(const struct terms_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, TERMS_MSG_FIELDS);
    write_bin(&w, m->terms);
    write_sig(&w, &m->sig);
    write_bin(&w, m->sealed);
    return writer_finish(&w, view);
}

enum err terms_msg_decode(struct bytes body, struct terms_msg *out)
{
    struct reader r;
    struct terms_msg m = { .terms = { NULL, 0 } };
    reader_init(&r, body);
    read_array(&r, TERMS_MSG_FIELDS);
    m.terms = read_bin(&r, 1, TERMS_BYTES_MAX);
    read_sig(&r, &m.sig);
    m.sealed = read_bin(&r, SEAL_OVERHEAD_BYTES + 1, SEALED_BYTES_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- parts that several messages have ---- */

static void write_optional_hash(struct writer *w, bool has, const struct hash *h) { write_bin(w, bytes_of(h->b, has ? sizeof h->b : 0)); }

/* A hash or an empty byte string; the caller asks the reader at the end. */
static bool read_optional_hash(struct reader *r, struct hash *out)
{
    struct bytes b = read_bin(r, 0, HASH_BYTES);
    if (b.len != 0 && b.len != HASH_BYTES && r->failed == OK)
        r->failed = ERR_ENCODING;
    if (b.len == HASH_BYTES)
        memcpy(out->b, b.data, HASH_BYTES);
    return b.len == HASH_BYTES;
}

static void write_tokens(struct writer *w, const uint32_t *tokens, uint32_t count)
{
    write_array(w, count);
    for (uint32_t i = 0; i < count; i++)
        write_uint(w, tokens[i]);
}

static uint32_t read_tokens(struct reader *r, uint32_t *tokens, uint32_t max)
{
    uint32_t count = read_array_max(r, max);
    for (uint32_t i = 0; i < count; i++)
        tokens[i] = (uint32_t)read_uint(r, UINT32_MAX);
    return count;
}

/* ---- the sealed prompt ---- */

enum err prompt_msg_encode(const struct prompt_msg *m, const uint32_t *tokens, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, PROMPT_MSG_FIELDS);
    write_hash(&w, &m->nonce);
    write_uint(&w, m->seed);
    write_tokens(&w, tokens, m->count);
    return writer_finish(&w, view);
}

enum err prompt_msg_decode(struct bytes body, struct prompt_msg *out, uint32_t *tokens)
{
    struct reader r;
    struct prompt_msg m = { .count = 0 };
    reader_init(&r, body);
    read_array(&r, PROMPT_MSG_FIELDS);
    read_hash(&r, &m.nonce);
    m.seed = read_uint(&r, UINT64_MAX);
    m.count = read_tokens(&r, tokens, PROMPT_TOKENS_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- terms and claim co-signed ---- */

enum err ok_msg_encode(const struct ok_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, OK_MSG_FIELDS);
    write_hash(&w, &m->terms);
    write_uint(&w, m->index);
    write_sig(&w, &m->sig);
    return writer_finish(&w, view);
}

enum err ok_msg_decode(struct bytes body, struct ok_msg *out)
{
    struct reader r;
    struct ok_msg m = { .index = 0 };
    reader_init(&r, body);
    read_array(&r, OK_MSG_FIELDS);
    read_hash(&r, &m.terms);
    m.index = read_uint(&r, OUTPUT_TOKENS_MAX);
    read_sig(&r, &m.sig);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- chunk ---- */

enum err chunk_msg_encode(const struct chunk_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, CHUNK_MSG_FIELDS);
    write_hash(&w, &m->terms);
    write_uint(&w, m->offset);
    write_tokens(&w, m->tokens, m->count);
    return writer_finish(&w, view);
}

enum err chunk_msg_decode(struct bytes body, struct chunk_msg *out)
{
    struct reader r;
    struct chunk_msg m = { .count = 0 };
    reader_init(&r, body);
    read_array(&r, CHUNK_MSG_FIELDS);
    read_hash(&r, &m.terms);
    m.offset = read_uint(&r, OUTPUT_TOKENS_MAX);
    m.count = read_tokens(&r, m.tokens, CHUNK_TOKENS_MAX);
    enum err e = reader_finish(&r);
    if (e)
        return e;
    if (m.count == 0)
        return ERR_ARG;
    *out = m;
    return OK;
}

/* ---- claim ---- */

enum err claim_msg_encode(const struct claim_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, CLAIM_MSG_FIELDS);
    write_bin(&w, m->claim);
    write_sig(&w, &m->sig);
    write_optional_hash(&w, m->has_digest, &m->digest);
    write_uint(&w, m->last ? 1 + (unsigned)m->finish : 0);
    return writer_finish(&w, view);
}

enum err claim_msg_decode(struct bytes body, struct claim_msg *out)
{
    struct reader r;
    struct claim_msg m = { .last = false };
    reader_init(&r, body);
    read_array(&r, CLAIM_MSG_FIELDS);
    m.claim = read_bin(&r, 1, CLAIM_BYTES_MAX);
    read_sig(&r, &m.sig);
    m.has_digest = read_optional_hash(&r, &m.digest);
    uint64_t ending = read_uint(&r, 1 + FINISH_ERROR);
    enum err e = reader_finish(&r);
    if (e)
        return e;
    m.last = ending != 0;
    m.finish = m.last ? (enum finish)(ending - 1) : FINISH_STOP;
    *out = m;
    return OK;
}

/* ---- receipt ---- */

enum err receipt_msg_encode(const struct receipt_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, RECEIPT_MSG_FIELDS);
    write_bin(&w, m->body);
    write_sig(&w, &m->sig);
    write_bin(&w, m->note);
    write_bin(&w, bytes_of(m->note_sig.b, m->note.len ? sizeof m->note_sig.b : 0));
    return writer_finish(&w, view);
}

enum err receipt_msg_decode(struct bytes body, struct receipt_msg *out)
{
    struct reader r;
    struct receipt_msg m = { .note = { NULL, 0 } };
    reader_init(&r, body);
    read_array(&r, RECEIPT_MSG_FIELDS);
    m.body = read_bin(&r, 1, RECEIPT_BODY_BYTES_MAX);
    read_sig(&r, &m.sig);
    m.note = read_bin(&r, 0, NOTE_BYTES_MAX);
    struct bytes sig = read_bin(&r, 0, SIG_BYTES);
    enum err e = reader_finish(&r);
    if (e)
        return e;
    if (sig.len != (m.note.len ? (size_t)SIG_BYTES : 0))
        return ERR_ENCODING;
    if (sig.len)
        memcpy(m.note_sig.b, sig.data, sig.len);
    *out = m;
    return OK;
}

/* ---- cancel ---- */

enum err cancel_msg_encode(const struct cancel_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, CANCEL_MSG_FIELDS);
    write_hash(&w, &m->subject);
    write_uint(&w, m->why);
    return writer_finish(&w, view);
}

enum err cancel_msg_decode(struct bytes body, struct cancel_msg *out)
{
    struct reader r;
    struct cancel_msg m;
    reader_init(&r, body);
    read_array(&r, CANCEL_MSG_FIELDS);
    read_hash(&r, &m.subject);
    m.why = (enum cancel_why)read_uint(&r, CANCEL_GIVEN_UP);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- resync ---- */

enum err resync_msg_encode(const struct resync_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, RESYNC_FIELDS);
    write_uint(&w, m->provider_seq);
    write_hash(&w, &m->provider_head);
    write_uint(&w, m->requester_seq);
    write_hash(&w, &m->requester_head);
    return writer_finish(&w, view);
}

enum err resync_msg_decode(struct bytes body, struct resync_msg *out)
{
    struct reader r;
    struct resync_msg m;
    reader_init(&r, body);
    read_array(&r, RESYNC_FIELDS);
    m.provider_seq = read_uint(&r, UINT64_MAX - 1);
    read_hash(&r, &m.provider_head);
    m.requester_seq = read_uint(&r, UINT64_MAX - 1);
    read_hash(&r, &m.requester_head);
    enum err e = reader_finish(&r);
    if (e)
        return e;
    if ((m.provider_seq == 0) != hash_is_zero(&m.provider_head) || (m.requester_seq == 0) != hash_is_zero(&m.requester_head))
        return ERR_ARG;
    *out = m;
    return OK;
}

enum err adopt_msg_encode(const struct adopt_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, ADOPT_FIELDS);
    write_uint(&w, m->side);
    write_bin(&w, m->body);
    write_sig(&w, &m->requester_sig);
    write_sig(&w, &m->provider_sig);
    write_uint(&w, m->more);
    return writer_finish(&w, view);
}

enum err adopt_msg_decode(struct bytes body, struct adopt_msg *out)
{
    struct reader r;
    struct adopt_msg m = { .side = SIDE_NONE };
    reader_init(&r, body);
    read_array(&r, ADOPT_FIELDS);
    m.side = (enum side)read_uint(&r, SIDE_PROVIDER);
    m.body = read_bin(&r, 1, RECEIPT_BODY_BYTES_MAX);
    read_sig(&r, &m.requester_sig);
    read_sig(&r, &m.provider_sig);
    m.more = read_uint(&r, 1) != 0;
    enum err e = reader_finish(&r);
    if (e)
        return e;
    if (m.side == SIDE_NONE)
        return ERR_ARG;
    *out = m;
    return OK;
}

enum err kept_msg_encode(const struct kept_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, KEPT_FIELDS);
    write_bin(&w, m->claim);
    write_optional_hash(&w, m->has_digest, &m->digest);
    write_sig(&w, &m->requester_sig);
    write_sig(&w, &m->provider_sig);
    return writer_finish(&w, view);
}

enum err kept_msg_decode(struct bytes body, struct kept_msg *out)
{
    struct reader r;
    struct kept_msg m = { .has_digest = false };
    reader_init(&r, body);
    read_array(&r, KEPT_FIELDS);
    m.claim = read_bin(&r, 1, CLAIM_BYTES_MAX);
    m.has_digest = read_optional_hash(&r, &m.digest);
    read_sig(&r, &m.requester_sig);
    read_sig(&r, &m.provider_sig);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- model headers ---- */

enum err header_get_encode(const struct header_get_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, HEADER_GET_FIELDS);
    write_hash(&w, &m->model);
    write_uint(&w, m->offset);
    return writer_finish(&w, view);
}

enum err header_get_decode(struct bytes body, struct header_get_msg *out)
{
    struct reader r;
    struct header_get_msg m;
    reader_init(&r, body);
    read_array(&r, HEADER_GET_FIELDS);
    read_hash(&r, &m.model);
    m.offset = (uint32_t)read_uint(&r, HEADER_BYTES_MAX);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

enum err header_part_encode(const struct header_part_msg *m, void *buf, size_t cap, struct bytes *view)
{
    struct writer w;
    writer_init(&w, buf, cap);
    write_array(&w, HEADER_PART_FIELDS);
    write_hash(&w, &m->model);
    write_uint(&w, m->offset);
    write_uint(&w, m->total);
    write_hash(&w, &m->tensor_hash);
    write_bin(&w, m->part);
    return writer_finish(&w, view);
}

enum err header_part_decode(struct bytes body, struct header_part_msg *out)
{
    struct reader r;
    struct header_part_msg m = { .part = { NULL, 0 } };
    reader_init(&r, body);
    read_array(&r, HEADER_PART_FIELDS);
    read_hash(&r, &m.model);
    m.offset = (uint32_t)read_uint(&r, HEADER_BYTES_MAX);
    m.total = (uint32_t)read_uint(&r, HEADER_BYTES_MAX);
    read_hash(&r, &m.tensor_hash);
    m.part = read_bin(&r, 0, HEADER_PART_BYTES);
    enum err e = reader_finish(&r);
    if (e)
        return e;
    if (m.offset > m.total)
        return ERR_ARG;
    uint32_t rest = m.total - m.offset;
    if (m.part.len != (rest < HEADER_PART_BYTES ? rest : HEADER_PART_BYTES))
        return ERR_ARG;                                    /* a part of one byte would cost a frame per byte */
    *out = m;
    return OK;
}
