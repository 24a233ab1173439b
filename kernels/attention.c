/* attention.c - attention by NV1 7 over any backend: tiles, chunks, the fold. */
#include "kernels/attention.h"

#include <string.h>

#include "kernels/exact_math.h"

/* A partial softmax: sum of weights `l` and of weighted values `o`, both relative to 2^max. */
struct partial {
    float max, l;
    float o[HEAD_DIM_MAX];
};

struct quantized_query {
    int8_t q[LIMBS * HEAD_DIM_MAX];
    float cq;
};

static void start(struct partial *p, float max, uint32_t width)
{
    p->max = max;
    p->l = 0.0f;
    memset(p->o, 0, width * sizeof *p->o);
}

/* NV1 7.4 for one tile. */
static void fold_tile(const struct ops *ops, struct partial *p, const struct attn_tile *tile, const int8_t *values,
                      uint32_t width)
{
    int32_t sums[LIMBS * HEAD_DIM_MAX];
    ops->attn_values(tile->u, values, width, sums);
    float max = tile->max > p->max ? tile->max : p->max;
    float a = exact_pow2(p->max - max), b = exact_pow2(tile->max - max);
    p->l = (a * p->l) + (b * tile->l);
    ops->attn_fold(p->o, sums, a, tile->g * b, width);
    p->max = max;
}

/* NV1 7.4: the first n positions of a chunk. */
static bool read_chunk(const struct ops *ops, const struct quantized_query *query, const struct kv_chunk *chunk,
                       uint32_t n, uint32_t width, struct partial *p)
{
    for (uint32_t first = 0; first < n; first += TILE) {
        int32_t scores[LIMBS][TILE];
        struct attn_tile tile;
        uint32_t in_tile = n - first < TILE ? n - first : TILE;
        ops->attn_scores(query->q, chunk->keys + (size_t)first * LIMBS * width, width, scores);
        if (!ops->attn_softmax(scores, query->cq, chunk->key_scales + first, chunk->value_scales + first, in_tile,
                               &tile))
            return false;
        if (first == 0)
            start(p, tile.max, width);
        fold_tile(ops, p, &tile, chunk->values + (size_t)first * LIMBS * width, width);
    }
    return true;
}

/* NV1 7.5 for one chunk. */
static void fold_chunk(const struct ops *ops, struct partial *total, const struct partial *p, uint32_t width)
{
    float max = p->max > total->max ? p->max : total->max;
    float a = exact_pow2(total->max - max), b = exact_pow2(p->max - max);
    total->l = (a * total->l) + (b * p->l);
    ops->attn_merge(total->o, p->o, a, b, width);
    total->max = max;
}

bool attention(const struct ops *ops, const struct kvcache *kv, const struct attn_query *query, float *out)
{
    struct quantized_query q;
    struct partial total, p;
    uint32_t count = query->position + 1;
    float dq;
    memset(out, 0, kv->head_dim * sizeof *out);
    memset(q.q, 0, LIMBS * kv->width);
    if (!ops->quantize_head(query->q, kv->head_dim, q.q, q.q + kv->width, &dq))
        return false;
    q.cq = dq * query->score_scale;
    for (uint32_t first = 0; first < count; first += CHUNK) {
        struct kv_chunk chunk = kvcache_chunk(kv, query->slot, first / CHUNK, query->layer, query->kv_head);
        uint32_t n = count - first < CHUNK ? count - first : CHUNK;
        if (!read_chunk(ops, &q, &chunk, n, kv->width, &p))
            return false;
        if (first == 0)
            start(&total, p.max, kv->width);
        fold_chunk(ops, &total, &p, kv->width);
    }
    for (uint32_t i = 0; i < kv->head_dim; i++)
        out[i] = total.o[i] / total.l;
    return true;
}
