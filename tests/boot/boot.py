#!/usr/bin/env python3
"""Boots hoist in QEMU, once for each case of the matrix, and judges what comes of it.

    tests/boot/boot.py [--build DIR] [--jobs N] [--list] [WORD...]

With words, only the cases whose name holds one of them. Prints "ok - boot: NAME" or "not ok - ..."
for each case and ends with the totals. What a failed case leaves (serial.log, command, qemu.log,
media) stays in DIR/boot/NUMBER/ until the next run.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

# Everything that is made goes below the build folder, Python's caches included.
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import pe
from cases import Build, Case, all_cases, boot
from media import ROOT
from qemu import Failure, Machine, plain

# How much of the serial log a failure shows.
TAIL_LINES = 30

# How many cases the summary of times names.
SLOWEST = 8


@dataclass(frozen=True)
class Outcome:
    """What came of a case: complaints (empty if none), and how long it took."""

    case: Case
    folder: Path
    wrong: str
    seconds: float


def complaints(case: Case, build: Build, folder: Path) -> str:
    """Boots one case; returns what is wrong, empty if nothing."""
    folder.mkdir(parents=True)
    try:
        with boot(case, build, folder) as machine:
            case.judge(machine)
    except Failure as failure:
        return str(failure)
    except Exception:  # pylint: disable=broad-except
        # A mistake in the tests or a missing file is a failure of this case and of no other.
        return traceback.format_exc()
    shutil.rmtree(folder)
    return ""


def run_case(case: Case, build: Build, folder: Path) -> Outcome:
    """Boots one case and takes the time."""
    start = time.monotonic()
    wrong = complaints(case, build, folder)
    return Outcome(case, folder, wrong, time.monotonic() - start)


def tail(folder: Path) -> list[str]:
    """The end of the serial log, without the judge's dump, and what QEMU itself had to say."""
    lines = []
    for name in ("serial.log", "qemu.log"):
        path = folder / name
        if path.exists():
            text = [line for line in plain(path.read_bytes()).split("\n")
                    if line.strip() and not line.startswith("@")]
            lines += [f"{name}: {line[:200]}" for line in text[-TAIL_LINES:]]
    return lines


def report(outcome: Outcome) -> None:
    """One line, and before it the reasons of a failure."""
    lines = []
    if outcome.wrong:
        reasons = [*outcome.wrong.split("\n"), *tail(outcome.folder), f"see {outcome.folder}"]
        lines = [f"# {line}" for line in reasons]
    lines.append(f"{'not ok' if outcome.wrong else 'ok'} - boot: {outcome.case.name}")
    print("\n".join(lines), flush=True)


def run_all(cases: list[Case], build: Build, jobs: int) -> list[Outcome]:
    """Runs the cases, `jobs` at a time, and reports each as it ends."""
    outcomes = []
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(run_case, case, build, build.folder / "boot" / f"{number:02d}")
                   for number, case in enumerate(cases, 1)]
        try:
            for done in as_completed(running):
                outcomes.append(done.result())
                report(outcomes[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            Machine.kill_all()
            raise
    return outcomes


def summary(outcomes: list[Outcome], seconds: float) -> str:
    """Where the time went."""
    slow = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:SLOWEST]
    lines = [f"# {outcome.seconds:5.1f} s  {outcome.case.name}" for outcome in slow]
    return "\n".join([*lines, f"# {seconds:5.1f} s  in all"])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Boots hoist in QEMU.")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where the build is")
    parser.add_argument("--jobs", type=int, default=2, help="how many QEMUs at a time")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("words", nargs="*", help="only cases whose name holds one of these")
    return parser.parse_args()


def main() -> int:
    """Runs the image checks and the matrix."""
    options = parse()
    build = Build(options.build.resolve())
    cases = [case for case in all_cases(build)
             if not options.words or any(word in case.name for word in options.words)]
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    shutil.rmtree(build.folder / "boot", ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    start = time.monotonic()
    passed = failed = 0
    if not options.words:
        passed, failed = pe.run(build.hoist, build.folder / "hoist.so")
    outcomes = run_all(cases, build, options.jobs)
    bad = sum(bool(outcome.wrong) for outcome in outcomes)
    passed, failed = passed + len(cases) - bad, failed + bad
    print(summary(outcomes, time.monotonic() - start))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
