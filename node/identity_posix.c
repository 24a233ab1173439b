/* identity_posix.c - creates and loads the files of a data folder. */
#include "node/identity_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyfile_posix.h"
#include "crypto/random_os.h"

enum { PATH_CHARS = 512, POW_STEP = 200000 };

static void path_in(char out[PATH_CHARS], const char *dir, const char *name) { snprintf(out, PATH_CHARS, "%s/%s", dir, name); }

enum err folder_create(const char *path, struct fault *why)
{
    char part[PATH_CHARS];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return fault_set(why, ERR_ARG, "folder name is empty or too long");
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char kept = part[i];
        part[i] = 0;
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return fault_set(why, ERR_IO, "%s: cannot be created (%s)", part, strerror(errno));
        part[i] = kept;
    }
    return OK;
}

/* Writes a small file whole, 0600: temporary name, fsync, rename. */
static enum err write_file(const char *path, struct bytes b, struct fault *why)
{
    char temp[PATH_CHARS + 8];
    snprintf(temp, sizeof temp, "%s.new", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fault_set(why, ERR_IO, "%s: cannot be written (%s)", temp, strerror(errno));
    bool fine = write(fd, b.data, b.len) == (ssize_t)b.len && fsync(fd) == 0;
    fine = close(fd) == 0 && fine;
    if (!fine || rename(temp, path) != 0)
        return fault_set(why, ERR_IO, "%s: cannot be written (%s)", path, strerror(errno));
    return OK;
}

static enum err read_file(const char *path, uint8_t *buf, size_t cap, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    ssize_t n = read(fd, buf, cap);
    close(fd);
    if (n < 0)
        return ERR_IO;
    *len = (size_t)n;
    return OK;
}

/* Loads a key file, or makes it with a fresh seed. */
static enum err seed_ensure(const char *dir, const char *name, const char *passphrase, struct key_seed *out, struct fault *why)
{
    char path[PATH_CHARS];
    path_in(path, dir, name);
    enum err e = keyfile_load(path, passphrase, out);
    if (e == ERR_NOT_FOUND) {
        random_seed(out);
        e = keyfile_create(path, out, passphrase);
    }
    return e == OK ? OK : fault_set(why, e, "%s: %s", path, err_text(e));
}

static bool is_there(const char *dir, const char *name)
{
    char path[PATH_CHARS];
    struct stat st;
    path_in(path, dir, name);
    return stat(path, &st) == 0 || errno != ENOENT;
}

bool identity_is_absent(const char *data_dir) { return !is_there(data_dir, "node.key") && !is_there(data_dir, "node.pow"); }

/* One of the files that `tally init` makes is not there. */
static enum err incomplete(const char *dir, const char *name, struct fault *why)
{
    if (identity_is_absent(dir))
        return fault_set(why, ERR_NOT_FOUND, "no node lives in %.180s; `tally init` makes one", dir);
    return fault_set(why, ERR_NOT_FOUND, "%.100s/%s is missing: run `tally init` again to finish", dir, name);
}

static enum err seed_load(const char *dir, const char *name, const char *passphrase, struct key_seed *out, struct fault *why)
{
    char path[PATH_CHARS];
    path_in(path, dir, name);
    enum err e = keyfile_load(path, passphrase, out);
    if (e == ERR_NOT_FOUND)
        return incomplete(dir, name, why);
    return e == OK ? OK : fault_set(why, e, "%s: %s", path, err_text(e));
}

/* "NONCE NETWORKID", as pow_ensure() wrote it. */
static enum err pow_read(const char *dir, uint64_t *nonce, struct net_id *net, struct fault *why)
{
    char path[PATH_CHARS], *end;
    uint8_t buf[96];
    size_t len, hex_len;
    path_in(path, dir, "node.pow");
    enum err e = read_file(path, buf, sizeof buf - 1, &len);
    if (e == ERR_NOT_FOUND)
        return incomplete(dir, "node.pow", why);
    if (e != OK)
        return fault_set(why, e, "%s: %s", path, err_text(e));
    buf[len] = 0;
    *nonce = strtoull((char *)buf, &end, 10);
    if (*end != ' ' || sodium_hex2bin(net->b, sizeof net->b, end + 1, strnlen(end + 1, 2 * NET_ID_BYTES), NULL, &hex_len, NULL) != 0 || hex_len != NET_ID_BYTES)
        return fault_set(why, ERR_CORRUPT, "%s: does not name a network", path);
    return OK;
}

static enum err pow_load(const char *dir, const struct net_id *net, uint64_t *nonce, struct fault *why)
{
    struct net_id made_for;
    enum err e = pow_read(dir, nonce, &made_for, why);
    if (e == OK && !net_id_equal(&made_for, net))
        return fault_set(why, ERR_NETWORK, "%.160s/node.pow was made for another network; use another data_dir for this one", dir);
    return e;
}

/* Searches a proof of work, unless there is one that proves as much. It may be made anew at any time: the identity stays. */
static enum err pow_ensure(const char *dir, const struct pubkey *node, const struct net_id *net, unsigned bits,
                           void (*progress)(void *, uint64_t), void *ctx, struct fault *why)
{
    char path[PATH_CHARS], text[96];
    uint64_t nonce = 0, tries = 0;
    enum err e = pow_load(dir, net, &nonce, why);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    if (e == OK && pow_check(node, net, nonce, bits) == OK)
        return OK;
    path_in(path, dir, "node.pow");
    for (nonce = 0; pow_search(node, net, bits, POW_STEP, &nonce) != OK; tries += POW_STEP)
        if (progress)
            progress(ctx, tries);
    char hex[2 * NET_ID_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, net->b, sizeof net->b);
    int n = snprintf(text, sizeof text, "%llu %s\n", (unsigned long long)nonce, hex);
    return write_file(path, bytes_of(text, (size_t)n), why);
}

enum err identity_certify(const char *owner_key, const char *passphrase, const struct net_id *net, const struct pubkey *node, uint64_t days,
                          struct cert *out, struct fault *why)
{
    struct key_seed seed;
    struct secret_key owner;
    struct pubkey owner_public;
    enum err e = keyfile_load(owner_key, passphrase, &seed);
    if (e != OK)
        return fault_set(why, e, "%s: %s", owner_key, err_text(e));
    key_from_seed(&seed, &owner, &owner_public);
    cert_issue(&owner, net, node, (uint64_t)time(NULL) + days * 86400, out);
    key_fini(&owner);
    sodium_memzero(&seed, sizeof seed);
    return OK;
}

enum err identity_cert_write(const char *path, const struct cert *c, struct fault *why)
{
    uint8_t buf[CERT_BYTES_MAX];
    struct writer w;
    struct bytes b;
    writer_init(&w, buf, sizeof buf);
    cert_write(&w, c);
    enum err e = writer_finish(&w, &b);
    return e == OK ? write_file(path, b, why) : e;
}

int64_t identity_cert_days_left(const struct cert *c, struct wall now)
{
    uint64_t now_s = now.ms / 1000;
    if (c->not_after_s < now_s)
        return -1 - (int64_t)((now_s - c->not_after_s) / 86400);
    uint64_t days = (c->not_after_s - now_s) / 86400;
    return days > INT32_MAX ? INT32_MAX : (int64_t)days;
}

static enum err cert_ensure(const char *dir, const char *passphrase, const struct net_id *net, const struct pubkey *node, struct fault *why)
{
    char owner_key[PATH_CHARS], path[PATH_CHARS];
    struct cert c;
    path_in(owner_key, dir, "owner.key");
    path_in(path, dir, "owner.cert");
    if (is_there(dir, "owner.cert"))
        return OK;
    enum err e = identity_certify(owner_key, passphrase, net, node, IDENTITY_CERT_DAYS, &c, why);
    return e == OK ? identity_cert_write(path, &c, why) : e;
}

enum err identity_create(const char *data_dir, const struct net_id *net, unsigned pow_bits, const char *passphrase,
                         void (*progress)(void *, uint64_t), void *ctx, struct fault *why)
{
    struct key_seed seed;
    struct secret_key node;
    struct pubkey node_public;
    enum err e = folder_create(data_dir, why);
    if (e == OK && !is_there(data_dir, "owner.cert"))      /* else the owner key may be kept elsewhere: no second owner */
        e = seed_ensure(data_dir, "owner.key", passphrase, &seed, why);
    if (e == OK)
        e = seed_ensure(data_dir, "transport.key", passphrase, &seed, why);
    if (e == OK)
        e = seed_ensure(data_dir, "node.key", passphrase, &seed, why);
    if (e == OK) {
        key_from_seed(&seed, &node, &node_public);
        key_fini(&node);
        e = pow_ensure(data_dir, &node_public, net, pow_bits, progress, ctx, why);
    }
    sodium_memzero(&seed, sizeof seed);
    return e == OK ? cert_ensure(data_dir, passphrase, net, &node_public, why) : e;
}

static enum err cert_load(const char *path, const struct net_id *net, struct identity *id, struct fault *why)
{
    uint8_t buf[CERT_BYTES_MAX];
    size_t len;
    struct reader r;
    enum err e = read_file(path, buf, sizeof buf, &len);
    id->has_cert = e == OK;
    if (e == ERR_NOT_FOUND)
        return OK;
    if (e != OK)
        return fault_set(why, e, "%s: %s", path, err_text(e));
    reader_init(&r, bytes_of(buf, len));
    cert_read(&r, &id->cert);
    e = reader_finish(&r);
    if (e == OK)
        e = cert_verify(&id->cert, net, &id->node_public, (struct wall){ (uint64_t)time(NULL) * 1000 });
    id->cert_expired = e == ERR_EXPIRED;
    if (id->cert_expired) {                            /* a node without an owner is better than none */
        id->has_cert = false;
        return OK;
    }
    if (e != OK)
        return fault_set(why, e, "%s: %s", path, err_text(e));
    id->owner_public = id->cert.owner;
    return OK;
}

enum err identity_load(const char *data_dir, const struct net_id *net, const char *passphrase, const char *cert_path,
                       struct identity *out, struct fault *why)
{
    struct identity id;
    struct key_seed transport_seed;
    char path[PATH_CHARS];
    memset(&id, 0, sizeof id);
    enum err e = seed_load(data_dir, "node.key", passphrase, &id.node_seed, why);
    if (e == OK)
        e = seed_load(data_dir, "transport.key", passphrase, &transport_seed, why);
    if (e == OK)
        e = pow_load(data_dir, net, &id.pow_nonce, why);
    if (e != OK) {
        identity_fini(&id);
        return e;
    }
    key_from_seed(&id.node_seed, &id.node, &id.node_public);
    seal_key_from_seed(&transport_seed, &id.transport_secret, &id.transport);
    sodium_memzero(&transport_seed, sizeof transport_seed);
    path_in(path, data_dir, "owner.cert");
    e = cert_load(cert_path && cert_path[0] ? cert_path : path, net, &id, why);
    if (e == OK)
        *out = id;
    identity_fini(&id);
    return e;
}

/* Looked at where it costs nothing: a key file without a passphrase. A locked one is compared when the node starts. */
static bool is_of_another_node(const char *dir, const struct pubkey *certified)
{
    char path[PATH_CHARS];
    struct key_seed seed;
    struct secret_key key;
    struct pubkey node;
    path_in(path, dir, "node.key");
    if (keyfile_load(path, NULL, &seed) != OK)
        return false;
    key_from_seed(&seed, &key, &node);
    key_fini(&key);
    sodium_memzero(&seed, sizeof seed);
    return !pubkey_equal(&node, certified);
}

enum err identity_glance(const char *data_dir, const char *passphrase, struct identity_glance *out, struct fault *why)
{
    char path[PATH_CHARS];
    uint8_t buf[CERT_BYTES_MAX];
    size_t len;
    struct identity_glance g;
    struct reader r;
    memset(&g, 0, sizeof g);
    enum err e = pow_read(data_dir, &g.pow_nonce, &g.net, why);
    if (e != OK)
        return e;
    path_in(path, data_dir, "owner.cert");
    if (read_file(path, buf, sizeof buf, &len) == OK) {
        reader_init(&r, bytes_of(buf, len));
        cert_read(&r, &g.cert);
        if (reader_finish(&r) != OK)
            return fault_set(why, ERR_CORRUPT, "%s: not a certificate", path);
        g.has_cert = true;
        g.node = g.cert.node;
        if (is_of_another_node(data_dir, &g.node))
            return fault_set(why, ERR_CERT, "%s: a certificate for another node key than %.160s/node.key", path, data_dir);
    } else {
        struct key_seed seed;
        struct secret_key key;
        if ((e = seed_load(data_dir, "node.key", passphrase, &seed, why)) != OK)
            return e;
        key_from_seed(&seed, &key, &g.node);
        key_fini(&key);
        sodium_memzero(&seed, sizeof seed);
    }
    *out = g;
    return OK;
}

void identity_fini(struct identity *id)
{
    key_fini(&id->node);
    seal_fini(&id->transport_secret);
    sodium_memzero(&id->node_seed, sizeof id->node_seed);
}
