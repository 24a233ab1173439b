/* test_codec.c - canonical msgpack: golden bytes, every refused form, and msgpack-c's own unpacker as the oracle. */
#include "tests/test.h"

#include <msgpack.h>
#include <string.h>

#include "crypto/codec.h"
#include "crypto/hex.h"

enum { BUF_BYTES = 70000 };

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    assert_ok(hex_parse(bytes_text(text), out, len));
    return len;
}

static void assert_written(const struct writer *w, const char *hex)
{
    struct bytes b;
    char text[1024];
    assert_ok(writer_finish(w, &b));
    assert_true(2 * b.len < sizeof text);
    hex_format(b, text);
    assert_string_equal(text, hex);
}

/* PROTO 2.1's worked example: array(4) [1, 300, "tally", array(2) [0, 2^32]]. */
static void worked_example(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct writer w;
    struct reader r;
    struct bytes b;
    char text[8];
    writer_init(&w, buf, sizeof buf);
    write_array(&w, 4);
    write_uint(&w, 1);
    write_uint(&w, 300);
    write_text(&w, "tally");
    write_array(&w, 2);
    write_uint(&w, 0);
    write_uint(&w, 1ull << 32);
    assert_written(&w, "94" "01" "cd012c" "c40574616c6c79" "92" "00" "cf0000000100000000");

    assert_ok(writer_finish(&w, &b));
    reader_init(&r, b);
    read_array(&r, 4);
    assert_true(read_uint(&r, 1) == 1);
    assert_true(read_uint(&r, 300) == 300);
    read_text(&r, text, sizeof text);
    assert_string_equal(text, "tally");
    assert_int_equal(read_array_max(&r, 2), 2);
    assert_true(read_uint(&r, 0) == 0);
    assert_true(read_uint(&r, UINT64_MAX) == 1ull << 32);
    assert_ok(reader_finish(&r));
}

static void uints_are_shortest_at_every_edge(void **state)
{
    (void)state;
    static const struct { uint64_t v; const char *hex; } rows[] = {
        { 0, "00" },
        { 127, "7f" },
        { 128, "cc80" },
        { 255, "ccff" },
        { 256, "cd0100" },
        { 65535, "cdffff" },
        { 65536, "ce00010000" },
        { UINT32_MAX, "ceffffffff" },
        { 1ull + UINT32_MAX, "cf0000000100000000" },
        { UINT64_MAX, "cfffffffffffffffff" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t buf[9];
        struct writer w;
        struct reader r;
        struct bytes b;
        writer_init(&w, buf, sizeof buf);
        write_uint(&w, rows[i].v);
        assert_written(&w, rows[i].hex);
        assert_ok(writer_finish(&w, &b));
        reader_init(&r, b);
        assert_true(read_uint(&r, rows[i].v) == rows[i].v);
        assert_ok(reader_finish(&r));
        if (rows[i].v > 0) {
            reader_init(&r, b);
            assert_true(read_uint(&r, rows[i].v - 1) == 0);
            assert_err(reader_finish(&r), ERR_OVERFLOW);
        }
    }
}

static void lengths_are_shortest_at_every_edge(void **state)
{
    (void)state;
    static const struct { size_t len; const char *head; } rows[] = {
        { 0, "c400" }, { 1, "c401" }, { 255, "c4ff" }, { 256, "c50100" }, { 65535, "c5ffff" }, { 65536, "c600010000" },
    };
    static uint8_t buf[BUF_BYTES], payload[65536];
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct writer w;
        struct reader r;
        struct bytes b, back;
        uint8_t head[8];
        size_t head_len = unhex(rows[i].head, head);
        writer_init(&w, buf, sizeof buf);
        write_bin(&w, bytes_of(payload, rows[i].len));
        assert_ok(writer_finish(&w, &b));
        assert_int_equal(b.len, head_len + rows[i].len);
        assert_memory_equal(b.data, head, head_len);
        reader_init(&r, b);
        back = read_bin(&r, rows[i].len, rows[i].len);
        assert_ok(reader_finish(&r));
        assert_true(bytes_equal(back, bytes_of(payload, rows[i].len)));
    }
}

