/* test_market_messages.c - offers, bids and job messages as bytes: golden vectors, limits, tampering, the rule of limits.
 *
 * `test_market_messages write` prints tests/vectors/market.txt anew; a difference is a change of format.
 * `test_market_messages corpus DIR` writes the samples as fuzz corpora.
 */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "crypto/hex.h"
#include "tests/agent/messages.h"

enum { LINE_CHARS_MAX = 4096 };

static void the_bytes_are_what_they_always_were(void **state)
{
    (void)state;
    static char line[LINE_CHARS_MAX], hex[LINE_CHARS_MAX];
    FILE *f = fopen("tests/vectors/market.txt", "r");
    int m = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, ' ');
        assert_non_null(value);
        *value++ = '\0';
        assert_true(m < MESSAGE_COUNT);
        assert_string_equal(line, message_label((enum message)m));
        hex_format(message_sample((enum message)m, false), hex);
        assert_string_equal(hex, value);
        m++;
    }
    fclose(f);
    assert_int_equal(m, MESSAGE_COUNT);
}

static void what_is_encoded_decodes_to_itself(void **state)
{
    (void)state;
    for (int m = 0; m < MESSAGE_COUNT; m++)
        for (int most = 0; most < 2; most++) {
            struct bytes in = message_sample((enum message)m, most), out;
            assert_true(in.len <= message_bytes_max((enum message)m));
            assert_ok(message_again((enum message)m, in, &out));
            assert_true(bytes_equal(in, out));
        }
}

/* Every shorter message and every longer one is refused. */
static void nothing_missing_nothing_left_over(void **state)
{
    (void)state;
    static uint8_t copy[4096];
    for (int m = 0; m < MESSAGE_COUNT; m++) {
        struct bytes in = message_sample((enum message)m, false), out;
        memcpy(copy, in.data, in.len);
        copy[in.len] = 0;
        for (size_t len = 0; len < in.len; len++)
            assert_true(message_again((enum message)m, bytes_of(copy, len), &out) != OK);
        assert_err(message_again((enum message)m, bytes_of(copy, in.len + 1), &out), ERR_ENCODING);
    }
}

/* Any bit of a signed offer or bid changed: refused in form or in signature. */
static void a_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct key_seed seed = { { 9 } };
    struct secret_key key;
    struct pubkey public;
    struct net_id net = net_id_of("test");
    uint8_t body[OFFER_BYTES_MAX], message[SIGNED_BYTES_MAX];
    assert_ok(crypto_start());
    key_from_seed(&seed, &key, &public);
    struct bytes sample = message_sample(MESSAGE_offer, true), wire;
    memcpy(body, sample.data, sample.len);
    struct signed_msg m = { .body = bytes_of(body, sample.len) }, got;
    key_sign(&key, PURPOSE_OFFER, &net, m.body, &m.sig);
    assert_ok(signed_msg_encode(&m, message, &wire));
    assert_ok(signed_msg_decode(wire, &got));
    assert_ok(key_verify(&public, PURPOSE_OFFER, &net, got.body, &got.sig));
    assert_err(key_verify(&public, PURPOSE_BID, &net, got.body, &got.sig), ERR_SIGNATURE);
    for (size_t bit = 0; bit < wire.len * 8; bit++) {
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum err e = signed_msg_decode(wire, &got);
        if (e == OK)
            e = key_verify(&public, PURPOSE_OFFER, &net, got.body, &got.sig);
        assert_true(e != OK);
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    key_fini(&key);
}

/* As offer_encode() without its conscience: what a peer may send. */
static struct bytes offer_anyhow(const struct offer *o, const char *jurisdictions)
{
    static uint8_t buf[OFFER_BYTES_MAX];
    struct writer w;
    struct bytes v;
    writer_init(&w, buf, sizeof buf);
    write_array(&w, 17);
    write_uint(&w, OFFER_VERSION);
    write_bin(&w, bytes_of(o->id, sizeof o->id));
    write_hash(&w, &o->model);
    write_pubkey(&w, &o->requester);
    write_hash(&w, &o->commitment);
    const uint64_t fields[] = { o->prompt_count, o->cached_hint, o->output_max, o->class, o->limits.price_input_max, o->limits.price_output_max, 0 };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        write_uint(&w, fields[i]);
    write_bin(&w, bytes_text(jurisdictions));
    write_uint(&w, 0);
    write_uint(&w, 0);
    write_bin(&w, bytes_of(NULL, 0));
    write_uint(&w, o->ttl_ms);
    assert_ok(writer_finish(&w, &v));
    return v;
}

/* The decoder refuses it with `e`, and the encoder does not make it. */
static void assert_senseless(const struct offer *o, enum err e)
{
    struct offer got;
    uint8_t buf[OFFER_BYTES_MAX];
    struct bytes v;
    assert_err(offer_decode(offer_anyhow(o, "DE"), &got), e);
    assert_err(offer_encode(o, buf, &v), ERR_ARG);
}

