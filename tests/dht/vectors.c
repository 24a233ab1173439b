/* vectors.c - reads golden bytes and builds what they say. */
#include "tests/dht/vectors.h"

#include <stdio.h>
#include <string.h>

#include "crypto/hex.h"

struct bytes vector_load(const char *name, struct vector *out)
{
    static char line[64 + 2 * VECTOR_BYTES_MAX + 2];
    FILE *f = fopen("tests/vectors/overlay/overlay.txt", "r");
    size_t chars = strlen(name);
    ENSURE(f != NULL);
    out->len = 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, name, chars) != 0 || line[chars] != ' ')
            continue;
        line[strcspn(line, "\n")] = '\0';
        out->len = strlen(line + chars + 1) / 2;
        ENSURE(out->len <= VECTOR_BYTES_MAX);
        enum err e = hex_parse(bytes_text(line + chars + 1), out->b, out->len);
        ENSURE(e == OK);
    }
    fclose(f);
    ENSURE(out->len > 0);
    return bytes_of(out->b, out->len);
}

struct net_id vector_net(void) { return net_id_of("vectors"); }

void vector_key(uint8_t fill, struct secret_key *out)
{
    struct key_seed seed;
    struct pubkey unused;
    memset(seed.b, fill, sizeof seed.b);
    key_from_seed(&seed, out, &unused);
}

struct node_record vector_record(bool with_cert)
{
    struct secret_key node, owner;
    struct node_record r = { .net = vector_net(), .pow_nonce = 77, .seq = VECTOR_SEQ, .issued_at_s = 1767225600,
                             .flags = RECORD_DIALABLE, .at = { .host = "node.example", .port = 7400 } };
    vector_key(1, &node);
    vector_key(2, &owner);
    key_public(&node, &r.key);
    memset(r.at.transport.b, 3, SEAL_KEY_BYTES);
    r.has_cert = with_cert;
    if (with_cert)
        cert_issue(&owner, &r.net, &r.key, 2000000000, &r.cert);
    record_sign(&node, &r);
    return r;
}

struct advert vector_advert(void)
{
    struct secret_key node;
    struct advert a = { .node = vector_record(false), .seq = VECTOR_SEQ, .ttl_ms = 900000, .model_name = "tiny-story",
                        .numerics = 1, .context_tokens = 2048, .backend = "cpu-avx2", .device = "Some CPU", .prefill_mtps = 1234567,
                        .decode_mtps = 45678, .slots = 4, .prices = { 100000, 10000, 300000 }, .jurisdiction = "DE",
                        .tier = TIER_REGIONAL, .energy_mj_per_1000 = 12345 };
    memset(a.model.b, 5, HASH_BYTES);
    vector_key(1, &node);
    enum err e = advert_sign(&node, &a);
    ENSURE(e == OK);
    return a;
}
