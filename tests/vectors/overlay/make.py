#!/usr/bin/env python3
"""Writes overlay.txt: golden frames and records, from the text of docs/protocol-overlay.md alone and with other libraries
than the product's (hashlib, cryptography). Run it again only when the law changes; the tests read the file, not this.

    python3 tests/vectors/overlay/make.py > tests/vectors/overlay/overlay.txt
    python3 tests/vectors/overlay/make.py corpus           # the fuzz corpora of tests/fuzz/corpus/ that are made of them
"""
import hashlib
import os
import struct
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def h(domain, data):
    return hashlib.blake2b(domain.encode() + b"\0" + data, digest_size=32).digest()


def pack(v):
    if isinstance(v, Raw):
        return v.b
    if isinstance(v, list):
        n = len(v)
        head = bytes([0x90 | n]) if n < 16 else b"\xdc" + struct.pack(">H", n)
        return head + b"".join(pack(x) for x in v)
    if isinstance(v, str):
        v = v.encode()
    if isinstance(v, bytes):
        n = len(v)
        return (b"\xc4" + bytes([n]) if n < 256 else b"\xc5" + struct.pack(">H", n)) + v
    if v < 0x80:
        return bytes([v])
    for tag, form, top in ((0xcc, ">B", 1 << 8), (0xcd, ">H", 1 << 16), (0xce, ">I", 1 << 32), (0xcf, ">Q", 1 << 64)):
        if v < top:
            return bytes([tag]) + struct.pack(form, v)
    raise ValueError(v)


class Raw:
    def __init__(self, b):
        self.b = b


class Key:
    def __init__(self, byte):
        self.secret = Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32)
        self.public = self.secret.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def sign(self, purpose, body):
        return self.secret.sign(b"tallymesh/" + purpose.encode() + b"\0" + NET + h("sig", body))


NET = h("net", b"vectors")[:8]
NODE, OWNER = Key(1), Key(2)
MINE, YOURS = bytes([3]) * 32, bytes([4]) * 32
MODEL, TARGET = bytes([5]) * 32, bytes([6]) * 32
SEQ = 1767225600123


def record(with_cert):
    cert = b""
    if with_cert:
        signed = [1, NODE.public, 2000000000, OWNER.public]
        cert = pack(signed + [OWNER.sign("cert", pack(signed))])
    body = pack([1, NET, NODE.public, 77, SEQ, "node.example", 7400, MINE, cert, 1767225600, 1])
    return pack([Raw(body), NODE.sign("record", body)])


def advert():
    body = pack([1, Raw(record(False)), SEQ, 900000, MODEL, "tiny-story", 1, 2048, "cpu-avx2", "Some CPU", 1234567, 45678, 4,
                 100000, 10000, 300000, "DE", 1, 12345])
    return pack([Raw(body), NODE.sign("advert", body)])


def hello():
    return pack([Raw(record(False)), NODE.sign("hello", pack([MINE, YOURS]))])


def pub():
    statement = pack([h("topic", MODEL), Raw(record(False)), SEQ, b"an offer"])
    return pack([Raw(statement), NODE.sign("gossip", statement)])


def frame(kind, request, body, hop=0, age=0):
    return pack([1, kind, request, hop, age, body])


VECTORS = {
    "record": record(False),
    "record_cert": record(True),
    "advert": advert(),
    "hello": frame(1, 0, hello()),
    "hello_ok": frame(2, 0, hello()),
    "ping": frame(3, 7, pack([])),
    "pong": frame(4, 7, pack([])),
    "goaway": frame(5, 0, pack([3])),
    "find": frame(16, 300, pack([TARGET, 10])),
    "nodes": frame(17, 300, pack([Raw(record(False)), Raw(record(True))])),
    "store": frame(18, 70000, pack([h("providers", MODEL), 1, 250, Raw(advert())])),
    "stored": frame(19, 70000, pack([1, SEQ])),
    "get": frame(20, 5000000000, pack([h("providers", MODEL), 7])),
    "values": frame(21, 5000000000, pack([1, Raw(pack([[1000, Raw(advert())]])), Raw(pack([Raw(record(True))]))])),
    "pub": frame(32, 0, pub(), hop=2, age=1500),
    "ihave": frame(33, 0, pack([h("gossip", pub())])),
    "iwant": frame(34, 0, pack([h("gossip", pub()), TARGET])),
    "offer": frame(48, 9, pack([])),
}

