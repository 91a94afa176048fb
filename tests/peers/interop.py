#!/usr/bin/env python3
"""Runs barewire against programs of other projects: every suite, every pairing, and the scoreboard.

    python3 tests/peers/interop.py                       all suites
    python3 tests/peers/interop.py official grpcio       some of them
    python3 tests/peers/interop.py grpcio --case metadata_large
    python3 tests/peers/interop.py --scoreboard          writes docs/interop.md from the run

Builds what it needs under target/, once. Fails with a message if Go, Node or npm is missing. Prints a failed case with the command
that repeats it alone and shows the frames of our side.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RELEASE = ROOT / "target/release"
PEERS = ROOT / "target/peers"
PYTHON = PEERS / "python/bin/python"
NODE_MODULES = PEERS / "node/node_modules"
LIMIT = ["-max_message_size", str(80 << 20)]
ORCA = ["-service_config_json", '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}']

BASIC = """empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
unimplemented_method unimplemented_service""".split()
OFFICIAL = BASIC + "pick_first_unary rpc_soak channel_soak orca_per_rpc orca_oob".split()
COMPRESSED = """client_compressed_unary server_compressed_unary client_compressed_streaming
server_compressed_streaming""".split()
FURTHER = """metadata_repeated_keys metadata_every_byte metadata_empty_values metadata_large status_messages status_details
deadline_units message_sizes size_over_limit concurrent_calls cancel_at_each_stage""".split()
# Cases that a peer can't run, with the reasons.
CAN_NOT = {
    "grpc-go": {"pick_first_unary": "its server does not set server_id"},
    "grpc-js": {"deadline_units": "its server counts the milliseconds of a deadline in 32 bits"},
}

results = []
chosen_case = None


def fail(words):
    sys.exit(f"interop: {words}")


# Programs


def run(command, *, timeout=600, env=None, cwd=ROOT, stdin=None):
    """Runs a program to its end. Returns its exit status (None if it took too long) and its output."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, text=True, errors="replace",
        )  # fmt: skip
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        printed = late.stdout or b""
        return None, (printed if isinstance(printed, str) else printed.decode(errors="replace")) + f"\nnot over within {timeout} s"


def build(what, command, *, cwd=ROOT):
    if shutil.which(str(command[0])) is None:
        fail(f"{command[0]} is not installed, which {what} needs")
    print(f"building {what}", flush=True)
    status, printed = run(command, cwd=cwd, timeout=1800)
    if status != 0:
        fail(f"{what} can't be built:\n{printed}")


def go(module, program, package):
    build(program, ["go", "build", "-buildvcs=false", "-o", str(PEERS / program), package], cwd=HERE / "go" / module)


def build_ours():
    build("barewire", ["cargo", "build", "--locked", "--release", "--bins"])


def build_interop_go():
    for name in ["server", "client"]:
        go("interop", f"interop_{name}", f"google.golang.org/grpc/interop/{name}")


def build_python():
    if not PYTHON.exists():
        build("a Python environment", [sys.executable, "-m", "venv", str(PEERS / "python")])
    build("grpcio", [str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(HERE / "python/requirements.txt")])


def build_node():
    folder = PEERS / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ["package.json", "package-lock.json"]:
        new = (HERE / "node" / name).read_bytes()
        if not (folder / name).exists() or (folder / name).read_bytes() != new or not NODE_MODULES.exists():
            (folder / name).write_bytes(new)
            shutil.rmtree(NODE_MODULES, ignore_errors=True)
    if not NODE_MODULES.exists():
        build("grpc-js", ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)


def certificate():
    """Creates a certificate for localhost and its key, with the program that comes with Go."""
    if not (PEERS / "key.pem").exists():
        _, root = run(["go", "env", "GOROOT"])
        program = pathlib.Path(root.strip()) / "src/crypto/tls/generate_cert.go"
        build("a certificate", ["go", "run", str(program), "-host", "localhost,127.0.0.1", "-ecdsa-curve", "P256"], cwd=PEERS)
    return str(PEERS / "cert.pem"), str(PEERS / "key.pem")


