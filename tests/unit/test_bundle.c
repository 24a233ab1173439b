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
    cert_issue(&owner.key, &owner.net, &requester.self, job.terms.stated_s + 1000, &rc);
    cert_issue(&owner.key, &owner.net, &provider.self, job.terms.stated_s + 1000, &pc);
    assert_ok(ledger_cert_keep(&requester.ledger, &rc));
    assert_ok(ledger_cert_keep(&requester.ledger, &pc));
    struct signed_body note;
    assert_ok(ledger_note_own(&provider.ledger, &job.hash, &note));
    assert_ok(ledger_note_keep(&requester.ledger, signed_body_view(&note), &note.sig));
    assert_ok(ledger_bundle(&requester.ledger, &job.hash, true, honest_buf, sizeof honest_buf, &honest));
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
    assert_ok(bundle_check(&b, &requester.net, &r));
    for (int i = 0; i < BUNDLE_CHECK_COUNT; i++) {
        if (r.result[i] != CHECK_PASSED)
            fail_msg("%s: not passed", bundle_check_label((enum bundle_check_id)i));
        assert_true(strlen(bundle_check_sentence((enum bundle_check_id)i)) > 10);
    }
    assert_true(hash_equal(&r.receipt_id, &receipt));
    assert_true(bundle_digest_count(&b) == 3 && bundle_output_count(&b) == 70 && bundle_prefill_count(&b) == 8 && b.note_count == 2);
    size_t first;
    assert_ok(bundle_reexecution_check(&b, &r, job.heads, 70, &first));
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
    assert_true(bundle_check(b, &requester.net, &r) != OK);
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
    assert_ok(bundle_check(&b, &requester.net, &r));

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
    assert_err(bundle_check(&b, &net, &elsewhere), ERR_NETWORK);
    assert_true(elsewhere.result[BUNDLE_TERMS_NETWORK] == CHECK_FAILED);
    cert_issue(&owner.key, &owner.net, &requester.self, r.terms.stated_s - 1, &b.requester_cert);
    assert_named(&b, BUNDLE_CERT_REQUESTER);               /* it had run out when the terms were signed */
    cert_issue(&owner.key, &owner.net, &requester.self, r.terms.stated_s, &b.requester_cert);
    assert_ok(bundle_check(&b, &requester.net, &elsewhere));   /* and this one only since */
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
    struct bundle_report r;
    memcpy(heads, job.heads, sizeof heads);
    assert_ok(bundle_check(&b, &requester.net, &r));
    heads[33].b[0] ^= 1;
    assert_err(bundle_reexecution_check(&b, &r, heads, 70, &first), ERR_MISMATCH);
    assert_int_equal(first, 1);
    assert_err(bundle_reexecution_check(&b, &r, job.heads, 64, &first), ERR_MISMATCH);
    assert_int_equal(first, 2);
    b.has_opening = false;
    assert_ok(bundle_check(&b, &requester.net, &r));
    assert_err(bundle_reexecution_check(&b, &r, job.heads, 70, &first), ERR_STATE);
}

static void parts_may_be_absent_but_not_wrong(void **state)
{
    (void)state;
    struct bundle b = decode();
    struct bundle_report r;
    b.has_opening = b.has_requester_cert = b.has_provider_cert = false;
    b.note_count = 0;
    b.claim.body.len = 0;
    assert_ok(bundle_check(&b, &requester.net, &r));
    assert_true(r.result[BUNDLE_CLAIM_FORM] == CHECK_ABSENT && r.result[BUNDLE_OPENING_SEED] == CHECK_ABSENT && r.result[BUNDLE_DIGESTS] == CHECK_PASSED);
    assert_true(r.result[BUNDLE_ENDING] == CHECK_ABSENT && r.result[BUNDLE_WORK] == CHECK_PASSED);
    static uint8_t buf[CAP];
    struct bytes bytes;
    struct bundle back;
    assert_ok(bundle_encode(&b, buf, sizeof buf, &bytes));
    assert_ok(bundle_decode(bytes, &back));
    assert_ok(bundle_check(&back, &requester.net, &r));
    for (size_t len = 0; len < bytes.len; len++)
        assert_true(bundle_decode(bytes_of(buf, len), &back) != OK);
}

/* ---- one element taken out in turn: what is left shows no more than is signed ---- */

/* The elements of PROTO 7.10, one bit each. */
#define ELEMENTS(X)                                                                                                    \
    X(TERMS) X(TERMS_REQUESTER_SIG) X(TERMS_PROVIDER_SIG) X(REQUESTER_CERT) X(PROVIDER_CERT) X(CLAIM) X(CLAIM_PROVIDER_SIG)   \
    X(CLAIM_REQUESTER_SIG) X(DIGESTS) X(RECEIPT) X(RECEIPT_PROVIDER_SIG) X(RECEIPT_REQUESTER_SIG) X(NOTES) X(NONCE)    \
    X(SEED) X(PREFILL) X(OUTPUT) X(OPENING)

