/* test_ledger_unsigned.c - what was delivered and not signed for counts as credit, and jobs that came to nothing are forgotten. */
#include "tests/test.h"

#include <string.h>

#include "ledger/book.h"
#include "tests/ledger_rig.h"

struct pair { struct party requester, provider; };

static int open_pair(void **state)
{
    static struct pair p;
    party_init(&p.requester, 1);
    party_init(&p.provider, 2);
    assert_ok(party_open(&p.requester));
    assert_ok(party_open(&p.provider));
    *state = &p;
    return 0;
}

static void check(struct party *p)
{
    char why[160];
    if (ledger_check(&p->ledger, why) != OK)
        fail_msg("%s", why);
}

static int close_pair(void **state)
{
    struct pair *p = *state;
    check(&p->requester);
    check(&p->provider);
    party_fini(&p->requester);
    party_fini(&p->provider);
    return 0;
}

static struct wall after(uint64_t ms) { return (struct wall){ rig_now.ms + ms }; }

static uint64_t exposure(struct pair *p)
{
    struct account a;
    struct pico sum;
    assert_ok(ledger_account(&p->provider.ledger, &p->requester.self, &a));
    assert_ok(book_exposure(&a, &sum));
    return sum.v;
}

static uint64_t cost_of(const struct rig_job *j, uint64_t out)
{
    struct tokens t = { j->terms.tokens_in, j->terms.tokens_cached, out };
    struct pico cost;
    assert_ok(amount_cost(&t, &j->terms.prices, &cost));
    return cost.v;
}

static void begin(struct pair *p, struct rig_job *j, uint64_t n)
{
    rig_job_init(j, &p->requester, &p->provider, n);
    assert_ok(rig_job_begin(j, &p->requester, &p->provider));
}

static void end(struct pair *p, const struct rig_job *j, uint64_t sent)
{
    assert_ok(ledger_delivery_end(&p->provider.ledger, &j->hash, sent, OUTCOME_FAILED, SIDE_REQUESTER, REASON_NO_ACK, rig_now));
}

static uint32_t release(struct pair *p, uint64_t ms)
{
    uint32_t n;
    assert_ok(ledger_unsigned_release(&p->provider.ledger, after(ms), 100, &n));
    return n;
}

static uint32_t prune(struct pair *p, uint64_t ms)
{
    uint32_t n;
    assert_ok(ledger_idle_prune(&p->provider.ledger, after(ms), 10000, &n));
    return n;
}

/* The audit's free tokens: ninety of them, again and again, with a limit of about two answers. */
static void who_never_signs_uses_up_the_credit(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    enum credit_limit which;
    struct pico left;
    rig_job_init(&j, &p->requester, &p->provider, 1);
    struct pico full = terms_cost_max(&j.terms);
    struct credit_limits limits = { { 2 * full.v }, { UINT64_MAX } }, purse = { { UINT64_MAX }, { 2 * full.v } };
    uint64_t each = cost_of(&j, 90);
    int answers = 0;
    while (ledger_credit_check(&p->provider.ledger, &p->requester.self, full, &limits, &which) == OK) {
        begin(p, &j, (uint64_t)++answers);
        end(p, &j, 90);
        assert_int_equal(exposure(p), (uint64_t)answers * each);
        assert_true(answers < 100);
    }
    assert_int_equal(which, CREDIT_REQUESTER);
    assert_true((uint64_t)answers * each <= 2 * full.v && (uint64_t)answers * each > full.v);
    struct pubkey stranger = { { 77 } };                   /* another key is another requester, but draws on the same purse */
    assert_ok(ledger_credit_check(&p->provider.ledger, &stranger, full, &limits, &which));
    assert_err(ledger_credit_check(&p->provider.ledger, &stranger, full, &purse, &which), ERR_CREDIT);
    assert_int_equal(which, CREDIT_NEWCOMERS);
    check(&p->provider);
    assert_ok(store_commit(p->provider.store));
    assert_ok(party_crash(&p->provider));                  /* it is on disk */
    assert_int_equal(exposure(p), (uint64_t)answers * each);
    assert_int_equal(release(p, UNSIGNED_KEEP_MS - 1), 0);
    assert_int_equal(release(p, UNSIGNED_KEEP_MS), answers);
    assert_int_equal(exposure(p), 0);
    assert_ok(ledger_credit_left(&p->provider.ledger, &p->requester.self, &limits, &left));
    assert_int_equal(left.v, 2 * full.v);
}

