/* hash.c - BLAKE2b-256 with a domain in front (PROTO 2.2). */
#include "crypto/hash.h"

#include <string.h>

#include "crypto/hex.h"

void hasher_init(struct hasher *h, const char *domain)
{
    ENSURE(domain[0] != '\0');
    crypto_generichash_init(&h->state, NULL, 0, HASH_BYTES);
    /* The NUL is part of the prefix: "a" || "bc" must not equal "ab" || "c". */
    crypto_generichash_update(&h->state, (const uint8_t *)domain, strlen(domain) + 1);
}

void hasher_add(struct hasher *h, struct bytes b)
{
    if (b.len > 0)
        crypto_generichash_update(&h->state, b.data, b.len);
}

void hasher_add_u64(struct hasher *h, uint64_t v)
{
    uint8_t le[8];
    for (unsigned i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    crypto_generichash_update(&h->state, le, sizeof le);
}

void hasher_add_hash(struct hasher *h, const struct hash *v)
{
    crypto_generichash_update(&h->state, v->b, HASH_BYTES);
}

void hasher_finish(struct hasher *h, struct hash *out)
{
    crypto_generichash_final(&h->state, out->b, HASH_BYTES);
}

struct hash hash_of(const char *domain, struct bytes b)
{
    struct hasher h;
    struct hash out;
    hasher_init(&h, domain);
    hasher_add(&h, b);
    hasher_finish(&h, &out);
    return out;
}

bool hash_equal(const struct hash *a, const struct hash *b) { return hash_compare(a, b) == 0; }
int hash_compare(const struct hash *a, const struct hash *b) { return memcmp(a->b, b->b, HASH_BYTES); }

bool hash_is_zero(const struct hash *a)
{
    static const struct hash zero;
    return hash_equal(a, &zero);
}

int hash_distance_compare(const struct hash *target, const struct hash *a, const struct hash *b)
{
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int da = target->b[i] ^ a->b[i], db = target->b[i] ^ b->b[i];
        if (da != db)
            return da - db;
    }
    return 0;
}

unsigned hash_common_bits(const struct hash *a, const struct hash *b)
{
    unsigned bits = 0;
    for (size_t i = 0; i < HASH_BYTES; i++, bits += 8) {
        unsigned differ = a->b[i] ^ b->b[i];
        if (differ != 0) {
            for (unsigned probe = 0x80; !(differ & probe); probe >>= 1)
                bits++;
            return bits;
        }
    }
    return bits;
}

void hash_format(const struct hash *a, char out[HASH_HEX_CHARS + 1]) { hex_format(bytes_of(a->b, HASH_BYTES), out); }
enum err hash_parse(const char *text, struct hash *out) { return hex_parse(bytes_text(text), out->b, HASH_BYTES); }