static void arrays_are_shortest_at_every_edge(void **state)
{
    (void)state;
    static const struct { uint32_t count; const char *head; } rows[] = {
        { 0, "90" }, { 15, "9f" }, { 16, "dc0010" }, { 65535, "dcffff" }, { 65536, "dd00010000" },
    };
    static uint8_t buf[BUF_BYTES];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct writer w;
        struct reader r;
        struct bytes b;
        uint8_t head[8];
        size_t head_len = unhex(rows[i].head, head);
        writer_init(&w, buf, sizeof buf);
        write_array(&w, rows[i].count);
        for (uint32_t j = 0; j < rows[i].count; j++)
            write_uint(&w, 0);
        assert_ok(writer_finish(&w, &b));
        assert_memory_equal(b.data, head, head_len);
        reader_init(&r, b);
        assert_int_equal(read_array_max(&r, rows[i].count), rows[i].count);
        for (uint32_t j = 0; j < rows[i].count; j++)
            assert_true(read_uint(&r, 0) == 0);
        assert_ok(reader_finish(&r));
        reader_init(&r, b);
        read_array(&r, rows[i].count + 1);
        assert_err(reader_finish(&r), ERR_ENCODING);
        if (rows[i].count > 0) {
            reader_init(&r, b);
            assert_int_equal(read_array_max(&r, rows[i].count - 1), 0);
            assert_err(reader_finish(&r), ERR_TOO_LARGE);
        }
    }
}

/* Each is valid msgpack or nearly so, and none is canonical here. */
static void other_forms_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "cc00", "cc7f", "cd0000", "cd00ff", "ce00000000", "ce0000ffff", "cf0000000000000000", "cf00000000ffffffff", /* uints */
        "dc0000", "dc000f" "000000000000000000000000000000", "dd00000001" "00", "dd0000ffff",                     /* arrays */
        "c50000", "c500ff", "c60000000000", "c60000ffff",                                                             /* bins */
        "ff", "e0", "d0ff", "d1ffff", "d2ffffffff", "d3ffffffffffffffff", "d001",                                     /* signed */
        "ca00000000", "cb0000000000000000",                                                                           /* floats */
        "c0", "c1", "c2", "c3",                                                                        /* nil, never, booleans */
        "80", "810000", "de0000", "df00000000",                                                                         /* maps */
        "a0", "a161", "bf", "d900", "da0000", "db00000000",                                                          /* strings */
        "c70000", "c8000000", "c90000000000", "d40000", "d5000000", "d600000000", "d7", "d8",                    /* extensions */
        "cc", "cd01", "ce000100", "cf00000001000000", "c4", "c401", "c501", "c50100", "c600", "c60001000000", "91",
        "dc", "dc0010", "dd", "dd0001", "",                                                                                        /* cut short */
    };
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        uint8_t buf[64];
        struct reader r;
        struct bytes b = bytes_of(buf, unhex(refused[i], buf)), raw;
        reader_init(&r, b);
        raw = read_raw(&r, sizeof buf);
        if (reader_finish(&r) != ERR_ENCODING)
            fail_msg("read_raw accepts %s", refused[i]);
        assert_int_equal(raw.len, 0);
        reader_init(&r, b);
        assert_true(read_uint(&r, UINT64_MAX) == 0);
        assert_err(reader_finish(&r), ERR_ENCODING);
        reader_init(&r, b);
        assert_int_equal(read_bin(&r, 0, SIZE_MAX).len, 0);
        assert_err(reader_finish(&r), ERR_ENCODING);
        reader_init(&r, b);
        assert_int_equal(read_array_max(&r, UINT32_MAX), 0);
        assert_err(reader_finish(&r), ERR_ENCODING);
    }
}

