/* fuzz_codec.c - whatever read_raw accepts, written again from its parts, is the same bytes. */
#include <stdlib.h>

#include "crypto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads one value whose form the first byte tells and writes it again. read_raw has checked it, so nothing may fail. */
static void copy_value(struct reader *r, struct writer *w)
{
    uint8_t first = *r->p;
    if (first <= 0x7f || (first >= 0xcc && first <= 0xcf)) {
        write_uint(w, read_uint(r, UINT64_MAX));
    } else if (first >= 0xc4 && first <= 0xc6) {
        write_bin(w, read_bin(r, 0, SIZE_MAX));
    } else {
        uint32_t count = read_array_max(r, UINT32_MAX);
        write_array(w, count);
        for (uint32_t i = 0; i < count; i++)
            copy_value(r, w);
    }
}

/* The other reads on hostile bytes: none may read outside, whatever comes. */
static void read_everything(struct bytes in)
{
    struct reader r;
    char text[32];
    struct hash h;
    reader_init(&r, in);
    for (unsigned i = 0; i < 64 && reader_ok(&r) && r.p < r.end; i++) {
        switch (i % 5) {
        case 0: read_array_max(&r, 16); break;
        case 1: read_uint(&r, UINT32_MAX); break;
        case 2: read_text(&r, text, sizeof text); break;
        case 3: read_hash(&r, &h); break;
        default: read_raw(&r, 100); break;
        }
    }
    if (reader_finish(&r) == OK && r.p != r.end)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct bytes in = bytes_of(data, size);
    reader_init(&r, in);
    struct bytes raw = read_raw(&r, size);
    if (reader_finish(&r) == OK) {
        uint8_t *again = malloc(size);
        struct writer w;
        struct bytes out;
        if (!again)
            abort();
        writer_init(&w, again, size);
        reader_init(&r, raw);
        copy_value(&r, &w);
        if (reader_finish(&r) != OK || writer_finish(&w, &out) != OK || !bytes_equal(out, in))
            abort();
        free(again);
    }
    read_everything(in);
    return 0;
}
