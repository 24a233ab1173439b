/* pass_cuda.c - NV1 8, launch by launch. */
#include "kernels/cuda/pass_cuda.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/cuda/memory_cuda.h"
#include "kernels/cuda/tiles.h"
#include "kernels/exact_math.h"
#include "kernels/transformer.h"

_Static_assert((int)CUDA_CHUNK == (int)CHUNK && (int)CUDA_TILE == (int)TILE && (int)CUDA_ACT_BLOCK == (int)ACT_BLOCK &&
                   (int)CUDA_ACT_SCALES == (int)ACT_SCALES && (int)CUDA_LIMBS == (int)LIMBS, "NV1 7");

/* Partial results of chunks that are blocks of their own: for this many rows at the longest context, if that is not
 * more than so many bytes; always for one row. */
enum { PARTIAL_ROWS = 64, PARTIAL_BYTES = 256 << 20 };

/* Rows are blockIdx.y of several kernels. */
enum { GRID_ROWS_MAX = 65535 };

/* --- memory ------------------------------------------------------------------------------------------------------- */

static uint32_t q_dim_of(const struct model_config *c) { return c->heads * c->head_dim; }
static uint32_t kv_dim_of(const struct model_config *c) { return c->kv_heads * c->head_dim; }
static bool is_quantised(enum cuda_type type) { return block_format((enum tensor_type)type) != NULL; }
static uint32_t group_of(enum cuda_type type) { return ops_act_group((enum tensor_type)type); }

static uint32_t positions_of(const struct device_shape *s)
{
    uint64_t all = (uint64_t)s->pages_per_slot * CHUNK;
    return all < DEVICE_POSITIONS_MAX ? (uint32_t)all : DEVICE_POSITIONS_MAX;
}

static size_t partial_floats_of(const struct model_config *c, const struct device_shape *s)
{
    uint32_t rows = s->rows_max < PARTIAL_ROWS ? s->rows_max : PARTIAL_ROWS;
    size_t one = cuda_partial_floats(1, c->heads, s->pages_per_slot, c->head_dim);
    while (rows > 1 && one * rows > PARTIAL_BYTES / sizeof(float))
        rows--;
    return one * rows;
}

/* Where the parts of the inputs lie, on either side. Returns their bytes. */
static size_t place_inputs(struct pass_inputs *to, uint8_t *base, const struct model_config *c,
                           const struct device_shape *s, size_t row_bytes)
{
    size_t rows = ((size_t)s->rows_max * sizeof *to->rows + 15) & ~(size_t)15;
    size_t wanted = ((size_t)s->rows_max * sizeof *to->wanted + 15) & ~(size_t)15;
    size_t tiles = (size_t)tiles_max(s->rows_max, c->heads / c->kv_heads) * sizeof *to->tiles;
    if (base) {
        to->rows = (struct cuda_row *)(void *)base;
        to->wanted = (uint32_t *)(void *)(base + rows);
        to->tiles = (struct cuda_query_tile *)(void *)(base + rows + wanted);
        to->stored = base + rows + wanted + tiles;
    }
    return rows + wanted + tiles + s->rows_max * row_bytes;
}

struct wish_list {
    struct memory_wish wishes[48];
    size_t n;
};

static void wish(struct wish_list *l, enum memory_kind kind, void **at, uint64_t count, uint64_t size)
{
    ENSURE(l->n < ARRAY_COUNT(l->wishes));
    l->wishes[l->n++] = (struct memory_wish){ .kind = kind, .bytes = count * size, .at = at };
}

static void wish_acts(struct wish_list *l, struct cuda_acts *a, uint64_t rows, uint32_t cols)
{
    uint64_t blocks = rows * ops_act_blocks(cols);
    a->cols = cols;
    wish(l, MEMORY_DEVICE, (void **)&a->q, blocks, CUDA_ACT_BLOCK);
    wish(l, MEMORY_DEVICE, (void **)&a->d, blocks, ACT_SCALES * sizeof(float));
    wish(l, MEMORY_DEVICE, (void **)&a->sums, blocks, CUDA_ACT_SUMS);
}

static void wish_floats(struct wish_list *l, float **at, uint64_t rows, uint64_t cols)
{
    wish(l, MEMORY_DEVICE, (void **)at, rows * cols, sizeof(float));
}