enum element {
#define X(name) name,
    ELEMENTS(X)
#undef X
    ELEMENT_COUNT
};
static const char *const elements[] = {
#define X(name) #name,
    ELEMENTS(X)
#undef X
};

static void no_sig(struct sig *s) { memset(s, 0, sizeof *s); }

static void strip(struct bundle *b, enum element e)
{
    switch (e) {
    case TERMS: b->terms.body.len = 0; break;
    case TERMS_REQUESTER_SIG: no_sig(&b->terms.requester_sig); break;
    case TERMS_PROVIDER_SIG: no_sig(&b->terms.provider_sig); break;
    case REQUESTER_CERT: b->has_requester_cert = false; break;
    case PROVIDER_CERT: b->has_provider_cert = false; break;
    case CLAIM: b->claim = (struct bundle_signed){ .body = { NULL, 0 } }; break;
    case CLAIM_PROVIDER_SIG: no_sig(&b->claim.provider_sig); break;
    case CLAIM_REQUESTER_SIG: no_sig(&b->claim.requester_sig); break;
    case DIGESTS: b->digests.len = 0; break;
    case RECEIPT: b->receipt = (struct bundle_signed){ .body = { NULL, 0 } }; break;
    case RECEIPT_PROVIDER_SIG: no_sig(&b->receipt.provider_sig); break;
    case RECEIPT_REQUESTER_SIG: no_sig(&b->receipt.requester_sig); break;
    case NOTES: b->note_count = 0; break;
    case NONCE: memset(&b->nonce, 0, sizeof b->nonce); break;
    case SEED: b->seed = 0; break;
    case PREFILL: b->prefill.len = 0; break;
    case OUTPUT: b->output.len = 0; break;
    case OPENING: b->has_opening = false; break;
    case ELEMENT_COUNT: break;
    }
}

/* The law of PROTO 7.10, written a second time: what these elements are good for. */
static bool should_hold(uint32_t gone)
{
    uint32_t g = gone;
    bool no_claim = g >> CLAIM & 1, no_receipt = g >> RECEIPT & 1, no_opening = g >> OPENING & 1;
    bool unsigned_terms = g & (1u << TERMS | 1u << TERMS_REQUESTER_SIG | 1u << TERMS_PROVIDER_SIG);
    bool unsigned_claim = !no_claim && g & (1u << CLAIM_PROVIDER_SIG | 1u << CLAIM_REQUESTER_SIG);
    bool unsigned_receipt = !no_receipt && g & (1u << RECEIPT_PROVIDER_SIG | 1u << RECEIPT_REQUESTER_SIG);
    bool half_opened = !no_opening && g & (1u << NONCE | 1u << SEED | 1u << PREFILL);
    return !unsigned_terms && !(no_claim && no_receipt) && !unsigned_claim && !unsigned_receipt && !(g >> DIGESTS & 1) && !half_opened;
}

static void assert_stripped(uint32_t gone)
{
    static struct hash heads[70];
    struct bundle b = decode();
    struct bundle_report r;
    size_t first;
    for (int i = 0; i < ELEMENT_COUNT; i++)
        if (gone >> i & 1)
            strip(&b, (enum element)i);
    bool holds = bundle_check(&b, &requester.net, &r) == OK;
    bool opened = !(gone >> OPENING & 1) && !(gone >> OUTPUT & 1);
    if (holds != should_hold(gone))
        for (int i = 0; i < ELEMENT_COUNT; i++)
            if (gone >> i & 1)
                print_error("without %s\n", elements[i]);
    assert_int_equal(holds, should_hold(gone));
    assert_int_equal(bundle_can_be_reexecuted(&r), holds && opened);
    /* Heads of another computation accuse the provider only if he signed for these digests and the answer is shown. */
    enum err e = bundle_reexecution_check(&b, &r, heads, 70, &first);
    assert_int_equal(e, holds && opened ? ERR_MISMATCH : ERR_STATE);
    if (holds && opened)
        assert_ok(bundle_reexecution_check(&b, &r, job.heads, 70, &first));
}

