#!/usr/bin/env python3
"""Runs test programs and counts what they say.

    tests/run.py [--jobs N] [--seconds N] PROGRAM... [--alone "PROGRAM ARGUMENT..."]...

A program prints a line "ok - NAME" or "not ok - NAME" for each test, and lines that begin with '#'
before it. Programs run N at a time and in silence but for failures; those given with --alone run
after all others, one by one, and are shown as they go. A program that crashes, runs too long, ends
with an error without having named a failed test, or says nothing at all counts as one failure more.
The last line is the total of all programs: "N passed, N failed".
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

# Lines of output that a failure without a name shows.
TAIL_LINES = 20


@dataclass
class Outcome:
    """What one program said."""

    name: str
    passed: int = 0
    failed: int = 0
    comments: list[str] = field(default_factory=list)  # since the last test
    failures: list[str] = field(default_factory=list)  # failed tests and their comments
    tail: list[str] = field(default_factory=list)  # the last lines of all
    ending: str = ""  # what is wrong with how it ended

    def take(self, line: str) -> None:
        """Counts one line of output."""
        self.tail = [*self.tail, line][-TAIL_LINES:]
        if line.startswith("#"):
            self.comments.append(line)
        elif line.startswith("ok - "):
            self.passed += 1
            self.comments.clear()
        elif line.startswith("not ok - "):
            self.failed += 1
            self.failures += [*self.comments, f"{line} ({self.name})"]
            self.comments.clear()

    def end(self, code: int, too_long: bool) -> None:
        """Turns an end that is not as it should be into a failure."""
        if too_long:
            self.ending = "runs too long"
        elif code < 0:
            self.ending = f"dies of {signal.Signals(-code).name}"
        elif code > 0 and not self.failed:
            self.ending = f"ends with {code} and names no failed test"
        elif code == 0 and self.failed:
            self.ending = "names a failed test and ends with 0"
        elif not self.passed and not self.failed:
            self.ending = "says nothing"
        self.failed += bool(self.ending)


class Process:
    """A program in a process group of its own, so that nothing it starts outlives it."""

    _alive: set[Process] = set()

    def __init__(self, command: list[str]) -> None:
        self.too_long = False
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         errors="replace", start_new_session=True)
        self._alive.add(self)

    @classmethod
    def kill_all(cls) -> None:
        """Ends all that runs."""
        for process in list(cls._alive):
            process.kill()

    def kill(self) -> None:
        """Ends the program and its children."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _give_up(self) -> None:
        self.too_long = True
        self.kill()

    def run(self, outcome: Outcome, seconds: float, show: bool) -> None:
        """Feeds all output to `outcome`."""
        timer = threading.Timer(seconds, self._give_up)
        timer.start()
        try:
            assert self._process.stdout
            for line in self._process.stdout:
                outcome.take(line.rstrip("\n"))
                if show:
                    print(line, end="", flush=True)
            outcome.end(self._process.wait(), self.too_long)
        finally:
            timer.cancel()
            self.kill()
            self._process.wait()
            self._alive.discard(self)


def run(command: list[str], seconds: float, show: bool) -> Outcome:
    """Runs one program."""
    outcome = Outcome(Path(command[0]).name if len(command) == 1 else shlex.join(command))
    try:
        process = Process(command)
    except OSError as error:
        outcome.failed += 1
        outcome.ending = f"cannot be started: {error.strerror}"
        return outcome
    process.run(outcome, seconds, show)
    return outcome


def report(outcome: Outcome, shown: bool) -> None:
    """Prints what went wrong, without what was shown already, and the counts."""
    lines = [] if shown else outcome.failures
    if outcome.ending:
        lines += [] if shown else [f"# {line}" for line in outcome.tail]
        lines.append(f"not ok - {outcome.name} {outcome.ending}")
    lines.append(f"# {outcome.name}: {outcome.passed} passed, {outcome.failed} failed")
    print("\n".join(lines), flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Runs test programs and counts what they say.")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--seconds", type=float, default=300, help="time for one program")
    parser.add_argument("--alone", action="append", default=[], metavar="COMMAND",
                        help="a command to run after the programs, shown as it goes")
    parser.add_argument("--alone-seconds", type=float, default=1800, help="time for one of these")
    parser.add_argument("programs", nargs="*", help="test programs")
    return parser.parse_args()


def run_all(options: argparse.Namespace) -> Iterator[Outcome]:
    """Runs the programs side by side, then the commands one by one; reports each as it ends."""
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(run, [program], options.seconds, False)
                   for program in options.programs]
        try:
            for done in as_completed(running):
                report(done.result(), False)
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            Process.kill_all()
            raise
    for command in options.alone:
        outcome = run(shlex.split(command), options.alone_seconds, True)
        report(outcome, True)
        yield outcome


def main() -> int:
    """Runs everything; nothing at all is a failure too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcomes = list(run_all(parse()))
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
