#!/usr/bin/env python3
"""Changes the mapping core mechanically, a bit at a time, and sees whether its tests notice.

    tests/mutate.py --host SOURCE... --fake SOURCE... [--mutants N|all] [--seed N] [--only FILE...]
    tests/mutate.py --host SOURCE... --fake SOURCE... --self-check

The sources are those of the tests, for the layout of x86-64 and for the fake one: programs, and
under tests/fake/ what they are linked with. Those that need more than paging/ are left out.

A mutant is killed if a test fails, crashes or runs far longer than it should. Those that do not
compile or compile to the same code as before do not count. What survives the plain programs meets
those with sanitizers. What survives these too is reported, and must have its reason in
tests/mutants.txt: the exit status is 0 only if all have. Needs to be run from the project's root.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from mutants import Mutant, Source

BUILD = Path("build/mutate")
REASONS = Path("tests/mutants.txt")
JOBS = 2
COMPILE = ["clang", "-std=gnu11", "-O1", "-fPIC", "-Wno-everything", "-Werror=return-type", "-I."]
LAYOUTS = {"host": [], "fake": ['-DPTE_LAYOUT="tests/fake/pte_fake.h"']}
FLAVOURS = {"plain": [], "sanitized": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]}
# Short runs of what can be long, and the same ones each time.
ENVIRONMENT = {"SEED": "1", "ROUNDS": "6", "STATES": "8000", "PATH": os.environ["PATH"]}
# These call the functions of the headers directly, so they are compiled with a header's mutant.
TESTS_OF_HEADERS = ("test_pte", "test_addr")

# For the self-check: file, code, what it becomes; killed, but for the last, which has a reason.
CHECKED = [
    ("paging/addr.h", "offset <= size", "offset < size"),
    ("paging/pt_space.c", "pages - 1 >", "pages - 1 >="),
    ("paging/pt_walk.c", "rights &= pte_rights", "rights |= pte_rights"),
    ("paging/pt_audit.c", "a->count == a->most", "a->count > a->most"),
    ("paging/pte_x86_64.h", "index & 4", "index & 5"),
    ("paging/pt_space.c", "texts[][80]", "texts[][81]"),
]


def command(words: list[str]) -> None:
    """Runs a compiler; what it says is shown if it fails."""
    subprocess.run(words, check=True, capture_output=True, text=True)


def dependencies(source: Path, flags: list[str]) -> str:
    """The rule that make would use."""
    return subprocess.run(["clang", "-MM", "-I.", *flags, str(source)], check=True,
                          capture_output=True, text=True).stdout


@dataclass
class Program:
    """A test program, and what is known of it."""

    layout: str
    name: str
    objects: list[Path]
    seconds: float = 0  # that it takes when nothing is wrong
    kills: int = 0

    def run(self, directory: Path, library: Path, limit: float) -> bool:
        """True if it passes with that library."""
        environment = {**ENVIRONMENT, "LD_LIBRARY_PATH": str(library)}
        try:
            done = subprocess.run([directory / self.name], env=environment, timeout=limit,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


class Bench:
    """The core and its tests, compiled one way; takes mutants and runs the programs with them."""

    def __init__(self, flavour: str, sources: dict[str, list[Path]]) -> None:
        self._flags = FLAVOURS[flavour]
        self._directory = BUILD / flavour
        self._core = sorted(Path("paging").glob("*.c"))
        self._rules = {layout: {s: dependencies(s, flags) for s in self._core}
                       for layout, flags in LAYOUTS.items()}
        self._lock = threading.Lock()
        shutil.rmtree(self._directory, ignore_errors=True)
        with ThreadPoolExecutor(JOBS) as pool:
            jobs = [pool.submit(self._compile, source, layout, self._directory)
                    for layout in LAYOUTS for source in [*self._core, *sources[layout]]]
            for job in jobs:
                job.result()
        self.programs = [p for layout in LAYOUTS for p in self._link_all(layout, sources[layout])]
        self._measure()

    def _compile(self, source: Path, layout: str, directory: Path) -> Path:
        """The object of a source; the directory's own version of a file goes before."""
        output = directory / layout / source.with_suffix(".o")
        output.parent.mkdir(parents=True, exist_ok=True)
        changed = directory / source
        command([*COMPILE, *self._flags, *LAYOUTS[layout], "-iquote", str(directory), "-c",
                 str(changed if changed.exists() else source), "-o", str(output)])
        return output

    def _link(self, objects: list[Path], output: Path, *more: str) -> None:
        command(["clang", *self._flags, *map(str, objects), "-o", str(output), *more])

    def _link_all(self, layout: str, sources: list[Path]) -> Iterator[Program]:
        directory = self._directory / layout
        objects = {s: directory / s.with_suffix(".o") for s in [*self._core, *sources]}
        support = [objects[s] for s in sources if "fake" in s.parts]
        self._link([objects[s] for s in self._core], directory / "libpaging.so", "-shared")
        for source in sources:
            if "fake" not in source.parts:
                program = Program(layout, source.stem, [objects[source], *support])
                self._link(program.objects, directory / source.stem, f"-L{directory}", "-lpaging")
                yield program

    def _measure(self) -> None:
        for program in self.programs:
            directory = self._directory / program.layout
            start = time.monotonic()
            if not program.run(directory, directory, 120):
                sys.exit(f"{program.name} ({program.layout}) fails without any change")
            program.seconds = time.monotonic() - start

    def trial(self, mutant: Mutant, text: str, place: Path) -> bool | None:
        """True if a test notices; None if there is nothing to notice, or it does not compile."""
        shutil.rmtree(place, ignore_errors=True)
        changed = place / mutant.path
        changed.parent.mkdir(parents=True)
        changed.write_text(mutant.apply(text))
        other = False
        for layout in LAYOUTS:
            try:
                differs = self._build(mutant, place, layout)
            except subprocess.CalledProcessError:
                return None
            if differs and self._is_noticed(layout, place / layout):
                return True
            other = other or differs
        return False if other else None

    def _build(self, mutant: Mutant, place: Path, layout: str) -> bool:
        """Compiles what has changed; true if it is other code than before."""
        original = self._directory / layout
        concerned = [s for s in self._core if str(mutant.path) in self._rules[layout][s]]
        objects = {s: self._compile(s, layout, place) for s in concerned}
        differs = any(objects[s].read_bytes() != (original / s.with_suffix(".o")).read_bytes()
                      for s in concerned)
        everything = [objects.get(s, original / s.with_suffix(".o")) for s in self._core]
        self._link(everything, place / layout / "libpaging.so", "-shared")
        if mutant.path.suffix == ".h" and concerned:
            differs = any([differs, *self._relink(layout, place)])
        return differs

    def _relink(self, layout: str, place: Path) -> Iterator[bool]:
        """The tests of headers, with the changed one; for each, whether it is other code."""
        for program in self.programs:
            if program.layout != layout or program.name not in TESTS_OF_HEADERS:
                continue
            old = program.objects[0]
            source = old.relative_to(self._directory / layout).with_suffix(".c")
            new = self._compile(source, layout, place)
            self._link([new, *program.objects[1:]], place / layout / program.name,
                       f"-L{place / layout}", "-lpaging")
            yield new.read_bytes() != old.read_bytes()

    def _is_noticed(self, layout: str, library: Path) -> bool:
        """Runs the programs of the layout, those first that are likely to be quick about it."""
        with self._lock:
            order = sorted((p for p in self.programs if p.layout == layout),
                           key=lambda p: p.seconds / (1 + p.kills))
        for program in order:
            changed = (library / program.name).exists()
            directory = library if changed else self._directory / layout
            if not program.run(directory, library, 1.5 + 10 * program.seconds):
                with self._lock:
                    program.kills += 1
                return True
        return False


