/* modelfile_posix.c - maps a model file. */
#define _DEFAULT_SOURCE          /* madvise */
#include "kernels/modelfile_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err refuse(struct fault *why, const char *path, int cause)
{
    enum err code = cause == ENOENT || cause == ENOTDIR ? ERR_NOT_FOUND
                    : cause == EACCES || cause == EPERM ? ERR_PERMISSION
                                                        : ERR_IO;
    return fault_set(why, code, "cannot open the model file '%s': %s", fault_name(bytes_text(path)).text, strerror(cause));
}

static int64_t modified_ns(const struct stat *s)
{
    return (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
}

static enum err map(int fd, const char *path, struct modelfile *out, struct fault *why)
{
    const struct fault_name shown = fault_name(bytes_text(path));
    struct stat s;
    if (fstat(fd, &s) != 0)
        return refuse(why, path, errno);
    if (!S_ISREG(s.st_mode))
        return fault_set(why, ERR_FORMAT, "'%s' is not a regular file", shown.text);
    if (s.st_size <= 0)
        return fault_set(why, ERR_FORMAT, "the model file '%s' is empty", shown.text);
    uint64_t size = (uint64_t)s.st_size;
    if (size > MODELFILE_BYTES_MAX || size > SIZE_MAX)
        return fault_set(why, ERR_TOO_LARGE, "the model file '%s' is larger than can be mapped", shown.text);
    void *data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return refuse(why, path, errno);
    *out = (struct modelfile){ .bytes = bytes_of(data, (size_t)size),
                               .device = (uint64_t)s.st_dev,
                               .inode = (uint64_t)s.st_ino,
                               .modified_ns = modified_ns(&s) };
    return OK;
}

enum err modelfile_open(const char *path, struct modelfile *out, struct fault *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);   /* a FIFO must not make us wait for its writer */
    if (fd < 0)
        return refuse(why, path, errno);
    enum err e = map(fd, path, out, why);
    (void)close(fd);
    return e;
}

void modelfile_close(struct modelfile *f)
{
    if (f->bytes.len)
        (void)munmap((void *)(uintptr_t)f->bytes.data, f->bytes.len);
    *f = (struct modelfile){ 0 };
}

void modelfile_release(const void *stored, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)stored + page - 1) / page * page, end = ((uintptr_t)stored + bytes) / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

bool modelfile_is_unchanged(const struct modelfile *f, const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && (uint64_t)s.st_dev == f->device && (uint64_t)s.st_ino == f->inode &&
           (uint64_t)s.st_size == f->bytes.len && modified_ns(&s) == f->modified_ns;
}
