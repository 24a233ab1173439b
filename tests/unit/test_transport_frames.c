/* test_transport_frames.c - attacks by those who are let in: what they send, under which name, how much, how fast. */
#define _GNU_SOURCE
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/transport_parts_zmq.h"                      /* one attack needs a number that the network never sees */
#include "tests/transport_rig_zmq.h"
#include "tests/zmtp_raw_posix.h"

static void *context;

static void quick(struct transport_limits *l)
{
    l->handshake_ms = l->silent_ms = l->dial_ms = 1000;
    l->recv_queue_max = 4;                                 /* no undelivered byte is excused by a long queue */
}

static void pump_node(void *ctx) { rig_run(ctx, 2); }

static bool raw_in(struct zmtp_raw *r, struct rig_node *n, uint8_t seed, struct bytes identity)
{
    struct keys k = keys_make(seed);
    return zmtp_connect(r, transport_port(n->t), pump_node, n) &&
           zmtp_handshake(r, &n->keys.open, &k.open, &k.secret, identity);
}

static void wait_counter(struct rig_node *n, const char *name, uint64_t at_least)
{
    for (int i = 0; i < 100 && rig_counter(n, name) < at_least; i++)
        rig_run(n, 20);
    if (rig_counter(n, name) < at_least)
        fail_msg("%s is %llu", name, (unsigned long long)rig_counter(n, name));
}

/* The whole penalty: cut, told (if the core knew the link), and the key refused at the door. */
static void assert_punished(struct rig_node *n, uint8_t seed)
{
    struct zmtp_raw r;
    struct keys k = keys_make(seed);
    uint64_t refused = rig_counter(n, "refused_muted");
    assert_int_equal(transport_counters(n->t)->inbound_links, 0);
    assert_false(raw_in(&r, n, seed, bytes_of(NULL, 0)));
    zmtp_close(&r);
    assert_int_equal(rig_counter(n, "refused_muted"), refused + 1);
    assert_err(transport_dial(n->t, rig_now(), 99, "127.0.0.1", 9, &k.open), ERR_KEY);
}

static void send_all(void *socket, size_t bytes, int flags)
{
    void *buf = calloc(1, bytes);
    assert_int_equal(zmq_send(socket, buf, bytes, flags), (int)bytes);
    free(buf);
}

static void multipart_is_refused(void **state)
{
    (void)state;
    struct rig_node n;
    rig_open(&n, 1, quick);
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    send_all(s, 10, 0);                                    /* behaves once: now it is a link */
    for (int i = 0; i < 3; i++)
        send_all(s, 10, ZMQ_SNDMORE);
    send_all(s, 10, 0);
    wait_counter(&n, "offence_multipart", 1);
    rig_run(&n, 100);
    assert_int_equal(n.frames, 1);
    assert_int_equal(n.downs, 1);
    assert_punished(&n, 9);
    zmq_close(s);
    rig_close(&n);
}

static void multipart_of_a_stranger_makes_no_link(void **state)
{
    (void)state;
    struct rig_node n;
    rig_open(&n, 1, quick);
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    send_all(s, 10, ZMQ_SNDMORE);
    send_all(s, 10, 0);
    wait_counter(&n, "offence_multipart", 1);
    rig_run(&n, 100);
    assert_int_equal(n.log_count, 0);                      /* no DOWN for a link that nobody has heard of */
    assert_punished(&n, 9);
    zmq_close(s);
    rig_close(&n);
}

static void oversize_is_refused(void **state)
{
    (void)state;
    struct rig_node n;
    rig_open(&n, 1, quick);
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    send_all(s, FRAME_BYTES_MAX, 0);                       /* the largest that may pass */
    send_all(s, FRAME_BYTES_MAX + 1, 0);
    wait_counter(&n, "offence_oversize", 1);
    rig_run(&n, 100);
    assert_int_equal(n.frames, 1);
    assert_punished(&n, 9);
    zmq_close(s);
    rig_close(&n);
}

