#!/usr/bin/env python3
"""Tests of the mapping core as a library: build/dist, `make install`, and C++.

    tests/dist/dist.py [WORD]...      the tests whose names contain one of the words, or all
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "paging" / "amalgamate.py"
HERE = ROOT / "tests" / "dist"
DIST = ROOT / "build" / "dist"
WORK = ROOT / "build" / "dist-test"

COMPILERS = {"gcc": "g++", "clang": "clang++"}
# What a stranger's project may be compiled with, and then some.
STRICT = ["-Wall", "-Wextra", "-Werror"]
STRICTER = [*STRICT, "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Wcast-align",
            "-Wmissing-prototypes", "-Wstrict-prototypes"]
FREESTANDING = ["-ffreestanding", *STRICT]
MEMORY = {"memcpy", "memmove", "memset", "memcmp"}

EXAMPLE_SAYS = """513 pages mapped, with 4 tables
the last is at 0x400000, a leaf of level 1
513 pages to flush, 3 tables given back
"""


class Failure(Exception):
    """Why a test has failed."""


def expect(condition: object, message: str) -> None:
    """Fails if there is anything wrong."""
    if not condition:
        raise Failure(message)


# Nothing of a make that runs this.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.startswith(("MAKE", "MFLAGS", "PKG_CONFIG"))}


def run(*command: object, status: int = 0, cwd: Path = ROOT,
        env: dict[str, str] | None = None) -> str:
    """Runs a command that ends with `status`; its output and what it complains about."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=ENVIRONMENT | (env or {}), text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    expect(done.returncode == status,
           f"{' '.join(words)}\nends with {done.returncode}:\n{done.stdout}")
    return done.stdout


def folder(name: str, *files: Path) -> Path:
    """A new folder, with copies of files."""
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    for file in files:
        shutil.copy(file, path)
    return path


def core_object(path: Path, compiler: str, *flags: str) -> Path:
    """pt.o in `path`, of nothing but the two files."""
    shutil.copy(DIST / "pt.c", path)
    shutil.copy(DIST / "pt.h", path)
    run(compiler, *FREESTANDING, *flags, "-c", "pt.c", "-o", "pt.o", cwd=path)
    return path / "pt.o"


def symbols(file: Path, *options: str) -> set[str]:
    """Names that nm lists."""
    lines = run("nm", *options, file).splitlines()
    return {line.split()[-1] for line in lines if " " in line}


# ---- the two files --------------------------------------------------------------------------


def public_functions() -> set[str]:
    """What the headers declare."""
    text = re.sub(r"/\*.*?\*/", "", (DIST / "pt.h").read_text(), flags=re.S)
    return set(re.findall(r"^(?!static|#)\w[\w *]*?\b(pt_\w+)\(", text, re.M))


def check_symbols(file: Path) -> None:
    """The object needs mem* alone, and defines what the header declares and nothing else."""
    unknown = symbols(file, "-u") - MEMORY
    expect(not unknown, f"undefined: {unknown}")
    defined = symbols(file, "-g", "--defined-only")
    expect(len(defined) > 20 and defined == public_functions(),
           f"defined and declared differ in {defined ^ public_functions()}")


def the_two_files_compile_alone_with_both_compilers() -> None:
    path = folder("alone")
    for compiler in COMPILERS:
        include = run(compiler, "-print-file-name=include").strip()
        for standard in ("c11", "gnu11", "c17"):
            for level in ("-O0", "-O2"):
                check_symbols(core_object(path, compiler, f"-std={standard}", level, "-Wpedantic",
                                          "-nostdinc", "-isystem", include))
    expect(sorted(file.name for file in path.iterdir()) == ["pt.c", "pt.h", "pt.o"],
           "there is more than the two files")


def the_two_files_pass_warnings_that_kernels_use() -> None:
    path = folder("strict")
    for compiler in COMPILERS:
        for flags in (["-O2", "-std=gnu11"], ["-Os", "-std=gnu11", "-mgeneral-regs-only"]):
            core_object(path, compiler, *STRICTER, *flags)


