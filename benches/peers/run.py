#!/usr/bin/env python3
"""Measures barewire and its alternatives, and writes docs/performance.md, .json and docs/images/.

    python3 benches/peers/run.py                    everything, some fourteen minutes once it is built
    python3 benches/peers/run.py --quick            checks that everything works: the numbers mean little
    python3 benches/peers/run.py --only tonic barewire --sections unary streams
                                                    a part, printed; with --write it takes its place in the documents
    python3 benches/peers/run.py --render           writes the documents again from docs/performance.json

A part or a quick run is only printed. Needs two cores of an otherwise idle machine, Rust, Go, h2load (nghttp2-client), valgrind,
openssl and taskset. docs/performance.md explains the method and the numbers; this writes the part between its two marks.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import time

from harness import plots, programs, report
from harness.instructions import instructions
from harness.lean import lean
from harness.measure import SECTIONS, Results, Settings, say

ALL = SECTIONS | {"instructions": instructions, "build": lean}
NEEDED = {
    "cargo": "the Rust toolchain",
    "go": "Go 1.26",
    "h2load": "Debian's nghttp2-client",
    "openssl": "openssl",
    "taskset": "util-linux",
    "valgrind": "valgrind",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [peer.name for peer in programs.SERVERS]
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help=f"servers: {', '.join(names)}")
    parser.add_argument("--sections", nargs="+", metavar="NAME", default=list(ALL), help=f"of: {', '.join(ALL)}")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3)")
    parser.add_argument("--seconds", type=float, help="how long a run under load takes (0.6)")
    parser.add_argument("--write", action="store_true", help="write the documents from a part or a quick run, too")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the documents anew")
    flags = parser.parse_args()
    unknown = [name for name in flags.only if name not in names]
    unknown += [name for name in flags.sections if name not in ALL]
    if unknown:
        parser.error(f"unknown name {unknown[0]}")
    if (flags.rounds or 1) < 1 or (flags.seconds or 1) < 0.05:
        parser.error("at least one round of 0.05 s")
    for program, where in NEEDED.items():
        if not flags.render and not shutil.which(program):
            parser.error(f"{program} is not installed: get {where}")
    return flags


def main() -> None:
    flags = arguments()
    if flags.render:
        write(report.read())
        return
    rounds, seconds = (1, 0.2) if flags.quick else (3, 0.6)
    settings = Settings(flags.rounds or rounds, flags.seconds or seconds, flags.quick, tuple(flags.only))
    programs.TARGET.mkdir(parents=True, exist_ok=True)
    with (programs.TARGET / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("run.py: another run is measuring: two would measure each other") from None
        measure(flags, settings)


def measure(flags: argparse.Namespace, settings: Settings) -> None:
    """Builds, measures section by section, and writes or prints."""
    say("building")
    programs.build()
    begun = time.monotonic()
    results = Results()
    for name in flags.sections:
        ALL[name](settings, results)
    took = time.monotonic() - begun
    say(f"measured in {took:.0f} s")
    data = report.collect(results, settings, took)
    whole = not flags.only and len(flags.sections) == len(ALL)
    if flags.write or (whole and not flags.quick):
        write(data if whole else report.merge(report.read(), data))
    else:
        print(report.tables(data))


def write(data: dict) -> None:
    report.write_json(data)
    plots.write(data)
    report.write_document(data)


if __name__ == "__main__":
    main()
