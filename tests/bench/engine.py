"""engine.py - tokens per second of several engines on the same files, measured from outside. Run by engine.sh.

    prefill   a prompt of 512 tokens, read alone
    decode    128 tokens of one answer from an empty context; tally: 64 after a prompt of 32, 4 s at most
    batch     32 answers at once, 16 tokens each after prompts of 16: tokens per second of all together; tally: as in decode
    busy      decode, 32 tokens (tally: as in decode), while another process wants a processor for itself

A machine drifts: other work, and on a virtual one the neighbours. So the engines take turns, in an order that moves on with
each round, and before each turn of all of them the memory's rate is measured. Only ratios of one run mean much.
"""
import argparse, collections, json, os, statistics, struct, subprocess, sys

OURS = "tally"
MEASURES = {"prefill": "prefill 512", "decode": "decode", "batch": "decode, 32 answers", "busy": "decode beside a busy process"}
PROMPT, ANSWER, BUSY_ANSWER = 512, 128, 32
JOBS, JOB_PROMPT, JOB_ANSWER = 32, 16, 16
TIMEOUT_S = 300
CACHE_BYTES_MAX = 256 << 20        # smaller weights may stay in a cache, and the memory's rate says nothing about them

Sample = collections.namedtuple("Sample", "model measure engine rate memory load")


FIRST = []                         # put before every command


class Failed(Exception):
    pass


