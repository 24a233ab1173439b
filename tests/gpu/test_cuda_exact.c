/* test_cuda_exact.c - the elementary functions on a CUDA device, to the last bit those of the law: on silicon for every
 * fp32 there is, on the emulated device for a sample. */
#include "tests/test.h"

#include <math.h>
#include <unistd.h>

#include "kernels/exact_math.h"
#include "kernels/pool_posix.h"
#include "tests/gpu/emu.h"
#include "tests/gpu/exact_all.h"

#ifdef TM_ON_SILICON
enum { STEP = 1, ROOM = 1 << 26 };
#else
enum { STEP = 65521, ROOM = 1 << 16 };      /* a prime: all exponents, and fractions without a pattern */
#endif
enum { PART = 1 << 16 };

/* Counters of one function: every STEP-th from the first to the last, and the last. */
struct range {
    const char *name;
    enum exact_function function;
    uint32_t first, last;
};

#define ZERO 0u
#define NORMAL 0x00800000u
#define MOST 0x7f7fffffu
#define MINUS 0x80000000u

static const struct range RANGES[] = {
    { "exp2", EXACT_EXP2, ZERO, MOST },
    { "exp2 of negatives", EXACT_EXP2, MINUS, MINUS | MOST },
    { "exp", EXACT_EXP, ZERO, MOST },
    { "exp of negatives", EXACT_EXP, MINUS, MINUS | MOST },
    { "pow2", EXACT_POW2, 0, 1 << 24 },
    { "ln1p", EXACT_LN1P, ZERO, 0x3ed47ae1 },                                   /* 0.415 */
    { "ln1p of negatives", EXACT_LN1P, MINUS, MINUS | 0x3e960418 },             /* -0.293 */
    { "ln", EXACT_LN, NORMAL, MOST },
    { "silu", EXACT_SILU, ZERO, MOST },
    { "silu of negatives", EXACT_SILU, MINUS, MINUS | MOST },
    { "ceil", EXACT_CEIL, ZERO, MOST },
    { "ceil of negatives", EXACT_CEIL, MINUS, MINUS | MOST },
    { "rounding", EXACT_ROUND, ZERO, 0x4effffff },                              /* below 2^31 */
    { "rounding of negatives", EXACT_ROUND, MINUS, MINUS | 0x4effffff },
    { "halves", EXACT_HALF, 0, 0x7bff },
    { "negative halves", EXACT_HALF, 0x8000, 0xfbff },
    { "sqrt", EXACT_SQRT, ZERO, MOST },
    { "1 / x", EXACT_RECIPROCAL, 1, MOST },
    { "1 / -x", EXACT_RECIPROCAL, MINUS | 1, MINUS | MOST },
    { "x / 127", EXACT_SHARE, ZERO, MOST },
    { "0.7 x", EXACT_PRODUCT, ZERO, MOST },
    { "x + 1", EXACT_SUM, MINUS, MINUS | MOST },
    { "fma", EXACT_FUSED, ZERO, MOST },
};

static float law(enum exact_function function, uint32_t counter)
{
    float x = float_from_bits(counter);
    switch (function) {
    case EXACT_EXP2: return exact_exp2(x);
    case EXACT_EXP: return exact_exp(x);
    case EXACT_POW2: return exact_pow2(-(float)counter);
    case EXACT_LN1P: return exact_ln1p(x);
    case EXACT_LN: return exact_ln(x);
    case EXACT_SILU: return exact_silu(x);
    case EXACT_CEIL: return exact_ceil(x);
    case EXACT_ROUND: return float_from_bits((uint32_t)(int32_t)nearbyint((double)x));
    case EXACT_HALF: return exact_half_to_float((uint16_t)counter);
    case EXACT_SQRT: return sqrtf(x);
    case EXACT_RECIPROCAL: return 1.0f / x;
    case EXACT_SHARE: return x / 127.0f;
    case EXACT_PRODUCT: return x * 0.7f;
    case EXACT_SUM: return x + 1.0f;
    case EXACT_FUSED: return fmaf(x, x, 0x1p-126f);
    case EXACT_FUNCTIONS: break;
    }
    return 0.0f;
}

/* What the device has said, and where each part of it first differs. */
struct answers {
    enum exact_function function;
    uint32_t first, step, n;
    const float *y;
    uint32_t differs[ROOM / PART + 1];
};

static void compare_part(void *ctx, uint32_t part)
{
    struct answers *a = ctx;
    uint32_t i = part * PART, end = a->n - i < PART ? a->n : i + PART;
    while (i < end && float_bits(a->y[i]) == float_bits(law(a->function, a->first + i * a->step)))
        i++;
    a->differs[part] = i < end ? i : UINT32_MAX;
}

static void compare(struct pool *pool, const struct range *r, uint32_t first, uint32_t n, float *y)
{
    static struct answers a;
    const char *fault;
    uint32_t parts = (n + PART - 1) / PART;
    a = (struct answers){ .function = r->function, .first = first, .step = STEP, .n = n, .y = y };
    exact_all(r->function, first, STEP, n, y);
    if (emu_take_faults(&fault) != 0)
        fail_msg("%s: %s", r->name, fault);
    pool_run(pool, parts, compare_part, &a);
    for (uint32_t i = 0; i < parts; i++) {
        uint32_t at = a.differs[i], counter = first + at * STEP;
        if (at != UINT32_MAX)
            fail_msg("%s: %08x gives %08x, the law says %08x", r->name, counter, float_bits(y[at]),
                     float_bits(law(r->function, counter)));
    }
}

static void every_value_is_that_of_the_law(void **state)
{
    (void)state;
    struct pool *pool;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    float *y = emu_alloc("y", (size_t)ROOM * sizeof *y);
    assert_ok(pool_open(processors > 64 ? 64 : (uint32_t)processors, &pool));
    for (size_t i = 0; i < ARRAY_COUNT(RANGES); i++) {
        const struct range *r = &RANGES[i];
        uint64_t left = ((uint64_t)r->last - r->first) / STEP + 1, first = r->first;
        for (uint32_t n; left > 0; left -= n, first += (uint64_t)n * STEP) {
            n = left < ROOM ? (uint32_t)left : ROOM;
            compare(pool, r, (uint32_t)first, n, y);
        }
        compare(pool, r, r->last, 1, y);
    }
    pool_close(pool);
    emu_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_value_is_that_of_the_law) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
