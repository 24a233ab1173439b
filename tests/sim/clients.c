/* clients.c - people who ask, leave, insist on a price; and whether what they are told is what the model says.
 *
 * An answer is compared token by token with the fake model as it arrives, so a failover that repeats, skips or changes a
 * token is seen at that token.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "tests/fake_engine.h"

static const uint32_t stop_ids[] = { SIM_STOP_ID };

/* The whole prompt follows from the client's seed. */
static void prompt_of(const struct client *c, uint32_t *out)
{
    struct rng r;
    rng_init(&r, c->seed);
    for (uint32_t i = 0; i < c->prompt_count; i++)
        out[i] = (uint32_t)rng_below(&r, SIM_VOCAB);
}

static size_t new_client(struct sim *s, const struct sim_node *n, struct client c)
{
    s->clients = sim_grow(s->clients, &s->clients_room, s->clients_count, sizeof *s->clients);
    c.node = n->idx;
    c.life = n->life;
    c.asked_us = s->now;
    s->clients[s->clients_count] = c;
    s->counts.requests++;
    return s->clients_count++;
}

static void ask(struct sim *s, struct sim_node *n, struct client c, const struct request_limits *limits, enum latency_class class, bool allow_local)
{
    static uint32_t prompt[SIM_PROMPT_MAX];
    prompt_of(&c, prompt);
    c.expect = fake_absorb(FAKE_STATE, prompt, c.prompt_count);
    size_t i = new_client(s, n, c);
    struct agent_event e = { .kind = AGENT_REQUEST };
    struct request *q = &e.u.request;
    *q = (struct request){ .client = { i }, .model = s->models[c.model], .prompt = prompt, .prompt_count = c.prompt_count,
                           .output_max = c.output_max, .stop_ids = stop_ids, .stop_count = 1, .top_p_micro = 1000 * 1000,
                           .seed = c.seed, .class = class, .limits = *limits, .allow_local = allow_local };
    struct hash secret = promise_name("client", bytes_of(&n->public, sizeof n->public), c.seed, i);
    q->nonce = secret;
    memcpy(q->job_id, secret.b, sizeof q->job_id);
    sim_event(s, n, &e);
}

static void someone_asks(struct sim *s, struct sim_node *n)
{
    struct rng *r = &n->rng[STREAM_CLIENT];
    struct request_limits limits = { 0 };
    uint32_t kind = (uint32_t)rng_below(r, 100);
    bool capped = kind < 10, batch = kind >= 10 && kind < 20, leaves = rng_below(r, 10) == 0, lengthy = rng_below(r, 50) == 0;
    struct client c = { .seed = rng_next(r), .model = (uint32_t)rng_below(r, SIM_MODELS), .easy = !capped };
    c.prompt_count = 1 + (uint32_t)rng_below(r, lengthy ? SIM_PROMPT_MAX : 200);
    c.output_max = 10 + (uint32_t)rng_below(r, 291);
    if (capped) {
        limits.price_input_max = 50 + rng_below(r, 400);
        limits.price_output_max = 100 + rng_below(r, 800);
    }
    uint64_t leave_us = s->now + rng_below(r, sim_ms(6000));
    size_t i = s->clients_count;
    ask(s, n, c, &limits, batch ? CLASS_BATCH : CLASS_INTERACTIVE, rng_below(r, 2) == 0);
    if (leaves)
        queue_push(&s->queue, (struct queue_item){ .us = leave_us, .kind = ITEM_CANCEL, .node = n->idx, .life = n->life, .idx = i });
    if (n->alive && rng_below(r, 20) == 0)
        queue_push(&s->queue, (struct queue_item){ .us = s->now, .kind = ITEM_HEADER, .node = n->idx, .life = n->life, .idx = c.model });
}

/* The last moment of asking rides in the item, so that a node that restarts goes on for as long. */
void clients_begin(struct sim *s, struct sim_node *n, uint64_t until_us)
{
    uint64_t us = s->now + sim_exponential(&n->rng[STREAM_CLIENT], s->climate.request_every_us);
    if (us < until_us)
        queue_push(&s->queue, (struct queue_item){ .us = us, .kind = ITEM_ASK, .node = n->idx, .life = SIM_NEVER, .idx = (size_t)until_us });
}

static void leave(struct sim *s, struct sim_node *n, size_t client)
{
    struct client *c = &s->clients[client];
    struct agent_event e = { .kind = AGENT_CANCEL };
    if (c->state != CLIENT_WAITING)
        return;
    c->cancelled = true;
    e.u.cancel.client.id = client;
    e.u.cancel.satisfied = rng_below(&n->rng[STREAM_CLIENT], 2) == 0;
    sim_event(s, n, &e);
}

/* Does somebody honest but n serve it? */
static bool is_served(const struct sim *s, const struct sim_node *n, size_t model)
{
    for (size_t i = 0; i < s->count; i++)
        if (&s->nodes[i] != n && s->nodes[i].vice == VICE_NONE && s->nodes[i].serves[model])
            return true;
    return false;
}

