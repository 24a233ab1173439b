/* check.c - what must hold: after each step what the step could have broken, at the end everything.
 *
 *   promise     an honest node signs one thing per name, and what it signs is in its store before the frame leaves
 *   agreement   of a channel both books hold the same receipts; the requester may be one ahead, and then exactly by the
 *               receipt that the provider has half-signed; of a job the requester may have co-signed at most the window more
 *   credit      what an honest provider lends to anybody never exceeds its limit; in the end everything that ever left it is owed,
 *               pending, or counted as unsigned (the run is shorter than a day)
 *   memory      a receipt that was named to anybody is still there after each restart
 *   frozen      a channel in conflict stays frozen for ever, and its peer is sent no terms
 *   bounds      agent_check() after every turn (sim.c)
 *   sums        after every turn that wrote: the accounts of all that the turn was about against their channels, both books of
 *               each such pair against each other, and the totals against what the accounts came to before and what changed;
 *               where that does not come out, and now and then, all sums anew
 *   progress    in the end nobody waits, nothing is due, every probe was answered, every receipt is in both books
 *
 * Between an honest node and a cheat only the honest side's own book is held to anything.
 */
#include <stdlib.h>
#include <string.h>

#include "ledger/book.h"
#include "node/job_msg.h"
#include "tests/sim/sim.h"

enum { SUMS_EVERY = 64, LISTED_NODES_MAX = 50,
       STEPS_NODES_MAX = 1000 };                           /* remembers an account for each pair */

/* A reader's view of a node's book, also of a dead one's. No fault meets it: those are meant for the node. */
static struct ledger book_of(const struct sim *s, const struct sim_node *n)
{
    return (struct ledger){ .store = store_mem_reader(n->store), .key = NULL, .self = n->public, .net = s->net };
}

/* ---- promises ---- */

void check_acknowledged(struct sim *s, struct sim_node *n, const struct hash *receipt)
{
    (void)s;
    for (size_t i = n->acknowledged_count; i > 0 && i + 16 > n->acknowledged_count; i--)
        if (hash_equal(&n->acknowledged[i - 1], receipt))
            return;
    n->acknowledged = sim_grow(n->acknowledged, &n->acknowledged_room, n->acknowledged_count, sizeof *n->acknowledged);
    n->acknowledged[n->acknowledged_count++] = *receipt;
}

static void keep(struct sim *s, struct sim_node *n, const char *what, struct bytes subject, uint64_t number, const struct hash *said)
{
    struct hash name = promise_name(what, subject, number, 0);
    if (!promises_keep(&s->promises, &name, said))
        sim_violation(s, n, "signed two different things: %s %llu", what, (unsigned long long)number);
}

static struct bytes hash_bytes(const struct hash *h) { return bytes_of(h->b, sizeof h->b); }

static void receipt_sent(struct sim *s, struct sim_node *n, const struct frame *f)
{
    struct receipt_msg m;
    struct receipt r;
    struct job j;
    struct channel_state c;
    struct receipt_view v;
    struct ledger book = book_of(s, n);
    if (receipt_msg_decode(f->body, &m) != OK || receipt_decode(m.body, &r) != OK)
        sim_violation(s, n, "sends a receipt that does not decode");
    struct hash id = receipt_id(m.body);
    keep(s, n, "receipt of the provider", hash_bytes(&r.channel), r.seq, &id);
    enum err e = ledger_job_find(&book, &r.terms, &j);
    if (e == OK)
        e = ledger_channel(&book, SIDE_PROVIDER, &j.peer, &c);
    bool half = e == OK && c.has_half && hash_equal(&c.half, &id);
    if (!half && ledger_receipt_find(&book, &id, &v) != OK)
        sim_violation(s, n, "sends a receipt that its store does not hold");
}

/* A receipt whose second signature we give: it must be complete in our store. */
static void receipt_named(struct sim *s, struct sim_node *n, const struct hash *id)
{
    struct ledger book = book_of(s, n);
    struct receipt_view v;
    enum err e = ledger_receipt_find(&book, id, &v);
    if (e)
        sim_violation(s, n, "acknowledges a receipt that its store does not hold");
    keep(s, n, v.role == SIDE_REQUESTER ? "receipt of the requester" : "receipt of the provider", hash_bytes(&v.receipt.channel), v.receipt.seq, id);
    check_acknowledged(s, n, id);
}

