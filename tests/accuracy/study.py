#!/usr/bin/env python3
"""Which rounding of the engine costs how much? KL divergence from float64 of one model under many kinds of rounding.

    study.py MODEL.gguf --tokens TOKENS [--length 512] [--sequences 4] [--nv1 build/tests/dump_logits] [--peer PROGRAM]

--nv1 and --peer are programs that are called as  PROGRAM MODEL TOKENS OUT.f32  and give the real thing beside the emulated
ones. Without --tokens: random tokens. docs/accuracy.md says how to make the token file.
"""
import argparse
import subprocess
import tempfile

import numpy as np

from forward64 import Inexact, Model, any_type, bootstrap, divergence, hadamard, surprise, to_fp16, to_int


def ints(group, levels=127, fp16_scale=False):
    return lambda x: to_int(x, group, levels, fp16_scale)


def acts(*args, **named):
    return any_type(ints(*args, **named))


def cases(m):
    ffn = m.w["blk.0.ffn_down.weight"].shape[1]
    head, wide = ints(0), ints(0, 8128)                  # 8128 = 127 * 64: two int8 limbs, 14 bits
    h = hadamard(m.head_dim)
    turned = lambda x: head(x @ h) @ h.T
    int8 = dict(q=head, k=head, v=head)
    rot = dict(q=turned, k=turned, v=turned)
    fp16 = dict(q=to_fp16, k=to_fp16, v=to_fp16)
    two = acts(256, 32512)
    down_two = lambda x, kind: to_int(x, 256, 32512) if x.shape[-1] == ffn else to_int(x, 32)
    return {
        "a  activations int8 per 256": Inexact(act=acts(256)),
        "   activations int8 per 128": Inexact(act=acts(128)),
        "   activations int8 per 64": Inexact(act=acts(64)),
        "d  activations int8 per 32": Inexact(act=acts(32)),
        "e  activations two limbs per 256": Inexact(act=two),
        "b  q, k, v int8": Inexact(**int8),
        "   q int8": Inexact(q=head),
        "   k int8": Inexact(k=head),
        "   v int8": Inexact(v=head),
        "   P two limbs": Inexact(p_levels=32512),
        "   q, k, v int8, q and k rotated": Inexact(q=turned, k=turned, v=head),
        "   q, k, v int8, all rotated": Inexact(**rot),
        "   q two limbs, k, v int8 rotated": Inexact(q=wide, k=turned, v=turned),
        "   q, k two limbs, v int8": Inexact(q=wide, k=wide, v=head),
        "   q, k, v two limbs": Inexact(q=wide, k=wide, v=wide),
        "c  NV1: a + b + P": Inexact(act=acts(256), p_levels=32512, **int8),
        "   per 256, all rotated": Inexact(act=acts(256), **rot),
        "   per 32, q, k, v int8": Inexact(act=acts(32), **int8),
        "   per 32, all rotated": Inexact(act=acts(32), **rot),
        "   per 32, two limbs into down, all rotated": Inexact(act=down_two, **rot),
        "   two limbs, q, k, v int8": Inexact(act=two, **int8),
        "   two limbs, all rotated": Inexact(act=two, **rot),
        "   two limbs, q two limbs, k, v rotated": Inexact(act=two, q=wide, k=turned, v=turned),
        "   two limbs, q, k, v two limbs": Inexact(act=two, q=wide, k=wide, v=wide),
        "f  as llama.cpp, 32-value types": Inexact(act=acts(32, fp16_scale=True), **fp16),
        "f  as llama.cpp, 256-value types": Inexact(act=acts(256), **fp16),
    }


def real(program, model, sequences):
    """Logits of each sequence from a program."""
    out = []
    with tempfile.TemporaryDirectory() as scratch:
        for ids in sequences:
            ids.astype("<u4").tofile(f"{scratch}/tokens")
            subprocess.run([program, model, f"{scratch}/tokens", f"{scratch}/logits"], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            out.append(np.fromfile(f"{scratch}/logits", "<f4").reshape(len(ids), -1))
    return out


def cut(path, vocab, length, count):
    if path:
        ids = np.fromfile(path, "<u4")
    else:
        ids = np.random.default_rng(1).integers(0, vocab, length * count)
    assert len(ids) >= length * count, "the token file is too short"
    return [ids[i * length:(i + 1) * length] for i in range(count)]


def report(name, right, other, sequences):
    kl = np.concatenate([divergence(r, o) for r, o in zip(right, other)])
    same = np.mean(np.concatenate([r.argmax(-1) == o.argmax(-1) for r, o in zip(right, other)]))
    ppl = np.exp(np.mean(np.concatenate([surprise(o, ids) for o, ids in zip(other, sequences)])))
    mean, low, high = bootstrap(kl)
    print(f"| {name} | {mean:.2e} | {low:.1e} .. {high:.1e} | {np.percentile(kl, 99):.1e} | {ppl:.3f} | {100 * same:.1f} % |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--tokens")
    p.add_argument("--length", type=int, default=512)
    p.add_argument("--sequences", type=int, default=4)
    p.add_argument("--nv1")
    p.add_argument("--peer")
    p.add_argument("--only", default="", help="only cases with this in their name")
    a = p.parse_args()
    m = Model(a.model)
    sequences = cut(a.tokens, m.vocab, a.length, a.sequences)
    right = [m.forward(ids) for ids in sequences]
    print("| rounded | KL | 95 % | 99th percentile | perplexity | same first token |\n|---|---|---|---|---|---|")
    report("nothing (float64)", right, right, sequences)
    for name, program in (("NV1, the engine", a.nv1), ("llama.cpp, the engine", a.peer)):
        if program:
            report(name, right, real(program, a.model, sequences), sequences)
    for name, how in cases(m).items():
        if a.only in name:
            report(name, right, [m.forward(ids, how) for ids in sequences], sequences)


if __name__ == "__main__":
    main()
