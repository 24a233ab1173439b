#!/bin/sh
# gpu.sh - is NV1 on this machine's GPU the same, byte for byte, as the scalar reference?
#
#   tests/gpu.sh [--build]     --build: only compile (no GPU needed); the programs can then be carried elsewhere
#
# First what the compiler made of the kernels is checked for every architecture (tests/gpu/check_ptx.sh); then the tests that
# the emulated device runs in every build run on the GPU (tests/gpu/emu_silicon.cu), under compute-sanitizer too where there is
# one. Then whole models: the "cuda" device against the scalar one, token by token (gpu_device), and last the figures
# (tests/gpu/bench.sh, whose header names its settings).
#
# TM_GPU_ARCH (default sm_90) chooses the architecture of the programs, TM_GPU_ARCHES those that are checked. Exit: 0 equal,
# 1 a difference, 2 no GPU or no compiler.
set -eu
cd "$(dirname "$0")/.."
out=build-gpu
arch=${TM_GPU_ARCH:-sm_90}
arches=${TM_GPU_ARCHES:-sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120}
kernel_tests="test_cuda_matmul test_cuda_steps test_cuda_attention"
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)

if [ -n "$nvcc" ]; then
    mkdir -p "$out"
    exact="-std=c++17 -O3 -arch=$arch -ftz=false -fmad=false -prec-div=true -prec-sqrt=true -I."
    tests/gpu/check_ptx.sh "$out/ptx" $arches
    cmake -B "$out/host" -DCMAKE_BUILD_TYPE=Release > /dev/null
    cmake --build "$out/host" --target tm_kernels tm_base tm_cuda_pack > /dev/null
    device=
    for source in kernels/cuda/*.cu tests/gpu/emu_silicon.cu; do
        object=$out/$(basename "$source" .cu).device.o
        "$nvcc" $exact -Xcompiler -ffp-contract=off -c -o "$object" "$source"
        device="$device $object"
    done
    for test in $kernel_tests; do
        ${CC:-cc} -std=c11 -O2 -ffp-contract=off -I. -c "tests/gpu/$test.c" -o "$out/$test.o"
        "$nvcc" -arch="$arch" -o "$out/$test" "$out/$test.o" $device "$out/host/tests/libtm_cuda_pack.a" \
            "$out/host/kernels/libtm_kernels.a" "$out/host/crypto/libtm_base.a" -lcmocka -lpthread -lm
    done
    "$nvcc" -std=c++17 -O3 -arch="$arch" -o "$out/bench_bandwidth" tests/gpu/bench_bandwidth.cu
    cmake -B "$out/cuda" -DCMAKE_BUILD_TYPE=Release -DTM_CUDA=ON -DTM_CUDA_ARCHS="${arch#sm_}" > /dev/null
    cmake --build "$out/cuda" -j "$(nproc)" --target gpu_device bench_engine > /dev/null
elif [ ! -x "$out/test_cuda_matmul" ]; then
    echo "no CUDA compiler (nvcc) and nothing in $out built elsewhere" >&2
    exit 2
fi
[ "${1:-}" = --build ] && exit 0
for test in $kernel_tests; do
    "$out/$test"
    if command -v compute-sanitizer > /dev/null; then
        for tool in memcheck racecheck synccheck; do
            compute-sanitizer --tool "$tool" --error-exitcode 1 "$out/$test"
        done
    fi
done
"$out/cuda/tests/gpu_device"
if command -v compute-sanitizer > /dev/null; then
    compute-sanitizer --tool memcheck --error-exitcode 1 "$out/cuda/tests/gpu_device"
fi
exec tests/gpu/bench.sh "$out/cuda" "$out/bench_bandwidth"
