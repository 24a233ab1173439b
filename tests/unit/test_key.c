/* test_key.c - signatures, node ids, proof of work, sealing.
 *
 * Golden values come from an independent implementation (Python's `cryptography`, hashlib, and HChaCha20 from its RFC draft)
 * except the vectors named after an RFC.
 */
#include "tests/test.h"

#include <sodium/crypto_sign_ed25519.h>
#include <string.h>

#include "crypto/hex.h"
#include "crypto/key.h"

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    assert_ok(hex_parse(bytes_text(text), out, len));
    return len;
}

static void assert_hex(const uint8_t *b, size_t len, const char *hex)
{
    char text[512];
    assert_true(2 * len < sizeof text);
    hex_format(bytes_of(b, len), text);
    assert_string_equal(text, hex);
}

static struct key_seed counting_seed(void)
{
    struct key_seed s;
    for (uint8_t i = 0; i < KEY_SEED_BYTES; i++)
        s.b[i] = i;
    return s;
}

static struct key_seed filled_seed(uint8_t value)
{
    struct key_seed s;
    memset(s.b, value, sizeof s.b);
    return s;
}

/* RFC 8032 section 7.1, tests 1 to 3: libsodium under us is the Ed25519 we think it is. */
static void ed25519_matches_rfc8032(void **state)
{
    (void)state;
    static const struct { const char *seed, *public_key, *message, *signature; } vectors[] = {
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141"
          "438e7a100b" },
        { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
          "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d29"
          "1612bb0c00" },
        { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
          "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
          "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027be"
          "ceea1ec40a" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        struct key_seed seed;
        struct secret_key k;
        struct pubkey pk;
        uint8_t message[8], signature[SIG_BYTES];
        unhex(vectors[i].seed, seed.b);
        size_t len = unhex(vectors[i].message, message);
        key_from_seed(&seed, &k, &pk);
        assert_hex(pk.b, PUBKEY_BYTES, vectors[i].public_key);
        crypto_sign_ed25519_detached(signature, NULL, message, len, k.b);
        assert_hex(signature, SIG_BYTES, vectors[i].signature);
    }
}

/* PROTO 2.3's worked example. What is signed:
 *   74616c6c796d6573682f 68656c6c6f 00 fa2e2d92018b7e31 5e345af9443a77ca77c6b7f9bde620a2d0defe146475df4add8dd27e763e31fc
 *   "tallymesh/"         "hello"       net "testnet"    H("sig", "hi")                                                  */
static const char golden_sig[] = "b2f800753810710d381b84ebf9874781d13815c0ee6594046871839d68e41853"
                                 "ee2a0246e505a88d94718b00bd5d86612008378660a7deda25b6764fa5b2e709";

struct fixture {
    struct secret_key k;
    struct pubkey pk;
    struct net_id net;
    struct sig sig;                                            /* of "hi" as PURPOSE_HELLO */
};

static struct fixture fixture(void)
{
    struct fixture f;
    struct key_seed seed = counting_seed();
    key_from_seed(&seed, &f.k, &f.pk);
    f.net = net_id_of("testnet");
    key_sign(&f.k, PURPOSE_HELLO, &f.net, bytes_text("hi"), &f.sig);
    return f;
}

