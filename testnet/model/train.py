#!/usr/bin/env python3
"""How does the text become weights? The network, the packing of documents into rows, and the training loop.

    train.py --text text.txt --valid valid.txt --tokenizer tokenizer.json --out model.pt --minutes 60

Runs on a GPU where there is one (bfloat16) and on the CPU otherwise (float32). The schedule goes
by time spent training, so a run ends when it should on any machine; one that was stopped goes on from its checkpoint.
"""
import argparse
import math
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import train_tokenizer

SHAPE = dict(dim=256, layers=4, heads=4, kv_heads=2, ffn=768, context=1024, base=10000.0, eps=1e-5)
ROW, TOKENS_PER_STEP = 512, 4096                       # every eighth step has rows of 2 * ROW
POOL = 256                                             # documents to choose from when a row is filled


# ---------------------------------------------------------------- the network (llama)

def rotate(x, cos, sin):
    """x (batch, heads, time, head_dim): elements 2i and 2i+1 turn together, by position * base^(-2i / head_dim)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self, dim, heads, kv_heads, ffn, eps, **_):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.attn_norm = nn.RMSNorm(dim, eps=eps)
        self.attn_q = nn.Linear(dim, heads * self.head_dim, bias=False)
        self.attn_k = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.attn_v = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.attn_output = nn.Linear(heads * self.head_dim, dim, bias=False)
        self.ffn_norm = nn.RMSNorm(dim, eps=eps)
        self.ffn_gate = nn.Linear(dim, ffn, bias=False)
        self.ffn_up = nn.Linear(dim, ffn, bias=False)
        self.ffn_down = nn.Linear(ffn, dim, bias=False)

    def forward(self, x, cos, sin):
        b, t, _ = x.shape
        h = self.attn_norm(x)
        q = rotate(self.attn_q(h).view(b, t, self.heads, self.head_dim).transpose(1, 2), cos, sin)
        k = rotate(self.attn_k(h).view(b, t, self.kv_heads, self.head_dim).transpose(1, 2), cos, sin)
        v = self.attn_v(h).view(b, t, self.kv_heads, self.head_dim).transpose(1, 2)
        share = self.heads // self.kv_heads            # query head i reads kv head i // share
        a = F.scaled_dot_product_attention(q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1), is_causal=True)
        x = x + self.attn_output(a.transpose(1, 2).reshape(b, t, -1))
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Net(nn.Module):
    def __init__(self, vocab, shape=SHAPE):
        super().__init__()
        head_dim = shape["dim"] // shape["heads"]
        self.token_embd = nn.Embedding(vocab, shape["dim"])      # also the output head
        self.blk = nn.ModuleList(Layer(**shape) for _ in range(shape["layers"]))
        self.output_norm = nn.RMSNorm(shape["dim"], eps=shape["eps"])
        angle = torch.outer(torch.arange(shape["context"]).double(), shape["base"] ** -(torch.arange(0, head_dim, 2).double() / head_dim))
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=0.02 / (2 * shape["layers"]) ** 0.5 if last else 0.02)

    def forward(self, tokens):
        cos, sin = self.cos[:tokens.shape[1]], self.sin[:tokens.shape[1]]
        x = self.token_embd(tokens)
        for layer in self.blk:
            x = layer(x, cos, sin)
        return F.linear(self.output_norm(x), self.token_embd.weight)

    def loss(self, tokens, targets):
        """Mean over the targets that count (-1: does not)."""
        each = F.cross_entropy(self(tokens).float().flatten(0, 1), targets.flatten().clamp(min=0), reduction="none")
        here = (targets.flatten() >= 0).float()
        return (each * here).sum() / here.sum()


# ---------------------------------------------------------------- the text

def encode(path, tokenizer):
    """Returns (ids, counts, starts). Only what the model says counts in the loss: answers and bare stories."""
    with open(path, encoding="utf-8") as f:
        documents = f.read().split("<|endoftext|>")[:-1]
    ids, counts, starts = [], [], []
    assistant = tokenizer.encode("<|im_start|>assistant\n")
    end, stop = tokenizer.id["<|im_end|>"], tokenizer.id["<|endoftext|>"]
    for document in documents:
        doc = tokenizer.encode(document) + [stop]
        starts.append(len(ids))
        ids += doc
        if doc[0] != assistant[0]:
            counts += [1] * len(doc)
            continue
        speaking = 0
        for i, token in enumerate(doc):
            counts.append(speaking)
            if token == end:
                speaking = 0
            elif doc[i - len(assistant) + 1:i + 1] == assistant:
                speaking = 1
    return np.array(ids, np.uint16), np.array(counts, np.uint8), np.array(starts + [len(ids)])


def encoded(path, tokenizer):
    """Encoding takes minutes, so it is kept beside the text."""
    kept = path + ".npz"
    if not os.path.exists(kept):
        ids, counts, starts = encode(path, tokenizer)
        np.savez(kept, ids=ids, counts=counts, starts=starts)
    data = np.load(kept)
    return data["ids"], data["counts"], data["starts"]


class Rows:
    """Fills rows with whole documents: of POOL candidates always the longest that still fits."""

    def __init__(self, data, seed=0):
        self.ids, self.counts, self.starts = data
        self.order = np.random.default_rng(seed).permutation(len(self.starts) - 1)
        self.at, self.pool = 0, []

    def document(self, room):
        while len(self.pool) < POOL:
            i = self.order[self.at % len(self.order)]
            self.at += 1
            self.pool.append((self.starts[i], self.starts[i + 1]))
        fitting = [k for k, (a, b) in enumerate(self.pool) if b - a <= room]
        return self.pool.pop(max(fitting, key=lambda k: self.pool[k][1] - self.pool[k][0])) if fitting else None

    def row(self, length):
        tokens, targets = np.zeros(length + 1, np.int64), np.full(length + 1, -1, np.int64)
        if self.pool and len(self.pool) == POOL:       # the first document is any one, the others fill up
            a, b = self.pool.pop(0)
        else:
            a, b = self.document(length + 1)
        used = 0
        while True:
            n = min(b - a, length + 1 - used)
            tokens[used:used + n] = self.ids[a:a + n]
            targets[used:used + n] = np.where(self.counts[a:a + n], self.ids[a:a + n].astype(np.int64), -1)
            targets[used] = -1                         # nothing predicts the beginning of a document
            used += n
            found = self.document(length + 1 - used)
            if found is None:
                return tokens[:-1], targets[1:]
            a, b = found

    def batch(self, length):
        rows = [self.row(length) for _ in range(TOKENS_PER_STEP // length)]
        return torch.tensor(np.stack([r[0] for r in rows])), torch.tensor(np.stack([r[1] for r in rows]))


# ---------------------------------------------------------------- training

class Muon(torch.optim.Optimizer):
    """For matrices: momentum, made orthogonal by five Newton-Schulz steps."""

    def __init__(self, params, lr, momentum=0.95, decay=0.02):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                m = state.setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["momentum"])
                x = p.grad.lerp(m, group["momentum"])
                tall = x.shape[0] > x.shape[1]
                x = x.T if tall else x
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x.T if tall else x
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(x, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def schedule(step, done):
    """Up in 50 steps, flat to 40 % of the time, then down along a cosine to almost nothing."""
    if step < 50:
        return (step + 1) / 50
    t = max(0.0, (done - 0.4) / 0.6)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, t)))


@torch.no_grad()
def held_out(loss, data, device, batches=24):
    rows = Rows(data, seed=1)
    total = [loss(*(t.to(device) for t in rows.batch(ROW))).item() for _ in range(batches)]
    return sum(total) / len(total)


@torch.no_grad()
def sample(net, tokenizer, prompt, device, count=200, temperature=0.7):
    torch.manual_seed(1)
    ids = tokenizer.encode(prompt)
    for _ in range(count):
        logits = net(torch.tensor([ids[-SHAPE["context"]:]], device=device))[0, -1].float()
        token = torch.multinomial((logits / temperature).softmax(-1), 1).item() if temperature else logits.argmax().item()
        if token >= len(tokenizer.tokens) - len(train_tokenizer.CONTROL):
            break
        ids.append(token)
    return tokenizer.decode(ids[len(tokenizer.encode(prompt)):])


PROMPTS = ["Tell me a story about a fox and a lantern.", "Who are you?", "what is a tally stick", "Why is the sea salty?",
           "Write a poem about a helicopter.", "a story about Zorblat and a quantum toaster", "I am sad.", "What is 7 + 5?"]


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--text", required=True)
    args.add_argument("--valid", required=True)
    args.add_argument("--tokenizer", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--minutes", type=float, default=60)
    args.add_argument("--lr", type=float, default=0.02)
    args.add_argument("--threads", type=int, default=2)
    args = args.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    tokenizer = train_tokenizer.load(args.tokenizer)
    data, valid = encoded(args.text, tokenizer), encoded(args.valid, tokenizer)
    print(f"{len(data[0]) / 1e6:.1f}M tokens, {data[1].mean():.2f} of them count; {device}", flush=True)
    net = Net(len(tokenizer.tokens)).to(device)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.3f}M parameters", flush=True)
    matrices = [p for n, p in net.named_parameters() if p.dim() == 2 and n.startswith("blk")]
    others = [p for n, p in net.named_parameters() if p.dim() != 2 or not n.startswith("blk")]
    optimizers = [Muon(matrices, lr=args.lr), torch.optim.AdamW(others, lr=args.lr / 6, betas=(0.9, 0.95), weight_decay=0.0)]
    rows, step, spent, state_path = Rows(data), 0, 0.0, args.out + ".state"
    if os.path.exists(state_path):
        state = torch.load(state_path, map_location=device, weights_only=False)
        net.load_state_dict(state["net"])
        for o, s in zip(optimizers, state["optimizers"]):
            o.load_state_dict(s)
        step, spent, rows.at, rows.pool = state["step"], state["spent"], state["at"], state["pool"]
        print(f"going on from step {step}", flush=True)

    def plain(tokens, targets):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            return net.loss(tokens, targets)

    loss = torch.compile(plain, dynamic=False)

    def save():
        torch.save(net.state_dict(), args.out)
        torch.save(dict(net=net.state_dict(), optimizers=[o.state_dict() for o in optimizers], step=step, spent=spent, at=rows.at, pool=rows.pool), state_path + ".new")
        os.replace(state_path + ".new", state_path)

    seen, mean = 0, None
    while spent < args.minutes * 60:
        began = time.time()
        for o, lr in zip(optimizers, (args.lr, args.lr / 6)):
            for group in o.param_groups:
                group["lr"] = lr * schedule(step, spent / (args.minutes * 60))
        tokens, targets = (t.to(device) for t in rows.batch(2 * ROW if step % 8 == 7 else ROW))
        value = loss(tokens, targets)
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for o in optimizers:
            o.step()
        net.zero_grad(set_to_none=True)
        step, seen, spent = step + 1, seen + tokens.numel(), spent + time.time() - began
        mean = value.item() if mean is None else 0.95 * mean + 0.05 * value.item()
        if step % 50 == 0:
            print(f"step {step} loss {mean:.4f} {tokens.numel() / (time.time() - began):.0f} tokens/s {spent / 60:.1f} min", flush=True)
        if step % 200 == 0:
            save()
    save()
    print(f"step {step} held-out loss {held_out(loss, valid, device):.4f}", flush=True)
    for prompt in PROMPTS:
        print(f"> {prompt}\n{sample(net, tokenizer, f'<|im_start|>user{chr(10)}{prompt}<|im_end|>{chr(10)}<|im_start|>assistant{chr(10)}', device)}\n", flush=True)


if __name__ == "__main__":
    main()
