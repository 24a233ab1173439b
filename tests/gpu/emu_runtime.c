/* emu_runtime.c - memory that is counted, and a stream that is a list of things to do later. */
#include "tests/gpu/emu_runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base.h"
#include "tests/gpu/emu.h"
#include "tests/gpu/runtime/cuda_runtime_api.h"

enum { BLOCKS_MAX = 512 };

/* Memory that was handed out. */
struct block {
    uint8_t *begin;
    size_t bytes;
    bool is_device;
};

enum deed_kind { DEED_LAUNCH, DEED_COPY, DEED_SET };

struct deed {
    enum deed_kind kind;
    struct emu_work work;            /* its arguments are a copy of ours */
    void *to;
    const void *from;
    size_t bytes;
    int value;
};

struct deeds {
    struct deed *all;
    size_t n, cap;
};

struct CUstream_st {
    struct deeds waiting;
    struct CUgraph_st *captured;         /* NULL: nothing is being captured */
};
struct CUgraph_st {
    struct deeds deeds;
};
struct CUgraphExec_st {
    struct deeds deeds;
};

static struct block blocks[BLOCKS_MAX];
static size_t n_blocks, others_held, device_used, device_memory = (size_t)1 << 40;
static int devices = 2;
static uint64_t calls, fail_at;
static bool fail_for_good;
static cudaError_t last_error;
static struct emu_runtime_counts counts;
static struct CUstream_st *only_stream;

void emu_runtime_devices(int count) { devices = count; }
void emu_runtime_memory(size_t bytes) { device_memory = bytes; }
uint64_t emu_runtime_calls(void) { return calls; }
size_t emu_runtime_held(void) { return n_blocks + others_held; }

void emu_runtime_fail(uint64_t call, bool for_good)
{
    calls = 0;
    fail_at = call;
    fail_for_good = for_good;
    last_error = cudaSuccess;
}

struct emu_runtime_counts emu_runtime_counts(void)
{
    struct emu_runtime_counts now = counts;
    counts = (struct emu_runtime_counts){ 0 };
    return now;
}

/* Shall this call fail? */
static bool fails(void)
{
    calls++;
    bool now = fail_at != 0 && (fail_for_good ? calls >= fail_at : calls == fail_at);
    if (now)
        last_error = cudaErrorUnknown;
    return now;
}

static cudaError_t fail(cudaError_t e) { return last_error = e; }

/* --- memory ------------------------------------------------------------------------------------------------------- */

static struct block *find(const void *p)
{
    for (size_t i = 0; i < n_blocks; i++)
        if ((const uint8_t *)p >= blocks[i].begin && (const uint8_t *)p < blocks[i].begin + blocks[i].bytes)
            return &blocks[i];
    return NULL;
}

static bool lies_in(const void *p, size_t bytes, bool is_device)
{
    const struct block *b = find(p);
    return b && b->is_device == is_device && (size_t)((const uint8_t *)p - b->begin) + bytes <= b->bytes;
}

static void add_block(void *p, size_t bytes, bool is_device)
{
    ENSURE(n_blocks < BLOCKS_MAX);
    blocks[n_blocks++] = (struct block){ .begin = p, .bytes = bytes, .is_device = is_device };
}

static void drop_block(void *p, bool is_device)
{
    struct block *b = find(p);
    ENSURE(b && b->begin == p && b->is_device == is_device);
    *b = blocks[--n_blocks];
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    if (fails())
        return cudaErrorUnknown;
    if (device_used + bytes > device_memory)
        return fail(cudaErrorMemoryAllocation);
    *p = emu_alloc("device memory", bytes);
    device_used += bytes;
    add_block(*p, bytes, true);
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    device_used -= find(p)->bytes;
    drop_block(p, true);
    emu_free(p);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    if (fails())
        return cudaErrorUnknown;
    *p = malloc(bytes);
    ENSURE(*p);
    memset(*p, 0x5a, bytes);
    add_block(*p, bytes, false);
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    drop_block(p, false);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    *total = device_memory;
    *free_bytes = device_memory - device_used;
    return cudaSuccess;
}

/* --- what is to be done later ------------------------------------------------------------------------------------- */

static void deeds_add(struct deeds *d, const struct deed *deed)
{
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 64;
        d->all = realloc(d->all, d->cap * sizeof *d->all);
        ENSURE(d->all);
    }
    struct deed *to = &d->all[d->n++];
    *to = *deed;
    if (deed->kind == DEED_LAUNCH) {
        void *arguments = aligned_alloc(64, (deed->work.arguments_bytes + 63) / 64 * 64);
        ENSURE(arguments);
        memcpy(arguments, deed->work.arguments, deed->work.arguments_bytes);
        to->work.arguments = arguments;
    }
}

