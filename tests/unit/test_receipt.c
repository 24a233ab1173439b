/* test_receipt.c - receipts and notes as bytes: links, totals, and no byte that can change unseen. */
#include "tests/test.h"

#include <string.h>

#include "ledger/note.h"
#include "tests/ledger_rig.h"

static struct party requester, provider;
static struct receipt first, second;
static struct hash first_id;

/* Two receipts as a real channel makes them. */
static int make_receipts(void **state)
{
    (void)state;
    static struct rig_job j;
    struct hash id;
    struct receipt_view v;
    party_init(&requester, 1);
    party_init(&provider, 2);
    assert_ok(party_open(&requester));
    assert_ok(party_open(&provider));
    assert_ok(rig_job_whole(&j, &requester, &provider, 1, 40, &first_id));
    assert_ok(rig_job_whole(&j, &requester, &provider, 2, 50, &id));
    assert_ok(ledger_receipt_find(&requester.ledger, &first_id, &v));
    first = v.receipt;
    assert_ok(ledger_receipt_find(&requester.ledger, &id, &v));
    second = v.receipt;
    return 0;
}

static int drop_parties(void **state)
{
    (void)state;
    party_fini(&requester);
    party_fini(&provider);
    return 0;
}

static void links_hold_and_breaks_have_names(void **state)
{
    (void)state;
    struct receipt r;
    assert_ok(receipt_check_link(&first, NULL, NULL));
    assert_ok(receipt_check_link(&second, &first, &first_id));
#define BROKEN(change, expected)                                                                                       \
    do {                                                                                                               \
        r = second;                                                                                                    \
        change;                                                                                                        \
        assert_err(receipt_check_link(&r, &first, &first_id), expected);                                               \
    } while (0)
    BROKEN(r.seq = 3, ERR_CHAIN);
    BROKEN(r.seq = 0, ERR_CHAIN);
    BROKEN(r.previous.b[0] ^= 1, ERR_CHAIN);
    BROKEN(r.channel.b[0] ^= 1, ERR_MISMATCH);
    BROKEN(r.owed.v++, ERR_MISMATCH);
    BROKEN(r.owed.v = r.cost.v - 1, ERR_MISMATCH);
    BROKEN(r.settled.v = 1, ERR_MISMATCH);
    BROKEN(r.parent = first_id, ERR_MISMATCH);             /* continues something from nowhere */
    BROKEN((r.cost.v = UINT64_MAX, r.owed.v = UINT64_MAX), ERR_OVERFLOW);
    assert_err(receipt_check_link(&second, NULL, NULL), ERR_CHAIN);
    r = first;
    r.settled.v = 1;
    assert_err(receipt_check_link(&r, NULL, NULL), ERR_CHAIN);
}

static void no_bit_can_change_unseen(void **state)
{
    (void)state;
    uint8_t buf[RECEIPT_BODY_BYTES_MAX];
    struct bytes body;
    struct sig s;
    struct receipt r;
    assert_ok(receipt_encode(&second, buf, &body));
    print_message("receipt body: %zu bytes\n", body.len);
    receipt_sign(&provider.key, SIDE_PROVIDER, &provider.net, body, &s);
    assert_ok(receipt_verify(&second, &provider.self, SIDE_PROVIDER, body, &s));
    assert_err(receipt_verify(&second, &provider.self, SIDE_REQUESTER, body, &s), ERR_SIGNATURE);
    struct hash id = receipt_id(body), other;
    for (size_t bit = 0; bit < body.len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        other = receipt_id(body);
        assert_false(hash_equal(&id, &other));
        if (receipt_decode(body, &r) == OK && bit % 4 == 0)
            assert_err(receipt_verify(&r, &provider.self, SIDE_PROVIDER, body, &s), ERR_SIGNATURE);
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t len = 0; len < body.len; len++)
        assert_true(receipt_decode(bytes_of(buf, len), &r) != OK);
    buf[3] = 2;
    assert_err(receipt_decode(body, &r), ERR_VERSION);
}

static void the_largest_receipt_fits(void **state)
{
    (void)state;
    struct receipt r = second;
    uint8_t buf[RECEIPT_BODY_BYTES_MAX];
    struct bytes body;
    r.seq = UINT64_MAX;
    r.tokens = (struct tokens){ UINT64_MAX, UINT64_MAX, UINT64_MAX };
    r.cost.v = r.owed.v = r.settled.v = r.output_offset = UINT64_MAX;
    r.parent = first_id;
    assert_ok(receipt_encode(&r, buf, &body));
    print_message("largest receipt body: %zu of %d bytes\n", body.len, RECEIPT_BODY_BYTES_MAX);
}

static void notes_are_one_sides_word(void **state)
{
    (void)state;
    static struct rig_job j;
    rig_job_init(&j, &requester, &provider, 1);
    struct note n = { .subject = first_id, .by = SIDE_PROVIDER, .fault = SIDE_REQUESTER, .outcome = OUTCOME_PARTIAL, .reason = REASON_NO_ACK }, m;
    uint8_t buf[NOTE_BYTES_MAX];
    struct bytes body;
    struct sig s;
    assert_ok(note_encode(&n, buf, &body));
    note_sign(&provider.key, &provider.net, body, &s);
    assert_ok(note_verify(&n, &j.terms, body, &s));
    assert_ok(note_decode(body, &m));
    assert_true(m.by == n.by && m.fault == n.fault && m.outcome == n.outcome && m.reason == n.reason);
    m = n;
    m.by = SIDE_REQUESTER;                                 /* the provider may not speak for the requester */
    assert_err(note_verify(&m, &j.terms, body, &s), ERR_SIGNATURE);
    for (size_t bit = 0; bit < body.len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (note_decode(body, &m) == OK)
            assert_err(note_verify(&m, &j.terms, body, &s), ERR_SIGNATURE);
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    n.outcome = OUTCOME_NONE;
    assert_err(note_encode(&n, buf, &body), ERR_ARG);
    for (int o = 0; o < OUTCOME_COUNT; o++)
        assert_true(strlen(outcome_text((enum outcome)o)) > 0);
    for (int r = 0; r < REASON_COUNT; r++)
        assert_true(strlen(reason_text((enum reason)r)) > 0);
    assert_string_equal(side_text(SIDE_PROVIDER), "provider");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_hold_and_breaks_have_names),
        cmocka_unit_test(no_bit_can_change_unseen),
        cmocka_unit_test(the_largest_receipt_fits),
        cmocka_unit_test(notes_are_one_sides_word),
    };
    return cmocka_run_group_tests(tests, make_receipts, drop_parties);
}