static void wish_activations(struct wish_list *l, struct pass *p, const struct model_config *c, uint64_t rows)
{
    wish_floats(l, &p->x, rows, c->dim);
    wish_floats(l, &p->n, rows, c->dim);
    wish_floats(l, &p->y, rows, c->dim);
    wish_floats(l, &p->h, rows, c->dim);
    wish_floats(l, &p->q, rows, q_dim_of(c));
    wish_floats(l, &p->o, rows, q_dim_of(c));
    wish_floats(l, &p->k, rows, kv_dim_of(c));
    wish_floats(l, &p->v, rows, kv_dim_of(c));
    wish_floats(l, &p->gate, rows, c->ffn_dim);
    wish_floats(l, &p->up, rows, c->ffn_dim);
    wish_floats(l, &p->cq, rows, c->heads);
    wish(l, MEMORY_DEVICE, (void **)&p->q8, rows, (uint64_t)c->heads * LIMBS * cuda_head_width(c->head_dim));
    wish(l, MEMORY_DEVICE, (void **)&p->bad, rows, sizeof *p->bad);
    wish_acts(l, &p->n_acts[0], rows, c->dim);
    wish_acts(l, &p->n_acts[1], rows, c->dim);
    wish_acts(l, &p->o_acts, rows, q_dim_of(c));
    wish_acts(l, &p->gate_acts, rows, c->ffn_dim);
    wish_acts(l, &p->h_acts, rows, c->dim);
}

static void list_wishes(struct wish_list *l, struct pass *p, const struct model *model, const struct device_shape *s)
{
    const struct model_config *c = &model->config;
    uint64_t rows = s->rows_max, blocks = rows * ops_act_blocks(c->dim);
    struct pass_inputs nowhere;
    size_t inputs = place_inputs(&nowhere, NULL, c, s, (size_t)tensor_row_bytes(&model->token_embd));
    l->n = 0;
    wish_activations(l, p, c, rows);
    wish_floats(l, &p->partial, 1, partial_floats_of(c, s));
    wish_floats(l, &p->rotations, positions_of(s), c->rope_dims);
    wish_floats(l, &p->logits, PASS_PICKS_MAX, c->vocab);
    wish(l, MEMORY_DEVICE, (void **)&p->picks, PASS_PICKS_MAX, sizeof *p->picks);
    wish(l, MEMORY_DEVICE, (void **)&p->tables, (uint64_t)s->slots * s->pages_per_slot, sizeof *p->tables);
    wish(l, MEMORY_DEVICE, (void **)&p->cache.base, s->pages,
         (uint64_t)cuda_head_bytes(c->head_dim) * c->kv_heads * c->layers);
    wish(l, MEMORY_DEVICE, &p->inputs, 1, inputs);
    wish(l, MEMORY_HOST, &p->inputs_host, 1, inputs);
    wish(l, MEMORY_HOST, (void **)&p->rotations_host, CHUNK, (uint64_t)c->rope_dims * sizeof(float));
    wish(l, MEMORY_HOST, (void **)&p->results.bad, rows, sizeof *p->results.bad);
    wish(l, MEMORY_HOST, (void **)&p->results.q, blocks, ACT_BLOCK);
    wish(l, MEMORY_HOST, (void **)&p->results.d, blocks, ACT_SCALES * sizeof(float));
    wish(l, MEMORY_HOST, (void **)&p->results.h, rows, (uint64_t)c->dim * sizeof(float));
    wish(l, MEMORY_HOST, (void **)&p->results.picks, PASS_PICKS_MAX, sizeof *p->results.picks);
}

uint64_t pass_host_bytes(const struct model *model, const struct device_shape *shape)
{
    struct wish_list l;
    struct pass p;
    list_wishes(&l, &p, model, shape);
    return memory_sum(l.wishes, l.n, MEMORY_HOST) + (model->config.rope_dims / 2 + 1) * sizeof *p.rates;
}

