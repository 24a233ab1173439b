/* tcp_linux.h - what libzmq has no call for: look at one of its TCP connections, cut it, stop accepting for a while.
 *
 * libzmq's monitor names a connection by its descriptor number. tcp_hold() makes a second descriptor of that connection,
 * ours, so that no later question can hit a stranger who got the same number after libzmq closed its own. A held
 * connection stays open towards the peer until tcp_release().
 *
 * Threads: any; the kernel is the lock.
 */
#ifndef TALLYMESH_NODE_TCP_LINUX_H
#define TALLYMESH_NODE_TCP_LINUX_H

#include "crypto/base.h"

enum { HOST_TEXT_BYTES = 46 };

/* A second descriptor of fd. ERR_PEER_GONE if fd is not, or no longer, a TCP connection with local port `port` (for
 * dialled connections: with remote port `port`); ERR_FULL if there are no descriptors. */
enum err tcp_hold_accepted(int fd, uint16_t port, int *out) MUST_CHECK;
enum err tcp_hold_dialled(int fd, uint16_t port, int *out) MUST_CHECK;
void tcp_release(int held);

struct tcp_peer {
    char text[HOST_TEXT_BYTES];                            /* numeric; IPv4 in its own notation */
    uint8_t ip[16];                                        /* IPv4 as ::ffff:a.b.c.d */
};
enum err tcp_peer_of(int held, struct tcp_peer *out) MUST_CHECK;
/* Bytes received so far, read by libzmq or not; 0 if the kernel cannot tell. */
uint64_t tcp_received(int held);
/* Both ways at once; libzmq notices and closes. */
void tcp_cut(int held);
/* After libzmq closed its side: true if the peer had not hung up and had spoken within `ms`, so that it was libzmq that
 * ended a living connection - over something the peer sent. */
bool tcp_was_talking(int held, uint32_t ms);

/* While shut, the kernel drops packets to the listening socket: callers wait and retry, connections live on. Closing the
 * socket instead (zmq_unbind) would end every inbound connection. False if the system has no such filter. */
bool tcp_gate_shut(int listening);
void tcp_gate_open(int listening);

/* An IPv4 or IPv6 literal: no name has to be looked up. */
bool host_is_numeric(const char *host);

/* Raises this process's descriptor limit to its hard limit; returns the limit now in force. */
uint64_t fd_limit_raise(void);
/* The number the next descriptor will get, -1 if none is left. The kernel gives out the lowest free number, so at least
 * that many are open. */
int fd_next(void);

#endif