/* libzmq cuts these by itself, before it allocates, and tells nobody whose they were: we see that it cut a connection
 * that was talking. */
static void far_too_large_is_refused_too(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    rig_open(&n, 1, quick);
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    send_all(s, 10, 0);
    rig_pump(&one, 1, 2000, &n.frames, 1);
    send_all(s, 16 << 20, 0);
    wait_counter(&n, "offence_protocol", 1);
    rig_run(&n, 100);
    assert_int_equal(n.frames, 1);
    assert_int_equal(n.downs, 1);
    assert_punished(&n, 9);
    zmq_close(s);
    rig_close(&n);
}

static void garbage_in_mid_session_is_refused(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw r;
    rig_open(&n, 1, quick);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&r, bytes_text("ok"), false));
    rig_pump(&one, 1, 2000, &n.frames, 1);
    r.key[0] ^= 1;                                         /* from here on the tags are wrong */
    assert_true(zmtp_send(&r, bytes_text("not ok"), false));
    assert_true(zmtp_is_closed(&r, 2000));
    zmtp_close(&r);
    wait_counter(&n, "offence_protocol", 1);
    rig_run(&n, 50);
    assert_int_equal(n.frames, 1);
    assert_punished(&n, 9);
    rig_close(&n);
}

static void leaving_is_no_offence(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw r;
    rig_open(&n, 1, quick);
    for (size_t i = 0; i < 3; i++) {
        assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
        assert_true(zmtp_send(&r, bytes_text("here I am"), false));
        rig_pump(&one, 1, 2000, &n.frames, 2 * i + 1);
        assert_true(zmtp_send(&r, bytes_text("and away"), false));
        zmtp_close(&r);
        rig_pump(&one, 1, 2000, &n.downs, i + 1);
        assert_int_equal(n.frames, 2 * i + 2);             /* what was said before leaving is heard */
        assert_int_equal(n.downs, i + 1);
    }
    assert_int_equal(rig_counter(&n, "offence_protocol"), 0);
    assert_int_equal(transport_counters(n.t)->muted_keys, 0);
    rig_close(&n);
}

/* ---- never-ending messages ---- */

static void a_message_that_never_ends_is_cut(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r;
    static uint8_t part[32 * 1024];
    rig_open(&n, 1, quick);
    size_t before = mallinfo2().arena + mallinfo2().hblkhd, sent = 0;
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&r, bytes_text("ok"), false));
    r.pump = NULL;                                         /* as fast as it goes; the node gets a turn now and then */
    while (sent < 400u << 20 && zmtp_send(&r, bytes_of(part, sizeof part), true)) {
        sent += sizeof part;
        if (sent % (1 << 20) == 0)
            rig_run(&n, 1);
    }
    zmtp_close(&r);
    wait_counter(&n, "cut_undelivered", 1);
    rig_run(&n, 100);
    size_t after = mallinfo2().arena + mallinfo2().hblkhd;
    assert_true(sent < 400u << 20);
    assert_true(after < before + (300u << 20));
    assert_punished(&n, 9);
    rig_close(&n);
}

/* ---- names ---- */

static void foreign_routing_ids_are_refused(void **state)
{
    (void)state;
    static const struct { const char *id; size_t len; } names[] = {
        { "victim", 6 }, { "\1abcd", 5 }, { "\0abc", 4 }, { "\0abcde", 6 }, { "\0\0\0\0\1", 5 },
        { "\0\x6b\x8b\x45\x67", 5 }, { "\0\x6b\x8b\x45\x68", 5 },      /* what rand() gives when nobody has seeded it */
    };
    struct rig_node n;
    rig_open(&n, 1, quick);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct zmtp_raw r;
        uint8_t seed = (uint8_t)(50 + i);
        assert_true(raw_in(&r, &n, seed, bytes_of(names[i].id, names[i].len)));
        assert_true(zmtp_send(&r, bytes_text("who am I"), false));
        assert_true(zmtp_is_closed(&r, 1000));
        zmtp_close(&r);
        assert_int_equal(rig_counter(&n, "offence_routing_id"), i + 1);
        assert_punished(&n, seed);
    }
    assert_int_equal(n.log_count, 0);
    rig_close(&n);
}

