/* random_os.h - the only source of secret randomness. Effects: reads the operating system's generator. */
#ifndef TALLYMESH_CRYPTO_RANDOM_OS_H
#define TALLYMESH_CRYPTO_RANDOM_OS_H

#include "crypto/key.h"

void random_os(void *out, size_t len);
void random_seed(struct key_seed *out);

#endif
