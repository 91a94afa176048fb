#!/usr/bin/env bash
# Guards the speed of a release build. Counts the server's instructions for a unary call, a streamed message and a decoded
# message, each as a ratio to a unary call of bare h2 in the same run. Fails if a ratio is more than 3 % above the one in
# benches/ratios.json. (A message costs bare h2 only some ten instructions, too few to divide by.) Counts hardly depend on the
# load of the machine.
#
#   benches/guard.sh            compares
#   benches/guard.sh --update   writes the new ratios to benches/ratios.json; give the reason in docs/performance.md
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

case "$#:${1:-}" in
0: | 1:--update) ;;
*)
    echo "guard.sh: unknown arguments \"$*\": the only flag is --update" >&2
    exit 2
    ;;
esac

counted=$(./instructions.sh guard)
printf '%s\n' "$counted"
python3 - "${1:-}" ratios.json 3<<<"$counted" <<'PYTHON'
import json
import os
import sys

TOLERANCE = 1.03
NAMES = {"unary": "unary call", "list": "message streamed", "record": "message decoded"}

update, path = sys.argv[1] == "--update", sys.argv[2]
rows = [json.loads(line) for line in os.fdopen(3) if line.startswith("{")]
bare_call = next((row["bare"] for row in rows if row["kind"] == "unary"), 0)
if not bare_call:
    sys.exit("guard.sh: no unary call was counted")
counted = {NAMES[row["kind"]]: round(row["barewire"] / bare_call, 4) for row in rows}
if len(counted) != len(NAMES):
    sys.exit(f"guard.sh: {len(NAMES)} ratios expected, counted {counted}")
if update:
    with open(path, "w") as file:
        json.dump(counted, file, indent=2)
        file.write("\n")
    sys.exit()
with open(path) as file:
    committed = json.load(file)
failed = False
for name, ratio in counted.items():
    limit = committed[name] * TOLERANCE
    failed |= ratio > limit
    verdict = "TOO MUCH" if ratio > limit else "ok"
    print(f"{name:18} {ratio:8.4f} calls of bare h2; {committed[name]:.4f} committed, {limit:.4f} allowed: {verdict}")
if failed:
    sys.exit("guard.sh: find out why (callgrind_annotate, see docs/performance.md), or --update with a reason written there")
PYTHON
