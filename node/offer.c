/* offer.c - offers, bids and refusals as canonical bytes, and the one rule for who meets a request's limits. */
#include "node/offer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OFFER_FIELDS = 17, BID_FIELDS = 13, DECLINE_FIELDS = 4, SIGNED_FIELDS = 2 };

/* ---- offer ---- */

static uint32_t jurisdiction_count(const struct request_limits *l)
{
    uint32_t n = 0;
    while (n < JURISDICTIONS_MAX && l->jurisdictions[n][0] != 0)
        n++;
    return n;
}

static bool is_country(const char c[2])
{
    return c[0] >= 'A' && c[0] <= 'Z' && c[1] >= 'A' && c[1] <= 'Z';
}

static bool are_countries(const struct request_limits *l)
{
    for (uint32_t i = 0; i < jurisdiction_count(l); i++)
        if (!is_country(l->jurisdictions[i]))
            return false;
    return true;
}

enum err limits_settle(struct request_limits *l)
{
    if (l->price_input_max > PRICE_MAX)
        l->price_input_max = 0;
    if (l->price_output_max > PRICE_MAX)
        l->price_output_max = 0;
    return are_countries(l) ? OK : ERR_ARG;
}

/* What the reader's bounds say, for the writer: whoever sends what others refuse is charged with it. */
static bool is_offer_sane(const struct offer *o)
{
    const struct request_limits *l = &o->limits;
    bool counts = o->prompt_count >= 1 && o->prompt_count <= PROMPT_TOKENS_MAX && o->cached_hint <= o->prompt_count && o->output_max >= 1 &&
                  o->output_max <= OUTPUT_TOKENS_MAX;
    bool prices = l->price_input_max <= PRICE_MAX && l->price_output_max <= PRICE_MAX;
    return counts && prices && are_countries(l) && (unsigned)o->class <= CLASS_BATCH && o->ttl_ms <= GOSSIP_AGE_MS_MAX;
}

enum err offer_encode(const struct offer *o, uint8_t out[OFFER_BYTES_MAX], struct bytes *view)
{
    const struct request_limits *l = &o->limits;
    if (!is_offer_sane(o))
        return ERR_ARG;
    struct writer w;
    writer_init(&w, out, OFFER_BYTES_MAX);
    write_array(&w, OFFER_FIELDS);
    write_uint(&w, OFFER_VERSION);
    write_bin(&w, bytes_of(o->id, sizeof o->id));
    write_hash(&w, &o->model);
    write_pubkey(&w, &o->requester);
    write_hash(&w, &o->commitment);
    write_uint(&w, o->prompt_count);
    write_uint(&w, o->cached_hint);
    write_uint(&w, o->output_max);
    write_uint(&w, o->class);
    write_uint(&w, l->price_input_max);
    write_uint(&w, l->price_output_max);
    write_uint(&w, l->first_token_ms_max);
    write_bin(&w, bytes_of(l->jurisdictions, 2 * (size_t)jurisdiction_count(l)));
    write_uint(&w, l->tiers);
    write_uint(&w, l->energy_mj_per_1k_max);
    write_bin(&w, bytes_of(l->owner.b, l->has_owner ? sizeof l->owner.b : 0));
    write_uint(&w, o->ttl_ms);
    return writer_finish(&w, view);
}

static enum err read_jurisdictions(struct reader *r, struct request_limits *l)
{
    struct bytes b = read_bin(r, 0, 2 * JURISDICTIONS_MAX);
    if (b.len % 2 != 0)
        return ERR_ENCODING;
    for (size_t i = 0; i < b.len / 2; i++) {
        memcpy(l->jurisdictions[i], b.data + 2 * i, 2);
        if (!is_country(l->jurisdictions[i]))
            return ERR_ENCODING;
    }
    return OK;
}

static enum err read_owner(struct reader *r, struct request_limits *l)
{
    struct bytes b = read_bin(r, 0, PUBKEY_BYTES);
    if (b.len != 0 && b.len != PUBKEY_BYTES)
        return ERR_ENCODING;
    l->has_owner = b.len != 0;
    if (l->has_owner)
        memcpy(l->owner.b, b.data, PUBKEY_BYTES);
    return OK;
}

