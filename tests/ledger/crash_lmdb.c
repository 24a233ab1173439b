/* crash_lmdb.c - a process that earns and spends is killed at a random moment, again and again: what it had acknowledged is there.
 *
 * Usage: crash_lmdb [ROUNDS [SEED]] (default 40 rounds). The child runs whole jobs between two parties, each with its own
 * LMDB ledger, and writes one line into a pipe after each commit, as a node would send a message. The parent kills it, opens
 * both ledgers and compares:
 *
 *   P seq id   the provider's half-signed receipt would have left: never two ids for one seq, in any round
 *   R id       the requester's signature would have left: the receipt is in its book
 *   C id       the provider said done: the receipt is in both books
 *
 * A kill cannot show a missing flush, because the page cache survives it: that is test_powercut's.
 */
#define _DEFAULT_SOURCE
#include "tests/ledger_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger/store_lmdb.h"

enum { SEEN_MAX = 1 << 16, KILL_ACKS_MAX = 8, KILL_US_MAX = 15000 };

struct ack {
    char kind;
    uint64_t seq;
    struct hash id;
};
struct seen {
    uint64_t seq;
    struct hash id;
};
static struct seen seen[SEEN_MAX];
static size_t seen_count, acks_checked;
static char base[64];

#define CHECK(cond, ...)                                                                                               \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "crash_lmdb: " __VA_ARGS__);                                                               \
            fprintf(stderr, " (%s:%d)\n", __FILE__, __LINE__);                                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static void open_party(struct party *p, uint8_t seed, const char *name, struct pubkey *out_self)
{
    char folder[96];
    snprintf(folder, sizeof folder, "%s/%s", base, name);
    party_init(p, seed);
    struct store_lmdb_config c = { .folder = folder };
    enum err e = store_lmdb_open(&c, &p->store);
    CHECK(e == OK, "%s does not open: %s", name, err_name(e));
    e = party_open(p);
    CHECK(e == OK, "%s's ledger does not open: %s", name, err_name(e));
    *out_self = p->self;
}

/* ---- the child ---- */

static void say(int fd, char kind, uint64_t seq, const struct hash *id)
{
    struct ack a = { .kind = kind, .seq = seq, .id = *id };
    if (write(fd, &a, sizeof a) != sizeof a)               /* below PIPE_BUF: whole or not at all */
        _exit(2);
}

static void settle(struct party *requester, struct party *provider, int fd)
{
    struct signed_body half;
    struct hash terms, id;
    struct receipt r;
    struct sig sig;
    while (ledger_receipt_propose(&provider->ledger, &requester->self, &half, &terms) == OK) {
        struct bytes body = signed_body_view(&half);
        id = receipt_id(body);
        CHECK(store_commit(provider->store) == OK && receipt_decode(body, &r) == OK, "propose");
        say(fd, 'P', r.seq, &id);
        enum err e = ledger_receipt_cosign(&requester->ledger, body, &half.sig, rig_now, &sig, &id);
        CHECK(e == OK, "cosign: %s", err_name(e));
        CHECK(store_commit(requester->store) == OK, "requester's commit");
        say(fd, 'R', r.seq, &id);
        e = ledger_receipt_complete(&provider->ledger, &requester->self, &id, &sig, rig_now);
        CHECK(e == OK, "complete: %s", err_name(e));
        CHECK(store_commit(provider->store) == OK, "provider's commit");
        say(fd, 'C', r.seq, &id);
    }
}

static _Noreturn void work(int fd, uint64_t first_job)
{
    struct party requester, provider;
    struct pubkey self;
    open_party(&requester, 1, "requester", &self);
    open_party(&provider, 2, "provider", &self);
    settle(&requester, &provider, fd);
    for (uint64_t n = first_job;; n++) {
        struct rig_job j;
        rig_job_init(&j, &requester, &provider, n);
        CHECK(rig_job_begin(&j, &requester, &provider) == OK, "begin");
        CHECK(store_commit(requester.store) == OK && store_commit(provider.store) == OK, "commit of terms");
        CHECK(rig_job_generate(&j, &requester, &provider, 20 + n % 60) == OK, "generate");
        CHECK(store_commit(requester.store) == OK && store_commit(provider.store) == OK, "commit of claims");
        CHECK(ledger_job_end(&requester.ledger, &j.hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now) == OK, "end");
        CHECK(ledger_job_end(&provider.ledger, &j.hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now) == OK, "end");
        settle(&requester, &provider, fd);
    }
}