static void senseless_fields_are_refused(void **state)
{
    (void)state;
    struct offer good, o;
    struct bytes v;
    uint8_t buf[OFFER_BYTES_MAX];
    assert_ok(offer_decode(message_sample(MESSAGE_offer, false), &good));
    assert_ok(offer_decode(offer_anyhow(&good, "DEFR"), &o));
    o = good, o.prompt_count = 0;
    assert_senseless(&o, ERR_ARG);
    o = good, o.output_max = 0;
    assert_senseless(&o, ERR_ARG);
    o = good, o.cached_hint = o.prompt_count + 1;
    assert_senseless(&o, ERR_ARG);
    o = good, o.prompt_count = PROMPT_TOKENS_MAX + 1;
    assert_senseless(&o, ERR_OVERFLOW);
    o = good, o.output_max = OUTPUT_TOKENS_MAX + 1;
    assert_senseless(&o, ERR_OVERFLOW);
    o = good, o.class = (enum latency_class)2;
    assert_senseless(&o, ERR_OVERFLOW);
    o = good, o.limits.price_input_max = (uint64_t)PRICE_MAX + 1;
    assert_senseless(&o, ERR_OVERFLOW);
    o = good, o.limits.price_output_max = (uint64_t)PRICE_MAX + 1;
    assert_senseless(&o, ERR_OVERFLOW);
    o = good, o.ttl_ms = GOSSIP_AGE_MS_MAX + 1;
    assert_senseless(&o, ERR_OVERFLOW);
    assert_err(offer_decode(offer_anyhow(&good, "DEfr"), &o), ERR_ENCODING);
    o = good, memcpy(o.limits.jurisdictions[1], "fr", 2);
    assert_err(offer_encode(&o, buf, &v), ERR_ARG);

    struct bid fair, b;
    assert_ok(bid_decode(message_sample(MESSAGE_bid, false), &fair));
    uint64_t *prices[] = { &b.price_input, &b.price_cached, &b.price_output };
    for (size_t i = 0; i < ARRAY_COUNT(prices); i++) {
        b = fair, *prices[i] = (uint64_t)PRICE_MAX + 1;
        assert_err(bid_encode(&b, buf, &v), ERR_ARG);
    }
    b = fair, b.tier = 3;
    assert_err(bid_encode(&b, buf, &v), ERR_ARG);
    b = fair, b.reservation_ms = GOSSIP_AGE_MS_MAX + 1;
    assert_err(bid_encode(&b, buf, &v), ERR_ARG);
    b = fair, memcpy(b.jurisdiction, "d", 2);
    assert_err(bid_encode(&b, buf, &v), ERR_ARG);

    struct decline d = { .reason = DECLINE_MODEL };
    uint8_t small[DECLINE_BYTES_MAX];
    assert_ok(decline_encode(&d, small, &v));
    small[v.len - 3] = DECLINE_NONE;                       /* reason, limit, have: a byte each */
    assert_err(decline_decode(v, &d), ERR_ARG);
    d.reason = DECLINE_NONE;
    assert_err(decline_encode(&d, small, &v), ERR_ARG);
    d.reason = DECLINE_COUNT;
    assert_err(decline_encode(&d, small, &v), ERR_ARG);

    struct header_part_msg p = { .offset = 10, .total = 20, .part = bytes_of(buf, 11) };
    assert_ok(header_part_encode(&p, buf, sizeof buf, &v));
    assert_err(header_part_decode(v, &p), ERR_ARG);
    static uint8_t large[HEADER_PART_MSG_BYTES_MAX], bytes[HEADER_PART_BYTES];
    static const struct { uint32_t offset, total; size_t len; enum err err; } parts[] = {    /* all there is, or as much as fits */
        { 0, 0, 0, OK }, { 0, 20, 20, OK }, { 0, 20, 19, ERR_ARG }, { 0, 20, 1, ERR_ARG }, { 0, 20, 0, ERR_ARG }, { 10, 20, 10, OK },
        { 0, 2 * HEADER_PART_BYTES, HEADER_PART_BYTES, OK }, { 0, 2 * HEADER_PART_BYTES, HEADER_PART_BYTES - 1, ERR_ARG },
        { 0, HEADER_PART_BYTES + 1, 1, ERR_ARG }, { HEADER_PART_BYTES, HEADER_PART_BYTES + 1, 1, OK },
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        p = (struct header_part_msg){ .offset = parts[i].offset, .total = parts[i].total, .part = bytes_of(bytes, parts[i].len) };
        assert_ok(header_part_encode(&p, large, sizeof large, &v));
        assert_err(header_part_decode(v, &p), parts[i].err);
    }

    struct chunk_msg c = { .count = 0 };
    assert_ok(chunk_msg_encode(&c, buf, sizeof buf, &v));
    assert_err(chunk_msg_decode(v, &c), ERR_ARG);
}

