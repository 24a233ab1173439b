/* attention.cu - sixteen queries of one kv head against a chunk of 256 positions, on the int8 matrix units (NV1 7).
 *
 * A block has four warps. First warp t scores tile t of the chunk: 16 queries x 64 positions in one set of
 * fragments; the softmax of 7.3 happens in those registers, and the integers u come out where the second product
 * wants them, because the sum over positions may be taken in any order: lane (g, t) has scored positions 8 n + 2 t
 * and 8 n + 2 t + 1 of queries g and g + 8 and multiplies just these (value_place in cache_parts.h puts the values
 * of a lane's positions side by side). u goes as two signed bytes, 256 high + low. Then each warp takes every fourth
 * group of eight dimensions, multiplies all four tiles with it and folds them in the order of 7.4; no float is
 * shared between threads.
 *
 *   shared memory   u of the chunk (8 KB), maximum, l and g of 4 tiles x 16 queries
 *
 * Chunks are one block each (few rows: as much of the machine as possible reads the cache) and folded by
 * fold_and_quantize or fold_chunks, or walked through by one block (many rows), which keeps 7.5 in its registers and
 * in o. */
#include "kernels/cuda/cache_parts.h"
#include "kernels/cuda/exact_parts.h"
#include "kernels/cuda/quantize_parts.h"

enum { WARPS = 4, TILES = CUDA_CHUNK / CUDA_TILE, GROUPS = CUDA_TILE / 8, AT_ONCE = 4, KEYS_AT_ONCE = 2 };

struct attention_shared {
    uint4 u[TILES][2][2][WARP];              /* tile, half of 32 positions, low or high byte, lane: a fragment */
    float max[TILES][CUDA_QUERIES], l[TILES][CUDA_QUERIES], g[TILES][CUDA_QUERIES];
};

/* What a lane knows of its queries, number lane / 4 and lane / 4 + 8 of the tile. */
struct lane_queries {
    bool exists[2];
    uint32_t row[2], head[2];                /* head: of all heads */
    uint32_t count[2];                       /* positions it sees: position + 1 */
    uint32_t last;                           /* the most positions any query of the tile sees */
};

DEVICE struct lane_queries find_queries(const struct cuda_attention &a, const struct cuda_query_tile &tile,
                                        uint32_t kv_head)
{
    struct lane_queries q;
    uint32_t queries = tile.rows * tile.heads, group = a.heads / a.cache.kv_heads;
    q.last = 0;
    for (uint32_t i = 0; i < tile.rows; i++) {
        uint32_t count = a.rows[tile.row + i].position + 1;
        q.last = count > q.last ? count : q.last;
    }
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t number = lane_id() / 4 + 8 * i;
        q.exists[i] = number < queries;
        q.row[i] = tile.row + (q.exists[i] ? number / tile.heads : 0);
        q.head[i] = kv_head * group + tile.head + (q.exists[i] ? number % tile.heads : 0);
        q.count[i] = q.exists[i] ? a.rows[q.row[i]].position + 1 : 0;
    }
    return q;
}

/* How many of `room` positions from `first` on a query with `count` of them sees. */
DEVICE uint32_t seen_of(uint32_t count, uint32_t first, uint32_t room)
{
    uint32_t left = count > first ? count - first : 0;
    return left < room ? left : room;
}

/* S and U of 7.2 and 7.3 from the sums with either limb. */
DEVICE float limbs_joined(int32_t high, int32_t low)
{
    return float_fma(128.0f, float_from_int(high), float_from_int(low));
}

/* 32 dimensions of a lane's two queries: operand A of mma_k32. */
DEVICE void load_queries(uint32_t (&a)[4], const int8_t *const (&query)[2], uint32_t at)
{
    uint2 first = load_again((const uint2 *)(query[0] + at)), second = load_again((const uint2 *)(query[1] + at));
    a[0] = first.x, a[1] = second.x, a[2] = first.y, a[3] = second.y;
}

/* S of 7.2 for KEYS_AT_ONCE groups of eight positions; `from` is what this lane reads of the first. A fragment for each
 * pair of limbs, of query and key: they are joined once, after the last dimension. */
