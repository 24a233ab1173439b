#!/usr/bin/env bash
# openai_client.sh - the real OpenAI client package, unmodified, against a node that has no model of its own.
# With --tiny: a model of random weights, for builds whose sanitizer makes the real one crawl.
. "$(dirname "$0")/common.sh"
if [ "${1:-}" = --tiny ]; then
    export TALLY_DEMO_MODEL=$scratch/tiny.gguf
    "$(dirname "$bin")/tests/make_tiny_gguf" "$TALLY_DEMO_MODEL" || fail "no tiny model"
fi
slow_engines
up -n 4
"$python" "$root/tests/e2e/openai_client.py" "$(run_value node-01 api)" || fail "the OpenAI client did not get what it expects"
