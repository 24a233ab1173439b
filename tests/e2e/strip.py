"""strip.py IN OUT WHAT - a receipt bundle (docs/protocol-ledger.md, 7.10) without some of its elements, or with invented ones.

WHAT: bare      terms and their signatures alone
      frame     terms and opening, digests that nobody signed
      unsigned  claim and receipt without the provider's signatures
"""
import sys


def read(b, i):
    t = b[i]
    if t < 0x80:
        return t, i + 1
    if 0x90 <= t <= 0x9f or t == 0xdc:
        n, i = (t & 15, i + 1) if t != 0xdc else (int.from_bytes(b[i + 1:i + 3], "big"), i + 3)
        items = []
        for _ in range(n):
            v, i = read(b, i)
            items.append(v)
        return items, i
    if t in (0xc4, 0xc5, 0xc6):
        w = 1 << (t - 0xc4)
        n = int.from_bytes(b[i + 1:i + 1 + w], "big")
        return b[i + 1 + w:i + 1 + w + n], i + 1 + w + n
    w = 1 << (t - 0xcc)
    return int.from_bytes(b[i + 1:i + 1 + w], "big"), i + 1 + w


def sized(head, n):
    w = 0 if n < 1 << 8 else 1 if n < 1 << 16 else 2 if n < 1 << 32 else 3
    return bytes([head + w]) + n.to_bytes(1 << w, "big")


def write(v):
    if isinstance(v, int):
        return bytes([v]) if v < 0x80 else sized(0xcc, v)
    if isinstance(v, bytes):
        return sized(0xc4, len(v)) + v
    return bytes([0x90 + len(v)]) + b"".join(map(write, v))


source, target, what = sys.argv[1:]
b, _ = read(open(source, "rb").read(), 0)
none = bytes(64)
if what in ("bare", "frame"):
    b[6:9] = b[10:13] = [b"", none, none]
    b[13] = []
if what == "bare":
    b[4], b[5], b[9], b[14] = [], [], b"", []
if what == "frame":
    b[9] = bytes(len(b[9]))
if what == "unsigned":
    b[7] = b[11] = none
open(target, "wb").write(write(b))