static enum err read_limits(struct reader *r, struct request_limits *l)
{
    l->price_input_max = read_uint(r, PRICE_MAX);
    l->price_output_max = read_uint(r, PRICE_MAX);
    l->first_token_ms_max = (uint32_t)read_uint(r, UINT32_MAX);
    enum err e = read_jurisdictions(r, l);
    if (e)
        return e;
    l->tiers = (uint8_t)read_uint(r, UINT8_MAX);
    l->energy_mj_per_1k_max = (uint32_t)read_uint(r, UINT32_MAX);
    return read_owner(r, l);
}

enum err offer_decode(struct bytes body, struct offer *out)
{
    struct reader r;
    struct offer o = { .prompt_count = 0 };
    reader_init(&r, body);
    read_array(&r, OFFER_FIELDS);
    if (read_uint(&r, UINT32_MAX) != OFFER_VERSION && reader_ok(&r))
        return ERR_VERSION;
    struct bytes id = read_bin(&r, OFFER_ID_BYTES, OFFER_ID_BYTES);
    if (id.len == OFFER_ID_BYTES)
        memcpy(o.id, id.data, OFFER_ID_BYTES);
    read_hash(&r, &o.model);
    read_pubkey(&r, &o.requester);
    read_hash(&r, &o.commitment);
    o.prompt_count = (uint32_t)read_uint(&r, PROMPT_TOKENS_MAX);
    o.cached_hint = (uint32_t)read_uint(&r, PROMPT_TOKENS_MAX);
    o.output_max = (uint32_t)read_uint(&r, OUTPUT_TOKENS_MAX);
    o.class = (enum latency_class)read_uint(&r, CLASS_BATCH);
    enum err limits = read_limits(&r, &o.limits);
    o.ttl_ms = (uint32_t)read_uint(&r, GOSSIP_AGE_MS_MAX);
    enum err e = reader_finish(&r);
    if (e || limits)
        return e ? e : limits;
    if (o.prompt_count == 0 || o.output_max == 0 || o.cached_hint > o.prompt_count)
        return ERR_ARG;
    *out = o;
    return OK;
}

struct hash offer_hash(struct bytes body) { return hash_of("offer", body); }

/* ---- bid ---- */

static void write_country(struct writer *w, const char c[2]) { write_bin(w, bytes_of(c, c[0] ? 2 : 0)); }

enum { TIER_LAST = 2 };

static bool is_bid_sane(const struct bid *b)
{
    bool prices = b->price_input <= PRICE_MAX && b->price_cached <= PRICE_MAX && b->price_output <= PRICE_MAX;
    bool country = b->jurisdiction[0] == 0 || is_country(b->jurisdiction);
    return prices && country && b->reservation_ms <= GOSSIP_AGE_MS_MAX && b->tier <= TIER_LAST;
}

static enum err read_country(struct reader *r, char out[2])
{
    struct bytes b = read_bin(r, 0, 2);
    if (b.len == 0)
        return OK;
    if (b.len != 2 || !is_country((const char *)b.data))
        return ERR_ENCODING;
    memcpy(out, b.data, 2);
    return OK;
}

enum err bid_encode(const struct bid *b, uint8_t out[BID_BYTES_MAX], struct bytes *view)
{
    struct writer w;
    if (!is_bid_sane(b))
        return ERR_ARG;
    writer_init(&w, out, BID_BYTES_MAX);
    write_array(&w, BID_FIELDS);
    write_uint(&w, BID_VERSION);
    write_hash(&w, &b->offer);
    write_pubkey(&w, &b->provider);
    write_uint(&w, b->price_input);
    write_uint(&w, b->price_cached);
    write_uint(&w, b->price_output);
    write_uint(&w, b->first_token_ms);
    write_bin(&w, bytes_of(b->one_time.b, sizeof b->one_time.b));
    write_uint(&w, b->reservation_ms);
    write_country(&w, b->jurisdiction);
    write_uint(&w, b->tier);
    write_uint(&w, b->energy_mj_per_1k);
    write_uint(&w, b->slots_free);
    return writer_finish(&w, view);
}

