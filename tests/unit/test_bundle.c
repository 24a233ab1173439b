/* test_bundle.c - a stranger checks a bundle: the honest one passes, and each cheat is named by its own check. */
#include "tests/test.h"

#include <string.h>

#include "ledger/bundle.h"
#include "tests/ledger_rig.h"

enum { CAP = 32768 };

static struct party requester, provider, owner;
static struct rig_job job;
static struct hash receipt;
static uint8_t honest_buf[CAP];
static struct bytes honest;

static int make_bundle(void **state)
{
    (void)state;
    struct cert rc, pc;
    struct opening o;
    party_init(&requester, 1);
    party_init(&provider, 2);
    party_init(&owner, 3);
    assert_ok(party_open(&requester));
    assert_ok(party_open(&provider));
    assert_ok(rig_job_whole(&job, &requester, &provider, 1, 70, &receipt));
    rig_job_opening(&job, &o);
    assert_ok(ledger_opening_put(&requester.ledger, &job.hash, &o, rig_now));
    cert_issue(&owner.key, &owner.net, &requester.self, rig_now.ms / 1000 + 1000, &rc);
    cert_issue(&owner.key, &owner.net, &provider.self, rig_now.ms / 1000 + 1000, &pc);
    struct signed_body note;
    assert_ok(ledger_note_own(&provider.ledger, &job.hash, &note));
    assert_ok(ledger_note_keep(&requester.ledger, signed_body_view(&note), &note.sig));
    assert_ok(ledger_bundle(&requester.ledger, &job.hash, &rc, &pc, true, honest_buf, sizeof honest_buf, &honest));
    return 0;
}

static int drop_parties(void **state)
{
    (void)state;
    party_fini(&requester);
    party_fini(&provider);
    return 0;
}

static struct bundle decode(void)
{
    struct bundle b;
    assert_ok(bundle_decode(honest, &b));
    return b;
}

static void an_honest_bundle_passes_every_check(void **state)
{
    (void)state;
    struct bundle b = decode();
    struct bundle_report r;
    assert_ok(bundle_check(&b, &requester.net, rig_now, &r));
    for (int i = 0; i < BUNDLE_CHECK_COUNT; i++) {
        if (r.result[i] != CHECK_PASSED)
            fail_msg("%s: not passed", bundle_check_label((enum bundle_check_id)i));
        assert_true(strlen(bundle_check_sentence((enum bundle_check_id)i)) > 10);
    }
    assert_true(hash_equal(&r.receipt_id, &receipt));
    assert_true(bundle_digest_count(&b) == 3 && bundle_output_count(&b) == 70 && bundle_prefill_count(&b) == 8 && b.note_count == 2);
    size_t first;
    assert_ok(bundle_reexecution_check(&b, &r.terms, job.heads, 70, &first));
    static uint8_t again[CAP];
    struct bytes twice;
    assert_ok(bundle_encode(&b, again, sizeof again, &twice));
    assert_true(bytes_equal(honest, twice));
    assert_err(bundle_encode(&b, again, honest.len - 1, &twice), ERR_TOO_LARGE);
    print_message("bundle of 70 tokens with opening: %zu bytes\n", honest.len);
}

/* This check fails, and none before it. */
static void assert_named(const struct bundle *b, enum bundle_check_id id)
{
    struct bundle_report r;
    assert_true(bundle_check(b, &requester.net, rig_now, &r) != OK);
    if (r.result[id] != CHECK_FAILED)
        fail_msg("\"%s\" did not fail", bundle_check_label(id));
    for (int i = 0; i < (int)id; i++)
        if (r.result[i] == CHECK_FAILED && i != (int)id)
            fail_msg("\"%s\" failed before \"%s\"", bundle_check_label((enum bundle_check_id)i), bundle_check_label(id));
}

/* A provider that cheats signs what it sends. */
static struct bytes resigned_terms(struct bundle *b, struct terms *t, uint8_t buf[TERMS_BYTES_MAX])
{
    struct bytes body;
    assert_ok(terms_encode(t, buf, &body));
    b->terms.body = body;
    terms_sign(&provider.key, SIDE_PROVIDER, &provider.net, body, &b->terms.provider_sig);
    return body;
}

