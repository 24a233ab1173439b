"""mesh.py - what a mesh of real nodes costs, measured from outside: HTTP, /proc, signals. Run by mesh.sh.

Local and bought answers are asked for in turn, so that whatever else the machine does hits both alike; every figure is a
median with its spread (10th to 90th percentile). A token counts as delivered when its server-sent event is read.
"""
import argparse, gc, json, os, re, shutil, signal, socket, statistics, subprocess, sys, time

TOKEN = re.compile(rb'"delta":\{"content":"(?!")')
STORY = "Tell me a long story about a bridge, a fox and a lighthouse."


# ---- figures ----

class Table:
    def __init__(self, machine):
        self.machine, self.rows = machine, []

    def add(self, what, figure, goal="", note=""):
        self.rows.append((what, figure, goal, note))
        print("  %-58s %s%s" % (what, figure, "   (%s)" % note if note else ""), file=sys.stderr, flush=True)

    def show(self):
        print("| what | figure | goal | note | machine |\n|---|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row + (self.machine,)) + " |")


def spread(values):
    s = sorted(values)
    return s[len(s) // 10], s[(len(s) * 9) // 10]


def ms(values):
    low, high = spread(values)
    return "%.1f ms (%.1f .. %.1f, n=%d)" % (statistics.median(values) * 1e3, low * 1e3, high * 1e3, len(values))


def machine(build):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), os.uname().machine)
    cache = open(os.path.join(build, "CMakeCache.txt")).read()
    cc = re.search(r"CMAKE_C_COMPILER:\w+=(.*)", cache).group(1)
    version = subprocess.run([cc, "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    kind = re.search(r"CMAKE_BUILD_TYPE:\w+=(.*)", cache).group(1)
    return "%d x %s, Linux %s, %s %s" % (os.cpu_count(), cpu.replace("(R)", ""), os.uname().release.split("-")[0], version, kind)


def fdatasync_cost(folder):
    """One page appended and flushed, as a commit does at least; seconds each."""
    os.makedirs(folder, exist_ok=True)
    path, took = os.path.join(folder, "fdatasync"), []
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    for i in range(200):
        os.pwrite(fd, bytes(4096), i % 16 * 4096)
        begin = time.perf_counter()
        os.fdatasync(fd)
        took.append(time.perf_counter() - begin)
    os.close(fd)
    os.unlink(path)
    return took


# ---- a testnet ----

class Testnet:
    def __init__(self, b, state, name="bench", count=None, topology=None):
        self.b, self.dir = b, os.path.join(state, name)
        self.env = dict(os.environ, TALLY_TESTNET_STATE=state, TALLY_TESTNET=name)
        args = [os.path.join(b.root, "testnet/up.sh"), "--quiet"]
        self.down()
        os.makedirs(state, exist_ok=True)
        if topology:
            file = os.path.join(state, name + ".topology")
            open(file, "w").write(topology)
            args += ["--topology", file]
        else:
            args += ["-n", str(count)]
        begin = time.perf_counter()
        subprocess.run(args, env=self.env, check=True, stdout=subprocess.DEVNULL)
        self.took = time.perf_counter() - begin

    def down(self):
        subprocess.run([os.path.join(self.b.root, "testnet/down.sh"), "--forget"], env=self.env, check=True)

    def __enter__(self): return self
    def __exit__(self, *_): self.down()

    def nodes(self): return sorted(n for n in os.listdir(self.dir) if n.startswith("node-"))
    def run_file(self, node): return json.load(open(os.path.join(self.dir, node, "run.json")))
    def api(self, node):
        host, port = self.run_file(node)["api"].removeprefix("http://").split(":")
        return host, int(port)

    def tally(self, node, *args):
        out = subprocess.run([self.b.tally, "-d", os.path.join(self.dir, node), *args], capture_output=True, text=True)
        if out.returncode:
            sys.exit("mesh.py: tally %s: %s" % (" ".join(args), out.stderr.strip()))
        return out.stdout

    def json(self, node, *args): return json.loads(self.tally(node, *args, "--json"))

    def metrics(self, node):
        text = http_get(self.api(node), "/metrics")
        return {m.group(1): float(m.group(2)) for m in re.finditer(r"^tally_(\S+) (\S+)$", text, re.M)}

    def pids(self, node):
        """Supervisor and worker."""
        pid = int(open(os.path.join(self.dir, node, "pid")).read())
        return [pid] + [int(c) for c in open("/proc/%d/task/%d/children" % (pid, pid)).read().split()]

    def log_times(self, node, event):
        """Seconds of every log line of that event."""
        out = []
        for line in open(os.path.join(self.dir, node, "log")):
            word = line.split(" ")
            if len(word) > 2 and word[2].strip() == event:
                out.append(stamp(word[0]))
        return out

    def wait_adverts(self, node, count, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            try:
                if len(self.json(node, "models")["adverts"]) >= count and len(self.json(node, "peers")["peers"]) >= count:
                    return
            except (SystemExit, OSError):
                pass
            time.sleep(0.05)
        sys.exit("mesh.py: %s does not see %d providers" % (node, count))


def stamp(text):
    h, m, s = text.rstrip("Z").split("T")[1].split(":")
    return int(h) * 3600 + int(m) * 60 + float(s)


def http_get(at, path):
    with socket.create_connection(at) as s:
        s.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path.encode())
        out = b""
        while (got := s.recv(65536)):
            out += got
    return out.decode().split("\r\n\r\n", 1)[1]


class Answer: pass


def ask(at, tokens, seed, prompt=STORY, local=True, on_token=None):
    """One streamed chat completion; times are relative to the moment the request was sent."""
    body = json.dumps({"model": "tally-tales", "messages": [{"role": "user", "content": prompt}], "stream": True, "max_tokens": tokens,
                       "seed": seed, "temperature": 1.0, "stream_options": {"include_usage": True}}).encode()
    a = Answer()
    a.times, data = [], b""
    with socket.create_connection(at) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
        request = (head % ("" if local else "x-tally-local: no\r\n", len(body))).encode() + body
        a.begin = begin = time.perf_counter()
        s.sendall(request)
        seen = 0
        while (got := s.recv(65536)):
            now = time.perf_counter()
            data += got
            count = len(TOKEN.findall(data, max(0, seen - 64)))
            cut = data.rfind(b"\n\n") + 2
            if cut > 1:
                count = len(TOKEN.findall(data[seen:cut]))
                a.times += [now - begin] * count
                seen = cut
                if count and on_token:
                    on_token(len(a.times), now)
    a.end = time.perf_counter() - begin
    usage = re.findall(rb'"usage":(\{.*\})\}\r?\n', data)
    if not usage or not a.times:
        sys.exit("mesh.py: no answer: " + data[-400:].decode(errors="replace"))
    a.usage = json.loads(usage[-1])
    a.tokens = a.usage["completion_tokens"]
    a.first = a.times[0]
    span = a.times[-1] - a.times[0]
    a.bytes = len(data)
    a.rate = (a.tokens - 1) / span if span > 0 else 0      # an event may carry several tokens
    a.tail = a.end - a.times[-1]
    return a


def long_seed(at, tokens):
    """A seed whose answer does not stop early."""
    best = max(((ask(at, tokens, s).tokens, s) for s in range(1, 9)), key=lambda x: x[0])
    return best[1], best[0]


# ---- what is measured ----

def as_everybody():
    """Back to the usual priority. Fifty nodes that outrank the kernel's own threads would measure the scheduler."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def join(b, t):
    as_everybody()
    for n in (5,) if b.quick else (5, 50):
        with Testnet(b, b.disk, "join", count=n) as net:
            each = []
            for node in net.nodes():
                started, joined = net.log_times(node, "started"), net.log_times(node, "overlay.joined")
                if started and joined:
                    each.append(max(0.0, joined[0] - started[0]))
            t.add("join, %d nodes: `testnet/up.sh`, from nothing to all ready" % n, "%.2f s" % net.took, "", "identities, start, join, models")
            t.add("join, %d nodes: one node, sockets open to joined" % n, ms(each), "", "slowest %.0f ms" % (max(each) * 1e3))
            t.add("join, %d nodes: processor time of all nodes until then" % n, "%.1f s" % sum(process_cost(net.pids(x))[0] for x in net.nodes()), "",
                  "does not depend on what else the machine does")
            if n == 50:
                time.sleep(5)
                idle_rows(b, t, net, "of 50", 20)


ONE = "node-01 serve=no\nnode-02 serve=yes price_output=0.10 threads=1\n"
FOUR = ONE + "".join("node-%02d serve=yes price_output=0.%d threads=1\n" % (i, 10 + i) for i in (3, 4, 5))


def overhead(b, t):
    rounds = 8 if b.quick else 40
    for where, folder in (("state on disk", b.disk), ("state in memory", b.memory)):
        sync = fdatasync_cost(folder)
        t.add("fdatasync of one page, %s" % where, "%.2f ms (%.2f .. %.2f)" % tuple(x * 1e3 for x in (statistics.median(sync),) + spread(sync)))
        for topology, providers in ((ONE, 1), (FOUR, 4)):
            with Testnet(b, folder, "over", topology=topology) as net:
                net.wait_adverts("node-01", providers)
                local, mesh = net.api("node-02"), net.api("node-01")
                seed, _ = long_seed(local, 256)
                ask(mesh, 8, seed)
                runs = {"local": [], "mesh": []}
                gc.disable()
                for i in range(rounds):
                    for kind in (("local", "mesh"), ("mesh", "local"))[i % 2]:
                        a = ask(local if kind == "local" else mesh, 256, seed)
                        if a.usage["tally"]["local"] != (kind == "local"):
                            sys.exit("mesh.py: an answer came from the wrong side")
                        runs[kind].append(a)
                        time.sleep(0.02)
                gc.enable()
                what = "%s, %d provider%s: " % (where, providers, "s" if providers > 1 else "")
                l, m = runs["local"], runs["mesh"]
                added = statistics.median(x.first for x in m) - statistics.median(x.first for x in l)
                t.add(what + "first token, local", ms([x.first for x in l]))
                t.add(what + "first token, bought", ms([x.first for x in m]))
                t.add(what + "**added to the first token**", "%.1f ms" % (added * 1e3), "< 5 ms", "difference of medians")
                rl, rm = statistics.median(x.rate for x in l), statistics.median(x.rate for x in m)
                pairs = [y.rate / x.rate - 1 for x, y in zip(l, m)]
                t.add(what + "tokens/s, local / bought", "%.0f / %.0f" % (rl, rm), "", "%d tokens an answer" % l[0].tokens)
                t.add(what + "**lost in tokens/s**", "%.1f %%" % (100 * (1 - rm / rl)), "< 2 %",
                      "pairs: median %.1f %% (%.1f .. %.1f)" % tuple(-100 * x for x in (statistics.median(pairs),) + spread(pairs)[::-1]))
                t.add(what + "last token to end of stream, bought", ms([x.tail for x in m]), "", "last claim and receipt; local %.1f ms" % (1e3 * statistics.median(x.tail for x in l)))


def wire(b, t):
    with Testnet(b, b.memory, "wire", topology=ONE) as net:
        net.wait_adverts("node-01", 1)
        at = net.api("node-01")
        seed, count = long_seed(at, 256)
        time.sleep(1)
        idle = net.metrics("node-01")
        time.sleep(5)
        before, tcp_before = net.metrics("node-01"), tcp_bytes(net, "node-01")
        n, tokens, prompt = 20, 0, 0
        begin = time.perf_counter()
        for _ in range(n):
            a = ask(at, 256, seed)
            tokens += a.tokens
            prompt += a.usage["prompt_tokens"]
        took = time.perf_counter() - begin
        after, tcp_after = net.metrics("node-01"), tcp_bytes(net, "node-01")
        note = "requester's counters; %d answers of %d tokens; %d prompt tokens each; offer, terms, claims, receipt included" % (n, count, prompt // n)
        for way, name in (("to the provider", "out"), ("from the provider", "in")):
            quiet = (before["bytes_%s_total" % name] - idle["bytes_%s_total" % name]) / 5
            d = after["bytes_%s_total" % name] - before["bytes_%s_total" % name] - quiet * took
            t.add("frame bytes per token, %s" % way, "%.1f" % (d / tokens), "", note if name == "out" else "idle links: %.0f B/s" % quiet)
        t.add("for comparison: the same answer to an OpenAI client, bytes per token", "%.0f" % (a.bytes / a.tokens), "", "server-sent events over loopback HTTP")
        if tcp_before and tcp_after:
            t.add("TCP payload bytes per token, both ways (CURVE and framing included)", "%.1f" % ((tcp_after - tcp_before) / tokens), "", "`ss -ti` on the mesh port")


def tcp_bytes(net, node):
    """Bytes both ways over all mesh connections of a node; None if ss is not there."""
    if not shutil.which("ss"):
        return None
    pid = net.pids(node)[-1]
    api = net.api(node)[1]
    out = subprocess.run(["ss", "-tnipH"], capture_output=True, text=True).stdout.split("\n")
    total = 0
    for head, info in zip(out, out[1:]):
        if "pid=%d," % pid in head and ":%d " % api not in head:
            total += sum(int(x) for x in re.findall(r"bytes_(?:sent|received):(\d+)", info))
    return total


def failover(b, t):
    """A mesh of its own for each round: a requester remembers who let it down and would go elsewhere the next time.
    The one that dies computes with the slow backend, so that it dies in mid-answer and sends one token at a time; the other goes
    on with its best. The requester's log says when it had noticed; the first token after that is the other's."""
    topology, gaps = "node-01 serve=no\nnode-02 serve=yes price_output=0.10 threads=1 backend=scalar\nnode-03 serve=yes price_output=0.20 threads=1\n", []
    rounds = 3 if b.quick else 12
    for attempt in range(3 * rounds):
        if len(gaps) == rounds:
            break
        with Testnet(b, b.disk, "fail", topology=topology) as net:
            net.wait_adverts("node-01", 2)
            seed, _ = long_seed(net.api("node-03"), 400)
            pids, killed = net.pids("node-02"), []

            def kill(count, now):
                if count >= 16 and not killed:
                    killed.extend((now, time.time()))
                    for p in pids:
                        os.kill(p, signal.SIGKILL)
            a = ask(net.api("node-01"), 400, seed, on_token=kill)
            if len(a.usage["tally"]["receipts"]) != 2:
                continue                                 # it had sent everything before it died
            at = killed[0] - a.begin
            noticed = net.log_times("node-01", "job.failed")[0] - killed[1] % 86400 + 0.002   # whatever comes later is the other's
            gaps.append(next(x for x in a.times if x >= at + noticed) - at)
    if len(gaps) < rounds:
        sys.exit("mesh.py: only %d of %d kills came in the middle of an answer" % (len(gaps), rounds))
    t.add("**kill -9 of the provider to the next token from another**", ms(gaps), "< 1 s", "slowest %.0f ms; includes a prefill of prompt and answer so far" % (max(gaps) * 1e3))


def verify(b, t):
    for prompt in ("32", "256"):
        out = subprocess.run([os.path.join(b.build, "tests/bench_verify"), "--prompt", prompt, b.model], capture_output=True, text=True, check=True).stdout
        made, checked, cost = re.search(r"made in ([\d.]+) ms.*checked in ([\d.]+) ms; checking costs ([\d.]+) %", out).groups()
        t.add("checking an answer of 256 tokens, prompt of %s: engine alone" % prompt, "%s %% of making it" % cost, "", "%s ms against %s ms, batch 1, one thread" % (checked, made))
    with Testnet(b, b.memory, "veri", topology=ONE) as net:
        net.wait_adverts("node-01", 1)
        seed, count = long_seed(net.api("node-01"), 256)
        a = ask(net.api("node-01"), 256, seed)
        receipt = a.usage["tally"]["receipts"][0]
        walls = {(): [], ("--reexecute", "--model", b.model): []}
        for i in range(9):
            for extra in walls:
                begin = time.perf_counter()
                net.tally("node-01", "verify", receipt, *extra)
                walls[extra].append(time.perf_counter() - begin)
        offline, again = walls.values()
        t.add("`tally verify RECEIPT`: signatures, chain, sums", ms(offline), "", "whole process")
        t.add("`tally verify RECEIPT --reexecute`", ms(again), "", "whole process: reads and hashes the model, self-test, %d tokens; the answer took %.0f ms to stream" % (count, a.end * 1e3))


def process_cost(pids):
    ticks, memory = 0, 0
    for p in pids:
        words = open("/proc/%d/stat" % p).read().rsplit(")", 1)[1].split()
        ticks += int(words[11]) + int(words[12])
        memory += int(re.search(r"VmRSS:\s+(\d+)", open("/proc/%d/status" % p).read()).group(1)) * 1024
    return ticks / os.sysconf("SC_CLK_TCK"), memory


def idle_rows(b, t, net, which, seconds):
    nodes = net.nodes()
    serving = [n for n in nodes if 'enabled = true' in open(os.path.join(net.dir, n, "tallyd.conf")).read()]
    members = [n for n in nodes if n not in serving]
    before = {n: process_cost(net.pids(n)) for n in nodes}
    time.sleep(seconds)
    after = {n: process_cost(net.pids(n)) for n in nodes}
    for what, some, memory_goal in (("without a model", members, "< 64 MiB"), ("with the demo model", serving, "")):
        cpu = [100 * (after[n][0] - before[n][0]) / seconds for n in some]
        rss = [after[n][1] / 2**20 for n in some]
        t.add("idle CPU of a node %s, %s" % (which, what), "%.2f %% of a core (highest %.2f, n=%d)" % (statistics.mean(cpu), max(cpu), len(some)), "< 1 %", "supervisor and worker, %d s" % seconds)
        t.add("resident memory of a node %s, %s" % (which, what), "%.1f MiB (highest %.1f)" % (statistics.mean(rss), max(rss)), memory_goal, "supervisor and worker")


def idle(b, t):
    as_everybody()
    with Testnet(b, b.disk, "idle", count=5) as net:
        time.sleep(5)
        idle_rows(b, t, net, "of 5", 5 if b.quick else 30)


def parts(b, t):
    def lines(*args):
        return subprocess.run(args, capture_output=True, text=True, check=True).stdout.strip().split("\n")
    for where, folder in (("on disk", b.disk), ("in memory", b.memory)):
        os.makedirs(folder, exist_ok=True)
        for group in ("1", "32"):
            text = lines(os.path.join(b.build, "tests/bench_ledger"), "300" if b.quick else "2000", group, folder)[0]
            rate, commit, size = re.search(r": (\d+) receipts/s.*\(([\d.]+) ms each\); (\d+) bytes", text).groups()
            t.add("receipts/s durable %s, %s per commit" % (where, group), rate, "", "one thread, both sides' work; commit %s ms; %s bytes of disk each" % (commit, size))
    for line in lines(os.path.join(b.build, "tests/bench_engine"), "--threads", "1", b.model):
        m = re.match(r"\s+(\d+) jobs?\s*: prefill\s+([\d.]+) t/s\s+decode\s+([\d.]+)", line)
        if m:
            t.add("engine, demo model, %s at once, one thread" % m.group(1), "prefill %s, decode %s tokens/s" % (m.group(2), m.group(3)))
    for line in lines(os.path.join(b.build, "tests/bench_transport"), "1"):
        m = re.match(r"(round trip|one way)\s+(\d+) B\s+(.*)", line)
        if m:
            t.add("transport, CURVE, %s, %s B" % (m.group(1), m.group(2)), re.sub(r"\s+", " ", m.group(3)))


ALL = {f.__name__: f for f in (parts, overhead, wire, verify, failover, idle, join)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--root"), p.add_argument("--build"), p.add_argument("--quick", action="store_true")
    p.add_argument("--disk"), p.add_argument("--memory", default="/dev/shm/tally-bench")
    p.add_argument("what", nargs="*")
    b = p.parse_args()
    unknown = [w for w in b.what if w not in ALL]
    if unknown:
        sys.exit("mesh.py: there is nothing called %s; there are %s" % (", ".join(unknown), ", ".join(ALL)))
    b.disk = b.disk or os.path.join(b.build, "bench-state")
    b.tally, b.tallyd = (os.path.join(b.build, "node", x) for x in ("tally", "tallyd"))
    b.model = os.environ.get("TALLY_DEMO_MODEL", os.path.join(b.root, "testnet/model/tally-tales-q8_0.gguf"))
    t = Table(machine(b.build))
    load, alone = os.getloadavg()[0], os.sched_getscheduler(0) == os.SCHED_RR
    try:
        for name in b.what or ALL:
            print("==> " + name, file=sys.stderr)
            ALL[name](b, t)
    finally:
        print("%s, load average before %.1f and after %.1f%s" % (time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), load, os.getloadavg()[0],
              ", at real-time priority but for idle and join" if alone else ""))
        t.show()


main()
