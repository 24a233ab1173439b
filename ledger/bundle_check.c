/* bundle_check.c - what a stranger can know from a bundle alone: every check, each with its name and sentence.
 *
 * The order is from the ground up, terms first: a check whose ground is missing stays ABSENT, so a report names what is wrong
 * and not what follows from it.
 */
#include "ledger/bundle.h"

const char *bundle_check_label(enum bundle_check_id id)
{
    static const char *const labels[] = {
#define X(name, label, sentence) label,
        BUNDLE_CHECKS(X)
#undef X
    };
    return (unsigned)id < BUNDLE_CHECK_COUNT ? labels[id] : "unknown check";
}

const char *bundle_check_sentence(enum bundle_check_id id)
{
    static const char *const sentences[] = {
#define X(name, label, sentence) sentence,
        BUNDLE_CHECKS(X)
#undef X
    };
    return (unsigned)id < BUNDLE_CHECK_COUNT ? sentences[id] : "Unknown check.";
}

/* Notes the result; true if it passed. */
static bool judge(struct bundle_report *r, enum bundle_check_id id, enum err e)
{
    r->result[id] = e == OK ? CHECK_PASSED : CHECK_FAILED;
    r->error[id] = e;
    return e == OK;
}

static void check_cert(struct bundle_report *r, enum bundle_check_id id, bool has, const struct cert *c,
                       const struct net_id *net, const struct pubkey *node, struct wall now)
{
    if (has)
        (void)judge(r, id, cert_verify(c, net, node, now));
}

static bool check_terms(const struct bundle *b, const struct net_id *net, struct wall now, struct bundle_report *r)
{
    if (!judge(r, BUNDLE_TERMS_FORM, terms_decode(b->terms.body, &r->terms)))
        return false;
    r->terms_hash = terms_hash(b->terms.body);
    (void)judge(r, BUNDLE_TERMS_NETWORK, net_id_equal(&r->terms.net, net) ? OK : ERR_NETWORK);
    (void)judge(r, BUNDLE_TERMS_REQUESTER, terms_verify(&r->terms, SIDE_REQUESTER, b->terms.body, &b->terms.requester_sig));
    (void)judge(r, BUNDLE_TERMS_PROVIDER, terms_verify(&r->terms, SIDE_PROVIDER, b->terms.body, &b->terms.provider_sig));
    check_cert(r, BUNDLE_CERT_REQUESTER, b->has_requester_cert, &b->requester_cert, net, &r->terms.requester, now);
    check_cert(r, BUNDLE_CERT_PROVIDER, b->has_provider_cert, &b->provider_cert, net, &r->terms.provider, now);
    return true;
}

static void check_claim(const struct bundle *b, struct bundle_report *r)
{
    if (b->claim.body.len == 0 || !judge(r, BUNDLE_CLAIM_FORM, claim_decode(b->claim.body, &r->claim)))
        return;
    (void)judge(r, BUNDLE_CLAIM_ARITHMETIC, claim_check(&r->claim, &r->terms, &r->terms_hash));
    (void)judge(r, BUNDLE_CLAIM_PROVIDER, claim_verify(&r->claim, &r->terms, SIDE_PROVIDER, &b->claim.provider_sig));
    (void)judge(r, BUNDLE_CLAIM_REQUESTER, claim_verify(&r->claim, &r->terms, SIDE_REQUESTER, &b->claim.requester_sig));
}

/* What one receipt can show of its channel: the first must start from nothing, later ones cannot owe less than the job. */
static enum err total_alone(const struct receipt *r)
{
    return r->seq == 1 ? receipt_check_link(r, NULL, NULL) : OK;      /* the rest is part of the form */
}

static void check_receipt(const struct bundle *b, struct bundle_report *r)
{
    if (b->receipt.body.len == 0 || !judge(r, BUNDLE_RECEIPT_FORM, receipt_decode(b->receipt.body, &r->receipt)))
        return;
    r->receipt_id = receipt_id(b->receipt.body);
    const struct claim *claim = r->result[BUNDLE_CLAIM_FORM] == CHECK_PASSED ? &r->claim : NULL;
    (void)judge(r, BUNDLE_RECEIPT_TERMS, receipt_check(&r->receipt, &r->terms, &r->terms_hash, claim));
    (void)judge(r, BUNDLE_RECEIPT_TOTAL, total_alone(&r->receipt));
    (void)judge(r, BUNDLE_RECEIPT_PROVIDER,
                receipt_verify(&r->receipt, &r->terms.provider, SIDE_PROVIDER, b->receipt.body, &b->receipt.provider_sig));
    (void)judge(r, BUNDLE_RECEIPT_REQUESTER,
                receipt_verify(&r->receipt, &r->terms.requester, SIDE_REQUESTER, b->receipt.body, &b->receipt.requester_sig));
}

