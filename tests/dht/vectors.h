/* vectors.h - golden bytes by name, from tests/vectors/overlay/overlay.txt (made by make.py beside it), and the statements
 * that they encode, built with our own structs. */
#ifndef TALLYMESH_TESTS_DHT_VECTORS_H
#define TALLYMESH_TESTS_DHT_VECTORS_H

#include "dht/message.h"

enum { VECTOR_BYTES_MAX = 4096 };
struct vector {
    uint8_t b[VECTOR_BYTES_MAX];
    size_t len;
};
struct bytes vector_load(const char *name, struct vector *out);

#define VECTOR_SEQ UINT64_C(1767225600123)
#define VECTOR_WALL ((struct wall){ UINT64_C(1767225700000) })
struct net_id vector_net(void);
void vector_key(uint8_t fill, struct secret_key *out);     /* seed: 32 times fill */
struct node_record vector_record(bool with_cert);
struct advert vector_advert(void);

#endif
