/* codec.h - the only code that reads or writes wire and disk bytes: canonical msgpack, arrays only.
 *
 * Profile (PROTO 2.1): fixed-length arrays, unsigned integers in shortest form, `bin` in shortest length form for every
 * byte string and text. No maps, str, floats, negative numbers, nil, bool or ext. Decoding accepts nothing else, so
 * every value has exactly one encoding and equal bytes mean equal statements.
 *
 * Owns:    nothing; writers fill the caller's buffer, readers lend views into the caller's bytes.
 * Threads: pure; any thread.
 * Sticky:  after the first failure a writer writes nothing and a reader yields zeros and empty views; ask once at the end.
 */
#ifndef TALLYMESH_CRYPTO_CODEC_H
#define TALLYMESH_CRYPTO_CODEC_H

#include "crypto/hash.h"
#include "crypto/key.h"

enum { CODEC_DEPTH_MAX = 8 };                              /* nested arrays in one value; deepest message uses 4 */

struct writer {
    uint8_t *buf;
    size_t cap, len;
    bool failed;                                           /* did not fit */
};
void writer_init(struct writer *w, void *buf, size_t cap);
void write_array(struct writer *w, uint32_t count);
void write_uint(struct writer *w, uint64_t v);
void write_bin(struct writer *w, struct bytes b);
void write_text(struct writer *w, const char *text);       /* as bin */
void write_hash(struct writer *w, const struct hash *h);
void write_pubkey(struct writer *w, const struct pubkey *k);
void write_sig(struct writer *w, const struct sig *s);
void write_raw(struct writer *w, struct bytes encoded);    /* an already encoded value, copied as one element */
/* OK and a view of what was written, or ERR_TOO_LARGE. */
enum err writer_finish(const struct writer *w, struct bytes *out) MUST_CHECK;

/* The rule for text on the wire: UTF-8 without control characters, line separators or direction overrides, so that a
 * stranger's text cannot rewrite a terminal or a log line. Check configured text with it before writing it. */
bool text_is_printable(struct bytes text);

struct reader {
    const uint8_t *p, *end;
    enum err failed;                                       /* OK so far, or the first failure */
};
void reader_init(struct reader *r, struct bytes b);
void read_array(struct reader *r, uint32_t count);         /* exactly this count, else the reader fails */
uint32_t read_array_max(struct reader *r, uint32_t max);   /* any count up to max; 0 on failure */
void read_version(struct reader *r, uint64_t version);     /* exactly this uint, else ERR_VERSION */
uint64_t read_uint(struct reader *r, uint64_t max);        /* fails with ERR_OVERFLOW above max */
struct bytes read_bin(struct reader *r, size_t min, size_t max);   /* lent until the input goes; ERR_TOO_LARGE outside */
/* Printable UTF-8 shorter than cap. out is NUL-terminated, and "" on failure. */
void read_text(struct reader *r, char *out, size_t cap);
void read_hash(struct reader *r, struct hash *out);        /* on failure out is zeroed */
void read_pubkey(struct reader *r, struct pubkey *out);
void read_sig(struct reader *r, struct sig *out);
/* One whole encoded value of at most max bytes, checked canonical and nested no deeper than CODEC_DEPTH_MAX; lent. */
struct bytes read_raw(struct reader *r, size_t max);
bool reader_ok(const struct reader *r);
/* OK if every field was fine and nothing is left over; else the first failure or ERR_ENCODING for leftovers. */
enum err reader_finish(const struct reader *r) MUST_CHECK;

#endif