/* A header may claim 4 GiB in five bytes; the answer is a refusal, and there is nothing that could allocate. */
static void hostile_lengths_are_refused(void **state)
{
    (void)state;
    static const char *const claims[] = { "ddffffffff", "c6ffffffff", "91ddffffffff", "92c6fffffffe00", "dcffff00", "c4ff00" };
    for (size_t i = 0; i < ARRAY_COUNT(claims); i++) {
        uint8_t buf[16];
        struct reader r;
        reader_init(&r, bytes_of(buf, unhex(claims[i], buf)));
        read_raw(&r, SIZE_MAX);
        assert_err(reader_finish(&r), ERR_ENCODING);
    }
    uint8_t buf[8];
    struct reader r;
    reader_init(&r, bytes_of(buf, unhex("ddffffffff", buf)));
    assert_int_equal(read_array_max(&r, UINT32_MAX), 0);
    assert_err(reader_finish(&r), ERR_ENCODING);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    uint8_t buf[100000];
    for (size_t depth = 1; depth <= 12; depth++) {
        struct reader r;
        memset(buf, 0x91, depth);
        buf[depth] = 0;
        reader_init(&r, bytes_of(buf, depth + 1));
        struct bytes raw = read_raw(&r, sizeof buf);
        assert_err(reader_finish(&r), depth <= CODEC_DEPTH_MAX ? OK : ERR_ENCODING);
        assert_int_equal(raw.len, depth <= CODEC_DEPTH_MAX ? depth + 1 : 0);
        buf[depth - 1] = 0x90;                                 /* an empty array ends it as well */
        reader_init(&r, bytes_of(buf, depth));
        read_raw(&r, sizeof buf);
        assert_err(reader_finish(&r), depth <= CODEC_DEPTH_MAX ? OK : ERR_ENCODING);
    }
    struct reader r;
    memset(buf, 0x91, sizeof buf);
    reader_init(&r, bytes_of(buf, sizeof buf));
    read_raw(&r, sizeof buf);
    assert_err(reader_finish(&r), ERR_ENCODING);
}

static void raw_values_are_whole_and_bounded(void **state)
{
    (void)state;
    uint8_t buf[64];
    struct reader r;
    size_t len = unhex("93" "9201c40161" "9290929000" "cd0100", buf);
    struct bytes in = bytes_of(buf, len), raw;
    reader_init(&r, in);
    read_array(&r, 3);
    raw = read_raw(&r, 5);
    assert_true(bytes_equal(raw, bytes_of(buf + 1, 5)));
    raw = read_raw(&r, 5);
    assert_true(bytes_equal(raw, bytes_of(buf + 6, 5)));
    raw = read_raw(&r, 3);
    assert_true(bytes_equal(raw, bytes_of(buf + 11, 3)));
    assert_ok(reader_finish(&r));
    reader_init(&r, in);
    read_raw(&r, len - 1);
    assert_err(reader_finish(&r), ERR_TOO_LARGE);
    reader_init(&r, in);
    read_raw(&r, len);
    assert_ok(reader_finish(&r));

    uint8_t copy[64];
    struct writer w;
    writer_init(&w, copy, sizeof copy);
    write_raw(&w, in);
    assert_ok(writer_finish(&w, &raw));
    assert_true(bytes_equal(raw, in));
}

