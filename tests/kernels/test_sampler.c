/* test_sampler.c - NV1 10: the chosen token against a slow second implementation, and against probability. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/sampler.h"
#include "tests/kernels/random_input.h"

enum { VOCAB_MAX = 2000 };

static _Alignas(8) uint8_t scratch[VOCAB_MAX * 8];

static uint32_t pick(const float *logits, uint32_t vocab, const struct sampler_params *p, uint32_t position)
{
    uint32_t token = UINT32_MAX;
    assert_ok(sampler_params_check(p));
    assert_true(sampler_scratch_bytes(vocab) <= sizeof scratch);
    assert_ok(sampler_pick(logits, vocab, p, position, scratch, &token));
    assert_true(token < vocab);
    return token;
}

/* --- the stupidest possible version: sort everything, draw noise for everything ------------------------------- */

static const float *sort_logits;

static int by_order(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    if (sort_logits[i] != sort_logits[k])
        return sort_logits[i] > sort_logits[k] ? -1 : 1;
    return i < k ? -1 : i > k;
}

static void slow_philox(uint64_t seed, uint32_t token, uint32_t position, uint32_t c[4])
{
    uint32_t k[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    c[0] = token, c[1] = position, c[2] = c[3] = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
        uint32_t next[4] = { (uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a };
        memcpy(c, next, sizeof next);
        k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
    }
}

static float slow_noise(uint64_t seed, uint32_t token, uint32_t position)
{
    uint32_t c[4];
    slow_philox(seed, token, position, c);
    uint64_t r = ((uint64_t)c[1] << 32 | c[0]) | 1;
    float e = r >> 62 == 0 ? -exact_ln1p(-((float)r * 0x1p-64f)) : -exact_ln((float)(UINT64_MAX - r + 1) * 0x1p-64f);
    return -exact_ln(e);
}

static uint32_t slow_pick(const float *logits, uint32_t vocab, const struct sampler_params *p, uint32_t position)
{
    static uint32_t order[VOCAB_MAX];
    static uint64_t w[VOCAB_MAX];
    uint32_t kept = vocab;
    for (uint32_t i = 0; i < vocab; i++)
        order[i] = i;
    sort_logits = logits;
    qsort(order, vocab, sizeof *order, by_order);
    if (p->temperature_micro == 0)
        return order[0];
    float t = (float)p->temperature_micro / 1000000.0f;
    if (p->top_k > 0 && p->top_k < vocab)
        kept = p->top_k;
    if (p->top_p_micro < 1000000) {
        uint64_t total = 0, sum = 0;
        for (uint32_t i = 0; i < kept; i++) {
            float e = logits[order[i]] / t - logits[order[0]] / t;
            w[i] = e < -40.0f ? 0 : (uint64_t)nearbyint((double)exact_exp(e) * 0x1p40);
            total += w[i];
        }
        unsigned __int128 need = ((unsigned __int128)total * p->top_p_micro + 999999) / 1000000;
        uint32_t n = 0;
        while (n < kept && sum < need)
            sum += w[n++];
        kept = n;
    }
    uint32_t best = order[0];
    float best_score = -INFINITY;
    for (uint32_t i = 0; i < kept; i++) {
        float score = logits[order[i]] / t + slow_noise(p->seed, order[i], position);
        if (score > best_score || (score == best_score && order[i] < best))
            best = order[i], best_score = score;
    }
    return best;
}

static void philox_is_the_published_one(void **state)
{
    (void)state;
    uint32_t c[4];
    slow_philox(0, 0, 0, c);
    assert_int_equal(c[0], 0x6627e8d5);
    assert_int_equal(c[1], 0xe169c58d);
    assert_int_equal(c[2], 0xbc57ac4c);
    assert_int_equal(c[3], 0x9b00dbd8);
}

static void agrees_with_the_slow_version(void **state)
{
    (void)state;
    static float logits[VOCAB_MAX];
    struct rng r;
    rng_init(&r, 77);
    for (int round = 0; round < 600; round++) {
        uint32_t vocab = 1 + (uint32_t)rng_below(&r, round % 10 == 0 ? VOCAB_MAX : 60);
        float spread = (float[]){ 0.0f, 0.5f, 4.0f, 30.0f, 1e4f }[round % 5];
        for (uint32_t i = 0; i < vocab; i++) {
            logits[i] = input_value(&r, INPUT_ORDINARY) * spread;
            if (round % 3 == 0)
                logits[i] = floorf(logits[i]);             /* many ties */
        }
        struct sampler_params p = { .temperature_micro = round % 7 == 0 ? 0 : 10000 + (uint32_t)rng_below(&r, 3000000),
                                    .top_k = (uint32_t)rng_below(&r, 2) * (uint32_t)rng_below(&r, 80),
                                    .top_p_micro = round % 2 ? 1000000 : 1 + (uint32_t)rng_below(&r, 1000000),
                                    .seed = rng_next(&r) };
        uint32_t position = (uint32_t)rng_below(&r, 1u << 20);
        assert_int_equal(pick(logits, vocab, &p, position), slow_pick(logits, vocab, &p, position));
    }
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    const float logits[] = { -1.0f, 2.0f, -0.0f, 2.0f, 2.0f };
    const struct sampler_params p = { .top_p_micro = 1000000, .seed = 5 };
    assert_int_equal(pick(logits, 5, &p, 0), 1);
    const float zeros[] = { -0.0f, 0.0f };
    assert_int_equal(pick(zeros, 2, &p, 9), 0);
}

/* Chi-square with 7 degrees of freedom: 40 is passed by chance once in a million. The seed is fixed. */
static void frequencies_follow_the_softmax(void **state)
{
    (void)state;
    enum { DRAWS = 40000 };
    const float logits[] = { 0.0f, 1.0f, -1.0f, 2.0f, 0.5f, -3.0f, 1.5f, -0.5f };
    struct sampler_params p = { .temperature_micro = 1300000, .top_p_micro = 1000000, .seed = 99 };
    uint32_t count[8] = { 0 };
    double sum = 0, chi = 0;
    for (uint32_t i = 0; i < DRAWS; i++)
        count[pick(logits, 8, &p, i)]++;
    for (int i = 0; i < 8; i++)
        sum += exp((double)logits[i] / 1.3);
    for (int i = 0; i < 8; i++) {
        double expected = exp((double)logits[i] / 1.3) / sum * DRAWS;
        chi += (count[i] - expected) * (count[i] - expected) / expected;
    }
    assert_true(chi < 40);
}

static void filters_keep_what_they_should(void **state)
{
    (void)state;
    const float logits[] = { 1.0f, 3.0f, 2.0f, 3.0f, 0.0f };
    struct sampler_params p = { .temperature_micro = 100000000, .top_k = 2, .top_p_micro = 1000000 };
    for (p.seed = 0; p.seed < 200; p.seed++) {
        uint32_t token = pick(logits, 5, &p, 4);
        assert_true(token == 1 || token == 3);
    }
    p.top_k = 0;
    p.top_p_micro = 1;                                     /* the first alone is already enough */
    for (p.seed = 0; p.seed < 50; p.seed++)
        assert_int_equal(pick(logits, 5, &p, 4), 1);
}

static void seed_and_position_decide(void **state)
{
    (void)state;
    float logits[64] = { 0 };
    struct sampler_params p = { .temperature_micro = 1000000, .top_p_micro = 1000000, .seed = 1 };
    uint32_t differ_by_seed = 0, differ_by_position = 0;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t token = pick(logits, 64, &p, i);
        assert_int_equal(pick(logits, 64, &p, i), token);
        struct sampler_params other = p;
        other.seed = 1ull << 40;
        differ_by_seed += pick(logits, 64, &other, i) != token;
        differ_by_position += pick(logits, 64, &p, i + 1) != token;
    }
    assert_true(differ_by_seed > 80 && differ_by_position > 80);
}

