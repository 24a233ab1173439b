/* nv1_cuda_check.cu - can a GPU meet the law of NV1? Proof on silicon before the CUDA backend is written.
 *
 * Every function and operation below is computed on the GPU and by the scalar reference, and compared byte for byte:
 *   EXP2, EXP, SILU over all finite fp32; LN over all positive normal fp32; every fp16
 *   activation quantisation, RMSNorm, float vector sums, Q8_0 rows: random, wide, subnormal and extreme inputs
 * and a matrix-vector product that obeys the law is timed against plain reading of the same memory.
 *
 * Compile without fast-math: -ftz=false -fmad=false -prec-div=true -prec-sqrt=true (tests/gpu.sh does).
 * Exit status: 0 all equal, 1 a difference, 2 no usable GPU.
 */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "tests/gpu/nv1_reference.h"

static int failures;

static void cuda_must(cudaError_t e, const char *what, int line)
{
    if (e == cudaSuccess)
        return;
    fprintf(stderr, "line %d: %s: %s\n", line, what, cudaGetErrorString(e));
    exit(2);
}
#define CUDA(call) cuda_must((call), #call, __LINE__)

/* --- NV1 2 on the device: intrinsics that name their rounding, so that no flag can change them ------------------- */

__device__ static float horner7(float x, const float (&c)[8])
{
    float p = c[7];
#pragma unroll
    for (int k = 6; k >= 0; k--)
        p = __fmaf_rn(p, x, c[k]);
    return p;
}

__device__ static float power_of_two(int n) { return __int_as_float((n + 127) << 23); }

__device__ static float dev_exp2(float x)
{
    const float c[8] = { 0x1p+0f,        0x1.62e43p-1f,   0x1.ebfbep-3f,   0x1.c6b08ep-5f,
                         0x1.3b2ab6p-7f, 0x1.5d87fep-10f, 0x1.430912p-13f, 0x1.ffcbfcp-17f };
    if (x < -126.0f)
        return 0.0f;
    x = x > 127.0f ? 127.0f : x;
    float n = rintf(x);
    return __fmul_rn(horner7(__fsub_rn(x, n), c), power_of_two((int)n));
}

__device__ static float dev_exp(float x)
{
    const float c[8] = { 0x1p+0f,        0x1p+0f,        0x1p-1f,         0x1.555556p-3f,
                         0x1.555556p-5f, 0x1.111112p-7f, 0x1.6c16c2p-10f, 0x1.a01a02p-13f };
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = rintf(__fmul_rn(x, 0x1.715476p+0f));
    float r = __fmaf_rn(n, -0x1.63p-1f, x);
    r = __fmaf_rn(n, 0x1.bd0106p-13f, r);
    return __fmul_rn(horner7(r, c), power_of_two((int)n));
}

__device__ static float dev_silu(float x)
{
    return x < -88.0f ? 0.0f : __fdiv_rn(x, __fadd_rn(1.0f, dev_exp(-x)));
}

__device__ static float dev_ln1p(float f)
{
    float s = __fdiv_rn(f, __fadd_rn(2.0f, f));
    float z = __fmul_rn(s, s);
    float p = 0x1.c71c72p-4f;
    p = __fmaf_rn(p, z, 0x1.24924ap-3f);
    p = __fmaf_rn(p, z, 0x1.99999ap-3f);
    p = __fmaf_rn(p, z, 0x1.555556p-2f);
    p = __fmul_rn(p, z);
    float t = __fadd_rn(s, s);
    return __fmaf_rn(t, p, t);
}

__device__ static float dev_ln(float x)
{
    if (!(x >= 0x1p-126f))
        return 0.0f;
    int u = __float_as_int(x), e = (u >> 23) - 127;
    float m = __int_as_float((u & 0x007fffff) | 0x3f800000);
    if (m > 0x1.6a09e6p+0f) {
        m = __fmul_rn(m, 0.5f);
        e++;
    }
    return __fmaf_rn(__int2float_rn(e), 0x1.62e43p-1f, dev_ln1p(__fsub_rn(m, 1.0f)));
}

/* By hand from the bits: exact for subnormals under any flag. */
__device__ static float dev_half(unsigned short h)
{
    unsigned sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
    if (exponent == 31)
        return __uint_as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent != 0)
        return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = __fmul_rn(__uint2float_rn(fraction), 0x1p-24f);
    return sign ? -magnitude : magnitude;
}

