#!/usr/bin/env python3
"""Prints market.txt from the tables of docs/protocol-market.md, with an encoder of its own (docs/protocol.md 2.1).

Not run by the tests: `python3 tests/vectors/make_market.py | diff - tests/vectors/market.txt` says whether the second
implementation still agrees. The field values are those of tests/agent/messages.c.
"""


def enc(v):
    if isinstance(v, int):
        for limit, tag, size in ((0x80, b"", 1), (1 << 8, b"\xcc", 1), (1 << 16, b"\xcd", 2), (1 << 32, b"\xce", 4), (1 << 64, b"\xcf", 8)):
            if v < limit:
                return tag + v.to_bytes(size, "big")
    if isinstance(v, bytes):
        for limit, tag, size in ((1 << 8, b"\xc4", 1), (1 << 16, b"\xc5", 2), (1 << 32, b"\xc6", 4)):
            if len(v) < limit:
                return tag + len(v).to_bytes(size, "big") + v
    head = bytes([0x90 | len(v)]) if len(v) < 16 else b"\xdc" + len(v).to_bytes(2, "big")
    return head + b"".join(enc(x) for x in v)


def h(n):
    return bytes([n]) * 32


def sig(n):
    return bytes([n]) * 64


Z = b"\x5a"
messages = [
    ("offer", [1, b"\1" * 16, h(2), h(3), h(4), 20, 0, 100, 1, 100, 400, 0, b"DEFR", 0, 0, b"", 2000]),
    ("bid", [1, h(5), h(6), 100, 50, 400, 12, h(7), 2000, b"", 0, 0, 3]),
    ("signed_msg", [Z * 30, sig(21)]),
    ("decline", [h(22), 12, 20000, 38000]),
    ("terms_msg", [Z * 70, sig(23), Z * 100]),
    ("prompt_msg", [h(8), 42, [0, 100, 200]]),
    ("ok_msg", [h(24), 3, sig(25)]),
    ("chunk_msg", [h(9), 32, [7, 8]]),
    ("claim_msg", [Z * 40, sig(10), h(11), 0]),
    ("receipt_msg", [Z * 50, sig(12), b"", b""]),
    ("cancel_msg", [h(26), 1]),
    ("resync_msg", [3, h(14), 0, h(0)]),
    ("adopt_msg", [2, Z * 60, sig(16), sig(17), 0]),
    ("kept_msg", [Z * 40, b"", sig(19), sig(20)]),
    ("header_get", [h(27), 32768]),
    ("header_part", [h(28), 0, 500, h(29), Z * 500]),
]

print("# Messages of the market and of jobs (docs/protocol-market.md), one sample each: tests/agent/messages.c.")
for name, fields in messages:
    print(name, enc(fields).hex())
