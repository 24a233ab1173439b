/* message.h - the bodies of the overlay's own messages, one struct and one decoder each.
 *
 *   HELLO, HELLO_OK  array(2) [record, signature]     PURPOSE_HELLO over array(2) [own transport key, your transport key]
 *   PING, PONG       array(0)
 *   GOAWAY           array(1) [reason]
 *   FIND             array(2) [target, want 1..CONTACTS_PER_REPLY_MAX]
 *   NODES            array(n <= CONTACTS_PER_REPLY_MAX) of records
 *   STORE            array(4) [key, kind, age_ms, value]      kind 0: a record, 1: an advert
 *   STORED           array(2) [result, seq that is held]
 *   GET              array(2) [key, skip]                     skip: values already received from this holder
 *   VALUES           array(3) [total, array(n <= ADVERTS_PER_REPLY_MAX) of array(2) [age_ms, value], NODES body]
 *   PUB              array(2) [array(4) [topic, record of the origin, number, bytes], signature]     PURPOSE_GOSSIP
 *   IHAVE, IWANT     array(n <= GOSSIP_IDS_MAX) of H("gossip", PUB body)
 *
 * Owns:    nothing. Views (struct bytes) point into the decoded body.
 * Threads: pure; any thread.
 * Spec:    PROTO 3.3, PROTO 4.4, PROTO 5.1
 */
#ifndef TALLYMESH_DHT_MESSAGE_H
#define TALLYMESH_DHT_MESSAGE_H

#include "dht/advert.h"
#include "dht/wire.h"

enum {
    GOSSIP_IDS_MAX = 16,                                   /* an IWANT is answered at once: 16 x 2 KiB stay inside the outbox */
    PUB_BYTES_MAX = 2048,                                  /* GOSSIP_BYTES_MAX + RECORD_BYTES_MAX + keys, number, signature */
    VALUES_BYTES_MAX = CONTROL_BODY_BYTES_MAX - LOOKUP_ALPHA * RECORD_BYTES_MAX - 64,  /* always room for LOOKUP_ALPHA contacts */
};

/* ---- session ---- */

struct msg_hello {
    struct node_record record;
    struct sig sig;
};
/* The two ends of a link, as the speaker sees them; a struct so that they cannot be swapped by position. */
struct hello_ends {
    const struct seal_key *speaker, *listener;
};
/* Writes a whole HELLO or HELLO_OK body. */
void msg_hello_write(struct writer *w, const struct secret_key *secret, const struct node_record *own, struct hello_ends ends);
enum err msg_hello_decode(struct bytes body, struct msg_hello *out) MUST_CHECK;
/* The signature over both ends only; the record is checked apart. ERR_SIGNATURE. */
enum err msg_hello_verify(const struct msg_hello *m, struct hello_ends ends) MUST_CHECK;

enum goaway {
    GOAWAY_LEAVING = 0,
    GOAWAY_DUPLICATE = 1,
    GOAWAY_FULL = 2,
    GOAWAY_NO_SESSION = 3,
    GOAWAY_IDLE = 4,
    GOAWAY_REFUSED = 5
};
void msg_goaway_write(struct writer *w, enum goaway reason);
enum err msg_goaway_decode(struct bytes body, enum goaway *out) MUST_CHECK;

void msg_empty_write(struct writer *w);
enum err msg_empty_decode(struct bytes body) MUST_CHECK;

/* ---- overlay ---- */

struct msg_find {
    struct hash target;
    uint32_t want;
};
void msg_find_write(struct writer *w, const struct msg_find *m);
enum err msg_find_decode(struct bytes body, struct msg_find *out) MUST_CHECK;

struct msg_nodes {
    uint32_t count;
    struct bytes records[CONTACTS_PER_REPLY_MAX];          /* each: record_decode() */
};
void msg_nodes_read(struct reader *r, struct msg_nodes *out);
enum err msg_nodes_decode(struct bytes body, struct msg_nodes *out) MUST_CHECK;

enum value_kind { VALUE_RECORD = 0, VALUE_ADVERT = 1 };
struct msg_store {
    struct hash key;
    enum value_kind kind;
    uint32_t age_ms;                                       /* since it was signed */
    struct bytes value;
};
void msg_store_write(struct writer *w, const struct msg_store *m);
enum err msg_store_decode(struct bytes body, struct msg_store *out) MUST_CHECK;

enum stored { STORED_OK = 0, STORED_STALE = 1, STORED_CONFLICT = 2, STORED_FULL = 3, STORED_INVALID = 4 };
struct msg_stored {
    enum stored result;
    uint64_t seq;
};
void msg_stored_write(struct writer *w, const struct msg_stored *m);
enum err msg_stored_decode(struct bytes body, struct msg_stored *out) MUST_CHECK;

struct msg_get {
    struct hash key;
    uint32_t skip;
};
void msg_get_write(struct writer *w, const struct msg_get *m);
enum err msg_get_decode(struct bytes body, struct msg_get *out) MUST_CHECK;

struct aged_value {
    uint32_t age_ms;
    struct bytes value;
};
struct msg_values {
    uint32_t total, count;
    struct aged_value values[ADVERTS_PER_REPLY_MAX];
    struct msg_nodes nodes;
};
enum err msg_values_decode(struct bytes body, struct msg_values *out) MUST_CHECK;

/* ---- gossip ---- */

struct msg_pub {
    struct hash topic;
    struct node_record origin;
    uint64_t number;                                       /* the origin's wall clock in ms, or its last number + 1 */
    struct bytes bytes;
    struct sig sig;
    struct bytes statement;                                /* the signed bytes */
};
/* Writes and signs a whole PUB body. */
void msg_pub_write(struct writer *w, const struct secret_key *secret, const struct msg_pub *m);
enum err msg_pub_decode(struct bytes body, struct msg_pub *out) MUST_CHECK;
enum err msg_pub_verify(const struct msg_pub *m, const struct net_id *net) MUST_CHECK;
struct hash msg_pub_id(struct bytes body);

struct msg_ids {
    uint32_t count;
    struct hash ids[GOSSIP_IDS_MAX];
};
void msg_ids_write(struct writer *w, const struct msg_ids *m);
enum err msg_ids_decode(struct bytes body, struct msg_ids *out) MUST_CHECK;

#endif