enum err pass_init(struct pass *p, const struct model *model, const struct cuda_weights *weights,
                   const struct device_shape *shape, struct fault *why)
{
    const struct model_config *c = &model->config;
    struct wish_list l;
    ENSURE(shape->rows_max <= GRID_ROWS_MAX);
    *p = (struct pass){ .model = model, .weights = weights, .shape = *shape,
                        .score_scale = transformer_score_scale(c) };
    p->rates = calloc(c->rope_dims / 2 + 1, sizeof *p->rates);
    if (!p->rates)
        return fault_set(why, ERR_MEMORY, "not enough memory for the rotary frequencies");
    enum err e = transformer_rates(model, p->rates, why);
    list_wishes(&l, p, model, shape);
    if (e == OK)
        e = memory_take(l.wishes, l.n, "activations and cache", why);
    if (e != OK) {
        free(p->rates);
        *p = (struct pass){ 0 };
        return e;
    }
    p->n_acts[0].group = 32;
    p->n_acts[1].group = ACT_BLOCK;
    p->row_bytes = (size_t)tensor_row_bytes(&model->token_embd);
    p->inputs_bytes = place_inputs(&p->host, p->inputs_host, c, shape, p->row_bytes);
    (void)place_inputs(&p->device, p->inputs, c, shape, p->row_bytes);
    p->partial_floats = partial_floats_of(c, shape);
    p->cache = (struct cuda_cache){ .base = p->cache.base, .tables = p->tables, .pages_per_slot = shape->pages_per_slot,
                                    .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                                    .width = cuda_head_width(c->head_dim),
                                    .head_bytes = cuda_head_bytes(c->head_dim) };
    p->cache.page_bytes = p->cache.head_bytes * c->kv_heads * c->layers;
    return OK;
}

void pass_fini(struct pass *p)
{
    struct wish_list l;
    if (!p->model)
        return;
    list_wishes(&l, p, p->model, &p->shape);
    memory_give(l.wishes, l.n);
    free(p->rates);
    *p = (struct pass){ 0 };
}

/* --- the host's side ---------------------------------------------------------------------------------------------- */

static enum err copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    return cudaMemcpyAsync(to, from, bytes, kind, stream) == cudaSuccess ? OK : ERR_DEVICE;
}

struct pass_shape pass_prepare(struct pass *p, const struct row *rows, uint32_t n, bool one_row)
{
    const struct model_config *c = &p->model->config;
    struct pass_shape s = { .n = n };
    for (uint32_t i = 0; i < n; i++) {
        ENSURE(rows[i].token < c->vocab);
        ENSURE(rows[i].position < positions_of(&p->shape));
        ENSURE(rows[i].slot < p->shape.slots);
        p->host.rows[i] = (struct cuda_row){ .slot = rows[i].slot, .position = rows[i].position };
        memcpy(p->host.stored + i * p->row_bytes, p->model->token_embd.data + rows[i].token * p->row_bytes,
               p->row_bytes);
        if (rows[i].want)
            p->host.wanted[s.wanted++] = i;
        uint32_t chunks = rows[i].position / CHUNK + 1;
        s.chunks = chunks > s.chunks ? chunks : s.chunks;
    }
    s.tiles = tiles_fill(p->host.rows, n, c->heads / c->kv_heads, one_row, p->host.tiles);
    return s;
}

static enum err send_rotations(struct pass *p, cudaStream_t stream)
{
    uint32_t dims = p->model->config.rope_dims, first = p->rotations_known, left = positions_of(&p->shape) - first;
    uint32_t count = left < CHUNK ? left : CHUNK;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < dims / 2; k++) {
            struct rotation r = exact_rotation(p->rates[k], first + i);
            p->rotations_host[(size_t)i * dims + 2 * k] = r.cos;
            p->rotations_host[(size_t)i * dims + 2 * k + 1] = r.sin;
        }
    enum err e = copy(p->rotations + (size_t)first * dims, p->rotations_host, (size_t)count * dims * sizeof(float),
                      cudaMemcpyHostToDevice, stream);
    if (e != OK || cudaStreamSynchronize(stream) != cudaSuccess)
        return ERR_DEVICE;
    p->rotations_known += count;
    return OK;
}

enum err pass_reach(struct pass *p, uint32_t position, struct CUstream_st *stream)
{
    while (p->rotations_known <= position)
        if (send_rotations(p, stream) != OK)
            return ERR_DEVICE;
    return OK;
}

enum err pass_send_table(struct pass *p, const uint32_t *table, uint32_t slot, struct CUstream_st *stream)
{
    size_t bytes = p->shape.pages_per_slot * sizeof *table;
    enum err e = copy(p->tables + (size_t)slot * p->shape.pages_per_slot, table, bytes, cudaMemcpyHostToDevice, stream);
    return e == OK && cudaStreamSynchronize(stream) == cudaSuccess ? OK : ERR_DEVICE;
}

/* --- the device's side -------------------------------------------------------------------------------------------- */

/* Activations as a quantised matrix of this type reads them. */
static struct cuda_acts acts_for(const struct cuda_acts *acts, enum cuda_type type)
{
    struct cuda_acts as = *acts;
    as.group = group_of(type);
    return as;
}

/* Which of n_acts such a matrix reads. */
static uint32_t grouping_of(enum cuda_type type) { return group_of(type) == 32 ? 0 : 1; }

