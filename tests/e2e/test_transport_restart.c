/* test_transport_restart.c - what libzmq cannot bound may kill a worker; does the service come back?
 *
 * A supervised worker echoes frames. Twice it is attacked beyond what the transport can prevent: by one who (as the test
 * arranges) has guessed the 31-bit start of its routing ids, and by one who fills its memory while the transport's own
 * watch over never-ending messages is off. That a restart loses no receipt is LMDB's part, tested with the ledger.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/supervise_posix.h"
#include "node/transport_parts_zmq.h"                      /* the numbering, which the network never sees */
#include "tests/transport_rig_zmq.h"
#include "tests/zmtp_raw_posix.h"

struct shared {
    volatile uint16_t port;                                /* the same after a restart */
    volatile uint32_t routing_id_base, routing_id_next, starts;
    volatile int last_signal;
};
static struct shared *shared;

static void no_watch(struct transport_limits *l)
{
    l->undelivered_bytes_max = UINT32_MAX;
    l->key_burst = 100;
}

static volatile sig_atomic_t term;
static void on_term(int n) { term = n; }

static int worker(const struct supervised *info, void *ctx)
{
    (void)ctx;
    struct transport *t;
    struct keys k = keys_make(1);
    struct transport_config c = { .host = "127.0.0.1", .port = shared->port, .transport = k.open, .secret = &k.secret };
    struct sigaction a = { .sa_handler = on_term };
    sigaction(SIGTERM, &a, NULL);
    transport_limits_default(&c.limits);
    no_watch(&c.limits);
    shared->last_signal = info->last_signal;
    for (int i = 0; transport_open(&c, rig_now(), &t) != OK; i++)
        if (i == 50)
            return SUPERVISE_EXIT_AGAIN;
        else
            usleep(20000);                                 /* the kernel may still hold the port of the one who died */
    shared->routing_id_base = t->routing_id_base;
    shared->port = transport_port(t);
    shared->starts++;
    while (!term) {
        struct transport_event e;
        transport_wait(t, rig_now(), 20);
        transport_turn(t, rig_now());
        while (transport_next(t, rig_now(), &e))
            if (e.kind == TRANSPORT_FRAME && transport_send(t, e.link, e.frame) != OK)
                continue;                                  /* an attacker's loss */
        shared->routing_id_next = t->routing_id_base + t->accepted;
    }
    transport_close(t);
    return 0;
}

static pid_t service_start(uint64_t memory_bytes_max)
{
    memset(shared, 0, sizeof *shared);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);                  /* a failed test leaves nobody behind */
        struct supervise s = { .memory_bytes_max = memory_bytes_max, .restart_ms_min = 10, .restart_ms_max = 100, .restarts_max = 20 };
        _exit(supervise_run(&s, worker, NULL));
    }
    for (int i = 0; i < 500 && shared->starts == 0; i++)
        usleep(10000);
    assert_int_equal(shared->starts, 1);
    return pid;
}

static void service_stop(pid_t pid)
{
    int status;
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Dials until an echo comes back; false after ms. */
static bool is_served(struct rig_node *n, uint32_t ms)
{
    static uint64_t link = 0;
    struct keys server = keys_make(1);
    size_t frames = n->frames;
    for (struct mono end = mono_add_ms(rig_now(), ms); !mono_reached(rig_now(), end);) {
        if (transport_dial(n->t, rig_now(), ++link, "127.0.0.1", shared->port, &server.open) != OK)
            return false;
        (void)rig_send(n, link, 10, 'e');
        rig_pump(&n, 1, 300, &n->frames, frames + 1);
        transport_hangup(n->t, link);
        if (n->frames > frames)
            return true;
    }
    return false;
}

static bool raw_in(struct zmtp_raw *r, uint8_t seed, struct bytes identity)
{
    struct keys k = keys_make(seed), server = keys_make(1);
    return zmtp_connect(r, shared->port, NULL, NULL) && zmtp_handshake(r, &server.open, &k.open, &k.secret, identity);
}

static void a_guessed_routing_id_costs_a_restart(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw squatter;
    pid_t pid = service_start(0);                          /* before we have threads: a fork copies their locks, not them */
    rig_open(&n, 2, NULL);
    uint32_t next = shared->routing_id_base + 1;           /* the first was the transport's own */
    uint8_t id[5] = { 0, (uint8_t)(next >> 24), (uint8_t)(next >> 16), (uint8_t)(next >> 8), (uint8_t)next };
    assert_true(raw_in(&squatter, 9, bytes_of(id, sizeof id)));
    assert_true(is_served(&n, 5000));                      /* the honest dial whose number is taken kills the worker; dialled again */
    assert_int_equal(shared->starts, 2);
    assert_int_equal(shared->last_signal, SIGABRT);
    zmtp_close(&squatter);
    service_stop(pid);
    rig_close(&n);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)   /* their shadow memory is over any cap */
enum { CAP_MIB = 192 };

static void a_memory_bomb_stops_at_the_cap(void **state)
{
    (void)state;
    struct rig_node n;
    struct zmtp_raw bomber;
    static uint8_t part[32 * 1024];
    pid_t pid = service_start((uint64_t)CAP_MIB << 20);
    rig_open(&n, 2, NULL);
    assert_true(is_served(&n, 5000));
    assert_true(raw_in(&bomber, 9, bytes_of(NULL, 0)));
    size_t sent = 0;
    while (sent < 4u * (CAP_MIB << 20) && zmtp_send(&bomber, bytes_of(part, sizeof part), true))
        sent += sizeof part;
    zmtp_close(&bomber);
    assert_in_range(sent, (CAP_MIB << 20) / 4, 2u * (CAP_MIB << 20));   /* it went in, and it did not go on */
    assert_true(is_served(&n, 5000));
    print_message("%zu MiB went in; worker %s\n", sent >> 20, shared->starts > 1 ? "restarted" : "refused the rest and lived");
    service_stop(pid);
    rig_close(&n);
}
#endif

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED || crypto_start() != OK;
}
static int teardown(void **state)
{
    (void)state;
    return munmap(shared, sizeof *shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guessed_routing_id_costs_a_restart),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_memory_bomb_stops_at_the_cap),
#endif
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
