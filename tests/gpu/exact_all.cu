/* exact_all.cu - every word of exact_parts.h and prim.h that computes a float, as a table of values. */
#include "tests/gpu/exact_all.h"

#include "kernels/cuda/exact_parts.h"

enum { THREADS = 256 };

DEVICE float value_of(enum exact_function function, uint32_t counter)
{
    float x = float_from_bits(counter);
    switch (function) {
    case EXACT_EXP2: return exact_exp2(x);
    case EXACT_EXP: return exact_exp(x);
    case EXACT_POW2: return exact_pow2(-float_from_uint(counter));
    case EXACT_LN1P: return exact_ln1p(x);
    case EXACT_LN: return exact_ln(x);
    case EXACT_SILU: return exact_silu(x);
    case EXACT_CEIL: return exact_ceil(x);
    case EXACT_ROUND: return float_from_bits((uint32_t)int_from_float(x));
    case EXACT_HALF: return float_from_half((uint16_t)counter);
    case EXACT_SQRT: return float_sqrt(x);
    case EXACT_RECIPROCAL: return float_div(1.0f, x);
    case EXACT_SHARE: return float_div(x, 127.0f);
    case EXACT_PRODUCT: return float_mul(x, 0.7f);
    case EXACT_SUM: return float_add(x, 1.0f);
    case EXACT_FUSED: return float_fma(x, x, 0x1p-126f);
    case EXACT_FUNCTIONS: break;
    }
    return 0.0f;
}

KERNEL(THREADS) fill(enum exact_function function, uint32_t first, uint32_t step, uint32_t n, float *y)
{
    uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        y[i] = value_of(function, first + i * step);
}

extern "C" void exact_all(enum exact_function function, uint32_t first, uint32_t step, uint32_t n, float *y)
{
    LAUNCH(fill, (n + THREADS - 1) / THREADS, 1, THREADS, 0, NULL, function, first, step, n, y);
}
