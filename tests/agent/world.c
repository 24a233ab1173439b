/* world.c - the cable, the clock and the fake engine of world.h. */
#include "tests/agent/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/model_id.h"
#include "tests/fake_engine.h"

enum { QUEUE_MAX = 16384, PORT_BASE = 9000, POW_BITS = 2 };

enum thing_kind { THING_FRAME, THING_UP, THING_DOWN, THING_RUN, THING_START };
struct thing {
    uint64_t at, order;
    enum thing_kind kind;
    int node;
    struct link link;
    uint8_t *frame;
    size_t len;
    size_t run;
};

struct cable { bool used; int a, b; struct link at_a, at_b; };

struct run {
    bool used, cancelled;
    int node;
    struct run_id id;
    uint64_t seed, state;
    uint32_t position, made, allowed, output_max, stop[STOP_IDS_MAX], stop_count;
    bool heads, paused;
};

struct world {
    uint64_t now, order;
    int count;
    struct world_node node[WORLD_NODES_MAX];
    struct client client[WORLD_CLIENTS_MAX];
    struct cable cable[WORLD_LINKS_MAX];
    struct run run[WORLD_RUNS_MAX];
    struct thing *queue;
    size_t queued;
    uint64_t inbound;
    struct world_tap tap;
    struct net_id net;
};

const uint8_t world_header[] = "GGUF stand-in: a header that hashes to the model id.";
const size_t world_header_bytes = sizeof world_header;

static struct hash tensor_hash(void) { return hash_of(MODEL_TENSORS_DOMAIN, bytes_text("weights")); }

struct hash world_model(void)
{
    struct hash header = model_header_hash(bytes_of(world_header, world_header_bytes)), tensors = tensor_hash();
    return model_id_of(&header, &tensors);
}

struct world_node *world_node(struct world *w, int i) { return &w->node[i]; }
struct client *world_client(struct world *w, int i) { return &w->client[i]; }
struct mono world_now(const struct world *w) { return (struct mono){ w->now }; }
void world_set_tap(struct world *w, struct world_tap tap) { w->tap = tap; }

static struct wall wall_of(const struct world *w) { return (struct wall){ 1800000000000u + w->now / 1000 }; }

/* ---- the queue ---- */

static struct thing *push(struct world *w, uint64_t at, enum thing_kind kind, int node)
{
    assert_true(w->queued < QUEUE_MAX);
    struct thing *t = &w->queue[w->queued++];
    *t = (struct thing){ .at = at, .order = w->order++, .kind = kind, .node = node };
    return t;
}

static size_t earliest(const struct world *w)
{
    size_t best = 0;
    for (size_t i = 1; i < w->queued; i++)
        if (w->queue[i].at < w->queue[best].at || (w->queue[i].at == w->queue[best].at && w->queue[i].order < w->queue[best].order))
            best = i;
    return best;
}

/* ---- the engine ---- */

uint32_t world_expected(const struct request *q, uint32_t *out, uint32_t max)
{
    uint64_t state = fake_absorb(FAKE_STATE, q->prompt, q->prompt_count);
    uint32_t n = 0;
    while (n < max && n < q->output_max) {
        out[n] = fake_next(&state, q->seed, q->prompt_count + n, VOCAB);
        n++;
        for (uint32_t k = 0; k < q->stop_count; k++)
            if (out[n - 1] == q->stop_ids[k])
                return n;
    }
    return n;
}

static void engine_start(struct world *w, int node, const struct agent_effect *e)
{
    size_t i = 0;
    while (w->run[i].used)
        i++;
    assert_true(i < WORLD_RUNS_MAX);
    w->run[i] = (struct run){ .used = true, .node = node, .id = e->u.start.run, .seed = e->u.start.seed,
                              .state = fake_absorb(FAKE_STATE, e->u.start.tokens, e->u.start.token_count), .position = e->u.start.token_count,
                              .output_max = e->u.start.output_max, .allowed = e->u.start.allowed ? e->u.start.allowed : e->u.start.output_max, .stop_count = e->u.start.stop_count, .heads = e->u.start.want_head_hashes };
    memcpy(w->run[i].stop, e->u.start.stop_ids, e->u.start.stop_count * sizeof w->run[i].stop[0]);
    push(w, w->now + TOKEN_US, THING_RUN, node)->run = i;
}

