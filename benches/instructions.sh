#!/usr/bin/env bash
# Counts the user-space instructions of one unary GetFeature call, or of one message of a stream, with callgrind: first
# bare h2, which decodes nothing, then barewire, in the same run and under the same load. docs/performance.md explains the
# numbers.
#
#   benches/instructions.sh            the server under callgrind, a bare h2 client as the load
#   benches/instructions.sh client     the client under callgrind, the bare h2 server to answer it
#   benches/instructions.sh both       one after the other
#   benches/instructions.sh messages   the server, for each message that it streams (ListFeatures) and decodes (RecordRoute)
#   benches/instructions.sh interceptor  barewire's server and client without and with an interceptor, which reads a header and
#                                        the final status of each call; fails above MAX_INTERCEPTOR instructions (300)
#   benches/instructions.sh guard      the figures of benches/guard.sh: a unary call at 100 in flight, and messages
#
# Each program runs twice, with FEW and with MANY calls. The difference divided by the difference of calls is the cost of one
# call, without start-up. The client checks every answer; a wrong one ends the run with exit status 1. With MAX_RATIO=1.2 a
# ratio to bare h2 above 1.2 does so too. callgrind's files stay in the target directory for callgrind_annotate.
set -euo pipefail

few=${FEW:-2000}
many=${MANY:-12000}
messages=10000 # of one call, where messages are counted
few_streams=2
many_streams=12
max_ratio=${MAX_RATIO:-}
max_interceptor=${MAX_INTERCEPTOR:-300}
patience=600 # seconds for one run: far above what one needs, so that a hang ends

refuse() {
    echo "instructions.sh: $1" >&2
    exit 2
}

# The measurements, one row each: side, kind of call, calls in flight, headers.
on_server=("server unary 100 plain" "server unary 100 deadline" "server unary 1 plain" "server unary 1 deadline")
# The bare client sends a different deadline with each call, as a server's load should. barewire's client sends its own, so
# the two can't be compared.
on_client=("client unary 100 plain" "client unary 1 plain")
of_messages=("server list 1 plain" "server record 1 plain")
case "$#:${1:-server}" in
0:* | 1:server) rows=("${on_server[@]}") ;;
1:client) rows=("${on_client[@]}") ;;
1:both) rows=("${on_server[@]}" "${on_client[@]}") ;;
1:messages) rows=("${of_messages[@]}") ;;
1:guard) rows=("${on_server[0]}" "${of_messages[@]}") ;;
1:interceptor) rows=() ;;
*) refuse "unknown arguments \"$*\": give server, client, both, messages, interceptor or guard" ;;
esac
[[ $few =~ ^[0-9]+$ && $many =~ ^[0-9]+$ ]] && ((many > few)) || refuse "MANY=$many must be a number above FEW=$few"
[[ -z $max_ratio || $max_ratio =~ ^[0-9]+(\.[0-9]+)?$ ]] || refuse "MAX_RATIO=$max_ratio: give a number such as 1.2"
command -v valgrind >/dev/null || refuse "valgrind is not installed: get it from your system's packages"

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TARGET_DIR="$PWD/target/instructions"
programs=$CARGO_TARGET_DIR/release
counts=$CARGO_TARGET_DIR/callgrind
intercepted=()
[[ ${1:-} == interceptor ]] && intercepted=(--features intercepted)
cargo build --release --locked --quiet --manifest-path benches/instructions/Cargo.toml "${intercepted[@]}"
mkdir -p "$counts"

server=
trap '[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true' EXIT

# under_callgrind NAME PROGRAM ARGS…: replaces this process by the program, and writes its count to $counts/NAME.
under_callgrind() {
    local name=$1 program=$2
    shift 2
    exec valgrind --quiet --tool=callgrind --callgrind-out-file="$counts/$name" "$programs/$program" "$@"
}

# start COMMAND…: starts a server in the background and sets $server and $port.
start() {
    coproc { "$@"; }
    server=$COPROC_PID
    read -r -t "$patience" port <&"${COPROC[0]}" || {
        echo "instructions.sh: a server did not start: $*" >&2
        exit 1
    }
}

