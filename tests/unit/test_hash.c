/* test_hash.c - domain hashes, their order and their text. Golden values: Python's hashlib.blake2b(digest_size=32). */
#include "tests/test.h"

#include <string.h>

#include "crypto/hash.h"
#include "crypto/hex.h"

static void assert_hash(struct hash h, const char *hex)
{
    char text[HASH_HEX_CHARS + 1];
    hash_format(&h, text);
    assert_string_equal(text, hex);
}

static void hashes_match_an_independent_blake2b(void **state)
{
    (void)state;
    assert_hash(hash_of("id", bytes_text("")), "7db5dd9e6d97d15d70937a0e0c65c234967c587318c77f9c0f1d0368d9d1f199");
    assert_hash(hash_of("id", bytes_text("abc")), "0b15502d816824009d7a1e13dcaf7d903de7819d783a2c411583ecbb0d61ca3e");
}

static void domain_and_content_do_not_run_into_each_other(void **state)
{
    (void)state;
    struct hash a = hash_of("ab", bytes_text("c")), b = hash_of("a", bytes_text("bc"));
    assert_false(hash_equal(&a, &b));
}

static void parts_equal_the_whole(void **state)
{
    (void)state;
    struct hash whole = hash_of("x", bytes_of("\1\2\3\0\0\0\0\0\0\0zz", 12)), parts;
    struct hasher h;
    hasher_init(&h, "x");
    hasher_add(&h, bytes_of("\1\2", 2));
    hasher_add(&h, bytes_of(NULL, 0));
    hasher_add_u64(&h, 3);                                     /* little endian */
    hasher_add(&h, bytes_text("zz"));
    hasher_finish(&h, &parts);
    assert_true(hash_equal(&whole, &parts));

    struct hash nested = hash_of("y", bytes_of(whole.b, HASH_BYTES));
    hasher_init(&h, "y");
    hasher_add_hash(&h, &whole);
    hasher_finish(&h, &parts);
    assert_true(hash_equal(&nested, &parts));
}

static struct hash random_hash(struct rng *r)
{
    struct hash h;
    rng_bytes(r, h.b, HASH_BYTES);
    return h;
}

static void distance_is_xor_read_as_a_number(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1);
    for (int i = 0; i < 2000; i++) {
        struct hash t = random_hash(&r), a = random_hash(&r), b = random_hash(&r), xa, xb;
        size_t same = (size_t)rng_below(&r, HASH_BYTES + 1);   /* common prefixes of every length */
        memcpy(b.b, a.b, same);
        for (size_t j = 0; j < HASH_BYTES; j++) {
            xa.b[j] = t.b[j] ^ a.b[j];
            xb.b[j] = t.b[j] ^ b.b[j];
        }
        int want = hash_compare(&xa, &xb), got = hash_distance_compare(&t, &a, &b);
        assert_int_equal((want > 0) - (want < 0), (got > 0) - (got < 0));
        int back = hash_distance_compare(&t, &b, &a);
        assert_int_equal((got > 0) - (got < 0), (back < 0) - (back > 0));
    }
}

static void common_bits_count_the_shared_prefix(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2);
    for (unsigned bit = 0; bit < 256; bit++) {
        struct hash a = random_hash(&r), b = a;
        b.b[bit / 8] ^= (uint8_t)(0x80 >> (bit % 8));
        for (unsigned i = bit + 1; i < 256; i++)               /* what follows does not matter */
            if (rng_below(&r, 2))
                b.b[i / 8] ^= (uint8_t)(0x80 >> (i % 8));
        assert_int_equal(hash_common_bits(&a, &b), bit);
    }
    struct hash a = random_hash(&r);
    assert_int_equal(hash_common_bits(&a, &a), 256);
}

static void zero_is_recognised(void **state)
{
    (void)state;
    struct hash h = { { 0 } };
    assert_true(hash_is_zero(&h));
    h.b[31] = 1;
    assert_false(hash_is_zero(&h));
}

static void text_round_trips_and_refuses_the_rest(void **state)
{
    (void)state;
    struct hash h = hash_of("id", bytes_text("abc")), back, untouched = { { 7 } }, same = untouched;
    char text[HASH_HEX_CHARS + 2];
    hash_format(&h, text);
    assert_ok(hash_parse(text, &back));
    assert_true(hash_equal(&h, &back));
    text[0] = 'A';
    text[1] = 'f';
    assert_ok(hash_parse(text, &back));
    assert_int_equal(back.b[0], 0xaf);

    static const char bad[] = { 'g', ' ', 'G', '/', ':', '@', '`', 'x', '-', '\n' };
    for (size_t i = 0; i < sizeof bad; i++) {
        hash_format(&h, text);
        text[63] = bad[i];
        assert_err(hash_parse(text, &untouched), ERR_FORMAT);
    }
    hash_format(&h, text);
    text[63] = '\0';
    assert_err(hash_parse(text, &untouched), ERR_FORMAT);
    hash_format(&h, text);
    text[64] = '0';
    text[65] = '\0';
    assert_err(hash_parse(text, &untouched), ERR_FORMAT);
    assert_err(hash_parse("", &untouched), ERR_FORMAT);
    assert_true(hash_equal(&untouched, &same));
}

static void empty_hex_is_empty(void **state)
{
    (void)state;
    char text[1];
    hex_format(bytes_of(NULL, 0), text);
    assert_string_equal(text, "");
    assert_ok(hex_parse(bytes_of(NULL, 0), text, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_match_an_independent_blake2b),
        cmocka_unit_test(domain_and_content_do_not_run_into_each_other),
        cmocka_unit_test(parts_equal_the_whole),
        cmocka_unit_test(distance_is_xor_read_as_a_number),
        cmocka_unit_test(common_bits_count_the_shared_prefix),
        cmocka_unit_test(zero_is_recognised),
        cmocka_unit_test(text_round_trips_and_refuses_the_rest),
        cmocka_unit_test(empty_hex_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
