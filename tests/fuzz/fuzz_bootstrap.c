/* fuzz_bootstrap.c - an accepted string, formatted and parsed again, means the same; its host can be nothing but a host. */
#include <stdlib.h>
#include <string.h>

#include "crypto/bootstrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), again[BOOTSTRAP_CHARS_MAX + 1];
    struct bootstrap b, back;
    if (!text)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (bootstrap_parse(text, &b) == OK) {
        bootstrap_format(&b, again);
        if (bootstrap_parse(again, &back) != OK || memcmp(&b, &back, sizeof b) != 0)
            abort();
        if (b.port == 0 || strpbrk(b.host, " ;@/*%[]\t\n\r\"'`$&|") || !host_is_valid(b.host))
            abort();
    }
    host_is_valid(text);
    free(text);
    return 0;
}
