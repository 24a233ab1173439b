"""Makes a variant of a GGUF file for the cheats: the same shape and vocabulary, other bytes.

usage: variant.py IN OUT weights|f16
  weights  some Q8_0 weights changed (another model under the same name)
  f16      every Q8_0 matrix stored as F16 instead (the same values in another quantisation)
"""
import struct
import sys

import numpy as np

Q8_0, F16 = 8, 1


def read_header(data):
    at = 8

    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return v[0]

    def skip_value(kind):
        nonlocal at
        sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        if kind == 8:
            n = take("Q")
            at += n
        elif kind == 9:
            element, n = take("I"), take("Q")
            for _ in range(n):
                skip_value(element)
        else:
            at += sizes[kind]

    n_tensors, n_kv = take("Q"), take("Q")
    for _ in range(n_kv):
        n = take("Q")
        at += n
        skip_value(take("I"))
    infos_at, tensors = at, []
    for _ in range(n_tensors):
        n = take("Q")
        name = data[at:at + n]
        at += n
        dims = [take("Q") for _ in range(take("I"))]
        tensors.append((name, dims, take("I"), take("Q")))
    return infos_at, tensors, (at + 31) // 32 * 32


def main():
    source, target, how = sys.argv[1:]
    data = open(source, "rb").read()
    infos_at, tensors, start = read_header(data)
    out_infos, out_data = b"", b""
    for i, (name, dims, kind, offset) in enumerate(tensors):
        count = int(np.prod(dims))
        size = {0: 4 * count, F16: 2 * count, Q8_0: count // 32 * 34}[kind]
        raw = bytearray(data[start + offset:start + offset + size])
        if kind == Q8_0 and how == "weights" and i % 3 == 0:
            blocks = np.frombuffer(raw, np.uint8).reshape(-1, 34).copy()
            blocks[::5, 2:] = blocks[::5, 2:][:, ::-1]      # every fifth block read backwards
            raw = bytearray(blocks.tobytes())
        if kind == Q8_0 and how == "f16":
            blocks = np.frombuffer(raw, np.uint8).reshape(-1, 34)
            scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
            raw = bytearray((blocks[:, 2:].view(np.int8).astype(np.float32) * scale).astype(np.float16).tobytes())
            kind = F16
        out_infos += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        out_infos += struct.pack("<IQ", kind, len(out_data))
        out_data += bytes(raw) + b"\0" * (-len(raw) % 32)
    head = data[:infos_at] + out_infos
    open(target, "wb").write(head + b"\0" * (-len(head) % 32) + out_data)


main()
