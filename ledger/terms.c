/* terms.c - one job's agreement as bytes: what may stand in it, its hash, its signatures, its commitments. */
#include "ledger/terms.h"

enum { TERMS_FIELDS = 28 };

static bool is_sampling_sane(const struct sampling *s)
{
    bool temperature = s->temperature_micro == 0 || (s->temperature_micro >= TEMPERATURE_MICRO_MIN &&
                                                     s->temperature_micro <= TEMPERATURE_MICRO_MAX);
    return temperature && s->top_p_micro >= 1 && s->top_p_micro <= TOP_P_MICRO_MAX;
}

/* 32-bit counts keep tokens x price sums far from wrapping by count alone; no context is anywhere near. */
static bool is_prefill_sane(const struct terms *t)
{
    if (t->tokens_in > UINT32_MAX || t->tokens_cached > UINT32_MAX || t->tokens_in + t->tokens_cached == 0)
        return false;
    return t->output_offset < t->tokens_in + t->tokens_cached && (t->output_offset == 0) == hash_is_zero(&t->parent);
}

static bool is_window_sane(const struct terms *t)
{
    return t->claim_tokens == CLAIM_TOKENS && t->window_tokens >= CLAIM_TOKENS && t->window_tokens % CLAIM_TOKENS == 0 &&
           t->window_tokens <= OUTPUT_TOKENS_MAX;
}

static enum err cost_max(const struct terms *t, struct pico *out)
{
    struct tokens all = { t->tokens_in, t->tokens_cached, t->output_max };
    return amount_cost(&all, &t->prices, out);
}

enum err terms_check(const struct terms *t)
{
    if (pubkey_equal(&t->requester, &t->provider))
        return ERR_KEY;
    if (t->numerics == 0 || t->output_max == 0 || t->output_max > OUTPUT_TOKENS_MAX || t->stop_count > STOP_IDS_MAX)
        return ERR_ARG;
    if (!is_sampling_sane(&t->sampling) || !is_prefill_sane(t) || !is_window_sane(t))
        return ERR_ARG;
    if (t->validity_ms == 0 || t->validity_ms > TERMS_VALIDITY_MS_MAX)
        return ERR_ARG;
    struct pico cost;
    enum err e = cost_max(t, &cost);
    if (e != OK)
        return e;
    return cost.v <= t->budget.v ? OK : ERR_PRICE;
}

struct pico terms_cost_max(const struct terms *t)
{
    struct pico cost = { 0 };
    enum err e = cost_max(t, &cost);
    ENSURE(e == OK);
    return cost;
}

const struct pubkey *terms_key_of(const struct terms *t, enum side side)
{
    ENSURE(side != SIDE_NONE);
    return side == SIDE_REQUESTER ? &t->requester : &t->provider;
}

static void write_stops(struct writer *w, const struct terms *t)
{
    write_array(w, t->stop_count);
    for (uint32_t i = 0; i < t->stop_count; i++)
        write_uint(w, t->stop[i]);
}

enum err terms_encode(const struct terms *t, uint8_t buf[TERMS_BYTES_MAX], struct bytes *out_body)
{
    enum err e = terms_check(t);
    if (e != OK)
        return e;
    struct writer w;
    writer_init(&w, buf, TERMS_BYTES_MAX);
    write_array(&w, TERMS_FIELDS);
    write_uint(&w, TERMS_VERSION);
    write_bin(&w, bytes_of(t->net.b, sizeof t->net.b));
    write_bin(&w, bytes_of(t->job.b, sizeof t->job.b));
    write_pubkey(&w, &t->requester);
    write_pubkey(&w, &t->provider);
    write_hash(&w, &t->model);
    write_uint(&w, t->numerics);
    write_hash(&w, &t->prompt);
    write_hash(&w, &t->seed);
    write_uint(&w, t->tokens_in);
    write_uint(&w, t->tokens_cached);
    write_uint(&w, t->sampling.temperature_micro);
    write_uint(&w, t->sampling.top_k);
    write_uint(&w, t->sampling.top_p_micro);
    write_uint(&w, t->output_max);
    write_stops(&w, t);
    write_uint(&w, t->prices.in);
    write_uint(&w, t->prices.cached);
    write_uint(&w, t->prices.out);
    write_uint(&w, t->budget.v);
    write_uint(&w, t->claim_tokens);
    write_uint(&w, t->window_tokens);
    write_uint(&w, t->output_offset);
    write_hash(&w, &t->parent);
    write_hash(&w, &t->offer);
    write_hash(&w, &t->bid);
    write_uint(&w, t->validity_ms);
    write_uint(&w, t->stated_s);
    return writer_finish(&w, out_body);
}

