/* emu_memory.cc - who may touch which byte, and who did since which barrier. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/emu_machine.h"

enum { BUFFERS_MAX = 1024 };

/* `thread` of a cell: a thread, or that several read since the barrier: of a warp, of the block, of several blocks. */
enum { OF_WARP = 0x8000, OF_BLOCK = 0x4000, OF_GRID = 0x4001 };

/* The last write and the last reads of a byte. interval 0 means never. */
struct cell {
    uint32_t write_interval, read_interval;
    uint16_t write_sync, write_thread, read_sync, read_thread;
    bool atomic;                         /* the write was one: atomics do not race with each other */
    bool copying;                        /* cp.async is on its way there */
};

struct buffer {
    uint8_t *begin;
    size_t bytes;
    struct cell *cells;                  /* NULL: constant */
    const char *name;
};

static struct buffer buffers[BUFFERS_MAX];
static uint32_t n_buffers;
static struct cell shared_cells[SHARED_MAX];

/* --- buffers ------------------------------------------------------------------------------------------------------ */

void *emu_alloc(const char *name, size_t bytes)
{
    size_t room = (bytes + 511) & ~(size_t)255;
    struct cell *cells = (struct cell *)calloc(bytes + 1, sizeof *cells);
    struct buffer b = { (uint8_t *)aligned_alloc(256, room), bytes, cells, name };
    if (n_buffers == BUFFERS_MAX || !b.begin || !b.cells)
        abort();
    memset(b.begin, 0xa5, room);
    buffers[n_buffers++] = b;
    return b.begin;
}

static struct buffer *find(const void *p)
{
    static uint32_t last;
    const uint8_t *at = (const uint8_t *)p;
    for (uint32_t i = 0; i < n_buffers; i++) {
        struct buffer *b = &buffers[(last + i) % n_buffers];
        if (at >= b->begin && at < b->begin + b->bytes) {
            last = (last + i) % n_buffers;
            return b;
        }
    }
    return NULL;
}

static struct buffer *find_first_byte(void *p)
{
    for (uint32_t i = 0; i < n_buffers; i++)
        if (buffers[i].begin == p)
            return &buffers[i];
    abort();
}

void emu_make_constant(void *p)
{
    struct buffer *b = find_first_byte(p);
    free(b->cells);
    b->cells = NULL;
}

void emu_free(void *p)
{
    if (!p)
        return;
    struct buffer *b = find_first_byte(p);
    free(b->cells);
    free(b->begin);
    *b = buffers[--n_buffers];
}

/* --- races -------------------------------------------------------------------------------------------------------- */

void memory_begin_block(void)
{
    machine.block_first = ++machine.interval;
    memset(machine_shared, 0xa5, machine.shared_bytes);
}

/* Has what `thread` did in `interval`, after `sync` warp_sync()s, certainly happened before now? */
static bool is_ordered(uint32_t interval, uint32_t thread, uint32_t sync)
{
    uint32_t warp = machine.thread / WARP;
    if (interval < machine.launch_first)
        return true;
    if (thread == OF_GRID || interval < machine.block_first)
        return false;
    if (interval < machine.interval || thread == machine.thread)
        return true;
    if (thread == OF_BLOCK)
        return false;
    uint32_t of_warp = thread & OF_WARP ? thread & ~(uint32_t)OF_WARP : thread / WARP;
    return of_warp == warp && sync < machine_warps[warp].syncs;
}

static void note_read(struct cell *c)
{
    uint32_t thread = machine.thread, sync = machine_warps[thread / WARP].syncs;
    if (c->read_interval >= machine.launch_first && !is_ordered(c->read_interval, c->read_thread, c->read_sync)) {
        uint32_t before = c->read_thread;
        uint32_t before_warp = before & OF_WARP ? before & ~(uint32_t)OF_WARP : before / WARP;
        if (before == OF_GRID || c->read_interval < machine.block_first)
            thread = OF_GRID;
        else if (before == OF_BLOCK || before_warp != thread / WARP)
            thread = OF_BLOCK;
        else
            thread = OF_WARP | thread / WARP;
    }
    c->read_interval = machine.interval;
    c->read_sync = (uint16_t)sync;
    c->read_thread = (uint16_t)thread;
}

static void note_write(struct cell *c, enum access how)
{
    c->copying = how == COPY_BEGIN;
    c->write_interval = machine.interval;
    c->write_sync = (uint16_t)machine_warps[machine.thread / WARP].syncs;
    c->write_thread = (uint16_t)machine.thread;
    c->atomic = how == ATOMIC;
}

/* What of the byte's past does this access race with? NULL: nothing. */
static const char *race_of(const struct cell *c, enum access how)
{
    bool both_atomic = how == ATOMIC && c->atomic;
    if (c->copying && how != COPY_END)
        return "being copied to";
    if (!both_atomic && !is_ordered(c->write_interval, c->write_thread, c->write_sync))
        return how == READ ? "written" : "written too";
    if (how != READ && !is_ordered(c->read_interval, c->read_thread, c->read_sync))
        return "read";
    return NULL;
}

