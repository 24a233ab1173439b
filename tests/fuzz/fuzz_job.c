/* fuzz_job.c - whatever decodes as a message of a running job, of settlement or of model headers encodes to the same bytes. */
#include "tests/agent/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum message kinds[] = { MESSAGE_ok_msg, MESSAGE_chunk_msg, MESSAGE_claim_msg, MESSAGE_receipt_msg,
                                          MESSAGE_cancel_msg, MESSAGE_resync_msg, MESSAGE_adopt_msg, MESSAGE_kept_msg,
                                          MESSAGE_header_get, MESSAGE_header_part };
    struct bytes in = bytes_of(data, size), again;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (message_again(kinds[i], in, &again) == OK)
            ENSURE(bytes_equal(in, again));                /* what decodes has one encoding: these very bytes */
    return 0;
}
