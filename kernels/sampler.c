/* sampler.c - NV1 10: from logits to one token. */
#include "kernels/sampler.h"

#include "kernels/exact_math.h"

enum err sampler_params_check(const struct sampler_params *p)
{
    bool greedy = p->temperature_micro == 0;
    bool warm = p->temperature_micro >= SAMPLER_TEMPERATURE_MICRO_MIN &&
                p->temperature_micro <= SAMPLER_TEMPERATURE_MICRO_MAX;
    bool top_p = p->top_p_micro >= 1 && p->top_p_micro <= SAMPLER_TOP_P_MICRO_OFF;
    return (greedy || warm) && top_p ? OK : ERR_ARG;
}

/* Scratch: the scaled logits, and token ids ordered as a heap. */
struct candidates {
    const float *logits;
    float *z;                 /* (vocab) */
    uint32_t *ids;            /* (vocab): a heap in [0, heap), tokens taken from it in [heap, vocab) */
    uint32_t heap, vocab;
};

size_t sampler_scratch_bytes(uint32_t vocab) { return (size_t)vocab * (sizeof(float) + sizeof(uint32_t)); }

/* NV1 10.1 */
static bool precedes(const float *logits, uint32_t i, uint32_t j)
{
    return logits[i] > logits[j] || (logits[i] == logits[j] && i < j);
}

static bool all_finite(const float *x, uint32_t n)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < n; i++)
        bad |= !float_is_finite(x[i]);
    return bad == 0;
}

/* NV1 10.2 */
static uint32_t greedy_pick(const float *logits, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* --- the order of 10.1, by a heap: only as much is sorted as is kept ---------------------------------------- */

static void sift_down(struct candidates *c, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= c->heap)
            return;
        if (child + 1 < c->heap && precedes(c->logits, c->ids[child + 1], c->ids[child]))
            child++;
        if (!precedes(c->logits, c->ids[child], c->ids[at]))
            return;
        uint32_t id = c->ids[at];
        c->ids[at] = c->ids[child];
        c->ids[child] = id;
        at = child;
    }
}

static void heap_build(struct candidates *c)
{
    for (uint32_t at = c->heap / 2; at-- > 0;)
        sift_down(c, at);
}

/* Moves the first of the remaining tokens out of the heap, in front of those taken before; returns it. */
static uint32_t heap_take(struct candidates *c)
{
    uint32_t id = c->ids[0];
    c->heap--;
    c->ids[0] = c->ids[c->heap];
    c->ids[c->heap] = id;
    sift_down(c, 0);
    return id;
}

/* --- NV1 10.5 ----------------------------------------------------------------------------------------------- */

static uint64_t weight_of(float z, float zmax)
{
    float e = z - zmax;
    if (e < -40.0f)
        return 0;
    double w = (double)exact_exp(e) * 0x1p40;
    return (uint64_t)((w + 0x1p52) - 0x1p52);          /* rounds to the nearest integer, ties to even */
}

/* ceil(total * micro / 1000000) without leaving 64 bits: total < 2^61. */
static uint64_t share_of(uint64_t total, uint32_t micro)
{
    uint64_t whole = total / 1000000, rest = total % 1000000;
    return whole * micro + (rest * micro + 999999) / 1000000;
}

/* Takes tokens from the heap while the sum of those taken is below the share; `count` are at most taken and `total` is
 * the weight of all that could be. */
static void take_nucleus(struct candidates *c, uint32_t count, uint64_t total, float zmax, uint32_t top_p_micro)
{
    uint64_t need = share_of(total, top_p_micro), sum = 0;
    for (uint32_t taken = 0; taken < count && sum < need; taken++)
        sum += weight_of(c->z[heap_take(c)], zmax);
}

