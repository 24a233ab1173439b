/* amx_posix.h - may this process use the matrix registers (AMX) of its processor?
 *
 * Threads: any; the first call asks the system for all of them.
 */
#ifndef TALLYMESH_KERNELS_AMX_POSIX_H
#define TALLYMESH_KERNELS_AMX_POSIX_H

#include "crypto/base.h"

/* The processor multiplies bytes in tiles, and the system has agreed to keep them for our threads. */
bool amx_usable(void);

#endif
