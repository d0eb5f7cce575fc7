#!/usr/bin/env python3
"""Builds the kernel of the README as a reader would: its two files, hoist.h, and its commands.

    tests/boot/readme.py FOLDER      leaves FOLDER/kernel.elf
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def block(text: str, kind: str) -> str:
    """The README's one code block of a kind."""
    blocks = re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)
    if len(blocks) != 1:
        sys.exit(f"README.md: {len(blocks)} blocks of kind {kind}, expected one")
    return blocks[0]


def main() -> None:
    """Writes the files and runs the commands but for the last, which is `make run`."""
    folder = Path(sys.argv[1])
    text = (ROOT / "README.md").read_text()
    source = block(text, "c")
    if len(source.strip().splitlines()) > 45:
        sys.exit("README.md: the kernel in forty lines has grown")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.c").write_text(source)
    (folder / "kernel.ld").write_text(block(text, "ld"))
    shutil.copy(ROOT / "loader" / "hoist.h", folder)
    for command in block(text, "sh").strip().splitlines():
        if not command.startswith("make run"):
            subprocess.run(command, shell=True, check=True, cwd=folder)


main()