def output_of(command):
    try:
        done = subprocess.run(FIRST + command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as why:
        raise Failed(str(why))
    if done.returncode != 0:
        raise Failed("%s: %s" % (os.path.basename(command[0]), (done.stderr.strip() or "exit %d" % done.returncode)[-300:]))
    return done.stdout


# ---- engines: each answers measure(what, model) with tokens per second ----

class Tally:
    """What `tally bench` says, which is what a node advertises."""

    def __init__(self, build, threads):
        self.program, self.threads = os.path.join(build, "node/tally"), threads

    def measure(self, what, model):
        prompt, jobs = PROMPT if what == "prefill" else 1, JOBS if what == "batch" else 1
        found = json.loads(output_of([self.program, "bench", "--json", "--threads", str(self.threads),
                                      "--prompt", str(prompt), "--batch", str(jobs), model]))
        return found["prefill_tokens_s"] if what == "prefill" else found["decode"][0]["tokens_s"]


class Peer:
    """Anything that has llama.cpp's two programs."""

    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads

    def program(self, name, model):
        program = os.path.join(self.folder, name)
        flags = open(program + ".flags").read().split() if os.path.exists(program + ".flags") else []
        return [program, "-m", model, "-t", str(self.threads)] + flags

    def measure(self, what, model):
        if what == "batch":
            return self.batch(model)
        prompt, answer = {"prefill": (PROMPT, 0), "decode": (0, ANSWER), "busy": (0, BUSY_ANSWER)}[what]
        out = output_of(self.program("llama-bench", model) + ["-p", str(prompt), "-n", str(answer), "-r", "1", "-o", "json"])
        return float(json.loads(out[out.index("["):])[0]["avg_ts"])

    def batch(self, model):
        cells = JOBS * (JOB_PROMPT + JOB_ANSWER)
        out = output_of(self.program("llama-batched-bench", model)
                        + ["-c", str(2 * cells), "-b", "2048", "-ub", "512", "-npp", str(JOB_PROMPT),
                           "-ntg", str(JOB_ANSWER), "-npl", str(JOBS)])
        table = [[cell.strip() for cell in line.split("|")] for line in out.split("\n") if line.startswith("|")]
        return float(table[-1][table[0].index("S_TG t/s")])


def engines(args):
    found = {OURS: Tally(args.build, args.threads)}
    for name in sorted(os.listdir(args.peers)) if args.peers else []:
        folder = os.path.join(args.peers, name)
        if os.path.exists(os.path.join(folder, "llama-bench")):
            found[name] = Peer(folder, args.threads)
    wanted = args.engines.split(",") if args.engines else found
    for name in wanted:
        if name not in found:
            raise SystemExit("no engine %s, only %s" % (name, ", ".join(found)))
    return {name: found[name] for name in found if name in wanted}


# ---- measuring ----

def memory_rate(args):
    return float(output_of([os.path.join(args.build, "tests/bench_memory"), str(args.threads)]).split()[3])


def measure(engine, what, model):
    if what != "busy":
        return engine.measure(what, model)
    # Real time would not let the busy process have its share. The session's priority still keeps everybody else away.
    before, FIRST[:] = list(FIRST), []
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return engine.measure(what, model)
    finally:
        FIRST[:] = before
        hog.kill()
        hog.wait()


def rounds(args):
    """Samples, one after the other. What an engine cannot do is said once and left out."""
    racers, refused = engines(args), set()
    for round_ in range(args.rounds):
        for model in args.models:
            for what in args.only:
                memory = memory_rate(args)
                order = list(racers)
                order = order[round_ % len(order):] + order[:round_ % len(order)]
                for name in order:
                    if (name, model) in refused:
                        continue
                    load = os.getloadavg()[0]
                    try:
                        rate = measure(racers[name], what, model)
                    except Failed as why:
                        refused.add((name, model))
                        print("  %s, %s: %s" % (name, os.path.basename(model), why), file=sys.stderr)
                        continue
                    print("  %-16s %-8s %-14s %9.2f t/s   memory %.1f GB/s, load %.1f"
                          % (os.path.basename(model), what, name, rate, memory, load), file=sys.stderr, flush=True)
                    yield Sample(os.path.basename(model), what, name, rate, memory, load)


# ---- the file, only as far as it says how many bytes a token costs ----

def token_bytes(path):
    """Bytes of weights read to decode one token: all tensors but the embedding table, unless it is the head as well."""
    with open(path, "rb") as f:
        def number(kind):
            return struct.unpack("<" + kind, f.read(struct.calcsize(kind)))[0]

        def skip(kind):
            if kind == 8:
                f.seek(number("Q"), 1)
            elif kind == 9:
                element, count = number("I"), number("Q")
                for _ in range(count):
                    skip(element)
            else:
                f.seek([1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8][kind], 1)

        f.seek(8)
        n_tensors, n_entries = number("Q"), number("Q")
        for _ in range(n_entries):
            f.seek(number("Q"), 1)
            skip(number("I"))
        starts = {}
        for _ in range(n_tensors):
            name = f.read(number("Q")).decode()
            f.seek(8 * number("I") + 4, 1)
            starts[name] = number("Q")
        ends = sorted(starts.values())[1:] + [os.path.getsize(path) - f.tell()]
    sizes = dict(zip(sorted(starts, key=starts.get), (e - s for s, e in zip(sorted(starts.values()), ends))))
    return sum(sizes.values()) - (sizes["token_embd.weight"] if "output.weight" in sizes else 0)


# ---- the table ----

def show(args, samples):
    names = [OURS] + sorted({s.engine for s in samples} - {OURS})
    bytes_of = {os.path.basename(m): token_bytes(m) for m in args.models}
    print("| model | what | memory GB/s | " + " | ".join(names) + " | %s / best peer | its share of memory's rate |" % OURS)
    print("|---" * (len(names) + 5) + "|")
    for model in dict.fromkeys(s.model for s in samples):
        for what in (m for m in MEASURES if any(s.model == model and s.measure == m for s in samples)):
            group = [s for s in samples if s.model == model and s.measure == what]
            rates = {n: [s.rate for s in group if s.engine == n] for n in names}
            median = {n: statistics.median(r) for n, r in rates.items() if r}
            peers = [median[n] for n in median if n != OURS]
            ratio = "%.2f" % (median[OURS] / max(peers)) if peers and OURS in median else "-"
            ours = [s.rate * bytes_of.get(model, 0) / s.memory / 1e9 for s in group if s.engine == OURS]
            memory_bound = what == "decode" and ours and bytes_of.get(model, 0) > CACHE_BYTES_MAX
            share = "%.0f %%" % (100 * statistics.median(ours)) if memory_bound else "-"
            cells = ["%.1f (%.1f .. %.1f)" % (median[n], min(rates[n]), max(rates[n])) if n in median else "-" for n in names]
            print("| %s | %s | %.1f | " % (model, MEASURES[what], statistics.median(s.memory for s in group))
                  + " | ".join(cells) + " | %s | %s |" % (ratio, share))
    loads = [s.load for s in samples]
    print("\nTokens per second, medians of up to %d samples (least .. most); %d threads; load average %.1f .. %.1f%s."
          % (max(collections.Counter(s[:3] for s in samples).values()), args.threads, min(loads), max(loads),
             "; --alone" if args.alone else ""))


def go_first():
    """Engines run at real-time priority, and the session itself at the highest of the usual ones."""
    FIRST[:] = ["chrt", "-r", "10"]
    try:
        os.nice(-20)
        if os.path.exists("/proc/self/autogroup"):
            with open("/proc/self/autogroup", "w") as f:
                f.write("-20")
    except OSError as why:
        raise SystemExit("--alone: %s" % why)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--peers", default="")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--only", default=",".join(MEASURES))
    p.add_argument("--engines", default="")
    p.add_argument("--keep")
    p.add_argument("--table", action="store_true")
    p.add_argument("--alone", action="store_true")
    p.add_argument("models", nargs="+")
    args = p.parse_args()
    args.only = args.only.split(",")
    for what in args.only:
        if what not in MEASURES:
            raise SystemExit("no measure %s, only %s" % (what, ", ".join(MEASURES)))
    if args.alone:
        go_first()
    samples = []
    if args.keep and os.path.exists(args.keep):
        samples = [Sample(**json.loads(line)) for line in open(args.keep)]
    for sample in rounds(args) if not args.table else ():
        samples.append(sample)
        if args.keep:
            with open(args.keep, "a") as f:
                f.write(json.dumps(sample._asdict()) + "\n")
    if not samples:
        raise SystemExit("nothing was measured")
    show(args, samples)


if __name__ == "__main__":
    main()
