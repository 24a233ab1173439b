/* catalog_posix.c - opens, hashes and remembers models and headers. */
#include "node/catalog_posix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/headercache_posix.h"
#include "node/model_id.h"

enum { PATH_CHARS = 600, HASHES_BYTES_MAX = 64 * 1024, HASH_SLICE_BYTES = 256 * 1024 * 1024 };

struct item {
    struct catalog_entry entry;
    struct modelfile file;                             /* served models */
    bool has_file, has_model;
    struct model model;
    uint8_t *header;                                   /* fetched headers: our copy */
    _Atomic uint32_t holders;
    uint64_t asked;                                    /* fetched headers: the catalog's clock when somebody last asked */
};

struct catalog {
    char cache_dir[PATH_CHARS], headers_dir[PATH_CHARS + 16];  /* empty: nothing is cached on disk */
    struct item *files[CATALOG_FILES_MAX], *fetched[CATALOG_FETCHED_MAX];
    uint32_t file_count, fetched_count;
    uint64_t fetched_bytes, clock;
    void (*progress)(void *ctx);
    void *progress_ctx;
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
        if (ftell(out) > HASHES_BYTES_MAX && ftruncate(fileno(out), 0) != 0)
            clearerr(out);                             /* only a cache, which grows on then */
        fprintf(out, "%s %s\n", key, hex);
        fclose(out);
    }
}

static struct hash tensors_hash(const struct catalog *c, struct bytes data)
{
    struct hasher h;
    struct hash out;
    hasher_init(&h, MODEL_TENSORS_DOMAIN);
    for (size_t at = 0; at < data.len;) {
        size_t n = data.len - at < HASH_SLICE_BYTES ? data.len - at : HASH_SLICE_BYTES;
        hasher_add(&h, bytes_of(data.data + at, n));
        at += n;
        if (c->progress)
            c->progress(c->progress_ctx);
    }
    hasher_finish(&h, &out);
    return out;
}

static void identify(struct catalog *c, struct item *i, const struct gguf *g)
{
    struct catalog_entry *e = &i->entry;
    e->header = g->header;
    e->header_hash = model_header_hash(g->header);
    if (!find_tensor_hash(c, &i->file, &e->tensor_hash)) {
        e->tensor_hash = tensors_hash(c, g->data);
        keep_tensor_hash(c, &i->file, &e->tensor_hash);
    }
    e->id = model_id_of(&e->header_hash, &e->tensor_hash);
}

enum err catalog_add_file(struct catalog *c, const char *name, const char *path, const struct catalog_entry **out, struct fault *why)
{
    struct gguf g;
    struct fault inner = { { 0 } };
    if (c->file_count == CATALOG_FILES_MAX)
        return fault_set(why, ERR_FULL, "%.100s: more than %d model files", path, CATALOG_FILES_MAX);
    struct item *i = calloc(1, sizeof *i);
    if (!i)
        return fault_set(why, ERR_MEMORY, "%.100s: no memory", path);
    enum err e = modelfile_open(path, &i->file, &inner);
    i->has_file = e == OK;
    if (e == OK && (e = gguf_open(i->file.bytes, false, &g, &inner)) == OK) {
        e = open_text_side(i, &g, name, &inner);
        if (e == OK && (e = model_open(&g, &i->model, &inner)) == OK) {
            i->has_model = true;
            i->model.release = modelfile_release;
            i->entry.model = &i->model;
            i->entry.file = &i->file;
            identify(c, i, &g);
        }
        gguf_close(&g);
    }
    if (e != OK) {
        item_free(i);
        return fault_set(why, e, "%.100s: %.130s", path, inner.text[0] ? inner.text : err_text(e));
    }
    c->files[c->file_count++] = i;
    *out = &i->entry;
    return OK;
}

bool catalog_is_current(const struct catalog_entry *e, const char *path)
{
    return e->file && modelfile_is_unchanged(e->file, path);
}

/* ---- fetched headers ---- */

static void asked_for(struct catalog *c, struct item *i) { i->asked = ++c->clock; }

static bool is_held(struct item *i) { return atomic_load_explicit(&i->holders, memory_order_acquire) > 0; }

static void evict(struct catalog *c, uint32_t idx)
{
    struct item *i = c->fetched[idx];
    c->fetched[idx] = c->fetched[--c->fetched_count];
    c->fetched_bytes -= i->entry.header.len;
    item_free(i);
}

/* A place for a header of so many bytes, at the cost of those that nobody holds; false if too many are held. */
static bool make_room(struct catalog *c, size_t bytes)
{
    while (c->fetched_count == CATALOG_FETCHED_MAX || c->fetched_bytes + bytes > CATALOG_FETCHED_BYTES_MAX) {
        uint32_t oldest = CATALOG_FETCHED_MAX;
        for (uint32_t i = 0; i < c->fetched_count; i++)
            if (!is_held(c->fetched[i]) && (oldest == CATALOG_FETCHED_MAX || c->fetched[i]->asked < c->fetched[oldest]->asked))
                oldest = i;
        if (oldest == CATALOG_FETCHED_MAX)
            return false;
        evict(c, oldest);
    }
    return true;
}