static void claim_sent(struct sim *s, struct sim_node *n, const struct frame *f)
{
    struct claim_msg m;
    struct claim c;
    if (claim_msg_decode(f->body, &m) != OK || claim_decode(m.claim, &c) != OK)
        sim_violation(s, n, "sends a claim that does not decode");
    struct hash said = claim_hash(m.claim);
    keep(s, n, "claim of the provider", hash_bytes(&c.terms), c.index, &said);
}

static void claim_ok_sent(struct sim *s, struct sim_node *n, const struct frame *f)
{
    struct ok_msg m;
    struct job j;
    struct ledger book = book_of(s, n);
    if (ok_msg_decode(f->body, &m) != OK)
        sim_violation(s, n, "sends a co-signature that does not decode");
    struct hash said = hash_of("sig", bytes_of(m.sig.b, sizeof m.sig.b));
    keep(s, n, "claim of the requester", hash_bytes(&m.terms), m.index, &said);
    enum err e = ledger_job_find(&book, &m.terms, &j);
    if (e || !j.has_claim || j.claim_index < m.index)
        sim_violation(s, n, "co-signed a claim that its store does not hold");
}

/* ---- credit ---- */

static struct delivered *delivered_of(struct sim_node *n, const struct hash *terms)
{
    for (size_t i = n->delivered_count; i > 0; i--)        /* what runs is young */
        if (hash_equal(&n->delivered[i - 1].terms, terms))
            return &n->delivered[i - 1];
    n->delivered = sim_grow(n->delivered, &n->delivered_room, n->delivered_count, sizeof *n->delivered);
    struct delivered *d = &n->delivered[n->delivered_count++];
    *d = (struct delivered){ *terms, 0 };
    return d;
}

static void check_lent(struct sim *s, const struct sim_node *n, const struct account *a)
{
    struct pico lent;
    if (book_exposure(a, &lent) != OK || lent.v > n->config.credit_limit_pico)
        sim_violation(s, n, "lends %llu to one requester, its limit is %llu", (unsigned long long)lent.v,
                      (unsigned long long)n->config.credit_limit_pico);
}

static void chunk_sent(struct sim *s, struct sim_node *n, const struct frame *f)
{
    struct chunk_msg m;
    struct job j;
    struct account a;
    struct ledger book = book_of(s, n);
    if (chunk_msg_decode(f->body, &m) != OK)
        sim_violation(s, n, "sends a chunk that does not decode");
    struct delivered *d = delivered_of(n, &m.terms);
    d->tokens = m.offset + m.count;
    enum err e = ledger_job_find(&book, &m.terms, &j);
    if (e == OK)
        e = ledger_account(&book, &j.peer, &a);
    if (e)
        sim_violation(s, n, "delivers for a job that its store does not hold");
    check_lent(s, n, &a);
}

/* What left for this job is owed, or still to be, or counted as unsigned. */
static void end_delivered(struct sim *s, const struct sim_node *n, struct ledger *book, const struct delivered *d)
{
    struct job j;
    struct terms t;
    struct pico cost, tail;
    if (ledger_job_find(book, &d->terms, &j) != OK || book_terms_load(book, &d->terms, &t) != OK)
        sim_violation(s, n, "has forgotten a job for which it delivered %llu tokens", (unsigned long long)d->tokens);
    struct tokens had = { t.tokens_in, t.tokens_cached, d->tokens };
    if (amount_cost(&had, &t.prices, &cost) != OK || book_unsigned(book, &j, j.cost, &tail) != OK || j.cost.v + tail.v < cost.v)
        sim_violation(s, n, "delivered %llu tokens worth %llu and counts %llu", (unsigned long long)d->tokens, (unsigned long long)cost.v,
                      (unsigned long long)(j.cost.v + tail.v));
}

/* ---- frozen channels ---- */