enum err bid_decode(struct bytes body, struct bid *out)
{
    struct reader r;
    struct bid b = { .tier = 0 };
    reader_init(&r, body);
    read_array(&r, BID_FIELDS);
    if (read_uint(&r, UINT32_MAX) != BID_VERSION && reader_ok(&r))
        return ERR_VERSION;
    read_hash(&r, &b.offer);
    read_pubkey(&r, &b.provider);
    b.price_input = read_uint(&r, PRICE_MAX);
    b.price_cached = read_uint(&r, PRICE_MAX);
    b.price_output = read_uint(&r, PRICE_MAX);
    b.first_token_ms = (uint32_t)read_uint(&r, UINT32_MAX);
    struct bytes key = read_bin(&r, SEAL_KEY_BYTES, SEAL_KEY_BYTES);
    if (key.len == SEAL_KEY_BYTES)
        memcpy(b.one_time.b, key.data, SEAL_KEY_BYTES);
    b.reservation_ms = (uint32_t)read_uint(&r, GOSSIP_AGE_MS_MAX);
    enum err country = read_country(&r, b.jurisdiction);
    b.tier = (uint8_t)read_uint(&r, TIER_LAST);
    b.energy_mj_per_1k = (uint32_t)read_uint(&r, UINT32_MAX);
    b.slots_free = (uint32_t)read_uint(&r, UINT32_MAX);
    enum err e = reader_finish(&r);
    if (e || country)
        return e ? e : country;
    *out = b;
    return OK;
}

/* ---- body and signature ---- */

enum err signed_msg_encode(const struct signed_msg *m, uint8_t out[SIGNED_BYTES_MAX], struct bytes *view)
{
    struct writer w;
    writer_init(&w, out, SIGNED_BYTES_MAX);
    write_array(&w, SIGNED_FIELDS);
    write_bin(&w, m->body);
    write_sig(&w, &m->sig);
    return writer_finish(&w, view);
}

enum err signed_msg_decode(struct bytes message, struct signed_msg *out)
{
    struct reader r;
    struct signed_msg m;
    reader_init(&r, message);
    read_array(&r, SIGNED_FIELDS);
    m.body = read_bin(&r, 1, OFFER_BYTES_MAX);
    read_sig(&r, &m.sig);
    enum err e = reader_finish(&r);
    if (e == OK)
        *out = m;
    return e;
}

/* ---- decline ---- */

static const struct {
    enum err err;
    enum reason reason;
    const char *text;
} declines[] = {
#define X(name, err, reason, text) { err, reason, text },
    DECLINE_TABLE(X)
#undef X
};
_Static_assert(ARRAY_COUNT(declines) == DECLINE_COUNT, "one row per reason");

enum err decline_err(enum decline_reason r) { return (unsigned)r < DECLINE_COUNT ? declines[r].err : ERR_UNAVAILABLE; }
enum reason decline_book_reason(enum decline_reason r) { return (unsigned)r < DECLINE_COUNT ? declines[r].reason : REASON_TERMS; }
const char *decline_text(enum decline_reason r)
{
    return (unsigned)r < DECLINE_COUNT ? declines[r].text : "for a reason this version does not know";
}

static unsigned decline_decimals(enum decline_reason r)
{
    if (r == DECLINE_CREDIT_REQUESTER || r == DECLINE_CREDIT_NEWCOMERS || r == DECLINE_BUDGET)
        return 12;
    return r == DECLINE_PRICE_INPUT || r == DECLINE_PRICE_OUTPUT ? 6 : 0;
}

void decline_amount(enum decline_reason r, uint64_t v, char out[AMOUNT_CHARS_MAX + 1])
{
    unsigned decimals = decline_decimals(r);
    uint64_t one = 1;
    for (unsigned i = 0; i < decimals; i++)
        one *= 10;
    int len = snprintf(out, AMOUNT_CHARS_MAX + 1, "%" PRIu64, v / one);
    if (v % one == 0)
        return;
    len += snprintf(out + len, AMOUNT_CHARS_MAX + 1 - (size_t)len, ".%0*" PRIu64, (int)decimals, v % one);
    while (out[len - 1] == '0')
        out[--len] = 0;
}

