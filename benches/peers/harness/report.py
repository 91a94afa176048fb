"""Writes the documents: docs/performance.json with every run, and the generated part of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from statistics import median

from .measure import Results, Settings
from .programs import ROOT, SERVERS
from .targets import targets

JSON = ROOT / "docs" / "performance.json"
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN = "<!-- written by benches/peers/run.py: begin -->"
END = "<!-- written by benches/peers/run.py: end -->"

# The name of each metric and its number of digits.
METRICS = {
    "cpu_us": ("CPU, µs", 2),
    "calls_per_s": ("calls/s", 0),
    "messages_per_s": ("messages/s", 0),
    "mb_per_s": ("MB/s", 0),
    "p50_us": ("p50, µs", 1),
    "p99_us": ("p99, µs", 1),
    "per_s": ("a second", 0),
    "kib_1000": ("KiB each at 1,000", 1),
    "kib_5000": ("KiB each at 5,000", 1),
    "messages": ("messages", 0),
    "stalled": ("of 40 ms or more", 0),
    "longest_ms": ("longest, ms", 1),
    "seconds": ("seconds", 1),
    "cpu_s": ("CPU, s", 1),
    "crates": ("crates", 0),
    "kib": ("stripped, KiB", 0),
    "each": ("each", 1),
}

# The heading, the beginnings of the names of its rows, the text above them.
CHAPTERS = [
    ("Unary calls", ("unary", "1 KiB", "4 KiB"), "Load by h2load; at 1×1 by the neutral client, one call after the other. CPU is the server's, for each call."),
    ("Streams of small messages", ("ListFeatures", "RecordRoute", "RouteChat"), "100,000 messages in one call. The client sends each message in a DATA frame of its own, unless packed. CPU is the server's, for each message."),
    ("Big messages", ("1 MiB", "16 MiB"), "CPU is the server's, a message."),
    ("TLS", ("TLS",), "rustls with ring on both sides, TLS 1.3; grpc-go has its own."),
    ("Clients", ("client",), "Against the bare server. CPU is the client's, for each call or message, including its start."),
    ("One worker and two", ("workers",), "Server and load share both cores. CPU is the server's, for each call."),
    ("Connections", ("idle", "connections"), "Growth of the server's memory for each connection after one call on it; then connections that are opened, used for one call and closed, eight at a time."),
    ("No stall", ("no stall",), "Echoes of 1 byte to 64 KiB (each power of two, and one byte less and more), one after the other, with pauses of 0, 0.3 and 2 ms."),
    ("A million messages from grpc-go's client", ("a million",), "One RecordRoute call of 22-byte messages, each in a DATA frame of its own."),
    ("Instructions and copies", ("instructions", "copies"), "Counted by valgrind in user space, on a current-thread runtime. Copies are the bytes that memcpy and memmove move, for each byte of the messages."),
    ("Left out", ("left out",), "Servers that did not start, or answered wrongly before anything was measured."),
    ("Build", ("build",), "A route guide server with TLS: `lean/barewire` and `lean/tonic`, fat LTO, stripped."),
]


def collect(results: Results, settings: Settings, took: float) -> dict:
    """All measurements, and the machine."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "machine": machine(),
        "settings": {"rounds": settings.rounds, "seconds": settings.seconds, "quick": settings.quick},
        "took_s": round(took),
        "peers": {peer.name: peer.what for peer in SERVERS},
        "runs": results.runs,
    }


def merge(old: dict, new: dict) -> dict:
    """Replaces the old runs of the same rows by the new ones."""
    measured = {(run["what"], run["peer"]) for run in new["runs"]}
    kept = [run for run in old["runs"] if (run["what"], run["peer"]) not in measured]
    return new | {"runs": kept + new["runs"]}


def machine() -> dict:
    def first(path: str, key: str) -> str:
        lines = Path(path).read_text().splitlines()
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "unknown")

    def version(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]

    return {
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "rustc": version("rustc", "--version"),
        "go": version("go", "version"),
        "h2load": version("h2load", "--version"),
        "valgrind": version("valgrind", "--version"),
    }