static void read_fixed_bin(struct reader *r, uint8_t *out, size_t len)
{
    struct bytes b = read_bin(r, len, len);
    for (size_t i = 0; i < b.len; i++)
        out[i] = b.data[i];
}

static uint32_t read_u32(struct reader *r) { return (uint32_t)read_uint(r, UINT32_MAX); }

static void read_stops(struct reader *r, struct terms *t)
{
    t->stop_count = read_array_max(r, STOP_IDS_MAX);
    for (uint32_t i = 0; i < t->stop_count; i++)
        t->stop[i] = read_u32(r);
}

enum err terms_decode(struct bytes body, struct terms *out)
{
    if (body.len > TERMS_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct terms t = { 0 };
    struct reader r;
    reader_init(&r, body);
    read_array(&r, TERMS_FIELDS);
    uint64_t version = read_uint(&r, UINT64_MAX);
    read_fixed_bin(&r, t.net.b, sizeof t.net.b);
    read_fixed_bin(&r, t.job.b, sizeof t.job.b);
    read_pubkey(&r, &t.requester);
    read_pubkey(&r, &t.provider);
    read_hash(&r, &t.model);
    t.numerics = read_u32(&r);
    read_hash(&r, &t.prompt);
    read_hash(&r, &t.seed);
    t.tokens_in = read_uint(&r, UINT64_MAX);
    t.tokens_cached = read_uint(&r, UINT64_MAX);
    t.sampling.temperature_micro = read_u32(&r);
    t.sampling.top_k = read_u32(&r);
    t.sampling.top_p_micro = read_u32(&r);
    t.output_max = read_u32(&r);
    read_stops(&r, &t);
    t.prices.in = read_uint(&r, UINT64_MAX);
    t.prices.cached = read_uint(&r, UINT64_MAX);
    t.prices.out = read_uint(&r, UINT64_MAX);
    t.budget.v = read_uint(&r, UINT64_MAX);
    t.claim_tokens = read_u32(&r);
    t.window_tokens = read_u32(&r);
    t.output_offset = read_uint(&r, UINT64_MAX);
    read_hash(&r, &t.parent);
    read_hash(&r, &t.offer);
    read_hash(&r, &t.bid);
    t.validity_ms = read_uint(&r, UINT64_MAX);
    t.stated_s = read_uint(&r, UINT64_MAX);
    enum err e = reader_finish(&r);
    if (e == OK && version != TERMS_VERSION)
        e = ERR_VERSION;
    if (e == OK)
        e = terms_check(&t);
    if (e == OK)
        *out = t;
    return e;
}

struct hash terms_hash(struct bytes body) { return hash_of("terms", body); }

static const char *purpose(enum side side)
{
    ENSURE(side != SIDE_NONE);
    return side == SIDE_REQUESTER ? PURPOSE_TERMS_REQUESTER : PURPOSE_TERMS_PROVIDER;
}

void terms_sign(const struct secret_key *k, enum side as, const struct net_id *net, struct bytes body, struct sig *out)
{
    key_sign(k, purpose(as), net, body, out);
}

enum err terms_verify(const struct terms *t, enum side by, struct bytes body, const struct sig *s)
{
    return key_verify(terms_key_of(t, by), purpose(by), &t->net, body, s);
}

struct hash terms_prompt_commitment(const struct hash *nonce, const uint32_t *ids, size_t count)
{
    struct hasher h;
    hasher_init(&h, "prompt");
    hasher_add_hash(&h, nonce);
    for (size_t i = 0; i < count; i++) {
        uint8_t le[4] = { (uint8_t)ids[i], (uint8_t)(ids[i] >> 8), (uint8_t)(ids[i] >> 16), (uint8_t)(ids[i] >> 24) };
        hasher_add(&h, bytes_of(le, sizeof le));
    }
    struct hash out;
    hasher_finish(&h, &out);
    return out;
}

struct hash terms_seed_commitment(const struct hash *nonce, uint64_t seed)
{
    struct hasher h;
    hasher_init(&h, "seed");
    hasher_add_hash(&h, nonce);
    hasher_add_u64(&h, seed);
    struct hash out;
    hasher_finish(&h, &out);
    return out;
}