DEVICE void score_some(const int8_t *const (&query)[2], uint32_t width, const int8_t *from, size_t limb_bytes,
                       float (&s)[KEYS_AT_ONCE][4])
{
    int32_t sums[KEYS_AT_ONCE][CUDA_LIMBS][CUDA_LIMBS][4] = {};           /* group, limb of the key, of the query */
    for (uint32_t at = 0; at < width; at += 32, from += 32 * CUDA_CHUNK) {
        uint32_t words[CUDA_LIMBS][4];
        load_queries(words[0], query, at);
        load_queries(words[1], query, width + at);
#pragma unroll
        for (uint32_t n = 0; n < KEYS_AT_ONCE; n++)
#pragma unroll
            for (uint32_t limb = 0; limb < CUDA_LIMBS; limb++) {
                uint2 k = load_again((const uint2 *)(from + limb * limb_bytes + n * 8 * 32));
                const uint32_t columns[2] = { k.x, k.y };
                mma_k32(sums[n][limb][0], words[0], columns);
                mma_k32(sums[n][limb][1], words[1], columns);
            }
    }
#pragma unroll
    for (uint32_t n = 0; n < KEYS_AT_ONCE; n++)
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            s[n][i] = limbs_joined(128 * sums[n][0][0][i] + sums[n][0][1][i],
                                   128 * sums[n][1][0][i] + sums[n][1][1][i]);
}

/* S of 7.2 for a lane's two queries: x[i][2 n + e] is that of query i and position 8 n + 2 t + e of the tile. */
DEVICE void score(const struct cuda_attention &a, const struct lane_queries &q, const struct cuda_chunk &chunk,
                  uint32_t tile, float (&x)[2][2 * GROUPS])
{
    uint32_t g = lane_id() / 4, t = lane_id() % 4, width = a.cache.width;
    const int8_t *query[2];
#pragma unroll
    for (uint32_t i = 0; i < 2; i++)
        query[i] = a.q8 + ((size_t)q.row[i] * a.heads + q.head[i]) * CUDA_LIMBS * width + 8 * t;
#pragma unroll
    for (uint32_t first = 0; first < GROUPS; first += KEYS_AT_ONCE) {
        float s[KEYS_AT_ONCE][4];
        const int8_t *from = chunk.keys + key_place(tile * CUDA_TILE + 8 * first + g, 0) + 8 * t;
        score_some(query, width, from, chunk.limb_bytes, s);
#pragma unroll
        for (uint32_t n = 0; n < KEYS_AT_ONCE; n++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
                x[i / 2][2 * (first + n) + i % 2] = s[n][i];
    }
}

DEVICE float quad_max(float x)
{
    float other = warp_xor(x, 1);
    x = other > x ? other : x;
    other = warp_xor(x, 2);
    return other > x ? other : x;
}

DEVICE int32_t quad_sum(int32_t x)
{
    x += warp_xor(x, 1);
    return x + warp_xor(x, 2);
}

/* NV1 7.2 and 7.3 for one of a lane's two queries, `seen` positions of the tile; x[2 n + e] belongs to position
 * 8 n + 2 t + e. Out: the integers u in place of the scores. False: a score is not finite; then all u are zero. */
DEVICE bool weigh(const struct cuda_chunk &chunk, uint32_t tile, uint32_t seen, float cq, float (&x)[2 * GROUPS],
                  float *max_out, float *l_out, float *g_out)
{
    uint32_t t = lane_id() % 4;
    const float infinity = float_from_bits(0x7f800000u);
    float most = -infinity;
    bool finite = true;
#pragma unroll
    for (uint32_t n = 0; n < GROUPS; n++) {
        float2 dk = *(const float2 *)(chunk.key_scales + tile * CUDA_TILE + 8 * n + 2 * t);
#pragma unroll
        for (uint32_t e = 0; e < 2; e++) {
            float s = float_mul(float_mul(cq, e ? dk.y : dk.x), x[2 * n + e]);
            bool is_seen = 8 * n + 2 * t + e < seen;
            finite = finite && (!is_seen || is_finite(s));
            x[2 * n + e] = is_seen ? s : -infinity;
            most = is_seen && s > most ? s : most;
        }
    }
    finite = (warp_ballot(!finite) >> (lane_id() & ~3u) & 15u) == 0;
    most = quad_max(most);
    float max = finite ? exact_ceil(most) : 0.0f, wmax = 0.0f;
    int32_t total = 0;
#pragma unroll
    for (uint32_t n = 0; n < GROUPS; n++) {
        float2 dv = *(const float2 *)(chunk.value_scales + tile * CUDA_TILE + 8 * n + 2 * t);
#pragma unroll
        for (uint32_t e = 0; e < 2; e++) {
            bool counts = finite && 8 * n + 2 * t + e < seen;
            float p = counts ? exact_exp2(float_sub(x[2 * n + e], max)) : 0.0f;
            total += int_from_float(float_mul(p, 0x1p15f));
            float w = counts ? float_mul(p, e ? dv.y : dv.x) : 0.0f;
            wmax = w > wmax ? w : wmax;
            x[2 * n + e] = w;
        }
    }
    *max_out = max;
    *l_out = float_mul(float_from_int(quad_sum(total)), 0x1p-15f);
    wmax = quad_max(wmax);
    bool is_small = wmax < 0x1p-100f;
    float inv = is_small ? 0.0f : float_div(32512.0f, wmax);
    *g_out = is_small ? 0.0f : float_div(wmax, 32512.0f);
#pragma unroll
    for (uint32_t i = 0; i < 2 * GROUPS; i++)
        x[i] = is_small ? 0.0f : float_rne(float_mul(x[i], inv));
    return finite;
}

/* Four of a lane's u as bytes: byte 2 m + e belongs to x[4 half + 2 m + e]. u = 256 high + low, low in -128..127. */
DEVICE uint32_t limb(const float (&x)[2 * GROUPS], uint32_t first, bool high)
{
    uint32_t word = 0;
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        int32_t u = int_from_float(x[first + i]), top = (u + 128) >> 8;
        word |= ((uint32_t)(high ? top : u - 256 * top) & 255u) << (8 * i);
    }
    return word;
}

