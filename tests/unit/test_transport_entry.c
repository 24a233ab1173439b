/* test_transport_entry.c - attacks on the door: who may connect, how often, how many, how long without a word. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/transport_rig_zmq.h"
#include "tests/zmtp_raw_posix.h"

static void *context;                                      /* the attackers' own */

static void impatient(struct transport_limits *l)
{
    l->handshake_ms = 200;
    l->silent_ms = 300;
    l->dial_ms = 1000;
}

static void pump_node(void *ctx) { rig_run(ctx, 2); }

/* In the place of the C library's, for libzmq as well: one name takes long to look up. */
enum { SLOW_NAME_MS = 1500 };
static atomic_int slow_lookups;
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (name && strcmp(name, "slow.invalid") == 0) {
        slow_lookups++;
        nanosleep(&(struct timespec){ SLOW_NAME_MS / 1000, SLOW_NAME_MS % 1000 * 1000000 }, NULL);
        return EAI_NONAME;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(name, service, hints, out);
}

static bool raw_in(struct zmtp_raw *r, struct rig_node *n, uint8_t seed, struct bytes identity)
{
    struct keys k = keys_make(seed);
    return zmtp_connect(r, transport_port(n->t), pump_node, n) &&
           zmtp_handshake(r, &n->keys.open, &k.open, &k.secret, identity);
}

/* After an attack: a newcomer with this seed gets in and is answered. */
static void assert_serves(struct rig_node *victim, uint8_t seed)
{
    static struct rig_node friend;
    struct rig_node *both[] = { victim, &friend };
    size_t before = victim->frames;
    rig_open(&friend, seed, NULL);
    rig_dial(&friend, 1, victim);
    assert_ok(rig_send(&friend, 1, 10, seed));
    rig_pump(both, 2, 3000, &victim->frames, before + 1);
    assert_int_equal(victim->frames, before + 1);
    assert_ok(rig_send(victim, victim->last_in, 10, 'r'));
    rig_pump(both, 2, 3000, &friend.frames, 1);
    assert_int_equal(friend.frames, 1);
    rig_close(&friend);
    rig_run(victim, 20);
}

static void the_raw_client_is_a_client(void **state)       /* else the attacks below would prove nothing */
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r;
    rig_open(&n, 1, NULL);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&r, bytes_text("hello"), false));
    rig_pump(&(struct rig_node *){ &n }, 1, 2000, &n.frames, 1);
    assert_int_equal(n.frames, 1);
    assert_memory_equal(n.log[0].peer.b, keys_make(9).open.b, SEAL_KEY_BYTES);
    zmtp_close(&r);
    rig_pump(&(struct rig_node *){ &n }, 1, 2000, &n.downs, 1);
    assert_int_equal(n.downs, 1);
    rig_close(&n);
}

static void without_curve_nothing_passes(void **state)
{
    (void)state;
    struct rig_node n;
    rig_open(&n, 1, impatient);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", transport_port(n.t));
    void *plain = zmq_socket(context, ZMQ_DEALER);
    int zero = 0;
    zmq_setsockopt(plain, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(plain, endpoint), 0);
    zmq_send(plain, "naked", 5, ZMQ_DONTWAIT);
    rig_run(&n, 150);
    zmq_close(plain);

    struct zmtp_raw r;                                     /* ZMTP 1.0: no greeting, no mechanism, a length and a message */
    assert_true(zmtp_connect(&r, transport_port(n.t), pump_node, &n));
    assert_true(zmtp_write(&r, "\1\0\6\0naked", 9));
    assert_true(zmtp_is_closed(&r, 1000));
    zmtp_close(&r);

    struct keys k = keys_make(9), wrong = keys_make(10);   /* a client who does not know our key */
    assert_true(zmtp_connect(&r, transport_port(n.t), pump_node, &n));
    assert_false(zmtp_handshake(&r, &wrong.open, &k.open, &k.secret, bytes_of(NULL, 0)));
    zmtp_close(&r);
    assert_int_equal(n.frames, 0);
    assert_int_equal(rig_counter(&n, "links_up"), 0);
    assert_serves(&n, 2);
    rig_close(&n);
}

