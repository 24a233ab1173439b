"""The llama network in float64, from a GGUF file: what an engine's numbers are compared with.

Shares nothing with kernels/: the container is read and the blocks are decoded by the `gguf` package, the network is
written from the papers. Positions of a whole sequence are computed at once.

Any step may be made inexact on purpose (class Inexact), so that one can ask which rounding of an engine costs what. That
is an emulation of *what* is rounded, in float64, not of the bits of NV1.
"""
import dataclasses

import gguf
import numpy as np


# ---------------------------------------------------------------- rounding on purpose

def to_int(x, group, levels=127, fp16_scale=False):
    """Rounds the last axis in groups to integers up to `levels` times one scale each."""
    n = x.shape[-1]
    group = min(group, n) if group else n
    pad = -n % group
    blocks = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, pad)]).reshape(*x.shape[:-1], -1, group)
    d = np.abs(blocks).max(axis=-1, keepdims=True) / levels
    q = np.rint(np.divide(blocks, d, out=np.zeros_like(blocks), where=d > 0))
    d = d.astype(np.float16).astype(np.float64) if fp16_scale else d
    return (q * d).reshape(*x.shape[:-1], n + pad)[..., :n]


def to_fp16(x):
    return x.astype(np.float16).astype(np.float64)


def hadamard(n):
    """Orthogonal, of the largest power of two that divides n, repeated along the diagonal."""
    h = np.ones((1, 1))
    while n % (2 * len(h)) == 0:
        h = np.block([[h, h], [h, -h]]) / np.sqrt(2)
    return np.kron(np.eye(n // len(h)), h)


@dataclasses.dataclass
class Inexact:
    """Functions of the last axis; None leaves the step exact."""
    act: object = None            # inputs of a product with a quantised matrix, by weight type
    q: object = None              # queries, keys, values of one head
    k: object = None
    v: object = None
    p_levels: int = 0             # softmax weights times value scales, per 64 positions
    rotated: bool = False         # queries and keys times a Hadamard matrix before they are rounded
    skip: tuple = ()              # substrings of matrix names whose input stays exact


def by_type(wide, short):
    """Blocks of `wide` for the 256-value types and of `short` for the 32-value ones."""
    return lambda x, kind: (wide if gguf.GGML_QUANT_SIZES[kind][0] == 256 else short)(x)


def any_type(f):
    return lambda x, kind: f(x)


# ---------------------------------------------------------------- the model

class Model:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.meta = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")}
        assert self.meta["general.architecture"] == "llama"
        self.kind = {t.name: t.tensor_type for t in reader.tensors}
        self.w = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64) for t in reader.tensors}
        get = lambda key, other=None: self.meta.get("llama." + key, other)
        self.layers, self.heads = get("block_count"), get("attention.head_count")
        self.kv_heads = get("attention.head_count_kv", self.heads)
        self.head_dim = get("attention.key_length", get("embedding_length") // self.heads)
        self.rope_dims = get("rope.dimension_count", self.head_dim)
        self.eps, self.base = get("attention.layer_norm_rms_epsilon"), get("rope.freq_base", 10000.0)
        self.factor = get("rope.scaling.factor", 1.0) if get("rope.scaling.type") == "linear" else 1.0
        self.head = "output.weight" if "output.weight" in self.w else "token_embd.weight"
        self.vocab = self.w[self.head].shape[0]

    def product(self, x, name, how):
        kind = self.kind[name]
        plain = kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16)
        if how.act and not plain and not any(s in name for s in how.skip):
            x = how.act(x, kind)
        return x @ self.w[name].T

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.eps) * self.w[name]

    def rotate(self, x):
        """x (time, heads, head_dim): elements 2i and 2i+1 turn by position * base^(-2i / rope_dims)."""
        rate = self.base ** (-np.arange(0, self.rope_dims, 2) / self.rope_dims) / self.factor
        rate = rate / self.w.get("rope_freqs.weight", 1.0)
        angle = np.outer(np.arange(len(x)), rate)[:, None, :]
        out, r = x.copy(), self.rope_dims
        out[..., 0:r:2] = x[..., 0:r:2] * np.cos(angle) - x[..., 1:r:2] * np.sin(angle)
        out[..., 1:r:2] = x[..., 0:r:2] * np.sin(angle) + x[..., 1:r:2] * np.cos(angle)
        return out

    def attend(self, at, h, how):
        time, per = len(h), self.heads // self.kv_heads
        split = lambda name, heads: self.product(h, at + name, how).reshape(time, heads, self.head_dim)
        q, k = self.rotate(split("attn_q.weight", self.heads)), self.rotate(split("attn_k.weight", self.kv_heads))
        v = split("attn_v.weight", self.kv_heads)
        if how.rotated:
            q, k = q @ hadamard(self.head_dim), k @ hadamard(self.head_dim)
        scales = np.abs(v).max(axis=-1) / 127
        q, k, v = (f(x) if f else x for f, x in ((how.q, q), (how.k, k), (how.v, v)))
        later = np.triu(np.ones((time, time), bool), 1)
        out = np.empty((time, self.heads, self.head_dim))
        for i in range(self.heads):
            s = np.where(later, -np.inf, q[:, i] @ k[:, i // per].T / np.sqrt(self.head_dim))
            p = np.exp(s - s.max(axis=-1, keepdims=True))
            total = p.sum(axis=-1, keepdims=True)
            if how.p_levels:                       # NV1 7.3: what is rounded is p times the scale of its value
                d = np.where(scales[:, i // per] > 0, scales[:, i // per], 1)
                p = to_int(p * d, 64, how.p_levels) / d
            out[:, i] = p @ v[:, i // per] / total
        return self.product(out.reshape(time, -1), at + "attn_output.weight", how)

    def forward(self, ids, how=Inexact()):
        """Logits (time, vocab)."""
        x = self.w["token_embd.weight"][ids]
        for layer in range(self.layers):
            at = f"blk.{layer}."
            x = x + self.attend(at, self.norm(x, at + "attn_norm.weight"), how)
            h = self.norm(x, at + "ffn_norm.weight")
            gate = self.product(h, at + "ffn_gate.weight", how)
            gate = gate / (1 + np.exp(-gate)) * self.product(h, at + "ffn_up.weight", how)
            x = x + self.product(gate, at + "ffn_down.weight", how)
        return self.product(self.norm(x, "output_norm.weight"), self.head, how)


# ---------------------------------------------------------------- what is compared

def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def divergence(right, other):
    """KL(right || other) of each position, in nats, from logits."""
    a, b = log_softmax(np.asarray(right, np.float64)), log_softmax(np.asarray(other, np.float64))
    return (np.exp(a) * (a - b)).sum(axis=-1)


def surprise(logits, ids):
    """Minus the log probability of each next token."""
    return -log_softmax(np.asarray(logits, np.float64)[:-1])[np.arange(len(ids) - 1), ids[1:]]


def bootstrap(values, statistic=np.mean, block=32, rounds=1000, seed=1):
    """Mean and its 95 % interval, resampling blocks of neighbouring positions: they are not independent."""
    rng = np.random.default_rng(seed)
    n = len(values) // block
    blocks = np.asarray(values)[:n * block].reshape(n, block, *np.shape(values)[1:])
    means = [statistic(blocks[rng.integers(0, n, n)].reshape(n * block, *np.shape(values)[1:])) for _ in range(rounds)]
    return statistic(values), *np.percentile(means, (2.5, 97.5))