static void each_cheat_is_named(void **state)
{
    (void)state;
    struct bundle b = decode();
    struct bundle_report r;
    uint8_t buf[TERMS_BYTES_MAX], other[CAP];
    struct bytes body;
    assert_ok(bundle_check(&b, &requester.net, rig_now, &r));

    b.terms.body.len--;
    assert_named(&b, BUNDLE_TERMS_FORM);
    b = decode();
    b.claim.body.len--;
    assert_named(&b, BUNDLE_CLAIM_FORM);
    b = decode();
    b.receipt.body.len--;
    assert_named(&b, BUNDLE_RECEIPT_FORM);
    b = decode();
    b.terms.requester_sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_TERMS_REQUESTER);
    b = decode();
    b.terms.provider_sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_TERMS_PROVIDER);
    b = decode();
    struct terms t = r.terms;
    t.prices.out++;                                        /* one digit of a price, signed by the provider alone */
    resigned_terms(&b, &t, buf);
    assert_named(&b, BUNDLE_TERMS_REQUESTER);
    b = decode();
    t = r.terms;
    t.model.b[0] ^= 1;                                     /* another model */
    resigned_terms(&b, &t, buf);
    assert_named(&b, BUNDLE_TERMS_REQUESTER);
    b = decode();
    struct net_id net = net_id_of("another");
    struct bundle_report elsewhere;
    assert_err(bundle_check(&b, &net, rig_now, &elsewhere), ERR_NETWORK);
    assert_true(elsewhere.result[BUNDLE_TERMS_NETWORK] == CHECK_FAILED);
    assert_err(bundle_check(&b, &requester.net, (struct wall){ rig_now.ms + 3600000 }, &elsewhere), ERR_EXPIRED);
    assert_true(elsewhere.result[BUNDLE_CERT_REQUESTER] == CHECK_FAILED);
    b.provider_cert = b.requester_cert;                    /* somebody else's certificate */
    assert_named(&b, BUNDLE_CERT_PROVIDER);

    b = decode();
    struct claim c = r.claim;
    c.cost.v += 1;
    assert_ok(claim_encode(&c, other, &body));
    b.claim.body = body;
    claim_sign(&provider.key, SIDE_PROVIDER, &provider.net, &c, &b.claim.provider_sig);
    assert_named(&b, BUNDLE_CLAIM_ARITHMETIC);
    b = decode();
    b.claim.requester_sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_CLAIM_REQUESTER);
    b = decode();
    b.claim.provider_sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_CLAIM_PROVIDER);
    b = decode();
    b.digests.len -= HASH_BYTES;
    assert_named(&b, BUNDLE_DIGESTS);
    b = decode();
    memcpy(other, b.digests.data, b.digests.len);
    other[40] ^= 1;
    b.digests.data = other;
    assert_named(&b, BUNDLE_DIGESTS);

    b = decode();
    struct receipt rec = r.receipt;
    rec.tokens.out++;
    assert_ok(receipt_encode(&rec, other, &body));
    b.receipt.body = body;
    assert_named(&b, BUNDLE_RECEIPT_TERMS);
    b = decode();
    rec = r.receipt;
    rec.settled.v = 1;
    assert_ok(receipt_encode(&rec, other, &body));
    b.receipt.body = body;
    assert_named(&b, BUNDLE_RECEIPT_TOTAL);
    b = decode();
    b.receipt.provider_sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_RECEIPT_PROVIDER);
    b = decode();
    b.receipt.requester_sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_RECEIPT_REQUESTER);
    b = decode();
    b.notes[1].sig.b[0] ^= 1;
    assert_named(&b, BUNDLE_NOTES);

    b = decode();
    b.nonce.b[0] ^= 1;
    assert_named(&b, BUNDLE_OPENING_PROMPT);
    b = decode();
    b.prefill.len -= 4;
    assert_named(&b, BUNDLE_OPENING_PROMPT);
    b = decode();
    b.seed++;
    assert_named(&b, BUNDLE_OPENING_SEED);
    b = decode();
    memcpy(other, b.output.data, b.output.len);
    other[4 * 69] ^= 1;                                    /* one token, the last */
    b.output.data = other;
    assert_named(&b, BUNDLE_OPENING_OUTPUT);
}

static void reexecution_finds_the_first_false_digest(void **state)
{
    (void)state;
    struct bundle b = decode();
    static struct hash heads[70];
    size_t first = 99;
    memcpy(heads, job.heads, sizeof heads);
    heads[33].b[0] ^= 1;
    assert_err(bundle_reexecution_check(&b, &job.terms, heads, 70, &first), ERR_MISMATCH);
    assert_int_equal(first, 1);
    assert_err(bundle_reexecution_check(&b, &job.terms, job.heads, 64, &first), ERR_MISMATCH);
    assert_int_equal(first, 2);
    b.has_opening = false;
    assert_err(bundle_reexecution_check(&b, &job.terms, job.heads, 70, &first), ERR_STATE);
}

static void parts_may_be_absent_but_not_wrong(void **state)
{
    (void)state;
    struct bundle b = decode();
    struct bundle_report r;
    b.has_opening = b.has_requester_cert = b.has_provider_cert = false;
    b.note_count = 0;
    b.claim.body.len = 0;
    assert_ok(bundle_check(&b, &requester.net, rig_now, &r));
    assert_true(r.result[BUNDLE_CLAIM_FORM] == CHECK_ABSENT && r.result[BUNDLE_OPENING_SEED] == CHECK_ABSENT && r.result[BUNDLE_DIGESTS] == CHECK_PASSED);
    static uint8_t buf[CAP];
    struct bytes bytes;
    struct bundle back;
    assert_ok(bundle_encode(&b, buf, sizeof buf, &bytes));
    assert_ok(bundle_decode(bytes, &back));
    assert_ok(bundle_check(&back, &requester.net, rig_now, &r));
    for (size_t len = 0; len < bytes.len; len++)
        assert_true(bundle_decode(bytes_of(buf, len), &back) != OK);
}

/* Every byte of a bundle is covered by something. */
static void no_byte_can_change_unseen(void **state)
{
    (void)state;
    static uint8_t buf[CAP];
    struct bundle b;
    struct bundle_report r;
    memcpy(buf, honest.data, honest.len);
    for (size_t i = 0; i < honest.len; i++) {
        buf[i] ^= 0x20;
        if (bundle_decode(bytes_of(buf, honest.len), &b) == OK && i % 3 == 0 && bundle_check(&b, &requester.net, rig_now, &r) == OK)
            fail_msg("byte %zu changed unseen", i);
        buf[i] ^= 0x20;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_bundle_passes_every_check),
        cmocka_unit_test(each_cheat_is_named),
        cmocka_unit_test(reexecution_finds_the_first_false_digest),
        cmocka_unit_test(parts_may_be_absent_but_not_wrong),
        cmocka_unit_test(no_byte_can_change_unseen),
    };
    return cmocka_run_group_tests(tests, make_bundle, drop_parties);
}
