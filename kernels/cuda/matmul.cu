/* matmul.cu - quantised rows times many tokens (NV1 4.1): the kernel of prefill, which should wait for the matrix units
 * only.
 *
 * A block of threads makes a tile of rows x tokens, walking along the columns slab by slab (pack.h). A ring of stages
 * in shared memory is filled by cp.async some slabs ahead: the packed weights as they lie, and the tokens' activations.
 * A warp takes its part of the tile through a slab in four steps of 32 columns: weights of a step become signed bytes
 * in registers, already in the places where mma_k32 wants them; sums are exact integers; integer scales multiply them
 * run by run; and at the end of each block of weights one float step per result, so each result is one ascending chain
 * in one register.
 *
 *   wide     128 rows x 128 tokens, 8 warps of 32 x 64      for more than 64 tokens
 *   narrow    32 rows x  64 tokens, 4 warps of 16 x 32      for fewer: more blocks of threads, as each has little to do
 *
 * Activations lie in shared memory as 128 bytes per token, the 16-byte piece c of token n at c ^ (n mod 8), so that the
 * eight rows that load_matrices() reads at a time lie in different banks. */
#include "kernels/cuda/matmul_parts.h"
#include "kernels/cuda/weights_parts.h"

static constexpr uint32_t STAGES_MAX = 4;

/* The two shapes: warps across rows and tokens, and 16-row and 8-token tiles of a warp. */
template <bool wide> struct shape {
    static constexpr uint32_t row_warps = wide ? 4 : 2, token_warps = 2, m_tiles = wide ? 2 : 1, n_tiles = wide ? 8 : 4;
    static constexpr uint32_t groups = row_warps * m_tiles, tokens = token_warps * n_tiles * 8;
    static constexpr uint32_t threads = row_warps * token_warps * WARP;
};

/* One slab of the tile in shared memory. */
template <enum cuda_type type, bool wide> struct stage {
    static constexpr uint32_t group_bytes = pack_slab_bytes(type) + pack_fold_bytes(type);
    uint8_t weights[shape<wide>::groups][group_bytes];
    int8_t q[shape<wide>::tokens][PACK_COLS];
    int8_t sums[pack_has_min(type) ? shape<wide>::tokens : 1][CUDA_ACT_SUMS];
    static constexpr uint32_t scales = pack_is_super(type) ? 1 : PACK_COLS / 32;
    float dx[shape<wide>::tokens][scales];
};

/* What a warp has of the tile: fragments C of its m_tiles x n_tiles. */
template <bool wide> struct part {
    float y[shape<wide>::m_tiles][shape<wide>::n_tiles][4];
    int32_t s[shape<wide>::m_tiles][shape<wide>::n_tiles][4];      /* of the super-block under way */
    uint32_t first_group, first_token, tokens;                     /* in the tile; tokens that exist from there on */
};

/* Asks for slab `slab` of the weights; what does not exist becomes zeros. */
template <enum cuda_type type, bool wide>
DEVICE void fetch_weights(struct stage<type, wide> *to, const struct product_rows *w, uint32_t cols,
                          uint32_t first_group, uint32_t slab)
{
    using tile = struct shape<wide>;
    const uint32_t pieces = (pack_slab_bytes(type) + (slab % 2 ? pack_fold_bytes(type) : 0)) / 16;
    const uint8_t *weights = w->packed + pack_slab_at(type, slab);
    const size_t group_bytes = pack_group_bytes(type, cols);
    uint32_t groups = (w->rows + PACK_ROWS - 1) / PACK_ROWS;
    for (uint32_t i = threadIdx.x; i < tile::groups * pieces; i += tile::threads) {
        uint32_t group = first_group + i / pieces, at = i % pieces * 16;
        copy_async(to->weights[i / pieces] + at, weights + group * group_bytes + at, group < groups);
    }
}

/* The same of the activations. */
template <enum cuda_type type, bool wide>
DEVICE void fetch_tokens(struct stage<type, wide> *to, const struct product *p, uint32_t first_token, uint32_t slab)
{
    using tile = struct shape<wide>;
    const uint32_t block = slab / 2;
    for (uint32_t i = threadIdx.x; i < tile::tokens * 8; i += tile::threads) {
        uint32_t n = i / 8, c = i % 8, token = first_token + n;
        const int8_t *from = p->q + ((size_t)token * p->blocks + block) * 256 + slab % 2 * PACK_COLS + c * 16;
        copy_async(&to->q[n][(c ^ n % 8) * 16], from, token < p->tokens);
    }
    for (uint32_t n = threadIdx.x; n < tile::tokens; n += tile::threads) {
        uint32_t token = first_token + n;
        const float *dx = p->d + ((size_t)token * p->blocks + block) * CUDA_ACT_SCALES;
        if (pack_is_super(type))
            copy_word_async(to->dx[n], dx, token < p->tokens);
        else
            copy_async(to->dx[n], dx + slab % 2 * (PACK_COLS / 32), token < p->tokens);
        if (!pack_has_min(type))
            continue;
        const int8_t *sums = p->sums + ((size_t)token * p->blocks + block) * CUDA_ACT_SUMS;
        copy_async(to->sums[n], sums, token < p->tokens);
        copy_async(to->sums[n] + 16, sums + 16, token < p->tokens);
    }
}