TYPES = [1, 2, 3, 4, 5, 16, 17, 18, 19, 20, 21, 32, 33, 34, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 64, 65, 66, 67, 72, 73]
PEER_A, PEER_B, PEER_OUT, GREETING, UNKNOWN_IN, UNKNOWN_OUT, LAST_DIAL, STRANGER = range(8)
RAW, BODY, TICK, UP, DOWN, VERB, PUB, RENAME = range(8)


def step(what, link=0, arg=0, data=b""):
    """One step of fuzz_overlay.c's script."""
    return bytes([what | link << 3, arg]) + struct.pack(">H", len(data)) + data


def body_of(kind, data, link=PEER_A):
    return step(BODY, link, TYPES.index(kind), data)


def scripts():
    """Three, because each mutation of one costs a live overlay (0.5 ms)."""
    nodes = pack([Raw(record(False)), Raw(record(True))])
    values = pack([1, Raw(pack([[1000, Raw(advert())]])), Raw(nodes)])
    store = pack([h("providers", MODEL), 1, 250, Raw(advert())])
    hello = step(RAW, UNKNOWN_IN, 0, VECTORS["hello"]) + step(RAW, PEER_A, 0, VECTORS["hello"]) + \
        step(RAW, STRANGER, 0, VECTORS["ping"]) + step(RAW, GREETING, 0, VECTORS["hello_ok"]) + step(TICK, 0, 200)
    links = step(VERB, 0, 3) + step(UP, LAST_DIAL) + step(RAW, LAST_DIAL, 0, VECTORS["hello_ok"]) + step(DOWN, PEER_OUT) + \
        step(DOWN, GREETING) + step(RENAME, PEER_A, 1) + step(RAW, PEER_A, 0, VECTORS["ping"]) + step(TICK, 0, 150) + \
        step(RAW, PEER_B, 0, VECTORS["goaway"]) + step(VERB, 0, 4) + step(TICK, 0, 255) + step(VERB, 0, 5) + step(TICK, 0, 255)
    walk = step(VERB, 0, 1) + step(TICK) + body_of(17, nodes) + body_of(21, values) + body_of(21, values, PEER_OUT) + \
        step(UP, LAST_DIAL) + body_of(17, nodes, PEER_B) + step(VERB, 0, 2) + step(TICK, 0, 90) + body_of(17, nodes, PEER_OUT)
    serve = body_of(16, pack([TARGET, 10])) + body_of(20, pack([h("providers", MODEL), 0])) + body_of(18, store) + \
        body_of(18, store) + body_of(20, pack([h("providers", MODEL), 0]), PEER_B) + body_of(19, pack([1, SEQ]))
    gossip = step(PUB, PEER_A, 2, pub()) + step(PUB, PEER_B, 2, pub()) + body_of(34, pack([h("gossip", pub())]), PEER_B) + \
        body_of(33, pack([TARGET]), PEER_OUT) + step(VERB, 0, 0, b"offer") + step(PUB, PEER_OUT, 10, pub())
    yield "links", hello + links
    yield "walk", walk
    yield "serve", serve + gossip


def corpus(root):
    for name, data in VECTORS.items():
        kind = "record" if name.startswith("record") else "advert" if name == "advert" else "frame"
        write(root, kind, name, data)
    for name, data in scripts():
        write(root, "overlay", name, data)


def write(root, kind, name, data):
    os.makedirs(os.path.join(root, kind), exist_ok=True)
    with open(os.path.join(root, kind, name), "wb") as f:
        f.write(data)


if sys.argv[1:] == ["corpus"]:
    corpus("tests/fuzz/corpus")
else:
    for name, data in VECTORS.items():
        print(name, data.hex())
