/* weights_cuda.c - packs and uploads a model's matrices, one after the other. */
#include "kernels/cuda/weights_cuda.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/memory_cuda.h"
#include "kernels/cuda/pack.h"
#include "kernels/pool_posix.h"

enum { PLACE_ALIGN = 256, HALF_BYTES = 8 << 20, PER_LAYER = 9 };

/* A tensor of the file and who shall know where it lies on the device. Norms have no matrix. */
struct part {
    const struct tensor *from;
    struct cuda_matrix *matrix;
    const float **norm;
    bool is_kept;                        /* the file's pages are read later, too */
};

static uint64_t round_up(uint64_t bytes) { return (bytes + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN; }

static uint32_t cols_of(const struct tensor *t) { return (uint32_t)t->extents[0]; }
static uint32_t rows_of(const struct tensor *t) { return (uint32_t)tensor_rows(t); }

static uint32_t parts_count(const struct model *m) { return m->config.layers * PER_LAYER + 2; }

/* Part i of the model: nine of each layer, then the last norm and the head. w may have no layers yet: then only
 * `from` counts. */
static struct part part_at(const struct model *m, struct cuda_weights *w, uint32_t i)
{
    static struct cuda_layer nowhere;
    uint32_t layers = m->config.layers;
    if (i == layers * PER_LAYER)
        return (struct part){ .from = &m->output_norm, .norm = &w->output_norm };
    if (i > layers * PER_LAYER)
        return (struct part){ .from = m->config.tied ? &m->token_embd : &m->output, .matrix = &w->head,
                              .is_kept = m->config.tied };
    const struct model_layer *l = &m->layers[i / PER_LAYER];
    struct cuda_layer *to = w->layers ? &w->layers[i / PER_LAYER] : &nowhere;
    const struct part parts[PER_LAYER] = {
        { &l->attn_norm, NULL, &to->attn_norm, false },        { &l->ffn_norm, NULL, &to->ffn_norm, false },
        { &l->attn_q, &to->attn_q, NULL, false },              { &l->attn_k, &to->attn_k, NULL, false },
        { &l->attn_v, &to->attn_v, NULL, false },              { &l->attn_output, &to->attn_output, NULL, false },
        { &l->ffn_gate, &to->ffn_gate, NULL, false },          { &l->ffn_up, &to->ffn_up, NULL, false },
        { &l->ffn_down, &to->ffn_down, NULL, false },
    };
    return parts[i % PER_LAYER];
}

static uint64_t part_bytes(const struct part *p)
{
    return p->norm ? p->from->bytes : cuda_packed_bytes((enum cuda_type)p->from->type, rows_of(p->from),
                                                        cols_of(p->from));
}

uint64_t weights_bytes(const struct model *model)
{
    struct cuda_weights none = { 0 };
    uint64_t sum = 0;
    for (uint32_t i = 0; i < parts_count(model); i++) {
        struct part p = part_at(model, &none, i);
        uint64_t bytes = part_bytes(&p);
        if (bytes == 0)
            return 0;
        sum += round_up(bytes);
    }
    return sum;
}

/* --- the way up --------------------------------------------------------------------------------------------------- */

struct upload {
    struct pool *pool;
    cudaStream_t stream;
    uint8_t *halves[2];
    size_t half_bytes;
    uint32_t turn;
    bool was_used[2];
};

/* A half that no copy reads any more. NULL: the device is lost. */
static uint8_t *free_half(struct upload *u)
{
    uint32_t i = u->turn++ % 2;
    /* What was copied from this half lies before what was copied from the other, and that is under way: wait for
     * both. */
    if (u->was_used[i] && cudaStreamSynchronize(u->stream) != cudaSuccess)
        return NULL;
    u->was_used[i] = true;
    return u->halves[i];
}

static enum err send(struct upload *u, void *to, const uint8_t *half, size_t bytes)
{
    return cudaMemcpyAsync(to, half, bytes, cudaMemcpyHostToDevice, u->stream) == cudaSuccess ? OK : ERR_DEVICE;
}

struct pack_loop {
    const struct tensor *from;
    uint32_t first;
    uint8_t *out;
    size_t group_bytes;
};

static void pack_group(void *ctx, uint32_t i)
{
    const struct pack_loop *l = ctx;
    cuda_pack_group((enum cuda_type)l->from->type, rows_of(l->from), cols_of(l->from), l->from->data, l->first + i,
                    l->out + i * l->group_bytes);
}

static enum err send_matrix(struct upload *u, const struct tensor *from, uint8_t *to)
{
    struct pack_loop loop = { .from = from, .group_bytes = cuda_group_bytes((enum cuda_type)from->type,
                                                                            cols_of(from)) };
    uint32_t groups = (rows_of(from) + PACK_ROWS - 1) / PACK_ROWS, most = (uint32_t)(u->half_bytes / loop.group_bytes);
    for (uint32_t count; loop.first < groups; loop.first += count) {
        count = groups - loop.first < most ? groups - loop.first : most;
        loop.out = free_half(u);
        if (!loop.out)
            return ERR_DEVICE;
        pool_run(u->pool, count, pack_group, &loop);
        if (send(u, to + loop.first * loop.group_bytes, loop.out, count * loop.group_bytes) != OK)
            return ERR_DEVICE;
    }
    return OK;
}

static enum err send_norm(struct upload *u, const struct tensor *from, uint8_t *to)
{
    uint8_t *half = free_half(u);
    if (!half)
        return ERR_DEVICE;
    memcpy(half, from->data, (size_t)from->bytes);
    return send(u, to, half, (size_t)from->bytes);
}

static enum err send_part(struct upload *u, const struct part *p, uint8_t *to, const struct model *model)
{
    if (p->norm) {
        *p->norm = (const float *)(const void *)to;
        return send_norm(u, p->from, to);
    }
    *p->matrix = (struct cuda_matrix){ .type = (enum cuda_type)p->from->type, .rows = rows_of(p->from),
                                       .cols = cols_of(p->from), .packed = to };
    enum err e = send_matrix(u, p->from, to);
    if (e == OK && !p->is_kept && model->release)
        model->release(p->from->data, (size_t)p->from->bytes);
    return e;
}

static size_t half_bytes(const struct model *model)
{
    struct cuda_weights none = { 0 };
    size_t most = HALF_BYTES;
    for (uint32_t i = 0; i < parts_count(model); i++) {
        struct part p = part_at(model, &none, i);
        size_t least = p.norm ? (size_t)p.from->bytes : cuda_group_bytes((enum cuda_type)p.from->type, cols_of(p.from));
        most = least > most ? least : most;
    }
    return most;
}

static enum err send_all(struct cuda_weights *w, const struct model *model, struct upload *u)
{
    uint8_t *to = w->block;
    for (uint32_t i = 0; i < parts_count(model); i++) {
        struct part p = part_at(model, w, i);
        if (send_part(u, &p, to, model) != OK)
            return ERR_DEVICE;
        to += round_up(part_bytes(&p));
    }
    return cudaStreamSynchronize(u->stream) == cudaSuccess ? OK : ERR_DEVICE;
}

enum err weights_upload(struct cuda_weights *w, const struct model *model, struct pool *pool,
                        struct CUstream_st *stream, struct fault *why)
{
    struct upload u = { .pool = pool, .stream = stream, .half_bytes = half_bytes(model) };
    struct memory_wish wishes[] = { { MEMORY_DEVICE, weights_bytes(model), &w->block },
                                    { MEMORY_HOST, u.half_bytes, (void **)&u.halves[0] },
                                    { MEMORY_HOST, u.half_bytes, (void **)&u.halves[1] } };
    *w = (struct cuda_weights){ 0 };
    if (wishes[0].bytes == 0)
        return fault_set(why, ERR_UNSUPPORTED, "a matrix has a type that the CUDA kernels do not know");
    w->layers = calloc(model->config.layers, sizeof *w->layers);
    if (!w->layers)
        return fault_set(why, ERR_MEMORY, "not enough memory for the table of layers");
    enum err e = memory_take(wishes, ARRAY_COUNT(wishes), "weights", why);
    if (e == OK) {
        e = send_all(w, model, &u);
        if (e != OK)
            (void)fault_set(why, e, "the device was lost while the weights were copied");
        memory_give(wishes + 1, ARRAY_COUNT(wishes) - 1);
    }
    if (e != OK)
        weights_free(w);
    return e;
}

void weights_free(struct cuda_weights *w)
{
    struct memory_wish wish = { MEMORY_DEVICE, 0, &w->block };
    memory_give(&wish, 1);
    free(w->layers);
    *w = (struct cuda_weights){ 0 };
}
