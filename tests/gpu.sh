#!/bin/sh
# gpu.sh - is NV1 on this machine's GPU the same, byte for byte, as the scalar reference?
#
#   tests/gpu.sh [--build]     --build: only compile (no GPU needed); the program can then be carried elsewhere
#
# TM_GPU_ARCH (default sm_90) chooses the architecture. Exit: 0 equal, 1 a difference, 2 no GPU or no compiler.
set -eu
cd "$(dirname "$0")/.."
out=build-gpu
program=$out/nv1_cuda_check
arch=${TM_GPU_ARCH:-sm_90}
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)

if [ -n "$nvcc" ]; then
    mkdir -p "$out"
    # -mfma only makes fmaf() an instruction instead of a call; its result is fixed by IEEE 754.
    fma=
    [ "$(uname -m)" = x86_64 ] && fma=-mfma
    objects=
    for source in crypto/base.c kernels/blocks.c kernels/exact_math.c kernels/quant.c kernels/ops_ref.c kernels/tensor.c \
                  tests/gpu/nv1_reference.c; do
        object=$out/$(basename "$source" .c).o
        ${CC:-cc} -std=c11 -O2 $fma -ffp-contract=off -fno-fast-math -I. -c "$source" -o "$object"
        objects="$objects $object"
    done
    exact="-std=c++17 -O3 -arch=$arch -ftz=false -fmad=false -prec-div=true -prec-sqrt=true -I."
    # What the compiler was asked for is one thing, what it wrote another: no flushing, no approximation in the PTX.
    "$nvcc" $exact -ptx -o "$out/nv1_cuda_check.ptx" tests/gpu/nv1_cuda_check.cu
    if grep -E '\.(ftz|approx)' "$out/nv1_cuda_check.ptx"; then
        echo "inexact instructions in the compiled code" >&2
        exit 1
    fi
    "$nvcc" $exact -Xcompiler -ffp-contract=off,-static-libstdc++,-static-libgcc -o "$program" tests/gpu/nv1_cuda_check.cu $objects \
        -lpthread -lm
elif [ ! -x "$program" ]; then
    echo "no CUDA compiler (nvcc) and no $program built elsewhere" >&2
    exit 2
fi
[ "${1:-}" = --build ] && exit 0
exec "$program"