# stop: asks the server to end and waits until it has, so that its count is written.
stop() {
    kill -TERM "$server"
    wait "$server"
    server=
}

# total NAME: the instructions that callgrind counted.
total() {
    awk '/^totals:/ { print $2; found = 1 } END { exit !found }' "$counts/$1"
}

# run SIDE LIBRARY NAME CALLS LOAD…: one program under callgrind, for CALLS calls.
run() {
    local side=$1 library=$2 name=$3
    local load=(--calls "$4" "${@:5}")
    rm -f "$counts/$name"
    if [[ $side == server ]]; then
        start under_callgrind "$name" "${library}_server" --features "$features"
        timeout "$patience" "$programs/bare_client" --port "$port" "${load[@]}"
        stop
    else
        start exec "$programs/bare_server"
        (under_callgrind "$name" "${library}_client" --port "$port" "${load[@]}")
        stop
    fi
}

# slope SIDE LIBRARY FEW MANY EACH LOAD…: instructions of one call, or of one of the EACH messages of a call.
slope() {
    local side=$1 library=$2 few=$3 many=$4 each=$5
    shift 5
    local name="$side-$library$(printf '%s' "${@/#--/-}")"
    run "$side" "$library" "$name-few" "$few" "$@"
    run "$side" "$library" "$name-many" "$many" "$@"
    instructions=$(awk -v a="$(total "$name-few")" -v b="$(total "$name-many")" -v n="$(((many - few) * each))" \
        'BEGIN { printf "%.*f", (n > 50000 ? 2 : 0), (b - a) / n }')
}

# count LIBRARY: sets $instructions for the current row.
count() {
    features=100
    case $kind in
    unary)
        local load=(--in-flight "$in_flight")
        [[ $headers == plain ]] || load+=(--deadline)
        slope "$side" "$1" "$few" "$many" 1 "${load[@]}"
        ;;
    *)
        features=$messages
        slope "$side" "$1" "$few_streams" "$many_streams" "$messages" "--$kind" "$messages"
        ;;
    esac
}

if [[ ${1:-} == interceptor ]]; then
    failed=0
    features=100
    for side in server client; do
        slope "$side" barewire "$few" "$many" 1 --in-flight 100
        without=$instructions
        slope "$side" intercepted "$few" "$many" 1 --in-flight 100
        printf '{"bench":"interceptor","side":"%s","without":%d,"with":%d,"difference":%d}\n' \
            "$side" "$without" "$instructions" $((instructions - without))
        if ((instructions - without > max_interceptor)); then
            echo "instructions.sh: an interceptor costs the $side more than $max_interceptor instructions a call" >&2
            failed=1
        fi
    done
    exit "$failed"
fi

json='{"bench":"instructions","side":"%s","kind":"%s","in_flight":%d,"headers":"%s","bare":%s,"barewire":%s,"ratio":%s}'
table='%-7s %-7s %9s  %-9s %10s %10s %7s\n'
# shellcheck disable=SC2059 # the formats are the ones above
printf "$table" side kind "in flight" headers "bare h2" barewire ratio
lines=()
failed=0
for row in "${rows[@]}"; do
    read -r side kind in_flight headers <<<"$row"
    count bare
    bare=$instructions
    count barewire
    ratio=$(awk -v a="$instructions" -v b="$bare" 'BEGIN { printf "%.3f", a / b }')
    # shellcheck disable=SC2059
    printf "$table" "$side" "$kind" "$in_flight" "$headers" "$bare" "$instructions" "$ratio"
    # shellcheck disable=SC2059
    lines+=("$(printf "$json" "$side" "$kind" "$in_flight" "$headers" "$bare" "$instructions" "$ratio")")
    if [[ -n $max_ratio ]] && awk -v r="$ratio" -v m="$max_ratio" 'BEGIN { exit !(r > m) }'; then
        echo "instructions.sh: $row: $ratio is above MAX_RATIO=$max_ratio" >&2
        failed=1
    fi
done
printf '\n%s\n' "${lines[0]}"
printf '%s\n' "${lines[@]:1}"
exit "$failed"