/* ---- in a process of their own: rand() answers as it does where nobody has drawn from it before, so that an answer that is
 * not the usual one comes from a seed ---- */

/* This program again with words for main(); what it wrote to its standard output. 0: it ended well. */
static int fresh_process(char *word, char *number, void *out, size_t bytes)
{
    int pipe_fd[2], status;
    size_t have = 0;
    assert_int_equal(pipe(pipe_fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fd[1], STDOUT_FILENO);
        execv("/proc/self/exe", (char *[]){ "test_transport_frames", word, number, NULL });
        _exit(127);
    }
    close(pipe_fd[1]);
    for (ssize_t n; have < bytes && (n = read(pipe_fd[0], (uint8_t *)out + have, bytes - have)) > 0;)
        have += (size_t)n;
    close(pipe_fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        print_message("%s: ended by signal %d\n", word, WTERMSIG(status));
    return status != 0 || have != bytes;
}

/* Unseeded, libzmq 4.3.4 gives the first peers of every process the same ids, and aborts if somebody sits on one. So the
 * attacker looks where the numbering starts in a process of his own, and sits there. */
static uint32_t expected_base;
static void be_squatted_upon(void **state)
{
    (void)state;
    enum { SQUATTERS = 8 };
    struct rig_node n, *one = &n;
    struct zmtp_raw squatter[SQUATTERS], honest;
    rig_open(&n, 1, quick);
    for (uint8_t i = 0; i < SQUATTERS; i++) {
        uint32_t next = expected_base + i;
        uint8_t id[5] = { 0, (uint8_t)(next >> 24), (uint8_t)(next >> 16), (uint8_t)(next >> 8), (uint8_t)next };
        assert_true(raw_in(&squatter[i], &n, (uint8_t)(60 + i), bytes_of(id, sizeof id)));
    }
    for (uint8_t i = 0; i < SQUATTERS; i++) {
        assert_true(raw_in(&honest, &n, (uint8_t)(80 + i), bytes_of(NULL, 0)));
        assert_true(zmtp_send(&honest, bytes_text("hello"), false));
        rig_pump(&one, 1, 2000, &n.frames, i + 1u);
        zmtp_close(&honest);
    }
    assert_int_equal(n.frames, SQUATTERS);
    for (uint8_t i = 0; i < SQUATTERS; i++)
        zmtp_close(&squatter[i]);
    rig_close(&n);
}

static void squatting_on_the_predictable_ids_is_harmless(void **state)
{
    (void)state;
    uint32_t base;
    char number[16];
    assert_int_equal(fresh_process("say-where-numbering-starts", NULL, &base, sizeof base), 0);
    snprintf(number, sizeof number, "%u", base);
    assert_int_equal(fresh_process("be-squatted-upon", number, NULL, 0), 0);
}

static int say_where_numbering_starts(void)
{
    struct rig_node n;
    rig_open(&n, 1, quick);
    uint32_t base = n.t->routing_id_base;
    rig_close(&n);
    return write(STDOUT_FILENO, &base, sizeof base) != sizeof base;
}

static void processes_start_their_numbering_differently(void **state)
{
    (void)state;
    uint32_t base[3];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fresh_process("say-where-numbering-starts", NULL, &base[i], sizeof base[i]), 0);
    }
    assert_true(base[0] != base[1] && base[1] != base[2]);
}

/* Even who learned a living peer's routing id gains nothing: with the peer there, libzmq ignores the second (no handover);
 * with the peer gone, another key under the old name is another link. */
