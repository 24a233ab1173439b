/* sample.cu - from logits to a token, on the device and in no particular order (NV1 10).
 *
 * Tokens are compared by keys that no two share: for the order of 10.1 the logit as an ordered integer, then the
 * lower id. Both filters ask the same question - which token is the last before which less than `need` has been
 * summed? - once of ones (top-k), once of the integers W (top-p); a radix search over the keys answers it, with sums
 * of whole numbers that may be taken in any order.
 *
 *   scan      many blocks a row: finite? the first of all tokens
 *   filter    one block a row: the least key that is kept
 *   noise     many blocks a row: the greatest z + G among the kept
 *   finish    the answers */
#include "kernels/cuda/exact_parts.h"
#include "kernels/cuda/steps.h"

enum { THREADS = 256, PARTS = 64, ID_BITS = 20, DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS, KEY_BITS = 32 + ID_BITS };

/* Greater floats have greater integers; +0 and -0 are equal. */
DEVICE uint32_t ordered(float x)
{
    uint32_t u = float_bits(float_add(x, 0.0f));
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

DEVICE uint64_t key_of(float x, uint32_t id) { return (uint64_t)ordered(x) << ID_BITS | ((1u << ID_BITS) - 1 - id); }
DEVICE uint32_t id_of(uint64_t key) { return (1u << ID_BITS) - 1 - (uint32_t)(key & ((1u << ID_BITS) - 1)); }

/* NV1 10.3 */
DEVICE float temperature_of(const struct cuda_pick &p)
{
    return float_div(float_from_uint(p.temperature_micro), 1000000.0f);
}

DEVICE uint64_t warp_max_key(uint64_t key)
{
    for (uint32_t h = 16; h >= 1; h /= 2) {
        uint64_t other = (uint64_t)warp_xor((uint32_t)(key >> 32), h) << 32 | warp_xor((uint32_t)key, h);
        key = other > key ? other : key;
    }
    return key;
}

KERNEL(THREADS) sample_scan(const float *logits, uint32_t vocab, struct cuda_pick *picks)
{
    struct cuda_pick *p = &picks[blockIdx.y];
    const float *row = logits + (size_t)p->row * vocab;
    bool greedy = p->temperature_micro == 0, finite = true;
    float temperature = temperature_of(*p);
    uint64_t best = 0;
    for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < vocab; i += gridDim.x * THREADS) {
        float x = row[i];
        finite = finite && is_finite(x) && (greedy || is_finite(float_div(x, temperature)));
        uint64_t key = key_of(x, i);
        best = key > best ? key : best;
    }
    best = warp_max_key(best);
    if (warp_any(!finite) && lane_id() == 0)
        atomic_or(&p->bad, 1);
    if (lane_id() == 0)
        atomic_max(&p->best, best);
}

/* --- NV1 10.4, 10.5 ----------------------------------------------------------------------------------------------- */

struct filter_shared {
    uint64_t mass[DIGITS];
    uint64_t prefix, total;
};

struct filter {
    const float *row;
    uint32_t vocab;
    float temperature, zmax;
    uint64_t kept;                           /* keys below are out already */
    bool by_weight;                          /* mass is W, else 1 */
};

DEVICE uint64_t mass_of(const struct filter &f, float logit)
{
    if (!f.by_weight)
        return 1;
    float e = float_sub(float_div(logit, f.temperature), f.zmax);
    return e < -40.0f ? 0 : (uint64_t)float_rne(float_mul(exact_exp(e), 0x1p40f));
}

/* ceil(total * micro / 1000000) without leaving 64 bits: total < 2^61. */
DEVICE uint64_t share_of(uint64_t total, uint32_t micro)
{
    uint64_t whole = total / 1000000, rest = total % 1000000;
    return whole * micro + (rest * micro + 999999) / 1000000;
}

/* Adds up the masses of the keys that begin with `prefix`, by their next digit. */
DEVICE void count_digits(const struct filter &f, uint64_t prefix, uint32_t shift, struct filter_shared *shared)
{
    for (uint32_t i = threadIdx.x; i < DIGITS; i += blockDim.x)
        shared->mass[i] = 0;
    block_sync();
    for (uint32_t i = threadIdx.x; i < f.vocab; i += blockDim.x) {
        uint64_t key = key_of(f.row[i], i);
        if (key < f.kept || key >> shift >> DIGIT_BITS != prefix)
            continue;
        uint64_t mass = mass_of(f, f.row[i]);
        if (mass > 0)
            atomic_add(&shared->mass[key >> shift & (DIGITS - 1)], mass);
    }
    block_sync();
}

/* The digit in which the sum from above reaches `need`; `above` grows by what lies over it. A warp's lanes sum 64
 * each. */
DEVICE uint32_t find_digit(const struct filter_shared *shared, uint64_t need, uint64_t *above)
{
    enum { EACH = DIGITS / WARP };
    uint32_t top = DIGITS - 1 - lane_id() * EACH, digit = 0;
    uint64_t mine = 0, before = *above;
    for (uint32_t i = 0; i < EACH; i++)
        mine += shared->mass[top - i];
    for (uint32_t lane = 0; lane < WARP; lane++) {
        uint64_t its = (uint64_t)warp_get((uint32_t)(mine >> 32), lane) << 32 | warp_get((uint32_t)mine, lane);
        before += lane < lane_id() ? its : 0;
    }
    bool here = before < need && before + mine >= need;
    for (uint32_t i = 0; here && i < EACH; i++) {
        digit = top - i;
        if (before + shared->mass[digit] >= need)
            break;
        before += shared->mass[digit];
    }
    uint32_t lanes = warp_ballot(here), lane = 0;
    while (lane < WARP - 1 && !(lanes >> lane & 1))
        lane++;
    *above = (uint64_t)warp_get((uint32_t)(before >> 32), lane) << 32 | warp_get((uint32_t)before, lane);
    return warp_get(digit, lane);
}

