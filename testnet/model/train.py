#!/usr/bin/env python3
"""How does the text become weights? The network, the sorting of documents into batches, and the training loop.

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
TOKENS_PER_STEP = 4096                                 # at most, padding included
POOL = 1024                                            # documents that are sorted by length together
COMMON = 200                                           # so many tokens are too frequent to be worth copying
KEPT = 3                                               # how much more a rare token counts that was said before


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

    def loss(self, tokens, targets, weights):
        """The mean over the targets, each with its weight."""
        each = F.cross_entropy(self(tokens).float().flatten(0, 1), targets.flatten(), reduction="none")
        return (each * weights.flatten()).sum() / weights.sum()


# ---------------------------------------------------------------- the text

def encode(path, tokenizer):
    """Returns (ids, weights, starts). Only what the model says counts in the loss: answers and bare stories.

    Names are a small share of all tokens and the whole of keeping to a subject, so a rare token that was said before
    in the same document (by the user, or earlier in the story) counts KEPT times.
    """
    with open(path, encoding="utf-8") as f:
        documents = f.read().split("<|endoftext|>")[:-1]
    ids, starts = [], [0]
    for document in documents:
        ids += tokenizer.encode(document) + [tokenizer.id["<|endoftext|>"]]
        starts.append(len(ids))
    ids, starts = np.array(ids, np.uint16), np.array(starts)
    common = set(np.argsort(-np.bincount(ids, minlength=len(tokenizer.tokens)))[:COMMON].tolist())
    assistant, end = tokenizer.encode("<|im_start|>assistant\n"), tokenizer.id["<|im_end|>"]
    weights = np.zeros(len(ids), np.uint8)
    for a, b in zip(starts, starts[1:]):
        doc, said = ids[a:b].tolist(), set()
        speaking = doc[0] != assistant[0]              # a bare story counts from its beginning
        for i, token in enumerate(doc):
            weights[a + i] = (KEPT if token in said else 1) if speaking else 0
            if token not in common:
                said.add(token)
            if doc[0] == assistant[0]:
                speaking = speaking and token != end or doc[max(0, i - len(assistant) + 1):i + 1] == assistant
    return ids, weights, starts


def encoded(path, tokenizer):
    """Encoding takes minutes, so it is kept beside the text."""
    kept = path + ".npz"
    if not os.path.exists(kept):
        ids, weights, starts = encode(path, tokenizer)
        np.savez(kept, ids=ids, weights=weights, starts=starts)
    data = np.load(kept)
    return data["ids"], data["weights"], data["starts"]


class Batches:
    """One document to a row, as it will be when the model is asked; rows of like length together, padded to the longest."""

    def __init__(self, data, seed=0):
        self.ids, self.weights, self.starts = data
        self.seed, self.pool, self.waiting = seed, 0, []
        self.order = np.random.default_rng(seed).permutation(len(self.starts) - 1)

    def refill(self):
        at = self.pool * POOL % max(1, len(self.order) - POOL)
        spans = sorted(((self.starts[i], min(self.starts[i + 1], self.starts[i] + SHAPE["context"] + 1)) for i in self.order[at:at + POOL]), key=lambda s: s[1] - s[0])
        self.waiting, batch = [], []
        for a, b in spans:
            if batch and (len(batch) + 1) * (b - a - 1) > TOKENS_PER_STEP:
                self.waiting.append(batch)
                batch = []
            batch.append((a, b))
        self.waiting.append(batch)
        np.random.default_rng((self.seed, self.pool)).shuffle(self.waiting)
        self.pool += 1

    def next(self):
        """Tokens, targets and weights, each (documents, time)."""
        if not self.waiting:
            self.refill()
        spans = self.waiting.pop()
        shape = (len(spans), max(b - a for a, b in spans) - 1)
        tokens, targets, weights = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        for row, (a, b) in enumerate(spans):
            n = b - a - 1
            tokens[row, :n], targets[row, :n], weights[row, :n] = self.ids[a:b - 1], self.ids[a + 1:b], self.weights[a + 1:b]
        return torch.tensor(tokens), torch.tensor(targets), torch.tensor(weights)


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
def held_out(loss, data, device, batches=40):
    """The mean over what the model says, every token counted once."""
    rows, total, count = Batches(data, seed=1), 0.0, 0.0
    for _ in range(batches):
        tokens, targets, weights = (t.to(device) for t in rows.next())
        weights = (weights > 0).float()
        total, count = total + loss(tokens, targets, weights).item() * weights.sum().item(), count + weights.sum().item()
    return total / count


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
    print(f"{len(data[0]) / 1e6:.1f}M tokens, {(data[1] > 0).mean():.2f} of them count, {(data[1] > 1).mean():.2f} as kept; {device}", flush=True)
    net = Net(len(tokenizer.tokens)).to(device)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.3f}M parameters", flush=True)
    matrices = [p for n, p in net.named_parameters() if p.dim() == 2 and n.startswith("blk")]
    others = [p for n, p in net.named_parameters() if p.dim() != 2 or not n.startswith("blk")]
    optimizers = [Muon(matrices, lr=args.lr), torch.optim.AdamW(others, lr=args.lr / 6, betas=(0.9, 0.95), weight_decay=0.0)]
    rows, step, spent, state_path = Batches(data), 0, 0.0, args.out + ".state"
    if os.path.exists(state_path):
        state = torch.load(state_path, map_location=device, weights_only=False)
        net.load_state_dict(state["net"])
        for o, s in zip(optimizers, state["optimizers"]):
            o.load_state_dict(s)
        step, spent, rows.pool, rows.waiting = state["step"], state["spent"], state["pool"], state["waiting"]
        print(f"going on from step {step}", flush=True)

    def plain(tokens, targets, weights):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            return net.loss(tokens, targets, weights)

    loss = torch.compile(plain, dynamic=True)

    def save():
        torch.save(net.state_dict(), args.out)
        torch.save(dict(net=net.state_dict(), optimizers=[o.state_dict() for o in optimizers], step=step, spent=spent, pool=rows.pool, waiting=rows.waiting), state_path + ".new")
        os.replace(state_path + ".new", state_path)

    seen, mean, began_all = 0, None, time.time()
    while spent < args.minutes * 60:
        began = time.time()
        for o, lr in zip(optimizers, (args.lr, args.lr / 6)):
            for group in o.param_groups:
                group["lr"] = lr * schedule(step, spent / (args.minutes * 60))
        tokens, targets, weights = (t.to(device) for t in rows.next())
        value = loss(tokens, targets, weights)
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for o in optimizers:
            o.step()
        net.zero_grad(set_to_none=True)
        step, seen, spent = step + 1, seen + int((targets > 0).sum()), spent + time.time() - began
        mean = value.item() if mean is None else 0.95 * mean + 0.05 * value.item()
        if step % 50 == 0:
            print(f"step {step} loss {mean:.4f} {seen / (time.time() - began_all):.0f} tokens/s {spent / 60:.1f} min", flush=True)
        if step % 200 == 0:
            save()
    save()
    print(f"step {step} held-out loss {held_out(loss, valid, device):.4f}", flush=True)
    for prompt in PROMPTS:
        print(f"> {prompt}\n{sample(net, tokenizer, f'<|im_start|>user{chr(10)}{prompt}<|im_end|>{chr(10)}<|im_start|>assistant{chr(10)}', device)}\n", flush=True)


if __name__ == "__main__":
    main()
