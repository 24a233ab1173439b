/* bench_bandwidth.cu - the rate at which this GPU reads and copies its memory, which is the limit of decoding. Not a
 * test.
 *
 * Prints "read GB/s" and "copy GB/s", best of ten, over 1 GiB. */
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>

static __global__ void read_all(const uint4 *from, size_t n, uint32_t *out)
{
    uint32_t sum = 0;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = from[i];
        sum ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (sum == 0x12345678)
        *out = sum;
}

static float best_ms(bool copy, const uint4 *from, uint4 *to, size_t n, uint32_t *out)
{
    cudaEvent_t begin, end;
    float best = 1e30f;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    for (int i = 0; i < 10; i++) {
        float ms = 1e30f;
        cudaEventRecord(begin);
        if (copy)
            cudaMemcpyAsync(to, from, n * sizeof *from, cudaMemcpyDeviceToDevice);
        else
            read_all<<<2048, 512>>>(from, n, out);
        cudaEventRecord(end);
        if (cudaEventSynchronize(end) != cudaSuccess)
            return 0;
        cudaEventElapsedTime(&ms, begin, end);
        best = ms < best ? ms : best;
    }
    return best;
}

int main()
{
    size_t n = ((size_t)1 << 30) / sizeof(uint4);
    uint4 *from, *to;
    uint32_t *out;
    if (cudaMalloc(&from, n * sizeof *from) != cudaSuccess || cudaMalloc(&to, n * sizeof *to) != cudaSuccess ||
        cudaMalloc(&out, sizeof *out) != cudaSuccess || cudaMemset(from, 1, n * sizeof *from) != cudaSuccess) {
        fprintf(stderr, "no GPU: %s\n", cudaGetErrorString(cudaGetLastError()));
        return 2;
    }
    double bytes = (double)(n * sizeof *from);
    double read = best_ms(false, from, to, n, out), copied = best_ms(true, from, to, n, out);
    if (read <= 0 || copied <= 0)
        return 2;
    printf("read %.0f GB/s\ncopy %.0f GB/s\n", bytes / read * 1e-6, 2 * bytes / copied * 1e-6);
    return 0;
}
