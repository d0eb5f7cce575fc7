#!/usr/bin/env python3
"""Measures the mapping core, prints a table and writes it as JSON.

    tests/bench/report.py PROGRAM JSON [ID...]

An operation's time is the median of several runs; the limit is what memory alone takes for the same
work, measured in turns with it. Each result was checked by an independent walker before its number
is printed, and its tables counted: they are the least that the arithmetic allows. Instructions are
exact, and counted on smaller instances of the large workloads.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Iterator

from count import instructions_per_op


@dataclass
class Target:
    """The most that a workload may take; None: any."""

    ratio: float | None = None
    ns: float | None = None
    instructions: float | None = None


# Growth is measured against a hundredth, or a tenth, of the size: what is linear stays near 1.
LINEAR = Target(ratio=1.5)

TARGETS = {
    "W1": Target(ratio=1.3, instructions=5),
    "W1s": Target(ns=3),
    "W2-2M": Target(ratio=1.3),
    "W2-1G": Target(ratio=1.3),
    "W3": Target(ns=160),
    "W3z": Target(ns=70),
    "W4i-W1": Target(ratio=1.15, instructions=30),
    "W4d-W1": Target(ratio=1.05, instructions=30),
    "W4i-W3": Target(ratio=1.15, instructions=30),
    "W4d-W3": Target(ratio=1.05, instructions=30),
    "W5a": Target(ns=100_000),
    "W5b": Target(ns=50),
    "W5c": Target(ns=10),  # 10 ms for 1,000,000 pages
    "W6": Target(ratio=1.3),
    "W7": Target(ratio=1.5, instructions=3000),
    "W8-cow": Target(ratio=1.3),
    "W8-frozen": Target(ratio=1.3),
    "W9-W1": Target(ratio=0.01),
    "W9-W2": Target(ratio=0.01),
    "W9-W7": Target(ratio=0.01),
    "W10p-10k": LINEAR,
    "W10p-100k": LINEAR,
    "W10p-high": LINEAR,
    "W10b-10k": LINEAR,
    "W10b-100k": LINEAR,
    "W10a-10k": LINEAR,
    "W10a-100k": LINEAR,
}

FOOTER = """
A ratio is that of the workload's time to the limit's; 'miss' names what exceeds its target.
"""

Row = dict[str, float | str | None]

COLUMNS = "{:<10} {:<36} {:>9} {:>12} {:>12} {:>9} {:>10} {:>7}  {}"


def rounded(value: float | None, digits: int = 4) -> float | None:
    """To significant digits."""
    return None if value is None else float(f"{value:.{digits}g}")


def row_of(measured: dict, instructions: float | None) -> Row:
    """What is written about one workload."""
    ns = measured["ns"] / measured["ops"]
    limit = measured["limit_ns"] / measured["limit_ops"] if measured["limit_ops"] else None
    return {
        "id": measured["id"],
        "ns_per_op": rounded(ns),
        "limit_ns_per_op": rounded(limit),
        "ratio": rounded(ns / limit) if limit else None,
        "tables": measured["tables"],
        "instructions_per_op": rounded(instructions),
    }


def misses(row: Row) -> Iterator[str]:
    """What of a workload exceeds its target."""
    target = TARGETS.get(row["id"], Target())
    pairs = [
        ("ratio", row["ratio"], target.ratio),
        ("ns", row["ns_per_op"], target.ns),
        ("instructions", row["instructions_per_op"], target.instructions),
    ]
    for name, value, most in pairs:
        if value is not None and most is not None and value > most:
            yield f"{name} > {most:,g}"


def text(value: float | None) -> str:
    """A number of the table."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def print_row(measured: dict, row: Row) -> None:
    missed = ", ".join(misses(row))
    verdict = f"miss: {missed}" if missed else "ok" if row["id"] in TARGETS else ""
    numbers = [text(row[key]) for key in ("ns_per_op", "limit_ns_per_op", "ratio")]
    numbers += [text(row["instructions_per_op"]), str(row["tables"])]
    names = (row["id"], measured["work"], measured["op"])
    print(COLUMNS.format(*names, *numbers, verdict), flush=True)


def measure(program: str, identities: list[str]) -> Iterator[dict]:
    """The program's lines, as they come; a wrong result ends everything."""
    with subprocess.Popen([program, *identities], stdout=subprocess.PIPE, text=True) as process:
        yield from map(json.loads, process.stdout)
    if process.returncode != 0:
        sys.exit(f"{program} failed: {process.returncode}")


def main() -> None:
    program, output, *identities = sys.argv[1:]
    if not identities:
        listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
        identities = listed.stdout.split()
    counted = {identity: instructions_per_op(program, identity) for identity in identities}
    heads = ["id", "work", "op", "ns/op", "limit ns/op", "ratio", "instr/op", "tables", "target"]
    rows = []
    print(COLUMNS.format(*heads))
    for measured in measure(program, identities):
        rows.append(row_of(measured, counted[measured["id"]]))
        print_row(measured, rows[-1])
    with open(output, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    print(FOOTER)


if __name__ == "__main__":
    main()