static void deeds_clear(struct deeds *d)
{
    for (size_t i = 0; i < d->n; i++)
        free((void *)(uintptr_t)d->all[i].work.arguments);
    free(d->all);
    *d = (struct deeds){ 0 };
}

static void do_it(const struct deed *d)
{
    if (d->kind != DEED_LAUNCH)
        emu_settle();
    switch (d->kind) {
    case DEED_LAUNCH: emu_run(&d->work); return;
    case DEED_COPY: memcpy(d->to, d->from, d->bytes); return;
    case DEED_SET: memset(d->to, d->value, d->bytes); return;
    }
}

static void enqueue(struct CUstream_st *stream, const struct deed *deed)
{
    ENSURE(stream && stream == only_stream);
    deeds_add(stream->captured ? &stream->captured->deeds : &stream->waiting, deed);
    counts.copies += deed->kind == DEED_COPY;
    counts.launches += deed->kind == DEED_LAUNCH;
}

static void enqueue_launch(const struct emu_work *work)
{
    struct deed deed = { .kind = DEED_LAUNCH, .work = *work };
    enqueue(only_stream, &deed);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    ENSURE(flags == cudaStreamNonBlocking && !only_stream);
    if (fails())
        return cudaErrorUnknown;
    *stream = only_stream = calloc(1, sizeof **stream);
    ENSURE(only_stream);
    others_held++;
    emu_set_queue(enqueue_launch);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    ENSURE(stream == only_stream);
    deeds_clear(&stream->waiting);
    if (stream->captured)
        (void)cudaGraphDestroy(stream->captured);
    free(stream);
    only_stream = NULL;
    others_held--;
    emu_set_queue(NULL);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    ENSURE(stream == only_stream && !stream->captured);
    if (fails())
        return cudaErrorUnknown;
    for (size_t i = 0; i < stream->waiting.n; i++)
        do_it(&stream->waiting.all[i]);
    emu_settle();
    deeds_clear(&stream->waiting);
    return cudaSuccess;
}

/* Copies of a graph must be between device memory and pinned memory; others may come from anywhere on the host. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    bool up = kind == cudaMemcpyHostToDevice;
    const void *host = up ? from : to;
    if (fails()) {                   /* moves nothing, and stands between two launches all the same */
        const struct deed nothing = { .kind = DEED_COPY, .to = to, .from = from };
        enqueue(stream, &nothing);
        return cudaErrorUnknown;
    }
    if (!lies_in(up ? to : from, bytes, true) || (find(host) ? !lies_in(host, bytes, false) : stream->captured != NULL))
        return fail(cudaErrorInvalidValue);
    struct deed deed = { .kind = DEED_COPY, .to = to, .from = from, .bytes = bytes };
    enqueue(stream, &deed);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (fails())
        return cudaErrorUnknown;
    if (!lies_in(to, bytes, true))
        return fail(cudaErrorInvalidValue);
    struct deed deed = { .kind = DEED_SET, .to = to, .value = value, .bytes = bytes };
    enqueue(stream, &deed);
    return cudaSuccess;
}

/* --- graphs ------------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)mode;
    ENSURE(stream == only_stream && !stream->captured);
    if (fails())
        return cudaErrorUnknown;
    stream->captured = calloc(1, sizeof *stream->captured);
    ENSURE(stream->captured);
    others_held++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    ENSURE(stream->captured);
    *graph = stream->captured;
    stream->captured = NULL;
    if (fails()) {
        (void)cudaGraphDestroy(*graph);
        *graph = NULL;
        return cudaErrorUnknown;
    }
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    deeds_clear(&graph->deeds);
    free(graph);
    others_held--;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    if (fails())
        return cudaErrorUnknown;
    if (device_used + graph->deeds.n > device_memory)          /* each node wants some */
        return fail(cudaErrorMemoryAllocation);
    *exec = calloc(1, sizeof **exec);
    ENSURE(*exec);
    for (size_t i = 0; i < graph->deeds.n; i++)
        deeds_add(&(*exec)->deeds, &graph->deeds.all[i]);
    others_held++;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    deeds_clear(&exec->deeds);
    free(exec);
    others_held--;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (fails())
        return cudaErrorUnknown;
    counts.graphs++;
    for (size_t i = 0; i < exec->deeds.n; i++)
        deeds_add(&stream->waiting, &exec->deeds.all[i]);
    return cudaSuccess;
}

/* --- devices and errors ------------------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = devices;
    return devices > 0 ? cudaSuccess : fail(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device)
{
    if (fails())
        return cudaErrorUnknown;
    return device >= 0 && device < devices ? cudaSuccess : fail(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    (void)attribute, (void)device;
    if (fails())
        return cudaErrorUnknown;
    *value = 2;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "an error"; }