static void a_server_with_another_key_is_no_link(void **state)
{
    (void)state;
    struct rig_node a, b, *both[] = { &a, &b };
    rig_open(&a, 1, impatient);
    rig_open(&b, 2, NULL);
    struct keys wrong = keys_make(3);
    assert_ok(transport_dial(a.t, rig_now(), 5, "127.0.0.1", transport_port(b.t), &wrong.open));
    rig_pump(both, 2, 2000, &a.downs, 1);
    assert_int_equal(a.downs, 1);
    assert_int_equal(a.ups, 0);
    assert_err(rig_send(&a, 5, 1, 0), ERR_PEER_GONE);
    rig_close(&a);
    rig_close(&b);
}

static void dials_that_fail_say_so(void **state)
{
    (void)state;
    struct rig_node a, *one = &a;
    rig_open(&a, 1, impatient);
    struct keys k = keys_make(2);
    assert_ok(transport_dial(a.t, rig_now(), 1, "127.0.0.1", 1, &k.open));                 /* refused */
    rig_pump(&one, 1, 2000, &a.downs, 1);
    assert_int_equal(a.downs, 1);
    assert_ok(transport_dial(a.t, rig_now(), 2, "no-such-host.invalid", 9, &k.open));      /* no such name */
    rig_pump(&one, 1, 2500, &a.downs, 2);
    assert_int_equal(a.downs, 2);
    assert_err(transport_dial(a.t, rig_now(), 3, "127.0.0.1;127.0.0.1", 9, &k.open), ERR_ARG);
    assert_err(transport_dial(a.t, rig_now(), 3, "*", 9, &k.open), ERR_ARG);
    assert_err(transport_dial(a.t, rig_now(), 3, "127.0.0.1", 0, &k.open), ERR_ARG);
    assert_err(transport_dial(a.t, rig_now(), LINK_INBOUND_BIT | 3, "127.0.0.1", 9, &k.open), ERR_ARG);
    assert_err(transport_dial(a.t, rig_now(), 0, "127.0.0.1", 9, &k.open), ERR_ARG);
    assert_int_equal(transport_counters(a.t)->outbound_links, 0);
    rig_close(&a);
}

static void short_dials(struct transport_limits *l) { l->dial_ms = 2500; }

/* libzmq looks names up in the thread that serves connections: it must be one that serves no other. */
static void a_slow_name_holds_nobody_up(void **state)
{
    (void)state;
    enum { FRIENDS = 6 };
    struct rig_node n, friends[FRIENDS], *all[FRIENDS + 1] = { &n };
    struct keys k = keys_make(40);
    rig_open(&n, 1, short_dials);
    for (size_t i = 0; i < FRIENDS; i++) {                 /* half of them we dial, half dial us */
        all[i + 1] = &friends[i];
        rig_open(&friends[i], (uint8_t)(2 + i), NULL);
        rig_dial(i % 2 ? &n : &friends[i], 10 + i, i % 2 ? &friends[i] : &n);
        assert_ok(rig_send(i % 2 ? &n : &friends[i], 10 + i, 1, 'a'));
        rig_pump(all, i + 2, 2000, i % 2 ? &friends[i].frames : &n.frames, i % 2 ? 1 : i / 2 + 1);
    }
    struct mono start = rig_now();
    slow_lookups = 0;
    assert_ok(transport_dial(n.t, rig_now(), 99, "slow.invalid", 9, &k.open));
    while (slow_lookups == 0 && mono_ms_between(start, rig_now()) < 1000)
        rig_pump(all, FRIENDS + 1, 5, NULL, 0);
    assert_true(slow_lookups > 0);
    size_t frames = n.frames;
    for (size_t i = 0; i < FRIENDS; i++) {
        size_t before = friends[i].frames;
        assert_ok(rig_send(&friends[i], i % 2 ? friends[i].last_in : 10 + i, 1, 'b'));
        rig_pump(all, FRIENDS + 1, SLOW_NAME_MS, &n.frames, ++frames);
        assert_ok(rig_send(&n, n.last_in, 1, 'c'));
        rig_pump(all, FRIENDS + 1, SLOW_NAME_MS, &friends[i].frames, before + 1);
        assert_int_equal(friends[i].frames, before + 1);
    }
    assert_true(mono_ms_between(start, rig_now()) < SLOW_NAME_MS);     /* all of that while the name was looked up */
    rig_pump(all, FRIENDS + 1, 3000, &n.downs, 1);
    assert_int_equal(n.downs, 1);
    for (size_t i = 0; i <= FRIENDS; i++)
        rig_close(all[i]);
}

static int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 16) == 0 &&
                getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* PROTO 10.8. libzmq left alone would dial again every 100 ms and send there what was queued for the link that has ended. */