static void engine_done(struct world *w, struct run *r, enum finish finish)
{
    struct agent_event e = { .kind = AGENT_RUN_DONE, .u.done = { r->id, finish, finish == FINISH_ERROR ? ERR_DEVICE : OK } };
    r->used = false;
    world_event(w, r->node, &e);
}

static void engine_wake(struct world *w, size_t i)
{
    if (w->run[i].paused)
        push(w, w->now + TOKEN_US, THING_RUN, w->run[i].node)->run = i;
    w->run[i].paused = false;
}

static void engine_step(struct world *w, size_t i)
{
    struct run *r = &w->run[i];
    struct world_node *n = &w->node[r->node];
    if (!r->used || !n->alive)
        return;
    if (r->cancelled) {
        engine_done(w, r, FINISH_CANCELLED);
        return;
    }
    if (n->engine_fails_at >= 0 && r->made == (uint32_t)n->engine_fails_at) {
        engine_done(w, r, FINISH_ERROR);
        return;
    }
    if (n->engine_quits_at >= 0 && r->made == (uint32_t)n->engine_quits_at) {
        engine_done(w, r, n->engine_says);
        return;
    }
    if (r->made == r->allowed) {                           /* paused: THING_RUN comes with the next allowance or the end */
        r->paused = true;
        return;
    }
    if (n->frozen) {
        push(w, w->now + TOKEN_US, THING_RUN, r->node)->run = i;
        return;
    }
    uint32_t t = fake_next(&r->state, r->seed, r->position, VOCAB);
    struct hash h = fake_head(t, r->position);
    r->position++;
    r->made++;
    n->made++;
    struct agent_event e = { .kind = AGENT_RUN_TOKENS, .u.tokens = { r->id, &t, r->heads ? &h : NULL, 1 } };
    world_event(w, r->node, &e);
    bool stop = false;
    for (uint32_t k = 0; k < r->stop_count; k++)
        stop = stop || (r->stop[k] == t && !n->engine_runs_on);
    if (stop || r->made == r->output_max)
        engine_done(w, r, stop ? FINISH_STOP : FINISH_LENGTH);
    else
        push(w, w->now + TOKEN_US, THING_RUN, r->node)->run = i;
}

/* ---- the cable ---- */

static struct cable *cable_of(struct world *w, int node, struct link link)
{
    for (size_t i = 0; i < WORLD_LINKS_MAX; i++) {
        struct cable *c = &w->cable[i];
        if (c->used && ((c->a == node && c->at_a.id == link.id) || (c->b == node && c->at_b.id == link.id)))
            return c;
    }
    return NULL;
}

static void dial(struct world *w, int from, struct link link, const struct endpoint *to)
{
    int peer = to->port - PORT_BASE;
    if (peer < 0 || peer >= w->count || !w->node[peer].alive) {
        push(w, w->now + 4 * LATENCY_US, THING_DOWN, from)->link = link;
        return;
    }
    size_t i = 0;
    while (i < WORLD_LINKS_MAX && w->cable[i].used)
        i++;
    assert_true(i < WORLD_LINKS_MAX);
    w->cable[i] = (struct cable){ true, from, peer, link, { LINK_INBOUND_BIT | ++w->inbound } };
    push(w, w->now + 4 * LATENCY_US, THING_UP, from)->link = link;
}

static void cut(struct world *w, struct cable *c, int except)
{
    if (c->a != except)
        push(w, w->now + LATENCY_US, THING_DOWN, c->a)->link = c->at_a;
    if (c->b != except)
        push(w, w->now + LATENCY_US, THING_DOWN, c->b)->link = c->at_b;
    c->used = false;
}

static void send_frame(struct world *w, int from, const struct agent_effect *e)
{
    struct cable *c = cable_of(w, from, e->u.send.link);
    struct frame f;
    if (!c)
        return;
    int to = c->a == from ? c->b : c->a;
    uint8_t body[FRAME_BYTES_MAX], frame[FRAME_BYTES_MAX];
    struct bytes out = e->u.send.frame;
    if (w->tap.on_frame && frame_decode(out, &f) == OK) {
        size_t len = f.body.len;
        memcpy(body, f.body.data, len);
        if (!w->tap.on_frame(from, to, f.type, body, &len, w->tap.ctx))
            return;
        f.body = bytes_of(body, len);
        assert_ok(frame_encode(&f, frame, sizeof frame, &out));
    }
    struct thing *t = push(w, w->now + LATENCY_US, THING_FRAME, to);
    t->link = c->a == from ? c->at_b : c->at_a;
    t->frame = malloc(out.len);
    t->len = out.len;
    memcpy(t->frame, out.data, out.len);
}

