#!/bin/sh
# bench.sh - tokens per second of an 8B-shaped model on this GPU, beside the rate at which it reads its memory, and beside
# llama.cpp where there is a build of it; prints one table.
#
#   tests/gpu/bench.sh BUILD BANDWIDTH     BUILD: a build with TM_CUDA=ON; BANDWIDTH: the program of bench_bandwidth.cu
#
# TM_GPU_MODEL   a GGUF file to measure; without it an 8B llama of random Q8_0 weights is made in memory for each figure,
#                and llama.cpp, which needs a file, is left out (tests/bench/make_model.py --shape 8b makes one)
# PEERS          a folder with a folder per peer that holds llama-bench (tests/bench/engine.sh)
# Share: bytes of weights a decode step must read, times steps per second, over the measured rate of reading; with a file, its size
# stands for them, token_embd included.
set -eu
cd "$(dirname "$0")/../.."
engine=$1/tests/bench_engine
rate=$("$2" | sed -n 's/^read \([0-9]*\) .*/\1/p')
model=${TM_GPU_MODEL:---random 8b}
if [ -n "${TM_GPU_MODEL:-}" ]; then
    bytes=$(stat -c %s "$TM_GPU_MODEL")
else
    bytes=7973699584                     # 7.50e9 weights that each step reads (32 layers and the head), 34 bytes per 32
fi

echo "memory read at $rate GB/s"
printf '%-28s %12s %12s %10s\n' "" "prefill t/s" "decode t/s" "share"
row() { # JOBS PROMPT ANSWER
    said=$("$engine" --backend cuda --threads "$(nproc)" --jobs "$1" --prompt "$2" --answer "$3" $model | tail -n 1)
    prefill=$(echo "$said" | sed 's/.*prefill *\([0-9.]*\) .*/\1/')
    decode=$(echo "$said" | sed 's/.*decode *\([0-9.]*\) .*/\1/')
    share=$(awk -v d="$decode" -v j="$1" -v b="$bytes" -v r="$rate" 'BEGIN { printf "%.0f %%", d / j * b / r / 1e7 }')
    printf '%-28s %12s %12s %10s\n' "tally, $1 x ($2 + $3)" "$prefill" "$decode" "$share"
}
row 1 512 128
row 8 512 128
row 64 128 64
row 1 2048 32

[ -n "${PEERS:-}" ] && [ -n "${TM_GPU_MODEL:-}" ] || exit 0
for peer in "$PEERS"/*/; do
    [ -x "$peer/llama-bench" ] || continue
    echo "$(basename "$peer"):"
    "$peer/llama-bench" -m "$TM_GPU_MODEL" -ngl 99 -p 512,2048 -n 128
done
