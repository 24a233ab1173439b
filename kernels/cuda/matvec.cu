/* matvec.cu - quantised rows times one to eight tokens (NV1 4.1): the kernel of decoding, which should wait for memory
 * only.
 *
 * A block of threads has a group of 16 rows; its warps share out the columns by pairs of slabs (256 columns). Weights
 * go from memory straight into registers, 16 bytes per lane and load and a pair ahead, and from there into the matrix
 * units, whose eight columns are the tokens: eight tokens cost what one costs, and no sum has to be added across lanes.
 * What the warps leave in shared memory are exact integers (as floats, rounded once) and the float factors. The rounded
 * chain then has one thread per row and token, ascending through the blocks; meanwhile the next weights are on their
 * way.
 *
 * Tried on paper and dropped: a row per lane with dot4 (eight times the instructions for eight tokens, another packing
 * than matmul.cu), a row per warp (five shuffles per block), one warp for the whole row (too few bytes under way). */
#include "kernels/cuda/matmul_parts.h"
#include "kernels/cuda/weights_parts.h"

static constexpr uint32_t WARPS = 8, TERMS_BYTES = 48 * 1024, AHEAD_BYTES = 32 * 1024;

/* What a warp fetches ahead: a pair of slabs. */
struct pair_words {
    struct slab_words slab[2];
    uint32_t factors[2];             /* of blocks of 32, two a lane and slab; of a super-block [0], one a lane */
    uint32_t min_factors[2];
    uint32_t mins[2];
};

/* Terms of one block: S (token, row), for super-blocks with mins B (token, row), d (row), with mins m (row). */
template <enum cuda_type type>
static constexpr uint32_t sums_per_block = pack_is_super(type) && pack_has_min(type) ? 2 : 1;

template <enum cuda_type type> PACK_FUNCTION uint32_t term_floats(uint32_t tokens)
{
    return PACK_ROWS * (tokens * sums_per_block<type> + (pack_has_min(type) ? 2 : 1));
}

PACK_FUNCTION uint32_t blocks_per_pair(enum cuda_type type) { return pack_is_super(type) ? 1 : 8; }

/* Two factors of a slab's 64: of step lane / 8, rows 2 (lane mod 8) and the next. */
template <enum cuda_type type> DEVICE uint32_t load_factors(const uint8_t *at, uint32_t lane)
{
    if (type != CUDA_MXFP4)
        return load_once((const uint32_t *)at + lane);
    uint32_t two = load_once((const uint16_t *)at + lane);
    return (two & 255) | (two & 0xff00) << 8;
}

template <enum cuda_type type>
DEVICE struct pair_words load_pair(const uint8_t *group, uint32_t pair, uint32_t slabs, uint32_t lane)
{
    struct pair_words w;
    const uint8_t *from = group + pack_slab_at(type, 2 * pair);
    const uint8_t *fold = from + 2 * pack_slab_bytes(type), *scales = from + pack_scales_at(type);
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        if (half == 1 && 2 * pair + 1 >= slabs)
            break;
        w.slab[half] = load_slab<type, false>(from + half * pack_slab_bytes(type), lane);
        if (pack_is_super(type))
            continue;
        w.factors[half] = load_factors<type>(scales + half * pack_slab_bytes(type), lane);
        if (pack_has_min(type))
            w.min_factors[half] = load_factors<type>(scales + half * pack_slab_bytes(type) + 128, lane);
    }
    if (pack_is_super(type)) {
        uint32_t of = pack_has_min(type) ? lane : lane % PACK_ROWS;
        w.factors[0] = load_once((const uint16_t *)(fold + pack_floats_at(type)) + of);
        if (pack_has_min(type))
            load_mins<type, false>(w.mins, fold, lane);
    }
    return w;
}

/* Where this lane finds its words of operand B, in rows of `width` bytes per token: token g, byte 4 t. Of the last
 * token where there is no such token, since what comes of it is not stored and a choice per load would cost as much. */
DEVICE const uint32_t *lane_words(const int8_t *rows, uint32_t width, uint32_t tokens, uint32_t lane)
{
    return (const uint32_t *)(rows + (size_t)least(lane / 4, tokens - 1) * width) + lane % 4;
}

/* Operand B of step `step`, of 32 columns, from a lane's words. */
DEVICE void load_tokens(uint32_t (&b)[2], const uint32_t *words, uint32_t step)
{
    b[0] = load_again(words + step * 8);
    b[1] = load_again(words + step * 8 + 4);
}