static void signing_is_exactly_as_specified(void **state)
{
    (void)state;
    struct fixture f = fixture();
    assert_hex(f.pk.b, PUBKEY_BYTES, "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    assert_hex(f.sig.b, SIG_BYTES, golden_sig);
    assert_ok(key_verify(&f.pk, PURPOSE_HELLO, &f.net, bytes_text("hi"), &f.sig));
    struct pubkey again;
    key_public(&f.k, &again);
    assert_true(pubkey_equal(&f.pk, &again));
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct fixture f = fixture();
    for (unsigned bit = 0; bit < 8 * SIG_BYTES; bit++) {
        struct sig s = f.sig;
        s.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_err(key_verify(&f.pk, PURPOSE_HELLO, &f.net, bytes_text("hi"), &s), ERR_SIGNATURE);
    }
    for (unsigned bit = 0; bit < 8 * PUBKEY_BYTES; bit++) {
        struct pubkey k = f.pk;
        k.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_err(key_verify(&k, PURPOSE_HELLO, &f.net, bytes_text("hi"), &f.sig), ERR_SIGNATURE);
    }
    for (unsigned bit = 0; bit < 16; bit++) {
        char body[2] = { 'h', 'i' };
        body[bit / 8] = (char)(body[bit / 8] ^ (1 << (bit % 8)));
        assert_err(key_verify(&f.pk, PURPOSE_HELLO, &f.net, bytes_of(body, 2), &f.sig), ERR_SIGNATURE);
    }
}

static void a_statement_holds_for_one_purpose_and_one_network(void **state)
{
    (void)state;
    static const char *const purposes[] = {
        PURPOSE_CERT, PURPOSE_RECORD, PURPOSE_ADVERT, PURPOSE_HELLO, PURPOSE_OFFER, PURPOSE_BID, PURPOSE_TERMS_REQUESTER,
        PURPOSE_TERMS_PROVIDER, PURPOSE_CLAIM_PROVIDER, PURPOSE_CLAIM_REQUESTER, PURPOSE_RECEIPT_PROVIDER,
        PURPOSE_RECEIPT_REQUESTER, PURPOSE_NOTE,
    };
    struct fixture f = fixture();
    for (size_t i = 0; i < ARRAY_COUNT(purposes); i++) {
        struct sig s;
        key_sign(&f.k, purposes[i], &f.net, bytes_text("hi"), &s);
        for (size_t j = 0; j < ARRAY_COUNT(purposes); j++)
            assert_err(key_verify(&f.pk, purposes[j], &f.net, bytes_text("hi"), &s), i == j ? OK : ERR_SIGNATURE);
    }
    struct net_id other = net_id_of("public");
    assert_false(net_id_equal(&f.net, &other));
    assert_err(key_verify(&f.pk, PURPOSE_HELLO, &other, bytes_text("hi"), &f.sig), ERR_SIGNATURE);
}

static void bodies_of_any_size_are_signed(void **state)
{
    (void)state;
    struct fixture f = fixture();
    static uint8_t big[1 << 20];
    struct sig s;
    key_sign(&f.k, PURPOSE_NOTE, &f.net, bytes_of(big, sizeof big), &s);
    assert_ok(key_verify(&f.pk, PURPOSE_NOTE, &f.net, bytes_of(big, sizeof big), &s));
    big[sizeof big - 1] = 1;
    assert_err(key_verify(&f.pk, PURPOSE_NOTE, &f.net, bytes_of(big, sizeof big), &s), ERR_SIGNATURE);
    key_sign(&f.k, PURPOSE_NOTE, &f.net, bytes_of(NULL, 0), &s);
    assert_ok(key_verify(&f.pk, PURPOSE_NOTE, &f.net, bytes_text(""), &s));
}

/* With such a key, R = key and S = 0 satisfy the bare equation for some or every message: anybody could sign as it. */
static void small_order_keys_sign_nothing(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct net_id net = net_id_of("testnet");
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct pubkey k;
        struct sig s = { { 0 } };
        assert_ok(pubkey_parse(keys[i], &k));
        for (unsigned n = 0; n < 64; n++) {                    /* some of 64 messages would pass the bare equation */
            uint8_t body = (uint8_t)n;
            memcpy(s.b, k.b, PUBKEY_BYTES);
            assert_err(key_verify(&k, PURPOSE_HELLO, &net, bytes_of(&body, 1), &s), ERR_SIGNATURE);
            memset(s.b, 0, PUBKEY_BYTES);
            s.b[0] = 1;
            assert_err(key_verify(&k, PURPOSE_HELLO, &net, bytes_of(&body, 1), &s), ERR_SIGNATURE);
        }
    }
}

