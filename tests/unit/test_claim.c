/* test_claim.c - chains, digests and claims: one body per count, and every false count has a name. */
#include "tests/test.h"

#include <string.h>

#include "tests/ledger_rig.h"

static struct party requester, provider;

static int make_parties(void **state)
{
    (void)state;
    party_init(&requester, 1);
    party_init(&provider, 2);
    return 0;
}

static void job_with(struct rig_job *j, size_t tokens)
{
    uint8_t buf[TERMS_BYTES_MAX];
    struct bytes body;
    rig_job_init(j, &requester, &provider, 1);
    assert_ok(terms_encode(&j->terms, buf, &body));
    j->hash = terms_hash(body);
    token_chain_init(&j->tokens, &j->hash);
    digest_chain_init(&j->digests, &j->hash);
    digester_init(&j->digester, &provider.self, &j->nonce);
    for (size_t i = 0; i < tokens; i++)
        rig_job_token(j);
}

static void claims_exist_at_every_32_and_at_the_end(void **state)
{
    (void)state;
    static struct rig_job j;
    static const struct { size_t tokens; bool last; bool exists; uint64_t index; bool is_last; } rows[] = {
        { 0, false, true, 0, false }, { 1, false, false, 0, false }, { 1, true, true, 1, true }, { 31, false, false, 0, false },
        { 32, false, true, 1, false }, { 32, true, true, 1, false }, { 33, false, false, 0, false }, { 33, true, true, 2, true },
        { 64, false, true, 2, false }, { 70, true, true, 3, true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        job_with(&j, rows[i].tokens);
        assert_int_equal(rig_job_claim(&j, rows[i].last), rows[i].exists);
        if (!rows[i].exists)
            continue;
        assert_true(j.claim.index == rows[i].index && j.claim.tokens.out == rows[i].tokens);
        assert_int_equal(claim_is_last(&j.claim), rows[i].is_last);
        assert_ok(claim_check(&j.claim, &j.terms, &j.hash));
    }
    job_with(&j, RIG_OUTPUT_MAX);
    j.terms.output_max = RIG_OUTPUT_MAX - 1;               /* one more than agreed */
    assert_false(rig_job_claim(&j, true));
}

static void signing_again_gives_the_same_bytes(void **state)
{
    (void)state;
    static struct rig_job j;
    job_with(&j, 40);
    assert_true(rig_job_claim(&j, true));
    struct sig a = rig_claim_sig(&j, &provider), b = rig_claim_sig(&j, &provider);
    assert_memory_equal(&a, &b, sizeof a);
    assert_ok(claim_verify(&j.claim, &j.terms, SIDE_PROVIDER, &a));
    assert_err(claim_verify(&j.claim, &j.terms, SIDE_REQUESTER, &a), ERR_SIGNATURE);
    struct claim c = j.claim;
    c.cost.v ^= 1;
    assert_err(claim_verify(&c, &j.terms, SIDE_PROVIDER, &a), ERR_SIGNATURE);
}

static void every_false_field_has_a_name(void **state)
{
    (void)state;
    static struct rig_job j;
    job_with(&j, 70);
    assert_true(rig_job_claim(&j, true));
    struct claim c;
#define FALSE_CLAIM(change, expected)                                                                                  \
    do {                                                                                                               \
        c = j.claim;                                                                                                   \
        change;                                                                                                        \
        assert_err(claim_check(&c, &j.terms, &j.hash), expected);                                                      \
    } while (0)
    FALSE_CLAIM(c.terms.b[0] ^= 1, ERR_MISMATCH);
    FALSE_CLAIM(c.index++, ERR_MISMATCH);
    FALSE_CLAIM(c.tokens.in++, ERR_MISMATCH);
    FALSE_CLAIM(c.tokens.cached--, ERR_MISMATCH);
    FALSE_CLAIM(c.tokens.out++, ERR_MISMATCH);             /* cost no longer fits */
    FALSE_CLAIM(c.tokens.out = 65, ERR_MISMATCH);
    FALSE_CLAIM(c.tokens.out = UINT64_MAX, ERR_OVERFLOW);
    FALSE_CLAIM(c.cost.v--, ERR_MISMATCH);
}

static void no_byte_can_change_unseen(void **state)
{
    (void)state;
    static struct rig_job j;
    uint8_t buf[CLAIM_BYTES_MAX];
    struct bytes body;
    struct claim c;
    job_with(&j, 70);
    assert_true(rig_job_claim(&j, true));
    struct sig s = rig_claim_sig(&j, &provider);
    assert_ok(claim_encode(&j.claim, buf, &body));
    assert_ok(claim_decode(body, &c));
    for (size_t bit = 0; bit < body.len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (claim_decode(body, &c) == OK && bit % 4 == 0)
            assert_err(claim_verify(&c, &j.terms, SIDE_PROVIDER, &s), ERR_SIGNATURE);
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t len = 0; len < body.len; len++)
        assert_true(claim_decode(bytes_of(buf, len), &c) != OK);
    buf[1] = 9;
    assert_err(claim_decode(body, &c), ERR_VERSION);
}

static void chains_tell_order_job_and_content_apart(void **state)
{
    (void)state;
    struct hash t1 = { { 1 } }, t2 = { { 2 } };
    struct token_chain a, b, c;
    token_chain_init(&a, &t1);
    token_chain_init(&b, &t1);
    token_chain_init(&c, &t2);
    assert_false(hash_equal(&a.at, &c.at));
    token_chain_add(&a, 1);
    token_chain_add(&a, 2);
    token_chain_add(&b, 2);
    token_chain_add(&b, 1);
    assert_false(hash_equal(&a.at, &b.at));
    assert_true(a.count == 2);
    struct digester d, e;
    struct hash n1 = { { 3 } }, n2 = { { 4 } }, x = { { 0 } }, y = { { 0 } };
    digester_init(&d, &provider.self, &n1);
    digester_init(&e, &provider.self, &n2);
    for (int i = 0; i < CLAIM_TOKENS; i++) {
        bool last = i == CLAIM_TOKENS - 1;
        assert_int_equal(digester_add(&d, &t1, &x), last);
        assert_int_equal(digester_add(&e, &t1, &y), last);
    }
    assert_false(hash_equal(&x, &y));                      /* salted: nobody can copy a digest */
    assert_false(digester_end(&d, &x));
    for (int i = 0; i < CLAIM_TOKENS; i++)
        (void)digester_add(&d, &t1, &y);
    assert_false(hash_equal(&x, &y));                      /* the same computation at another place */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_exist_at_every_32_and_at_the_end),
        cmocka_unit_test(signing_again_gives_the_same_bytes),
        cmocka_unit_test(every_false_field_has_a_name),
        cmocka_unit_test(no_byte_can_change_unseen),
        cmocka_unit_test(chains_tell_order_job_and_content_apart),
    };
    return cmocka_run_group_tests(tests, make_parties, NULL);
}
