/* fuzz_note.c - whatever decodes as a note encodes to the same bytes. */
#include "ledger/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size), again;
    struct note v;
    uint8_t buf[NOTE_BYTES_MAX];
    if (note_decode(in, &v) != OK)
        return 0;
    ENSURE(note_encode(&v, buf, &again) == OK);
    ENSURE(bytes_equal(in, again));                        /* what decodes has one encoding: these very bytes */
    return 0;
}
