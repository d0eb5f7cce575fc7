#!/usr/bin/env python3
"""Makes one header and one C file of the mapping core, to be copied into other projects.

    paging/amalgamate.py [--version V] FOLDER                        FOLDER/pt.h, FOLDER/pt.c
    paging/amalgamate.py --prefix vtd --layout paging/pte_vtd.h FOLDER    FOLDER/vtd.h, vtd.c

The header is pt.h and every other public header: all of paging/*.h but pte_*.h, the layouts, of
which one takes the place of `#include PTE_LAYOUT`, and *_internal.h. Those and paging/*.c are the C
file, in which functions that the files share become static. New files are found by these names.

With a prefix, pt_map() is called vtd_map(), struct pt_space is struct vtd_space, PT_OK is VTD_OK,
and so on, so that cores of several layouts can be linked, and their headers included, together.
Only the addresses of addr.h keep their names: they are the same types for all.

Nothing else is renamed. Files that use one name for two things, or that cannot be read, are
refused; they are read line by line, as clang-format writes them.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Iterator, NoReturn

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = re.compile(r'^#include "(paging/\w+\.h)"\n', re.M)
LAYOUT = re.compile(r"^#ifndef PTE_LAYOUT\n#define PTE_LAYOUT .*\n#endif\n#include PTE_LAYOUT\n",
                    re.M)

# What every layout has alike, and so keeps its name under a prefix.
COMMON = "paging/addr.h"

# A line of file scope without its indented rest, by what it defines or declares. Tags are not in
# the name space of all else, so they go by two words.
FUNCTION = re.compile(r"(?P<static>static )?[\w *]*?(?P<name>\w+)\((?!\*)")
LINES = (
    (re.compile(r"#define (?P<name>\w+)"), "macro"),
    (re.compile(r"#undef (?P<name>\w+)"), "end of macro"),
    (re.compile(r"(?:typedef )?(?P<name>(?:struct|union|enum) \w+) \{"), "tag"),
    (re.compile(r"typedef .*?(?P<name>\w+);"), "type"),
    (re.compile(r"(?:struct|union|enum) \w+;"), "nothing"),
    (re.compile(r"(?:static |const )*(?:struct|union|enum) \{"), "nothing"),
    (re.compile(r"\} (?P<name>\w+)"), "variable"),
    (re.compile(r"[#{}]|(?:_Static_assert|static_assert)\("), "nothing"),
    (re.compile(r"[\w *]*?\(\*(?:const )?(?P<name>\w+)"), "variable"),
    (FUNCTION, "function"),
    (re.compile(r"(?:static|extern) [\w *]*?(?P<name>\w+)(?:\[[^]]*\])*(?: =|;)"), "variable"),
)


def fail(message: str) -> NoReturn:
    """Ends the program."""
    sys.exit(f"amalgamate: {message}")


def read(path: str) -> str:
    """A file of the tree, or one beside it."""
    try:
        return (ROOT / path).read_text()
    except OSError as error:
        fail(f"{path}: {error.strerror}")


# ---- which files, in which order -----------------------------------------------------------


def in_order(paths: list[str], done: list[str], within: tuple[str, ...] = ()) -> list[str]:
    """Adds headers to `done`, each after those that it includes."""
    for path in paths:
        if path in within:
            fail(f"{path} includes itself, by way of {within[-1]}")
        if path not in done:
            in_order(INCLUDE.findall(read(path)), done, (*within, path))
            done.append(path)
    return done


def found(pattern: str) -> list[str]:
    """Files of paging/ by name."""
    return sorted(f"paging/{path.name}" for path in ROOT.glob(f"paging/{pattern}"))


def parts() -> tuple[list[str], list[str], list[str]]:
    """The public headers, the internal ones, the C files."""
    layouts, internal = found("pte_*.h"), found("*_internal.h")
    others = [path for path in found("*.h") if path not in layouts + internal]
    public = in_order(["paging/pt.h", *others], [])
    for path in public:
        if path in internal:
            fail(f"{path} is internal, but a public header includes it")
    return public, in_order(internal, list(public))[len(public):], found("*.c")


# ---- names ----------------------------------------------------------------------------------


def bare(text: str) -> str:
    """Code without comments, texts, attributes, what is for C++ only, and continued lines."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^#ifdef __cplusplus\n.*?^#endif\n", "", text, flags=re.S | re.M)
    text = re.sub(r"__attribute__\(\(.*?\)\)\s*", "", text)
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text).replace("\\\n", " ")


def enumerators(code: str) -> Iterator[str]:
    """All of a file's but those that a macro makes."""
    for body in re.findall(r"\benum(?: \w+)? \{([^}]*)\}", code):
        yield from re.findall(r"^\s*(\w+)\s*(?:=|,|$)", body.replace(",", ",\n"), re.M)


def definitions(path: str, text: str) -> dict[str, str]:
    """What a file defines at file scope, with the macros that last to its end, and their kinds."""
    code = bare(text)
    names = dict.fromkeys(enumerators(code), "enumerator")
    for match in re.finditer(r"^\S[^\n]*(?:\n[ \t][^\n]*)*", code, re.M):
        item = match.group()
        hit, kind = next(((m, k) for line, k in LINES if (m := line.match(item))), (None, ""))
        if not hit:
            fail(f"{path}: cannot read this line: {item.splitlines()[0]}")
        if kind == "end of macro":
            names.pop(hit["name"], None)
        elif kind != "nothing" and not (kind == "function" and item.rstrip().endswith(";")):
            names[hit["name"]] = kind
    return names


