/* hex.h - bytes as lower-case hexadecimal text and back.
 *
 * Owns:    nothing.
 * Threads: pure; any thread.
 */
#ifndef TALLYMESH_CRYPTO_HEX_H
#define TALLYMESH_CRYPTO_HEX_H

#include "crypto/base.h"

/* Writes 2 * b.len digits and a NUL; out has room for them. */
void hex_format(struct bytes b, char *out);
/* Exactly 2 * len hex digits in text (either case), no more, no less. ERR_FORMAT otherwise; out untouched. */
enum err hex_parse(struct bytes text, void *out, size_t len) MUST_CHECK;

#endif
