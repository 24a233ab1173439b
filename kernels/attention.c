/* attention.c - attention by NV1 7 over any backend: tiles, chunks, the fold. */
#include "kernels/attention.h"

#include <string.h>

#include "kernels/exact_math.h"

/* A partial softmax: sum of weights `l` and of weighted values `o`, both relative to 2^max. */
struct partial {
    float max, l;
    float o[HEAD_DIM_MAX];
};

/* What is on its way for some queries. Those that still have positions to see are the last of them, but for those that
 * failed. About 80 KiB, on the stack (POOL_STACK_BYTES). */
struct work {
    const struct ops *ops;
    uint32_t count, width;
    uint32_t positions[ATTN_QUERIES];            /* that it sees; 0: it failed */
    float cq[ATTN_QUERIES];
    struct partial total[ATTN_QUERIES], chunk[ATTN_QUERIES];
    struct attn_tile tiles[ATTN_QUERIES];
    int32_t scores[ATTN_QUERIES][LIMBS][TILE];
    _Alignas(OPS_ALIGN) int8_t q[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX];   /* (count, 2, width) */
    int32_t sums[ATTN_QUERIES * LIMBS * HEAD_DIM_MAX];                   /* likewise */
};

static void start(struct partial *p, float max, uint32_t width)
{
    p->max = max;
    p->l = 0.0f;
    memset(p->o, 0, width * sizeof *p->o);
}

/* NV1 7.4 for one tile and one query. */
static void fold_tile(const struct work *w, struct partial *p, const struct attn_tile *tile, const int32_t *sums)
{
    float max = tile->max > p->max ? tile->max : p->max;
    float a = exact_pow2(p->max - max), b = exact_pow2(tile->max - max);
    p->l = (a * p->l) + (b * tile->l);
    w->ops->attn_fold(p->o, sums, a, tile->g * b, w->width);
    p->max = max;
}

/* NV1 7.2-7.4: the tile that begins at position `first` of a chunk, which begins at `before`. */
static void read_tile(struct work *w, const struct kv_chunk *chunk, uint32_t before, uint32_t first)
{
    const uint32_t query_bytes = LIMBS * w->width, from = before + first;
    uint32_t i = 0;
    while (i < w->count && w->positions[i] <= from)
        i++;
    if (i == w->count)
        return;
    const uint32_t begin = i, n = w->count - i;
    w->ops->attn_scores(w->q + begin * query_bytes, n, chunk->keys + (size_t)first * LIMBS * w->width, w->width,
                        w->scores + begin);
    for (; i < w->count; i++) {
        if (w->positions[i] <= from) {       /* failed before */
            memset(w->tiles[i].u, 0, sizeof w->tiles[i].u);
            continue;
        }
        uint32_t here = w->positions[i] - from < TILE ? w->positions[i] - from : TILE;
        if (!w->ops->attn_softmax(w->scores[i], w->cq[i], chunk->key_scales + first, chunk->value_scales + first, here,
                                  &w->tiles[i]))
            w->positions[i] = 0;
        else if (first == 0)
            start(&w->chunk[i], w->tiles[i].max, w->width);
    }
    w->ops->attn_values(w->tiles + begin, n, chunk->values + (size_t)first * LIMBS * w->width, w->width, w->sums);
    for (i = begin; i < w->count; i++)
        if (w->positions[i] > from)
            fold_tile(w, &w->chunk[i], &w->tiles[i], w->sums + (i - begin) * query_bytes);
}

/* NV1 7.5 for one chunk and one query. */
static void fold_chunk(const struct work *w, struct partial *total, const struct partial *p)
{
    float max = p->max > total->max ? p->max : total->max;
    float a = exact_pow2(total->max - max), b = exact_pow2(p->max - max);
    total->l = (a * total->l) + (b * p->l);
    w->ops->attn_merge(total->o, p->o, a, b, w->width);
    total->max = max;
}

static void read_chunk(struct work *w, const struct kv_chunk *chunk, uint32_t before)
{
    for (uint32_t first = 0; first < CHUNK; first += TILE)
        read_tile(w, chunk, before, first);
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->positions[i] <= before)
            continue;
        if (before == 0)
            start(&w->total[i], w->chunk[i].max, w->width);
        fold_chunk(w, &w->total[i], &w->chunk[i]);
    }
}

/* NV1 7.1 */
static void take_queries(struct work *w, const struct kvcache *kv, const struct attn_queries *queries)
{
    memset(w->q, 0, (size_t)w->count * LIMBS * w->width);
    for (uint32_t i = 0; i < w->count; i++) {
        ENSURE(i == 0 || queries->each[i].position >= queries->each[i - 1].position);
        int8_t *q = w->q + i * LIMBS * w->width;
        float d;
        bool finite = w->ops->quantize_head(queries->each[i].q, kv->head_dim, q, q + w->width, &d);
        w->cq[i] = d * queries->score_scale;
        w->positions[i] = finite ? queries->each[i].position + 1 : 0;
    }
}

/* NV1 7.6 */
static uint32_t give_answers(const struct work *w, const struct kvcache *kv, const struct attn_queries *queries)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        float *out = queries->each[i].out;
        if (w->positions[i] == 0) {
            failed |= 1u << i;
            memset(out, 0, kv->head_dim * sizeof *out);
            continue;
        }
        for (uint32_t k = 0; k < kv->head_dim; k++)
            out[k] = w->total[i].o[k] / w->total[i].l;
    }
    return failed;
}

uint32_t attention(const struct ops *ops, const struct kvcache *kv, const struct attn_queries *queries)
{
    struct work w;
    w.ops = ops;
    w.count = queries->count;
    w.width = kv->width;
    ENSURE(w.count > 0 && w.count <= ATTN_QUERIES);
    take_queries(&w, kv, queries);
    uint32_t last = queries->each[w.count - 1].position;
    for (uint32_t before = 0; before <= last; before += CHUNK) {
        struct kv_chunk chunk = kvcache_chunk(kv, queries->slot, before / CHUNK, queries->layer, queries->kv_head);
        read_chunk(&w, &chunk, before);
    }
    return give_answers(&w, kv, queries);
}
