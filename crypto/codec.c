/* codec.c - canonical msgpack (PROTO 2.1): msgpack-c packs into a bounded buffer, our own reader takes apart.
 *
 * msgpack-c's unpacker is not used: it reserves memory by what a header claims and accepts several encodings of one value.
 * It is the oracle in tests/unit/test_codec.c instead. The forms accepted here, with the values each may carry:
 *
 *   00..7f        uint 0..127            90..9f        array 0..15
 *   cc u8         uint 128..255          dc u16        array 16..65535
 *   cd u16        uint 256..65535        dd u32        array 65536..
 *   ce u32        uint 65536..2^32-1     c4 u8  bytes  bin 0..255
 *   cf u64        uint 2^32..            c5 u16 bytes  bin 256..65535
 *                                        c6 u32 bytes  bin 65536..
 */
#include "crypto/codec.h"

#include <msgpack.h>
#include <string.h>

/* ---- writing ---- */

static int append(void *data, const char *buf, size_t len)
{
    struct writer *w = data;
    if (w->failed || len > w->cap - w->len) {
        w->failed = true;
        return -1;
    }
    if (len > 0)
        memcpy(w->buf + w->len, buf, len);
    w->len += len;
    return 0;
}

static msgpack_packer packer(struct writer *w)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, w, append);
    return pk;
}

void writer_init(struct writer *w, void *buf, size_t cap) { *w = (struct writer){ .buf = buf, .cap = cap }; }

void write_array(struct writer *w, uint32_t count)
{
    msgpack_packer pk = packer(w);
    msgpack_pack_array(&pk, count);                            /* a full buffer is remembered in w->failed */
}

void write_uint(struct writer *w, uint64_t v)
{
    msgpack_packer pk = packer(w);
    msgpack_pack_uint64(&pk, v);
}

void write_bin(struct writer *w, struct bytes b)
{
    if ((uint64_t)b.len > UINT32_MAX) {                             /* msgpack-c would cut the length to 32 bits */
        w->failed = true;
        return;
    }
    msgpack_packer pk = packer(w);
    msgpack_pack_bin(&pk, b.len);
    msgpack_pack_bin_body(&pk, b.data, b.len);
}

void write_text(struct writer *w, const char *text) { write_bin(w, bytes_text(text)); }
void write_hash(struct writer *w, const struct hash *h) { write_bin(w, bytes_of(h->b, HASH_BYTES)); }
void write_pubkey(struct writer *w, const struct pubkey *k) { write_bin(w, bytes_of(k->b, PUBKEY_BYTES)); }
void write_sig(struct writer *w, const struct sig *s) { write_bin(w, bytes_of(s->b, SIG_BYTES)); }

void write_raw(struct writer *w, struct bytes encoded)
{
    ENSURE(encoded.len > 0);
    append(w, (const char *)encoded.data, encoded.len);
}

enum err writer_finish(const struct writer *w, struct bytes *out)
{
    if (w->failed)
        return ERR_TOO_LARGE;
    *out = bytes_of(w->buf, w->len);
    return OK;
}

/* ---- reading ---- */

enum form { FORM_UINT, FORM_ARRAY, FORM_BIN };

/* One element's first bytes: a uint's value, an array's count or a bin's length (its bytes follow, not yet checked). */
struct head {
    enum form form;
    uint64_t value;
};

static void fail(struct reader *r, enum err e)
{
    if (r->failed == OK)
        r->failed = e;
    r->p = r->end;                                             /* nothing more is read: every later length is zero */
}

static size_t left(const struct reader *r) { return (size_t)(r->end - r->p); }

