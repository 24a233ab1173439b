/* fuzz_receipt.c - whatever decodes as a receipt encodes to the same bytes. */
#include "ledger/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size), again;
    struct receipt v;
    uint8_t buf[RECEIPT_BODY_BYTES_MAX];
    if (receipt_decode(in, &v) != OK)
        return 0;
    ENSURE(receipt_encode(&v, buf, &again) == OK);
    ENSURE(bytes_equal(in, again));                        /* what decodes has one encoding: these very bytes */
    return 0;
}