static void what_is_stripped_proves_no_more(void **state)
{
    (void)state;
    assert_stripped(0);
    for (int i = 0; i < ELEMENT_COUNT; i++)
        for (int k = i; k < ELEMENT_COUNT; k++)
            assert_stripped(1u << i | 1u << k);            /* each alone, and every two */
    assert_stripped(1u << CLAIM | 1u << RECEIPT | 1u << DIGESTS);
    assert_stripped(1u << CLAIM | 1u << RECEIPT | 1u << NOTES | 1u << REQUESTER_CERT | 1u << PROVIDER_CERT | 1u << OPENING | 1u << DIGESTS);
    assert_stripped(1u << CLAIM | 1u << NOTES | 1u << REQUESTER_CERT | 1u << PROVIDER_CERT | 1u << OPENING);
}

/* Terms that both signed, and digests that nobody did: a forged proof against an honest provider. */
static void invented_digests_accuse_nobody(void **state)
{
    (void)state;
    static uint8_t invented[3 * HASH_BYTES];
    struct bundle b = decode();
    struct bundle_report r;
    size_t first;
    strip(&b, CLAIM);
    strip(&b, RECEIPT);
    strip(&b, NOTES);
    b.digests.data = invented;
    assert_err(bundle_check(&b, &requester.net, &r), ERR_STATE);
    assert_true(r.result[BUNDLE_WORK] == CHECK_FAILED && r.result[BUNDLE_DIGESTS] == CHECK_ABSENT);
    assert_err(bundle_reexecution_check(&b, &r, job.heads, 70, &first), ERR_STATE);
}

/* ---- the ending ---- */

static void sign_note(struct bundle *b, uint32_t i, enum side by, enum outcome outcome, enum reason why, uint8_t buf[NOTE_BYTES_MAX])
{
    struct note n = { .subject = terms_hash(b->terms.body), .by = by, .outcome = outcome, .reason = why };
    struct party *p = by == SIDE_REQUESTER ? &requester : &provider;
    assert_ok(note_encode(&n, buf, &b->notes[i].body));
    note_sign(&p->key, &p->net, b->notes[i].body, &b->notes[i].sig);
}

/* Both say "complete" and why; what do the tokens of this bundle say? */
static enum check_result ending(struct bundle b, enum reason why)
{
    uint8_t bufs[2][NOTE_BYTES_MAX];
    struct bundle_report r;
    enum check_result one, other;
    b.note_count = 1;
    sign_note(&b, 0, SIDE_PROVIDER, OUTCOME_COMPLETE, why, bufs[0]);
    enum err e = bundle_check(&b, &requester.net, &r);
    one = r.result[BUNDLE_ENDING];
    assert_int_equal(e, one == CHECK_FAILED ? ERR_MISMATCH : OK);
    sign_note(&b, 0, SIDE_REQUESTER, OUTCOME_COMPLETE, why, bufs[1]);
    assert_int_equal(bundle_check(&b, &requester.net, &r), e);
    other = r.result[BUNDLE_ENDING];
    assert_int_equal(one, other);
    return one;
}

/* A whole job of `count` tokens whose stop ids are its own tokens at `stop_at`, as a bundle with its opening. */
static struct bundle bundle_of(uint64_t n, size_t count, size_t stop_at, uint32_t output_max, uint8_t *buf)
{
    static struct rig_job j;
    struct rig_job dry;
    struct opening o;
    struct hash id;
    struct bytes bytes;
    struct bundle b;
    rig_job_init(&j, &requester, &provider, n);
    j.terms.output_max = output_max;
    for (dry = j; dry.output_count <= stop_at;)
        rig_job_token(&dry);
    j.terms.stop[0] = dry.output[stop_at];
    j.terms.stop_count = 1;
    assert_ok(rig_job_begin(&j, &requester, &provider));
    assert_ok(rig_job_generate(&j, &requester, &provider, count));
    assert_ok(rig_job_close(&j, &requester, &provider, &id));
    rig_job_opening(&j, &o);
    assert_ok(ledger_opening_put(&requester.ledger, &j.hash, &o, rig_now));
    assert_ok(ledger_bundle(&requester.ledger, &j.hash, true, buf, CAP, &bytes));
    assert_ok(bundle_decode(bytes, &b));
    return b;
}

