/* gguf.h - what does this GGUF file say, and is every byte of it where it says?
 *
 * A reader for GGUF versions 2 and 3 over bytes that somebody else keeps: normally a read-only mapping of the whole
 * file (modelfile_posix.h), or just its header as fetched from a provider. gguf_open() walks the header once, checks
 * every count, length, type, name, shape and offset against the bytes that are really there, and builds two small
 * tables (entries and tensors). After that, lookups cannot fail on a malformed file any more.
 *
 *   [0, data_start)       header: "GGUF", version, counts, metadata entries, tensor infos, padding   -> gguf.header
 *   [data_start, end)     tensor data, each tensor padded to the alignment; what follows the last
 *                         tensor belongs to it too                                                     -> gguf.data
 *
 * The two ranges touch and cover the file: the model id is a hash over (hash of header, hash of data), computed by
 * others over exactly these ranges. Someone who holds only the header can check it against the model id and learn
 * shapes, tokenizer and template; open it with header_only = true.
 *
 * What is refused, always with a sentence (fault.h): another magic or version, big-endian files, split files (by
 * model_open), counts that do not fit the bytes present, unknown value types, nested arrays, booleans other than 0
 * and 1, keys or tensor names that are empty, too long or repeated, an alignment that is no power of two from 8 to
 * 65536, tensor types that GGUF does not have, rows that are no whole number of blocks, offsets off the alignment,
 * overlapping tensors and tensors beyond the end.
 *
 * Owns:    the two tables (heap, sized by counts checked against the file's length). All strings and tensor data are
 *          borrowed from `file`, which must outlive the struct.
 * Threads: none inside; after gguf_open() the struct is read-only and any thread may look things up.
 * Effects: heap memory only.
 */
#ifndef TALLYMESH_KERNELS_GGUF_H
#define TALLYMESH_KERNELS_GGUF_H

#include "crypto/base.h"
#include "kernels/fault.h"
#include "kernels/tensor.h"

/* Bounds on what a file may ask of us. The largest public headers are about 12 MB with some 1,000 tensors. */
enum {
    GGUF_HEADER_BYTES_MAX = 64 << 20,
    GGUF_ENTRIES_MAX = 4096,
    GGUF_TENSORS_MAX = 65536,
    GGUF_KEY_BYTES_MAX = 256,
    GGUF_TENSOR_NAME_BYTES_MAX = 128,
    GGUF_ALIGNMENT_DEFAULT = 32,
    GGUF_ALIGNMENT_MIN = 8,        /* so that 4-byte values are aligned wherever the file is */
    GGUF_ALIGNMENT_MAX = 65536
};

enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12
};

/* One metadata entry. `value` are its stored bytes: a scalar as little-endian bytes; a string without its length; the
 * elements of an array without type and count (string elements with their u64 lengths, already checked to fit). */
struct gguf_entry {
    struct bytes key;
    enum gguf_type type;
    enum gguf_type element;   /* of an array; otherwise equal to type */
    uint64_t count;           /* elements of an array; otherwise 1 */
    struct bytes value;
};

struct gguf_tensor {
    struct bytes name;
    struct tensor tensor;     /* data points into the file; NULL if the file was opened header_only */
    uint64_t offset;          /* relative to the start of the data */
};

struct gguf {
    uint32_t version;         /* 2 or 3 */
    uint32_t alignment;
    uint64_t data_start;      /* bytes of header including its padding */
    struct bytes header;      /* [0, data_start) */
    struct bytes data;        /* [data_start, file.len); empty if header_only */
    uint64_t data_bytes;      /* at least this much data belongs to the tensors, known even if header_only */
    bool header_only;
    struct gguf_entry *entries;
    size_t n_entries;
    struct gguf_tensor *tensors;
    size_t n_tensors;
};

/* Opens and checks. header_only: `file` need hold only the header, and data pointers stay NULL; bytes after the header
 * are ignored. On failure *out is untouched and *why (may be NULL) says what is wrong:
 * ERR_FORMAT malformed, ERR_VERSION not version 2 or 3, ERR_TOO_LARGE over a bound, ERR_UNSUPPORTED a type we do not
 * know, ERR_MEMORY. Pair with gguf_close(). */
enum err gguf_open(struct bytes file, bool header_only, struct gguf *out, struct fault *why) MUST_CHECK;
void gguf_close(struct gguf *g);

/* Borrowed, or NULL. */
const struct gguf_entry *gguf_find(const struct gguf *g, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed lookups. Integers are lenient, because writers differ: any integer type is taken if the value fits; f32 and
 * f64 are both taken as float. ERR_NOT_FOUND: no such key; ERR_TYPE: another kind of value; ERR_OVERFLOW: does not fit
 * (a float that is not finite counts as that). *out is untouched on failure. */
enum err gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out) MUST_CHECK;
enum err gguf_get_f32(const struct gguf *g, const char *key, float *out) MUST_CHECK;
enum err gguf_get_bool(const struct gguf *g, const char *key, bool *out) MUST_CHECK;
/* The string's bytes, borrowed from the file; not NUL-terminated. */
enum err gguf_get_string(const struct gguf *g, const char *key, struct bytes *out) MUST_CHECK;

/* Element idx < count of an array (or idx 0 of a scalar) as integer or float. Codes as above. */
enum err gguf_element_u32(const struct gguf_entry *e, uint64_t idx, uint32_t *out) MUST_CHECK;
enum err gguf_element_f32(const struct gguf_entry *e, uint64_t idx, float *out) MUST_CHECK;

/* Walks an array of strings in order: start with *cursor = 0; false after the last. ENSUREs that it is one. */
bool gguf_next_string(const struct gguf_entry *e, size_t *cursor, struct bytes *out);

#endif
