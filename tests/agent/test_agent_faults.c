/* test_agent_faults.c - what happens when somebody cancels, dies, stalls, loses messages or cheats. */
#include "tests/agent/world.h"

#include <string.h>

static struct world *mesh(int providers)
{
    struct world *w = world_new(providers + 1);
    for (int i = 1; i <= providers; i++)
        world_serve(w, i, 100u * (unsigned)i, 400u * (unsigned)i);
    world_start(w);
    return w;
}

static void ask(struct world *w, int client, uint32_t output, struct request *q)
{
    *q = world_request(w, client, output);
    world_ask(w, 0, client, q);
}

/* The client has exactly the beginning of the answer. */
static void assert_prefix(struct world *w, int client, const struct request *q)
{
    uint32_t want[4096];
    world_expected(q, want, 4096);
    assert_memory_equal(world_client(w, client)->tokens, want, world_client(w, client)->count * sizeof want[0]);
}

static void assert_books_agree(struct world *w, int requester, int provider)
{
    struct account spent = world_account(w, requester, provider), earned = world_account(w, provider, requester);
    assert_int_equal(spent.spent.v, earned.earned.v);
    assert_int_equal(spent.receipts_spent, earned.receipts_earned);
    world_ledger_check(w, requester);
    world_ledger_check(w, provider);
}

static void cancel_pays_for_what_was_sent(void **state)
{
    (void)state;
    for (int satisfied = 0; satisfied < 2; satisfied++) {
        struct world *w = mesh(1);
        struct request q;
        ask(w, 1, 2000, &q);
        world_run_ms(w, 90);
        uint32_t heard = world_client(w, 1)->count;
        assert_true(heard > 40 && heard < 120);
        world_cancel(w, 1, satisfied);
        world_wait(w, 1, 1000);
        struct client *c = world_client(w, 1);
        assert_int_equal(c->state, CLIENT_DONE);
        assert_int_equal(c->finish, satisfied ? FINISH_STOP : FINISH_CANCELLED);
        assert_int_equal(c->count, heard);                 /* nothing after the client said enough */
        assert_prefix(w, 1, &q);
        uint64_t out = c->last.u.done.tokens_out;
        assert_true(out >= heard && out <= heard + 3);     /* what was on the wire */
        assert_int_equal(c->last.u.done.cost_pico, 2000 + out * 400);
        assert_int_equal(c->last.u.done.receipt_count, 1);
        world_run_ms(w, 100);
        assert_int_equal(world_account(w, 1, 0).earned.v, 2000 + out * 400);
        assert_books_agree(w, 0, 1);
        struct note n;
        struct receipt_view v;
        assert_ok(ledger_receipt_find(agent_ledger(world_node(w, 0)->agent), &c->last.u.done.receipts[0], &v));
        assert_ok(ledger_note_find(agent_ledger(world_node(w, 0)->agent), &v.receipt.terms, SIDE_REQUESTER, &n));
        assert_int_equal(n.outcome, satisfied ? OUTCOME_COMPLETE : OUTCOME_CANCELLED);
        assert_ok(ledger_note_find(agent_ledger(world_node(w, 0)->agent), &v.receipt.terms, SIDE_PROVIDER, &n));
        assert_int_equal(agent_counters(world_node(w, 1)->agent)->jobs_open_provider, 0);
        world_free(w);
    }
}

/* At every millisecond of a short job: it ends, the books agree, nothing stays open. */
static void cancel_at_any_time(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    for (int i = 0; i < 60; i++) {
        struct request q;
        ask(w, i, 40, &q);
        world_run_ms(w, (uint64_t)i);
        if (world_client(w, i)->state == CLIENT_WAITING)
            world_cancel(w, i, false);
        world_wait(w, i, 2500);
        assert_int_equal(world_client(w, i)->state, CLIENT_DONE);
        assert_prefix(w, i, &q);
        world_run_ms(w, 30);
        assert_int_equal(agent_counters(world_node(w, 0)->agent)->jobs_open_requester, 0);
        assert_int_equal(agent_counters(world_node(w, 1)->agent)->jobs_open_provider, 0);
    }
    assert_books_agree(w, 0, 1);
    world_free(w);
}

