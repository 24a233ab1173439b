#!/usr/bin/env python3
"""How does one measure an engine with a model that nobody has to download?

    make_model.py --shape 1.1b --type q8_0 --out models/1.1b-q8_0.gguf
    make_model.py --like testnet/model/tally-tales-q8_0.gguf --type f16 --out models/tales-f16.gguf

The first form writes a llama model of a known size with random weights. Speed does not depend on what the weights
say, only on their shapes and types. For figures of accuracy it does: a random model is then a hard case, because its
weights have no structure that would let an error average out.

    matrices   normal, standard deviation 1/sqrt(row length): what enters with variance 1 leaves with variance 1, so
               that activations stay sane through any number of layers; the head times --head, which spreads the
               logits (at 1 all tokens are about equally likely, and a divergence between two engines says little)
    norms      1 plus a tenth of a normal, so that two of them mixed up would show
    --outliers F   every 64th weight of the norms inside a layer is multiplied by F: a few channels as large as trained
               models have them, which is what coarse activation scales suffer from
    tokenizer  SentencePiece: unknown, BOS, EOS, 256 bytes, printable ASCII, then syllables of lower-case letters

The second form reads any GGUF and writes the same model with its matrices in another type: the source for types made
elsewhere from F16 or F32. It cannot win back what the first file had lost.

Same arguments, same bytes. Needs numpy and gguf (PyPI). One tensor at a time is in memory, so that models larger than
memory can be made.
"""
import argparse
import itertools
import string

import gguf
import numpy as np
from gguf.quants import quantize, dequantize

SHAPES = {
    #              dim   layers  heads  kv_heads  ffn    vocab   context  rope base
    "8b":    dict(dim=4096, layers=32, heads=32, kv_heads=8, ffn=14336, vocab=128256, context=8192, base=500000.0),
    "1.1b":  dict(dim=2048, layers=22, heads=32, kv_heads=4, ffn=5632, vocab=32000, context=2048, base=10000.0),
    "small": dict(dim=512, layers=4, heads=8, kv_heads=4, ffn=1536, vocab=2048, context=2048, base=10000.0),
    # Rows of 288 and 800: multiples of 32 but not of 256, which only the small block types can hold.
    "odd":   dict(dim=288, layers=4, heads=6, kv_heads=2, ffn=800, vocab=1000, context=1024, base=10000.0),
}
RMS_EPS = 1e-5
TYPES = {
    "f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16, "bf16": gguf.GGMLQuantizationType.BF16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0,
    "q4_1": gguf.GGMLQuantizationType.Q4_1, "q5_0": gguf.GGMLQuantizationType.Q5_0,
    "q5_1": gguf.GGMLQuantizationType.Q5_1,
}
F32 = TYPES["f32"]
SPACE = "\u2581"


def vocabulary(count):
    """Texts and kinds. A longer piece never scores better than its parts: they come in the order of their length."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.BYTE] * 256
    letters = string.ascii_lowercase
    syllables = itertools.chain(
        [SPACE], (chr(c) for c in range(0x21, 0x7F)),
        (SPACE + a for a in letters),
        (start + a + b for start in ("", SPACE) for a in letters for b in letters),
        (start + a + b + c for start in ("", SPACE) for a in letters for b in letters for c in letters),
        (a + b + c + d for a in letters for b in letters for c in letters for d in letters))
    text = list(itertools.islice(syllables, count - len(pieces)))
    return pieces + text, kinds + [gguf.TokenType.NORMAL] * len(text)


def tensors(shape):
    """(name, rows, columns) in the order of the file; rows 0 for a vector."""
    dim, ffn = shape["dim"], shape["ffn"]
    kv = dim // shape["heads"] * shape["kv_heads"]
    yield "token_embd.weight", shape["vocab"], dim
    for i in range(shape["layers"]):
        yield f"blk.{i}.attn_norm.weight", 0, dim
        yield f"blk.{i}.attn_q.weight", dim, dim
        yield f"blk.{i}.attn_k.weight", kv, dim
        yield f"blk.{i}.attn_v.weight", kv, dim
        yield f"blk.{i}.attn_output.weight", dim, dim
        yield f"blk.{i}.ffn_norm.weight", 0, dim
        yield f"blk.{i}.ffn_gate.weight", ffn, dim
        yield f"blk.{i}.ffn_up.weight", ffn, dim
        yield f"blk.{i}.ffn_down.weight", dim, ffn
    yield "output_norm.weight", 0, dim
    yield "output.weight", shape["vocab"], dim


def weights(args, idx, name, rows, columns):
    """Each tensor has its own stream of random numbers, so that none depends on how many came before."""
    normal = np.random.Generator(np.random.PCG64([args.seed, idx])).standard_normal
    if not rows:
        norm = 1 + np.float32(0.1) * normal(columns, dtype=np.float32)
        if name.startswith("blk."):
            norm[::64] *= np.float32(args.outliers)
        return norm
    scale = np.float32((args.head if name == "output.weight" else 1) / np.sqrt(columns))
    return normal((rows, columns), dtype=np.float32) * scale


def describe(writer, shape, type_name):
    head_dim = shape["dim"] // shape["heads"]
    writer.add_name(f"random {type_name}")
    writer.add_vocab_size(shape["vocab"])
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["dim"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["ffn"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(shape["base"])
    writer.add_layer_norm_rms_eps(RMS_EPS)
    writer.add_quantization_version(2)
    texts, kinds = vocabulary(shape["vocab"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores([float(-i) for i in range(len(texts))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)


def copy_entries(writer, reader):
    """Everything the file says about itself but what the writer says anyway."""
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        element = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=element)


def write(writer, plan, type_, produce):
    """The header, then one tensor after the other."""
    def stored_as(rows):
        return type_ if rows else F32

    for name, rows, columns in plan:
        kind = stored_as(rows)
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        if columns % block:
            raise SystemExit(f"{name}: rows of {columns} are no whole number of blocks of {block}")
        extents = (rows, columns) if rows else (columns,)
        writer.add_tensor_info(name, extents, np.dtype(np.float32), max(rows, 1) * columns // block * block_bytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for idx, (name, rows, columns) in enumerate(plan):
        writer.write_tensor_data(quantize(produce(idx, name, rows, columns), stored_as(rows)))
    writer.close()


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--shape", choices=SHAPES)
    args.add_argument("--like", metavar="GGUF")
    args.add_argument("--type", choices=TYPES, default="q8_0")
    args.add_argument("--head", type=float, default=3.0)
    args.add_argument("--outliers", type=float, default=1.0)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--out", required=True)
    args = args.parse_args()
    if bool(args.shape) == bool(args.like):
        raise SystemExit("one of --shape and --like")
    writer = gguf.GGUFWriter(args.out, "llama")
    writer.add_file_type(gguf.LlamaFileType[{"f32": "ALL_F32"}.get(args.type, f"MOSTLY_{args.type.upper()}")])
    if args.shape:
        describe(writer, SHAPES[args.shape], f"{args.shape} {args.type}")
        write(writer, list(tensors(SHAPES[args.shape])), TYPES[args.type], lambda *what: weights(args, *what))
        return
    reader = gguf.GGUFReader(args.like)
    copy_entries(writer, reader)
    plan = [(t.name, *([int(n) for n in t.shape[::-1]] if len(t.shape) > 1 else [0, int(t.shape[0])]))
            for t in reader.tensors]
    write(writer, plan, TYPES[args.type],
          lambda idx, *_: dequantize(reader.tensors[idx].data, reader.tensors[idx].tensor_type))


if __name__ == "__main__":
    main()
