/* bootstrap.c - tally://HOST:PORT/TRANSPORTKEY?net=NETWORKID (PROTO 2.7).
 *
 * The host ends up in a transport endpoint ("tcp://HOST:PORT"), where `;`, `@`, `*` and spaces have meanings of their own;
 * what is accepted here is therefore spelled out character by character instead of asking a resolver.
 */
#include "crypto/bootstrap.h"

#include <stdio.h>
#include <string.h>

#include "crypto/hex.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/* The decimal number that text begins with: no leading zero, at most max. Its length, or 0 if there is none. */
static size_t scan_number(struct bytes text, unsigned max, unsigned *out)
{
    unsigned value = 0;
    size_t len = 0;
    while (len < text.len && is_digit((char)text.data[len]) && value <= max)
        value = value * 10 + (unsigned)(text.data[len++] - '0');
    bool leading_zero = len > 1 && text.data[0] == '0';
    if (len == 0 || leading_zero || value > max)
        return 0;
    *out = value;
    return len;
}

static struct bytes after(struct bytes b, size_t len) { return bytes_of(b.data + len, b.len - len); }

static bool is_ipv4(struct bytes text)
{
    for (int part = 0; part < 4; part++) {
        unsigned octet;
        size_t len = scan_number(text, 255, &octet);
        if (len == 0)
            return false;
        text = after(text, len);
        if (part == 3)
            break;
        if (text.len == 0 || text.data[0] != '.')
            return false;
        text = after(text, 1);
    }
    return text.len == 0;
}

/* Groups of one to four hex digits between colons, one "::" at most, an IPv4 tail for the last two. No zone: "%eth0"
 * means something on one machine only. */
static bool is_ipv6(struct bytes text)
{
    int groups = 0;
    bool gap = false;
    if (text.len >= 2 && memcmp(text.data, "::", 2) == 0) {
        gap = true;
        text = after(text, 2);
        if (text.len == 0)
            return true;
    }
    for (;;) {
        if (is_ipv4(text)) {
            groups += 2;
            break;
        }
        size_t digits = 0;
        while (digits < text.len && is_hex_digit((char)text.data[digits]))
            digits++;
        if (digits == 0 || digits > 4)
            return false;
        groups++;
        text = after(text, digits);
        if (text.len == 0)
            break;
        if (text.data[0] != ':')
            return false;
        text = after(text, 1);
        if (text.len > 0 && text.data[0] == ':') {
            if (gap)
                return false;
            gap = true;
            text = after(text, 1);
            if (text.len == 0)
                break;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

static size_t label_chars(struct bytes text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] != '.')
        len++;
    return len;
}

static bool is_label(struct bytes label)
{
    if (label.len == 0 || label.len > 63 || label.data[0] == '-' || label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = (char)label.data[i];
        if (!is_digit(c) && !is_letter(c) && c != '-')
            return false;
    }
    return true;
}

/* Resolvers read "127.1" and "0x7f.1" as addresses; a name may not look like one. */
static bool looks_numeric(struct bytes label)
{
    if (label.len >= 2 && label.data[0] == '0' && (label.data[1] == 'x' || label.data[1] == 'X'))
        return true;
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit((char)label.data[i]))
            return false;
    return true;
}

static bool is_name(struct bytes text)
{
    for (;;) {
        struct bytes label = bytes_of(text.data, label_chars(text));
        if (!is_label(label))
            return false;
        if (label.len == text.len)
            return !looks_numeric(label);
        text = after(text, label.len + 1);
    }
}

static bool is_host(struct bytes text)
{
    return text.len > 0 && text.len <= HOST_CHARS_MAX && (is_ipv4(text) || is_ipv6(text) || is_name(text));
}

bool host_is_valid(const char *host) { return is_host(bytes_text(host)); }

/* Splits text at its first `mark`: what stands before it, and *rest what follows. Empty if there is none. */
static struct bytes before(struct bytes text, char mark, struct bytes *rest)
{
    const uint8_t *at = text.len > 0 ? memchr(text.data, mark, text.len) : NULL;
    if (!at)
        return bytes_of(NULL, 0);
    size_t len = (size_t)(at - text.data);
    *rest = after(text, len + 1);
    return bytes_of(text.data, len);
}

static bool skip_word(struct bytes *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len || memcmp(text->data, word, len) != 0)
        return false;
    *text = after(*text, len);
    return true;
}

/* HOST or [IPv6], up to and including the colon that ends it. */
static enum err parse_host(struct bytes *text, struct bootstrap *out)
{
    bool bracketed = skip_word(text, "[");
    struct bytes host = before(*text, bracketed ? ']' : ':', text);
    if (bracketed && !skip_word(text, ":"))
        return ERR_FORMAT;
    if (!is_host(host) || is_ipv6(host) != bracketed)
        return ERR_FORMAT;
    memcpy(out->host, host.data, host.len);
    out->host[host.len] = '\0';
    return OK;
}

static enum err parse_port(struct bytes *text, struct bootstrap *out)
{
    unsigned port;
    struct bytes digits = before(*text, '/', text);
    if (digits.len == 0 || scan_number(digits, UINT16_MAX, &port) != digits.len || port == 0)
        return ERR_FORMAT;
    out->port = (uint16_t)port;
    return OK;
}

enum err bootstrap_parse(const char *text, struct bootstrap *out)
{
    struct bytes rest = bytes_text(text);
    struct bootstrap b = { .port = 0 };
    if (rest.len > BOOTSTRAP_CHARS_MAX || !skip_word(&rest, "tally://"))
        return ERR_FORMAT;
    if (parse_host(&rest, &b) != OK || parse_port(&rest, &b) != OK)
        return ERR_FORMAT;
    struct bytes key = before(rest, '?', &rest);
    if (key.len == 0 || hex_parse(key, b.transport.b, SEAL_KEY_BYTES) != OK)
        return ERR_FORMAT;
    if (!skip_word(&rest, "net=") || hex_parse(rest, b.net.b, NET_ID_BYTES) != OK)
        return ERR_FORMAT;
    *out = b;
    return OK;
}

void bootstrap_format(const struct bootstrap *b, char out[BOOTSTRAP_CHARS_MAX + 1])
{
    char key[2 * SEAL_KEY_BYTES + 1], net[2 * NET_ID_BYTES + 1];
    bool brackets = strchr(b->host, ':') != NULL;
    ENSURE(host_is_valid(b->host));
    ENSURE(b->port != 0);
    hex_format(bytes_of(b->transport.b, SEAL_KEY_BYTES), key);
    hex_format(bytes_of(b->net.b, NET_ID_BYTES), net);
    int len = snprintf(out, BOOTSTRAP_CHARS_MAX + 1, "tally://%s%s%s:%u/%s?net=%s", brackets ? "[" : "", b->host,
                       brackets ? "]" : "", b->port, key, net);
    ENSURE(len > 0 && len <= BOOTSTRAP_CHARS_MAX);
}
