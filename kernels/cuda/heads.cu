/* heads.cu - rotates and quantises the heads of a row; queries go to the attention, keys and values into the cache
 * (NV1 6.6, 3.3, 7.1). A warp takes one head: it reads the vector twice, once for its greatest magnitude. */
#include "kernels/cuda/cache_parts.h"
#include "kernels/cuda/quantize_parts.h"
#include "kernels/cuda/steps.h"

enum { WARPS = 4 };

/* Dimensions 2 i and 2 i + 1 after NV1 6.6. */
DEVICE float2 rotated(const float *v, const float *cs, uint32_t rope_dims, uint32_t i)
{
    float a = v[2 * i], b = v[2 * i + 1];
    if (2 * i >= rope_dims)
        return make_float2(a, b);
    float c = cs[2 * i], s = cs[2 * i + 1];
    return make_float2(float_fma(a, c, -float_mul(b, s)), float_fma(a, s, float_mul(b, c)));
}

struct head_scale {
    float d, inv;
    bool finite;
};

DEVICE struct head_scale scale_of(const float *v, const float *cs, uint32_t rope_dims, uint32_t head_dim)
{
    uint32_t most = 0;
    for (uint32_t i = lane_id(); i < head_dim / 2; i += WARP) {
        float2 x = rotated(v, cs, rope_dims, i);
        most = magnitude_bits(x.x) > most ? magnitude_bits(x.x) : most;
        most = magnitude_bits(x.y) > most ? magnitude_bits(x.y) : most;
    }
    struct head_scale s;
    s.finite = quantize_scale(warp_max(most), LIMB_LEVELS, &s.d, &s.inv);
    return s;
}

/* Two neighbouring dimensions: their high limbs to `high`, their low ones `apart` bytes further. */
DEVICE void store_pair(int8_t *high, size_t apart, float2 x, float inv)
{
    uint32_t a = limbs_of(x.x, inv), b = limbs_of(x.y, inv);
    *(uint16_t *)high = (uint16_t)byte_pick(a, b, 0x40);
    *(uint16_t *)(high + apart) = (uint16_t)byte_pick(a, b, 0x51);
}

DEVICE bool store_query(const struct cuda_heads &a, uint32_t row, uint32_t head, const float *cs)
{
    uint32_t width = a.cache.width, dim = a.cache.head_dim;
    size_t at = (size_t)row * a.heads + head;
    const float *v = a.q + at * dim;
    struct head_scale s = scale_of(v, cs, a.rope_dims, dim);
    int8_t *to = a.q8 + at * CUDA_LIMBS * width;
    for (uint32_t i = lane_id(); i < width / 2; i += WARP)
        store_pair(to + 2 * i, width, i < dim / 2 ? rotated(v, cs, a.rope_dims, i) : make_float2(0.0f, 0.0f), s.inv);
    if (lane_id() == 0)
        a.cq[at] = float_mul(s.d, a.score_scale);
    return s.finite;
}

DEVICE bool store_key(const struct cuda_heads &a, uint32_t row, uint32_t head, const float *cs)
{
    uint32_t dim = a.cache.head_dim, p = a.rows[row].position % CUDA_CHUNK;
    const float *v = a.k + ((size_t)row * a.cache.kv_heads + head) * dim;
    struct cuda_chunk c = chunk_of(a.cache, a.rows[row].slot, a.rows[row].position / CUDA_CHUNK, a.layer, head);
    struct head_scale s = scale_of(v, cs, a.rope_dims, dim);
    for (uint32_t i = lane_id(); i < dim / 2; i += WARP)
        store_pair(c.keys + key_place(p, 2 * i), c.limb_bytes, rotated(v, cs, a.rope_dims, i), s.inv);
    if (lane_id() == 0)
        c.key_scales[p] = s.d;
    return s.finite;
}

DEVICE bool store_value(const struct cuda_heads &a, uint32_t row, uint32_t head)
{
    uint32_t dim = a.cache.head_dim, p = a.rows[row].position % CUDA_CHUNK;
    const float *v = a.v + ((size_t)row * a.cache.kv_heads + head) * dim;
    struct cuda_chunk c = chunk_of(a.cache, a.rows[row].slot, a.rows[row].position / CUDA_CHUNK, a.layer, head);
    struct head_scale s = scale_of(v, NULL, 0, dim);
    for (uint32_t i = lane_id(); i < dim; i += WARP) {
        uint32_t limbs = limbs_of(v[i], s.inv);
        int8_t *to = c.values + value_place(p, i, a.cache.width);
        to[0] = (int8_t)limbs;
        to[c.limb_bytes] = (int8_t)(limbs >> 8);
    }
    if (lane_id() == 0)
        c.value_scales[p] = s.d;
    return s.finite;
}

KERNEL(WARPS * WARP) store_heads(struct cuda_heads a)
{
    uint32_t row = blockIdx.y, item = blockIdx.x * WARPS + warp_id(), kv_heads = a.cache.kv_heads;
    grid_release();
    grid_wait();
    if (item >= a.heads + 2 * kv_heads)
        return;
    const float *cs = a.rotations + (size_t)a.rows[row].position * a.rope_dims;
    bool finite;
    if (item < a.heads)
        finite = store_query(a, row, item, cs);
    else if (item < a.heads + kv_heads)
        finite = store_key(a, row, item - a.heads, cs);
    else
        finite = store_value(a, row, item - a.heads - kv_heads);
    if (!finite && lane_id() == 0)
        atomic_or(a.bad + row, 1);
}

extern "C" void cuda_store_heads(const struct cuda_heads *heads, struct CUstream_st *stream)
{
    uint32_t items = heads->heads + 2 * heads->cache.kv_heads;
    if (heads->n > 0)
        LAUNCH_EARLY(store_heads, (items + WARPS - 1) / WARPS, heads->n, WARPS * WARP, 0, stream, *heads);
}