static void touch_cells(struct cell *cells, size_t bytes, enum access how, const char *where, size_t at)
{
    for (size_t i = 0; i < bytes; i++) {
        struct cell *c = &cells[i];
        const char *race = race_of(c, how);
        if (race) {
            fault("race: %s %s byte %zu, %s by thread %u with no barrier between", how == READ ? "reads" : "writes",
                  where, at + i, race, race[0] == 'r' ? c->read_thread : c->write_thread);
            note_write(c, WRITE);
            return;
        }
        if (how == READ)
            note_read(c);
        else
            note_write(c, how);
    }
}

static void touch_shared(size_t at, size_t bytes, enum access how)
{
    struct cell *cells = &shared_cells[at];
    if (at + bytes > machine.shared_bytes) {
        fault("stray: byte %zu of %zu bytes of shared memory", at + bytes - 1, machine.shared_bytes);
        stop_thread();
    }
    for (size_t i = 0; i < bytes; i++) {
        if (cells[i].write_interval >= machine.block_first)
            continue;
        if (how == READ || how == ATOMIC) {
            fault("stray: reads shared byte %zu, which nobody wrote", at + i);
            return;
        }
        memset(&cells[i], 0, sizeof cells[i]);
    }
    touch_cells(cells, bytes, how, "shared", at);
}

/* What an early launch may not touch yet. NULL: nothing of it. */
static const char *early_of(const struct cell *cells, size_t bytes, enum access how)
{
    if (machine_threads[machine.thread].may_touch)
        return NULL;
    if (how != READ)
        return "writes";
    for (size_t i = 0; cells && i < bytes; i++)
        if (cells[i].write_interval != 0 && cells[i].write_interval >= machine.queue_first)
            return "reads what a launch before it wrote:";
    return NULL;
}

static bool lies_in(const void *p, size_t bytes, const void *begin, size_t room)
{
    uintptr_t at = (uintptr_t)p - (uintptr_t)begin;
    return at < room && bytes <= room - at;
}

static void touch_buffer(struct buffer *b, size_t at, size_t bytes, enum access how)
{
    if (at % bytes != 0 && bytes <= 16) {
        fault("stray: %zu bytes at %s+%zu are not aligned", bytes, b->name, at);
        stop_thread();
    }
    if (!b->cells && how != READ) {
        fault("stray: writes %s, which is constant", b->name);
        stop_thread();
    }
    const char *early = early_of(b->cells ? b->cells + at : NULL, bytes, how);
    if (early)
        fault("early access: %s %s byte %zu before grid_wait()", early, b->name, at);
    if (b->cells)
        touch_cells(b->cells + at, bytes, how, b->name, at);
}

void touch(const void *p, size_t bytes, enum access how)
{
    if (lies_in(p, bytes, machine_stacks + (size_t)machine.thread * STACK_BYTES, STACK_BYTES))
        return;
    if (lies_in(p, 1, machine_shared, SHARED_MAX)) {
        touch_shared((size_t)((const uint8_t *)p - machine_shared), bytes, how);
        return;
    }
    if (how == READ && lies_in(p, bytes, machine.arguments, machine.arguments_bytes))
        return;
    struct buffer *b = find(p);
    if (!b || !lies_in(p, bytes, b->begin, b->bytes)) {
        fault("stray: %s %zu bytes at %s%+td", how == READ ? "reads" : "writes", bytes, b ? b->name : "no buffer",
              b ? (const uint8_t *)p - b->begin : 0);
        stop_thread();
    }
    touch_buffer(b, (size_t)((const uint8_t *)p - b->begin), bytes, how);
}

/* Nothing is read, but the bytes must be there. */
void emu_prefetch(const void *from, size_t bytes)
{
    struct buffer *b = find(from);
    if (bytes == 0)
        return;
    if (!b || !lies_in(from, bytes, b->begin, b->bytes) || ((uintptr_t)from | bytes) % 16)
        fault("stray: prefetches %zu bytes at %s%+td", bytes, b ? b->name : "no buffer",
              b ? (const uint8_t *)from - b->begin : 0);
}

/* --- what -fsanitize=thread calls --------------------------------------------------------------------------------- */

static void seen(const void *p, size_t bytes, enum access how)
{
    if (machine.running)
        touch(p, bytes, how);
}

#define SIZE(n)                                                                                                        \
    extern "C" void __tsan_read##n(void *p);                                                                           \
    extern "C" void __tsan_write##n(void *p);                                                                          \
    extern "C" void __tsan_unaligned_read##n(void *p);                                                                 \
    extern "C" void __tsan_unaligned_write##n(void *p);                                                                \
    void __tsan_read##n(void *p) { seen(p, n, READ); }                                                                 \
    void __tsan_write##n(void *p) { seen(p, n, WRITE); }                                                               \
    void __tsan_unaligned_read##n(void *p) { seen(p, n, READ); }                                                       \
    void __tsan_unaligned_write##n(void *p) { seen(p, n, WRITE); }
SIZE(1)
SIZE(2)
SIZE(4)
SIZE(8)
SIZE(16)

extern "C" {
void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_read_range(void *p, size_t bytes);
void __tsan_write_range(void *p, size_t bytes);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}
void __tsan_read_range(void *p, size_t bytes) { seen(p, bytes, READ); }
void __tsan_write_range(void *p, size_t bytes) { seen(p, bytes, WRITE); }
}
