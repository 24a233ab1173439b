/* headercache_posix.h - which headers of other nodes' models were fetched before?
 *
 * <folder>/<model id> = tensor hash (32 bytes) || header. Only a cache: what cannot be read or written is fetched again, and
 * nobody is told. Whoever reads one checks it against the model id, so its content is trusted as little as the network.
 *
 * Owns:    the folder's files: at most HEADERCACHE_FILES_MAX and HEADERCACHE_BYTES_MAX; those unused for longest go first.
 * Threads: one process at a time writes; blocking.
 * Effects: files.
 */
#ifndef TALLYMESH_NODE_HEADERCACHE_POSIX_H
#define TALLYMESH_NODE_HEADERCACHE_POSIX_H

#include "crypto/hash.h"
#include "kernels/modelfile_posix.h"

enum { HEADERCACHE_FILES_MAX = 128, HEADERCACHE_BYTES_MAX = 512 * 1024 * 1024 };

/* Maps the file and notes that it was used. ERR_NOT_FOUND and the like. */
enum err headercache_open(const char *folder, const struct hash *id, struct modelfile *out) MUST_CHECK;
/* Writes it, then removes the oldest over the bounds. */
void headercache_keep(const char *folder, const struct hash *id, const struct hash *tensor_hash, struct bytes header);
void headercache_drop(const char *folder, const struct hash *id);          /* it was damaged */

#endif
