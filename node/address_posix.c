/* address_posix.c - picks the advertised address. */
#include "node/address_posix.h"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool first_address(int family, char out[HOST_CHARS_MAX + 1])
{
    struct ifaddrs *all, *i;
    bool found = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (i = all; i && !found; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        socklen_t len = family == AF_INET ? (socklen_t)sizeof(struct sockaddr_in) : (socklen_t)sizeof(struct sockaddr_in6);
        found = getnameinfo(i->ifa_addr, len, out, HOST_CHARS_MAX + 1, NULL, 0, NI_NUMERICHOST) == 0 &&
                strncmp(out, "169.254.", 8) != 0 && strncmp(out, "fe80", 4) != 0;
    }
    freeifaddrs(all);
    return found;
}

bool address_advertised(const char *configured, const char *listen, char out[HOST_CHARS_MAX + 1])
{
    if (configured[0] || (strcmp(listen, "0.0.0.0") != 0 && strcmp(listen, "::") != 0)) {
        snprintf(out, HOST_CHARS_MAX + 1, "%s", configured[0] ? configured : listen);
        return true;
    }
    if (first_address(AF_INET, out) || (strcmp(listen, "::") == 0 && first_address(AF_INET6, out)))
        return true;
    snprintf(out, HOST_CHARS_MAX + 1, "127.0.0.1");
    return false;
}

void address_text(const char *host, uint16_t port, char out[ADDRESS_TEXT_CHARS])
{
    bool brackets = strchr(host, ':') != NULL;
    snprintf(out, ADDRESS_TEXT_CHARS, "%s%s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "", port);
}
