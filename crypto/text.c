/* text.c - which bytes count as text (codec.h, PROTO 2.1): UTF-8 that cannot rewrite a terminal or a log line. */
#include "crypto/codec.h"

/* One code point from p[0..len), its size in *size; UINT32_MAX unless it is shortest-form UTF-8 of a scalar value. */
static uint32_t decode_point(const uint8_t *p, size_t len, size_t *size)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t point;
    if (p[0] < 0x80) {
        *size = 1;
        return p[0];
    }
    if (p[0] >= 0xc0 && p[0] < 0xe0) {
        *size = 2;
        point = p[0] & 0x1fu;
    } else if (p[0] >= 0xe0 && p[0] < 0xf0) {
        *size = 3;
        point = p[0] & 0x0fu;
    } else if (p[0] >= 0xf0 && p[0] < 0xf8) {
        *size = 4;
        point = p[0] & 0x07u;
    } else {
        return UINT32_MAX;
    }
    if (*size > len)
        return UINT32_MAX;
    for (size_t i = 1; i < *size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return UINT32_MAX;
        point = (point << 6) | (p[i] & 0x3fu);
    }
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < smallest[*size] || point > 0x10ffff || surrogate ? UINT32_MAX : point;
}

static bool point_is_printable(uint32_t point)
{
    if (point < 0x20 || (point >= 0x7f && point < 0xa0))
        return false;                                          /* C0, DEL, C1 */
    if (point == 0x061c || point == 0x200e || point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
        (point >= 0x2066 && point <= 0x2069))
        return false;                                          /* line separators, direction marks and overrides */
    return point <= 0x10ffff && point != 0xfeff;               /* no byte order mark */
}

bool text_is_printable(struct bytes text)
{
    for (size_t at = 0, size; at < text.len; at += size) {
        uint32_t point = decode_point(text.data + at, text.len - at, &size);
        if (point == UINT32_MAX || !point_is_printable(point))
            return false;
    }
    return true;
}
