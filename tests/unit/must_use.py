#!/usr/bin/env python3
"""Compilers warn where the status of a change is not looked at, and only there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPILERS = ("gcc", "clang")

BODY = """#include "paging/pt.h"
void snippet(struct pt_space *space, struct pt_cpu *cpu, struct pt_mem *mem,
	     struct pt_tables *tables, struct pt_mapping *m, struct pt_range range,
	     struct pt_flush *flush, struct pt_leaf *leaf, struct pt_entry *entry);
void snippet(struct pt_space *space, struct pt_cpu *cpu, struct pt_mem *mem,
	     struct pt_tables *tables, struct pt_mapping *m, struct pt_range range,
	     struct pt_flush *flush, struct pt_leaf *leaf, struct pt_entry *entry)
{{
	const struct pt_attr attr = {{ 0, PT_WB }};
	const struct pt_update update = {{ 0, 0, 0 }};

	(void)space, (void)cpu, (void)mem, (void)tables, (void)m, (void)range, (void)flush;
	(void)leaf, (void)entry, (void)attr, (void)update;
	{statement};
}}
"""

CALLS = {
    "pt_init": "pt_init(space, cpu, mem, tables)",
    "pt_open": "pt_open(space, cpu, mem, tables, phys(0))",
    "pt_map": "pt_map(space, m, NULL, flush)",
    "pt_protect": "pt_protect(space, range, attr, flush)",
    "pt_update": "pt_update(space, range, update, flush)",
    "pt_unmap": "pt_unmap(space, range, flush)",
    "pt_clean": "pt_clean(space, range, flush)",
    "pt_collapse": "pt_collapse(space, range, flush)",
    "pt_page_unmap": "pt_page_unmap(space, virt(0), 1, flush, leaf)",
    "pt_page_protect": "pt_page_protect(space, virt(0), 1, attr, flush)",
    "pt_set_soft": "pt_set_soft(space, &(struct pt_soft){ virt(0), 1, 0 }, flush, entry)",
    "pt_set_link": "pt_set_link(space, virt(0), 2, 0, flush)",
}


def warnings(compiler: str, statement: str) -> tuple[int, str]:
    """Compiles a function with the statement in it."""
    command = [compiler, "-std=gnu11", "-ffreestanding", "-Wall", "-Wextra", "-Werror", "-I.",
               "-c", "-o", "/dev/null", "-x", "c", "-"]
    done = subprocess.run(command, input=BODY.format(statement=statement), cwd=ROOT, text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stderr


def judge(compiler: str, name: str, call: str) -> bool:
    """Ignored: an error that names the reason; looked at: none."""
    code, text = warnings(compiler, call)
    warned = code != 0 and re.search(r"unused-result", text) is not None
    code, text = warnings(compiler, f"if ({call} != PT_OK) return")
    if not warned:
        print(f"# {compiler}: the status of {name}() can be ignored")
    if code != 0:
        print(f"# {compiler}: {name}(): {text}")
    return warned and code == 0


def every_change_is_listed() -> bool:
    """All calls that pt.h marks are tried here."""
    text = (ROOT / "paging/pt.h").read_text()
    marked = set(re.findall(r"PT_MUST_USE enum pt_status (\w+)\(", text))
    for name in sorted(marked ^ set(CALLS)):
        print(f"# {name}() is marked or tried, but not both")
    return marked == set(CALLS)


def main() -> int:
    """One test a compiler, and one for the list."""
    results = {"every_call_that_must_be_looked_at_is_tried": every_change_is_listed()}
    for compiler in filter(shutil.which, COMPILERS):
        results[f"{compiler}_warns_of_a_status_ignored"] = all(
            [judge(compiler, name, call) for name, call in CALLS.items()])
    for name, passed in results.items():
        print(f"{'ok' if passed else 'not ok'} - {name}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
