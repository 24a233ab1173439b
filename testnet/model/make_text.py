#!/usr/bin/env python3
"""Which text is the demo model trained on? Writes any number of documents, all of them from a seed.

    make_text.py --out text.txt --megabytes 150 --seed 1 --workers 2

A document is a conversation in the form of the chat template, or a bare story; <|endoftext|> stands
between two. Seed 0 is kept for validation. The same seed and size give the same text.
"""
import argparse
import multiprocessing
import random

import stories
import talk

END = "<|endoftext|>"
BARE = 0.10                                            # share of stories outside any conversation
CHUNK = 500                                            # documents per seed step


def chat(turns):
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)


def document(rng):
    if rng.random() < BARE:
        return stories.story(rng, bedtime=rng.random() < 0.05)[0]
    return chat(talk.conversation(rng))


def chunk(key):
    rng = random.Random("tally-tales %d %d" % key)
    return "".join(document(rng) + END for _ in range(CHUNK))


def chunks(seed):
    number = 0
    while True:
        yield (seed, number)
        number += 1


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--out", required=True)
    args.add_argument("--megabytes", type=float, default=1)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--workers", type=int, default=1)
    args = args.parse_args()
    size = 0
    with open(args.out, "w", encoding="utf-8") as out, multiprocessing.Pool(args.workers) as pool:
        keys = chunks(args.seed)
        while size < args.megabytes * 1e6:             # in batches, so that the pool does not run ahead for ever
            for text in pool.map(chunk, [next(keys) for _ in range(4 * args.workers)]):
                if size < args.megabytes * 1e6:
                    out.write(text)
                    size += len(text.encode())


if __name__ == "__main__":
    main()