def check_names(texts: dict[str, str]) -> None:
    """No name is defined by two files, and no macro of a C file touches another."""
    owner: dict[str, str] = {}
    for path, text in texts.items():
        for name, kind in definitions(path, text).items():
            if name in owner:
                fail(f"'{name}' is defined in {owner[name]} and in {path}; rename one")
            owner[name] = path
            if kind == "macro" and path.endswith(".c"):
                check_macro(name, path, texts)


def check_macro(name: str, owner: str, texts: dict[str, str]) -> None:
    """A macro of a C file would replace the same word in the files after it."""
    for path, text in texts.items():
        if path != owner and re.search(rf"\b{name}\b", bare(text)):
            fail(f"'{name}' is a macro in {owner} and a word in {path}; rename one")


def renamed(text: str, prefix: str) -> str:
    """With another prefix than pt; guards of headers get it too, so that they guard each alone."""
    if prefix == "pt":
        return text
    upper = prefix.upper()
    text = re.sub(r"\bpt_(?=\w)", f"{prefix}_", text)
    text = re.sub(r"\bPT_(?=\w)", f"{upper}_", text)
    text = re.sub(r"\b(pte|level)_(?=\w)", rf"{prefix}_\1_", text)
    return re.sub(r"\b(?!PAGING_ADDR_H\b)(PTE_\w+|[A-Z]\w*_H)\b", rf"{upper}_\1", text)


def check_prefix(texts: dict[str, str]) -> None:
    """All that the header shows would get another prefix, or two could not stand together."""
    for path, text in texts.items():
        for name in definitions(path, text):
            if path != COMMON and renamed(name, "other") == name:
                fail(f"'{name}' of {path} would have the same name under any prefix")


# ---- text -------------------------------------------------------------------------------------


def with_layout(text: str, layout: str) -> str:
    """pte.h with the layout in it."""
    text, count = LAYOUT.subn(lambda _: read(layout), text)
    if count != 1:
        fail(f"paging/pte.h includes PTE_LAYOUT {count} times in the form expected, not once")
    return text


def private(text: str) -> str:
    """An internal header whose functions are static; so are their definitions then."""
    def mark(match: re.Match[str]) -> str:
        return match.group() if match["static"] else f"static {match.group()}"

    return re.sub(rf"^(?=[A-Za-z_]){FUNCTION.pattern}", mark, text, flags=re.M)


def licence() -> str:
    """The licence of the core: LICENSE up to what it says about other files."""
    text, end, _ = read("LICENSE").partition("\nSOFTWARE.\n")
    if not text.startswith("MIT License\n") or not end:
        fail("LICENSE is not the MIT licence")
    return text + end


def head(name: str, version: str) -> str:
    """The comment above either file."""
    about = (f"{name}, hoist-paging {version}: page tables, bytes in, tables out.\n\n"
             "Made from paging/ of hoist by paging/amalgamate.py: change it there, not here.\n\n")
    lines = (about + licence()).splitlines()
    comment = "".join(f" * {line}".rstrip() + "\n" for line in lines)
    return f"/* SPDX-License-Identifier: MIT */\n/*\n{comment} */\n"


def check_includes(texts: dict[str, str]) -> None:
    """All that is included is there; includes are left out when the files are joined."""
    for path, text in texts.items():
        for other in INCLUDE.findall(text):
            if other not in texts:
                fail(f"{path} includes {other}, which is not part of the core")


def joined(texts: dict[str, str]) -> str:
    """Files one after the other, without what they include of each other."""
    return "".join(f"\n/* ==== {path} ==== */\n\n{INCLUDE.sub('', text).lstrip()}"
                   for path, text in texts.items())


def write(folder: Path, name: str, version: str, body: str) -> None:
    """One of the two files."""
    if left := re.search(rf'^#include (?!<|"{name[:-2]}\.h").*', body, re.M):
        fail(f"{left.group()} would be left in {name}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(head(name, version) + body)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="One header and one C file of the mapping core.")
    parser.add_argument("--prefix", default="pt", help="of all names, in lower case")
    parser.add_argument("--layout", default="paging/pte_x86_64.h", help="of entries: a header")
    parser.add_argument("--version", default="unversioned", help="for the comment above")
    parser.add_argument("folder", type=Path)
    return parser.parse_args()


def main() -> None:
    """Reads, checks, writes."""
    options = parse()
    prefix = options.prefix
    if not re.fullmatch(r"[a-z][a-z0-9]*", prefix):
        fail(f"--prefix {prefix}: not a word in lower case")
    public, internal, sources = parts()
    texts = {path: read(path) for path in [*public, *internal, *sources]}
    texts["paging/pte.h"] = with_layout(texts["paging/pte.h"], options.layout)
    check_includes(texts)
    check_prefix({path: texts[path] for path in public})
    texts |= {path: private(texts[path]) for path in internal}
    texts = {path: renamed(text, prefix) for path, text in texts.items()}
    check_names(texts)
    write(options.folder, f"{prefix}.h", options.version, joined({p: texts[p] for p in public}))
    write(options.folder, f"{prefix}.c", options.version, f'\n#include "{prefix}.h"\n' +
          joined({path: texts[path] for path in [*internal, *sources]}))


main()