/* Operand B of step j for 16 tokens from n on: b[0..1] of the first eight, b[2..3] of the others. */
template <enum cuda_type type, bool wide>
DEVICE void load_tokens(uint32_t (&b)[4], const struct stage<type, wide> *from, uint32_t n, uint32_t j)
{
    uint32_t lane = lane_id(), token = n + lane / 16 * 8 + lane % 8, piece = j * 2 + lane / 8 % 2;
    load_matrices(b, &from->q[token][(piece ^ token % 8) * 16]);
}

/* One float step of NV1 4.1 for a fragment: rows g, g + 8 have factors d[0..1], tokens 2 t, 2 t + 1 have dx. */
DEVICE void fold(float (&y)[4], const float (&s)[4], const float (&d)[2], float2 dx)
{
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
        y[i] = float_fma(float_mul(d[i / 2], i % 2 ? dx.y : dx.x), s[i], y[i]);
}

DEVICE void to_floats(float (&to)[4], const int32_t (&s)[4])
{
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
        to[i] = float_from_int(s[i]);
}

/* Sums that began at the bits of 1.5 * 2^23 are the bits of 1.5 * 2^23 + s while |s| < 2^22: a subtraction, exact, is a
 * cheaper conversion. A block of 32 stays below 32 * 128 * 127 < 2^19. */
static constexpr int32_t BIASED_ZERO = 0x4b400000;

DEVICE void biased_to_floats(float (&to)[4], const int32_t (&s)[4])
{
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
        to[i] = float_sub(float_from_bits((uint32_t)s[i]), 0x1.8p23f);
}

/* Factors of rows g and g + 8 from 16 packed ones. */
template <enum cuda_type type> DEVICE void load_row_factors(float (&d)[2], const uint8_t *sixteen)
{
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t row = lane_id() / 4 + 8 * i;
        d[i] = block_factor<type>(type == CUDA_MXFP4 ? sixteen[row] : ((const uint16_t *)sixteen)[row]);
    }
}

/* What a step j of blocks of 32 needs beside its operands: factors of rows g, g + 8. */
struct step_factors {
    float d[2], m[2];
};

template <enum cuda_type type> DEVICE struct step_factors load_step_factors(const uint8_t *slab, uint32_t j)
{
    constexpr uint32_t bytes = type == CUDA_MXFP4 ? 16 : 32;
    struct step_factors f = {};                          /* types without mins never read m */
    load_row_factors<type>(f.d, slab + pack_scales_at(type) + j * bytes);
    if (pack_has_min(type))
        load_row_factors<type>(f.m, slab + pack_scales_at(type) + 128 + j * bytes);
    return f;
}

/* Block `of_eight` in the 256 activations, of 32 values: c are its sums, biased, for this lane's tokens `token` and the
 * next. */
template <enum cuda_type type, bool wide>
DEVICE void fold_small(float (&y)[4], const int32_t (&c)[4], const struct stage<type, wide> *from,
                       const struct step_factors *f, uint32_t token, uint32_t of_eight)
{
    float2 dx = make_float2(from->dx[token][of_eight % 4], from->dx[token + 1][of_eight % 4]);
    float s[4];
    biased_to_floats(s, c);
    fold(y, s, f->d, dx);
    if constexpr (pack_has_min(type)) {
        const int8_t *of[2] = { from->sums[token] + of_eight * 2, from->sums[token + 1] + of_eight * 2 };
        float two[2];
#pragma unroll
        for (uint32_t i = 0; i < 2; i++)
            two[i] = float_from_int(sum_of_32(*(const uint16_t *)of[i], *(const uint16_t *)(of[i] + 16)));
        const float sums[4] = { two[0], two[1], two[0], two[1] };
        fold(y, sums, f->m, dx);
    }
}

