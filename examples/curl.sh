#!/usr/bin/env bash
# A run in the background, its events from the first one, and its events after the third. Needs a server, curl and
# `RUNHOLD_TOKEN`.
set -euo pipefail
url=${RUNHOLD_URL:-http://127.0.0.1:7777}
call() { curl -sS --fail-with-body -H "Authorization: Bearer $RUNHOLD_TOKEN" "$@"; }

# `/slow 40` makes the demo model count to 40, 20 numbers a second.
started=$(call "$url/agents/assistant/runs" -d 'message=/slow 40' -d background=true -d stream=false)
echo "$started"
run=$(sed -E 's/.*"run_id":"([^"]+)".*/\1/' <<<"$started")

echo "--- all of it, as it comes"
call -N -X POST "$url/agents/assistant/runs/$run/resume" | grep -c '^event: RunContent'

echo "--- what comes after event 3"
call -N "$url/agents/assistant/runs/$run/resume" -d last_event_index=3 | sed -n 1,8p
