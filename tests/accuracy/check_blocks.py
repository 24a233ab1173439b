#!/usr/bin/env python3
"""Do we read GGUF's blocks as its own Python package does? Every value of random blocks of every type must be the same.

    check_blocks.py DUMP_BLOCKS [--seed N] [--blocks N]       compares; exit status 77 if the gguf package is not here
    check_blocks.py --write tests/vectors/nv1/blocks.txt      writes the golden vectors that test_blocks.c reads

The package multiplies and adds in fp32 in another order than NV1 4.4 does. Up to the last step all of that is exact (an
fp16 scale has 11 bits, the integers at most 14), so nothing but equality is allowed.
"""
import argparse
import subprocess
import sys

try:
    import gguf
    import numpy as np
except ImportError:
    print("no Python with numpy and gguf here (tests/run.sh makes one): skipped")
    sys.exit(77)

TYPES = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL MXFP4 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS".split()
FLOATS = "F16 BF16 F32".split()
# Where the fp16 scales lie in a stored block.
SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "Q4_1": (0, 2),
          "Q5_1": (0, 2), "MXFP4": ()}


def size(name):
    return gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]


def random_blocks(rng, name, count):
    """Any bits; half of the blocks get scales as models have them, so that sums are not always of one huge term."""
    blocks = rng.integers(0, 256, (count, size(name)[1]), dtype=np.uint8)
    for at in SCALES.get(name, (0,)):
        sane = (rng.standard_normal(count // 2) * 0.05).astype("<f2").view(np.uint8).reshape(-1, 2)
        blocks[:count // 2, at:at + 2] = sane
    if name == "MXFP4":
        blocks[:count // 2, 0] = rng.integers(100, 140, count // 2)
        blocks[-256:, 0] = np.arange(256)                    # every exponent
    return blocks


def reference(name, blocks):
    with np.errstate(all="ignore"):
        kind = gguf.GGMLQuantizationType[name]
        return gguf.quants.dequantize(blocks.reshape(1, -1), kind).astype(np.float32).reshape(-1)


def check(program, seed, count):
    wrong = 0
    for name in TYPES + FLOATS:
        n = count if name in TYPES else count * 64
        blocks = random_blocks(np.random.default_rng(seed), name, n) if name in TYPES else \
            np.random.default_rng(seed).integers(0, 256, (n, size(name)[1]), dtype=np.uint8)
        command = [program, str(int(gguf.GGMLQuantizationType[name]))]
        out = subprocess.run(command, input=blocks.tobytes(), stdout=subprocess.PIPE, check=True)
        ours, right = np.frombuffer(out.stdout, "<f4"), reference(name, blocks)
        same = len(ours) == len(right) and (ours == right) | (np.isnan(ours) & np.isnan(right))
        bad = np.flatnonzero(~np.asarray(same)) if len(ours) == len(right) else np.array([0])
        finite = np.isfinite(right).mean()
        print(f"{name}: {len(right)} values, {100 * finite:.0f} % finite, {len(bad)} differ")
        if len(bad):
            print(f"  value {bad[0]} is {ours[bad[0]]!r}, should be {right[bad[0]]!r}; block {bad[0] // size(name)[0]}")
        wrong += len(bad) > 0 or finite < 0.25
    return wrong


def write(path):
    rng = np.random.default_rng(1)
    with open(path, "w") as f:
        f.write("# NV1 3.1, 4.4: stored blocks and their values, as the gguf package reads them\n")
        for name in TYPES:
            blocks = random_blocks(rng, name, 512)[:3]
            blocks[2] = 255
            for at in SCALES.get(name, (0,)):
                blocks[2, at:at + 2] = (0x00, 0x2c)         # 1/16
            if name == "MXFP4":
                blocks[2, 0] = 124
            for block in blocks:
                values = reference(name, block).view(np.uint32)
                f.write(f"type {name}\nstored {block.tobytes().hex()}\nvalues {' '.join(f'{v:08x}' for v in values)}\n\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program", nargs="?")
    p.add_argument("--write")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--blocks", type=int, default=2000)
    a = p.parse_args()
    if a.write:
        write(a.write)
        return 0
    return 1 if check(a.program, a.seed, a.blocks) else 0


if __name__ == "__main__":
    sys.exit(main())