static void a_link_that_ended_is_not_resumed(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    uint16_t port;
    int fd = listen_anywhere(&port), accepted = 0;
    struct keys k = keys_make(2);
    rig_open(&n, 1, NULL);
    assert_ok(transport_dial(n.t, rig_now(), 1, "127.0.0.1", port, &k.open));
    assert_ok(rig_send(&n, 1, 10, 'q'));
    struct mono end = mono_add_ms(rig_now(), 1000);
    while (!mono_reached(rig_now(), end)) {                /* and the node takes no turn in which it could close the socket */
        int c = accept(fd, NULL, NULL);
        if (c >= 0) {
            accepted++;
            close(c);
        }
        usleep(2000);
    }
    assert_int_equal(accepted, 1);
    rig_pump(&one, 1, 2000, &n.downs, 1);
    assert_int_equal(n.downs, 1);
    close(fd);
    rig_close(&n);
}

enum { LINKS_MANY = 400 };
static void many_links(struct transport_limits *l) { l->outbound_max = LINKS_MANY; }

/* A context of libzmq has room for 1023 sockets unless told; a link takes three. */
static void there_are_sockets_for_every_link(void **state)
{
    (void)state;
    struct rig_node n;
    struct rlimit room;
    struct keys k = keys_make(2);
    uint16_t port;
    int fd = listen_anywhere(&port);
    rig_open(&n, 1, many_links);                           /* raises the limit on descriptors as far as it goes */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &room), 0);
    if (room.rlim_cur < 10 * LINKS_MANY) {
        print_message("too few descriptors here: %llu\n", (unsigned long long)room.rlim_cur);
        rig_close(&n);
        close(fd);
        skip();
    }
    for (uint64_t i = 1; i <= LINKS_MANY; i++)
        assert_ok(transport_dial(n.t, rig_now(), i, "127.0.0.1", port, &k.open));
    assert_err(transport_dial(n.t, rig_now(), LINKS_MANY + 1, "127.0.0.1", port, &k.open), ERR_FULL);
    rig_close(&n);
    close(fd);
}

/* Refused at the door: the dialler hears it at once, not after its time limit. */
static void a_refusal_is_heard_at_once(void **state)
{
    (void)state;
    struct rig_node n, refused, *both[] = { &n, &refused };
    rig_open(&n, 1, NULL);
    rig_open(&refused, 2, NULL);
    transport_mute(n.t, 0, &refused.keys.open, mono_add_ms(rig_now(), 10000));
    struct mono start = rig_now();
    rig_dial(&refused, 1, &n);
    assert_ok(rig_send(&refused, 1, 1, 'x'));
    rig_pump(both, 2, 3000, &refused.downs, 1);
    assert_int_equal(refused.downs, 1);
    assert_int_equal(refused.ups, 0);
    assert_true(mono_ms_between(start, rig_now()) < 1000);
    assert_int_equal(n.log_count, 0);
    rig_close(&refused);
    rig_close(&n);
}

/* ---- too many ---- */

enum { SILENT = 60 };

static void few_connections(struct transport_limits *l)
{
    impatient(l);
    l->connections_max = 16;
    l->ip_burst = l->ip_per_s = l->ip_connections_max = 1000;
}

static void silent_connections_lock_nobody_out(void **state)
{
    (void)state;
    struct rig_node n, friend, *both[] = { &n, &friend };
    struct zmtp_raw silent[SILENT];
    rig_open(&n, 1, few_connections);
    rig_open(&friend, 2, NULL);
    rig_dial(&friend, 1, &n);
    assert_ok(rig_send(&friend, 1, 1, 'a'));
    rig_pump(both, 2, 2000, &n.frames, 1);
    for (size_t i = 0; i < SILENT; i++)
        (void)zmtp_connect(&silent[i], transport_port(n.t), NULL, NULL);   /* nobody pumps: they pile up in the kernel */
    rig_pump(both, 2, 100, NULL, 0);
    assert_true(transport_counters(n.t)->inbound_connections <= 16);
    assert_true(rig_counter(&n, "refused_connections") > 0);
    assert_true(rig_counter(&n, "gate_closed") > 0);

    assert_ok(rig_send(&friend, 1, 1, 'b'));               /* who was connected stays connected: no zmq_unbind */
    rig_pump(both, 2, 2000, &n.frames, 2);
    assert_int_equal(n.frames, 2);
    assert_int_equal(friend.downs, 0);
    rig_pump(both, 2, 1500, NULL, 0);                      /* the silent ones run out of time */
    assert_true(transport_counters(n.t)->inbound_connections < 16);
    assert_serves(&n, 3);
    for (size_t i = 0; i < SILENT; i++)
        zmtp_close(&silent[i]);
    rig_close(&friend);
    rig_close(&n);
}