/* --- every input of a function ------------------------------------------------------------------------------------- */

enum function { EXP2, EXP, SILU, LN };
static const char *const FUNCTION_NAMES[] = { "exp2", "exp", "silu", "ln" };

__global__ static void all_inputs(enum function f, uint32_t first, float *y)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    float x = __uint_as_float(first + i);
    if (((first + i) & 0x7f800000u) == 0x7f800000u)
        x = 0.0f;                                          /* NaN and infinity never reach a function (NV1 11) */
    y[i] = f == EXP2 ? dev_exp2(x) : f == EXP ? dev_exp(x) : f == SILU ? dev_silu(x) : dev_ln(x);
}

/* Runs work(begin, end) over [0, n) on all cores. */
static void parallel(size_t n, const std::function<void(size_t, size_t)> &work)
{
    size_t threads = std::thread::hardware_concurrency();
    threads = threads ? threads : 1;
    std::vector<std::thread> all;
    for (size_t t = 0; t < threads; t++)
        all.emplace_back(work, n * t / threads, n * (t + 1) / threads);
    for (std::thread &t : all)
        t.join();
}

static void reference(enum function f, const float *x, size_t n, float *y)
{
    switch (f) {
    case EXP2:
        nv1_exp2(x, n, y);
        return;
    case EXP:
        nv1_exp(x, n, y);
        return;
    case SILU:
        nv1_silu(x, n, y);
        return;
    case LN:
        nv1_ln(x, n, y);
        return;
    }
}

/* Differences in [begin, end) of a batch that starts at bit pattern `first`. */
static size_t compare_part(enum function f, uint32_t first, const float *got, size_t begin, size_t end)
{
    enum { STEP = 4096 };
    float x[STEP], y[STEP];
    size_t wrong = 0;
    for (size_t at = begin; at < end; at += STEP) {
        size_t n = end - at < STEP ? end - at : STEP;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = first + (uint32_t)(at + i);
            bits = (bits & 0x7f800000u) == 0x7f800000u ? 0 : bits;
            memcpy(&x[i], &bits, 4);
        }
        reference(f, x, n, y);
        for (size_t i = 0; i < n; i++)
            wrong += memcmp(&got[at + i], &y[i], 4) != 0;
    }
    return wrong;
}

static void check_function(enum function f)
{
    const size_t batch = (size_t)1 << 26;
    float *device, *host;
    CUDA(cudaMalloc(&device, batch * 4));
    CUDA(cudaMallocHost(&host, batch * 4));
    std::atomic<size_t> wrong(0);
    for (uint64_t first = 0; first < 1ull << 32; first += batch) {
        all_inputs<<<(unsigned)(batch / 256), 256>>>(f, (uint32_t)first, device);
        CUDA(cudaGetLastError());
        CUDA(cudaMemcpy(host, device, batch * 4, cudaMemcpyDeviceToHost));
        parallel(batch, [&](size_t begin, size_t end) {
            wrong += compare_part(f, (uint32_t)first, host, begin, end);
        });
    }
    printf("%-28s all 2^32 bit patterns: %zu differ\n", FUNCTION_NAMES[f], wrong.load());
    failures += wrong.load() != 0;
    CUDA(cudaFreeHost(host));
    CUDA(cudaFree(device));
}

__global__ static void all_halves(float *y)
{
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = dev_half((unsigned short)i);
}

static void check_halves()
{
    const size_t n = 65536;
    std::vector<float> got(n), right(n);
    std::vector<uint16_t> h(n);
    float *device;
    CUDA(cudaMalloc(&device, n * 4));
    all_halves<<<256, 256>>>(device);
    CUDA(cudaMemcpy(got.data(), device, n * 4, cudaMemcpyDeviceToHost));
    CUDA(cudaFree(device));
    for (size_t i = 0; i < n; i++)
        h[i] = (uint16_t)i;
    nv1_half(h.data(), n, right.data());
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += memcmp(&got[i], &right[i], 4) != 0;
    printf("%-28s all 65536: %zu differ\n", "fp16 to fp32", wrong);
    failures += wrong != 0;
}

/* --- NV1 3.2: one warp per block of 256, eight values per lane ---------------------------------------------------- */