/* A slab: into s for super-blocks, through to y for blocks of 32, of which a row has `blocks`. */
template <enum cuda_type type, bool wide>
DEVICE void multiply_slab(struct part<wide> *mine, const struct stage<type, wide> *from, uint32_t slab, uint32_t blocks)
{
    using tile = struct shape<wide>;
    struct slab_words w[tile::m_tiles];
#pragma unroll
    for (uint32_t m = 0; m < tile::m_tiles; m++)
        w[m] = load_slab<type, true>(from->weights[mine->first_group + m], lane_id());
#pragma unroll
    for (uint32_t j = 0; j < 4; j++) {
        uint32_t a[tile::m_tiles][4];
        struct step_factors factors[tile::m_tiles];
        if (!pack_is_super(type) && slab * 4 + j >= blocks)
            break;
#pragma unroll
        for (uint32_t m = 0; m < tile::m_tiles; m++) {
            decode_step<type>(a[m], &w[m], j);
            if (!pack_is_super(type))
                factors[m] = load_step_factors<type>(from->weights[mine->first_group + m], j);
        }
#pragma unroll
        for (uint32_t n = 0; n < tile::n_tiles; n++) {
            uint32_t two[4], token = mine->first_token + n * 8;
            if (n % 2 == 0 && n * 8 < mine->tokens)
                load_tokens<type, wide>(two, from, token, j);
            if (n * 8 >= mine->tokens)
                break;
            const uint32_t b[2] = { two[n % 2 * 2], two[n % 2 * 2 + 1] };
#pragma unroll
            for (uint32_t m = 0; m < tile::m_tiles; m++) {
                if constexpr (pack_is_super(type)) {
                    add_step<type, false>(mine->s[m][n], a[m], b, &w[m], j);
                } else {
                    int32_t c[4] = { BIASED_ZERO, BIASED_ZERO, BIASED_ZERO, BIASED_ZERO };
                    mma_k32(c, a[m], b);
                    fold_small<type, wide>(mine->y[m][n], c, from, &factors[m], token + lane_id() % 4 * 2,
                                           slab % 2 * 4 + j);
                }
            }
        }
    }
}

/* The end of a super-block, with its second slab. */
template <enum cuda_type type, bool wide>
DEVICE void fold_super(struct part<wide> *mine, const struct stage<type, wide> *from)
{
    using tile = struct shape<wide>;
    uint32_t lane = lane_id();
#pragma unroll
    for (uint32_t m = 0; m < tile::m_tiles; m++) {
        const uint8_t *behind = from->weights[mine->first_group + m] + pack_slab_bytes(type);
        float d[2], min_factors[2];
        uint32_t mins[2];
        load_row_factors<type>(d, behind + pack_floats_at(type));
        if (pack_has_min(type)) {
            load_row_factors<type>(min_factors, behind + pack_floats_at(type) + 32);
            load_mins<type, true>(mins, behind, lane);
        }
#pragma unroll
        for (uint32_t n = 0; n < tile::n_tiles; n++) {
            uint32_t token = mine->first_token + n * 8;
            if (n * 8 >= mine->tokens)
                break;
            float2 dx = *(const float2 *)from->dx[token + lane % 4 * 2];
            float s[4];
            to_floats(s, mine->s[m][n]);
            fold(mine->y[m][n], s, d, dx);
#pragma unroll
            for (uint32_t i = 0; i < 4; i++)
                mine->s[m][n][i] = 0;
            if constexpr (pack_has_min(type)) {
                const int8_t *of = from->sums[token + lane / 4] + lane % 4 * 4;
                int32_t sums[4];
                multiply_mins(sums, mins, *(const uint32_t *)of, *(const uint32_t *)(of + 16));
                to_floats(s, sums);
                fold(mine->y[m][n], s, min_factors, dx);
            }
        }
    }
}

template <bool wide> DEVICE struct part<wide> my_part(const struct product *p, uint32_t first_token)
{
    using tile = struct shape<wide>;
    struct part<wide> mine;
    mine.first_group = warp_id() % tile::row_warps * tile::m_tiles;
    mine.first_token = warp_id() / tile::row_warps * tile::n_tiles * 8;
    uint32_t before = first_token + mine.first_token;
    mine.tokens = p->tokens > before ? p->tokens - before : 0;
#pragma unroll
    for (uint32_t m = 0; m < tile::m_tiles; m++)
#pragma unroll
        for (uint32_t n = 0; n < tile::n_tiles; n++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                mine.y[m][n][i] = 0.0f;
                mine.s[m][n][i] = 0;
            }
    return mine;
}

template <bool wide>
DEVICE void store(const struct part<wide> *mine, const struct product_rows *w, uint32_t tokens, uint32_t first_group,
                  uint32_t first_token)
{
    using tile = struct shape<wide>;
    uint32_t lane = lane_id();
#pragma unroll
    for (uint32_t m = 0; m < tile::m_tiles; m++)
#pragma unroll
        for (uint32_t n = 0; n < tile::n_tiles; n++)
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t row = (first_group + mine->first_group + m) * PACK_ROWS + lane / 4 + i / 2 * 8;
                uint32_t token = first_token + mine->first_token + n * 8 + lane % 4 * 2 + i % 2;
                if (row < w->rows && token < tokens)
                    w->y[(size_t)token * w->stride + row] = mine->y[m][n][i];
            }
}

