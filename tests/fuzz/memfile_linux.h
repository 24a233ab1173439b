/* memfile_linux.h - bytes as a file that can be opened by name and lives in memory: for decoders that read files. */
#ifndef TALLYMESH_TESTS_FUZZ_MEMFILE_LINUX_H
#define TALLYMESH_TESTS_FUZZ_MEMFILE_LINUX_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMFILE_PATH_CHARS = 32 };

/* A descriptor to close; private to us, as a reader of secrets wants it. */
static inline int memfile_open(const uint8_t *data, size_t size, char path[MEMFILE_PATH_CHARS])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0600) != 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    snprintf(path, MEMFILE_PATH_CHARS, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
