/* tcp_linux.c - socket calls on libzmq's connections: dup, TCP_INFO, shutdown, a classic packet filter. */
#define _GNU_SOURCE                                        /* F_DUPFD_CLOEXEC */
#include "node/tcp_linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/tcp.h>                                     /* the libc's tcp_info lacks tcpi_bytes_received */
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

union socket_name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

static uint16_t port_of(const union socket_name *n)
{
    if (n->any.sa_family == AF_INET)
        return ntohs(n->v4.sin_port);
    return n->any.sa_family == AF_INET6 ? ntohs(n->v6.sin6_port) : 0;
}

static enum err hold(int fd, uint16_t port, bool accepted, int *out)
{
    union socket_name name;
    socklen_t len = sizeof name;
    int held = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (held < 0)
        return errno == EMFILE ? ERR_FULL : ERR_PEER_GONE;
    if ((accepted ? getsockname : getpeername)(held, &name.any, &len) != 0 || port_of(&name) != port) {
        close(held);
        return ERR_PEER_GONE;
    }
    *out = held;
    return OK;
}

enum err tcp_hold_accepted(int fd, uint16_t port, int *out) { return hold(fd, port, true, out); }
enum err tcp_hold_dialled(int fd, uint16_t port, int *out) { return hold(fd, port, false, out); }
void tcp_release(int held) { close(held); }

enum err tcp_peer_of(int held, struct tcp_peer *out)
{
    union socket_name name;
    socklen_t len = sizeof name;
    if (getpeername(held, &name.any, &len) != 0)
        return ERR_PEER_GONE;
    struct in6_addr ip = { 0 };
    if (name.any.sa_family == AF_INET6)
        ip = name.v6.sin6_addr;
    else {
        ip.s6_addr[10] = ip.s6_addr[11] = 0xff;
        memcpy(ip.s6_addr + 12, &name.v4.sin_addr, 4);
    }
    bool v4 = IN6_IS_ADDR_V4MAPPED(&ip);
    memcpy(out->ip, ip.s6_addr, sizeof out->ip);
    return inet_ntop(v4 ? AF_INET : AF_INET6, ip.s6_addr + (v4 ? 12 : 0), out->text, HOST_TEXT_BYTES) ? OK : ERR_PEER_GONE;
}

static bool info_of(int held, struct tcp_info *out)
{
    socklen_t len = sizeof *out;
    memset(out, 0, sizeof *out);
    return getsockopt(held, IPPROTO_TCP, TCP_INFO, out, &len) == 0;
}

uint64_t tcp_received(int held)
{
    struct tcp_info info;
    return info_of(held, &info) ? info.tcpi_bytes_received : 0;
}

void tcp_cut(int held) { shutdown(held, SHUT_RDWR); }

bool tcp_was_talking(int held, uint32_t ms)
{
    struct tcp_info info;
    return info_of(held, &info) && info.tcpi_state == 1 /* established */ && info.tcpi_last_data_recv < ms;
}

bool tcp_gate_shut(int listening)
{
    struct sock_filter drop = { .code = BPF_RET | BPF_K, .k = 0 };
    struct sock_fprog program = { .len = 1, .filter = &drop };
    return setsockopt(listening, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

void tcp_gate_open(int listening)
{
    int unused = 0;
    setsockopt(listening, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

bool host_is_numeric(const char *host)
{
    uint8_t unused[16];
    return inet_pton(AF_INET, host, unused) == 1 || inet_pton(AF_INET6, host, unused) == 1;
}

uint64_t fd_limit_raise(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 1024;
    if (r.rlim_cur < r.rlim_max) {
        struct rlimit raised = { .rlim_cur = r.rlim_max, .rlim_max = r.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            r = raised;
    }
    return r.rlim_cur;
}

int fd_next(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd;
}
