"""What an operator looks at: pages, logs, documents, a terminal. One function per promise; the first argument names it."""
import json
import os
import pty
import re
import select
import socket
import sys
import time
import urllib.request


def get(api, path):
    with urllib.request.urlopen(api + path, timeout=10) as r:
        return r.read().decode()


def samples(api):
    found = {}
    for line in get(api, "/metrics").splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = int(value)
    return found


def post(api, body):
    """A connection on which a request was sent and no answer read."""
    host, port = api.removeprefix("http://").rsplit(":", 1)
    data = json.dumps(body).encode()
    s = socket.create_connection((host.strip("[]"), int(port)))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    return s


def question(tokens, stream, n):
    return {"model": "tally-tales", "messages": [{"role": "user", "content": f"Story number {n}."}], "max_tokens": tokens,
            "stream": stream, "temperature": 1.5, "seed": n}


def jobs(api):
    return json.loads(get(api, "/tally/v1/status"))["jobs"]


def within(seconds, what):
    end = time.time() + seconds
    while not what():
        assert time.time() < end, f"not within {seconds} s"
        time.sleep(0.01)


def long_question(api):
    """One whose answer is long enough to watch others wait for it, whatever the weights are."""
    for n in range(1, 60):
        body = json.dumps(question(190, False, n)).encode()
        with urllib.request.urlopen(api + "/v1/chat/completions", body, timeout=10) as r:
            if json.load(r)["usage"]["completion_tokens"] == 190:
                return n
    raise AssertionError("no question has a long answer")


def queued_client_goes_away(api):
    """Every provider is busy; those who wait leave, streaming or not, and within a second nobody works for them."""
    busy = post(api, question(900, True, long_question(api)))
    busy.recv(100)
    waiting = [post(api, question(900, stream, n)) for n, stream in enumerate((True, False, True), 2)]
    within(5, lambda: jobs(api)["open_requester"] == 4)
    time.sleep(0.3)
    assert jobs(api)["open_requester"] == 4, "they do not wait"
    for s in waiting:
        s.setblocking(False)
        try:
            raise AssertionError(f"an answer while the only slot was taken: {s.recv(100)}")
        except BlockingIOError:
            pass
        s.close()
    within(1, lambda: jobs(api)["open_requester"] == 1)
    assert samples(api)["tally_http_cancelled_total"] >= 3
    busy.close()
    within(1, lambda: jobs(api)["open_requester"] == 0)


def metrics(api, provider, document):
    """The names are those of the documentation, and the values follow what happened."""
    before, served = samples(api), samples(provider)
    with post(api, question(20, False, 50)) as s:
        s.recv(100)
    within(5, lambda: samples(provider)["tally_receipts_total"] > served["tally_receipts_total"])
    after, then = samples(api), samples(provider)
    assert after["tally_requests_total"] == before["tally_requests_total"] + 1
    assert after["tally_http_requests_total"] == before["tally_http_requests_total"] + 1
    assert then["tally_jobs_served_total"] == served["tally_jobs_served_total"] + 1
    tokens = then['tally_tokens_total{kind="served_output"}'] - served['tally_tokens_total{kind="served_output"}']
    assert 1 <= tokens <= 20, tokens
    assert after['tally_tokens_total{kind="bought_output"}'] - before['tally_tokens_total{kind="bought_output"}'] == tokens
    paid = after["tally_spent_pico_credits_total"] - before["tally_spent_pico_credits_total"]
    assert paid > 0 and paid == then["tally_earned_pico_credits_total"] - served["tally_earned_pico_credits_total"]
    assert after["tally_ready"] == 1 and after["tally_peers"] == 1 and 1 << 20 < after["tally_resident_memory_bytes"] < 1 << 32
    assert all(after[k] >= v for k, v in before.items() if "_total" in k), "a counter fell"
    section = open(document).read().split("## Metrics")[1].split("\n## ")[0]
    documented = {"tally_" + n for n in re.findall(r"`([a-z_]+)(?:\{[a-z]+\})?`", section) if n != "tally_"}
    documented -= {"tally_served_input", "tally_served_output", "tally_bought_output"}       # labels
    shown = set(re.findall(r"^# TYPE (\S+) ", get(api, "/metrics"), re.M))
    assert shown == documented, f"only shown: {shown - documented}, only documented: {documented - shown}"


def log_is_json(path):
    """One object per line and nothing else, whatever the node had to say."""
    lines = open(path).read().splitlines()
    events = {json.loads(line)["event"] for line in lines}
    assert {"started", "draining", "stopped"} <= events, events
    for line in lines:
        assert set(json.loads(line)) == {"ts", "level", "event", "msg"}, line


def at_terminal(argv, **env):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm", **env})
        os.execv(argv[0], argv)
    shown = b""
    try:
        while select.select([fd], [], [], 10)[0]:
            shown += os.read(fd, 4096)
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown


def colours(*argv):
    """A terminal gets colours unless NO_COLOR or a dumb TERM says otherwise."""
    argv = list(argv)
    assert b"\033[" in at_terminal(argv)
    assert b"\033[" in at_terminal(argv, NO_COLOR="")
    assert b"\033" not in at_terminal(argv, NO_COLOR="1")
    assert b"\033" not in at_terminal(argv, TERM="dumb")


globals()[sys.argv[1]](*sys.argv[2:])