static const struct cuda_acts *n_acts_for(const struct pass *p, enum cuda_type type)
{
    return &p->n_acts[grouping_of(type)];
}

/* y = W x, where x is as floats or quantised, whichever W reads. */
static void product(const struct cuda_matrix *w, const struct cuda_acts *acts, const float *x, uint32_t n, float *y,
                    cudaStream_t stream)
{
    if (is_quantised(w->type))
        cuda_matmul(w, acts, n, y, w->rows, stream);
    else
        cuda_matmul_float(w, x, n, y, w->rows, stream);
}

/* Products of the norm: a launch for those that follow each other and are of one type. */
static void products_of_norm(const struct pass *p, const struct cuda_product *products, uint32_t count, uint32_t n,
                             cudaStream_t stream)
{
    for (uint32_t first = 0, alike; first < count; first += alike) {
        enum cuda_type type = products[first].w->type;
        alike = 1;
        while (first + alike < count && products[first + alike].w->type == type)
            alike++;
        if (is_quantised(type))
            cuda_matmul_together(products + first, alike, n_acts_for(p, type), n, stream);
        else
            cuda_matmul_float_together(products + first, alike, p->n, n, stream);
    }
}

/* x += y; then the norm of x in the forms that the matrices a, b and c read. */
static void norm(struct pass *p, const struct pass_shape *s, const float *y, const float *weight,
                 const struct cuda_matrix *a,
                 const struct cuda_matrix *b, const struct cuda_matrix *c, cudaStream_t stream)
{
    const struct cuda_matrix *readers[] = { a, b, c };
    struct cuda_norm to = { .x = p->x, .y = y, .weight = weight, .n = s->n, .dim = p->model->config.dim,
                            .eps = p->model->config.rms_eps, .bad = p->bad };
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
        enum cuda_type type = readers[i]->type;
        if (is_quantised(type))
            to.acts[grouping_of(type)] = n_acts_for(p, type);
        else
            to.out = p->n;
    }
    cuda_rmsnorm(&to, stream);
}

static void attention_block(struct pass *p, const struct pass_shape *s, uint32_t layer, cudaStream_t stream)
{
    const struct cuda_layer *w = &p->weights->layers[layer];
    const struct model_config *c = &p->model->config;
    norm(p, s, layer > 0 ? p->y : NULL, w->attn_norm, &w->attn_q, &w->attn_k, &w->attn_v, stream);
    const struct cuda_product products[] = { { &w->attn_q, p->q, w->attn_q.rows },
                                             { &w->attn_k, p->k, w->attn_k.rows },
                                             { &w->attn_v, p->v, w->attn_v.rows } };
    products_of_norm(p, products, ARRAY_COUNT(products), s->n, stream);
    struct cuda_heads heads = { .q = p->q, .k = p->k, .v = p->v, .rotations = p->rotations, .rows = p->device.rows,
                                .cache = p->cache, .n = s->n, .heads = c->heads, .rope_dims = c->rope_dims,
                                .layer = layer,
                                .score_scale = p->score_scale, .q8 = p->q8, .cq = p->cq, .bad = p->bad };
    cuda_store_heads(&heads, stream);
    struct cuda_acts o_acts = acts_for(&p->o_acts, w->attn_output.type);
    struct cuda_attention attention = { .q8 = p->q8, .cq = p->cq, .rows = p->device.rows, .tiles = p->device.tiles,
                                        .cache = p->cache, .tile_count = s->tiles, .n = s->n, .heads = c->heads,
                                        .layer = layer,
                                        .chunks = s->chunks, .partial = s->split ? p->partial : NULL, .o = p->o,
                                        .acts = is_quantised(w->attn_output.type) ? &o_acts : NULL, .bad = p->bad };
    cuda_attend(&attention, stream);
    product(&w->attn_output, &o_acts, p->o, s->n, p->y, stream);
}

static void ffn_block(struct pass *p, const struct pass_shape *s, uint32_t layer, cudaStream_t stream)
{
    const struct cuda_layer *w = &p->weights->layers[layer];
    bool quantised = is_quantised(w->ffn_down.type);
    struct cuda_acts gate_acts = acts_for(&p->gate_acts, w->ffn_down.type);
    norm(p, s, p->y, w->ffn_norm, &w->ffn_gate, &w->ffn_up, &w->ffn_up, stream);
    const struct cuda_product products[] = { { &w->ffn_gate, p->gate, w->ffn_gate.rows },
                                             { &w->ffn_up, p->up, w->ffn_up.rows } };
    products_of_norm(p, products, ARRAY_COUNT(products), s->n, stream);
    cuda_gate(p->gate, p->up, s->n, p->model->config.ffn_dim, quantised ? &gate_acts : NULL, p->bad, stream);
    product(&w->ffn_down, &gate_acts, p->gate, s->n, p->y, stream);
}