/* ---- the parent ---- */

static void check_ack(const struct ack *a, struct party *requester, struct party *provider)
{
    struct receipt_view v;
    acks_checked++;
    if (a->kind == 'P') {
        for (size_t i = 0; i < seen_count; i++)
            CHECK(seen[i].seq != a->seq || hash_equal(&seen[i].id, &a->id), "two bodies signed under number %llu", (unsigned long long)a->seq);
        CHECK(seen_count < SEEN_MAX, "too many receipts for this test");
        seen[seen_count++] = (struct seen){ a->seq, a->id };
        return;
    }
    CHECK(ledger_receipt_find(&requester->ledger, &a->id, &v) == OK, "the requester lost receipt %llu", (unsigned long long)a->seq);
    if (a->kind == 'C')
        CHECK(ledger_receipt_find(&provider->ledger, &a->id, &v) == OK, "the provider lost receipt %llu", (unsigned long long)a->seq);
}

static void check_heads(struct party *requester, struct party *provider)
{
    struct channel_state a, b;
    CHECK(ledger_channel(&provider->ledger, SIDE_PROVIDER, &requester->self, &a) == OK, "channel");
    CHECK(ledger_channel(&requester->ledger, SIDE_REQUESTER, &provider->self, &b) == OK, "channel");
    bool equal = a.seq == b.seq && hash_equal(&a.head, &b.head) && a.owed.v == b.owed.v;
    bool half = b.seq == a.seq + 1 && a.has_half && hash_equal(&a.half, &b.head);
    CHECK(equal || half, "heads differ by more than one half-signed receipt");
}

static void check_round(const struct ack *acks, size_t count, bool deep)
{
    struct party requester, provider;
    struct pubkey self;
    char why[160];
    open_party(&requester, 1, "requester", &self);
    open_party(&provider, 2, "provider", &self);
    for (size_t i = 0; i < count; i++)
        check_ack(&acks[i], &requester, &provider);
    check_heads(&requester, &provider);
    CHECK((deep ? ledger_check : ledger_check_sums)(&requester.ledger, why) == OK, "requester: %s", why);
    CHECK((deep ? ledger_check : ledger_check_sums)(&provider.ledger, why) == OK, "provider: %s", why);
    party_fini(&requester);
    party_fini(&provider);
}

static size_t run_and_kill(struct rng *rng, struct ack *acks, size_t max, uint64_t first_job)
{
    int fds[2], status;
    CHECK(pipe(fds) == 0, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        close(fds[0]);
        work(fds[1], first_job);
    }
    close(fds[1]);
    /* By acknowledgements first, so that a slow disk gets as far as a fast one; then at any moment within some commits. */
    size_t count = 0, wanted = (size_t)rng_below(rng, KILL_ACKS_MAX);
    while (count < wanted && read(fds[0], &acks[count], sizeof acks[0]) == sizeof acks[0])
        count++;
    usleep((useconds_t)rng_below(rng, KILL_US_MAX));
    kill(pid, SIGKILL);
    while (count < max && read(fds[0], &acks[count], sizeof acks[0]) == sizeof acks[0])
        count++;
    close(fds[0]);
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself");
    return count;
}

static void remove_all(void)
{
    static const char *const files[] = { "ledger.mdb", "ledger.mdb-lock", "ledger.lock", "" };
    static const char *const parties[] = { "requester", "provider" };
    char path[160];
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
            snprintf(path, sizeof path, "%s/%s/%s", base, parties[p], files[i]);
            if (files[i][0] ? unlink(path) : rmdir(path))
                continue;
        }
    rmdir(base);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 40, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    static struct ack acks[1 << 14];
    struct rng rng;
    rng_init(&rng, seed);
    snprintf(base, sizeof base, "/tmp/tm-crash-XXXXXX");
    CHECK(mkdtemp(base) != NULL, "no folder: %s", strerror(errno));
    for (uint64_t i = 0; i < rounds; i++) {
        size_t count = run_and_kill(&rng, acks, ARRAY_COUNT(acks), 1 + i * 1000000);
        check_round(acks, count, i % 8 == 7 || i + 1 == rounds);
    }
    printf("crash_lmdb: %llu kills, %zu receipts proposed, %zu acknowledgements checked, nothing lost\n", (unsigned long long)rounds,
           seen_count, acks_checked);
    CHECK(acks_checked > rounds / 2, "the child was killed before it could acknowledge anything");
    remove_all();
    return 0;
}
