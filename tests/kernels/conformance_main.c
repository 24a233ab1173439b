/* conformance_main.c - prints the digests that the scalar reference has, as lines for kernels/conformance.h. */
#include <inttypes.h>
#include <stdio.h>

#include "kernels/conformance.h"

int main(void)
{
    for (int c = 0; c < CONFORMANCE_COUNT; c++) {
        enum conformance_case which = (enum conformance_case)c;
        printf("X(%s, 0x%016" PRIx64 ")\n", conformance_name(which), conformance_digest(&ops_ref, which));
    }
    return 0;
}
