#!/usr/bin/env python3
"""Writes overlay.txt: golden frames and records, from the text of docs/protocol-overlay.md alone and with other libraries
than the product's (hashlib, cryptography). Run it again only when the law changes; the tests read the file, not this.

    python3 tests/vectors/overlay/make.py > tests/vectors/overlay/overlay.txt
"""
import hashlib
import struct

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

for name, data in VECTORS.items():
    print(name, data.hex())