__global__ static void quantize(const float *x, uint32_t cols, uint32_t blocks, int8_t *q, float *d, int *finite)
{
    uint32_t token = blockIdx.y, b = blockIdx.x, lane = threadIdx.x;
    float v[8];
    unsigned most = 0;
    for (int i = 0; i < 8; i++) {
        uint32_t col = b * 256 + i * 32 + lane;
        v[i] = col < cols ? x[(size_t)token * cols + col] : 0.0f;
        most = max(most, __float_as_uint(v[i]) & 0x7fffffffu);
    }
    most = __reduce_max_sync(0xffffffffu, most);
    bool ok = most < 0x7f800000u;
    float amax = ok ? __uint_as_float(most) : 0.0f;
    bool zero = amax < 0x1p-100f;
    float inv = zero ? 0.0f : __fdiv_rn(127.0f, amax);
    for (int i = 0; i < 8; i++)
        q[((size_t)token * blocks + b) * 256 + i * 32 + lane] =
            zero ? (int8_t)0 : (int8_t)__float2int_rn(__fmul_rn(v[i], inv));
    if (lane == 0) {
        d[(size_t)token * blocks + b] = zero ? 0.0f : __fdiv_rn(amax, 127.0f);
        if (!ok)
            atomicAnd(&finite[token], 0);
    }
}

/* --- NV1 4.3: one warp is the 32 lanes of the law ------------------------------------------------------------------- */

__device__ static float warp_vsum(const float *a, const float *b, uint32_t n, uint32_t lane)
{
    float y = 0.0f;
    for (uint32_t first = 0; first < n; first += 256) {
        float s = 0.0f;
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t at = first + i * 32 + lane;
            s = __fmaf_rn(at < n ? a[at] : 0.0f, at < n ? b[at] : 0.0f, s);
        }
#pragma unroll
        for (int h = 16; h >= 1; h /= 2)
            s = __fadd_rn(s, __shfl_xor_sync(0xffffffffu, s, h));
        y = __fadd_rn(y, s);
    }
    return y;
}

__global__ static void vsum_rows(const float *a, const float *b, uint32_t n, float *y)
{
    float s = warp_vsum(a + (size_t)blockIdx.x * n, b + (size_t)blockIdx.x * n, n, threadIdx.x);
    if (threadIdx.x == 0)
        y[blockIdx.x] = s;
}

__global__ static void rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y)
{
    const float *row = x + (size_t)blockIdx.x * n;
    float ss = warp_vsum(row, row, n, threadIdx.x);
    float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(ss, __uint2float_rn(n)), eps)));
    for (uint32_t i = threadIdx.x; i < n; i += 32)
        y[(size_t)blockIdx.x * n + i] = __fmul_rn(__fmul_rn(row[i], r), w[i]);
}

/* --- NV1 4.1 --------------------------------------------------------------------------------------------------------- *
 * Packed for the GPU: groups of 32 rows, per block of 32 columns 1088 bytes:
 *   offset 0    2 x { 32 rows x 16 int8 }: columns 0-15, then 16-31 of each row
 *   offset 1024 32 x fp16 scale
 * A lane is a row. The warps of a block share out the blocks of K: exact integers may be made in any order. What is
 * rounded, the chain of NV1 4.1, is then run by one warp in ascending order while the others load the next step. */

enum { WARPS = 8, STEP = 32, GROUP_BYTES = 1088 };

__device__ static int dot16(int4 w, int4 x, int s)
{
    s = __dp4a(w.x, x.x, s);
    s = __dp4a(w.y, x.y, s);
    s = __dp4a(w.z, x.z, s);
    return __dp4a(w.w, x.w, s);
}

