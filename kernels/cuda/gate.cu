/* gate.cu - the gate of the feed-forward part, and plain quantisation: a warp per block of 256 (NV1 5.2, 3.2). */
#include "kernels/cuda/quantize_parts.h"
#include "kernels/cuda/steps.h"

enum { WARPS = 8 };

DEVICE uint32_t block_of_warp(void) { return blockIdx.x * WARPS + warp_id(); }

KERNEL(WARPS * WARP) quantize_rows(const float *x, struct cuda_acts acts, uint32_t *bad)
{
    uint32_t row = blockIdx.y, block = block_of_warp();
    float v[LANE_VALUES];
    grid_release();
    grid_wait();
    if (block * CUDA_ACT_BLOCK >= acts.cols)
        return;
    load_values(x + (size_t)row * acts.cols, block * CUDA_ACT_BLOCK + lane_id() * LANE_VALUES, acts.cols, v);
    if (!quantize_block(v, acts, row, block) && lane_id() == 0)
        atomic_or(bad + row, 1);
}

KERNEL(WARPS * WARP) gate_rows(float *gate, const float *up, uint32_t dim, struct cuda_acts acts, bool quantize,
                               uint32_t *bad)
{
    uint32_t row = blockIdx.y, block = block_of_warp(), at = block * CUDA_ACT_BLOCK + lane_id() * LANE_VALUES;
    float g[LANE_VALUES], u[LANE_VALUES];
    grid_release();
    grid_wait();
    if (block * CUDA_ACT_BLOCK >= dim)
        return;
    load_values(gate + (size_t)row * dim, at, dim, g);
    load_values(up + (size_t)row * dim, at, dim, u);
    bool finite = true;
#pragma unroll
    for (uint32_t i = 0; i < LANE_VALUES; i++) {
        bool ok = is_finite(g[i]) && is_finite(u[i]);
        g[i] = ok ? float_mul(exact_silu(g[i]), u[i]) : 0.0f;
        finite = finite && ok;
    }
    if (quantize)
        finite = quantize_block(g, acts, row, block) && finite;
    else
        store_values(gate + (size_t)row * dim, at, dim, g);
    if (!finite)
        atomic_or(bad + row, 1);
}

static uint32_t blocks_across(uint32_t cols)
{
    uint32_t blocks = (cols + CUDA_ACT_BLOCK - 1) / CUDA_ACT_BLOCK;
    return (blocks + WARPS - 1) / WARPS;
}

extern "C" void cuda_quantize(const float *x, uint32_t n, const struct cuda_acts *acts, uint32_t *bad,
                              struct CUstream_st *stream)
{
    if (n > 0)
        LAUNCH_EARLY(quantize_rows, blocks_across(acts->cols), n, WARPS * WARP, 0, stream, x, *acts, bad);
}

extern "C" void cuda_gate(float *gate, const float *up, uint32_t n, uint32_t dim, const struct cuda_acts *acts,
                          uint32_t *bad, struct CUstream_st *stream)
{
    struct cuda_acts to = {};
    if (acts)
        to = *acts;
    if (n > 0)
        LAUNCH_EARLY(gate_rows, blocks_across(dim), n, WARPS * WARP, 0, stream, gate, up, dim, to, acts != NULL, bad);
}