/* A conflict was logged: whom the book calls frozen now must be so for ever. */
static void note_frozen(struct sim *s, struct sim_node *n)
{
    struct ledger book = book_of(s, n);
    for (size_t i = 0; i < s->count; i++) {
        const struct pubkey *peer = &s->nodes[i].public;
        bool known = false;
        for (size_t k = 0; k < n->frozen_count && !known; k++)
            known = pubkey_equal(&n->frozen[k], peer);
        if (known || ledger_frozen_check(&book, peer) != ERR_STATE)
            continue;
        if (s->nodes[i].vice == VICE_NONE)
            sim_violation(s, n, "has frozen its channel with %zu, which is honest", i);
        n->frozen = sim_grow(n->frozen, &n->frozen_room, n->frozen_count, sizeof *n->frozen);
        n->frozen[n->frozen_count++] = *peer;
        s->counts.frozen++;
    }
}

static bool is_frozen(const struct sim_node *n, const struct pubkey *peer)
{
    for (size_t k = 0; k < n->frozen_count; k++)
        if (pubkey_equal(&n->frozen[k], peer))
            return true;
    return false;
}

static void terms_sent(struct sim *s, struct sim_node *n, const struct frame *f)
{
    struct terms_msg m;
    struct terms t;
    if (terms_msg_decode(f->body, &m) != OK || terms_decode(m.terms, &t) != OK)
        sim_violation(s, n, "sends terms that do not decode");
    if (is_frozen(n, &t.provider))
        sim_violation(s, n, "signs terms with a provider whose channel is frozen");
}

static void terms_ok_sent(struct sim *s, struct sim_node *n, const struct frame *f)
{
    struct ok_msg m;
    struct job j;
    struct ledger book = book_of(s, n);
    if (ok_msg_decode(f->body, &m) == OK && ledger_job_find(&book, &m.terms, &j) == OK && is_frozen(n, &j.peer))
        sim_violation(s, n, "signs terms with a requester whose channel is frozen");
}

void check_sent(struct sim *s, struct sim_node *n, struct bytes frame)
{
    struct frame f;
    struct receipt_msg m;
    struct adopt_msg a;
    struct hash id;
    if (frame_decode(frame, &f) != OK)
        sim_violation(s, n, "sends a frame that does not decode");
    if (f.type == MSG_TERMS) {
        terms_sent(s, n, &f);
    } else if (f.type == MSG_TERMS_OK) {
        terms_ok_sent(s, n, &f);
    } else if (f.type == MSG_RECEIPT) {
        receipt_sent(s, n, &f);
    } else if (f.type == MSG_RECEIPT_OK && receipt_msg_decode(f.body, &m) == OK && m.body.len == HASH_BYTES) {
        memcpy(id.b, m.body.data, sizeof id.b);
        receipt_named(s, n, &id);
    } else if (f.type == MSG_RESYNC_OK && adopt_msg_decode(f.body, &a) == OK) {
        id = receipt_id(a.body);
        receipt_named(s, n, &id);
    } else if (f.type == MSG_CHUNK) {
        chunk_sent(s, n, &f);
    } else if (f.type == MSG_CLAIM) {
        claim_sent(s, n, &f);
    } else if (f.type == MSG_CLAIM_OK) {
        claim_ok_sent(s, n, &f);
    }
}

/* ---- agreement ---- */

static void agree_on_channel(struct sim *s, const struct sim_node *provider, const struct sim_node *requester)
{
    struct ledger earns = book_of(s, provider), spends = book_of(s, requester);
    struct channel_state p, r;
    if (ledger_channel(&earns, SIDE_PROVIDER, &requester->public, &p) != OK || ledger_channel(&spends, SIDE_REQUESTER, &provider->public, &r) != OK)
        sim_violation(s, provider, "or requester %zu cannot read the channel between them", requester->idx);
    bool equal = p.seq == r.seq && hash_equal(&p.head, &r.head) && p.owed.v == r.owed.v;
    bool one_ahead = r.seq == p.seq + 1 && p.has_half && hash_equal(&p.half, &r.head) && r.owed.v >= p.owed.v;
    if (!equal && !one_ahead)
        sim_violation(s, provider, "and requester %zu disagree: receipt %llu, owed %llu against receipt %llu, owed %llu", requester->idx,
                      (unsigned long long)p.seq, (unsigned long long)p.owed.v, (unsigned long long)r.seq, (unsigned long long)r.owed.v);
}