def the_two_files_say_their_licence_and_version() -> None:
    version = re.search(r"^VERSION = (.+)$", (ROOT / "Makefile").read_text(), re.M)
    licence = (ROOT / "LICENSE").read_text().partition("\nloader/")[0].split()
    for name in ("pt.h", "pt.c"):
        text = (DIST / name).read_text()
        head = text.split("*/\n")[1].replace("\n *", "\n")
        expect(text.startswith("/* SPDX-License-Identifier: MIT */\n"), f"{name}: no SPDX line")
        expect(" ".join(licence) in " ".join(head.split()), f"{name}: not the text of LICENSE")
        expect(version and f"{name}, hoist-paging {version[1]}: " in head, f"{name}: no version")


def the_two_files_pass_the_unit_tests_of_the_core() -> None:
    path = folder("unit")
    core = core_object(path, "gcc", "-O2")
    sources = sorted((ROOT / "tests" / "unit").glob("test_pt*.c"))
    fakes = [ROOT / "tests" / "fake" / name
             for name in ("space.c", "sdm.c", "engine.c", "shared.c")]
    expect(len(sources) >= 7, f"only {len(sources)} programs")
    for source in sources:
        run("gcc", "-O1", f"-I{ROOT}", source, *fakes, core, "-o", path / "test")
        expect("\nok - " in "\n" + run(path / "test"), f"{source.name} says nothing")


# ---- the example ----------------------------------------------------------------------------


def the_example_has_forty_lines_and_works() -> None:
    path = folder("example", DIST / "example.c")
    lines = (path / "example.c").read_text().splitlines()
    expect(len(lines) <= 40, f"{len(lines)} lines")
    for compiler in COMPILERS:
        core = core_object(path, compiler, "-O2")
        run(compiler, *STRICT, "-std=c11", "-Wpedantic", "example.c", core, "-o", "example",
            cwd=path)
        said = run(path / "example")
        expect(said == EXAMPLE_SAYS, f"it says\n{said}")


def the_readme_shows_the_example_and_what_it_says() -> None:
    text = (ROOT / "README.md").read_text()
    source = (ROOT / "docs" / "example.c").read_text()
    said = "".join(f"    {line}\n" for line in EXAMPLE_SAYS.splitlines())
    expect(f"```c docs/example.c\n{source}```\n" in text, "docs/example.c is not in README.md")
    expect(said in text, "what it says is not in README.md")


# ---- C++, and two cores ---------------------------------------------------------------------


def headers_compile_as_cxx() -> None:
    path = folder("cxx-header")
    empty = path / "empty.cc"
    empty.touch()
    for compiler in COMPILERS.values():
        for header in (DIST / "pt.h", ROOT / "paging" / "pt.h"):
            for standard in ("c++11", "c++17", "c++20"):
                run(compiler, f"-std={standard}", *STRICT, "-Wpedantic", "-Wconversion",
                    f"-I{ROOT}", "-fsyntax-only", "-include", header, empty)


def a_cxx_program_links_and_works() -> None:
    path = folder("cxx", HERE / "program.cc")
    for compiler, cxx in COMPILERS.items():
        core = core_object(path, compiler, "-O2")
        run(cxx, "-std=c++17", *STRICT, "-Wpedantic", "program.cc", core, "-o", "program", cwd=path)
        run(path / "program")


def two_cores_of_different_layouts_live_in_one_program() -> None:
    path = folder("both", HERE / "both.c")
    core_object(path, "gcc", "-O2")
    run(SCRIPT, "--prefix", "fake", "--layout", "tests/fake/pte_fake.h", path)
    run("gcc", *FREESTANDING, "-std=c11", "-Wpedantic", "-O2", "-c", "fake.c", cwd=path)
    stray = [name for name in symbols(path / "fake.o", "-g", "--defined-only")
             if not name.startswith("fake_")]
    expect(not stray, f"without the prefix: {stray}")
    run("gcc", *STRICT, "-std=c11", "both.c", "pt.o", "fake.o", "-o", "both", cwd=path)
    run(path / "both")