/* Warp t scores tile t of the chunk and leaves u, M, l and g in shared memory. */
DEVICE void read_tile(const struct cuda_attention &a, const struct lane_queries &q, const struct cuda_chunk &chunk,
                      uint32_t chunk_number, struct attention_shared *shared)
{
    uint32_t tile = warp_id(), first = chunk_number * CUDA_CHUNK + tile * CUDA_TILE, g = lane_id() / 4;
    if (first >= q.last)
        return;
    float x[2][2 * GROUPS];
    score(a, q, chunk, tile, x);
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        float max, l, scale, cq = a.cq[(size_t)q.row[i] * a.heads + q.head[i]];
        uint32_t seen = seen_of(q.count[i], first, CUDA_TILE);
        if (!weigh(chunk, tile, seen, cq, x[i], &max, &l, &scale) && lane_id() % 4 == 0)
            atomic_or(a.bad + q.row[i], 1);
        if (lane_id() % 4 == 0) {
            shared->max[tile][g + 8 * i] = max;
            shared->l[tile][g + 8 * i] = l;
            shared->g[tile][g + 8 * i] = scale;
        }
    }
#pragma unroll
    for (uint32_t half = 0; half < 2; half++)
#pragma unroll
        for (uint32_t high = 0; high < 2; high++)
            shared->u[tile][half][high][lane_id()] =
                make_uint4(limb(x[0], 8 * half, high), limb(x[1], 8 * half, high), limb(x[0], 8 * half + 4, high),
                           limb(x[1], 8 * half + 4, high));
}

/* NV1 7.4 but for O: what each tile does to it. */
struct chunk_fold {
    float max, l;
    float a[TILES], e[TILES];
    bool exists[TILES];
};

DEVICE struct chunk_fold fold_of(const struct attention_shared *shared, uint32_t query, uint32_t seen)
{
    struct chunk_fold f;
    f.max = seen > 0 ? shared->max[0][query] : 0.0f;
    f.l = 0.0f;
#pragma unroll
    for (uint32_t t = 0; t < TILES; t++) {
        f.exists[t] = t * CUDA_TILE < seen;
        f.a[t] = f.e[t] = 0.0f;
        if (!f.exists[t])
            continue;
        float tile_max = shared->max[t][query], max = tile_max > f.max ? tile_max : f.max;
        float b = exact_pow2(float_sub(tile_max, max));
        f.a[t] = exact_pow2(float_sub(f.max, max));
        f.l = float_add(float_mul(f.a[t], f.l), float_mul(b, shared->l[t][query]));
        f.e[t] = float_mul(shared->g[t][query], b);
        f.max = max;
    }
    return f;
}

