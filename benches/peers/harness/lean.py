"""Measures the build of a route guide server with TLS on barewire and on tonic: crates, seconds, bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

from .measure import Results, Settings, Values, say
from .process import Failed
from .programs import PEERS, TARGET

LIBRARIES = ("barewire", "tonic")


def crates(package: str) -> int:
    """Counts the crates in the tree, including those of build scripts and macros, without the server and its service."""
    tree = ["cargo", "tree", "--locked", "--package", package, "--edges", "normal,build", "--prefix", "none"]
    lines = subprocess.run(tree, cwd=PEERS, capture_output=True, text=True, check=True).stdout.splitlines()
    names = {" ".join(line.split()[:2]) for line in lines if line.strip()}
    return sum(not name.startswith(("guide ", "lean-")) for name in names)


def build(library: str) -> Values:
    """Measures a clean build in a separate folder, after all downloads."""
    package, folder = f"lean-{library}", TARGET / f"lean-{library}"
    shutil.rmtree(folder, ignore_errors=True)
    command = ["cargo", "build", "--locked", "--quiet", "--profile", "lean", "--package", package]
    begun = time.monotonic()
    process = subprocess.Popen([*command, "--target-dir", str(folder)], cwd=PEERS)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed("the build failed")
    values = {
        "crates": crates(package),
        "seconds": time.monotonic() - begun,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "kib": (folder / "lean" / package).stat().st_size / 1024,
    }
    shutil.rmtree(folder)
    return values


def lean(settings: Settings, results: Results) -> None:
    for library in LIBRARIES:
        if not settings.only or library in settings.only:
            say(f"clean build: {library}")
            results.take("build", library, 0, lambda: build(library))
