#!/usr/bin/env python3
"""Writes ledger.txt from docs/protocol.md (2) and docs/protocol-ledger.md (7) alone: a second implementation.

    tests/vectors/make_ledger.py > /tmp/ledger.txt && diff /tmp/ledger.txt tests/vectors/ledger.txt

Ed25519 follows RFC 8032 in plain Python: slow, and good for nothing but this.
"""
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def recover_x(y, sign):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P)
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x % 2 != sign else x


def add(p, q):
    x1, y1 = p
    x2, y2 = q
    k = D * x1 * x2 * y1 * y2
    return ((x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P)


def times(n, p):
    r = (0, 1)
    while n:
        if n & 1:
            r = add(r, p)
        p = add(p, p)
        n >>= 1
    return r


BASE = (recover_x(BASE_Y, 0), BASE_Y)


def point(p):
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def le(b):
    return int.from_bytes(b, "little")


class Key:
    def __init__(self, seed):
        h = hashlib.sha512(seed).digest()
        self.a = (le(h[:32]) & ((1 << 254) - 8)) | (1 << 254)
        self.prefix = h[32:]
        self.public = point(times(self.a, BASE))

    def sign_raw(self, m):
        r = le(hashlib.sha512(self.prefix + m).digest()) % L
        big_r = point(times(r, BASE))
        h = le(hashlib.sha512(big_r + self.public + m).digest()) % L
        return big_r + ((r + h * self.a) % L).to_bytes(32, "little")

    def sign(self, purpose, body):
        return self.sign_raw(b"tallymesh/" + purpose.encode() + b"\0" + NET + H("sig", body))


def H(domain, x):
    return hashlib.blake2b(domain.encode() + b"\0" + x, digest_size=32).digest()


def u64(n):
    return n.to_bytes(8, "little")


def ids(tokens):
    return b"".join(t.to_bytes(4, "little") for t in tokens)


def head(small, small_max, tags, n):
    """MessagePack's shortest head: tags are (tag, bytes) in order of width."""
    if small is not None and n <= small_max:
        return bytes([small | n])
    for tag, width in tags:
        if n < 1 << (8 * width):
            return bytes([tag]) + n.to_bytes(width, "big")
    raise ValueError(n)


def enc(v):
    if isinstance(v, int):
        return head(0, 127, [(0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)], v)
    if isinstance(v, bytes):
        return head(None, 0, [(0xC4, 1), (0xC5, 2), (0xC6, 4)], len(v)) + v
    return head(0x90, 15, [(0xDC, 2), (0xDD, 4)], len(v)) + b"".join(enc(e) for e in v)


NET = H("net", b"rig")[:8]
ZERO = bytes(32)
requester, provider = Key(b"\1" * 32), Key(b"\2" * 32)
N, SEED, COUNT = 1, 1001, 40
nonce = H("rig nonce", u64(N))
prompt = [N * 17 + i for i in range(8)]

terms = enc([
    1, NET, u64(N) + bytes(8), requester.public, provider.public, H("rig model", b"m"), 1,
    H("prompt", nonce + ids(prompt)), H("seed", nonce + u64(SEED)), 6, 2, 800000, 40, 950000, 512, [2, 7],
    250000, 25000, 1000000, 10**9, 32, 96, 0, ZERO, H("rig offer", u64(N)), H("rig bid", u64(N)), 2000, 1800000000])
terms_hash = H("terms", terms)

heads = [H("head", u64(SEED * 1000 + i)) for i in range(COUNT)]
output = [h[0] << 8 | h[1] for h in heads]
tokens = H("tokens", terms_hash)
for t in output:
    tokens = H("tokens", tokens + ids([t]))
digests = [H("digest", provider.public + nonce + u64(j) + b"".join(heads[32 * j:32 * j + 32])) for j in range(2)]
chain = H("digests", terms_hash)
for d in digests:
    chain = H("digests", chain + d)

cost = 6 * 250000 + 2 * 25000 + COUNT * 1000000
claim = enc([1, terms_hash, 2, 6, 2, COUNT, tokens, chain, cost])
channel = H("channel", requester.public + provider.public)
receipt = enc([1, NET, channel, 1, ZERO, terms_hash, 6, 2, COUNT, tokens, chain, cost, cost, 0, 0, ZERO])
note = enc([1, terms_hash, 2, 1, 0, 18])
own_note = enc([1, terms_hash, 1, 1, 0, 18])
claim_p, claim_r = provider.sign("claim-p", claim), requester.sign("claim-r", claim)
receipt_p, receipt_r = provider.sign("receipt-p", receipt), requester.sign("receipt-r", receipt)
terms_r, terms_p = requester.sign("terms-r", terms), provider.sign("terms-p", terms)
bundle = enc([1, terms, terms_r, terms_p, [], [], claim, claim_p, claim_r, b"".join(digests), receipt, receipt_p, receipt_r,
              [[own_note, requester.sign("note", own_note)]], [nonce, SEED, ids(prompt), ids(output)]])

print("""# Ledger objects (docs/protocol-ledger.md, section 7) made from the keys of seeds 01..01 and 02..02 on network "rig":
# one job of 40 tokens. Written by make_ledger.py beside this file; a change of any line is a change of format.""")
for name, value in [
        ("requester-public-key", requester.public), ("provider-public-key", provider.public), ("terms", terms),
        ("terms-requester-signature", terms_r), ("terms-provider-signature", terms_p), ("terms-hash", terms_hash),
        ("prompt-commitment", H("prompt", nonce + ids(prompt))), ("seed-commitment", H("seed", nonce + u64(SEED))),
        ("token-chain", tokens), ("last-digest", digests[-1]), ("digest-chain", chain), ("claim", claim),
        ("claim-hash", H("claim", claim)), ("claim-provider-signature", claim_p), ("claim-requester-signature", claim_r),
        ("receipt", receipt), ("receipt-id", H("receipt", receipt)), ("receipt-provider-signature", receipt_p),
        ("receipt-requester-signature", receipt_r), ("note", note), ("note-signature", provider.sign("note", note)),
        ("bundle", bundle)]:
    print(name, value.hex())
