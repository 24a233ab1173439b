#!/usr/bin/env python3
"""Does the file say what we think it says? An independent reader and forward pass in numpy: the reference for engines.

    check.py MODEL.gguf "Tell me a story about a fox and a lantern."     answers (greedy; --temperature for sampling)
    check.py MODEL.gguf --loss valid.txt [--documents 40]                mean loss over what the model says
    check.py MODEL.gguf --logits "text"                                  the last logits: top ten and a digest
    check.py MODEL.gguf --prompts prompts.txt                            one answer for each line

It shares no code with train.py and export_gguf.py. Everything is computed in float64 from the stored weights.
"""
import argparse
import hashlib
import struct
import sys

import numpy as np
import regex


# ---------------------------------------------------------------- the file

class Reader:
    SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        value, = struct.unpack_from("<" + form, self.raw, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        n = self.take("Q")
        self.at += n
        return self.raw[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            kind, n = self.take("I"), self.take("Q")
            return [self.value(kind) for _ in range(n)]
        return self.take(self.SCALARS[kind])


def tensor(raw, kind, extents):
    """Float64, shape (rows, columns)."""
    shape, n = extents[::-1], int(np.prod(extents))
    if kind == 0:
        return np.frombuffer(raw, "<f4", n).astype(np.float64).reshape(shape)
    if kind == 8:
        blocks = np.frombuffer(raw, np.dtype([("d", "<f2"), ("q", "i1", 32)]), n // 32)
        return (blocks["d"].astype(np.float64)[:, None] * blocks["q"]).reshape(shape)
    raise ValueError(f"tensor type {kind} is not read here")


def load(path):
    with open(path, "rb") as f:
        r = Reader(f.read())
    assert r.raw[:4] == b"GGUF", "not a GGUF file"
    r.at = 4
    assert r.take("I") == 3, "not version 3"
    tensors, pairs = r.take("Q"), r.take("Q")
    meta = {}
    for _ in range(pairs):
        key = r.string()
        meta[key] = r.value(r.take("I"))
    infos = []
    for _ in range(tensors):
        name = r.string()
        extents = [r.take("Q") for _ in range(r.take("I"))]
        infos.append((name, extents, r.take("I"), r.take("Q")))
    alignment = meta.get("general.alignment", 32)
    start = -(-r.at // alignment) * alignment
    return meta, {name: tensor(r.raw[start + offset:], kind, extents) for name, extents, kind, offset in infos}


# ---------------------------------------------------------------- the tokenizer

QWEN2 = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


class Vocabulary:
    def __init__(self, meta):
        assert (meta["tokenizer.ggml.model"], meta["tokenizer.ggml.pre"]) == ("gpt2", "qwen2")
        self.tokens = meta["tokenizer.ggml.tokens"]
        self.id = {t: i for i, t in enumerate(self.tokens)}
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(meta["tokenizer.ggml.merges"])}
        self.control = [t for t, kind in zip(self.tokens, meta["tokenizer.ggml.token_type"]) if kind == 3]
        self.end = {self.id[t] for t in ("<|im_end|>", "<|endoftext|>")}
        visible = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
        hidden = [b for b in range(256) if b not in visible]
        self.letter = {b: chr(b) for b in visible} | {b: chr(256 + i) for i, b in enumerate(hidden)}
        self.byte = {c: b for b, c in self.letter.items()}

    def plain(self, text):
        """Text without control tokens."""
        ids = []
        for word in QWEN2.findall(text):
            parts = [self.letter[b] for b in word.encode()]
            while True:
                ranked = [(self.rank[p], i) for i, p in enumerate(zip(parts, parts[1:])) if p in self.rank]
                if not ranked:
                    break
                _, i = min(ranked)
                parts[i:i + 2] = [parts[i] + parts[i + 1]]
            ids += [self.id[p] for p in parts]
        return ids

    def encode(self, text):
        pieces = regex.split("(" + "|".join(map(regex.escape, self.control)) + ")", text)
        return [i for piece in pieces for i in ([self.id[piece]] if piece in self.control else self.plain(piece))]

    def decode(self, ids):
        return b"".join(bytes(self.byte[c] for c in self.tokens[i]) for i in ids if self.tokens[i] not in self.control).decode("utf-8", "replace")


def render(messages):
    """What tokenizer.chat_template says, with add_generation_prompt."""
    return "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in messages) + "<|im_start|>assistant\n"


# ---------------------------------------------------------------- the forward pass

def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class Model:
    def __init__(self, path):
        self.meta, self.w = load(path)
        get = lambda key: self.meta["llama." + key]
        self.layers, self.heads, self.kv_heads = get("block_count"), get("attention.head_count"), get("attention.head_count_kv")
        self.head_dim, self.eps, self.base = get("attention.key_length"), get("attention.layer_norm_rms_epsilon"), get("rope.freq_base")
        self.context = get("context_length")
        self.vocabulary = Vocabulary(self.meta)
        self.head = self.w.get("output.weight", self.w["token_embd.weight"])
        self.reset()

    def reset(self):
        self.keys = [np.zeros((self.kv_heads, 0, self.head_dim)) for _ in range(self.layers)]
        self.values = [np.zeros((self.kv_heads, 0, self.head_dim)) for _ in range(self.layers)]

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps) * self.w[name]

    def rotate(self, x, first):
        """x (heads, time, head_dim): elements 2i and 2i+1 turn by position * base^(-2i / head_dim)."""
        angle = np.outer(first + np.arange(x.shape[1]), self.base ** (-np.arange(0, self.head_dim, 2) / self.head_dim))
        cos, sin = np.cos(angle), np.sin(angle)
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out

    def attend(self, layer, h):
        time, past = len(h), self.keys[layer].shape[1]
        split = lambda name, heads: (h @ self.w[f"blk.{layer}.attn_{name}.weight"].T).reshape(time, heads, self.head_dim).transpose(1, 0, 2)
        q = self.rotate(split("q", self.heads), past)
        self.keys[layer] = np.concatenate([self.keys[layer], self.rotate(split("k", self.kv_heads), past)], axis=1)
        self.values[layer] = np.concatenate([self.values[layer], split("v", self.kv_heads)], axis=1)
        later = np.arange(past + time)[None, :] > past + np.arange(time)[:, None]
        out = []
        for head in range(self.heads):
            kv = head // (self.heads // self.kv_heads)
            scores = q[head] @ self.keys[layer][kv].T / np.sqrt(self.head_dim)
            out.append(softmax(np.where(later, -np.inf, scores)) @ self.values[layer][kv])
        return np.concatenate(out, axis=-1) @ self.w[f"blk.{layer}.attn_output.weight"].T

    def forward(self, ids):
        """Logits (time, vocabulary) of new tokens after those already seen."""
        x = self.w["token_embd.weight"][ids]
        for layer in range(self.layers):
            at = f"blk.{layer}."
            x = x + self.attend(layer, self.norm(x, at + "attn_norm.weight"))
            h = self.norm(x, at + "ffn_norm.weight")
            gate = h @ self.w[at + "ffn_gate.weight"].T
            x = x + (gate / (1 + np.exp(-gate)) * (h @ self.w[at + "ffn_up.weight"].T)) @ self.w[at + "ffn_down.weight"].T
        return self.norm(x, "output_norm.weight") @ self.head.T

    def generate(self, prompt, count=256, temperature=0.0, seed=1):
        self.reset()
        rng, v = np.random.default_rng(seed), self.vocabulary
        ids, out = v.encode(prompt), []
        logits = self.forward(ids)[-1]
        while len(out) < min(count, self.context - len(ids)):
            token = int(logits.argmax()) if temperature == 0 else int(rng.choice(len(logits), p=softmax(logits / temperature)))
            if token in v.end:
                break
            out.append(token)
            logits = self.forward([token])[-1]
        return v.decode(out)


# ---------------------------------------------------------------- what can be asked

def loss(model, path, documents):
    """Mean over the tokens that the model itself says, with the perplexity."""
    v, total, count = model.vocabulary, 0.0, 0
    start = v.encode("<|im_start|>assistant\n")
    with open(path, encoding="utf-8") as f:
        texts = f.read().split("<|endoftext|>")[:documents]
    for text in texts:
        ids = v.encode(text + "<|endoftext|>")[:model.context]
        model.reset()
        p = np.log(softmax(model.forward(ids[:-1])))
        speaking = ids[0] != start[0]
        for i in range(1, len(ids)):
            speaking = speaking or ids[i - len(start):i] == start
            if speaking:
                total, count = total - p[i - 1, ids[i]], count + 1
            if ids[i] == v.id["<|im_end|>"]:
                speaking = False
    return total / count, count


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("model")
    args.add_argument("prompt", nargs="*", help="messages by turns: user, assistant, user ...")
    args.add_argument("--system")
    args.add_argument("--raw", action="store_true", help="no chat template: go on with the text")
    args.add_argument("--temperature", type=float, default=0.0)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--tokens", type=int, default=256)
    args.add_argument("--loss")
    args.add_argument("--documents", type=int, default=40)
    args.add_argument("--logits")
    args.add_argument("--prompts")
    args = args.parse_args()
    model = Model(args.model)
    if args.loss:
        value, count = loss(model, args.loss, args.documents)
        print(f"loss {value:.4f}, perplexity {np.exp(value):.3f}, over {count} tokens")
    if args.logits is not None:
        ids = model.vocabulary.encode(args.logits)
        last = model.forward(ids)[-1]
        print("tokens", ids)
        print("top", [(int(i), round(float(last[i]), 5)) for i in np.argsort(-last)[:10]])
        print("digest of round(1000 * logits):", hashlib.blake2b(np.round(last * 1000).astype("<i4").tobytes(), digest_size=16).hexdigest())
    system = [("system", args.system)] if args.system else []
    if args.prompt:
        roles = ["user", "assistant"] * len(args.prompt)
        prompt = args.prompt[0] if args.raw else render(system + list(zip(roles, args.prompt)))
        print(model.generate(prompt, args.tokens, args.temperature, args.seed))
    if args.prompts:
        for line in open(args.prompts, encoding="utf-8") if args.prompts != "-" else sys.stdin:
            print(f"> {line.strip()}\n{model.generate(render(system + [('user', line.strip())]), args.tokens, args.temperature, args.seed)}\n", flush=True)


if __name__ == "__main__":
    main()
