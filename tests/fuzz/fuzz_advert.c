/* fuzz_advert.c - an advert from strangers: whatever decodes encodes to the same bytes and holds to its bounds. */
#include <string.h>

#include "dht/advert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct advert a;
    uint8_t buf[ADVERT_BYTES_MAX];
    if (advert_decode(bytes_of(data, size), &a) != OK)
        return 0;
    ENSURE(strlen(a.model_name) <= MODEL_NAME_CHARS_MAX);
    ENSURE(strlen(a.device) <= DEVICE_CHARS_MAX);
    ENSURE(a.ttl_ms <= ADVERT_TTL_MS);
    ENSURE(a.tier <= TIER_FACTORY);
    struct bytes again = advert_encode(&a, buf);
    ENSURE(bytes_equal(again, bytes_of(data, size)));
    return 0;
}
