"""The targets, each with its measurement (a ratio of two medians, or a number) and a limit."""

from __future__ import annotations

from dataclasses import dataclass

Medians = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Target:
    """The value of `ours` in a row, divided by that of `other` if given, must be at most (or at least) `limit`."""

    what: str
    row: str
    metric: str
    limit: float
    other: str | None = None
    ours: str = "barewire"
    other_row: str | None = None
    at_least: bool = False

    def value(self, medians: Medians) -> float | None:
        try:
            ours = medians[self.row][self.ours][self.metric]
            if self.other is None:
                return ours
            other = medians[self.other_row or self.row][self.other][self.metric]
        except KeyError:
            return None
        return ours / other if other else None

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def under_load() -> list[Target]:
    found = []
    for row in ("unary 1×100", "unary 10×100", "unary 50×10"):
        found.append(Target(f"CPU, {row}, to tonic", row, "cpu_us", 0.38, "tonic"))
        found.append(Target(f"CPU, {row}, to tonic on its current thread", row, "cpu_us", 0.70, "tonic-ct"))
        found.append(Target(f"CPU, {row}, to grpc-go", row, "cpu_us", 0.35, "grpc-go"))
    return found


TARGETS = [
    Target("instructions of a unary call, server, to the ceiling", "instructions, unary call", "each", 1.20, "bare"),
    Target("instructions of a unary call, server, to tonic", "instructions, unary call", "each", 0.68, "tonic"),
    Target("instructions of a unary call, client, to bare h2", "instructions, client's unary call", "each", 1.25, "bare"),
    Target("instructions of a unary call, client, to tonic", "instructions, client's unary call", "each", 0.62, "tonic"),
    *under_load(),
    Target("CPU, answers of 1 KiB, to tonic", "1 KiB answers 1×100", "cpu_us", 0.45, "tonic"),
    Target("CPU, answers of 4 KiB, to tonic", "4 KiB answers 1×100", "cpu_us", 0.45, "tonic"),
    Target("CPU, ListFeatures, to tonic", "ListFeatures", "cpu_us", 0.40, "tonic"),
    Target("messages/s, ListFeatures, to tonic", "ListFeatures", "messages_per_s", 2.5, "tonic", at_least=True),
    Target("CPU, RecordRoute, to tonic", "RecordRoute", "cpu_us", 0.85, "tonic"),
    Target("CPU, RouteChat, to tonic", "RouteChat", "cpu_us", 0.75, "tonic"),
    Target("CPU, 1 MiB to the client, to tonic", "1 MiB to the client", "cpu_us", 0.60, "tonic"),
    Target("CPU, 1 MiB to the server, to tonic", "1 MiB to the server", "cpu_us", 0.60, "tonic"),
    Target("CPU, 1 MiB echoed, to tonic", "1 MiB echoed", "cpu_us", 0.85, "tonic"),
    *(
        Target(f"MB/s, {row}, to grpc-go", row, "mb_per_s", 1.0, "grpc-go", at_least=True)
        for row in ("1 MiB to the client", "1 MiB to the server", "1 MiB echoed")
    ),
    Target("KiB of an idle connection, at 1,000", "idle connection", "kib_1000", 23),
    Target("KiB of an idle connection, at 5,000", "idle connection", "kib_5000", 23),
    *(
        Target(f"CPU, {row}, two workers to one", f"workers {row}", "cpu_us", 1.1, "barewire, 1", "barewire, 2")
        for row in ("unary 1×100", "unary 10×100", "unary 50×10")
    ),
    Target("p50 of calls one after the other, to bare h2", "unary 1×1", "p50_us", 1.05, "bare"),
    Target("messages of 40 ms or more, no stall", "no stall", "stalled", 0),
    Target("crates in the tree, to tonic", "build", "crates", 1.0, "tonic"),
    Target("seconds of a clean build, to tonic", "build", "seconds", 1.0, "tonic"),
    Target("size of the stripped server, to tonic", "build", "kib", 1.0, "tonic"),
]


def targets(medians: Medians) -> str:
    """Makes a table of all measured targets, with the missed ones marked."""
    lines = ["### Targets", "", "| target | at most | measured | |", "|---|---|---|---|"]
    for target in TARGETS:
        value = target.value(medians)
        if value is not None:
            limit = f"at least {target.limit:g}" if target.at_least else f"{target.limit:g}"
            lines.append(f"| {target.what} | {limit} | {value:.2f} | {'met' if target.is_met(value) else '**missed**'} |")
    lines += added_by_tls(medians)
    return "\n".join(lines)


def added_by_tls(medians: Medians) -> list[str]:
    """The cost of TLS for barewire, compared with its cost for bare h2, which is tokio-rustls' own."""
    lines = []
    for row in ("unary 10×100", "ListFeatures", "1 MiB to the client"):
        try:
            ours, bare = (
                medians[f"TLS, {row}"][peer]["cpu_us"] - medians[row][peer]["cpu_us"] for peer in ("barewire-ct", "bare")
            )
        except KeyError:
            continue
        verdict = "met" if ours <= bare * 1.05 else "**missed**"
        lines.append(f"| CPU that TLS adds, {row}, µs | {bare:.2f}, as to bare h2 | {ours:.2f} | {verdict} |")
    return lines
