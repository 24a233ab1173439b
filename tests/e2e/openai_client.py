"""The real OpenAI client against one node's endpoint: every behaviour that clients rely on."""
import json
import socket
import sys
import threading
import time
import urllib.request

import openai

api = sys.argv[1]
client = openai.OpenAI(base_url=api + "/v1", api_key="unused", max_retries=0)
MODEL = "tally-tales"
ASK = [{"role": "user", "content": "Tell me a story about a fox."}]


def get(path):
    with urllib.request.urlopen(api + path) as r:
        return r.read().decode()


def refused(status, code, call):
    try:
        call()
    except openai.APIStatusError as e:
        assert e.status_code == status, (e.status_code, e.body)
        assert e.body["code"] == code or code is None, e.body
        assert e.body["message"] and e.body["type"], e.body
        return e
    raise AssertionError(f"nothing was refused, expected {status}")


def models():
    names = [m.id for m in client.models.list()]
    assert names == [MODEL], names
    assert client.models.retrieve(MODEL).id == MODEL
    refused(404, "model_not_found", lambda: client.models.retrieve("no-such-model"))


def whole_answer():
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=40, seed=5)
    r = raw.parse()
    assert len(raw.headers["x-tally-job"]) == 32
    receipts = raw.headers["x-tally-receipts"].split(",")
    assert len(receipts) == 1 and len(receipts[0]) == 64, receipts
    assert r.usage.completion_tokens <= 40 and r.usage.prompt_tokens > 5
    assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens
    assert r.usage.tally["receipts"] == receipts and int(r.usage.tally["cost_pico"]) > 0
    assert r.choices[0].finish_reason in ("stop", "length")
    assert r.system_fingerprint.startswith("nv1-")
    again = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=40, seed=5)
    assert again.choices[0].message.content == r.choices[0].message.content, "same seed, same answer"
    other = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=40, seed=6)
    assert other.choices[0].message.content != r.choices[0].message.content, "another seed, another answer"
    return r.choices[0].message.content


def streamed(expected):
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=40, seed=5, stream=True,
                                                 stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == expected, (text, expected)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert len(chunks[-1].usage.tally["receipts"]) == 1
    assert len({c.id for c in chunks}) == 1
    long = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=200, seed=5, temperature=1.5, stream=True)
    pieces = sum(1 for c in long if c.choices and c.choices[0].delta.content)
    assert pieces > 8, f"tokens come as they are made, not in {pieces} pieces"


def greedy_and_limits():
    a = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, max_tokens=12)
    b = client.chat.completions.create(model=MODEL, messages=ASK, temperature=0, max_tokens=12, seed=99)
    assert a.choices[0].message.content == b.choices[0].message.content
    assert a.usage.completion_tokens <= 12
    one = client.chat.completions.create(model=MODEL, messages=ASK, max_completion_tokens=1)
    assert one.usage.completion_tokens == 1


def stop_strings(full):
    stop = full[len(full) // 2:len(full) // 2 + 3]
    before = full.split(stop)[0]
    r = client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=40, seed=5, stop=[stop, "\0never"[1:]])
    assert r.choices[0].message.content == before, (r.choices[0].message.content, before)
    assert r.choices[0].finish_reason == "stop"
    text = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(
        model=MODEL, messages=ASK, max_tokens=40, seed=5, stop=stop, stream=True))
    assert text == before, (text, before)


def completions():
    r = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=16, seed=1)
    assert r.object == "text_completion" and r.usage.completion_tokens <= 16
    text = "".join(c.choices[0].text for c in client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=16, seed=1, stream=True) if c.choices)
    assert text == r.choices[0].text


def parts_and_roles():
    a = client.chat.completions.create(model=MODEL, seed=3, max_tokens=8, messages=[
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Who "}, {"type": "text", "text": "are you?"}]}])
    b = client.chat.completions.create(model=MODEL, seed=3, max_tokens=8, messages=[
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}])
    assert a.choices[0].message.content == b.choices[0].message.content


def refusals():
    def chat(**kw):
        return lambda: client.chat.completions.create(**{"model": MODEL, "messages": ASK, "max_tokens": 4, **kw})
    refused(404, "model_not_found", chat(model="no-such-model"))
    for kw in ({"messages": []}, {"temperature": 9}, {"n": 2}, {"max_tokens": 0}, {"seed": "x"}, {"stop": [""]},
               {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"logprobs": True}):
        e = refused(400, None, chat(**kw))
        assert e.body["param"] in kw, e.body
    refused(400, "context_length_exceeded", chat(messages=[{"role": "user", "content": "word " * 20000}]))
    refused(503, "no_eligible_provider", chat(extra_headers={"x-tally-max-price-output": "0.000001"}))
    refused(503, "no_eligible_provider", chat(extra_headers={"x-tally-jurisdiction": "AQ"}))
    refused(400, "bad_header", chat(extra_headers={"x-tally-tier": "moon"}))


def place():
    """The provider picked is one whose advert meets the constraint."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=4, extra_headers={"x-tally-max-price-output": "0.15"})
    cost = int(raw.parse().usage.tally["cost_pico"])
    usage = raw.parse().usage
    assert cost == usage.prompt_tokens * 50000 + usage.completion_tokens * 120000, (cost, usage)
    for cap in ("1000", "1000.000001", "18446744073709"):      # above every price there is: no cap, and no offence either
        client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=4, extra_headers={"x-tally-max-price-output": cap, "x-tally-max-price-input": cap})


def client_goes_away():
    body = json.dumps({"model": MODEL, "messages": ASK, "max_tokens": 600, "stream": True, "temperature": 1.5, "stop": None}).encode()
    host, port = api.removeprefix("http://").split(":")
    s = socket.create_connection((host, int(port)))
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    s.recv(100)
    s.close()
    end = time.time() + 1.0
    while json.loads(get("/tally/v1/status"))["jobs"]["open_requester"] and time.time() < end:
        time.sleep(0.02)
    assert json.loads(get("/tally/v1/status"))["jobs"]["open_requester"] == 0, "a client that left still has a job after a second"


def many_at_once():
    results = []
    def one(i):
        results.append((i, client.chat.completions.create(model=MODEL, messages=ASK, max_tokens=24, seed=i % 3).choices[0].message.content))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(results) == 12
    for k in range(3):
        assert len({text for i, text in results if i % 3 == k}) == 1, "batching changed an answer"


def pages():
    assert get("/healthz") == "ok\n" and get("/readyz") == "ready\n"
    metrics = get("/metrics")
    for line in metrics.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2, line
    assert "tally_requests_total" in metrics and "tally_resident_memory_bytes" in metrics
    request = urllib.request.Request(api + "/v1/models", headers={"Host": "evil.example"})
    try:
        urllib.request.urlopen(request)
        raise AssertionError("a foreign Host header was answered")
    except urllib.error.HTTPError as e:
        assert e.code == 403


models()
full = whole_answer()
streamed(full)
greedy_and_limits()
if len(full) > 12:
    stop_strings(full)
completions()
parts_and_roles()
refusals()
place()
client_goes_away()
many_at_once()
pages()
print("openai client", openai.__version__, "is content")
