/* bootstrap.h - the string one person hands another so that their node can join: where to dial and which key must answer.
 *
 *   tally://HOST:PORT/TRANSPORTKEY?net=NETWORKID
 *
 * HOST is a DNS name, IPv4 address or [IPv6]; TRANSPORTKEY the X25519 key as 64 hex digits (CURVE must know it before it
 * dials); NETWORKID 16 hex digits, either case. Anything else is ERR_FORMAT; there are no optional parts.
 *
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec: PROTO 2.7
 */
#ifndef TALLYMESH_CRYPTO_BOOTSTRAP_H
#define TALLYMESH_CRYPTO_BOOTSTRAP_H

#include "crypto/key.h"

enum { HOST_CHARS_MAX = 253, BOOTSTRAP_CHARS_MAX = 400 };

struct bootstrap {
    char host[HOST_CHARS_MAX + 1];                         /* without brackets */
    uint16_t port;
    struct seal_key transport;
    struct net_id net;
};

/* On failure out is untouched. */
enum err bootstrap_parse(const char *text, struct bootstrap *out) MUST_CHECK;
/* b->host must be valid and b->port not 0: a caller who got them from a person asks host_is_valid() first. */
void bootstrap_format(const struct bootstrap *b, char out[BOOTSTRAP_CHARS_MAX + 1]);
/* True for a syntactically valid host: DNS name, IPv4 or IPv6 literal (no brackets, no zone), nothing that could end up as
 * another endpoint. "127.1" and "0x7f.1" are refused: resolvers read them as addresses. */
bool host_is_valid(const char *host);

#endif
