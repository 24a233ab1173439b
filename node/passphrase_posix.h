/* passphrase_posix.h - where the passphrase of the key files comes from: a descriptor, a systemd credential, a terminal.
 *
 * Never an argument or an environment variable: both can be read by others on the machine.
 *
 * Owns:    nothing; the caller wipes with passphrase_fini().
 * Threads: start-up and command line only; blocking.
 * Effects: reads; the terminal's echo is off while it is typed.
 */
#ifndef TALLYMESH_NODE_PASSPHRASE_POSIX_H
#define TALLYMESH_NODE_PASSPHRASE_POSIX_H

#include "crypto/base.h"

enum { PASSPHRASE_CHARS_MAX = 255 };

struct passphrase { char text[PASSPHRASE_CHARS_MAX + 1]; };   /* empty: none */

/* "3" as an option gives it. ERR_FORMAT. */
enum err passphrase_parse_fd(const char *text, int *out) MUST_CHECK;
/* The first line of what can be read there, to its end. ERR_IO, ERR_FORMAT (empty), ERR_TOO_LARGE. */
enum err passphrase_from_fd(int fd, struct passphrase *out) MUST_CHECK;
/* $CREDENTIALS_DIRECTORY/passphrase, as systemd's LoadCredential= provides it. ERR_NOT_FOUND, else as above. */
enum err passphrase_from_credential(struct passphrase *out) MUST_CHECK;
/* Typed at the controlling terminal; may be empty. ERR_NOT_FOUND (there is none), ERR_TOO_LARGE, ERR_IO (given up). */
enum err passphrase_ask(const char *prompt, struct passphrase *out) MUST_CHECK;
void passphrase_fini(struct passphrase *p);

/* What the key functions take: NULL for none. */
static inline const char *passphrase_text(const struct passphrase *p) { return p->text[0] ? p->text : NULL; }

#endif