__global__ static void __launch_bounds__(WARPS * 32) q8_rows(const uint8_t *packed, const int8_t *q, const float *d,
                                                            uint32_t blocks, float *y)
{
    __shared__ float2 terms[2][STEP][32];
    uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint8_t *group = packed + (size_t)blockIdx.x * blocks * GROUP_BYTES;
    float sum = 0.0f;
    for (uint32_t first = 0, side = 0; first < blocks; first += STEP, side ^= 1) {
#pragma unroll
        for (uint32_t k = 0; k < STEP / WARPS; k++) {
            uint32_t in_step = k * WARPS + warp, b = first + in_step;
            if (b >= blocks)
                continue;
            const uint8_t *from = group + (size_t)b * GROUP_BYTES;
            int4 w0 = __ldcs((const int4 *)from + lane), w1 = __ldcs((const int4 *)from + 32 + lane);
            unsigned short scale = __ldcs((const unsigned short *)(from + 1024) + lane);
            const int4 *x = (const int4 *)(q + (size_t)b * 32);
            int s = dot16(w1, __ldg(x + 1), dot16(w0, __ldg(x), 0));
            terms[side][in_step][lane] = make_float2(__fmul_rn(dev_half(scale), __ldg(d + b / 8)), __int2float_rn(s));
        }
        __syncthreads();
        uint32_t count = min((uint32_t)STEP, blocks - first);
        if (warp == 0)
            for (uint32_t k = 0; k < count; k++)
                sum = __fmaf_rn(terms[side][k][lane].x, terms[side][k][lane].y, sum);
    }
    if (warp == 0)
        y[(size_t)blockIdx.x * 32 + lane] = sum;
}

static std::vector<uint8_t> pack(const std::vector<uint8_t> &rows, uint32_t n_rows, uint32_t blocks)
{
    std::vector<uint8_t> out((size_t)n_rows / 32 * blocks * GROUP_BYTES);
    for (uint32_t r = 0; r < n_rows; r++)
        for (uint32_t b = 0; b < blocks; b++) {
            const uint8_t *from = &rows[((size_t)r * blocks + b) * 34];
            uint8_t *to = &out[((size_t)(r / 32) * blocks + b) * GROUP_BYTES];
            memcpy(to + 1024 + r % 32 * 2, from, 2);
            memcpy(to + r % 32 * 16, from + 2, 16);
            memcpy(to + 512 + r % 32 * 16, from + 18, 16);
        }
    return out;
}

/* --- inputs ----------------------------------------------------------------------------------------------------------- */

static uint64_t seed = 88172645463325252ull;

static uint64_t next()
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* kind 0 ordinary, 1 wide exponents, 2 subnormal and around 2^-100, 3 any finite bits */
static float value(int kind)
{
    uint64_t bits = next();
    float unit = (float)(int32_t)(bits >> 40) * 0x1p-23f - 1.0f, x;
    uint32_t u;
    switch (kind) {
    case 1:
        u = (uint32_t)(67 + bits % 100) << 23;
        memcpy(&x, &u, 4);
        return unit * x;
    case 2:
        u = (uint32_t)(bits >> 32) & 0x807fffffu;
        memcpy(&x, &u, 4);
        return bits % 8 == 0 ? unit * 0x1p-100f : x;
    case 3:
        u = (uint32_t)(bits >> 32);
        u = (u & 0x7f800000u) == 0x7f800000u ? u ^ 0x40000000u : u;
        memcpy(&x, &u, 4);
        return x;
    default:
        return unit;
    }
}

static std::vector<float> values(size_t n, int kind)
{
    std::vector<float> x(n);
    for (float &v : x)
        v = value(kind);
    return x;
}

