/* pages_posix.h - memory that is walked through from end to end, on large pages where the system gives them.
 *
 * Threads: any.
 */
#ifndef TALLYMESH_KERNELS_PAGES_POSIX_H
#define TALLYMESH_KERNELS_PAGES_POSIX_H

#include "crypto/base.h"

/* bytes > 0, not yet zeroed, aligned to a large page if it is that large, else to 64. Freed by free(). NULL: no memory. */
void *pages_alloc(size_t bytes);

/* Zeroes bytes even where a compiler sees that nobody will read them. */
void pages_wipe(void *p, size_t bytes);
/* The same for a large part of a block from the heap: its whole pages go back to the system, which gives zeroed ones when
 * they are touched again. */
void pages_give_back(void *p, size_t bytes);

#endif
