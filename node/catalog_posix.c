/* catalog_posix.c - opens, hashes and remembers models and headers. */
#include "node/catalog_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/modelfile_posix.h"
#include "node/model_id.h"

enum { PATH_CHARS = 600, HASH_LINES_MAX = 256 };

struct item {
    struct catalog_entry entry;
    struct modelfile file;                             /* served models */
    bool has_file, has_model;
    struct model model;
    uint8_t *header;                                   /* fetched headers: our copy */
};

struct catalog {
    pthread_mutex_t lock;
    char cache_dir[PATH_CHARS];                        /* empty: nothing is cached on disk */
    struct item *items[CATALOG_ENTRIES_MAX];
    uint32_t count;
};

static void item_free(struct item *i)
{
    if (!i)
        return;
    tokenizer_close(i->entry.tokenizer);
    if (i->has_model)
        model_close(&i->model);
    if (i->has_file)
        modelfile_close(&i->file);
    free(i->header);
    free(i);
}

static void name_from_file(const struct gguf *g, char out[MODEL_NAME_CHARS_MAX + 1])
{
    struct bytes b;
    size_t n = 0;
    if (gguf_get_string(g, "general.name", &b) != OK || b.len == 0)
        b = bytes_text("model");
    for (size_t i = 0; i < b.len && n < MODEL_NAME_CHARS_MAX; i++) {
        char c = (char)b.data[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        out[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : word ? c : '-';
    }
    out[n] = 0;
}

/* What rendering and counting need: name, configuration, tokenizer, template. */
static enum err open_text_side(struct item *i, const struct gguf *g, const char *name, struct fault *why)
{
    struct fault chat_why;
    enum err e = model_open_header(g, &i->entry.config, why);
    if (e == OK)
        e = tokenizer_open(g, &i->entry.tokenizer, why);
    if (e != OK)
        return e;
    i->entry.has_chat = chat_open(g, i->entry.tokenizer, &i->entry.chat, &chat_why) == OK;
    if (name)
        snprintf(i->entry.name, sizeof i->entry.name, "%s", name);
    else
        name_from_file(g, i->entry.name);
    return OK;
}

/* ---- hashes of large files, remembered by what identifies a file's content ---- */

static FILE *open_hashes(const struct catalog *c, const char *mode)
{
    char path[PATH_CHARS + 16];
    snprintf(path, sizeof path, "%s/hashes", c->cache_dir);
    return c->cache_dir[0] ? fopen(path, mode) : NULL;
}

static void hash_key(const struct modelfile *f, char out[128])
{
    snprintf(out, 128, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%zx", f->device, f->inode, (uint64_t)f->modified_ns, f->bytes.len);
}

static bool find_tensor_hash(const struct catalog *c, const struct modelfile *f, struct hash *out)
{
    char key[128], line[256], hex[HASH_HEX_CHARS + 1], found[128];
    FILE *in = open_hashes(c, "re");
    bool hit = false;
    hash_key(f, key);
    while (in && fgets(line, sizeof line, in))         /* the last line for a key wins */
        if (sscanf(line, "%127s %64s", found, hex) == 2 && strcmp(found, key) == 0)
            hit = hash_parse(hex, out) == OK;
    if (in)
        fclose(in);
    return hit;
}

static void keep_tensor_hash(const struct catalog *c, const struct modelfile *f, const struct hash *h)
{
    char key[128], hex[HASH_HEX_CHARS + 1];
    FILE *out = open_hashes(c, "ae");
    hash_key(f, key);
    hash_format(h, hex);
    if (out) {
        fprintf(out, "%s %s\n", key, hex);
        fclose(out);
    }
}

static void identify(struct catalog *c, struct item *i, const struct gguf *g)
{
    struct catalog_entry *e = &i->entry;
    e->header = g->header;
    e->header_hash = model_header_hash(g->header);
    if (!find_tensor_hash(c, &i->file, &e->tensor_hash)) {
        e->tensor_hash = hash_of(MODEL_TENSORS_DOMAIN, g->data);
        keep_tensor_hash(c, &i->file, &e->tensor_hash);
    }
    e->id = model_id_of(&e->header_hash, &e->tensor_hash);
}

static enum err add_item(struct catalog *c, struct item *i, const struct catalog_entry **out)
{
    pthread_mutex_lock(&c->lock);
    bool room = c->count < CATALOG_ENTRIES_MAX;
    if (room)
        c->items[c->count++] = i;
    pthread_mutex_unlock(&c->lock);
    if (!room) {
        item_free(i);
        return ERR_FULL;
    }
    *out = &i->entry;
    return OK;
}

enum err catalog_add_file(struct catalog *c, const char *name, const char *path, const struct catalog_entry **out, struct fault *why)
{
    struct item *i = calloc(1, sizeof *i);
    struct gguf g;
    struct fault inner = { { 0 } };
    if (!i)
        return ERR_MEMORY;
    enum err e = modelfile_open(path, &i->file, &inner);
    i->has_file = e == OK;
    if (e == OK && (e = gguf_open(i->file.bytes, false, &g, &inner)) == OK) {
        e = open_text_side(i, &g, name, &inner);
        if (e == OK && (e = model_open(&g, &i->model, &inner)) == OK) {
            i->has_model = true;
            i->entry.model = &i->model;
            identify(c, i, &g);
        }
        gguf_close(&g);
    }
    if (e != OK) {
        item_free(i);
        return fault_set(why, e, "%.100s: %.130s", path, inner.text[0] ? inner.text : err_text(e));
    }
    return add_item(c, i, out);
}

/* ---- fetched headers: <cache_dir>/headers/<model id> = tensor hash (32) || header ---- */

static void write_header(const struct catalog *c, const struct catalog_entry *e)
{
    char path[PATH_CHARS + HASH_HEX_CHARS + 24], temp[PATH_CHARS + HASH_HEX_CHARS + 32], hex[HASH_HEX_CHARS + 1];
    if (!c->cache_dir[0])
        return;
    hash_format(&e->id, hex);
    snprintf(path, sizeof path, "%s/headers", c->cache_dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/headers/%s", c->cache_dir, hex);
    snprintf(temp, sizeof temp, "%s.new", path);
    FILE *f = fopen(temp, "we");
    if (!f)
        return;                                        /* only a cache: without it the header is fetched again */
    bool fine = fwrite(e->tensor_hash.b, 1, HASH_BYTES, f) == HASH_BYTES && fwrite(e->header.data, 1, e->header.len, f) == e->header.len;
    fine = fclose(f) == 0 && fine;
    if (!fine || rename(temp, path) != 0)
        unlink(temp);
}

static enum err add_header(struct catalog *c, const char *name, const struct hash *id, const struct hash *tensor_hash,
                           struct bytes header, const struct catalog_entry **out, struct fault *why)
{
    struct gguf g;
    struct hash header_hash = model_header_hash(header), computed = model_id_of(&header_hash, tensor_hash);
    if (!hash_equal(&computed, id))
        return fault_set(why, ERR_MISMATCH, "the header does not belong to this model id");
    struct item *i = calloc(1, sizeof *i);
    if (!i || !(i->header = malloc(header.len ? header.len : 1))) {
        item_free(i);
        return ERR_MEMORY;
    }
    memcpy(i->header, header.data, header.len);
    i->entry.id = *id;
    i->entry.header_hash = header_hash;
    i->entry.tensor_hash = *tensor_hash;
    i->entry.header = bytes_of(i->header, header.len);
    enum err e = gguf_open(i->entry.header, true, &g, why);
    if (e == OK) {
        e = open_text_side(i, &g, name, why);
        gguf_close(&g);
    }
    if (e != OK) {
        item_free(i);
        return e;
    }
    return add_item(c, i, out);
}

enum err catalog_add_header(struct catalog *c, const char *name, const struct hash *id, const struct hash *tensor_hash,
                            struct bytes header, const struct catalog_entry **out, struct fault *why)
{
    *out = catalog_find(c, id);
    if (*out)
        return OK;
    enum err e = add_header(c, name, id, tensor_hash, header, out, why);
    if (e == OK)
        write_header(c, *out);
    return e;
}

static void read_headers(struct catalog *c)
{
    char path[PATH_CHARS + 300];
    snprintf(path, sizeof path, "%s/headers", c->cache_dir);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        struct hash id, tensors;
        struct modelfile f;
        struct fault why;
        const struct catalog_entry *entry;
        if (hash_parse(d->d_name, &id) != OK)
            continue;
        snprintf(path, sizeof path, "%s/headers/%s", c->cache_dir, d->d_name);
        if (modelfile_open(path, &f, &why) != OK)
            continue;
        bool good = false;
        if (f.bytes.len > HASH_BYTES) {
            memcpy(tensors.b, f.bytes.data, HASH_BYTES);
            good = add_header(c, NULL, &id, &tensors, bytes_of(f.bytes.data + HASH_BYTES, f.bytes.len - HASH_BYTES), &entry, &why) == OK;
        }
        modelfile_close(&f);
        if (!good)
            unlink(path);                              /* a damaged cache entry is fetched again */
    }
    if (dir)
        closedir(dir);
}

enum err catalog_open(const char *cache_dir, struct catalog **out)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_MEMORY;
    pthread_mutex_init(&c->lock, NULL);
    if (cache_dir && strlen(cache_dir) < sizeof c->cache_dir) {
        memcpy(c->cache_dir, cache_dir, strlen(cache_dir) + 1);
        read_headers(c);
    }
    *out = c;
    return OK;
}

void catalog_close(struct catalog *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        item_free(c->items[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const struct catalog_entry *catalog_find(struct catalog *c, const struct hash *id)
{
    const struct catalog_entry *best = NULL;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->count; i++)
        if (hash_equal(&c->items[i]->entry.id, id) && (!best || (!best->model && c->items[i]->entry.model)))
            best = &c->items[i]->entry;
    pthread_mutex_unlock(&c->lock);
    return best;
}

const struct catalog_entry *catalog_find_name(struct catalog *c, const char *name)
{
    const struct catalog_entry *best = NULL;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < c->count; i++)
        if (strcmp(c->items[i]->entry.name, name) == 0 && (!best || (!best->model && c->items[i]->entry.model)))
            best = &c->items[i]->entry;
    pthread_mutex_unlock(&c->lock);
    return best;
}

uint32_t catalog_list(struct catalog *c, const struct catalog_entry **out, uint32_t max)
{
    uint32_t n = 0;
    pthread_mutex_lock(&c->lock);
    for (; n < c->count && n < max; n++)
        out[n] = &c->items[n]->entry;
    pthread_mutex_unlock(&c->lock);
    return n;
}