template <class T> struct on_device {
    T *p;
    size_t n;
    explicit on_device(const std::vector<T> &from) : n(from.size())
    {
        CUDA(cudaMalloc(&p, n * sizeof(T)));
        CUDA(cudaMemcpy(p, from.data(), n * sizeof(T), cudaMemcpyHostToDevice));
    }
    std::vector<T> fetch() const
    {
        std::vector<T> to(n);
        CUDA(cudaGetLastError());
        CUDA(cudaMemcpy(to.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
        return to;
    }
    ~on_device() { cudaFree(p); }
    on_device(const on_device &) = delete;
};

template <class T> static size_t differing(const std::vector<T> &a, const std::vector<T> &b)
{
    size_t wrong = 0;
    for (size_t i = 0; i < a.size(); i++)
        wrong += memcmp(&a[i], &b[i], sizeof(T)) != 0;
    return wrong;
}

static void verdict(const char *name, size_t compared, size_t wrong)
{
    printf("%-28s %zu values: %zu differ\n", name, compared, wrong);
    failures += wrong != 0 || compared == 0;
}

static const uint32_t LENGTHS[] = { 1, 31, 50, 255, 256, 257, 288, 1000, 4096, 14336 };

static void check_quantize()
{
    enum { TOKENS = 16 };
    size_t compared = 0, wrong = 0;
    for (uint32_t cols : LENGTHS)
        for (int kind = 0; kind < 5; kind++) {
            uint32_t blocks = (cols + 255) / 256;
            std::vector<float> x = values((size_t)TOKENS * cols, kind % 4);
            if (kind == 4)
                memset(&x[(size_t)3 * cols + cols / 2], 0xff, 4);                /* a NaN in token 3 */
            std::vector<int8_t> q((size_t)TOKENS * blocks * 256, 0x55);
            std::vector<float> d((size_t)TOKENS * blocks, 1.0f);
            std::vector<int> finite(TOKENS, 1), finite_right(TOKENS);
            on_device<float> dx(x), dd(d);
            on_device<int8_t> dq(q);
            on_device<int> df(finite);
            quantize<<<dim3(blocks, TOKENS), 32>>>(dx.p, cols, blocks, dq.p, dd.p, df.p);
            for (int t = 0; t < TOKENS; t++)
                finite_right[t] = nv1_quantize(&x[(size_t)t * cols], cols, &q[(size_t)t * blocks * 256], &d[(size_t)t * blocks]);
            wrong += differing(q, dq.fetch()) + differing(d, dd.fetch()) + differing(finite_right, df.fetch());
            compared += q.size() + d.size();
        }
    verdict("activation quantisation", compared, wrong);
}

static void check_rmsnorm()
{
    enum { ROWS = 16 };
    size_t compared = 0, wrong = 0;
    for (uint32_t n : LENGTHS)
        for (int kind = 0; kind < 3; kind++) {
            std::vector<float> x = values((size_t)ROWS * n, kind), w = values(n, 0), y(x.size()), sums(ROWS);
            on_device<float> dx(x), dw(w), dy(y), ds(sums);
            rmsnorm<<<ROWS, 32>>>(dx.p, dw.p, n, 1e-5f, dy.p);
            std::vector<float> other = values((size_t)ROWS * n, kind);
            on_device<float> dother(other);
            vsum_rows<<<ROWS, 32>>>(dx.p, dother.p, n, ds.p);
            for (int r = 0; r < ROWS; r++) {
                (void)nv1_rmsnorm(&x[(size_t)r * n], w.data(), n, 1e-5f, &y[(size_t)r * n]);
                sums[r] = nv1_vsum(&x[(size_t)r * n], &other[(size_t)r * n], n);
            }
            wrong += differing(y, dy.fetch()) + differing(sums, ds.fetch());
            compared += y.size() + sums.size();
        }
    verdict("RMSNorm and vector sums", compared, wrong);
}

/* Stored Q8_0 rows; extreme: whole blocks of -128 and 127, scales of any finite half. */
static std::vector<uint8_t> random_rows(uint32_t n_rows, uint32_t blocks, bool extreme)
{
    std::vector<uint8_t> rows((size_t)n_rows * blocks * 34);
    for (uint8_t &b : rows)
        b = (uint8_t)(next() >> 20);
    for (size_t b = 0; b < (size_t)n_rows * blocks; b++) {
        uint8_t &high = rows[b * 34 + 1];
        if (!extreme)
            high &= 0xab;                                  /* at most 2^-4, some subnormal */
        else if ((high & 0x7c) == 0x7c)
            high ^= 0x40;
        if (extreme && b % 3 == 0)
            memset(&rows[b * 34 + 2], b % 2 ? 0x80 : 0x7f, 32);
    }
    return rows;
}

static void check_q8()
{
    static const uint32_t columns[] = { 32, 224, 256, 288, 2048, 4096, 5632, 14336 };
    const uint32_t n_rows = 2048;
    size_t compared = 0, wrong = 0;
    for (uint32_t cols : columns)
        for (int extreme = 0; extreme < 2; extreme++) {
            uint32_t blocks = cols / 32, act_blocks = (cols + 255) / 256;
            std::vector<float> x = values(cols, extreme ? 1 : 0), d(act_blocks), right(n_rows), y(n_rows);
            std::vector<int8_t> q((size_t)act_blocks * 256);
            (void)nv1_quantize(x.data(), cols, q.data(), d.data());
            std::vector<uint8_t> rows = random_rows(n_rows, blocks, extreme);
            on_device<uint8_t> packed(pack(rows, n_rows, blocks));
            on_device<int8_t> dq(q);
            on_device<float> dd(d), dy(y);
            q8_rows<<<n_rows / 32, WARPS * 32>>>(packed.p, dq.p, dd.p, blocks, dy.p);
            parallel(n_rows, [&](size_t begin, size_t end) {
                nv1_q8_rows(&rows[begin * blocks * 34], (uint32_t)(end - begin), cols, q.data(), d.data(), &right[begin]);
            });
            wrong += differing(right, dy.fetch());
            compared += n_rows;
        }
    verdict("Q8_0 rows", compared, wrong);
}

/* --- speed ------------------------------------------------------------------------------------------------------------- */

__global__ static void read_all(const int4 *from, size_t n, int *sink)
{
    int4 sum = make_int4(0, 0, 0, 0);
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        int4 v = __ldcs(from + i);
        sum.x ^= v.x, sum.y ^= v.y, sum.z ^= v.z, sum.w ^= v.w;
    }
    if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x12345678)
        *sink = 1;
}

