/* store_mem.h - a store that lives in memory: the simulator's disk, and the oracle that store_lmdb is compared with.
 *
 * "Durable" here means: survives store_mem_crash(). Behaves like the real one in everything a ledger can see: lazily begun
 * transactions, sticky failure, full disk. Faults are injected by count, so that a failure is a number.
 *
 * Owns:    all entries; at most bytes_max of keys and values, then ERR_DISK_FULL.
 * Threads: one.
 */
#ifndef TALLYMESH_LEDGER_STORE_MEM_H
#define TALLYMESH_LEDGER_STORE_MEM_H

#include "ledger/store.h"

struct store_mem;

/* ERR_MEMORY. bytes_max 0: no limit but the machine's. */
enum err store_mem_open(size_t bytes_max, struct store_mem **out) MUST_CHECK;
struct store *store_mem_store(struct store_mem *m);        /* borrowed; store_close() on it frees m */

/* Power off and on: everything since the last commit is gone. */
void store_mem_crash(struct store_mem *m);
/* The n-th call from now (1 = the next) that can fail does, with `e`, and all calls until store_abort() or a crash too.
 * 0: never. */
void store_mem_fail_at(struct store_mem *m, uint64_t n, enum err e);
/* For whoever checks: the same entries, uncommitted ones included, read-only. Its calls are not counted, none of them meets an
 * injected fault, and the error that sticks to the store itself is not seen here. Borrowed; lives as long as m. */
struct store *store_mem_reader(struct store_mem *m);
/* Calls that could have failed so far. */
uint64_t store_mem_calls(const struct store_mem *m);
uint64_t store_mem_commits(const struct store_mem *m);     /* commits that wrote something */
size_t store_mem_bytes(const struct store_mem *m);

#endif
