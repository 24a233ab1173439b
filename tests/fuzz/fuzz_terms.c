/* fuzz_terms.c - whatever decodes as terms encodes to the same bytes. */
#include "ledger/terms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size), again;
    struct terms v;
    uint8_t buf[TERMS_BYTES_MAX];
    if (terms_decode(in, &v) != OK)
        return 0;
    ENSURE(terms_encode(&v, buf, &again) == OK);
    ENSURE(bytes_equal(in, again));                        /* what decodes has one encoding: these very bytes */
    return 0;
}
