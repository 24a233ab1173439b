#!/usr/bin/env python3
"""How do weights and tokenizer become one file that any engine for GGUF can run?

    export_gguf.py --model model.pt --tokenizer tokenizer.json --out tally-tales-q8_0.gguf

GGUF version 3, little endian; matrices in Q8_0 (blocks of 32: fp16 scale = max/127, int8 to nearest),
norms in F32. Without --model the weights are random, which is enough to test an engine.
"""
import argparse
import struct

import numpy as np
import torch

import train
import train_tokenizer

U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_Q8_0 = 0, 8
ALIGNMENT = 32
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STRING:
        return string(v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<B"}[kind], v)


def pair(key, kind, v):
    return string(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, values):
    return string(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(value(kind, v) for v in values)


def q8_0(matrix):
    """(rows, columns) float32 -> blocks of 32 along the row: fp16 d, 32 int8."""
    blocks = matrix.astype(np.float32).reshape(-1, 32)
    d = (np.abs(blocks).max(axis=1) / np.float32(127)).astype(np.float32)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d > 0)
    scaled = blocks * inverse[:, None]
    q = (np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))).astype(np.int8)   # halves away from zero
    out = np.zeros(len(blocks), np.dtype([("d", "<f2"), ("q", "i1", 32)]))
    out["d"], out["q"] = d, q
    return out.tobytes()


def metadata(tokenizer, shape):
    ids, count = tokenizer.id, len(tokenizer.tokens)
    control = len(train_tokenizer.CONTROL)
    return [
        pair("general.architecture", STRING, "llama"),
        pair("general.name", STRING, "tally-tales"),
        pair("general.description", STRING, "A very small storyteller: the demo model of Tallymesh"),
        pair("general.license", STRING, "apache-2.0"),
        pair("general.alignment", U32, ALIGNMENT),
        pair("general.file_type", U32, 7),
        pair("general.quantization_version", U32, 2),
        pair("llama.vocab_size", U32, count),
        pair("llama.context_length", U32, shape["context"]),
        pair("llama.embedding_length", U32, shape["dim"]),
        pair("llama.block_count", U32, shape["layers"]),
        pair("llama.feed_forward_length", U32, shape["ffn"]),
        pair("llama.attention.head_count", U32, shape["heads"]),
        pair("llama.attention.head_count_kv", U32, shape["kv_heads"]),
        pair("llama.attention.key_length", U32, shape["dim"] // shape["heads"]),
        pair("llama.attention.value_length", U32, shape["dim"] // shape["heads"]),
        pair("llama.attention.layer_norm_rms_epsilon", F32, shape["eps"]),
        pair("llama.rope.dimension_count", U32, shape["dim"] // shape["heads"]),
        pair("llama.rope.freq_base", F32, shape["base"]),
        pair("tokenizer.ggml.model", STRING, "gpt2"),
        pair("tokenizer.ggml.pre", STRING, "qwen2"),
        array("tokenizer.ggml.tokens", STRING, tokenizer.tokens),
        array("tokenizer.ggml.token_type", I32, [1] * (count - control) + [3] * control),
        array("tokenizer.ggml.merges", STRING, [" ".join(m) for m in tokenizer.merges]),
        pair("tokenizer.ggml.bos_token_id", U32, ids["<|endoftext|>"]),
        pair("tokenizer.ggml.eos_token_id", U32, ids["<|im_end|>"]),
        pair("tokenizer.ggml.eot_token_id", U32, ids["<|im_end|>"]),
        pair("tokenizer.ggml.padding_token_id", U32, ids["<|endoftext|>"]),
        pair("tokenizer.ggml.add_bos_token", BOOL, False),
        pair("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--model")
    args.add_argument("--tokenizer", required=True)
    args.add_argument("--out", required=True)
    args = args.parse_args()
    tokenizer = train_tokenizer.load(args.tokenizer)
    torch.manual_seed(1)
    net = train.Net(len(tokenizer.tokens))
    if args.model:
        net.load_state_dict(torch.load(args.model, map_location="cpu"))
    infos, data = [], []
    offset = 0
    for name, weight in net.state_dict().items():
        weight = weight.float().numpy()
        kind = TENSOR_Q8_0 if weight.ndim == 2 else TENSOR_F32
        raw = q8_0(weight) if kind == TENSOR_Q8_0 else weight.astype("<f4").tobytes()
        extents = weight.shape[::-1]                   # the contiguous one first
        infos.append(string(name) + struct.pack("<I", len(extents)) + struct.pack(f"<{len(extents)}Q", *extents) + struct.pack("<IQ", kind, offset))
        data.append(raw + bytes(-len(raw) % ALIGNMENT))
        offset += len(data[-1])
    pairs = metadata(tokenizer, train.SHAPE)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) + b"".join(pairs) + b"".join(infos)
    with open(args.out, "wb") as out:
        out.write(head + bytes(-len(head) % ALIGNMENT) + b"".join(data))
    print(f"{args.out}: {len(infos)} tensors, {(len(head) + offset) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
