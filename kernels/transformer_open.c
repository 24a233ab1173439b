/* transformer_open.c - memory, views and packed weights of a transformer. */
#include "kernels/transformer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/exact_math.h"
#include "kernels/packing.h"
#include "kernels/pages_posix.h"

/* --- activations: one block of memory, laid out by one function ------------------------------------------------ */

/* The next rows x cols values of 4 bytes from `at` on; NULL while the block is only measured. */
static void *carve(uint8_t *base, uint64_t *at, uint64_t rows, uint64_t cols)
{
    void *place = base ? base + *at : NULL;
    *at += (rows * cols * 4 + OPS_ALIGN - 1) / OPS_ALIGN * OPS_ALIGN;
    return place;
}

static struct acts carve_acts(uint8_t *base, uint64_t *at, uint32_t rows, uint32_t cols, uint32_t group)
{
    uint32_t blocks = ops_act_blocks(cols);
    struct acts a = { .cols = cols, .group = group };
    a.q = carve(base, at, rows, (uint64_t)blocks * ACT_BLOCK / 4);
    a.d = carve(base, at, rows, (uint64_t)blocks * ACT_SCALES);
    a.sums = carve(base, at, rows, (uint64_t)blocks * ACT_RUNS / 2);
    return a;
}

static struct both_acts carve_both(uint8_t *base, uint64_t *at, uint32_t rows, uint32_t cols)
{
    return (struct both_acts){ .of_32 = carve_acts(base, at, rows, cols, 32), .of_256 = carve_acts(base, at, rows, cols, 256) };
}

/* Returns the bytes of the block. model.h bounds every factor so that nothing here overflows. */
static uint64_t lay_out(struct transformer *t, uint8_t *base)
{
    const struct model_config *c = &t->model->config;
    uint32_t rows = t->rows_max;
    uint64_t at = 0;
    t->x = carve(base, &at, rows, c->dim);
    t->n = carve(base, &at, rows, c->dim);
    t->y = carve(base, &at, rows, c->dim);
    t->h = carve(base, &at, rows, c->dim);
    t->q = carve(base, &at, rows, t->q_dim);
    t->o = carve(base, &at, rows, t->q_dim);
    t->k = carve(base, &at, rows, t->kv_dim);
    t->v = carve(base, &at, rows, t->kv_dim);
    t->gate = carve(base, &at, rows, c->ffn_dim);
    t->up = carve(base, &at, rows, c->ffn_dim);
    t->rotation = carve(base, &at, rows, c->rope_dims);
    t->n_acts = carve_both(base, &at, rows, c->dim);
    t->o_acts = carve_both(base, &at, rows, t->q_dim);
    t->gate_acts = carve_both(base, &at, rows, c->ffn_dim);
    t->h_acts = carve_both(base, &at, rows, c->dim);
    return at;
}

static enum err allocate_activations(struct transformer *t)
{
    uint64_t bytes = lay_out(t, NULL);
    if (bytes > SIZE_MAX / 2)
        return ERR_MEMORY;
    t->activations = aligned_alloc(OPS_ALIGN, (size_t)bytes);
    if (!t->activations)
        return ERR_MEMORY;
    t->activation_bytes = (size_t)bytes;
    transformer_wipe(t);
    (void)lay_out(t, t->activations);
    return OK;
}

void transformer_wipe(struct transformer *t) { pages_give_back(t->activations, t->activation_bytes); }

/* --- everything else ------------------------------------------------------------------------------------------- */

static struct matrix matrix_of(const struct tensor *w)
{
    return (struct matrix){ .type = w->type, .rows = (uint32_t)w->extents[1], .cols = (uint32_t)w->extents[0],
                            .data = w->data };
}