def read() -> dict:
    if not JSON.exists():
        raise SystemExit(f"run.py: {JSON.relative_to(ROOT)} does not exist: run the whole once")
    return json.loads(JSON.read_text())


def write_json(data: dict) -> None:
    """Writes the medians and then one line for each run, so that a diff is readable."""
    head = {key: value for key, value in data.items() if key not in ("runs", "medians")} | {"medians": medians(data)}
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    runs = ",\n".join("  " + json.dumps(run, ensure_ascii=False) for run in data["runs"])
    JSON.write_text(f'{text},\n "runs": [\n{runs}\n ]\n}}\n')


def spread(data: dict) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Returns row → peer → metric → the value of every round."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for run in data["runs"]:
        for metric, value in run.get("values", {}).items():
            found.setdefault(run["what"], {}).setdefault(run["peer"], {}).setdefault(metric, []).append(value)
    return found


def medians(data: dict) -> dict[str, dict[str, dict[str, float]]]:
    return {
        what: {peer: {metric: round(median(values), 3) for metric, values in metrics.items()} for peer, metrics in peers.items()}
        for what, peers in spread(data).items()
    }


def number(value: float, digits: int) -> str:
    digits = digits if value < 1_000 else 0
    return f"{value:,.{digits}f}"


def tables(data: dict) -> str:
    parts = [targets(medians(data))]
    for heading, beginnings, remark in CHAPTERS:
        whats = list(dict.fromkeys(run["what"] for run in data["runs"] if run["what"].startswith(beginnings)))
        if whats:
            parts += [f"### {heading}", remark, *(table(data, what) for what in whats)]
    return "\n\n".join(parts)


def table(data: dict, what: str) -> str:
    """Makes one row for each peer: the median, the lowest and the highest of several rounds, and the ratio to tonic."""
    values = spread(data).get(what, {})
    failures = {run["peer"]: run["failed"] for run in data["runs"] if run["what"] == what and "failed" in run}
    metrics = [name for name in METRICS if any(name in peer for peer in values.values())]
    compared = next((name for name in ("cpu_us", "each", "kib_1000", "kib") if name in metrics), None)
    base = values.get("tonic", {}).get(compared)
    lines = [f"**{what}**", "", "| | " + " | ".join(METRICS[name][0] for name in metrics) + " | to tonic |"]
    lines.append("|---" * (len(metrics) + 2) + "|")
    for peer in dict.fromkeys([*values, *failures]):
        if peer in failures:
            reason = failures[peer].replace("|", "/")
            lines.append(f"| {peer} | " + " | ".join(["–"] * len(metrics)) + f" | {reason} |")
            continue
        cells = [cell(values[peer].get(name), METRICS[name][1]) for name in metrics]
        ours = values[peer].get(compared)
        ratio = f"{median(ours) / median(base):.2f}" if ours and base and median(base) else ""
        lines.append(f"| {peer} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join(lines)


def cell(values: list[float] | None, digits: int) -> str:
    if not values:
        return "–"
    middle = number(median(values), digits)
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values), digits)}–{number(max(values), digits)})"


def write_document(data: dict) -> None:
    """Replaces the generated part between the marks, and leaves the rest of the document unchanged."""
    text = DOCUMENT.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"run.py: {DOCUMENT.relative_to(ROOT)} has lost its marks {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{generated(data)}\n\n{END}{after}")


def generated(data: dict) -> str:
    where, settings = data["machine"], data["settings"]
    lines = [
        f"Measured on {data['date']}: {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}, {where['rustc']}, "
        f"{where['go']}, {where['h2load']}. {settings['rounds']} rounds, {settings['seconds']} s a run under load; "
        "medians, and in brackets the lowest and the highest." + (" A quick run: a look, no figures." * settings["quick"]),
        "| row | what it is |\n|---|---|\n" + "\n".join(f"| {name} | {what} |" for name, what in data["peers"].items()),
        "![Server CPU of a unary call](images/unary-cpu.svg)",
        "![Server CPU of a small message of a stream](images/stream-cpu.svg)",
        "![Throughput of big messages](images/big-throughput.svg)",
        tables(data),
    ]
    return "\n\n".join(lines)
