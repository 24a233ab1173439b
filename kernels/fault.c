/* fault.c - sentences about model files, safe to print. */
#include "kernels/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err fault_set(struct fault *why, enum err code, const char *format, ...)
{
    if (why) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
    }
    return code;
}

struct fault_name fault_name(struct bytes raw)
{
    struct fault_name shown = { .text = "" };
    size_t room = sizeof shown.text - 4;   /* three dots and the NUL */
    size_t len = raw.len < room ? raw.len : room;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = raw.data[i];
        shown.text[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    memcpy(shown.text + len, len < raw.len ? "..." : "", len < raw.len ? 4 : 1);
    return shown;
}
