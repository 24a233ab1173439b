/* wire.h - which messages exist, and what one frame looks like.
 *
 * One ZeroMQ frame is one message: canonical array(6)
 *
 *   [0] version   1
 *   [1] type      a number from MESSAGE_TABLE
 *   [2] request   u64, chosen by the asker and echoed by the answer; 0: no answer expected
 *   [3] hop       0 at the origin, +1 per forwarding; at most 255
 *   [4] age_ms    time since the origin spoke, summed from relative durations; u32
 *   [5] body      bin, canonical per type, at most message_body_max(type) bytes
 *
 * hop and age_ms change on the way, so no signature covers them; everything that must not change is in the body.
 *
 * Example: PING, request 7, no hop, no age, empty-array body: 96 01 03 07 00 00 c4 01 90
 *
 * Owns:    nothing; decoded bodies are views into the caller's bytes.
 * Threads: pure; any thread.
 * Spec:    PROTO 3.1 (frame), PROTO 3.2 (types)
 */
#ifndef TALLYMESH_DHT_WIRE_H
#define TALLYMESH_DHT_WIRE_H

#include "crypto/base.h"
#include "crypto/bounds.h"

enum { WIRE_VERSION = 1, FRAME_HOP_MAX = 255 };

/* name, number, text, largest body. The one table: numbers are final once released. Bodies of 48 and up belong to node/. */
#define MESSAGE_TABLE(X)                                                                                               \
    X(MSG_HELLO, 1, "hello", CONTROL_BODY_BYTES_MAX)                                                                   \
    X(MSG_HELLO_OK, 2, "hello_ok", CONTROL_BODY_BYTES_MAX)                                                             \
    X(MSG_PING, 3, "ping", CONTROL_BODY_BYTES_MAX)                                                                     \
    X(MSG_PONG, 4, "pong", CONTROL_BODY_BYTES_MAX)                                                                     \
    X(MSG_GOAWAY, 5, "goaway", CONTROL_BODY_BYTES_MAX)                                                                 \
    X(MSG_FIND, 16, "find", CONTROL_BODY_BYTES_MAX)                                                                    \
    X(MSG_NODES, 17, "nodes", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_STORE, 18, "store", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_STORED, 19, "stored", CONTROL_BODY_BYTES_MAX)                                                                \
    X(MSG_GET, 20, "get", CONTROL_BODY_BYTES_MAX)                                                                      \
    X(MSG_VALUES, 21, "values", CONTROL_BODY_BYTES_MAX)                                                                \
    X(MSG_PUB, 32, "pub", CONTROL_BODY_BYTES_MAX)                                                                      \
    X(MSG_IHAVE, 33, "ihave", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_IWANT, 34, "iwant", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_OFFER, 48, "offer", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_BID, 49, "bid", CONTROL_BODY_BYTES_MAX)                                                                      \
    X(MSG_DECLINE, 50, "decline", CONTROL_BODY_BYTES_MAX)                                                              \
    X(MSG_TERMS, 51, "terms", DATA_BODY_BYTES_MAX)                                                                     \
    X(MSG_TERMS_OK, 52, "terms_ok", CONTROL_BODY_BYTES_MAX)                                                            \
    X(MSG_REFUSE, 53, "refuse", CONTROL_BODY_BYTES_MAX)                                                                \
    X(MSG_CHUNK, 54, "chunk", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_CLAIM, 55, "claim", CONTROL_BODY_BYTES_MAX)                                                                  \
    X(MSG_CLAIM_OK, 56, "claim_ok", CONTROL_BODY_BYTES_MAX)                                                            \
    X(MSG_CLAIM_KEPT, 57, "claim_kept", CONTROL_BODY_BYTES_MAX)                                                        \
    X(MSG_CANCEL, 58, "cancel", CONTROL_BODY_BYTES_MAX)                                                                \
    X(MSG_RECEIPT, 64, "receipt", CONTROL_BODY_BYTES_MAX)                                                              \
    X(MSG_RECEIPT_OK, 65, "receipt_ok", CONTROL_BODY_BYTES_MAX)                                                        \
    X(MSG_RESYNC, 66, "resync", CONTROL_BODY_BYTES_MAX)                                                                \
    X(MSG_RESYNC_OK, 67, "resync_ok", CONTROL_BODY_BYTES_MAX)                                                          \
    X(MSG_HEADER_GET, 72, "header_get", CONTROL_BODY_BYTES_MAX)                                                        \
    X(MSG_HEADER_PART, 73, "header_part", DATA_BODY_BYTES_MAX)

enum message_type {
#define X(name, number, text, body_max) name = number,
    MESSAGE_TABLE(X)
#undef X
};

/* Position in the table, for counters: 0 .. MESSAGE_TYPE_COUNT - 1; MESSAGE_TYPE_COUNT itself stands for "unknown". */
enum {
#define X(name, number, text, body_max) name##_INDEX,
    MESSAGE_TABLE(X)
#undef X
    MESSAGE_TYPE_COUNT
};

struct frame {
    uint32_t type;
    uint64_t request;
    uint32_t hop, age_ms;
    struct bytes body;                                     /* decoded: a view into the frame's bytes */
};

/* ERR_TOO_LARGE (frame or body over its cap), ERR_ENCODING, ERR_OVERFLOW, ERR_VERSION, ERR_TYPE (well-formed, but a type
 * this version does not know: count it, carry on). out untouched on failure. */
enum err frame_decode(struct bytes encoded, struct frame *out) MUST_CHECK;
/* Writes f into buf. ERR_TYPE, ERR_TOO_LARGE (body over its type's cap, or buf too small). */
enum err frame_encode(const struct frame *f, uint8_t *buf, size_t cap, struct bytes *out) MUST_CHECK;

bool message_is_known(uint32_t type);
size_t message_body_max(uint32_t type);                    /* 0 for an unknown type */
size_t message_index(uint32_t type);                       /* MESSAGE_TYPE_COUNT for an unknown type */
const char *message_name(uint32_t type);                   /* "find"; "unknown"; static storage */
const char *message_name_at(size_t index);                 /* by table position, for metrics */

#endif
