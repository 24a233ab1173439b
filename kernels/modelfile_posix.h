/* modelfile_posix.h - the bytes of a model file, without reading them.
 *
 * Maps a regular file read-only and private; pages come from the page cache, so many processes share one copy and
 * opening costs nothing. The only file of kernels/ that touches the file system.
 *
 * If somebody truncates the file while it is mapped, touching the missing pages raises SIGBUS and the process dies: no
 * check beforehand can prevent it, and a copy in memory would double what a model costs. So model files must be
 * replaced by renaming a new file over the old name, never edited in place; modelfile_is_unchanged() lets a daemon
 * notice an edit before it starts the next job. A read error of the disk shows itself the same way.
 *
 * Owns:    the mapping; the file descriptor is closed again at once.
 * Threads: read-only after opening.
 * Effects: file system.
 */
#ifndef TALLYMESH_KERNELS_MODELFILE_POSIX_H
#define TALLYMESH_KERNELS_MODELFILE_POSIX_H

#include "crypto/base.h"
#include "kernels/fault.h"

/* The largest open model today is near 2 TB; beyond that it is a mistake or an attack on our address space. */
#define MODELFILE_BYTES_MAX ((uint64_t)4 << 40)

struct modelfile {
    struct bytes bytes;      /* the whole file, page-aligned; never empty */
    uint64_t device, inode;  /* which file it is */
    int64_t modified_ns;     /* as the file system gave it when the file was opened */
};

/* ERR_NOT_FOUND; ERR_PERMISSION; ERR_FORMAT: empty, or not a regular file; ERR_TOO_LARGE: over MODELFILE_BYTES_MAX or
 * more than a pointer can address; ERR_IO: the system's own words are in *why. */
enum err modelfile_open(const char *path, struct modelfile *out, struct fault *why) MUST_CHECK;
void modelfile_close(struct modelfile *f);

/* These bytes of a mapped file will hardly be read again: the pages wholly inside leave our memory, and reading them
 * brings them back from the file. Never for memory that is not such a mapping: it would be lost. */
void modelfile_release(const void *stored, size_t bytes);

/* False if `path` no longer names the very file that was mapped, or its size or time of change differ. */
bool modelfile_is_unchanged(const struct modelfile *f, const char *path);

#endif