void world_say(struct world *w, int from, int to, uint32_t type, struct bytes body)
{
    struct frame f = { .type = type, .body = body };
    uint8_t frame[FRAME_BYTES_MAX];
    struct bytes out;
    assert_ok(frame_encode(&f, frame, sizeof frame, &out));
    for (size_t i = 0; i < WORLD_LINKS_MAX; i++) {
        const struct cable *c = &w->cable[i];
        if (!c->used || !((c->a == from && c->b == to) || (c->a == to && c->b == from)))
            continue;
        struct thing *t = push(w, w->now + LATENCY_US, THING_FRAME, to);
        t->link = c->a == to ? c->at_a : c->at_b;
        t->frame = malloc(out.len);
        t->len = out.len;
        memcpy(t->frame, out.data, out.len);
        return;
    }
    fail_msg("nodes %d and %d are not linked", from, to);
}

uint64_t world_made(const struct world *w, int node) { return w->node[node].made; }

/* ---- one agent's turn ---- */

static void client_effect(struct world *w, const struct agent_effect *e)
{
    struct client *c;
    if (e->kind == AGENT_CLIENT_ACCEPTED) {
        c = &w->client[e->u.accepted.client.id];
        assert_false(c->accepted);
        c->accepted = true;
        c->local = e->u.accepted.local;
    } else if (e->kind == AGENT_CLIENT_TOKENS) {
        c = &w->client[e->u.tokens.client.id];
        assert_true(c->state == CLIENT_WAITING && c->count + e->u.tokens.count <= ARRAY_COUNT(c->tokens));
        if (c->count == 0)
            c->first_token = world_now(w);
        else if (w->now - c->last_token.us > c->gap_us_max)
            c->gap_us_max = w->now - c->last_token.us;
        c->last_token = world_now(w);
        memcpy(c->tokens + c->count, e->u.tokens.tokens, e->u.tokens.count * sizeof c->tokens[0]);
        c->count += e->u.tokens.count;
    } else if (e->kind == AGENT_CLIENT_DONE) {
        c = &w->client[e->u.done.client.id];
        assert_true(c->state == CLIENT_WAITING);
        c->state = CLIENT_DONE;
        c->finish = e->u.done.finish;
        c->last = *e;
        c->ended = world_now(w);
    } else {
        c = &w->client[e->u.failed.client.id];
        assert_true(c->state == CLIENT_WAITING);
        c->state = CLIENT_FAILED;
        c->error = e->u.failed.error;
        memcpy(c->text, e->u.failed.text, sizeof e->u.failed.text);
        c->ended = world_now(w);
    }
}

static void perform(struct world *w, int node, const struct agent_effect *e)
{
    struct cable *c;
    struct world_node *n = &w->node[node];
    switch (e->kind) {
    case AGENT_DIAL:
        dial(w, node, e->u.dial.link, &e->u.dial.to);
        break;
    case AGENT_HANGUP:
        c = cable_of(w, node, e->u.hangup.link);
        if (c)
            cut(w, c, node);
        break;
    case AGENT_SEND:
        send_frame(w, node, e);
        break;
    case AGENT_RUN_START:
        engine_start(w, node, e);
        break;
    case AGENT_RUN_CANCEL:
        for (size_t i = 0; i < WORLD_RUNS_MAX; i++)
            if (w->run[i].used && w->run[i].node == node && w->run[i].id.id == e->u.cancel.run.id) {
                w->run[i].cancelled = true;
                engine_wake(w, i);
            }
        break;
    case AGENT_RUN_ALLOW:
        for (size_t i = 0; i < WORLD_RUNS_MAX; i++)
            if (w->run[i].used && w->run[i].node == node && w->run[i].id.id == e->u.allow.run.id) {
                assert_true(e->u.allow.allowed > w->run[i].allowed && e->u.allow.allowed <= w->run[i].output_max);
                w->run[i].allowed = e->u.allow.allowed;
                engine_wake(w, i);
            }
        break;
    case AGENT_CLIENT_ACCEPTED:
    case AGENT_CLIENT_TOKENS:
    case AGENT_CLIENT_DONE:
    case AGENT_CLIENT_FAILED:
        client_effect(w, e);
        break;
    case AGENT_HEADER_READY:
        n->header_ready++;
        free((void *)(uintptr_t)n->header_got.data);
        n->header_got = bytes_of(memcpy(malloc(e->u.header.header.len), e->u.header.header.data, e->u.header.header.len), e->u.header.header.len);
        break;
    case AGENT_HEADER_FAILED:
        n->header_failed++;
        break;
    case AGENT_DIRECTORY_READY:
        n->directory_ready++;
        break;
    case AGENT_MUTE:
        break;
    case AGENT_LOG:
        if (getenv("WORLD_LOG"))
            printf("%9.3f node %d %s: %s\n", (double)w->now / 1e6, node, e->u.log.event, e->u.log.text);
        break;
    }
}