/* Leaves the `left` slabs that were asked for last under way. */
DEVICE void wait_for_slab(uint32_t left)
{
    switch (left) {
    case 0: copy_wait<0>(); return;
    case 1: copy_wait<1>(); return;
    default: copy_wait<STAGES_MAX - 2>(); return;
    }
}

/* With one stage a slab is fetched when the one before it is done with; with more, `stages` - 1 are under way or here.
 * A stage is filled again only after the barrier that all its readers have passed. Every turn commits, so that groups
 * count slabs; the first weights, asked for before the launch waits, are in the group of the first slab. */
template <enum cuda_type type, bool wide>
KERNEL_ALONE(shape<wide>::threads) many_tokens(struct product p, uint32_t stages)
{
    using tile = struct shape<wide>;
    struct stage<type, wide> *ring = (struct stage<type, wide> *)block_shared();
    const struct product_rows w = find_rows(p.of);
    uint32_t first_group = (blockIdx.x - w.first) * tile::groups, first_token = blockIdx.y * tile::tokens;
    uint32_t slabs = pack_slabs(p.cols), blocks = p.cols / 32;
    struct part<wide> mine = my_part<wide>(&p, first_token);
    grid_release();
    for (uint32_t slab = 0; slab + 1 < stages && slab < slabs; slab++)
        fetch_weights<type, wide>(ring + slab, &w, p.cols, first_group, slab);
    grid_wait();
    for (uint32_t slab = 0; slab + 1 < stages; slab++) {
        if (slab < slabs)
            fetch_tokens<type, wide>(ring + slab, &p, first_token, slab);
        copy_commit();
    }
    for (uint32_t slab = 0; slab < slabs; slab++) {
        uint32_t ahead = slab + stages - 1;
        if (stages > 1)
            wait_for_slab(stages - 2);
        block_sync();
        if (ahead < slabs) {
            fetch_weights<type, wide>(ring + ahead % stages, &w, p.cols, first_group, ahead);
            fetch_tokens<type, wide>(ring + ahead % stages, &p, first_token, ahead);
        }
        copy_commit();
        if (stages == 1) {
            copy_wait<0>();
            block_sync();
        }
        multiply_slab<type, wide>(&mine, ring + slab % stages, slab, blocks);
        if (pack_is_super(type) && slab % 2 == 1)
            fold_super<type, wide>(&mine, ring + slab % stages);
    }
    store<wide>(&mine, &w, p.tokens, first_group, first_token);
}

template <enum cuda_type type, bool wide> static void launch_shape(struct product *p, struct CUstream_st *stream)
{
    using tile = struct shape<wide>;
    constexpr uint32_t tile_rows = tile::groups * PACK_ROWS, stage_bytes = sizeof(struct stage<type, wide>);
    uint32_t fit = (uint32_t)(shared_bytes_most() / stage_bytes), stages = fit < STAGES_MAX ? fit : STAGES_MAX;
    static_assert(stage_bytes % 16 == 0, "each stage is aligned to 16 bytes");
    static_assert(stage_bytes <= 48 * 1024, "one stage fits wherever CUDA runs");
    uint32_t across = number_blocks(p->of, tile_rows), down = (p->tokens + tile::tokens - 1) / tile::tokens;
    LAUNCH_EARLY((many_tokens<type, wide>), across, down, tile::threads, (size_t)stages * stage_bytes, stream, *p,
                 stages);
}

template <enum cuda_type type> static void launch(struct product *p, struct CUstream_st *stream)
{
    if (p->tokens > shape<false>::tokens)
        launch_shape<type, true>(p, stream);
    else
        launch_shape<type, false>(p, stream);
}

static void multiply_many_tokens(enum cuda_type type, struct product *p, struct CUstream_st *stream)
{
    FOR_QUANTISED_TYPE(type, launch, p, stream);
}

extern "C" void cuda_matmul_together(const struct cuda_product *products, uint32_t count, const struct cuda_acts *x,
                                     uint32_t n, struct CUstream_st *stream)
{
    struct product p = {};
    take_products(p.of, products, count);
    p.cols = x->cols;
    p.tokens = n;
    p.blocks = (x->cols + 255) / 256;
    p.q = x->q;
    p.d = x->d;
    p.sums = x->sums;
    if (n == 0 || number_blocks(p.of, PACK_ROWS) == 0)
        return;
    if (n <= FEW_TOKENS)
        multiply_few_tokens(products->w->type, &p, stream);
    else
        multiply_many_tokens(products->w->type, &p, stream);
}

extern "C" void cuda_matmul(const struct cuda_matrix *w, const struct cuda_acts *x, uint32_t n, float *y,
                            uint32_t stride, struct CUstream_st *stream)
{
    const struct cuda_product product = { w, y, stride };
    cuda_matmul_together(&product, 1, x, n, stream);
}
