/* sim.c - the world: built from a seed, moved by its queue, one turn of one node at a time.
 *
 * A turn is the shell's: agent_handle(), commit, then the effects in order. A crash may fall before the commit (all of the
 * turn is gone) or between two effects (the rest is never done); a disk that fails ends the process before any effect.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/effects.h"
#include "node/model_id.h"

enum { MODELS_START_S = 1800000000 };

/* ---- small things ---- */

struct mono sim_mono(const struct sim *s, const struct sim_node *n) { return (struct mono){ s->now + n->mono_offset_us }; }

struct wall sim_wall(const struct sim *s, const struct sim_node *n)
{
    return (struct wall){ (uint64_t)((int64_t)MODELS_START_S * 1000 + (int64_t)(s->now / 1000) + n->wall_offset_ms) };
}

bool sim_is_traced(const struct sim *s, const struct sim_node *n) { return s->options.trace == (int)n->idx; }

/* -mean * ln(u) by the position of u's highest bit and a straight line below it: within a few percent, and no floating point. */
uint64_t sim_exponential(struct rng *r, uint64_t mean)
{
    uint64_t u = rng_next(r) | 1, halvings = 0;
    for (; u >> 63 == 0; u <<= 1)
        halvings++;
    uint64_t bits_1024 = 1024 * halvings + (1023 - (u >> 53 & 1023));    /* -log2(u), in 1024ths */
    return mean * bits_1024 / 1024 * 710 / 1024;         /* ln 2 = 710 / 1024 */
}

struct sim_node *sim_node_of(struct sim *s, const struct node_id *id)
{
    for (size_t i = 0; i < s->count; i++)
        if (node_id_equal(&s->nodes[i].id, id))
            return &s->nodes[i];
    return NULL;
}

struct sim_node *sim_node_of_key(struct sim *s, const struct pubkey *key)
{
    struct node_id id = node_id_of(key);
    return sim_node_of(s, &id);
}

_Noreturn void sim_violation(const struct sim *s, const struct sim_node *n, const char *format, ...)
{
    fflush(stdout);
    fprintf(stderr, "sim: seed %llu broke a rule at %.6f s", (unsigned long long)s->options.seed, (double)s->now / 1e6);
    if (n)
        fprintf(stderr, ", node %zu", n->idx);
    fprintf(stderr, ": ");
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(1);                                               /* main's atexit says how to repeat it */
}

struct hash sim_trace(const struct sim *s)
{
    struct hasher copy = s->trace;
    struct hash h;
    hasher_finish(&copy, &h);
    return h;
}

/* ---- building ---- */

static uint64_t seed_of(const struct sim *s, size_t node, const char *purpose, uint64_t extra)
{
    struct hash h = promise_name(purpose, bytes_of(&s->options.seed, sizeof s->options.seed), node, extra);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    return v;
}

static struct climate draw_climate(const struct sim *s, struct rng *r)
{
    uint64_t n = s->count;
    struct climate c = { .delay_ppm = (uint32_t)rng_below(r, 50000), .break_ppm = (uint32_t)rng_below(r, 1000),
                         .dial_fail_ppm = (uint32_t)rng_below(r, 50000), .jitter_us = (uint32_t)rng_below(r, 10000),
                         .disk_every_us = SIM_NEVER, .partition_every_us = SIM_NEVER };
    c.crash_every_us = sim_ms(10000 + rng_below(r, 60000)) / n;
    if (rng_below(r, 3) == 0)
        c.disk_every_us = sim_ms(200000) / n;
    if (rng_below(r, 2) == 0)
        c.partition_every_us = sim_ms(30000);
    c.request_every_us = sim_ms(6000 + rng_below(r, 12000)) * (1 + n / 60);     /* a large world is to show the overlay, not the engines */
    bool tight = rng_below(r, 4) == 0;
    c.credit_pico = tight ? 300 * 1000 : (uint64_t)1000 * 1000 * 1000 * 1000;
    c.newcomer_pico = tight ? 2 * c.credit_pico : c.credit_pico;
    c.serving = (uint32_t)(n / 6 + rng_below(r, n / 6 + 1));
    if (c.serving < 3)
        c.serving = 3;
    c.vicious = (uint32_t)rng_below(r, n / 8 + 2);
    c.full_mesh = rng_below(r, 2) ? 6 : 0;
    return c;
}

