#!/usr/bin/env python3
"""Which pieces does the model read and write? Byte-level BPE: 256 bytes, learned merges, three control tokens.

    train_tokenizer.py --text text.txt --out tokenizer.json [--vocab 2048]

Also the tokenizer itself (class Tokenizer) for train.py and check.py. The split pattern is the
published one of qwen2; tokens are written in the printable alphabet that GGUF wants.
"""
import argparse
import collections
import heapq
import json

import regex

PATTERN = regex.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def alphabet():
    """Byte -> printable character: the visible Latin-1 ones stay, the others move to U+0100 upward."""
    stay = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [b for b in range(256) if b not in stay]
    return {**{b: chr(b) for b in stay}, **{b: chr(256 + i) for i, b in enumerate(moved)}}


ALPHABET = alphabet()
BYTE = {c: b for b, c in ALPHABET.items()}


def printable(text):
    return "".join(ALPHABET[b] for b in text.encode())


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.tokens = [ALPHABET[b] for b in range(256)] + ["".join(m) for m in self.merges] + CONTROL
        self.id = {t: i for i, t in enumerate(self.tokens)}
        self.split = regex.compile("(" + "|".join(map(regex.escape, CONTROL)) + ")")
        self.cache = {}

    def word(self, word):
        """Merges the pair of lowest rank until none is left."""
        parts = list(printable(word))
        while len(parts) > 1:
            best = min(range(len(parts) - 1), key=lambda i: self.rank.get((parts[i], parts[i + 1]), 1 << 30))
            if (parts[best], parts[best + 1]) not in self.rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return [self.id[p] for p in parts]

    def encode(self, text, control=True):
        ids = []
        for piece in self.split.split(text) if control else [text]:
            if control and piece in CONTROL:
                ids.append(self.id[piece])
                continue
            for word in PATTERN.findall(piece):
                if word not in self.cache:
                    self.cache[word] = self.word(word)
                ids += self.cache[word]
        return ids

    def decode(self, ids):
        first_control = len(self.tokens) - len(CONTROL)
        raw = b"".join(self.tokens[i].encode() if i >= first_control else bytes(BYTE[c] for c in self.tokens[i]) for i in ids)
        return raw.decode("utf-8", "replace")


def load(path):
    with open(path, encoding="utf-8") as f:
        return Tokenizer(json.load(f)["merges"])


def learn(counts, merge_count):
    """counts: word -> how often. The most frequent pair becomes one token, again and again."""
    words = [(list(printable(w)), n) for w, n in sorted(counts.items())]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (parts, n) in enumerate(words):
        for pair in zip(parts, parts[1:]):
            pairs[pair] += n
            where[pair].add(i)
    heap = [(-n, p) for p, n in pairs.items()]
    heapq.heapify(heap)
    merges = []
    while len(merges) < merge_count and heap:
        n, pair = heapq.heappop(heap)
        if pairs[pair] != -n:                          # an old entry; the current one is elsewhere in the heap
            continue
        merges.append(pair)
        touched = set()
        for i in where.pop(pair):
            parts, count = words[i]
            for p in zip(parts, parts[1:]):
                pairs[p] -= count
                touched.add(p)
            at, joined = 0, []
            while at < len(parts):
                if parts[at:at + 2] == list(pair):
                    joined.append(pair[0] + pair[1])
                    at += 2
                else:
                    joined.append(parts[at])
                    at += 1
            words[i] = (joined, count)
            for p in zip(joined, joined[1:]):
                pairs[p] += count
                where[p].add(i)
                touched.add(p)
        for p in touched:
            if pairs[p] > 0 and p != pair:
                heapq.heappush(heap, (-pairs[p], p))
    return merges


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--text", required=True)
    args.add_argument("--out", required=True)
    args.add_argument("--vocab", type=int, default=2048)
    args = args.parse_args()
    with open(args.text, encoding="utf-8") as f:
        text = f.read()
    counts = collections.Counter()
    for piece in regex.split("|".join(map(regex.escape, CONTROL)), text):
        counts.update(PATTERN.findall(piece))
    merges = learn(counts, args.vocab - 256 - len(CONTROL))
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump({"merges": merges}, out, ensure_ascii=False)
    tokenizer = load(args.out)
    sample = text[:1_000_000]
    print(f"{len(counts)} different words; {len(sample.encode()) / len(tokenizer.encode(sample)):.3f} bytes per token")


if __name__ == "__main__":
    main()
