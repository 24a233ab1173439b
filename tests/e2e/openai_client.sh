#!/usr/bin/env bash
# openai_client.sh - the real OpenAI client package, unmodified, against a node that has no model of its own.
. "$(dirname "$0")/common.sh"
up -n 4
"$python" "$root/tests/e2e/openai_client.py" "$(run_value node-01 api)" || fail "the OpenAI client did not get what it expects"
