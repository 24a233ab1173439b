/* pages_posix.h - memory that is walked through from end to end, on large pages where the system gives them.
 *
 * Threads: any.
 */
#ifndef TALLYMESH_KERNELS_PAGES_POSIX_H
#define TALLYMESH_KERNELS_PAGES_POSIX_H

#include "crypto/base.h"

/* bytes > 0, not yet zeroed, aligned to a large page if it is that large, else to 64. Freed by free(). NULL: no memory. */
void *pages_alloc(size_t bytes);

#endif
