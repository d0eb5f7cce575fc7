"""The oracle from outside: are the page tables what the mapping list says they are?

The judge kernel prints the mapping list and stops. Three accounts of the same tables are compared:
that list, a walk over the guest's RAM by the code below, and QEMU's own page walker (`info tlb`).
`info mem` is never asked: in QEMU 7.2 it fails with 5 levels.
"""

from __future__ import annotations

import mmap
import re
import struct
from bisect import bisect_right
from dataclasses import dataclass

from qemu import Failure, Machine

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# Entries: SDM 3A, 4.5.4 with tables 4-15 to 4-20.
PRESENT, WRITE, USER, WRITE_THROUGH, CACHE_DISABLE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
ACCESSED, DIRTY, LARGE, GLOBAL, NO_EXECUTE = 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 63
PAT_SMALL, PAT_LARGE = 1 << 7, 1 << 12
ADDRESS = (1 << 52) - (1 << 12)

# IA32_PAT as hoist hands it over, entry 0 first; the encodings are those of SDM 3A, 12.12.2.
PAT = tuple(0x0007010500070406.to_bytes(8, "little"))

RIGHT_WRITE, RIGHT_EXECUTE = 1, 2

# How many differences one account may list before the rest is left out.
SHOWN = 8


@dataclass(frozen=True)
class Mapping:
    """One `@map` line."""

    virt: int
    phys: int
    size: int
    rights: int
    effective: int
    cache: int
    purpose: int

    def __str__(self) -> str:
        return (f"{self.virt:#x} -> {self.phys:#x}, {self.size:#x} bytes, rights {self.rights}, "
                f"effective {self.effective}, cache type {self.cache}, purpose {self.purpose}")


@dataclass(frozen=True)
class Dump:
    """What the judge kernel printed for the oracle."""

    root: int
    levels: int
    mappings: list[Mapping]
    tables: set[int]


@dataclass(frozen=True)
class Leaf:
    """A leaf of the tables, with what all levels together grant."""

    virt: int
    entry: int
    size: int
    write: bool
    execute: bool
    user: bool

    @property
    def phys(self) -> int:
        """Where it leads."""
        return self.entry & ADDRESS & ~(self.size - 1)

    @property
    def cache(self) -> int:
        """Memory type, looked up in the PAT (SDM 3A, 4.9.2)."""
        index = bool(self.entry & WRITE_THROUGH) | bool(self.entry & CACHE_DISABLE) << 1
        return PAT[index | bool(self.entry & self._pat_bit) << 2]

    @property
    def _pat_bit(self) -> int:
        return PAT_SMALL if self.size == 4 * KIB else PAT_LARGE

    def tlb_line(self) -> str:
        """The line with which `info tlb` should show it; it hides bit 7 of small leaves."""
        entry = self.entry if self.size > 4 * KIB else self.entry & ~PAT_SMALL
        letters = zip("XGPDACTUW", (NO_EXECUTE, GLOBAL, LARGE, DIRTY, ACCESSED, CACHE_DISABLE,
                                    WRITE_THROUGH, USER, WRITE))
        flags = "".join(letter if entry & bit else "-" for letter, bit in letters)
        return f"{self.virt:016x}: {self.phys:016x} {flags}"

    def __str__(self) -> str:
        return f"{self.virt:#x} -> {self.phys:#x}, {self.size:#x} bytes, entry {self.entry:#x}"


class Ram:
    """The guest's memory, read through the file descriptor that backs it."""

    def __init__(self, descriptor: int) -> None:
        self._bytes = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        # QEMU's q35 machine leaves a hole for devices below 4 GiB: what does not fit under it
        # goes on at 4 GiB (hw/i386/pc_q35.c, pc_q35_init).
        size = len(self._bytes)
        self._low = size if size < 0xb0000000 else 2 * GIB

    def __enter__(self) -> Ram:
        return self

    def __exit__(self, *_: object) -> None:
        self._bytes.close()

    def table(self, address: int) -> tuple[int, ...]:
        """The 512 entries of the page table at a physical address."""
        offset = address
        if address >= 4 * GIB:
            offset = address - 4 * GIB + self._low
        elif address >= self._low:
            raise Failure(f"a page table at {address:#x} is not in RAM")
        if offset + 4 * KIB > len(self._bytes):
            raise Failure(f"a page table at {address:#x} is beyond the end of RAM")
        return struct.unpack_from("<512Q", self._bytes, offset)


