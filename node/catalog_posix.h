/* catalog_posix.h - the models this process can speak of: its own files, and headers fetched from providers.
 *
 * A header is enough to render, tokenise and count; a file is enough to run. A file's entry stays until the catalog closes,
 * and files have places of their own: no number of fetched headers keeps a model from being served. Fetched headers have
 * CATALOG_FETCHED_MAX places; when they are all taken, the one that nobody holds and nobody asked for in the longest time
 * gives way (its copy on disk stays, headercache_posix.h, and is opened when it is asked for again).
 *
 * So: what catalog_find() and catalog_add_header() return is good until the next call of either. Whoever needs it longer
 * calls catalog_hold() at once and catalog_release() when done.
 *
 * Owns:    mappings, headers, tokenizers; all freed by catalog_close(), when nothing may be held any more.
 * Threads: catalog_* from one thread, but catalog_release() from any. A held entry is immutable and may be read by any.
 * Effects: maps files, reads and writes <cache_dir>/hashes (large hashes are cached by path, size, mtime and inode),
 *          keeps fetched headers in <cache_dir>/headers.
 * Spec:    PROTO 8 (model id)
 */
#ifndef TALLYMESH_NODE_CATALOG_POSIX_H
#define TALLYMESH_NODE_CATALOG_POSIX_H

#include <stdatomic.h>

#include "crypto/hash.h"
#include "kernels/chat.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "kernels/tokenizer.h"
#include "node/event.h"

enum {
    CATALOG_FILES_MAX = 16,
    CATALOG_FETCHED_MAX = 32,
    CATALOG_FETCHED_BYTES_MAX = 4 * HEADER_BYTES_MAX,      /* of headers; their tokenizers take about as much again */
};

struct catalog_entry {
    struct hash id, header_hash, tensor_hash;
    char name[MODEL_NAME_CHARS_MAX + 1];
    struct bytes header;
    struct model_config config;
    struct tokenizer *tokenizer;
    bool has_chat;                                     /* false: a template of no known family; plain completions work */
    struct chat chat;
    const struct model *model;                         /* NULL if only the header is here */
    const struct modelfile *file;                      /* what the model was read from; NULL likewise */
    _Atomic uint32_t *holders;                         /* NULL: stays until the catalog closes */
};

struct catalog;
/* cache_dir NULL: nothing is cached on disk. */
enum err catalog_open(const char *cache_dir, struct catalog **out) MUST_CHECK;
void catalog_close(struct catalog *c);

/* Called now and then while a large file is hashed: a node that has just been given one says that it lives. */
void catalog_on_progress(struct catalog *c, void (*progress)(void *ctx), void *ctx);

/* Maps, checks and hashes a GGUF file. name NULL: the file's general.name. ERR_FULL over CATALOG_FILES_MAX. */
enum err catalog_add_file(struct catalog *c, const char *name, const char *path, const struct catalog_entry **out, struct fault *why) MUST_CHECK;
/* False if `path` no longer names the file that was added from there, or it was written to since. */
bool catalog_is_current(const struct catalog_entry *e, const char *path);
/* Takes a copy. ERR_MISMATCH unless H(header), tensor_hash give id; ERR_FULL if every place is held. */
enum err catalog_add_header(struct catalog *c, const struct hash *id, const struct hash *tensor_hash,
                            struct bytes header, const struct catalog_entry **out, struct fault *why) MUST_CHECK;

/* A served one first; then in memory; then on disk. NULL if unknown. */
const struct catalog_entry *catalog_find(struct catalog *c, const struct hash *id);

static inline void catalog_hold(const struct catalog_entry *e)
{
    if (e->holders)
        atomic_fetch_add_explicit(e->holders, 1, memory_order_relaxed);
}

/* The holder's reads are done before the count falls, and whoever frees the entry reads the count first. */
static inline void catalog_release(const struct catalog_entry *e)
{
    if (e->holders)
        atomic_fetch_sub_explicit(e->holders, 1, memory_order_release);
}

/* Fetched headers in memory. */
uint32_t catalog_fetched(const struct catalog *c);

#endif
