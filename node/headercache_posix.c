/* headercache_posix.c - fetched headers on disk, the least recently used of them last. */
#include "node/headercache_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_CHARS = 700 };

static bool path_of(const char *folder, const struct hash *id, const char *suffix, char out[PATH_CHARS])
{
    char hex[HASH_HEX_CHARS + 1];
    hash_format(id, hex);
    return snprintf(out, PATH_CHARS, "%s/%s%s", folder, hex, suffix) < PATH_CHARS;
}

/* The clock's own time: the file system's may stand still for milliseconds, and order is all that matters here. */
static void touch(const char *path)
{
    struct timespec now[2];
    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[1] = now[0];
    utimensat(AT_FDCWD, path, now, 0);
}

enum err headercache_open(const char *folder, const struct hash *id, struct modelfile *out)
{
    char path[PATH_CHARS];
    struct fault why;
    if (!path_of(folder, id, "", path))
        return ERR_NOT_FOUND;
    enum err e = modelfile_open(path, out, &why);
    if (e == OK)
        touch(path);                                       /* used now: it goes last */
    return e;
}

void headercache_drop(const char *folder, const struct hash *id)
{
    char path[PATH_CHARS];
    if (path_of(folder, id, "", path))
        unlink(path);
}

/* What the folder holds, and which file was unused for longest. A torn write of an earlier process counts as oldest. */
struct survey { uint32_t files; uint64_t bytes; char oldest[NAME_MAX + 1]; int64_t oldest_ns; };

static void look_at(struct survey *s, int folder, const char *name)
{
    struct stat st;
    struct hash id;
    if (name[0] == '.' || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return;
    int64_t used_ns = hash_parse(name, &id) == OK ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : 0;
    s->files++;
    s->bytes += (uint64_t)st.st_size;
    if (!s->oldest[0] || used_ns < s->oldest_ns) {
        snprintf(s->oldest, sizeof s->oldest, "%s", name);
        s->oldest_ns = used_ns;
    }
}

static void make_room(const char *folder)
{
    DIR *dir = opendir(folder);
    for (bool over = dir != NULL; over;) {
        struct survey s = { 0 };
        rewinddir(dir);
        for (struct dirent *d; (d = readdir(dir));)
            look_at(&s, dirfd(dir), d->d_name);
        over = (s.files > HEADERCACHE_FILES_MAX || s.bytes > HEADERCACHE_BYTES_MAX) && unlinkat(dirfd(dir), s.oldest, 0) == 0;
    }
    if (dir)
        closedir(dir);
}

void headercache_keep(const char *folder, const struct hash *id, const struct hash *tensor_hash, struct bytes header)
{
    char path[PATH_CHARS], temp[PATH_CHARS];
    if (!path_of(folder, id, "", path) || !path_of(folder, id, ".new", temp))
        return;
    mkdir(folder, 0700);
    FILE *f = fopen(temp, "we");
    if (!f)
        return;
    bool fine = fwrite(tensor_hash->b, 1, HASH_BYTES, f) == HASH_BYTES && fwrite(header.data, 1, header.len, f) == header.len;
    fine = fclose(f) == 0 && fine;
    if (fine && rename(temp, path) == 0)
        touch(path);
    else
        unlink(temp);
    make_room(folder);
}
