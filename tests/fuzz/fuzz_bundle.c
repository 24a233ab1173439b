/* fuzz_bundle.c - whatever decodes as a bundle encodes to the same bytes, and checking it stays within them. */
#include "ledger/bundle.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size), again;
    struct bundle b;
    struct bundle_report report;
    struct net_id net = net_id_of("rig");
    size_t first;
    if (bundle_decode(in, &b) != OK)
        return 0;
    uint8_t *buf = malloc(size);
    ENSURE(buf != NULL);
    ENSURE(bundle_encode(&b, buf, size, &again) == OK);
    ENSURE(bytes_equal(in, again));
    free(buf);
    static unsigned calls;
    if (calls++ % 16)                                      /* ten signatures each: looking at all of them would be all the run does */
        return 0;
    bool holds = bundle_check(&b, &net, &report) == OK;
    ENSURE(!holds || report.result[BUNDLE_WORK] == CHECK_PASSED);
    if (bundle_reexecution_check(&b, &report, NULL, 0, &first) != ERR_STATE)
        ENSURE(holds && b.has_opening);
    return 0;
}
