/* test_bootstrap.c - the string that people hand to each other, and what strangers might hand them instead. */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "crypto/bootstrap.h"

#define KEY "00fdf5672504a1f74e1e81e4c772c03def0136e864d2a84622887a68c7e71578"
#define NET "fa2e2d92018b7e31"
#define TAIL "/" KEY "?net=" NET

static void good_strings_round_trip(void **state)
{
    (void)state;
    static const struct { const char *text, *host; uint16_t port; } rows[] = {
        { "tally://node.example.org:7311" TAIL, "node.example.org", 7311 },
        { "tally://127.0.0.1:1" TAIL, "127.0.0.1", 1 },
        { "tally://255.255.255.255:65535" TAIL, "255.255.255.255", 65535 },
        { "tally://[::1]:7311" TAIL, "::1", 7311 },
        { "tally://[2001:db8::7]:80" TAIL, "2001:db8::7", 80 },
        { "tally://[::ffff:10.0.0.1]:80" TAIL, "::ffff:10.0.0.1", 80 },
        { "tally://localhost:7311" TAIL, "localhost", 7311 },
        { "tally://7pi.local:7311" TAIL, "7pi.local", 7311 },
        { "tally://xn--zrich-kva.ch:7311" TAIL, "xn--zrich-kva.ch", 7311 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bootstrap b;
        char text[BOOTSTRAP_CHARS_MAX + 1];
        assert_ok(bootstrap_parse(rows[i].text, &b));
        assert_string_equal(b.host, rows[i].host);
        assert_int_equal(b.port, rows[i].port);
        assert_int_equal(b.transport.b[1], 0xfd);
        assert_int_equal(b.net.b[7], 0x31);
        bootstrap_format(&b, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void upper_case_hex_is_read(void **state)
{
    (void)state;
    struct bootstrap b;
    assert_ok(bootstrap_parse("tally://h:1/00FDF5672504A1F74E1E81E4C772C03DEF0136E864D2A84622887A68C7E71578"
                              "?net=FA2E2D92018B7E31", &b));
    assert_int_equal(b.transport.b[1], 0xfd);
}

static void everything_else_is_malformed(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "tally", "tally://", "tally:/h:1" TAIL, "TALLY://h:1" TAIL, " tally://h:1" TAIL, "http://h:1" TAIL,
        "tally://h:1" TAIL " ", "tally://h:1" TAIL "\n", "tally://h:1" TAIL "&x=1", "tally://h:1" TAIL "/",
        "tally://:1" TAIL, "tally://h" TAIL, "tally://h:" TAIL, "tally://h:0" TAIL, "tally://h:65536" TAIL,
        "tally://h:99999999999999999999" TAIL, "tally://h:07311" TAIL, "tally://h:+1" TAIL, "tally://h:-1" TAIL,
        "tally://h: 1" TAIL, "tally://h:1 " TAIL, "tally://h:0x1" TAIL, "tally://h:*" TAIL, "tally://h:1:2" TAIL,
        "tally://h:1;" TAIL, "tally://h:1;tcp" TAIL,
        "tally://h;x:1" TAIL, "tally://h x:1" TAIL, "tally://u@h:1" TAIL, "tally://h\n:1" TAIL, "tally://*:1" TAIL,
        "tally://h/x:1" TAIL, "tally://h?x:1" TAIL, "tally://h#x:1" TAIL, "tally://h%x:1" TAIL, "tally://h_x:1" TAIL,
        "tally://h,x:1" TAIL, "tally://-h:1" TAIL, "tally://h-:1" TAIL, "tally://h..x:1" TAIL, "tally://.h:1" TAIL,
        "tally://h.:1" TAIL, "tally://z\xc3\xbcrich.ch:1" TAIL,
        "tally://1.2.3:1" TAIL, "tally://256.1.1.1:1" TAIL, "tally://1.2.3.4.5:1" TAIL, "tally://01.2.3.4:1" TAIL,
        "tally://127.1:1" TAIL, "tally://2130706433:1" TAIL, "tally://0x7f.1:1" TAIL, "tally://0x7f000001:1" TAIL,
        "tally://::1:1" TAIL, "tally://[::1:1" TAIL, "tally://::1]:1" TAIL, "tally://[::1]1" TAIL, "tally://[]:1" TAIL,
        "tally://[h]:1" TAIL, "tally://[1.2.3.4]:1" TAIL, "tally://[fe80::1%eth0]:1" TAIL, "tally://[::1]]:1" TAIL,
        "tally://[[::1]]:1" TAIL, "tally://[::1];:1" TAIL,
        "tally://h:1/" KEY, "tally://h:1/" KEY "?", "tally://h:1/" KEY "?net=", "tally://h:1/" KEY "?Net=" NET,
        "tally://h:1/" KEY "?net=" NET "0", "tally://h:1/" KEY "?net=fa2e2d92018b7e3", "tally://h:1/" KEY "?net=fa2e2d92018b7e3g",
        "tally://h:1/" KEY "0?net=" NET, "tally://h:1/0?net=" NET, "tally://h:1/?net=" NET, "tally://h:1//" KEY "?net=" NET,
        "tally://h:1?net=" NET, "tally://h:1/" KEY "&net=" NET, "tally://h:1/" KEY " ?net=" NET,
    };
    struct bootstrap b, before;
    memset(&b, 0x5a, sizeof b);
    before = b;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (bootstrap_parse(rows[i], &b) != ERR_FORMAT)
            fail_msg("accepted: %s", rows[i]);
    assert_memory_equal(&b, &before, sizeof b);
}

static void long_strings_are_malformed(void **state)
{
    (void)state;
    static char text[4000];
    struct bootstrap b;
    memset(text, 'a', sizeof text - 1);
    assert_err(bootstrap_parse(text, &b), ERR_FORMAT);
    memcpy(text, "tally://", 8);
    assert_err(bootstrap_parse(text, &b), ERR_FORMAT);
}

static void hosts_are_names_or_addresses(void **state)
{
    (void)state;
    static const struct { const char *host; bool ok; } rows[] = {
        { "a", true }, { "a.b", true }, { "A-1.b", true }, { "1a", true }, { "0xyz.com", true }, { "1.2.3.com", true },
        { "1.2.3.4", true }, { "0.0.0.0", true }, { "1.2.3.04", false }, { "1.2.3.256", false }, { "1.2.3.", false },
        { "a.1", false }, { "a.0x1", false }, { "1", false }, { "a.b.", false }, { "", false }, { ".", false }, { "-", false },
        { "::", true }, { "::1", true }, { "1::", true }, { "1:2:3:4:5:6:7:8", true }, { "1:2:3:4:5:6:7::", true },
        { "::2:3:4:5:6:7:8", true }, { "1:2:3::8", true }, { "1:2:3:4:5:6:1.2.3.4", true }, { "::1.2.3.4", true },
        { "abcd:EF01::", true }, { "::ffff:1.2.3.4", true },
        { ":", false }, { ":::", false }, { "1:::2", false }, { "1::2::3", false }, { "1:2:3:4:5:6:7", false },
        { "1:2:3:4:5:6:7:8:9", false }, { "1:2:3:4:5:6:7:8::", false }, { "::1:2:3:4:5:6:7:8", false }, { "12345::", false },
        { "g::", false }, { "1:", false }, { ":1", false }, { "1:2:3:4:5:6:7:1.2.3.4", false }, { "1.2.3.4::", false },
        { "::1.2.3", false }, { "::1.2.3.4:5", false }, { "::1%lo", false }, { "[::1]", false }, { "::1;", false },
        { "a b", false }, { "a;b", false }, { "a@b", false }, { "a\nb", false }, { "a\tb", false }, { "a/b", false },
        { "*", false },
        { "a_b", false }, { "a:1", false }, { "tcp://a", false }, { "\xc3\xbc", false }, { "a\x7f", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (host_is_valid(rows[i].host) != rows[i].ok)
            fail_msg("%s: expected %d", rows[i].host, rows[i].ok);
}

static void host_sizes_are_bounded(void **state)
{
    (void)state;
    char host[HOST_CHARS_MAX + 2];
    memset(host, 'a', sizeof host);
    host[63] = '\0';
    assert_true(host_is_valid(host));
    host[63] = 'a';
    host[64] = '\0';
    assert_false(host_is_valid(host));                         /* a label of 64 */
    memset(host, 'a', sizeof host);
    for (size_t i = 63; i < HOST_CHARS_MAX; i += 64)
        host[i] = '.';
    host[HOST_CHARS_MAX] = '\0';
    assert_true(host_is_valid(host));                          /* 253 */

    struct bootstrap b = { .port = 65535 }, back;              /* the longest string fits its buffer */
    char text[BOOTSTRAP_CHARS_MAX + 1];
    memcpy(b.host, host, sizeof b.host);
    bootstrap_format(&b, text);
    assert_ok(bootstrap_parse(text, &back));
    assert_string_equal(back.host, b.host);

    host[HOST_CHARS_MAX] = 'a';
    host[HOST_CHARS_MAX + 1] = '\0';
    assert_false(host_is_valid(host));                         /* 254 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_strings_round_trip),
        cmocka_unit_test(upper_case_hex_is_read),
        cmocka_unit_test(everything_else_is_malformed),
        cmocka_unit_test(long_strings_are_malformed),
        cmocka_unit_test(hosts_are_names_or_addresses),
        cmocka_unit_test(host_sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