void clients_probe(struct sim *s, struct sim_node *n)
{
    struct rng *r = &n->rng[STREAM_CLIENT];
    struct request_limits none = { 0 };
    struct client c = { .seed = rng_next(r), .model = (uint32_t)rng_below(r, SIM_MODELS), .probe = true, .easy = true,
                        .prompt_count = 20, .output_max = 40 };
    if (!is_served(s, n, c.model))
        return;
    ask(s, n, c, &none, CLASS_INTERACTIVE, false);
}

void clients_item(struct sim *s, const struct queue_item *it)
{
    struct sim_node *n = &s->nodes[it->node];
    if (it->kind == ITEM_ASK) {
        if (n->alive)
            someone_asks(s, n);
        clients_begin(s, n, it->idx);
    } else if (it->kind == ITEM_CANCEL) {
        leave(s, n, it->idx);
    } else if (it->kind == ITEM_HEADER) {
        struct agent_event e = { .kind = AGENT_HEADER_WANTED };
        e.u.header.model = s->models[it->idx];
        sim_event(s, n, &e);
    } else if (n->alive) {
        clients_probe(s, n);
    }
}

void clients_crashed(struct sim *s, const struct sim_node *n)
{
    for (size_t i = 0; i < s->clients_count; i++)
        if (s->clients[i].node == n->idx && s->clients[i].state == CLIENT_WAITING) {
            s->clients[i].state = CLIENT_LOST;
            s->counts.lost++;
        }
}

/* ---- what they are told ---- */

static struct client *client_of(struct sim *s, struct sim_node *n, struct client_id id)
{
    if (id.id >= s->clients_count || s->clients[id.id].node != n->idx || s->clients[id.id].life != n->life)
        sim_violation(s, n, "a word for client %llu, who is not here", (unsigned long long)id.id);
    struct client *c = &s->clients[id.id];
    if (c->state != CLIENT_WAITING)
        sim_violation(s, n, "client %llu hears something after its last word", (unsigned long long)id.id);
    return c;
}

static void on_tokens(struct sim *s, struct sim_node *n, struct client *c, const uint32_t *tokens, uint32_t count)
{
    if (c->cancelled)
        sim_violation(s, n, "a client that left is sent tokens");
    if (c->count == 0)
        c->first_us = s->now;
    for (uint32_t i = 0; i < count; i++) {
        if (c->count == c->output_max || (c->count && c->last_token == SIM_STOP_ID))
            sim_violation(s, n, "an answer goes on behind its end, at token %u", c->count);
        uint32_t want = fake_next(&c->expect, c->seed, c->prompt_count + c->count, SIM_VOCAB);
        if (tokens[i] != want)
            sim_violation(s, n, "token %u of an answer is %u, the model says %u", c->count, tokens[i], want);
        c->last_token = want;
        c->count++;
    }
    s->counts.tokens += count;
}

static void on_done(struct sim *s, struct sim_node *n, struct client *c, const struct agent_effect *e)
{
    bool complete = c->count == c->output_max || (c->count && c->last_token == SIM_STOP_ID);
    c->state = CLIENT_DONE;
    c->finish = e->u.done.finish;
    c->cost_pico = e->u.done.cost_pico;
    c->receipt_count = e->u.done.receipt_count;
    memcpy(c->receipts, e->u.done.receipts, sizeof c->receipts);
    s->counts.done++;
    if (!c->cancelled && !complete)
        sim_violation(s, n, "an answer is called done after %u of %u tokens", c->count, c->output_max);
    if (!c->cancelled && e->u.done.tokens_out != c->count)
        sim_violation(s, n, "the client heard %u tokens and is told %u", c->count, e->u.done.tokens_out);
    if (c->finish == FINISH_ERROR || (c->finish == FINISH_CANCELLED && !c->cancelled))
        sim_violation(s, n, "an answer is done with finish %d", (int)c->finish);
    struct receipt_view v;
    for (uint32_t i = 0; i < c->receipt_count; i++)
        if (ledger_receipt_find(agent_ledger(n->agent), &c->receipts[i], &v) == OK)
            check_acknowledged(s, n, &c->receipts[i]);
}

static void on_failed(struct sim *s, struct client *c, const struct agent_effect *e)
{
    c->state = CLIENT_FAILED;
    c->error = e->u.failed.error;
    snprintf(c->text, sizeof c->text, "%s", e->u.failed.text);
    s->counts.failed++;
    s->counts.refusals[c->error]++;
}

void clients_effect(struct sim *s, struct sim_node *n, const struct agent_effect *e)
{
    if (e->kind == AGENT_CLIENT_ACCEPTED) {
        struct client *c = client_of(s, n, e->u.accepted.client);
        if (c->accepted)
            sim_violation(s, n, "a client is accepted twice");
        c->accepted = true;
    } else if (e->kind == AGENT_CLIENT_TOKENS) {
        on_tokens(s, n, client_of(s, n, e->u.tokens.client), e->u.tokens.tokens, e->u.tokens.count);
    } else if (e->kind == AGENT_CLIENT_DONE) {
        on_done(s, n, client_of(s, n, e->u.done.client), e);
    } else {
        on_failed(s, client_of(s, n, e->u.failed.client), e);
    }
}