def one_layout_under_two_prefixes_is_two_cores() -> None:
    path = folder("twice")
    for prefix in ("one", "two"):
        run(SCRIPT, "--prefix", prefix, path)
        run("gcc", *FREESTANDING, "-c", f"{prefix}.c", cwd=path)
    (path / "main.c").write_text('#include "one.h"\n#include "two.h"\n'
                                 "int main(void)\n{\n"
                                 "\tstruct one_range a = one_upper_half(&(struct one_cpu){ 4 });\n"
                                 "\tstruct two_range b = two_upper_half(&(struct two_cpu){ 4 });\n"
                                 "\treturn a.va.raw != b.va.raw;\n}\n")
    run("gcc", "-Wall", "-Werror", "main.c", "one.o", "two.o", "-o", "main", cwd=path)
    run(path / "main")


# ---- the script -----------------------------------------------------------------------------


def tree(name: str) -> Path:
    """A copy of what the script reads."""
    path = folder(name, ROOT / "LICENSE")
    shutil.copytree(ROOT / "paging", path / "paging")
    return path


def add(path: Path, name: str, text: str) -> None:
    """Text at the end of a file, which may be new."""
    with (path / "paging" / name).open("a") as file:
        file.write(text)


def amalgamate(path: Path, *options: str, status: int = 0) -> str:
    """Runs the script of a copy; what it says."""
    return run(path / "paging" / "amalgamate.py", *options, path, status=status)


def new_files_are_found_and_put_in_order() -> None:
    path = tree("new")
    add(path, "a_new.h", '#include "paging/pt.h"\n#include "paging/b_new.h"\n\n'
                         "struct pt_outer {\n\tstruct pt_inner inner;\n};\n\n"
                         "unsigned pt_new(struct pt_outer outer);\n")
    add(path, "b_new.h", "struct pt_inner {\n\tunsigned number;\n};\n")
    add(path, "new_internal.h", '#include "paging/a_new.h"\n\n'
                                "unsigned new_help(unsigned number,\n\t\t  unsigned more);\n")
    add(path, "a_new.c", '#include "paging/new_internal.h"\n\n'
                         "unsigned pt_new(struct pt_outer outer)\n{\n"
                         "\treturn new_help(outer.inner.number, 1);\n}\n")
    add(path, "b_new.c", '#include "paging/new_internal.h"\n\n'
                         "unsigned new_help(unsigned number, unsigned more)\n{\n"
                         "\treturn number + more;\n}\n")
    amalgamate(path)
    run("gcc", *FREESTANDING, "-c", "pt.c", cwd=path)
    names = symbols(path / "pt.o", "-g", "--defined-only")
    expect(names - public_functions() == {"pt_new"}, f"new names: {names - public_functions()}")


# A file, and what the script says to what is added to another.
TAKEN = """
enum taken_enum { TAKEN };

struct taken_tag {
	int a_word;
};

static int taken(void)
{
	return TAKEN;
}
"""
CLASHES = {
    "static void taken(void)\n{\n}\n": "'taken' is defined in",
    "static bool is_aligned(void)\n{\n}\n": "'is_aligned' is defined in paging/addr.h",
    "static enum pt_status taken(int a,\n\t\t\tint b)\n{\n\treturn a + b;\n}\n":
        "'taken'",
    "__attribute__((cold)) static void taken(void)\n{\n}\n": "'taken'",
    "struct taken_tag {\n\tint a;\n};\n": "'struct taken_tag'",
    "enum { TAKEN };\n": "'TAKEN'",
    "enum audited {\n\tA,\n\tTAKEN = 4,\n};\n": "'TAKEN'",
    "static const int taken;\n": "'taken'",
    "static const int taken[2][3] = { 0 };\n": "'taken'",
    "static const struct {\n\tint a;\n} taken[] = {\n\t{ 0 },\n};\n":
        "'taken'",
    "static void (*const taken)(void);\n": "'taken'",
    "typedef int taken;\n": "'taken'",
    "#define taken 1\n": "'taken'",
    "#define a_word 1\n": "'a_word' is a macro in paging/pt_audit.c",
    "int global;\n": "cannot read this line: int global",
    '#include "loader/span.h"\n': "loader/span.h",
    '#include "paging/pte_other.h"\n': "paging/pte_other.h, which is not part of the core",
}