static void limits_name_the_first_that_fails(void **state)
{
    (void)state;
    struct pubkey owner = { { 1 } }, other = { { 2 } };
    struct request_limits l = { .price_input_max = 10, .price_output_max = 20, .jurisdictions = { "DE", "FR" }, .tiers = 1u << 1,
                                .energy_mj_per_1k_max = 5, .owner = owner, .has_owner = true };
    struct placement good = { 10, 20, "FR", 1, 5, &owner }, p;
    uint64_t have, limit;
    assert_int_equal(limits_check(&l, &good, &have, &limit), DECLINE_NONE);
    p = good, p.price_input = 11;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_PRICE_INPUT);
    assert_true(have == 11 && limit == 10);
    p = good, p.price_output = 21;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_PRICE_OUTPUT);
    p = good, memcpy(p.jurisdiction, "US", 2);
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_JURISDICTION);
    p = good, memset(p.jurisdiction, 0, 2);
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_JURISDICTION);
    p = good, p.tier = 0;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_TIER);
    p = good, p.energy_mj_per_1k = 0;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_ENERGY);
    p = good, p.energy_mj_per_1k = 6;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_ENERGY);
    p = good, p.owner = NULL;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_OWNER);
    p.owner = &other;
    assert_int_equal(limits_check(&l, &p, &have, &limit), DECLINE_OWNER);
    struct request_limits any = { .price_input_max = 0 };
    p = (struct placement){ PRICE_MAX, PRICE_MAX, "", 2, 0, NULL };
    assert_int_equal(limits_check(&any, &p, &have, &limit), DECLINE_NONE);
}

static void every_refusal_has_a_text(void **state)
{
    (void)state;
    for (int r = 1; r < DECLINE_COUNT; r++) {
        assert_true(strlen(decline_text((enum decline_reason)r)) > 5);
        assert_true(decline_err((enum decline_reason)r) != OK);
        assert_non_null(decline_unit((enum decline_reason)r));
        assert_true(decline_book_reason((enum decline_reason)r) != REASON_NONE);
        for (int other = 1; other < r; other++)
            assert_string_not_equal(decline_text((enum decline_reason)r), decline_text((enum decline_reason)other));
    }
    assert_true(strlen(decline_text((enum decline_reason)999)) > 5);
    assert_int_equal(decline_book_reason((enum decline_reason)999), REASON_TERMS);
}

/* What the config and the command line take is what a refusal says. */
static void amounts_of_a_refusal_are_for_people(void **state)
{
    static const struct { enum decline_reason r; uint64_t v; const char *amount, *unit; } table[] = {
        { DECLINE_PRICE_OUTPUT, 240000, "0.24", "credits per million tokens" }, { DECLINE_PRICE_INPUT, 1, "0.000001", "credits per million tokens" },
        { DECLINE_PRICE_INPUT, 3000000, "3", "credits per million tokens" }, { DECLINE_PRICE_OUTPUT, UINT64_MAX, "18446744073709.551615", "credits per million tokens" },
        { DECLINE_BUDGET, 750000, "0.00000075", "credits" }, { DECLINE_CREDIT_REQUESTER, UINT64_MAX, "18446744.073709551615", "credits" },
        { DECLINE_CREDIT_NEWCOMERS, 0, "0", "credits" }, { DECLINE_CONTEXT, 1200, "1200", "tokens" }, { DECLINE_FIRST_TOKEN, UINT64_MAX, "18446744073709551615", "ms" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        char text[AMOUNT_CHARS_MAX + 1];
        decline_amount(table[i].r, table[i].v, text);
        assert_string_equal(text, table[i].amount);
        assert_string_equal(decline_unit(table[i].r), table[i].unit);
    }
}

static int write_all(void)
{
    static char hex[LINE_CHARS_MAX];
    printf("# Messages of the market and of jobs (docs/protocol-market.md), one sample each: tests/agent/messages.c.\n");
    for (int m = 0; m < MESSAGE_COUNT; m++) {
        hex_format(message_sample((enum message)m, false), hex);
        printf("%s %s\n", message_label((enum message)m), hex);
    }
    return 0;
}

static int write_corpus(const char *dir)
{
    for (int m = 0; m < MESSAGE_COUNT; m++) {
        const char *target = m == MESSAGE_offer ? "offer" : m == MESSAGE_bid ? "bid" : m == MESSAGE_terms_msg || m == MESSAGE_prompt_msg ? "terms_msg" : "job";
        struct bytes b = message_sample((enum message)m, false);
        char path[512];
        snprintf(path, sizeof path, "%s/%s/%s.bin", dir, target, message_label((enum message)m));
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(b.data, 1, b.len, f) != b.len || fclose(f) != 0)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "write") == 0)
        return write_all();
    if (argc == 3 && strcmp(argv[1], "corpus") == 0)
        return write_corpus(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_what_they_always_were),
        cmocka_unit_test(what_is_encoded_decodes_to_itself),
        cmocka_unit_test(nothing_missing_nothing_left_over),
        cmocka_unit_test(a_changed_bit_is_noticed),
        cmocka_unit_test(senseless_fields_are_refused),
        cmocka_unit_test(limits_name_the_first_that_fails),
        cmocka_unit_test(every_refusal_has_a_text), cmocka_unit_test(amounts_of_a_refusal_are_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
