#!/usr/bin/env python3
"""The same model with a few loud channels, so that one can see what rounding of activations does to them.

    outliers.py MODEL.gguf OUT.gguf --factor 20 [--share 0.01] [--type Q8_0] [--seed 1]

Inputs of every product are scaled by the factor in a share of their channels (norm weights, rows of up, v, k) and the
columns that read them are divided by it, so the network says exactly what it said before; only what is rounded changes.
Trained models of some billions of parameters have such channels by themselves, with factors from 10 to some 100.
"""
import argparse

import gguf
import numpy as np

QUANTS = {"Q8_0": gguf.GGMLQuantizationType.Q8_0, "F32": gguf.GGMLQuantizationType.F32, "F16": gguf.GGMLQuantizationType.F16,
          "Q4_0": gguf.GGMLQuantizationType.Q4_0, "Q5_1": gguf.GGMLQuantizationType.Q5_1}


def pick(rng, n, share):
    return rng.choice(n, max(1, round(n * share)), replace=False)


def scale(w, layers, heads, kv_heads, head_dim, factor, share, rng):
    dim, ffn = w["blk.0.attn_q.weight"].shape[1], w["blk.0.ffn_up.weight"].shape[0]
    for i in range(layers):
        at = f"blk.{i}."
        for norm, readers in (("attn_norm", ("attn_q", "attn_k", "attn_v")), ("ffn_norm", ("ffn_gate", "ffn_up"))):
            loud = pick(rng, dim, share)
            w[f"{at}{norm}.weight"][loud] *= factor
            for r in readers:
                w[f"{at}{r}.weight"][:, loud] /= factor
        loud = pick(rng, ffn, share)
        w[at + "ffn_up.weight"][loud] *= factor
        w[at + "ffn_down.weight"][:, loud] /= factor
        per = heads // kv_heads
        for kv in range(kv_heads):
            loud = kv * head_dim + pick(rng, head_dim, share)
            w[at + "attn_v.weight"][loud] *= factor
            pair = kv * head_dim + 2 * pick(rng, head_dim // 2, share)       # both of a rotating pair
            w[at + "attn_k.weight"][[pair, pair + 1]] *= factor
            for h in range(kv * per, (kv + 1) * per):
                here = (h - kv) * head_dim
                w[at + "attn_output.weight"][:, loud + here] /= factor
                w[at + "attn_q.weight"][[pair + here, pair + 1 + here]] /= factor


def copy_metadata(reader, writer):
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("out")
    p.add_argument("--factor", type=float, default=20)
    p.add_argument("--share", type=float, default=0.01)
    p.add_argument("--type", choices=QUANTS, default="Q8_0")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    reader = gguf.GGUFReader(a.model)
    get = lambda key: reader.fields["llama." + key].contents()
    w = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    scale(w, get("block_count"), get("attention.head_count"), get("attention.head_count_kv"), get("attention.key_length"),
          a.factor, a.share, np.random.default_rng(a.seed))
    writer = gguf.GGUFWriter(a.out, "llama")
    copy_metadata(reader, writer)
    for t in reader.tensors:
        x = w[t.name]
        kind = QUANTS[a.type] if x.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(t.name, gguf.quants.quantize(x, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