static void make_models(struct sim *s)
{
    for (size_t m = 0; m < SIM_MODELS; m++) {
        struct rng r;
        rng_init(&r, m + 1);
        rng_bytes(&r, s->headers[m], SIM_HEADER_BYTES);
        struct hash header = model_header_hash(bytes_of(s->headers[m], SIM_HEADER_BYTES));
        s->tensors[m] = hash_of(MODEL_TENSORS_DOMAIN, bytes_of(&m, 1));
        s->models[m] = model_id_of(&header, &s->tensors[m]);
    }
}

static void serve(struct sim *s, struct sim_node *n, size_t model, struct rng *r)
{
    struct served_model *m = &n->served[model];
    n->serves[model] = true;
    *m = (struct served_model){ .id = s->models[model], .tensor_hash = s->tensors[model], .context = SIM_CONTEXT, .vocab = SIM_VOCAB,
                                .header = bytes_of(s->headers[model], SIM_HEADER_BYTES), .slots = 2 + (uint32_t)rng_below(r, 3) };
    m->prefill_millitokens_s = (uint64_t)200 * 1000 * 1000 * 1000 / n->step_us;
    m->decode_millitokens_s = (uint64_t)n->batch * 1000 * 1000 * 1000 / n->step_us;
    m->price_input = m->price_cached = 50 + rng_below(r, 450);
    m->price_output = 100 + rng_below(r, 900);
    snprintf(m->name, sizeof m->name, "model%zu", model);
    snprintf(m->backend, sizeof m->backend, "fake");
    snprintf(m->device, sizeof m->device, "none");
}

static void make_config(struct sim *s, struct sim_node *n)
{
    struct agent_config *c = &n->config;
    *c = (struct agent_config){ .net = s->net, .pow_bits = SIM_POW_BITS, .key = &n->key, .credit_limit_pico = s->climate.credit_pico,
                                .newcomer_limit_pico = s->climate.newcomer_pico, .serve = true, .keep_prompts_hours = 1 };
    memcpy(c->jurisdiction, "DE", 2);
    c->overlay = (struct overlay_config){ .net = s->net, .pow_bits = SIM_POW_BITS, .key = &n->key, .dialable = true,
                                            .full_mesh_max = s->climate.full_mesh };
    snprintf(c->overlay.at.host, sizeof c->overlay.at.host, "node%zu.sim", n->idx);
    c->overlay.at.port = (uint16_t)(n->idx + 1);
    c->overlay.at.transport = n->transport;
    enum err e = pow_search(&n->public, &s->net, SIM_POW_BITS, UINT64_MAX, &c->overlay.pow_nonce);
    ENSURE(e == OK);
}

static void make_keys(struct sim *s, struct sim_node *n)
{
    struct key_seed seed;
    struct seal_secret unused;
    struct rng r;
    rng_init(&r, seed_of(s, n->idx, "key", 0));
    rng_bytes(&r, seed.b, sizeof seed.b);
    key_from_seed(&seed, &n->key, &n->public);
    rng_bytes(&r, seed.b, sizeof seed.b);
    seal_key_from_seed(&seed, &unused, &n->transport);
    n->id = node_id_of(&n->public);
}

static void make_node(struct sim *s, size_t i)
{
    struct sim_node *n = &s->nodes[i];
    struct rng r;
    n->idx = i;
    rng_init(&r, seed_of(s, i, "node", 0));
    for (size_t k = 0; k < STREAM_COUNT; k++)
        rng_init(&n->rng[k], seed_of(s, i, "stream", k));
    n->x = (uint32_t)rng_below(&r, 1001);
    n->y = (uint32_t)rng_below(&r, 1001);
    n->wall_offset_ms = (int64_t)rng_below(&r, 240000) - 120000;
    n->step_us = 5000 + (uint32_t)rng_below(&r, 30000);
    n->batch = 1 + (uint32_t)rng_below(&r, 4);
    make_keys(s, n);
    make_config(s, n);
    if (i < s->climate.serving)                            /* keys are random, so the first ones are as good as any */
        for (size_t m = 0; m < SIM_MODELS; m++)
            if (i % SIM_MODELS == m || rng_below(&r, 4) == 0)
                serve(s, n, m, &r);
    enum err e = store_mem_open(0, &n->store);
    ENSURE(e == OK);
    n->agent = aligned_alloc(64, (agent_size() + 63) / 64 * 64);
    ENSURE(n->agent != NULL);
}

static bool suits(const struct sim_node *n, enum vice v)
{
    bool provides = v == VICE_OVERCOUNT || v == VICE_STOP || v == VICE_OWED || v == VICE_TWO_FACED, is_provider = n->serves[0] || n->serves[1] || n->serves[2];
    return n->vice == VICE_NONE && n->idx >= SIM_BOOTSTRAPS && provides == is_provider;
}

