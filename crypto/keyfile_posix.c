/* keyfile_posix.c - secret seeds in files. Format and promises: keyfile_posix.h. */
#define _POSIX_C_SOURCE 200809L
#include "crypto/keyfile_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium/crypto_aead_xchacha20poly1305.h>
#include <sodium/crypto_pwhash.h>
#include <sodium/utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random_os.h"

static const char magic[8] = { 'T', 'A', 'L', 'L', 'Y', 'K', 'E', 'Y' };

enum {
    AT_VERSION = 8, AT_KIND = 9, AT_OPSLIMIT = 10, AT_MEMLIMIT = 18, AT_SALT = 26, AT_NONCE = 42, AT_BOX = 66,
    AT_CHECK = AT_BOX + KEY_SEED_BYTES, CHECK_BYTES = KEYFILE_BYTES - AT_CHECK,
    VERSION = 1, KIND_PLAIN = 0, KIND_PASSPHRASE = 1,
    PATH_CHARS_MAX = 4096,
};
_Static_assert(AT_NONCE - AT_SALT == crypto_pwhash_SALTBYTES, "layout");
_Static_assert(AT_BOX - AT_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "layout");
_Static_assert((int)CHECK_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "layout");

/* Argon2id costs for new files. Files say their own costs, so these may rise; the most that is believed bounds what a
 * damaged or planted file can make us spend. */
#define OPSLIMIT 3u
#define MEMLIMIT (64u * 1024 * 1024)
#define OPSLIMIT_BELIEVED_MAX 16u
#define MEMLIMIT_BELIEVED_MAX (1024u * 1024 * 1024)

struct image {
    uint8_t b[KEYFILE_BYTES];
};

static void put_u64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (unsigned i = 8; i-- > 0;)
        v = (v << 8) | p[i];
    return v;
}

/* ---- the bytes ---- */

/* The box key from a passphrase and the costs and salt in the image. Out of memory is the only way it fails. */
static enum err derive_key(const struct image *im, const char *passphrase, struct hash *out)
{
    int rc = crypto_pwhash(out->b, HASH_BYTES, passphrase, strlen(passphrase), im->b + AT_SALT, get_u64(im->b + AT_OPSLIMIT),
                           (size_t)get_u64(im->b + AT_MEMLIMIT), crypto_pwhash_ALG_ARGON2ID13);
    return rc == 0 ? OK : ERR_MEMORY;
}

static void check_bytes(const struct image *im, uint8_t out[CHECK_BYTES])
{
    struct hash h = hash_of("keyfile", bytes_of(im->b, AT_CHECK));
    memcpy(out, h.b, CHECK_BYTES);
}

static void encode_plain(const struct key_seed *seed, struct image *im)
{
    im->b[AT_KIND] = KIND_PLAIN;
    memcpy(im->b + AT_BOX, seed->b, KEY_SEED_BYTES);
    check_bytes(im, im->b + AT_CHECK);
}

static enum err encode_locked(const struct key_seed *seed, const char *passphrase, struct image *im)
{
    struct hash key;
    if (passphrase[0] == '\0')
        return ERR_ARG;
    im->b[AT_KIND] = KIND_PASSPHRASE;
    put_u64(im->b + AT_OPSLIMIT, OPSLIMIT);
    put_u64(im->b + AT_MEMLIMIT, MEMLIMIT);
    random_os(im->b + AT_SALT, AT_NONCE - AT_SALT);
    random_os(im->b + AT_NONCE, AT_BOX - AT_NONCE);
    enum err e = derive_key(im, passphrase, &key);
    if (e == OK)
        crypto_aead_xchacha20poly1305_ietf_encrypt(im->b + AT_BOX, NULL, seed->b, KEY_SEED_BYTES, im->b, AT_BOX, NULL,
                                                   im->b + AT_NONCE, key.b);
    sodium_memzero(&key, sizeof key);
    return e;
}

static enum err encode(const struct key_seed *seed, const char *passphrase, struct image *im)
{
    memset(im->b, 0, sizeof im->b);
    memcpy(im->b, magic, sizeof magic);
    im->b[AT_VERSION] = VERSION;
    if (passphrase)
        return encode_locked(seed, passphrase, im);
    encode_plain(seed, im);
    return OK;
}

static enum err decode_plain(const struct image *im, struct key_seed *out)
{
    uint8_t check[CHECK_BYTES];
    check_bytes(im, check);
    if (sodium_memcmp(check, im->b + AT_CHECK, CHECK_BYTES) != 0 || !sodium_is_zero(im->b + AT_OPSLIMIT, AT_BOX - AT_OPSLIMIT))
        return ERR_CORRUPT;
    memcpy(out->b, im->b + AT_BOX, KEY_SEED_BYTES);
    return OK;
}

static enum err decode_locked(const struct image *im, const char *passphrase, struct key_seed *out)
{
    struct hash key;
    uint64_t ops = get_u64(im->b + AT_OPSLIMIT), mem = get_u64(im->b + AT_MEMLIMIT);
    if (ops < crypto_pwhash_OPSLIMIT_MIN || ops > OPSLIMIT_BELIEVED_MAX || mem < crypto_pwhash_MEMLIMIT_MIN ||
        mem > MEMLIMIT_BELIEVED_MAX)
        return ERR_CORRUPT;
    if (!passphrase)
        return ERR_LOCKED;
    enum err e = derive_key(im, passphrase, &key);
    if (e == OK && crypto_aead_xchacha20poly1305_ietf_decrypt(out->b, NULL, NULL, im->b + AT_BOX, KEYFILE_BYTES - AT_BOX, im->b,
                                                              AT_BOX, im->b + AT_NONCE, key.b) != 0)
        e = ERR_PASSPHRASE;
    sodium_memzero(&key, sizeof key);
    return e;
}

