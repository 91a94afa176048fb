#!/bin/sh
# Measures which lines of src/protocol/, src/wire/ and src/call/ the corpora reach. Runs every property over its corpus with LLVM's
# counters, and prints the coverage of each file and then every line that no input reached.
#
#     rustup component add llvm-tools
#     fuzz/coverage.sh                         all targets
#     fuzz/coverage.sh message_decoder         some of them
#
# The tools must be of the same LLVM version as rustc's; the component has them. LLVM_TOOLS=FOLDER uses others: if `rustc -vV`
# prints LLVM 22, those of a system's LLVM 22 work.
set -eu
cd "$(dirname "$0")"

host=$(rustc -vV | sed -n 's/^host: //p')
tools=${LLVM_TOOLS:-$(rustc --print sysroot)/lib/rustlib/$host/bin}
if [ ! -x "$tools/llvm-cov" ]; then
    echo "coverage: no llvm-cov in $tools: run rustup component add llvm-tools, or set LLVM_TOOLS=FOLDER" >&2
    exit 2
fi
target=${CARGO_TARGET_DIR:-target}/coverage
mkdir -p "$target"
rm -f "$target"/*.profraw

# A separate target folder, so that nothing else is rebuilt; the counters of the build itself are discarded.
export CARGO_TARGET_DIR="$target" RUSTFLAGS="-C instrument-coverage"
LLVM_PROFILE_FILE=/dev/null cargo build --quiet --locked --example replay
LLVM_PROFILE_FILE="$target/replay-%p.profraw" "$target/debug/examples/replay" "$@"
"$tools/llvm-profdata" merge -sparse "$target"/replay-*.profraw -o "$target/replay.profdata"

sources=$(find ../src/protocol ../src/wire ../src/call -name '*.rs' | sort)
# shellcheck disable=SC2086
"$tools/llvm-cov" report "$target/debug/examples/replay" -instr-profile="$target/replay.profdata" \
    -show-region-summary=false -show-branch-summary=false -sources $sources
echo
# shellcheck disable=SC2086
"$tools/llvm-cov" show "$target/debug/examples/replay" -instr-profile="$target/replay.profdata" \
    -show-instantiations=false -show-expansions=false -sources $sources |
    awk -F'|' '/^\// { sub(/:$/, ""); sub(/.*\/src\//, "src/"); file = $0 }
               $2 ~ /^ *0$/ { number = $1; gsub(/ /, "", number); sub(/^[^|]*\|[^|]*\|/, ""); print file ":" number ": " $0 }'