static void corrupt_some(struct sim *s)
{
    for (uint32_t k = 0; k < s->climate.vicious; k++) {
        enum vice v = (enum vice)(1 + rng_below(&s->rng, VICE_DRAWN - 1));
        for (int tries = 0; tries < 20; tries++) {
            struct sim_node *n = &s->nodes[rng_below(&s->rng, s->count)];
            if (!suits(n, v))
                continue;
            n->vice = v;
            break;
        }
    }
}

/* Without a draw, so that a seed is the same world but for them. */
static void make_two_faced(struct sim *s)
{
    for (size_t i = s->count, left = s->options.two_faced; i-- > 0 && left > 0;)
        if (suits(&s->nodes[i], VICE_TWO_FACED)) {
            s->nodes[i].vice = VICE_TWO_FACED;
            s->climate.vicious++;
            left--;
        }
}

struct sim *sim_open(const struct sim_options *o)
{
    struct sim *s = calloc(1, sizeof *s);
    ENSURE(s != NULL && crypto_start() == OK);
    s->options = *o;
    s->count = o->nodes;
    s->check_every = s->count < 50 ? 1 : s->count / 10;    /* all of it reads megabytes; in between, what the turn is about */
    s->net = net_id_of("sim");
    s->now = sim_ms(1000);
    rng_init(&s->rng, seed_of(s, SIZE_MAX, "world", 0));
    s->climate = draw_climate(s, &s->rng);
    hasher_init(&s->trace, "trace");
    make_models(s);
    s->nodes = calloc(s->count, sizeof *s->nodes);
    s->side = calloc(s->count, sizeof *s->side);
    ENSURE(s->nodes != NULL && s->side != NULL);
    for (size_t i = 0; i < s->count; i++)
        make_node(s, i);
    corrupt_some(s);
    make_two_faced(s);
    for (size_t i = 0; i < s->count; i++)
        queue_push(&s->queue, (struct queue_item){ .us = s->now + (i < SIM_BOOTSTRAPS ? i : sim_ms(500) + rng_below(&s->rng, sim_ms(5000))),
                                                   .kind = ITEM_START, .node = i, .life = SIM_NEVER });
    return s;
}

void sim_close(struct sim *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct sim_node *n = &s->nodes[i];
        if (n->alive)
            agent_fini(n->agent);
        store_close(store_mem_store(n->store));
        vices_free(n);
        free(n->agent);
        free(n->runs);
        free(n->acknowledged);
        free(n->delivered);
        free(n->frozen);
        free(n->accounts);
    }
    net_free(s);
    queue_free(&s->queue);
    promises_free(&s->promises);
    free(s->clients);
    free(s->side);
    free(s->nodes);
    free(s);
}

/* ---- life and death ---- */

static void schedule(struct sim *s, struct sim_node *n)
{
    uint64_t due = agent_deadline(n->agent).us;
    if (due == UINT64_MAX)
        return;
    uint64_t at = due > n->mono_offset_us ? due - n->mono_offset_us : 0;
    if (at < s->now + SIM_TURN_US)
        at = s->now + SIM_TURN_US;
    if (at >= n->tick_us)
        return;
    n->tick_us = at;
    queue_push(&s->queue, (struct queue_item){ .us = at, .kind = ITEM_TICK, .node = n->idx, .life = n->life });
}

static void bootstrap(struct sim *s, struct sim_node *n)
{
    for (size_t k = 0; k < SIM_BOOTSTRAPS && k < s->count; k++) {
        const struct endpoint *at = &s->nodes[k].config.overlay.at;
        struct bootstrap b = { .port = at->port, .transport = at->transport, .net = s->net };
        memcpy(b.host, at->host, sizeof b.host);
        if (k == n->idx)
            continue;
        enum err e = agent_bootstrap(n->agent, sim_mono(s, n), &b);
        ENSURE(e == OK);
    }
}

void sim_start(struct sim *s, struct sim_node *n)
{
    if (n->alive)
        return;
    struct rng *r = &n->rng[STREAM_LIFE];
    n->life++;
    n->mono_offset_us = rng_below(r, (uint64_t)1000 * 1000 * 1000 * 1000);
    n->tick_us = SIM_NEVER;
    n->crash = CRASH_NONE;
    n->config.seed = rng_next(r);
    n->config.overlay.rng_seed = rng_next(r);
    rng_bytes(r, n->config.entropy.b, sizeof n->config.entropy.b);
    struct store *store = store_mem_store(n->store);
    enum err e = agent_init(n->agent, &n->config, store, sim_mono(s, n), sim_wall(s, n));
    if (e == OK)
        e = store_commit(store);
    if (e)
        sim_violation(s, n, "does not start over the store that its crash left: %s", err_name(e));
    n->alive = true;
    s->touched_count = 0;
    check_restarted(s, n);
    bootstrap(s, n);
    for (size_t m = 0; m < SIM_MODELS && n->alive; m++)
        if (n->serves[m])
            sim_event(s, n, &(struct agent_event){ .kind = AGENT_MODEL_READY, .u.model = n->served[m] });
    sim_event(s, n, &(struct agent_event){ .kind = AGENT_TICK });
    vices_begin(s, n);
}

