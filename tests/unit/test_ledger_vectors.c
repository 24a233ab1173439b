/* test_ledger_vectors.c - the bytes of every ledger object, once written down and never to change: tests/vectors/ledger.txt.
 *
 * The file is written by a second implementation, tests/vectors/make_ledger.py; a difference is a change of format and wants a
 * new version number. `test_ledger_vectors corpus DIR` writes each body as a fuzz corpus file.
 */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hex.h"
#include "tests/ledger_rig.h"

enum { VECTORS_MAX = 32, LINE_MAX_CHARS = 8192 };

struct vector {
    const char *name;
    uint8_t data[4096];
    size_t len;
};
static struct vector made[VECTORS_MAX];
static size_t made_count;

static void add(const char *name, struct bytes b)
{
    struct vector *v = &made[made_count++];
    ENSURE(made_count <= VECTORS_MAX && b.len <= sizeof v->data);
    v->name = name;
    memcpy(v->data, b.data, b.len);
    v->len = b.len;
}

static struct bytes ok_body(enum err e, struct bytes b)
{
    ENSURE(e == OK);
    return b;
}

/* Everything from two fixed keys and one job of 40 tokens. */
static void make_all(void)
{
    static struct party r, p;
    static struct rig_job j;
    struct hash id, h;
    struct sig s;
    struct receipt_view v;
    struct bytes b = { 0 };
    uint8_t buf[4096];
    party_init(&r, 1);
    party_init(&p, 2);
    ENSURE(party_open(&r) == OK && party_open(&p) == OK);
    ENSURE(rig_job_whole(&j, &r, &p, 1, 40, &id) == OK);
    struct opening o;
    rig_job_opening(&j, &o);
    ENSURE(ledger_opening_put(&r.ledger, &j.hash, &o, rig_now) == OK);
    add("requester-public-key", bytes_of(r.self.b, PUBKEY_BYTES));
    add("provider-public-key", bytes_of(p.self.b, PUBKEY_BYTES));
    add("terms", ok_body(terms_encode(&j.terms, buf, &b), b));
    terms_sign(&r.key, SIDE_REQUESTER, &r.net, b, &s);
    add("terms-requester-signature", bytes_of(s.b, SIG_BYTES));
    terms_sign(&p.key, SIDE_PROVIDER, &r.net, b, &s);
    add("terms-provider-signature", bytes_of(s.b, SIG_BYTES));
    add("terms-hash", bytes_of(j.hash.b, HASH_BYTES));
    add("prompt-commitment", bytes_of(j.terms.prompt.b, HASH_BYTES));
    add("seed-commitment", bytes_of(j.terms.seed.b, HASH_BYTES));
    add("token-chain", bytes_of(j.tokens.at.b, HASH_BYTES));
    add("last-digest", bytes_of(j.digest.b, HASH_BYTES));
    add("digest-chain", bytes_of(j.digests.at.b, HASH_BYTES));
    b = ok_body(claim_encode(&j.claim, buf, &b), b);
    add("claim", b);
    h = claim_hash(b);
    add("claim-hash", bytes_of(h.b, HASH_BYTES));
    claim_sign(&p.key, SIDE_PROVIDER, &r.net, &j.claim, &s);
    add("claim-provider-signature", bytes_of(s.b, SIG_BYTES));
    claim_sign(&r.key, SIDE_REQUESTER, &r.net, &j.claim, &s);
    add("claim-requester-signature", bytes_of(s.b, SIG_BYTES));
    ENSURE(ledger_receipt_find(&r.ledger, &id, &v) == OK);
    add("receipt", v.body);
    add("receipt-id", bytes_of(id.b, HASH_BYTES));
    add("receipt-provider-signature", bytes_of(v.provider_sig.b, SIG_BYTES));
    add("receipt-requester-signature", bytes_of(v.requester_sig.b, SIG_BYTES));
    struct signed_body note;
    ENSURE(ledger_note_own(&p.ledger, &j.hash, &note) == OK);
    add("note", signed_body_view(&note));
    add("note-signature", bytes_of(note.sig.b, SIG_BYTES));
    ENSURE(ledger_bundle(&r.ledger, &j.hash, true, buf, sizeof buf, &b) == OK);
    add("bundle", b);
    party_fini(&r);
    party_fini(&p);
}

static void the_bytes_are_what_they_always_were(void **state)
{
    (void)state;
    static char line[LINE_MAX_CHARS], hex[LINE_MAX_CHARS];
    FILE *f = fopen("tests/vectors/ledger.txt", "r");
    size_t i = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || line[0] == '\n')
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *value = strchr(line, ' ');
        assert_non_null(value);
        *value++ = '\0';
        assert_true(i < made_count);
        assert_string_equal(line, made[i].name);
        hex_format(bytes_of(made[i].data, made[i].len), hex);
        if (strcmp(hex, value) != 0)
            fail_msg("%s has changed", line);
        i++;
    }
    fclose(f);
    assert_int_equal(i, made_count);
}

static int write_corpus(const char *dir)
{
    static const char *const names[] = { "terms", "claim", "receipt", "note", "bundle" };
    for (size_t n = 0; n < ARRAY_COUNT(names); n++)
        for (size_t i = 0; i < made_count; i++) {
            char path[512];
            if (strcmp(made[i].name, names[n]) != 0)
                continue;
            snprintf(path, sizeof path, "%s/%s/honest.bin", dir, names[n]);
            FILE *f = fopen(path, "wb");
            if (!f || fwrite(made[i].data, 1, made[i].len, f) != made[i].len || fclose(f) != 0)
                return 1;
        }
    return 0;
}

int main(int argc, char **argv)
{
    make_all();
    if (argc == 3 && strcmp(argv[1], "corpus") == 0)
        return write_corpus(argv[2]);
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_bytes_are_what_they_always_were) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
