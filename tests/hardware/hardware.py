#!/usr/bin/env python3
"""The mapping core against the processor: random address spaces, loaded in QEMU and probed.

    tests/hardware/hardware.py [--build DIR] [--jobs N] [--spaces N] [--seed N] [WORD...]

The prober (prober.c) makes the spaces and probes them, on a processor of each kind: 4 or 5 levels,
with and without 1 GiB leaves, with and without NX. Of some spaces it prints the runs that the
library iterates over; they are compared with QEMU's own dump of the tables (`info tlb`) and with a
walk over the guest's RAM. With words, only the processors whose name holds one of them. The seed is
that of the first space; SEED in the environment sets it too. Prints "ok - hardware: NAME" or
"not ok - ..." for each processor, and the totals.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

# Everything that is made goes below the build folder, Python's caches included.
sys.dont_write_bytecode = True

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/boot"))

# pylint: disable=wrong-import-position
from oracle import ADDRESS, GLOBAL, KIB, SHOWN, Leaf, Ram, Walk
from qemu import EXIT_BAD, EXIT_GOOD, Failure, Hardware, Machine

SPACES = 64
SEED = 1
LEAST_PROBES = 100

# Every DUMPED-th space is shown to QEMU.
DUMPED = 8

# As in tests/hardware/machine.h.
MEMORY = "8G"

SECONDS = 240.0

# Flags of paging/attr.h that a run has, and what the prober prints for a result that is no error
# code (tests/hardware/probe.h).
RUN_WRITE, RUN_EXECUTE, RUN_USER, RUN_GLOBAL = 1, 2, 4, 8
PROTECTION, SUCCESS = 0x20, 0x21

# Page-fault error codes: SDM 3A, 4.7.
PRESENT, WRITE, USER, RESERVED, FETCH = 1, 2, 4, 8, 16

KINDS = ("read", "write", "fetch", "user read", "user write", "user fetch")


@dataclass(frozen=True)
class Processor:
    """What the processor can do, and must be seen to do."""

    levels: int
    gigabyte: bool
    no_execute: bool

    def __str__(self) -> str:
        return (f"{self.levels} levels, {'' if self.gigabyte else 'no '}1 GiB leaves, "
                f"{'' if self.no_execute else 'no '}NX")

    def arguments(self) -> str:
        """QEMU's words for it."""
        switches = {"la57": self.levels == 5, "pdpe1gb": self.gigabyte, "nx": self.no_execute}
        return ",".join(["max", *(f"{name}={'on' if on else 'off'}"
                                  for name, on in switches.items())])

    def results(self) -> set[tuple[str, int]]:
        """All that can come of an access; less would mean that the spaces are not random enough."""
        found = set()
        for kind in KINDS:
            base = WRITE * ("write" in kind) | USER * ("user" in kind)
            # The fetch bit needs NX or SMEP, and SMEP is on in some spaces and off in others.
            told = {base | FETCH * ("fetch" in kind)}
            told |= {base} if "fetch" in kind and not self.no_execute else set()
            codes = {code | cause for code in told
                     for cause in (0, PRESENT, PRESENT | RESERVED)}
            if kind == "fetch" and not self.no_execute:
                # Nothing forbids ring 0 to execute but SMEP, which sets the fetch bit.
                codes.remove(PRESENT)
            found |= {(kind, code) for code in codes | {PROTECTION, SUCCESS}}
        return found


PROCESSORS = [Processor(*mix) for mix in product((4, 5), (True, False), (True, False))]


@dataclass(frozen=True)
class Run:
    """One `@run` line: neighbouring leaves that continue each other and say the same."""

    virt: int
    phys: int
    size: int
    flags: int
    cache: int

    def __str__(self) -> str:
        return (f"{self.virt:#x} -> {self.phys:#x}, {self.size:#x} bytes, flags {self.flags}, "
                f"cache type {self.cache}")

    def is_continued_by(self, other: Run) -> bool:
        """True if both are one run."""
        return (self.virt + self.size, self.phys + self.size, self.flags, self.cache) == \
            (other.virt, other.phys, other.flags, other.cache)