class Walk:
    """All leaves and all tables below a root, found by nothing but the manual."""

    def __init__(self, ram: Ram, root: int, levels: int) -> None:
        self.leaves: list[Leaf] = []
        self.tables: set[int] = set()
        self._ram = ram
        self._levels = levels
        self._descend(root & ADDRESS, levels, 0, (True, True, True))

    def _descend(self, table: int, level: int, base: int, above: tuple[bool, ...]) -> None:
        """Recursion ends after at most five levels; `above` is what they grant so far."""
        if table in self.tables:
            raise Failure(f"the page table at {table:#x} is used twice")
        self.tables.add(table)
        size = 4 * KIB << 9 * (level - 1)
        for index, entry in enumerate(self._ram.table(table)):
            if not entry & PRESENT:
                continue
            virt = self._canonical(base + index * size)
            grants = (above[0] and bool(entry & WRITE), above[1] and not entry & NO_EXECUTE,
                      above[2] and bool(entry & USER))
            if level == 1 or entry & LARGE:
                self._add(virt, entry, level, grants)
            else:
                self._descend(entry & ADDRESS, level - 1, virt, grants)

    def _canonical(self, virt: int) -> int:
        """Copies the highest translated bit upwards (SDM 1, 3.3.7.1)."""
        width = 12 + 9 * self._levels
        if virt >> (width - 1) & 1:
            virt |= (1 << 64) - (1 << width)
        return virt

    def _add(self, virt: int, entry: int, level: int, grants: tuple[bool, ...]) -> None:
        if level > 3:
            raise Failure(f"bit 7 is set in an entry of level {level}, where it is reserved")
        leaf = Leaf(virt, entry, 4 * KIB << 9 * (level - 1), *grants)
        below = leaf.size - 1 & ADDRESS & ~(PAT_LARGE if level > 1 else 0)
        if entry & below:
            raise Failure(f"reserved address bits are set in the leaf {leaf}")
        self.leaves.append(leaf)


def parse_dump(text: str) -> Dump:
    """Reads the `@` lines of the judge kernel; all numbers are hexadecimal but the levels."""
    head = re.search(r"^@cr3 ([0-9a-fx]+) levels (\d)$", text, re.M)
    if not head or not re.search(r"^@end$", text, re.M):
        raise Failure("the dump has no '@cr3 ... levels ...' line or no '@end'")
    mappings = [Mapping(*(int(word, 16) for word in line.split()))
                for line in re.findall(r"^@map ((?:[0-9a-fx]+ ?){7})$", text, re.M)]
    if len(mappings) != len(re.findall(r"^@map", text, re.M)):
        raise Failure("an '@map' line does not have seven hexadecimal numbers")
    tables = set()
    for address, size in re.findall(r"^@table ([0-9a-fx]+) ([0-9a-fx]+)$", text, re.M):
        start = int(address, 16)
        tables.update(range(start, start + int(size, 16), 4 * KIB))
    return Dump(int(head[1], 16), int(head[2]), mappings, tables)


def _sorted_and_disjoint(dump: Dump) -> list[str]:
    """Differences from an ordered list of whole pages."""
    wrong = [f"mapping {m} is not of whole pages" for m in dump.mappings
             if (m.virt | m.phys | m.size) & 4095 or m.size == 0]
    wrong += [f"mapping {b} does not lie behind {a}"
              for a, b in zip(dump.mappings, dump.mappings[1:]) if a.virt + a.size > b.virt]
    return wrong


def _rights(write: bool, execute: bool) -> int:
    return write * RIGHT_WRITE | execute * RIGHT_EXECUTE


