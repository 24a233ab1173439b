/* fuzz_record.c - a node record from strangers: whatever decodes encodes to the same bytes, and its checks never abort. */
#include <string.h>

#include "dht/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct node_record r;
    uint8_t buf[RECORD_BYTES_MAX];
    struct net_id net = net_id_of("vectors");
    if (record_decode(bytes_of(data, size), &r) != OK)
        return 0;
    struct bytes again = record_encode(&r, buf);
    ENSURE(bytes_equal(again, bytes_of(data, size)));
    ENSURE(record_check_cheap(&r, &net, 0, (struct wall){ UINT64_C(1767225700000) }) < ERR_COUNT);
    ENSURE(record_check_cheap(&r, &net, 0, (struct wall){ 0 }) < ERR_COUNT);
    return 0;
}
