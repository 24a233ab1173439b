/* zmtp_raw_posix.c - greeting, CURVE, messages; nothing more, and no manners. */
#define _GNU_SOURCE                                        /* SOCK_NONBLOCK */
#include "tests/zmtp_raw_posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { GREETING_BYTES = 64, HELLO_BYTES = 200, WELCOME_BYTES = 168, COOKIE_BYTES = 96, WAIT_MS = 3000 };

static uint64_t ms_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Lets the other side run for a moment. */
static void wait_for(struct zmtp_raw *r, short events)
{
    struct pollfd p = { .fd = r->fd, .events = events };
    if (r->pump)
        r->pump(r->ctx);
    poll(&p, 1, 1);
}

bool zmtp_connect(struct zmtp_raw *r, uint16_t port, void (*pump)(void *), void *ctx)
{
    *r = (struct zmtp_raw){ .pump = pump, .ctx = ctx };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int yes = 1;
    if (r->fd < 0)
        return false;
    setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);    /* else each small write waits 40 ms for an answer */
    for (uint64_t end = ms_now() + 1000; ms_now() < end; wait_for(r, POLLOUT))
        if (connect(r->fd, (struct sockaddr *)&a, sizeof a) == 0 || errno == EISCONN)
            return true;
    return false;
}

void zmtp_close(struct zmtp_raw *r)
{
    close(r->fd);
    r->fd = -1;
}