static void failures_stick(void **state)
{
    (void)state;
    uint8_t buf[256];
    struct reader r;
    struct hash h;
    struct pubkey k;
    struct sig s;
    char text[8] = "xxxxxxx";
    memset(&h, 1, sizeof h);
    memset(&k, 1, sizeof k);
    memset(&s, 1, sizeof s);
    reader_init(&r, bytes_of(buf, unhex("ff0102c40161", buf)));
    assert_true(read_uint(&r, 9) == 0);
    assert_false(reader_ok(&r));
    assert_true(read_uint(&r, 0) == 0);
    read_hash(&r, &h);
    read_pubkey(&r, &k);
    read_sig(&r, &s);
    read_text(&r, text, sizeof text);
    read_array(&r, 0);
    assert_int_equal(read_array_max(&r, 9), 0);
    assert_int_equal(read_raw(&r, 9).len, 0);
    read_version(&r, 7);
    assert_true(hash_is_zero(&h));
    assert_true(memcmp(k.b, (uint8_t[PUBKEY_BYTES]){ 0 }, PUBKEY_BYTES) == 0);
    assert_true(memcmp(s.b, (uint8_t[SIG_BYTES]){ 0 }, SIG_BYTES) == 0);
    assert_string_equal(text, "");
    assert_err(reader_finish(&r), ERR_ENCODING);               /* the first failure, not the last */

    reader_init(&r, bytes_of(buf, unhex("0000", buf)));
    assert_true(read_uint(&r, 9) == 0);
    assert_err(reader_finish(&r), ERR_ENCODING);               /* leftovers */
    reader_init(&r, bytes_of(buf, unhex("02", buf)));
    read_version(&r, 1);
    assert_err(reader_finish(&r), ERR_VERSION);
    reader_init(&r, bytes_of(NULL, 0));
    assert_ok(reader_finish(&r));
    read_array(&r, 0);                                         /* an absent array is not an empty one */
    assert_err(reader_finish(&r), ERR_ENCODING);
}

static void fixed_sizes_are_exact(void **state)
{
    (void)state;
    uint8_t buf[256];
    for (size_t size = 30; size <= 66; size++) {
        struct writer w;
        struct bytes b;
        struct reader r;
        uint8_t payload[66];
        struct hash h;
        struct pubkey k;
        struct sig s;
        memset(payload, (int)size, sizeof payload);
        writer_init(&w, buf, sizeof buf);
        write_bin(&w, bytes_of(payload, size));
        assert_ok(writer_finish(&w, &b));
        reader_init(&r, b);
        read_hash(&r, &h);
        assert_err(reader_finish(&r), size == HASH_BYTES ? OK : ERR_TOO_LARGE);
        assert_int_equal(h.b[0], size == HASH_BYTES ? size : 0);
        reader_init(&r, b);
        read_pubkey(&r, &k);
        assert_err(reader_finish(&r), size == PUBKEY_BYTES ? OK : ERR_TOO_LARGE);
        reader_init(&r, b);
        read_sig(&r, &s);
        assert_err(reader_finish(&r), size == SIG_BYTES ? OK : ERR_TOO_LARGE);
    }
}

static void full_buffers_are_noticed_once(void **state)
{
    (void)state;
    uint8_t buf[40];
    struct hash h = hash_of("x", bytes_text(""));
    for (size_t cap = 0; cap <= 40; cap++) {
        struct writer w;
        struct bytes b;
        memset(buf, 0xee, sizeof buf);
        writer_init(&w, buf, cap);
        write_array(&w, 2);                                    /* 1 byte */
        write_uint(&w, 300);                                   /* 3 */
        write_hash(&w, &h);                                    /* 34 */
        assert_err(writer_finish(&w, &b), cap >= 38 ? OK : ERR_TOO_LARGE);
        size_t len = w.len;
        write_uint(&w, 0);
        assert_err(writer_finish(&w, &b), cap >= 39 ? OK : ERR_TOO_LARGE);
        assert_int_equal(w.len, cap >= 39 ? 39 : len);         /* after a failure nothing is written, even what would fit */
        for (size_t i = cap; i < sizeof buf; i++)
            assert_int_equal(buf[i], 0xee);
    }
}