/* NV1 10.4 and 10.5. Afterwards the kept tokens are ids[heap .. vocab). */
static void filter(struct candidates *c, const struct sampler_params *p)
{
    bool top_k = p->top_k > 0 && p->top_k < c->vocab;
    bool top_p = p->top_p_micro < SAMPLER_TOP_P_MICRO_OFF;
    if (!top_k && !top_p) {
        c->heap = 0;
        return;
    }
    heap_build(c);
    float zmax = c->z[c->ids[0]];
    if (!top_k) {
        uint64_t total = 0;
        for (uint32_t i = 0; i < c->vocab; i++)
            total += weight_of(c->z[i], zmax);
        take_nucleus(c, c->vocab, total, zmax, p->top_p_micro);
        return;
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < p->top_k; i++)
        total += weight_of(c->z[heap_take(c)], zmax);
    if (!top_p)
        return;
    /* The k kept tokens lie in reverse order at the end; keep those before which less than the share has been summed. */
    uint64_t need = share_of(total, p->top_p_micro), sum = 0;
    uint32_t at = c->vocab;
    while (at > c->heap && sum < need)
        sum += weight_of(c->z[c->ids[--at]], zmax);
    c->heap = at;
}

/* --- NV1 10.6 ----------------------------------------------------------------------------------------------- */

/* The first two words of Philox4x32-10. */
static uint64_t philox(uint64_t seed, uint32_t c0, uint32_t c1)
{
    uint32_t c[4] = { c0, c1, 0, 0 };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t m0 = (uint64_t)c[0] * 0xD2511F53u, m1 = (uint64_t)c[2] * 0xCD9E8D57u;
        uint32_t n0 = (uint32_t)(m1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(m0 >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)m1;
        c[2] = n2;
        c[3] = (uint32_t)m0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (uint64_t)c[1] << 32 | c[0];
}

/* An exponential variate from 64 uniform bits; small ones keep their full precision, which rare tokens need. */
static float exponential(uint64_t r)
{
    if (r < 1ull << 62)
        return -exact_ln1p(-((float)r * 0x1p-64f));
    return -exact_ln((float)(0 - r) * 0x1p-64f);       /* 2^64 - r */
}

static uint64_t uniform(uint64_t seed, uint32_t token, uint32_t position) { return philox(seed, token, position) | 1; }

static float gumbel(uint64_t r) { return -exact_ln(exponential(r)); }

/* At least gumbel(r), without a logarithm: -ln(1 - x) >= x, so the noise is at most -ln(r / 2^64), and that at most ln 2 for
 * every leading zero bit of r and the one after them. The rest is for rounding. */
static float gumbel_at_most(uint64_t r) { return (float)(__builtin_clzll(r) + 1) * 0x1.62e5p-1f + 0x1p-10f; }

/* NV1 10.7. No noise exceeds 44.37 (R = 1), so a token that could not win even with 44.5 needs none drawn, and one that
 * could not with the most that its draw can mean needs no logarithms: adding is monotonic under rounding. */
static uint32_t noisy_pick(const struct candidates *c, uint64_t seed, uint32_t position)
{
    uint32_t best = c->ids[c->heap];
    float best_score = c->z[best] + gumbel(uniform(seed, best, position));
    for (uint32_t at = c->heap + 1; at < c->vocab; at++) {
        uint32_t id = c->ids[at];
        if (c->z[id] + 44.5f < best_score)
            continue;
        uint64_t r = uniform(seed, id, position);
        if (c->z[id] + gumbel_at_most(r) < best_score)
            continue;
        float score = c->z[id] + gumbel(r);
        if (score > best_score || (score == best_score && id < best)) {
            best = id;
            best_score = score;
        }
    }
    return best;
}

enum err sampler_pick(const float *logits, uint32_t vocab, const struct sampler_params *p, uint32_t position,
                      void *scratch, uint32_t *token)
{
    ENSURE(vocab > 0);
    if (!all_finite(logits, vocab))
        return ERR_NUMERIC;
    if (p->temperature_micro == 0) {
        *token = greedy_pick(logits, vocab);
        return OK;
    }
    struct candidates c = { .logits = logits, .heap = vocab, .vocab = vocab };
    c.z = scratch;
    c.ids = (uint32_t *)(c.z + vocab);
    float t = (float)p->temperature_micro / 1000000.0f;
    for (uint32_t i = 0; i < vocab; i++) {
        c.z[i] = logits[i] / t;
        c.ids[i] = i;
    }
    if (!all_finite(c.z, vocab))
        return ERR_NUMERIC;
    filter(&c, p);
    *token = noisy_pick(&c, p->seed, position);
    return OK;
}
