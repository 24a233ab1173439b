/* bench_ledger.c - how many receipts per second become durable, and what one costs on disk. For docs/benchmarks.md.
 *
 * Usage: bench_ledger [RECEIPTS [GROUP [FOLDER]]] (default 2000, 1, /tmp). Both sides work in one thread; the requester's book is the
 * one that is measured, on LMDB in FOLDER, with one commit per GROUP receipts. The provider's is in memory. Each receipt is
 * the end of a job of 32 tokens: terms, one claim, one receipt, one note.
 */
#define _DEFAULT_SOURCE
#include "tests/ledger_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ledger/store_lmdb.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(enum err e, const char *what)
{
    if (e != OK) {
        fprintf(stderr, "bench_ledger: %s: %s\n", what, err_text(e));
        exit(1);
    }
}

/* As rig_job_close(), but the requester's commit is the caller's business. */
static void close_job(struct rig_job *j, struct party *r, struct party *p)
{
    struct signed_body half;
    struct hash terms, id;
    struct sig sig;
    need(ledger_job_end(&r->ledger, &j->hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now), "end");
    need(ledger_job_end(&p->ledger, &j->hash, OUTCOME_COMPLETE, SIDE_NONE, REASON_STOP, rig_now), "end");
    need(ledger_receipt_propose(&p->ledger, &r->self, &half, &terms), "propose");
    need(ledger_receipt_cosign(&r->ledger, signed_body_view(&half), &half.sig, rig_now, &sig, &id), "cosign");
    need(ledger_receipt_complete(&p->ledger, &r->self, &id, &sig, rig_now), "complete");
    need(store_commit(p->store), "commit");
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000, group = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct party r, p;
    static struct rig_job j;
    char folder[256], path[300], why[160];
    snprintf(folder, sizeof folder, "%s/tm-bench-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    if (!mkdtemp(folder) || group == 0)
        return 1;
    party_init(&r, 1);
    party_init(&p, 2);
    struct store_lmdb_config c = { .folder = folder };
    need(store_lmdb_open(&c, &r.store), "open");
    need(party_open(&r), "open");
    need(party_open(&p), "open");
    struct store_lmdb_info before, after;
    need(store_lmdb_info(r.store, &before), "info");
    double start = seconds(), commit_s = 0;
    for (uint64_t n = 1; n <= count; n++) {
        rig_job_init(&j, &r, &p, n);
        need(rig_job_begin(&j, &r, &p), "begin");
        need(rig_job_generate(&j, &r, &p, 32), "generate");
        close_job(&j, &r, &p);
        if (n % group == 0 || n == count) {
            double t = seconds();
            need(store_commit(r.store), "commit");
            commit_s += seconds() - t;
        }
    }
    double took = seconds() - start;
    need(store_lmdb_info(r.store, &after), "info");
    double check = seconds();
    need(ledger_check(&r.ledger, why), "check");
    check = seconds() - check;
    printf("%llu receipts, one commit per %llu: %.0f receipts/s, both sides' signatures and sums included; commits took %.0f %% of it "
           "(%.2f ms each); %.0f bytes of disk per receipt with its terms, claim, digest, note and indexes; full check %.0f receipts/s\n",
           (unsigned long long)count, (unsigned long long)group, (double)count / took, 100 * commit_s / took,
           1000 * commit_s / (double)((count + group - 1) / group),
           (double)(after.used_bytes - before.used_bytes) / (double)count, (double)count / check);
    party_fini(&r);
    party_fini(&p);
    static const char *const files[] = { "ledger.mdb", "ledger.mdb-lock", "ledger.lock" };
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
    return 0;
}