def run_of(leaf: Leaf) -> Run:
    """What a leaf says, with what the links to it leave of that."""
    flags = (RUN_WRITE * leaf.write | RUN_EXECUTE * leaf.execute | RUN_USER * leaf.user |
             RUN_GLOBAL * bool(leaf.entry & GLOBAL))
    # The PAT bit of a large leaf is bit 12, below its address.
    return Run(leaf.virt, leaf.phys & ~(leaf.size - 1), leaf.size, flags, leaf.cache)


def runs_of(leaves: list[Leaf]) -> list[Run]:
    """Leaves, in address order, put together. No run reaches from one half into the other."""
    runs: list[Run] = []
    for leaf in leaves:
        run = run_of(leaf)
        if runs and runs[-1].is_continued_by(run):
            run = Run(runs[-1].virt, runs[-1].phys, runs[-1].size + run.size, run.flags, run.cache)
            runs.pop()
        runs.append(run)
    return runs


def _differences(what: str, library: set[str], tables: set[str]) -> list[str]:
    return ([f"{what}: {text}: only the library says so" for text in sorted(library - tables)] +
            [f"{what}: {text}: only in the tables" for text in sorted(tables - library)])


def compare_dump(machine: Machine, text: str) -> int:
    """Compares what the library said of the loaded space with QEMU's view; returns the leaves."""
    head = re.search(r"^@cr3 ([0-9a-f]+) levels (\d)$", text, re.M)
    if not head or not re.search(r"^@end$", text, re.M):
        raise Failure("the dump has no '@cr3 ... levels ...' line or no '@end'")
    said = [Run(*(int(word, 16) for word in line.split()))
            for line in re.findall(r"^@run ((?:[0-9a-f]+ ?){5})$", text, re.M)]
    tables = re.findall(r"^@table ([0-9a-f]+) 1000$", text, re.M)
    machine.qmp("stop")
    registers = machine.monitor("info registers")
    if f"CR3={int(head[1], 16) & ADDRESS:016x}" not in registers:
        raise Failure(f"QEMU's CR3 is not {head[1]}")
    with Ram(machine.ram) as ram:
        walk = Walk(ram, int(head[1], 16), int(head[2]))
    shown = set(machine.monitor("info tlb").split("\n")) - {""}
    wrong = _differences("info tlb", {leaf.tlb_line() for leaf in walk.leaves}, shown)
    wrong += _differences("run", {str(run) for run in said},
                          {str(run) for run in runs_of(walk.leaves)})
    wrong += _differences("table", set(tables), {f"{table:x}" for table in walk.tables})
    if len(tables) != len(set(tables)) or len(said) != len(set(said)):
        wrong.append("the library lists something twice")
    if wrong:
        raise Failure("\n".join([*wrong[:SHOWN], f"{len(wrong)} differences in all"]))
    machine.qmp("cont")
    return len(walk.leaves)


def compare_dumps(machine: Machine, count: int) -> int:
    """All spaces that the prober stops for; returns how many leaves they had."""
    leaves = 0
    end = 0
    for _ in range(count):
        if machine.expect("@waiting", "@total") == "@total":
            raise Failure("the prober has not shown as many spaces as it should")
        text = machine.text[end:]
        end += text.rindex("@waiting") + len("@waiting")
        leaves += compare_dump(machine, text)
        machine.type("g")
    return leaves


def _complaints(machine: Machine) -> str:
    """The prober's own lines about differences."""
    return "\n".join(re.findall(r"^# (.*)$", machine.text, re.M))


def _check_results(text: str, processor: Processor) -> None:
    """Every result that the processor can give has been given."""
    seen = {(KINDS[int(kind)], int(result, 16))
            for kind, result in re.findall(r"^@result (\d) ([0-9a-f]+) \d+$", text, re.M)}
    wanted = processor.results()
    if seen != wanted:
        raise Failure(f"results never seen: {sorted(wanted - seen)}, and seen but not expected: "
                      f"{sorted(seen - wanted)}")
    used = [level for level, count in re.findall(r"^@success level (\d) (\d+)$", text, re.M)
            if int(count)]
    if used != ["1", "2", "3"][:2 + processor.gigabyte]:
        raise Failure(f"only leaves of level {', '.join(used)} were accessed with success")