static void a_stolen_routing_id_is_another_link(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw victim, thief;
    rig_open(&n, 1, quick);
    assert_true(raw_in(&victim, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&victim, bytes_text("v"), false));
    rig_pump(&one, 1, 2000, &n.frames, 1);
    uint64_t link = n.last_in;
    uint8_t id[5];
    memcpy(id, n.t->inbound[0].routing_id, sizeof id);     /* the network never sees this */

    assert_true(raw_in(&thief, &n, 10, bytes_of(id, sizeof id)));
    assert_true(zmtp_send(&thief, bytes_text("t"), false));
    rig_run(&n, 100);
    assert_int_equal(n.frames, 1);
    assert_ok(rig_send(&n, link, 5, 'a'));
    assert_false(zmtp_is_closed(&victim, 50));
    zmtp_close(&thief);

    zmtp_close(&victim);
    rig_pump(&one, 1, 2000, &n.downs, 1);
    assert_true(raw_in(&thief, &n, 10, bytes_of(id, sizeof id)));
    assert_true(zmtp_send(&thief, bytes_text("t"), false));
    rig_pump(&one, 1, 2000, &n.frames, 2);
    assert_int_equal(n.frames, 2);
    assert_true(n.last_in != link);
    assert_memory_equal(n.log[n.log_count - 1].peer.b, keys_make(10).open.b, SEAL_KEY_BYTES);
    assert_int_equal(rig_counter(&n, "offence_key_change"), 1);
    assert_err(rig_send(&n, link, 5, 'a'), ERR_PEER_GONE);  /* nothing meant for the victim goes to the thief */
    zmtp_close(&thief);
    rig_close(&n);
}

/* ---- how much ---- */

static void slow(struct transport_limits *l)
{
    quick(l);
    l->msgs_per_s = 100;
    l->msgs_burst = 50;
}

static void over_the_rate_the_link_ends(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw r;
    rig_open(&n, 1, slow);
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    for (int i = 0; i < 200; i++)
        zmq_send(s, "flood", 5, ZMQ_DONTWAIT);
    rig_pump(&one, 1, 2000, &n.downs, 1);
    rig_run(&n, 50);
    assert_int_equal(n.downs, 1);                          /* no gap within a link: what passed is its beginning */
    assert_in_range(n.frames, 50, 60);
    assert_int_equal(rig_counter(&n, "cut_rate"), 1);
    assert_int_equal(transport_counters(n.t)->muted_keys, 0);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));     /* may come back, as often as a key may */
    zmtp_close(&r);
    zmq_close(s);
    rig_close(&n);
}

static void much_by_bytes(struct transport_limits *l)
{
    quick(l);
    l->bytes_per_s = 1;
    l->bytes_burst = 3 * FRAME_BYTES_MAX;
}

static void bytes_count_too(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    rig_open(&n, 1, much_by_bytes);
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    for (int i = 0; i < 4; i++)
        send_all(s, FRAME_BYTES_MAX, 0);
    rig_pump(&one, 1, 2000, &n.downs, 1);
    assert_int_equal(n.frames, 3);
    assert_int_equal(n.downs, 1);
    zmq_close(s);
    rig_close(&n);
}

static void short_turns(struct transport_limits *l) { l->frames_per_turn = 16; }

