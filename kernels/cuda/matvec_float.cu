/* matvec_float.cu - rows of F32, F16 and BF16 times a few tokens, in the order of VSUM (NV1 4.2, 4.3).
 *
 * A warp is a row and its lanes are the 32 lanes of the law. The packed row (pack.h) gives each lane its eight values
 * of a block of 256 side by side, so a block is one 16-byte load per lane (F16, BF16) or two (F32), and while one block
 * is being multiplied the next is on its way. */
#include "kernels/cuda/matmul_parts.h"
#include "kernels/cuda/pack.h"

static constexpr uint32_t WARPS = 8, TOKENS = 8;

/* A lane's share of a block of 256: the values lane + 32 i of NV1 4.3. */
struct share {
    float v[8];
};

template <enum cuda_type type> DEVICE float half_value(uint32_t bits)
{
    return type == CUDA_F16 ? float_from_half((uint16_t)bits) : float_from_bf16((uint16_t)bits);
}

template <enum cuda_type type> DEVICE struct share load_share(const uint8_t *block, uint32_t lane)
{
    struct share s;
    if (type == CUDA_F32) {
        const uint4 *from = (const uint4 *)block + lane * 2;
        uint4 a = load_once(from), b = load_once(from + 1);
        const uint32_t words[8] = { a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w };
        for (uint32_t i = 0; i < 8; i++)
            s.v[i] = float_from_bits(words[i]);
    } else {
        uint4 a = load_once((const uint4 *)block + lane);
        const uint32_t words[4] = { a.x, a.y, a.z, a.w };
        for (uint32_t i = 0; i < 8; i++)
            s.v[i] = half_value<type>(words[i / 2] >> (16 * (i % 2)) & 0xffff);
    }
    return s;
}

/* The last block of a row, `rest` values below 256, lies as stored. */
template <enum cuda_type type> DEVICE struct share load_rest(const uint8_t *block, uint32_t lane, uint32_t rest)
{
    struct share s;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t at = lane + 32 * i;
        s.v[i] = 0.0f;
        if (at >= rest)
            continue;
        s.v[i] = type == CUDA_F32 ? load_again((const float *)block + at)
                                    : half_value<type>(load_again((const uint16_t *)block + at));
    }
    return s;
}

/* NV1 4.3, one block: the total, in every lane. x has `count` values from here on, and zeros after them. */
DEVICE float block_total(const struct share *w, const float *x, uint32_t lane, uint32_t count)
{
    float s = 0.0f;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t at = lane + 32 * i;
        s = float_fma(w->v[i], at < count ? load_again(x + at) : 0.0f, s);
    }
    for (uint32_t h = 16; h >= 1; h /= 2)
        s = float_add(s, warp_xor(s, h));
    return s;
}

/* The arguments of cuda_matmul_float_together(). */
struct float_product {
    struct product_rows of[CUDA_TOGETHER];
    const float *x;
    uint32_t cols, tokens;
};

template <enum cuda_type type> KERNEL(WARPS * WARP) rows_float(struct float_product p)
{
    constexpr uint32_t block_bytes = 256 * float_bytes(type);
    const struct product_rows of = find_rows(p.of);
    uint32_t lane = lane_id(), row = (blockIdx.x - of.first) * WARPS + warp_id(), first_token = blockIdx.y * TOKENS;
    grid_release();
    if (row >= of.rows) {
        grid_wait();
        return;
    }
    const uint8_t *w = of.packed + (size_t)row * float_row_bytes(type, p.cols);
    uint32_t blocks = p.cols / 256, rest = p.cols % 256;
    uint32_t n = least(p.tokens - first_token, TOKENS);
    float sum[TOKENS] = { 0 };
    struct share next;
    if (blocks > 0)
        next = load_share<type>(w, lane);
    grid_wait();
    for (uint32_t b = 0; b < blocks + (rest != 0); b++) {
        struct share now = b < blocks ? next : load_rest<type>(w + (size_t)b * block_bytes, lane, rest);
        if (b + 1 < blocks)
            next = load_share<type>(w + (size_t)(b + 1) * block_bytes, lane);
        const float *at = p.x + (size_t)first_token * p.cols + (size_t)b * 256;
#pragma unroll
        for (uint32_t t = 0; t < TOKENS; t++)
            if (t < n)
                sum[t] = float_add(sum[t], block_total(&now, at + (size_t)t * p.cols, lane, p.cols - b * 256));
    }
#pragma unroll
    for (uint32_t t = 0; t < TOKENS; t++)
        if (t < n && lane == 0)
            of.y[(size_t)(first_token + t) * of.stride + row] = sum[t];
}

template <enum cuda_type type> static void launch(struct float_product *p, struct CUstream_st *stream)
{
    uint32_t across = number_blocks(p->of, WARPS), down = (p->tokens + TOKENS - 1) / TOKENS;
    if (across > 0 && down > 0)
        LAUNCH_EARLY(rows_float<type>, across, down, WARPS * WARP, 0, stream, *p);
}

extern "C" void cuda_matmul_float_together(const struct cuda_product *products, uint32_t count, const float *x,
                                           uint32_t n, struct CUstream_st *stream)
{
    const struct cuda_matrix *w = products->w;
    struct float_product p = {};
    take_products(p.of, products, count);
    p.x = x;
    p.cols = w->cols;
    p.tokens = n;
    if (w->type == CUDA_F32)
        launch<CUDA_F32>(&p, stream);
    else if (w->type == CUDA_F16)
        launch<CUDA_F16>(&p, stream);
    else
        launch<CUDA_BF16>(&p, stream);
}

extern "C" void cuda_matmul_float(const struct cuda_matrix *w, const float *x, uint32_t n, float *y, uint32_t stride,
                                  struct CUstream_st *stream)
{
    const struct cuda_product product = { w, y, stride };
    cuda_matmul_float_together(&product, 1, x, n, stream);
}
