/* pages_posix.c - large pages by advice: no setting of the machine is needed and none is changed. */
#define _DEFAULT_SOURCE
#include "kernels/pages_posix.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE = 64, LARGE_PAGE = 2 << 20 };

void *pages_alloc(size_t bytes)
{
    size_t align = bytes >= LARGE_PAGE ? LARGE_PAGE : LINE;
    if (bytes > SIZE_MAX - align)
        return NULL;
    size_t whole = (bytes + LINE - 1) / LINE * LINE;
    void *p = aligned_alloc(align, align == LINE ? whole : (whole + align - 1) / align * align);
#if defined(MADV_HUGEPAGE)
    /* Whole large pages only, so that the last one is not made resident for a few bytes. */
    if (p && align == LARGE_PAGE)
        (void)madvise(p, bytes / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
#endif
    return p;
}

void pages_wipe(void *p, size_t bytes) { explicit_bzero(p, bytes); }

void pages_give_back(void *p, size_t bytes)
{
#if defined(__linux__)      /* elsewhere MADV_DONTNEED may keep the content */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p, to = from + bytes;
    uintptr_t begin = (from + page - 1) / page * page, end = to / page * page;
    if (begin < end && madvise((void *)begin, end - begin, MADV_DONTNEED) == 0) {
        pages_wipe(p, begin - from);
        pages_wipe((void *)end, to - end);
        return;
    }
#endif
    pages_wipe(p, bytes);
}