# ---- which mutants ------------------------------------------------------------------------------


def is_code(path: Path) -> bool:
    """Headers of nothing but declarations have no behaviour to change, instructions no host."""
    if path.name == "cpu_x86_64.c":
        return False
    return path.suffix == ".c" or "static inline" in path.read_text()


def all_mutants(only: list[str]) -> dict[Path, list[Mutant]]:
    """By file."""
    paths = [p for p in sorted(Path("paging").glob("*.[ch]")) if is_code(p)]
    return {p: Source(p, p.read_text()).mutants() for p in paths
            if not only or p.name in only or str(p) in only}


def quotas(sizes: dict[Path, int], count: int) -> dict[Path, int]:
    """Splits the count by size; no file goes without."""
    total = sum(sizes.values())
    split = {path: max(1, count * size // total) for path, size in sizes.items()}
    for path in sorted(sizes, key=lambda p: -sizes[p]):
        if sum(split.values()) < count:
            split[path] += 1
    return split


# ---- reasons ------------------------------------------------------------------------------------


@dataclass
class Reasons:
    """tests/mutants.txt: a file, '- ' the code, '+ ' what it becomes, and why nobody can tell."""

    known: dict[tuple[str, str, str], str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Reasons:
        """Paragraphs of which the first three lines have a meaning; others are comments."""
        reasons = cls()
        for paragraph in re.split(r"\n\s*\n", REASONS.read_text()):
            lines = paragraph.strip().split("\n")
            if len(lines) > 3 and lines[1].startswith("- ") and lines[2].startswith("+ "):
                key = lines[0], lines[1][2:].strip(), lines[2][2:].strip()
                reasons.known[key] = " ".join(lines[3:])
        return reasons

    def find(self, mutant: Mutant, text: str) -> str | None:
        """The reason why it may survive."""
        return self.known.get((str(mutant.path), mutant.before(text), mutant.after(text)))

    def stale(self) -> Iterator[str]:
        """Reasons for code that is not there any more."""
        codes: dict[str, str] = {}
        for path, before, _ in self.known:
            if path not in codes:
                text = Path(path).read_text() if Path(path).exists() else ""
                codes[path] = " ".join(text.split())
            if before not in codes[path]:
                yield f"{path}: {before}"


# ---- the run ------------------------------------------------------------------------------------


@dataclass
class Result:
    """What became of one mutant."""

    mutant: Mutant
    counts: bool = False
    killed: bool = False
    reason: str | None = None


class Run:
    """Tries mutants, two at a time, and counts."""

    def __init__(self, sources: dict[str, list[Path]]) -> None:
        self._sources = sources
        self._plain = Bench("plain", sources)
        self._sanitized: Bench | None = None
        self._lock = threading.Lock()
        self._texts: dict[Path, str] = {}
        self.reasons = Reasons.read()
        self.counted = self.killed = self.explained = 0
        self.unexplained = self.wrong = 0

    def _text(self, path: Path) -> str:
        return self._texts.setdefault(path, path.read_text())

    def _sanitizers(self) -> Bench:
        with self._lock:
            self._sanitized = self._sanitized or Bench("sanitized", self._sources)
            return self._sanitized

    def try_one(self, mutant: Mutant) -> Result:
        """Plain programs first; the slow ones only for what survives them."""
        text, place = self._text(mutant.path), BUILD / f"mutant-{threading.get_ident()}"
        killed = self._plain.trial(mutant, text, place)
        reason = self.reasons.find(mutant, text)
        if killed is False and not reason:
            killed = self._sanitizers().trial(mutant, text, place) is not False
        return Result(mutant, killed is not None, bool(killed), reason)

    def take(self, result: Result) -> None:
        """Counts and reports."""
        mutant, text = result.mutant, self._text(result.mutant.path)
        self.counted += result.counts
        self.killed += result.killed
        if not result.counts or (result.killed and not result.reason):
            return
        self.wrong += result.killed
        self.explained += not result.killed and result.reason is not None
        self.unexplained += result.reason is None
        what = ("killed, in spite of its reason" if result.killed else
                f"survives: {result.reason}" if result.reason else "SURVIVES")
        print(f"{mutant.where(text)}: {mutant.kind}: {what}\n"
              f"    - {mutant.before(text)}\n    + {mutant.after(text)}", flush=True)

    def try_some(self, mutants: list[Mutant], quota: int) -> None:
        """In the order given, until the quota of mutants that count is filled."""
        end = self.counted + quota
        with ThreadPoolExecutor(JOBS) as pool:
            while self.counted < end and mutants:
                batch = mutants[:max(1, end - self.counted)]
                mutants = mutants[len(batch):]
                for result in pool.map(self.try_one, batch):
                    self.take(result)

    def status(self) -> int:
        """Prints the totals, last."""
        stale = list(self.reasons.stale())
        for line in stale:
            print(f"{REASONS}: no such code: {line}")
        print(f"{self.counted} mutants: {self.killed} killed,"
              f" {self.explained} survive for a reason,"
              f" {self.unexplained} survive")
        return 1 if self.unexplained or self.wrong or stale or not self.counted else 0


def self_check(run: Run) -> int:
    """Mutants of known fate."""
    failed = 0
    for i, (path, before, after) in enumerate(CHECKED):
        text, survives = Path(path).read_text(), i == len(CHECKED) - 1
        start = text.find(before)
        mutant = Mutant(Path(path), "operator", start, start + len(before), after)
        result = run.try_one(mutant)
        good = (start >= 0 and result.counts and result.killed != survives and
                (result.reason is not None) == survives)
        failed += not good
        print(f"{'ok' if good else 'not ok'} - the mutant '{after}' of {path} "
              f"{'survives, for a reason' if survives else 'is killed'}")
    return 1 if failed else 0


def select(sources: list[Path]) -> list[Path]:
    """Those that need nothing but the core."""
    return [s for s in sources if not re.search(r"\b(loader|efi)/", dependencies(s, []))]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Mutation tests of the mapping core.")
    parser.add_argument("--host", nargs="+", type=Path, required=True)
    parser.add_argument("--fake", nargs="+", type=Path, required=True)
    parser.add_argument("--mutants", default="200", help="how many, or 'all'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[], help="files, instead of all")
    parser.add_argument("--self-check", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Prints the seed first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    options = parse()
    run = Run({"host": select(options.host), "fake": select(options.fake)})
    if options.self_check:
        return self_check(run)
    found = all_mutants(options.only)
    print(f"SEED={options.seed}, of {sum(map(len, found.values()))} mutants", flush=True)
    count = sum(map(len, found.values())) if options.mutants == "all" else int(options.mutants)
    split = quotas({path: len(mutants) for path, mutants in found.items()}, count)
    chance = random.Random(options.seed)
    for path, mutants in found.items():
        if options.mutants != "all":
            chance.shuffle(mutants)
        before = run.counted, run.killed
        run.try_some(mutants, split[path])
        print(f"{path}: {run.counted - before[0]} mutants, {run.killed - before[1]} killed",
              flush=True)
    return run.status()


if __name__ == "__main__":
    sys.exit(main())