static void agree_on_job(struct sim *s, const struct sim_node *provider, const struct sim_node *requester, const struct hash *terms)
{
    struct ledger earns = book_of(s, provider), spends = book_of(s, requester);
    struct job p, r;
    if (ledger_job_find(&earns, terms, &p) != OK || ledger_job_find(&spends, terms, &r) != OK || !p.has_claim)
        return;
    if (!hash_is_zero(&p.receipt) || !hash_is_zero(&r.receipt))
        return;                                            /* the receipt may rest on an earlier claim */
    if (!r.has_claim || r.tokens.out < p.tokens.out || r.tokens.out - p.tokens.out > WINDOW_TOKENS)
        sim_violation(s, provider, "holds a claim over %llu tokens, requester %zu one over %llu", (unsigned long long)p.tokens.out,
                      requester->idx, (unsigned long long)r.tokens.out);
}

void check_heard(struct sim *s, struct sim_node *n, struct sim_node *from, struct bytes frame)
{
    struct frame f;
    struct ok_msg m;
    if (n->vice != VICE_NONE || from->vice != VICE_NONE || frame_decode(frame, &f) != OK)
        return;
    if (f.type == MSG_CLAIM_OK && ok_msg_decode(f.body, &m) == OK)
        agree_on_job(s, n, from, &m.terms);
    if (f.type == MSG_RECEIPT || f.type == MSG_RECEIPT_OK || f.type == MSG_RESYNC || f.type == MSG_RESYNC_OK) {
        agree_on_channel(s, n, from);
        agree_on_channel(s, from, n);
    }
}

/* ---- memory and sums ---- */

void check_restarted(struct sim *s, struct sim_node *n)
{
    struct ledger book = book_of(s, n);
    struct receipt_view v;
    n->conflicted = false;
    for (size_t i = 0; i < n->acknowledged_count; i++)
        if (ledger_receipt_find(&book, &n->acknowledged[i], &v) != OK)
            sim_violation(s, n, "has lost receipt %zu of those it acknowledged", i);
    for (size_t i = 0; i < n->frozen_count; i++)
        if (ledger_frozen_check(&book, &n->frozen[i]) != ERR_STATE)
            sim_violation(s, n, "does business again with a peer that it had frozen out");
}

void check_touched(struct sim *s, size_t node)
{
    for (size_t i = 0; i < s->touched_count; i++)
        if (s->touched[i] == node)
            return;
    if (node < s->count && s->touched_count < SIM_TOUCHED_MAX)
        s->touched[s->touched_count++] = node;
}

/* The sum moves as one of its parts did; modulo 2^64, so it may pass below zero on its way. */
static void move(struct pico *sum, struct pico before, struct pico after) { sum->v += after.v - before.v; }

static struct pico newcomer_exposure(const struct account *a)
{
    struct pico p = { 0 };
    return book_is_newcomer(a) && book_exposure(a, &p) == OK ? p : (struct pico){ 0 };
}

static void account_moves(struct sim_node *n, size_t other, const struct account *now)
{
    struct account *was = &n->accounts[other];
    struct ledger_totals *t = &n->totals;
    move(&t->earned, was->earned, now->earned);
    move(&t->earned_settled, was->earned_settled, now->earned_settled);
    move(&t->earned_pending, was->earned_pending, now->earned_pending);
    move(&t->spent, was->spent, now->spent);
    move(&t->spent_settled, was->spent_settled, now->spent_settled);
    move(&t->spent_pending, was->spent_pending, now->spent_pending);
    move(&t->newcomers, newcomer_exposure(was), newcomer_exposure(now));
    *was = *now;
}

static bool same_sums(const struct ledger_totals *a, const struct ledger_totals *b)
{
    return a->earned.v == b->earned.v && a->earned_settled.v == b->earned_settled.v && a->earned_pending.v == b->earned_pending.v &&
           a->spent.v == b->spent.v && a->spent_settled.v == b->spent_settled.v && a->spent_pending.v == b->spent_pending.v &&
           a->newcomers.v == b->newcomers.v;
}

static void sweep(struct sim *s, struct sim_node *n, struct ledger *book)
{
    char why[160] = "";
    struct account a;
    struct pubkey peer = { { 0 } };
    enum err e = ledger_check_sums(book, why);
    if (e)
        sim_violation(s, n, "book: %s: %s", err_name(e), why);
    while (ledger_account_next(book, &peer, &a) == OK) {
        const struct sim_node *other = sim_node_of_key(s, &peer);
        if (other)
            account_moves(n, other->idx, &a);
    }
}

