#!/usr/bin/env bash
# Kills a server in the middle of an answer, starts it again, and lets a client take up where it stood.
#
# Needs `cargo build --release` and curl. docs/run.svg shows what it prints.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${BINARY:-target/release/runhold}
url=http://127.0.0.1:7790
export RUNHOLD_TOKEN=demo
data=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$data"' EXIT

serve() {
    "$binary" serve --port 7790 --data "$data/store" 2>>"$data/log" >/dev/null &
    server=$!
    until curl -s -o /dev/null "$url/health"; do
        kill -0 "$server" || { cat "$data/log" >&2; exit 1; }
        sleep 0.05
    done
}
# Number, name and text of each event.
brief() {
    sed -unE 's/^data: .*"event":"([A-Za-z]+)".*"event_index":([0-9]+).*/\2 \1 &/p' |
        sed -uE 's/^([0-9]+) (\w+) .*"content":"([^"]*)".*/\1 \2 \3/; s/^([0-9]+ \w+) data: .*/\1/' |
        tee "$data/seen" | while read -r number name text; do printf '%4s  %-22s %s\n' "$number" "$name" "$text"; done
}
say() { printf '$ %s\n' "$*"; }

say 'runhold serve &'
serve
say "curl -N \$URL/agents/assistant/runs -d 'message=/slow 10' -d background=true"
curl -sN "$url/agents/assistant/runs" -H "Authorization: Bearer demo" -d 'message=/slow 10' -d background=true |
    tee "$data/stream" | brief &
client=$!
until grep -qs '"content":"6 "' "$data/stream"; do sleep 0.01; done
kill -9 "$server"
wait "$server" "$client" 2>/dev/null || true
say "kill -9 $server"
say 'runhold serve &'
serve
run=$(sed -nE 's/.*"run_id":"([^"]+)".*/\1/p' "$data/stream" | head -n 1)
last=$(tail -n 1 "$data/seen" | cut -d ' ' -f 1)
say "curl -N \$URL/agents/assistant/runs/\$RUN/resume -d last_event_index=$last"
curl -sN "$url/agents/assistant/runs/$run/resume" -H "Authorization: Bearer demo" -d "last_event_index=$last" | brief