/* A failed commit: nothing of this turn is promised, the process ends and is started again. */
static void break_down(struct world *w, int node)
{
    struct agent_effect f;
    while (agent_next(w->node[node].agent, &f))
        ;
    w->node[node].breakdowns++;
    world_kill(w, node);
    push(w, w->now + 100 * 1000, THING_START, node);
    for (int i = 0; i < WORLD_CLIENTS_MAX; i++)
        if (w->client[i].state == CLIENT_WAITING && w->client[i].node == node) {
            w->client[i].state = CLIENT_FAILED;
            w->client[i].error = ERR_IO;
        }
}

void world_event(struct world *w, int node, const struct agent_event *e)
{
    struct world_node *n = &w->node[node];
    struct agent_effect f;
    if (!n->alive)
        return;
    agent_handle(n->agent, world_now(w), wall_of(w), e);
    agent_check(n->agent);
    if (store_commit(store_mem_store(n->store)) != OK) {
        break_down(w, node);
        return;
    }
    while (n->alive && agent_next(n->agent, &f))
        perform(w, node, &f);
}

static void happen(struct world *w, struct thing t)
{
    struct agent_event e = { .kind = AGENT_OVERLAY };
    e.u.overlay.link = t.link;
    if (t.kind == THING_RUN) {
        engine_step(w, t.run);
        return;
    }
    if (t.kind == THING_START) {
        world_restart(w, t.node);
        return;
    }
    struct cable *c = cable_of(w, t.node, t.link);
    if (t.kind == THING_FRAME) {
        if (c) {
            int peer = c->a == t.node ? c->b : c->a;
            e.u.overlay.kind = OVERLAY_FRAME;
            e.u.overlay.from = w->node[peer].config.overlay.at.transport;
            e.u.overlay.frame = bytes_of(t.frame, t.len);
            world_event(w, t.node, &e);
        }
        free(t.frame);
        return;
    }
    if (t.kind == THING_UP && !c)
        return;                                            /* the far end died meanwhile: DOWN is queued */
    e.u.overlay.kind = t.kind == THING_UP ? OVERLAY_LINK_UP : OVERLAY_LINK_DOWN;
    world_event(w, t.node, &e);
}

/* Next moment at which something happens, bounded by `until`. */
static void advance(struct world *w, uint64_t until)
{
    size_t next = earliest(w);
    uint64_t at = w->queued ? w->queue[next].at : UINT64_MAX;
    int ticking = -1;
    for (int i = 0; i < w->count; i++) {
        uint64_t due = w->node[i].alive ? agent_deadline(w->node[i].agent).us : UINT64_MAX;
        if (due < at) {
            at = due;
            ticking = i;
        }
    }
    if (at > until) {
        w->now = until;
        return;
    }
    if (at > w->now)
        w->now = at;
    if (ticking >= 0) {
        struct agent_event tick = { .kind = AGENT_TICK };
        world_event(w, ticking, &tick);
        return;
    }
    struct thing t = w->queue[next];
    w->queue[next] = w->queue[--w->queued];
    happen(w, t);
}

void world_run_ms(struct world *w, uint64_t ms)
{
    uint64_t until = w->now + ms * 1000;
    while (w->now < until)
        advance(w, until);
}

