/* powercut.c - power fails at any moment, with any part of the unflushed pages on the disk: what was acknowledged is there.
 *
 * Usage: powercut [IMAGES [SEED]] (default 240 images). This program's own pwrite, writev and fdatasync stand in front of the
 * C library's and record what LMDB does to ledger.mdb while a requester co-signs receipts. Then it rebuilds the disk as it may be
 * after a cut before each recorded operation - everything flushed, plus any subset of the pages (every second image:
 * of the 512-byte sectors) not yet flushed - and opens, checks and compares with what had been acknowledged by then.
 *
 * A test that cannot fail proves nothing, so the same images are made once more as if no flush had ever happened
 * (what LMDB's NOSYNC modes risk): most of those must be found bad.
 */
#define _GNU_SOURCE                                        /* RTLD_NEXT */
#include "tests/ledger_rig.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger/store_lmdb.h"

enum { OPS_MAX = 8192, JOBS = 24, PAGE = 4096, SECTOR = 512, DISK_MAX = 4 << 20 };

#define CHECK(cond, ...)                                                                                               \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "powercut: " __VA_ARGS__);                                                                 \
            fprintf(stderr, " (%s:%d)\n", __FILE__, __LINE__);                                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- recording ---- */

enum op_kind { OP_WRITE, OP_WRITE_THROUGH, OP_FLUSH, OP_ACK };
struct op {
    enum op_kind kind;
    size_t offset, len;
    uint8_t *data;
    struct hash id;                                        /* of the receipt acknowledged */
};
static struct op ops[OPS_MAX];
static size_t op_count;
static ino_t recorded_inode;

static void record(struct op op)
{
    CHECK(op_count < OPS_MAX, "too many operations to record");
    ops[op_count++] = op;
}

static bool is_recorded(int fd)
{
    struct stat st;
    return recorded_inode && fstat(fd, &st) == 0 && st.st_ino == recorded_inode;
}

static void record_write(int fd, const void *buf, size_t len, off_t offset)
{
    struct op op = { .kind = fcntl(fd, F_GETFL) & O_DSYNC ? OP_WRITE_THROUGH : OP_WRITE, .offset = (size_t)offset, .len = len };
    CHECK(op.offset + len <= DISK_MAX, "the file grew beyond this test's disk");
    op.data = malloc(len);
    CHECK(op.data != NULL, "no memory");
    memcpy(op.data, buf, len);
    record(op);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real)
        real = (ssize_t (*)(int, const void *, size_t, off_t))(uintptr_t)dlsym(RTLD_NEXT, "pwrite");
    if (is_recorded(fd))
        record_write(fd, buf, len, offset);
    return real(fd, buf, len, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset) { return pwrite(fd, buf, len, offset); }

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real)
        real = (ssize_t (*)(int, const struct iovec *, int))(uintptr_t)dlsym(RTLD_NEXT, "writev");
    off_t at = lseek(fd, 0, SEEK_CUR);
    for (int i = 0; is_recorded(fd) && i < count; at += (off_t)iov[i].iov_len, i++)
        record_write(fd, iov[i].iov_base, iov[i].iov_len, at);
    return real(fd, iov, count);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))(uintptr_t)dlsym(RTLD_NEXT, "fdatasync");
    int rc = real(fd);
    if (is_recorded(fd))
        record((struct op){ .kind = OP_FLUSH });
    return rc;
}

/* ---- the life that is recorded ---- */

static char base[64];

static void folder_of(const char *name, char out[96]) { snprintf(out, 96, "%s/%s", base, name); }

static enum err open_requester(struct party *p, const char *name)
{
    char folder[96];
    folder_of(name, folder);
    party_init(p, 1);
    struct store_lmdb_config c = { .folder = folder };
    enum err e = store_lmdb_open(&c, &p->store);
    return e == OK ? party_open(p) : e;
}

static void live(void)
{
    struct party requester, provider;
    struct stat st;
    char path[128];
    /* The file exists before recording begins: its very creation holds no promise. */
    CHECK(open_requester(&requester, "life") == OK, "the ledger does not open");
    store_close(requester.store);
    snprintf(path, sizeof path, "%s/life/ledger.mdb", base);
    CHECK(stat(path, &st) == 0, "no file");
    FILE *f = fopen(path, "rb");
    struct op first = { .kind = OP_WRITE, .len = (size_t)st.st_size, .data = malloc((size_t)st.st_size) };
    CHECK(f && first.data && fread(first.data, 1, first.len, f) == first.len, "cannot read the new file");
    fclose(f);
    record(first);
    record((struct op){ .kind = OP_FLUSH });
    recorded_inode = st.st_ino;
    CHECK(open_requester(&requester, "life") == OK, "the ledger does not open again");
    party_init(&provider, 2);
    CHECK(party_open(&provider) == OK, "provider");
    for (uint64_t n = 0; n < JOBS; n++) {
        struct rig_job j;
        struct op ack = { .kind = OP_ACK };
        CHECK(rig_job_whole(&j, &requester, &provider, n, 20 + n * 7 % 50, &ack.id) == OK, "job %d", (int)n);
        record(ack);
    }
    recorded_inode = 0;
    party_fini(&requester);
    party_fini(&provider);
}

/* ---- the disk after a cut ---- */