static enum err open_header(struct item *i, struct bytes header, struct fault *why)
{
    struct gguf g;
    i->header = malloc(header.len ? header.len : 1);
    if (!i->header)
        return fault_set(why, ERR_MEMORY, "no memory for a model's header");
    memcpy(i->header, header.data, header.len);
    i->entry.header = bytes_of(i->header, header.len);
    i->entry.holders = &i->holders;
    enum err e = gguf_open(i->entry.header, true, &g, why);
    if (e == OK) {
        e = open_text_side(i, &g, NULL, why);
        gguf_close(&g);
    }
    return e;
}

static enum err add_header(struct catalog *c, const struct hash *id, const struct hash *tensor_hash, struct bytes header,
                           const struct catalog_entry **out, struct fault *why)
{
    struct hash header_hash = model_header_hash(header), computed = model_id_of(&header_hash, tensor_hash);
    if (!hash_equal(&computed, id))
        return fault_set(why, ERR_MISMATCH, "the header does not belong to this model id");
    if (header.len > HEADER_BYTES_MAX || !make_room(c, header.len))
        return fault_set(why, ERR_FULL, "requests for too many different models are open; try again");
    struct item *i = calloc(1, sizeof *i);
    if (!i)
        return fault_set(why, ERR_MEMORY, "no memory for a model's header");
    i->entry.id = *id;
    i->entry.header_hash = header_hash;
    i->entry.tensor_hash = *tensor_hash;
    enum err e = open_header(i, header, why);
    if (e != OK) {
        item_free(i);
        return e;
    }
    asked_for(c, i);
    c->fetched[c->fetched_count++] = i;
    c->fetched_bytes += header.len;
    *out = &i->entry;
    return OK;
}

enum err catalog_add_header(struct catalog *c, const struct hash *id, const struct hash *tensor_hash,
                            struct bytes header, const struct catalog_entry **out, struct fault *why)
{
    *out = catalog_find(c, id);
    if (*out)
        return OK;
    enum err e = add_header(c, id, tensor_hash, header, out, why);
    if (e == OK && c->headers_dir[0])
        headercache_keep(c->headers_dir, id, tensor_hash, header);
    return e;
}

static const struct catalog_entry *find_on_disk(struct catalog *c, const struct hash *id)
{
    const struct catalog_entry *entry = NULL;
    struct modelfile f;
    struct hash tensors;
    struct fault why;
    if (!c->headers_dir[0] || headercache_open(c->headers_dir, id, &f) != OK)
        return NULL;
    enum err e = ERR_FORMAT;
    if (f.bytes.len > HASH_BYTES) {
        memcpy(tensors.b, f.bytes.data, HASH_BYTES);
        e = add_header(c, id, &tensors, bytes_of(f.bytes.data + HASH_BYTES, f.bytes.len - HASH_BYTES), &entry, &why);
    }
    modelfile_close(&f);
    if (e != OK && e != ERR_FULL && e != ERR_MEMORY)
        headercache_drop(c->headers_dir, id);          /* damaged: it is fetched again */
    return entry;
}

const struct catalog_entry *catalog_find(struct catalog *c, const struct hash *id)
{
    for (uint32_t i = 0; i < c->file_count; i++)
        if (hash_equal(&c->files[i]->entry.id, id))
            return &c->files[i]->entry;
    for (uint32_t i = 0; i < c->fetched_count; i++)
        if (hash_equal(&c->fetched[i]->entry.id, id)) {
            asked_for(c, c->fetched[i]);
            return &c->fetched[i]->entry;
        }
    return find_on_disk(c, id);
}

uint32_t catalog_fetched(const struct catalog *c) { return c->fetched_count; }

/* ---- open and close ---- */

enum err catalog_open(const char *cache_dir, struct catalog **out)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_MEMORY;
    if (cache_dir && strlen(cache_dir) < sizeof c->cache_dir) {
        memcpy(c->cache_dir, cache_dir, strlen(cache_dir) + 1);
        snprintf(c->headers_dir, sizeof c->headers_dir, "%s/headers", cache_dir);
    }
    *out = c;
    return OK;
}

void catalog_close(struct catalog *c)
{
    for (uint32_t i = 0; i < c->file_count; i++)
        item_free(c->files[i]);
    for (uint32_t i = 0; i < c->fetched_count; i++) {
        ENSURE(!is_held(c->fetched[i]));
        item_free(c->fetched[i]);
    }
    free(c);
}

void catalog_on_progress(struct catalog *c, void (*progress)(void *ctx), void *ctx)
{
    c->progress = progress;
    c->progress_ctx = ctx;
}
