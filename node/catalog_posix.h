/* catalog_posix.h - the models this process can speak of: its own files, and headers fetched from providers.
 *
 * A header is enough to render, tokenise and count; a file is enough to run. Entries are never removed while the catalog
 * is open (at most CATALOG_ENTRIES_MAX), so a borrowed entry stays valid without counting references.
 *
 * Owns:    mappings, headers, tokenizers; all freed by catalog_close().
 * Threads: any; one lock inside. Entries are immutable once found.
 * Effects: maps files, reads and writes <cache_dir>/hashes (large hashes are cached by path, size, mtime and inode),
 *          keeps fetched headers in <cache_dir>/headers/<model id>.
 * Spec:    PROTO 8 (model id)
 */
#ifndef TALLYMESH_NODE_CATALOG_POSIX_H
#define TALLYMESH_NODE_CATALOG_POSIX_H

#include "crypto/hash.h"
#include "kernels/chat.h"
#include "kernels/model.h"
#include "kernels/tokenizer.h"
#include "node/event.h"

enum { CATALOG_ENTRIES_MAX = 64 };

struct catalog_entry {
    struct hash id, header_hash, tensor_hash;
    char name[MODEL_NAME_CHARS_MAX + 1];
    struct bytes header;
    struct model_config config;
    struct tokenizer *tokenizer;
    bool has_chat;                                     /* false: a template of no known family; plain completions work */
    struct chat chat;
    const struct model *model;                         /* NULL if only the header is here */
};

struct catalog;
/* cache_dir NULL: nothing is cached on disk. Known headers in cache_dir are opened. */
enum err catalog_open(const char *cache_dir, struct catalog **out) MUST_CHECK;
void catalog_close(struct catalog *c);

/* Maps, checks and hashes a GGUF file. name NULL: the file's general.name. *out is borrowed. */
enum err catalog_add_file(struct catalog *c, const char *name, const char *path, const struct catalog_entry **out, struct fault *why) MUST_CHECK;
/* Takes a copy. ERR_MISMATCH unless H(header), tensor_hash give id. */
enum err catalog_add_header(struct catalog *c, const char *name, const struct hash *id, const struct hash *tensor_hash,
                            struct bytes header, const struct catalog_entry **out, struct fault *why) MUST_CHECK;

const struct catalog_entry *catalog_find(struct catalog *c, const struct hash *id);     /* NULL if unknown */
const struct catalog_entry *catalog_find_name(struct catalog *c, const char *name);     /* a served one first */
uint32_t catalog_list(struct catalog *c, const struct catalog_entry **out, uint32_t max);

#endif
