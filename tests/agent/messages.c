/* messages.c - samples and round trips, one case per message. */
#include "tests/agent/messages.h"

#include <string.h>

static uint8_t sample_buf[FRAME_BYTES_MAX], again_buf[FRAME_BYTES_MAX];
static uint32_t ids[PROMPT_TOKENS_MAX];
static uint8_t filler[FRAME_BYTES_MAX];

const char *message_label(enum message m)
{
    static const char *const labels[] = {
#define X(name) #name,
        MESSAGES(X)
#undef X
    };
    return labels[m];
}

size_t message_bytes_max(enum message m)
{
    switch (m) {
    case MESSAGE_offer: return OFFER_BYTES_MAX;
    case MESSAGE_bid: return BID_BYTES_MAX;
    case MESSAGE_signed_msg: return SIGNED_BYTES_MAX;
    case MESSAGE_decline: return DECLINE_BYTES_MAX;
    case MESSAGE_terms_msg: return TERMS_MSG_BYTES_MAX;
    case MESSAGE_prompt_msg: return PROMPT_BYTES_MAX;
    case MESSAGE_ok_msg: return HASH_SIG_BYTES_MAX;
    case MESSAGE_chunk_msg: return CHUNK_BYTES_MAX;
    case MESSAGE_claim_msg: return CLAIM_MSG_BYTES_MAX;
    case MESSAGE_receipt_msg: return RECEIPT_MSG_BYTES_MAX;
    case MESSAGE_cancel_msg: return CANCEL_BYTES_MAX;
    case MESSAGE_resync_msg: return RESYNC_BYTES_MAX;
    case MESSAGE_adopt_msg: return ADOPT_BYTES_MAX;
    case MESSAGE_kept_msg: return KEPT_BYTES_MAX;
    case MESSAGE_header_get: return HEADER_GET_BYTES_MAX;
    case MESSAGE_header_part: return HEADER_PART_MSG_BYTES_MAX;
    case MESSAGE_COUNT: break;
    }
    return 0;
}

static struct hash hash_number(uint8_t n)
{
    struct hash h;
    memset(h.b, n, sizeof h.b);
    return h;
}

static struct sig sig_number(uint8_t n)
{
    struct sig s;
    memset(s.b, n, sizeof s.b);
    return s;
}

static struct bytes filled(size_t len)
{
    memset(filler, 0x5a, sizeof filler);
    return bytes_of(filler, len);
}

static enum err sample_offer(bool most, struct bytes *v)
{
    struct offer o = { .model = hash_number(2), .commitment = hash_number(4), .prompt_count = 20, .output_max = 100, .class = CLASS_BATCH,
                       .limits = { .price_input_max = 100, .price_output_max = 400, .jurisdictions = { "DE", "FR" } }, .ttl_ms = 2000 };
    memset(o.id, 1, sizeof o.id);
    memset(o.requester.b, 3, sizeof o.requester.b);
    if (most) {
        o.prompt_count = o.cached_hint = PROMPT_TOKENS_MAX;
        o.output_max = OUTPUT_TOKENS_MAX;
        o.limits = (struct request_limits){ .price_input_max = PRICE_MAX, .price_output_max = PRICE_MAX, .first_token_ms_max = UINT32_MAX,
                                            .tiers = UINT8_MAX, .energy_mj_per_1k_max = UINT32_MAX, .has_owner = true };
        memset(o.limits.jurisdictions, 'A', sizeof o.limits.jurisdictions);
        o.ttl_ms = GOSSIP_AGE_MS_MAX;
    }
    return offer_encode(&o, sample_buf, v);
}

static enum err sample_bid(bool most, struct bytes *v)
{
    struct bid b = { .offer = hash_number(5), .price_input = 100, .price_cached = 50, .price_output = 400, .first_token_ms = 12,
                     .reservation_ms = 2000, .slots_free = 3 };
    memset(b.provider.b, 6, sizeof b.provider.b);
    memset(b.one_time.b, 7, sizeof b.one_time.b);
    if (most) {
        b.price_input = b.price_cached = b.price_output = PRICE_MAX;
        b.first_token_ms = b.energy_mj_per_1k = b.slots_free = UINT32_MAX;
        b.reservation_ms = GOSSIP_AGE_MS_MAX;
        b.tier = 2;
        memcpy(b.jurisdiction, "DE", 2);
    }
    return bid_encode(&b, sample_buf, v);
}