# What is put in place of what in which file.
BREAKS = (
    ("attr.h", "struct pt_attr {", "#define READ 1\nstruct pt_attr {", "'READ' of paging/attr.h"),
    ("addr.h", "#include <std", '#include "paging/pte.h"\n#include <std', "includes itself"),
    ("addr.h", "#include <std", '#include "paging/low_internal.h"\n#include <std', "is internal"),
    ("pte.h", "\n#include PTE", "\n# include PTE", "PTE_LAYOUT 0 times"),
    ("../LICENSE", "MIT", "GPL", "LICENSE is not the MIT licence"),
)


def refused(path: Path, says: str) -> None:
    """The script ends with that message and writes nothing."""
    (path / "pt.c").write_text("as it was")
    said = amalgamate(path, status=1)
    expect(said.startswith("amalgamate: ") and says in said, f"not '{says}' but\n{said}")
    expect((path / "pt.c").read_text() == "as it was", f"{says}: a file was written")


def names_that_clash_and_lines_it_cannot_read_are_refused() -> None:
    for text, says in CLASHES.items():
        path = tree("clash")
        add(path, "a_taken.c", TAKEN)
        add(path, "pt_audit.c", text)
        refused(path, says)


def a_tree_that_is_not_in_order_is_refused() -> None:
    for name, old, new, says in BREAKS:
        path = tree("break")
        add(path, "low_internal.h", "struct low;\n")
        file = path / "paging" / name
        text = file.read_text()
        expect(old in text, f"{name} has no '{old}'")
        file.write_text(text.replace(old, new))
        refused(path, says)


def a_macro_that_ends_and_a_word_in_a_comment_do_not_clash() -> None:
    path = tree("accepted")
    add(path, "a_taken.c", TAKEN)
    add(path, "pt_audit.c", "#define taken 1\n#undef taken\n/*\nstatic int taken(void)\n{ */\n"
                            'static const char audit_text[] = "taken";\n'
                            "static int taken_not(int taken);\n")
    amalgamate(path)


def a_wrong_command_line_is_refused() -> None:
    path = tree("command")
    for option, value, says in (("--prefix", "Vt-d", "not a word"), ("--layout", "no.h", "no.h: ")):
        said = amalgamate(path, option, value, status=1)
        expect(says in said, f"{option} {value}: it says {said}")


# ---- installation ---------------------------------------------------------------------------


def files(path: Path) -> set[str]:
    """All files below a folder."""
    return {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}


INSTALLED = {"include/hoist-paging/pt.h", "lib/libhoist-paging.a", "lib/pkgconfig/hoist-paging.pc"}


def build_with_pkg_config(path: Path, env: dict[str, str]) -> None:
    """The example, in a folder without the core."""
    flags = run("pkg-config", "--cflags", "--libs", "hoist-paging", env=env).split()
    shutil.copy(DIST / "example.c", path)
    run("gcc", *STRICT, "example.c", *flags, "-o", "example", cwd=path)
    expect(run(path / "example") == EXAMPLE_SAYS, "the example says something else")


def an_installed_library_is_found_by_pkg_config() -> None:
    usr, path = folder("usr"), folder("pkg-config")
    run("make", "install", f"PREFIX={usr}")
    expect(files(usr) == INSTALLED, f"installed: {files(usr)}")
    env = {"PKG_CONFIG_LIBDIR": str(usr / "lib/pkgconfig")}
    build_with_pkg_config(path, env)
    version = run("pkg-config", "--modversion", "hoist-paging", env=env).strip()
    expect(f"\nVERSION = {version}\n" in (ROOT / "Makefile").read_text(), f"version {version}")
    check_symbols(usr / "lib/libhoist-paging.a")
    run("make", "uninstall", f"PREFIX={usr}")
    expect(not files(usr), f"left: {files(usr)}")