/* The co-signatures were lost with the link. Each that comes back takes its part; what was never signed stays, also after the receipt. */
static void what_comes_back_is_counted_once(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct hash id;
    begin(p, &j, 1);
    assert_ok(rig_job_generate(&j, &p->requester, &p->provider, 32));
    end(p, &j, 90);
    assert_int_equal(exposure(p), cost_of(&j, 90));
    for (int k = 0; k < 32; k++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, false));
    assert_ok(rig_job_exchange_claim(&j, &p->requester, &p->provider));
    assert_int_equal(exposure(p), cost_of(&j, 90));        /* more of it is owed, the sum is the same */
    check(&p->provider);
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
    assert_int_equal(exposure(p), cost_of(&j, 90));
    check(&p->provider);
    assert_int_equal(release(p, UNSIGNED_KEEP_MS), 1);
    assert_int_equal(exposure(p), cost_of(&j, 64));
}

static void what_is_signed_for_in_the_end_is_forgotten(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct hash id;
    begin(p, &j, 1);
    assert_ok(rig_job_generate(&j, &p->requester, &p->provider, 64));
    end(p, &j, 80);
    for (int k = 0; k < 16; k++)
        rig_job_token(&j);
    assert_true(rig_job_claim(&j, true));
    assert_ok(rig_job_exchange_claim(&j, &p->requester, &p->provider));
    assert_int_equal(release(p, UNSIGNED_KEEP_MS), 0);
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
    assert_int_equal(exposure(p), cost_of(&j, 80));
    begin(p, &j, 2);                                       /* all was signed for when it ended */
    assert_ok(rig_job_generate(&j, &p->requester, &p->provider, 40));
    end(p, &j, 40);
    assert_int_equal(release(p, UNSIGNED_KEEP_MS), 0);
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
}

/* Tokens are on no disk: a crash cannot say how many had left, only that they were inside the window. */
static void a_crash_counts_the_window(void **state)
{
    struct pair *p = *state;
    struct rig_job none, some, whole;
    begin(p, &none, 1);
    begin(p, &some, 2);
    assert_ok(rig_job_generate(&some, &p->requester, &p->provider, 64));
    begin(p, &whole, 3);
    assert_ok(rig_job_generate(&whole, &p->requester, &p->provider, 40));      /* a shorter claim is the last */
    assert_ok(store_commit(p->provider.store));
    assert_ok(party_crash(&p->provider));
    uint64_t window = some.terms.window_tokens;
    assert_int_equal(exposure(p), cost_of(&none, window) + cost_of(&some, 64 + window) + cost_of(&whole, 40));
    check(&p->provider);
    assert_int_equal(release(p, UNSIGNED_KEEP_MS), 2);
    assert_int_equal(exposure(p), cost_of(&some, 64) + cost_of(&whole, 40));
    assert_ok(store_commit(p->provider.store));
}

static bool is_in_the_book(struct pair *p, const struct rig_job *j)
{
    struct job found;
    struct note note;
    struct terms terms;
    bool job = ledger_job_find(&p->provider.ledger, &j->hash, &found) == OK;
    assert_int_equal(book_terms_load(&p->provider.ledger, &j->hash, &terms) == OK, job);
    uint64_t cursor = 0;
    assert_int_equal(ledger_job_of_id(&p->provider.ledger, &j->terms.job, &cursor, &found) == OK, job);
    if (!job)
        assert_err(ledger_note_find(&p->provider.ledger, &j->hash, SIDE_PROVIDER, &note), ERR_NOT_FOUND);
    return job;
}