/* H_t or L_t of 7.3 for eight dimensions: the high bytes of u first, then 256 times their sum plus the low ones. */
DEVICE void multiply_values(const uint4 (&u)[2][2], const int8_t *values, uint32_t width, uint32_t tile, uint32_t dim,
                            int32_t (&sums)[4])
{
    uint32_t columns[2][2];
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        size_t row = (size_t)(tile * 2 + half) * width + dim + lane_id() / 4;
        const int8_t *from = values + row * 32 + 8 * (lane_id() % 4);
        uint2 v = load_again((const uint2 *)from);
        columns[half][0] = v.x;
        columns[half][1] = v.y;
    }
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
        sums[i] = 0;
#pragma unroll
    for (uint32_t limb_number = 2; limb_number-- > 0;) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            sums[i] *= 256;
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
            const uint4 &from = u[half][limb_number];
            const uint32_t words[4] = { from.x, from.y, from.z, from.w };
            mma_k32(sums, words, columns[half]);
        }
    }
}

/* O of 7.4 for AT_ONCE groups of eight dimensions from `dim` on, WARPS groups apart; o[.][2 i + e] is query i,
 * dimension 2 t + e. */
DEVICE void fold_values(const struct attention_shared *shared, const struct chunk_fold (&f)[2],
                        const struct cuda_chunk &chunk, uint32_t width, uint32_t tiles, uint32_t dim,
                        float (&o)[AT_ONCE][4])
{
#pragma unroll
    for (uint32_t k = 0; k < AT_ONCE; k++)
        o[k][0] = o[k][1] = o[k][2] = o[k][3] = 0.0f;
#pragma unroll
    for (uint32_t t = 0; t < TILES; t++) {
        if (t >= tiles)
            break;
        uint4 u[2][2];
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            u[i / 2][i % 2] = shared->u[t][i / 2][i % 2][lane_id()];
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            uint32_t at = dim + k * WARPS * 8;
            if (at >= width)
                break;
            int32_t high[4], low[4];
            multiply_values(u, chunk.values, width, t, at, high);
            multiply_values(u, chunk.values + chunk.limb_bytes, width, t, at, low);
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
                if (f[i / 2].exists[t])
                    o[k][i] = float_fma(f[i / 2].e[t], limbs_joined(high[i], low[i]),
                                        float_mul(f[i / 2].a[t], o[k][i]));
        }
    }
}

/* A partial softmax over chunks (NV1 7.5) and what a further chunk does to it. */
struct chunks_fold {
    float max, l, a, b;
};

DEVICE void fold_chunk(struct chunks_fold *f, bool is_first, float chunk_max, float chunk_l)
{
    float before = is_first ? chunk_max : f->max;
    f->l = is_first ? 0.0f : f->l;
    f->max = chunk_max > before ? chunk_max : before;
    f->a = exact_pow2(float_sub(before, f->max));
    f->b = exact_pow2(float_sub(chunk_max, f->max));
    f->l = float_add(float_mul(f->a, f->l), float_mul(f->b, chunk_l));
}

/* Where a chunk's M, L and O lie in `partial`. */
DEVICE float *partial_of(const struct cuda_attention &a, uint32_t row, uint32_t head, uint32_t chunk)
{
    return a.partial + (((size_t)row * a.heads + head) * a.chunks + chunk) * (a.cache.head_dim + 2);
}