void world_wait(struct world *w, int client, uint64_t ms)
{
    uint64_t until = w->now + ms * 1000;
    while (w->client[client].state == CLIENT_WAITING && w->now < until)
        advance(w, until);
    if (w->client[client].state == CLIENT_WAITING)
        fail_msg("client %d still waits after %llu ms, %u tokens", client, (unsigned long long)ms, w->client[client].count);
}

/* ---- building a world ---- */

static void node_init(struct world *w, int i)
{
    struct world_node *n = &w->node[i];
    struct key_seed seed;
    struct seal_secret unused;
    memset(&seed, 40 + i, sizeof seed);
    key_from_seed(&seed, &n->key, &n->public);
    n->id = node_id_of(&n->public);
    n->engine_fails_at = n->engine_quits_at = -1;
    struct agent_config *c = &n->config;
    c->net = w->net;
    c->pow_bits = POW_BITS;
    c->key = &n->key;
    memset(&c->entropy, 80 + i, sizeof c->entropy);
    c->seed = (uint64_t)i + 1;
    c->credit_limit_pico = c->newcomer_limit_pico = 1000u * 1000 * 1000 * 1000;
    c->serve = true;
    c->keep_prompts_hours = 1;
    memcpy(c->jurisdiction, "DE", 2);
    c->overlay = (struct overlay_config){ .net = w->net, .pow_bits = POW_BITS, .key = &n->key, .dialable = true, .rng_seed = (uint64_t)i + 7 };
    snprintf(c->overlay.at.host, sizeof c->overlay.at.host, "127.0.0.1");
    c->overlay.at.port = (uint16_t)(PORT_BASE + i);
    memset(&seed, 120 + i, sizeof seed);
    seal_key_from_seed(&seed, &unused, &c->overlay.at.transport);
    assert_ok(pow_search(&n->public, &w->net, POW_BITS, 1u << 20, &c->overlay.pow_nonce));
    assert_ok(store_mem_open(0, &n->store));
    n->agent = aligned_alloc(64, (agent_size() + 63) / 64 * 64);
    assert_non_null(n->agent);
}

struct world *world_new(int nodes)
{
    assert_ok(crypto_start());
    struct world *w = calloc(1, sizeof *w);
    w->queue = calloc(QUEUE_MAX, sizeof *w->queue);
    w->now = 1000 * 1000;
    w->count = nodes;
    w->net = net_id_of("world");
    for (int i = 0; i < nodes; i++)
        node_init(w, i);
    return w;
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < w->queued; i++)
        if (w->queue[i].kind == THING_FRAME)
            free(w->queue[i].frame);
    for (int i = 0; i < w->count; i++) {
        if (w->node[i].alive)
            agent_fini(w->node[i].agent);
        store_close(store_mem_store(w->node[i].store));
        free(w->node[i].agent);
        free((void *)(uintptr_t)w->node[i].header_got.data);
    }
    free(w->queue);
    free(w);
}

void world_serve(struct world *w, int node, uint64_t price_input, uint64_t price_output)
{
    struct served_model *m = &w->node[node].model;
    w->node[node].serves = true;
    *m = (struct served_model){ .id = world_model(), .tensor_hash = tensor_hash(), .header = bytes_of(world_header, world_header_bytes),
                                .context = CONTEXT, .vocab = VOCAB, .slots = 4, .prefill_millitokens_s = 20u * 1000 * 1000,
                                .decode_millitokens_s = 1000 * 1000, .price_input = price_input, .price_cached = price_input,
                                .price_output = price_output };
    snprintf(m->name, sizeof m->name, "toy");
    snprintf(m->backend, sizeof m->backend, "fake");
    snprintf(m->device, sizeof m->device, "none");
}

static void start(struct world *w, int i)
{
    struct world_node *n = &w->node[i];
    enum err e = agent_init(n->agent, &n->config, store_mem_store(n->store), world_now(w), wall_of(w));
    if (e == OK)
        e = store_commit(store_mem_store(n->store));
    if (e) {                                               /* the store failed again: the supervisor tries once more */
        assert_true(n->breakdowns > 0);
        store_abort(store_mem_store(n->store));
        push(w, w->now + 100 * 1000, THING_START, i);
        return;
    }
    n->alive = true;
    for (int k = 0; k < w->count && k < 2; k++) {
        const struct endpoint *at = &w->node[k].config.overlay.at;
        struct bootstrap b = { .port = at->port, .transport = at->transport, .net = w->net };
        memcpy(b.host, at->host, sizeof b.host);
        if (k != i)
            assert_ok(agent_bootstrap(n->agent, world_now(w), &b));
    }
    if (n->serves) {
        struct agent_event ready = { .kind = AGENT_MODEL_READY, .u.model = n->model };
        world_event(w, i, &ready);
    }
    struct agent_event tick = { .kind = AGENT_TICK };
    world_event(w, i, &tick);
}

