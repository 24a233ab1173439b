/* fuzz_api.c - OpenAI request bodies, both kinds; what is accepted can be answered. */
#include <stdlib.h>
#include <string.h>

#include "node/api_jansson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int chat = 0; chat < 2; chat++) {
        struct api_request r;
        struct api_fault why;
        if (api_parse(bytes_of(data, size), chat, &r, &why) == OK) {
            ENSURE(strlen(r.model) <= API_MODEL_CHARS_MAX && r.stop_count <= STOPS_MAX);
            ENSURE(r.temperature_micro <= 2000000 && r.top_p_micro <= 1000000);
            for (size_t i = 0; i < r.message_count; i++)
                ENSURE(r.messages[i].content.len <= size);
            api_request_fini(&r);
        } else {
            char *json = api_error_json(&why);
            ENSURE(json != NULL);
            free(json);
        }
    }
    return 0;
}
