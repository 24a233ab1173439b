/* values_jansson.c - amounts, hashes and keys as JSON strings. */
#include "node/values_jansson.h"

#include <inttypes.h>
#include <stdio.h>

json_t *amount_json(uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, v);
    return json_string(text);
}

json_t *hash_json(const struct hash *h)
{
    char hex[HASH_HEX_CHARS + 1];
    hash_format(h, hex);
    return json_string(hex);
}

json_t *key_json(const struct pubkey *k)
{
    char hex[2 * PUBKEY_BYTES + 1];
    pubkey_format(k, hex);
    return json_string(hex);
}

json_t *id_json(const struct pubkey *k)
{
    struct node_id id = node_id_of(k);
    return hash_json(&id.h);
}