static void bad_values_are_named(void **state)
{
    (void)state;
    float logits[] = { 1.0f, 2.0f, INFINITY };
    struct sampler_params p = { .temperature_micro = 1000000, .top_p_micro = 1000000 };
    uint32_t token;
    assert_err(sampler_pick(logits, 3, &p, 0, scratch, &token), ERR_NUMERIC);
    logits[2] = NAN;
    assert_err(sampler_pick(logits, 3, &p, 0, scratch, &token), ERR_NUMERIC);
    logits[2] = 3e38f;
    p.temperature_micro = 10000;                           /* the scaled logit overflows */
    assert_err(sampler_pick(logits, 3, &p, 0, scratch, &token), ERR_NUMERIC);
    const struct sampler_params wrong[] = { { .temperature_micro = 9999, .top_p_micro = 1 },
                                            { .temperature_micro = 100000001, .top_p_micro = 1 },
                                            { .top_p_micro = 0 },
                                            { .top_p_micro = 1000001 } };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_err(sampler_params_check(&wrong[i]), ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_is_the_published_one),
        cmocka_unit_test(agrees_with_the_slow_version),
        cmocka_unit_test(greedy_takes_the_lowest_of_equals),
        cmocka_unit_test(frequencies_follow_the_softmax),
        cmocka_unit_test(filters_keep_what_they_should),
        cmocka_unit_test(seed_and_position_decide),
        cmocka_unit_test(bad_values_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