/* What one step touched: cheap, so after every step. */
static void check_step(struct sim *s, struct sim_node *n)
{
    struct ledger book = book_of(s, n);
    struct account a;
    struct ledger_totals t;
    char why[160] = "";
    if (!n->accounts) {
        n->accounts = calloc(s->count, sizeof *n->accounts);
        ENSURE(n->accounts != NULL);
    }
    for (size_t i = 0; i < s->touched_count; i++) {
        struct sim_node *other = &s->nodes[s->touched[i]];
        if (other == n)
            continue;
        enum err e = ledger_check_peer(&book, &other->public, why);
        if (e || ledger_account(&book, &other->public, &a) != OK)
            sim_violation(s, n, "book on node %zu: %s: %s", other->idx, err_name(e), why);
        account_moves(n, other->idx, &a);
        if (n->vice == VICE_NONE && other->vice == VICE_NONE) {
            agree_on_channel(s, n, other);
            agree_on_channel(s, other, n);
        }
    }
    if (ledger_totals(&book, &t) != OK)
        sim_violation(s, n, "has no totals");
    if (!same_sums(&t, &n->totals)) {
        s->counts.sweeps++;                                /* accounts of others moved, too: a restart, a late retry */
        sweep(s, n, &book);
        if (!same_sums(&t, &n->totals))
            sim_violation(s, n, "totals that differ from the sum of the accounts");
    }
}

void check_turn(struct sim *s, struct sim_node *n, bool wrote)
{
    if (!n->alive || !wrote)
        return;
    if (n->conflicted)
        note_frozen(s, n);
    n->conflicted = false;
    if (s->count <= STEPS_NODES_MAX)
        check_step(s, n);
    if (++s->checks % SUMS_EVERY != 0)
        return;
    struct ledger book = book_of(s, n);
    char why[160] = "";
    enum err e = ledger_check_sums(&book, why);
    if (e)
        sim_violation(s, n, "book: %s: %s", err_name(e), why);
}

/* ---- the end ---- */

static bool is_honest(const struct sim_node *n) { return n->vice == VICE_NONE; }

bool check_settled(struct sim *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct ledger book = book_of(s, &s->nodes[i]);
        struct pubkey peer = { { 0 } };
        while (is_honest(&s->nodes[i]) && ledger_due_next(&book, &peer) == OK) {
            const struct sim_node *debtor = sim_node_of_key(s, &peer);
            if (debtor && is_honest(debtor))
                return false;
        }
    }
    for (size_t i = 0; i < s->clients_count; i++)
        if (s->clients[i].state == CLIENT_WAITING)
            return false;
    return true;
}

static void end_books(struct sim *s, struct sim_node *n)
{
    struct ledger book = book_of(s, n);
    char why[160] = "";
    enum err e = ledger_check(&book, why);
    if (e)
        sim_violation(s, n, "book: %s: %s", err_name(e), why);
    struct account mine, theirs;
    struct pubkey peer = { { 0 } };
    while (ledger_account_next(&book, &peer, &mine) == OK) {
        struct sim_node *other = sim_node_of_key(s, &peer);
        if (!other)
            sim_violation(s, n, "has an account with somebody who does not exist");
        check_lent(s, n, &mine);
        if (!is_honest(other))
            continue;
        struct ledger across = book_of(s, other);
        if (ledger_account(&across, &n->public, &theirs) != OK || mine.earned.v != theirs.spent.v || mine.spent.v != theirs.earned.v ||
            mine.receipts_earned != theirs.receipts_spent || mine.receipts_spent != theirs.receipts_earned)
            sim_violation(s, n, "and node %zu: earned %llu against spent %llu, spent %llu against earned %llu", other->idx,
                          (unsigned long long)mine.earned.v, (unsigned long long)theirs.spent.v, (unsigned long long)mine.spent.v,
                          (unsigned long long)theirs.earned.v);
        s->counts.receipts += mine.receipts_earned;
    }
    for (size_t i = 0; i < n->delivered_count; i++)
        end_delivered(s, n, &book, &n->delivered[i]);
}