def _check_total(text: str, spaces: int) -> str:
    """The last line; returns it in words."""
    total = re.search(r"^@total spaces (\d+) good (\d+) changes (\d+) probes (\d+) least (\d+)$",
                      text, re.M)
    if not total:
        raise Failure("the prober prints no total")
    made, good, changes, probes, least = map(int, total.groups())
    if (made, good) != (spaces, spaces):
        raise Failure(f"{good} of {made} spaces are good, expected {spaces}")
    if least < LEAST_PROBES:
        raise Failure(f"a space was probed {least} times, expected {LEAST_PROBES} or more")
    return f"{made} spaces, {changes} changes, {probes} probes, at least {least} a space"


def probe(processor: Processor, options: argparse.Namespace, folder: Path) -> str:
    """Runs the prober on one processor; returns what it did, in words. Fails with differences."""
    words = f"spaces={options.spaces} seed={options.seed} dump={DUMPED}"
    media = ["-kernel", str(options.build / "hardware/prober.elf"), "-append", words]
    hardware = Hardware(memory=MEMORY, cpu=processor.arguments(), shared=True, ovmf=False)
    with Machine(folder, hardware, media, SECONDS) as machine:
        leaves = compare_dumps(machine, (options.spaces + DUMPED - 1) // DUMPED)
        code = machine.exit_code()
        text = machine.text
        if code == EXIT_BAD or _complaints(machine):
            raise Failure(_complaints(machine) or "the prober says no more")
        if code != EXIT_GOOD:
            raise Failure(f"QEMU ended with {code}, expected {EXIT_GOOD} (0 is a reset)")
    kind = (processor.levels, 2 + processor.gigabyte, processor.no_execute)
    if not re.search(r"^@prober levels %d largest leaf %d nx %d " % kind, text, re.M):
        raise Failure("the prober ran on another processor")
    said = _check_total(text, options.spaces)
    if options.spaces >= SPACES:
        _check_results(text, processor)
    return f"{said}, {leaves} leaves compared with QEMU's dump"


def run(processor: Processor, options: argparse.Namespace, folder: Path) -> bool:
    """Probes and prints one line, and before it the reasons of a failure."""
    folder.mkdir(parents=True)
    try:
        lines = [f"# {probe(processor, options, folder)}", f"ok - hardware: {processor}"]
        shutil.rmtree(folder)
        good = True
    except Exception as error:  # pylint: disable=broad-except
        # A mistake in the tests is a failure of this processor and of no other.
        text = str(error) if isinstance(error, Failure) else traceback.format_exc()
        lines = [f"# {line}" for line in [*text.split("\n"), f"see {folder}"]]
        lines.append(f"not ok - hardware: {processor}")
        good = False
    print("\n".join(lines), flush=True)
    return good


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Probes random address spaces in QEMU.")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where the build is")
    parser.add_argument("--jobs", type=int, default=2, help="how many QEMUs at a time")
    parser.add_argument("--spaces", type=int, default=SPACES, help="how many on each processor")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", str(SEED)), 0),
                        help="of the first space")
    parser.add_argument("words", nargs="*", help="only processors whose name holds one of these")
    return parser.parse_args()


def main() -> int:
    """Runs the prober on all processors."""
    options = parse()
    options.build = options.build.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = [processor for processor in PROCESSORS
              if not options.words or any(word in str(processor) for word in options.words)]
    folder = options.build / "hardware/run"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"# SEED={options.seed}", flush=True)
    start = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(run, processor, options, folder / str(number))
                   for number, processor in enumerate(chosen, 1)]
        try:
            good = sum(future.result() for future in running)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            Machine.kill_all()
            raise
    print(f"# {time.monotonic() - start:.1f} s in all")
    print(f"{good} passed, {len(chosen) - good} failed")
    return 0 if good == len(chosen) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
