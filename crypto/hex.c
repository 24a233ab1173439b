/* hex.c - bytes as text. Not constant time: only public values are printed. */
#include "crypto/hex.h"

void hex_format(struct bytes b, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < b.len; i++) {
        *out++ = digits[b.data[i] >> 4];
        *out++ = digits[b.data[i] & 15];
    }
    *out = '\0';
}

static int digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err hex_parse(struct bytes text, void *out, size_t len)
{
    if (text.len != 2 * len)
        return ERR_FORMAT;
    for (size_t i = 0; i < text.len; i++)
        if (digit_value(text.data[i]) < 0)
            return ERR_FORMAT;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(digit_value(text.data[2 * i]) * 16 + digit_value(text.data[2 * i + 1]));
    return OK;
}