/* The inputs of the head for the wanted rows: NV1 9. */
static void output_block(struct pass *p, const struct pass_shape *s, cudaStream_t stream)
{
    bool quantised = is_quantised(p->weights->head.type);
    struct cuda_acts h_acts = acts_for(&p->h_acts, p->weights->head.type);
    struct cuda_norm to = { .x = p->x, .y = p->y, .which = p->device.wanted, .weight = p->weights->output_norm,
                            .n = s->wanted, .dim = p->model->config.dim, .eps = p->model->config.rms_eps,
                            .out = quantised ? NULL : p->h, .acts = { quantised ? &h_acts : NULL }, .bad = p->bad };
    cuda_rmsnorm(&to, stream);
}

static enum err send_inputs(struct pass *p, const struct pass_shape *s, cudaStream_t stream)
{
    size_t lists = (size_t)(p->device.stored - (uint8_t *)p->inputs);
    enum err e = copy(p->inputs, p->inputs_host, lists + s->n * p->row_bytes, cudaMemcpyHostToDevice, stream);
    bool cleared = cudaMemsetAsync(p->bad, 0, s->n * sizeof *p->bad, stream) == cudaSuccess;
    return e == OK && cleared ? OK : ERR_DEVICE;
}

static enum err fetch_results(struct pass *p, const struct pass_shape *s, cudaStream_t stream)
{
    size_t blocks = (size_t)s->wanted * ops_act_blocks(p->h_acts.cols);
    enum cudaMemcpyKind down = cudaMemcpyDeviceToHost;
    enum err e = copy(p->results.bad, p->bad, s->n * sizeof *p->bad, down, stream);
    if (e != OK || s->wanted == 0)
        return e;
    if (!is_quantised(p->weights->head.type))
        return copy(p->results.h, p->h, (size_t)s->wanted * p->h_acts.cols * sizeof *p->h, down, stream);
    e = copy(p->results.q, p->h_acts.q, blocks * ACT_BLOCK, down, stream);
    return e == OK ? copy(p->results.d, p->h_acts.d, blocks * ACT_SCALES * sizeof(float), down, stream) : e;
}

enum err pass_enqueue(struct pass *p, const struct pass_shape *s, struct CUstream_st *stream)
{
    const struct tensor *table = &p->model->token_embd;
    struct cuda_stored stored = { .type = (enum cuda_type)table->type, .block_len = tensor_type_block_len(table->type),
                                  .block_bytes = tensor_type_block_bytes(table->type), .cols = p->model->config.dim,
                                  .rows = p->device.stored };
    enum err e = send_inputs(p, s, stream);
    if (e != OK)
        return e;
    cuda_embed(&stored, s->n, p->x, stream);
    for (uint32_t l = 0; l < p->model->config.layers; l++) {
        attention_block(p, s, l, stream);
        ffn_block(p, s, l, stream);
    }
    output_block(p, s, stream);
    if (cudaGetLastError() != cudaSuccess)
        return ERR_DEVICE;
    return fetch_results(p, s, stream);
}

enum err pass_enqueue_picks(struct pass *p, uint32_t first, uint32_t n, struct CUstream_st *stream)
{
    const struct model_config *c = &p->model->config;
    size_t blocks = ops_act_blocks(c->dim), bytes = n * sizeof *p->picks;
    struct cuda_acts from = acts_for(&p->h_acts, p->weights->head.type);
    from.q += first * blocks * ACT_BLOCK;
    from.d += first * blocks * ACT_SCALES;
    from.sums += first * blocks * CUDA_ACT_SUMS;
    ENSURE(n > 0);
    ENSURE(n <= PASS_PICKS_MAX);
    enum err e = copy(p->picks, p->results.picks, bytes, cudaMemcpyHostToDevice, stream);
    if (e != OK)
        return e;
    product(&p->weights->head, &from, p->h + (size_t)first * c->dim, n, p->logits, stream);
    cuda_sample(p->logits, c->vocab, p->picks, n, stream);
    if (cudaGetLastError() != cudaSuccess)
        return ERR_DEVICE;
    return copy(p->results.picks, p->picks, bytes, cudaMemcpyDeviceToHost, stream);
}