struct disk {
    uint8_t bytes[DISK_MAX];
    size_t len;
};

static void apply(struct disk *d, size_t offset, const uint8_t *data, size_t len)
{
    memcpy(d->bytes + offset, data, len);
    if (offset + len > d->len)
        d->len = offset + len;
}

/* One unflushed write: each of its pieces is on the disk or not. */
static void apply_some(struct disk *d, const struct op *op, size_t piece, uint64_t percent, struct rng *rng)
{
    for (size_t at = 0; at < op->len; at += piece) {
        size_t len = op->len - at < piece ? op->len - at : piece;
        if (rng_below(rng, 100) < percent)
            apply(d, op->offset + at, op->data + at, len);
    }
}

/* Flushed up to `cut`: everything before the last flush; write-through operations that returned; of the rest, some. */
static void rebuild(struct disk *d, size_t cut, bool torn, bool flushes_count, struct rng *rng)
{
    static const uint64_t odds[] = { 0, 25, 50, 75, 100 };
    uint64_t percent = odds[rng_below(rng, ARRAY_COUNT(odds))];
    size_t flushed = flushes_count ? 0 : 2;                /* the file as created is there in any case */
    memset(d->bytes, 0, d->len);
    d->len = 0;
    for (size_t i = 0; flushes_count && i < cut; i++)
        if (ops[i].kind == OP_FLUSH)
            flushed = i;
    for (size_t i = 0; i <= cut && i < op_count; i++) {
        bool is_write = ops[i].kind == OP_WRITE || ops[i].kind == OP_WRITE_THROUGH;
        bool safe = i < flushed || (flushes_count && i < cut && ops[i].kind == OP_WRITE_THROUGH);
        if (is_write && safe)
            apply(d, ops[i].offset, ops[i].data, ops[i].len);
        else if (is_write)
            /* The meta page's live part is far smaller than a sector, which disks write whole: never torn inside. */
            apply_some(d, &ops[i], torn ? SECTOR : PAGE, percent, rng);
    }
}

static void write_image(const struct disk *d)
{
    char path[128], lock[128];
    snprintf(path, sizeof path, "%s/image/ledger.mdb", base);
    snprintf(lock, sizeof lock, "%s/image/ledger.mdb-lock", base);
    unlink(lock);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, d->bytes, d->len) == (ssize_t)d->len && close(fd) == 0, "cannot write the image");
}

/* NULL if this disk keeps every promise made before `cut`; else what is wrong. */
static const char *judge(size_t cut)
{
    static char why[200];
    struct party p;
    enum err e = open_requester(&p, "image");
    if (e != OK) {
        snprintf(why, sizeof why, "does not open: %s", err_name(e));
        return why;
    }
    const char *verdict = NULL;
    for (size_t i = 0; i < cut && !verdict; i++) {
        struct receipt_view v;
        if (ops[i].kind == OP_ACK && ledger_receipt_find(&p.ledger, &ops[i].id, &v) != OK)
            verdict = "an acknowledged receipt is gone";
    }
    if (!verdict && ledger_check(&p.ledger, why) != OK)
        verdict = why;
    party_fini(&p);
    return verdict;
}

/* In a process of its own: a disk that lies can make LMDB abort or fault, which is also a verdict. */
static bool is_bad_apart(size_t cut)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        _exit(judge(cut) != NULL);
    }
    waitpid(pid, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void remove_all(void)
{
    static const char *const names[] = { "life/ledger.mdb", "life/ledger.mdb-lock", "life/ledger.lock", "image/ledger.mdb",
                                         "image/ledger.mdb-lock", "image/ledger.lock", "life", "image", "" };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", base, names[i]);
        (void)remove(path);
    }
}

int main(int argc, char **argv)
{
    uint64_t images = argc > 1 ? strtoull(argv[1], NULL, 10) : 240, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t controls = images / 6, bad = 0;
    static struct disk disk;
    struct rng rng;
    char folder[96];
    rng_init(&rng, seed);
    snprintf(base, sizeof base, "%s/tm-power-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(base) != NULL, "no folder: %s", strerror(errno));
    folder_of("image", folder);
    CHECK(mkdir(folder, 0700) == 0, "no folder: %s", strerror(errno));
    live();
    for (uint64_t i = 0; i < images; i++) {
        size_t cut = 2 + (size_t)rng_below(&rng, op_count - 2);
        rebuild(&disk, cut, i % 2, true, &rng);
        write_image(&disk);
        const char *why = judge(cut);
        CHECK(why == NULL, "image %llu, seed %llu, cut before operation %zu of %zu: %s", (unsigned long long)i,
              (unsigned long long)seed, cut, op_count, why);
    }
    for (uint64_t i = 0; i < controls; i++) {
        size_t cut = op_count / 2 + (size_t)rng_below(&rng, op_count / 2);
        rebuild(&disk, cut, false, false, &rng);
        write_image(&disk);
        bad += is_bad_apart(cut);
    }
    printf("powercut: %zu operations recorded, %llu images good; without flushes %llu of %llu bad\n", op_count,
           (unsigned long long)images, (unsigned long long)bad, (unsigned long long)controls);
    CHECK(bad * 2 > controls, "images without flushes pass: this test does not see what it should");
    remove_all();
    return 0;
}