void world_start(struct world *w)
{
    for (int i = 0; i < w->count; i++)
        start(w, i);
    world_run_ms(w, 3000);
}

void world_kill(struct world *w, int node)
{
    struct world_node *n = &w->node[node];
    assert_true(n->alive);
    n->alive = false;
    agent_fini(n->agent);
    store_mem_crash(n->store);
    for (size_t i = 0; i < WORLD_LINKS_MAX; i++)
        if (w->cable[i].used && (w->cable[i].a == node || w->cable[i].b == node))
            cut(w, &w->cable[i], node);
    for (size_t i = 0; i < WORLD_RUNS_MAX; i++)
        if (w->run[i].node == node)
            w->run[i].used = false;
    for (size_t i = 0; i < w->queued; i++)                 /* what was meant for the dead process */
        if (w->queue[i].node == node) {
            if (w->queue[i].kind == THING_FRAME)
                free(w->queue[i].frame);
            w->queue[i--] = w->queue[--w->queued];
        }
}

void world_cut(struct world *w, int a, int b)
{
    for (size_t i = 0; i < WORLD_LINKS_MAX; i++) {
        struct cable *c = &w->cable[i];
        if (c->used && ((c->a == a && c->b == b) || (c->a == b && c->b == a)))
            cut(w, c, -1);
    }
}

void world_restart(struct world *w, int node) { start(w, node); }

/* ---- asking ---- */

static uint32_t prompts[WORLD_CLIENTS_MAX][20];
static const uint32_t stops[] = { STOP_ID };

struct request world_request(struct world *w, int client, uint32_t output_max)
{
    struct request q = { .client = { (uint64_t)client }, .model = world_model(), .prompt = prompts[client], .prompt_count = 20,
                         .output_max = output_max, .stop_ids = stops, .stop_count = 0, .top_p_micro = 1000 * 1000,
                         .seed = (uint64_t)client * 7919 + 1 };
    (void)w;
    for (uint32_t i = 0; i < 20; i++)
        prompts[client][i] = (i * 13 + (uint32_t)client) % VOCAB;
    memset(q.job_id, client + 1, sizeof q.job_id);
    memset(q.nonce.b, client + 100, sizeof q.nonce.b);
    return q;
}

void world_ask(struct world *w, int node, int client, const struct request *q)
{
    struct client *c = &w->client[client];
    memset(c, 0, sizeof *c);
    c->state = CLIENT_WAITING;
    c->node = node;
    c->began = world_now(w);
    struct agent_event e = { .kind = AGENT_REQUEST, .u.request = *q };
    world_event(w, node, &e);
}

void world_cancel(struct world *w, int client, bool satisfied)
{
    struct agent_event e = { .kind = AGENT_CANCEL, .u.cancel = { { (uint64_t)client }, satisfied } };
    world_event(w, w->client[client].node, &e);
}

void world_assert_answer(struct world *w, int client, const struct request *q)
{
    uint32_t want[4096], n = world_expected(q, want, 4096);
    const struct client *c = world_client(w, client);
    assert_int_equal(c->count, n);
    assert_memory_equal(c->tokens, want, n * sizeof want[0]);
}

uint64_t world_receipts(struct world *w, int node)
{
    struct ledger_totals t;
    assert_ok(ledger_totals(agent_ledger(w->node[node].agent), &t));
    return t.receipts;
}

struct account world_account(struct world *w, int node, int peer)
{
    struct account a;
    assert_ok(ledger_account(agent_ledger(w->node[node].agent), &w->node[peer].public, &a));
    return a;
}

void world_ledger_check(struct world *w, int node)
{
    char why[160] = "";
    enum err e = ledger_check(agent_ledger(w->node[node].agent), why);
    if (e)
        fail_msg("ledger of node %d: %s: %s", node, err_name(e), why);
}