/* A fragment C (rows x tokens) to (token, row). */
DEVICE void store_sums(float *to, const int32_t (&c)[4], uint32_t tokens, uint32_t lane)
{
    uint32_t token = lane % 4 * 2;
    float *at = to + token * PACK_ROWS + lane / 4;
    if (token < tokens) {
        at[0] = float_from_int(c[0]);
        at[8] = float_from_int(c[2]);
    }
    if (token + 1 < tokens) {
        at[PACK_ROWS] = float_from_int(c[1]);
        at[PACK_ROWS + 8] = float_from_int(c[3]);
    }
}

/* -zero times the sum of the activations, so that codes can be multiplied as they are: one instruction of the matrix
 * units, which have little to do here, for twelve that would make weights of codes. */
template <enum cuda_type type> DEVICE void subtract_zeros(int32_t (&c)[4], const uint32_t (&b)[2])
{
    const uint32_t zeros[4] = { minus_zeros<type>, minus_zeros<type>, minus_zeros<type>, minus_zeros<type> };
    if (pack_zero(type))
        mma_k32(c, zeros, b);
}

template <enum cuda_type type>
DEVICE void multiply_blocks(const struct product *p, const struct pair_words *w, uint32_t pair, uint32_t slabs,
                            float *terms, uint32_t lane)
{
    const uint32_t floats = term_floats<type>(p->tokens);
    const uint32_t *words = lane_words(p->q + pair * 256, p->blocks * 256, p->tokens, lane);
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        if (2 * pair + half >= slabs)
            break;
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            uint32_t a[4], b[2];
            int32_t c[4] = { 0, 0, 0, 0 };
            load_tokens(b, words, half * 4 + j);
            decode_codes<type>(a, &w->slab[half], j);
            subtract_zeros<type>(c, b);
            mma_k32(c, a, b);
            store_sums(terms + (half * 4 + j) * floats, c, p->tokens, lane);
        }
        float *d = terms + (half * 4 + lane / 8) * floats + PACK_ROWS * p->tokens + lane % 8 * 2;
        d[0] = block_factor<type>(w->factors[half] & 0xffff);
        d[1] = block_factor<type>(w->factors[half] >> 16);
        if (pack_has_min(type)) {
            d[PACK_ROWS] = block_factor<type>(w->min_factors[half] & 0xffff);
            d[PACK_ROWS + 1] = block_factor<type>(w->min_factors[half] >> 16);
        }
    }
}

template <enum cuda_type type>
DEVICE void multiply_super(const struct product *p, const struct pair_words *w, uint32_t pair, float *terms,
                           uint32_t lane)
{
    const uint32_t *words = lane_words(p->q + pair * 256, p->blocks * 256, p->tokens, lane);
    int32_t s[4] = { 0, 0, 0, 0 };
#pragma unroll
    for (uint32_t step = 0; step < 8; step++) {
        uint32_t a[4], b[2];
        load_tokens(b, words, step);
        decode_codes<type>(a, &w->slab[step / 4], step % 4);
        add_step<type, true>(s, a, b, &w->slab[step / 4], step % 4);
    }
    store_sums(terms, s, p->tokens, lane);
    terms += PACK_ROWS * p->tokens;
    if (pack_has_min(type)) {
        const uint32_t *of = lane_words(p->sums + pair * CUDA_ACT_SUMS, p->blocks * CUDA_ACT_SUMS, p->tokens, lane);
        int32_t sums[4];
        multiply_mins(sums, w->mins, load_again(of), load_again(of + 4));
        store_sums(terms, sums, p->tokens, lane);
        terms += PACK_ROWS * p->tokens;
    }
    if (pack_has_min(type) || lane < PACK_ROWS)
        terms[lane] = block_factor<type>(w->factors[0]);
}

/* NV1 4.1: the chain of one row and token through `count` blocks from `first` on. */
template <enum cuda_type type>
DEVICE float fold_blocks(const struct product *p, float y, const float *terms, uint32_t first, uint32_t count,
                         uint32_t row, uint32_t token)
{
    const uint32_t floats = term_floats<type>(p->tokens);
    const float *s = terms + token * PACK_ROWS + row, *d = terms + p->tokens * sums_per_block<type> * PACK_ROWS + row;
    const int8_t *sums = p->sums + (size_t)token * p->blocks * CUDA_ACT_SUMS;
    constexpr uint32_t per_block = pack_is_super(type) ? CUDA_ACT_SCALES : 1;
    const float *scales = p->d + (token * p->blocks * CUDA_ACT_SCALES + first * per_block);
#pragma unroll 4
    for (uint32_t b = first; b < first + count; b++, s += floats, d += floats) {
        float dx = load_again(scales + (b - first) * per_block);
        y = float_fma(float_mul(*d, dx), *s, y);
        if (!pack_has_min(type))
            continue;
        float total;
        if (pack_is_super(type)) {
            total = s[p->tokens * PACK_ROWS];
        } else {
            const int8_t *at = sums + b / 8 * CUDA_ACT_SUMS + b % 8 * 2;
            uint32_t low = load_again((const uint16_t *)at), high = load_again((const uint16_t *)(at + 16));
            total = float_from_int(sum_of_32(low, high));
        }
        y = float_fma(float_mul(d[PACK_ROWS], dx), total, y);
    }
    return y;
}