def _leaf_against_list(leaf: Leaf, dump: Dump, starts: list[int]) -> str:
    """What is wrong with one leaf, empty if nothing is."""
    place = bisect_right(starts, leaf.virt) - 1
    if place < 0:
        return f"{leaf}: not in the mapping list"
    mapping = dump.mappings[place]
    offset = leaf.virt - mapping.virt
    if offset + leaf.size > mapping.size:
        return f"{leaf}: not in the mapping list, whose nearest is {mapping}"
    found = _facts(leaf.phys, _rights(leaf.write, leaf.execute), leaf.cache, leaf.user)
    wanted = _facts(mapping.phys + offset, mapping.effective, mapping.cache, False)
    return f"{leaf}: is {found}; the list says {wanted}" if found != wanted else ""


def _facts(phys: int, rights: int, cache: int, user: bool) -> str:
    return f"at {phys:#x}, rights {rights}, cache type {cache}, {'user' if user else 'supervisor'}"


def _leaves_against_list(walk: Walk, dump: Dump) -> list[str]:
    """Both directions: every leaf is listed, and together the leaves fill the list."""
    starts = [mapping.virt for mapping in dump.mappings]
    wrong = [text for leaf in walk.leaves if (text := _leaf_against_list(leaf, dump, starts))]
    have = sum(leaf.size for leaf in walk.leaves)
    want = sum(mapping.size for mapping in dump.mappings)
    if have != want:
        wrong.append(f"the tables map {have:#x} bytes, the list {want:#x}")
    return wrong


def _policy(walk: Walk, dump: Dump, no_execute: bool) -> list[str]:
    """W^X, NULL, nothing global, and effective rights that follow from the asked ones."""
    wrong = [f"{leaf}: writable and executable" for leaf in walk.leaves
             if no_execute and leaf.write and leaf.execute]
    wrong += [f"{leaf}: execute-disable on a CPU without it" for leaf in walk.leaves
              if not no_execute and leaf.entry & NO_EXECUTE]
    wrong += [f"{leaf}: page 0 is mapped" for leaf in walk.leaves if leaf.virt == 0]
    wrong += [f"{leaf}: global" for leaf in walk.leaves if leaf.entry & GLOBAL]
    always = 0 if no_execute else RIGHT_EXECUTE
    wrong += [f"{m}: effective rights do not follow from the rights" for m in dump.mappings
              if m.effective != m.rights | always]
    return wrong


def _sets(what: str, have: set[str], want: set[str]) -> list[str]:
    """Differences of two sets of texts."""
    return ([f"{what}: {text}: only in the tables" for text in sorted(have - want)] +
            [f"{what}: {text}: missing in the tables" for text in sorted(want - have)])


def _register(registers: str, name: str) -> int:
    value = re.search(rf"\b{name}=([0-9a-f]+)", registers)
    if not value:
        raise Failure(f"QEMU's 'info registers' shows no {name}")
    return int(value[1], 16)


def compare(machine: Machine, largest: int) -> None:
    """Stops the guest and compares all accounts; fails with the first differences.

    `largest` is the size of the largest leaf that must occur, and the largest that may.
    """
    machine.qmp("stop")
    dump = parse_dump(machine.text)
    registers = machine.monitor("info registers")
    levels = 5 if _register(registers, "CR4") >> 12 & 1 else 4
    if (dump.root & ADDRESS, dump.levels) != (_register(registers, "CR3") & ADDRESS, levels):
        raise Failure(f"the dump says root {dump.root:#x} and {dump.levels} levels, QEMU "
                      f"{_register(registers, 'CR3'):#x} and {levels}")
    with Ram(machine.ram) as ram:
        walk = Walk(ram, dump.root, levels)
    no_execute = bool(_register(registers, "EFER") >> 11 & 1)
    lines = set(machine.monitor("info tlb").split("\n")) - {""}
    wrong = _sorted_and_disjoint(dump) + _leaves_against_list(walk, dump)
    wrong += _policy(walk, dump, no_execute)
    wrong += _sets("info tlb", {leaf.tlb_line() for leaf in walk.leaves}, lines)
    wrong += _sets("page table", {hex(t) for t in walk.tables}, {hex(t) for t in dump.tables})
    found = max((leaf.size for leaf in walk.leaves), default=0)
    if found != largest:
        wrong.append(f"the largest leaf is {found:#x} bytes, expected {largest:#x}")
    if wrong:
        raise Failure("\n".join([*wrong[:SHOWN], f"{len(wrong)} differences in all"]))
