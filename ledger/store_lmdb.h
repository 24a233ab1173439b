/* store_lmdb.h - the ledger's records in an LMDB file. The only file that includes lmdb.h.
 *
 * Owns:    the environment; file ledger.mdb and its lock in the node's data folder, 0600 in a folder of 0700.
 * Threads: one per handle. The daemon writes; wallet commands open the same file read-only from another process.
 *          Never two handles on one file in one process (LMDB's file locks do not survive it): ERR_STATE.
 * Effects: default sync mode: when commit has returned OK, data and meta page are on the disk. Other modes are faster and
 *          lose acknowledged receipts when power fails, so there is no option for them.
 * Readers: a read transaction that stays open makes the file grow without end, so none outlives a commit or abort;
 *          slots of dead readers are cleared at open and every minute of commits.
 */
#ifndef TALLYMESH_LEDGER_STORE_LMDB_H
#define TALLYMESH_LEDGER_STORE_LMDB_H

#include "ledger/store.h"

struct store_lmdb_config {
    const char *folder;                                    /* created 0700 if absent (unless read_only) */
    uint64_t map_bytes;                                    /* address space, sparse; 0: 64 GiB (1 on 32 bits or sanitized) */
    bool read_only;                                        /* the wallet's: ERR_NOT_FOUND if there is no ledger yet */
};

/* ERR_NOT_FOUND, ERR_PERMISSION (the folder or file is open to others, or not ours), ERR_STATE (another process has it
 * open for writing, or this one has it open), ERR_CORRUPT, ERR_VERSION, ERR_IO, ERR_MEMORY. */
enum err store_lmdb_open(const struct store_lmdb_config *c, struct store **out) MUST_CHECK;

/* For `tally doctor`. Asking also clears the slots of dead readers. */
struct store_lmdb_info {
    char version[64];                                      /* the library's own words */
    bool version_is_known_bad;                             /* 0.9.26 to 0.9.31: see docs/disk-format.md */
    uint64_t map_bytes, used_bytes, file_bytes;
    uint32_t readers, readers_max, readers_cleared;
    bool synchronous;                                      /* always true here; read back from the environment */
};
enum err store_lmdb_info(struct store *s, struct store_lmdb_info *out) MUST_CHECK;

/* A compacted copy into a new file of mode 0600, flushed. ERR_EXISTS, ERR_IO. */
enum err store_lmdb_backup(struct store *s, const char *path) MUST_CHECK;

#endif
