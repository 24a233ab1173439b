/* fuzz_claim.c - whatever decodes as a claim encodes to the same bytes. */
#include "ledger/claim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size), again;
    struct claim v;
    uint8_t buf[CLAIM_BYTES_MAX];
    if (claim_decode(in, &v) != OK)
        return 0;
    ENSURE(claim_encode(&v, buf, &again) == OK);
    ENSURE(bytes_equal(in, again));                        /* what decodes has one encoding: these very bytes */
    return 0;
}
