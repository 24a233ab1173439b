/* random_os.h - where do secret bytes come from? The only source of secret randomness.
 *
 * Owns:    nothing.
 * Threads: any, after crypto_start().
 * Effects: reads the operating system's generator; stops the process if there is none (libsodium).
 */
#ifndef TALLYMESH_CRYPTO_RANDOM_OS_H
#define TALLYMESH_CRYPTO_RANDOM_OS_H

#include "crypto/key.h"

void random_os(void *out, size_t len);
void random_seed(struct key_seed *out);

#endif
