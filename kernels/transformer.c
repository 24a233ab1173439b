/* transformer.c - NV1 8: the forward pass of one ragged batch. Every step is spread over the pool by rows of the
 * batch or of a matrix. */
#include "kernels/transformer.h"

#include "kernels/attention.h"
#include "kernels/blocks.h"
#include "kernels/exact_math.h"
#include "kernels/pool_posix.h"
#include "kernels/quant.h"

/* The grouping that a quantised matrix of this type reads. */
static struct acts *acts_for(struct both_acts *a, enum tensor_type type)
{
    return ops_act_group(type) == 32 ? &a->of_32 : &a->of_256;
}

struct pass {
    struct transformer *t;
    const struct row *rows;
    uint32_t n;
    uint32_t layer_number;
    const struct layer_weights *layer;
};

static void mark_bad(struct transformer *t, uint32_t row)
{
    atomic_store_explicit(&t->bad[row], true, memory_order_relaxed);
}

/* y = W x for up to three matrices that read the same x (NV1 4). */
struct product {
    const struct matrix *w;
    float *y;
};

struct product_loop {
    const struct transformer *t;
    struct product products[3];
    uint32_t items[3];           /* cumulative */
    uint32_t rows_per_item;
    const float *x;
    struct both_acts *acts;
    uint32_t n;
};

static void multiply_item(void *ctx, uint32_t item)
{
    const struct product_loop *l = ctx;
    uint32_t p = 0, before = 0;
    while (item >= l->items[p])
        before = l->items[p++];
    const struct matrix *w = l->products[p].w;
    uint32_t begin = (item - before) * l->rows_per_item;
    uint32_t end = w->rows - begin < l->rows_per_item ? w->rows : begin + l->rows_per_item;
    if (block_format(w->type))
        l->t->ops->matmul(w, acts_for(l->acts, w->type), l->n, begin, end, l->products[p].y, w->rows);
    else
        l->t->ops->matmul_float(w, l->x, l->n, begin, end, l->products[p].y, w->rows);
}

/* Rows of a matrix per item: enough items that a slow thread does not hold up the others, few enough to be cheap, and a
 * share of the weights that stays in the second-level cache while the tokens of a prompt pass over it. A backend
 * arranges the inputs of a prompt anew for each item, hence larger ones then. */
static uint32_t rows_per_item(const struct transformer *t, uint32_t rows, uint32_t tokens)
{
    uint32_t per = rows / (pool_threads(t->pool) * 4) + 1;
    uint32_t most = tokens < 32 ? 64 : tokens < 128 ? 128 : 256;
    per = per > most ? most : per;
    uint32_t group = t->ops->group_rows;
    return (per + group - 1) / group * group;
}

static void multiply(struct transformer *t, const struct product *products, uint32_t count, const float *x,
                     struct both_acts *acts, uint32_t n)
{
    struct product_loop l = { .t = t, .x = x, .acts = acts, .n = n };
    uint32_t rows = 0, items = 0;
    for (uint32_t i = 0; i < count; i++)
        rows += products[i].w->rows;
    l.rows_per_item = rows_per_item(t, rows, n);
    for (uint32_t i = 0; i < count; i++) {
        items += (products[i].w->rows + l.rows_per_item - 1) / l.rows_per_item;
        l.products[i] = products[i];
        l.items[i] = items;
    }
    pool_run(t->pool, items, multiply_item, &l);
}

/* Quantises row `row` of x as the (up to three) matrices that read it want it. */
static void quantize_for(struct transformer *t, const struct matrix *a, const struct matrix *b, const struct matrix *c,
                         const float *x, struct both_acts *acts, uint32_t row)
{
    const struct matrix *readers[] = { a, b, c };
    const struct acts *done = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(readers); i++) {
        if (!readers[i] || !block_format(readers[i]->type))
            continue;
        struct acts *to = acts_for(acts, readers[i]->type);
        if (to != done && !t->ops->quantize(x + (size_t)row * to->cols, to, row))
            mark_bad(t, row);
        done = to;
    }
}

static void embed_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    const struct model_config *c = &t->model->config;
    quant_row_to_float(&t->embedding, p->rows[i].token, t->x + (size_t)i * c->dim);
    float *cs = t->rotation + (size_t)i * c->rope_dims;
    for (uint32_t k = 0; k < c->rope_dims / 2; k++) {
        struct rotation r = exact_rotation(t->rates[k], p->rows[i].position);
        cs[2 * k] = r.cos;
        cs[2 * k + 1] = r.sin;
    }
}