static enum err sample_prompt(bool most, struct bytes *v)
{
    struct prompt_msg m = { hash_number(8), most ? UINT64_MAX : 42, most ? PROMPT_TOKENS_MAX : 3 };
    for (uint32_t i = 0; i < m.count; i++)
        ids[i] = most ? UINT32_MAX : i * 100;
    return prompt_msg_encode(&m, ids, sample_buf, PROMPT_BYTES_MAX, v);
}

static enum err sample_chunk(bool most, struct bytes *v)
{
    struct chunk_msg m = { .terms = hash_number(9), .offset = most ? OUTPUT_TOKENS_MAX : 32, .count = most ? CHUNK_TOKENS_MAX : 2 };
    for (uint32_t i = 0; i < m.count; i++)
        m.tokens[i] = most ? UINT32_MAX : i + 7;
    return chunk_msg_encode(&m, sample_buf, CHUNK_BYTES_MAX, v);
}

static enum err sample_claim(bool most, struct bytes *v)
{
    struct claim_msg m = { .claim = filled(most ? CLAIM_BYTES_MAX : 40), .sig = sig_number(10), .has_digest = true, .digest = hash_number(11),
                           .last = most, .finish = FINISH_CANCELLED };
    return claim_msg_encode(&m, sample_buf, CLAIM_MSG_BYTES_MAX, v);
}

static enum err sample_receipt(bool most, struct bytes *v)
{
    struct receipt_msg m = { .body = filled(most ? RECEIPT_BODY_BYTES_MAX : 50), .sig = sig_number(12) };
    if (most) {
        m.note = bytes_of(filler, NOTE_BYTES_MAX);
        m.note_sig = sig_number(13);
    }
    return receipt_msg_encode(&m, sample_buf, RECEIPT_MSG_BYTES_MAX, v);
}

static enum err sample_settlement(enum message what, bool most, struct bytes *v)
{
    struct resync_msg r = { most ? UINT64_MAX - 1 : 3, most ? UINT64_MAX - 1 : 0, hash_number(14), most ? hash_number(15) : hash_number(0) };
    struct adopt_msg a = { SIDE_PROVIDER, filled(most ? RECEIPT_BODY_BYTES_MAX : 60), sig_number(16), sig_number(17), most };
    struct kept_msg k = { filled(most ? CLAIM_BYTES_MAX : 40), most, hash_number(18), sig_number(19), sig_number(20) };
    if (what == MESSAGE_resync_msg)
        return resync_msg_encode(&r, sample_buf, RESYNC_BYTES_MAX, v);
    if (what == MESSAGE_adopt_msg)
        return adopt_msg_encode(&a, sample_buf, ADOPT_BYTES_MAX, v);
    return kept_msg_encode(&k, sample_buf, KEPT_BYTES_MAX, v);
}

static enum err sample_small(enum message what, bool most, struct bytes *v)
{
    struct signed_msg s = { filled(most ? OFFER_BYTES_MAX : 30), sig_number(21) };
    struct decline d = { hash_number(22), DECLINE_CREDIT_REQUESTER, most ? UINT64_MAX : 20000, most ? UINT64_MAX : 38000 };
    struct terms_msg t = { filled(most ? TERMS_BYTES_MAX : 70), sig_number(23), { filler, most ? SEALED_BYTES_MAX : 100 } };
    struct ok_msg o = { hash_number(24), most ? OUTPUT_TOKENS_MAX : 3, sig_number(25) };
    struct cancel_msg c = { hash_number(26), CANCEL_SATISFIED };
    struct header_get_msg g = { hash_number(27), most ? HEADER_BYTES_MAX : HEADER_PART_BYTES };
    struct header_part_msg p = { hash_number(28), hash_number(29), most ? HEADER_BYTES_MAX - HEADER_PART_BYTES : 0, most ? HEADER_BYTES_MAX : 500,
                                 filled(most ? HEADER_PART_BYTES : 500) };
    if (what == MESSAGE_signed_msg)
        return signed_msg_encode(&s, sample_buf, v);
    if (what == MESSAGE_decline)
        return decline_encode(&d, sample_buf, v);
    if (what == MESSAGE_terms_msg)
        return terms_msg_encode(&t, sample_buf, TERMS_MSG_BYTES_MAX, v);
    if (what == MESSAGE_ok_msg)
        return ok_msg_encode(&o, sample_buf, HASH_SIG_BYTES_MAX, v);
    if (what == MESSAGE_cancel_msg)
        return cancel_msg_encode(&c, sample_buf, CANCEL_BYTES_MAX, v);
    if (what == MESSAGE_header_get)
        return header_get_encode(&g, sample_buf, HEADER_GET_BYTES_MAX, v);
    return header_part_encode(&p, sample_buf, HEADER_PART_MSG_BYTES_MAX, v);
}