/* Best seconds of ten runs. */
static double best_seconds(const std::function<void()> &run)
{
    cudaEvent_t start, stop;
    CUDA(cudaEventCreate(&start));
    CUDA(cudaEventCreate(&stop));
    double best = 1e9;
    for (int i = 0; i < 10; i++) {
        float ms;
        CUDA(cudaEventRecord(start));
        run();
        CUDA(cudaEventRecord(stop));
        CUDA(cudaEventSynchronize(stop));
        CUDA(cudaEventElapsedTime(&ms, start, stop));
        best = ms * 1e-3 < best ? ms * 1e-3 : best;
    }
    CUDA(cudaEventDestroy(start));
    CUDA(cudaEventDestroy(stop));
    return best;
}

static void measure()
{
    const uint32_t cols = 4096, blocks = cols / 32;
    int clock_khz = 0, bus_bits = 0;
    CUDA(cudaDeviceGetAttribute(&clock_khz, cudaDevAttrMemoryClockRate, 0));
    CUDA(cudaDeviceGetAttribute(&bus_bits, cudaDevAttrGlobalMemoryBusWidth, 0));
    double peak = 2.0 * clock_khz * 1e3 * bus_bits / 8 * 1e-9;
    std::vector<int8_t> q(cols, 3);
    std::vector<float> d(cols / 256, 0.5f);
    on_device<int8_t> dq(q);
    on_device<float> dd(d);
    int *sink;
    CUDA(cudaMalloc(&sink, 4));
    for (uint32_t n_rows : { 4096u, 14336u, 131072u, 524288u }) {
        size_t bytes = (size_t)n_rows / 32 * blocks * GROUP_BYTES;
        uint32_t copies = (uint32_t)(((size_t)3 << 30) / bytes) + 1;       /* more than the caches hold, in turn */
        uint8_t *packed;
        float *y;
        CUDA(cudaMalloc(&packed, bytes * copies));
        CUDA(cudaMemset(packed, 1, bytes * copies));
        CUDA(cudaMalloc(&y, (size_t)n_rows * 4));
        double law = best_seconds([&] {
            for (uint32_t c = 0; c < copies; c++)
                q8_rows<<<n_rows / 32, WARPS * 32>>>(packed + c * bytes, dq.p, dd.p, blocks, y);
        });
        double plain = best_seconds([&] { read_all<<<132 * 16, 512>>>((const int4 *)packed, bytes * copies / 16, sink); });
        double gb = (double)bytes * copies * 1e-9;
        printf("Q8_0 %6u x %u, by the law %7.1f GB/s; reading alone %7.1f GB/s; data sheet %7.1f GB/s: %.0f %% of peak\n",
               n_rows, cols, gb / law, gb / plain, peak, 100 * gb / law / peak);
        CUDA(cudaFree(y));
        CUDA(cudaFree(packed));
    }
    CUDA(cudaFree(sink));
}

int main()
{
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
        fprintf(stderr, "no CUDA device\n");
        return 2;
    }
    cudaDeviceProp p;
    CUDA(cudaGetDeviceProperties(&p, 0));
    printf("%s, compute capability %d.%d, %d multiprocessors\n", p.name, p.major, p.minor, p.multiProcessorCount);
    check_halves();
    check_quantize();
    check_rmsnorm();
    check_q8();
    measure();
    for (enum function f : { EXP2, EXP, SILU, LN })
        check_function(f);
    printf(failures ? "FAILED: %d checks\n" : "all equal to the scalar reference, byte for byte\n", failures);
    return failures != 0;
}
