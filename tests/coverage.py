#!/usr/bin/env python3
"""Coverage of the mapping core by its tests.

    tests/coverage.py --lines N --branches N PROGRAM...

The programs are compiled with -fprofile-instr-generate -fcoverage-mapping. Prints each file's lines
and branches (two of each condition that is not constant), what was never executed or taken, and
the totals, of all programs and both layouts together. Ends with an error below the percentages.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Coverage needs no long runs; the defaults of everything else.
STATES = "20000"


def tool(*words: str) -> str:
    """What it prints."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def is_code(path: Path) -> bool:
    """Headers of nothing but declarations cannot be executed, nor instructions on the host."""
    if path.name == "cpu_x86_64.c":
        return False
    return path.suffix == ".c" or "static inline" in path.read_text()


def run(program: Path) -> Path:
    """Its raw profile; a test that fails spoils the measurement."""
    raw = program.with_name(program.name + ".profraw")
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(raw), "STATES": STATES}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(f"{program} fails")
    return raw


def executed_lines(lcov: str) -> dict[str, dict[int, int]]:
    """How often each line of code was executed, by file."""
    found: dict[str, dict[int, int]] = {}
    for line in lcov.split("\n"):
        key, _, value = line.partition(":")
        if key == "SF":
            lines = found.setdefault(value, {})
        elif key == "DA":
            number, count = value.split(",")[:2]
            lines[int(number)] = int(count)
    return found


def export(programs: list[Path]) -> list[dict]:
    """All files of paging/, as llvm-cov describes them, with the counts of their lines."""
    with ThreadPoolExecutor(2) as pool:
        raw = [str(path) for path in pool.map(run, programs)]
    merged = programs[0].with_name("all.profdata")
    tool("llvm-profdata", "merge", "-o", str(merged), *raw)
    objects = [word for program in programs[1:] for word in ("-object", str(program))]
    paths = [path for path in sorted(Path("paging").iterdir()) if is_code(path)]
    words = [f"-instr-profile={merged}", str(programs[0]), *objects, *map(str, paths)]
    files = json.loads(tool("llvm-cov", "export", *words))["data"][0]["files"]
    # The summary counts lines of inline functions once an instance; this is by line.
    lines = executed_lines(tool("llvm-cov", "export", "-format=lcov", *words))
    return [{**file, "lines": lines.get(file["filename"], {})} for file in files]


@dataclass
class Tally:
    """How many there are, and how many of them were met."""

    count: int = 0
    covered: int = 0

    def add(self, count: int, covered: int) -> None:
        """Adds some."""
        self.count += count
        self.covered += covered

    def percent(self) -> float:
        """Of all."""
        return 100 * self.covered / self.count if self.count else 100.0

    def __str__(self) -> str:
        return f"{self.covered:5} of {self.count:5}  {self.percent():6.2f} %"


def branches(file: dict) -> dict[tuple[int, int, int, int], list[int]]:
    """Times taken and not taken of each condition, all instances of an inline function together."""
    found: dict[tuple[int, int, int, int], list[int]] = {}
    for *place, taken, not_taken, _, _, _ in file["branches"]:
        counts = found.setdefault(tuple(place), [0, 0])
        counts[0] += taken
        counts[1] += not_taken
    return found


def report(file: dict, lines: Tally, all_branches: Tally) -> None:
    """One file: a line, and one more for each branch never taken."""
    path = Path(file["filename"]).relative_to(Path.cwd())
    own_lines, own_branches = Tally(), Tally()
    counts = file["lines"]
    own_lines.add(len(counts), sum(count > 0 for count in counts.values()))
    found = branches(file)
    own_branches.add(2 * len(found), sum((a > 0) + (b > 0) for a, b in found.values()))
    print(f"{str(path):24} lines {own_lines}    branches {own_branches}")
    text = path.read_text().split("\n")
    for line, count in counts.items():
        if count == 0:
            print(f"    {path}:{line}: never: {text[line - 1].strip()}")
    for (line, column, end_line, end_column), (taken, not_taken) in sorted(found.items()):
        code = text[line - 1][column - 1:end_column - 1 if line == end_line else None]
        if text[line - 1].lstrip().startswith("switch ("):  # the compiler's way past all cases
            code = f"no case of {code}"
        for count, what in ((taken, "true"), (not_taken, "false")):
            if count == 0:
                print(f"    {path}:{line}: never {what}: {code}")
    lines.add(own_lines.count, own_lines.covered)
    all_branches.add(own_branches.count, own_branches.covered)


def main() -> int:
    """The totals come last."""
    parser = argparse.ArgumentParser(description="Coverage of paging/.")
    parser.add_argument("--lines", type=float, required=True, help="least percentage")
    parser.add_argument("--branches", type=float, required=True, help="least percentage")
    parser.add_argument("programs", nargs="+", type=Path)
    options = parser.parse_args()
    lines, all_branches = Tally(), Tally()
    for file in export(options.programs):
        report(file, lines, all_branches)
    print(f"{'paging/':24} lines {lines}    branches {all_branches}")
    enough = lines.percent() >= options.lines and all_branches.percent() >= options.branches
    if not enough:
        print(f"less than {options.lines:g} % of lines or {options.branches:g} % of branches")
    return 0 if enough and lines.count else 1


if __name__ == "__main__":
    sys.exit(main())