enum err transformer_check_limits(const struct model_config *c, struct fault *why)
{
    if (c->head_dim > HEAD_DIM_MAX || c->head_dim % 2 != 0)
        return fault_set(why, ERR_UNSUPPORTED, "head dimension %u is not an even number up to %d", c->head_dim,
                         HEAD_DIM_MAX);
    if (c->vocab > DEVICE_VOCAB_MAX)
        return fault_set(why, ERR_UNSUPPORTED, "vocabulary of %u tokens is over the limit of %d", c->vocab,
                         DEVICE_VOCAB_MAX);
    return OK;
}

float transformer_score_scale(const struct model_config *c)
{
    return (float)(0x1.71547652b82fep+0 / sqrt((double)c->head_dim));
}

enum err transformer_rates(const struct model *model, double *rates, struct fault *why)
{
    const struct model_config *c = &model->config;
    double ln_base = exact_ln64((double)c->rope_base);
    for (uint32_t i = 0; i < c->rope_dims / 2; i++) {
        float divisor = 1.0f;
        if (model->rope_freqs.data)
            memcpy(&divisor, model->rope_freqs.data + (size_t)i * sizeof divisor, sizeof divisor);
        double rate = exact_rope_rate(ln_base, i, c->rope_dims, (double)divisor, (double)c->rope_factor);
        if (!(rate >= 0.0 && rate <= 2.0))
            return fault_set(why, ERR_UNSUPPORTED, "rotary frequency %u is out of range", i);
        rates[i] = rate;
    }
    return OK;
}

static void copy_norm(float **at, const float **norm, const struct tensor *w, uint32_t dim)
{
    memcpy(*at, w->data, dim * sizeof(float));
    *norm = *at;
    *at += dim;
}

static void view_weights(struct transformer *t)
{
    const struct model *m = t->model;
    float *at = t->norms;
    for (uint32_t l = 0; l < m->config.layers; l++) {
        const struct model_layer *from = &m->layers[l];
        struct layer_weights *to = &t->layers[l];
        copy_norm(&at, &to->attn_norm, &from->attn_norm, m->config.dim);
        copy_norm(&at, &to->ffn_norm, &from->ffn_norm, m->config.dim);
        to->attn_q = matrix_of(&from->attn_q);
        to->attn_k = matrix_of(&from->attn_k);
        to->attn_v = matrix_of(&from->attn_v);
        to->attn_output = matrix_of(&from->attn_output);
        to->ffn_gate = matrix_of(&from->ffn_gate);
        to->ffn_up = matrix_of(&from->ffn_up);
        to->ffn_down = matrix_of(&from->ffn_down);
    }
    copy_norm(&at, &t->output_norm, &m->output_norm, m->config.dim);
    t->embedding = matrix_of(&m->token_embd);
    t->head = matrix_of(m->config.tied ? &m->token_embd : &m->output);
}

/* The i-th of all matrices that are multiplied with: 7 per layer, then the head. */
static struct matrix *matrix_at(struct transformer *t, uint32_t i)
{
    if (i == t->model->config.layers * 7)
        return &t->head;
    struct layer_weights *l = &t->layers[i / 7];
    struct matrix *all[7] = { &l->attn_q,   &l->attn_k, &l->attn_v,  &l->attn_output,
                              &l->ffn_gate, &l->ffn_up, &l->ffn_down };
    return all[i % 7];
}

static enum err pack_weights(struct transformer *t)
{
    uint32_t count = t->model->config.layers * 7 + 1;
    struct matrix **all = calloc(count, sizeof *all);
    if (!all)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        all[i] = matrix_at(t, i);
    enum err e = packing_make(t->ops, t->pool, all, count, t->model->release, &t->packed);
    free(all);
    return e;
}

static enum err allocate(struct transformer *t)
{
    const struct model_config *c = &t->model->config;
    t->layers = calloc(c->layers, sizeof *t->layers);
    t->norms = calloc((size_t)c->layers * 2 + 1, c->dim * sizeof *t->norms);
    t->rates = calloc(c->rope_dims / 2 + 1, sizeof *t->rates);
    t->bad = calloc(t->rows_max, sizeof *t->bad);
    t->wanted = calloc(t->rows_max, sizeof *t->wanted);
    if (!t->layers || !t->norms || !t->rates || !t->bad || !t->wanted)
        return ERR_MEMORY;
    return allocate_activations(t);
}

