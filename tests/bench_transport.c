/* bench_transport.c - round trip and throughput of two transports on loopback, in two processes. Not a test.
 *
 *   build/tests/bench_transport [seconds per throughput case, default 2]
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/transport_zmq.h"

enum { ROUND_TRIPS = 5000, WARM_UP = 200, ECHO = 'e', COUNT = 'c', REPORT = 'r' };

static struct mono now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct mono){ (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 };
}

static struct transport *open_node(uint8_t seed, struct seal_key *key)
{
    struct key_seed s = { { seed } };
    struct seal_secret secret;
    struct transport *t;
    seal_key_from_seed(&s, &secret, key);
    struct transport_config c = { .host = "127.0.0.1", .transport = *key, .secret = &secret };
    transport_limits_default(&c.limits);
    c.limits.bytes_per_s = c.limits.bytes_burst = c.limits.msgs_per_s = c.limits.msgs_burst = 1u << 31;   /* measure the road, not the toll */
    c.limits.send_queue_max = c.limits.recv_queue_max = 1000;
    c.limits.undelivered_bytes_max = 1u << 31;
    if (transport_open(&c, now(), &t) != OK) {
        fprintf(stderr, "bench_transport: cannot bind on 127.0.0.1\n");
        exit(1);
    }
    return t;
}

/* Echoes ECHO frames, counts COUNT frames, answers REPORT with the count of bytes so far. */
static void serve(struct transport *t)
{
    uint64_t bytes = 0;
    for (;;) {
        struct transport_event e;
        transport_wait(t, now(), 1000);
        transport_turn(t, now());
        while (transport_next(t, now(), &e)) {
            if (e.kind != TRANSPORT_FRAME)
                continue;
            if (e.frame.data[0] == COUNT)
                bytes += e.frame.len;
            else if (transport_send(t, e.link, e.frame.data[0] == ECHO ? e.frame : bytes_of(&bytes, sizeof bytes)) != OK)
                fprintf(stderr, "bench_transport: echo not sent\n");
        }
    }
}

static bool turn(struct transport *t, uint32_t wait_ms, struct transport_event *out)
{
    transport_wait(t, now(), wait_ms);
    transport_turn(t, now());
    return transport_next(t, now(), out);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void round_trips(struct transport *t, size_t bytes)
{
    static uint8_t frame[FRAME_BYTES_MAX];
    static uint64_t us[ROUND_TRIPS];
    struct transport_event e;
    memset(frame, ECHO, bytes);
    for (int i = -WARM_UP; i < ROUND_TRIPS; i++) {
        struct mono start = now();
        if (transport_send(t, 1, bytes_of(frame, bytes)) != OK)
            exit(1);
        while (!turn(t, 1000, &e) || e.kind != TRANSPORT_FRAME)
            if (e.kind == TRANSPORT_LINK_DOWN)
                exit(1);
        if (i >= 0)
            us[i] = now().us - start.us;
    }
    qsort(us, ROUND_TRIPS, sizeof *us, by_value);
    printf("round trip %6zu B   p50 %4llu us   p99 %4llu us\n", bytes, (unsigned long long)us[ROUND_TRIPS / 2],
           (unsigned long long)us[ROUND_TRIPS * 99 / 100]);
}

static uint64_t report(struct transport *t)
{
    struct transport_event e;
    uint8_t ask = REPORT;
    uint64_t bytes;
    while (transport_send(t, 1, bytes_of(&ask, 1)) != OK)
        transport_turn(t, now());
    do
        memset(&e, 0, sizeof e);
    while (!turn(t, 5000, &e) || e.kind != TRANSPORT_FRAME);
    memcpy(&bytes, e.frame.data, sizeof bytes);
    return bytes;
}

static void throughput(struct transport *t, size_t bytes, unsigned seconds)
{
    static uint8_t frame[FRAME_BYTES_MAX];
    struct transport_event e;
    memset(frame, COUNT, bytes);
    uint64_t before = report(t);
    struct mono start = now(), end = mono_add_ms(start, seconds * 1000);
    while (!mono_reached(now(), end)) {
        enum err r = OK;
        for (int i = 0; i < 100 && r == OK; i++)
            r = transport_send(t, 1, bytes_of(frame, bytes));
        if (r != OK) {
            usleep(100);
            (void)turn(t, 0, &e);
        }
    }
    uint64_t got = report(t) - before;
    double s = (double)(now().us - start.us) / 1e6;
    printf("one way    %6zu B   %8.0f msg/s   %6.1f MB/s\n", bytes, (double)got / (double)bytes / s, (double)got / s / 1e6);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    int port_pipe[2];
    struct seal_key key, server;
    uint16_t port;
    if (crypto_start() != OK || pipe(port_pipe) != 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0) {
        struct transport *t = open_node(2, &key);
        port = transport_port(t);
        if (write(port_pipe[1], &port, sizeof port) == sizeof port)
            serve(t);
        _exit(1);
    }
    struct key_seed s = { { 2 } };
    struct seal_secret unused;
    seal_key_from_seed(&s, &unused, &server);
    struct transport *t = open_node(1, &key);
    struct transport_event e = { 0 };
    struct mono start = now();
    if (read(port_pipe[0], &port, sizeof port) != sizeof port || transport_dial(t, start, 1, "127.0.0.1", port, &server) != OK)
        return 1;
    start = now();
    while (!turn(t, 1000, &e) || e.kind != TRANSPORT_LINK_UP)
        if (mono_ms_between(start, now()) > 5000)
            return 1;
    printf("dial to LINK_UP %.1f ms\n", (double)(now().us - start.us) / 1000);
    round_trips(t, 64);
    round_trips(t, 1024);
    round_trips(t, 16 * 1024);
    throughput(t, 64, seconds);
    throughput(t, 1024, seconds);
    throughput(t, FRAME_BYTES_MAX, seconds);
    transport_close(t);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    return 0;
}
