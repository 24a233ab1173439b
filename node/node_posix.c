/* node_posix.c - opens a node, runs its loop, closes it. */
#include "node/node_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "crypto/random_os.h"
#include "node/address_posix.h"
#include "node/log_posix.h"
#include "node/peersfile_posix.h"
#include "node/setup_posix.h"

struct mono mono_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (struct mono){ (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 };
}

struct wall wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (struct wall){ (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 };
}

static void wake_loop(void *ctx)
{
    uint64_t one = 1;
    ssize_t n = write(((struct node *)ctx)->wake_fd, &one, sizeof one);   /* a full counter has woken it already */
    (void)n;
}

/* ---- opening, in the order in which each needs the one before ---- */

static enum err open_signals(struct node *n, struct fault *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);                          /* a limit on the size of files is a write that fails, like a full disk */
    pthread_sigmask(SIG_BLOCK, &set, NULL);            /* before any thread exists, so that all inherit it */
    n->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    n->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return n->signal_fd < 0 || n->wake_fd < 0 ? fault_set(why, ERR_IO, "no descriptors for signals: %s", strerror(errno)) : OK;
}

static enum err open_store(struct node *n, struct fault *why)
{
    char folder[CONFIG_PATH_CHARS + 16];
    snprintf(folder, sizeof folder, "%s/ledger", n->config->data_dir);
    enum err e = store_lmdb_open(&(struct store_lmdb_config){ .folder = folder }, &n->store);
    int pid = e == ERR_STATE ? runfile_pid(n->config->data_dir) : 0;
    if (e == ERR_STATE && pid)
        return fault_set(why, e, "another tallyd (pid %d) uses this folder: %s", pid, n->config->data_dir);
    if (e == ERR_STATE)
        return fault_set(why, e, "another tallyd uses this folder: %s", n->config->data_dir);
    return e == OK ? OK : fault_set(why, e, "ledger in %s: %s", folder, err_text(e));
}

/* A large file takes minutes once. systemd waits for READY=1, or, after a restart, for the watchdog's word. */
static void still_hashing(void *ctx)
{
    (void)ctx;
    notify_systemd("EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1");
}

_Static_assert((int)CONFIG_MODELS_MAX <= (int)CATALOG_FILES_MAX, "every configured model has a place in the catalog");

static enum err open_catalog(struct node *n, struct fault *why)
{
    char folder[CONFIG_PATH_CHARS + 16];
    snprintf(folder, sizeof folder, "%s/cache", n->config->data_dir);
    enum err e = folder_create(folder, why);
    if (e == OK)
        e = catalog_open(folder, &n->catalog);
    if (e == OK)
        catalog_on_progress(n->catalog, still_hashing, NULL);
    for (uint32_t i = 0; e == OK && n->config->provide && i < n->config->model_count; i++) {
        struct node_model *m = &n->models[n->model_count];
        m->config = &n->config->models[i];
        e = catalog_add_file(n->catalog, m->config->name, m->config->path, &m->entry, why);
        if (e == OK)
            n->model_count++;
    }
    return e;
}

/* listen.port 0 takes any free port, but the same one again after a restart if it is still free: those who knew us dial it. */
static uint16_t port_remembered(const struct node *n)
{
    char path[CONFIG_PATH_CHARS + 16];
    unsigned port = 0;
    snprintf(path, sizeof path, "%s/port", n->config->data_dir);
    FILE *f = n->config->listen_port ? NULL : fopen(path, "re");
    if (f && (fscanf(f, "%u", &port) != 1 || port > 65535))
        port = 0;
    if (f)
        fclose(f);
    return (uint16_t)port;
}