/* The key of the last token before which less than `need` lies. 0 < need <= the sum of all masses. */
DEVICE uint64_t find_last(const struct filter &f, uint64_t need, struct filter_shared *shared)
{
    uint64_t prefix = 0, above = 0;
    for (uint32_t left = (KEY_BITS + DIGIT_BITS - 1) / DIGIT_BITS; left-- > 0;) {
        count_digits(f, prefix, left * DIGIT_BITS, shared);
        if (warp_id() == 0) {
            uint32_t digit = find_digit(shared, need, &above);
            if (lane_id() == 0)
                shared->prefix = prefix << DIGIT_BITS | digit;
        }
        block_sync();
        prefix = shared->prefix;
    }
    return prefix;
}

DEVICE uint64_t total_mass(const struct filter &f, struct filter_shared *shared)
{
    uint64_t mine = 0;
    if (threadIdx.x == 0)
        shared->total = 0;
    block_sync();
    for (uint32_t i = threadIdx.x; i < f.vocab; i += blockDim.x)
        if (key_of(f.row[i], i) >= f.kept)
            mine += mass_of(f, f.row[i]);
    if (mine > 0)
        atomic_add(&shared->total, mine);
    block_sync();
    return shared->total;
}

enum { FILTER_THREADS = 1024 };

KERNEL(FILTER_THREADS) sample_filter(const float *logits, uint32_t vocab, struct cuda_pick *picks)
{
    struct filter_shared *shared = (struct filter_shared *)block_shared();
    struct cuda_pick *p = &picks[blockIdx.x];
    if (p->bad || p->temperature_micro == 0)
        return;
    struct filter f = {};
    f.row = logits + (size_t)p->row * vocab;
    f.vocab = vocab;
    f.temperature = temperature_of(*p);
    f.zmax = float_div(f.row[id_of(p->best)], f.temperature);
    if (p->top_k > 0 && p->top_k < vocab)
        f.kept = find_last(f, p->top_k, shared);
    f.by_weight = true;
    if (p->top_p_micro < 1000000) {
        uint64_t need = share_of(total_mass(f, shared), p->top_p_micro);
        f.kept = find_last(f, need, shared);
    }
    if (threadIdx.x == 0)
        p->threshold = f.kept;
}

/* --- NV1 10.6, 10.7 ----------------------------------------------------------------------------------------------- */

/* The first two words of Philox4x32-10. */
DEVICE uint64_t philox(uint64_t seed, uint32_t c0, uint32_t c1)
{
    uint32_t c2 = 0, c3 = 0, k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        uint32_t low0 = c0 * 0xD2511F53u, high0 = mul_high(c0, 0xD2511F53u);
        uint32_t low1 = c2 * 0xCD9E8D57u, high1 = mul_high(c2, 0xCD9E8D57u);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (uint64_t)c1 << 32 | c0;
}

DEVICE float exponential(uint64_t r)
{
    if (r < 1ull << 62)
        return -exact_ln1p(-float_mul(float_from_u64(r), 0x1p-64f));
    return -exact_ln(float_mul(float_from_u64(0 - r), 0x1p-64f));       /* 2^64 - r */
}

DEVICE float gumbel(uint64_t seed, uint32_t token, uint32_t position)
{
    return -exact_ln(exponential(philox(seed, token, position) | 1));
}

KERNEL(THREADS) sample_noise(const float *logits, uint32_t vocab, struct cuda_pick *picks)
{
    struct cuda_pick *p = &picks[blockIdx.y];
    if (p->bad || p->temperature_micro == 0)
        return;
    const float *row = logits + (size_t)p->row * vocab;
    float temperature = temperature_of(*p);
    uint64_t kept = p->threshold, seed = p->seed, best = 0;
    for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < vocab; i += gridDim.x * THREADS) {
        if (key_of(row[i], i) < kept)
            continue;
        uint64_t key = key_of(float_add(float_div(row[i], temperature), gumbel(seed, i, p->position)), i);
        best = key > best ? key : best;
    }
    best = warp_max_key(best);
    if (lane_id() == 0)
        atomic_max(&p->winner, best);
}

KERNEL(WARP) sample_finish(struct cuda_pick *picks, uint32_t n)
{
    uint32_t i = blockIdx.x * WARP + threadIdx.x;
    if (i < n)
        picks[i].token = id_of(picks[i].temperature_micro == 0 ? picks[i].best : picks[i].winner);
}

extern "C" void cuda_sample(const float *logits, uint32_t vocab, struct cuda_pick *picks, uint32_t n,
                            struct CUstream_st *stream)
{
    const uint32_t all = (vocab + THREADS - 1) / THREADS, most = PARTS, parts = all < most ? all : most;
    if (n == 0)
        return;
    LAUNCH(sample_scan, parts, n, THREADS, 0, stream, logits, vocab, picks);
    LAUNCH(sample_filter, n, 1, FILTER_THREADS, sizeof(struct filter_shared), stream, logits, vocab, picks);
    LAUNCH(sample_noise, parts, n, THREADS, 0, stream, logits, vocab, picks);
    LAUNCH(sample_finish, (n + WARP - 1) / WARP, 1, WARP, 0, stream, picks, n);
}