bool zmtp_write(struct zmtp_raw *r, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (uint64_t end = ms_now() + WAIT_MS; len > 0 && ms_now() < end;) {
        ssize_t n = send(r->fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            wait_for(r, POLLOUT);
        else {
            p += n;
            len -= (size_t)n;
            end = ms_now() + WAIT_MS;
        }
    }
    return len == 0;
}

static bool read_all(struct zmtp_raw *r, uint8_t *out, size_t len)
{
    for (uint64_t end = ms_now() + WAIT_MS; len > 0 && ms_now() < end;) {
        ssize_t n = recv(r->fd, out, len, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n < 0)
            wait_for(r, POLLIN);
        else {
            out += n;
            len -= (size_t)n;
        }
    }
    return len == 0;
}

bool zmtp_is_closed(struct zmtp_raw *r, uint32_t ms)
{
    uint8_t sink[4096];
    for (uint64_t end = ms_now() + ms; ms_now() < end; wait_for(r, POLLIN)) {
        ssize_t n = recv(r->fd, sink, sizeof sink, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return true;
    }
    return false;
}

/* flags, length, body */
static bool frame_write(struct zmtp_raw *r, uint8_t flags, const uint8_t *body, size_t len)
{
    uint8_t head[9] = { len > 255 ? flags | 2 : flags };
    if (len <= 255)
        head[1] = (uint8_t)len;
    else
        for (size_t i = 0; i < 8; i++)
            head[1 + i] = (uint8_t)((uint64_t)len >> (8 * (7 - i)));
    return zmtp_write(r, head, len > 255 ? 9 : 2) && zmtp_write(r, body, len);
}

/* A command of exactly this length and name ("\5READY"), else false. */
static bool command_read(struct zmtp_raw *r, const char *name, uint8_t *body, size_t min, size_t max, size_t *len)
{
    uint8_t head[2];
    if (!read_all(r, head, 2) || head[0] != 4 || head[1] < min || head[1] > max || !read_all(r, body, head[1]))
        return false;
    *len = head[1];
    return memcmp(body, name, strlen(name)) == 0;
}

/* 16 letters, then the counter. */
static void nonce_short(uint8_t out[24], const char *letters, uint64_t counter)
{
    memcpy(out, letters, 16);
    for (size_t i = 0; i < 8; i++)
        out[16 + i] = (uint8_t)(counter >> (8 * (7 - i)));
}

static size_t property(uint8_t *out, const char *name, struct bytes value)
{
    size_t n = strlen(name);
    out[0] = (uint8_t)n;
    memcpy(out + 1, name, n);
    uint8_t len[4] = { 0, 0, 0, (uint8_t)value.len };
    memcpy(out + 1 + n, len, 4);
    if (value.len > 0)
        memcpy(out + 5 + n, value.data, value.len);
    return 5 + n + value.len;
}

static bool greet(struct zmtp_raw *r)
{
    uint8_t g[GREETING_BYTES] = { 0xff, [9] = 0x7f, [10] = 3, [11] = 1 }, theirs[GREETING_BYTES];
    memcpy(g + 12, "CURVE", 5);
    return zmtp_write(r, g, sizeof g) && read_all(r, theirs, sizeof theirs);
}

struct handshake {
    const struct seal_key *server, *open;
    const struct seal_secret *secret;
    uint8_t short_open[32], short_secret[32], server_short[32], cookie[COOKIE_BYTES];
};

static bool hello(struct zmtp_raw *r, struct handshake *h)
{
    uint8_t body[HELLO_BYTES] = "\5HELLO\1", zeros[64] = { 0 }, nonce[24];
    crypto_box_keypair(h->short_open, h->short_secret);
    memcpy(body + 80, h->short_open, 32);
    nonce_short(nonce, "CurveZMQHELLO---", ++r->nonce);
    memcpy(body + 112, nonce + 16, 8);
    return crypto_box_easy(body + 120, zeros, 64, nonce, h->server->b, h->short_secret) == 0 && frame_write(r, 4, body, sizeof body);
}

static bool welcome(struct zmtp_raw *r, struct handshake *h)
{
    uint8_t body[256], nonce[24], plain[128];
    size_t len;
    if (!command_read(r, "\7WELCOME", body, WELCOME_BYTES, WELCOME_BYTES, &len))
        return false;
    memcpy(nonce, "WELCOME-", 8);
    memcpy(nonce + 8, body + 8, 16);
    if (crypto_box_open_easy(plain, body + 24, 144, nonce, h->server->b, h->short_secret) != 0)
        return false;
    memcpy(h->server_short, plain, 32);
    memcpy(h->cookie, plain + 32, COOKIE_BYTES);
    return true;
}

static bool initiate(struct zmtp_raw *r, struct handshake *h, struct bytes identity)
{
    uint8_t plain[512], vouch[64], nonce[24], body[900];
    memcpy(plain, h->open->b, 32);
    memcpy(vouch, h->short_open, 32);
    memcpy(vouch + 32, h->server->b, 32);
    memcpy(nonce, "VOUCH---", 8);
    randombytes_buf(nonce + 8, 16);
    memcpy(plain + 32, nonce + 8, 16);
    if (crypto_box_easy(plain + 48, vouch, 64, nonce, h->server_short, h->secret->b) != 0)
        return false;
    size_t len = 128 + property(plain + 128, "Socket-Type", bytes_text("DEALER"));
    len += property(plain + len, "Identity", identity);
    memcpy(body, "\10INITIATE", 9);
    memcpy(body + 9, h->cookie, COOKIE_BYTES);
    nonce_short(nonce, "CurveZMQINITIATE", ++r->nonce);
    memcpy(body + 105, nonce + 16, 8);
    return crypto_box_easy(body + 113, plain, len, nonce, h->server_short, h->short_secret) == 0 &&
           frame_write(r, 4, body, 113 + 16 + len);
}

bool zmtp_handshake(struct zmtp_raw *r, const struct seal_key *server, const struct seal_key *open, const struct seal_secret *secret,
                    struct bytes identity)
{
    struct handshake h = { .server = server, .open = open, .secret = secret };
    uint8_t ready[256];
    size_t len;
    return greet(r) && hello(r, &h) && welcome(r, &h) && initiate(r, &h, identity) &&
           command_read(r, "\5READY", ready, 30, 255, &len) && crypto_box_beforenm(r->key, h.server_short, h.short_secret) == 0;
}

bool zmtp_send(struct zmtp_raw *r, struct bytes payload, bool more)
{
    uint8_t nonce[24], *body = malloc(16 + 17 + payload.len), *plain = malloc(1 + payload.len);
    bool ok = body && plain;
    if (ok) {
        plain[0] = more ? 1 : 0;
        memcpy(plain + 1, payload.data, payload.len);
        memcpy(body, "\7MESSAGE", 8);
        nonce_short(nonce, "CurveZMQMESSAGEC", ++r->nonce);
        memcpy(body + 8, nonce + 16, 8);
        ok = crypto_box_easy_afternm(body + 16, plain, 1 + payload.len, nonce, r->key) == 0 &&
             frame_write(r, 0, body, 16 + 17 + payload.len);
    }
    free(body);
    free(plain);
    return ok;
}

bool zmtp_receive(struct zmtp_raw *r, uint8_t *out, size_t cap, size_t *len)
{
    uint8_t head[2], body[255], nonce[24];
    if (!read_all(r, head, 2) || (head[0] & 2) != 0 || head[1] < 16 + crypto_box_MACBYTES || !read_all(r, body, head[1]) ||
        memcmp(body, "\7MESSAGE", 8) != 0 || head[1] - 16u - crypto_box_MACBYTES > cap)
        return false;
    memcpy(nonce, "CurveZMQMESSAGES", 16);
    memcpy(nonce + 16, body + 8, 8);
    *len = head[1] - 16u - crypto_box_MACBYTES;
    return crypto_box_open_easy_afternm(out, body + 16, head[1] - 16u, nonce, r->key) == 0;
}
