"""Counts the instructions of a workload with valgrind, if that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess

COLLECTED = re.compile(r"Collected : (\d+)")


def instructions_per_op(program: str, identity: str) -> float | None:
    """Instructions of one run, divided by its operations; None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    command = [
        "valgrind",
        "--tool=callgrind",
        "--toggle-collect=bench_run_once",
        "--callgrind-out-file=/dev/null",
        program,
        "--count",
        identity,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = COLLECTED.search(done.stderr)
    if not found:
        raise ValueError(f"valgrind says nothing about {identity}: {done.stderr}")
    return int(found[1]) / int(done.stdout)