/* The cheapest provider loses power in the middle: the next one goes on with the very same tokens; both are paid. */
static void a_dead_provider_is_replaced(void **state)
{
    (void)state;
    struct world *w = mesh(3);
    struct request q;
    ask(w, 1, 300, &q);
    world_run_ms(w, 90);
    uint32_t heard = world_client(w, 1)->count;
    assert_true(heard > 40 && heard < 120);
    world_kill(w, 1);
    world_wait(w, 1, 5000);
    struct client *c = world_client(w, 1);
    assert_int_equal(c->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    assert_true(c->gap_us_max < 100 * 1000);               /* from the last token before to the first after */
    assert_int_equal(c->last.u.done.receipt_count, 2);
    assert_int_equal(agent_counters(world_node(w, 0)->agent)->failovers, 1);
    world_run_ms(w, 50);

    struct receipt_view second;
    assert_ok(ledger_receipt_find(agent_ledger(world_node(w, 0)->agent), &c->last.u.done.receipts[1], &second));
    uint64_t delivered = second.receipt.output_offset;
    assert_int_equal(second.receipt.tokens.in, 20 + delivered);                /* the continuation's prefill is billed as input */
    assert_int_equal(second.receipt.tokens.out, 300 - delivered);
    assert_true(hash_equal(&second.receipt.parent, &c->last.u.done.receipts[0]));
    assert_int_equal(world_account(w, 0, 2).spent.v, (20 + delivered) * 200 + (300 - delivered) * 800);
    assert_int_equal(world_account(w, 0, 1).spent.v, 0);                       /* its receipt is still to come */

    world_restart(w, 1);
    world_run_ms(w, 8000);
    struct account partial = world_account(w, 0, 1);
    assert_int_equal(partial.receipts_spent, 1);
    uint64_t claimed = delivered / 32 * 32;
    assert_true(partial.spent.v == 2000 + claimed * 400 || partial.spent.v == 2000 + (claimed - 32) * 400);
    assert_books_agree(w, 0, 1);
    assert_books_agree(w, 0, 2);
    world_free(w);
}

static void two_deaths_and_an_engine_failure(void **state)
{
    (void)state;
    struct world *w = mesh(4);
    struct request q;
    world_node(w, 2)->engine_fails_at = 50;
    ask(w, 1, 400, &q);
    world_run_ms(w, 60);
    world_kill(w, 1);
    world_run_ms(w, 150);                                  /* 2 fails by itself, 3 takes over */
    world_kill(w, 3);
    world_wait(w, 1, 5000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    assert_int_equal(world_client(w, 1)->last.u.done.receipt_count, 4);
    assert_int_equal(agent_counters(world_node(w, 0)->agent)->failovers, 3);
    world_run_ms(w, 100);
    assert_books_agree(w, 0, 2);
    assert_books_agree(w, 0, 4);
    world_free(w);
}

static void a_silent_provider_runs_into_the_deadline(void **state)
{
    (void)state;
    struct world *w = mesh(3);
    struct request q;
    ask(w, 1, 100, &q);
    world_run_ms(w, 60);
    world_node(w, 1)->frozen = true;
    world_wait(w, 1, TOKEN_DEADLINE_MS + 2000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    assert_int_equal(world_client(w, 1)->last.u.done.receipt_count, 2);
    world_node(w, 1)->frozen = false;
    world_run_ms(w, 3000);
    assert_books_agree(w, 0, 1);
    assert_int_equal(agent_counters(world_node(w, 1)->agent)->jobs_open_provider, 0);
    world_free(w);
}

/* A cheap provider that promises and never delivers costs one deadline, not one per request. */
static void a_broken_promise_is_remembered(void **state)
{
    (void)state;
    struct world *w = mesh(3);
    struct request q;
    world_node(w, 1)->frozen = true;
    ask(w, 1, 20, &q);
    world_wait(w, 1, 5000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    assert_int_equal(agent_counters(world_node(w, 0)->agent)->failovers, 1);
    for (int i = 2; i < 6; i++) {
        ask(w, i, 20, &q);
        world_wait(w, i, 200);
        world_assert_answer(w, i, &q);
    }
    assert_int_equal(agent_counters(world_node(w, 0)->agent)->failovers, 1);
    world_free(w);
}

static void nobody_left(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    struct request q;
    ask(w, 1, 500, &q);
    world_run_ms(w, 90);
    world_kill(w, 1);
    world_wait(w, 1, 10000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_FAILED);
    assert_int_equal(world_client(w, 1)->error, ERR_PEER_GONE);
    assert_prefix(w, 1, &q);
    world_free(w);
}

/* The requester loses power: the provider stops inside the window and is paid what was co-signed once they meet again. */
static void a_dead_requester_still_owes(void **state)
{
    (void)state;
    struct world *w = mesh(1);
    struct request q;
    ask(w, 1, 2000, &q);
    world_run_ms(w, 150);
    world_client(w, 1)->state = CLIENT_UNUSED;
    world_kill(w, 0);
    world_run_ms(w, 200);
    const struct agent_counters *n = agent_counters(world_node(w, 1)->agent);
    assert_int_equal(n->jobs_open_provider, 0);
    assert_int_equal(n->jobs_lost, 1);
    uint64_t made = n->tokens_out;
    world_restart(w, 0);
    world_run_ms(w, 8000);
    struct account earned = world_account(w, 1, 0);
    assert_int_equal(earned.receipts_earned, 1);
    uint64_t paid = (earned.earned.v - 2000) / 400;
    assert_true(paid >= 96 && made - paid <= WINDOW_TOKENS);
    assert_books_agree(w, 0, 1);
    world_free(w);
}

/* ---- losses on the way ---- */

struct loss { uint32_t type; int left, seen; };
static bool lose(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct loss *l = ctx;
    (void)from; (void)to; (void)body; (void)len;
    if (type != l->type)
        return true;
    l->seen++;
    if (l->left == 0)
        return true;
    l->left--;
    return false;
}

/* A lost receipt, or its answer, is sent again; nobody signs two. */
static void a_lost_receipt_comes_again(void **state)
{
    (void)state;
    static const uint32_t types[] = { MSG_RECEIPT, MSG_RECEIPT_OK };
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct loss loss = { types[i], 1, 0 };
        struct world *w = mesh(1);
        struct request q;
        world_set_tap(w, (struct world_tap){ lose, &loss });
        ask(w, 1, 50, &q);
        world_wait(w, 1, 5000);
        assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
        world_run_ms(w, 5000);
        assert_int_equal(loss.seen, 2);
        assert_int_equal(world_account(w, 1, 0).receipts_earned, 1);
        assert_books_agree(w, 0, 1);
        world_free(w);
    }
}

/* The answers to the last claims are lost with the link: when both meet again the requester shows what it had signed. */
static void a_lost_co_signature_comes_again(void **state)
{
    (void)state;
    for (int drop = 1; drop <= 5; drop++) {
        struct loss loss = { MSG_CLAIM_OK, 0, 0 };
        struct world *w = mesh(1);
        struct request q;
        world_set_tap(w, (struct world_tap){ lose, &loss });
        ask(w, 1, 90, &q);                                 /* claims 0, 1, 2 and the last */
        world_run_ms(w, 30);
        loss.left = drop;
        world_run_ms(w, 200);
        assert_true(loss.seen >= 3);
        world_cut(w, 0, 1);
        world_run_ms(w, 12000);
        assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
        struct account spent = world_account(w, 0, 1);
        assert_int_equal(spent.spent.v, 2000 + 90 * 400);
        assert_books_agree(w, 0, 1);
        world_free(w);
    }
}

static void a_lost_chunk_is_a_failed_provider(void **state)
{
    (void)state;
    struct loss loss = { MSG_CHUNK, 1, 0 };
    struct world *w = mesh(3);
    struct request q;
    world_set_tap(w, (struct world_tap){ lose, &loss });
    ask(w, 1, 100, &q);
    world_wait(w, 1, 20000);
    assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
    world_assert_answer(w, 1, &q);
    world_free(w);
}

/* ---- cheats: a tap that holds the cheat's key and signs what it likes ---- */

enum cheat_kind { CHEAT_OVERCOUNT, CHEAT_AHEAD, CHEAT_CHAIN, CHEAT_PRICE, CHEAT_SIGNATURE, CHEAT_TOKENS, CHEAT_CLAIM_OK, CHEAT_SILENT };
struct cheat {
    struct world *w;
    int from;
    enum cheat_kind how;
    uint64_t after;                                        /* from this claim on */
    int seen;
};

static void rewrite_claim(struct cheat *k, uint8_t *body, size_t *len)
{
    struct claim_msg m;
    struct claim c;
    uint8_t buf[CLAIM_BYTES_MAX], out[CLAIM_MSG_BYTES_MAX];
    struct bytes view;
    const struct world_node *n = world_node(k->w, k->from);
    assert_ok(claim_msg_decode(bytes_of(body, *len), &m));
    assert_ok(claim_decode(m.claim, &c));
    if (c.index < k->after)
        return;
    k->seen++;
    if (k->how == CHEAT_OVERCOUNT) {
        c.tokens.out += 1;
        c.cost.v += 400;
    }
    if (k->how == CHEAT_AHEAD) {                           /* inside the step, and beyond what was sent */
        c.tokens.out += 7;
        c.index = (c.tokens.out + CLAIM_TOKENS - 1) / CLAIM_TOKENS;
        c.cost.v += 7 * 400;
    }
    if (k->how == CHEAT_CHAIN)
        c.token_chain.b[0] ^= 1;
    if (k->how == CHEAT_PRICE)
        c.cost.v += c.tokens.out;                          /* one micro-credit per million more */
    assert_ok(claim_encode(&c, buf, &m.claim));
    claim_sign(&n->key, SIDE_PROVIDER, &n->config.net, &c, &m.sig);
    if (k->how == CHEAT_SIGNATURE)
        m.sig.b[5] ^= 1;
    assert_ok(claim_msg_encode(&m, out, sizeof out, &view));
    memcpy(body, view.data, view.len);
    *len = view.len;
}

static bool cheat(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct cheat *k = ctx;
    struct ok_msg ok;
    struct bytes view;
    (void)to;
    if (from != k->from)
        return true;
    if (type == MSG_CLAIM && k->how < CHEAT_TOKENS)
        rewrite_claim(k, body, len);
    if (type == MSG_CHUNK && k->how == CHEAT_TOKENS) {     /* says one thing, claims another */
        struct chunk_msg m;
        assert_ok(chunk_msg_decode(bytes_of(body, *len), &m));
        if (m.offset <= 10 && m.offset + m.count > 10) {
            m.tokens[0] ^= 1;
            k->seen++;
            assert_ok(chunk_msg_encode(&m, body, FRAME_BYTES_MAX, &view));
            *len = view.len;
        }
    }
    if (type == MSG_CLAIM_OK && k->how >= CHEAT_CLAIM_OK) {
        assert_ok(ok_msg_decode(bytes_of(body, *len), &ok));
        if (ok.index < k->after)
            return true;
        k->seen++;
        if (k->how == CHEAT_SILENT)
            return false;
        ok.sig.b[7] ^= 1;
        assert_ok(ok_msg_encode(&ok, body, FRAME_BYTES_MAX, &view));
        *len = view.len;
    }
    return true;
}

/* A provider that claims what is not so gets no signature for it; the request goes on with somebody else. */
static void a_cheating_provider_is_left(void **state)
{
    (void)state;
    for (int how = CHEAT_OVERCOUNT; how <= CHEAT_TOKENS; how++) {
        struct world *w = mesh(3);
        struct cheat k = { .w = w, .from = 1, .how = (enum cheat_kind)how, .after = how == CHEAT_AHEAD ? 0 : 2 };
        struct request q;
        world_set_tap(w, (struct world_tap){ cheat, &k });
        ask(w, 1, 200, &q);
        world_wait(w, 1, 5000);
        assert_true(k.seen > 0);
        assert_int_equal(world_client(w, 1)->state, CLIENT_DONE);
        if (how != CHEAT_TOKENS)
            world_assert_answer(w, 1, &q);                 /* a wrong token is only seen at its claim */
        assert_int_equal(agent_counters(world_node(w, 0)->agent)->failovers, 1);
        world_set_tap(w, (struct world_tap){ NULL, NULL });
        world_run_ms(w, 15000);
        struct account cheated = world_account(w, 0, 1);
        assert_true(cheated.spent.v <= 2000 + 32 * 400);   /* at most what was co-signed before the lie */
        world_ledger_check(w, 0);
        world_free(w);
    }
}

/* What the requester has noted about the job of its client's first receipt, once that receipt is here. */
static struct note first_note(struct world *w, int client)
{
    struct note n;
    struct receipt_view v;
    struct ledger *book = agent_ledger(world_node(w, 0)->agent);
    assert_true(world_client(w, client)->last.u.done.receipt_count > 0);
    enum err e = ledger_receipt_find(book, &world_client(w, client)->last.u.done.receipts[0], &v);
    struct hash terms = e == OK ? v.receipt.terms : world_client(w, client)->last.u.done.receipts[0];
    assert_ok(ledger_note_find(book, &terms, SIDE_REQUESTER, &n));
    return n;
}

/* It says that the answer is over when neither a stop token nor the agreed length has been reached: no signature for the
 * lie, the fault is noted, the rest comes from the next provider. */
static void a_false_ending_is_no_ending(void **state)
{
    (void)state;
    static const struct { int at; enum finish says; } lies[] = {
        { 0, FINISH_STOP }, { 1, FINISH_STOP }, { 3, FINISH_STOP }, { 32, FINISH_STOP }, { 3, FINISH_LENGTH }, { 64, FINISH_LENGTH }, { 99, FINISH_LENGTH },
    };
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        struct world *w = mesh(2);
        struct request q;
        world_node(w, 1)->engine_quits_at = lies[i].at;
        world_node(w, 1)->engine_says = lies[i].says;
        ask(w, 1, 100, &q);
        world_wait(w, 1, 5000);
        struct client *c = world_client(w, 1);
        assert_int_equal(c->state, CLIENT_DONE);
        assert_int_equal(c->finish, FINISH_LENGTH);
        world_assert_answer(w, 1, &q);
        assert_int_equal(agent_counters(world_node(w, 0)->agent)->failovers, 1);
        if (lies[i].at > 0) {
            struct note n = first_note(w, 1);
            assert_int_equal(n.outcome, OUTCOME_PARTIAL);
            assert_int_equal(n.fault, SIDE_PROVIDER);
            assert_int_equal(n.reason, REASON_ENDING);
        }
        world_run_ms(w, 15000);
        assert_true(world_account(w, 0, 1).spent.v <= 2000 + (uint64_t)lies[i].at / 32 * 32 * 400);   /* the lie itself is not signed */
        world_ledger_check(w, 0);
        world_free(w);
    }
}

/* Every answer of this client's prompt that reaches a stop token within `most` tokens: its seed, and where. */
static uint32_t stops_at(struct world *w, int client, uint32_t output, struct request *q)
{
    static const uint32_t stop[] = { 11, 222, 333 };
    uint32_t out[4096];
    *q = world_request(w, client, output);
    q->stop_ids = stop;
    q->stop_count = 3;
    for (q->seed = 1;; q->seed++) {
        uint32_t n = world_expected(q, out, 4096);
        if (n < output && n > 40)
            return n;
    }
}

/* A true stop token ends it, and nothing may come after one. */
static void nothing_follows_a_stop_token(void **state)
{
    (void)state;
    for (int runs_on = 0; runs_on < 2; runs_on++) {
        struct world *w = mesh(2);
        struct request q;
        uint32_t n = stops_at(w, 1, 200, &q);
        world_node(w, 1)->engine_runs_on = runs_on;
        world_ask(w, 0, 1, &q);
        world_wait(w, 1, 5000);
        struct client *c = world_client(w, 1);
        assert_int_equal(c->state, CLIENT_DONE);
        assert_int_equal(c->finish, FINISH_STOP);
        assert_int_equal(c->count, n);
        world_assert_answer(w, 1, &q);
        world_run_ms(w, 15000);
        assert_true(world_account(w, 0, 1).spent.v <= 2000 + (uint64_t)n * 400);
        struct note note = first_note(w, 1);
        assert_int_equal(note.outcome, runs_on ? OUTCOME_PARTIAL : OUTCOME_COMPLETE);
        assert_int_equal(note.fault, runs_on ? SIDE_PROVIDER : SIDE_NONE);
        assert_int_equal(world_account(w, 0, 2).spent.v, 0);   /* nothing was left to ask for */
        world_ledger_check(w, 0);
        world_free(w);
    }
}

/* A requester that signs wrongly or not at all gets no more than the window. */
static void a_cheating_requester_gets_the_window(void **state)
{
    (void)state;
    for (int how = CHEAT_CLAIM_OK; how <= CHEAT_SILENT; how++) {
        struct world *w = mesh(1);
        struct cheat k = { .w = w, .from = 0, .how = (enum cheat_kind)how, .after = 2 };
        struct request q;
        world_set_tap(w, (struct world_tap){ cheat, &k });
        ask(w, 1, 1000, &q);
        world_run_ms(w, TOKEN_DEADLINE_MS + 2000);
        const struct agent_counters *n = agent_counters(world_node(w, 1)->agent);
        assert_true(k.seen > 0);
        assert_true(n->jobs_lost >= 1);
        assert_true(world_client(w, 1)->count <= 2 * (32 + WINDOW_TOKENS));  /* it may try a second time, and signs again */
        assert_true(world_account(w, 1, 0).earned.v + world_account(w, 1, 0).earned_pending.v >= 2000 + 32 * 400);
        world_free(w);
    }
}

/* ---- two receipts under one number (PROTO 6.10, 7.9) ---- */

struct two_faced { struct world *w; int from; };

/* The two seem to have different histories: each hears of another head of the channel than it has. If the node of `from` is the
 * provider, what it then shows is another receipt, with its own signature. */
static bool two_faced(int from, int to, uint32_t type, uint8_t *body, size_t *len, void *ctx)
{
    struct two_faced *k = ctx;
    struct resync_msg m;
    struct adopt_msg a;
    struct receipt r;
    struct bytes view;
    struct world_node *n = world_node(k->w, k->from);
    (void)to;
    if (type == MSG_RESYNC && resync_msg_decode(bytes_of(body, *len), &m) == OK) {
        if (m.provider_seq)
            m.provider_head.b[0] ^= 1;
        if (m.requester_seq)
            m.requester_head.b[0] ^= 1;
        assert_ok(resync_msg_encode(&m, body, RESYNC_BYTES_MAX, &view));
    }
    if (from == k->from && type == MSG_RESYNC_OK && adopt_msg_decode(bytes_of(body, *len), &a) == OK && a.side == SIDE_PROVIDER) {
        uint8_t other[RECEIPT_BODY_BYTES_MAX];
        assert_ok(receipt_decode(a.body, &r));
        r.cost.v++;
        r.owed.v++;
        assert_ok(receipt_encode(&r, other, &a.body));
        receipt_sign(&n->key, SIDE_PROVIDER, &n->config.net, a.body, &a.provider_sig);
        assert_ok(adopt_msg_encode(&a, body, ADOPT_BYTES_MAX, &view));
        *len = view.len;
    }
    return true;
}

static void an_equivocating_peer_is_frozen_out(void **state)
{
    (void)state;
    for (int liar = 0; liar < 2; liar++) {                 /* the requester is node 0, the provider node 1 */
        struct world *w = mesh(2);
        struct two_faced k = { w, liar };
        struct request q;
        int honest = 1 - liar;
        enum side role = honest == 0 ? SIDE_REQUESTER : SIDE_PROVIDER;
        struct evidence seen;
        ask(w, 1, 50, &q);                                 /* node 1 is the cheapest */
        world_wait(w, 1, 5000);
        world_run_ms(w, 500);
        uint64_t owed = world_account(w, 1, 0).earned.v;
        assert_true(owed > 0);
        world_set_tap(w, (struct world_tap){ two_faced, &k });
        world_kill(w, honest);
        world_restart(w, honest);
        world_run_ms(w, 8000);
        struct ledger *l = agent_ledger(world_node(w, honest)->agent);
        assert_ok(ledger_evidence_at(l, role, &world_node(w, liar)->public, 0, &seen));
        assert_int_equal(seen.seq, 1);
        if (liar == 1)
            assert_true(seen.body.len > 0);                /* both signed receipts are there: ours in the book, its other one here */
        world_set_tap(w, (struct world_tap){ NULL, NULL });
        world_kill(w, honest);
        world_restart(w, honest);
        world_run_ms(w, 30 * 60 * 1000);                   /* it comes back and is quite innocent; mutes have ended */
        assert_err(ledger_frozen_check(agent_ledger(world_node(w, honest)->agent), &world_node(w, liar)->public), ERR_STATE);
        ask(w, 2, 50, &q);
        world_wait(w, 2, 20000);
        assert_int_equal(world_client(w, 2)->state, CLIENT_DONE);
        assert_int_equal(world_account(w, 1, 0).earned.v, owed);               /* somebody else had to serve it */
        assert_true(world_account(w, 0, 2).spent.v > 0);
        if (liar == 0)
            assert_true(agent_counters(world_node(w, 1)->agent)->offers_declined[ERR_STATE] > 0);
        world_ledger_check(w, honest);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_pays_for_what_was_sent),
        cmocka_unit_test(cancel_at_any_time),
        cmocka_unit_test(a_dead_provider_is_replaced),
        cmocka_unit_test(two_deaths_and_an_engine_failure),
        cmocka_unit_test(a_silent_provider_runs_into_the_deadline),
        cmocka_unit_test(a_broken_promise_is_remembered),
        cmocka_unit_test(nobody_left),
        cmocka_unit_test(a_dead_requester_still_owes),
        cmocka_unit_test(a_lost_receipt_comes_again),
        cmocka_unit_test(a_lost_co_signature_comes_again),
        cmocka_unit_test(a_lost_chunk_is_a_failed_provider),
        cmocka_unit_test(a_cheating_provider_is_left),
        cmocka_unit_test(a_false_ending_is_no_ending),
        cmocka_unit_test(nothing_follows_a_stop_token),
        cmocka_unit_test(a_cheating_requester_gets_the_window),
        cmocka_unit_test(an_equivocating_peer_is_frozen_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
