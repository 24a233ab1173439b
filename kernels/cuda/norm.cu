/* norm.cu - residual, RMS norm and quantisation of a row in one reading (NV1 5.3, 5.1, 3.2).
 *
 * A block of threads is a row; a warp takes every eighth block of 256. The lanes of the sum are those of the law
 * (l + 32 i), the lanes of the quantisation hold eight neighbours, so a row is read twice, the second time from L1. */
#include "kernels/cuda/quantize_parts.h"
#include "kernels/cuda/steps.h"

enum { WARPS = 8, BLOCKS_MAX = 256 };       /* rows of up to 65536 values (MODEL_DIM_MAX) */

struct norm_shared {
    float totals[BLOCKS_MAX];
};

/* NV1 5.3 and one block of NV1 4.3. */
DEVICE float add_and_square(float *x, const float *y, uint32_t block, uint32_t dim)
{
    float s = 0.0f;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t at = block * 256 + lane_id() + 32 * i;
        float v = at < dim ? x[at] : 0.0f;
        if (y && at < dim)
            x[at] = v = float_add(v, y[at]);
        s = float_fma(v, v, s);
    }
    for (uint32_t h = 16; h >= 1; h /= 2)
        s = float_add(s, warp_xor(s, h));
    return s;
}

/* The groupings that are wanted. */
struct norm_acts {
    struct cuda_acts of[2];
    uint32_t count;
};

KERNEL(WARPS * WARP) norm_row(struct cuda_norm a, struct norm_acts acts)
{
    struct norm_shared *shared = (struct norm_shared *)block_shared();
    grid_release();
    if (threadIdx.x == 0)
        prefetch(a.weight, a.dim * 4 & ~15u);
    grid_wait();
    uint32_t r = blockIdx.x, from = a.which ? a.which[r] : r, blocks = (a.dim + 255) / 256;
    float *x = a.x + (size_t)from * a.dim;
    const float *y = a.y ? a.y + (size_t)from * a.dim : NULL;
    for (uint32_t b = warp_id(); b < blocks; b += WARPS) {
        float total = add_and_square(x, y, b, a.dim);
        if (lane_id() == 0)
            shared->totals[b] = total;
    }
    block_sync();
    float ss = 0.0f;
    for (uint32_t b = 0; b < blocks; b++)
        ss = float_add(ss, shared->totals[b]);
    float scale = float_div(1.0f, float_sqrt(float_add(float_div(ss, float_from_uint(a.dim)), a.eps)));
    bool finite = is_finite(ss);
    for (uint32_t b = warp_id(); b < blocks; b += WARPS) {
        float v[LANE_VALUES], w[LANE_VALUES];
        uint32_t at = b * 256 + lane_id() * LANE_VALUES;
        load_values(x, at, a.dim, v);
        load_values(a.weight, at, a.dim, w);
#pragma unroll
        for (uint32_t i = 0; i < LANE_VALUES; i++)
            v[i] = float_mul(float_mul(v[i], scale), w[i]);
        if (a.out)
            store_values(a.out + (size_t)r * a.dim, at, a.dim, v);
#pragma unroll
        for (uint32_t i = 0; i < 2; i++)
            if (i < acts.count)
                finite = quantize_block(v, acts.of[i], r, b) && finite;
    }
    if (!finite && lane_id() == 0)
        atomic_or(a.bad + from, 1);
}

extern "C" void cuda_rmsnorm(const struct cuda_norm *norm, struct CUstream_st *stream)
{
    struct norm_acts acts = {};
    for (uint32_t i = 0; i < 2; i++)
        if (norm->acts[i])
            acts.of[acts.count++] = *norm->acts[i];
    if (norm->n > 0)
        LAUNCH_EARLY(norm_row, norm->n, 1, WARPS * WARP, sizeof(struct norm_shared), stream, *norm, acts);
}