def a_library_is_installed_for_another_root() -> None:
    root, path = folder("root"), folder("sysroot")
    run("make", "install", f"DESTDIR={root}", "PREFIX=/opt/hoist")
    expect(files(root) == {f"opt/hoist/{name}" for name in INSTALLED}, f"installed: {files(root)}")
    text = (root / "opt/hoist/lib/pkgconfig/hoist-paging.pc").read_text()
    expect("prefix=/opt/hoist\n" in text and str(root) not in text, f"it says\n{text}")
    build_with_pkg_config(path, {"PKG_CONFIG_LIBDIR": str(root / "opt/hoist/lib/pkgconfig"),
                                 "PKG_CONFIG_SYSROOT_DIR": str(root)})


def an_installed_library_links_into_a_kernel() -> None:
    usr, path = folder("kernel-usr"), folder("kernel")
    run("make", "install", f"PREFIX={usr}")
    (path / "kernel.c").write_text(
        "#include <pt.h>\n"
        "void *memset(void *to, int c, size_t n);\n"
        "void *memset(void *to, int c, size_t n)\n{\n"
        "\tfor (char *p = to; n--;)\n\t\t*p++ = (char)c;\n\treturn to;\n}\n"
        "const char *start(struct pt_space *s, struct pt_range r, struct pt_flush *f);\n"
        "const char *start(struct pt_space *s, struct pt_range r, struct pt_flush *f)\n{\n"
        "\treturn pt_strerror(pt_unmap(s, r, f));\n}\n")
    run("gcc", *FREESTANDING, "-O2", "-fno-pic", "-mcmodel=kernel", "-mno-red-zone",
        f"-I{usr}/include/hoist-paging", "-c", "kernel.c", cwd=path)
    run("ld", "-nostdlib", "-static", "-e", "start", "-Ttext=0xffffffff80000000", "kernel.o",
        f"-L{usr}/lib", "-lhoist-paging", "-o", "kernel", cwd=path)
    expect("ffffffff8" in run("nm", path / "kernel"), "it lies elsewhere")


TESTS = (
    the_two_files_compile_alone_with_both_compilers,
    the_two_files_pass_warnings_that_kernels_use,
    the_two_files_say_their_licence_and_version,
    the_two_files_pass_the_unit_tests_of_the_core,
    the_example_has_forty_lines_and_works,
    the_readme_shows_the_example_and_what_it_says,
    headers_compile_as_cxx,
    a_cxx_program_links_and_works,
    two_cores_of_different_layouts_live_in_one_program,
    one_layout_under_two_prefixes_is_two_cores,
    new_files_are_found_and_put_in_order,
    names_that_clash_and_lines_it_cannot_read_are_refused,
    a_tree_that_is_not_in_order_is_refused,
    a_macro_that_ends_and_a_word_in_a_comment_do_not_clash,
    a_wrong_command_line_is_refused,
    an_installed_library_is_found_by_pkg_config,
    a_library_is_installed_for_another_root,
    an_installed_library_links_into_a_kernel,
)


def passes(test: Callable[[], None]) -> bool:
    """Runs one test and reports it."""
    try:
        test()
    except (Failure, OSError) as error:
        print("".join(f"# {line}\n" for line in str(error).splitlines()), end="")
        print(f"not ok - {test.__name__}", flush=True)
        return False
    print(f"ok - {test.__name__}", flush=True)
    return True


def main() -> int:
    """Runs all tests, or some."""
    words = sys.argv[1:] or [""]
    chosen = [test for test in TESTS if any(word in test.__name__ for word in words)]
    return 0 if all([passes(test) for test in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())
