/* cpu_posix.h - what can this processor do that the system has to be asked for?
 *
 * On x86 a program may ask the processor itself; on ARM only the kernel may, and tells programs at their start.
 *
 * Threads: any.
 */
#ifndef TALLYMESH_KERNELS_CPU_POSIX_H
#define TALLYMESH_KERNELS_CPU_POSIX_H

#include <stdbool.h>

/* AArch64's dot product of four bytes (SDOT). False on anything else. */
bool cpu_has_dotprod(void);

#endif
