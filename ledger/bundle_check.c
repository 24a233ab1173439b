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
                       const struct net_id *net, const struct pubkey *node, struct wall at)
{
    if (has)
        (void)judge(r, id, cert_verify(c, net, node, at));
}

/* When both sides signed, by the clock that both accepted. */
static struct wall time_of(const struct terms *t)
{
    return (struct wall){ t->stated_s > UINT64_MAX / 1000 ? UINT64_MAX : t->stated_s * 1000 };
}

static bool check_terms(const struct bundle *b, const struct net_id *net, struct bundle_report *r)
{
    if (!judge(r, BUNDLE_TERMS_FORM, terms_decode(b->terms.body, &r->terms)))
        return false;
    r->terms_hash = terms_hash(b->terms.body);
    (void)judge(r, BUNDLE_TERMS_NETWORK, net_id_equal(&r->terms.net, net) ? OK : ERR_NETWORK);
    (void)judge(r, BUNDLE_TERMS_REQUESTER, terms_verify(&r->terms, SIDE_REQUESTER, b->terms.body, &b->terms.requester_sig));
    (void)judge(r, BUNDLE_TERMS_PROVIDER, terms_verify(&r->terms, SIDE_PROVIDER, b->terms.body, &b->terms.provider_sig));
    check_cert(r, BUNDLE_CERT_REQUESTER, b->has_requester_cert, &b->requester_cert, net, &r->terms.requester, time_of(&r->terms));
    check_cert(r, BUNDLE_CERT_PROVIDER, b->has_provider_cert, &b->provider_cert, net, &r->terms.provider, time_of(&r->terms));
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

/* ---- the ending ---- */

static bool is_stop(const struct terms *t, uint32_t token)
{
    for (uint32_t i = 0; i < t->stop_count; i++)
        if (t->stop[i] == token)
            return true;
    return false;
}

/* What the signed tokens show of their end. Of tokens that are not shown only the count is known. */
struct ending {
    bool tokens_known, at_length;
    size_t count, stop_at;                                 /* index of the first stop token; count: there is none */
};

static struct ending ending_of(const struct bundle *b, const struct bundle_report *r, const struct signed_work *work)
{
    struct ending e = { .tokens_known = work->out == 0 || r->result[BUNDLE_OPENING_OUTPUT] == CHECK_PASSED,
                        .at_length = work->out == r->terms.output_max, .count = (size_t)work->out };
    while (e.tokens_known && e.stop_at < e.count && !is_stop(&r->terms, bundle_output_id(b, e.stop_at)))
        e.stop_at++;
    return e;
}

/* A note that says "complete" says why; PASSED if the tokens bear it out, ABSENT if they are not shown or it says nothing of them. */
static enum check_result note_ending(const struct note *n, const struct ending *e)
{
    if (n->outcome != OUTCOME_COMPLETE || n->reason == REASON_SATISFIED || n->reason == REASON_CLIENT_CANCEL)
        return CHECK_ABSENT;                               /* the client ended it: no token shows that */
    if (n->reason == REASON_LENGTH)
        return e->at_length ? CHECK_PASSED : CHECK_FAILED;
    if (n->reason == REASON_STOP && !e->tokens_known)
        return CHECK_ABSENT;
    return n->reason == REASON_STOP && e->stop_at + 1 == e->count ? CHECK_PASSED : CHECK_FAILED;
}

static void check_ending(const struct bundle *b, struct bundle_report *r, const struct signed_work *work)
{
    struct ending e = ending_of(b, r, work);
    enum check_result result = e.tokens_known ? CHECK_PASSED : CHECK_ABSENT;
    if (e.tokens_known && e.stop_at + 1 < e.count)
        result = CHECK_FAILED;
    for (uint32_t i = 0; i < b->note_count && r->result[BUNDLE_NOTES] == CHECK_PASSED; i++) {
        struct note n;
        ENSURE(note_decode(b->notes[i].body, &n) == OK);   /* BUNDLE_NOTES says so */
        enum check_result of_note = note_ending(&n, &e);
        if (of_note == CHECK_FAILED || result == CHECK_ABSENT)
            result = of_note;
    }
    if (result != CHECK_ABSENT)
        (void)judge(r, BUNDLE_ENDING, result == CHECK_PASSED ? OK : ERR_MISMATCH);
}

/* ---- all of it ---- */

enum err bundle_check(const struct bundle *b, const struct net_id *net, struct bundle_report *out)
{
    *out = (struct bundle_report){ 0 };
    if (check_terms(b, net, out)) {
        (void)judge(out, BUNDLE_WORK, b->claim.body.len || b->receipt.body.len ? OK : ERR_STATE);
        check_claim(b, out);
        check_receipt(b, out);
        struct signed_work work;
        bool has_work = signed_work(out, &work);
        if (has_work)
            (void)judge(out, BUNDLE_DIGESTS, digests_match(b, &out->terms_hash, &work));
        check_notes(b, out);
        check_opening(b, out, has_work ? &work : NULL);
        if (has_work)
            check_ending(b, out, &work);
    }
    for (size_t i = 0; i < BUNDLE_CHECK_COUNT; i++)
        if (out->result[i] == CHECK_FAILED)
            return out->error[i];
    return OK;
}

bool bundle_can_be_reexecuted(const struct bundle_report *r)
{
    for (size_t i = 0; i < BUNDLE_CHECK_COUNT; i++)
        if (r->result[i] == CHECK_FAILED)
            return false;
    return r->result[BUNDLE_OPENING_OUTPUT] == CHECK_PASSED;   /* judged against signed work only, and so were the digests */
}

enum err bundle_reexecution_check(const struct bundle *b, const struct bundle_report *r, const struct hash *heads, size_t count,
                                  size_t *out_first)
{
    if (!bundle_can_be_reexecuted(r))
        return ERR_STATE;
    struct digester d;
    digester_init(&d, &r->terms.provider, &b->nonce);
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