static void a_flooder_starves_nobody(void **state)
{
    (void)state;
    struct rig_node n, friend, *both[] = { &n, &friend };
    rig_open(&n, 1, short_turns);
    rig_open(&friend, 2, NULL);
    rig_dial(&friend, 1, &n);
    assert_ok(rig_send(&friend, 1, 8, 'h'));
    rig_pump(both, 2, 2000, &n.frames, 1);
    uint64_t link = n.log[0].link, worst_us = 0;
    void *s = rig_attacker(context, &n, 9, NULL, 0);
    for (int round = 0; round < 18; round++) {
        for (int i = 0; i < 200; i++)                      /* 3600 in all: within the burst, so nothing else stops him */
            zmq_send(s, "flood", 5, ZMQ_DONTWAIT);
        struct mono start = rig_now();
        size_t before = friend.frames;
        assert_ok(rig_send(&friend, 1, 8, 'h'));
        assert_ok(rig_send(&n, link, 8, 'e'));
        rig_pump(both, 2, 1000, &friend.frames, before + 1);
        assert_int_equal(friend.frames, before + 1);
        worst_us = rig_now().us - start.us > worst_us ? rig_now().us - start.us : worst_us;
    }
    rig_pump(both, 2, 300, NULL, 0);
    assert_true(worst_us < 500000);
    assert_true(n.frames >= 19 + 1000);                    /* he was served too, after all */
    assert_int_equal(n.downs + friend.downs, 0);
    assert_int_equal(rig_counter(&n, "cut_rate"), 0);
    zmq_close(s);
    rig_close(&friend);
    rig_close(&n);
}

static void thin(struct transport_limits *l)
{
    quick(l);
    l->bytes_per_s = 1 << 20;
    l->bytes_burst = 2 * FRAME_BYTES_MAX;
}

/* A link we dialled is not robbed of frames: it is read later. */
static void a_dialled_link_waits_instead(void **state)
{
    (void)state;
    struct rig_node n, server, *both[] = { &n, &server };
    rig_open(&n, 1, thin);
    rig_open(&server, 2, NULL);
    rig_dial(&n, 1, &server);
    assert_ok(rig_send(&n, 1, 1, 'q'));
    rig_pump(both, 2, 2000, &server.frames, 1);
    struct mono start = rig_now();
    for (int i = 0; i < 10; i++)
        assert_ok(rig_send(&server, server.last_in, FRAME_BYTES_MAX, 'd'));
    rig_pump(both, 2, 3000, &n.frames, 10);
    assert_int_equal(n.frames, 10);
    assert_true(mono_ms_between(start, rig_now()) >= 400); /* (10 - 2) x 64 KiB at 1 MiB/s is half a second */
    assert_true(rig_counter(&n, "paused_outbound") >= 1);
    rig_close(&n);
    rig_close(&server);
}

static void a_full_queue_says_so(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw r;
    rig_open(&n, 1, NULL);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));     /* reads nothing from now on */
    assert_true(zmtp_send(&r, bytes_text("go"), false));
    rig_pump(&one, 1, 2000, &n.frames, 1);
    int sent = 0;
    while (sent < 5000 && rig_send(&n, n.last_in, FRAME_BYTES_MAX, 'x') == OK)
        sent++;
    assert_err(rig_send(&n, n.last_in, FRAME_BYTES_MAX, 'x'), ERR_FULL);
    assert_in_range(sent, 200, 1000);
    zmtp_close(&r);
    rig_pump(&one, 1, 2000, &n.downs, 1);
    assert_int_equal(n.downs, 1);
    rig_close(&n);
}

/* What the node does not read must not gather in libzmq: behind RCVHWM it stops reading, and TCP holds the sender. */
static void what_is_not_read_stays_with_the_sender(void **state)
{
    (void)state;
    enum { PART = 32 * 1024, MANY = 2000 };
    struct rig_node n, *one = &n;
    rig_open(&n, 1, quick);
    struct keys k = keys_make(9);
    char endpoint[64];
    int one_only = 1, small = 64 * 1024, wait_ms = 300, zero = 0, sent = 0;
    void *s = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(s, ZMQ_SNDHWM, &one_only, sizeof one_only);
    zmq_setsockopt(s, ZMQ_SNDBUF, &small, sizeof small);
    zmq_setsockopt(s, ZMQ_SNDTIMEO, &wait_ms, sizeof wait_ms);
    zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, k.open.b, sizeof k.open.b);
    zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, k.secret.b, sizeof k.secret.b);
    zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, n.keys.open.b, sizeof n.keys.open.b);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", transport_port(n.t));
    assert_int_equal(zmq_connect(s, endpoint), 0);
    send_all(s, 10, 0);
    rig_pump(&one, 1, 2000, &n.frames, 1);                 /* let in; from now on nobody looks */
    void *part = calloc(1, PART);
    while (sent < MANY && zmq_send(s, part, PART, 0) == PART)
        sent++;
    free(part);
    print_message("%d KiB went in unread\n", sent * PART / 1024);
    assert_in_range(sent, 1, 8 * 1024 * 1024 / PART);      /* four messages, and what the kernel holds on both sides */
    zmq_close(s);
    rig_close(&n);
}