static void many_connections(struct transport_limits *l)
{
    l->ip_burst = l->ip_per_s = l->ip_connections_max = 1000;
}

static void scarce_descriptors_shut_the_gate(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw silent[SILENT];
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = low.rlim_max = 150;
    pid_t pid = fork();                                    /* the limit cannot be raised again */
    if (pid == 0) {
        if (setrlimit(RLIMIT_NOFILE, &low) != 0)
            _exit(2);
        rig_open(&n, 1, many_connections);
        for (size_t i = 0; i < SILENT; i++)
            if (!zmtp_connect(&silent[i], transport_port(n.t), pump_node, &n))
                break;
        rig_run(&n, 200);
        bool shut = rig_counter(&n, "gate_closed") > 0, room = dup(STDERR_FILENO) >= 0;   /* a file can still be opened: 20 % are left */
        _exit(shut && room ? 0 : 4);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The usual 1024 are fewer than connections and links together may take. */
static void the_limit_on_descriptors_is_raised(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max <= 512)
        skip();
    pid_t pid = fork();
    if (pid == 0) {
        struct rig_node n;
        struct rlimit low = { .rlim_cur = 256, .rlim_max = limit.rlim_max }, now;
        if (setrlimit(RLIMIT_NOFILE, &low) != 0)
            _exit(2);
        rig_open(&n, 1, NULL);
        _exit(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur > 256 && now.rlim_max == limit.rlim_max ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void few_per_address(struct transport_limits *l)
{
    impatient(l);
    l->ip_per_s = 1;
    l->ip_burst = 4;
}

static void one_address_may_not_knock_all_the_time(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r[8];
    rig_open(&n, 1, few_per_address);
    for (size_t i = 0; i < 8; i++)
        assert_true(zmtp_connect(&r[i], transport_port(n.t), pump_node, &n));
    rig_run(&n, 50);
    assert_int_equal(rig_counter(&n, "refused_ip_rate"), 4);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(zmtp_is_closed(&r[i], i < 4 ? 1 : 1000), i >= 4);
        zmtp_close(&r[i]);
    }
    rig_close(&n);
}

static void few_open_per_address(struct transport_limits *l)
{
    impatient(l);
    l->ip_connections_max = 3;
}

static void one_address_may_not_hold_all_places(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r[5];
    rig_open(&n, 1, few_open_per_address);
    for (size_t i = 0; i < 5; i++)
        assert_true(zmtp_connect(&r[i], transport_port(n.t), pump_node, &n));
    rig_run(&n, 50);
    assert_int_equal(rig_counter(&n, "refused_ip_count"), 2);
    assert_int_equal(transport_counters(n.t)->inbound_connections, 3);
    for (size_t i = 0; i < 5; i++)
        zmtp_close(&r[i]);
    rig_run(&n, 50);
    assert_int_equal(transport_counters(n.t)->inbound_connections, 0);
    assert_serves(&n, 2);
    rig_close(&n);
}

static void patient_but_for_handshakes(struct transport_limits *l)
{
    l->handshake_ms = 300;
    l->silent_ms = l->dial_ms = 20000;
}

/* libzmq's own limit would be 30 s, for each of as many connections as somebody can open. */
static void a_handshake_runs_out_of_time(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw silent, slow;
    rig_open(&n, 1, patient_but_for_handshakes);
    assert_true(zmtp_connect(&silent, transport_port(n.t), pump_node, &n));
    assert_true(zmtp_connect(&slow, transport_port(n.t), pump_node, &n));
    assert_true(zmtp_write(&slow, "\377\0\0\0\0\0\0\0\0\177\3", 11));      /* begins to greet, and thinks about it */
    assert_true(zmtp_is_closed(&silent, 2500));
    assert_true(zmtp_is_closed(&slow, 2500));
    assert_int_equal(rig_counter(&n, "cut_silent"), 0);    /* it was not our own, longer patience */
    zmtp_close(&silent);
    zmtp_close(&slow);
    rig_close(&n);
    struct transport_limits l;
    transport_limits_default(&l);
    assert_in_range(l.handshake_ms, 3000, 5000);
}

/* ---- authenticated, and still not welcome ---- */

static void whoever_says_nothing_is_cut(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r;
    rig_open(&n, 1, impatient);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));     /* handshake done: libzmq would keep it for ever */
    assert_true(zmtp_is_closed(&r, 1500));
    assert_int_equal(rig_counter(&n, "cut_silent"), 1);
    assert_int_equal(rig_counter(&n, "links_up"), 0);
    zmtp_close(&r);
    rig_close(&n);
}

static void a_refused_key_stays_out(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r;
    struct keys k = keys_make(9);
    rig_open(&n, 1, impatient);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&r, bytes_text("x"), false));
    rig_pump(&(struct rig_node *){ &n }, 1, 2000, &n.frames, 1);
    transport_mute(n.t, n.last_in, &k.open, mono_add_ms(rig_now(), 400));
    assert_true(zmtp_is_closed(&r, 1000));                 /* cut, not only ignored */
    zmtp_close(&r);
    assert_int_equal(n.downs, 0);                          /* of the link that was named, like a hangup */
    assert_false(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    zmtp_close(&r);
    assert_true(rig_counter(&n, "refused_muted") >= 1);
    assert_err(transport_dial(n.t, rig_now(), 4, "127.0.0.1", 9, &k.open), ERR_KEY);
    assert_serves(&n, 2);
    rig_run(&n, 400);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));     /* until it is over */
    zmtp_close(&r);
    rig_close(&n);
}

