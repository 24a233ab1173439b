/* amx_posix.c - Linux gives AMX to a process that asks for it: the tiles are 8 KiB per thread to save. */
#define _GNU_SOURCE
#include "kernels/amx_posix.h"

#include <cpuid.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of arch_prctl(2); the headers of older systems lack them. */
enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
/* CPUID leaf 7, EDX. */
enum { HAS_TILES = 1 << 24, HAS_INT8 = 1 << 25 };

static bool ask(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & HAS_TILES) == 0 || (d & HAS_INT8) == 0)
        return false;
#if defined(SYS_arch_prctl)
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

bool amx_usable(void)
{
    static _Atomic int known;                    /* 0: not asked, 1: no, 2: yes */
    if (known == 0)
        known = ask() ? 2 : 1;
    return known == 2;
}