void sim_crash(struct sim *s, struct sim_node *n)
{
    if (!n->alive)
        return;
    n->alive = false;
    n->life++;
    s->counts.crashes++;
    agent_fini(n->agent);
    store_mem_crash(n->store);
    store_mem_fail_at(n->store, 0, OK);
    net_crashed(s, n);
    clients_crashed(s, n);
    for (size_t i = 0; i < n->runs_count; i++)
        n->runs[i].used = false;
    uint64_t away = s->faults_on ? sim_ms(200) + sim_exponential(&n->rng[STREAM_LIFE], sim_ms(5000)) : sim_ms(200);
    queue_push(&s->queue, (struct queue_item){ .us = s->now + away, .kind = ITEM_START, .node = n->idx, .life = SIM_NEVER });
    if (sim_is_traced(s, n))
        printf("%12.6f crash\n", (double)s->now / 1e6);
}

/* ---- one turn ---- */

static void send(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    uint8_t buf[FRAME_BYTES_MAX];
    struct bytes frame = e->u.send.frame;
    if (s->options.plant != PLANT_NONE && !vices_planted(s, n, buf, &frame))
        return;
    check_touched(s, net_other(s, n, e->u.send.link));
    if (n->vice == VICE_NONE)
        check_sent(s, n, frame);
    else if (s->vices_on && !vices_send(s, n, buf, &frame))
        return;
    net_send(s, n, e->u.send.link, frame);
}

static void mute(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    s->counts.mutes++;
    for (size_t i = 0; i < s->count; i++)
        if (n->vice == VICE_NONE && s->nodes[i].vice == VICE_NONE &&
            memcmp(s->nodes[i].transport.b, e->u.mute.transport.b, sizeof e->u.mute.transport.b) == 0)
            sim_violation(s, n, "mutes the honest node %zu", i);
    net_mute(s, n, e->u.mute.link, &e->u.mute.transport, e->u.mute.ms);
}

static void header_ready(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    for (size_t m = 0; m < SIM_MODELS; m++)
        if (hash_equal(&s->models[m], &e->u.header.model) && bytes_equal(e->u.header.header, bytes_of(s->headers[m], SIM_HEADER_BYTES))) {
            s->counts.headers++;
            return;
        }
    sim_violation(s, n, "a header that is not the model's");
}

static void log_line(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    if (sim_is_traced(s, n))
        printf("%12.6f %s: %s\n", (double)s->now / 1e6, e->u.log.event, e->u.log.text);
    if (strcmp(e->u.log.event, "channel.conflict") != 0 || n->vice != VICE_NONE)
        return;
    if (s->climate.vicious == 0)
        sim_violation(s, n, "two histories of one channel: %s", e->u.log.text);
    n->conflicted = true;
}

static void perform(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    switch (e->kind) {
    case AGENT_DIAL: net_dial(s, n, e->u.dial.link, &e->u.dial.to); return;
    case AGENT_HANGUP: net_hangup(s, n, e->u.hangup.link); return;
    case AGENT_SEND: send(s, n, e); return;
    case AGENT_MUTE: mute(s, n, e); return;
    case AGENT_RUN_START: engine_start(s, n, e); return;
    case AGENT_RUN_ALLOW: engine_allow(s, n, e->u.allow.run, e->u.allow.allowed); return;
    case AGENT_RUN_CANCEL: engine_cancel(s, n, e->u.cancel.run); return;
    case AGENT_CLIENT_ACCEPTED:
    case AGENT_CLIENT_TOKENS:
    case AGENT_CLIENT_DONE:
    case AGENT_CLIENT_FAILED: clients_effect(s, n, e); return;
    case AGENT_HEADER_READY: header_ready(s, n, e); return;
    case AGENT_HEADER_FAILED:
    case AGENT_DIRECTORY_READY: return;
    case AGENT_LOG: log_line(s, n, e); return;
    }
}

