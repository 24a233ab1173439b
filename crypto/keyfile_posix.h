/* keyfile_posix.h - secret seeds in files: created 0600, refused when looser, optionally under a passphrase.
 *
 * Format (docs/disk-format.md): "TALLYKEY" | version u8 = 1 | kind u8 (0 plain, 1 passphrase) | opslimit u64 | memlimit u64 |
 * salt 16 | nonce 24 | box. Integers little endian. kind 0: the box is the seed itself and the other fields are zero.
 * kind 1: XChaCha20-Poly1305 under Argon2id(passphrase, salt, opslimit, memlimit), everything before the box as associated data.
 *
 * Threads: blocking; call from start-up or the command line, not from a loop.
 * Effects: writes temp file, fsync, rename, fsync of the folder.
 */
#ifndef TALLYMESH_CRYPTO_KEYFILE_POSIX_H
#define TALLYMESH_CRYPTO_KEYFILE_POSIX_H

#include "crypto/key.h"

/* ERR_EXISTS rather than overwrite. passphrase NULL stores it plain. ERR_IO. */
enum err keyfile_create(const char *path, const struct key_seed *seed, const char *passphrase) MUST_CHECK;
/* ERR_NOT_FOUND, ERR_PERMISSION (group or others may read), ERR_LOCKED (needs a passphrase), ERR_PASSPHRASE, ERR_CORRUPT. */
enum err keyfile_load(const char *path, const char *passphrase, struct key_seed *out) MUST_CHECK;
/* Replaces the passphrase (NULL: none) atomically. */
enum err keyfile_change(const char *path, const char *old_passphrase, const char *new_passphrase) MUST_CHECK;

#endif