static void what_came_to_nothing_is_forgotten_after_a_while(void **state)
{
    struct pair *p = *state;
    struct rig_job paid, nothing, taken, running;
    struct hash id;
    struct ledger_totals t;
    assert_ok(rig_job_whole(&paid, &p->requester, &p->provider, 1, 33, &id));
    begin(p, &nothing, 2);
    end(p, &nothing, 0);
    begin(p, &taken, 3);
    end(p, &taken, 50);
    begin(p, &running, 4);
    assert_int_equal(prune(p, IDLE_KEEP_MS - 1), 0);
    assert_int_equal(prune(p, IDLE_KEEP_MS), 1);
    assert_false(is_in_the_book(p, &nothing));
    assert_true(is_in_the_book(p, &paid) && is_in_the_book(p, &taken) && is_in_the_book(p, &running));
    check(&p->provider);
    assert_int_equal(release(p, UNSIGNED_KEEP_MS), 1);     /* counts no longer: now it came to nothing as well */
    assert_int_equal(prune(p, IDLE_KEEP_MS), 1);
    assert_false(is_in_the_book(p, &taken));
    assert_ok(ledger_totals(&p->provider.ledger, &t));
    assert_int_equal(t.jobs, 4);                           /* numbers are given once */
    struct rig_job next;
    begin(p, &next, 5);
    struct job j;
    assert_ok(ledger_job_find(&p->provider.ledger, &next.hash, &j));
    assert_int_equal(j.number, 5);
}

/* A claim that a crash took and the requester brought back: the job is due after all, and not forgotten. */
static void what_is_claimed_after_all_stays(void **state)
{
    struct pair *p = *state;
    struct rig_job j;
    struct hash id;
    begin(p, &j, 1);
    end(p, &j, 0);
    rig_job_token(&j);
    assert_true(rig_job_claim(&j, true));
    assert_ok(rig_job_exchange_claim(&j, &p->requester, &p->provider));
    check(&p->provider);
    assert_int_equal(prune(p, 2 * (uint64_t)IDLE_KEEP_MS), 0);
    assert_ok(rig_job_close(&j, &p->requester, &p->provider, &id));
}

/* Whoever fills the book with such jobs pushes out his own. */
static void only_so_many_are_kept(void **state)
{
    struct pair *p = *state;
    struct rig_job j, first;
    struct hash hash;
    struct sig sig, ours;
    uint8_t buf[TERMS_BYTES_MAX];
    struct bytes body;
    enum credit_limit which;
    begin(p, &first, 1);
    end(p, &first, 0);
    rig_job_init(&j, &p->requester, &p->provider, 2);
    for (uint32_t n = 0; n < IDLE_JOBS_MAX + 9; n++) {
        j.terms.stated_s = n;
        assert_ok(terms_encode(&j.terms, buf, &body));
        terms_sign(&p->requester.key, SIDE_REQUESTER, &p->requester.net, body, &sig);
        assert_ok(ledger_terms_accept(&p->provider.ledger, body, &sig, NULL, &rig_limits, rig_now, &which, &ours, &hash));
        assert_ok(ledger_job_end(&p->provider.ledger, &hash, OUTCOME_CANCELLED, SIDE_NONE, REASON_CLIENT_CANCEL, rig_now));
    }
    assert_int_equal(prune(p, 0), 10);
    assert_false(is_in_the_book(p, &first));
    struct job last;
    assert_ok(ledger_job_find(&p->provider.ledger, &hash, &last));
    assert_int_equal(prune(p, 0), 0);
}

/* A ledger of an earlier version knows none of this: its jobs are listed when it is first opened. */
static void an_older_ledger_is_brought_up_to_date(void **state)
{
    struct pair *p = *state;
    struct rig_job j, paid;
    struct hash id;
    struct store *s = p->provider.store;
    for (uint64_t n = 1; n <= 3; n++) {
        begin(p, &j, n);
        end(p, &j, 0);
        struct book_key k = book_key_number(n);
        assert_ok(store_del(s, STORE_JOB_IDLE, book_key_view(&k)));
    }
    assert_ok(rig_job_whole(&paid, &p->requester, &p->provider, 4, 33, &id));
    assert_ok(store_del(s, STORE_META, bytes_text("idle")));
    assert_ok(store_commit(s));
    check(&p->provider);                                   /* readable as it is */
    assert_ok(party_crash(&p->provider));
    check(&p->provider);
    assert_int_equal(prune(p, IDLE_KEEP_MS), 3);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        CASE(who_never_signs_uses_up_the_credit),
        CASE(what_comes_back_is_counted_once),
        CASE(what_is_signed_for_in_the_end_is_forgotten),
        CASE(a_crash_counts_the_window),
        CASE(what_came_to_nothing_is_forgotten_after_a_while),
        CASE(what_is_claimed_after_all_stays),
        CASE(only_so_many_are_kept),
        CASE(an_older_ledger_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