/* What the shell does before it waits for the disk (node/effects_posix.c): it promises nothing to anybody. */
static bool is_free(const struct agent_effect *e)
{
    return e->kind == AGENT_RUN_START || e->kind == AGENT_RUN_ALLOW || e->kind == AGENT_RUN_CANCEL || e->kind == AGENT_CLIENT_ACCEPTED ||
           e->kind == AGENT_CLIENT_TOKENS || e->kind == AGENT_DIAL || e->kind == AGENT_LOG;
}

/* False: the node is no more. */
static bool commit(struct sim *s, struct sim_node *n, bool wrote)
{
    bool planted = s->options.plant == PLANT_SPEAK_FIRST && wrote && s->faults_on && rng_below(&s->rng, 4) == 0;
    if (planted)
        return true;                                       /* and the power fails when all has been said */
    if (n->crash == CRASH_BEFORE_COMMIT && wrote) {
        s->counts.crashes_uncommitted++;
        sim_crash(s, n);
        return false;
    }
    if (store_commit(store_mem_store(n->store)) != OK) {
        s->counts.disk_failures++;
        sim_crash(s, n);                                   /* the shell stops: nothing of this turn may be said */
        return false;
    }
    return true;
}

void sim_event(struct sim *s, struct sim_node *n, const struct agent_event *e)
{
    static struct agent_effect list[EFFECTS_MAX];          /* what they point to lives until the next agent_handle() */
    size_t count = 0;
    if (!n->alive)
        return;
    agent_handle(n->agent, sim_mono(s, n), sim_wall(s, n), e);
    if (++n->turns % s->check_every == 0)
        agent_check(n->agent);
    else
        agent_check_step(n->agent, e->kind == AGENT_OVERLAY ? e->u.overlay.link : (struct link){ 0 });
    bool wrote = store_mem_store(n->store)->dirty;
    while (agent_next(n->agent, &list[count])) {
        if (is_free(&list[count]))
            perform(s, n, &list[count]);
        else
            count++;
        ENSURE(count < EFFECTS_MAX);
    }
    if (!commit(s, n, wrote))
        return;
    bool dies = n->crash == CRASH_MID_EFFECTS && wrote;
    for (uint32_t k = 0; k < count; k++) {
        if (dies && k == n->crash_after) {
            sim_crash(s, n);
            return;
        }
        perform(s, n, &list[k]);
    }
    if (s->options.plant == PLANT_SPEAK_FIRST && store_mem_store(n->store)->dirty) {
        sim_crash(s, n);
        return;
    }
    check_turn(s, n, wrote);
    s->touched_count = 0;
    schedule(s, n);
}

/* ---- the loop ---- */

static void tick(struct sim *s, struct sim_node *n, const struct queue_item *it)
{
    if (it->us != n->tick_us)
        return;                                            /* an earlier one has been here */
    n->tick_us = SIM_NEVER;
    s->counts.ticks++;
    n->spin_count = n->spin_second == s->now / 1000000 ? n->spin_count + 1 : 1;
    n->spin_second = s->now / 1000000;
    if (n->spin_count > SIM_SPIN_MAX)
        sim_violation(s, n, "wakes up again and again and does nothing");
    sim_event(s, n, &(struct agent_event){ .kind = AGENT_TICK });
}

static void happen(struct sim *s, const struct queue_item *it)
{
    struct sim_node *n = &s->nodes[it->node];
    if (it->life != SIM_NEVER && it->life != n->life)
        return;                                            /* meant for a process that is no more */
    s->counts.events++;
    hasher_add_u64(&s->trace, it->us);
    hasher_add_u64(&s->trace, (uint64_t)it->kind << 32 | it->node);
    hasher_add(&s->trace, bytes_of(it->bytes, it->len));
    switch (it->kind) {
    case ITEM_TICK: tick(s, n, it); return;
    case ITEM_LINK_UP:
    case ITEM_LINK_DOWN:
    case ITEM_FRAME: net_item(s, it); return;
    case ITEM_RUN: engine_step(s, n, it->idx); return;
    case ITEM_ASK:
    case ITEM_CANCEL:
    case ITEM_PROBE:
    case ITEM_HEADER: clients_item(s, it); return;
    case ITEM_START: sim_start(s, n); return;
    case ITEM_VICE: vices_item(s, n); return;
    case ITEM_CRASH:
    case ITEM_DISK:
    case ITEM_PARTITION: faults_item(s, it); return;
    }
}

void sim_run(struct sim *s, uint64_t until_us)
{
    struct queue_item it;
    while (queue_pop(&s->queue, until_us, &it)) {
        ENSURE(it.us >= s->now);
        s->now = it.us;
        happen(s, &it);
        free(it.bytes);
    }
    s->now = until_us;
}
