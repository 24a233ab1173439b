/* test_exact_math.c - how far the functions of NV1 2 and 6 are from the truth, and what they do at their edges. */
#include "tests/test.h"

#include <math.h>

#include "kernels/exact_math.h"
#include "tests/kernels/random_input.h"

/* Distance in units of the last place of the right result. */
static double ulps(float got, double right)
{
    int e;
    frexp(right, &e);
    double ulp = ldexp(1.0, e - 24 < -149 ? -149 : e - 24);
    return fabs((double)got - right) / ulp;
}

static void exponentials_are_within_an_ulp(void **state)
{
    (void)state;
    double worst2 = 0, worst = 0;
    for (int i = 0; i <= 200000; i++) {
        float x = (float)(-126.0 + 253.0 * i / 200000);
        worst2 = fmax(worst2, ulps(exact_exp2(x), exp2((double)x)));
        float y = (float)(-87.0 + 175.0 * i / 200000);
        worst = fmax(worst, ulps(exact_exp(y), exp((double)y)));
    }
    print_message("exp2 %.3f ulp, exp %.3f ulp\n", worst2, worst);
    assert_true(worst2 < 1.1 && worst < 1.1);
}

static void logarithms_are_within_three_ulps(void **state)
{
    (void)state;
    struct rng r;
    double worst = 0, worst1 = 0;
    rng_init(&r, 3);
    for (int i = 0; i < 200000; i++) {
        float x = float_from_bits(0x00800000u + (uint32_t)rng_below(&r, 0x7f000000u));
        if (i % 2)
            x = 0.5f + (float)rng_below(&r, 1u << 24) * 0x1p-24f * 1.5f;
        double right = log((double)x);
        if (right != 0)
            worst = fmax(worst, ulps(exact_ln(x), right));
        float f = -0.25f * (float)(rng_below(&r, 1u << 24) + 1) * 0x1p-24f;
        worst1 = fmax(worst1, ulps(exact_ln1p(f), log1p((double)f)));
    }
    print_message("ln %.3f ulp, ln1p %.3f ulp\n", worst, worst1);
    assert_true(worst < 3 && worst1 < 3);
}

static void edges(void **state)
{
    (void)state;
    assert_true(exact_exp2(0.0f) == 1.0f && exact_exp2(-0.0f) == 1.0f);
    assert_true(exact_exp2(-126.0f) == 0x1p-126f && exact_exp2(-126.00001f) == 0.0f);
    assert_true(exact_exp2(127.0f) == 0x1p127f && exact_exp2(3e38f) == 0x1p127f);
    assert_true(float_is_finite(exact_exp(3e38f)) && exact_exp(-3e38f) > 0.0f);
    assert_true(exact_silu(-89.0f) == 0.0f && exact_silu(50.0f) == 50.0f && exact_silu(0.0f) == 0.0f);
    assert_true(exact_pow2(-126.0f) == 0x1p-126f && exact_pow2(-127.0f) == 0.0f && exact_pow2(-3e38f) == 0.0f);
    assert_true(exact_ln(1.0f) == 0.0f);
    /* A weight never exceeds 1 (NV1 7.3): no negative argument rounds above it. */
    for (uint32_t i = 0; i < 100000; i++)
        assert_true(exact_exp2(float_from_bits(0x80000000u | i * 21000u)) <= 1.0f);
}

static void ceiling_is_that_of_the_library(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 8);
    for (int i = 0; i < 300000; i++) {
        float x = input_value(&r, INPUT_EXTREME);
        if (i % 2)
            x = (float)(int32_t)rng_next(&r) * 0x1p-7f;
        assert_true(exact_ceil(x) == ceilf(x));
    }
}

static void halves_are_exact(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint32_t exponent = h >> 10 & 31;
        float got = exact_half_to_float((uint16_t)h);
        if (exponent == 31) {
            assert_false(float_is_finite(got));
            continue;
        }
        double right = exponent ? ldexp(1024 + (h & 1023), (int)exponent - 25) : ldexp(h & 1023, -24);
        assert_true((double)got == (h & 0x8000 ? -right : right));
        assert_int_equal(float_bits(got) >> 31, h >> 15);
    }
}

static void rotations_are_right_up_to_the_longest_context(void **state)
{
    (void)state;
    static const double bases[] = { 1.0, 10000.0, 500000.0, 1e6, 1e20 };
    double worst = 0;
    for (size_t b = 0; b < ARRAY_COUNT(bases); b++)
        for (uint32_t i = 0; i < 64; i++) {
            double rate = exact_rope_rate(exact_ln64(bases[b]), i, 128, 1.0, 1.0);
            assert_true(fabs(rate / pow(bases[b], -2.0 * i / 128) - 1) < 1e-14);
            for (uint32_t position = 0; position < 1u << 20; position += 9973) {
                struct rotation r = exact_rotation(rate, position);
                /* against the same angle: its own rounding is part of the law */
                worst = fmax(worst, fabs((double)r.cos - cos(position * rate)));
                worst = fmax(worst, fabs((double)r.sin - sin(position * rate)));
            }
        }
    print_message("rotation: %.2e\n", worst);
    assert_true(worst < 6e-8);
    assert_true(exact_rotation(1.0, 0).cos == 1.0f && exact_rotation(1.0, 0).sin == 0.0f);
}

static void this_thread_is_fit(void **state)
{
    (void)state;
    assert_ok(numerics_check_fpu());
#if defined(__x86_64__)
    uint32_t saved = __builtin_ia32_stmxcsr();
    static const uint32_t wrong[] = { 0x9f80, 0x1fc0, 0x3f80, 0x5f80, 0x7f80 };   /* FTZ, DAZ, down, up, to zero */
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        __builtin_ia32_ldmxcsr(wrong[i]);
        enum err e = numerics_check_fpu();
        __builtin_ia32_ldmxcsr(saved);
        assert_err(e, ERR_DEVICE);
    }
#elif defined(__aarch64__)
    uint64_t saved;
    static const uint64_t wrong[] = { 1 << 24, 1 << 22, 2 << 22, 3 << 22 };       /* FZ, up, down, to zero */
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        __asm__ volatile("msr fpcr, %0" : : "r"(saved | wrong[i]));
        enum err e = numerics_check_fpu();
        __asm__ volatile("msr fpcr, %0" : : "r"(saved));
        assert_err(e, ERR_DEVICE);
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_are_within_an_ulp),
        cmocka_unit_test(logarithms_are_within_three_ulps),
        cmocka_unit_test(edges),
        cmocka_unit_test(ceiling_is_that_of_the_library),
        cmocka_unit_test(halves_are_exact),
        cmocka_unit_test(rotations_are_right_up_to_the_longest_context),
        cmocka_unit_test(this_thread_is_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
