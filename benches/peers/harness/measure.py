"""The measurements, section by section. Every section runs its peers in turn, A B C A B C, and passes each run to `Results`."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from .process import BOTH, LOAD_CORE, Failed, Run, Server, load, own_cpu, timed
from .programs import CLIENTS, LOAD, MILLION, SERVERS, TARGET, Peer, rust

MESSAGES = 100_000
MIB = 1 << 20
Values = dict[str, float]


@dataclass
class Settings:
    """The number and length of the runs."""

    rounds: int = 3
    seconds: float = 0.6
    quick: bool = False
    only: tuple[str, ...] = ()

    def peers(self, fit: Callable[[Peer], bool] = lambda _: True) -> list[Peer]:
        return [peer for peer in SERVERS if fit(peer) and (not self.only or peer.name in self.only)]


@dataclass
class Results:
    """Every run of every row; a failed run has the reason."""

    runs: list[dict] = field(default_factory=list)

    def take(self, what: str, peer: str, turn: int, measure: Callable[[], Values]) -> None:
        """Measures and stores the values, or the reason for the failure."""
        run: dict = {"what": what, "peer": peer, "round": turn}
        try:
            run["values"] = measure()
        except Failed as failure:
            run["failed"] = str(failure)
        self.runs.append(run)

    def has_failed(self, what: str, peer: str) -> bool:
        return any(run["what"] == what and run["peer"] == peer and "failed" in run for run in self.runs)


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def running(stack: ExitStack, results: Results, peers: Iterable[Peer], tls: bool = False) -> list[Server]:
    """Starts servers and checks their answers to every method. Leaves out a server with a wrong answer, with the reason."""
    servers = []
    for peer in peers:
        try:
            server = stack.enter_context(Server(peer, tls))
            load(server, "check", *([] if peer.streams else ["--only-unary"]))
            servers.append(server)
        except Failed as failure:
            say(f"left out: {peer.name}: {failure}")
            results.runs.append({"what": "left out", "peer": peer.name, "round": 0, "failed": str(failure)})
    return servers


def in_turns(
    settings: Settings, results: Results, servers: list[Server], rows: dict[str, Callable[[Server], Values]]
) -> None:
    """Measures row by row, round by round, server by server. Skips a server that failed the row before."""
    for what, measure in rows.items():
        say(what)
        for turn in range(settings.rounds):
            for server in servers:
                if not results.has_failed(what, server.peer.name):
                    results.take(what, server.peer.name, turn, lambda: measure(server))


# Unary calls, by h2load.


def h2load(server: Server, settings: Settings, connections: int, streams: int, body: str, path: str, core: str) -> Values:
    scheme = "https" if server.tls else "http"
    command = ["h2load", "-D", f"{int(settings.seconds * 1000)}ms", "-c", str(connections), "-m", str(streams)]
    command += ["-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"]
    run = timed(server, [*command, f"{scheme}://127.0.0.1:{server.port}{path}"], core)
    found = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", run.text)
    speed = re.search(r"finished in [^,]*, ([\d.]+) req/s", run.text)
    if not found or not speed or int(found[3]) or int(found[2]) == 0:
        raise Failed("h2load: " + (found[0] if found else "no summary"))
    return {"calls_per_s": float(speed[1]), "cpu_us": run.server_ns / 1e3 / int(found[1])}


def bodies() -> dict[str, str]:
    """Writes the requests as files, each with one length-prefixed message."""

    def varint(number: int) -> bytes:
        number &= (1 << 64) - 1
        out = b""
        while number >= 128:
            out += bytes([number & 127 | 128])
            number >>= 7
        return out + bytes([number])

    messages = {"point": b"\x08" + varint(409146138) + b"\x10" + varint(-746188906)}
    messages |= {str(size): b"\x08" + varint(size) for size in (1024, 4096)}
    files = {}
    for name, message in messages.items():
        file = TARGET / f"{name}.body"
        file.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        files[name] = str(file)
    return files


def unary_rows(settings: Settings, core: str = LOAD_CORE) -> dict[str, Callable[[Server], Values]]:
    files = bodies()
    guide, answer = "/routeguide.RouteGuide/GetFeature", "/bench.Blobs/Answer"

    def row(connections: int, streams: int, body: str = "point", path: str = guide) -> Callable[[Server], Values]:
        return lambda server: h2load(server, settings, connections, streams, files[body], path, core)

    return {
        "unary 1×100": row(1, 100),
        "unary 10×100": row(10, 100),
        "unary 50×10": row(50, 10),
        "1 KiB answers 1×100": row(1, 100, "1024", answer),
        "4 KiB answers 1×100": row(1, 100, "4096", answer),
    }


def latency(server: Server, settings: Settings) -> Values:
    run = load(server, "latency", str(settings.seconds))
    return {
        "p50_us": run.result["p50_us"],
        "p99_us": run.result["p99_us"],
        "cpu_us": run.server_ns / 1e3 / run.result["calls"],
    }


def unary(settings: Settings, results: Results) -> None:
    with ExitStack() as stack:
        servers = running(stack, results, settings.peers())
        rows = {"unary 1×1": lambda server: latency(server, settings)} | unary_rows(settings)
        in_turns(settings, results, servers, rows)


def two_workers(settings: Settings, results: Results) -> None:
    """Measures servers with one and with two workers on both cores, which they share with the load."""
    wanted = [peer for peer in settings.peers() if peer.name in ("barewire", "tonic", "grpc-go")]
    with ExitStack() as stack:
        for peer in wanted:
            for workers in (1, 2):
                command = peer.command if peer.name == "grpc-go" else rust(f"{peer.name}_peer", workers)
                environment = {"GOMAXPROCS": str(workers)} if peer.name == "grpc-go" else {}
                one = Peer(f"{peer.name}, {workers}", "", command, environment)
                server = stack.enter_context(Server(one, cores=BOTH))
                rows = list(unary_rows(settings, BOTH).items())[:3]
                for what, measure in [(f"workers {what}", measure) for what, measure in rows]:
                    say(f"{what}: {server.peer.name}")
                    for turn in range(settings.rounds):
                        results.take(what, server.peer.name, turn, lambda: measure(server))


# Streams, by the neutral client.


def stream_rows(settings: Settings) -> dict[str, Callable[[Server], Values]]:
    def row(*mode: str) -> Callable[[Server], Values]:
        return lambda server: per_message(load(server, *mode))

    count = str(MESSAGES)
    return {
        "ListFeatures": row("list", count),
        "RecordRoute": row("record", count),
        "RecordRoute, packed": row("record", count, "--packed"),
        "RouteChat": row("chat", count),
    }


def per_message(run: Run) -> Values:
    messages = run.result["messages"]
    return {"messages_per_s": messages / run.result["seconds"], "cpu_us": run.server_ns / 1e3 / messages}


def big_rows(settings: Settings) -> dict[str, Callable[[Server], Values]]:
    def row(mode: str, size: int) -> Callable[[Server], Values]:
        count = max(2, (64 if settings.quick else 512) * MIB // size // (2 if mode == "echo" else 1))

        def measure(server: Server) -> Values:
            run = load(server, mode, str(size), str(count))
            megabytes = run.result["bytes"] / 1e6
            return {
                "mb_per_s": megabytes / run.result["seconds"],
                "cpu_us": run.server_ns / 1e3 / run.result["messages"],
            }

        return measure

    names = {"download": "to the client", "upload": "to the server", "echo": "echoed"}
    return {f"{size} MiB {names[mode]}": row(mode, size * MIB) for size in (1, 16) for mode in names}


def streams(settings: Settings, results: Results) -> None:
    with ExitStack() as stack:
        servers = running(stack, results, settings.peers(lambda peer: peer.streams))
        in_turns(settings, results, servers, stream_rows(settings))


def big(settings: Settings, results: Results) -> None:
    with ExitStack() as stack:
        servers = running(stack, results, settings.peers(lambda peer: peer.streams))
        in_turns(settings, results, servers, big_rows(settings))


def tls(settings: Settings, results: Results) -> None:
    rows = {"unary 1×1": lambda server: latency(server, settings)}
    rows |= {"unary 10×100": unary_rows(settings)["unary 10×100"]}
    rows |= {"ListFeatures": stream_rows(settings)["ListFeatures"]}
    rows |= {"1 MiB to the client": big_rows(settings)["1 MiB to the client"]}
    rows |= {"connections": lambda server: accepted(server, settings)}
    with ExitStack() as stack:
        servers = running(stack, results, settings.peers(lambda peer: peer.tls), tls=True)
        in_turns(settings, results, servers, {f"TLS, {what}": measure for what, measure in rows.items()})


# Connections.


def accepted(server: Server, settings: Settings) -> Values:
    run = load(server, "connections", str(settings.seconds))
    opened = run.result["connections"]
    return {"per_s": opened / run.result["seconds"], "cpu_us": run.server_ns / 1e3 / opened}


def idle(peer: Peer, counts: tuple[int, ...]) -> Values:
    """Measures the growth of a new server's memory for each connection after one call."""
    values = {}
    for count in counts:
        with Server(peer) as server:
            load(server, "check", *([] if peer.streams else ["--only-unary"]))
            before = server.memory()
            command = ["taskset", "-c", LOAD_CORE, str(LOAD), "--port", str(server.port), "idle", str(count)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            with subprocess.Popen(command, text=True, **pipes) as client:
                if client.stdout.readline().strip() != "open":
                    raise Failed(client.stderr.read().strip())
                values[f"kib_{count}"] = (server.memory() - before) / count
                client.stdin.close()
    return values


def connections(settings: Settings, results: Results) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most = 1_000 if settings.quick or hard < 12_000 else 5_000
    peers = settings.peers()
    for turn in range(settings.rounds):
        say(f"idle connections, round {turn + 1}")
        for peer in peers:
            results.take("idle connection", peer.name, turn, lambda: idle(peer, tuple(sorted({1_000, most}))))
    with ExitStack() as stack:
        servers = running(stack, results, peers)
        in_turns(settings, results, servers, {"connections": lambda server: accepted(server, settings)})
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def stalls(settings: Settings, results: Results) -> None:
    """Messages of 1 byte to 64 KiB, one by one at three rates: those that took 40 ms or longer."""
    with ExitStack() as stack:
        for server in running(stack, results, settings.peers(lambda peer: peer.streams and "mimalloc" not in peer.name)):
            say(f"no stall: {server.peer.name}")

            def measure() -> Values:
                found = load(server, "stalls", "5" if settings.quick else "25").result
                stalled = sum(entry["messages"] for entry in found["stalled"])
                return {"messages": found["messages"], "stalled": stalled, "longest_ms": found["longest_ms"]}

            results.take("no stall", server.peer.name, 0, measure)


def million(settings: Settings, results: Results) -> None:
    """Sends 1,000,000 messages of 22 bytes with grpc-go's client in one RecordRoute, and checks which servers accept them."""
    peers = settings.peers(lambda peer: peer.streams and peer.name != "bare" and "mimalloc" not in peer.name)
    # h2's budget for small frames depends on the windows, so their defaults matter here.
    wider = [peer for peer in peers if peer.name in ("tonic", "connectrpc")]
    peers += [replace(peer, name=f"{peer.name}, its defaults", command=(*peer.command, "--defaults")) for peer in wider]
    for peer in peers:
        say(f"a million messages: {peer.name}")
        with Server(peer) as server:

            def measure() -> Values:
                run = timed(server, [str(MILLION), "-addr", f"127.0.0.1:{server.port}"])
                return {"seconds": run.seconds, "cpu_us": run.server_ns / 1e9}

            results.take("a million messages", peer.name, 0, measure)


# Clients.


def clients(settings: Settings, results: Results) -> None:
    """Measures clients against the bare server, which costs them the least."""
    bare = next(peer for peer in SERVERS if peer.name == "bare")
    calls = 3_000 if settings.quick else 20_000
    rows = {
        "client, unary 1×1": ("unary", calls // 2, 1),
        "client, unary 1×100": ("unary", calls, 100),
        "client, ListFeatures": ("list", MESSAGES, 1),
        "client, RecordRoute": ("record", MESSAGES, 1),
    }
    with Server(bare) as server:
        for what, (method, count, in_flight) in rows.items():
            say(what)
            for turn in range(settings.rounds):
                for name, command in CLIENTS.items():
                    flag = "-in_flight" if name == "grpc-go" else "--in-flight"
                    dash = "-" if name == "grpc-go" else "--"
                    arguments = [f"{dash}port", str(server.port), f"{dash}count", str(count), flag, str(in_flight)]

                    def measure() -> Values:
                        begun = time.monotonic()
                        nanoseconds = own_cpu([*command, *arguments, method])
                        return {"cpu_us": nanoseconds / 1e3 / count, "per_s": count / (time.monotonic() - begun)}

                    results.take(what, name, turn, measure)


SECTIONS: dict[str, Callable[[Settings, Results], None]] = {
    "unary": unary,
    "streams": streams,
    "big": big,
    "tls": tls,
    "clients": clients,
    "workers": two_workers,
    "connections": connections,
    "stalls": stalls,
    "million": million,
}
