/* zmtp_raw_posix.h - a ZeroMQ client over CURVE made by hand, because libzmq's own is too well-behaved to attack with.
 *
 * ZMTP 3.1 greeting, CurveZMQ handshake (RFC 26), MESSAGE commands. Sockets are non-blocking; whenever it must wait, it
 * calls `pump`, in which the test gives the node under attack its turns. Single-threaded, so attacks are repeatable.
 */
#ifndef TALLYMESH_TESTS_ZMTP_RAW_POSIX_H
#define TALLYMESH_TESTS_ZMTP_RAW_POSIX_H

#include "crypto/key.h"

struct zmtp_raw {
    int fd;
    uint64_t nonce;
    uint8_t key[32];                                       /* shared secret of the two short-term keys */
    void (*pump)(void *ctx);
    void *ctx;
};

/* TCP alone. False if nobody answers within a second. */
bool zmtp_connect(struct zmtp_raw *r, uint16_t port, void (*pump)(void *), void *ctx);
void zmtp_close(struct zmtp_raw *r);
/* Greeting and CURVE, with this "Identity" (the routing id; may be empty). False if the server hangs up or says no. */
bool zmtp_handshake(struct zmtp_raw *r, const struct seal_key *server, const struct seal_key *open, const struct seal_secret *secret,
                    struct bytes identity);
/* One part of a message. False if the connection is gone. */
bool zmtp_send(struct zmtp_raw *r, struct bytes payload, bool more);
/* The next message or command of the server, opened: out[0] is its flags (2: a command). False if none comes or it is too long. */
bool zmtp_receive(struct zmtp_raw *r, uint8_t *out, size_t cap, size_t *len);
/* Bytes as they are. False if the connection is gone. */
bool zmtp_write(struct zmtp_raw *r, const void *data, size_t len);
/* True once the server has closed; waits up to ms for it. What the server says meanwhile is thrown away. */
bool zmtp_is_closed(struct zmtp_raw *r, uint32_t ms);

#endif