/* Big-endian integer of `size` bytes that must not fit the next shorter form, whose largest value is `shorter_max`. */
static uint64_t take_wide(struct reader *r, size_t size, uint64_t shorter_max)
{
    if (left(r) < size) {
        fail(r, ERR_ENCODING);
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v = (v << 8) | *r->p++;
    if (v <= shorter_max) {
        fail(r, ERR_ENCODING);
        return 0;
    }
    return v;
}

static struct head take_head(struct reader *r)
{
    if (left(r) == 0) {
        fail(r, ERR_ENCODING);
        return (struct head){ FORM_UINT, 0 };
    }
    uint8_t first = *r->p++;
    if (first <= 0x7f)
        return (struct head){ FORM_UINT, first };
    if (first >= 0x90 && first <= 0x9f)
        return (struct head){ FORM_ARRAY, first & 0x0fu };
    switch (first) {
    case 0xcc: return (struct head){ FORM_UINT, take_wide(r, 1, 0x7f) };
    case 0xcd: return (struct head){ FORM_UINT, take_wide(r, 2, UINT8_MAX) };
    case 0xce: return (struct head){ FORM_UINT, take_wide(r, 4, UINT16_MAX) };
    case 0xcf: return (struct head){ FORM_UINT, take_wide(r, 8, UINT32_MAX) };
    case 0xdc: return (struct head){ FORM_ARRAY, take_wide(r, 2, 15) };
    case 0xdd: return (struct head){ FORM_ARRAY, take_wide(r, 4, UINT16_MAX) };
    case 0xc4: break;                                          /* below: its length may be 0, which take_wide refuses */
    case 0xc5: return (struct head){ FORM_BIN, take_wide(r, 2, UINT8_MAX) };
    case 0xc6: return (struct head){ FORM_BIN, take_wide(r, 4, UINT16_MAX) };
    default:
        fail(r, ERR_ENCODING);
        return (struct head){ FORM_UINT, 0 };
    }
    if (left(r) == 0) {
        fail(r, ERR_ENCODING);
        return (struct head){ FORM_BIN, 0 };
    }
    return (struct head){ FORM_BIN, *r->p++ };
}

/* The value of the next element if it has this form; 0 and a failed reader otherwise. */
static uint64_t take(struct reader *r, enum form form)
{
    struct head h = take_head(r);
    if (h.form != form)
        fail(r, ERR_ENCODING);
    return reader_ok(r) ? h.value : 0;
}

void reader_init(struct reader *r, struct bytes b)
{
    static const uint8_t nothing[1];
    const uint8_t *p = b.len > 0 ? b.data : nothing;           /* never arithmetic on NULL */
    *r = (struct reader){ .p = p, .end = p + b.len, .failed = OK };
}

void read_array(struct reader *r, uint32_t count)
{
    if (take(r, FORM_ARRAY) != count)
        fail(r, ERR_ENCODING);
}

uint32_t read_array_max(struct reader *r, uint32_t max)
{
    uint64_t count = take(r, FORM_ARRAY);
    if (count > max)
        fail(r, ERR_TOO_LARGE);
    else if (count > left(r))                                  /* each element takes at least a byte */
        fail(r, ERR_ENCODING);
    return reader_ok(r) ? (uint32_t)count : 0;
}

uint64_t read_uint(struct reader *r, uint64_t max)
{
    uint64_t v = take(r, FORM_UINT);
    if (v > max)
        fail(r, ERR_OVERFLOW);
    return reader_ok(r) ? v : 0;
}

void read_version(struct reader *r, uint64_t version)
{
    if (read_uint(r, UINT64_MAX) != version)
        fail(r, ERR_VERSION);                                  /* keeps an earlier failure */
}

struct bytes read_bin(struct reader *r, size_t min, size_t max)
{
    uint64_t len = take(r, FORM_BIN);
    if (len < min || len > max)
        fail(r, ERR_TOO_LARGE);
    else if (len > left(r))
        fail(r, ERR_ENCODING);
    if (!reader_ok(r))
        return bytes_of(NULL, 0);
    struct bytes b = bytes_of(r->p, (size_t)len);
    r->p += b.len;
    return b;
}

void read_text(struct reader *r, char *out, size_t cap)
{
    ENSURE(cap > 0);
    struct bytes b = read_bin(r, 0, cap - 1);
    if (!text_is_printable(b)) {
        fail(r, ERR_ENCODING);
        b.len = 0;
    }
    if (b.len > 0)
        memcpy(out, b.data, b.len);
    out[b.len] = '\0';
}

static void read_fixed(struct reader *r, uint8_t *out, size_t len)
{
    struct bytes b = read_bin(r, len, len);
    if (b.len == len)
        memcpy(out, b.data, len);
    else
        memset(out, 0, len);
}

void read_hash(struct reader *r, struct hash *out) { read_fixed(r, out->b, HASH_BYTES); }
void read_pubkey(struct reader *r, struct pubkey *out) { read_fixed(r, out->b, PUBKEY_BYTES); }
void read_sig(struct reader *r, struct sig *out) { read_fixed(r, out->b, SIG_BYTES); }

/* Walks over one value without recursion. open[d] = elements still to come in the array at depth d. */
static void skip_value(struct reader *r)
{
    uint64_t open[CODEC_DEPTH_MAX];
    size_t depth = 0;
    do {
        if (depth > 0)
            open[depth - 1]--;
        struct head h = take_head(r);
        if (!reader_ok(r))
            return;
        switch (h.form) {
        case FORM_UINT: break;
        case FORM_BIN:
            if (h.value > left(r))
                fail(r, ERR_ENCODING);
            else
                r->p += h.value;
            break;
        case FORM_ARRAY:
            if (depth == CODEC_DEPTH_MAX || h.value > left(r)) {
                fail(r, ERR_ENCODING);
                return;
            }
            open[depth++] = h.value;
            break;
        }
        while (depth > 0 && open[depth - 1] == 0)
            depth--;
    } while (depth > 0 && reader_ok(r));
}

struct bytes read_raw(struct reader *r, size_t max)
{
    const uint8_t *start = r->p;
    skip_value(r);
    size_t len = reader_ok(r) ? (size_t)(r->p - start) : 0;
    if (len > max)
        fail(r, ERR_TOO_LARGE);
    return reader_ok(r) ? bytes_of(start, len) : bytes_of(NULL, 0);
}

bool reader_ok(const struct reader *r) { return r->failed == OK; }

enum err reader_finish(const struct reader *r)
{
    if (!reader_ok(r))
        return r->failed;
    return left(r) == 0 ? OK : ERR_ENCODING;
}
