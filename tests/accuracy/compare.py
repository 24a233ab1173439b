#!/usr/bin/env python3
"""Is the engine as near to float64 as a peer is, on the same files?

    compare.py --tokens TOKENS --nv1 PROGRAM [--peer PROGRAM] [--original MODEL.gguf] MODEL.gguf ...

One row per file: KL(float64 of the file || engine) of ours and of the peer, and the mean of the differences with its 95 %
interval, positions paired. Without --peer it is emulated: activations int8 per 32 with fp16 scales for 32-value types, per 256
for the others, keys and values fp16. --original is the model before its weights were quantised: the last columns then are
KL(float64 of the original || ...) of float64, of ours and of the peer, which is what an asker of questions gets.
"""
import argparse
import os

import numpy as np

from forward64 import Inexact, Model, bootstrap, by_type, divergence, surprise, to_fp16, to_int
from study import cut, real

LIKE_LLAMA_CPP = Inexact(act=by_type(lambda x: to_int(x, 256), lambda x: to_int(x, 32, 127, True)),
                         q=to_fp16, k=to_fp16, v=to_fp16)


def perplexity(logits, sequences):
    return np.exp(np.mean(np.concatenate([surprise(x, ids) for x, ids in zip(logits, sequences)])))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+")
    p.add_argument("--tokens")
    p.add_argument("--length", type=int, default=512)
    p.add_argument("--sequences", type=int, default=4)
    p.add_argument("--nv1", required=True)
    p.add_argument("--peer")
    p.add_argument("--original")
    a = p.parse_args()
    first = Model(a.original or a.models[0])
    sequences = cut(a.tokens, first.vocab, a.length, a.sequences)
    kl = lambda right, other: np.concatenate([divergence(r, o) for r, o in zip(right, other)])
    whole = [first.forward(ids) for ids in sequences] if a.original else None
    print("| file | ours | peer | ours - peer | 95 % | perplexity float64 / ours / peer |" +
          (" weights | with ours | with peer |" if whole else ""))
    print("|---" * (9 if whole else 6) + "|")
    for path in a.models:
        m = Model(path)
        right = [m.forward(ids) for ids in sequences]
        ours = real(a.nv1, path, sequences)
        peer = real(a.peer, path, sequences) if a.peer else [m.forward(ids, LIKE_LLAMA_CPP) for ids in sequences]
        k, l = kl(right, ours), kl(right, peer)
        mean, low, high = bootstrap(k - l)
        row = f"| {os.path.basename(path)} | {k.mean():.2e} | {l.mean():.2e} | {mean:+.1e} | {low:+.1e} .. {high:+.1e} | "
        row += " / ".join(f"{perplexity(x, sequences):.3f}" for x in (right, ours, peer)) + " |"
        if whole:
            row += "".join(f" {kl(whole, x).mean():.3e} |" for x in (right, ours, peer))
        print(row, flush=True)


if __name__ == "__main__":
    main()