static void text_is_what_a_terminal_can_bear(void **state)
{
    (void)state;
    static const struct { const char *bytes; bool ok; } rows[] = {
        { "", true }, { "llama 3.2 1B (Q8_0)", true }, { "Zürich", true }, { "日本", true }, { "🦙", true }, { "~", true },
        { "\x1b[2J", false }, { "a\nb", false }, { "\t", false }, { "\x7f", false }, { "\xc2\x85", false }, { "\xc2\x9b", false },
        { "\xc2\xa0", true }, { "\xe2\x80\xae", false }, { "\xe2\x80\xa8", false }, { "\xe2\x81\xa6", false },
        { "\xe2\x80\x8e", false }, { "\xd8\x9c", false }, { "\xef\xbb\xbf", false },
        { "\x80", false }, { "\xbf", false }, { "\xc0\x80", false }, { "\xc1\xbf", false }, { "\xc3", false }, { "\xc3(", false },
        { "\xe0\x9f\xbf", false }, { "\xe2\x82", false }, { "\xe2(\xa1", false }, { "\xed\x9f\xbf", true },
        { "\xed\xa0\x80", false },
        { "\xed\xbf\xbf", false }, { "\xf0\x8f\xbf\xbf", false }, { "\xf0\x90\x80\x80", true }, { "\xf4\x8f\xbf\xbf", true },
        { "\xf4\x90\x80\x80", false }, { "\xf5\x80\x80\x80", false }, { "\xf8\x88\x80\x80\x80", false }, { "\xfe", false },
        { "\xff", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t buf[64];
        char out[64];
        struct writer w;
        struct bytes b;
        struct reader r;
        if (text_is_printable(bytes_text(rows[i].bytes)) != rows[i].ok)
            fail_msg("row %zu", i);
        writer_init(&w, buf, sizeof buf);
        write_text(&w, rows[i].bytes);
        assert_ok(writer_finish(&w, &b));
        reader_init(&r, b);
        read_text(&r, out, sizeof out);
        assert_err(reader_finish(&r), rows[i].ok ? OK : ERR_ENCODING);
        assert_string_equal(out, rows[i].ok ? rows[i].bytes : "");
    }
    assert_false(text_is_printable(bytes_of("a\0b", 3)));
    uint8_t buf[8];
    char out[4];
    struct reader r;
    reader_init(&r, bytes_of(buf, unhex("c403616263", buf)));
    read_text(&r, out, 4);
    assert_ok(reader_finish(&r));
    reader_init(&r, bytes_of(buf, 5));
    read_text(&r, out, 3);
    assert_err(reader_finish(&r), ERR_TOO_LARGE);
    assert_string_equal(out, "");
}

/* ---- the oracle ---- */

/* Writes what msgpack-c understood; false if it saw something our profile does not have. */
static bool rewrite(struct writer *w, const msgpack_object *o)
{
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        write_uint(w, o->via.u64);
        return true;
    }
    if (o->type == MSGPACK_OBJECT_BIN) {
        write_bin(w, bytes_of(o->via.bin.ptr, o->via.bin.size));
        return true;
    }
    if (o->type != MSGPACK_OBJECT_ARRAY)
        return false;
    write_array(w, o->via.array.size);
    for (uint32_t i = 0; i < o->via.array.size; i++)
        if (!rewrite(w, &o->via.array.ptr[i]))
            return false;
    return true;
}

/* What msgpack-c makes of exactly these bytes, written again by us into out; empty if it refuses or leaves bytes over. */
static struct bytes by_oracle(struct bytes in, uint8_t *out, size_t cap)
{
    msgpack_unpacked u;
    msgpack_unpacked_init(&u);
    size_t at = 0;
    struct writer w;
    struct bytes b = bytes_of(NULL, 0);
    writer_init(&w, out, cap);
    msgpack_unpack_return rc = msgpack_unpack_next(&u, (const char *)in.data, in.len, &at);
    if (rc == MSGPACK_UNPACK_SUCCESS && at == in.len && rewrite(&w, &u.data))
        assert_ok(writer_finish(&w, &b));
    msgpack_unpacked_destroy(&u);
    return b;
}