/* Writes what a lane has of one query and one group of eight dimensions: a part, or the running total in o. */
DEVICE void store_part(const struct cuda_attention &a, const struct lane_queries &q, uint32_t i, uint32_t chunk,
                       uint32_t dim, float first, float second, const struct chunks_fold &total)
{
    if (dim >= a.cache.head_dim)
        return;
    if (a.partial) {
        float *to = partial_of(a, q.row[i], q.head[i], chunk) + 2 + dim;
        to[0] = first;
        to[1] = second;
        return;
    }
    float *o = a.o + ((size_t)q.row[i] * a.heads + q.head[i]) * a.cache.head_dim + dim;
    float x = float_fma(total.b, first, float_mul(total.a, chunk ? o[0] : 0.0f));
    float y = float_fma(total.b, second, float_mul(total.a, chunk ? o[1] : 0.0f));
    bool is_last = (chunk + 1) * CUDA_CHUNK >= q.count[i];
    o[0] = is_last ? float_div(x, total.l) : x;
    o[1] = is_last ? float_div(y, total.l) : y;
}

DEVICE void read_chunk(const struct cuda_attention &a, const struct lane_queries &q, uint32_t kv_head,
                       uint32_t chunk_number, struct chunks_fold (&total)[2], struct attention_shared *shared)
{
    uint32_t slot = a.rows[q.row[0]].slot, first = chunk_number * CUDA_CHUNK;
    struct cuda_chunk chunk = chunk_of(a.cache, slot, chunk_number, a.layer, kv_head);
    read_tile(a, q, chunk, chunk_number, shared);
    block_sync();
    uint32_t tiles = (seen_of(q.last, first, CUDA_CHUNK) + CUDA_TILE - 1) / CUDA_TILE;
    struct chunk_fold f[2];
    bool sees[2];
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t seen = seen_of(q.count[i], first, CUDA_CHUNK);
        sees[i] = seen > 0;
        f[i] = fold_of(shared, lane_id() / 4 + 8 * i, seen);
        if (!a.partial && sees[i])
            fold_chunk(&total[i], chunk_number == 0, f[i].max, f[i].l);
        if (a.partial && sees[i] && warp_id() == 0 && lane_id() % 4 == 0) {
            float *to = partial_of(a, q.row[i], q.head[i], chunk_number);
            to[0] = f[i].max;
            to[1] = f[i].l;
        }
    }
    for (uint32_t dim = warp_id() * 8; dim < a.cache.width; dim += AT_ONCE * WARPS * 8) {
        float o[AT_ONCE][4];
        fold_values(shared, f, chunk, a.cache.width, tiles, dim, o);
#pragma unroll
        for (uint32_t k = 0; k < AT_ONCE; k++)
#pragma unroll
            for (uint32_t i = 0; i < 2; i++)
                if (sees[i])
                    store_part(a, q, i, chunk_number, dim + k * WARPS * 8 + 2 * (lane_id() % 4), o[k][2 * i],
                               o[k][2 * i + 1], total[i]);
    }
}

/* blockIdx.x = tile * kv_heads + kv_head; blockIdx.y = chunk where each has its own block. */
KERNEL(WARPS * WARP) attend(struct cuda_attention a)
{
    struct attention_shared *shared = (struct attention_shared *)block_shared();
    uint32_t kv_head = blockIdx.x % a.cache.kv_heads;
    grid_release();
    grid_wait();
    struct lane_queries q = find_queries(a, a.tiles[blockIdx.x / a.cache.kv_heads], kv_head);
    struct chunks_fold total[2] = {};
    if (a.partial) {
        if (blockIdx.y * CUDA_CHUNK < q.last)
            read_chunk(a, q, kv_head, blockIdx.y, total, shared);
        return;
    }
    for (uint32_t chunk = 0; chunk * CUDA_CHUNK < q.last; chunk++) {
        read_chunk(a, q, kv_head, chunk, total, shared);
        block_sync();
    }
}

/* NV1 7.5 and 7.6, where o is read as floats: a warp takes 256 dimensions of one head; blockIdx.y = row. */
enum { SLAB = 8 };

DEVICE void fold_slab(const struct cuda_attention &a, uint32_t row, uint32_t head, uint32_t dim)
{
    uint32_t chunks = a.rows[row].position / CUDA_CHUNK + 1;
    struct chunks_fold total = {};
    float o[SLAB] = {};
    for (uint32_t c = 0; c < chunks; c++) {
        const float *part = partial_of(a, row, head, c);
        fold_chunk(&total, c == 0, part[0], part[1]);
#pragma unroll
        for (uint32_t k = 0; k < SLAB; k++)
            if (dim + k * WARP < a.cache.head_dim)
                o[k] = float_fma(total.b, part[2 + dim + k * WARP], float_mul(total.a, o[k]));
    }
#pragma unroll
    for (uint32_t k = 0; k < SLAB; k++)
        if (dim + k * WARP < a.cache.head_dim)
            a.o[((size_t)row * a.heads + head) * a.cache.head_dim + dim + k * WARP] = float_div(o[k], total.l);
}

