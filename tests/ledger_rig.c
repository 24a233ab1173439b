/* ledger_rig.c - two honest parties without a network: each step is a direct call into the other side's ledger. */
#include "tests/ledger_rig.h"

#include <string.h>

const struct credit_limits rig_limits = { { UINT64_C(1) << 62 }, { UINT64_C(1) << 62 } };
const struct wall rig_now = { UINT64_C(1800000000000) };

void party_init(struct party *p, uint8_t seed)
{
    struct key_seed s;
    memset(s.b, seed, sizeof s.b);
    *p = (struct party){ .net = net_id_of("rig") };
    ENSURE(crypto_start() == OK);
    key_from_seed(&s, &p->key, &p->self);
}

enum err party_open(struct party *p)
{
    if (!p->store) {
        enum err e = store_mem_open(0, &p->mem);
        if (e != OK)
            return e;
        p->store = store_mem_store(p->mem);
    }
    enum err e = ledger_open(&p->ledger, p->store, &p->key, &p->self, &p->net, rig_now, &p->recovery);
    return e == OK ? store_commit(p->store) : e;
}

enum err party_crash(struct party *p)
{
    store_mem_crash(p->mem);
    return party_open(p);
}

void party_fini(struct party *p)
{
    if (p->store)
        store_close(p->store);
    key_fini(&p->key);
    *p = (struct party){ 0 };
}

void rig_job_init(struct rig_job *j, const struct party *requester, const struct party *provider, uint64_t n)
{
    *j = (struct rig_job){ .seed = 1000 + n };
    j->nonce = hash_of("rig nonce", bytes_of(&n, sizeof n));
    for (size_t i = 0; i < ARRAY_COUNT(j->prompt); i++)
        j->prompt[i] = (uint32_t)(n * 17 + i);
    j->terms = (struct terms){
        .net = requester->net, .requester = requester->self, .provider = provider->self,
        .model = hash_of("rig model", bytes_text("m")), .numerics = 1,
        .prompt = terms_prompt_commitment(&j->nonce, j->prompt, ARRAY_COUNT(j->prompt)),
        .seed = terms_seed_commitment(&j->nonce, j->seed),
        .tokens_in = 6, .tokens_cached = 2,
        .sampling = { .temperature_micro = 800000, .top_k = 40, .top_p_micro = 950000 },
        .output_max = RIG_OUTPUT_MAX, .stop_count = 2, .stop = { 2, 7 },
        .prices = { 250000, 25000, 1000000 }, .budget = { UINT64_C(1000000000) },
        .claim_tokens = CLAIM_TOKENS, .window_tokens = WINDOW_TOKENS,
        .offer = hash_of("rig offer", bytes_of(&n, sizeof n)), .bid = hash_of("rig bid", bytes_of(&n, sizeof n)),
        .validity_ms = 2000, .stated_s = 1800000000,
    };
    for (size_t i = 0; i < sizeof n; i++)
        j->terms.job.b[i] = (uint8_t)(n >> (8 * i));
}

enum err rig_job_begin(struct rig_job *j, struct party *requester, struct party *provider)
{
    struct signed_body offer;
    struct sig provider_sig;
    struct hash hash;
    enum credit_limit limit;
    enum err e = ledger_terms_sign(&requester->ledger, &j->terms, "rig", rig_now, &offer, &j->hash);
    if (e == OK)
        e = ledger_terms_accept(&provider->ledger, signed_body_view(&offer), &offer.sig, "rig", &rig_limits, rig_now, &limit,
                                &provider_sig, &hash);
    if (e == OK)
        e = ledger_terms_countersigned(&requester->ledger, &hash, &provider_sig);
    token_chain_init(&j->tokens, &j->hash);
    digest_chain_init(&j->digests, &j->hash);
    digester_init(&j->digester, &provider->self, &j->nonce);
    return e;
}

void rig_job_token(struct rig_job *j)
{
    ENSURE(j->output_count < RIG_OUTPUT_MAX);
    uint64_t at = j->seed * 1000 + j->output_count;
    struct hash head = hash_of("head", bytes_of(&at, sizeof at));
    j->output[j->output_count] = (uint32_t)(head.b[0] << 8 | head.b[1]);
    j->heads[j->output_count] = head;
    token_chain_add(&j->tokens, j->output[j->output_count++]);
    j->has_digest = digester_add(&j->digester, &head, &j->digest);
    if (j->has_digest)
        digest_chain_add(&j->digests, &j->digest);
}

bool rig_job_claim(struct rig_job *j, bool last)
{
    if (last && digester_end(&j->digester, &j->digest)) {
        digest_chain_add(&j->digests, &j->digest);
        j->has_digest = true;
    }
    return claim_make(&j->terms, &j->hash, &j->tokens, &j->digests, &j->claim) == OK;
}

struct sig rig_claim_sig(const struct rig_job *j, const struct party *provider)
{
    struct sig s;
    claim_sign(&provider->key, SIDE_PROVIDER, &provider->net, &j->claim, &s);
    return s;
}

enum err rig_job_exchange_claim(struct rig_job *j, struct party *requester, struct party *provider)
{
    struct sig provider_sig = rig_claim_sig(j, provider), requester_sig;
    const struct hash *digest = j->claim.index > 0 ? &j->digest : NULL;
    enum err e = ledger_claim_cosign(&requester->ledger, &j->claim, digest, &provider_sig, &requester_sig);
    return e == OK ? ledger_claim_acked(&provider->ledger, &j->claim, digest, &requester_sig) : e;
}

enum err rig_job_generate(struct rig_job *j, struct party *requester, struct party *provider, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rig_job_token(j);
        bool last = i + 1 == count;
        if (!j->has_digest && !last)
            continue;
        if (!rig_job_claim(j, last))
            return ERR_STATE;
        enum err e = rig_job_exchange_claim(j, requester, provider);
        if (e != OK)
            return e;
    }
    return OK;
}

enum err rig_job_close(struct rig_job *j, struct party *requester, struct party *provider, struct hash *out_receipt)
{
    struct signed_body half;
    struct hash terms;
    struct sig sig;
    enum err e = ledger_job_end(&requester->ledger, &j->hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_SATISFIED, rig_now);
    if (e == OK)
        e = ledger_job_end(&provider->ledger, &j->hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_SATISFIED, rig_now);
    if (e == OK)
        e = ledger_receipt_propose(&provider->ledger, &requester->self, &half, &terms);
    if (e == OK)
        e = store_commit(provider->store);
    if (e == OK)
        e = ledger_receipt_cosign(&requester->ledger, signed_body_view(&half), &half.sig, rig_now, &sig, out_receipt);
    if (e == OK)
        e = store_commit(requester->store);
    if (e == OK)
        e = ledger_receipt_complete(&provider->ledger, &requester->self, out_receipt, &sig, rig_now);
    return e == OK ? store_commit(provider->store) : e;
}

enum err rig_job_whole(struct rig_job *j, struct party *requester, struct party *provider, uint64_t n, size_t tokens,
                       struct hash *out_receipt)
{
    rig_job_init(j, requester, provider, n);
    enum err e = rig_job_begin(j, requester, provider);
    if (e == OK)
        e = rig_job_generate(j, requester, provider, tokens);
    return e == OK ? rig_job_close(j, requester, provider, out_receipt) : e;
}

void rig_job_opening(const struct rig_job *j, struct opening *out)
{
    *out = (struct opening){ j->nonce, j->seed, j->prompt, ARRAY_COUNT(j->prompt), j->output, j->output_count };
}