static bool accepted(struct bytes b)
{
    struct reader r;
    reader_init(&r, b);
    read_raw(&r, b.len);
    return reader_finish(&r) == OK;
}

static void write_random(struct writer *w, struct rng *r, unsigned depth)
{
    static const uint8_t payload[300];
    switch (rng_below(r, depth < CODEC_DEPTH_MAX ? 4 : 2)) {
    case 0: write_uint(w, rng_next(r) >> rng_below(r, 64)); break;
    case 1: write_bin(w, bytes_of(payload, rng_below(r, 8) ? rng_below(r, 8) : rng_below(r, sizeof payload))); break;
    default: {
        uint32_t count = (uint32_t)rng_below(r, rng_below(r, 16) ? 4 : 20);
        write_array(w, count);
        for (uint32_t i = 0; i < count && !w->failed; i++)
            write_random(w, r, depth + 1);
    }
    }
}

/* Bytes are accepted by us exactly when msgpack-c reads them, sees only our types, and the shortest encoding of what it
 * saw is the same bytes (nesting beyond our limit aside): one value, one encoding, same values. */
static void assert_agrees(struct bytes in)
{
    static uint8_t again[BUF_BYTES];
    struct bytes b = by_oracle(in, again, sizeof again);
    bool canonical = b.len > 0 && bytes_equal(b, in);
    assert_int_equal(accepted(in), canonical);
}

static void the_oracle_agrees_on_what_we_write(void **state)
{
    (void)state;
    static uint8_t buf[4096];
    struct rng rng;
    rng_init(&rng, 42);
    unsigned written = 0;
    for (int i = 0; i < 20000; i++) {
        struct writer w;
        struct bytes b;
        writer_init(&w, buf, sizeof buf);
        write_random(&w, &rng, 0);
        if (writer_finish(&w, &b) != OK)
            continue;
        written++;
        assert_true(accepted(b));
        assert_agrees(b);
        buf[rng_below(&rng, b.len)] = (uint8_t)rng_next(&rng);
        if (accepted(b))                                           /* otherwise the oracle may reserve gigabytes */
            assert_agrees(b);
    }
    assert_true(written > 15000);
}

/* All strings of up to two bytes, and all three-byte ones with an interesting head: nobody's imagination is needed. */
static void the_oracle_agrees_on_all_short_strings(void **state)
{
    (void)state;
    uint8_t b[3];
    assert_agrees(bytes_of(b, 0));
    for (unsigned v = 0; v < 65536; v++) {
        b[0] = (uint8_t)(v >> 8);
        b[1] = (uint8_t)v;
        if (b[1] == 0)
            assert_agrees(bytes_of(b, 1));
        assert_agrees(bytes_of(b, 2));
    }
    static const uint8_t heads[] = { 0x91, 0x92, 0xc4, 0xcd, 0xc5, 0xdc, 0xd1, 0xa2, 0x82, 0xd4 };
    for (size_t h = 0; h < sizeof heads; h++)
        for (unsigned v = 0; v < 65536; v++) {
            if (heads[h] == 0xdc && v > 300)
                break;                                         /* the oracle reserves room for each claimed element */
            b[0] = heads[h];
            b[1] = (uint8_t)(v >> 8);
            b[2] = (uint8_t)v;
            assert_agrees(bytes_of(b, 3));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_example),
        cmocka_unit_test(uints_are_shortest_at_every_edge),
        cmocka_unit_test(lengths_are_shortest_at_every_edge),
        cmocka_unit_test(arrays_are_shortest_at_every_edge),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(raw_values_are_whole_and_bounded),
        cmocka_unit_test(failures_stick),
        cmocka_unit_test(fixed_sizes_are_exact),
        cmocka_unit_test(full_buffers_are_noticed_once),
        cmocka_unit_test(text_is_what_a_terminal_can_bear),
        cmocka_unit_test(the_oracle_agrees_on_what_we_write),
        cmocka_unit_test(the_oracle_agrees_on_all_short_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
