#!/usr/bin/env bash
# two_machines.sh - the README's third path, no testnet scripts: install, init, tallyd, a bootstrap string, tally run.
. "$(dirname "$0")/common.sh"
build=$(dirname "$bin")
DESTDIR=$scratch/root cmake --install "$build" >"$scratch/install.log" || { cat "$scratch/install.log"; fail "cmake --install"; }
prefix=$(dirname "$(dirname "$(find "$scratch/root" -name tallyd -type f)")")
[ -f "$(find "$scratch/root" -name tallyd.service)" ] || fail "no systemd unit was installed"
PATH=$prefix/bin:$PATH

# Machine A serves somebody's own GGUF file.
tally -d "$scratch/a" init --network public-test --pow-bits 12 --listen 127.0.0.1:0 --model "own-model=$model" >/dev/null || fail "tally init on A"
tallyd -d "$scratch/a" --set api.port=0 >"$scratch/a.log" 2>&1 &
spare_pids+=($!)
up_a() { tally -d "$scratch/a" status --json 2>/dev/null | grep -q '"state":"ready"'; }
until_true 20 up_a || { cat "$scratch/a.log"; fail "A is not ready"; }
boot=$(tally -d "$scratch/a" key bootstrap) || fail "no bootstrap string"

# Machine B has no model; the string was handed over.
tally -d "$scratch/b" init --network public-test --pow-bits 12 --listen 127.0.0.1:0 --bootstrap "$boot" >/dev/null || fail "tally init on B"
tallyd -d "$scratch/b" --set api.port=0 >"$scratch/b.log" 2>&1 &
b=$!
spare_pids+=($b)
tally -d "$scratch/b" status >/dev/null 2>&1
up_b() { tally -d "$scratch/b" status --json 2>/dev/null | grep -q '"state":"ready"'; }
until_true 20 up_b || { cat "$scratch/b.log"; fail "B is not ready"; }
tally -d "$scratch/b" run own-model "Hello, who are you?" --max-tokens 24 >"$scratch/out" 2>"$scratch/err" || { cat "$scratch/err"; fail "tally run"; }
grep -q 'receipt [0-9a-f]' "$scratch/err" || fail "no receipt was shown"
receipt=$(sed -n 's/.*receipt \([0-9a-f]*\).*/\1/p' "$scratch/err")

# SIGTERM drains: the process ends by itself with 0, and the wallet works with the daemon stopped.
kill -TERM $b
wait $b
expect "exit code after SIGTERM" $? 0
tally -d "$scratch/b" receipt "$receipt" >/dev/null || fail "the wallet wants a daemon"
tally -d "$scratch/b" verify "$receipt" --reexecute --model "$model" >/dev/null || fail "the receipt does not verify"
tally -d "$scratch/b" status >/dev/null 2>&1
expect "exit code without a node" $? 3
tally -d "$scratch/b" receipt ffffffff >/dev/null 2>&1
expect "exit code for an unknown receipt" $? 4
tally -d "$scratch/b" frobnicate >/dev/null 2>&1
expect "exit code for nonsense" $? 2

# Bad input is answered with a sentence.
printf 'network = "x"\nlisten {\n port = 99999\n}\n' >"$scratch/bad.conf"
tallyd -c "$scratch/bad.conf" --check >"$scratch/out" 2>&1
expect "exit code for a bad configuration" $? 78
grep -q 'bad.conf:3: listen.port: "99999" is not a TCP port' "$scratch/out" || { cat "$scratch/out"; fail "the line is not named"; }
head -c 3000000 "$model" >"$scratch/short.gguf"
tallyd -d "$scratch/a" --set api.port=0 --set limits.supervise=false >/dev/null 2>&1
expect "exit code for a data folder in use" $? 78
tally -d "$scratch/a" key bootstrap >/dev/null || fail "a second tallyd took the running node's address away"
tally -d "$scratch/c" init --network public-test --pow-bits 8 --model "cut=$scratch/short.gguf" >/dev/null || fail "tally init on C"
timeout 20 tallyd -d "$scratch/c" --set listen.host=127.0.0.1 --set listen.port=0 --set api.port=0 >"$scratch/out" 2>&1
expect "exit code for a cut model file" $? 78
grep -q 'short.gguf' "$scratch/out" || { cat "$scratch/out"; fail "the model file is not named"; }
tallyd --print-config >"$scratch/example.conf" && tallyd -c "$scratch/example.conf" --check >/dev/null || fail "the printed example is not a valid configuration"
echo "two machines: installed, joined by a string, answered, drained"