/* What a client was told it would cost is what the receipts say; less only where a provider lost our last signatures. */
static void end_client(struct sim *s, const struct client *c)
{
    struct sim_node *n = &s->nodes[c->node];
    struct ledger book = book_of(s, n);
    uint64_t sum = 0;
    struct receipt_view v;
    struct job j;
    for (uint32_t i = 0; i < c->receipt_count; i++) {
        struct hash id = c->receipts[i];
        if (ledger_job_find(&book, &id, &j) == OK)         /* told while outstanding: the job's name */
            id = j.receipt;
        if (ledger_receipt_find(&book, &id, &v) != OK)
            return;                                        /* a cheat's, never completed */
        sum += v.receipt.cost.v;
    }
    if (sum > c->cost_pico)
        sim_violation(s, n, "receipts over %llu for an answer that was to cost %llu", (unsigned long long)sum, (unsigned long long)c->cost_pico);
}

static void end_clients(struct sim *s)
{
    for (size_t i = 0; i < s->clients_count; i++) {
        const struct client *c = &s->clients[i];
        if (c->state == CLIENT_WAITING)
            sim_violation(s, &s->nodes[c->node], "client %zu waits since %.3f s and has heard %u of %u tokens", i, (double)c->asked_us / 1e6,
                          c->count, c->output_max);
        if (c->probe && c->state == CLIENT_FAILED && c->error != ERR_CREDIT && is_honest(&s->nodes[c->node]))
            sim_violation(s, &s->nodes[c->node], "nothing is broken any more, and yet: %s: %s", err_name(c->error), c->text);
        if (c->state == CLIENT_DONE && is_honest(&s->nodes[c->node]))
            end_client(s, c);
    }
}

static void end_due(struct sim *s, struct sim_node *n)
{
    struct ledger book = book_of(s, n);
    struct pubkey peer = { { 0 } };
    struct overlay_peer link;
    while (ledger_due_next(&book, &peer) == OK) {
        const struct sim_node *debtor = sim_node_of_key(s, &peer);
        if (debtor && is_honest(debtor))
            sim_violation(s, n, "a receipt is still due from node %zu, %s", debtor->idx,
                          overlay_peer_find(agent_overlay(n->agent), &debtor->id, &link) ? "which is connected" : "which is not connected");
    }
}

/* In a small mesh everybody lists everything that an honest node offers; a large one is listed in part, and the probes have to do. */
static void end_adverts(struct sim *s, const struct sim_node *n)
{
    bool *listed = calloc(s->count * SIM_MODELS, sizeof *listed);
    struct advert ad;
    size_t cursor = 0;
    ENSURE(listed != NULL);
    while (overlay_advert_each(agent_overlay(n->agent), sim_mono(s, n), &cursor, &ad)) {
        const struct sim_node *by = sim_node_of(s, &ad.node.id);
        for (size_t m = 0; by && m < SIM_MODELS; m++)
            if (hash_equal(&s->models[m], &ad.model))
                listed[by->idx * SIM_MODELS + m] = true;
    }
    for (size_t i = 0; i < s->count * SIM_MODELS; i++) {
        const struct sim_node *by = &s->nodes[i / SIM_MODELS];
        if (is_honest(by) && by->serves[i % SIM_MODELS] && !listed[i])
            sim_violation(s, n, "does not know that node %zu serves model %zu", by->idx, i % SIM_MODELS);
    }
    free(listed);
}

void check_end(struct sim *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct sim_node *n = &s->nodes[i];
        if (!n->alive)
            sim_violation(s, n, "did not come back");
        if (!is_honest(n))
            continue;
        if (!agent_joined(n->agent))
            sim_violation(s, n, "has not joined again");
        check_restarted(s, n);
        end_due(s, n);
        if (s->count <= LISTED_NODES_MAX && s->climate.full_mesh == 0)    /* a small mesh renews its directory every half minute */
            end_adverts(s, n);
        const struct agent_counters *c = agent_counters(n->agent);
        if (c->jobs_open_requester)
            sim_violation(s, n, "%u jobs are open for nobody", c->jobs_open_requester);
    }
    end_clients(s);
    for (size_t i = 0; i < s->count; i++)
        if (is_honest(&s->nodes[i])) {
            end_books(s, &s->nodes[i]);
            s->counts.failovers += agent_counters(s->nodes[i].agent)->failovers;
        }
}