static uint64_t packed_bytes(const struct ops *ops, const struct tensor *w)
{
    return packing_bytes(ops, w->type, (uint32_t)w->extents[1], (uint32_t)w->extents[0]);
}

static uint64_t weights_bytes(const struct model *m, const struct ops *ops)
{
    uint64_t total = packed_bytes(ops, m->config.tied ? &m->token_embd : &m->output);
    for (uint32_t i = 0; i < m->config.layers; i++) {
        const struct model_layer *l = &m->layers[i];
        const struct tensor *all[] = { &l->attn_q,   &l->attn_k, &l->attn_v,  &l->attn_output,
                                       &l->ffn_gate, &l->ffn_up, &l->ffn_down };
        for (size_t w = 0; w < ARRAY_COUNT(all); w++)
            total += packed_bytes(ops, all[w]);
    }
    return total;
}

/* Dimensions only: nothing is reserved yet. */
static struct transformer shape_of(const struct model *model, const struct ops *ops, uint32_t rows_max)
{
    const struct model_config *c = &model->config;
    return (struct transformer){ .model = model, .ops = ops, .rows_max = rows_max, .q_dim = c->heads * c->head_dim,
                                 .kv_dim = c->kv_heads * c->head_dim, .score_scale = transformer_score_scale(c) };
}

/* The sums of allocate(), kvcache_init() and pack_weights(); torture_engine compares them. */
uint64_t transformer_bytes(const struct model *model, const struct ops *ops, uint32_t rows_max, uint32_t slots,
                           uint32_t pages, uint32_t pages_per_slot)
{
    const struct model_config *c = &model->config;
    struct transformer t = shape_of(model, ops, rows_max);
    uint64_t norms = ((uint64_t)c->layers * 2 + 1) * c->dim * sizeof(float);
    return lay_out(&t, NULL) + norms + c->layers * sizeof(struct layer_weights) + (c->rope_dims / 2 + 1) * sizeof(double) +
           rows_max * (sizeof(bool) + sizeof(uint32_t)) +
           kvcache_bytes(c->layers, c->kv_heads, c->head_dim, slots, pages, pages_per_slot) + weights_bytes(model, ops);
}

static enum err build(struct transformer *t, uint32_t slots, uint32_t pages, uint32_t pages_per_slot, struct fault *why)
{
    const struct model_config *c = &t->model->config;
    enum err e = transformer_check_limits(c, why);
    if (e != OK)
        return e;
    e = allocate(t);
    if (e == OK)
        e = kvcache_init(&t->kv, c->layers, c->kv_heads, c->head_dim, slots, pages, pages_per_slot);
    if (e != OK)
        return fault_set(why, e, "not enough memory for the activations and the cache");
    e = transformer_rates(t->model, t->rates, why);
    if (e != OK)
        return e;
    view_weights(t);
    e = pack_weights(t);
    return e == OK ? OK : fault_set(why, e, "not enough memory for the weights");
}

enum err transformer_init(struct transformer *t, const struct model *model, const struct ops *ops, struct pool *pool,
                          uint32_t rows_max, uint32_t slots, uint32_t pages, uint32_t pages_per_slot, struct fault *why)
{
    ENSURE(rows_max > 0);
    *t = shape_of(model, ops, rows_max);
    t->pool = pool;
    enum err e = build(t, slots, pages, pages_per_slot, why);
    if (e != OK)
        transformer_fini(t);
    return e;
}

void transformer_fini(struct transformer *t)
{
    packing_free(t->packed);
    free(t->activations);
    free(t->wanted);
    free((void *)t->bad);
    free(t->rates);
    free(t->norms);
    free(t->layers);
    kvcache_fini(&t->kv);
    *t = (struct transformer){ 0 };
}
