/* test_terms.c - terms say what they say in one way only, and nonsense is refused by name. */
#include "tests/test.h"

#include <string.h>

#include "tests/ledger_rig.h"

static struct party requester, provider;
static struct terms good;

static int make_good(void **state)
{
    (void)state;
    static struct rig_job j;
    party_init(&requester, 1);
    party_init(&provider, 2);
    rig_job_init(&j, &requester, &provider, 1);
    good = j.terms;
    return 0;
}

static struct bytes encode(const struct terms *t, uint8_t buf[TERMS_BYTES_MAX])
{
    struct bytes b = { 0 };
    assert_ok(terms_encode(t, buf, &b));
    return b;
}

static void decoding_gives_back_every_field(void **state)
{
    (void)state;
    uint8_t buf[TERMS_BYTES_MAX], again[TERMS_BYTES_MAX];
    struct terms t;
    struct bytes body = encode(&good, buf);
    assert_ok(terms_decode(body, &t));
    struct bytes twice = encode(&t, again);
    assert_true(bytes_equal(body, twice));
    assert_memory_equal(&t.sampling, &good.sampling, sizeof t.sampling);
    assert_true(t.prices.cached == good.prices.cached && t.stop_count == 2 && t.stop[1] == 7 && t.stated_s == good.stated_s);
    assert_true(terms_cost_max(&t).v == 6 * 250000 + 2 * 25000 + RIG_OUTPUT_MAX * UINT64_C(1000000));
}

static void the_largest_terms_fit(void **state)
{
    (void)state;
    uint8_t buf[TERMS_BYTES_MAX];
    struct terms t = good;
    t.numerics = UINT32_MAX;
    t.tokens_in = t.tokens_cached = UINT32_MAX;
    t.sampling = (struct sampling){ TEMPERATURE_MICRO_MAX, UINT32_MAX, TOP_P_MICRO_MAX };
    t.output_max = OUTPUT_TOKENS_MAX;
    t.window_tokens = OUTPUT_TOKENS_MAX;
    t.stop_count = STOP_IDS_MAX;
    memset(t.stop, 0xff, sizeof t.stop);
    t.prices = (struct prices){ UINT32_MAX / 4, UINT32_MAX / 4, UINT32_MAX };
    t.budget.v = UINT64_MAX;
    t.output_offset = UINT32_MAX;
    t.parent = good.offer;
    t.validity_ms = TERMS_VALIDITY_MS_MAX;
    t.stated_s = UINT64_MAX;
    struct bytes b = encode(&t, buf);
    print_message("largest terms: %zu of %d bytes\n", b.len, TERMS_BYTES_MAX);
    struct terms back;
    assert_ok(terms_decode(b, &back));
}

static void nonsense_is_refused_by_name(void **state)
{
    (void)state;
    struct terms t;
    uint8_t buf[TERMS_BYTES_MAX];
    struct bytes b;
#define WRONG(change, expected)                                                                                        \
    do {                                                                                                               \
        t = good;                                                                                                      \
        change;                                                                                                        \
        assert_err(terms_check(&t), expected);                                                                         \
        assert_err(terms_encode(&t, buf, &b), expected);                                                               \
    } while (0)
    WRONG(t.provider = t.requester, ERR_KEY);
    WRONG(t.numerics = 0, ERR_ARG);
    WRONG(t.tokens_in = t.tokens_cached = 0, ERR_ARG);
    WRONG(t.tokens_in = (uint64_t)UINT32_MAX + 1, ERR_ARG);
    WRONG(t.output_max = 0, ERR_ARG);
    WRONG(t.output_max = OUTPUT_TOKENS_MAX + 1, ERR_ARG);
    WRONG(t.stop_count = STOP_IDS_MAX + 1, ERR_ARG);
    WRONG(t.sampling.temperature_micro = TEMPERATURE_MICRO_MIN - 1, ERR_ARG);
    WRONG(t.sampling.temperature_micro = TEMPERATURE_MICRO_MAX + 1, ERR_ARG);
    WRONG(t.sampling.top_p_micro = 0, ERR_ARG);
    WRONG(t.sampling.top_p_micro = TOP_P_MICRO_MAX + 1, ERR_ARG);
    WRONG(t.claim_tokens = 16, ERR_ARG);
    WRONG(t.window_tokens = 0, ERR_ARG);
    WRONG(t.window_tokens = 33, ERR_ARG);
    WRONG(t.output_offset = 3, ERR_ARG);                   /* without the job it continues */
    WRONG(t.parent = good.offer, ERR_ARG);
    WRONG((t.output_offset = 8, t.parent = good.offer), ERR_ARG);   /* all of the prefill an answer, no prompt */
    WRONG(t.validity_ms = 0, ERR_ARG);
    WRONG(t.validity_ms = TERMS_VALIDITY_MS_MAX + 1, ERR_ARG);
    WRONG(t.budget.v = terms_cost_max(&good).v - 1, ERR_PRICE);
    WRONG(t.prices.out = UINT64_MAX, ERR_OVERFLOW);
    t = good;
    t.sampling.temperature_micro = 0;                      /* greedy is fine */
    t.budget = terms_cost_max(&good);
    assert_ok(terms_check(&t));
}