/* ---- the other side is evil, or dead ---- */

static void a_server_that_breaks_the_rules_is_left(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct keys k = keys_make(9);
    char endpoint[64];
    size_t size = sizeof endpoint;
    int server_role = 1, zero = 0;
    rig_open(&n, 1, quick);
    void *evil = zmq_socket(context, ZMQ_ROUTER);
    zmq_setsockopt(evil, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(evil, ZMQ_CURVE_SERVER, &server_role, sizeof server_role);
    zmq_setsockopt(evil, ZMQ_CURVE_SECRETKEY, k.secret.b, sizeof k.secret.b);
    assert_int_equal(zmq_bind(evil, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(evil, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    uint16_t port = (uint16_t)atoi(strrchr(endpoint, ':') + 1);
    assert_ok(transport_dial(n.t, rig_now(), 1, "127.0.0.1", port, &k.open));
    assert_ok(rig_send(&n, 1, 2, 'q'));
    rig_pump(&one, 1, 2000, &n.ups, 1);
    uint8_t id[5], text[2];
    int timeout = 2000;
    zmq_setsockopt(evil, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
    assert_int_equal(zmq_recv(evil, id, 5, 0), 5);
    assert_int_equal(zmq_recv(evil, text, 2, 0), 2);
    zmq_send(evil, id, 5, ZMQ_SNDMORE);
    zmq_send(evil, "a", 1, ZMQ_SNDMORE);
    zmq_send(evil, "b", 1, 0);
    rig_pump(&one, 1, 2000, &n.downs, 1);
    assert_int_equal(n.frames, 0);
    assert_int_equal(n.downs, 1);
    assert_int_equal(rig_counter(&n, "offence_multipart"), 1);
    assert_err(transport_dial(n.t, rig_now(), 2, "127.0.0.1", port, &k.open), ERR_KEY);
    zmq_close(evil);
    rig_close(&n);
}

/* The server of a killed process: the kernel closes its sockets, our monitor sees it. */
static void a_killed_peer_is_seen_within_milliseconds(void **state)
{
    (void)state;
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rig_node server;
        rig_open(&server, 2, NULL);
        uint16_t port = transport_port(server.t);
        if (write(pipe_fd[1], &port, sizeof port) != sizeof port)
            _exit(1);
        rig_run(&server, 10000);
        _exit(0);
    }
    uint16_t port;
    close(pipe_fd[1]);
    assert_int_equal(read(pipe_fd[0], &port, sizeof port), sizeof port);
    struct rig_node n, *one = &n;
    struct keys k = keys_make(2);
    rig_open(&n, 1, NULL);
    assert_ok(transport_dial(n.t, rig_now(), 1, "127.0.0.1", port, &k.open));
    rig_pump(&one, 1, 3000, &n.ups, 1);
    assert_int_equal(n.ups, 1);
    struct mono start = rig_now();
    kill(pid, SIGKILL);
    rig_pump(&one, 1, 3000, &n.downs, 1);
    assert_int_equal(n.downs, 1);
    print_message("LINK_DOWN %.1f ms after kill -9\n", (double)(rig_now().us - start.us) / 1000);
    assert_true(mono_ms_between(start, rig_now()) < 500);
    waitpid(pid, NULL, 0);
    close(pipe_fd[0]);
    rig_close(&n);
}

static void nervous(struct transport_limits *l)
{
    quick(l);
    l->heartbeat_ms = 150;
    l->heartbeat_timeout_ms = 2200;                        /* longer than CUT_TALKING_MS: silence is no offence */
    l->heartbeat_ttl_ms = 3000;
}

static void a_frozen_peer_is_given_up_without_blame(void **state)
{
    (void)state;
    struct rig_node n, *one = &n;
    struct zmtp_raw r;
    rig_open(&n, 1, nervous);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&r, bytes_text("and then nothing"), false));
    rig_pump(&one, 1, 5000, &n.downs, 1);                  /* answers no PING */
    assert_int_equal(n.frames, 1);
    assert_int_equal(n.downs, 1);
    assert_int_equal(rig_counter(&n, "offence_protocol"), 0);
    zmtp_close(&r);
    rig_close(&n);
}

/* TTL: how long the peer may wait for a word of ours before it gives us up, which is our own promise of a heartbeat. */
static void a_ping_says_how_long_to_wait_for_us(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw r;
    uint8_t ping[64];
    size_t len;
    rig_open(&n, 1, nervous);
    assert_true(raw_in(&r, &n, 9, bytes_of(NULL, 0)));
    assert_true(zmtp_send(&r, bytes_text("and then nothing"), false));
    assert_true(zmtp_receive(&r, ping, sizeof ping, &len));
    assert_true(len >= 8);
    assert_memory_equal(ping, "\2\4PING\0\36", 8);        /* 30 tenths of a second, PROTO 10.7 in small */
    zmtp_close(&r);
    rig_close(&n);
    struct transport_limits l;
    transport_limits_default(&l);
    assert_true(l.heartbeat_ms == 15000 && l.heartbeat_timeout_ms == 10000 && l.heartbeat_ttl_ms == 40000);
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

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "say-where-numbering-starts") == 0)
        return crypto_start() != OK || say_where_numbering_starts();
    if (argc > 2 && strcmp(argv[1], "be-squatted-upon") == 0) {
        expected_base = (uint32_t)strtoul(argv[2], NULL, 10);
        const struct CMUnitTest alone[] = { cmocka_unit_test(be_squatted_upon) };
        dup2(STDERR_FILENO, STDOUT_FILENO);
        return cmocka_run_group_tests(alone, setup, teardown);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_peer_is_seen_within_milliseconds),   /* first: it forks, while there are no threads yet */
        cmocka_unit_test(multipart_is_refused),
        cmocka_unit_test(multipart_of_a_stranger_makes_no_link),
        cmocka_unit_test(oversize_is_refused),
        cmocka_unit_test(far_too_large_is_refused_too),
        cmocka_unit_test(garbage_in_mid_session_is_refused),
        cmocka_unit_test(leaving_is_no_offence),
        cmocka_unit_test(a_message_that_never_ends_is_cut),
        cmocka_unit_test(foreign_routing_ids_are_refused),
        cmocka_unit_test(squatting_on_the_predictable_ids_is_harmless),
        cmocka_unit_test(processes_start_their_numbering_differently),
        cmocka_unit_test(a_stolen_routing_id_is_another_link),
        cmocka_unit_test(over_the_rate_the_link_ends),
        cmocka_unit_test(bytes_count_too),
        cmocka_unit_test(a_flooder_starves_nobody),
        cmocka_unit_test(a_dialled_link_waits_instead),
        cmocka_unit_test(a_full_queue_says_so),
        cmocka_unit_test(what_is_not_read_stays_with_the_sender),
        cmocka_unit_test(a_server_that_breaks_the_rules_is_left),
        cmocka_unit_test(a_frozen_peer_is_given_up_without_blame),
        cmocka_unit_test(a_ping_says_how_long_to_wait_for_us),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
