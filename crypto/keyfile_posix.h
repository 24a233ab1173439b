/* keyfile_posix.h - secret seeds in files: created 0600, refused when looser, optionally under a passphrase.
 *
 * Format (docs/disk-format.md, "Key file"), 114 bytes, integers little endian:
 *
 *   offset size
 *        0    8  "TALLYKEY"
 *        8    1  version = 1
 *        9    1  kind: 0 plain, 1 passphrase
 *       10    8  opslimit  (kind 0: zero)
 *       18    8  memlimit  (kind 0: zero)
 *       26   16  salt      (kind 0: zero)
 *       42   24  nonce     (kind 0: zero)
 *       66   32  kind 0: the seed; kind 1: XChaCha20-Poly1305 ciphertext of it
 *       98   16  kind 0: first 16 bytes of H("keyfile", everything before); kind 1: the tag
 *
 * Kind 1's key is Argon2id(passphrase, salt, opslimit, memlimit), everything before the box is associated data. The check
 * bytes of kind 0 are there because any 32 bytes are a valid seed: one damaged bit would silently be another identity.
 *
 * Owns:    nothing; the caller wipes the seed.
 * Threads: blocking (a passphrase costs about 0.2 s and 64 MiB); call from start-up or the command line, not from a loop.
 *          crypto_start() comes first.
 * Effects: writes a temporary file beside the target (0600), fsync, link or rename, fsync of the folder. A crash leaves
 *          the old state or the new one, at worst a stray PATH.XXXXXX beside it.
 */
#ifndef TALLYMESH_CRYPTO_KEYFILE_POSIX_H
#define TALLYMESH_CRYPTO_KEYFILE_POSIX_H

#include "crypto/key.h"

enum { KEYFILE_BYTES = 114 };

/* ERR_EXISTS rather than overwrite, also in a race. passphrase NULL stores it plain; an empty one is ERR_ARG, because whoever
 * set it meant something else. ERR_IO, ERR_DISK_FULL, ERR_PERMISSION (folder), ERR_NOT_FOUND (no such folder), ERR_MEMORY. */
enum err keyfile_create(const char *path, const struct key_seed *seed, const char *passphrase) MUST_CHECK;
/* ERR_NOT_FOUND, ERR_PERMISSION (group or others may read it, it is somebody else's, or we may not read it), ERR_LOCKED
 * (needs a passphrase), ERR_PASSPHRASE (wrong, or the box is damaged: the two look alike), ERR_CORRUPT, ERR_VERSION, ERR_MEMORY.
 * A passphrase given for a plain file is not used. On failure out is zeroed. */
enum err keyfile_load(const char *path, const char *passphrase, struct key_seed *out) MUST_CHECK;
/* Replaces the passphrase (NULL: none) atomically. Errors of keyfile_load and keyfile_create; the file is then unchanged. */
enum err keyfile_change(const char *path, const char *old_passphrase, const char *new_passphrase) MUST_CHECK;

#endif