static void port_remember(const struct node *n)
{
    char path[CONFIG_PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/port", n->config->data_dir);
    FILE *f = n->config->listen_port ? NULL : fopen(path, "we");
    if (f) {
        fprintf(f, "%u\n", n->self.port);
        fclose(f);
    }
}

static enum err open_transport(struct node *n, struct fault *why)
{
    struct transport_config c = { .host = n->config->listen_host, .port = n->config->listen_port,
                                  .transport = n->identity.transport, .secret = &n->identity.transport_secret };
    transport_limits_default(&c.limits);
    c.limits.inbound_max = n->config->inbound_max;
    if (strncmp(c.host, "127.", 4) == 0 || strcmp(c.host, "::1") == 0) {
        /* On loopback every peer has one address: limits per address would only hit ourselves. */
        c.limits.ip_connections_max = c.limits.connections_max;
        c.limits.ip_per_s = c.limits.ip_burst = c.limits.connections_max;
    }
    uint16_t before = port_remembered(n);
    if (before)
        c.port = before;
    enum err e = transport_open(&c, mono_now(), &n->transport);
    if (e == ERR_IO && before) {
        c.port = 0;
        e = transport_open(&c, mono_now(), &n->transport);
    }
    if (e != OK)
        return fault_set(why, e, "mesh address %s port %u: %s (listen.host, listen.port)", c.host, c.port, e == ERR_IO ? strerror(errno) : err_text(e));
    n->self.port = transport_port(n->transport);
    port_remember(n);
    n->self.transport = n->identity.transport;
    n->self.net = n->net;
    return OK;
}

/* What worked before a restart may work again; on the first start it is the set-up that is wrong. */
static bool is_passing(enum err e) { return e == ERR_IO || e == ERR_DISK_FULL || e == ERR_MEMORY; }

/* LMDB calls a write that was cut short an I/O error, and that is what the first write onto a full disk is. */
static const char *fault_of_disk(enum err e) { return e == ERR_IO ? "writing failed; is the disk full?" : err_text(e); }

static enum err open_agent(struct node *n, struct fault *why)
{
    struct agent_config c = {
        .net = n->net, .pow_bits = n->config->pow_bits, .key = &n->identity.node,
        .tier = n->config->tier, .credit_limit_pico = n->config->credit_limit_pico,
        .newcomer_limit_pico = n->config->newcomer_limit_pico, .keep_prompts_hours = n->config->keep_prompts_hours,
        .token_deadline_ms = n->config->token_deadline_ms, .serve = n->config->provide,
    };
    bool dialable = address_advertised(n->config->advertise_host, n->config->listen_host, n->self.host);
    memcpy(c.jurisdiction, n->config->jurisdiction, sizeof c.jurisdiction);
    random_seed(&c.entropy);
    random_os(&c.seed, sizeof c.seed);
    c.overlay = (struct overlay_config){
        .net = n->net, .pow_bits = n->config->pow_bits, .key = &n->identity.node, .pow_nonce = n->identity.pow_nonce,
        .dialable = dialable, .cert = n->identity.has_cert ? &n->identity.cert : NULL,
    };
    random_os(&c.overlay.rng_seed, sizeof c.overlay.rng_seed);
    memcpy(c.overlay.at.host, n->self.host, sizeof c.overlay.at.host);
    c.overlay.at.port = n->self.port;
    c.overlay.at.transport = n->identity.transport;
    n->agent = aligned_alloc(64, (agent_size() + 63) / 64 * 64);
    if (!n->agent)
        return fault_set(why, ERR_MEMORY, "no memory for the node's tables");
    enum err e = agent_init(n->agent, &c, n->store, mono_now(), wall_now());
    sodium_memzero(&c.entropy, sizeof c.entropy);
    if (e != OK) {
        free(n->agent);
        n->agent = NULL;
        if (is_passing(e))
            return fault_set(why, e, "%.150s/ledger: %s", n->config->data_dir, fault_of_disk(e));
        return fault_set(why, e, "the ledger or identity does not fit this node: %s", err_text(e));
    }
    return OK;
}

static enum err read_api_key(struct node *n, struct fault *why)
{
    if (!n->config->api_key_file[0])
        return OK;
    FILE *f = fopen(n->config->api_key_file, "re");
    bool got = f && fgets(n->api_key, sizeof n->api_key, f);
    if (f)
        fclose(f);
    n->api_key[strcspn(n->api_key, "\r\n")] = 0;
    return got && n->api_key[0] ? OK : fault_set(why, ERR_CONFIG, "api.key_file %s holds no key", n->config->api_key_file);
}

static enum err open_gateway(struct node *n, struct fault *why)
{
    enum err e = read_api_key(n, why);
    if (e != OK)
        return e;
    struct gateway_options o = {
        .host = n->config->api_host, .port = n->config->api_port, .api_key = n->api_key[0] ? n->api_key : NULL,
        .self = node_id_of(&n->identity.node_public),
        .connections_max = 512, .allow_local = n->config->allow_local, .wake = wake_loop, .wake_ctx = n,
        .limits = { .price_input_max = n->config->price_input_max, .price_output_max = n->config->price_output_max,
                    .budget_pico = n->config->budget_pico },
    };
    return gateway_open(&o, &n->gateway, why);
}

/* The cap on memory is there for what nobody planned; an engine's share is planned, and so it is added, or counted
 * against the total that the operator set. */
static enum err make_room(struct node *n, const struct config_model *m, uint64_t bytes, struct fault *why)
{
    n->engine_bytes += bytes;
    if (!n->supervised)
        return OK;                                     /* nobody set a cap */
    if (n->config->memory_mb == 0)
        supervise_memory_raise(bytes);
    else if (n->engine_bytes > (uint64_t)(n->config->memory_mb - CONFIG_MEMORY_MIB_MIN) << 20)
        return fault_set(why, ERR_CONFIG, "model %s: engines need %llu MiB (less with fewer slots or a shorter context) and the node %d; limits.memory_mb allows %u",
                         m->name, (unsigned long long)(n->engine_bytes >> 20), CONFIG_MEMORY_MIB_MIN, n->config->memory_mb);
    return OK;
}

static enum err open_workers(struct node *n, struct fault *why)
{
    const char *backend = strcmp(n->config->backend, "auto") == 0 ? NULL : n->config->backend;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    for (uint32_t i = 0; i < n->model_count; i++) {
        struct worker_options o = {
            .backend = backend, .threads = n->config->threads ? n->config->threads : (uint32_t)(cores > 0 ? cores : 1),
            .slots = n->models[i].config->slots ? n->models[i].config->slots : 1, .context = n->models[i].config->context,
            .wake = wake_loop, .wake_ctx = n,
        };
        enum err e = make_room(n, n->models[i].config, worker_reserves(n->models[i].entry->model, &o), why);
        if (e != OK)
            return e;
        e = worker_open(n->models[i].entry->model, &o, &n->models[i].worker);
        if (e != OK)
            return fault_set(why, e, "model %s: %s", n->models[i].config->name, err_text(e));
    }
    return OK;
}

static enum err join(struct node *n, struct fault *why)
{
    for (uint32_t i = 0; i < n->config->bootstrap_count; i++) {
        struct bootstrap b;
        enum err e = bootstrap_parse(n->config->bootstrap[i], &b);
        if (e == OK)
            e = agent_bootstrap(n->agent, mono_now(), &b);
        if (e != OK && e != ERR_EXISTS)
            return fault_set(why, e, "bootstrap %.120s: %s", n->config->bootstrap[i], err_text(e));
    }
    peersfile_read(n);
    return OK;
}

static enum err open_node(struct node *n, struct passphrase *passphrase, struct fault *why)
{
    enum err e = crypto_start();
    if (e != OK)
        return fault_set(why, e, "no system randomness");
    n->net = net_id_of(n->config->network);
    if ((e = open_signals(n, why)) != OK || (e = setup_check_backend(n->config->backend, why)) != OK || (e = setup_check_bootstraps(n->config, why)) != OK ||
        (e = setup_check_identity(n->config, why)) != OK)
        return e;
    e = identity_load(n->config->data_dir, &n->net, passphrase_text(passphrase), n->config->owner_cert, &n->identity, why);
    passphrase_fini(passphrase);
    if (e == OK)
        e = open_store(n, why);
    if (e == OK)
        e = open_catalog(n, why);
    if (e == OK)
        e = open_transport(n, why);
    if (e == OK)
        e = open_agent(n, why);
    if (e == OK)
        e = open_gateway(n, why);
    if (e == OK)
        e = open_workers(n, why);
    if (e == OK)
        e = join(n, why);
    if (e == OK) {
        node_take_effects(n);
        node_settle(n);
        e = n->broken == OK ? runfile_write(n, why) : fault_set(why, n->broken, "%.150s/ledger: %s", n->config->data_dir, fault_of_disk(n->broken));
    }
    return e;
}

static void close_node(struct node *n)
{
    runfile_remove(n);
    for (uint32_t i = 0; i < n->model_count; i++)
        worker_close(n->models[i].worker);
    if (n->gateway)
        gateway_close(n->gateway);
    if (n->transport)
        transport_close(n->transport);
    node_drop_held(n);
    if (n->agent) {
        agent_fini(n->agent);
        free(n->agent);
    }
    if (n->store)
        store_close(n->store);
    if (n->catalog)
        catalog_close(n->catalog);
    identity_fini(&n->identity);
    sodium_memzero(n->api_key, sizeof n->api_key);
    if (n->signal_fd > 0)
        close(n->signal_fd);
    if (n->wake_fd > 0)
        close(n->wake_fd);
}

/* ---- one turn ---- */

static void turn_transport(struct node *n)
{
    struct transport_event t;
    transport_turn(n->transport, mono_now());
    for (uint32_t i = 0; i < NODE_TURN_EVENTS_MAX && n->broken == OK && transport_next(n->transport, mono_now(), &t); i++) {
        static const enum overlay_event_kind kinds[] = {
            [TRANSPORT_LINK_UP] = OVERLAY_LINK_UP, [TRANSPORT_LINK_DOWN] = OVERLAY_LINK_DOWN, [TRANSPORT_FRAME] = OVERLAY_FRAME };
        struct agent_event e = { .kind = AGENT_OVERLAY };
        e.u.overlay.kind = kinds[t.kind];
        e.u.overlay.link.id = t.link;
        e.u.overlay.from = t.peer;
        e.u.overlay.frame = t.frame;
        node_handle(n, &e);
    }
}

static void turn_gateway(struct node *n)
{
    struct gateway_ask a;
    for (uint32_t i = 0; i < NODE_TURN_EVENTS_MAX && n->broken == OK && gateway_next(n->gateway, &a); i++) {
        node_ask(n, &a);
        gateway_ask_free(&a);
        n->turn_was_full |= i + 1 == NODE_TURN_EVENTS_MAX;
    }
}

static void turn_signals(struct node *n)
{
    struct signalfd_siginfo s;
    while (read(n->signal_fd, &s, sizeof s) == sizeof s) {
        if (s.ssi_signo == SIGHUP)
            continue;
        if (n->draining) {
            n->stopping = true;
            continue;
        }
        n->draining = true;
        n->drain_until = mono_add_ms(mono_now(), NODE_DRAIN_MS);
        log_event(LOG_INFO, "draining", "open work is finished, new work is declined; a second signal stops at once");
        notify_systemd("STOPPING=1");
        struct agent_event e = { .kind = AGENT_DRAIN };
        node_handle(n, &e);
    }
}

static void turn_clock(struct node *n)
{
    if (!mono_reached(mono_now(), agent_deadline(n->agent)))
        return;
    struct agent_event e = { .kind = AGENT_TICK };
    node_handle(n, &e);
}

static int poll_timeout(const struct node *n)
{
    struct mono now = mono_now(), at = mono_min(agent_deadline(n->agent), transport_deadline(n->transport));
    if (n->waiting_count)
        at = mono_min(at, mono_add_ms(now, 50));
    if (n->draining)
        at = mono_min(at, mono_add_ms(now, 100));
    if (n->peers_written != overlay_counters(agent_overlay(n->agent))->peers_up)
        at = mono_min(at, mono_add_ms(n->peers_at, PEERSFILE_SETTLE_MS));
    if (n->watchdog_us)
        at = mono_min(at, n->watchdog_at);
    at = mono_min(at, mono_add_ms(now, 5000));
    return at.us <= now.us ? 0 : (int)((at.us - now.us + 999) / 1000);
}

/* Once a day, from a month before it ends. */
static void turn_certificate(struct node *n)
{
    enum { LOOK_MS = 24 * 3600 * 1000 };
    struct mono now = mono_now();
    if (!mono_reached(now, n->cert_at) || (!n->identity.has_cert && !n->identity.cert_expired))
        return;
    n->cert_at = mono_add_ms(now, LOOK_MS);
    int64_t days = identity_cert_days_left(&n->identity.cert, wall_now());
    if (days < 0)
        log_event(LOG_WARN, "certificate.ended", "the owner's certificate has run out: this node has no owner; `tally key renew`, then restart");
    else if (days < IDENTITY_CERT_WARN_DAYS)
        log_event(LOG_WARN, "certificate.ends", "the owner's certificate runs out in %d days; `tally key renew`, then restart", (int)days);
}

static void turn_watchdog(struct node *n)
{
    struct mono now = mono_now();
    if (!n->watchdog_us || !mono_reached(now, n->watchdog_at))
        return;
    notify_systemd("WATCHDOG=1");
    n->watchdog_at = (struct mono){ now.us + n->watchdog_us };
}

/* The wake-up was read, and a queue may hold more than one turn takes. */
static void wake_if_more(struct node *n)
{
    if (n->turn_was_full)
        wake_loop(n);
    n->turn_was_full = false;
}

static void loop(struct node *n)
{
    while (!n->stopping && n->broken == OK) {
        struct pollfd fds[] = { { .fd = transport_fd(n->transport), .events = POLLIN },
                                { .fd = n->wake_fd, .events = POLLIN },
                                { .fd = n->signal_fd, .events = POLLIN } };
        uint64_t drained;
        poll(fds, ARRAY_COUNT(fds), poll_timeout(n));
        ssize_t got = read(n->wake_fd, &drained, sizeof drained);
        (void)got;
        turn_transport(n);
        node_models_turn(n);
        turn_gateway(n);
        turn_signals(n);
        turn_clock(n);
        wake_if_more(n);
        node_waiting_tick(n);
        node_settle(n);
        peersfile_turn(n);
        node_waiting_turn(n);
        turn_watchdog(n);
        turn_certificate(n);
        if (n->draining && (agent_drained(n->agent) || mono_reached(mono_now(), n->drain_until)))
            n->stopping = true;
    }
}

static void say_started(const struct node *n)
{
    char mesh[ADDRESS_TEXT_CHARS], api[ADDRESS_TEXT_CHARS];
    address_text(n->self.host, n->self.port, mesh);
    address_text(n->config->api_host, gateway_port(n->gateway), api);
    log_event(LOG_INFO, "started", "network=%s mesh=%s api=http://%s restarts=%u", n->config->network, mesh, api,
              n->supervised ? n->supervised->restarts : 0);
}

int node_run(const struct config *c, const struct supervised *s, struct passphrase *passphrase)
{
    static struct node node;                           /* one node per process; too large for a stack */
    struct node *n = &node;
    struct fault why = { { 0 } };
    memset(n, 0, sizeof *n);
    n->config = c;
    n->supervised = s;
    n->started = mono_now();
    n->watchdog_us = notify_every_us();
    log_setup(c->log_level, strcmp(c->log_format, "json") == 0);
    enum err e = open_node(n, passphrase, &why);
    if (e != OK) {
        log_event(LOG_ERROR, "start_failed", "%s", why.text[0] ? why.text : err_text(e));
        close_node(n);
        return is_passing(e) && s && s->restarts > 0 ? SUPERVISE_EXIT_AGAIN : NODE_EXIT_CONFIG;
    }
    say_started(n);
    notify_systemd("READY=1");
    loop(n);
    if (n->broken != OK)
        log_event(LOG_ERROR, "ledger_failed", "%s/ledger: %s; nothing was promised in this turn; stopping to reopen", c->data_dir, fault_of_disk(n->broken));
    else
        log_event(LOG_INFO, "stopped", "drained=%s", agent_drained(n->agent) ? "yes" : "no");
    e = n->broken;
    close_node(n);
    return e == OK ? 0 : SUPERVISE_EXIT_AGAIN;
}