/* S + L is the same number modulo the group order: accepted, it would give every statement a second signature. */
static void signatures_cannot_be_rewritten(void **state)
{
    (void)state;
    struct fixture f = fixture();
    uint8_t order[32];
    unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", order);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)f.sig.b[32 + i] + order[i];
        f.sig.b[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_err(key_verify(&f.pk, PURPOSE_HELLO, &f.net, bytes_text("hi"), &f.sig), ERR_SIGNATURE);
}

static void keys_have_text_and_order(void **state)
{
    (void)state;
    struct fixture f = fixture();
    char text[2 * PUBKEY_BYTES + 1];
    struct pubkey back;
    pubkey_format(&f.pk, text);
    assert_ok(pubkey_parse(text, &back));
    assert_true(pubkey_equal(&f.pk, &back));
    back.b[31]++;
    assert_true(pubkey_compare(&f.pk, &back) < 0);
    assert_true(pubkey_compare(&back, &f.pk) > 0);
    text[10] = 'q';
    assert_err(pubkey_parse(text, &back), ERR_FORMAT);
}

static void wiped_keys_are_gone(void **state)
{
    (void)state;
    static const uint8_t zero[SECRET_KEY_BYTES];
    struct fixture f = fixture();
    struct seal_secret s = { { 1 } };
    key_fini(&f.k);
    seal_fini(&s);
    assert_memory_equal(f.k.b, zero, SECRET_KEY_BYTES);
    assert_memory_equal(s.b, zero, SEAL_KEY_BYTES);
}

static void node_id_and_network_id_are_hashes(void **state)
{
    (void)state;
    struct fixture f = fixture();
    struct node_id id = node_id_of(&f.pk), same = node_id_of(&f.pk);
    assert_hex(id.h.b, HASH_BYTES, "f5c052f1ae70d598a8d672c759aa7738ac8a07766953253a2ef50359fb0a5017");
    assert_true(node_id_equal(&id, &same));
    assert_hex(f.net.b, NET_ID_BYTES, "fa2e2d92018b7e31");
}

/* Nonce 27 is the first with 8 zero bits for this key: hash 00ca4d31... */
static void proof_of_work_is_found_and_checked(void **state)
{
    (void)state;
    struct fixture f = fixture();
    uint64_t nonce = 0;
    assert_ok(pow_search(&f.pk, &f.net, 8, 1000, &nonce));
    assert_int_equal(nonce, 27);
    assert_ok(pow_check(&f.pk, &f.net, 27, 8));
    assert_err(pow_check(&f.pk, &f.net, 27, 9), ERR_POW);
    assert_err(pow_check(&f.pk, &f.net, 26, 8), ERR_POW);
    struct net_id other = net_id_of("public");
    assert_err(pow_check(&f.pk, &other, 27, 8), ERR_POW);
    assert_ok(pow_check(&f.pk, &f.net, 26, 0));
    assert_err(pow_check(&f.pk, &f.net, 27, 257), ERR_POW);

    nonce = 0;                                                 /* a search may be cut into steps */
    assert_err(pow_search(&f.pk, &f.net, 8, 20, &nonce), ERR_NOT_FOUND);
    assert_int_equal(nonce, 20);
    assert_ok(pow_search(&f.pk, &f.net, 8, 20, &nonce));
    assert_int_equal(nonce, 27);
}

static const char golden_box[] = "2a3d7b27ff4da91a3c00ba911443c0f1fc9a3ed371ce981f25a47b598eb43842"
                                 "a83fe2382bbce418493073cbb44678e634da2fed13e928758424";

static void sealing_is_exactly_as_specified(void **state)
{
    (void)state;
    struct key_seed seed = counting_seed(), ephemeral = filled_seed(0x42);
    struct seal_secret secret;
    struct seal_key reader;
    uint8_t box[10 + SEAL_OVERHEAD_BYTES], opened[10];
    seal_key_from_seed(&seed, &secret, &reader);
    assert_hex(secret.b, SEAL_KEY_BYTES, "bdc1033fe283c9129686d160a37d8fc0e4b3170960f989de6dfdb87eba6fbf91");
    assert_hex(reader.b, SEAL_KEY_BYTES, "00fdf5672504a1f74e1e81e4c772c03def0136e864d2a84622887a68c7e71578");
    assert_ok(seal(&reader, &ephemeral, bytes_text("job 7"), bytes_text("the prompt"), box));
    assert_hex(box, sizeof box, golden_box);
    assert_ok(seal_open(&secret, bytes_text("job 7"), bytes_of(box, sizeof box), opened));
    assert_memory_equal(opened, "the prompt", 10);
}

static void a_box_opens_only_whole_for_its_reader_and_context(void **state)
{
    (void)state;
    static const uint8_t zero[10];
    struct key_seed seed = counting_seed(), other_seed = filled_seed(9);
    struct seal_secret secret, other;
    struct seal_key reader, other_public;
    uint8_t box[10 + SEAL_OVERHEAD_BYTES], opened[10];
    seal_key_from_seed(&seed, &secret, &reader);
    seal_key_from_seed(&other_seed, &other, &other_public);
    unhex(golden_box, box);
    for (unsigned bit = 0; bit < 8 * sizeof box; bit++) {
        if (bit == 255)
            continue;                                          /* X25519 ignores the top bit of a key; see below */
        box[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        memset(opened, 0xaa, sizeof opened);
        assert_err(seal_open(&secret, bytes_text("job 7"), bytes_of(box, sizeof box), opened), ERR_SIGNATURE);
        assert_memory_equal(opened, zero, sizeof opened);
        box[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    box[31] ^= 0x80;                                           /* the key itself is hashed, so that bit counts as well */
    assert_err(seal_open(&secret, bytes_text("job 7"), bytes_of(box, sizeof box), opened), ERR_SIGNATURE);
    box[31] ^= 0x80;
    assert_err(seal_open(&secret, bytes_text("job 8"), bytes_of(box, sizeof box), opened), ERR_SIGNATURE);
    assert_err(seal_open(&other, bytes_text("job 7"), bytes_of(box, sizeof box), opened), ERR_SIGNATURE);
    for (size_t len = 0; len < sizeof box; len++)
        assert_err(seal_open(&secret, bytes_text("job 7"), bytes_of(box, len), opened), ERR_SIGNATURE);
    assert_ok(seal_open(&secret, bytes_text("job 7"), bytes_of(box, sizeof box), opened));
}

static void empty_messages_seal_too(void **state)
{
    (void)state;
    struct key_seed seed = counting_seed(), ephemeral = filled_seed(1);
    struct seal_secret secret;
    struct seal_key reader;
    uint8_t box[SEAL_OVERHEAD_BYTES], nothing[1];
    seal_key_from_seed(&seed, &secret, &reader);
    assert_ok(seal(&reader, &ephemeral, bytes_of(NULL, 0), bytes_of(NULL, 0), box));
    assert_ok(seal_open(&secret, bytes_of(NULL, 0), bytes_of(box, sizeof box), nothing));
    box[SEAL_OVERHEAD_BYTES - 1] ^= 1;
    assert_err(seal_open(&secret, bytes_of(NULL, 0), bytes_of(box, sizeof box), nothing), ERR_SIGNATURE);
}

/* The shared point with these keys is zero whatever the secret: the box would be readable by everyone. */
static void nothing_is_sealed_to_a_small_order_key(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    static const uint8_t zero[5 + SEAL_OVERHEAD_BYTES];
    struct key_seed seed = counting_seed(), ephemeral = filled_seed(3);
    struct seal_secret secret;
    struct seal_key reader;
    seal_key_from_seed(&seed, &secret, &reader);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct seal_key bad;
        uint8_t box[5 + SEAL_OVERHEAD_BYTES], opened[5];
        unhex(keys[i], bad.b);
        memset(box, 0xaa, sizeof box);
        assert_err(seal(&bad, &ephemeral, bytes_text(""), bytes_text("hello"), box), ERR_KEY);
        assert_memory_equal(box, zero, sizeof box);
        memcpy(box, bad.b, SEAL_KEY_BYTES);
        assert_err(seal_open(&secret, bytes_text(""), bytes_of(box, sizeof box), opened), ERR_SIGNATURE);
    }
}

static int start(void **state)
{
    (void)state;
    assert_ok(crypto_start());
    assert_ok(crypto_start());                                 /* idempotent */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_matches_rfc8032),
        cmocka_unit_test(signing_is_exactly_as_specified),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(a_statement_holds_for_one_purpose_and_one_network),
        cmocka_unit_test(bodies_of_any_size_are_signed),
        cmocka_unit_test(small_order_keys_sign_nothing),
        cmocka_unit_test(signatures_cannot_be_rewritten),
        cmocka_unit_test(keys_have_text_and_order),
        cmocka_unit_test(wiped_keys_are_gone),
        cmocka_unit_test(node_id_and_network_id_are_hashes),
        cmocka_unit_test(proof_of_work_is_found_and_checked),
        cmocka_unit_test(sealing_is_exactly_as_specified),
        cmocka_unit_test(a_box_opens_only_whole_for_its_reader_and_context),
        cmocka_unit_test(empty_messages_seal_too),
        cmocka_unit_test(nothing_is_sealed_to_a_small_order_key),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