@contextlib.contextmanager
def server(command, env=None):
    """Runs a server meanwhile. Yields its port, which it prints or gets as PORT in its command."""
    told = None
    if "PORT" in command:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            told = free.getsockname()[1]
        command = [str(told) if word == "PORT" else word for word in command]
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        try:
            yield told and wait_for(child, lambda: connects(told)) and told or wait_for(child, lambda: announced(log))
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_for(child, ready):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := ready():
            return found
        if child.poll() is not None:
            fail(f"{child.args[0]} ended with {child.returncode} before it listened")
        time.sleep(0.02)
    fail(f"{child.args[0]} does not listen")


def connects(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True


def announced(log):
    log.seek(0)
    found = re.search(r"listening on .*:(\d+)", log.read())
    return found and int(found[1])


# Results


class Pairing:
    """One row of the scoreboard: prints a line while it runs and one at its end."""

    def __init__(self, suite, name, ours=True):
        self.suite, self.name, self.ours = suite, name, ours
        self.passed = self.total = 0
        self.begun = time.monotonic()
        self.notes = []

    def case(self, name, passed, printed, again=None):
        self.total += 1
        self.passed += passed
        if sys.stdout.isatty():
            print(f"\r{self.suite}  {self.name}  {self.passed}/{self.total}", end="", flush=True)
        if not passed:
            print(f"\nFAILED {self.suite}, {self.name}: {name}\n{indent(printed)}")
            if again:
                print(f"  again: {again}", flush=True)

    def counted(self, passed, total):
        self.passed, self.total = passed, total
        return self

    def expect(self, total):
        """Fails a suite that runs fewer cases than before."""
        if chosen_case is None and self.total != total and self.ours:
            print(f"FAILED {self.suite}, {self.name}: {self.total} cases, expected {total}")
            self.total = max(self.total, total)
        return self

    def end(self):
        self.seconds = time.monotonic() - self.begun
        if self.total:
            clear = "\r" if sys.stdout.isatty() else ""
            print(f"{clear}{self.line()}", flush=True)
            results.append(self)

    def line(self):
        return f"{self.suite:<12} {self.name:<48} {self.passed}/{self.total}  {self.seconds:.1f} s"


def indent(text):
    return "\n".join("  " + line for line in text.strip().splitlines()[-25:])


def words(command, env=None):
    assignments = [f"{name}={value}" for name, value in (env or {}).items()]
    relative = [str(word).removeprefix(f"{ROOT}/") for word in command]
    return " ".join([*assignments, shlex.join(relative)])


def wanted(cases):
    return [case for case in cases if chosen_case in (None, case)]


# The official programs and the clients with their flags


def interop_client(program, port, case, tls, extra=()):
    command = [str(program), "-server_host", "127.0.0.1", "-server_port", str(port), "-test_case", case, *extra]
    if case.startswith("orca"):
        command += ORCA
    if tls:
        command += ["-use_tls", "-use_test_ca", "-ca_file", certificate()[0], "-server_host_override", "localhost"]
    return command


def interop_server(program, tls, extra=(), port="PORT"):
    command = [str(program), "-port", port, *extra]
    if tls:
        cert, key = certificate()
        command += ["-use_tls", "-tls_cert_file", cert, "-tls_key_file", key]
    return command


OUR_SERVER, OUR_CLIENT = RELEASE / "interop_server", RELEASE / "interop_client"


def cases_one_by_one(pairing, client, port, tls, cases, server_command, extra=()):
    for case in cases:
        command = interop_client(client, port, case, tls, extra)
        status, printed = run(command, timeout=90)
        again = None
        if status != 0:
            again = f"{words(server_command)} &  then  {words(command, {'BAREWIRE_WIRE': 'text'})}"
        pairing.case(case, status == 0, printed, again)


def transports():
    return [("plaintext", False), ("TLS", True)]


def official(compare):
    build_interop_go()
    go_server, go_client = PEERS / "interop_server", PEERS / "interop_client"
    without = [case for case in OFFICIAL if case not in CAN_NOT["grpc-go"]]
    pairs = [
        ("grpc-go client → barewire server", go_client, OUR_SERVER, OFFICIAL, True),
        ("barewire client → grpc-go server", OUR_CLIENT, go_server, without, True),
        ("barewire client → barewire server", OUR_CLIENT, OUR_SERVER, OFFICIAL, True),
    ]
    if compare:
        pairs.append(("grpc-go client → grpc-go server", go_client, go_server, without, False))
    for name, client, program, cases, ours in pairs:
        for transport, tls in transports():
            command = interop_server(program, tls)
            with server(command) as port:
                pairing = Pairing("official", f"{name}, {transport}", ours)
                cases_one_by_one(pairing, client, port, tls, wanted(cases), command)
                pairing.expect(len(cases)).end()


def compressed(_):
    for transport, tls in transports():
        command = interop_server(OUR_SERVER, tls)
        with server(command) as port:
            for encoding in ["gzip", "deflate", "zstd", "br", "snappy"]:
                pairing = Pairing("compressed", f"barewire client → barewire server, {encoding}, {transport}")
                extra = ["-encoding", encoding]
                cases = [*COMPRESSED, "compression_both_ways"]
                cases_one_by_one(pairing, OUR_CLIENT, port, tls, wanted(cases), command, extra)
                pairing.expect(5).end()


def negative(_):
    pairing = Pairing("negative", "server of raw frames ← barewire and grpc-go clients")
    command = ["cargo", "test", "--locked", "--test", "interop", "negative"]
    status, printed = run(command, env={"CI": "true"}, timeout=1200)
    for name, outcome in re.findall(r"^test (negative::\S+) \.\.\. (\S+)$", printed, re.M):
        if chosen_case is None or chosen_case in name:
            pairing.case(name, outcome == "ok", printed, words(command[:-1] + [name]))
    if status != 0 and pairing.passed == pairing.total:
        pairing.case("cargo test", False, printed)
    pairing.end()


def conformance(compare):
    go("conformance", "connectconformance", "connectrpc.com/conformance/cmd/connectconformance")
    rows = [
        ("conformance.yaml", "server", "barewire server, all of gRPC", RELEASE / "conformance_server", True, 1278),
        ("conformance.yaml", "client", "barewire client, all of gRPC", RELEASE / "conformance_client", True, 1490),
    ]
    if compare:
        target = ROOT / "target/peers-tonic"
        tonic = target / "release"
        build("tonic", ["cargo", "build", "--locked", "--release", "--target-dir", str(target)], cwd=HERE / "tonic")
        for mode, total in [("server", 374), ("client", 409)]:
            go("conformance", f"grpc{mode}", f"connectrpc.com/conformance/cmd/grpc{mode}")
            plain = "plaintext, identity and gzip"
            rows += [
                ("conformance-plaintext.yaml", mode, f"barewire {mode}, {plain}", RELEASE / f"conformance_{mode}", True, total),
                ("conformance-plaintext.yaml", mode, f"grpc-go {mode}, {plain}", PEERS / f"grpc{mode}", False, total),
                ("conformance-plaintext.yaml", mode, f"tonic {mode}, {plain}", tonic / f"tonic_conformance_{mode}", False, total),
            ]
    for config, mode, name, program, ours, total in rows:
        pairing = Pairing("conformance", name, ours)
        command = [str(PEERS / "connectconformance"), "--mode", mode, "--conf", str(HERE / config)]
        if chosen_case:
            command += ["--run", chosen_case]
        _, printed = run([*command, "--", str(program)], timeout=1200)
        found = re.search(r"(\d+) passed, (\d+) failed", printed)
        if not found:
            pairing.case("the suite", False, printed, words([*command, "--", program]))
        else:
            passed, failed = int(found[1]), int(found[2])
            pairing.counted(passed, passed + failed)
            for case in re.findall(r"^FAILED: (.*?):?$", printed, re.M) if ours else []:
                again = words([*command, "-v", "--run", case, "--", program], {"BAREWIRE_WIRE": "text"})
                print(f"FAILED conformance, {name}: {case}\n  again: {again}")
        pairing.expect(total).end()


def h2spec(compare):
    go("h2spec", "h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
    cert, key = certificate()
    ours = [str(RELEASE / "route_guide_server"), "-port", "0"]
    tls = ["-tls", "-cert_file", cert, "-key_file", key]
    rows = [("barewire server, plaintext", ours, [], True), ("barewire server, TLS", ours + tls, ["-t", "-k"], True)]
    if compare:
        go("route_guide", "route_guide_server", "google.golang.org/grpc/examples/route_guide/server")
        rows.append(("grpc-go server, plaintext", [str(PEERS / "route_guide_server"), "-port", "PORT"], [], False))
    for name, command, flags, is_ours in rows:
        for round_number in range(1, 4 if is_ours else 2):
            with server(command) as port:
                pairing = Pairing("h2spec", f"{name}, round {round_number}", is_ours)
                test = [str(PEERS / "h2spec"), "-h", "127.0.0.1", "-p", str(port), *flags]
                _, printed = run([*test, "-P", "/routeguide.RouteGuide/GetFeature"], timeout=600)
                found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", printed)
                if not found:
                    pairing.case("the suite", False, printed, words(test))
                else:
                    pairing.counted(int(found[2]), int(found[1]))
                    if is_ours and found[4] != "0":
                        print(indent(printed))
                pairing.expect(145).end()


def matrix(suite, client, server_command, env, our_extra):
    """Runs both directions with programs under tests/peers that have their own flags."""
    cert, key = certificate()
    for transport, tls in transports():
        ours = interop_server(OUR_SERVER, tls, LIMIT, "0")
        with server(ours) as port:
            pairing = Pairing(suite, f"{suite} client → barewire server, {transport}")
            command = [*client, "--server_port", str(port)]
            if tls:
                command += ["--use_tls", "--ca_file", cert, "--server_host_override", "localhost"]
            if chosen_case:
                command += ["--test_case", chosen_case]
            _, printed = run(command, env=env, timeout=600)
            for outcome, case, reason in re.findall(r"^(PASS|FAIL) (\w+)(.*)$", printed, re.M):
                again = f"{words(ours, {'BAREWIRE_WIRE': 'text'})} &  then  {words([*command, '--test_case', case], env)}"
                pairing.case(case, outcome == "PASS", case + reason, again)
            if not re.search(r"^\d+ passed, \d+ failed$", printed, re.M) and not chosen_case:
                pairing.case("the client", False, printed, words(command, env))
            pairing.expect(26).end()
    for transport, tls in transports():
        for name, flags, cases, extra in our_extra:
            command = [*server_command, *flags]
            if tls:
                command += ["--use_tls", "--tls_cert_file", cert, "--tls_key_file", key]
            with server(command, env) as port:
                pairing = Pairing(suite, f"barewire client → {suite} server{name}, {transport}")
                cases_one_by_one(pairing, OUR_CLIENT, port, tls, wanted(cases), command, extra)
                pairing.expect(len(cases)).end()


def grpcio(_):
    build_python()
    sized = [case for case in FURTHER if case != "size_over_limit"]
    compression = ["server_compressed_unary", "server_compressed_streaming", "compression_both_ways"]
    server_command = [str(PYTHON), str(HERE / "python/server.py")]
    matrix("grpcio", [str(PYTHON), str(HERE / "python/client.py")], server_command, {}, [
        ("", [], BASIC + sized, LIMIT),
        (", limits", [], ["size_over_limit", "rpc_soak", "channel_soak"], []),
        (", gzip", ["--compression", "gzip"], compression, ["-encoding", "gzip"]),
        (", deflate", ["--compression", "deflate"], compression, ["-encoding", "deflate"]),
    ])  # fmt: skip


def grpc_js(_):
    build_node()
    sized = [case for case in FURTHER if case != "size_over_limit" and case not in CAN_NOT["grpc-js"]]
    env = {"NODE_PATH": str(NODE_MODULES)}
    matrix("grpc-js", ["node", str(HERE / "node/client.js")], ["node", str(HERE / "node/server.js")], env, [
        ("", [], BASIC + sized, LIMIT),
        (", limits", [], ["size_over_limit", "rpc_soak", "channel_soak"], []),
    ])  # fmt: skip


POINT = '{"latitude":409146138,"longitude":-746188906}'
EVERYWHERE = '{"lo":{"latitude":-900000000,"longitude":-1800000000},"hi":{"latitude":900000000,"longitude":1800000000}}'
# Arguments of grpcurl, a text in its output, and its exit status.
GRPCURL = {
    "list": ([], ["list"], "routeguide.RouteGuide", 0),
    "describe_service": ([], ["describe", "routeguide.RouteGuide"], "rpc RouteChat ( stream .routeguide.RouteNote )", 0),
    "describe_message": ([], ["describe", "grpc.health.v1.HealthListResponse"], "map<string, .grpc.health.v1.", 0),
    "describe_unknown": ([], ["describe", "no.Such"], "Symbol not found: no.Such", 1),
    "unary": (["-d", POINT], ["routeguide.RouteGuide/GetFeature"], "Berkshire Valley", 0),
    "server_streaming": (["-d", EVERYWHERE], ["routeguide.RouteGuide/ListFeatures"], "Berkshire Valley", 0),
    "client_streaming": (["-d", POINT + POINT], ["routeguide.RouteGuide/RecordRoute"], '"pointCount": 2', 0),
    "bidi_streaming": (["-d", '{"message":"hello"}'], ["routeguide.RouteGuide/RouteChat"], '"message": "hello"', 0),
    "health": ([], ["grpc.health.v1.Health/List"], '"routeguide.RouteGuide"', 0),
}


def services(_):
    """Health checks, reflection and details of errors, with the programs and packages that people use for them."""
    build_python()
    go("services", "services", ".")
    go("services", "grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
    go("services", "grpc_health_probe", "github.com/grpc-ecosystem/grpc-health-probe")
    details = ["-details", str(HERE / "error_details.textproto")]
    with server([str(RELEASE / "route_guide_server"), "-port", "0"]) as port:
        pairing = Pairing("services", "grpcurl → barewire server")
        for name in wanted(GRPCURL):
            flags, rest, expected, code = GRPCURL[name]
            command = [str(PEERS / "grpcurl"), "-plaintext", *flags, f"127.0.0.1:{port}", *rest]
            status, printed = run(command, timeout=60)
            pairing.case(name, status == code and expected in printed, printed, words(command))
        pairing.expect(len(GRPCURL)).end()
        pairing = Pairing("services", "grpc-health-probe → barewire server")
        for name, service, code in [("server", "", 0), ("service", "routeguide.RouteGuide", 0), ("unknown", "no.Such", 3)]:
            if wanted([name]):
                command = [str(PEERS / "grpc_health_probe"), "-addr", f"127.0.0.1:{port}", "-service", service]
                status, printed = run(command, timeout=60)
                pairing.case(name, status == code, printed, words(command))
        pairing.expect(3).end()
    with server(interop_server(OUR_SERVER, False, port="0")) as port:
        python = [str(PYTHON), str(HERE / "python/services.py"), "--server_port", str(port)]
        for peer, command, total in [
            ("grpc-go", [str(PEERS / "services"), *details, "-server", f"127.0.0.1:{port}"], 5),
            ("grpcio", python, 4),
        ]:
            pairing = Pairing("services", f"{peer} client → barewire server")
            _, printed = run(command, timeout=120)
            for outcome, case in re.findall(r"^(PASS|FAIL) (\w+)", printed, re.M):
                if wanted([case]):
                    pairing.case(case, outcome == "PASS", printed, words(command))
            pairing.expect(total).end()
    for peer, command in [
        ("grpc-go", [str(PEERS / "services"), *details, "-serve"]),
        ("grpcio", [str(PYTHON), str(HERE / "python/server.py")]),
    ]:
        with server(command) as port:
            pairing = Pairing("services", f"barewire client → {peer} server")
            cases_one_by_one(pairing, OUR_CLIENT, port, False, wanted(["error_details"]), command)
            pairing.expect(1).end()


SUITES = {
    "official": official, "compressed": compressed, "negative": negative, "conformance": conformance, "h2spec": h2spec,
    "grpcio": grpcio, "grpc-js": grpc_js, "services": services,
}  # fmt: skip


# The scoreboard


def versions():
    def found(file, pattern):
        match = re.search(pattern, (HERE / file).read_text())
        return match[1] if match else "unknown"

    _, commit = run(["git", "rev-parse", "--short", "HEAD"])
    return {
        "barewire": commit.strip(),
        "grpc-go": found("go/interop/go.mod", r"google\.golang\.org/grpc v(\S+)"),
        "grpc-go in connectrpc's programs": found("go/conformance/go.mod", r"google\.golang\.org/grpc v(\S+)"),
        "connectrpc conformance": found("go/conformance/go.mod", r"connectrpc\.com/conformance v(\S+)"),
        "tonic": found("tonic/Cargo.lock", r'name = "tonic"\nversion = "(\S+)"'),
        "grpcurl": found("go/services/go.mod", r"fullstorydev/grpcurl v(\S+)"),
        "grpc-health-probe": found("go/services/go.mod", r"grpc-ecosystem/grpc-health-probe v(\S+)"),
        "h2spec": found("go/h2spec/go.mod", r"summerwind/h2spec v(\S+)"),
        "grpcio": found("python/requirements.txt", r"grpcio==(\S+)"),
        "grpc-js": found("node/package.json", r'grpc-js": "(\S+)"'),
    }


HEAD = """\
# Barewire and others: the scoreboard

Written by `python3 tests/peers/interop.py --scoreboard` from a run on {date}, on {machine}.
The programs of each suite reported these numbers. A suite that runs fewer cases than it should fails. CI runs every row in bold.

{versions}.

| suite | pairing | passed | of |
|---|---|---|---|
"""
TAIL = """
## What the suites are

* **official**: the 19 cases of gRPC's interop tests that do not need a cloud, run with grpc-go's programs. grpc-go's server does
  not set `server_id`, so `pick_first_unary` is not run against it, which leaves 18.
* **compressed**: the four compressed cases of the test descriptions, which grpc-go's programs lack, and one that compresses both
  ways, with each of our encodings.
* **negative**: a server of raw frames misbehaves as the HTTP/2 interop tests describe (`programs/tests/interop/negative.rs`). Our
  client and grpc-go's run against it. The test also holds the result of each case for grpc-go's client.
* **conformance**: connectrpc's suite for gRPC over HTTP/2, with TLS, client certificates and six compressions, without a list of
  known failures. Its smaller configuration is for comparison with others. HTTP 431: [decision 0010](decisions/0010-http-431.md).
* **h2spec**: 145 tests of HTTP/2, three rounds, because some of them have races.
* **grpcio** (C-core) and **grpc-js** (Node): clients and servers of the test service on these libraries, from `tests/peers`, both
  ways. They run the basic cases; metadata with repeated keys, all bytes, empty values, and more than 8 KiB; error messages in
  several scripts; status details; deadlines; compression; messages from 0 bytes to 64 MiB; a thousand calls at a time;
  cancellation at each stage. grpc-js's server counts a deadline's milliseconds in 32 bits, so `deadline_units` is not run against
  it. grpc-js does not compress.
* **services**: health checks, reflection and details of errors. grpcurl lists, describes and calls with no `.proto` file,
  grpc-health-probe asks for statuses, and programs on grpc-go and grpcio use the packages that these projects have for it. Both
  also send us an error with a detail of every published type.

tonic has no programs for these suites. Ours in `tests/peers/tonic` are only for the conformance suite. tonic does not accept
trailers from the handler of a successful call, so our program adds them to the frame that tonic makes.

## Repeating a run

`python3 tests/peers/interop.py SUITE… --case NAME` repeats one case. A failed case is printed with the command that repeats it
alone. That command sets `BAREWIRE_WIRE=text`, which shows each frame of our side.
"""


def scoreboard():
    named = textwrap.fill("Versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()), 125)
    machine = f"{platform.system()} {platform.machine()} with {os.cpu_count()} processors"
    page = HEAD.format(date=datetime.date.today().isoformat(), machine=machine, versions=named)
    for row in results:
        name = f"**{row.name}**" if row.ours else row.name
        page += f"| {row.suite} | {name} | {row.passed} | {row.total} |\n"
    (ROOT / "docs/interop.md").write_text(page + TAIL)


def main():
    global chosen_case
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    flags.add_argument("--case", help="only this case")
    flags.add_argument("--scoreboard", action="store_true", help="write docs/interop.md; runs all suites, and peers with peers")
    flags = flags.parse_args()
    for name in flags.suites:
        if name not in SUITES:
            flags.error(f"unknown suite {name}: use one of {', '.join(SUITES)}")
    if flags.scoreboard and (flags.suites or flags.case):
        flags.error("--scoreboard is of all suites")
    chosen_case = flags.case
    for tool in ["cargo", "go"]:
        if shutil.which(tool) is None:
            fail(f"{tool} is not installed")
    PEERS.mkdir(parents=True, exist_ok=True)
    build_ours()
    certificate()
    for name in flags.suites or SUITES:
        SUITES[name](flags.scoreboard)
    print("\n" + "\n".join(row.line() for row in results))
    if not results:
        fail("no such case")
    if flags.scoreboard:
        scoreboard()
    failed = [row for row in results if row.ours and row.passed < row.total]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