/* What both sides signed for: the receipt if there is one, else the last claim. */
struct signed_work {
    uint64_t out;
    struct hash token_chain, digest_chain;
};
static bool signed_work(const struct bundle_report *r, struct signed_work *out)
{
    if (r->result[BUNDLE_RECEIPT_FORM] == CHECK_PASSED) {
        *out = (struct signed_work){ r->receipt.tokens.out, r->receipt.token_chain, r->receipt.digest_chain };
        return true;
    }
    if (r->result[BUNDLE_CLAIM_FORM] == CHECK_PASSED) {
        *out = (struct signed_work){ r->claim.tokens.out, r->claim.token_chain, r->claim.digest_chain };
        return true;
    }
    return false;
}

static enum err digests_match(const struct bundle *b, const struct hash *terms, const struct signed_work *work)
{
    struct digest_chain chain;
    digest_chain_init(&chain, terms);
    for (size_t i = 0; i < bundle_digest_count(b); i++) {
        struct hash d = bundle_digest(b, i);
        digest_chain_add(&chain, &d);
    }
    uint64_t expected = work->out / CLAIM_TOKENS + (work->out % CLAIM_TOKENS != 0);
    return chain.count == expected && hash_equal(&chain.at, &work->digest_chain) ? OK : ERR_CHAIN;
}

static void check_notes(const struct bundle *b, struct bundle_report *r)
{
    enum err first = OK;
    for (uint32_t i = 0; i < b->note_count; i++) {
        struct note n;
        enum err e = note_decode(b->notes[i].body, &n);
        if (e == OK && !hash_equal(&n.subject, &r->terms_hash))
            e = ERR_MISMATCH;
        if (e == OK)
            e = note_verify(&n, &r->terms, b->notes[i].body, &b->notes[i].sig);
        if (first == OK)
            first = e;
    }
    if (b->note_count > 0)
        (void)judge(r, BUNDLE_NOTES, first);
}

/* Hashed id by id from the bundle's own bytes: the commitment is over the same little-endian form. */
static enum err prompt_matches(const struct bundle *b, const struct terms *t)
{
    struct hasher h;
    struct hash commitment;
    hasher_init(&h, "prompt");
    hasher_add_hash(&h, &b->nonce);
    hasher_add(&h, b->prefill);
    hasher_finish(&h, &commitment);
    bool count = bundle_prefill_count(b) == t->tokens_in + t->tokens_cached;
    return count && hash_equal(&commitment, &t->prompt) ? OK : ERR_MISMATCH;
}

static enum err output_matches(const struct bundle *b, const struct hash *terms, const struct signed_work *work)
{
    struct token_chain chain;
    token_chain_init(&chain, terms);
    if (bundle_output_count(b) != work->out)
        return ERR_MISMATCH;
    for (size_t i = 0; i < bundle_output_count(b); i++)
        token_chain_add(&chain, bundle_output_id(b, i));
    return hash_equal(&chain.at, &work->token_chain) ? OK : ERR_MISMATCH;
}

static void check_opening(const struct bundle *b, struct bundle_report *r, const struct signed_work *work)
{
    if (!b->has_opening)
        return;
    (void)judge(r, BUNDLE_OPENING_PROMPT, prompt_matches(b, &r->terms));
    struct hash seed = terms_seed_commitment(&b->nonce, b->seed);
    (void)judge(r, BUNDLE_OPENING_SEED, hash_equal(&seed, &r->terms.seed) ? OK : ERR_MISMATCH);
    if (work && b->output.len > 0)                        /* a crashed requester kept prompt and seed but no answer */
        (void)judge(r, BUNDLE_OPENING_OUTPUT, output_matches(b, &r->terms_hash, work));
}

enum err bundle_check(const struct bundle *b, const struct net_id *net, struct wall now, struct bundle_report *out)
{
    *out = (struct bundle_report){ 0 };
    if (check_terms(b, net, now, out)) {
        check_claim(b, out);
        check_receipt(b, out);
        struct signed_work work;
        bool has_work = signed_work(out, &work);
        if (has_work)
            (void)judge(out, BUNDLE_DIGESTS, digests_match(b, &out->terms_hash, &work));
        check_notes(b, out);
        check_opening(b, out, has_work ? &work : NULL);
    }
    for (size_t i = 0; i < BUNDLE_CHECK_COUNT; i++)
        if (out->result[i] == CHECK_FAILED)
            return out->error[i];
    return OK;
}

enum err bundle_reexecution_check(const struct bundle *b, const struct terms *t, const struct hash *heads, size_t count,
                                  size_t *out_first)
{
    if (!b->has_opening)
        return ERR_STATE;
    struct digester d;
    digester_init(&d, &t->provider, &b->nonce);
    size_t made = 0;
    struct hash digest;
    for (size_t i = 0; i <= count; i++) {
        bool done = i < count ? digester_add(&d, &heads[i], &digest) : digester_end(&d, &digest);
        if (!done)
            continue;
        struct hash claimed = { { 0 } };
        if (made < bundle_digest_count(b))
            claimed = bundle_digest(b, made);
        if (made >= bundle_digest_count(b) || !hash_equal(&claimed, &digest)) {
            *out_first = made;
            return ERR_MISMATCH;
        }
        made++;
    }
    *out_first = made;
    return made == bundle_digest_count(b) ? OK : ERR_MISMATCH;
}