/* Asks for what the block reads after the first pair of each warp, so that memory is busy while this launch waits for
 * the one before it. With a few hundred blocks on the machine that is a third of L2. */
template <enum cuda_type type> DEVICE void prefetch_group(const uint8_t *group, uint32_t cols)
{
    const uint32_t from = WARPS * pack_pair_bytes(type), end = (uint32_t)pack_group_bytes(type, cols);
    if (threadIdx.x == 0 && from < end)
        prefetch(group + from, least(end - from, AHEAD_BYTES));
}

/* `chunk`: pairs whose terms are in shared memory at a time, a multiple of the warps that work unless it is all.
 * `single`: a token alone, known to the compiler, so that what only other tokens want is not there. */
template <enum cuda_type type, bool single> KERNEL(WARPS * WARP) few_tokens(struct product p, uint32_t chunk)
{
    if (single)
        p.tokens = 1;
    float *terms = (float *)block_shared();
    const struct product_rows w = find_rows(p.of);
    const uint32_t group_number = blockIdx.x - w.first;
    const uint8_t *group = w.packed + (size_t)group_number * pack_group_bytes(type, p.cols);
    constexpr uint32_t pair_blocks = blocks_per_pair(type);
    uint32_t lane = lane_id(), row = threadIdx.x % PACK_ROWS, token = threadIdx.x / PACK_ROWS;
    uint32_t slabs = pack_slabs(p.cols), pairs = (slabs + 1) / 2, blocks = p.cols / (256 / pair_blocks);
    uint32_t working = least(WARPS, chunk), pair = warp_id() < working ? warp_id() : pairs;
    const uint32_t pair_floats = pair_blocks * term_floats<type>(p.tokens);
    struct pair_words next;
    float y = 0.0f;
    grid_release();
    if (pair < pairs)
        next = load_pair<type>(group, pair, slabs, lane);
    prefetch_group<type>(group, p.cols);
    grid_wait();
    for (uint32_t first = 0; first < pairs; first += chunk) {
        uint32_t end = least(first + chunk, pairs);
        while (pair < end) {
            struct pair_words now = next;
            float *to = terms + (pair - first) * pair_floats;
            if (pair + working < pairs)
                next = load_pair<type>(group, pair + working, slabs, lane);
            if (pack_is_super(type))
                multiply_super<type>(&p, &now, pair, to, lane);
            else
                multiply_blocks<type>(&p, &now, pair, slabs, to, lane);
            pair += working;
        }
        block_sync();
        uint32_t from = first * pair_blocks, to = least(end * pair_blocks, blocks);
        if (token < p.tokens)
            y = fold_blocks<type>(&p, y, terms, from, to - from, row, token);
        block_sync();
    }
    if (token < p.tokens && group_number * PACK_ROWS + row < w.rows)
        w.y[(size_t)token * w.stride + group_number * PACK_ROWS + row] = y;
}

template <enum cuda_type type> static void launch(struct product *p, struct CUstream_st *stream)
{
    uint32_t pairs = (pack_slabs(p->cols) + 1) / 2;
    uint32_t pair_bytes = blocks_per_pair(type) * term_floats<type>(p->tokens) * 4;
    uint32_t chunk = TERMS_BYTES / pair_bytes;
    if (chunk >= pairs)
        chunk = pairs;
    else if (chunk > WARPS)
        chunk -= chunk % WARPS;
    uint32_t groups = number_blocks(p->of, PACK_ROWS);
    if (p->tokens == 1)
        LAUNCH_EARLY((few_tokens<type, true>), groups, 1, WARPS * WARP, chunk * pair_bytes, stream, *p, chunk);
    else
        LAUNCH_EARLY((few_tokens<type, false>), groups, 1, WARPS * WARP, chunk * pair_bytes, stream, *p, chunk);
}

void multiply_few_tokens(enum cuda_type type, struct product *p, struct CUstream_st *stream)
{
    FOR_QUANTISED_TYPE(type, launch, p, stream);
}
