#!/usr/bin/env python3
"""Compiles and runs the recipes of docs/paging.md, as they stand, and compares what they say.

    tests/docs/recipes.py [NAME]...      the recipes of these names, or all

A recipe is two code blocks: ```c NAME.c, a program, and ```text NAME, its output. Programs include
ground.h, a block too, and build/dist/pt.h; they are linked with build/dist/pt.c and a processor that
tests can execute (cpu.c of this folder).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "build" / "dist"
WORK = ROOT / "build" / "recipes"
FAKES = (ROOT / "tests" / "docs" / "cpu.c", ROOT / "tests" / "fake" / "cpu.c")

NUMBER = 10
LONGEST = 45  # lines, but for empty ones and includes
COLUMNS = 100

STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
COMPILERS = {
    "gcc": ["-O2"],
    "clang": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
}


class Failure(Exception):
    """Why a recipe is wrong."""


def expect(condition: object, message: str) -> None:
    """Fails if there is anything wrong."""
    if not condition:
        raise Failure(message)


def blocks(text: str) -> dict[str, str]:
    """The code blocks that have names, by kind and name."""
    found: dict[str, str] = {}
    for name, body in re.findall(r"^```(c \w+\.[ch]|text \w+)\n(.*?)^```$", text, re.M | re.S):
        expect(name not in found, f"there are two blocks '{name}'")
        found[name] = body
    return found


def run(*command: object) -> str:
    """Output of a command that has to succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=WORK, text=True, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    expect(done.returncode == 0,
           f"{' '.join(words)}\nends with {done.returncode}:\n{done.stdout}")
    return done.stdout


def build_library(compiler: str) -> list[Path]:
    """The library and the processor, as objects."""
    objects = []
    for source in (DIST / "pt.c", *FAKES):
        objects.append(WORK / f"{compiler}-{source.parent.name}-{source.stem}.o")
        run(compiler, *COMPILERS[compiler], "-DPT_OWN_CPU", f"-I{ROOT}", "-c", source, "-o",
            objects[-1])
    return objects


def check_form(source: str) -> None:
    """Short enough to be read at a glance."""
    lines = source.splitlines()
    code = [line for line in lines if line and not line.startswith("#include")]
    expect(len(code) <= LONGEST, f"{len(code)} lines of code, {LONGEST} are enough")
    long = [line for line in lines if len(line.expandtabs(8)) > COLUMNS]
    expect(not long, f"too long: {long}")


def check_recipe(name: str, found: dict[str, str], libraries: dict[str, list[Path]]) -> None:
    """One recipe, by both compilers."""
    source, said = found[f"c {name}.c"], found.get(f"text {name}")
    expect(said, "what it says is missing")
    check_form(source)
    (WORK / f"{name}.c").write_text(source)
    for compiler, library in libraries.items():
        run(compiler, *STRICT, *COMPILERS[compiler], f"-I{DIST}", f"{name}.c", *library, "-o",
            f"{name}-{compiler}")
        got = run(WORK / f"{name}-{compiler}")
        expect(got == said, f"by {compiler} it says\n{got}\nand not\n{said}")


def passes(name: str, found: dict[str, str], libraries: dict[str, list[Path]]) -> bool:
    """Checks one recipe and reports it."""
    try:
        check_recipe(name, found, libraries)
    except (Failure, OSError, subprocess.TimeoutExpired) as error:
        print("".join(f"# {line}\n" for line in str(error).splitlines()), end="")
        print(f"not ok - recipe {name}", flush=True)
        return False
    print(f"ok - recipe {name}", flush=True)
    return True


def main() -> int:
    """All recipes, or some."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        found = blocks((ROOT / "docs" / "paging.md").read_text())
        names = [block[2:-2] for block in found if block.endswith(".c")]
        expect(len(names) == NUMBER, f"{len(names)} recipes, and not {NUMBER}")
        (WORK / "ground.h").write_text(found["c ground.h"])
        libraries = {compiler: build_library(compiler) for compiler in COMPILERS}
    except Failure as error:
        print(f"# {error}\nnot ok - recipes")
        return 1
    chosen = [name for name in names if name in sys.argv[1:] or not sys.argv[1:]]
    return 0 if all([passes(name, found, libraries) for name in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())
