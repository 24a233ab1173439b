/* fuzz_terms_msg.c - whatever decodes as terms with their sealed prompt, or as the prompt itself encodes to the same bytes. */
#include "tests/agent/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum message kinds[] = { MESSAGE_terms_msg, MESSAGE_prompt_msg };
    struct bytes in = bytes_of(data, size), again;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (message_again(kinds[i], in, &again) == OK)
            ENSURE(bytes_equal(in, again));                /* what decodes has one encoding: these very bytes */
    return 0;
}