static void an_ending_must_show_in_the_tokens(void **state)
{
    (void)state;
    static uint8_t buf[CAP];
    struct bundle b = decode();                            /* 70 of 512 tokens, no stop token: it just ends */
    assert_int_equal(ending(b, REASON_STOP), CHECK_FAILED);
    assert_int_equal(ending(b, REASON_LENGTH), CHECK_FAILED);
    assert_int_equal(ending(b, REASON_NONE), CHECK_FAILED);
    assert_int_equal(ending(b, REASON_SATISFIED), CHECK_PASSED);
    b.has_opening = false;                                 /* of tokens not shown only the count is known */
    assert_int_equal(ending(b, REASON_STOP), CHECK_ABSENT);
    assert_int_equal(ending(b, REASON_LENGTH), CHECK_FAILED);

    b = bundle_of(100, 40, 39, 512, buf);                  /* ends with a stop token */
    assert_int_equal(ending(b, REASON_STOP), CHECK_PASSED);
    assert_int_equal(ending(b, REASON_LENGTH), CHECK_FAILED);
    b = bundle_of(101, 40, 38, 512, buf);                  /* one token after it: paid for, and asked for by nobody */
    assert_int_equal(ending(b, REASON_STOP), CHECK_FAILED);
    assert_int_equal(ending(b, REASON_SATISFIED), CHECK_FAILED);
    b = bundle_of(102, 40, 45, 40, buf);                   /* the agreed length */
    assert_int_equal(ending(b, REASON_LENGTH), CHECK_PASSED);
    assert_int_equal(ending(b, REASON_STOP), CHECK_FAILED);
    b.has_opening = false;
    assert_int_equal(ending(b, REASON_LENGTH), CHECK_PASSED);

    uint8_t note[NOTE_BYTES_MAX];
    struct bundle_report r;
    b = decode();
    b.note_count = 1;                                      /* who does not say "complete" need not show it */
    sign_note(&b, 0, SIDE_REQUESTER, OUTCOME_PARTIAL, REASON_ENDING, note);
    assert_ok(bundle_check(&b, &requester.net, &r));
}

/* ---- certificates ---- */

static void certificates_travel_with_the_job(void **state)
{
    (void)state;
    static uint8_t buf[CAP];
    struct bytes bytes;
    struct bundle b;
    struct bundle_report r;
    struct cert c, back;
    char why[160];
    assert_err(ledger_cert_find(&provider.ledger, &provider.self, &c), ERR_NOT_FOUND);
    assert_ok(ledger_bundle(&provider.ledger, &job.hash, false, buf, CAP, &bytes));
    assert_ok(bundle_decode(bytes, &b));
    assert_true(!b.has_requester_cert && !b.has_provider_cert);
    cert_issue(&owner.key, &owner.net, &provider.self, job.terms.stated_s + 5, &c);
    assert_ok(ledger_cert_keep(&provider.ledger, &c));
    assert_ok(store_commit(provider.store));
    assert_ok(ledger_cert_keep(&provider.ledger, &c));
    assert_false(provider.store->dirty);                   /* known already: nothing is written */
    cert_issue(&owner.key, &owner.net, &provider.self, job.terms.stated_s + 9, &c);
    assert_ok(ledger_cert_keep(&provider.ledger, &c));     /* renewed */
    assert_ok(ledger_cert_find(&provider.ledger, &provider.self, &back));
    assert_int_equal(back.not_after_s, job.terms.stated_s + 9);
    assert_ok(ledger_bundle(&provider.ledger, &job.hash, false, buf, CAP, &bytes));
    assert_ok(bundle_decode(bytes, &b));
    assert_true(!b.has_requester_cert && b.has_provider_cert);
    assert_ok(bundle_check(&b, &requester.net, &r));
    assert_true(pubkey_equal(&b.provider_cert.owner, &owner.self));
    assert_ok(ledger_check(&provider.ledger, why));
    cert_issue(&owner.key, &owner.net, &provider.self, job.terms.stated_s - 1, &c);
    assert_ok(ledger_cert_keep(&provider.ledger, &c));     /* had run out before these terms: not theirs */
    assert_ok(ledger_bundle(&provider.ledger, &job.hash, false, buf, CAP, &bytes));
    assert_ok(bundle_decode(bytes, &b));
    assert_true(!b.has_provider_cert);
    assert_ok(bundle_check(&b, &requester.net, &r));
    c.owner_sig.b[3] ^= 1;
    assert_ok(ledger_cert_keep(&provider.ledger, &c));
    assert_err(ledger_check(&provider.ledger, why), ERR_CORRUPT);
    c.owner_sig.b[3] ^= 1;
    assert_ok(ledger_cert_keep(&provider.ledger, &c));
    assert_ok(ledger_check(&provider.ledger, why));
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
        if (bundle_decode(bytes_of(buf, honest.len), &b) == OK && i % 3 == 0 && bundle_check(&b, &requester.net, &r) == OK)
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
        cmocka_unit_test(what_is_stripped_proves_no_more),
        cmocka_unit_test(invented_digests_accuse_nobody),
        cmocka_unit_test(an_ending_must_show_in_the_tokens),
        cmocka_unit_test(certificates_travel_with_the_job),
        cmocka_unit_test(no_byte_can_change_unseen),
    };
    return cmocka_run_group_tests(tests, make_bundle, drop_parties);
}
