#!/usr/bin/env bash
# Compares docs/public-api.txt with the library: lists the public items, with the features that docs.rs uses, and prints the
# differences.
#
#   docs/public-api.sh            compares
#   docs/public-api.sh --update   writes the list anew
#
# Needs the nightly toolchain, and cargo-public-api in PATH or under target/tools: `cargo install cargo-public-api --locked`.
# rustdoc's JSON changes over time, so a later nightly may need a later cargo-public-api.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:$PWD/target/tools/bin
list=docs/public-api.txt

case "$#:${1:-}" in
0: | 1:--update) ;;
*)
    echo "public-api.sh: unknown arguments \"$*\": the only flag is --update" >&2
    exit 2
    ;;
esac

# Leaves out auto traits and blanket implementations.
listed=$(cargo +nightly public-api --package barewire --omit blanket-impls,auto-trait-impls,auto-derived-impls \
    --no-default-features \
    --features tls,tls-platform-roots,compression,route-guide,health,reflection,error-details,inspector)

if [[ ${1:-} == --update ]]; then
    printf '%s\n' "$listed" >"$list"
elif ! diff -u "$list" - <<<"$listed"; then
    echo "what is public has changed: read the difference, then docs/public-api.sh --update"
    exit 1
fi
