/* values_jansson.h - how do amounts, hashes and keys read in our JSON?
 *
 * Unsigned 64-bit amounts are strings, because JSON readers round large numbers; hashes and keys are lower-case hex.
 * Owns:    nothing; each returns a new reference, NULL when out of memory.
 */
#ifndef TALLYMESH_NODE_VALUES_JANSSON_H
#define TALLYMESH_NODE_VALUES_JANSSON_H

#include <jansson.h>

#include "crypto/hash.h"
#include "crypto/key.h"

json_t *amount_json(uint64_t v);
json_t *hash_json(const struct hash *h);
json_t *key_json(const struct pubkey *k);
json_t *id_json(const struct pubkey *k);               /* the node id of a node key */

#endif
