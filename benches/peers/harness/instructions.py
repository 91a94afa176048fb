"""Counts instructions and copies with valgrind: they do not depend on the load of the machine.

A program runs twice, for FEW and for MANY calls or messages. The difference, divided by their difference, is the cost of one,
without start-up. callgrind counts user-space instructions, dhat the bytes that memcpy and memmove move; neither counts the
kernel's copies. valgrind does not understand Go's memmove and stacks, so grpc-go has no row here.
"""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from .measure import MIB, Results, Settings, Values, say
from .process import PATIENCE, Failed
from .programs import BARE, CLIENTS, LOAD, TARGET, rust

COUNTS = TARGET / "valgrind"
SERVERS = {
    "bare": rust("bare_peer", 0),
    "barewire": rust("barewire_peer", 0),
    "tonic": rust("tonic_peer", 0),
    "connectrpc": rust("connect_peer", 0),
}


def tool(name: str, program: str) -> tuple[list[str], Path]:
    """Returns valgrind's command, and the file with its counts."""
    file = COUNTS / name
    if program == "callgrind":
        return ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={file}"], file
    return ["valgrind", "--tool=dhat", "--mode=copy", "--dhat-out-file=/dev/null", f"--log-file={file}"], file


def total(file: Path) -> int:
    found = re.search(r"^totals: (\d+)|Total: +([\d,]+) bytes", file.read_text(), re.MULTILINE)
    if not found:
        raise Failed(f"nothing counted in {file.name}")
    return int((found[1] or found[2]).replace(",", ""))


def count_server(name: str, program: str, command: tuple[str, ...], repeat: int, loads: list[list[str]]) -> int:
    """Counts a server while a load runs against it."""
    prefix, file = tool(name, program)
    serve = [*prefix, *command, "--repeat", str(repeat), "--counted"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            port = server.stdout.readline().strip()
            for load in loads:
                done = subprocess.run(
                    [part.replace("PORT", port) for part in load], capture_output=True, text=True, timeout=PATIENCE
                )
                if done.returncode:
                    raise Failed(done.stderr.strip())
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
    return total(file)


def count_client(name: str, command: list[str], calls: int) -> int:
    """Counts a client against the bare server, which is not counted."""
    prefix, file = tool(name, "callgrind")
    with subprocess.Popen([*rust("bare_peer", 0)], stdout=subprocess.PIPE, text=True) as server:
        try:
            port = server.stdout.readline().strip()
            arguments = ["--port", port, "--count", str(calls), "--in-flight", "100", "unary"]
            done = subprocess.run([*prefix, *command, *arguments], capture_output=True, text=True, timeout=PATIENCE)
            if done.returncode:
                raise Failed(done.stderr.strip())
        finally:
            server.kill()
    return total(file)


def unary_load(calls: int) -> list[str]:
    return [str(BARE), "call", "--port", "PORT", "--count", str(calls), "--in-flight", "100", "unary"]


def list_load(calls: int) -> list[str]:
    return [str(BARE), "call", "--port", "PORT", "--count", "10000", "--calls", str(calls), "list"]


def blobs_load(mode: str, size: int, count: int) -> list[str]:
    return [str(LOAD), "--port", "PORT", mode, str(size), str(count)]


def instructions(settings: Settings, results: Results) -> None:
    """Rows: a unary call, a message streamed, a message decoded, and the copies of 1 MiB in each direction."""
    COUNTS.mkdir(exist_ok=True)
    few, many = (500, 2_500) if settings.quick else (2_000, 12_000)
    wanted = {name: command for name, command in SERVERS.items() if not settings.only or name in settings.only}
    for peer, command in wanted.items():
        say(f"instructions: {peer}")

        def slope(kind: str, program: str, repeat: int, each: int, few_load: list[str], many_load: list[str]) -> Values:
            low = count_server(f"{kind}-{peer}-few", program, command, repeat, [few_load])
            high = count_server(f"{kind}-{peer}-many", program, command, repeat, [many_load])
            return {"each": (high - low) / each}

        rows = {
            "instructions, unary call": lambda: slope(
                "unary", "callgrind", 1, many - few, unary_load(few), unary_load(many)
            ),
            "instructions, message streamed": lambda: slope(
                "list", "callgrind", 100, 80_000, list_load(2), list_load(10)
            ),
            "instructions, message decoded": lambda: slope(
                "decoded", "callgrind", 1, 80_000, blobs_load("upload", 17, 20_000), blobs_load("upload", 17, 100_000)
            ),
        }
        for mode, where in (("download", "to the client"), ("upload", "to the server"), ("echo", "echoed")):
            rows[f"copies, 1 MiB {where}"] = lambda mode=mode: slope(
                mode, "dhat", 1, 16 * MIB, blobs_load(mode, MIB, 8), blobs_load(mode, MIB, 24)
            )
        for what, measure in rows.items():
            results.take(what, peer, 0, measure)
    for peer, command in CLIENTS.items():
        if peer == "grpc-go" or (settings.only and peer not in settings.only):
            continue
        say(f"instructions: {peer}'s client")

        def client() -> Values:
            low = count_client(f"client-{peer}-few", command, few)
            return {"each": (count_client(f"client-{peer}-many", command, many) - low) / (many - few)}

        results.take("instructions, client's unary call", peer, 0, client)