/* Every bit of the body: it either no longer decodes or says something else, and then no signature holds. */
static void no_bit_can_change_unseen(void **state)
{
    (void)state;
    uint8_t buf[TERMS_BYTES_MAX];
    struct bytes body = encode(&good, buf);
    struct sig r, p;
    terms_sign(&requester.key, SIDE_REQUESTER, &good.net, body, &r);
    terms_sign(&provider.key, SIDE_PROVIDER, &good.net, body, &p);
    assert_ok(terms_verify(&good, SIDE_REQUESTER, body, &r));
    assert_ok(terms_verify(&good, SIDE_PROVIDER, body, &p));
    assert_err(terms_verify(&good, SIDE_PROVIDER, body, &r), ERR_SIGNATURE);   /* one role's word is not the other's */
    size_t decoded = 0;
    for (size_t bit = 0; bit < body.len * 8; bit++) {
        struct terms t;
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (terms_decode(body, &t) == OK) {
            decoded++;
            if (bit % 8 == 0) {                            /* a signature check per byte keeps this under a second */
                assert_err(terms_verify(&t, SIDE_REQUESTER, body, &r), ERR_SIGNATURE);
                assert_err(terms_verify(&t, SIDE_PROVIDER, body, &p), ERR_SIGNATURE);
            }
        }
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_true(decoded > 0);
    struct terms t;
    for (size_t len = 0; len < body.len; len++)
        assert_true(terms_decode(bytes_of(buf, len), &t) != OK);
    uint8_t longer[TERMS_BYTES_MAX + 1] = { 0 };
    memcpy(longer, buf, body.len);
    assert_err(terms_decode(bytes_of(longer, body.len + 1), &t), ERR_ENCODING);
    assert_err(terms_decode(bytes_of(longer, sizeof longer), &t), ERR_TOO_LARGE);
    buf[3] = 2;                                            /* array16 head, then the version */
    assert_err(terms_decode(body, &t), ERR_VERSION);
}

static void commitments_bind_nonce_and_content(void **state)
{
    (void)state;
    struct hash n1 = { { 1 } }, n2 = { { 2 } };
    uint32_t ids[3] = { 1, 2, 3 };
    struct hash a = terms_prompt_commitment(&n1, ids, 3), b = terms_prompt_commitment(&n2, ids, 3);
    struct hash c = terms_prompt_commitment(&n1, ids, 2);
    assert_false(hash_equal(&a, &b));
    assert_false(hash_equal(&a, &c));
    a = terms_seed_commitment(&n1, 7);
    b = terms_seed_commitment(&n2, 7);
    c = terms_seed_commitment(&n1, 8);
    assert_false(hash_equal(&a, &b));
    assert_false(hash_equal(&a, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_gives_back_every_field),
        cmocka_unit_test(the_largest_terms_fit),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(no_bit_can_change_unseen),
        cmocka_unit_test(commitments_bind_nonce_and_content),
    };
    return cmocka_run_group_tests(tests, make_good, NULL);
}