static enum err decode(const struct image *im, const char *passphrase, struct key_seed *out)
{
    if (memcmp(im->b, magic, sizeof magic) != 0)
        return ERR_CORRUPT;
    if (im->b[AT_VERSION] != VERSION)
        return ERR_VERSION;
    if (im->b[AT_KIND] == KIND_PLAIN)
        return decode_plain(im, out);
    return im->b[AT_KIND] == KIND_PASSPHRASE ? decode_locked(im, passphrase, out) : ERR_CORRUPT;
}

/* ---- the file ---- */

static enum err err_of_errno(void)
{
    switch (errno) {
    case ENOENT: case ENOTDIR: return ERR_NOT_FOUND;
    case EACCES: case EPERM: case EROFS: return ERR_PERMISSION;
    case EEXIST: return ERR_EXISTS;
    case ENOSPC: case EDQUOT: return ERR_DISK_FULL;
    case ENOMEM: return ERR_MEMORY;
    default: return ERR_IO;
    }
}

static enum err write_all(int fd, const struct image *im)
{
    for (size_t done = 0; done < sizeof im->b;) {
        ssize_t n = write(fd, im->b + done, sizeof im->b - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_of_errno();
        done += (size_t)n;
    }
    return fsync(fd) == 0 ? OK : err_of_errno();
}

/* A new name must itself be on disk: fsync the folder that holds it. */
static enum err sync_folder(const char *path)
{
    char folder[PATH_CHARS_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    memcpy(folder, path, len);
    folder[len] = '\0';
    int fd = open(!slash ? "." : len == 0 ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_of_errno();
    enum err e = fsync(fd) == 0 ? OK : err_of_errno();
    close(fd);
    return e;
}

enum placing { PLACE_NEW, PLACE_OVER };

/* link() refuses an existing name and rename() replaces it, both in one step: nobody sees half a file, and of two
 * creators one is told so. */
static enum err place(const char *temp, const char *path, enum placing how)
{
    if (how == PLACE_OVER)
        return rename(temp, path) == 0 ? OK : err_of_errno();
    if (link(temp, path) != 0)
        return err_of_errno();
    return unlink(temp) == 0 ? OK : err_of_errno();
}

static enum err write_file(const char *path, const struct image *im, enum placing how)
{
    char temp[PATH_CHARS_MAX];
    int len = snprintf(temp, sizeof temp, "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof temp)
        return ERR_ARG;
    int fd = mkstemp(temp);
    if (fd < 0)
        return err_of_errno();
    enum err e = fchmod(fd, S_IRUSR | S_IWUSR) == 0 ? write_all(fd, im) : err_of_errno();
    if (close(fd) != 0 && e == OK)
        e = ERR_IO;
    if (e == OK)
        e = place(temp, path, how);
    if (e != OK) {
        unlink(temp);
        return e;
    }
    return sync_folder(path);
}

static enum err check_access(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return ERR_IO;
    if (!S_ISREG(st.st_mode))
        return ERR_CORRUPT;
    bool ours = st.st_uid == geteuid() || geteuid() == 0;
    if (!ours || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return ERR_PERMISSION;
    return st.st_size == KEYFILE_BYTES ? OK : ERR_CORRUPT;
}

static enum err read_all(int fd, struct image *im)
{
    for (size_t done = 0; done < sizeof im->b;) {
        ssize_t n = read(fd, im->b + done, sizeof im->b - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            return ERR_CORRUPT;
        done += (size_t)n;
    }
    return OK;
}

static enum err read_file(const char *path, struct image *im)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);    /* a FIFO must not hang us; fstat then refuses it */
    if (fd < 0)
        return err_of_errno();
    enum err e = check_access(fd);
    if (e == OK)
        e = read_all(fd, im);
    close(fd);
    return e;
}

/* ---- what callers ask for ---- */

enum err keyfile_create(const char *path, const struct key_seed *seed, const char *passphrase)
{
    struct image im;
    enum err e = encode(seed, passphrase, &im);
    if (e == OK)
        e = write_file(path, &im, PLACE_NEW);
    sodium_memzero(&im, sizeof im);
    return e;
}

enum err keyfile_load(const char *path, const char *passphrase, struct key_seed *out)
{
    struct image im;
    enum err e = read_file(path, &im);
    if (e == OK)
        e = decode(&im, passphrase, out);
    if (e != OK)
        sodium_memzero(out->b, sizeof out->b);
    sodium_memzero(&im, sizeof im);
    return e;
}

enum err keyfile_change(const char *path, const char *old_passphrase, const char *new_passphrase)
{
    struct key_seed seed;
    struct image im;
    enum err e = keyfile_load(path, old_passphrase, &seed);
    if (e == OK)
        e = encode(&seed, new_passphrase, &im);
    if (e == OK)
        e = write_file(path, &im, PLACE_OVER);
    sodium_memzero(&seed, sizeof seed);
    sodium_memzero(&im, sizeof im);
    return e;
}