static void attn_norm_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    const struct model_config *c = &t->model->config;
    float *n = t->n + (size_t)i * c->dim;
    if (!t->ops->rmsnorm(t->x + (size_t)i * c->dim, p->layer->attn_norm, c->dim, c->rms_eps, n))
        mark_bad(t, i);
    quantize_for(t, &p->layer->attn_q, &p->layer->attn_k, &p->layer->attn_v, t->n, &t->n_acts, i);
}

/* Rotates and remembers the keys and values of a row. */
static void remember_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    const struct model_config *c = &t->model->config;
    const float *cs = t->rotation + (size_t)i * c->rope_dims;
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        struct kv_head k, v;
        float *key = t->k + (size_t)i * t->kv_dim + (size_t)h * c->head_dim, *value = t->v + (key - t->k);
        t->ops->rope(key, cs, c->rope_dims / 2);
        bool ok = t->ops->quantize_head(key, c->head_dim, k.high, k.low, &k.d);
        ok = t->ops->quantize_head(value, c->head_dim, v.high, v.low, &v.d) && ok;
        if (!ok)
            mark_bad(t, i);
        kvcache_write(&t->kv, p->rows[i].slot, p->rows[i].position, p->layer_number, h, &k, &v);
    }
}

/* Queries that read one key and value head are answered up to ATTN_QUERIES at a time: heads of a row, and where the
 * group has fewer, those of the next rows. Fewer at a time, if else there were not enough to do for every thread. */
struct attend_shape {
    uint32_t rows, heads;        /* per item */
    uint32_t parts;              /* items per group of heads */
    uint32_t items;
};

static struct attend_shape attend_shape(const struct pass *p)
{
    const struct model_config *c = &p->t->model->config;
    const uint32_t group = c->heads / c->kv_heads;
    uint32_t most = p->n * c->heads / (pool_threads(p->t->pool) * 2);
    most = most < 1 ? 1 : most > ATTN_QUERIES ? ATTN_QUERIES : most;
    struct attend_shape s = { .rows = most / group > 1 ? most / group : 1, .heads = most < group ? most : group };
    s.parts = (group + s.heads - 1) / s.heads;
    s.items = (p->n + s.rows - 1) / s.rows * c->kv_heads * s.parts;
    return s;
}

static void answer(struct pass *p, struct attn_queries *queries)
{
    struct transformer *t = p->t;
    if (queries->count == 0)
        return;
    uint32_t failed = attention(t->ops, &t->kv, queries);
    for (uint32_t i = 0; i < queries->count; i++)
        if (failed & 1u << i)
            mark_bad(t, (uint32_t)((size_t)(queries->each[i].out - t->o) / t->q_dim));
    queries->count = 0;
}

static void attend_item(void *ctx, uint32_t item)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    const struct model_config *c = &t->model->config;
    const struct attend_shape s = attend_shape(p);
    const uint32_t group = c->heads / c->kv_heads, kv_head = item / s.parts % c->kv_heads;
    const uint32_t first = item / s.parts / c->kv_heads * s.rows, head = item % s.parts * s.heads;
    struct attn_queries queries = { .layer = p->layer_number, .kv_head = kv_head, .score_scale = t->score_scale };
    for (uint32_t i = first; i < p->n && i < first + s.rows; i++) {
        if (queries.count > 0 && (p->rows[i].slot != queries.slot || p->rows[i].position < p->rows[i - 1].position))
            answer(p, &queries);
        queries.slot = p->rows[i].slot;
        for (uint32_t h = head; h < group && h < head + s.heads; h++) {
            size_t at = (size_t)i * t->q_dim + (size_t)(kv_head * group + h) * c->head_dim;
            t->ops->rope(t->q + at, t->rotation + (size_t)i * c->rope_dims, c->rope_dims / 2);
            queries.each[queries.count++] = (struct attn_query){ t->q + at, p->rows[i].position, t->o + at };
        }
    }
    answer(p, &queries);
}

static void quantize_o_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    quantize_for(p->t, &p->layer->attn_output, NULL, NULL, p->t->o, &p->t->o_acts, i);
}

static void ffn_norm_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    const struct model_config *c = &t->model->config;
    float *x = t->x + (size_t)i * c->dim;
    t->ops->add(x, t->y + (size_t)i * c->dim, c->dim);
    if (!t->ops->rmsnorm(x, p->layer->ffn_norm, c->dim, c->rms_eps, t->n + (size_t)i * c->dim))
        mark_bad(t, i);
    quantize_for(t, &p->layer->ffn_gate, &p->layer->ffn_up, NULL, t->n, &t->n_acts, i);
}

static void gate_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    uint32_t ffn_dim = t->model->config.ffn_dim;
    float *gate = t->gate + (size_t)i * ffn_dim;
    if (!t->ops->gate(gate, t->up + (size_t)i * ffn_dim, ffn_dim, gate))
        mark_bad(t, i);
    quantize_for(t, &p->layer->ffn_down, NULL, NULL, t->gate, &t->gate_acts, i);
}