const char *decline_unit(enum decline_reason r)
{
    switch (r) {
    case DECLINE_CREDIT_REQUESTER:
    case DECLINE_CREDIT_NEWCOMERS:
    case DECLINE_BUDGET:
        return "credits";
    case DECLINE_PRICE_INPUT:
    case DECLINE_PRICE_OUTPUT:
        return "credits per million tokens";
    case DECLINE_CONTEXT:
        return "tokens";
    case DECLINE_FIRST_TOKEN:
        return "ms";
    case DECLINE_CAPACITY:
        return "slots";
    case DECLINE_ENERGY:
        return "mJ per 1000 tokens";
    case DECLINE_NONE:
    case DECLINE_MODEL:
    case DECLINE_DRAINING:
    case DECLINE_JURISDICTION:
    case DECLINE_TIER:
    case DECLINE_OWNER:
    case DECLINE_EXPIRED:
    case DECLINE_TERMS:
    case DECLINE_SEALED:
    case DECLINE_CHANNEL:
    case DECLINE_RATE:
    case DECLINE_CANCELLED:
    case DECLINE_FAILED:
    case DECLINE_UNPAID:
    case DECLINE_COUNT:
        break;
    }
    return "";
}

enum err decline_encode(const struct decline *d, uint8_t out[DECLINE_BYTES_MAX], struct bytes *view)
{
    struct writer w;
    if (d->reason == DECLINE_NONE || (unsigned)d->reason >= DECLINE_COUNT)
        return ERR_ARG;
    writer_init(&w, out, DECLINE_BYTES_MAX);
    write_array(&w, DECLINE_FIELDS);
    write_hash(&w, &d->subject);
    write_uint(&w, d->reason);
    write_uint(&w, d->limit);
    write_uint(&w, d->have);
    return writer_finish(&w, view);
}

enum err decline_decode(struct bytes body, struct decline *out)
{
    struct reader r;
    struct decline d = { .reason = DECLINE_NONE };
    reader_init(&r, body);
    read_array(&r, DECLINE_FIELDS);
    read_hash(&r, &d.subject);
    d.reason = (enum decline_reason)read_uint(&r, DECLINE_COUNT - 1);
    d.limit = read_uint(&r, UINT64_MAX);
    d.have = read_uint(&r, UINT64_MAX);
    enum err e = reader_finish(&r);
    if (e)
        return e;
    if (d.reason == DECLINE_NONE)
        return ERR_ARG;
    *out = d;
    return OK;
}

/* ---- limits ---- */

static bool jurisdiction_allowed(const struct request_limits *l, const char c[2])
{
    uint32_t n = jurisdiction_count(l);
    for (uint32_t i = 0; i < n; i++)
        if (memcmp(l->jurisdictions[i], c, 2) == 0)
            return true;
    return n == 0;
}

enum decline_reason limits_check(const struct request_limits *l, const struct placement *p, uint64_t *out_have, uint64_t *out_limit)
{
    *out_have = *out_limit = 0;
    if (l->price_input_max && p->price_input > l->price_input_max) {
        *out_have = p->price_input;
        *out_limit = l->price_input_max;
        return DECLINE_PRICE_INPUT;
    }
    if (l->price_output_max && p->price_output > l->price_output_max) {
        *out_have = p->price_output;
        *out_limit = l->price_output_max;
        return DECLINE_PRICE_OUTPUT;
    }
    if (!jurisdiction_allowed(l, p->jurisdiction))
        return DECLINE_JURISDICTION;
    if (l->tiers && !(l->tiers >> p->tier & 1))
        return DECLINE_TIER;
    if (l->energy_mj_per_1k_max && (p->energy_mj_per_1k == 0 || p->energy_mj_per_1k > l->energy_mj_per_1k_max)) {
        *out_have = p->energy_mj_per_1k;
        *out_limit = l->energy_mj_per_1k_max;
        return DECLINE_ENERGY;
    }
    if (l->has_owner && (!p->owner || !pubkey_equal(p->owner, &l->owner)))
        return DECLINE_OWNER;
    return DECLINE_NONE;
}
