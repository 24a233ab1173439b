/* emu.cc - runs a grid: blocks one by one, their threads as fibers that give way only where CUDA lets a thread wait. */
#include "tests/gpu/emu.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/gpu/emu_machine.h"

struct machine machine;
struct thread machine_threads[THREADS_MAX];
struct warp machine_warps[WARPS_MAX];
alignas(256) uint8_t machine_shared[SHARED_MAX];
uint8_t *machine_stacks;

static void *scheduler_context;
static uint32_t faults;
static bool faults_expected;
static char first_fault[400];
static size_t shared_most, shared_limit = SHARED_MAX;
static uint64_t launches;

/* --- faults ------------------------------------------------------------------------------------------------------- */

void fault(const char *format, ...)
{
    enum { SHOWN = 8 };
    char text[300], all[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(all, sizeof all, "%s, block (%u, %u), thread %u: %s", machine.kernel, machine.block.x, machine.block.y,
             machine.thread, text);
    if (faults++ == 0)
        memcpy(first_fault, all, sizeof all);
    if (!faults_expected && faults <= SHOWN)
        fprintf(stderr, "emulated device: %s\n", all);
}

uint32_t emu_take_faults(const char **first)
{
    static char text[sizeof first_fault];
    uint32_t n = faults;
    memcpy(text, first_fault, sizeof text);
    memset(first_fault, 0, sizeof first_fault);
    faults = 0;
    if (first)
        *first = text;
    return n;
}

void emu_expect_faults(bool yes) { faults_expected = yes; }
void emu_set_seed(uint64_t seed) { machine.seed = seed; }
void emu_set_shared_limit(size_t bytes) { shared_limit = bytes < SHARED_MAX ? bytes : (size_t)SHARED_MAX; }
size_t emu_shared_limit(void) { return shared_limit; }
size_t emu_shared_most(void) { return shared_most; }
uint64_t emu_launches(void) { return launches; }

/* --- fibers ------------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
/* Saves what a call must keep on the stack, notes the stack in *from and goes on where `to` was noted. */
extern "C" void emu_switch(void **from, void *to);
asm(".text\n"
    ".globl emu_switch\n"
    ".type emu_switch, @function\n"
    "emu_switch:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size emu_switch, . - emu_switch\n");

/* Six registers, the entry, and a return address that is never used: the stack as if the entry had just been called. */
static void *fiber_init(uint8_t *stack, void (*entry)(void))
{
    void **top = (void **)(void *)(stack + STACK_BYTES);
    memset(top - 8, 0, 8 * sizeof *top);
    top[-2] = (void *)entry;
    return top - 8;
}
#else
#include <ucontext.h>
static ucontext_t contexts[THREADS_MAX + 1];

static void emu_switch(void **from, void *to)
{
    uint32_t self = machine.thread == UINT32_MAX ? THREADS_MAX : machine.thread;
    *from = &contexts[self];
    swapcontext(&contexts[self], (ucontext_t *)to);
}

static void *fiber_init(uint8_t *stack, void (*entry)(void))
{
    ucontext_t *c = &contexts[(size_t)(stack - machine_stacks) / STACK_BYTES];
    getcontext(c);
    c->uc_stack.ss_sp = stack;
    c->uc_stack.ss_size = STACK_BYTES;
    makecontext(c, entry, 0);
    return c;
}
#endif

static struct thread *running(void) { return &machine_threads[machine.thread]; }

/* The running thread waits, or is done. */
static void give_way(enum thread_state state)
{
    running()->state = state;
    emu_switch(&running()->context, scheduler_context);
}

void stop_thread(void)
{
    give_way(STOPPED);
    abort();
}

static void thread_main(void)
{
    machine.body(machine.arguments);
    if (!running()->may_touch)
        fault("early access: ends without grid_wait()");
    give_way(ENDED);
    abort();
}

/* --- blocks ------------------------------------------------------------------------------------------------------- */

static uint64_t next_random(void)
{
    uint64_t x = machine.seed;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return machine.seed = x;
}

static void fill_order(uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; machine.seed && i > 1; i--) {
        uint32_t j = (uint32_t)(next_random() % i), other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

static void begin_block(void)
{
    memory_begin_block();
    memset(machine_warps, 0, sizeof machine_warps);
    machine.at_block = 0;
    for (uint32_t t = 0; t < machine.threads; t++) {
        struct thread *thread = &machine_threads[t];
        thread->state = READY;
        thread->may_touch = !machine.early;
        thread->copies_first = thread->copies_end = thread->group = 0;
        thread->context = fiber_init(machine_stacks + (size_t)t * STACK_BYTES, thread_main);
    }
}

/* Each READY thread runs until it waits. False: nobody could. */
static bool run_round(const uint32_t *order)
{
    bool moved = false;
    for (uint32_t i = 0; i < machine.threads; i++) {
        struct thread *thread = &machine_threads[order[i]];
        if (thread->state != READY)
            continue;
        machine.thread = order[i];
        emu_switch(&scheduler_context, thread->context);
        machine.thread = UINT32_MAX;
        moved = true;
    }
    return moved;
}

static void run_block(void)
{
    uint32_t order[THREADS_MAX], waiting = 0, stopped = 0;
    begin_block();
    fill_order(order, machine.threads);
    while (run_round(order))
        ;
    for (uint32_t t = 0; t < machine.threads; t++) {
        waiting += machine_threads[t].state == AT_WARP || machine_threads[t].state == AT_BLOCK;
        stopped += machine_threads[t].state == STOPPED;
    }
    if (waiting && !stopped) {
        machine.thread = 0;
        while (machine_threads[machine.thread].state == ENDED)
            machine.thread++;
        fault("deadlock: %u threads wait at a %s that others never reach", waiting,
              running()->state == AT_BLOCK ? "block barrier" : "warp collective");
        machine.thread = UINT32_MAX;
    }
}

static void (*launch_queue)(const struct emu_work *work);
void emu_set_queue(void (*queue)(const struct emu_work *work)) { launch_queue = queue; }

void emu_launch(const char *kernel, bool early, uint32_t grid_x, uint32_t grid_y, uint32_t threads,
                size_t shared_bytes, void (*body)(const void *), const void *arguments, size_t arguments_bytes)
{
    const struct emu_work work = { kernel, early, grid_x, grid_y, threads, shared_bytes, body, arguments,
                                   arguments_bytes };
    if (launch_queue)
        launch_queue(&work);
    else
        emu_run(&work);
}

void emu_settle(void) { machine.queue_first = machine.interval + 1; }

void emu_run(const struct emu_work *work)
{
    const uint32_t grid_x = work->grid_x, grid_y = work->grid_y, threads = work->threads;
    const size_t shared_bytes = work->shared_bytes;
    machine.kernel = work->kernel;
    launches++;
    shared_most = shared_bytes > shared_most ? shared_bytes : shared_most;
    if (machine.running || threads == 0 || threads > THREADS_MAX || threads % WARP != 0 ||
        shared_bytes > shared_limit || grid_x == 0 || grid_y == 0 || grid_y > 65535) {
        fault("launch of %u x %u blocks, %u threads, %zu bytes of shared memory", grid_x, grid_y, threads,
              shared_bytes);
        return;
    }
    if (!machine_stacks) {
        machine_stacks = (uint8_t *)mmap(NULL, (size_t)THREADS_MAX * STACK_BYTES, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (machine_stacks == MAP_FAILED)
            abort();
    }
    machine.grid = emu_index{ grid_x, grid_y };
    machine.block_size = emu_index{ threads, 1 };
    machine.threads = threads;
    machine.shared_bytes = shared_bytes;
    machine.body = work->body;
    machine.arguments = work->arguments;
    machine.arguments_bytes = work->arguments_bytes;
    machine.launch_first = machine.interval + 1;
    machine.early = work->early;
    if (!machine.early)
        emu_settle();
    machine.running = true;
    uint64_t blocks = (uint64_t)grid_x * grid_y;
    bool backwards = machine.seed % 2;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = backwards ? blocks - 1 - i : i;
        machine.block = emu_index{ (uint32_t)(b % grid_x), (uint32_t)(b / grid_x) };
        run_block();
    }
    machine.running = false;
}

/* --- what a thread asks ------------------------------------------------------------------------------------------- */

struct emu_index emu_thread_idx(void) { return emu_index{ machine.thread, 0 }; }
struct emu_index emu_block_idx(void) { return machine.block; }
struct emu_index emu_block_dim(void) { return machine.block_size; }
struct emu_index emu_grid_dim(void) { return machine.grid; }
void *emu_shared(void) { return machine_shared; }
void emu_grid_wait(void) { running()->may_touch = true; }

void emu_block_sync(void)
{
    if (++machine.at_block < machine.threads) {
        give_way(AT_BLOCK);
        return;
    }
    machine.at_block = 0;
    machine.interval++;
    for (uint32_t t = 0; t < machine.threads; t++)
        machine_threads[t].state = READY;
    for (uint32_t w = 0; w < machine.threads / WARP; w++)
        machine_warps[w].syncs = 0;
}

/* --- warp collectives: the last lane to come computes for all ----------------------------------------------------- */

/* Columns in steps of 16: word 2 s + h of a lane is A(g + 8 h, 16 s + 4 t ..), word 2 `steps` + s is B(16 s + 4 t ..,
 * g). */
template <uint32_t steps> static void multiply(struct warp *w)
{
    int8_t bytes[4];
    int16_t a[16][16 * steps], b[8][16 * steps];
    for (uint32_t lane = 0; lane < WARP; lane++)
        for (uint32_t i = 0; i < 3 * steps; i++) {
            uint32_t column = (i < 2 * steps ? i / 2 : i - 2 * steps) * 16 + lane % 4 * 4;
            memcpy(bytes, &w->in[lane][i], 4);
            for (uint32_t k = 0; k < 4; k++)
                (i < 2 * steps ? a[lane / 4 + i % 2 * 8] : b[lane / 4])[column + k] = bytes[k];
        }
    for (uint32_t row = 0; row < 16; row++)
        for (uint32_t column = 0; column < 8; column++) {
            int32_t sum = 0;
            for (uint32_t k = 0; k < 16 * steps; k++)
                sum += a[row][k] * b[column][k];
            w->out[row % 8 * 4 + column / 2][row / 8 * 2 + column % 2] = (uint32_t)sum;
        }
}

static void load_rows(struct warp *w)
{
    for (uint32_t lane = 0; lane < WARP; lane++)
        for (uint32_t i = 0; i < 4; i++) {
            const uint8_t *row = (const uint8_t *)(uintptr_t)w->in[i * 8 + lane / 4][0];
            memcpy(&w->out[lane][i], row + lane % 4 * 4, 4);
        }
}

static void compute(struct warp *w)
{
    uint32_t sum = 0, most = 0, ballot = 0;
    for (uint32_t lane = 0; lane < WARP; lane++) {
        uint32_t x = (uint32_t)w->in[lane][0];
        sum += x;
        most = x > most ? x : most;
        ballot |= (uint32_t)(x != 0) << lane;
    }
    for (uint32_t lane = 0; lane < WARP; lane++) {
        uint32_t other = (uint32_t)w->in[lane][1];
        switch (w->op) {
        case EMU_SYNC: break;
        case EMU_XOR: w->out[lane][0] = (uint32_t)w->in[(lane ^ other) % WARP][0]; break;
        case EMU_GET: w->out[lane][0] = (uint32_t)w->in[other % WARP][0]; break;
        case EMU_SUM: w->out[lane][0] = sum; break;
        case EMU_MAX: w->out[lane][0] = most; break;
        case EMU_BALLOT: w->out[lane][0] = ballot; break;
        case EMU_MMA16: multiply<1>(w); return;
        case EMU_MMA32: multiply<2>(w); return;
        case EMU_MATRICES: load_rows(w); return;
        }
    }
}

void emu_warp(enum emu_op op, const uint64_t *in, uint32_t in_count, uint32_t *out, uint32_t out_count)
{
    uint32_t first = machine.thread / WARP * WARP, lane = machine.thread % WARP;
    struct warp *w = &machine_warps[machine.thread / WARP];
    if (w->arrived == 0)
        w->op = op;
    if (w->op != op) {
        fault("divergence: this lane comes to collective %d, others of its warp wait in %d", op, w->op);
        stop_thread();
    }
    if (op == EMU_MATRICES)
        touch((const void *)(uintptr_t)in[0], 16, READ);
    memcpy(w->in[lane], in, in_count * sizeof *in);
    w->arrived |= 1u << lane;
    if (w->arrived != UINT32_MAX) {
        give_way(AT_WARP);
    } else {
        compute(w);
        w->arrived = 0;
        w->syncs += op == EMU_SYNC;
        for (uint32_t l = 0; l < WARP; l++)
            machine_threads[first + l].state = READY;
    }
    memcpy(out, w->out[lane], out_count * sizeof *out);
}

/* --- cp.async ----------------------------------------------------------------------------------------------------- */

void emu_copy_async(void *to, const void *from, size_t bytes, bool valid)
{
    struct thread *t = running();
    if (t->copies_end - t->copies_first == COPIES_MAX || ((uintptr_t)to | (valid ? (uintptr_t)from : 0)) % bytes) {
        fault("cp.async: unaligned, or more than %d under way", (int)COPIES_MAX);
        stop_thread();
    }
    touch(to, bytes, COPY_BEGIN);
    struct copy *c = &t->copies[t->copies_end++ % COPIES_MAX];
    c->to = (uint8_t *)to;
    c->n = (uint32_t)bytes;
    c->group = t->group;
    memset(c->bytes, 0, bytes);
    if (valid) {
        touch(from, bytes, READ);
        memcpy(c->bytes, from, bytes);
    }
    memset(to, 0xcd, bytes);
}

void emu_copy_commit(void) { running()->group++; }

void emu_copy_wait(uint32_t left)
{
    struct thread *t = running();
    for (; t->copies_first != t->copies_end; t->copies_first++) {
        struct copy *c = &t->copies[t->copies_first % COPIES_MAX];
        if (c->group + left >= t->group)
            return;
        touch(c->to, c->n, COPY_END);
        memcpy(c->to, c->bytes, c->n);
    }
}

uint64_t emu_atomic(enum emu_atomic_op op, void *p, size_t bytes, uint64_t x)
{
    uint64_t before = 0, after = 0;
    touch(p, bytes, ATOMIC);
    memcpy(&before, p, bytes);
    switch (op) {
    case EMU_ADD: after = before + x; break;
    case EMU_OR: after = before | x; break;
    case EMU_MOST: after = before > x ? before : x; break;
    }
    memcpy(p, &after, bytes);
    return before;
}
