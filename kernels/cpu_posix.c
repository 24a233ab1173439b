/* cpu_posix.c - the auxiliary vector of Linux. */
#include "kernels/cpu_posix.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* From the kernel's interface (asm/hwcap.h), whose name older headers lack. */
enum { CPU_HWCAP_ASIMDDP = 1 << 20 };

bool cpu_has_dotprod(void) { return (getauxval(AT_HWCAP) & CPU_HWCAP_ASIMDDP) != 0; }
#else
bool cpu_has_dotprod(void) { return false; }
#endif