static void few_per_key(struct transport_limits *l)
{
    impatient(l);
    l->key_burst = 3;
    l->key_per_min = 1;
}

static void one_key_may_not_come_back_all_the_time(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r;
    rig_open(&n, 1, few_per_key);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(raw_in(&r, &n, 9, bytes_of(NULL, 0)), i < 3);
        zmtp_close(&r);
    }
    assert_int_equal(rig_counter(&n, "refused_key_rate"), 2);
    assert_serves(&n, 2);
    rig_close(&n);
}

static void two_inbound(struct transport_limits *l)
{
    impatient(l);
    l->inbound_max = 2;
}

static void a_full_house_serves_who_is_inside(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw r[2], late;
    rig_open(&n, 1, two_inbound);
    for (size_t i = 0; i < 2; i++) {
        assert_true(raw_in(&r[i], &n, (uint8_t)(20 + i), bytes_of(NULL, 0)));
        assert_true(zmtp_send(&r[i], bytes_text("in"), false));
    }
    rig_pump(&one, 1, 2000, &n.frames, 2);
    assert_false(raw_in(&late, &n, 30, bytes_of(NULL, 0)));
    zmtp_close(&late);
    assert_true(rig_counter(&n, "refused_full") >= 1);
    for (size_t i = 0; i < 2; i++)
        assert_true(zmtp_send(&r[i], bytes_text("still"), false));
    rig_pump(&one, 1, 2000, &n.frames, 4);
    assert_int_equal(n.frames, 4);
    zmtp_close(&r[0]);
    zmtp_close(&r[1]);
    rig_pump(&one, 1, 2000, &n.downs, 2);
    assert_serves(&n, 3);
    rig_close(&n);
}

static int setup(void **state)
{
    (void)state;
    context = zmq_ctx_new();
    return context == NULL || crypto_start() != OK;
}
static int teardown(void **state)
{
    (void)state;
    return zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scarce_descriptors_shut_the_gate),    /* first: these fork, while there are no threads yet */
        cmocka_unit_test(the_limit_on_descriptors_is_raised),
        cmocka_unit_test(the_raw_client_is_a_client),
        cmocka_unit_test(without_curve_nothing_passes),
        cmocka_unit_test(a_server_with_another_key_is_no_link),
        cmocka_unit_test(dials_that_fail_say_so),
        cmocka_unit_test(a_slow_name_holds_nobody_up),
        cmocka_unit_test(a_link_that_ended_is_not_resumed),
        cmocka_unit_test(there_are_sockets_for_every_link),
        cmocka_unit_test(a_handshake_runs_out_of_time),
        cmocka_unit_test(a_refusal_is_heard_at_once),
        cmocka_unit_test(silent_connections_lock_nobody_out),
        cmocka_unit_test(one_address_may_not_knock_all_the_time),
        cmocka_unit_test(one_address_may_not_hold_all_places),
        cmocka_unit_test(whoever_says_nothing_is_cut),
        cmocka_unit_test(a_refused_key_stays_out),
        cmocka_unit_test(one_key_may_not_come_back_all_the_time),
        cmocka_unit_test(a_full_house_serves_who_is_inside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