static void add_row(void *ctx, uint32_t i)
{
    struct pass *p = ctx;
    uint32_t dim = p->t->model->config.dim;
    p->t->ops->add(p->t->x + (size_t)i * dim, p->t->y + (size_t)i * dim, dim);
}

static void output_row(void *ctx, uint32_t wanted)
{
    struct pass *p = ctx;
    struct transformer *t = p->t;
    const struct model_config *c = &t->model->config;
    uint32_t i = t->wanted[wanted];
    float *h = t->h + (size_t)wanted * c->dim;
    if (!t->ops->rmsnorm(t->x + (size_t)i * c->dim, t->output_norm, c->dim, c->rms_eps, h))
        mark_bad(t, i);
    if (block_format(t->head.type) && !t->ops->quantize(h, acts_for(&t->h_acts, t->head.type), wanted))
        mark_bad(t, i);
}

static void attention_block(struct pass *p)
{
    struct transformer *t = p->t;
    const struct layer_weights *w = p->layer;
    pool_run(t->pool, p->n, attn_norm_row, p);
    multiply(t, (struct product[]){ { &w->attn_q, t->q }, { &w->attn_k, t->k }, { &w->attn_v, t->v } }, 3, t->n,
             &t->n_acts, p->n);
    pool_run(t->pool, p->n, remember_row, p);
    pool_run(t->pool, attend_shape(p).items, attend_item, p);
    pool_run(t->pool, p->n, quantize_o_row, p);
    multiply(t, (struct product[]){ { &w->attn_output, t->y } }, 1, t->o, &t->o_acts, p->n);
}

static void ffn_block(struct pass *p)
{
    struct transformer *t = p->t;
    const struct layer_weights *w = p->layer;
    pool_run(t->pool, p->n, ffn_norm_row, p);
    multiply(t, (struct product[]){ { &w->ffn_gate, t->gate }, { &w->ffn_up, t->up } }, 2, t->n, &t->n_acts, p->n);
    pool_run(t->pool, p->n, gate_row, p);
    multiply(t, (struct product[]){ { &w->ffn_down, t->y } }, 1, t->gate, &t->gate_acts, p->n);
    pool_run(t->pool, p->n, add_row, p);
}

void transformer_forward(struct transformer *t, const struct row *rows, uint32_t n)
{
    ENSURE(n > 0 && n <= t->rows_max);
    struct pass p = { .t = t, .rows = rows, .n = n };
    t->wanted_count = 0;
    for (uint32_t i = 0; i < n; i++) {
        ENSURE(rows[i].token < t->embedding.rows);
        atomic_store_explicit(&t->bad[i], false, memory_order_relaxed);
        if (rows[i].want)
            t->wanted[t->wanted_count++] = i;
    }
    pool_run(t->pool, n, embed_row, &p);
    for (uint32_t l = 0; l < t->model->config.layers; l++) {
        p.layer_number = l;
        p.layer = &t->layers[l];
        attention_block(&p);
        ffn_block(&p);
    }
    pool_run(t->pool, t->wanted_count, output_row, &p);
}

bool transformer_row_failed(const struct transformer *t, uint32_t i)
{
    return atomic_load_explicit(&t->bad[i], memory_order_relaxed);
}

/* The same activations from token `first` on. */
static struct acts acts_from(const struct acts *a, uint32_t first)
{
    size_t blocks = ops_act_blocks(a->cols);
    return (struct acts){ .cols = a->cols, .group = a->group, .q = a->q + first * blocks * ACT_BLOCK,
                          .d = a->d + first * blocks * ACT_SCALES, .sums = a->sums + first * blocks * ACT_RUNS };
}

void transformer_logits(struct transformer *t, uint32_t first, uint32_t n, float *logits)
{
    ENSURE(first + n <= t->wanted_count);
    struct both_acts from = { .of_32 = acts_from(&t->h_acts.of_32, first),
                              .of_256 = acts_from(&t->h_acts.of_256, first) };
    multiply(t, (struct product[]){ { &t->head, logits } }, 1, t->h + (size_t)first * t->model->config.dim, &from, n);
}

void transformer_head_bytes(const struct transformer *t, uint32_t i, uint8_t *out)
{
    ENSURE(i < t->wanted_count);
    uint32_t dim = t->model->config.dim;
    const struct acts *acts = ops_act_group(t->head.type) == 32 ? &t->h_acts.of_32 : &t->h_acts.of_256;
    quant_write_head(t->head.type, dim, t->h + (size_t)i * dim, acts, i, out);
}
