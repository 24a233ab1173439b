/* address_posix.h - which address do we tell others to dial? Effects: asks the system for its interfaces. */
#ifndef TALLYMESH_NODE_ADDRESS_POSIX_H
#define TALLYMESH_NODE_ADDRESS_POSIX_H

#include "crypto/bootstrap.h"

/* The advertised host: `configured` if not empty; else the listen address unless it is a wildcard; else this machine's
 * first address that is not loopback or link-local, IPv4 first. False (and "127.0.0.1") if there is none: not dialable. */
bool address_advertised(const char *configured, const char *listen, char out[HOST_CHARS_MAX + 1]);

/* "host:port" as it stands in a URL: an IPv6 address in brackets. */
enum { ADDRESS_TEXT_CHARS = HOST_CHARS_MAX + 9 };
void address_text(const char *host, uint16_t port, char out[ADDRESS_TEXT_CHARS]);

#endif