struct bytes message_sample(enum message m, bool most)
{
    struct bytes v = { NULL, 0 };
    enum err e = m == MESSAGE_offer ? sample_offer(most, &v) : m == MESSAGE_bid ? sample_bid(most, &v)
               : m == MESSAGE_prompt_msg ? sample_prompt(most, &v) : m == MESSAGE_chunk_msg ? sample_chunk(most, &v)
               : m == MESSAGE_claim_msg ? sample_claim(most, &v) : m == MESSAGE_receipt_msg ? sample_receipt(most, &v)
               : m == MESSAGE_resync_msg || m == MESSAGE_adopt_msg || m == MESSAGE_kept_msg ? sample_settlement(m, most, &v)
               : sample_small(m, most, &v);
    ENSURE(e == OK);
    return v;
}

#define AGAIN(type, decode, encode)                                                                                    \
    {                                                                                                                  \
        struct type x;                                                                                                 \
        enum err e = decode(in, &x);                                                                                   \
        if (e)                                                                                                         \
            return e;                                                                                                  \
        ENSURE(encode(&x, again_buf, message_bytes_max(m), out) == OK);                                                \
        return OK;                                                                                                     \
    }

static enum err offer_encode_cap(const struct offer *o, uint8_t *buf, size_t cap, struct bytes *v) { (void)cap; return offer_encode(o, buf, v); }
static enum err bid_encode_cap(const struct bid *b, uint8_t *buf, size_t cap, struct bytes *v) { (void)cap; return bid_encode(b, buf, v); }
static enum err signed_encode_cap(const struct signed_msg *s, uint8_t *buf, size_t cap, struct bytes *v) { (void)cap; return signed_msg_encode(s, buf, v); }
static enum err decline_encode_cap(const struct decline *d, uint8_t *buf, size_t cap, struct bytes *v) { (void)cap; return decline_encode(d, buf, v); }
static enum err prompt_decode_ids(struct bytes in, struct prompt_msg *m) { return prompt_msg_decode(in, m, ids); }
static enum err prompt_encode_ids(const struct prompt_msg *m, uint8_t *buf, size_t cap, struct bytes *v) { return prompt_msg_encode(m, ids, buf, cap, v); }

enum err message_again(enum message m, struct bytes in, struct bytes *out)
{
    switch (m) {
    case MESSAGE_offer: AGAIN(offer, offer_decode, offer_encode_cap)
    case MESSAGE_bid: AGAIN(bid, bid_decode, bid_encode_cap)
    case MESSAGE_signed_msg: AGAIN(signed_msg, signed_msg_decode, signed_encode_cap)
    case MESSAGE_decline: AGAIN(decline, decline_decode, decline_encode_cap)
    case MESSAGE_terms_msg: AGAIN(terms_msg, terms_msg_decode, terms_msg_encode)
    case MESSAGE_prompt_msg: AGAIN(prompt_msg, prompt_decode_ids, prompt_encode_ids)
    case MESSAGE_ok_msg: AGAIN(ok_msg, ok_msg_decode, ok_msg_encode)
    case MESSAGE_chunk_msg: AGAIN(chunk_msg, chunk_msg_decode, chunk_msg_encode)
    case MESSAGE_claim_msg: AGAIN(claim_msg, claim_msg_decode, claim_msg_encode)
    case MESSAGE_receipt_msg: AGAIN(receipt_msg, receipt_msg_decode, receipt_msg_encode)
    case MESSAGE_cancel_msg: AGAIN(cancel_msg, cancel_msg_decode, cancel_msg_encode)
    case MESSAGE_resync_msg: AGAIN(resync_msg, resync_msg_decode, resync_msg_encode)
    case MESSAGE_adopt_msg: AGAIN(adopt_msg, adopt_msg_decode, adopt_msg_encode)
    case MESSAGE_kept_msg: AGAIN(kept_msg, kept_msg_decode, kept_msg_encode)
    case MESSAGE_header_get: AGAIN(header_get_msg, header_get_decode, header_get_encode)
    case MESSAGE_header_part: AGAIN(header_part_msg, header_part_decode, header_part_encode)
    case MESSAGE_COUNT: break;
    }
    return ERR_ARG;
}