KERNEL(WARPS * WARP) fold_chunks(struct cuda_attention a)
{
    uint32_t head = blockIdx.x * WARPS + warp_id();
    grid_release();
    grid_wait();
    if (head < a.heads)
        for (uint32_t dim = lane_id(); dim < a.cache.head_dim; dim += SLAB * WARP)
            fold_slab(a, blockIdx.y, head, dim);
}

/* NV1 7.5 and 7.6 of eight neighbouring values of a head. Heads have an even number of dimensions, so parts are aligned
 * for pairs. */
DEVICE void fold_neighbours(const struct cuda_attention &a, uint32_t row, uint32_t head, uint32_t dim,
                            float (&o)[LANE_VALUES])
{
    uint32_t chunks = a.rows[row].position / CUDA_CHUNK + 1;
    struct chunks_fold total = {};
    for (uint32_t c = 0; c < chunks; c++) {
        const float *part = partial_of(a, row, head, c);
        const float2 *from = (const float2 *)(part + 2 + dim);
        fold_chunk(&total, c == 0, part[0], part[1]);
#pragma unroll
        for (uint32_t k = 0; k < LANE_VALUES; k += 2) {
            float2 two = from[k / 2];
            o[k] = float_fma(total.b, two.x, float_mul(total.a, o[k]));
            o[k + 1] = float_fma(total.b, two.y, float_mul(total.a, o[k + 1]));
        }
    }
#pragma unroll
    for (uint32_t k = 0; k < LANE_VALUES; k++)
        o[k] = float_div(o[k], total.l);
}

/* The same and NV1 3.2 of a row of o, which is written nowhere: a warp takes a block of 256 of its values. Heads have a
 * multiple of eight dimensions, so that a lane's values are of one head. */
KERNEL(WARPS * WARP) fold_and_quantize(struct cuda_attention a, struct cuda_acts acts)
{
    uint32_t row = blockIdx.y, block = blockIdx.x * WARPS + warp_id();
    uint32_t at = block * CUDA_ACT_BLOCK + lane_id() * LANE_VALUES;
    grid_release();
    grid_wait();
    if (block * CUDA_ACT_BLOCK >= acts.cols)
        return;
    float o[LANE_VALUES] = {};
    if (at < acts.cols)
        fold_neighbours(a, row, at / a.cache.head_dim, at % a.cache.head_dim, o);
    if (!quantize_block(o, acts, row, block) && lane_id() == 0)
        atomic_or(a.bad + row, 1);
}

static void launch_fold(const struct cuda_attention *a, struct CUstream_st *stream)
{
    LAUNCH_EARLY(fold_chunks, (a->heads + WARPS - 1) / WARPS, a->n, WARPS * WARP, 0, stream, *a);
}

static void launch_fold_and_quantize(const struct cuda_attention *a, struct CUstream_st *stream)
{
    uint32_t blocks = (a->acts->cols + CUDA_ACT_BLOCK - 1) / CUDA_ACT_BLOCK;
    LAUNCH_EARLY(fold_and_quantize, (blocks + WARPS - 1) / WARPS, a->n, WARPS * WARP, 0, stream, *a, *a->acts);
}

extern "C" void cuda_attend(const struct cuda_attention *attention, struct CUstream_st *stream)
{
    uint32_t across = attention->tile_count * attention->cache.kv_heads;
    if (across == 0)
        return;
    LAUNCH_EARLY(attend, across, attention->partial ? attention->chunks : 1, WARPS * WARP,
                 sizeof(struct attention_shared), stream, *attention);
    if (attention->partial && attention->acts && attention->cache.head_dim % LANE_VALUES == 0) {
        launch_fold_and_quantize(attention, stream);
        return;
    }
    if (attention->partial)
        launch_fold(attention, stream);
    if (attention->acts)
        cuda_quantize(attention->o, attention->n, attention->acts, attention->bad, stream);
}
